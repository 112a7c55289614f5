// SPDX-License-Identifier: Apache-2.0
// Reading: starts, rewinds, pauses, positions, partitions that come and go, offsets and
// topics asked for.
#include <inttypes.h>
#include <stdlib.h>

#include "tests/system/broker/cases.h"

static const struct ee_tp a0 = {EE_TOPIC_ADMISSION, 0}, a1 = {EE_TOPIC_ADMISSION, 1},
                          a2 = {EE_TOPIC_ADMISSION, 2}, l0 = {EE_TOPIC_LIFECYCLE, 0};

// A reader of the admission topic with three partitions, and a producer for it.
static rd_kafka_t *open_reader(struct driver *driver, const char **ret_prefix) {
  const char *prefix = fresh_prefix();
  make_topics(prefix, (struct topic_wish[]){{.topic = EE_TOPIC_ADMISSION, .partitions = 3},
                                            {.partitions = 0}});
  driver_open(driver, &(struct opening){.prefix = prefix, .group = prefix, .instance = "one"});
  *ret_prefix = prefix;
  return other_producer(NULL);
}

static int64_t position(struct driver *driver, struct ee_tp tp) {
  return driver->broker->ops->position(driver->broker, tp);
}

// Topics that are missing are said to be, and are not made by asking.
static void test_topics(void **state) {
  (void)state;
  struct driver driver;
  const char *prefix = fresh_prefix();
  driver_open(&driver, &(struct opening){.prefix = prefix, .group = prefix, .instance = "one"});
  struct ee_topic_state topics[EE_TOPIC_COUNT];
  struct ee_operation operation = {.kind = EE_OP_TOPICS, .topics = topics};
  for (int round = 0; round < 2; round++) {
    assert_int_equal(perform(&driver, &operation), EE_DONE);
    for (int i = 0; i < EE_TOPIC_COUNT; i++)
      assert_false(topics[i].exists);
  }
  make_topics(
      prefix,
      (struct topic_wish[]){
          {.topic = EE_TOPIC_ADMISSION,
           .partitions = 3,
           .settings = {"message.timestamp.type", "LogAppendTime", "max.message.bytes", "12345",
                        "retention.ms", "-1", NULL}},
          {.topic = EE_TOPIC_LIFECYCLE,
           .partitions = 2,
           .settings = {"cleanup.policy", "compact", "delete.retention.ms", "777000", NULL}},
          {.topic = EE_TOPIC_USAGE_TENANT,
           .partitions = 1,
           .settings = {"cleanup.policy", "compact,delete", NULL}},
          {.partitions = 0}});
  // The answer to a creation may come before the broker that is asked knows of it.
  do {
    assert_int_equal(perform(&driver, &operation), EE_DONE);
  } while (topics[EE_TOPIC_LIFECYCLE].partitions == 0 ||
           topics[EE_TOPIC_USAGE_TENANT].partitions == 0);
  for (int i = 0; i < EE_TOPIC_COUNT; i++) {
    bool made = i == EE_TOPIC_ADMISSION || i == EE_TOPIC_LIFECYCLE || i == EE_TOPIC_USAGE_TENANT;
    assert_int_equal(topics[i].exists, made);
  }
  assert_int_equal(topics[EE_TOPIC_ADMISSION].partitions, 3);
  assert_true(topics[EE_TOPIC_ADMISSION].append_time);
  assert_int_equal(topics[EE_TOPIC_ADMISSION].max_message_bytes, 12345);
  assert_int_equal(topics[EE_TOPIC_ADMISSION].cleanup, EE_CLEANUP_DELETE);
  assert_int_equal(topics[EE_TOPIC_ADMISSION].retention_ms, -1);
  assert_int_equal(topics[EE_TOPIC_LIFECYCLE].retention_ms, 604800000);  // Kafka's default
  assert_int_equal(topics[EE_TOPIC_LIFECYCLE].partitions, 2);
  assert_false(topics[EE_TOPIC_LIFECYCLE].append_time);
  assert_int_equal(topics[EE_TOPIC_LIFECYCLE].cleanup, EE_CLEANUP_COMPACT);
  assert_int_equal(topics[EE_TOPIC_LIFECYCLE].delete_retention_ms, 777000);
  assert_int_equal(topics[EE_TOPIC_USAGE_TENANT].cleanup, EE_CLEANUP_OTHER);
  assert_int_equal(driver.broker->ops->partition_count(driver.broker, EE_TOPIC_ADMISSION), 3);
  assert_int_equal(driver.broker->ops->partition_count(driver.broker, EE_TOPIC_TICK), 0);
  driver_close(&driver, 5000);
}

