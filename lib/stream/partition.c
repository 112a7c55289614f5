// SPDX-License-Identifier: Apache-2.0
// One partition: its queues, which record is stepped next, and the tick being applied.
#include <stdlib.h>

#include "base/time.h"
#include "contract/ident.h"
#include "stream/runtime_impl.h"

#define STATE_KEY "[\"p\",\"clock\"]"

struct partition *partition_new(int32_t number) {
  struct partition *p = calloc(1, sizeof *p);
  if (p == NULL) return NULL;
  p->number = number;
  p->clock = INT64_MIN;
  p->judge_from = INT64_MIN;
  p->newest_tick = INT64_MIN;
  p->tick_read_ms = INT64_MIN;
  for (int topic = 0; topic < EE_TOPIC_COUNT; topic++) {
    p->inputs[topic] = (struct input_position){.next = EE_OFFSET_NONE,
                                               .committed = EE_OFFSET_NONE,
                                               .last = {.offset = EE_OFFSET_NONE},
                                               .kept = {.offset = EE_OFFSET_NONE},
                                               .broken_at = EE_OFFSET_NONE};
  }
  return p;
}

static struct ee_message *queue_head(struct queue *queue) {
  return queue->count == 0 ? NULL : &queue->items[queue->head];
}

#define MESSAGE_COST 256  // beside key and value: a place in a ring half empty, malloc's rounding

static size_t cost_of(const struct ee_message *message) {
  return message->key.size + message->value.size + message->header_size + MESSAGE_COST;
}

// A ring that has grown is not kept: each of many topics and partitions is busy at some time.
static void queue_shrink(struct queue *queue) {
  if (queue->count > 0 || queue->capacity <= QUEUE_LOW) return;
  free(queue->items);
  queue->items = NULL;
  queue->head = queue->capacity = 0;
}

static void queue_drop(struct ee_runtime *rt, struct queue *queue) {
  size_t cost = cost_of(&queue->items[queue->head]);
  queue->bytes -= cost;
  rt->queued_bytes -= cost;
  rt->broker->ops->free_message(rt->broker, &queue->items[queue->head]);
  queue->head = (queue->head + 1) % queue->capacity;
  queue->count--;
  queue_shrink(queue);
}

static void queue_clear(struct ee_runtime *rt, struct queue *queue) {
  while (queue->count > 0)
    queue_drop(rt, queue);
}

void partition_free(struct ee_runtime *rt, struct partition *p) {
  if (p == NULL) return;
  for (int topic = 0; topic < EE_TOPIC_COUNT; topic++) {
    queue_clear(rt, &p->queues[topic]);
    free(p->queues[topic].items);
  }
  free(p);
}

static bool queue_grow(struct queue *queue) {
  size_t capacity = queue->capacity == 0 ? 64 : queue->capacity * 2;
  struct ee_message *items = calloc(capacity, sizeof *items);
  if (items == NULL) return false;
  for (size_t i = 0; i < queue->count; i++) {
    items[i] = queue->items[(queue->head + i) % queue->capacity];
  }
  free(queue->items);
  queue->items = items;
  queue->head = 0;
  queue->capacity = capacity;
  return true;
}

// What a queue may hold when all of them together hold too much.
static size_t fair_share(const struct ee_runtime *rt) {
  return (size_t)rt->settings.queue_bytes / (rt->partition_count * rt->ops->input_count + 1);
}

static bool queue_high(const struct ee_runtime *rt, const struct queue *queue) {
  if (queue->count >= QUEUE_HIGH) return true;
  return rt->queued_bytes >= (size_t)rt->settings.queue_bytes && queue->bytes >= fair_share(rt);
}

static bool queue_low(const struct ee_runtime *rt, const struct queue *queue) {
  return queue->count == 0 || (queue->count <= QUEUE_LOW && queue->bytes <= fair_share(rt) / 2);
}

