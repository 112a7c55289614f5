// SPDX-License-Identifier: Apache-2.0
// What the tests of the Kafka broker share.
#include "tests/system/broker/harness.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

const char *bootstrap;

const char *fresh_prefix(void) {
  static char prefix[64];
  static int number;
  snprintf(prefix, sizeof(prefix), "t%" PRId64 "-%d-%d.", ee_clock_wall_micros(), (int)getpid(),
           ++number);
  return prefix;
}

static const char *full_name(const char *prefix, enum ee_topic topic) {
  static char name[256];
  snprintf(name, sizeof(name), "%s%s", prefix, ee_topics[topic].name);
  return name;
}

// ---- Topics.

static rd_kafka_NewTopic_t *wished_topic(const char *prefix, const struct topic_wish *wish) {
  rd_kafka_NewTopic_t *topic =
      rd_kafka_NewTopic_new(full_name(prefix, wish->topic), wish->partitions, 1, NULL, 0);
  assert_non_null(topic);
  for (size_t i = 0; wish->settings[i] != NULL; i += 2) {
    rd_kafka_NewTopic_set_config(topic, wish->settings[i], wish->settings[i + 1]);
  }
  return topic;
}

static void check_created(rd_kafka_event_t *event) {
  assert_non_null(event);
  if (rd_kafka_event_error(event)) print_error("%s\n", rd_kafka_event_error_string(event));
  assert_int_equal(rd_kafka_event_error(event), RD_KAFKA_RESP_ERR_NO_ERROR);
  size_t count;
  const rd_kafka_topic_result_t **results =
      rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
  for (size_t i = 0; i < count; i++) {
    const char *text = rd_kafka_topic_result_error_string(results[i]);
    if (text != NULL) print_error("%s: %s\n", rd_kafka_topic_result_name(results[i]), text);
    assert_int_equal(rd_kafka_topic_result_error(results[i]), RD_KAFKA_RESP_ERR_NO_ERROR);
  }
}

void make_topics(const char *prefix, const struct topic_wish *wishes) {
  rd_kafka_t *rk = other_producer(NULL);
  rd_kafka_NewTopic_t *topics[EE_TOPIC_COUNT];
  size_t count = 0;
  for (; wishes[count].partitions > 0; count++) {
    topics[count] = wished_topic(prefix, &wishes[count]);
  }
  rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
  rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);
  rd_kafka_AdminOptions_set_operation_timeout(options, 10000, NULL, 0);
  rd_kafka_CreateTopics(rk, topics, count, options, queue);
  rd_kafka_event_t *event = rd_kafka_queue_poll(queue, PATIENCE_MS);
  check_created(event);
  rd_kafka_event_destroy(event);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_queue_destroy(queue);
  rd_kafka_NewTopic_destroy_array(topics, count);
  rd_kafka_destroy(rk);
}

// ---- The rest of the world.

static void set(rd_kafka_conf_t *conf, const char *name, const char *value) {
  assert_int_equal(rd_kafka_conf_set(conf, name, value, NULL, 0), RD_KAFKA_CONF_OK);
}

rd_kafka_t *other_producer(const char *transactional_id) {
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  set(conf, "bootstrap.servers", bootstrap);
  set(conf, "linger.ms", "1");
  if (transactional_id != NULL) {
    set(conf, "transactional.id", transactional_id);
    set(conf, "transaction.timeout.ms", "60000");
  }
  char text[256];
  rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
  if (rk == NULL) print_error("%s\n", text);
  assert_non_null(rk);
  return rk;
}

static void write_one(rd_kafka_t *producer, const char *topic, struct ee_tp tp, const char *key,
                      const char *value) {
  rd_kafka_resp_err_t code;
  do {
    code = rd_kafka_producev(producer, RD_KAFKA_VTYPE_TOPIC, topic, RD_KAFKA_VTYPE_PARTITION,
                             tp.partition, RD_KAFKA_VTYPE_MSGFLAGS, (int)RD_KAFKA_MSG_F_COPY,
                             RD_KAFKA_VTYPE_KEY, key, key == NULL ? (size_t)0 : strlen(key),
                             RD_KAFKA_VTYPE_VALUE, value, value == NULL ? (size_t)0 : strlen(value),
                             RD_KAFKA_VTYPE_END);
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) rd_kafka_poll(producer, 10);
  } while (code == RD_KAFKA_RESP_ERR__QUEUE_FULL);
  assert_int_equal(code, RD_KAFKA_RESP_ERR_NO_ERROR);
}

