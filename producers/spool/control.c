// SPDX-License-Identifier: Apache-2.0
// The control file's bytes, and its life.
#include "spool/control.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"

#define SECTOR ((size_t)512)
#define SIZE (3 * SECTOR)
#define READS 8  // of a file whose sectors another process may both have been writing

static const char magic[8] = "EESPCTL";

struct head {  // sector 0
  char magic[8];
  uint32_t version, crc;  // crc: of the id, begun with magic and version
  uint8_t id[EE_SPOOL_ID_SIZE];
};

struct slot {  // sectors 1 and 2
  uint64_t generation, segment, offset;
  uint32_t epoch, crc;  // crc: of what is before it, begun with the id
};
static_assert(sizeof(struct head) <= SECTOR && sizeof(struct slot) == 32, "as described");

static uint32_t head_crc(const struct head *head) {
  uint32_t crc = ee_crc32c(0, head, offsetof(struct head, crc));
  return ee_crc32c(crc, head->id, sizeof head->id);
}

static bool head_sound(const struct head *head) {
  return head->version == EE_SPOOL_VERSION && head->crc == head_crc(head);
}

static uint32_t slot_crc(const uint8_t id[EE_SPOOL_ID_SIZE], const struct slot *slot) {
  return ee_crc32c(ee_crc32c(0, id, EE_SPOOL_ID_SIZE), slot, offsetof(struct slot, crc));
}

static void make_slot(const uint8_t id[EE_SPOOL_ID_SIZE], uint64_t generation,
                      const struct ee_spool_progress *progress, uint8_t *out) {
  struct slot slot = {.generation = generation,
                      .segment = progress->segment,
                      .offset = progress->offset,
                      .epoch = progress->epoch};
  slot.crc = slot_crc(id, &slot);
  memcpy(out, &slot, sizeof slot);
}

static uint8_t *slot_of(uint8_t *bytes, uint64_t generation) {
  return bytes + (1 + generation % 2) * SECTOR;
}

// Takes the newer one of those that are whole.
static bool read_slots(struct ee_spool_control *control) {
  bool any = false;
  for (uint64_t i = 0; i < 2; i++) {
    struct slot slot;
    memcpy(&slot, slot_of(control->bytes, i), sizeof slot);
    if (slot.crc != slot_crc(control->id, &slot) || slot.generation % 2 != i) continue;
    if (slot.offset % EE_SPOOL_UNIT != 0) continue;  // no record is there
    if (any && slot.generation < control->generation) continue;
    any = true;
    control->generation = slot.generation;
    control->progress = (struct ee_spool_progress){
        .epoch = slot.epoch, .segment = slot.segment, .offset = slot.offset};
  }
  return any;
}

static enum ee_spool_control_result read_all(struct ee_spool_control *control, const char *path,
                                             struct ee_err *err) {
  struct head head;
  memcpy(&head, control->bytes, sizeof head);
  if (memcmp(head.magic, magic, sizeof magic) != 0) {
    ee_err_set(err, "%s: at 0: not a spool's control file", path);
    return EE_SPOOL_CONTROL_DAMAGED;
  }
  if (head.version > EE_SPOOL_VERSION) {
    ee_err_set(err, "%s: a later version of the library wrote it", path);
    return EE_SPOOL_CONTROL_NEWER;
  }
  memcpy(control->id, head.id, sizeof control->id);
  if (head_sound(&head) && read_slots(control)) return EE_SPOOL_CONTROL_OPEN;
  ee_err_set(err, "%s: it is damaged", path);
  return EE_SPOOL_CONTROL_DAMAGED;
}

static bool path_of(const char *directory, char out[PATH_MAX], struct ee_err *err) {
  int length = snprintf(out, PATH_MAX, "%s/control", directory);
  return (length > 0 && length < PATH_MAX) ||
         ee_err_set(err, "%s: %s", directory, strerror(ENAMETOOLONG));
}

static enum ee_spool_control_result map(int fd, const char *path, struct ee_spool_control *control,
                                        struct ee_err *err) {
  struct stat found;
  if (fstat(fd, &found) != 0) {
    ee_err_set(err, "%s: %s", path, strerror(errno));
    return EE_SPOOL_CONTROL_FAILED;
  }
  if (!S_ISREG(found.st_mode) || found.st_size != (off_t)SIZE) {
    ee_err_set(err, "%s: not of a control file's size", path);
    return EE_SPOOL_CONTROL_DAMAGED;
  }
  void *bytes = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (bytes == MAP_FAILED) {
    ee_err_set(err, "%s: %s", path, strerror(errno));
    return EE_SPOOL_CONTROL_FAILED;
  }
  madvise(bytes, SIZE, MADV_DONTFORK);
  control->bytes = bytes;
  return read_all(control, path, err);
}

