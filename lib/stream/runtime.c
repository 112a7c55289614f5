// SPDX-License-Identifier: Apache-2.0
// The runtime: start, the turn, stop.
#include "stream/runtime.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/time.h"
#include "stream/runtime_impl.h"

#define VALUE_MAX ((size_t)8 << 20)
#define IN_HEADER_MAX ((size_t)1 << 10)
#define EVENTS_A_TURN 64
#define SAY_EVERY_MS 5000
#define MEASURE_EVERY_MS 1000

bool runtime_fail(struct ee_runtime *rt, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(rt->err.text, sizeof rt->err.text, format, arguments);
  va_end(arguments);
  rt->phase = PHASE_FAILED;
  return false;
}

void runtime_begin(struct ee_runtime *rt, struct ee_operation *operation,
                   enum ee_operation_kind kind, struct ee_tp_offset *offsets, size_t count) {
  operation->kind = kind;
  operation->offsets = offsets;
  operation->count = count;
  operation->topics = rt->topics;
  rt->broker->ops->begin(rt->broker, operation);
}

struct partition *runtime_partition(const struct ee_runtime *rt, int32_t number) {
  return number < 0 || number >= rt->partition_limit ? NULL : rt->partitions[number];
}

bool ee_runtime_new(const struct ee_processor *processor, struct ee_broker *broker,
                    struct ee_store *store, struct ee_codec *codec, struct ee_metrics *metrics,
                    const struct ee_runtime_settings *settings, struct ee_runtime **ret,
                    struct ee_err *err) {
  struct ee_runtime *rt = calloc(1, sizeof *rt);
  if (rt == NULL) return ee_err_set(err, "no memory for the runtime");
  rt->processor = processor;
  rt->ops = processor->ops;
  rt->broker = broker;
  rt->store = store;
  rt->codec = codec;
  rt->metrics = metrics;
  rt->settings = *settings;
  rt->newest_append = INT64_MIN;
  for (size_t i = 0; i < rt->ops->input_count; i++)
    rt->is_input[rt->ops->inputs[i]] = true;
  output_init(&rt->open_outputs);
  output_init(&rt->sealed_outputs);
  policy_init(&rt->policy);
  ee_arena_init(&rt->arena, STEP_ARENA_MAX);
  ee_buf_init(&rt->value, VALUE_MAX);
  ee_buf_init(&rt->key, EE_STORE_KEY_MAX);
  ee_buf_init(&rt->in, IN_HEADER_MAX);
  metrics->processor = rt->ops->name;
  *ret = rt;
  return true;
}

void ee_runtime_free(struct ee_runtime *rt) {
  if (rt == NULL) return;
  assignment_release(rt);
  output_release(&rt->open_outputs);
  output_release(&rt->sealed_outputs);
  policy_release(&rt->policy);
  ee_arena_release(&rt->arena);
  ee_buf_release(&rt->value);
  ee_buf_release(&rt->key);
  ee_buf_release(&rt->in);
  free(rt->commit_offsets);
  free(rt->checkpoint_offsets);
  free(rt->tick_offsets);
  free(rt->tick_as_of);
  free(rt->drain_offsets);
  free(rt);
}

void ee_runtime_stop(struct ee_runtime *rt) {
  rt->stopping = true;
}

// Says at most every few seconds what is being waited for. False: not now.
static bool say(struct ee_runtime *rt, const char *what, const struct ee_log_member *members) {
  if (rt->said_ms != 0 && rt->now_ms - rt->said_ms < SAY_EVERY_MS) return false;
  rt->said_ms = rt->now_ms;
  ee_log(EE_WARN, what, members);
  return true;
}

static void say_wait(struct ee_runtime *rt, const char *what, const char *why) {
  say(rt, what, EE_LOG_WITH(EE_LOG_S("why", ee_str(why))));
}

void runtime_say_held(struct ee_runtime *rt, const struct ee_message *message, const char *what,
                      const char *why) {
  struct ee_str topic = rt->broker->ops->topic_name(rt->broker, message->tp.topic);
  say(rt, what,
      EE_LOG_WITH(EE_LOG_S("topic", topic), EE_LOG_I("partition", message->tp.partition),
                  EE_LOG_I("offset", message->offset), EE_LOG_S("why", ee_str(why))));
}

// A trouble is reported once: where another was just said, it is said later.
static void say_trouble(struct ee_runtime *rt) {
  if (rt->unsaid.text[0] == '\0') return;
  const struct ee_log_member *why = EE_LOG_WITH(EE_LOG_S("why", ee_str(rt->unsaid.text)));
  if (say(rt, "trouble with the brokers", why)) rt->unsaid.text[0] = '\0';
}

