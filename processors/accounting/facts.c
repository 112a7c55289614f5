// SPDX-License-Identifier: Apache-2.0
// The facts of one envelope: read, written, and added to within their limits.
#include "accounting/facts.h"

#include "contract/record.h"

bool ee_facts_read(struct ee_bytes value, struct ee_arena *arena,
                   struct ee_accounting_envelope *ret) {
  *ret = (struct ee_accounting_envelope){.admission = NULL};
  if (value.data == NULL) return true;
  const struct ee_plan *plan = ee_plan_own(&ee_accounting_state_type);
  struct ee_accounting_state state;
  if (plan == NULL || !ee_decode(plan, value, arena, &state, NULL)) return false;
  if (state.envelope != NULL) *ret = *state.envelope;
  return true;
}

void ee_facts_write(const struct ee_accounting_envelope *facts, struct ee_buf *out) {
  struct ee_accounting_envelope envelope = *facts;
  struct ee_accounting_state state = {.envelope = &envelope};
  ee_encode(&ee_accounting_state_type, &state, out);
}

static int64_t clamp(int64_t value, int64_t least, int64_t most) {
  if (value < least) return least;
  return value > most ? most : value;
}

static int64_t metered_time(int64_t occurred_at, int64_t append_time) {
  int64_t append = clamp(append_time, EE_FACTS_TIME_LEAST, EE_FACTS_TIME_MOST);
  return clamp(occurred_at, append - EE_FACTS_CLAMP_MICROS, append + EE_FACTS_CLAMP_MICROS);
}

static struct ee_evidence evidence_of(const struct ee_input *input, struct ee_str topic) {
  const struct ee_event_head *head = input->record;
  return (struct ee_evidence){.topic = topic,
                              .partition = input->partition,
                              .offset = input->offset,
                              .timestamp = input->timestamp,
                              .phase = (int)input->topic,
                              .event_id = head->event_id};
}

// What can be metered; the rest of the vector would only make the state larger.
static struct ee_resources metered_part(const struct ee_resources *all) {
  return (struct ee_resources){.cpu_millis = all->cpu_millis,
                               .memory_bytes = all->memory_bytes,
                               .gpu_count = all->gpu_count,
                               .gpu_share_milli = all->gpu_share_milli,
                               .concurrency = all->concurrency,
                               .amounts = all->amounts};
}

static bool add_admission(struct ee_accounting_envelope *facts, const struct ee_input *input,
                          struct ee_str topic, const struct ee_deadlines *deadlines,
                          struct ee_arena *arena, struct ee_facts_change *ret) {
  if (facts->admission != NULL) return true;
  const struct ee_admission *record = input->record;
  struct ee_usage_admission *admission = ee_arena_alloc(arena, sizeof *admission);
  if (admission == NULL) return false;
  *admission = (struct ee_usage_admission){
      .evidence = evidence_of(input, topic),
      .tenant = record->tenant,
      .kind = record->execution.kind,
      .occurred_at = metered_time(record->occurred_at, input->timestamp),
      .deadline = ee_deadline(deadlines, record, input->timestamp),
      .requested = metered_part(&record->requested)};
  facts->admission = admission;
  ret->changed = true;
  return true;
}

static bool is_closed(const struct ee_accounting_envelope *facts, int phase) {
  for (size_t i = 0; i < facts->closed.count; i++) {
    if (facts->closed.items[i] == phase) return true;
  }
  return false;
}

static bool close_phase(struct ee_accounting_envelope *facts, int phase, struct ee_arena *arena,
                        struct ee_facts_change *ret) {
  size_t count = facts->closed.count;
  int *items = ee_arena_alloc(arena, (count + 1) * sizeof *items);
  if (items == NULL) return false;
  if (count > 0) memcpy(items, facts->closed.items, count * sizeof *items);
  items[count] = phase;
  facts->closed = (struct ee_phase_array){.items = items, .count = count + 1};
  ret->changed = true;
  return true;
}

// Bytes of the event in the current schema; more than the limit of a phase when they do
// not fit into one. The room is asked for first, so that only size can fail the encoding.
static bool event_size(const struct ee_record_type *type, const void *record, int64_t *ret) {
  const struct ee_event_head *head = record;
  *ret = (int64_t)head->encoded.size;
  if (head->encoded.data != NULL) return true;
  struct ee_buf buf;
  ee_buf_init(&buf, EE_FACTS_PHASE_BYTES_MAX);
  bool ok = ee_buf_reserve(&buf, EE_FACTS_PHASE_BYTES_MAX) != NULL;
  if (ok) {
    ee_encode(type, record, &buf);
    *ret = buf.failed ? EE_FACTS_PHASE_BYTES_MAX + 1 : (int64_t)buf.size;
  }
  ee_buf_release(&buf);
  return ok;
}

