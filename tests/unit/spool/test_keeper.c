// SPDX-License-Identifier: Apache-2.0
// Pages are there before callers come to them, also after callers have overtaken the keeper.
#include <sys/resource.h>

#include "tests/unit/spool/spool_open.h"

#define MIB ((size_t)1 << 20)
#define PAGE ((size_t)4096)
#define FEW 10
#define PAYLOAD 8000

// How many pages fault for each MiB that is appended. A sanitizer has some of its own.
static long faults_of_appending(struct ee_spool *spool, size_t mib) {
  struct rusage before, after;
  getrusage(RUSAGE_THREAD, &before);
  for (size_t i = 0; i < mib * MIB / PAYLOAD; i++)
    assert_true(append(spool, i, PAYLOAD));
  getrusage(RUSAGE_THREAD, &after);
  return (after.ru_minflt - before.ru_minflt) / (long)mib;
}

static void test_pages_are_there_first(void **state) {
  char *directory = directory_new();
  struct ee_spool *spool = NULL;
  struct ee_err err = {""};
  (void)state;
  if (!try_to_open_sized(directory, 32 * MIB, 6, &spool, &err)) fail_msg("%s", err.text);
  keep(spool);
  assert_true(append(spool, 0, PAYLOAD));
  long warm = faults_of_appending(spool, 7);
  long cold = faults_of_appending(spool, 5);  // most of it beyond what is there
  assert_true(cold > warm + FEW);

  // Overtaken, somewhere within a page: it goes on from there, and farther ahead than before.
  assert_true(ee_spool_tail(spool).offset % PAGE != 0);
  keep(spool);
  long again = faults_of_appending(spool, 15);
  assert_true(again < warm + FEW / 2);
  ee_spool_close(spool);
  directory_free(directory);
}

// The disk has taken what was there: the next pages are made writable again, those of the segment
// that comes next too. (Only where the file system has a disk do they fault without.)
static void test_pages_are_there_again(void **state) {
  char *directory = directory_new();
  struct ee_spool *spool = spool_open_of(directory, 6);
  struct ee_err err;
  struct ee_spool_at first = {.segment = 1};
  struct rusage before, after;
  (void)state;
  keep(spool);
  for (unsigned appended = 0; ee_spool_tail(spool).segment < 3;) {
    for (int i = 0; i < 5; i++)
      assert_true(append(spool, appended++, PAYLOAD));
    struct ee_spool_at last = ee_spool_tail(spool);
    keep(spool);
    assert_true(ee_spool_sync(spool, first, (struct ee_spool_at){last.segment + 1, 0}, &err));
    keep(spool);
    getrusage(RUSAGE_THREAD, &before);
    for (int i = 0; i < 5; i++)
      assert_true(append(spool, appended++, PAYLOAD));
    getrusage(RUSAGE_THREAD, &after);
    assert_true(after.ru_minflt - before.ru_minflt < FEW / 2);
  }
  ee_spool_close(spool);
  directory_free(directory);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_pages_are_there_first),
      cmocka_unit_test(test_pages_are_there_again),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