// What a start or a rebalance waits for, when it takes long.
static void say_unready(struct ee_runtime *rt) {
  struct ee_err why;
  if (rt->stopping || ee_runtime_ready(rt, &why)) {
    rt->unready_ms = 0;
  } else if (rt->unready_ms == 0) {
    rt->unready_ms = rt->now_ms;
  } else if (rt->now_ms - rt->unready_ms >= SAY_EVERY_MS) {
    say_wait(rt, "not ready", why.text);
  }
}

// Compaction forgets all but a key's last record, deletion forgets keys.
static bool check_settings(struct ee_runtime *rt, struct ee_str name,
                           const struct ee_topic_info *info, const struct ee_topic_state *state) {
  if (!state->exists) {
    return runtime_fail(rt, "topic %.*s does not exist; run `envelopectl topics apply`",
                        EE_STR_ARG(name));
  }
  if (info->append_time && !state->append_time) {
    return runtime_fail(rt,
                        "topic %.*s has message.timestamp.type=CreateTime and needs "
                        "LogAppendTime; run `envelopectl topics apply`",
                        EE_STR_ARG(name));
  }
  if (info->cleanup == state->cleanup) return true;
  return runtime_fail(rt,
                      "topic %.*s needs cleanup.policy=%s and has another, which loses records; "
                      "run `envelopectl topics apply`",
                      EE_STR_ARG(name), info->cleanup == EE_CLEANUP_COMPACT ? "compact" : "delete");
}

static bool check_count(struct ee_runtime *rt, struct ee_str name, const struct ee_topic_info *info,
                        const struct ee_topic_state *state) {
  enum ee_topic first = rt->ops->inputs[0];
  int32_t wanted = rt->topics[first].partitions;
  if (info->partitioning == EE_PARTITION_SINGLE && state->partitions != 1) {
    return runtime_fail(rt,
                        "topic %.*s has %d partitions and may have only one: delete it and run "
                        "`envelopectl topics apply`",
                        EE_STR_ARG(name), (int)state->partitions);
  }
  if (!info->common_partitions || state->partitions == wanted) return true;
  return runtime_fail(rt,
                      "topic %.*s has %d partitions where %.*s has %d, and one set of topics has "
                      "one number: if it is empty, delete it and run `envelopectl topics apply`; "
                      "else make a new set under another --topic-prefix and replay",
                      EE_STR_ARG(name), (int)state->partitions,
                      EE_STR_ARG(rt->broker->ops->topic_name(rt->broker, first)), (int)wanted);
}

static bool check_topic(struct ee_runtime *rt, enum ee_topic topic) {
  const struct ee_topic_info *info = &ee_topics[topic];
  const struct ee_topic_state *state = &rt->topics[topic];
  struct ee_str name = rt->broker->ops->topic_name(rt->broker, topic);
  return check_settings(rt, name, info, state) && check_count(rt, name, info, state);
}

static bool check_topics(struct ee_runtime *rt) {
  const struct ee_processor_ops *ops = rt->ops;
  bool good = true;
  for (size_t i = 0; good && i < ops->input_count; i++)
    good = check_topic(rt, ops->inputs[i]);
  for (size_t i = 0; good && i < ops->output_count; i++)
    good = check_topic(rt, ops->outputs[i]);
  for (size_t i = 0; good && i < ops->changelog_count; i++)
    good = check_topic(rt, ops->changelogs[i].topic);
  if (good) good = check_topic(rt, EE_TOPIC_DEADLETTER);
  if (good && ops->uses_policy) good = check_topic(rt, EE_TOPIC_POLICY);
  return good;
}

static bool make_partitions(struct ee_runtime *rt) {
  rt->partition_limit = rt->topics[rt->ops->inputs[0]].partitions;
  if (rt->partition_limit < 1 || rt->partition_limit > EE_METRIC_PARTITIONS_MAX) {
    return runtime_fail(rt, "%d partitions; 1 to %d are possible", (int)rt->partition_limit,
                        EE_METRIC_PARTITIONS_MAX);
  }
  rt->partitions = calloc((size_t)rt->partition_limit, sizeof(struct partition *));
  rt->tick_as_of = calloc((size_t)rt->partition_limit, sizeof *rt->tick_as_of);
  rt->metrics->partition_count = rt->partition_limit;
  if (rt->partitions != NULL && rt->tick_as_of != NULL) return true;
  return runtime_fail(rt, "no memory for %d partitions", (int)rt->partition_limit);
}

