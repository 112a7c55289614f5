// SPDX-License-Identifier: Apache-2.0
// A join over the step double, and events to feed it with: short names for what the tests
// of the join have in common.
#ifndef EE_TESTS_JOIN_WORLD_H
#define EE_TESTS_JOIN_WORLD_H

#include <stdio.h>

#include "base/time.h"
#include "contract/ident.h"
#include "contract/record.h"
#include "join/envelope.h"
#include "tests/support/own_plan.h"
#include "tests/support/test.h"
#include "tests/unit/processors/step_double.h"

#define SECOND EE_MICROS_PER_S
#define NOON (INT64_C(20000) * 24 * EE_MICROS_PER_HOUR + 12 * EE_MICROS_PER_HOUR)
#define NUMBER(VALUE) ((struct ee_opt_long){.present = true, .value = (VALUE)})
#define ALL_OFFSETS INT64_MAX
#define PARTITION 3

#define ADMISSION EE_PHASE_ADMISSION
#define RESOLVED EE_PHASE_RESOLVED
#define FINALIZED EE_PHASE_FINALIZED
#define FAILED EE_PHASE_FAILED
#define RELEASED EE_PHASE_RELEASED
#define ANNOTATION EE_PHASE_ANNOTATION

union event {
  struct ee_event_head head;
  struct ee_admission admission;
  struct ee_resolved resolved;
  struct ee_finalized finalized;
  struct ee_failed failed;
  struct ee_released released;
  struct ee_annotation annotation;
};

struct world {
  struct ee_join_settings settings;
  struct ee_join_limits limits;
  struct ee_processor processor;
  struct step_double *d;
  int64_t offsets[EE_TOPIC_COUNT];  // of the next record
  int64_t now;                      // append time of the next record
  struct ee_arena arena;
};

// Deadlines as built in, graces of 5 and 60 s, no retirement, the contract's limits.
static inline void world_init(struct world *w) {
  static const struct ee_properties none = {.count = 0};
  *w = (struct world){.settings = {.grace_ms = 5000, .orphan_grace_ms = 60000}, .now = NOON};
  assert_true(ee_deadlines_init(&w->settings.deadlines, &none, NULL));
  w->limits = *ee_join_limits_of(&w->settings);
  w->settings.limits = &w->limits;
  w->processor = ee_join_processor(&w->settings);
  w->d = step_double_new(&w->processor);
  ee_arena_init(&w->arena, (size_t)64 << 20);
}

static inline void world_release(struct world *w) {
  step_double_free(w->d);
  ee_arena_release(&w->arena);
}

// The least that is valid. Texts must outlive the event.
static inline union event an_event(enum ee_phase phase, const char *event_id, int64_t occurred_at) {
  union event event;
  memset(&event, 0, sizeof event);
  ee_record_init(ee_phase_record(phase), &event);
  event.head.envelope_id = EE_STR("envelope");
  event.head.event_id = ee_str(event_id);
  event.head.tenant = EE_STR("acme");
  event.head.occurred_at = occurred_at;
  event.head.source = EE_STR("urn:source");
  if (phase == EE_PHASE_ADMISSION) {
    event.admission.caller.requester_urn = EE_STR("urn:caller");
    event.admission.execution.kind = EE_EXECUTION_KIND_INFERENCE;
    event.admission.execution.service = EE_STR("serving");
    event.admission.execution.operation = EE_STR("infer");
  }
  if (phase == EE_PHASE_RESOLVED) event.resolved.resolution.backend = EE_STR("pool");
  if (phase == EE_PHASE_FINALIZED) event.finalized.runtime_id = EE_STR("r-1");
  if (phase == EE_PHASE_FAILED) {
    event.failed.stage = EE_STR("run");
    event.failed.reason = EE_STR("why");
  }
  return event;
}

static inline bool world_try(struct world *w, enum ee_phase phase, const union event *event) {
  return step_double_input(w->d, (enum ee_topic)phase, PARTITION, w->offsets[phase], w->now, event);
}

static inline void world_event(struct world *w, enum ee_phase phase, const union event *event) {
  assert_true(world_try(w, phase, event));
  w->offsets[phase]++;
}

// The usual event of a phase.
static inline void world_add(struct world *w, enum ee_phase phase, const char *event_id,
                             int64_t occurred_at) {
  union event event = an_event(phase, event_id, occurred_at);
  world_event(w, phase, &event);
}

// A tick with everything below its offsets.
static inline void world_tick(struct world *w, int64_t clock) {
  int64_t offsets[EE_TOPIC_COUNT];
  for (int i = 0; i < EE_TOPIC_COUNT; i++) {
    offsets[i] = w->offsets[i];
  }
  assert_true(step_double_tick(w->d, PARTITION, clock, offsets));
}

