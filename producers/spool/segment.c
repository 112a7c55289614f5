// SPDX-License-Identifier: Apache-2.0
// Files of segments. One is made under another name and then renamed, so that a segment's name
// stands for a whole file with a good head.
#include "spool/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spool/listing.h"

#define DIGITS 16
#define UNFINISHED "unfinished.segment"

void ee_spool_segment_name(uint64_t number, char out[EE_SPOOL_NAME_SIZE]) {
  snprintf(out, EE_SPOOL_NAME_SIZE, "%016" PRIx64 ".segment", number);
}

// False: the name is not a segment's.
static bool number_of(const char *name, uint64_t *ret) {
  char again[EE_SPOOL_NAME_SIZE];
  *ret = strtoull(name, NULL, 16);
  ee_spool_segment_name(*ret, again);
  return strcmp(name, again) == 0;
}

// ---- Making.

bool ee_spool_no_room(int error) {
  return error == ENOSPC || error == EDQUOT || error == EFBIG;
}

static int fill(int fd, const struct ee_spool_segment *segment) {
  uint8_t head[EE_SPOOL_UNIT];
  ee_spool_segment_make(segment, head);
  int error = posix_fallocate(fd, 0, (off_t)segment->size);
  if (error != 0) return error;
  ssize_t written = pwrite(fd, head, sizeof head, 0);
  if (written == (ssize_t)sizeof head) return 0;
  return written < 0 ? errno : EIO;
}

static int map_file(int fd, size_t size, uint8_t **ret) {
  void *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (bytes == MAP_FAILED) return errno;
  madvise(bytes, size, MADV_DONTFORK);  // nor would a child of the process free what is removed
  *ret = bytes;
  return 0;
}

static int create(int directory, int fd, const struct ee_spool_segment *segment, const char *name,
                  uint8_t **ret) {
  int error = fill(fd, segment);
  if (error == 0) error = map_file(fd, segment->size, ret);
  if (error != 0) return error;
  // No larger units of memory than a page: each is locked for as long as it is on its way to the
  // disk.
  madvise(*ret, segment->size, MADV_RANDOM);
  if (renameat(directory, UNFINISHED, directory, name) != 0) {
    error = errno;
    munmap(*ret, segment->size);
  }
  return error;
}