static void topics_finished(struct ee_runtime *rt, struct ee_operation *operation) {
  if (operation->outcome == EE_RETRY) {
    rt->trouble = operation->err;
    rt->retry_at_ms = rt->now_ms + RETRY_MS;
    say_wait(rt, "waits for the brokers", operation->err.text);
    return;
  }
  if (operation->outcome != EE_DONE) {
    runtime_fail(rt, "%s", operation->err.text);
    return;
  }
  if (check_topics(rt) && make_partitions(rt)) rt->phase = PHASE_PREFIXES;
}

// Not worth a word before a try has failed.
static void registry_waits(struct ee_runtime *rt) {
  const char *why = ee_codec_trouble(rt->codec);
  if (why == NULL) return;
  ee_err_set(&rt->trouble, "%s", why);
  say_wait(rt, "waits for the schema registry", why);
}

// Our schemas' ids, or fingerprints where there is no registry. False: waits or failed.
static bool take_prefix(struct ee_runtime *rt, enum ee_topic topic) {
  struct ee_err err = {.text = ""};
  if (rt->prefixes[topic].data != NULL) return true;
  switch (ee_codec_prefix(rt->codec, topic, rt->now_ms, &rt->prefixes[topic], &err)) {
    case EE_CODEC_READY:
      return true;
    case EE_CODEC_WAIT:
      registry_waits(rt);
      return false;
    case EE_CODEC_REFUSED:
      break;
  }
  return runtime_fail(rt, "%s", err.text);
}

static void prefixes_turn(struct ee_runtime *rt) {
  bool all = rt->settings.tick_interval_ms == 0 || take_prefix(rt, EE_TOPIC_TICK);
  for (size_t i = 0; i < rt->ops->output_count; i++) {
    all = take_prefix(rt, rt->ops->outputs[i]) && all;
  }
  for (size_t i = 0; i < rt->ops->changelog_count; i++) {
    all = take_prefix(rt, rt->ops->changelogs[i].topic) && all;
  }
  if (all && rt->phase == PHASE_PREFIXES) rt->phase = PHASE_INIT;
}

static void init_finished(struct ee_runtime *rt, struct ee_operation *operation) {
  if (operation->outcome == EE_DONE) {
    if (rt->broker->ops->subscribe(rt->broker, rt->ops->inputs, rt->ops->input_count, &rt->err)) {
      rt->phase = PHASE_RUNNING;
    } else {
      rt->phase = PHASE_FAILED;
    }
  } else if (operation->outcome == EE_RETRY || operation->outcome == EE_INDEFINITE) {
    rt->trouble = operation->err;
    rt->retry_at_ms = rt->now_ms + RETRY_MS;
    say_wait(rt, "waits for the transaction coordinator", operation->err.text);
  } else {
    runtime_fail(rt, "%s", operation->err.text);
  }
}

static void operation_finished(struct ee_runtime *rt, struct ee_operation *operation) {
  if (operation->outcome == EE_DONE) rt->trouble.text[0] = '\0';
  if (operation == &rt->topics_operation) {
    topics_finished(rt, operation);
  } else if (operation == &rt->assignment_operation) {
    assignment_finished(rt, operation);
  } else if (operation == &rt->checkpoint_operation) {
    checkpoint_finished(rt, operation);
  } else if (operation == &rt->tick_operation) {
    clock_finished(rt, operation);
  } else if (operation == &rt->drain_operation) {
    drain_finished(rt, operation);
  } else if (operation == &rt->policy.operation) {
    policy_finished(rt, operation);
  } else if (rt->phase == PHASE_INIT) {
    init_finished(rt, operation);
  } else {
    transaction_finished(rt, operation);
  }
}

static int changelog_of(const struct ee_runtime *rt, enum ee_topic topic) {
  for (size_t i = 0; i < rt->ops->changelog_count; i++) {
    if (rt->ops->changelogs[i].topic == topic) return (int)i;
  }
  return -1;
}

static void take_input(struct ee_runtime *rt, struct partition *p, struct ee_message *message) {
  int64_t appended = message->timestamp_ms * EE_MICROS_PER_MS;
  if (message->append_time && appended > rt->newest_append) rt->newest_append = appended;
  if (message->tp.topic == EE_TOPIC_TICK) clock_note_tick(rt, p, message);
  if (!partition_queue(rt, p, message)) {
    runtime_fail(rt, "no memory for messages of partition %d", (int)p->number);
  }
}

