// SPDX-License-Identifier: Apache-2.0
// Batches and transactions: seal, commit, abort and rewind; and checkpoints of the store
// between two commits.
#include <stdlib.h>

#include "base/array.h"
#include "stream/runtime_impl.h"

bool store_unwritten(const struct ee_runtime *rt) {
  return rt->undone.text[0] != '\0';
}

// Nothing is stepped before the next checkpoint: what waits for it is memory.
static bool checkpoint_first(const struct ee_runtime *rt) {
  return store_unwritten(rt) ||
         ee_store_pending_bytes(rt->store) >= 2 * rt->settings.checkpoint_bytes;
}

bool transaction_may_step(const struct ee_runtime *rt) {
  return rt->transaction != TRANSACTION_ABORTING && rt->transaction != TRANSACTION_RENEWING &&
         !rt->batch_spoiled && !rt->revoking && !rt->stopping && !checkpoint_first(rt) &&
         rt->now_ms >= rt->step_after_ms && rt->batch_records < BATCH_RECORDS_MAX &&
         !output_full(rt);
}

void transaction_note(struct ee_runtime *rt) {
  if (rt->batch_records++ == 0) rt->batch_started_ms = rt->now_ms;
}

bool transaction_idle(const struct ee_runtime *rt) {
  return rt->transaction == TRANSACTION_NONE && rt->batch_records == 0;
}

void checkpoint_forget(struct ee_runtime *rt) {
  rt->checkpoint_answered = false;
  rt->checkpoint_void = rt->checkpoint_operation.pending;
  rt->checkpoint_given_up = rt->stopping;
}

// Throws away what no commit has made true, and reads it again.
static void discard(struct ee_runtime *rt) {
  ee_store_abort(rt->store);
  checkpoint_forget(rt);
  output_clear(&rt->open_outputs);
  output_clear(&rt->sealed_outputs);
  rt->batch_records = rt->batch_bytes = 0;
  rt->batch_spoiled = false;
  rt->transaction = TRANSACTION_NONE;
  for (int32_t i = 0; i < rt->partition_limit; i++) {
    struct partition *p = rt->partitions[i];
    if (p == NULL || p->state != PARTITION_RUNNING || rt->revoking) continue;
    if (!partition_start(rt, p)) {
      runtime_fail(rt, "partition %d cannot start again: %s", (int)i, rt->trouble.text);
    }
  }
}

static void begin_abort(struct ee_runtime *rt) {
  rt->transaction = TRANSACTION_ABORTING;
  runtime_begin(rt, &rt->producer_operation, EE_OP_ABORT, NULL, 0);
}

// While a commit is under way its end comes first: what it commits stays.
void transaction_abort(struct ee_runtime *rt, const char *why) {
  if (rt->batch_spoiled || rt->transaction == TRANSACTION_ABORTING ||
      rt->transaction == TRANSACTION_RENEWING) {
    return;
  }
  rt->metrics->transactions_aborted++;
  ee_log(EE_WARN, "the batch is thrown away and read again",
         EE_LOG_WITH(EE_LOG_S("why", ee_str(why))));
  if (rt->transaction == TRANSACTION_COMMITTING) {
    rt->batch_spoiled = true;
  } else if (rt->transaction == TRANSACTION_NONE) {
    discard(rt);
  } else {
    begin_abort(rt);
  }
}

static bool heals(struct ee_runtime *rt, enum ee_outcome_class outcome, const struct ee_err *err) {
  if (outcome == EE_FENCED || outcome == EE_FATAL) return runtime_fail(rt, "%s", err->text);
  return true;
}

static void begin_kafka(struct ee_runtime *rt) {
  struct ee_err err;
  enum ee_outcome_class outcome = rt->broker->ops->begin_transaction(rt->broker, &err);
  if (outcome == EE_DONE) {
    rt->transaction = TRANSACTION_OPEN;
  } else {
    heals(rt, outcome, &err);
  }
}

// True when everything in the list has been handed over.
static bool send(struct ee_runtime *rt, struct output_list *list) {
  struct ee_err err;
  enum ee_outcome_class outcome = output_send(rt, list, &err);
  if (outcome == EE_DONE) return true;
  if (outcome == EE_RETRY) return false;
  if (heals(rt, outcome, &err)) {
    rt->step_after_ms = rt->now_ms + RETRY_MS;
    transaction_abort(rt, err.text);
  }
  return false;
}

