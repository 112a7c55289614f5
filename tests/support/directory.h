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
#include <unistd.h>

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

// Nothing of a directory is open or mapped in this process: who used it leaves nothing behind.
static inline void directory_is_left(const char *path) {
  size_t size = strlen(path);
  DIR *stream = opendir("/proc/self/fd");
  assert_non_null(stream);
  for (struct dirent *entry = readdir(stream); entry != NULL; entry = readdir(stream)) {
    char target[4096] = "";
    ssize_t length = readlinkat(dirfd(stream), entry->d_name, target, sizeof target - 1);
    if (length > 0 && strncmp(target, path, size) == 0) fail_msg("still open: %s", target);
  }
  closedir(stream);
  FILE *maps = fopen("/proc/self/maps", "re");
  char *line = NULL;
  size_t room = 0;
  assert_non_null(maps);
  while (getline(&line, &room, maps) >= 0) {
    if (strstr(line, path) != NULL) fail_msg("still mapped: %s", line);
  }
  free(line);
  fclose(maps);
}

// Takes it and removes it; all that used it has been closed.
static inline void directory_free(char *path) {
  directory_is_left(path);
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
