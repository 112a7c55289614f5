// SPDX-License-Identifier: Apache-2.0
// Membership: offers, revocations, static members, and who may commit.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/system/broker/cases.h"

static const enum ee_topic inputs[] = {EE_TOPIC_ADMISSION, EE_TOPIC_RESOLVED};

static const char *make_inputs(void) {
  const char *prefix = fresh_prefix();
  make_topics(prefix, (struct topic_wish[]){{.topic = EE_TOPIC_ADMISSION, .partitions = 2},
                                            {.topic = EE_TOPIC_RESOLVED, .partitions = 2},
                                            {.topic = EE_TOPIC_LIFECYCLE, .partitions = 2},
                                            {.partitions = 0}});
  return prefix;
}

static void open_member(struct driver *driver, const char *prefix, const char *instance) {
  driver_open(driver, &(struct opening){.prefix = prefix, .group = prefix, .instance = instance});
}

static bool is_offered(const struct driver *driver, enum ee_topic topic, int32_t partition) {
  for (size_t i = 0; i < driver->offered_count; i++) {
    struct ee_tp tp = driver->offered[i];
    if (tp.topic == topic && tp.partition == partition) return true;
  }
  return false;
}

#define DRIVE_BOTH_UNTIL(a, b, condition)                                         \
  do {                                                                            \
    int64_t both_until_ = ee_clock_monotonic_ms() + PATIENCE_MS;                  \
    while (!(condition) && ee_clock_monotonic_ms() < both_until_) {               \
      drive((a), 5);                                                              \
      drive((b), 5);                                                              \
    }                                                                             \
    if (!(condition)) {                                                           \
      print_error("%d fenced, last troubles: %s, %s\n", (a)->troubles[EE_FENCED], \
                  (a)->trouble.text, (b)->trouble.text);                          \
    }                                                                             \
    assert_true(condition);                                                       \
  } while (0)

// Nothing is reported before it is started; a restart goes on from what was committed.
static void test_assignment(void **state) {
  (void)state;
  struct driver driver;
  const char *prefix = make_inputs();
  rd_kafka_t *other = other_producer(NULL);
  struct ee_tp a0 = {EE_TOPIC_ADMISSION, 0}, a1 = {EE_TOPIC_ADMISSION, 1};
  other_write_many(other, prefix, a0, 10);
  other_write_many(other, prefix, a1, 10);
  open_member(&driver, prefix, "one");
  join_group(&driver, inputs, 2);
  assert_int_equal(driver.offered_count, 4);
  for (int32_t p = 0; p < 2; p++) {
    assert_true(is_offered(&driver, EE_TOPIC_ADMISSION, p));
    assert_true(is_offered(&driver, EE_TOPIC_RESOLVED, p));
  }
  assert_int_equal(committed_offset(&driver, a0), EE_OFFSET_NONE);
  driver.broker->ops->start(driver.broker, a1, 0);
  DRIVE_UNTIL(&driver, count_seen(&driver, a1) == 10);
  assert_int_equal(driver.seen_count, 10);
  open_transaction(&driver);
  assert_int_equal(put(&driver, (struct ee_tp){EE_TOPIC_LIFECYCLE, 1}, "out"), EE_DONE);
  assert_int_equal(commit_offset(&driver, a1, 6), EE_DONE);
  driver_close(&driver, 5000);

  open_member(&driver, prefix, "one");
  join_group(&driver, inputs, 2);
  assert_int_equal(committed_offset(&driver, a0), EE_OFFSET_NONE);
  assert_int_equal(committed_offset(&driver, a1), 6);
  driver.broker->ops->start(driver.broker, a1, 6);
  DRIVE_UNTIL(&driver, driver.seen_count == 4);
  assert_int_equal(check_contiguous(&driver, a1, 6), 4);
  rd_kafka_destroy(other);
  driver_close(&driver, 5000);
}

static void check_halves(const struct driver *a, const struct driver *b) {
  assert_int_equal(a->offered_count, 2);
  assert_int_equal(b->offered_count, 2);
  for (int32_t p = 0; p < 2; p++) {
    assert_true(is_offered(a, EE_TOPIC_ADMISSION, p) != is_offered(b, EE_TOPIC_ADMISSION, p));
    assert_int_equal(is_offered(a, EE_TOPIC_ADMISSION, p), is_offered(a, EE_TOPIC_RESOLVED, p));
  }
}

