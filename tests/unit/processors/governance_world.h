// SPDX-License-Identifier: Apache-2.0
// Governance over the step double, and short ways to write policies, events and receipts
// and to read what came of them.
#ifndef EE_TESTS_GOVERNANCE_WORLD_H
#define EE_TESTS_GOVERNANCE_WORLD_H

#include <stdio.h>

#include "base/time.h"
#include "contract/ident.h"
#include "contract/record.h"
#include "governance/governance.h"
#include "tests/support/own_plan.h"
#include "tests/support/test.h"
#include "tests/unit/processors/step_double.h"

#define SECOND EE_MICROS_PER_S
#define HOUR EE_MICROS_PER_HOUR
#define NOON INT64_C(1778241600000000)  // 2026-05-08T12:00:00Z
#define GRACE (5 * SECOND)
#define PARTITION 3
#define NUMBER(n) ((struct ee_opt_long){.present = true, .value = (n)})
#define CHOSEN(n) ((struct ee_opt_enum){.present = true, .value = (n)})

// ---- Policies: tables that live as long as the block they are written in.

#define KINDS(...) \
  { .items = (int[]){__VA_ARGS__}, .count = sizeof((int[]){__VA_ARGS__}) / sizeof(int) }
#define TEXTS(...)                                                          \
  {                                                                         \
    .items = (struct ee_str[]){__VA_ARGS__},                                \
    .count = sizeof((struct ee_str[]){__VA_ARGS__}) / sizeof(struct ee_str) \
  }
#define ENTRIES(...)                                                                    \
  {                                                                                     \
    .entries = (struct ee_str_entry[]){__VA_ARGS__},                                    \
    .count = sizeof((struct ee_str_entry[]){__VA_ARGS__}) / sizeof(struct ee_str_entry) \
  }
#define ENTRY(key, value) \
  { EE_STR_INIT(key), EE_STR_INIT(value) }
#define OBLIGATIONS(...)                                                                           \
  {                                                                                                \
    .items = (struct ee_policy_obligation[]){__VA_ARGS__},                                         \
    .count =                                                                                       \
        sizeof((struct ee_policy_obligation[]){__VA_ARGS__}) / sizeof(struct ee_policy_obligation) \
  }
#define RULES(...)                                                                          \
  {                                                                                         \
    .items = (struct ee_policy_rule[]){__VA_ARGS__},                                        \
    .count = sizeof((struct ee_policy_rule[]){__VA_ARGS__}) / sizeof(struct ee_policy_rule) \
  }
#define POLICY(...) \
  { .name = EE_STR_INIT("test"), .rules = RULES(__VA_ARGS__) }

// ---- Events.

union event {
  struct ee_event_head head;
  struct ee_admission admission;
  struct ee_resolved resolved;
  struct ee_finalized finalized;
  struct ee_failed failed;
  struct ee_released released;
  struct ee_annotation annotation;
};

// The least that is valid. Texts must outlive the event.
static inline union event an_event(enum ee_phase phase, const char *event_id) {
  union event event;
  memset(&event, 0, sizeof event);
  ee_record_init(ee_phase_record(phase), &event);
  event.head.envelope_id = EE_STR("envelope");
  event.head.event_id = ee_str(event_id);
  event.head.tenant = EE_STR("acme");
  event.head.occurred_at = NOON;
  event.head.source = EE_STR("urn:source");
  if (phase == EE_PHASE_ADMISSION) {
    event.admission.caller.requester_urn = EE_STR("urn:caller");
    event.admission.execution.kind = EE_EXECUTION_KIND_INFERENCE;
    event.admission.execution.service = EE_STR("serving");
    event.admission.execution.operation = EE_STR("infer");
  }
  if (phase == EE_PHASE_FINALIZED) event.finalized.runtime_id = EE_STR("r-1");
  if (phase == EE_PHASE_FAILED) event.failed.stage = EE_STR("run");
  return event;
}

// An admission that asks for something; governance must outlive it.
static inline union event an_admission(struct ee_governance *governance) {
  union event event = an_event(EE_PHASE_ADMISSION, "a");
  event.admission.governance = governance;
  return event;
}

static inline struct ee_receipt a_receipt(struct ee_str obligation_id,
                                          enum ee_obligation_state state, int64_t occurred_at) {
  struct ee_receipt receipt;
  ee_record_init(&ee_receipt_type, &receipt);
  receipt.obligation_id = obligation_id;
  receipt.envelope_id = EE_STR("envelope");
  receipt.tenant = EE_STR("acme");
  receipt.state = (int)state;
  receipt.actor = EE_STR("urn:actor");
  receipt.occurred_at = occurred_at;
  return receipt;
}