static void take_message(struct ee_runtime *rt, struct ee_message *message) {
  // One before it could not be taken, and is not to be passed over.
  if (rt->phase == PHASE_FAILED) {
    rt->broker->ops->free_message(rt->broker, message);
    return;
  }
  struct partition *p = runtime_partition(rt, message->tp.partition);
  int changelog = changelog_of(rt, message->tp.topic);
  if (rt->ops->uses_policy && message->tp.topic == EE_TOPIC_POLICY) {
    if (!rt->policy.stalled) policy_message(rt, message);
  } else if (p != NULL && changelog >= 0) {
    if (!restore_message(rt, p, (uint8_t)changelog, message)) {
      runtime_fail(rt, "state cannot be restored: %s", rt->trouble.text);
    }
  } else if (p != NULL && rt->is_input[message->tp.topic]) {
    take_input(rt, p, message);
    return;
  }
  rt->broker->ops->free_message(rt->broker, message);
}

static void trouble(struct ee_runtime *rt, const struct ee_broker_event *event) {
  if (event->outcome == EE_RETRY || event->outcome == EE_DONE) {
    rt->trouble = rt->unsaid = event->err;
  } else {
    runtime_fail(rt, "%s", event->err.text);
  }
}

// Changelogs are compacted and nothing cuts them; the policy is read from its start.
static void out_of_range(struct ee_runtime *rt, const struct ee_broker_event *event) {
  if (!rt->is_input[event->tp.topic]) {
    runtime_fail(rt, "%s", event->err.text);
    return;
  }
  assignment_broken(rt, event->tp, rt->broker->ops->position(rt->broker, event->tp),
                    event->err.text);
}

static bool handle_event(struct ee_runtime *rt, struct ee_broker_event *event) {
  switch (event->kind) {
    case EE_EVENT_NONE:
      return false;
    case EE_EVENT_MESSAGES:
      for (size_t i = 0; i < event->count; i++)
        take_message(rt, &event->messages[i]);
      return true;
    case EE_EVENT_ASSIGNED:
      assignment_offered(rt, event);
      return true;
    case EE_EVENT_REVOKED:
      assignment_revoked(rt);
      return true;
    case EE_EVENT_OPERATION:
      operation_finished(rt, event->operation);
      return true;
    case EE_EVENT_TROUBLE:
      trouble(rt, event);
      return true;
    case EE_EVENT_OUT_OF_RANGE:
      out_of_range(rt, event);
      return true;
  }
  return false;
}

static bool poll_events(struct ee_runtime *rt, int wait_ms) {
  bool any = false;
  for (int i = 0; i < EVENTS_A_TURN && rt->phase != PHASE_FAILED; i++) {
    struct ee_broker_event event = {.kind = EE_EVENT_NONE};
    rt->broker->ops->poll(rt->broker, i == 0 ? wait_ms : 0, &event);
    if (!handle_event(rt, &event)) break;
    any = true;
  }
  return any;
}

static void phase_turn(struct ee_runtime *rt) {
  if (rt->now_ms < rt->retry_at_ms) return;
  if (rt->phase == PHASE_TOPICS && !rt->topics_operation.pending) {
    runtime_begin(rt, &rt->topics_operation, EE_OP_TOPICS, NULL, 0);
  } else if (rt->phase == PHASE_PREFIXES) {
    prefixes_turn(rt);
  } else if (rt->phase == PHASE_INIT && !rt->producer_operation.pending) {
    runtime_begin(rt, &rt->producer_operation, EE_OP_INIT, NULL, 0);
  }
}

// Steps every running partition for its share, beginning where the last turn ended.
static bool step_partitions(struct ee_runtime *rt) {
  bool any = false;
  for (int32_t i = 0; i < rt->partition_limit && transaction_may_step(rt); i++) {
    rt->next_partition = (rt->next_partition + 1) % rt->partition_limit;
    struct partition *p = rt->partitions[rt->next_partition];
    if (p == NULL || p->state != PARTITION_RUNNING) continue;
    int done = partition_turn(rt, p, STEPS_A_TURN);
    if (done < 0) {
      rt->step_after_ms = rt->now_ms + RETRY_MS;
      transaction_abort(rt, rt->trouble.text);
      return false;
    }
    any = any || done > 0;
  }
  return any;
}

