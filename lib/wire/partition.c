// SPDX-License-Identifier: Apache-2.0
// Kafka's murmur2: the 32-bit MurmurHash2 with Kafka's seed, little-endian words.
#include "wire/partition.h"

#define SEED UINT32_C(0x9747b28c)
#define MULTIPLIER UINT32_C(0x5bd1e995)

static uint32_t little_endian(const uint8_t *p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

uint32_t ee_murmur2(struct ee_bytes key) {
  const uint8_t *p = key.data;
  size_t left = key.size;
  uint32_t h = SEED ^ (uint32_t)key.size;
  for (; left >= 4; left -= 4, p += 4) {
    uint32_t k = little_endian(p) * MULTIPLIER;
    k ^= k >> 24;
    h = h * MULTIPLIER ^ k * MULTIPLIER;
  }
  if (left != 0) {
    if (left >= 3) h ^= (uint32_t)p[2] << 16;
    if (left >= 2) h ^= (uint32_t)p[1] << 8;
    h = (h ^ p[0]) * MULTIPLIER;
  }
  h = (h ^ h >> 13) * MULTIPLIER;
  return h ^ h >> 15;
}

int32_t ee_partition_of(struct ee_bytes key, int32_t count) {
  return (int32_t)(ee_murmur2(key) & INT32_MAX) % count;
}
