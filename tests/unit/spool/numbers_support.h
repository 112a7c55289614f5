// SPDX-License-Identifier: Apache-2.0
// A test's own directory with files of numbers.
#ifndef EE_TESTS_NUMBERS_SUPPORT_H
#define EE_TESTS_NUMBERS_SUPPORT_H

#include <fcntl.h>
#include <unistd.h>

#include "spool/numbers.h"
#include "support/directory.h"

static const uint8_t id[EE_SPOOL_ID_SIZE] = "a spool's id 15";
static char *path;
static int directory;

static inline void open_directory(void) {
  path = directory_new();
  directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  assert_true(directory >= 0);
}

static inline void close_directory(void) {
  close(directory);
  directory_free(path);
}

static inline struct ee_numbers make_numbers(uint32_t epoch, int32_t partitions) {
  struct ee_numbers numbers;
  struct ee_err err;
  bool stored = false;
  if (!ee_numbers_make(directory, id, "producer", epoch, partitions, &numbers, &stored, &err)) {
    fail_msg("%s", err.text);
  }
  assert_true(stored);
  return numbers;
}

#endif
