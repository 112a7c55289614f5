// SPDX-License-Identifier: Apache-2.0
// Transactions: what readers see of them, who is fenced, what fails them, how long they
// take; and ticks.
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/system/broker/cases.h"

static const struct ee_tp l0 = {EE_TOPIC_LIFECYCLE, 0}, v0 = {EE_TOPIC_VIOLATION, 0};

static const char *make_outputs(void) {
  const char *prefix = fresh_prefix();
  make_topics(prefix, (struct topic_wish[]){{.topic = EE_TOPIC_LIFECYCLE, .partitions = 1},
                                            {.topic = EE_TOPIC_TICK, .partitions = 1},
                                            {.topic = EE_TOPIC_VIOLATION,
                                             .partitions = 1,
                                             .settings = {"max.message.bytes", "1000", NULL}},
                                            {.partitions = 0}});
  return prefix;
}

static void open_one(struct driver *driver, const char *prefix, const char *instance) {
  driver_open(driver, &(struct opening){.prefix = prefix, .group = prefix, .instance = instance});
}

static enum ee_outcome_class begin(struct driver *driver) {
  struct ee_err err = {.text = ""};
  return driver->broker->ops->begin_transaction(driver->broker, &err);
}

// Committed is seen, aborted is not, and the reader passes both.
static void test_visibility(void **state) {
  (void)state;
  struct driver driver;
  open_one(&driver, make_outputs(), "one");
  driver.broker->ops->read(driver.broker, l0, 0);
  open_transaction(&driver);
  assert_int_equal(put(&driver, l0, "aborted"), EE_DONE);
  assert_int_equal(perform_kind(&driver, EE_OP_ABORT), EE_DONE);
  assert_int_equal(perform_kind(&driver, EE_OP_ABORT), EE_DONE);  // nothing is open
  assert_int_equal(put(&driver, l0, "outside"), EE_ABORT);
  assert_int_equal(begin(&driver), EE_DONE);
  assert_int_equal(put(&driver, l0, "committed"), EE_DONE);
  assert_int_equal(perform_kind(&driver, EE_OP_COMMIT), EE_DONE);
  assert_int_equal(begin(&driver), EE_DONE);
  assert_int_equal(perform_kind(&driver, EE_OP_COMMIT), EE_DONE);  // empty
  DRIVE_UNTIL(&driver, driver.broker->ops->position(driver.broker, l0) ==
                           end_offset(&driver, l0, EE_READ_UNCOMMITTED));
  assert_int_equal(driver.seen_count, 1);
  assert_string_equal(driver.seen[0].value, "committed");
  driver_close(&driver, 5000);
}

// END begun right after COMMIT is answered after it, and covers its records.
static void test_order(void **state) {
  (void)state;
  struct driver driver;
  open_one(&driver, make_outputs(), "one");
  open_transaction(&driver);
  for (int64_t round = 1; round <= 20; round++) {
    assert_int_equal(put(&driver, l0, "x"), EE_DONE);
    struct ee_tp_offset at = {.tp = l0};
    struct ee_operation commit = {.kind = EE_OP_COMMIT};
    struct ee_operation end = {
        .kind = EE_OP_END, .isolation = EE_READ_UNCOMMITTED, .offsets = &at, .count = 1};
    driver.broker->ops->begin(driver.broker, &commit);
    driver.broker->ops->begin(driver.broker, &end);
    DRIVE_UNTIL(&driver, !end.pending);
    assert_false(commit.pending);
    assert_int_equal(commit.outcome, EE_DONE);
    assert_true(at.offset >= 2 * round - 1);
    assert_int_equal(begin(&driver), EE_DONE);
  }
  driver_close(&driver, 5000);
}

// A second process with the same group and instance takes over; the first may come back. (That
// it is another process, and not a transaction that has timed out, only the group can say.)
static void test_fencing(void **state) {
  (void)state;
  struct driver a, b;
  const char *prefix = make_outputs();
  open_one(&a, prefix, "same");
  open_one(&b, prefix, "same");
  open_transaction(&a);
  assert_int_equal(put(&a, l0, "of a"), EE_DONE);
  drive_for(&a, 100);  // it has left the queue: b has something to abort
  open_transaction(&b);
  assert_int_equal(put(&b, l0, "of b"), EE_DONE);
  put(&a, l0, "of a, late");
  assert_int_equal(perform_kind(&a, EE_OP_COMMIT), EE_INDEFINITE);
  assert_int_equal(perform_kind(&a, EE_OP_ABORT), EE_INDEFINITE);
  assert_int_equal(begin(&a), EE_INDEFINITE);
  assert_int_equal(perform_kind(&b, EE_OP_COMMIT), EE_DONE);
  assert_int_equal(a.troubles[EE_FENCED], 0);  // said by the operations
  assert_int_equal(perform_kind(&a, EE_OP_RENEW), EE_DONE);
  assert_int_equal(begin(&a), EE_DONE);
  assert_int_equal(put(&a, l0, "of a, new"), EE_DONE);
  assert_int_equal(perform_kind(&a, EE_OP_COMMIT), EE_DONE);
  assert_int_equal(begin(&b), EE_DONE);
  put(&b, l0, "of b, late");
  assert_int_equal(perform_kind(&b, EE_OP_COMMIT), EE_INDEFINITE);
  a.broker->ops->read(a.broker, l0, 0);
  DRIVE_UNTIL(&a, a.broker->ops->position(a.broker, l0) == end_offset(&a, l0, EE_READ_UNCOMMITTED));
  assert_int_equal(a.seen_count, 2);
  assert_string_equal(a.seen[0].value, "of b");
  assert_string_equal(a.seen[1].value, "of a, new");
  driver_close(&a, 5000);
  driver_close(&b, 5000);
}