// The first record of an input that was read before.
static void compare(struct ee_runtime *rt, struct input_position *input,
                    struct ee_message *message) {
  bool same =
      message->offset == input->kept.offset && message->timestamp_ms == input->kept.timestamp_ms;
  input->comparing = false;
  if (!same) {
    assignment_broken(rt, message->tp, input->kept.offset,
                      "the last record that was read is not there any more");
  }
  rt->broker->ops->free_message(rt->broker, message);
}

bool partition_queue(struct ee_runtime *rt, struct partition *p, struct ee_message *message) {
  struct queue *queue = &p->queues[message->tp.topic];
  struct input_position *input = &p->inputs[message->tp.topic];
  if (input->comparing) {
    compare(rt, input, message);
    return true;
  }
  if (queue->count == queue->capacity && !queue_grow(queue)) {
    rt->broker->ops->free_message(rt->broker, message);
    return false;
  }
  queue->items[(queue->head + queue->count++) % queue->capacity] = *message;
  queue->bytes += cost_of(message);
  rt->queued_bytes += cost_of(message);
  if (!queue->paused && queue_high(rt, queue)) {
    rt->broker->ops->pause(rt->broker, message->tp);
    queue->paused = true;
  }
  return true;
}

static void resume_when_low(struct ee_runtime *rt, struct partition *p, enum ee_topic topic) {
  struct queue *queue = &p->queues[topic];
  if (!queue->paused || !queue_low(rt, queue)) return;
  rt->broker->ops->resume(rt->broker, (struct ee_tp){topic, p->number});
  queue->paused = false;
}

int64_t partition_start_offset(const struct input_position *input) {
  if (input->committed == EE_OFFSET_NONE) return EE_OFFSET_EARLIEST;
  bool there = input->kept.offset >= 0 && input->kept.offset >= input->log_start;
  return there ? input->kept.offset : input->committed;
}

bool partition_start(struct ee_runtime *rt, struct partition *p) {
  p->tick_loaded = false;
  p->tick_applying = false;
  for (int topic = 0; topic < EE_TOPIC_COUNT; topic++) {
    if (!rt->is_input[topic]) continue;
    struct input_position *input = &p->inputs[topic];
    queue_clear(rt, &p->queues[topic]);
    p->queues[topic].paused = false;
    input->dirty = false;
    input->next = input->committed == EE_OFFSET_NONE ? EE_OFFSET_EARLIEST : input->committed;
    input->last = input->kept;
    int64_t from = partition_start_offset(input);
    input->comparing = from != input->next;
    rt->broker->ops->start(rt->broker, (struct ee_tp){(enum ee_topic)topic, p->number}, from);
  }
  return partition_load_state(rt, p);
}

// The first field of a state record, whatever its processor: the partition's own state.
static struct ee_partition_state **state_of(const struct ee_record_type *type, void *record) {
  void *field = (char *)record + type->fields[0].offset;
  return field;
}

// Reads the partition's clock back from the state changelog's record.
bool partition_load_state(struct ee_runtime *rt, struct partition *p) {
  const struct ee_record_type *type =
      ee_topics[rt->ops->changelogs[rt->ops->state_changelog].topic].value;
  struct ee_store_key key = {.partition = p->number,
                             .changelog = rt->ops->state_changelog,
                             .key = ee_str_bytes(EE_STR(STATE_KEY))};
  struct ee_bytes value;
  p->clock = INT64_MIN;
  p->judge_from = INT64_MIN;
  if (!ee_store_get(rt->store, key, &value, &rt->trouble)) return false;
  if (value.data == NULL) return true;
  void *record = ee_arena_alloc(&rt->arena, type->size);
  struct ee_fault fault;
  const struct ee_plan *plan = ee_plan_own(type);
  if (record == NULL || plan == NULL || !ee_decode(plan, value, &rt->arena, record, &fault)) {
    ee_arena_clear(&rt->arena);
    return ee_err_set(&rt->trouble, "partition %d: the stored clock cannot be read",
                      (int)p->number);
  }
  const struct ee_partition_state *state = *state_of(type, record);
  if (state != NULL && state->clock.present) p->clock = state->clock.value;
  if (state != NULL && state->judge_from.present) p->judge_from = state->judge_from.value;
  ee_arena_clear(&rt->arena);
  return true;
}

