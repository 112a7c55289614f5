// SPDX-License-Identifier: Apache-2.0
// What the tests of the store share: keys, and values that can be told from each other.
#ifndef EE_TESTS_STORE_SUPPORT_H
#define EE_TESTS_STORE_SUPPORT_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "stream/store.h"
#include "tests/support/directory.h"
#include "tests/support/test.h"

#define VALUE_MOST ((size_t)40000)

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