struct phase_sum {
  size_t count;
  int64_t bytes;
  bool repeated;  // holds the event_id asked about
  size_t end;     // index behind the phase's last event
};

static struct phase_sum sum_phase(const struct ee_accounting_envelope *facts, int phase,
                                  struct ee_str event_id) {
  struct phase_sum sum = {.count = 0};
  for (size_t i = 0; i < facts->events.count; i++) {
    const struct ee_usage_event *event = &facts->events.items[i];
    if (event->evidence.phase > phase) break;
    sum.end = i + 1;
    if (event->evidence.phase != phase) continue;
    sum.count++;
    sum.bytes += event->size;
    if (ee_str_equal(event->evidence.event_id, event_id)) sum.repeated = true;
  }
  return sum;
}

static bool fill_event(struct ee_usage_event *event, const struct ee_input *input,
                       struct ee_str topic, int64_t size, struct ee_arena *arena) {
  const struct ee_event_head *head = input->record;
  *event = (struct ee_usage_event){.evidence = evidence_of(input, topic),
                                   .tenant = head->tenant,
                                   .occurred_at = metered_time(head->occurred_at, input->timestamp),
                                   .size = size};
  if (input->topic == EE_TOPIC_RESOLVED) {
    event->granted = ee_arena_alloc(arena, sizeof *event->granted);
    if (event->granted == NULL) return false;
    *event->granted = metered_part(&((const struct ee_resolved *)input->record)->granted);
  } else if (input->topic == EE_TOPIC_FINALIZED) {
    event->measured = ((const struct ee_finalized *)input->record)->measured;
  } else if (input->topic == EE_TOPIC_RELEASED) {
    event->measured = ((const struct ee_released *)input->record)->measured;
  }
  return true;
}

static bool insert_event(struct ee_accounting_envelope *facts, size_t at,
                         const struct ee_usage_event *event, struct ee_arena *arena,
                         struct ee_facts_change *ret) {
  size_t count = facts->events.count;
  struct ee_usage_event *items = ee_arena_alloc(arena, (count + 1) * sizeof *items);
  if (items == NULL) return false;
  if (at > 0) memcpy(items, facts->events.items, at * sizeof *items);
  items[at] = *event;
  if (at < count) memcpy(items + at + 1, facts->events.items + at, (count - at) * sizeof *items);
  facts->events = (struct ee_usage_event_array){.items = items, .count = count + 1};
  ret->changed = true;
  ret->event = &items[at];
  return true;
}

static bool add_event(struct ee_accounting_envelope *facts, const struct ee_input *input,
                      struct ee_str topic, struct ee_arena *arena, struct ee_facts_change *ret) {
  const struct ee_event_head *head = input->record;
  int phase = (int)input->topic;
  if (is_closed(facts, phase)) return true;
  struct phase_sum sum = sum_phase(facts, phase, head->event_id);
  if (sum.repeated) return true;
  int64_t size;
  if (!event_size(ee_topics[input->topic].value, input->record, &size)) return false;
  size_t most = phase == EE_PHASE_RESOLVED ? EE_FACTS_GRANTS_MAX : EE_FACTS_ENDS_MAX;
  if (sum.count >= most || sum.bytes + size > EE_FACTS_PHASE_BYTES_MAX) {
    return close_phase(facts, phase, arena, ret);
  }
  struct ee_usage_event event;
  return fill_event(&event, input, topic, size, arena) &&
         insert_event(facts, sum.end, &event, arena, ret);
}

bool ee_facts_add(struct ee_accounting_envelope *facts, const struct ee_input *input,
                  struct ee_str topic, const struct ee_deadlines *deadlines, struct ee_arena *arena,
                  struct ee_facts_change *ret) {
  *ret = (struct ee_facts_change){.changed = false};
  if (input->topic == EE_TOPIC_ADMISSION) {
    return add_admission(facts, input, topic, deadlines, arena, ret);
  }
  return add_event(facts, input, topic, arena, ret);
}
