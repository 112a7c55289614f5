// SPDX-License-Identifier: Apache-2.0
// contract/deadline: the table of defaults, what properties change in it, and sums.
#include "contract/deadline.h"

#include "base/time.h"
#include "tests/support/test.h"

#define MINUTE_MS INT64_C(60000)

static struct ee_deadlines defaults(void) {
  static const struct ee_properties none = {.count = 0};
  struct ee_deadlines deadlines;
  assert_true(ee_deadlines_init(&deadlines, &none, NULL));
  return deadlines;
}

static struct ee_admission asking(enum ee_execution_kind kind, bool stated, int64_t timeout_ms) {
  return (struct ee_admission){
      .execution.kind = kind,
      .requested.timeout_ms = {.present = stated, .value = timeout_ms},
  };
}

static void test_defaults(void **state) {
  (void)state;
  static const int64_t minutes[EE_EXECUTION_KINDS] = {15, 2, 60, 60, 360, 360, 5, 60, 60};
  struct ee_deadlines deadlines = defaults();
  for (int kind = 0; kind < EE_EXECUTION_KINDS; kind++) {
    struct ee_admission admission = asking((enum ee_execution_kind)kind, false, 7);
    assert_int_equal(deadlines.default_ms[kind], minutes[kind] * MINUTE_MS);
    assert_int_equal(ee_deadline(&deadlines, &admission, 1000),
                     1000 + minutes[kind] * MINUTE_MS * EE_MICROS_PER_MS);
  }
}

static void test_what_is_asked_for_counts(void **state) {
  (void)state;
  struct ee_deadlines deadlines = defaults();
  struct ee_admission admission = asking(EE_EXECUTION_KIND_INFERENCE, true, 7);
  assert_int_equal(ee_deadline(&deadlines, &admission, 1000), 8000);
  admission.requested.timeout_ms.value = 0;
  assert_int_equal(ee_deadline(&deadlines, &admission, 1000), 1000);
  admission.requested.timeout_ms.value = -1;  // as if not stated
  assert_int_equal(ee_deadline(&deadlines, &admission, 1000),
                   1000 + 2 * MINUTE_MS * EE_MICROS_PER_MS);
}

static void test_far_times_saturate(void **state) {
  (void)state;
  struct ee_deadlines deadlines = defaults();
  struct ee_admission admission = asking(EE_EXECUTION_KIND_OTHER, true, INT64_MAX);
  assert_int_equal(ee_deadline(&deadlines, &admission, 0), INT64_MAX);
  admission.requested.timeout_ms.value = INT64_MAX / 1000;
  assert_int_equal(ee_deadline(&deadlines, &admission, 0), INT64_MAX / 1000 * 1000);
  assert_int_equal(ee_deadline(&deadlines, &admission, 808), INT64_MAX);
  assert_int_equal(ee_deadline(&deadlines, &admission, 807), INT64_MAX);
  assert_int_equal(ee_deadline(&deadlines, &admission, 806), INT64_MAX - 1);
}

static void test_properties_change_defaults(void **state) {
  (void)state;
  struct ee_properties changes = {
      .items = {{"tool_call", "90s"}, {"other", "2h"}, {"tool_call", "20ms"}}, .count = 3};
  struct ee_deadlines deadlines, unchanged = defaults();
  assert_true(ee_deadlines_init(&deadlines, &changes, NULL));
  assert_int_equal(deadlines.default_ms[EE_EXECUTION_KIND_TOOL_CALL], 20);
  assert_int_equal(deadlines.default_ms[EE_EXECUTION_KIND_OTHER], 120 * MINUTE_MS);
  deadlines.default_ms[EE_EXECUTION_KIND_TOOL_CALL] = 5 * MINUTE_MS;
  deadlines.default_ms[EE_EXECUTION_KIND_OTHER] = 60 * MINUTE_MS;
  assert_memory_equal(&deadlines, &unchanged, sizeof deadlines);
}

static void test_wrong_properties_are_refused(void **state) {
  (void)state;
  static const struct ee_property wrong[] = {
      {"tool-call", "5s"},
      {"", "5s"},
      {"Other", "5s"},
      {"other", ""},
      {"other", "-5s"},
      {"other", "5 s"},
      {"other", "9223372036854775807d"},
  };
  for (size_t i = 0; i < COUNT_OF(wrong); i++) {
    struct ee_properties changes = {.items = {{"inference", "1s"}, wrong[i]}, .count = 2};
    struct ee_deadlines deadlines = defaults(), unchanged = deadlines;
    struct ee_err err = {.text = ""};
    assert_false(ee_deadlines_init(&deadlines, &changes, &err));
    assert_true(strlen(err.text) > 0);
    assert_memory_equal(&deadlines, &unchanged, sizeof deadlines);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_defaults),
      cmocka_unit_test(test_what_is_asked_for_counts),
      cmocka_unit_test(test_far_times_saturate),
      cmocka_unit_test(test_properties_change_defaults),
      cmocka_unit_test(test_wrong_properties_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
