// SPDX-License-Identifier: Apache-2.0
// How often which time was measured, in fixed memory: exact below 64, and to a part in 32 above.
// One thread records; any may read meanwhile and sees each record at most a little late.
#ifndef EE_TOOLS_LOAD_HISTOGRAM_H
#define EE_TOOLS_LOAD_HISTOGRAM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_BITS 5  // of a value's place within its power of two
#define HISTOGRAM_MOST \
  ((INT64_C(1) << 40) - 1)  // what is more is counted as this; 18 minutes in ns
#define HISTOGRAM_BUCKETS ((40 - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS)

struct histogram {
  _Atomic(uint64_t) counts[HISTOGRAM_BUCKETS];
};

// Where a value is counted, and the largest that is counted there. A negative one counts as 0.
size_t histogram_bucket(int64_t value);
int64_t histogram_highest(size_t bucket);

// Neither allocates nor waits.
void histogram_record(struct histogram *histogram, int64_t value);

// What was read of one or more: one thread's own.
struct tally {
  uint64_t counts[HISTOGRAM_BUCKETS];
  uint64_t total;
};

void tally_add(struct tally *tally, const struct histogram *histogram);
// What came since: *tally less what it was before.
void tally_since(const struct tally *tally, const struct tally *before, struct tally *ret);
// The least bucket's highest value that so many of a million are not above; 1000000: the largest. 0
// when nothing was measured.
int64_t tally_quantile(const struct tally *tally, int64_t millionths);

#endif
