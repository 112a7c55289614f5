// SPDX-License-Identifier: Apache-2.0
// The way out that leads to Kafka: librdkafka and the schema registry. One thread; may be made on
// another one before.
#ifndef EE_CLIENT_KAFKA_OUTLET_H
#define EE_CLIENT_KAFKA_OUTLET_H

#include "client/outlet.h"
#include "stream/settings.h"

struct ee_kafka_outlet;

// Borrows the settings for its life; contacts nobody. program names the client to Kafka.
bool ee_kafka_outlet_new(const struct ee_client_settings *settings, const char *program,
                         struct ee_kafka_outlet **ret, struct ee_err *err);
// Gives up what is outstanding. Blocks until librdkafka's threads have ended. NULL is allowed.
void ee_kafka_outlet_free(struct ee_kafka_outlet *outlet);
struct ee_outlet ee_kafka_outlet(struct ee_kafka_outlet *outlet);

#endif