// Where nothing is stepped, a checkpoint's proof is a commit that commits nothing new.
static bool wants_proof(const struct ee_runtime *rt) {
  return (rt->stopping || checkpoint_first(rt)) && rt->checkpoint_answered &&
         rt->batch_records == 0;
}

static bool batch_due(const struct ee_runtime *rt) {
  if (rt->batch_records == 0) return wants_proof(rt);
  return rt->now_ms - rt->batch_started_ms >= rt->settings.commit_interval_ms ||
         rt->batch_records >= BATCH_RECORDS_MAX || output_full(rt) || rt->stopping;
}

static bool add_state_record(void *context, struct ee_store_key key, struct ee_bytes value) {
  struct ee_runtime *rt = context;
  const struct ee_changelog *changelog = &rt->ops->changelogs[key.changelog];
  if (changelog->emitted) return true;
  struct ee_tp tp = {.topic = changelog->topic, .partition = key.partition};
  return output_add(rt, tp, key.key, value, NULL, 0);
}

// `inputs`: as in struct ee_bookmark, when this is committed.
static bool add_commit_offset(struct ee_runtime *rt, const struct partition *p, enum ee_topic topic,
                              uint32_t inputs) {
  struct ee_tp_offset *offsets =
      ee_array_room(rt->commit_offsets, rt->commit_count, &rt->commit_capacity, sizeof *offsets);
  if (offsets == NULL) return false;
  rt->commit_offsets = offsets;
  struct ee_tp_offset *offset = &offsets[rt->commit_count++];
  *offset = (struct ee_tp_offset){.tp = {topic, p->number}, .offset = p->inputs[topic].next};
  struct ee_bookmark bookmark = {.last = p->inputs[topic].last, .inputs = inputs};
  for (size_t i = 0; i < rt->ops->changelog_count; i++)
    bookmark.ends[i] = p->changelogs[i].seen;
  ee_bookmark_print(&bookmark, offset->metadata);
  return true;
}

// Past the markers behind the last record: else, where retention has taken all, the log would
// begin above the committed offset, as if records had gone unread.
static void pass_markers(struct ee_runtime *rt, struct partition *p, enum ee_topic topic) {
  struct input_position *input = &p->inputs[topic];
  if (p->queues[topic].count > 0 || input->next < 0) return;
  int64_t position = rt->broker->ops->position(rt->broker, (struct ee_tp){topic, p->number});
  if (position <= input->next) return;
  input->next = position;
  input->dirty = true;
}

// Every bookmark of a partition tells which inputs were read, so that none can be deleted and
// leave no trace: when there is one more, all are written again.
static bool collect_partition(struct ee_runtime *rt, struct partition *p, bool all) {
  uint32_t dirty = 0;
  for (size_t i = 0; i < rt->ops->input_count; i++) {
    enum ee_topic topic = rt->ops->inputs[i];
    pass_markers(rt, p, topic);
    if (p->inputs[topic].dirty) dirty |= UINT32_C(1) << topic;
  }
  if ((dirty & ~p->read) != 0) all = true;
  for (size_t i = 0; i < rt->ops->input_count; i++) {
    enum ee_topic topic = rt->ops->inputs[i];
    bool again = all && p->inputs[topic].next >= 0;
    if (!p->inputs[topic].dirty && !again) continue;
    if (!add_commit_offset(rt, p, topic, p->read | dirty)) return false;
    p->inputs[topic].dirty = false;
  }
  return true;
}

static bool collect_offsets(struct ee_runtime *rt) {
  bool proof = wants_proof(rt);
  rt->commit_count = 0;
  for (int32_t i = 0; i < rt->partition_limit; i++) {
    struct partition *p = rt->partitions[i];
    if (p == NULL || p->state != PARTITION_RUNNING) continue;
    if (!collect_partition(rt, p, proof)) return false;
  }
  return true;
}

static void seal(struct ee_runtime *rt) {
  if (!ee_store_touched(rt->store, add_state_record, rt) || !collect_offsets(rt)) {
    rt->step_after_ms = rt->now_ms + RETRY_MS;
    transaction_abort(rt, "no memory to seal the batch");
    return;
  }
  ee_store_seal(rt->store);
  struct output_list sealed = rt->open_outputs;
  rt->open_outputs = rt->sealed_outputs;
  rt->sealed_outputs = sealed;
  rt->batch_records = rt->batch_bytes = 0;
  rt->transaction = TRANSACTION_SEALED;
}