static char *make_text(size_t size) {
  char *text = malloc(size + 1);
  assert_non_null(text);
  memset(text, 'x', size);
  text[size] = '\0';
  return text;
}

// What the broker does not take fails the transaction, and the next one is whole.
static void test_delivery_failure(void **state) {
  (void)state;
  struct driver driver;
  open_one(&driver, make_outputs(), "one");
  open_transaction(&driver);
  char *text = make_text(5000);
  assert_int_equal(put(&driver, l0, "with it"), EE_DONE);
  assert_int_equal(put(&driver, v0, text), EE_DONE);
  free(text);
  assert_int_equal(perform_kind(&driver, EE_OP_COMMIT), EE_ABORT);
  assert_int_equal(perform_kind(&driver, EE_OP_ABORT), EE_DONE);
  assert_int_equal(begin(&driver), EE_DONE);
  assert_int_equal(put(&driver, l0, "after it"), EE_DONE);
  assert_int_equal(perform_kind(&driver, EE_OP_COMMIT), EE_DONE);
  driver.broker->ops->read(driver.broker, l0, 0);
  DRIVE_UNTIL(&driver, driver.broker->ops->position(driver.broker, l0) ==
                           end_offset(&driver, l0, EE_READ_UNCOMMITTED));
  assert_int_equal(driver.seen_count, 1);
  assert_string_equal(driver.seen[0].value, "after it");

  assert_int_equal(begin(&driver), EE_DONE);
  text = make_text(5 << 20);
  assert_int_equal(put(&driver, l0, text), EE_FATAL);  // no broker would take it
  free(text);
  driver_close(&driver, 5000);
}

// More than fits into the queue: RETRY, and it goes on once the queue has been sent.
static void test_queue_full(void **state) {
  (void)state;
  struct driver driver;
  struct ee_properties properties = {.items = {{"queue.buffering.max.messages", "100"}},
                                     .count = 1};
  const char *prefix = make_outputs();
  driver_open(&driver,
              &(struct opening){
                  .prefix = prefix, .group = prefix, .instance = "one", .properties = &properties});
  open_transaction(&driver);
  int retries = 0;
  for (int i = 0; i < 2000;) {
    enum ee_outcome_class outcome = put(&driver, l0, "x");
    assert_true(outcome == EE_DONE || outcome == EE_RETRY);
    if (outcome == EE_DONE) {
      i++;
    } else {
      retries++;
      drive(&driver, 1);
    }
  }
  assert_true(retries > 0);
  assert_int_equal(perform_kind(&driver, EE_OP_COMMIT), EE_DONE);
  assert_int_equal(end_offset(&driver, l0, EE_READ_UNCOMMITTED) >= 2000, true);
  driver_close(&driver, 5000);
}

// Closing ends an open transaction, so that it holds up nobody.
static void test_close_aborts(void **state) {
  (void)state;
  struct driver a, b;
  const char *prefix = make_outputs();
  open_one(&a, prefix, "a");
  open_one(&b, prefix, "b");
  open_transaction(&a);
  assert_int_equal(put(&a, l0, "unfinished"), EE_DONE);
  DRIVE_UNTIL(&a, end_offset(&a, l0, EE_READ_UNCOMMITTED) == 1);
  assert_int_equal(end_offset(&b, l0, EE_READ_COMMITTED), 0);
  driver_close(&a, 5000);
  int64_t begun = ee_clock_monotonic_ms();
  DRIVE_UNTIL(&b, end_offset(&b, l0, EE_READ_COMMITTED) == 2);
  assert_true(ee_clock_monotonic_ms() - begun < 5000);
  driver_close(&b, 5000);
}

