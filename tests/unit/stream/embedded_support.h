// SPDX-License-Identifier: Apache-2.0
// What the tests of the embedded log share: short ways to make its calls.
#ifndef EE_TESTS_EMBEDDED_SUPPORT_H
#define EE_TESTS_EMBEDDED_SUPPORT_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "stream/embedded_broker.h"
#include "tests/support/test.h"

#define PARTITIONS 4

static const enum ee_topic inputs[] = {EE_TOPIC_ADMISSION, EE_TOPIC_TICK};

static inline struct ee_cluster *cluster_new(void) {
  struct ee_cluster *cluster;
  struct ee_err err;
  if (!ee_cluster_new("t.", PARTITIONS, 64 << 20, &cluster, &err)) fail_msg("%s", err.text);
  return cluster;
}

static inline struct ee_broker *broker_new(struct ee_cluster *cluster, const char *group,
                                           const char *instance) {
  struct ee_broker *broker;
  struct ee_err err;
  if (!ee_embedded_broker_new(cluster, group, instance, &broker, &err)) fail_msg("%s", err.text);
  return broker;
}

static inline void close_broker(struct ee_broker *broker) {
  broker->ops->close(broker, 0);
}

static inline struct ee_tp tp(enum ee_topic topic, int32_t partition) {
  return (struct ee_tp){.topic = topic, .partition = partition};
}

static inline struct ee_bytes bytes_of(const char *text) {
  return ee_str_bytes(ee_str(text));
}

static inline struct ee_output output_of(struct ee_tp where, const char *key, const char *value) {
  return (struct ee_output){.tp = where, .key = bytes_of(key), .value = bytes_of(value)};
}

static inline struct ee_broker_event poll_of(struct ee_broker *broker) {
  struct ee_broker_event event;
  broker->ops->poll(broker, 0, &event);
  return event;
}

static inline void expect_none(struct ee_broker *broker) {
  assert_int_equal(poll_of(broker).kind, EE_EVENT_NONE);
}

// Begins it and polls once: it must be what is reported.
static inline enum ee_outcome_class run(struct ee_broker *broker, struct ee_operation *operation) {
  broker->ops->begin(broker, operation);
  assert_true(operation->pending);
  struct ee_broker_event event = poll_of(broker);
  assert_int_equal(event.kind, EE_EVENT_OPERATION);
  assert_ptr_equal(event.operation, operation);
  assert_false(operation->pending);
  return operation->outcome;
}

static inline enum ee_outcome_class run_kind(struct ee_broker *broker,
                                             enum ee_operation_kind kind) {
  struct ee_operation operation = {.kind = kind};
  return run(broker, &operation);
}

static inline enum ee_outcome_class commit_offset(struct ee_broker *broker, struct ee_tp where,
                                                  int64_t offset) {
  struct ee_tp_offset offsets[] = {{.tp = where, .offset = offset}};
  struct ee_operation operation = {.kind = EE_OP_COMMIT, .offsets = offsets, .count = 1};
  return run(broker, &operation);
}

static inline int64_t ask(struct ee_broker *broker, enum ee_operation_kind kind,
                          enum ee_isolation isolation, struct ee_tp where) {
  struct ee_tp_offset offsets[] = {{.tp = where, .offset = -77}};
  struct ee_operation operation = {
      .kind = kind, .isolation = isolation, .offsets = offsets, .count = 1};
  assert_int_equal(run(broker, &operation), EE_DONE);
  return offsets[0].offset;
}

static inline void produce(struct ee_broker *broker, struct ee_tp where, const char *value) {
  struct ee_output output = output_of(where, "k", value);
  struct ee_err err;
  assert_int_equal(broker->ops->produce(broker, &output, &err), EE_DONE);
}

static inline void begin(struct ee_broker *broker) {
  struct ee_err err;
  assert_int_equal(broker->ops->begin_transaction(broker, &err), EE_DONE);
}

// Takes all messages that can be had now and gives them back: their values, in order.
static inline const char *drain(struct ee_broker *broker) {
  static char all[16384];
  size_t size = 0;
  all[0] = '\0';
  for (;;) {
    struct ee_broker_event event = poll_of(broker);
    if (event.kind == EE_EVENT_NONE) return all;
    assert_int_equal(event.kind, EE_EVENT_MESSAGES);
    for (size_t i = 0; i < event.count; i++) {
      struct ee_message *message = &event.messages[i];
      size += (size_t)snprintf(all + size, sizeof all - size, "%.*s@%" PRId64 " ",
                               EE_STR_ARG(ee_bytes_str(message->value)), message->offset);
      assert_true(size < sizeof all);
      broker->ops->free_message(broker, message);
    }
  }
}

#endif
