// SPDX-License-Identifier: Apache-2.0
// --drain: what was there at the start is done, and so is what the first stage of a
// two-stage processor wrote meanwhile.
#include <stdlib.h>

#include "stream/runtime_impl.h"

static bool own_input(const struct ee_runtime *rt, enum ee_topic topic) {
  for (size_t i = 0; i < rt->ops->output_count; i++) {
    if (rt->ops->outputs[i] == topic) return true;
  }
  return false;
}

// The first round asks for every input, later ones for those that this processor writes.
static bool list_ends(struct ee_runtime *rt) {
  size_t most = rt->partition_count * rt->ops->input_count;
  struct ee_tp_offset *offsets = realloc(rt->drain_offsets, (most + 1) * sizeof *offsets);
  if (offsets == NULL) return runtime_fail(rt, "no memory to drain %zu partitions", most);
  rt->drain_offsets = offsets;
  rt->drain_count = 0;
  for (int32_t i = 0; i < rt->partition_limit; i++) {
    for (size_t j = 0; rt->partitions[i] != NULL && j < rt->ops->input_count; j++) {
      enum ee_topic topic = rt->ops->inputs[j];
      if (rt->drain_round > 0 && !own_input(rt, topic)) continue;
      rt->drain_offsets[rt->drain_count++] = (struct ee_tp_offset){.tp = {topic, i}};
    }
  }
  return true;
}

static bool reached(struct ee_runtime *rt) {
  for (int32_t i = 0; i < rt->partition_limit; i++) {
    const struct partition *p = rt->partitions[i];
    for (size_t j = 0; p != NULL && j < rt->ops->input_count; j++) {
      enum ee_topic topic = rt->ops->inputs[j];
      if (!partition_reached(rt, p, topic, p->drain_to[topic])) return false;
    }
  }
  return transaction_idle(rt);
}

void drain_turn(struct ee_runtime *rt) {
  if (!rt->settings.drain || rt->drained || rt->drain_operation.pending) return;
  if (!rt->assigned || rt->assignment != ASSIGNMENT_IDLE || rt->revoking) return;
  if (rt->drain_known && !reached(rt)) return;
  if (!list_ends(rt)) return;
  if (rt->drain_count == 0) {
    rt->drained = true;
    return;
  }
  rt->drain_known = false;
  // A commit's answer comes before its markers are written: our own outputs may still lie
  // above the last stable offset.
  rt->drain_operation.isolation = rt->drain_round > 0 ? EE_READ_UNCOMMITTED : EE_READ_COMMITTED;
  runtime_begin(rt, &rt->drain_operation, EE_OP_END, rt->drain_offsets, rt->drain_count);
}

void drain_finished(struct ee_runtime *rt, struct ee_operation *operation) {
  if (operation->outcome != EE_DONE) {
    rt->trouble = operation->err;
    return;
  }
  bool more = false;
  for (size_t i = 0; i < operation->count; i++) {
    const struct ee_tp_offset *end = &operation->offsets[i];
    struct partition *p = runtime_partition(rt, end->tp.partition);
    if (p == NULL) continue;
    p->drain_to[end->tp.topic] = end->offset;
    if (!partition_reached(rt, p, end->tp.topic, end->offset)) more = true;
  }
  rt->drain_known = true;
  if (rt->drain_round++ > 0 && !more) rt->drained = true;
}
