// SPDX-License-Identifier: Apache-2.0
// From an offered assignment to the first step, in the order that exactly-once needs
// (ARCHITECTURE.md, "Order at assignment"); and giving partitions up.
#include <stdlib.h>

#include "stream/runtime_impl.h"

// Every input must be assigned with the same partition numbers, or an envelope's phases
// would be read by different members.
static bool co_partitioned(struct ee_runtime *rt, const struct ee_broker_event *event,
                           struct ee_err *err) {
  for (size_t i = 0; i < event->count; i++) {
    size_t same = 0;
    for (size_t j = 0; j < event->count; j++) {
      same += event->partitions[j].partition == event->partitions[i].partition;
    }
    if (same != rt->ops->input_count) {
      return ee_err_set(err,
                        "partition %d is assigned of %zu input topics, not of all %zu: another "
                        "member of the group reads other topics; stop all members, then start "
                        "them with the same version",
                        (int)event->partitions[i].partition, same, rt->ops->input_count);
    }
  }
  return true;
}

static bool add_partition(struct ee_runtime *rt, int32_t number) {
  if (number < 0 || number >= rt->partition_limit) return false;
  if (rt->partitions[number] != NULL) return true;
  rt->partitions[number] = partition_new(number);
  if (rt->partitions[number] == NULL) return false;
  rt->partition_count++;
  rt->metrics->partitions[number] =
      (struct ee_partition_metrics){.assigned = true, .lag = -1, .clock_micros = INT64_MIN};
  return true;
}

void assignment_offered(struct ee_runtime *rt, const struct ee_broker_event *event) {
  rt->metrics->rebalances++;
  struct ee_err why;
  if (!co_partitioned(rt, event, &why)) {
    rt->broker->ops->leave(rt->broker);
    runtime_fail(rt, "the assignment is given back: %s", why.text);
    return;
  }
  for (size_t i = 0; i < event->count; i++) {
    if (add_partition(rt, event->partitions[i].partition)) continue;
    runtime_fail(rt, "no memory for partition %d", (int)event->partitions[i].partition);
    return;
  }
  rt->broker->ops->accept(rt->broker);
  ee_log(EE_INFO, "partitions assigned",
         EE_LOG_WITH(EE_LOG_I("partitions", (int64_t)rt->partition_count)));
  rt->assigned = true;
  rt->assignment = ASSIGNMENT_OFFERED;
}

void assignment_revoked(struct ee_runtime *rt) {
  rt->revoking = true;
}

static void release_partitions(struct ee_runtime *rt) {
  checkpoint_forget(rt);
  for (int32_t i = 0; i < rt->partition_limit; i++) {
    struct partition *p = rt->partitions[i];
    if (p == NULL) continue;
    restore_stop(rt, p);
    partition_free(rt, p);
    rt->partitions[i] = NULL;
    rt->metrics->partitions[i] = (struct ee_partition_metrics){.clock_micros = INT64_MIN};
    struct ee_err err;
    if (!ee_store_drop(rt->store, i, false, &err)) {
      ee_log(EE_WARN, "a revoked partition's state was not put away",
             EE_LOG_WITH(EE_LOG_I("partition", i), EE_LOG_S("why", ee_str(err.text))));
    }
  }
  rt->partition_count = 0;
}

// Unfinished work of revoked partitions is aborted first; range assignment revokes all.
static void revoke_turn(struct ee_runtime *rt) {
  if (!transaction_idle(rt)) {
    transaction_abort(rt, "partitions are revoked");
    return;
  }
  if (rt->assignment_operation.pending || rt->checkpoint_operation.pending ||
      rt->tick_operation.pending || rt->drain_operation.pending) {
    return;
  }
  release_partitions(rt);
  rt->broker->ops->relinquish(rt->broker);
  rt->revoking = false;
  rt->assigned = false;
  rt->assignment = ASSIGNMENT_IDLE;
  ee_log(EE_INFO, "partitions revoked", NULL);
}

