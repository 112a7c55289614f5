// SPDX-License-Identifier: Apache-2.0
// What a processor's step sees of the runtime: state, outputs, the partition's clock.
#include "stream/runtime_impl.h"
#include "wire/partition.h"

void step_init(struct ee_step *step, struct ee_runtime *rt, struct partition *p,
               const struct ee_message *trigger) {
  *step = (struct ee_step){.rt = rt, .partition = p, .trigger = trigger};
  ee_buf_clear(&rt->in);
}

struct ee_arena *ee_step_arena(struct ee_step *step) {
  return &step->rt->arena;
}

int64_t ee_step_clock(const struct ee_step *step) {
  return step->partition->clock;
}

struct ee_str ee_step_topic_name(const struct ee_step *step, enum ee_topic topic) {
  return step->rt->broker->ops->topic_name(step->rt->broker, topic);
}

static struct ee_store_key store_key(const struct ee_step *step, uint8_t changelog,
                                     struct ee_bytes key) {
  return (struct ee_store_key){
      .partition = step->partition->number, .changelog = changelog, .key = key};
}

bool ee_step_get(struct ee_step *step, uint8_t changelog, struct ee_bytes key,
                 struct ee_bytes *ret) {
  return ee_store_get(step->rt->store, store_key(step, changelog, key), ret, &step->err);
}

// The header `in`: the record or tick that set the step off.
static struct ee_header in_header(struct ee_step *step) {
  struct ee_buf *in = &step->rt->in;
  if (in->size == 0) {
    struct ee_broker *broker = step->rt->broker;
    const struct ee_message *trigger = step->trigger;
    struct ee_bytes traceparent = {0};
    if (trigger->owner != NULL) traceparent = broker->ops->header(broker, trigger, "traceparent");
    ee_header_in(in, broker->ops->topic_name(broker, trigger->tp.topic), trigger->tp.partition,
                 trigger->offset, traceparent);
  }
  return (struct ee_header){.name = EE_STR("in"), .value = ee_buf_bytes(in)};
}

static bool derive(struct ee_step *step, struct ee_tp tp, struct ee_bytes key,
                   struct ee_bytes value) {
  struct ee_header in = in_header(step);
  if (output_add(step->rt, tp, key, value, &in, 1)) return true;
  return ee_err_set(&step->err, "no memory for outputs of partition %d", (int)tp.partition);
}

// True where a tick has looked at a key and found nothing to change: only its time moves.
static bool unchanged(struct ee_step *step, struct ee_store_key key, struct ee_bytes value) {
  struct ee_bytes before;
  return step->trigger->tp.topic == EE_TOPIC_TICK &&
         ee_store_get(step->rt->store, key, &before, &step->err) && ee_bytes_equal(before, value);
}

bool ee_step_put(struct ee_step *step, uint8_t changelog, struct ee_bytes key,
                 struct ee_bytes value, int64_t wake_at) {
  const struct ee_changelog *log = &step->rt->ops->changelogs[changelog];
  struct ee_store_key at = store_key(step, changelog, key);
  struct ee_tp tp = {.topic = log->topic, .partition = step->partition->number};
  bool emits = log->emitted && !unchanged(step, at, value);
  // The put comes last: key or value may be borrowed from what it replaces.
  return (!emits || derive(step, tp, key, value)) &&
         ee_store_put(step->rt->store, at, value, wake_at, &step->err);
}

bool ee_step_emit(struct ee_step *step, enum ee_topic topic, struct ee_bytes key,
                  struct ee_bytes value) {
  struct ee_tp tp = {.topic = topic, .partition = step->partition->number};
  if (ee_topics[topic].partitioning == EE_PARTITION_BY_KEY) {
    tp.partition = ee_partition_of(key, step->rt->topics[topic].partitions);
  }
  return derive(step, tp, key, value);
}
