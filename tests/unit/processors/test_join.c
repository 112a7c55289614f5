// SPDX-License-Identifier: Apache-2.0
// The join, line by line of its table: fields of the lifecycle record, repeats and what
// conflicts with them, failures of the runtime.
#include "tests/unit/processors/join_world.h"

// ---- The record's fields.

static void test_admission_alone(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  union event admission = an_admission(1000);
  world_event(&w, ADMISSION, &admission);
  const struct ee_lifecycle *record = world_lifecycle(&w);
  assert_status(&w, EE_STATUS_ADMITTED, EE_OUTCOME_PENDING);
  assert_text(record->envelope_id, "envelope");
  assert_text(record->tenant, "acme");
  assert_true(record->deadline.present);
  assert_int_equal(record->deadline.value, NOON + SECOND);
  assert_int_equal(record->evidence.count, 1);
  assert_text(record->evidence.items[0].topic, "envelope.admission.v1");
  assert_int_equal(record->evidence.items[0].partition, PARTITION);
  assert_int_equal(record->evidence.items[0].offset, 0);
  assert_int_equal(record->evidence.items[0].timestamp, NOON);
  assert_int_equal(record->evidence.items[0].phase, ADMISSION);
  assert_text(record->evidence.items[0].event_id, "a");
  assert_false(record->closed_at.present);
  assert_int_equal(record->drift.count + record->violations.count + record->grants.count, 0);
  world_release(&w);
}

// The admission's bytes are the producer's, and the digest is theirs.
static void test_admission_bytes_are_carried(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  union event admission = an_admission(1000);
  struct ee_buf bytes;
  uint8_t digest[EE_SHA256_SIZE];
  ee_buf_init(&bytes, 1 << 20);
  ee_encode(&ee_admission_type, &admission, &bytes);
  ee_sha256(ee_buf_bytes(&bytes), digest);
  world_event(&w, ADMISSION, &admission);
  world_add(&w, RESOLVED, "r", 20);
  const struct ee_lifecycle *record = world_lifecycle(&w);
  assert_true(ee_bytes_equal(record->admission->encoded, ee_buf_bytes(&bytes)));
  assert_memory_equal(record->admission_sha256, digest, sizeof digest);
  ee_buf_release(&bytes);
  world_release(&w);
}

// A step of the join with an input as a writer of an older schema leaves it: the record is
// resolved, so `encoded` is not set, and the bytes are in another schema.
static bool step_as_older_writer(void *self, struct ee_step *step, const struct ee_input *input) {
  union event event;
  struct ee_input older = *input;
  memcpy(&event, input->record, ee_phase_record((enum ee_phase)input->topic)->size);
  event.head.encoded = ee_bytes(NULL, 0);
  older.record = &event;
  older.avro = ee_str_bytes(EE_STR("the older bytes"));
  return ee_join_processor(self).ops->step(self, step, &older);
}

static void test_older_writers_are_encoded_once(void **state) {
  (void)state;
  struct world w, usual;
  world_init(&w);
  world_init(&usual);
  struct ee_processor_ops ops = *w.processor.ops;
  ops.step = step_as_older_writer;
  struct ee_processor older = {.ops = &ops, .self = w.processor.self};
  step_double_free(w.d);
  w.d = step_double_new(&older);
  union event admission = an_admission(1000);
  for (int i = 0; i < 2; i++) {
    struct world *each = i == 0 ? &w : &usual;
    world_event(each, ADMISSION, &admission);
    world_add(each, RESOLVED, "r", 20);
    world_add(each, ANNOTATION, "n", 20);
  }
  uint8_t digest[EE_SHA256_SIZE];
  ee_sha256(ee_str_bytes(EE_STR("the older bytes")), digest);
  assert_memory_equal(world_lifecycle(&w)->admission_sha256, digest, sizeof digest);
  assert_true(ee_equal(&ee_admission_type, world_lifecycle(&w)->admission,
                       world_lifecycle(&usual)->admission, NULL));
  assert_true(ee_bytes_equal(world_lifecycle(&w)->admission->encoded,
                             world_lifecycle(&usual)->admission->encoded));
  assert_true(ee_bytes_equal(world_lifecycle(&w)->grants.items[0].encoded,
                             world_lifecycle(&usual)->grants.items[0].encoded));
  world_release(&w);
  world_release(&usual);
}