static inline struct ee_bytes world_bytes(struct world *w, const char *envelope_id) {
  return step_double_state(w->d, PARTITION, 0, ee_str_bytes(ee_str(envelope_id)));
}

// Lives until the world ends.
static inline const struct ee_lifecycle *world_lifecycle(struct world *w) {
  struct ee_bytes bytes = world_bytes(w, "envelope");
  assert_non_null(bytes.data);
  struct ee_str kept = ee_arena_str(&w->arena, ee_bytes_str(bytes));
  struct ee_lifecycle *record = ee_arena_zero(&w->arena, 1, sizeof *record);
  struct ee_fault fault = {.reason = EE_ACCEPTED};
  if (!ee_decode(own_plan(&ee_lifecycle_type), ee_str_bytes(kept), &w->arena, record, &fault)) {
    fail_msg("%s: %s", ee_reason_name(fault.reason), fault.detail);
  }
  assert_true(ee_check_record(&ee_lifecycle_type, record, &fault));
  return record;
}

static inline struct ee_bytes world_state(struct world *w, const char *envelope_id) {
  struct ee_buf key;
  ee_buf_init(&key, 1024);
  ee_key_envelope(&key, ee_str(envelope_id));
  struct ee_bytes state = step_double_state(w->d, PARTITION, 1, ee_buf_bytes(&key));
  ee_buf_release(&key);
  return state;
}

// The violations emitted so far, decoded; *ret lives until the world ends.
static inline size_t world_violations(struct world *w, const struct ee_violation **ret) {
  const struct step_output *outputs;
  size_t count = step_double_outputs(w->d, &outputs), found = 0;
  struct ee_violation *all = ee_arena_zero(&w->arena, count + 1, sizeof *all);
  for (size_t i = 0; i < count; i++) {
    if (outputs[i].topic != EE_TOPIC_VIOLATION) continue;
    struct ee_fault fault;
    assert_true(
        ee_decode(own_plan(&ee_violation_type), outputs[i].value, &w->arena, &all[found], &fault));
    assert_true(ee_bytes_equal(outputs[i].key, ee_str_bytes(all[found].envelope_id)));
    assert_int_equal(outputs[i].partition, PARTITION);
    found++;
  }
  *ret = all;
  return found;
}

static inline size_t world_outputs(struct world *w, enum ee_topic topic) {
  const struct step_output *outputs;
  size_t count = step_double_outputs(w->d, &outputs), found = 0;
  for (size_t i = 0; i < count; i++) {
    found += outputs[i].topic == topic;
  }
  return found;
}

// ---- Assertions.

static inline void assert_text(struct ee_str text, const char *expected) {
  assert_int_equal(text.size, strlen(expected));
  assert_memory_equal(text.data, expected, text.size);
}

static inline void assert_status(struct world *w, enum ee_status status, enum ee_outcome outcome) {
  const struct ee_lifecycle *record = world_lifecycle(w);
  assert_int_equal(record->status, status);
  assert_int_equal(record->outcome, outcome);
}

static inline void assert_refs(struct world *w, size_t count, const enum ee_violation_kind *kinds) {
  const struct ee_lifecycle *record = world_lifecycle(w);
  assert_int_equal(record->violations.count, count);
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(record->violations.items[i].kind, kinds[i]);
  }
}

// One violation of that kind, with the evidence of these events: "admission a", ...
static inline const struct ee_violation *assert_violation(struct world *w,
                                                          enum ee_violation_kind kind,
                                                          const char *evidence) {
  const struct ee_violation *all, *match = NULL;
  size_t count = world_violations(w, &all);
  for (size_t i = 0; i < count; i++) {
    if (all[i].kind != (int)kind) continue;
    assert_null(match);
    match = &all[i];
  }
  assert_non_null(match);
  char text[1024] = "";
  for (size_t i = 0; i < match->evidence.count; i++) {
    const struct ee_evidence *at = &match->evidence.items[i];
    size_t used = strlen(text);
    snprintf(text + used, sizeof text - used, "%s%s %.*s", i == 0 ? "" : ", ",
             ee_phase_name((enum ee_phase)at->phase), EE_STR_ARG(at->event_id));
    assert_text(at->topic, ee_topics[at->phase].name);
    assert_int_equal(at->partition, PARTITION);
  }
  assert_string_equal(text, evidence);
  return match;
}

static inline union event an_admission(int64_t timeout_ms) {
  union event event = an_event(ADMISSION, "a", 10);
  event.admission.requested.timeout_ms = NUMBER(timeout_ms);
  return event;
}

#endif