// Lower-case hex SHA-256 of [envelope_id, version, rule, name], none of which wants escapes.
static inline void id_of(const char *envelope_id, long long version, const char *rule,
                         const char *name, char out[EE_SHA256_HEX_SIZE]) {
  char text[1024];
  uint8_t digest[EE_SHA256_SIZE];
  int size =
      snprintf(text, sizeof text, "[\"%s\",%lld,\"%s\",\"%s\"]", envelope_id, version, rule, name);
  assert_in_range(size, 1, sizeof text - 1);
  ee_sha256(ee_bytes(text, (size_t)size), digest);
  ee_hex(ee_bytes(digest, sizeof digest), out);
}

// ---- The world.

struct world {
  struct ee_governance_settings settings;
  struct ee_processor processor;
  struct step_double *d;
  struct ee_policy_version version;
  int64_t offsets[EE_TOPIC_COUNT];  // of the next record
  int64_t now;                      // append time of the next record
  struct ee_arena arena;
};

// policy NULL: the built-in one; else it is version 7.
static inline void world_init(struct world *w, const struct ee_policy *policy) {
  *w = (struct world){.settings = {.grace_ms = GRACE / EE_MICROS_PER_MS}, .now = NOON};
  w->processor = ee_governance_processor(&w->settings);
  w->d = step_double_new(&w->processor);
  w->version = (struct ee_policy_version){.number = 7, .effective = NOON, .policy = policy};
  if (policy != NULL) step_double_policy(w->d, &w->version);
  ee_arena_init(&w->arena, (size_t)256 << 20);
}

static inline void world_release(struct world *w) {
  step_double_free(w->d);
  ee_arena_release(&w->arena);
}

static inline void world_input(struct world *w, enum ee_topic topic, const void *record) {
  assert_true(step_double_input(w->d, topic, PARTITION, w->offsets[topic], w->now, record));
  w->offsets[topic]++;
}

static inline void world_event(struct world *w, enum ee_phase phase, const union event *event) {
  world_input(w, (enum ee_topic)phase, event);
}

static inline void world_add(struct world *w, enum ee_phase phase, const char *event_id) {
  union event event = an_event(phase, event_id);
  world_event(w, phase, &event);
}

static inline void world_receive(struct world *w, const struct ee_receipt *receipt) {
  world_input(w, EE_TOPIC_OBLIGATION, receipt);
}

// A tick with everything that was read below its offsets.
static inline void world_tick(struct world *w, int64_t clock) {
  assert_true(step_double_tick(w->d, PARTITION, clock, w->offsets));
}

static inline const struct ee_governance_state *world_state(struct world *w, const char *id) {
  struct ee_buf key;
  ee_buf_init(&key, 1024);
  ee_key_envelope(&key, ee_str(id));
  struct ee_bytes bytes = step_double_state(w->d, PARTITION, 0, ee_buf_bytes(&key));
  ee_buf_release(&key);
  if (bytes.data == NULL) return NULL;
  struct ee_str kept = ee_arena_str(&w->arena, ee_bytes_str(bytes));
  struct ee_governance_state *state = ee_arena_zero(&w->arena, 1, sizeof *state);
  assert_true(
      ee_decode(own_plan(&ee_governance_state_type), ee_str_bytes(kept), &w->arena, state, NULL));
  return state;
}

// ---- What was written, decoded; lives until the world ends or clears its outputs.

static inline size_t world_outputs(struct world *w, enum ee_topic topic,
                                   const struct ee_record_type *type, void **ret) {
  const struct step_output *outputs;
  size_t count = step_double_outputs(w->d, &outputs), found = 0;
  char *all = ee_arena_zero(&w->arena, count + 1, type->size);
  assert_non_null(all);
  for (size_t i = 0; i < count; i++) {
    if (outputs[i].topic != topic) continue;
    struct ee_fault fault = {.reason = EE_ACCEPTED};
    void *record = all + type->size * found++;
    if (!ee_decode(own_plan(type), outputs[i].value, &w->arena, record, &fault)) {
      fail_msg("%s: %s", ee_reason_name(fault.reason), fault.detail);
    }
    assert_int_equal(outputs[i].partition, PARTITION);
  }
  *ret = all;
  return found;
}

static inline size_t world_obligations(struct world *w, const struct ee_obligation **ret) {
  void *all;
  size_t count = world_outputs(w, EE_TOPIC_GOVERNANCE, &ee_obligation_type, &all);
  *ret = all;
  return count;
}

static inline size_t world_entries(struct world *w, const struct ee_audit_entry **ret) {
  void *all;
  size_t count = world_outputs(w, EE_TOPIC_AUDIT, &ee_audit_entry_type, &all);
  *ret = all;
  return count;
}

// ---- Assertions.

static inline void assert_text(struct ee_str text, const char *expected) {
  assert_non_null(text.data);
  assert_int_equal(text.size, strlen(expected));
  assert_memory_equal(text.data, expected, text.size);
}

static inline struct ee_str parameter(const struct ee_str_map *parameters, const char *name) {
  for (size_t i = 0; i < parameters->count; i++) {
    if (ee_str_equal(parameters->entries[i].key, ee_str(name))) {
      return parameters->entries[i].value;
    }
  }
  return (struct ee_str){.data = NULL};
}

#endif
