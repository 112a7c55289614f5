// SPDX-License-Identifier: Apache-2.0
// Seeded randomness and the distributions that traffic has.
#include "tools/traffic/random.h"

#include <math.h>
#include <string.h>

#include "base/time.h"

#define GOLDEN UINT64_C(0x9e3779b97f4a7c15)
#define PI 3.14159265358979323846
#define SIGMAS_MAX 3.0

static uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

// splitmix64.
uint64_t random_next(struct random *random) {
  return mix(random->state += GOLDEN);
}

struct random random_of(uint64_t seed, uint64_t number) {
  return (struct random){.state = mix(mix(seed + GOLDEN) + number)};
}

int64_t random_below(struct random *random, int64_t below) {
  return (int64_t)(random_next(random) % (uint64_t)below);
}

bool random_chance(struct random *random, int per_mille) {
  return random_below(random, 1000) < per_mille;
}

double random_unit(struct random *random) {
  return ((double)(random_next(random) >> 11) + 1.0) * 0x1p-53;
}

double random_exponential(struct random *random) {
  return -log(random_unit(random));
}

// Box and Muller's.
static double normal(struct random *random) {
  double radius = sqrt(-2.0 * log(random_unit(random)));
  return radius * cos(2.0 * PI * random_unit(random));
}

double random_log_normal(struct random *random, double median, double sigma) {
  double at = fmax(-SIGMAS_MAX, fmin(SIGMAS_MAX, normal(random)));
  return median * exp(sigma * at);
}

void random_uuid7(struct random *random, int64_t at, char out[EE_UUID_SIZE]) {
  uint64_t words[2] = {random_next(random), random_next(random)};
  uint8_t bytes[10];
  memcpy(bytes, words, sizeof bytes);
  ee_uuid7_make(at / EE_MICROS_PER_MS, bytes, out);
}
