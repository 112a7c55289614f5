// SPDX-License-Identifier: Apache-2.0
// From our settings and the user's -X properties to librdkafka's configuration.
#ifndef EE_STREAM_KAFKA_CONFIG_H
#define EE_STREAM_KAFKA_CONFIG_H

#include "stream/kafka_handle.h"

// A new configuration for a handle of that role, owned by the caller; NULL: err names the
// property. In order, the later one wins: our tuning, the user's properties, what the
// guarantees rest on.
rd_kafka_conf_t *ee_kafka_conf_new(const struct ee_kafka_shared *shared, enum ee_kafka_role role,
                                   struct ee_err *err);

// What librdkafka releases from 2.2 on have: a bound on how long they leave off fetching
// after their queue was full.
bool ee_kafka_conf_wakes_itself(void);

// Refuses what would break the guarantees or has an option of its own, with words.
bool ee_kafka_property_allowed(const char *name, struct ee_err *err);

#endif
