// SPDX-License-Identifier: Apache-2.0
// The broker interface over librdkafka (2.0.2 or newer) and Kafka.
//
// Inside: a consumer that is in the group and fetches nothing, one that is assigned by hand
// and fetches everything, one that asks for high watermarks and settings, a transactional
// and a plain producer, and one thread that makes librdkafka's blocking calls in the order
// in which they were begun. Callbacks and logs arrive through queues.
#ifndef EE_STREAM_KAFKA_BROKER_H
#define EE_STREAM_KAFKA_BROKER_H

#include "base/option.h"
#include "stream/broker.h"

struct ee_kafka_settings {
  const char *bootstrap;
  const char *topic_prefix;                // "" for none
  const struct ee_properties *properties;  // -X, handed to every handle where it applies
  const char *group;                       // group.id
  // group.instance.id: letters, digits, '.', '_' and '-'; "group/instance" is the
  // transactional.id.
  const char *instance;
  int64_t transaction_timeout_ms;
  int64_t session_timeout_ms;
  // Half of it for librdkafka's queues, the other half for messages that the caller holds
  // (they keep alive the fetch that they came with).
  int64_t memory_bytes;
};

// Copies the settings. Waits for nobody; err names a property that is refused, by us (what
// the guarantees rest on) or by librdkafka.
bool ee_kafka_broker_new(const struct ee_kafka_settings *settings, struct ee_broker **ret,
                         struct ee_err *err);

#endif
