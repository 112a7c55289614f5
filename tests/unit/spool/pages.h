// SPDX-License-Identifier: Apache-2.0
// Which of a spool's pages this process has at hand.
#ifndef EE_TESTS_SPOOL_PAGES_H
#define EE_TESTS_SPOOL_PAGES_H

#include "spool/spool.h"
#include "tests/unit/spool/segment_file.h"

#define PAGE ((size_t)4096)

// Where a segment's file is mapped for the nth time (callers and a reader map it each); 0: nowhere.
static inline uintptr_t mapped_at(const char *directory, uint64_t number, unsigned nth) {
  char path[512], line[1024];
  uintptr_t at = 0;
  segment_path(directory, number, path);
  FILE *maps = fopen("/proc/self/maps", "r");
  assert_non_null(maps);
  while (at == 0 && fgets(line, sizeof line, maps) != NULL)
    if (strstr(line, path) != NULL && nth-- == 0) at = strtoull(line, NULL, 16);
  fclose(maps);
  return at;
}

// Of one segment's pages, how many from there on are in this process's page table.
static inline size_t pages_present(uintptr_t at, size_t count) {
  size_t present = 0;
  uint64_t entry = 0;
  int pagemap = open("/proc/self/pagemap", O_RDONLY);
  assert_true(pagemap >= 0);
  for (; present < count; present++) {
    off_t place = (off_t)((at / PAGE + present) * sizeof entry);
    assert_int_equal(pread(pagemap, &entry, sizeof entry, place), sizeof entry);
    if (entry >> 63 == 0) break;
  }
  close(pagemap);
  return present;
}

static inline size_t pages_present_anywhere(const char *directory, uint64_t number, size_t from,
                                            size_t count) {
  size_t most = 0;
  uintptr_t at;
  for (unsigned nth = 0; (at = mapped_at(directory, number, nth)) != 0; nth++) {
    size_t present = pages_present(at + from, count);
    if (present > most) most = present;
  }
  return most;
}

// Bytes ahead of callers whose pages are there.
static inline size_t pages_ahead(const char *directory, struct ee_spool_at tail,
                                 size_t segment_bytes) {
  size_t bytes = 0, from = tail.offset / PAGE * PAGE;
  for (uint64_t number = tail.segment;; number++, from = 0) {
    size_t count = pages_present_anywhere(directory, number, from, (segment_bytes - from) / PAGE);
    bytes += count * PAGE;
    if (from + count * PAGE < segment_bytes) return bytes;
  }
}

#endif
