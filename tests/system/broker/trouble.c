// SPDX-License-Identifier: Apache-2.0
// Brokers that are away or silent, offsets that are not there, closing in a hurry.
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/chaos.h"
#include "tests/system/broker/cases.h"

static const struct ee_tp a0 = {EE_TOPIC_ADMISSION, 0};

// Makes the topic of a0 with ten records. Returns who wrote them.
static rd_kafka_t *write_ten(const char *prefix) {
  make_topics(prefix, (struct topic_wish[]){{.topic = EE_TOPIC_ADMISSION, .partitions = 1},
                                            {.partitions = 0}});
  rd_kafka_t *other = other_producer(NULL);
  other_write_many(other, prefix, a0, 10);
  return other;
}

// A port of this machine: listening (and never answering), or closed again.
static int take_port(char address[32], bool listening) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof(at);
  assert_int_equal(bind(fd, (struct sockaddr *)&at, size), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
  snprintf(address, 32, "127.0.0.1:%d", ntohs(at.sin_port));
  if (listening) assert_int_equal(listen(fd, 64), 0);
  return fd;
}

static void check_away(const char *address, bool wait_for_trouble) {
  struct driver driver;
  enum ee_topic input = EE_TOPIC_ADMISSION;
  struct ee_err err;
  driver_open(&driver, &(struct opening){.bootstrap = address,
                                         .prefix = "",
                                         .group = "away",
                                         .instance = "one",
                                         .transaction_timeout_ms = 2000});
  assert_true(driver.broker->ops->subscribe(driver.broker, &input, 1, &err));
  driver.broker->ops->read(driver.broker, (struct ee_tp){EE_TOPIC_POLICY, 0}, 0);
  if (wait_for_trouble) DRIVE_UNTIL(&driver, driver.troubles[EE_RETRY] > 0);
  struct ee_topic_state topics[EE_TOPIC_COUNT];
  struct ee_tp_offset at = {.tp = a0, .offset = 5};
  struct ee_operation operations[] = {
      {.kind = EE_OP_TOPICS, .topics = topics},
      {.kind = EE_OP_END, .offsets = &at, .count = 1},
      {.kind = EE_OP_COMMITTED, .offsets = &at, .count = 1},
      {.kind = EE_OP_INIT},
      {.kind = EE_OP_RENEW},
  };
  for (size_t i = 0; i < COUNT_OF(operations); i++) {
    assert_int_equal(perform(&driver, &operations[i]), EE_RETRY);
    assert_true(operations[i].err.text[0] != '\0');
  }
  assert_int_equal(at.offset, 5);
  if (wait_for_trouble) {
    assert_int_equal(driver.troubles[EE_RETRY], 1);  // said once
    assert_non_null(strstr(driver.trouble.text, address));
  }
  assert_int_equal(driver.troubles[EE_FATAL] + driver.troubles[EE_FENCED], 0);
  // Without a producer: nothing crashes, and it is renewal that is asked for.
  struct ee_operation commit = {.kind = EE_OP_COMMIT};
  assert_int_equal(perform(&driver, &commit), EE_INDEFINITE);
  assert_int_equal(driver.broker->ops->begin_transaction(driver.broker, &err), EE_INDEFINITE);
  driver_close(&driver, 5000);
}

static void test_away(void **state) {
  (void)state;
  char address[32];
  close(take_port(address, false));
  check_away(address, true);
}

static void test_silent(void **state) {
  (void)state;
  char address[32];
  int fd = take_port(address, true);
  check_away(address, false);
  close(fd);
}

// Closing does not wait for a call that is under way, nor for a caller's operations.
static void test_close_in_a_hurry(void **state) {
  (void)state;
  char address[32];
  int fd = take_port(address, true);
  struct driver driver;
  driver_open(&driver, &(struct opening){.bootstrap = address,
                                         .prefix = "",
                                         .group = "away",
                                         .instance = "one",
                                         .transaction_timeout_ms = 60000});
  struct ee_operation *operations = calloc(3, sizeof(*operations));
  struct ee_tp_offset *at = calloc(1, sizeof(*at));
  *at = (struct ee_tp_offset){.tp = a0};
  operations[0] = (struct ee_operation){.kind = EE_OP_INIT};
  operations[1] = (struct ee_operation){.kind = EE_OP_END, .offsets = at, .count = 1};
  operations[2] = (struct ee_operation){.kind = EE_OP_START, .offsets = at, .count = 1};
  for (int i = 0; i < 3; i++)
    driver.broker->ops->begin(driver.broker, &operations[i]);
  drive(&driver, 20);
  driver_close(&driver, 50);
  free(operations);
  free(at);
  close(fd);
}