// Starting in the middle, pausing, going on, going back.
static void test_start_pause_rewind(void **state) {
  (void)state;
  struct driver driver;
  const char *prefix;
  rd_kafka_t *other = open_reader(&driver, &prefix);
  const struct ee_broker_ops *ops = driver.broker->ops;
  other_write_many(other, prefix, a0, 10);
  other_write_many(other, prefix, a1, 10);

  assert_int_equal(position(&driver, a0), EE_OFFSET_NONE);
  ops->read(driver.broker, a0, 3);
  ops->read(driver.broker, a1, 0);
  assert_int_equal(position(&driver, a0), 3);
  DRIVE_UNTIL(&driver, driver.seen_count == 17);
  assert_int_equal(check_contiguous(&driver, a0, 3), 7);
  assert_int_equal(check_contiguous(&driver, a1, 0), 10);
  assert_int_equal(position(&driver, a0), 10);

  ops->pause(driver.broker, a0);
  driver_clear(&driver);
  other_write(other, prefix, a0, NULL, "while paused");
  other_write(other, prefix, a1, NULL, "sentinel");
  DRIVE_UNTIL(&driver, count_seen(&driver, a1) == 1);
  assert_int_equal(count_seen(&driver, a0), 0);
  assert_int_equal(position(&driver, a0), 10);
  assert_true(ops->lag(driver.broker, a0) >= 0);  // known while it is paused, if not up to date
  ops->resume(driver.broker, a0);
  DRIVE_UNTIL(&driver, count_seen(&driver, a0) == 1);
  assert_int_equal(check_contiguous(&driver, a0, 10), 1);

  // With everything paused, resuming is not slow.
  int64_t begun = ee_clock_monotonic_ms();
  for (int round = 0; round < 5; round++) {
    ops->pause(driver.broker, a0);
    ops->pause(driver.broker, a1);
    drive_for(&driver, 50);
    other_write(other, prefix, a0, NULL, "while paused");
    assert_int_equal(count_seen(&driver, a0), 1 + round);
    ops->resume(driver.broker, a0);
    ops->resume(driver.broker, a1);
    DRIVE_UNTIL(&driver, count_seen(&driver, a0) == (size_t)(2 + round));
  }
  assert_true(ee_clock_monotonic_ms() - begun < 2000);

  // Back, from a pause, before the next poll and after it.
  ops->pause(driver.broker, a0);
  drive(&driver, 0);
  driver_clear(&driver);
  ops->start(driver.broker, a0, 4);
  assert_int_equal(position(&driver, a0), 4);
  DRIVE_UNTIL(&driver, count_seen(&driver, a0) == 12);
  assert_int_equal(check_contiguous(&driver, a0, 4), 12);

  ops->read_stop(driver.broker, a0);
  other_write(other, prefix, a0, NULL, "unread");
  other_write(other, prefix, a1, NULL, "sentinel");
  driver_clear(&driver);
  DRIVE_UNTIL(&driver, count_seen(&driver, a1) == 1);
  assert_int_equal(driver.seen_count, 1);
  rd_kafka_destroy(other);
  driver_close(&driver, 5000);
}

