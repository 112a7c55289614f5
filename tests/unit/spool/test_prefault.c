// SPDX-License-Identifier: Apache-2.0
// Pages are there before callers come to them: as many as callers fill in a second, also after they
// have overtaken what was made ready.
#include <sys/resource.h>

#include "spool/spool_impl.h"
#include "tests/unit/spool/pages.h"
#include "tests/unit/spool/spool_open.h"

#define MIB ((size_t)1 << 20)
#define LARGE (32 * MIB)  // a segment
#define FEW 10
#define PAYLOAD 8000

static long faults(void) {
  struct rusage usage;
  getrusage(RUSAGE_THREAD, &usage);
  return usage.ru_minflt + usage.ru_majflt;
}

// How many pages fault for each MiB that is appended. A sanitizer has some of its own.
static long faults_of_appending(struct ee_spool *spool, size_t mib) {
  long before = faults();
  for (size_t i = 0; i < mib * MIB / PAYLOAD; i++)
    assert_true(append(spool, i, PAYLOAD));
  return (faults() - before) / (long)mib;
}

static struct ee_spool *open_large(const char *directory) {
  struct ee_spool *spool = NULL;
  struct ee_err err = {""};
  if (!try_to_open_sized(directory, LARGE, 10, &spool, &err)) fail_msg("%s", err.text);
  keep(spool);
  assert_true(append(spool, 0, PAYLOAD));
  return spool;
}

static void test_pages_are_there_first(void **state) {
  char *directory = directory_new();
  struct ee_spool *spool = open_large(directory);
  (void)state;
  long warm = faults_of_appending(spool, 7);
  long cold = faults_of_appending(spool, 5);  // most of it beyond what is there
  assert_true(cold > warm + FEW);

  // Overtaken, somewhere within a page: it goes on from there.
  assert_true(ee_spool_tail(spool).offset % PAGE != 0);
  keep(spool);
  assert_true(faults_of_appending(spool, 7) < warm + FEW / 2);
  ee_spool_close(spool);
  directory_free(directory);
}

// ---- How far ahead.

// Callers fill so much, then time passes; then pages are made ready, a part at a time.
static int64_t append_in(struct ee_spool *spool, size_t bytes, int64_t from_ms, int64_t ms) {
  for (size_t i = 0; i < bytes / PAYLOAD; i++)
    assert_true(append(spool, i, PAYLOAD));
  for (int i = 0; i < 9; i++)
    keep_at(spool, from_ms + ms);
  return from_ms + ms;
}

static void assert_about(size_t found, size_t wanted) {
  assert_true(found >= wanted && found < wanted + 2 * MIB);
}

// The faster callers are, the farther ahead; and no farther than that, for pages cost memory.
static void test_ahead_by_speed(void **state) {
  char *directory = directory_new();
  struct ee_spool *spool = open_large(directory);
  (void)state;
  keep_at(spool, 1);
  assert_about(pages_ahead(directory, ee_spool_tail(spool), LARGE), 8 * MIB);
  int64_t now_ms = append_in(spool, MIB + PAYLOAD, 0, 50);
  assert_int_equal(spool->prefault.ready % PAGE, 0);  // else the system refuses
  now_ms = append_in(spool, MIB, now_ms, 50);
  assert_about(pages_ahead(directory, ee_spool_tail(spool), LARGE), 20 * MIB);

  // A moment is no speed.
  now_ms = append_in(spool, MIB, now_ms, 10);
  assert_about(pages_ahead(directory, ee_spool_tail(spool), LARGE), 20 * MIB);

  // Slow again; what was made ready is used up.
  for (int i = 0; i < 40; i++)
    now_ms = append_in(spool, 0, now_ms, 50);
  now_ms = append_in(spool, 21 * MIB, now_ms, 60000);
  assert_about(pages_ahead(directory, ee_spool_tail(spool), LARGE), 8 * MIB);

  // As fast as can be, across the ends of segments.
  append_in(spool, 12 * MIB, now_ms, 50);
  assert_about(pages_ahead(directory, ee_spool_tail(spool), LARGE), 64 * MIB);
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
  (void)state;
  keep(spool);
  for (unsigned appended = 0; ee_spool_tail(spool).segment < 3;) {
    for (int i = 0; i < 5; i++)
      assert_true(append(spool, appended++, PAYLOAD));
    struct ee_spool_at last = ee_spool_tail(spool);
    keep(spool);
    assert_true(ee_spool_sync(spool, first, (struct ee_spool_at){last.segment + 1, 0}, &err));
    keep(spool);
    long before = faults();
    for (int i = 0; i < 5; i++)
      assert_true(append(spool, appended++, PAYLOAD));
    assert_true(faults() - before < FEW / 2);
  }
  ee_spool_close(spool);
  directory_free(directory);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_pages_are_there_first),
      cmocka_unit_test(test_ahead_by_speed),
      cmocka_unit_test(test_pages_are_there_again),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
