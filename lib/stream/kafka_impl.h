// SPDX-License-Identifier: Apache-2.0
// The broker object over librdkafka, as its own files see it.
#ifndef EE_STREAM_KAFKA_IMPL_H
#define EE_STREAM_KAFKA_IMPL_H

#include "stream/kafka_worker.h"

#define EE_KAFKA_REFUSED_MAX 64

struct ee_kafka_broker {
  struct ee_broker base;
  struct ee_kafka_shared *shared;
  struct ee_kafka_group *group;
  struct ee_kafka_fetch *fetch;
  struct ee_kafka_handle *observer;
  struct ee_kafka_handle *transactor;  // NULL while RENEW has it, or after it failed
  struct ee_kafka_handle *ticker;
  struct ee_kafka_worker *worker;
  bool transaction_open;
  bool waking;  // a job of ee_kafka_wake_fetcher is under way
  struct ee_operation *refused[EE_KAFKA_REFUSED_MAX];  // to be reported by the next polls
  size_t refused_count;
  int32_t partition_counts[EE_TOPIC_COUNT];
};

// kafka_produce.c
enum ee_outcome_class ee_kafka_begin_transaction(struct ee_kafka_broker *broker,
                                                 struct ee_err *err);
enum ee_outcome_class ee_kafka_produce(struct ee_kafka_broker *broker,
                                       const struct ee_output *output, struct ee_err *err);
void ee_kafka_produce_plain(struct ee_kafka_broker *broker, const struct ee_output *output);

// kafka_operation.c
void ee_kafka_begin(struct ee_kafka_broker *broker, struct ee_operation *operation);
// An operation that has ended, its results filled in; NULL: none.
struct ee_operation *ee_kafka_ended(struct ee_kafka_broker *broker);

// Asks the leaders of these partitions something, so that the fetcher wakes; takes the list.
void ee_kafka_wake_fetcher(struct ee_kafka_broker *broker, rd_kafka_topic_partition_list_t *list);

// kafka_close.c: frees everything, within deadline_ms or later in a thread left behind.
void ee_kafka_close(struct ee_kafka_broker *broker, int deadline_ms);

#endif