static bool save_state(struct ee_step *step, struct partition *p) {
  struct ee_runtime *rt = step->rt;
  uint8_t changelog = rt->ops->state_changelog;
  const struct ee_record_type *type = ee_topics[rt->ops->changelogs[changelog].topic].value;
  void *record = ee_arena_alloc(&rt->arena, type->size);
  if (record == NULL) return ee_err_set(&step->err, "no memory for the partition's state");
  struct ee_partition_state state;
  ee_record_init(type, record);
  ee_record_init(&ee_partition_state_type, &state);
  state.clock = (struct ee_opt_long){.present = p->clock != INT64_MIN, .value = p->clock};
  state.judge_from =
      (struct ee_opt_long){.present = p->judge_from != INT64_MIN, .value = p->judge_from};
  *state_of(type, record) = &state;
  ee_buf_clear(&rt->value);
  ee_encode(type, record, &rt->value);
  if (rt->value.failed) return ee_err_set(&step->err, "no memory for the partition's state");
  return ee_step_put(step, changelog, ee_str_bytes(EE_STR(STATE_KEY)), ee_buf_bytes(&rt->value),
                     EE_NEVER);
}

static void advance(struct ee_runtime *rt, struct partition *p, enum ee_topic topic) {
  struct input_position *input = &p->inputs[topic];
  const struct ee_message *message = queue_head(&p->queues[topic]);
  input->last = (struct ee_record_mark){message->offset, message->timestamp_ms};
  input->next = message->offset + 1;
  input->dirty = true;
  transaction_note(rt);
  queue_drop(rt, &p->queues[topic]);
  resume_when_low(rt, p, topic);
}

// The newest append time at a log start that retention has moved (design, "Time").
static bool note_log_start(struct ee_step *step, struct partition *p,
                           const struct ee_message *message) {
  struct input_position *input = &p->inputs[message->tp.topic];
  if (input->next != EE_OFFSET_EARLIEST || input->log_start == 0) return true;
  int64_t at = message->timestamp_ms * EE_MICROS_PER_MS;
  if (message->tp.topic > EE_TOPIC_OBLIGATION || at <= p->judge_from) return true;
  char text[EE_RFC3339_SIZE];
  ee_time_print(at, text);
  p->judge_from = at;
  ee_log(EE_WARN, "the log has been cut by retention; envelopes with older events are not judged",
         EE_LOG_WITH(EE_LOG_S("topic", ee_str(ee_topics[message->tp.topic].name)),
                     EE_LOG_I("partition", p->number), EE_LOG_S("older_than", ee_str(text))));
  return save_state(step, p);
}

static void take_number(struct ee_runtime *rt, const struct ee_message *message, const char *name,
                        struct ee_record_number *ret) {
  ee_record_number_parse(rt->broker->ops->header(rt->broker, message, name), ret);
}

static struct ee_input input_of(struct ee_runtime *rt, const struct ee_message *message) {
  struct ee_input input = {.topic = message->tp.topic,
                           .partition = message->tp.partition,
                           .offset = message->offset,
                           .timestamp = message->timestamp_ms * EE_MICROS_PER_MS};
  if (rt->ops->uses_numbers && message->tp.topic < EE_PHASE_TOPICS) {
    take_number(rt, message, EE_HEADER_SEQ, &input.seq);
    take_number(rt, message, EE_HEADER_WAS, &input.was);
  }
  return input;
}

static bool step_record(struct ee_step *step, const struct ee_message *message,
                        const struct intake_record *taken) {
  struct ee_runtime *rt = step->rt;
  struct ee_input input = input_of(rt, message);
  input.record = taken->record;
  input.avro = taken->avro;
  if (rt->ops->uses_policy) input.policy = policy_in_force(rt, input.timestamp);
  rt->metrics->events[message->tp.topic]++;
  return rt->ops->step(rt->processor->self, step, &input);
}