static void test_lists_are_in_order(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  world_add(&w, RESOLVED, "b", 30);
  world_add(&w, RESOLVED, "c", 20);
  world_add(&w, RESOLVED, "a", 30);
  world_add(&w, ANNOTATION, "z", -5);
  world_add(&w, ADMISSION, "adm", 99);
  const struct ee_lifecycle *record = world_lifecycle(&w);
  assert_int_equal(record->grants.count, 3);
  assert_text(record->grants.items[0].event_id, "c");
  assert_text(record->grants.items[1].event_id, "a");
  assert_text(record->grants.items[2].event_id, "b");
  static const char *const evidence[] = {"adm", "c", "a", "b", "z"};
  static const int64_t offsets[] = {0, 1, 2, 0, 0};
  assert_int_equal(record->evidence.count, COUNT_OF(evidence));
  for (size_t i = 0; i < COUNT_OF(evidence); i++) {
    assert_text(record->evidence.items[i].event_id, evidence[i]);
    assert_int_equal(record->evidence.items[i].offset, offsets[i]);
  }
  world_release(&w);
}

struct step {
  enum ee_phase phase;
  const char *event_id;
  int64_t occurred_at;
};

static void assert_status_after(const struct step *steps, size_t count, enum ee_status status,
                                enum ee_outcome outcome) {
  struct world w;
  world_init(&w);
  for (size_t i = 0; i < count; i++) {
    world_add(&w, steps[i].phase, steps[i].event_id, steps[i].occurred_at);
  }
  assert_status(&w, status, outcome);
  world_release(&w);
}
#define AFTER(STATUS, OUTCOME, ...)                                                           \
  assert_status_after((struct step[]){__VA_ARGS__}, COUNT_OF(((struct step[]){__VA_ARGS__})), \
                      EE_STATUS_##STATUS, EE_OUTCOME_##OUTCOME)

static void test_status(void **state) {
  (void)state;
  AFTER(ORPHANED, PENDING, {RESOLVED, "r", 1});
  AFTER(ORPHANED, PENDING, {RELEASED, "x", 1});
  AFTER(ADMITTED, PENDING, {ADMISSION, "a", 1}, {ANNOTATION, "n", 2});
  AFTER(RESOLVED, PENDING, {ADMISSION, "a", 1}, {RESOLVED, "r", 1});
  AFTER(FINALIZED, UNSTATED, {ADMISSION, "a", 1}, {FINALIZED, "f", 1});
  AFTER(RELEASED, UNSTATED, {ADMISSION, "a", 1}, {RELEASED, "x", 9}, {FINALIZED, "f", 8});
  AFTER(FINALIZED, UNSTATED, {ADMISSION, "a", 1}, {RELEASED, "x", 8}, {FINALIZED, "f", 9});
  // at equal times released over failed over finalized, whatever the event ids
  AFTER(RELEASED, UNSTATED, {ADMISSION, "a", 1}, {RELEASED, "1", 8}, {FINALIZED, "2", 8});
  AFTER(RELEASED, DENIED, {ADMISSION, "a", 1}, {RELEASED, "1", 8}, {FAILED, "2", 8});
  AFTER(FAILED, DENIED, {ADMISSION, "a", 1}, {FAILED, "1", 8}, {FINALIZED, "2", 8});
}

static void test_denied_and_unhealthy(void **state) {
  (void)state;
  AFTER(FAILED, DENIED, {ADMISSION, "a", 1}, {FAILED, "f", 5});
  AFTER(FAILED, DENIED, {ADMISSION, "a", 1}, {RESOLVED, "r", 6}, {FAILED, "f", 5});
  AFTER(FAILED, UNHEALTHY, {ADMISSION, "a", 1}, {RESOLVED, "r", 5}, {FAILED, "f", 5});
  AFTER(FAILED, UNHEALTHY, {ADMISSION, "a", 1}, {RESOLVED, "r", 4}, {RESOLVED, "s", 6},
        {FAILED, "f", 5});
  // a release heals nothing, success does
  AFTER(RELEASED, UNHEALTHY, {ADMISSION, "a", 1}, {RESOLVED, "r", 2}, {FAILED, "f", 5},
        {RELEASED, "x", 9});
  AFTER(FINALIZED, UNSTATED, {ADMISSION, "a", 1}, {FAILED, "f", 5}, {FINALIZED, "g", 6});
  AFTER(FAILED, DENIED, {ADMISSION, "a", 1}, {FINALIZED, "g", 5}, {FAILED, "f", 6});
  // failed? comes before the question of an admission
  AFTER(ORPHANED, DENIED, {FAILED, "f", 5});
  AFTER(ORPHANED, UNHEALTHY, {FAILED, "f", 5}, {RESOLVED, "r", 5});
}

// What is asked for is 4 and 8; the outcome of granting these two.
static void assert_drift_outcome(int64_t cpu, int64_t concurrency, const char *engine,
                                 enum ee_outcome outcome) {
  struct world w;
  world_init(&w);
  union event admission = an_admission(1000), grant = an_event(RESOLVED, "r", 20);
  admission.admission.requested.cpu_millis = NUMBER(4);
  admission.admission.requested.concurrency = NUMBER(8);
  admission.admission.requested.engine = EE_STR("vllm");
  if (cpu >= 0) grant.resolved.granted.cpu_millis = NUMBER(cpu);
  if (concurrency >= 0) grant.resolved.granted.concurrency = NUMBER(concurrency);
  grant.resolved.granted.engine = ee_str(engine);
  grant.resolved.granted.timeout_ms = NUMBER(1);  // listed, not counted
  world_event(&w, RESOLVED, &grant);
  world_event(&w, ADMISSION, &admission);
  assert_status(&w, EE_STATUS_RESOLVED, outcome);
  assert_int_equal(world_lifecycle(&w)->drift.count, 4);
  world_add(&w, FINALIZED, "f", 30);
  if (outcome == EE_OUTCOME_PENDING) outcome = EE_OUTCOME_UNSTATED;
  assert_status(&w, EE_STATUS_FINALIZED, outcome);
  world_release(&w);
}

static void test_outcome_of_drift(void **state) {
  (void)state;
  assert_drift_outcome(4, 8, "vllm", EE_OUTCOME_AS_REQUESTED);
  assert_drift_outcome(4, 9, "vllm", EE_OUTCOME_WIDENED);
  assert_drift_outcome(3, 9, "vllm", EE_OUTCOME_NARROWED);
  assert_drift_outcome(3, 9, "sglang", EE_OUTCOME_REBOUND);
  assert_drift_outcome(-1, -1, "vllm", EE_OUTCOME_AS_REQUESTED);
  assert_drift_outcome(-1, 8, NULL, EE_OUTCOME_AS_REQUESTED);
  assert_drift_outcome(-1, -1, NULL, EE_OUTCOME_PENDING);
}

// Drift is that of the last grant.
static void test_effective_grant(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  union event admission = an_admission(1000), grant = an_event(RESOLVED, "late", 40);
  admission.admission.requested.cpu_millis = NUMBER(4);
  grant.resolved.granted.cpu_millis = NUMBER(4);
  world_event(&w, ADMISSION, &admission);
  world_event(&w, RESOLVED, &grant);
  grant.head.event_id = EE_STR("early");
  grant.head.occurred_at = 39;
  grant.resolved.granted.cpu_millis = NUMBER(1);
  world_event(&w, RESOLVED, &grant);
  assert_status(&w, EE_STATUS_RESOLVED, EE_OUTCOME_AS_REQUESTED);
  assert_int_equal(world_lifecycle(&w)->grants.count, 2);
  world_release(&w);
}

static void test_tenant(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  union event annotation = an_event(ANNOTATION, "n", 1), failed = an_event(FAILED, "f", 5);
  annotation.head.tenant = EE_STR("first read");
  failed.head.tenant = EE_STR("phase before");
  world_event(&w, ANNOTATION, &annotation);
  assert_text(world_lifecycle(&w)->tenant, "first read");
  world_event(&w, FAILED, &failed);
  assert_text(world_lifecycle(&w)->tenant, "phase before");
  failed.head.tenant = EE_STR("earlier");
  failed.head.event_id = EE_STR("g");
  failed.head.occurred_at = 4;
  world_event(&w, FAILED, &failed);
  assert_text(world_lifecycle(&w)->tenant, "earlier");
  world_add(&w, ADMISSION, "a", 9);
  assert_text(world_lifecycle(&w)->tenant, "acme");
  world_release(&w);
}

static void test_foreign_events_count_for_nothing(void **state) {
  (void)state;
  for (int admission_first = 0; admission_first < 2; admission_first++) {
    struct world w;
    world_init(&w);
    union event admission = an_admission(1000);
    admission.admission.requested.cpu_millis = NUMBER(4);
    if (admission_first) world_event(&w, ADMISSION, &admission);
    for (enum ee_phase p = RESOLVED; p <= ANNOTATION; p++) {
      union event event = an_event(p, ee_phase_name(p), 5);
      event.head.tenant = EE_STR("other");
      if (p == RESOLVED) event.resolved.granted.cpu_millis = NUMBER(1);
      world_event(&w, p, &event);
    }
    world_add(&w, RESOLVED, "own", 1);
    if (!admission_first) world_event(&w, ADMISSION, &admission);
    const struct ee_lifecycle *record = world_lifecycle(&w);
    assert_status(&w, EE_STATUS_RESOLVED, EE_OUTCOME_PENDING);
    assert_text(record->tenant, "acme");
    assert_int_equal(record->grants.count, 1);
    assert_int_equal(record->finalized.count + record->failed.count + record->released.count, 0);
    assert_int_equal(record->annotations.count, 0);
    assert_int_equal(record->foreign.resolved.count, 1);
    assert_int_equal(record->foreign.finalized.count, 1);
    assert_int_equal(record->foreign.failed.count, 1);
    assert_int_equal(record->foreign.released.count, 1);
    assert_int_equal(record->foreign.annotations.count, 1);
    assert_int_equal(record->evidence.count, 7);
    assert_int_equal(record->violations.count, 5);
    const struct ee_violation *found;
    assert_int_equal(world_violations(&w, &found), 5);
    for (size_t i = 0; i < 5; i++) {
      assert_int_equal(found[i].kind, EE_VIOLATION_KIND_TENANT_MISMATCH);
      assert_text(found[i].tenant, "acme");
      assert_int_equal(found[i].evidence.count, 2);
      assert_int_equal(found[i].evidence.items[0].phase, ADMISSION);
    }
    world_release(&w);
  }
}

// ---- Repeats.

static void test_duplicates_leave_no_trace(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  for (enum ee_phase p = 0; p < EE_PHASE_TOPICS; p++) {
    world_add(&w, p, "same", 5);  // one id in six phases: six events
  }
  assert_int_equal(world_lifecycle(&w)->evidence.count, EE_PHASE_TOPICS);
  size_t before = world_outputs(&w, EE_TOPIC_LIFECYCLE);
  w.now += SECOND;
  for (enum ee_phase p = 0; p < EE_PHASE_TOPICS; p++) {
    world_add(&w, p, "same", 5);
  }
  union event again = an_event(ADMISSION, "another id", 7);
  again.head.source = EE_STR("urn:another:source");
  world_event(&w, ADMISSION, &again);
  assert_int_equal(world_outputs(&w, EE_TOPIC_LIFECYCLE), before);
  assert_int_equal(world_outputs(&w, EE_TOPIC_VIOLATION), 0);
  world_release(&w);
}

static void test_maps_compare_as_sets(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  struct ee_str_entry forward[] = {{EE_STR("a"), EE_STR("1")}, {EE_STR("b"), EE_STR("2")}};
  struct ee_str_entry backward[] = {forward[1], forward[0]};
  union event event = an_admission(1000);
  event.admission.requested.placement = (struct ee_str_map){forward, 2};
  world_event(&w, ADMISSION, &event);
  event.admission.requested.placement.entries = backward;
  world_event(&w, ADMISSION, &event);
  assert_int_equal(world_outputs(&w, EE_TOPIC_VIOLATION), 0);
  event.admission.requested.placement.count = 1;
  world_event(&w, ADMISSION, &event);
  assert_int_equal(world_outputs(&w, EE_TOPIC_VIOLATION), 1);
  world_release(&w);
}

static void test_event_id_conflict(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  world_add(&w, RESOLVED, "r", 5);
  struct ee_bytes before = world_lifecycle(&w)->grants.items[0].encoded;
  world_add(&w, RESOLVED, "r", 6);
  const struct ee_violation *found =
      assert_violation(&w, EE_VIOLATION_KIND_EVENT_ID_CONFLICT, "resolved r, resolved r");
  assert_int_equal(found->evidence.items[0].offset, 0);
  assert_int_equal(found->evidence.items[1].offset, 1);
  assert_text(found->tenant, "acme");
  const struct ee_lifecycle *record = world_lifecycle(&w);
  assert_int_equal(record->grants.count, 1);
  assert_true(ee_bytes_equal(record->grants.items[0].encoded, before));
  assert_int_equal(record->violations.count, 1);
  assert_true(ee_str_equal(record->violations.items[0].violation_id, found->violation_id));
  // a third and the same breach in another phase have the same id: said once
  size_t records = world_outputs(&w, EE_TOPIC_LIFECYCLE);
  world_add(&w, RESOLVED, "r", 7);
  assert_int_equal(world_outputs(&w, EE_TOPIC_LIFECYCLE), records);
  world_add(&w, ANNOTATION, "r", 7);
  world_add(&w, ANNOTATION, "r", 8);
  assert_int_equal(world_outputs(&w, EE_TOPIC_VIOLATION), 1);
  struct ee_str ids[] = {EE_STR("r")};
  char expected[EE_SHA256_HEX_SIZE];
  assert_true(ee_violation_id(EE_STR("event_id_conflict"), EE_STR("envelope"), ids, 1, expected));
  assert_text(found->violation_id, expected);
  world_release(&w);
}

static void test_admission_conflict(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  union event admission = an_admission(1000);
  world_event(&w, ADMISSION, &admission);
  struct ee_str before =
      ee_arena_str(&w.arena, ee_bytes_str(world_lifecycle(&w)->admission->encoded));
  admission.admission.requested.timeout_ms.value = 2000;
  world_event(&w, ADMISSION, &admission);  // the same event_id: this and nothing else
  assert_violation(&w, EE_VIOLATION_KIND_ADMISSION_CONFLICT, "admission a, admission a");
  admission.head.event_id = EE_STR("b");
  admission.head.tenant = EE_STR("other");
  step_double_clear_outputs(w.d);
  world_event(&w, ADMISSION, &admission);
  assert_violation(&w, EE_VIOLATION_KIND_ADMISSION_CONFLICT, "admission a, admission b");
  const struct ee_lifecycle *record = world_lifecycle(&w);
  assert_true(ee_bytes_equal(record->admission->encoded, ee_str_bytes(before)));
  assert_text(record->tenant, "acme");
  assert_refs(&w, 2,
              (enum ee_violation_kind[]){EE_VIOLATION_KIND_ADMISSION_CONFLICT,
                                         EE_VIOLATION_KIND_ADMISSION_CONFLICT});
  assert_int_equal(record->evidence.count, 1);
  world_release(&w);
}

static void test_many_admission_conflicts(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  world_add(&w, ADMISSION, "a", 1);
  char names[100][8];
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    snprintf(names[i], sizeof names[i], "c%zu", i);
    union event other = an_admission((int64_t)i);
    other.head.event_id = ee_str(names[i]);
    world_event(&w, ADMISSION, &other);
  }
  const struct ee_lifecycle *record = world_lifecycle(&w);
  assert_int_equal(record->violations.count, EE_ADMISSION_CONFLICTS_LISTED);
  const struct ee_violation *found;
  assert_int_equal(world_violations(&w, &found), COUNT_OF(names));
  // listed are the first 64 that were found
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    bool listed = false;
    for (size_t j = 0; j < record->violations.count; j++) {
      listed |= ee_str_equal(record->violations.items[j].violation_id, found[i].violation_id);
    }
    assert_int_equal(listed, i < EE_ADMISSION_CONFLICTS_LISTED);
  }
  for (size_t j = 1; j < record->violations.count; j++) {
    assert_true(ee_str_compare(record->violations.items[j - 1].violation_id,
                               record->violations.items[j].violation_id) < 0);
  }
  world_release(&w);
}

