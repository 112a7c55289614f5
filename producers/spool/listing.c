// SPDX-License-Identifier: Apache-2.0
// Files of a spool whose names are numbers.
#include "spool/listing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"

static int ascending(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

static int read_names(DIR *stream, ee_spool_number_of *number_of, uint64_t **numbers,
                      size_t *count) {
  size_t capacity = 0;
  for (;;) {
    errno = 0;
    struct dirent *entry = readdir(stream);
    if (entry == NULL) return errno;
    uint64_t number;
    if (!number_of(entry->d_name, &number)) continue;
    uint64_t *grown = ee_array_room(*numbers, *count, &capacity, sizeof *grown);
    if (grown == NULL) return ENOMEM;
    *numbers = grown;
    grown[(*count)++] = number;
  }
}

bool ee_spool_list(int directory, ee_spool_number_of *number_of, uint64_t **ret, size_t *ret_count,
                   struct ee_err *err) {
  uint64_t *numbers = NULL;
  size_t count = 0;
  int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *stream = fd < 0 ? NULL : fdopendir(fd);
  int error = stream == NULL ? errno : read_names(stream, number_of, &numbers, &count);
  if (stream != NULL) closedir(stream);
  if (stream == NULL && fd >= 0) close(fd);
  if (error != 0) {
    free(numbers);
    return ee_err_set(err, "listing the spool's files: %s", strerror(error));
  }
  if (count > 0) qsort(numbers, count, sizeof *numbers, ascending);
  *ret = numbers;
  *ret_count = count;
  return true;
}