// Whatever the moment of a rewind, the next message is the one that was asked for.
static void test_rewind_often(void **state) {
  (void)state;
  struct driver driver;
  const char *prefix;
  rd_kafka_t *other = open_reader(&driver, &prefix);
  const struct ee_broker_ops *ops = driver.broker->ops;
  const int count = 30000;
  other_write_many(other, prefix, a0, count);
  other_write_many(other, prefix, a1, count);
  srand(1);
  ops->read(driver.broker, a1, 0);
  size_t read_beside = 0;
  for (int round = 0; round < 200; round++) {
    driver_clear(&driver);
    int64_t from = rand() % (count - 2000);
    ops->start(driver.broker, a0, from);
    if (rand() % 4 == 0) ops->pause(driver.broker, a0);
    if (rand() % 2 == 0) drive(&driver, rand() % 3);
    ops->resume(driver.broker, a0);
    size_t wanted = (size_t)(rand() % 1500);
    DRIVE_UNTIL(&driver, count_seen(&driver, a0) >= wanted);
    check_contiguous(&driver, a0, from);
    // The other partition loses and repeats nothing meanwhile.
    read_beside += check_contiguous(&driver, a1, (int64_t)read_beside);
  }
  driver_clear(&driver);
  DRIVE_UNTIL(&driver, count_seen(&driver, a1) + read_beside == (size_t)count);
  check_contiguous(&driver, a1, (int64_t)read_beside);
  rd_kafka_destroy(other);
  driver_close(&driver, 5000);
}

// Partitions come and go; those that stay go on where they were.
static void test_come_and_go(void **state) {
  (void)state;
  struct driver driver;
  const char *prefix;
  rd_kafka_t *other = open_reader(&driver, &prefix);
  const struct ee_broker_ops *ops = driver.broker->ops;
  const int count = 20000;
  struct ee_tp all[] = {a0, a1, a2};
  for (int i = 0; i < 3; i++)
    other_write_many(other, prefix, all[i], count);
  srand(2);
  ops->read(driver.broker, a0, 0);
  for (int round = 0; round < 60; round++) {
    struct ee_tp tp = all[1 + rand() % 2];
    if (rand() % 2 == 0) {
      ops->read(driver.broker, tp, rand() % count);
    } else {
      ops->read_stop(driver.broker, tp);
    }
    for (int i = rand() % 5; i >= 0; i--)
      drive(&driver, 2);
  }
  DRIVE_UNTIL(&driver, count_seen(&driver, a0) == (size_t)count);
  check_contiguous(&driver, a0, 0);
  rd_kafka_destroy(other);
  driver_close(&driver, 5000);
}

