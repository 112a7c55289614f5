// SPDX-License-Identifier: Apache-2.0
// The numbers' file: a head, counts, holes.
#include "spool/numbers.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "spool/listing.h"
#include "spool/segment.h"

#define NAME_SIZE 32
#define UNFINISHED "unfinished.numbers"
#define SPARE "spare.numbers"  // room for the next epoch's, should the disk be full then

static const char magic[8] = "EESPNUM";

struct head {
  char magic[8];
  uint32_t version, crc;  // crc: of the rest, begun with magic and version
  uint8_t id[EE_SPOOL_ID_SIZE];
  uint32_t epoch;
  int32_t partitions;
  uint8_t zero[24];
  char producer[EE_NUMBERS_PRODUCER_SIZE];
};
static_assert(sizeof(struct head) % 64 == 0 && sizeof(struct ee_numbers_count) == 64 &&
                  sizeof(struct ee_numbers_hole) == 32,
              "as on disk");

const char *ee_hole_reason_name(enum ee_hole_reason reason) {
  switch (reason) {
    case EE_HOLE_REFUSED:
      return "refused";
    case EE_HOLE_TORN:
      return "torn";
    case EE_HOLE_DISK_FULL:
      return "disk_full";
    case EE_HOLE_NONE:
      break;
  }
  return "none";
}

static void name_of(uint32_t epoch, char out[NAME_SIZE]) {
  snprintf(out, NAME_SIZE, "%08" PRIx32 ".numbers", epoch);
}

static uint32_t head_crc(const struct head *head) {
  size_t after = offsetof(struct head, id);
  uint32_t crc = ee_crc32c(0, head, offsetof(struct head, crc));
  return ee_crc32c(crc, (const uint8_t *)head + after, sizeof *head - after);
}

static uint32_t hole_crc(const struct ee_numbers *numbers, const struct ee_numbers_hole *hole) {
  uint32_t crc = ee_crc32c(0, numbers->bytes, sizeof(struct head));
  crc = ee_crc32c(crc, hole, offsetof(struct ee_numbers_hole, crc));
  return crc == 0 ? 1 : crc;
}

static size_t size_for(int32_t partitions) {
  return sizeof(struct head) +
         (size_t)partitions * EE_NUMBERS_TOPICS * sizeof(struct ee_numbers_count) +
         EE_NUMBERS_HOLES_MAX * sizeof(struct ee_numbers_hole);
}

// bytes: of size_for(partitions).
static void set_parts(struct ee_numbers *numbers, uint8_t *bytes, uint32_t epoch,
                      int32_t partitions) {
  size_t counts = (size_t)partitions * EE_NUMBERS_TOPICS;
  uint8_t *at = bytes + sizeof(struct head);
  *numbers = (struct ee_numbers){.bytes = bytes,
                                 .size = size_for(partitions),
                                 .epoch = epoch,
                                 .partitions = partitions,
                                 .producer = ((const struct head *)(void *)bytes)->producer,
                                 .counts = (struct ee_numbers_count *)(void *)at};
  at += counts * sizeof *numbers->counts;
  numbers->holes = (struct ee_numbers_hole *)(void *)at;
}

// ---- Making.

static void *map(int fd, size_t size, int flags) {
  void *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);
  if (bytes != MAP_FAILED) madvise(bytes, size, MADV_DONTFORK);
  return bytes;
}