static void begin_commit(struct ee_runtime *rt) {
  rt->transaction = TRANSACTION_COMMITTING;
  runtime_begin(rt, &rt->producer_operation, EE_OP_COMMIT, rt->commit_offsets, rt->commit_count);
}

void transaction_turn(struct ee_runtime *rt) {
  if (rt->producer_operation.pending || rt->now_ms < rt->retry_at_ms) return;
  if (rt->transaction == TRANSACTION_NONE && (rt->batch_records > 0 || wants_proof(rt))) {
    begin_kafka(rt);
  }
  if (rt->transaction == TRANSACTION_OPEN && send(rt, &rt->open_outputs) && batch_due(rt)) {
    seal(rt);
  }
  // While the end of the changelogs is being asked for, no commit may move it.
  if (rt->transaction == TRANSACTION_SEALED && send(rt, &rt->sealed_outputs) &&
      !rt->checkpoint_operation.pending) {
    begin_commit(rt);
  }
  if (rt->transaction == TRANSACTION_ABORTING) begin_abort(rt);
  if (rt->transaction == TRANSACTION_RENEWING) {
    runtime_begin(rt, &rt->producer_operation, EE_OP_RENEW, NULL, 0);
  }
}

bool store_write(struct ee_runtime *rt, const struct ee_store_checkpoint *checkpoints,
                 size_t count) {
  bool known = store_unwritten(rt);
  if (ee_store_checkpoint(rt->store, checkpoints, count, rt->wall_ms, &rt->undone)) {
    rt->undone.text[0] = '\0';
    rt->metrics->checkpoints++;
    return true;
  }
  rt->metrics->checkpoints_failed++;
  // No try will succeed: whoever is started next makes the store anew.
  if (ee_store_corrupt(rt->store) && !rt->stopping) return runtime_fail(rt, "%s", rt->undone.text);
  if (known) return false;  // said, and said again as long as it is not ready
  ee_log(EE_ERROR, "state was not written to disk; nothing is read until it is",
         EE_LOG_WITH(EE_LOG_S("why", ee_str(rt->undone.text))));
  return false;
}

// By a commit that was begun after the answer and has succeeded: the partitions were ours when
// the ends were looked up, and what lies below them is ours or was read at the assignment. An
// instance that was frozen, and is not yet told that others have taken over, gets no such
// commit.
static void write_checkpoint(struct ee_runtime *rt) {
  size_t per = rt->ops->changelog_count, count = rt->checkpoint_count / per;
  rt->checkpoint_answered = false;
  rt->checkpointed_ms = rt->now_ms;
  rt->checkpoint_given_up = rt->stopping;
  struct ee_store_checkpoint *checkpoints = calloc(count + 1, sizeof *checkpoints);
  if (checkpoints == NULL) return;  // the next one will do
  for (size_t i = 0; i < count; i++) {
    checkpoints[i].partition = rt->checkpoint_offsets[i * per].tp.partition;
    for (size_t j = 0; j < per; j++)
      checkpoints[i].offsets[j] = rt->checkpoint_offsets[i * per + j].offset;
  }
  store_write(rt, checkpoints, count);
  free(checkpoints);
}

static void took_commit(struct partition *p, const struct ee_tp_offset *done) {
  struct input_position *input = &p->inputs[done->tp.topic];
  struct ee_bookmark bookmark;
  ee_bookmark_parse(done->metadata, &bookmark);
  input->committed = done->offset;
  input->kept = bookmark.last;
  p->read |= bookmark.inputs;
}

static void committed(struct ee_runtime *rt) {
  ee_store_commit(rt->store);
  for (size_t i = 0; i < rt->commit_count; i++) {
    const struct ee_tp_offset *done = &rt->commit_offsets[i];
    struct partition *p = runtime_partition(rt, done->tp.partition);
    if (p != NULL) took_commit(p, done);
  }
  rt->transaction = TRANSACTION_NONE;
  rt->metrics->transactions_committed++;
  if (rt->checkpoint_answered) write_checkpoint(rt);
}

