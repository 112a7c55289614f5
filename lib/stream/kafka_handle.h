// SPDX-License-Identifier: Apache-2.0
// One librdkafka handle with its role, its callbacks and its topic objects, and what the
// handles of one broker object share.
#ifndef EE_STREAM_KAFKA_HANDLE_H
#define EE_STREAM_KAFKA_HANDLE_H

#include <librdkafka/rdkafka.h>
#include <stdatomic.h>

#include "stream/kafka_broker.h"
#include "stream/kafka_notice.h"

#define EE_KAFKA_TOPIC_NAME_MAX 249  // Kafka's own limit

enum ee_kafka_role {
  EE_KAFKA_MEMBER,      // is in the group, fetches nothing
  EE_KAFKA_FETCHER,     // fetches all partitions, read_committed
  EE_KAFKA_OBSERVER,    // asks, read_uncommitted
  EE_KAFKA_TRANSACTOR,  // the transactional producer
  EE_KAFKA_TICKER,      // produces outside transactions
};

const char *ee_kafka_role_name(enum ee_kafka_role role);

// Written before the threads exist, except where said.
struct ee_kafka_shared {
  struct ee_kafka_settings settings;  // owns its texts
  struct ee_properties properties;    // owns its texts
  char names[EE_TOPIC_COUNT][EE_KAFKA_TOPIC_NAME_MAX + 1];
  bool wakes_itself;                // librdkafka fetches on soon after its queue was full
  int wake_fd;                      // owned; eventfd that poll waits on
  struct ee_kafka_notices notices;  // any thread
  atomic_bool closing;              // blocking calls end soon
};

// settings and its properties are copied.
bool ee_kafka_shared_new(const struct ee_kafka_settings *settings, struct ee_kafka_shared **ret,
                         struct ee_err *err);
void ee_kafka_shared_free(struct ee_kafka_shared *shared);

// Called in whichever thread serves the member's queue.
typedef void ee_kafka_rebalance(void *context, rd_kafka_resp_err_t err,
                                const rd_kafka_topic_partition_list_t *partitions);

struct ee_kafka_handle {
  enum ee_kafka_role role;
  struct ee_kafka_shared *shared;  // borrowed
  rd_kafka_t *rk;
  rd_kafka_queue_t *queue;                   // what its events and messages arrive on
  rd_kafka_topic_t *topics[EE_TOPIC_COUNT];  // owned, NULL until asked for; one thread
  ee_kafka_rebalance *rebalance;             // the member's, set before subscribing
  void *rebalance_context;
};

bool ee_kafka_handle_new(struct ee_kafka_shared *shared, enum ee_kafka_role role,
                         struct ee_kafka_handle **ret, struct ee_err *err);
// Blocks until librdkafka's threads have ended. NULL is allowed.
void ee_kafka_handle_free(struct ee_kafka_handle *handle);
// Stops its events from reaching wake_fd; for a handle that is left behind.
void ee_kafka_handle_silence(struct ee_kafka_handle *handle);

// The topic's object, borrowed, made at the first call; NULL when that fails.
rd_kafka_topic_t *ee_kafka_handle_topic(struct ee_kafka_handle *handle, enum ee_topic topic);
// Puts before the error who has fenced us, and what to do.
void ee_kafka_explain_fence(const struct ee_kafka_shared *shared, struct ee_err *err);
// Gives notice of librdkafka's fatal error. A consumer's arrives among its messages.
void ee_kafka_handle_fatal(struct ee_kafka_handle *handle);
// Serves callbacks of a handle that consumes nothing.
void ee_kafka_handle_serve(struct ee_kafka_handle *handle);

// The catalogue's topic of that full name, or -1.
int ee_kafka_topic_of(const struct ee_kafka_shared *shared, const char *full_name);

#endif
