// SPDX-License-Identifier: Apache-2.0
// Segments as files, and what happens to them.
#ifndef EE_TESTS_SEGMENT_FILE_H
#define EE_TESTS_SEGMENT_FILE_H

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "support/test.h"

static inline void segment_path(const char *directory, uint64_t number, char out[512]) {
  snprintf(out, 512, "%s/%016llx.segment", directory, (unsigned long long)number);
}

static inline void overwrite(const char *path, off_t at, const void *bytes, size_t size) {
  int fd = open(path, O_WRONLY);
  assert_true(fd >= 0);
  assert_int_equal(pwrite(fd, bytes, size, at), size);
  close(fd);
}

// Another byte there than before, whatever it was.
static inline void flip_byte(const char *path, off_t at) {
  uint8_t byte;
  int fd = open(path, O_RDWR);
  assert_true(fd >= 0);
  assert_int_equal(pread(fd, &byte, 1, at), 1);
  byte = (uint8_t)~byte;
  assert_int_equal(pwrite(fd, &byte, 1, at), 1);
  close(fd);
}

#endif