// A log that ends with an aborted transaction: the position reaches the end that
// read_committed readers see, whether it was started before it, at it or at the log start.
static void test_position_over_markers(void **state) {
  (void)state;
  struct driver driver;
  const char *prefix;
  rd_kafka_t *plain = open_reader(&driver, &prefix);
  const struct ee_broker_ops *ops = driver.broker->ops;
  rd_kafka_t *other = other_producer(prefix);
  other_ok(rd_kafka_init_transactions(other, PATIENCE_MS));
  other_ok(rd_kafka_begin_transaction(other));
  other_write_many(other, prefix, a0, 5);
  other_ok(rd_kafka_commit_transaction(other, PATIENCE_MS));
  other_ok(rd_kafka_begin_transaction(other));
  other_write_many(other, prefix, a0, 7);
  other_ok(rd_kafka_abort_transaction(other, PATIENCE_MS));

  const int64_t end = 5 + 1 + 7 + 1;
  DRIVE_UNTIL(&driver, end_offset(&driver, a0, EE_READ_COMMITTED) == end);
  ops->read(driver.broker, a0, 0);
  DRIVE_UNTIL(&driver, position(&driver, a0) == end);
  assert_int_equal(check_contiguous(&driver, a0, 0), 5);
  DRIVE_UNTIL(&driver, ops->lag(driver.broker, a0) == 0);

  ops->read(driver.broker, a0, end);
  assert_int_equal(position(&driver, a0), end);
  ops->read(driver.broker, a1, EE_OFFSET_EARLIEST);
  ops->read(driver.broker, a2, 0);
  assert_int_equal(position(&driver, a1), EE_OFFSET_EARLIEST);
  // A poll comes back for it long before its time.
  int64_t begun = ee_clock_monotonic_ms();
  while (position(&driver, a1) != 0)
    drive(&driver, PATIENCE_MS);
  assert_true(ee_clock_monotonic_ms() - begun < PATIENCE_MS / 2);

  // Another aborted transaction moves it on; one that is open holds it.
  other_ok(rd_kafka_begin_transaction(other));
  other_write_many(other, prefix, a0, 3);
  other_write_many(plain, prefix, a0, 2);
  other_write(plain, prefix, a2, NULL, "sentinel");
  DRIVE_UNTIL(&driver, count_seen(&driver, a2) == 1);
  assert_int_equal(position(&driver, a0), end);
  other_ok(rd_kafka_abort_transaction(other, PATIENCE_MS));
  DRIVE_UNTIL(&driver, position(&driver, a0) == end + 3 + 2 + 1);
  assert_int_equal(count_seen(&driver, a0), 5 + 2);
  rd_kafka_destroy(other);
  rd_kafka_destroy(plain);
  driver_close(&driver, 5000);
}

// Both ends with a stranger's transaction open, against what librdkafka's own query says.
static void test_ends(void **state) {
  (void)state;
  struct driver driver;
  const char *prefix;
  rd_kafka_t *plain = open_reader(&driver, &prefix);
  other_write_many(plain, prefix, a0, 4);
  rd_kafka_t *other = other_producer(prefix);
  other_ok(rd_kafka_init_transactions(other, PATIENCE_MS));
  other_ok(rd_kafka_begin_transaction(other));
  other_write_many(other, prefix, a0, 6);
  other_write_many(plain, prefix, a0, 2);
  struct ee_tp_offset at[] = {{.tp = a1}, {.tp = a0}, {.tp = a2}};
  struct ee_operation operation = {.kind = EE_OP_END, .offsets = at, .count = 3};
  operation.isolation = EE_READ_COMMITTED;
  assert_int_equal(perform(&driver, &operation), EE_DONE);
  assert_int_equal(at[1].offset, 4);
  assert_int_equal(at[0].offset + at[2].offset, 0);
  operation.isolation = EE_READ_UNCOMMITTED;
  assert_int_equal(perform(&driver, &operation), EE_DONE);
  assert_int_equal(at[1].offset, 12);
  assert_int_equal(start_offset(&driver, a0), 0);

  char name[256];
  snprintf(name, sizeof(name), "%s%s", prefix, ee_topics[EE_TOPIC_ADMISSION].name);
  int64_t low, high;
  assert_int_equal(rd_kafka_query_watermark_offsets(plain, name, 0, &low, &high, PATIENCE_MS), 0);
  // A producer's isolation is read_committed too.
  assert_int_equal(high, 4);
  other_ok(rd_kafka_commit_transaction(other, PATIENCE_MS));
  // The markers are written after the answer.
  while (end_offset(&driver, a0, EE_READ_COMMITTED) == 4)
    continue;
  assert_int_equal(end_offset(&driver, a0, EE_READ_COMMITTED), 13);
  // No offsets to ask for are no error; a partition that is not there is.
  operation.count = 0;
  assert_int_equal(perform(&driver, &operation), EE_DONE);
  operation.count = 1;
  at[0].tp = (struct ee_tp){EE_TOPIC_ADMISSION, 99};
  assert_int_equal(perform(&driver, &operation), EE_RETRY);
  assert_true(operation.err.text[0] != '\0');
  rd_kafka_destroy(other);
  rd_kafka_destroy(plain);
  driver_close(&driver, 5000);
}