// A second member: the first may still commit what it has until it gives it up, and
// nothing after.
static void test_second_member(void **state) {
  (void)state;
  struct driver a, b;
  struct ee_err err;
  const char *prefix = make_inputs();
  rd_kafka_t *other = other_producer(NULL);
  struct ee_tp a0 = {EE_TOPIC_ADMISSION, 0}, a1 = {EE_TOPIC_ADMISSION, 1};
  open_member(&a, prefix, "a");
  join_group(&a, inputs, 2);
  a.broker->ops->start(a.broker, a0, 0);
  a.broker->ops->start(a.broker, a1, 0);
  open_transaction(&a);
  open_member(&b, prefix, "b");
  assert_true(b.broker->ops->subscribe(b.broker, inputs, 2, &err));
  DRIVE_BOTH_UNTIL(&a, &b, a.revoked == 1);
  assert_false(a.lost);
  assert_int_equal(b.assigned, 0);  // it waits for a
  assert_int_equal(commit_offset(&a, a0, 1), EE_DONE);
  a.broker->ops->relinquish(a.broker);
  assert_int_equal(a.broker->ops->position(a.broker, a0), EE_OFFSET_NONE);
  DRIVE_BOTH_UNTIL(&a, &b, a.assigned == 2 && b.assigned == 1);
  check_halves(&a, &b);
  a.broker->ops->accept(a.broker);
  b.broker->ops->accept(b.broker);

  struct ee_tp lost = is_offered(&a, EE_TOPIC_ADMISSION, 0) ? a1 : a0;
  struct ee_tp kept = is_offered(&a, EE_TOPIC_ADMISSION, 0) ? a0 : a1;
  assert_int_equal(a.broker->ops->begin_transaction(a.broker, &err), EE_DONE);
  assert_int_equal(commit_offset(&a, lost, 2), EE_ABORT);
  assert_int_equal(perform_kind(&a, EE_OP_ABORT), EE_DONE);
  assert_int_equal(a.broker->ops->begin_transaction(a.broker, &err), EE_DONE);
  assert_int_equal(commit_offset(&a, kept, 3), EE_DONE);
  // Only what was started anew is reported.
  a.broker->ops->start(a.broker, kept, 0);
  other_write(other, prefix, lost, NULL, "not ours");
  other_write(other, prefix, kept, NULL, "ours");
  DRIVE_BOTH_UNTIL(&a, &b, count_seen(&a, kept) == 1);
  assert_int_equal(a.seen_count, 1);
  rd_kafka_destroy(other);
  driver_close(&a, 5000);
  driver_close(&b, 5000);
}

// Another process with our name: we are fenced.
static void test_same_instance(void **state) {
  (void)state;
  struct driver a, b;
  struct ee_err err;
  const char *prefix = make_inputs();
  open_member(&a, prefix, "same");
  join_group(&a, inputs, 2);
  open_member(&b, prefix, "same");
  assert_true(b.broker->ops->subscribe(b.broker, inputs, 2, &err));
  DRIVE_BOTH_UNTIL(&a, &b, a.troubles[EE_FENCED] == 1 && b.assigned == 1);
  assert_non_null(strstr(a.trouble.text, "\"same\""));
  assert_int_equal(b.troubles[EE_FENCED], 0);
  driver_close(&a, 5000);
  driver_close(&b, 5000);
}

// Without polls beyond max.poll.interval.ms the assignment is lost, and comes back.
static void test_lost(void **state) {
  (void)state;
  struct driver a, b;
  const char *prefix = make_inputs();
  struct ee_tp a0 = {EE_TOPIC_ADMISSION, 0};
  struct ee_properties properties = {.items = {{"max.poll.interval.ms", "6000"}}, .count = 1};
  driver_open(&a,
              &(struct opening){
                  .prefix = prefix, .group = prefix, .instance = "a", .properties = &properties});
  join_group(&a, inputs, 2);
  open_transaction(&a);
  open_member(&b, prefix, "b");
  drive_for(&b, 7500);  // polls another one
  DRIVE_UNTIL(&a, a.revoked == 1);
  assert_true(a.lost);
  assert_int_equal(commit_offset(&a, a0, 1), EE_ABORT);
  a.broker->ops->relinquish(a.broker);
  DRIVE_UNTIL(&a, a.assigned == 2);
  a.broker->ops->accept(a.broker);
  assert_int_equal(perform_kind(&a, EE_OP_ABORT), EE_DONE);
  driver_close(&a, 5000);
  driver_close(&b, 5000);
}

// Whoever leaves is not offered anything again, its operations go on, and another member
// has everything at once.
static void leave(bool accepted) {
  struct driver driver, other;
  struct ee_err err;
  const char *prefix = make_inputs();
  open_member(&driver, prefix, "one");
  assert_true(driver.broker->ops->subscribe(driver.broker, inputs, 2, &err));
  DRIVE_UNTIL(&driver, driver.assigned == 1);
  if (accepted) driver.broker->ops->accept(driver.broker);
  driver.broker->ops->leave(driver.broker);
  driver.broker->ops->accept(driver.broker);  // too late, no effect
  assert_int_equal(end_offset(&driver, driver.offered[0], EE_READ_COMMITTED), 0);
  open_transaction(&driver);
  assert_int_equal(commit_offset(&driver, driver.offered[0], 1), EE_ABORT);
  open_member(&other, prefix, "other");
  int64_t begun = ee_clock_monotonic_ms();
  assert_true(other.broker->ops->subscribe(other.broker, inputs, 2, &err));
  DRIVE_BOTH_UNTIL(&driver, &other, other.assigned == 1);
  assert_true(ee_clock_monotonic_ms() - begun < 5000);  // below the session timeout
  assert_int_equal(other.offered_count, 4);
  assert_int_equal(driver.assigned, 1);
  assert_int_equal(driver.revoked, 0);
  driver_close(&other, 5000);
  driver_close(&driver, 5000);
}

