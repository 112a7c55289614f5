// SPDX-License-Identifier: Apache-2.0
// Quantiles are what sorting all values would have given, to the width of a bucket.
#include "tools/envelope-load/histogram.h"

#include "tests/support/test.h"
#include "tools/traffic/random.h"

#define VALUES 10000

static int compare(const void *a, const void *b) {
  int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
  return (left > right) - (left < right);
}

static void buckets_cover_all_values(void **state) {
  (void)state;
  for (size_t i = 1; i < HISTOGRAM_BUCKETS; i++) {
    int64_t below = histogram_highest(i - 1), highest = histogram_highest(i);
    assert_true(highest > below);
    assert_true(histogram_bucket(highest) == i && histogram_bucket(below + 1) == i);
    assert_true(highest - below <= 1 || highest - below <= highest / 32);
  }
  assert_true(histogram_highest(HISTOGRAM_BUCKETS - 1) == HISTOGRAM_MOST);
  assert_true(histogram_bucket(INT64_MAX) == HISTOGRAM_BUCKETS - 1);
  assert_true(histogram_bucket(-5) == 0 && histogram_highest(0) == 0);
}

static void quantiles_are_those_of_sorting(void **state) {
  (void)state;
  static const int64_t wanted[] = {1, 10000, 500000, 900000, 990000, 999000, 999999, 1000000};
  static int64_t values[VALUES];
  for (uint64_t seed = 0; seed < 20; seed++) {
    struct histogram histogram = {.counts = {0}};
    struct tally tally = {.total = 0};
    struct random random = random_of(seed, 0);
    size_t count = 1 + (size_t)random_below(&random, VALUES);
    for (size_t i = 0; i < count; i++) {
      values[i] = (int64_t)random_log_normal(&random, 1500, 2);
      histogram_record(&histogram, values[i]);
    }
    tally_add(&tally, &histogram);
    assert_true(tally.total == count);
    qsort(values, count, sizeof *values, compare);
    for (size_t i = 0; i < COUNT_OF(wanted); i++) {
      size_t rank = (count * (size_t)wanted[i] + 999999) / 1000000;
      int64_t value = values[rank - 1];
      assert_true(tally_quantile(&tally, wanted[i]) == histogram_highest(histogram_bucket(value)));
    }
  }
}

static void nothing_measured_is_0(void **state) {
  (void)state;
  struct tally tally = {.total = 0};
  assert_true(tally_quantile(&tally, 500000) == 0 && tally_quantile(&tally, 1000000) == 0);
}

static void what_came_since_is_told_apart(void **state) {
  (void)state;
  struct histogram one = {.counts = {0}}, two = {.counts = {0}};
  struct tally before = {.total = 0}, now = {.total = 0}, since;
  for (int i = 0; i < 100; i++)
    histogram_record(&one, 10);
  tally_add(&before, &one);
  tally_add(&before, &two);
  histogram_record(&one, 20);
  histogram_record(&two, 30);
  tally_add(&now, &one);
  tally_add(&now, &two);
  tally_since(&now, &before, &since);
  assert_true(since.total == 2 && now.total == 102);
  assert_true(tally_quantile(&since, 500000) == 20 && tally_quantile(&since, 1000000) == 30);
  assert_true(tally_quantile(&now, 500000) == 10);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(buckets_cover_all_values),
      cmocka_unit_test(quantiles_are_those_of_sorting),
      cmocka_unit_test(nothing_measured_is_0),
      cmocka_unit_test(what_came_since_is_told_apart),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