static void check_first(struct driver *driver, struct ee_message *m) {
  const struct ee_broker_ops *ops = driver->broker->ops;
  assert_true(m->append_time);
  assert_true(m->timestamp_ms > 1500000000000);
  assert_true(ee_bytes_equal(m->key, ee_str_bytes(EE_STR("key"))));
  struct ee_bytes h = ops->header(driver->broker, m, "in");
  assert_true(ee_bytes_equal(h, ee_str_bytes(EE_STR("[1,2]"))));
  h = ops->header(driver->broker, m, "empty");
  assert_true(h.size == 0);
  assert_null(ops->header(driver->broker, m, "absent").data);
  assert_null(ops->header(driver->broker, m, "null").data);
}

static void take_two(struct driver *driver, struct ee_message two[2]) {
  int64_t until = ee_clock_monotonic_ms() + PATIENCE_MS;
  for (size_t got = 0; got < 2 && ee_clock_monotonic_ms() < until;) {
    struct ee_broker_event event;
    driver->broker->ops->poll(driver->broker, 100, &event);
    if (event.kind != EE_EVENT_MESSAGES) continue;
    for (size_t i = 0; i < event.count && got < 2; i++)
      two[got++] = event.messages[i];
  }
}

// What is produced comes back as it was: headers, a tombstone, an empty value.
static void test_message(void **state) {
  (void)state;
  struct driver driver;
  const char *prefix = fresh_prefix();
  make_topics(prefix,
              (struct topic_wish[]){{.topic = EE_TOPIC_LIFECYCLE,
                                     .partitions = 1,
                                     .settings = {"message.timestamp.type", "LogAppendTime", NULL}},
                                    {.partitions = 0}});
  driver_open(&driver, &(struct opening){.prefix = prefix, .group = prefix, .instance = "one"});
  const struct ee_broker_ops *ops = driver.broker->ops;
  open_transaction(&driver);
  struct ee_header headers[] = {{EE_STR("in"), ee_str_bytes(EE_STR("[1,2]"))},
                                {EE_STR("empty"), ee_str_bytes(EE_STR(""))},
                                {EE_STR("null"), {.data = NULL}}};
  struct ee_output output = {
      .tp = l0, .key = ee_str_bytes(EE_STR("key")), .headers = headers, .header_count = 3};
  struct ee_err err;
  assert_int_equal(ops->produce(driver.broker, &output, &err), EE_DONE);
  output = (struct ee_output){.tp = l0, .value = ee_str_bytes(EE_STR(""))};
  assert_int_equal(ops->produce(driver.broker, &output, &err), EE_DONE);
  assert_int_equal(perform_kind(&driver, EE_OP_COMMIT), EE_DONE);
  struct ee_message two[2] = {{.owner = NULL}};
  ops->read(driver.broker, l0, 0);
  take_two(&driver, two);
  assert_null(ops->header(driver.broker, &two[0], "in").data);
  ops->free_message(driver.broker, &two[0]);
  ops->free_message(driver.broker, &two[1]);
  ops->start(driver.broker, l0, 0);
  take_two(&driver, two);
  check_first(&driver, &two[0]);
  assert_null(two[0].value.data);
  assert_null(two[1].key.data);
  assert_non_null(two[1].value.data);
  assert_int_equal(two[1].value.size, 0);
  ops->free_message(driver.broker, &two[0]);
  ops->free_message(driver.broker, &two[1]);
  driver_close(&driver, 5000);
}

const struct CMUnitTest reading_cases[] = {
    cmocka_unit_test(test_topics),
    cmocka_unit_test(test_start_pause_rewind),
    cmocka_unit_test(test_rewind_often),
    cmocka_unit_test(test_come_and_go),
    cmocka_unit_test(test_position_over_markers),
    cmocka_unit_test(test_ends),
    cmocka_unit_test(test_message),
};
const size_t reading_count = COUNT_OF(reading_cases);