// Ticks are written outside transactions, while one is open too.
static void test_ticks(void **state) {
  (void)state;
  struct driver driver;
  open_one(&driver, make_outputs(), "one");
  struct ee_tp tick = {EE_TOPIC_TICK, 0};
  struct ee_output output = {.tp = tick, .value = ee_str_bytes(EE_STR("tick"))};
  open_transaction(&driver);
  driver.broker->ops->read(driver.broker, tick, 0);
  driver.broker->ops->produce_plain(driver.broker, &output);
  DRIVE_UNTIL(&driver, driver.seen_count == 1);
  assert_int_equal(perform_kind(&driver, EE_OP_ABORT), EE_DONE);
  output.tp.partition = 50;
  driver.broker->ops->produce_plain(driver.broker, &output);
  driver.broker->ops->produce_plain(driver.broker, &output);
  DRIVE_UNTIL(&driver, driver.troubles[EE_RETRY] == 1);
  assert_non_null(strstr(driver.trouble.text, "envelope.tick.v1 [50]"));
  output.tp.partition = 0;
  driver.broker->ops->produce_plain(driver.broker, &output);
  DRIVE_UNTIL(&driver, driver.seen_count == 2);
  assert_int_equal(driver.troubles[EE_RETRY], 1);
  output.tp.partition = 50;  // it had healed: said again
  DRIVE_UNTIL(&driver, (driver.broker->ops->produce_plain(driver.broker, &output),
                        driver.troubles[EE_RETRY] == 2));
  driver_close(&driver, 5000);
}

static int compare(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return x < y ? -1 : x > y;
}

// Small transactions, one after the other: what a commit costs.
static void test_commit_latency(void **state) {
  (void)state;
  struct driver driver;
  open_one(&driver, make_outputs(), "one");
  open_transaction(&driver);
  int64_t took[200];
  for (size_t i = 0; i < COUNT_OF(took); i++) {
    assert_int_equal(put(&driver, l0, "x"), EE_DONE);
    int64_t begun = ee_clock_wall_micros();
    struct ee_operation commit = {.kind = EE_OP_COMMIT};
    if (perform(&driver, &commit) != EE_DONE) print_error("%s\n", commit.err.text);
    assert_int_equal(commit.outcome, EE_DONE);
    took[i] = ee_clock_wall_micros() - begun;
    assert_int_equal(begin(&driver), EE_DONE);
  }
  qsort(took, COUNT_OF(took), sizeof(took[0]), compare);
  print_message("commit of one record: p50 %.1f ms, p99 %.1f ms\n",
                (double)took[COUNT_OF(took) / 2] / 1000,
                (double)took[COUNT_OF(took) * 99 / 100] / 1000);
  driver_close(&driver, 5000);
}

// The broker stops in the middle: INDEFINITE after transaction.timeout.ms, not before, and
// a renewed producer goes on; what was under way counts wholly or not at all.
static void test_indefinite(void **state) {
  (void)state;
  const char *pid_text = getenv("ENVELOPE_TEST_BROKER_PID");
  assert_non_null(pid_text);
  pid_t pid = (pid_t)strtol(pid_text, NULL, 10);
  assert_true(pid > 1);
  struct driver driver;
  const char *prefix = make_outputs();
  driver_open(
      &driver,
      &(struct opening){
          .prefix = prefix, .group = prefix, .instance = "one", .transaction_timeout_ms = 3000});
  open_transaction(&driver);
  assert_int_equal(put(&driver, l0, "under way"), EE_DONE);
  assert_int_equal(kill(pid, SIGSTOP), 0);
  int64_t begun = ee_clock_monotonic_ms();
  enum ee_outcome_class outcome = perform_kind(&driver, EE_OP_COMMIT);
  int64_t took = ee_clock_monotonic_ms() - begun;
  assert_int_equal(kill(pid, SIGCONT), 0);
  assert_int_equal(outcome, EE_INDEFINITE);
  assert_true(took >= 3000 && took < 6000);
  struct ee_operation renew = {.kind = EE_OP_RENEW};
  while ((outcome = perform(&driver, &renew)) == EE_RETRY)
    continue;
  assert_int_equal(outcome, EE_DONE);
  assert_int_equal(begin(&driver), EE_DONE);
  assert_int_equal(put(&driver, l0, "after it"), EE_DONE);
  assert_int_equal(perform_kind(&driver, EE_OP_COMMIT), EE_DONE);
  driver.broker->ops->read(driver.broker, l0, 0);
  DRIVE_UNTIL(&driver, driver.broker->ops->position(driver.broker, l0) ==
                           end_offset(&driver, l0, EE_READ_UNCOMMITTED));
  assert_true(driver.seen_count == 1 || driver.seen_count == 2);
  assert_string_equal(driver.seen[driver.seen_count - 1].value, "after it");
  driver_close(&driver, 5000);
}

const struct CMUnitTest transaction_cases[] = {
    cmocka_unit_test(test_visibility), cmocka_unit_test(test_order),
    cmocka_unit_test(test_fencing),    cmocka_unit_test(test_delivery_failure),
    cmocka_unit_test(test_queue_full), cmocka_unit_test(test_close_aborts),
    cmocka_unit_test(test_ticks),      cmocka_unit_test(test_commit_latency),
    cmocka_unit_test(test_indefinite),
};
const size_t transaction_count = COUNT_OF(transaction_cases);
