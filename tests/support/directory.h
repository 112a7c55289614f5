// SPDX-License-Identifier: Apache-2.0
// Directories of a test's own.
#ifndef EE_TESTS_SUPPORT_DIRECTORY_H
#define EE_TESTS_SUPPORT_DIRECTORY_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

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

#endif
