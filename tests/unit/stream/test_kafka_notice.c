// SPDX-License-Identifier: Apache-2.0
// Notices: order, bound, what is said once.
#include "stream/kafka_notice.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/support/test.h"

static struct ee_kafka_notices notices;

static int setup(void **state) {
  (void)state;
  ee_kafka_notices_init(&notices, eventfd(0, EFD_NONBLOCK));
  return 0;
}

static int teardown(void **state) {
  (void)state;
  close(notices.wake_fd);
  ee_kafka_notices_release(&notices);
  return 0;
}

static void expect(enum ee_outcome_class outcome, const char *text) {
  struct ee_kafka_notice notice;
  assert_true(ee_kafka_notice_take(&notices, &notice));
  assert_int_equal(notice.outcome, outcome);
  assert_string_equal(notice.err.text, text);
}

static void expect_none(void) {
  struct ee_kafka_notice notice;
  assert_false(ee_kafka_notice_take(&notices, &notice));
}

static void test_order(void **state) {
  (void)state;
  uint64_t woken;
  expect_none();
  assert_int_equal(read(notices.wake_fd, &woken, sizeof(woken)), -1);
  for (int round = 0; round < 3 * EE_KAFKA_NOTICES; round++) {
    ee_kafka_notice(&notices, EE_RETRY, "first %d", round);
    ee_kafka_notice(&notices, EE_FATAL, "second");
    char text[32];
    snprintf(text, sizeof(text), "first %d", round);
    expect(EE_RETRY, text);
    expect(EE_FATAL, "second");
    expect_none();
  }
  assert_int_equal(read(notices.wake_fd, &woken, sizeof(woken)), sizeof(woken));
}

// Full: what heals is dropped, what does not heal is never.
static void test_full(void **state) {
  (void)state;
  for (int i = 0; i < EE_KAFKA_NOTICES; i++)
    ee_kafka_notice(&notices, EE_RETRY, "%d", i);
  ee_kafka_notice(&notices, EE_RETRY, "dropped");
  for (int i = 0; i < EE_KAFKA_NOTICES; i++) {
    char text[16];
    snprintf(text, sizeof(text), "%d", i);
    expect(EE_RETRY, text);
  }
  expect_none();
  for (int i = 0; i < EE_KAFKA_NOTICES; i++)
    ee_kafka_notice(&notices, EE_RETRY, "%d", i);
  ee_kafka_notice(&notices, EE_FENCED, "kept");
  for (int i = 0; i < EE_KAFKA_NOTICES - 1; i++) {
    char text[16];
    snprintf(text, sizeof(text), "%d", i);
    expect(EE_RETRY, text);
  }
  expect(EE_FENCED, "kept");
  expect_none();
}

static void test_ailments(void **state) {
  (void)state;
  for (int round = 0; round < 2; round++) {
    ee_kafka_notice_ailment(&notices, EE_KAFKA_BROKERS_AWAY, "away");
    ee_kafka_notice_ailment(&notices, EE_KAFKA_BROKERS_AWAY, "still away");
    ee_kafka_notice_ailment(&notices, EE_KAFKA_TICKS_FAIL, "ticks");
    expect(EE_RETRY, "away");
    expect(EE_RETRY, "ticks");
    expect_none();
    ee_kafka_notice_healed(&notices, EE_KAFKA_TICKS_FAIL);
    ee_kafka_notice_ailment(&notices, EE_KAFKA_BROKERS_AWAY, "still away");
    expect_none();
    ee_kafka_notice_healed(&notices, EE_KAFKA_BROKERS_AWAY);
  }
}

// How many are away says less than why the last connection failed, and that one was lost
// less than why there is none.
static void test_away(void **state) {
  (void)state;
  struct ee_err known = {.text = "as it was"};
  assert_false(ee_kafka_notice_ails(&notices, EE_KAFKA_BROKERS_AWAY, &known));
  assert_string_equal(known.text, "as it was");
#define AWAY "Kafka at b:1 cannot be reached (is it running, and is --bootstrap right?): "
  for (int round = 0; round < 2; round++) {
    ee_kafka_notice_away(&notices, "b:1", "1/1 brokers are down");
    expect(EE_RETRY, AWAY "1/1 brokers are down");
    ee_kafka_notice_connection(&notices, "b:1: Disconnected");
    ee_kafka_notice_away(&notices, "b:1", "1/1 brokers are down");
    assert_true(ee_kafka_notice_ails(&notices, EE_KAFKA_BROKERS_AWAY, &known));
    assert_string_equal(known.text, AWAY "b:1: Disconnected");
    ee_kafka_notice_connection(&notices, "b:1: refused");
    ee_kafka_notice_connection(&notices, "b:1: Disconnected");
    ee_kafka_notice_away(&notices, "b:1", "1/1 brokers are down");
    assert_true(ee_kafka_notice_ails(&notices, EE_KAFKA_BROKERS_AWAY, &known));
    assert_string_equal(known.text, AWAY "b:1: refused");
    expect_none();  // said once
    ee_kafka_notice_healed(&notices, EE_KAFKA_BROKERS_AWAY);
    assert_false(ee_kafka_notice_ails(&notices, EE_KAFKA_BROKERS_AWAY, &known));
  }
}

static void test_long_text(void **state) {
  (void)state;
  char text[3 * EE_ERR_MAX];
  memset(text, 'x', sizeof(text) - 1);
  text[sizeof(text) - 1] = '\0';
  ee_kafka_notice(&notices, EE_FATAL, "%s", text);
  struct ee_kafka_notice notice;
  assert_true(ee_kafka_notice_take(&notices, &notice));
  assert_true(strlen(notice.err.text) < EE_ERR_MAX);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_order, setup, teardown),
      cmocka_unit_test_setup_teardown(test_full, setup, teardown),
      cmocka_unit_test_setup_teardown(test_ailments, setup, teardown),
      cmocka_unit_test_setup_teardown(test_away, setup, teardown),
      cmocka_unit_test_setup_teardown(test_long_text, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