static int create(int directory, const struct head *head, const char *name, size_t size,
                  void **ret) {
  renameat(directory, SPARE, directory, UNFINISHED);
  int fd = openat(directory, UNFINISHED, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return errno;
  int error = ftruncate(fd, (off_t)size) == 0 ? posix_fallocate(fd, 0, (off_t)size) : errno;
  if (error == 0) {
    *ret = map(fd, size, MAP_SHARED);
    if (*ret == MAP_FAILED) error = errno;
  }
  if (error != 0) {
    close(fd);
    return error;
  }
  memset(*ret, 0, size);
  memcpy(*ret, head, sizeof *head);
  bool named = fsync(fd) == 0 && renameat(directory, UNFINISHED, directory, name) == 0 &&
               fsync(directory) == 0;
  if (!named) error = errno;
  close(fd);
  if (!named) munmap(*ret, size);
  return error;
}

// Does its best.
static void make_spare(int directory, size_t size) {
  int fd = openat(directory, SPARE, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return;
  if (posix_fallocate(fd, 0, (off_t)size) != 0) unlinkat(directory, SPARE, 0);
  close(fd);
}

static void make_head(struct head *head, const uint8_t *id, const char *producer, uint32_t epoch,
                      int32_t partitions) {
  *head = (struct head){.version = EE_SPOOL_VERSION, .epoch = epoch, .partitions = partitions};
  memcpy(head->magic, magic, sizeof magic);
  memcpy(head->id, id, sizeof head->id);
  snprintf(head->producer, sizeof head->producer, "%s", producer);
  head->crc = head_crc(head);
}

// 0, or why not: ee_spool_no_room tells whether it is the disk.
static int make_file(int directory, const struct head *head, const char *name, void **ret) {
  size_t size = size_for(head->partitions);
  int error = create(directory, head, name, size, ret);
  if (error == 0) {
    make_spare(directory, size);
  } else {
    unlinkat(directory, UNFINISHED, 0);
  }
  return error;
}

bool ee_numbers_make(int directory, const uint8_t id[EE_SPOOL_ID_SIZE], const char *producer,
                     uint32_t epoch, int32_t partitions, struct ee_numbers *ret, bool *ret_stored,
                     struct ee_err *err) {
  char name[NAME_SIZE];
  struct head head;
  void *bytes = MAP_FAILED;
  make_head(&head, id, producer, epoch, partitions);
  name_of(epoch, name);
  int error = make_file(directory, &head, name, &bytes);
  *ret_stored = error == 0;
  if (ee_spool_no_room(error)) {
    bytes = map(-1, size_for(partitions), MAP_PRIVATE | MAP_ANONYMOUS);
    error = bytes == MAP_FAILED ? errno : 0;
    if (error == 0) memcpy(bytes, &head, sizeof head);
  }
  if (error != 0) return ee_err_set(err, "%s: %s", name, strerror(error));
  set_parts(ret, bytes, epoch, partitions);
  return true;
}

bool ee_numbers_store(int directory, const uint8_t id[EE_SPOOL_ID_SIZE], struct ee_numbers *numbers,
                      struct ee_err *err) {
  char name[NAME_SIZE];
  struct head head;
  void *bytes;
  make_head(&head, id, numbers->producer, numbers->epoch, numbers->partitions);
  name_of(numbers->epoch, name);
  int error = make_file(directory, &head, name, &bytes);
  if (error != 0) return ee_err_set(err, "%s: %s", name, strerror(error));
  memcpy(bytes, numbers->bytes, numbers->size);
  munmap(numbers->bytes, numbers->size);
  set_parts(numbers, bytes, numbers->epoch, numbers->partitions);
  return true;
}

// ---- Opening.

static bool read_head(int fd, const uint8_t id[EE_SPOOL_ID_SIZE], uint32_t epoch, const char *name,
                      struct head *head, struct ee_err *err) {
  struct stat found;
  if (fstat(fd, &found) != 0) return ee_err_set(err, "%s: %s", name, strerror(errno));
  ssize_t got = pread(fd, head, sizeof *head, 0);
  if (got != (ssize_t)sizeof *head || memcmp(head->magic, magic, sizeof magic) != 0) {
    return ee_err_set(err, "%s: at 0: not a file of numbers", name);
  }
  if (head->version > EE_SPOOL_VERSION) {
    return ee_err_set(err, "%s: a later version of the library wrote it", name);
  }
  bool sound = head->crc == head_crc(head) && head->epoch == epoch && head->partitions > 0 &&
               head->partitions <= EE_NUMBERS_PARTITIONS_MAX &&
               memchr(head->producer, '\0', sizeof head->producer) != NULL &&
               memcmp(head->id, id, EE_SPOOL_ID_SIZE) == 0;
  if (!sound) return ee_err_set(err, "%s: at 0: damaged, or another spool's", name);
  return found.st_size == (off_t)size_for(head->partitions) ||
         ee_err_set(err, "%s: %lld bytes, not %zu", name, (long long)found.st_size,
                    size_for(head->partitions));
}

// A hole is written before the counts that it moves, and says where it moves them: what was moved
// before the process was killed is not moved twice.
static void mend_by_hole(struct ee_numbers *numbers, const struct ee_numbers_hole *hole) {
  struct ee_numbers_count *at = ee_numbers_at(numbers, hole->topic, hole->partition);
  if (hole->last < at->next) return;
  uint64_t dropped = atomic_load(&at->dropped);
  if (hole->reason == EE_HOLE_DISK_FULL) at->declared += hole->declared - (uint32_t)at->declared;
  if (at->declared > dropped) at->declared = dropped;
  at->next = hole->last + 1;
}

// What a power cut may have left of counts that were stored one by one.
static void mend(struct ee_numbers *numbers) {
  size_t count = (size_t)numbers->partitions * EE_NUMBERS_TOPICS;
  for (size_t i = 0; i < count; i++) {
    struct ee_numbers_count *at = &numbers->counts[i];
    if (at->next > INT64_MAX) at->next = 0;
    if (at->acked > at->next) at->acked = at->next;
    if (at->resent > at->next) at->resent = at->next;
    if (at->declared > atomic_load(&at->dropped)) at->declared = atomic_load(&at->dropped);
  }
  for (size_t i = 0; i < EE_NUMBERS_HOLES_MAX; i++) {
    struct ee_numbers_hole *hole = &numbers->holes[i];
    bool sound = hole->crc == hole_crc(numbers, hole) && hole->topic < EE_NUMBERS_TOPICS &&
                 hole->partition >= 0 && hole->partition < numbers->partitions &&
                 hole->first <= hole->last && hole->last < INT64_MAX;
    if (sound) {
      mend_by_hole(numbers, hole);
    } else {
      ee_numbers_clear_hole(hole);
    }
  }
  for (size_t i = 0; i < count; i++) {
    struct ee_numbers_count *at = &numbers->counts[i];
    uint64_t more = atomic_load(&at->dropped) - at->declared;
    if (more > INT64_MAX - at->next) atomic_store(&at->dropped, at->declared);
  }
}

bool ee_numbers_open(int directory, const uint8_t id[EE_SPOOL_ID_SIZE], uint32_t epoch,
                     struct ee_numbers *ret, struct ee_err *err) {
  char name[NAME_SIZE];
  struct head head;
  name_of(epoch, name);
  int fd = openat(directory, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return ee_err_set(err, "%s: %s", name, strerror(errno));
  bool sound = read_head(fd, id, epoch, name, &head, err);
  void *bytes = sound ? map(fd, size_for(head.partitions), MAP_SHARED) : MAP_FAILED;
  if (sound && bytes == MAP_FAILED) ee_err_set(err, "%s: %s", name, strerror(errno));
  close(fd);
  if (bytes == MAP_FAILED) return false;
  set_parts(ret, bytes, epoch, head.partitions);
  mend(ret);
  return true;
}

void ee_numbers_close(struct ee_numbers *numbers) {
  if (numbers->bytes != NULL) munmap(numbers->bytes, numbers->size);
  numbers->bytes = NULL;
}

bool ee_numbers_retire(int directory, uint32_t epoch, struct ee_err *err) {
  char name[NAME_SIZE];
  name_of(epoch, name);
  if (renameat(directory, name, directory, SPARE) == 0 || errno == ENOENT) return true;
  return ee_err_set(err, "%s: %s", name, strerror(errno));
}

int32_t ee_numbers_spare(int directory) {
  struct stat found;
  if (fstatat(directory, SPARE, &found, AT_SYMLINK_NOFOLLOW) != 0) return 0;
  for (int32_t partitions = 1; partitions <= EE_NUMBERS_PARTITIONS_MAX; partitions++) {
    if (found.st_size == (off_t)size_for(partitions)) return partitions;
  }
  return 0;
}

bool ee_numbers_remove(int directory, uint32_t epoch, struct ee_err *err) {
  char name[NAME_SIZE];
  name_of(epoch, name);
  if (unlinkat(directory, name, 0) == 0 || errno == ENOENT) return true;
  return ee_err_set(err, "%s: %s", name, strerror(errno));
}

// ---- Listing.

static bool epoch_of(const char *name, uint64_t *ret) {
  char again[NAME_SIZE];
  *ret = strtoull(name, NULL, 16);
  name_of((uint32_t)*ret, again);
  return strcmp(name, again) == 0;
}

bool ee_numbers_list(int directory, uint64_t **ret, size_t *ret_count, struct ee_err *err) {
  return ee_spool_list(directory, epoch_of, ret, ret_count, err);
}

// ---- Counts and holes.

struct ee_numbers_count *ee_numbers_at(const struct ee_numbers *numbers, uint8_t topic,
                                       int32_t partition) {
  return &numbers->counts[(size_t)topic * (size_t)numbers->partitions + (size_t)partition];
}

static struct ee_numbers_hole *find_before(const struct ee_numbers *numbers,
                                           const struct ee_numbers_hole *hole) {
  for (size_t i = 0; i < EE_NUMBERS_HOLES_MAX; i++) {
    struct ee_numbers_hole *other = &numbers->holes[i];
    if (other->reason == hole->reason && other->topic == hole->topic &&
        other->partition == hole->partition && other->last + 1 == hole->first) {
      return other;
    }
  }
  return NULL;
}

// One beyond those that are to be spared; NULL: there is none.
static struct ee_numbers_hole *find_free(const struct ee_numbers *numbers, size_t spared) {
  for (size_t i = 0; i < EE_NUMBERS_HOLES_MAX; i++) {
    if (numbers->holes[i].reason == EE_HOLE_NONE && spared-- == 0) return &numbers->holes[i];
  }
  return NULL;
}

// Stores that a process which is killed leaves in this order.
static void store_order(void) {
  atomic_signal_fence(memory_order_seq_cst);
}

// The joined one is written before the other goes: a crash between leaves both, which say the
// same.
static bool add_hole(struct ee_numbers *numbers, struct ee_numbers_hole *hole, size_t spared) {
  struct ee_numbers_hole *before = find_before(numbers, hole);
  struct ee_numbers_hole *at = find_free(numbers, spared);
  if (at == NULL) return false;
  if (before != NULL) hole->first = before->first;
  hole->crc = hole_crc(numbers, hole);
  *at = *hole;
  store_order();
  if (before != NULL) ee_numbers_clear_hole(before);
  return true;
}

bool ee_numbers_add_hole(struct ee_numbers *numbers, uint8_t topic, int32_t partition,
                         uint64_t first, uint64_t last, enum ee_hole_reason reason) {
  struct ee_numbers_hole hole = {.first = first,
                                 .last = last,
                                 .partition = partition,
                                 .topic = topic,
                                 .reason = (uint8_t)reason};
  return add_hole(numbers, &hole, 0);
}

void ee_numbers_clear_hole(struct ee_numbers_hole *hole) {
  *hole = (struct ee_numbers_hole){.reason = EE_HOLE_NONE};
}

// False: there is no room for the hole.
static bool declare(struct ee_numbers *numbers, uint8_t topic, int32_t partition) {
  struct ee_numbers_count *at = ee_numbers_at(numbers, topic, partition);
  uint64_t dropped = atomic_load_explicit(&at->dropped, memory_order_relaxed);
  if (dropped == at->declared) return true;
  struct ee_numbers_hole hole = {.first = at->next,
                                 .last = at->next + (dropped - at->declared) - 1,
                                 .partition = partition,
                                 .topic = topic,
                                 .reason = EE_HOLE_DISK_FULL,
                                 .declared = (uint32_t)dropped};
  uint64_t next = hole.last + 1;
  if (!add_hole(numbers, &hole, EE_NUMBERS_HOLES_SPARED)) return false;
  store_order();
  at->declared = dropped;
  store_order();
  at->next = next;
  return true;
}

void ee_numbers_declare_dropped(struct ee_numbers *numbers) {
  for (uint8_t topic = 0; topic < EE_NUMBERS_TOPICS; topic++) {
    for (int32_t partition = 0; partition < numbers->partitions; partition++) {
      if (!declare(numbers, topic, partition)) return;
    }
  }
}

void ee_numbers_pass_holes(struct ee_numbers *numbers) {
  for (bool moved = true; moved;) {
    moved = false;
    for (size_t i = 0; i < EE_NUMBERS_HOLES_MAX; i++) {
      const struct ee_numbers_hole *hole = &numbers->holes[i];
      if (hole->reason == EE_HOLE_NONE) continue;
      struct ee_numbers_count *at = ee_numbers_at(numbers, hole->topic, hole->partition);
      if (at->acked < hole->first || at->acked > hole->last) continue;
      at->acked = hole->last + 1;
      moved = true;
    }
  }
}
