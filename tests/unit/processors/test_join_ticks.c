// SPDX-License-Identifier: Apache-2.0
// What ticks decide: deadlines, orphans, retirement, each at its time and on what lies below
// the tick alone.
#include "tests/unit/processors/join_world.h"

// ---- Deadlines and orphans.

static void test_deadline_missed(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  union event admission = an_admission(1000);
  world_event(&w, ADMISSION, &admission);
  world_tick(&w, NOON + 6 * SECOND - 1);
  assert_status(&w, EE_STATUS_ADMITTED, EE_OUTCOME_PENDING);
  world_tick(&w, NOON + 6 * SECOND);
  assert_status(&w, EE_STATUS_ADMITTED, EE_OUTCOME_INCOMPLETE);
  assert_violation(&w, EE_VIOLATION_KIND_DEADLINE_MISSED, "admission a");
  assert_refs(&w, 1, (enum ee_violation_kind[]){EE_VIOLATION_KIND_DEADLINE_MISSED});
  world_tick(&w, NOON + 60 * SECOND);
  assert_int_equal(world_outputs(&w, EE_TOPIC_VIOLATION), 1);
  // the end that comes late: no longer incomplete, still missed
  w.now = NOON + 60 * SECOND;
  world_add(&w, FINALIZED, "f", 5);
  assert_status(&w, EE_STATUS_FINALIZED, EE_OUTCOME_UNSTATED);
  assert_refs(&w, 1, (enum ee_violation_kind[]){EE_VIOLATION_KIND_DEADLINE_MISSED});
  world_release(&w);
}

static void test_deadline_met(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  union event admission = an_admission(1000);
  world_event(&w, ADMISSION, &admission);
  w.now += 3 * SECOND;
  world_add(&w, RELEASED, "x", 5);
  size_t before = world_outputs(&w, EE_TOPIC_LIFECYCLE);
  world_tick(&w, NOON + 600 * SECOND);
  assert_int_equal(world_outputs(&w, EE_TOPIC_LIFECYCLE), before);  // was not looked at
  assert_int_equal(world_outputs(&w, EE_TOPIC_VIOLATION), 0);
  world_release(&w);
}

// Only what lies below the tick counts for what is decided once; the outcome counts all.
static void test_end_beyond_the_tick(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  union event admission = an_admission(1000);
  world_event(&w, ADMISSION, &admission);
  int64_t offsets[EE_TOPIC_COUNT];
  memcpy(offsets, w.offsets, sizeof offsets);
  w.now = NOON + 6 * SECOND;
  world_add(&w, FINALIZED, "f", 5);
  assert_true(step_double_tick(w.d, PARTITION, NOON + 6 * SECOND, offsets));
  assert_violation(&w, EE_VIOLATION_KIND_DEADLINE_MISSED, "admission a");
  assert_status(&w, EE_STATUS_FINALIZED, EE_OUTCOME_UNSTATED);
  world_release(&w);
}

// An admission that lies beyond a tick is not judged by it, but by the next.
static void test_admission_beyond_the_tick(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  w.settings.grace_ms = 0;
  int64_t none[EE_TOPIC_COUNT] = {0};
  union event admission = an_admission(0);
  world_event(&w, ADMISSION, &admission);
  assert_true(step_double_tick(w.d, PARTITION, NOON, none));
  assert_int_equal(world_outputs(&w, EE_TOPIC_VIOLATION), 0);
  assert_status(&w, EE_STATUS_ADMITTED, EE_OUTCOME_INCOMPLETE);
  world_tick(&w, NOON + 1);
  assert_violation(&w, EE_VIOLATION_KIND_DEADLINE_MISSED, "admission a");
  world_release(&w);
}

static void test_foreign_end_meets_no_deadline(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  union event admission = an_admission(1000), end = an_event(FINALIZED, "f", 5);
  end.head.tenant = EE_STR("other");
  world_event(&w, FINALIZED, &end);
  world_event(&w, ADMISSION, &admission);
  world_tick(&w, NOON + 6 * SECOND);
  assert_violation(&w, EE_VIOLATION_KIND_DEADLINE_MISSED, "admission a");
  assert_status(&w, EE_STATUS_ADMITTED, EE_OUTCOME_INCOMPLETE);
  world_release(&w);
}

