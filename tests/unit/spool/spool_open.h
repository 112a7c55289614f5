// SPDX-License-Identifier: Apache-2.0
// Spools in directories: opened, kept, appended to and read.
#ifndef EE_TESTS_SPOOL_OPEN_H
#define EE_TESTS_SPOOL_OPEN_H

#include "spool/spool.h"
#include "support/directory.h"
#include "tests/unit/spool/segment_file.h"
#include "tests/unit/spool/spool_support.h"

#define SEGMENT ((size_t)1 << 20)

static inline bool try_to_open_sized(const char *directory, size_t segment_bytes, size_t segments,
                                     struct ee_spool **ret, struct ee_err *err) {
  struct ee_spool_settings settings = {.directory = directory,
                                       .segment_bytes = segment_bytes,
                                       .most_bytes = segments * segment_bytes,
                                       .wall_s = 1000};
  return ee_spool_open(&settings, ret, err);
}

static inline bool try_to_open(const char *directory, size_t segments, struct ee_spool **ret,
                               struct ee_err *err) {
  return try_to_open_sized(directory, SEGMENT, segments, ret, err);
}

static inline struct ee_spool *spool_open_of(const char *directory, size_t segments) {
  struct ee_spool *spool = NULL;
  struct ee_err err = {""};
  if (!try_to_open(directory, segments, &spool, &err)) fail_msg("%s", err.text);
  return spool;
}

static inline struct ee_spool *spool_open(const char *directory) {
  return spool_open_of(directory, 64);
}

static inline void keep_at(struct ee_spool *spool, int64_t now_ms) {
  struct ee_err err = {""};
  if (!ee_spool_remove_settled(spool, &err)) fail_msg("%s", err.text);
  if (!ee_spool_keep(spool, now_ms, &err)) fail_msg("%s", err.text);
}

// As long as time stands still callers have no speed.
static inline void keep(struct ee_spool *spool) {
  keep_at(spool, 0);
}

static inline bool append(struct ee_spool *spool, uint64_t number, size_t payload_size) {
  uint8_t room[8192];
  struct ee_spool_item item = numbered_item(number, payload_size, room);
  return ee_spool_append(spool, &item, NULL);
}

// The next record is that one.
static inline void assert_reads(struct ee_spool *spool, uint64_t number, size_t payload_size,
                                struct ee_spool_entry *entry) {
  uint8_t room[8192];
  struct ee_err err = {""};
  struct ee_spool_item item = numbered_item(number, payload_size, room);
  assert_int_equal(ee_spool_read(spool, entry, &err), EE_SPOOL_READ_RECORD);
  assert_same_item(&entry->item, &item);
}

static inline void settle(struct ee_spool *spool, const struct ee_spool_entry *entry) {
  ee_spool_settle(spool, (struct ee_spool_at){entry->at.segment, entry->at.offset + entry->size});
}

static inline size_t size_of(uint64_t number) {
  return (size_t)(number * 37 % 8000);
}

// A spool with 600 records in three segments; where each lies.
static inline void fill(const char *directory, struct ee_spool_at at[600]) {
  struct ee_spool *spool = spool_open(directory);
  struct ee_spool_entry entry;
  keep(spool);
  for (uint64_t i = 0; i < 600; i++) {
    assert_true(append(spool, i, size_of(i)));
    keep(spool);
  }
  for (uint64_t i = 0; i < 600; i++) {
    assert_reads(spool, i, size_of(i), &entry);
    at[i] = entry.at;
  }
  assert_int_equal(entry.at.segment, 3);
  ee_spool_close(spool);
}

#endif