static bool list_offsets(struct ee_runtime *rt, size_t most) {
  free(rt->assignment_offsets);
  rt->assignment_offsets = calloc(most == 0 ? 1 : most, sizeof *rt->assignment_offsets);
  rt->assignment_count = 0;
  if (rt->assignment_offsets != NULL) return true;
  return runtime_fail(rt, "no memory for the offsets of %zu partitions", most);
}

static void list_add(struct ee_runtime *rt, enum ee_topic topic, int32_t partition) {
  rt->assignment_offsets[rt->assignment_count++] =
      (struct ee_tp_offset){.tp = {topic, partition}, .offset = EE_OFFSET_NONE};
}

static bool list_inputs(struct ee_runtime *rt) {
  if (!list_offsets(rt, rt->partition_count * rt->ops->input_count)) return false;
  for (int32_t i = 0; i < rt->partition_limit; i++) {
    if (rt->partitions[i] == NULL || rt->partitions[i]->state != PARTITION_RESTORING) continue;
    for (size_t j = 0; j < rt->ops->input_count; j++)
      list_add(rt, rt->ops->inputs[j], i);
  }
  return true;
}

static bool list_changelogs(struct ee_runtime *rt) {
  if (!list_offsets(rt, rt->partition_count * rt->ops->changelog_count)) return false;
  for (int32_t i = 0; i < rt->partition_limit; i++) {
    if (rt->partitions[i] == NULL || rt->partitions[i]->state != PARTITION_RESTORING) continue;
    for (size_t j = 0; j < rt->ops->changelog_count; j++) {
      list_add(rt, rt->ops->changelogs[j].topic, i);
    }
  }
  return true;
}

static void ask(struct ee_runtime *rt, enum assignment_step step, enum ee_operation_kind kind) {
  rt->assignment = step;
  rt->assignment_operation.isolation = EE_READ_UNCOMMITTED;
  runtime_begin(rt, &rt->assignment_operation, kind, rt->assignment_offsets, rt->assignment_count);
}

static bool unread(const struct ee_runtime *rt, const struct partition *p) {
  for (size_t i = 0; i < rt->ops->input_count; i++) {
    if (p->inputs[rt->ops->inputs[i]].committed != EE_OFFSET_NONE) return false;
  }
  return true;
}

static void note_unread(struct ee_runtime *rt) {
  for (int32_t i = 0; i < rt->partition_limit; i++) {
    struct partition *p = rt->partitions[i];
    if (p != NULL && p->state == PARTITION_RESTORING) p->unread = unread(rt, p);
  }
}

// A group that begins on logs that retention has cut derives from a part what an earlier
// one may have derived from the whole. (Of ticks any part will do.)
static bool truncated(const struct ee_runtime *rt, const struct partition *p) {
  for (size_t i = 0; i < rt->ops->input_count; i++) {
    enum ee_topic topic = rt->ops->inputs[i];
    if (topic <= EE_TOPIC_OBLIGATION && p->inputs[topic].log_start > 0) return true;
  }
  return false;
}

static bool topic_fail(struct ee_runtime *rt, enum ee_topic topic, int32_t partition,
                       const char *why, const char *advice) {
  return runtime_fail(rt, "%.*s partition %d: %s; %s",
                      EE_STR_ARG(rt->broker->ops->topic_name(rt->broker, topic)), (int)partition,
                      why, advice);
}

#define DERIVE_ANEW "what was derived cannot be gone on with: docs/reset.md"

// Whether the input can be read on from where the group was.
static bool check_input(struct ee_runtime *rt, struct partition *p, enum ee_topic topic) {
  struct input_position *input = &p->inputs[topic];
  input->from_start = input->committed == EE_OFFSET_NONE;
  if (input->from_start) {
    if ((p->read & UINT32_C(1) << topic) == 0) return true;
    return topic_fail(rt, topic, p->number,
                      "the group had read it and has no offset of it any more: the topic was "
                      "deleted and made anew, or the offset was",
                      DERIVE_ANEW);
  }
  if (partition_start_offset(input) == input->broken_at) {
    return topic_fail(rt, topic, p->number,
                      "its log does not go on from the last record that was read: it was cut at "
                      "its end, or made anew",
                      DERIVE_ANEW);
  }
  if (input->committed >= input->log_start) return true;
  if (!rt->settings.accept_truncated) {
    return topic_fail(rt, topic, p->number,
                      "retention has cut the log beyond what the group has read to",
                      "start with --accept-truncated to go on with what is left");
  }
  input->from_start = true;
  input->committed = input->kept.offset = EE_OFFSET_NONE;
  return true;
}