static void test_orphan(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  world_add(&w, RESOLVED, "r", 5);
  w.now += 40 * SECOND;
  world_add(&w, ANNOTATION, "n", 1);
  world_tick(&w, NOON + 60 * SECOND - 1);
  assert_int_equal(world_outputs(&w, EE_TOPIC_VIOLATION), 0);
  int64_t offsets[EE_TOPIC_COUNT];
  memcpy(offsets, w.offsets, sizeof offsets);
  w.now = NOON + 60 * SECOND;
  world_add(&w, RELEASED, "beyond", 5);
  world_add(&w, ADMISSION, "a", 5);
  assert_true(step_double_tick(w.d, PARTITION, NOON + 60 * SECOND, offsets));
  const struct ee_violation *found =
      assert_violation(&w, EE_VIOLATION_KIND_ORPHAN, "resolved r, annotation n");
  struct ee_str ids[] = {EE_STR("n"), EE_STR("r")};
  char expected[EE_SHA256_HEX_SIZE];
  assert_true(ee_violation_id(EE_STR("orphan"), EE_STR("envelope"), ids, 2, expected));
  assert_text(found->violation_id, expected);
  world_tick(&w, NOON + 600 * SECOND);
  assert_int_equal(world_outputs(&w, EE_TOPIC_VIOLATION), 1);
  assert_status(&w, EE_STATUS_RELEASED, EE_OUTCOME_UNSTATED);
  world_release(&w);
}

static void test_admission_in_time_is_no_orphan(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  world_add(&w, FINALIZED, "f", 5);
  w.now += 59 * SECOND;
  world_add(&w, ADMISSION, "a", 5);
  world_tick(&w, NOON + 600 * SECOND);
  assert_int_equal(world_outputs(&w, EE_TOPIC_VIOLATION), 0);
  world_release(&w);
}

// What may have lost its beginning to retention is not judged; running values still run.
static void test_judge_from(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  union event admission = an_admission(1000), orphan = an_event(RESOLVED, "r", 1);
  orphan.head.envelope_id = EE_STR("orphan");
  world_event(&w, ADMISSION, &admission);
  world_event(&w, RESOLVED, &orphan);
  step_double_judge_from(w.d, NOON + 1);
  world_tick(&w, NOON + 600 * SECOND);
  assert_int_equal(world_outputs(&w, EE_TOPIC_VIOLATION), 0);
  assert_status(&w, EE_STATUS_ADMITTED, EE_OUTCOME_INCOMPLETE);
  world_release(&w);
}

static void test_far_deadline_is_never(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  union event admission = an_admission(INT64_MAX);
  world_event(&w, ADMISSION, &admission);
  assert_int_equal(world_lifecycle(&w)->deadline.value, INT64_MAX);
  world_tick(&w, INT64_MAX - 1);
  assert_status(&w, EE_STATUS_ADMITTED, EE_OUTCOME_PENDING);
  world_release(&w);
}

// ---- Retirement.

