// SPDX-License-Identifier: Apache-2.0
// Hashes that are not for security: table keys and stored checksums.
#ifndef EE_BASE_HASH_H
#define EE_BASE_HASH_H

#include "base/slice.h"

// SipHash-2-4 under a key drawn once a process, so that keys chosen by strangers cannot
// make a table slow. The value differs from process to process: never store or send it.
uint64_t ee_hash(const void *data, size_t size);
// CRC-32C (Castagnoli), for stored values. seed 0 to begin; a result continues it.
uint32_t ee_crc32c(uint32_t seed, const void *data, size_t size);

#endif
