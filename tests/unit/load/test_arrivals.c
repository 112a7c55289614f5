// SPDX-License-Identifier: Apache-2.0
// Arrivals: the mean rate is what was asked for; Poisson's are spread as Poisson's are, bursts much
// more.
#include "tools/envelope-load/arrivals.h"

#include <math.h>

#include "tests/support/test.h"

#define PER_S 1000
#define SECONDS 4000

// How many arrived in each second.
static void count(uint64_t seed, uint64_t number, bool bursty, int seconds, int *ret) {
  struct arrivals arrivals;
  int64_t before = 0;
  arrivals_init(&arrivals, seed, number, PER_S, bursty);
  memset(ret, 0, (size_t)seconds * sizeof *ret);
  for (;;) {
    int64_t at = arrivals_next(&arrivals);
    assert_true(at >= before);
    before = at;
    if (at / 1000000 >= seconds) return;
    ret[at / 1000000]++;
  }
}

struct moments {
  double mean, dispersion;  // variance by mean
};

static struct moments moments_of(const int *counts, int seconds) {
  double sum = 0, squares = 0;
  for (int i = 0; i < seconds; i++) {
    sum += counts[i];
    squares += (double)counts[i] * counts[i];
  }
  double mean = sum / seconds;
  return (struct moments){.mean = mean, .dispersion = (squares / seconds - mean * mean) / mean};
}

static int counts[SECONDS], others[SECONDS];

static void poisson_arrivals(void **state) {
  (void)state;
  int seconds = ee_tries(SECONDS);
  count(1, 0, false, seconds, counts);
  struct moments moments = moments_of(counts, seconds);
  assert_true(fabs(moments.mean / PER_S - 1) < 5 / sqrt((double)PER_S * seconds));
  assert_true(fabs(moments.dispersion - 1) < 5 * sqrt(2.0 / seconds));
}

static void bursty_arrivals(void **state) {
  (void)state;
  int seconds = ee_tries(SECONDS);
  count(1, 0, true, seconds, counts);
  struct moments moments = moments_of(counts, seconds);
  // Bursts are few, and so the mean is less sure: some sqrt(2 * 0.9 / seconds) of it.
  assert_true(fabs(moments.mean / PER_S - 1) < 5 * sqrt(2.0 / seconds));
  assert_true(moments.dispersion > 100);
}

// All threads of a run are in a burst at one time, with arrivals of their own.
static void bursts_are_shared(void **state) {
  (void)state;
  int seconds = ee_tries(SECONDS), equal = 0;
  count(1, 0, true, seconds, counts);
  count(1, 1, true, seconds, others);
  double mean = moments_of(counts, seconds).mean, both = 0, one = 0;
  for (int i = 0; i < seconds; i++) {
    equal += counts[i] == others[i];
    both += (counts[i] - mean) * (others[i] - mean);
    one += (counts[i] - mean) * (counts[i] - mean);
  }
  assert_true(both / one > 0.95);
  assert_true(equal < seconds / 4);
}

static void seeds_are_told_apart(void **state) {
  (void)state;
  int equal = 0, seconds = 100;
  count(1, 0, false, seconds, counts);
  count(1, 0, false, seconds, others);
  assert_memory_equal(counts, others, (size_t)seconds * sizeof *counts);
  count(2, 0, false, seconds, others);
  for (int i = 0; i < seconds; i++)
    equal += counts[i] == others[i];
  assert_true(equal < seconds / 4);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(poisson_arrivals),
      cmocka_unit_test(bursty_arrivals),
      cmocka_unit_test(bursts_are_shared),
      cmocka_unit_test(seeds_are_told_apart),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
