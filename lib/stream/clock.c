// SPDX-License-Identifier: Apache-2.0
// Writes ticks for the partitions held here: as_of is what had been read before the end
// offsets were asked for, so whatever was appended before it lies below them.
#include <stdlib.h>

#include "base/time.h"
#include "stream/runtime_impl.h"

#define TICK_TOPICS (EE_TOPIC_OBLIGATION + 1)  // phases, producer, obligation

// True when a partition wants a tick of ours: none younger has been read.
static bool wants_tick(const struct ee_runtime *rt, const struct partition *p) {
  if (p == NULL || p->state != PARTITION_RUNNING) return false;
  return p->tick_read_ms == INT64_MIN ||
         rt->now_ms - p->tick_read_ms >= rt->settings.tick_interval_ms * 3 / 4;
}

static bool list_ends(struct ee_runtime *rt) {
  size_t most = rt->partition_count * TICK_TOPICS;
  struct ee_tp_offset *offsets = realloc(rt->tick_offsets, (most + 1) * sizeof *offsets);
  if (offsets == NULL) return false;
  rt->tick_offsets = offsets;
  rt->tick_count = 0;
  for (int32_t i = 0; i < rt->partition_limit; i++) {
    if (!wants_tick(rt, rt->partitions[i])) continue;
    rt->tick_as_of[i] = rt->partitions[i]->newest_tick;
    for (int topic = 0; topic < TICK_TOPICS; topic++) {
      rt->tick_offsets[rt->tick_count++] = (struct ee_tp_offset){.tp = {(enum ee_topic)topic, i}};
    }
  }
  return rt->tick_count > 0;
}

void clock_turn(struct ee_runtime *rt) {
  if (rt->settings.tick_interval_ms == 0 || rt->tick_operation.pending || rt->revoking) return;
  if (rt->now_ms - rt->ticks_asked_ms < rt->settings.tick_interval_ms) return;
  rt->ticks_asked_ms = rt->now_ms;
  if (!list_ends(rt)) return;
  rt->tick_operation.isolation = EE_READ_COMMITTED;
  runtime_begin(rt, &rt->tick_operation, EE_OP_END, rt->tick_offsets, rt->tick_count);
}

static void write_tick(struct ee_runtime *rt, const struct ee_tp_offset *ends) {
  struct ee_long_entry entries[TICK_TOPICS];
  int32_t number = ends[0].tp.partition;
  for (int i = 0; i < TICK_TOPICS; i++) {
    entries[i].key = rt->broker->ops->topic_name(rt->broker, ends[i].tp.topic);
    entries[i].value = ends[i].offset;
  }
  struct ee_tick tick;
  ee_record_init(&ee_tick_type, &tick);
  int64_t as_of = rt->tick_as_of[number];
  tick.as_of = (struct ee_opt_long){.present = as_of != INT64_MIN, .value = as_of};
  tick.offsets.entries = entries;
  tick.offsets.count = TICK_TOPICS;
  ee_buf_clear(&rt->value);
  ee_buf_append(&rt->value, rt->prefixes[EE_TOPIC_TICK].data, rt->prefixes[EE_TOPIC_TICK].size);
  ee_encode(&ee_tick_type, &tick, &rt->value);
  if (rt->value.failed) return;  // the next one will do
  struct ee_output output = {.tp = {EE_TOPIC_TICK, number}, .value = ee_buf_bytes(&rt->value)};
  rt->broker->ops->produce_plain(rt->broker, &output);
  rt->metrics->outputs[EE_TOPIC_TICK]++;
}

void clock_finished(struct ee_runtime *rt, struct ee_operation *operation) {
  if (operation->outcome != EE_DONE) {
    rt->trouble = operation->err;
    return;
  }
  for (size_t i = 0; i < operation->count; i += TICK_TOPICS) {
    write_tick(rt, &operation->offsets[i]);
  }
}

void clock_note_tick(struct ee_runtime *rt, struct partition *p, const struct ee_message *message) {
  int64_t appended = message->timestamp_ms * EE_MICROS_PER_MS;
  if (appended > p->newest_tick) p->newest_tick = appended;
  p->tick_read_ms = rt->now_ms;
}
