// SPDX-License-Identifier: Apache-2.0
// Heads, names, sensitivity and order of events.
#include "contract/event.h"

#include <stdlib.h>

#include "tests/support/test.h"

static void phases_have_their_topics_records(void **state) {
  (void)state;
  for (int i = 0; i < EE_PHASE_TOPICS; i++) {
    const struct ee_record_type *type = ee_phase_record((enum ee_phase)i);
    assert_ptr_equal(type, ee_topics[i].value);
    // envelope.admission.v1
    const char *name = ee_phase_name((enum ee_phase)i);
    struct ee_str topic = ee_str(ee_topics[i].name);
    assert_int_equal(topic.size, strlen("envelope.") + strlen(name) + strlen(".v1"));
    assert_memory_equal(topic.data + strlen("envelope."), name, strlen(name));
    assert_int_equal(ee_phase_find(ee_str(name)), i);
  }
  assert_null(ee_phase_record(EE_PHASE_OTHER));
  assert_string_equal(ee_phase_name(EE_PHASE_OTHER), "other");
}

static void unknown_phases_are_not_found(void **state) {
  (void)state;
  assert_int_equal(ee_phase_find(EE_STR("other")), -1);
  assert_int_equal(ee_phase_find(EE_STR("")), -1);
  assert_int_equal(ee_phase_find(EE_STR("Admission")), -1);
  assert_int_equal(ee_phase_find(EE_STR("admission\0")), -1);
  assert_int_equal(ee_phase_find(EE_STR("admissio")), -1);
  assert_int_equal(ee_phase_find((struct ee_str){.data = NULL}), -1);
}

static void three_phases_end_an_envelope(void **state) {
  (void)state;
  assert_false(ee_phase_terminal(EE_PHASE_ADMISSION));
  assert_false(ee_phase_terminal(EE_PHASE_RESOLVED));
  assert_true(ee_phase_terminal(EE_PHASE_FINALIZED));
  assert_true(ee_phase_terminal(EE_PHASE_FAILED));
  assert_true(ee_phase_terminal(EE_PHASE_RELEASED));
  assert_false(ee_phase_terminal(EE_PHASE_ANNOTATION));
  assert_false(ee_phase_terminal(EE_PHASE_OTHER));
}

static struct ee_opt_enum stated(int value) {
  return (struct ee_opt_enum){.present = value >= 0, .value = value < 0 ? 0 : value};
}

// -1 is absent: the higher of the two, and the highest where neither is stated.
static void sensitivity_is_the_higher_one(void **state) {
  (void)state;
  for (int own = -1; own <= EE_SENSITIVITY_RESTRICTED; own++) {
    for (int governed = -1; governed <= EE_SENSITIVITY_RESTRICTED; governed++) {
      struct ee_governance governance = {.sensitivity = stated(governed)};
      struct ee_admission admission = {.sensitivity = stated(own), .governance = &governance};
      int higher = own > governed ? own : governed;
      if (higher < 0) higher = EE_SENSITIVITY_RESTRICTED;
      assert_int_equal(ee_event_sensitivity(EE_PHASE_ADMISSION, &admission), higher);
    }
    int alone = own < 0 ? EE_SENSITIVITY_RESTRICTED : own;
    struct ee_admission admission = {.sensitivity = stated(own)};
    assert_int_equal(ee_event_sensitivity(EE_PHASE_ADMISSION, &admission), alone);
    struct ee_failed failed = {.sensitivity = stated(own)};
    assert_int_equal(ee_event_sensitivity(EE_PHASE_FAILED, &failed), alone);
  }
  struct ee_failed mild = {.sensitivity = stated(EE_SENSITIVITY_PUBLIC)};
  assert_int_equal(ee_event_sensitivity(EE_PHASE_OTHER, &mild), EE_SENSITIVITY_RESTRICTED);
}

static void events_order_by_time_then_id_bytes(void **state) {
  (void)state;
  // In ascending order.
  const struct ee_event_head heads[] = {
      {.occurred_at = INT64_MIN, .event_id = EE_STR("z")},
      {.occurred_at = -1, .event_id = EE_STR("a")},
      {.occurred_at = 0, .event_id = EE_STR("")},
      {.occurred_at = 0, .event_id = EE_STR("B")},
      {.occurred_at = 0, .event_id = EE_STR("a")},
      {.occurred_at = 0, .event_id = EE_STR("aa")},
      {.occurred_at = 0, .event_id = EE_STR("\xC3\xA9")},
      {.occurred_at = INT64_MAX, .event_id = EE_STR("")},
  };
  for (size_t i = 0; i < COUNT_OF(heads); i++) {
    for (size_t j = 0; j < COUNT_OF(heads); j++) {
      int order = ee_event_order(&heads[i], &heads[j]);
      assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(phases_have_their_topics_records),
      cmocka_unit_test(unknown_phases_are_not_found),
      cmocka_unit_test(three_phases_end_an_envelope),
      cmocka_unit_test(sensitivity_is_the_higher_one),
      cmocka_unit_test(events_order_by_time_then_id_bytes),
  };
  return cmocka_run_group_tests_name("contract/event", tests, NULL, NULL);
}
