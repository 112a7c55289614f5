// SPDX-License-Identifier: Apache-2.0
// Which partition a key belongs to: as Java's default partitioner computes it.
#ifndef EE_WIRE_PARTITION_H
#define EE_WIRE_PARTITION_H

#include "base/slice.h"

// org.apache.kafka.common.utils.Utils.murmur2.
uint32_t ee_murmur2(struct ee_bytes key);
// Utils.toPositive(murmur2(key)) % count; count > 0, key not NULL.
int32_t ee_partition_of(struct ee_bytes key, int32_t count);

#endif
