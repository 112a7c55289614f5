// SPDX-License-Identifier: Apache-2.0
// Stands in for the fuzzer where there is none: hands each file of a corpus to the
// target once. A missing or empty corpus is an error, or the check could not fail.
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"

#define INPUT_MAX ((size_t)4 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// A copy of just the right size, so that reading one byte too far is seen.
static bool replay(const struct ee_buf *content) {
  uint8_t *exact = malloc(content->size == 0 ? 1 : content->size);
  if (exact == NULL) {
    fprintf(stderr, "no memory\n");
    return false;
  }
  if (content->size != 0) memcpy(exact, content->data, content->size);
  LLVMFuzzerTestOneInput(exact, content->size);
  free(exact);
  return true;
}

static bool replay_file(const char *directory, const char *name) {
  char path[4096];
  int length = snprintf(path, sizeof path, "%s/%s", directory, name);
  struct ee_err err = {0};
  struct ee_buf content;
  ee_buf_init(&content, INPUT_MAX);
  bool ok = length > 0 && (size_t)length < sizeof path && ee_file_read(path, &content, &err);
  fprintf(stderr, "%s/%s %s\n", directory, name, err.text);  // so that a crash names its input
  ok = ok && replay(&content);
  ee_buf_release(&content);
  return ok;
}

static int replay_directory(const char *directory) {
  DIR *dir = opendir(directory);
  if (dir == NULL) {
    perror(directory);
    return 1;
  }
  size_t count = 0;
  bool ok = true;
  for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
    if (entry->d_name[0] == '.') continue;
    ok = replay_file(directory, entry->d_name) && ok;
    count++;
  }
  closedir(dir);
  if (count == 0) fprintf(stderr, "%s: no inputs\n", directory);
  if (!ok || count == 0) return 1;
  // In cmocka's words, so that tests/run-unit counts it with the others.
  printf("[  PASSED  ] 1 test(s): %zu inputs of %s\n", count, directory);
  return 0;
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: %s CORPUS\n", argv[0]);
    return 2;
  }
  return replay_directory(argv[1]);
}