static void measure(struct ee_runtime *rt) {
  if (rt->now_ms - rt->measured_ms < MEASURE_EVERY_MS) return;
  rt->measured_ms = rt->now_ms;
  struct ee_store_size size = ee_store_size(rt->store);
  rt->metrics->state_keys = size.keys;
  rt->metrics->state_memory_bytes = size.memory_bytes;
  rt->metrics->state_disk_bytes = size.disk_bytes;
  rt->metrics->newest_append_micros = rt->newest_append;
  for (int32_t i = 0; i < rt->partition_limit; i++) {
    if (rt->partitions[i] == NULL) continue;
    rt->metrics->partitions[i].lag = partition_lag(rt, rt->partitions[i]);
    rt->metrics->partitions[i].clock_micros = rt->partitions[i]->clock;
  }
}

static bool running_turn(struct ee_runtime *rt) {
  assignment_turn(rt);
  policy_turn(rt);
  bool any = step_partitions(rt);
  transaction_turn(rt);
  checkpoint_turn(rt);
  clock_turn(rt);
  drain_turn(rt);
  measure(rt);
  if (rt->drained) rt->stopping = true;
  return any;
}

static bool operations_pending(const struct ee_runtime *rt) {
  return rt->topics_operation.pending || rt->producer_operation.pending ||
         rt->assignment_operation.pending || rt->checkpoint_operation.pending ||
         rt->tick_operation.pending || rt->drain_operation.pending || rt->policy.operation.pending;
}

static bool stopped(const struct ee_runtime *rt) {
  if (!rt->stopping || operations_pending(rt)) return false;
  if (rt->phase != PHASE_RUNNING) return true;
  bool checkpointed =
      ee_store_pending_bytes(rt->store) == 0 || rt->checkpoint_given_up || rt->partition_count == 0;
  return transaction_idle(rt) && checkpointed;
}

#define STUCK_MS 5  // before a batch that is due, and could not be sealed, is tried again

// How long the broker may be waited for: not beyond the end of the open batch, unless the end
// of an operation, which ends the wait, must come first.
static int wait_for(const struct ee_runtime *rt, int wait_ms) {
  if (rt->batch_records == 0 || rt->producer_operation.pending) return wait_ms;
  int64_t left = rt->batch_started_ms + rt->settings.commit_interval_ms - rt->now_ms;
  if (left < 0) left = STUCK_MS;
  return left < wait_ms ? (int)left : wait_ms;
}

enum ee_runtime_state ee_runtime_turn(struct ee_runtime *rt, int64_t now_ms, int64_t wall_ms,
                                      int wait_ms, bool *ret_busy, struct ee_err *err) {
  rt->now_ms = now_ms;
  rt->wall_ms = wall_ms;
  phase_turn(rt);
  *ret_busy = poll_events(rt, wait_for(rt, wait_ms));
  if (rt->phase == PHASE_RUNNING && running_turn(rt)) *ret_busy = true;
  say_trouble(rt);
  say_unready(rt);
  if (rt->phase == PHASE_FAILED) {
    *err = rt->err;
    return EE_RUNTIME_FAILED;
  }
  if (!stopped(rt)) return EE_RUNTIME_RUNNING;
  rt->phase = PHASE_DONE;
  return EE_RUNTIME_DONE;
}

static bool unready(const struct ee_runtime *rt, const char *doing, struct ee_err *why_not) {
  bool known = rt->trouble.text[0] != '\0';
  return ee_err_set(why_not, "%s%s%s", doing, known ? ": " : "", rt->trouble.text);
}

bool ee_runtime_ready(const struct ee_runtime *rt, struct ee_err *why_not) {
  if (rt->stopping) return ee_err_set(why_not, "stopping");
  if (rt->revoking) return unready(rt, "partitions are being given up", why_not);
  if (store_unwritten(rt)) {
    return ee_err_set(why_not, "nothing is read: %s", rt->undone.text);
  }
  switch (rt->phase) {
    case PHASE_TOPICS:
      return unready(rt, "starting, asks for the topics' settings", why_not);
    case PHASE_PREFIXES:
      return unready(rt, "starting, asks the schema registry for ids", why_not);
    case PHASE_INIT:
      return unready(rt, "starting, asks for the end of earlier transactions", why_not);
    case PHASE_RUNNING:
      break;
    case PHASE_DONE:
    case PHASE_FAILED:
      return ee_err_set(why_not, "ended");
  }
  if (!rt->assigned) return unready(rt, "no partitions assigned yet", why_not);
  if (rt->assignment == ASSIGNMENT_IDLE) return true;
  return unready(rt, "partitions are being restored", why_not);
}