// ---- Failures of the runtime.

static void run_story(struct world *w, int fail_at) {
  union event foreign = an_event(FAILED, "f", 3);
  foreign.head.tenant = EE_STR("other");
  union event admission = an_admission(1000), conflict = an_admission(2000);
  const struct {
    enum ee_phase phase;
    const union event *event;
  } steps[] = {{FAILED, &foreign}, {ADMISSION, &admission}, {ADMISSION, &conflict}};
  for (size_t i = 0; i < COUNT_OF(steps); i++) {
    step_double_fail_at(w->d, fail_at);
    bool done = world_try(w, steps[i].phase, steps[i].event);
    step_double_fail_at(w->d, 0);
    if (!done) assert_true(world_try(w, steps[i].phase, steps[i].event));
    w->offsets[steps[i].phase]++;
  }
  step_double_fail_at(w->d, fail_at);
  bool done = step_double_tick(w->d, PARTITION, NOON + 600 * SECOND, w->offsets);
  step_double_fail_at(w->d, 0);
  if (!done) assert_true(step_double_tick(w->d, PARTITION, NOON + 600 * SECOND, w->offsets));
}

static void test_failed_calls_stop_the_step(void **state) {
  (void)state;
  struct world whole;
  world_init(&whole);
  run_story(&whole, 0);
  const struct step_output *expected, *outputs;
  size_t count = step_double_outputs(whole.d, &expected);
  for (int n = 1; n < 8; n++) {
    struct world w;
    world_init(&w);
    run_story(&w, n);
    assert_int_equal(step_double_outputs(w.d, &outputs), count);
    for (size_t i = 0; i < count; i++) {
      assert_int_equal(outputs[i].topic, expected[i].topic);
      assert_true(ee_bytes_equal(outputs[i].value, expected[i].value));
    }
    world_release(&w);
  }
  world_release(&whole);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_admission_alone),
      cmocka_unit_test(test_admission_bytes_are_carried),
      cmocka_unit_test(test_older_writers_are_encoded_once),
      cmocka_unit_test(test_lists_are_in_order),
      cmocka_unit_test(test_status),
      cmocka_unit_test(test_denied_and_unhealthy),
      cmocka_unit_test(test_outcome_of_drift),
      cmocka_unit_test(test_effective_grant),
      cmocka_unit_test(test_tenant),
      cmocka_unit_test(test_foreign_events_count_for_nothing),
      cmocka_unit_test(test_duplicates_leave_no_trace),
      cmocka_unit_test(test_maps_compare_as_sets),
      cmocka_unit_test(test_event_id_conflict),
      cmocka_unit_test(test_admission_conflict),
      cmocka_unit_test(test_many_admission_conflicts),
      cmocka_unit_test(test_failed_calls_stop_the_step),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