static bool refuse_record(struct ee_step *step, const struct ee_message *message,
                          const struct ee_fault *fault) {
  struct ee_runtime *rt = step->rt;
  if (!intake_dead_letter(rt, message, fault)) return false;
  if (rt->ops->refused == NULL) return true;
  struct ee_input input = input_of(rt, message);
  return rt->ops->refused(rt->processor->self, step, &input);
}

enum stepped { STEPPED, STEP_WAITS, STEP_FAILED };

static enum stepped record_waits(struct ee_runtime *rt, const struct ee_message *message,
                                 const struct ee_fault *fault) {
  bool no_memory = fault->reason == EE_NO_MEMORY;
  ee_arena_clear(&rt->arena);
  if (!no_memory) rt->metrics->waits_registry++;
  if (fault->detail[0] == '\0') return STEP_WAITS;  // the registry has been asked just now
  runtime_say_held(
      rt, message,
      no_memory ? "a partition waits for memory" : "a partition waits for the schema registry",
      fault->detail);
  return STEP_WAITS;
}

// What is read in the ordinary course of things is not worth a word.
static bool wait_for_policy(struct ee_runtime *rt, struct partition *p,
                            const struct ee_message *message) {
  if (!rt->ops->uses_policy || policy_known(rt, message->timestamp_ms * EE_MICROS_PER_MS)) {
    p->policy_ms = 0;
    return false;
  }
  rt->metrics->waits_policy++;
  if (p->policy_ms == 0) p->policy_ms = rt->now_ms;
  if (rt->now_ms - p->policy_ms >= HELD_MS) {
    const char *why = rt->trouble.text[0] != '\0' ? rt->trouble.text : "not read to its end";
    runtime_say_held(rt, message, "a partition waits for the policy topic", why);
  }
  return true;
}

// A processor that returns false without a call on the step having failed had no memory, or
// state that it cannot read.
static void take_trouble(struct ee_runtime *rt, const struct ee_step *step) {
  rt->trouble = step->err;
  if (rt->trouble.text[0] != '\0') return;
  ee_err_set(&rt->trouble, "the step has failed: no memory, or the stored state cannot be read");
}

static enum stepped step_head(struct ee_runtime *rt, struct partition *p, enum ee_topic topic) {
  struct ee_message *message = queue_head(&p->queues[topic]);
  if (wait_for_policy(rt, p, message)) return STEP_WAITS;
  struct intake_record taken;
  struct ee_fault fault = {0};
  enum intake intake = intake_decode(rt, message, &taken, &fault);
  if (intake == INTAKE_WAIT) return record_waits(rt, message, &fault);
  struct ee_step step;
  step_init(&step, rt, p, message);
  bool done = note_log_start(&step, p, message);
  if (done && intake == INTAKE_REFUSED) done = refuse_record(&step, message, &fault);
  if (done && intake == INTAKE_STEP) done = step_record(&step, message, &taken);
  if (done) {
    advance(rt, p, topic);
  } else {
    take_trouble(rt, &step);
    ee_err_prefix(&rt->trouble, "%s partition %d offset %lld", ee_topics[topic].name,
                  (int)p->number, (long long)message->offset);
  }
  ee_arena_clear(&rt->arena);
  return done ? STEPPED : STEP_FAILED;
}

bool partition_reached(struct ee_runtime *rt, const struct partition *p, enum ee_topic topic,
                       int64_t offset) {
  const struct queue *queue = &p->queues[topic];
  if (queue->count > 0) return queue->items[queue->head].offset >= offset;
  if (p->inputs[topic].next >= offset) return true;
  return rt->broker->ops->position(rt->broker, (struct ee_tp){topic, p->number}) >= offset;
}

static void load_offsets(struct ee_runtime *rt, struct partition *p, const struct ee_tick *tick) {
  for (int topic = 0; topic < EE_TOPIC_COUNT; topic++) {
    p->tick_offsets[topic] = INT64_MAX;
    struct ee_str name = rt->broker->ops->topic_name(rt->broker, (enum ee_topic)topic);
    for (size_t i = 0; i < tick->offsets.count; i++) {
      if (ee_str_equal(tick->offsets.entries[i].key, name)) {
        p->tick_offsets[topic] = tick->offsets.entries[i].value;
      }
    }
  }
}

