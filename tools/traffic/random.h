// SPDX-License-Identifier: Apache-2.0
// Seeded randomness: the same seed gives the same numbers. One thread for each.
#ifndef EE_TOOLS_TRAFFIC_RANDOM_H
#define EE_TOOLS_TRAFFIC_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

#include "contract/ident.h"

struct random {
  uint64_t state;
};

uint64_t random_next(struct random *random);
// One that is independent of those of other seeds and numbers.
struct random random_of(uint64_t seed, uint64_t number);
// 0 to below; below > 0.
int64_t random_below(struct random *random, int64_t below);
// True in so many of a thousand.
bool random_chance(struct random *random, int per_mille);
// Above 0 and at most 1.
double random_unit(struct random *random);
// Of mean 1.
double random_exponential(struct random *random);
// Whose logarithm is normal; cut at three standard deviations, so that it is bounded.
double random_log_normal(struct random *random, double median, double sigma);
// An identifier of that time, UTC microseconds.
void random_uuid7(struct random *random, int64_t at, char out[EE_UUID_SIZE]);

#endif
