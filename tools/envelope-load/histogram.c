// SPDX-License-Identifier: Apache-2.0
// Buckets of values: each power of two is cut into as many.
#include "tools/envelope-load/histogram.h"

#define EXACT (INT64_C(1) << (HISTOGRAM_BITS + 1))

size_t histogram_bucket(int64_t value) {
  if (value < 0) value = 0;
  if (value > HISTOGRAM_MOST) value = HISTOGRAM_MOST;
  if (value < EXACT) return (size_t)value;
  int shift = 63 - __builtin_clzll((unsigned long long)value) - HISTOGRAM_BITS;
  return ((size_t)shift << HISTOGRAM_BITS) + (size_t)(value >> shift);
}

int64_t histogram_highest(size_t bucket) {
  if (bucket < (size_t)EXACT) return (int64_t)bucket;
  int shift = (int)(bucket >> HISTOGRAM_BITS) - 1;
  int64_t place = (int64_t)(bucket - ((size_t)shift << HISTOGRAM_BITS));
  return ((place + 1) << shift) - 1;
}

void histogram_record(struct histogram *histogram, int64_t value) {
  _Atomic(uint64_t) *count = &histogram->counts[histogram_bucket(value)];
  uint64_t before = atomic_load_explicit(count, memory_order_relaxed);
  atomic_store_explicit(count, before + 1, memory_order_relaxed);
}

void tally_add(struct tally *tally, const struct histogram *histogram) {
  for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
    uint64_t count = atomic_load_explicit(&histogram->counts[i], memory_order_relaxed);
    tally->counts[i] += count;
    tally->total += count;
  }
}

void tally_since(const struct tally *tally, const struct tally *before, struct tally *ret) {
  for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
    ret->counts[i] = tally->counts[i] - before->counts[i];
  ret->total = tally->total - before->total;
}

int64_t tally_quantile(const struct tally *tally, int64_t millionths) {
  double share = (double)tally->total * (double)millionths / 1e6;
  uint64_t rank = (uint64_t)share, seen = 0;
  if ((double)rank < share || rank == 0) rank++;
  for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
    seen += tally->counts[i];
    if (seen >= rank) return histogram_highest(i);
  }
  return 0;
}