static void test_retirement(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  w.settings.retire_after_ms = 3600 * 1000;
  union event admission = an_admission(1000);
  world_event(&w, ADMISSION, &admission);
  w.now += SECOND;
  world_add(&w, FAILED, "f", 5);
  w.now += SECOND;
  world_add(&w, ANNOTATION, "n", 5);
  uint8_t digest[EE_SHA256_SIZE];
  memcpy(digest, world_lifecycle(&w)->admission_sha256, sizeof digest);
  int64_t retires = NOON + 2 * SECOND + 3605 * SECOND;
  world_tick(&w, retires - 1);
  assert_false(world_lifecycle(&w)->closed_at.present);
  world_tick(&w, retires);
  const struct ee_lifecycle *stub = world_lifecycle(&w);
  assert_true(stub->closed_at.present);
  assert_int_equal(stub->closed_at.value, NOON + SECOND);
  assert_int_equal(stub->status, EE_STATUS_FAILED);
  assert_int_equal(stub->outcome, EE_OUTCOME_DENIED);
  assert_text(stub->tenant, "acme");
  assert_memory_equal(stub->admission_sha256, digest, sizeof digest);
  assert_null(stub->admission);
  assert_int_equal(stub->failed.count + stub->annotations.count + stub->evidence.count, 0);
  assert_false(stub->deadline.present);
  w.now = retires + SECOND;
  world_add(&w, FINALIZED, "late", 5);
  const struct ee_violation *found =
      assert_violation(&w, EE_VIOLATION_KIND_AFTER_RETIREMENT, "finalized late");
  assert_text(found->tenant, "acme");
  assert_true(world_lifecycle(&w)->closed_at.present);
  world_tick(&w, retires + 7200 * SECOND);
  step_double_restore_without_clock(w.d);
  world_tick(&w, retires + 9999 * SECOND);
  assert_int_equal(world_lifecycle(&w)->finalized.count, 0);
  world_release(&w);
}

static void test_events_beyond_a_retiring_tick(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  w.settings.retire_after_ms = 1;
  w.settings.grace_ms = 0;
  world_add(&w, ADMISSION, "a", 5);
  world_add(&w, RELEASED, "x", 5);
  int64_t offsets[EE_TOPIC_COUNT];
  memcpy(offsets, w.offsets, sizeof offsets);
  w.now += SECOND;
  world_add(&w, FAILED, "beyond", 6);
  assert_status(&w, EE_STATUS_FAILED, EE_OUTCOME_DENIED);
  assert_true(step_double_tick(w.d, PARTITION, NOON + SECOND, offsets));
  assert_violation(&w, EE_VIOLATION_KIND_AFTER_RETIREMENT, "failed beyond");
  assert_status(&w, EE_STATUS_RELEASED, EE_OUTCOME_UNSTATED);
  assert_int_equal(world_lifecycle(&w)->closed_at.value, NOON);
  world_release(&w);
}

static void assert_retires(enum ee_phase last, enum ee_execution_kind kind, bool expected) {
  struct world w;
  world_init(&w);
  w.settings.retire_after_ms = 1000;
  union event admission = an_admission(1000);
  admission.admission.execution.kind = kind;
  world_event(&w, ADMISSION, &admission);
  world_add(&w, last, "last", 9);
  world_tick(&w, NOON + EE_MICROS_PER_HOUR);
  assert_int_equal(world_lifecycle(&w)->closed_at.present, expected);
  world_release(&w);
}

static void test_only_closed_envelopes_retire(void **state) {
  (void)state;
  assert_retires(FAILED, EE_EXECUTION_KIND_DEPLOYMENT, true);
  assert_retires(RELEASED, EE_EXECUTION_KIND_DEPLOYMENT, true);
  assert_retires(FINALIZED, EE_EXECUTION_KIND_DEPLOYMENT, false);
  assert_retires(FINALIZED, EE_EXECUTION_KIND_AGENT_RUN, true);
  assert_retires(RESOLVED, EE_EXECUTION_KIND_AGENT_RUN, false);
  struct world w;
  world_init(&w);
  w.settings.retire_after_ms = 1000;
  world_add(&w, RELEASED, "x", 9);  // no admission: not closed
  world_tick(&w, NOON + EE_MICROS_PER_HOUR);
  assert_false(world_lifecycle(&w)->closed_at.present);
  world_release(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_deadline_missed),
      cmocka_unit_test(test_deadline_met),
      cmocka_unit_test(test_end_beyond_the_tick),
      cmocka_unit_test(test_admission_beyond_the_tick),
      cmocka_unit_test(test_foreign_end_meets_no_deadline),
      cmocka_unit_test(test_orphan),
      cmocka_unit_test(test_admission_in_time_is_no_orphan),
      cmocka_unit_test(test_judge_from),
      cmocka_unit_test(test_far_deadline_is_never),
      cmocka_unit_test(test_retirement),
      cmocka_unit_test(test_events_beyond_a_retiring_tick),
      cmocka_unit_test(test_only_closed_envelopes_retire),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