void transaction_finished(struct ee_runtime *rt, struct ee_operation *operation) {
  enum ee_outcome_class outcome = operation->outcome;
  if (!heals(rt, outcome, &operation->err)) return;
  if (outcome == EE_INDEFINITE) {
    ee_log(EE_WARN, "the end of a transaction is unknown: new producer, state read again",
           EE_LOG_WITH(EE_LOG_S("why", ee_str(operation->err.text))));
    rt->transaction = TRANSACTION_RENEWING;
    return;
  }
  if (outcome == EE_RETRY) {
    rt->trouble = operation->err;
    rt->retry_at_ms = rt->now_ms + RETRY_MS;
    return;
  }
  switch (operation->kind) {
    case EE_OP_COMMIT:
      if (outcome == EE_DONE) {
        committed(rt);
        if (rt->batch_spoiled) discard(rt);
      } else {
        rt->batch_spoiled = false;  // with the rest
        rt->transaction = TRANSACTION_SEALED;
        transaction_abort(rt, operation->err.text);
      }
      break;
    case EE_OP_ABORT:
      discard(rt);
      break;
    case EE_OP_RENEW:
      assignment_again(rt);  // first: what was committed, and so where to read, is not known
      discard(rt);
      break;
    default:
      break;
  }
}

static bool list_changelogs(struct ee_runtime *rt) {
  size_t most = rt->partition_count * rt->ops->changelog_count;
  struct ee_tp_offset *offsets = realloc(rt->checkpoint_offsets, (most + 1) * sizeof *offsets);
  if (offsets == NULL) return false;
  rt->checkpoint_offsets = offsets;
  rt->checkpoint_count = 0;
  for (int32_t i = 0; i < rt->partition_limit; i++) {
    if (rt->partitions[i] == NULL || rt->partitions[i]->state != PARTITION_RUNNING) continue;
    for (size_t j = 0; j < rt->ops->changelog_count; j++) {
      rt->checkpoint_offsets[rt->checkpoint_count++] =
          (struct ee_tp_offset){.tp = {rt->ops->changelogs[j].topic, i}};
    }
  }
  return true;
}

void checkpoint_turn(struct ee_runtime *rt) {
  int64_t pending = ee_store_pending_bytes(rt->store);
  if (rt->assignment != ASSIGNMENT_IDLE) {  // a restore writes what it reads
    rt->checkpoint_given_up = rt->stopping;
    return;
  }
  if (pending == 0) rt->undone.text[0] = '\0';
  if (pending == 0 || rt->checkpoint_operation.pending || rt->checkpoint_answered) return;
  if (rt->checkpoint_given_up) return;
  if (rt->transaction != TRANSACTION_NONE && rt->transaction != TRANSACTION_OPEN) return;
  int64_t age_ms = rt->now_ms - rt->checkpointed_ms;
  bool due = age_ms >= rt->settings.checkpoint_interval_ms || rt->stopping ||
             pending >= rt->settings.checkpoint_bytes;
  if (store_unwritten(rt) && !rt->stopping) due = age_ms >= RETRY_MS;
  if (!due || rt->partition_count == 0 || !list_changelogs(rt)) return;
  rt->checkpoint_operation.isolation = EE_READ_COMMITTED;
  runtime_begin(rt, &rt->checkpoint_operation, EE_OP_END, rt->checkpoint_offsets,
                rt->checkpoint_count);
}

static bool note_ends(struct ee_runtime *rt) {
  for (size_t i = 0; i < rt->checkpoint_count; i++) {
    const struct ee_tp_offset *end = &rt->checkpoint_offsets[i];
    struct partition *p = runtime_partition(rt, end->tp.partition);
    if (p == NULL) continue;
    struct changelog_restore *changelog = &p->changelogs[i % rt->ops->changelog_count];
    if (!restore_reaches(rt, end->tp, end->offset, changelog->seen)) return false;
    changelog->seen = end->offset;
  }
  return true;
}

void checkpoint_finished(struct ee_runtime *rt, struct ee_operation *operation) {
  if (operation->outcome == EE_DONE && !note_ends(rt)) return;
  rt->checkpoint_answered = operation->outcome == EE_DONE && !rt->checkpoint_void;
  rt->checkpoint_void = false;
  if (rt->checkpoint_answered) return;
  rt->trouble = operation->err;
  rt->checkpointed_ms = rt->now_ms;
  rt->checkpoint_given_up = rt->stopping;
}