// True if the tick is to be applied: it moves the clock, and no log begins above it.
static bool tick_counts(const struct ee_runtime *rt, const struct partition *p,
                        const struct ee_tick *tick) {
  if (!tick->as_of.present || tick->as_of.value <= p->clock) return false;
  if (tick->as_of.value <= p->judge_from) return false;
  for (int topic = 0; topic <= EE_TOPIC_OBLIGATION; topic++) {
    const struct input_position *input = &p->inputs[topic];
    if (!rt->is_input[topic] || !input->from_start) continue;
    if (p->tick_offsets[topic] < input->log_start) return false;
  }
  return true;
}

// Looks at the tick at the head of its queue. STEPPED: it was passed over.
static enum stepped load_tick(struct ee_runtime *rt, struct partition *p) {
  struct ee_message *message = queue_head(&p->queues[EE_TOPIC_TICK]);
  struct intake_record taken;
  struct ee_fault fault = {0};
  enum intake intake = intake_decode(rt, message, &taken, &fault);
  if (intake == INTAKE_WAIT) return record_waits(rt, message, &fault);
  if (intake == INTAKE_STEP) {
    const struct ee_tick *tick = taken.record;
    load_offsets(rt, p, tick);
    if (tick_counts(rt, p, tick)) {
      p->tick_clock = tick->as_of.value;
      p->tick_loaded = true;
      p->tick_message = *message;
      ee_arena_clear(&rt->arena);
      return STEP_WAITS;
    }
  } else if (!intake_dead_letter(rt, message, &fault)) {
    ee_arena_clear(&rt->arena);
    ee_err_set(&rt->trouble, "no memory for a dead letter");
    return STEP_FAILED;
  }
  ee_arena_clear(&rt->arena);
  advance(rt, p, EE_TOPIC_TICK);
  return STEPPED;
}

// The input that the tick at the head of its queue waits for; EE_TOPIC_COUNT: none.
static enum ee_topic tick_waits_for(struct ee_runtime *rt, const struct partition *p) {
  for (int topic = 0; topic < EE_TOPIC_COUNT; topic++) {
    if (!rt->is_input[topic] || p->tick_offsets[topic] == INT64_MAX) continue;
    if (!partition_reached(rt, p, (enum ee_topic)topic, p->tick_offsets[topic])) {
      return (enum ee_topic)topic;
    }
  }
  return EE_TOPIC_COUNT;
}

// A tick that names offsets of a log that was cut or made anew would hold up the clock, and with
// it nothing but what ticks decide: that is said. When there is nothing else to do.
static void say_tick_waits(struct ee_runtime *rt, struct partition *p) {
  enum ee_topic topic = p->tick_loaded ? tick_waits_for(rt, p) : EE_TOPIC_COUNT;
  bool at_end = topic != EE_TOPIC_COUNT && p->queues[topic].count == 0 &&
                rt->broker->ops->lag(rt->broker, (struct ee_tp){topic, p->number}) == 0;
  if (!at_end) {
    p->tick_held_ms = 0;
  } else if (p->tick_held_ms == 0) {
    p->tick_held_ms = rt->now_ms;
  } else if (rt->now_ms - p->tick_held_ms >= HELD_MS) {
    runtime_say_held(rt, &p->tick_message,
                     "a tick waits for records beyond the end of a log that was made anew perhaps "
                     "(docs/reset.md)",
                     ee_topics[topic].name);
  }
}

// Wakes one due key; *ret_found says whether there was one.
static bool wake_one(struct ee_step *step, struct partition *p, bool *ret_found) {
  struct ee_runtime *rt = step->rt;
  struct ee_store_key due;
  if (!ee_store_due(rt->store, p->number, p->tick_clock, &due, ret_found, &step->err)) return false;
  if (!*ret_found) return true;
  ee_buf_clear(&rt->key);
  ee_buf_append(&rt->key, due.key.data, due.key.size);
  struct ee_store_key key = {
      .partition = p->number, .changelog = due.changelog, .key = ee_buf_bytes(&rt->key)};
  struct ee_bytes value;
  if (!ee_store_get(rt->store, key, &value, &step->err)) return false;
  transaction_note(rt);
  struct ee_tick_view tick = {
      .clock = p->tick_clock, .offsets = p->tick_offsets, .judge_from = p->judge_from};
  return rt->ops->wake(rt->processor->self, step, &tick, key.changelog, key.key, value);
}