static bool check_inputs(struct ee_runtime *rt, struct partition *p) {
  if (p->unread && !rt->settings.accept_truncated && truncated(rt, p)) {
    return runtime_fail(rt,
                        "partition %d: the group has committed no offsets, and retention has cut "
                        "the input topics; start with --accept-truncated to derive from what is "
                        "left",
                        (int)p->number);
  }
  for (size_t i = 0; i < rt->ops->input_count; i++) {
    if (!check_input(rt, p, rt->ops->inputs[i])) return false;
  }
  return true;
}

static bool check_changelogs(struct ee_runtime *rt, const struct partition *p) {
  for (size_t i = 0; i < rt->ops->changelog_count; i++) {
    struct ee_tp tp = {rt->ops->changelogs[i].topic, p->number};
    if (!restore_reaches(rt, tp, p->changelogs[i].end, p->changelogs[i].seen)) return false;
  }
  return true;
}

static void begin_restores(struct ee_runtime *rt) {
  rt->assignment = ASSIGNMENT_READING;
  for (int32_t i = 0; i < rt->partition_limit; i++) {
    struct partition *p = rt->partitions[i];
    if (p == NULL || p->state != PARTITION_RESTORING) continue;
    if (!check_inputs(rt, p) || !check_changelogs(rt, p)) return;
    if (restore_begin(rt, p)) continue;
    assignment_again(rt);  // the disk does not let the store be prepared
    rt->retry_at_ms = rt->now_ms + RETRY_MS;
    return;
  }
}

static void start_partitions(struct ee_runtime *rt) {
  for (int32_t i = 0; i < rt->partition_limit; i++) {
    struct partition *p = rt->partitions[i];
    if (p == NULL || p->state != PARTITION_RESTORING) continue;
    if (!partition_start(rt, p)) {
      runtime_fail(rt, "partition %d cannot start: %s", (int)i, rt->trouble.text);
      return;
    }
    p->state = PARTITION_RUNNING;
    rt->metrics->partitions[i].running = true;
  }
  rt->assignment = ASSIGNMENT_IDLE;
  ee_log(EE_INFO, "partitions run",
         EE_LOG_WITH(EE_LOG_I("partitions", (int64_t)rt->partition_count),
                     EE_LOG_I("restored_records", (int64_t)rt->metrics->restored_records)));
}

static void reading_turn(struct ee_runtime *rt) {
  for (int32_t i = 0; i < rt->partition_limit; i++) {
    struct partition *p = rt->partitions[i];
    if (p == NULL || p->state != PARTITION_RESTORING) continue;
    if (!restore_done(rt, p)) return;
  }
  if (!restore_written(rt)) return;
  if (rt->ops->uses_policy && !rt->policy.complete) return;
  start_partitions(rt);
}

void assignment_turn(struct ee_runtime *rt) {
  if (rt->revoking) {
    revoke_turn(rt);
    return;
  }
  if (rt->assignment_operation.pending || rt->now_ms < rt->retry_at_ms) return;
  switch (rt->assignment) {
    case ASSIGNMENT_IDLE:
      break;
    case ASSIGNMENT_OFFERED:
      if (!transaction_idle(rt)) break;
      if (list_inputs(rt)) ask(rt, ASSIGNMENT_COMMITTED, EE_OP_COMMITTED);
      break;
    case ASSIGNMENT_COMMITTED:
      ask(rt, ASSIGNMENT_COMMITTED, EE_OP_COMMITTED);
      break;
    case ASSIGNMENT_STARTS:
      ask(rt, ASSIGNMENT_STARTS, EE_OP_START);
      break;
    case ASSIGNMENT_END:
      ask(rt, ASSIGNMENT_END, EE_OP_END);
      break;
    case ASSIGNMENT_READING:
      reading_turn(rt);
      break;
  }
}