void other_write(rd_kafka_t *producer, const char *prefix, struct ee_tp tp, const char *key,
                 const char *value) {
  write_one(producer, full_name(prefix, tp.topic), tp, key, value);
  assert_int_equal(rd_kafka_flush(producer, PATIENCE_MS), RD_KAFKA_RESP_ERR_NO_ERROR);
}

void other_write_async(rd_kafka_t *producer, const char *prefix, struct ee_tp tp,
                       const char *value) {
  write_one(producer, full_name(prefix, tp.topic), tp, NULL, value);
}

void other_write_many(rd_kafka_t *producer, const char *prefix, struct ee_tp tp, int count) {
  for (int i = 0; i < count; i++) {
    char value[16];
    snprintf(value, sizeof(value), "%d", i);
    write_one(producer, full_name(prefix, tp.topic), tp, NULL, value);
  }
  assert_int_equal(rd_kafka_flush(producer, PATIENCE_MS), RD_KAFKA_RESP_ERR_NO_ERROR);
}

void other_ok(rd_kafka_error_t *error) {
  if (error != NULL) print_error("%s\n", rd_kafka_error_string(error));
  assert_null(error);
}

// ---- The driver.

void driver_open(struct driver *driver, const struct opening *opening) {
  *driver = (struct driver){.broker = NULL};
  struct ee_kafka_settings settings = {
      .bootstrap = opening->bootstrap == NULL ? bootstrap : opening->bootstrap,
      .topic_prefix = opening->prefix,
      .properties = opening->properties,
      .group = opening->group,
      .instance = opening->instance,
      .transaction_timeout_ms =
          opening->transaction_timeout_ms == 0 ? 10000 : opening->transaction_timeout_ms,
      .session_timeout_ms = opening->session_timeout_ms == 0 ? 6000 : opening->session_timeout_ms,
      .memory_bytes = opening->memory_bytes == 0 ? 64 << 20 : opening->memory_bytes,
  };
  struct ee_err err = {.text = ""};
  if (!ee_kafka_broker_new(&settings, &driver->broker, &err)) print_error("%s\n", err.text);
  assert_non_null(driver->broker);
}

void driver_close(struct driver *driver, int deadline_ms) {
  int64_t begun = ee_clock_monotonic_ms();
  driver->broker->ops->close(driver->broker, deadline_ms);
  int64_t took = ee_clock_monotonic_ms() - begun;
  if (took > deadline_ms + 200) print_error("closing took %d ms\n", (int)took);
  assert_true(took <= deadline_ms + 200);
  free(driver->seen);
  *driver = (struct driver){.broker = NULL};
}

void driver_clear(struct driver *driver) {
  driver->seen_count = 0;
}

static void note_message(struct driver *driver, const struct ee_message *message) {
  if (driver->seen_count == driver->seen_room) {
    driver->seen_room = driver->seen_room * 2 + 1000;
    driver->seen = realloc(driver->seen, driver->seen_room * sizeof(*driver->seen));
    assert_non_null(driver->seen);
  }
  struct seen *seen = &driver->seen[driver->seen_count++];
  *seen = (struct seen){.tp = message->tp, .offset = message->offset};
  snprintf(seen->value, sizeof(seen->value), "%.*s", EE_STR_ARG(ee_bytes_str(message->value)));
}

static void note(struct driver *driver, struct ee_broker_event *event) {
  switch (event->kind) {
    case EE_EVENT_MESSAGES:
      for (size_t i = 0; i < event->count; i++) {
        note_message(driver, &event->messages[i]);
        driver->broker->ops->free_message(driver->broker, &event->messages[i]);
      }
      break;
    case EE_EVENT_ASSIGNED:
      driver->assigned++;
      assert_true(event->count <= COUNT_OF(driver->offered));
      driver->offered_count = event->count;
      for (size_t i = 0; i < event->count; i++)
        driver->offered[i] = event->partitions[i];
      break;
    case EE_EVENT_REVOKED:
      driver->revoked++;
      driver->lost = event->lost;
      break;
    case EE_EVENT_TROUBLE:
      driver->troubles[event->outcome]++;
      driver->trouble = event->err;
      break;
    case EE_EVENT_OUT_OF_RANGE:
      driver->out_of_range++;
      driver->broken = event->tp;
      driver->trouble = event->err;
      break;
    case EE_EVENT_NONE:
    case EE_EVENT_OPERATION:
      break;
  }
}

