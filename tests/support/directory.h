// SPDX-License-Identifier: Apache-2.0
// Directories of a test's own.
#ifndef EE_TESTS_SUPPORT_DIRECTORY_H
#define EE_TESTS_SUPPORT_DIRECTORY_H

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "support/test.h"

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

static inline uint64_t directory_mix(uint64_t sum, const void *bytes, size_t size) {
  for (size_t i = 0; i < size; i++)
    sum = (sum ^ ((const uint8_t *)bytes)[i]) * UINT64_C(1099511628211);
  return sum;
}

// A number that another name, size or time of change in a directory makes another one; but for
// the file `except`.
static inline uint64_t directory_state(const char *path, const char *except) {
  uint64_t sum = 0;
  DIR *stream = opendir(path);
  assert_non_null(stream);
  for (struct dirent *entry = readdir(stream); entry != NULL; entry = readdir(stream)) {
    struct stat found;
    if (strcmp(entry->d_name, "..") == 0 || strcmp(entry->d_name, except) == 0) continue;
    assert_int_equal(fstatat(dirfd(stream), entry->d_name, &found, AT_SYMLINK_NOFOLLOW), 0);
    uint64_t one = directory_mix(0, entry->d_name, strlen(entry->d_name));
    one = directory_mix(one, &found.st_size, sizeof found.st_size);
    one = directory_mix(one, &found.st_ino, sizeof found.st_ino);
    sum += directory_mix(one, &found.st_ctim, sizeof found.st_ctim);
  }
  closedir(stream);
  return sum;
}

#endif