// Retention has cut the log below where we want to go on.
static void test_out_of_range(void **state) {
  (void)state;
  struct driver driver;
  const char *prefix = fresh_prefix();
  rd_kafka_t *other = write_ten(prefix);
  char name[256];
  snprintf(name, sizeof(name), "%s%s", prefix, ee_topics[EE_TOPIC_ADMISSION].name);
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(list, name, 0)->offset = 6;
  rd_kafka_DeleteRecords_t *records = rd_kafka_DeleteRecords_new(list);
  rd_kafka_queue_t *queue = rd_kafka_queue_new(other);
  rd_kafka_DeleteRecords(other, &records, 1, NULL, queue);
  rd_kafka_event_t *event = rd_kafka_queue_poll(queue, PATIENCE_MS);
  assert_int_equal(rd_kafka_event_error(event), RD_KAFKA_RESP_ERR_NO_ERROR);
  rd_kafka_event_destroy(event);
  rd_kafka_queue_destroy(queue);
  rd_kafka_DeleteRecords_destroy(records);
  rd_kafka_topic_partition_list_destroy(list);

  driver_open(&driver, &(struct opening){.prefix = prefix, .group = prefix, .instance = "one"});
  assert_int_equal(start_offset(&driver, a0), 6);
  driver.broker->ops->read(driver.broker, a0, 2);
  DRIVE_UNTIL(&driver, driver.out_of_range == 1);
  assert_int_equal(driver.broken.topic, a0.topic);
  assert_int_equal(driver.broken.partition, a0.partition);
  assert_non_null(strstr(driver.trouble.text, name));
  assert_non_null(strstr(driver.trouble.text, "[0]"));
  assert_non_null(strstr(driver.trouble.text, "offset 2"));
  assert_int_equal(driver.seen_count, 0);
  driver.broker->ops->read(driver.broker, a0, EE_OFFSET_EARLIEST);
  DRIVE_UNTIL(&driver, driver.seen_count == 4);
  assert_int_equal(check_contiguous(&driver, a0, 6), 4);
  rd_kafka_destroy(other);
  driver_close(&driver, 5000);
}

// Messages that the caller never gave back do not make closing hang.
static void test_messages_kept(void **state) {
  (void)state;
  struct driver driver;
  const char *prefix = fresh_prefix();
  rd_kafka_t *other = write_ten(prefix);
  driver_open(&driver, &(struct opening){.prefix = prefix, .group = prefix, .instance = "one"});
  driver.broker->ops->read(driver.broker, a0, 0);
  struct ee_broker_event event = {.kind = EE_EVENT_NONE};
  int64_t until = ee_clock_monotonic_ms() + PATIENCE_MS;
  while (event.kind != EE_EVENT_MESSAGES && ee_clock_monotonic_ms() < until) {
    driver.broker->ops->poll(driver.broker, 100, &event);
  }
  assert_int_equal(event.kind, EE_EVENT_MESSAGES);
  rd_kafka_destroy(other);
  int64_t begun = ee_clock_monotonic_ms();
  driver_close(&driver, 10000);
  assert_true(ee_clock_monotonic_ms() - begun < 5000);
}

// A message for which there is no memory is not passed over by those after it.
static void test_no_memory_for_a_message(void **state) {
  (void)state;
  struct driver driver;
  const char *prefix = fresh_prefix();
  rd_kafka_t *other = write_ten(prefix);
  driver_open(&driver, &(struct opening){.prefix = prefix, .group = prefix, .instance = "one"});
  int failed = 0;
  for (size_t n = 0; n < 10; n++) {
    driver.seen_count = 0;
    driver.broker->ops->read(driver.broker, a0, 0);
    ee_chaos_fail_after(n);
    DRIVE_UNTIL(&driver, driver.seen_count >= 10);
    failed += ee_chaos_stop();
    assert_int_equal(check_contiguous(&driver, a0, 0), 10);
  }
  assert_true(failed >= 9);
  assert_int_equal(driver.troubles[EE_FATAL], 0);
  assert_true(driver.troubles[EE_RETRY] > 0);
  rd_kafka_destroy(other);
  driver_close(&driver, 5000);
}

const struct CMUnitTest trouble_cases[] = {
    cmocka_unit_test(test_away),
    cmocka_unit_test(test_silent),
    cmocka_unit_test(test_close_in_a_hurry),
    cmocka_unit_test(test_out_of_range),
    cmocka_unit_test(test_messages_kept),
    cmocka_unit_test(test_no_memory_for_a_message),
};
const size_t trouble_count = COUNT_OF(trouble_cases);
