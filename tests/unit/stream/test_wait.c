// SPDX-License-Identifier: Apache-2.0
// Waits end by their deadline or a signal, and say what they waited for.
#include "stream/wait.h"

#include "base/time.h"
#include "tests/support/test.h"

static void a_deadline_that_has_passed_ends_it(void **state) {
  (void)state;
  struct ee_wait wait;
  struct ee_err err = {.text = ""};
  ee_wait_init(&wait, 1000, NULL);
  assert_true(ee_wait_more(&wait, "Kafka", "refused", &err));
  wait.since_ms -= 1000;
  assert_false(ee_wait_more(&wait, "Kafka", "refused", &err));
  assert_string_equal(err.text, "waited 1.0 s for Kafka: refused");
  assert_false(ee_wait_more(&wait, "Kafka", NULL, &err));
  assert_string_equal(err.text, "waited 1.0 s for Kafka");
  ee_wait_again(&wait);
  assert_true(ee_wait_more(&wait, "Kafka", "", &err));
}

static void without_a_deadline_it_goes_on(void **state) {
  (void)state;
  struct ee_wait wait;
  struct ee_err err;
  ee_wait_init(&wait, 0, NULL);
  wait.since_ms -= INT64_C(86400000);
  assert_true(ee_wait_more(&wait, "Kafka", NULL, &err));
  assert_int_equal(ee_wait_slice(&wait, 100), 100);
}

static void a_signal_ends_it_first(void **state) {
  (void)state;
  volatile sig_atomic_t signal = 0;
  struct ee_wait wait;
  struct ee_err err;
  ee_wait_init(&wait, 0, &signal);
  assert_true(ee_wait_more(&wait, "Kafka", NULL, &err));
  signal = SIGTERM;
  assert_false(ee_wait_more(&wait, "Kafka", "refused", &err));
  assert_string_equal(err.text, "stopped by a signal while it waited for Kafka: refused");
}

static void a_slice_ends_at_the_deadline(void **state) {
  (void)state;
  struct ee_wait wait;
  ee_wait_init(&wait, 600000, NULL);
  assert_int_equal(ee_wait_slice(&wait, 1000), 1000);
  wait.since_ms = ee_clock_monotonic_ms() - 600000 + 500;
  int slice = ee_wait_slice(&wait, 1000);
  assert_true(slice >= 1 && slice <= 500);
  wait.since_ms -= 10000;
  assert_int_equal(ee_wait_slice(&wait, 1000), 1);
}

// Silent at first, then one line each ten seconds.
static void it_is_said_now_and_then(void **state) {
  (void)state;
  struct ee_wait wait;
  struct ee_err err;
  ee_wait_init(&wait, 0, NULL);
  int64_t said = wait.said_ms;
  assert_true(ee_wait_more(&wait, "Kafka", NULL, &err));
  assert_int_equal(wait.said_ms, said);
  wait.since_ms -= 4000;
  wait.said_ms -= 4000;
  assert_true(ee_wait_more(&wait, "Kafka", NULL, &err));
  said = wait.said_ms;
  assert_true(said >= wait.since_ms + 4000);
  assert_true(ee_wait_more(&wait, "Kafka", NULL, &err));
  assert_int_equal(wait.said_ms, said);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_deadline_that_has_passed_ends_it),
      cmocka_unit_test(without_a_deadline_it_goes_on),
      cmocka_unit_test(a_signal_ends_it_first),
      cmocka_unit_test(a_slice_ends_at_the_deadline),
      cmocka_unit_test(it_is_said_now_and_then),
  };
  return cmocka_run_group_tests_name("stream/wait", tests, NULL, NULL);
}