static bool finish_tick(struct ee_step *step, struct partition *p) {
  p->clock = p->tick_clock;
  if (!save_state(step, p)) return false;
  p->tick_loaded = false;
  p->tick_applying = false;
  step->rt->metrics->events[EE_TOPIC_TICK]++;
  step->rt->metrics->ticks_applied++;
  advance(step->rt, p, EE_TOPIC_TICK);
  return true;
}

// Returns the number of keys woken, -1 on failure. Records of the partition wait until the
// last one.
static int apply_tick(struct ee_runtime *rt, struct partition *p, int most) {
  struct ee_step step;
  int woken = 0;
  bool good = true, found = true;
  p->tick_applying = true;
  step_init(&step, rt, p, &p->tick_message);
  while (good && found && woken < most && !output_full(rt)) {
    good = wake_one(&step, p, &found);
    ee_arena_clear(&rt->arena);
    if (good && found) woken++;
  }
  if (good && !found) good = finish_tick(&step, p);
  ee_arena_clear(&rt->arena);
  if (!good) take_trouble(rt, &step);
  return good ? woken + !found : -1;
}

// Returns like apply_tick; 0: no tick can be applied now.
static int tick_turn(struct ee_runtime *rt, struct partition *p, int most) {
  if (!p->tick_loaded) {
    if (p->queues[EE_TOPIC_TICK].count == 0) return 0;
    enum stepped looked = load_tick(rt, p);
    if (looked == STEP_FAILED) return -1;
    if (looked == STEPPED) return 1;
  }
  if (!p->tick_loaded || tick_waits_for(rt, p) != EE_TOPIC_COUNT) return 0;
  return apply_tick(rt, p, most);
}

// The queue whose head was appended first, among those that need not wait; -1: none.
static int next_topic(const struct ee_runtime *rt, const struct partition *p, uint32_t waits) {
  int best = -1;
  int64_t least = INT64_MAX;
  for (int topic = 0; topic < EE_TOPIC_COUNT; topic++) {
    const struct queue *queue = &p->queues[topic];
    if (!rt->is_input[topic] || topic == EE_TOPIC_TICK || queue->count == 0) continue;
    if ((waits & (UINT32_C(1) << topic)) != 0) continue;
    int64_t at = queue->items[queue->head].timestamp_ms;
    if (best < 0 || at < least) {
      best = topic;
      least = at;
    }
  }
  return best;
}

int partition_turn(struct ee_runtime *rt, struct partition *p, int most) {
  int done = 0;
  uint32_t waits = 0;
  while (done < most && transaction_may_step(rt)) {
    int ticked = tick_turn(rt, p, WAKES_A_TURN);
    if (ticked < 0) return -1;
    done += ticked;
    if (p->tick_applying) break;
    int topic = next_topic(rt, p, waits);
    if (topic < 0) {
      if (ticked > 0) continue;
      break;
    }
    switch (step_head(rt, p, (enum ee_topic)topic)) {
      case STEPPED:
        done++;
        break;
      case STEP_WAITS:
        waits |= UINT32_C(1) << topic;
        break;
      case STEP_FAILED:
        return -1;
    }
  }
  if (done == 0) say_tick_waits(rt, p);
  return done;
}

int64_t partition_lag(struct ee_runtime *rt, struct partition *p) {
  int64_t sum = 0;
  for (int topic = 0; topic < EE_TOPIC_COUNT; topic++) {
    if (!rt->is_input[topic]) continue;
    int64_t lag = rt->broker->ops->lag(rt->broker, (struct ee_tp){(enum ee_topic)topic, p->number});
    if (lag < 0) return -1;
    sum += lag + (int64_t)p->queues[topic].count;
  }
  return sum;
}
