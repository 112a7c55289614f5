// SPDX-License-Identifier: Apache-2.0
// What the tests of the store share: a directory of their own, keys, and values that can
// be told from each other.
#ifndef EE_TESTS_STORE_SUPPORT_H
#define EE_TESTS_STORE_SUPPORT_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "stream/store.h"
#include "tests/support/test.h"

#define VALUE_MOST ((size_t)40000)

static inline char *directory_new(void) {
  const char *parent = getenv("TMPDIR");
  char *path = NULL;
  assert_true(asprintf(&path, "%s/ee-store-XXXXXX", parent == NULL ? "/tmp" : parent) > 0);
  assert_non_null(mkdtemp(path));
  return path;
}

static inline int remove_one(const char *path, const struct stat *stat, int flag, struct FTW *ftw) {
  (void)stat, (void)flag, (void)ftw;
  return remove(path);
}

static inline void directory_free(char *path) {
  assert_int_equal(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
  free(path);
}

// Bytes that follow from the number alone; data NULL for a negative size.
static inline struct ee_bytes value_of(uint8_t buffer[VALUE_MOST], uint32_t number, long size) {
  if (size < 0) return ee_bytes(NULL, 0);
  for (long i = 0; i < size; i++) {
    buffer[i] = (uint8_t)((number + (uint32_t)i) * 2654435761U >> 13);
  }
  return ee_bytes(buffer, (size_t)size);
}

static inline struct ee_store *store_open(const char *directory, int64_t memory_bytes,
                                          const char **ret_emptied) {
  struct ee_store_settings settings = {.directory = directory,
                                       .memory_bytes = memory_bytes,
                                       .format = 0x0123456789ABCDEF,
                                       .changelog_count = 2};
  struct ee_store *store = NULL;
  struct ee_err err = {""};
  const char *emptied;
  if (!ee_store_open(&settings, &store, &emptied, &err)) fail_msg("%s", err.text);
  if (ret_emptied != NULL) {
    *ret_emptied = emptied;
  } else if (emptied != NULL) {
    fail_msg("emptied: %s", emptied);
  }
  return store;
}

#endif