// Several offsets of a partition may tell how far its changelogs were seen to reach, and each
// is of another commit.
static void take_committed(struct ee_runtime *rt, struct partition *p,
                           const struct ee_tp_offset *answer) {
  struct input_position *input = &p->inputs[answer->tp.topic];
  struct ee_bookmark bookmark;
  input->committed = answer->offset;
  ee_bookmark_parse(answer->metadata, &bookmark);
  input->kept = bookmark.last;
  p->read |= bookmark.inputs;
  for (size_t i = 0; i < rt->ops->changelog_count; i++) {
    struct changelog_restore *changelog = &p->changelogs[i];
    if (bookmark.ends[i] > changelog->seen) changelog->seen = bookmark.ends[i];
  }
}

static void take_offsets(struct ee_runtime *rt, enum assignment_step step) {
  for (size_t i = 0; i < rt->assignment_count; i++) {
    struct ee_tp_offset *answer = &rt->assignment_offsets[i];
    struct partition *p = runtime_partition(rt, answer->tp.partition);
    if (p == NULL) continue;
    if (step == ASSIGNMENT_COMMITTED) {
      take_committed(rt, p, answer);
    } else if (step == ASSIGNMENT_STARTS) {
      p->inputs[answer->tp.topic].log_start = answer->offset;
    } else {
      for (size_t j = 0; j < rt->ops->changelog_count; j++) {
        if (rt->ops->changelogs[j].topic == answer->tp.topic) p->changelogs[j].end = answer->offset;
      }
    }
  }
}

void assignment_finished(struct ee_runtime *rt, struct ee_operation *operation) {
  if (rt->revoking) return;
  if (operation->outcome == EE_FATAL || operation->outcome == EE_FENCED) {
    runtime_fail(rt, "%s", operation->err.text);
    return;
  }
  if (operation->outcome != EE_DONE) {
    rt->trouble = operation->err;
    rt->retry_at_ms = rt->now_ms + RETRY_MS;
    return;
  }
  take_offsets(rt, rt->assignment);
  switch (rt->assignment) {
    case ASSIGNMENT_COMMITTED:
      note_unread(rt);
      if (list_inputs(rt)) ask(rt, ASSIGNMENT_STARTS, EE_OP_START);
      return;
    case ASSIGNMENT_STARTS:
      if (list_changelogs(rt)) ask(rt, ASSIGNMENT_END, EE_OP_END);
      return;
    case ASSIGNMENT_END:
      begin_restores(rt);
      return;
    default:
      return;
  }
}

void assignment_again(struct ee_runtime *rt) {
  for (int32_t i = 0; i < rt->partition_limit; i++) {
    struct partition *p = rt->partitions[i];
    if (p == NULL) continue;
    restore_stop(rt, p);
    p->state = PARTITION_RESTORING;
    p->clock = INT64_MIN;  // that of a batch that may not have happened
    rt->metrics->partitions[i].running = false;
  }
  if (rt->partition_count > 0) rt->assignment = ASSIGNMENT_OFFERED;
}

void assignment_broken(struct ee_runtime *rt, struct ee_tp tp, int64_t offset, const char *why) {
  struct partition *p = runtime_partition(rt, tp.partition);
  if (p == NULL || p->state != PARTITION_RUNNING) return;  // of a reading that is over
  p->inputs[tp.topic].broken_at = offset;
  ee_log(EE_WARN,
         "a log does not go on where it was read to; committed offsets are asked for again",
         EE_LOG_WITH(EE_LOG_S("topic", rt->broker->ops->topic_name(rt->broker, tp.topic)),
                     EE_LOG_I("partition", tp.partition), EE_LOG_I("offset", offset),
                     EE_LOG_S("why", ee_str(why))));
  assignment_again(rt);  // first: nothing is started that would break again
  if (!transaction_idle(rt)) transaction_abort(rt, why);
}

void assignment_release(struct ee_runtime *rt) {
  for (int32_t i = 0; rt->partitions != NULL && i < rt->partition_limit; i++) {
    partition_free(rt, rt->partitions[i]);
  }
  free(rt->partitions);
  free(rt->assignment_offsets);
}
