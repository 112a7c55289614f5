// SPDX-License-Identifier: Apache-2.0
// The broker interface over librdkafka (2.0.2 or newer) and Kafka.
//
// Inside: a group consumer, a reader consumer and a high-watermark handle, a
// transactional producer, a plain producer, and one thread that makes librdkafka's
// blocking calls in the order they were begun. Callbacks and logs arrive through queues.
#ifndef EE_STREAM_KAFKA_BROKER_H
#define EE_STREAM_KAFKA_BROKER_H

#include "base/option.h"
#include "stream/broker.h"

struct ee_kafka_settings {
  const char *bootstrap;
  const char *topic_prefix;                // "" for none
  const struct ee_properties *properties;  // -X, handed to every handle where it applies
  const char *group;                       // group.id
  const char *instance;                    // group.instance.id; with group: transactional.id
  int64_t transaction_timeout_ms;
  int64_t session_timeout_ms;
  int64_t memory_bytes;  // for librdkafka's queues, in all
};

// Copies the settings. Contacts nobody yet; err names a property librdkafka refuses.
bool ee_kafka_broker_new(const struct ee_kafka_settings *settings, struct ee_broker **ret,
                         struct ee_err *err);

#endif