bool ee_spool_segment_create(int directory, const struct ee_spool_segment *segment,
                             struct ee_spool_map *ret, bool *ret_full, struct ee_err *err) {
  char name[EE_SPOOL_NAME_SIZE];
  uint8_t *bytes = NULL;
  ee_spool_segment_name(segment->number, name);
  *ret_full = false;
  int fd = openat(directory, UNFINISHED, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
  int error = fd < 0 ? errno : create(directory, fd, segment, name, &bytes);
  if (fd >= 0) close(fd);
  if (error != 0) {
    unlinkat(directory, UNFINISHED, 0);
    *ret_full = ee_spool_no_room(error);
    return ee_err_set(err, "%s: %s", name, strerror(error));
  }
  *ret = (struct ee_spool_map){.bytes = bytes,
                               .size = segment->size,
                               .number = segment->number,
                               .salt = ee_spool_salt(segment)};
  return true;
}

// ---- Mapping.

static enum ee_spool_map_result judge(const struct ee_spool_map *map, const char *name,
                                      const uint8_t id[EE_SPOOL_ID_SIZE],
                                      struct ee_spool_segment *segment, struct ee_err *err) {
  switch (ee_spool_segment_parse(ee_bytes(map->bytes, map->size), segment)) {
    case EE_SPOOL_HEAD_GOOD:
      break;
    case EE_SPOOL_HEAD_NEWER:
      ee_err_set(err, "%s: a later version of the library wrote it", name);
      return EE_SPOOL_MAP_NEWER;
    case EE_SPOOL_HEAD_FOREIGN:
      ee_err_set(err, "%s: at 0: not a segment of a spool", name);
      return EE_SPOOL_MAP_USELESS;
    case EE_SPOOL_HEAD_TORN:
      ee_err_set(err, "%s: at 0: its head is damaged", name);
      return EE_SPOOL_MAP_USELESS;
  }
  if (segment->number == map->number && memcmp(segment->id, id, EE_SPOOL_ID_SIZE) == 0) {
    return EE_SPOOL_MAPPED;
  }
  ee_err_set(err, "%s: it belongs to another spool, or to another place in this one", name);
  return EE_SPOOL_MAP_USELESS;
}

static enum ee_spool_map_result map_found(int fd, const char *name, struct ee_spool_map *map,
                                          struct ee_err *err) {
  struct stat found;
  int error = fstat(fd, &found) == 0 ? 0 : errno;
  if (error == 0 && (found.st_size < (off_t)EE_SPOOL_UNIT || !S_ISREG(found.st_mode))) {
    ee_err_set(err, "%s: too short for a head", name);
    return EE_SPOOL_MAP_USELESS;
  }
  map->size = (size_t)found.st_size;
  if (error == 0 && map->size > EE_SPOOL_SEGMENT_MOST) map->size = EE_SPOOL_SEGMENT_MOST;
  if (error == 0) error = map_file(fd, map->size, &map->bytes);
  if (error == 0) return EE_SPOOL_MAPPED;
  ee_err_set(err, "%s: %s", name, strerror(error));
  return EE_SPOOL_MAP_FAILED;
}

enum ee_spool_map_result ee_spool_segment_map(int directory, const uint8_t id[EE_SPOOL_ID_SIZE],
                                              uint64_t number, struct ee_spool_map *ret,
                                              struct ee_err *err) {
  char name[EE_SPOOL_NAME_SIZE];
  struct ee_spool_map map = {.number = number};
  struct ee_spool_segment segment;
  ee_spool_segment_name(number, name);
  int fd = openat(directory, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) {
    int error = errno;
    ee_err_set(err, "%s: %s", name, strerror(error));
    return error == ENOENT ? EE_SPOOL_MAP_MISSING : EE_SPOOL_MAP_FAILED;
  }
  enum ee_spool_map_result result = map_found(fd, name, &map, err);
  close(fd);
  if (result != EE_SPOOL_MAPPED) return result;
  result = judge(&map, name, id, &segment, err);
  if (result != EE_SPOOL_MAPPED) {
    ee_spool_segment_unmap(&map);
    return result;
  }
  map.salt = ee_spool_salt(&segment);
  *ret = map;
  return EE_SPOOL_MAPPED;
}

bool ee_spool_segment_head(int directory, uint64_t number, struct ee_spool_segment *ret) {
  char name[EE_SPOOL_NAME_SIZE];
  uint8_t head[EE_SPOOL_UNIT];
  ee_spool_segment_name(number, name);
  int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t size = pread(fd, head, sizeof head, 0);
  close(fd);
  return size == (ssize_t)sizeof head &&
         ee_spool_segment_parse(ee_bytes(head, sizeof head), ret) == EE_SPOOL_HEAD_GOOD;
}

void ee_spool_segment_unmap(struct ee_spool_map *map) {
  if (map->bytes != NULL) munmap(map->bytes, map->size);
  map->bytes = NULL;
}

bool ee_spool_segment_sync(int directory, uint64_t number, struct ee_err *err) {
  char name[EE_SPOOL_NAME_SIZE];
  ee_spool_segment_name(number, name);
  int fd = openat(directory, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) return true;
  int error = fd < 0 || fdatasync(fd) != 0 ? errno : 0;
  if (fd >= 0) close(fd);
  return error == 0 || ee_err_set(err, "%s: %s", name, strerror(error));
}

bool ee_spool_segment_remove(int directory, uint64_t number, struct ee_err *err) {
  char name[EE_SPOOL_NAME_SIZE];
  ee_spool_segment_name(number, name);
  if (unlinkat(directory, name, 0) == 0 || errno == ENOENT) return true;
  return ee_err_set(err, "%s: %s", name, strerror(errno));
}

// ---- Listing.

bool ee_spool_segment_list(int directory, uint64_t **ret, size_t *ret_count, struct ee_err *err) {
  unlinkat(directory, UNFINISHED, 0);
  return ee_spool_segment_numbers(directory, ret, ret_count, err);
}

bool ee_spool_segment_numbers(int directory, uint64_t **ret, size_t *ret_count,
                              struct ee_err *err) {
  return ee_spool_list(directory, number_of, ret, ret_count, err);
}