void drive(struct driver *driver, int timeout_ms) {
  struct ee_broker_event event;
  driver->broker->ops->poll(driver->broker, timeout_ms, &event);
  note(driver, &event);
}

void drive_for(struct driver *driver, int ms) {
  int64_t until = ee_clock_monotonic_ms() + ms;
  for (int64_t left; (left = until - ee_clock_monotonic_ms()) > 0;)
    drive(driver, (int)left);
}

enum ee_outcome_class perform(struct driver *driver, struct ee_operation *operation) {
  driver->broker->ops->begin(driver->broker, operation);
  assert_true(operation->pending);
  DRIVE_UNTIL(driver, !operation->pending);
  return operation->outcome;
}

enum ee_outcome_class perform_kind(struct driver *driver, enum ee_operation_kind kind) {
  struct ee_operation operation = {.kind = kind};
  return perform(driver, &operation);
}

enum ee_outcome_class commit_offset(struct driver *driver, struct ee_tp tp, int64_t offset) {
  struct ee_tp_offset at = {.tp = tp, .offset = offset};
  struct ee_operation operation = {.kind = EE_OP_COMMIT, .offsets = &at, .count = 1};
  return perform(driver, &operation);
}

static int64_t ask(struct driver *driver, struct ee_operation *operation, struct ee_tp tp) {
  struct ee_tp_offset at = {.tp = tp, .offset = 77};
  operation->offsets = &at;
  operation->count = 1;
  int64_t until = ee_clock_monotonic_ms() + PATIENCE_MS;
  while (perform(driver, operation) == EE_RETRY && ee_clock_monotonic_ms() < until)
    continue;
  if (operation->outcome != EE_DONE) print_error("%s\n", operation->err.text);
  assert_int_equal(operation->outcome, EE_DONE);
  return at.offset;
}

int64_t end_offset(struct driver *driver, struct ee_tp tp, enum ee_isolation isolation) {
  struct ee_operation operation = {.kind = EE_OP_END, .isolation = isolation};
  return ask(driver, &operation, tp);
}

int64_t start_offset(struct driver *driver, struct ee_tp tp) {
  struct ee_operation operation = {.kind = EE_OP_START};
  return ask(driver, &operation, tp);
}

int64_t committed_offset(struct driver *driver, struct ee_tp tp) {
  struct ee_operation operation = {.kind = EE_OP_COMMITTED};
  return ask(driver, &operation, tp);
}

void open_transaction(struct driver *driver) {
  assert_int_equal(perform_kind(driver, EE_OP_INIT), EE_DONE);
  struct ee_err err;
  assert_int_equal(driver->broker->ops->begin_transaction(driver->broker, &err), EE_DONE);
}

enum ee_outcome_class put(struct driver *driver, struct ee_tp tp, const char *value) {
  struct ee_output output = {.tp = tp, .value = ee_bytes(value, strlen(value))};
  struct ee_err err = {.text = ""};
  return driver->broker->ops->produce(driver->broker, &output, &err);
}

void join_group(struct driver *driver, const enum ee_topic *topics, size_t count) {
  struct ee_err err = {.text = ""};
  assert_true(driver->broker->ops->subscribe(driver->broker, topics, count, &err));
  DRIVE_UNTIL(driver, driver->assigned == 1);
  driver->broker->ops->accept(driver->broker);
}

size_t count_seen(const struct driver *driver, struct ee_tp tp) {
  size_t count = 0;
  for (size_t i = 0; i < driver->seen_count; i++) {
    count += driver->seen[i].tp.topic == tp.topic && driver->seen[i].tp.partition == tp.partition;
  }
  return count;
}

size_t check_contiguous(const struct driver *driver, struct ee_tp tp, int64_t first) {
  size_t count = 0;
  for (size_t i = 0; i < driver->seen_count; i++) {
    const struct seen *seen = &driver->seen[i];
    if (seen->tp.topic != tp.topic || seen->tp.partition != tp.partition) continue;
    if (seen->offset != first + (int64_t)count) {
      print_error("offset %" PRId64 " where %" PRId64 " was due\n", seen->offset,
                  first + (int64_t)count);
    }
    assert_int_equal(seen->offset, first + (int64_t)count);
    count++;
  }
  return count;
}