enum ee_spool_control_result ee_spool_control_open(const char *directory,
                                                   struct ee_spool_control *ret,
                                                   struct ee_err *err) {
  char path[PATH_MAX];
  struct ee_spool_control control = {.bytes = NULL};
  if (!path_of(directory, path, err)) return EE_SPOOL_CONTROL_FAILED;
  int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) {
    int error = errno;
    ee_err_set(err, "%s: %s", path, strerror(error));
    return error == ENOENT ? EE_SPOOL_CONTROL_MISSING : EE_SPOOL_CONTROL_FAILED;
  }
  enum ee_spool_control_result result = map(fd, path, &control, err);
  close(fd);
  if (result == EE_SPOOL_CONTROL_OPEN) {
    *ret = control;
  } else {
    ee_spool_control_close(&control);
  }
  return result;
}

// ---- Reading without a hand in it.

static enum ee_spool_control_result copy(int fd, const char *path, uint8_t out[SIZE],
                                         struct ee_err *err) {
  struct stat found;
  bool regular = fstat(fd, &found) == 0 && S_ISREG(found.st_mode);
  ssize_t size = regular ? pread(fd, out, SIZE, 0) : 0;
  if (size < 0) {
    ee_err_set(err, "%s: %s", path, strerror(errno));
    return EE_SPOOL_CONTROL_FAILED;
  }
  if (size == (ssize_t)SIZE && found.st_size == (off_t)SIZE) return EE_SPOOL_CONTROL_OPEN;
  ee_err_set(err, "%s: not of a control file's size", path);
  return EE_SPOOL_CONTROL_DAMAGED;
}

static enum ee_spool_control_result copy_file(const char *path, uint8_t out[SIZE],
                                              struct ee_err *err) {
  int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) {
    int error = errno;
    ee_err_set(err, "%s: %s", path, error == ELOOP ? "a link, not a file" : strerror(error));
    if (error == ELOOP) return EE_SPOOL_CONTROL_DAMAGED;
    return error == ENOENT ? EE_SPOOL_CONTROL_MISSING : EE_SPOOL_CONTROL_FAILED;
  }
  enum ee_spool_control_result result = copy(fd, path, out, err);
  close(fd);
  return result;
}

static enum ee_spool_control_result read_copy(const char *path, struct ee_spool_control *ret,
                                              bool *ret_id, struct ee_err *err) {
  uint8_t bytes[SIZE];
  struct ee_spool_control control = {.bytes = bytes};
  struct head head;
  enum ee_spool_control_result result = copy_file(path, bytes, err);
  if (result != EE_SPOOL_CONTROL_OPEN) return result;
  memcpy(&head, bytes, sizeof head);
  *ret_id = memcmp(head.magic, magic, sizeof magic) == 0 && head_sound(&head);
  result = read_all(&control, path, err);
  control.bytes = NULL;
  *ret = control;
  return result;
}

enum ee_spool_control_result ee_spool_control_read(const char *directory,
                                                   struct ee_spool_control *ret, bool *ret_id,
                                                   struct ee_err *err) {
  char path[PATH_MAX];
  enum ee_spool_control_result result = EE_SPOOL_CONTROL_DAMAGED;
  *ret = (struct ee_spool_control){.bytes = NULL};
  *ret_id = false;
  if (!path_of(directory, path, err)) return EE_SPOOL_CONTROL_FAILED;
  for (int i = 0; i < READS && result == EE_SPOOL_CONTROL_DAMAGED; i++)
    result = read_copy(path, ret, ret_id, err);
  return result;
}

// ---- Making and changing.

bool ee_spool_control_make(const char *directory, const uint8_t id[EE_SPOOL_ID_SIZE],
                           const struct ee_spool_progress *progress, struct ee_err *err) {
  char path[PATH_MAX];
  uint8_t bytes[SIZE] = {0};
  struct head head = {.version = EE_SPOOL_VERSION};
  memcpy(head.magic, magic, sizeof magic);
  memcpy(head.id, id, sizeof head.id);
  head.crc = head_crc(&head);
  memcpy(bytes, &head, sizeof head);
  make_slot(id, 1, progress, slot_of(bytes, 1));
  return path_of(directory, path, err) && ee_file_replace(path, ee_bytes(bytes, SIZE), err);
}

void ee_spool_control_close(struct ee_spool_control *control) {
  if (control->bytes != NULL) munmap(control->bytes, SIZE);
  control->bytes = NULL;
}

void ee_spool_control_store(struct ee_spool_control *control,
                            const struct ee_spool_progress *progress) {
  control->progress = *progress;
  control->generation++;
  make_slot(control->id, control->generation, progress,
            slot_of(control->bytes, control->generation));
}

bool ee_spool_control_sync(struct ee_spool_control *control, struct ee_err *err) {
  if (msync(control->bytes, SIZE, MS_SYNC) == 0) return true;
  return ee_err_set(err, "control: %s", strerror(errno));
}
