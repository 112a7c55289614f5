// SPDX-License-Identifier: Apache-2.0
// The ways to compute ee_crc32c (private to base): all give the same value.
#ifndef EE_BASE_CRC32C_H
#define EE_BASE_CRC32C_H

#include "base/slice.h"

// Eight tables (slicing by 8, Kounavis and Berry), on any processor.
uint32_t ee_crc32c_by_tables(uint32_t seed, const void *data, size_t size);

// The processor's own instruction, some five times as fast. Call it only where it is there.
bool ee_crc32c_instruction_there(void);
uint32_t ee_crc32c_by_instruction(uint32_t seed, const void *data, size_t size);

#endif
