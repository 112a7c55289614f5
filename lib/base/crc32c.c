// SPDX-License-Identifier: Apache-2.0
// CRC-32C (Castagnoli), reflected.
#include "base/crc32c.h"

#include <pthread.h>

#include "base/hash.h"

#define CRC32C_REVERSED UINT32_C(0x82F63B78)

static pthread_once_t tables_once = PTHREAD_ONCE_INIT;
static uint32_t tables[8][256];

static void fill_tables(void) {
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; bit++) {
      crc = crc >> 1 ^ ((crc & 1) != 0 ? CRC32C_REVERSED : 0);
    }
    tables[0][byte] = crc;
  }
  for (size_t table = 1; table < 8; table++) {
    for (size_t byte = 0; byte < 256; byte++) {
      uint32_t before = tables[table - 1][byte];
      tables[table][byte] = before >> 8 ^ tables[0][before & 0xFF];
    }
  }
}

static uint32_t load32(const uint8_t *at) {
  return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

uint32_t ee_crc32c_by_tables(uint32_t seed, const void *data, size_t size) {
  pthread_once(&tables_once, fill_tables);
  const uint8_t *at = data;
  uint32_t crc = ~seed;
  for (; size >= 8; size -= 8, at += 8) {
    uint32_t low = crc ^ load32(at);
    uint32_t high = load32(at + 4);
    crc = tables[7][low & 0xFF] ^ tables[6][low >> 8 & 0xFF] ^ tables[5][low >> 16 & 0xFF] ^
          tables[4][low >> 24] ^ tables[3][high & 0xFF] ^ tables[2][high >> 8 & 0xFF] ^
          tables[1][high >> 16 & 0xFF] ^ tables[0][high >> 24];
  }
  for (; size > 0; size--, at++) {
    crc = crc >> 8 ^ tables[0][(crc ^ *at) & 0xFF];
  }
  return ~crc;
}

#if defined(__x86_64__)

#include <nmmintrin.h>

bool ee_crc32c_instruction_there(void) {
  return __builtin_cpu_supports("sse4.2") != 0;
}

__attribute__((target("sse4.2"))) uint32_t ee_crc32c_by_instruction(uint32_t seed, const void *data,
                                                                    size_t size) {
  const uint8_t *at = data;
  uint64_t crc = ~seed;
  for (uint64_t word; size >= sizeof word; size -= sizeof word, at += sizeof word) {
    memcpy(&word, at, sizeof word);
    crc = _mm_crc32_u64(crc, word);
  }
  for (; size > 0; size--, at++) {
    crc = _mm_crc32_u8((uint32_t)crc, *at);
  }
  return ~(uint32_t)crc;
}

#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)

#include <arm_acle.h>

bool ee_crc32c_instruction_there(void) {
  return true;
}

uint32_t ee_crc32c_by_instruction(uint32_t seed, const void *data, size_t size) {
  const uint8_t *at = data;
  uint32_t crc = ~seed;
  for (uint64_t word; size >= sizeof word; size -= sizeof word, at += sizeof word) {
    memcpy(&word, at, sizeof word);
    crc = __crc32cd(crc, word);
  }
  for (; size > 0; size--, at++) {
    crc = __crc32cb(crc, *at);
  }
  return ~crc;
}

#else

bool ee_crc32c_instruction_there(void) {
  return false;
}

uint32_t ee_crc32c_by_instruction(uint32_t seed, const void *data, size_t size) {
  return ee_crc32c_by_tables(seed, data, size);
}

#endif

uint32_t ee_crc32c(uint32_t seed, const void *data, size_t size) {
  return ee_crc32c_instruction_there() ? ee_crc32c_by_instruction(seed, data, size)
                                       : ee_crc32c_by_tables(seed, data, size);
}