static void test_decline(void **state) {
  (void)state;
  leave(false);
}

static void test_leave(void **state) {
  (void)state;
  leave(true);
}

// An offset that a stranger's open transaction holds is waited for, not passed over.
static void test_committed_waits(void **state) {
  (void)state;
  struct driver driver;
  const char *prefix = make_inputs();
  struct ee_tp a0 = {EE_TOPIC_ADMISSION, 0};
  char name[256];
  snprintf(name, sizeof(name), "%s%s", prefix, ee_topics[EE_TOPIC_ADMISSION].name);
  rd_kafka_t *other = other_producer(prefix);
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(list, name, 0)->offset = 5;
  rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata_new(prefix);
  other_ok(rd_kafka_init_transactions(other, PATIENCE_MS));
  other_ok(rd_kafka_begin_transaction(other));
  other_ok(rd_kafka_send_offsets_to_transaction(other, list, group, PATIENCE_MS));

  open_member(&driver, prefix, "one");
  struct ee_tp_offset at = {.tp = a0};
  struct ee_operation operation = {.kind = EE_OP_COMMITTED, .offsets = &at, .count = 1};
  for (int i = 0; i < 3; i++)
    assert_int_equal(perform(&driver, &operation), EE_RETRY);
  other_ok(rd_kafka_commit_transaction(other, PATIENCE_MS));
  assert_int_equal(committed_offset(&driver, a0), 5);
  rd_kafka_consumer_group_metadata_destroy(group);
  rd_kafka_topic_partition_list_destroy(list);
  rd_kafka_destroy(other);
  driver_close(&driver, 5000);
}

// ---- A member that is stopped beyond its session, and then commits.

int frozen_member(int argc, char **argv) {
  if (argc != 3) return 2;
  struct driver driver;
  driver_open(&driver, &(struct opening){.prefix = argv[2],
                                         .group = argv[2],
                                         .instance = "frozen",
                                         .transaction_timeout_ms = 60000});
  join_group(&driver, inputs, 2);
  open_transaction(&driver);
  if (put(&driver, (struct ee_tp){EE_TOPIC_LIFECYCLE, 0}, "zombie") != EE_DONE) return 3;
  char go;
  if (write(STDOUT_FILENO, "r", 1) != 1 || read(STDIN_FILENO, &go, 1) != 1) return 4;
  enum ee_outcome_class outcome = commit_offset(&driver, (struct ee_tp){EE_TOPIC_ADMISSION, 0}, 3);
  driver_close(&driver, 5000);
  return 10 + (int)outcome;
}

static pid_t spawn_frozen(const char *prefix, int *ret_in, int *ret_out) {
  int in[2], out[2];
  assert_int_equal(pipe(in), 0);
  assert_int_equal(pipe(out), 0);
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    dup2(in[0], STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    for (int fd = 3; fd < 64; fd++)
      close(fd);
    execl("/proc/self/exe", "test_kafka_broker", "frozen-member", prefix, NULL);
    _exit(127);
  }
  close(in[0]);
  close(out[1]);
  *ret_in = in[1];
  *ret_out = out[0];
  return pid;
}

static void test_frozen_member(void **state) {
  (void)state;
  struct driver driver;
  const char *prefix = make_inputs();
  struct ee_tp a0 = {EE_TOPIC_ADMISSION, 0}, l0 = {EE_TOPIC_LIFECYCLE, 0};
  int in, out, status;
  char ready;
  pid_t pid = spawn_frozen(prefix, &in, &out);
  assert_int_equal(read(out, &ready, 1), 1);
  assert_int_equal(kill(pid, SIGSTOP), 0);
  open_member(&driver, prefix, "awake");
  join_group(&driver, inputs, 2);  // once the frozen one's session has run out
  assert_int_equal(driver.offered_count, 4);
  open_transaction(&driver);
  assert_int_equal(commit_offset(&driver, a0, 5), EE_DONE);
  assert_int_equal(kill(pid, SIGCONT), 0);
  assert_int_equal(write(in, "g", 1), 1);
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 10 + EE_ABORT);
  assert_int_equal(committed_offset(&driver, a0), 5);
  driver.broker->ops->read(driver.broker, l0, 0);
  DRIVE_UNTIL(&driver, driver.broker->ops->position(driver.broker, l0) ==
                           end_offset(&driver, l0, EE_READ_UNCOMMITTED));
  assert_int_equal(driver.seen_count, 0);
  close(in);
  close(out);
  driver_close(&driver, 5000);
}

const struct CMUnitTest group_cases[] = {
    cmocka_unit_test(test_assignment),      cmocka_unit_test(test_second_member),
    cmocka_unit_test(test_same_instance),   cmocka_unit_test(test_lost),
    cmocka_unit_test(test_decline),         cmocka_unit_test(test_leave),
    cmocka_unit_test(test_committed_waits), cmocka_unit_test(test_frozen_member),
};
const size_t group_count = COUNT_OF(group_cases);
