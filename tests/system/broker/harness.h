// SPDX-License-Identifier: Apache-2.0
// What the tests of the Kafka broker share: topics of their own, a driver that polls one
// broker object and writes down what it reports, and plain librdkafka clients that play
// the rest of the world.
#ifndef EE_TESTS_SYSTEM_BROKER_HARNESS_H
#define EE_TESTS_SYSTEM_BROKER_HARNESS_H

#include <librdkafka/rdkafka.h>

#include "base/time.h"
#include "stream/kafka_broker.h"
#include "tests/support/test.h"

#define PATIENCE_MS 30000  // what never happens fails after this

extern const char *bootstrap;  // ENVELOPE_TEST_BOOTSTRAP

// A prefix that no other test or run uses. Borrowed until the next call.
const char *fresh_prefix(void);

struct topic_wish {
  enum ee_topic topic;
  int partitions;
  const char *settings[8];  // name, value, ..., NULL
};
// Makes the topics; ends with an entry of no partitions.
void make_topics(const char *prefix, const struct topic_wish *wishes);

// ---- The rest of the world.

// A producer; transactional_id NULL: none. Fails the test if it cannot be made.
rd_kafka_t *other_producer(const char *transactional_id);
// Waits for the acknowledgement unless a transaction is open.
void other_write(rd_kafka_t *producer, const char *prefix, struct ee_tp tp, const char *key,
                 const char *value);
// Does not wait.
void other_write_async(rd_kafka_t *producer, const char *prefix, struct ee_tp tp,
                       const char *value);
// count records "0", "1", ... without keys, all acknowledged.
void other_write_many(rd_kafka_t *producer, const char *prefix, struct ee_tp tp, int count);
void other_ok(rd_kafka_error_t *error);

// ---- One broker object and what it has reported.

struct seen {
  struct ee_tp tp;
  int64_t offset;
  char value[32];
};

struct driver {
  struct ee_broker *broker;
  struct seen *seen;  // messages in order
  size_t seen_count, seen_room;
  struct ee_tp offered[64];
  size_t offered_count;
  int assigned, revoked;  // how often
  bool lost;
  int troubles[EE_FATAL + 1];  // by outcome
  int out_of_range;            // how often
  struct ee_tp broken;         // where it was
  struct ee_err trouble;       // what was said last
};

struct opening {
  const char *bootstrap;  // NULL: the test's Kafka
  const char *prefix, *group, *instance;
  int64_t transaction_timeout_ms, session_timeout_ms, memory_bytes;  // 0: 10 s, 6 s, 64 MiB
  const struct ee_properties *properties;
};

void driver_open(struct driver *driver, const struct opening *opening);
// Closes within deadline_ms and checks that it did.
void driver_close(struct driver *driver, int deadline_ms);
// Forgets the messages.
void driver_clear(struct driver *driver);
// One poll.
void drive(struct driver *driver, int timeout_ms);
void drive_for(struct driver *driver, int ms);

#define DRIVE_UNTIL(driver, condition)                                           \
  do {                                                                           \
    int64_t until_ = ee_clock_monotonic_ms() + PATIENCE_MS;                      \
    while (!(condition) && ee_clock_monotonic_ms() < until_) {                   \
      drive((driver), 20);                                                       \
    }                                                                            \
    if (!(condition)) print_error("last trouble: %s\n", (driver)->trouble.text); \
    assert_true(condition);                                                      \
  } while (0)

// Begins the operation and drives until it is reported.
enum ee_outcome_class perform(struct driver *driver, struct ee_operation *operation);
enum ee_outcome_class perform_kind(struct driver *driver, enum ee_operation_kind kind);
enum ee_outcome_class commit_offset(struct driver *driver, struct ee_tp tp, int64_t offset);
// Repeats while it says RETRY, then checks that it was done.
int64_t end_offset(struct driver *driver, struct ee_tp tp, enum ee_isolation isolation);
int64_t start_offset(struct driver *driver, struct ee_tp tp);
int64_t committed_offset(struct driver *driver, struct ee_tp tp);

// Initialises the producer and opens a transaction.
void open_transaction(struct driver *driver);
enum ee_outcome_class put(struct driver *driver, struct ee_tp tp, const char *value);
// Subscribes and drives until assigned, then accepts.
void join_group(struct driver *driver, const enum ee_topic *topics, size_t count);

size_t count_seen(const struct driver *driver, struct ee_tp tp);
// Checks that the messages seen of tp are first, first + 1, ... and returns how many.
size_t check_contiguous(const struct driver *driver, struct ee_tp tp, int64_t first);

#endif
