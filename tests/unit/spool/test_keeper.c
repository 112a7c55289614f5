// SPDX-License-Identifier: Apache-2.0
// Segments are there before callers need them, the more the faster they are; and one that they have
// left is unmapped.
#include "tests/unit/spool/pages.h"
#include "tests/unit/spool/spool_open.h"

#define PAYLOAD 8000

static unsigned there(const char *directory) {
  unsigned count = 0;
  for (uint64_t number = 1; number < 100; number++) {
    char path[512];
    segment_path(directory, number, path);
    count += access(path, F_OK) == 0;
  }
  return count;
}

static void append_some(struct ee_spool *spool, size_t bytes) {
  for (size_t i = 0; i < bytes / PAYLOAD; i++)
    assert_true(append(spool, i, PAYLOAD));
}

static void test_spares_by_speed(void **state) {
  char *directory = directory_new();
  struct ee_spool *spool = spool_open(directory);
  (void)state;
  keep(spool);
  assert_int_equal(there(directory), 2);
  append_some(spool, SEGMENT / 2);
  keep_at(spool, 5000);  // a tenth of a segment a second
  keep_at(spool, 5000);
  assert_int_equal(ee_spool_tail(spool).segment, 1);
  assert_int_equal(there(directory), 1 + 2);

  append_some(spool, SEGMENT);
  keep_at(spool, 6100);  // nine tenths: four and a half in five seconds
  keep_at(spool, 6100);
  assert_int_equal(ee_spool_tail(spool).segment, 2);
  assert_int_equal(there(directory), 2 + 4);

  append_some(spool, 2 * SEGMENT);
  keep_at(spool, 6200);  // there are bounds
  keep_at(spool, 6200);
  assert_int_equal(ee_spool_tail(spool).segment, 4);
  assert_int_equal(there(directory), 4 + 5);

  for (int64_t now_ms = 6250; now_ms < 16000; now_ms += 50)
    keep_at(spool, now_ms);
  append_some(spool, 5 * SEGMENT / 2);
  keep_at(spool, 60000);
  assert_int_equal(ee_spool_tail(spool).segment, 7);
  assert_int_equal(there(directory), 7 + 2);
  ee_spool_close(spool);
  directory_free(directory);
}

static void test_unmapped_when_left(void **state) {
  char *directory = directory_new();
  struct ee_spool *spool = spool_open(directory);
  (void)state;
  keep(spool);
  append_some(spool, SEGMENT / 2);
  keep(spool);
  assert_true(mapped_at(directory, 1, 0) != 0);
  append_some(spool, SEGMENT);
  assert_int_equal(ee_spool_tail(spool).segment, 2);
  keep(spool);
  assert_true(mapped_at(directory, 1, 0) == 0);
  assert_true(mapped_at(directory, 2, 0) != 0);
  ee_spool_close(spool);
  directory_free(directory);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_spares_by_speed),
      cmocka_unit_test(test_unmapped_when_left),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
