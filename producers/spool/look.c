// SPDX-License-Identifier: Apache-2.0
// Judges files without mapping them: what another process cuts short meanwhile, or a disk cannot
// give, is an error here and not a signal.
#include "spool/look.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

#define CHUNK ((size_t)65536)
#define NUMBER_MOST ((uint64_t)INT64_MAX)  // the next ones must be numbers too

// ---- Files.

static void judge(struct ee_spool_view *view, enum ee_spool_file is, const char *why) {
  view->is = is;
  ee_err_set(&view->says, "%s", why);
}

static void refused(struct ee_spool_view *view, int error) {
  if (error == ENOENT) {
    judge(view, EE_SPOOL_FILE_GONE, "it is not there any more");
  } else if (error == ELOOP || error == ENXIO) {
    judge(view, EE_SPOOL_FILE_USELESS, "a link or a socket, not a file");
  } else {
    judge(view, EE_SPOOL_FILE_UNREADABLE, strerror(error));
  }
}

// The descriptor, or -1 with the verdict in view. *ret_size is bounded.
static int open_file(int directory, const char *name, struct ee_spool_view *view,
                     size_t *ret_size) {
  struct stat found;
  int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &found) != 0) {
    refused(view, errno);
  } else if (!S_ISREG(found.st_mode)) {
    judge(view, EE_SPOOL_FILE_USELESS, "not a file");
  } else if (found.st_size < (off_t)EE_SPOOL_UNIT) {
    judge(view, EE_SPOOL_FILE_USELESS, "too short for a head");
  } else {
    uint64_t size = (uint64_t)found.st_size;
    *ret_size = size < EE_SPOOL_SEGMENT_MOST ? (size_t)size : EE_SPOOL_SEGMENT_MOST;
    return fd;
  }
  if (fd >= 0) close(fd);
  return -1;
}

static bool all_zero(const uint8_t *bytes, size_t size) {
  return bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
}

// Pages of zeros, which most of a segment may be, are not touched in the copy.
static int copy(int fd, uint8_t *to, size_t size) {
  uint8_t chunk[CHUNK];
  for (size_t at = 0; at < size;) {
    size_t wanted = size - at < CHUNK ? size - at : CHUNK;
    ssize_t got = pread(fd, chunk, wanted, (off_t)at);
    if (got < 0 && errno != EINTR) return errno;
    if (got == 0) return 0;
    if (got > 0 && !all_zero(chunk, (size_t)got)) memcpy(to + at, chunk, (size_t)got);
    at += got > 0 ? (size_t)got : 0;
  }
  return 0;
}

static bool load(int fd, size_t size, struct ee_spool_view *view) {
  view->bytes = calloc(1, size);
  view->size = size;
  int error = view->bytes == NULL ? ENOMEM : copy(fd, view->bytes, size);
  if (error != 0) refused(view, error);
  return error == 0;
}

static bool any_record(const struct ee_spool_view *view) {
  struct ee_spool_scan scan;
  struct ee_spool_place place;
  enum ee_spool_found found;
  ee_spool_scan_init(&scan, ee_bytes(view->bytes, view->size), view->salt, EE_SPOOL_UNIT);
  do {
    found = ee_spool_scan_next(&scan, &place);
  } while (found == EE_SPOOL_FOUND_TORN);
  return found == EE_SPOOL_FOUND_RECORD;
}

// Its records say whose they are where its head does not.
static void judge_headless(const struct ee_spool_look *look, int fd, size_t size,
                           struct ee_spool_view *view) {
  struct ee_spool_segment segment = {.number = view->number};
  memcpy(segment.id, look->id, sizeof segment.id);
  view->salt = ee_spool_salt(&segment);
  if (look->known && !load(fd, size, view)) return;
  if (look->known && any_record(view)) {
    judge(view, EE_SPOOL_FILE_HEADLESS, "its head is damaged");
  } else {
    judge(view, EE_SPOOL_FILE_USELESS, "neither its head nor a record of this spool is in it");
  }
}

static void judge_segment(const struct ee_spool_look *look, int fd, size_t size,
                          const struct ee_spool_segment *segment, struct ee_spool_view *view) {
  if (!look->known || memcmp(segment->id, look->id, EE_SPOOL_ID_SIZE) != 0) {
    judge(view, EE_SPOOL_FILE_FOREIGN, "it belongs to another spool");
  } else if (segment->number != view->number) {
    view->head_number = segment->number;
    view->is = EE_SPOOL_FILE_MISPLACED;
    ee_err_set(&view->says, "it is segment %016llx under another one's name",
               (unsigned long long)segment->number);
  } else {
    view->salt = ee_spool_salt(segment);
    if (load(fd, size, view)) view->is = EE_SPOOL_FILE_SOUND;
  }
}

static void judge_file(const struct ee_spool_look *look, int fd, size_t size,
                       struct ee_spool_view *view) {
  uint8_t head[EE_SPOOL_UNIT];
  struct ee_spool_segment segment;
  ssize_t got = pread(fd, head, sizeof head, 0);
  if (got < 0) {
    refused(view, errno);
    return;
  }
  enum ee_spool_head says = ee_spool_segment_parse(ee_bytes(head, (size_t)got), &segment);
  uint64_t number = says == EE_SPOOL_HEAD_GOOD ? segment.number : view->number;
  if (says == EE_SPOOL_HEAD_NEWER) {
    judge(view, EE_SPOOL_FILE_NEWER, "a later version of the library wrote it");
  } else if (number > NUMBER_MOST) {
    judge(view, EE_SPOOL_FILE_USELESS, "a number that no segment has");
  } else if (says == EE_SPOOL_HEAD_GOOD) {
    judge_segment(look, fd, size, &segment, view);
  } else {
    judge_headless(look, fd, size, view);
  }
}

void ee_spool_view_open(const struct ee_spool_look *look, uint64_t number,
                        struct ee_spool_view *ret) {
  char name[EE_SPOOL_NAME_SIZE];
  size_t size;
  *ret = (struct ee_spool_view){.number = number};
  ee_spool_segment_name(number, name);
  int fd = open_file(look->directory, name, ret, &size);
  if (fd < 0) return;
  judge_file(look, fd, size, ret);
  close(fd);
  if (ret->is != EE_SPOOL_FILE_SOUND && ret->is != EE_SPOOL_FILE_HEADLESS) {
    ee_spool_view_close(ret);
  }
}

void ee_spool_view_close(struct ee_spool_view *view) {
  free(view->bytes);
  view->bytes = NULL;
}

// ---- The directory.

static int by_bytes(const void *a, const void *b) {
  return memcmp(a, b, EE_SPOOL_ID_SIZE);
}

// The id that the most heads have; of two, the one that is less.
static bool most_frequent(uint8_t (*ids)[EE_SPOOL_ID_SIZE], size_t count,
                          uint8_t ret[EE_SPOOL_ID_SIZE]) {
  size_t most = 0;
  if (count > 0) qsort(ids, count, sizeof *ids, by_bytes);
  for (size_t i = 0, run = 0; i < count; i++) {
    run = i > 0 && by_bytes(ids[i], ids[i - 1]) == 0 ? run + 1 : 1;
    if (run <= most) continue;
    most = run;
    memcpy(ret, ids[i], EE_SPOOL_ID_SIZE);
  }
  return most > 0;
}

static bool find_id(struct ee_spool_look *look, struct ee_err *err) {
  uint8_t(*ids)[EE_SPOOL_ID_SIZE] = calloc(look->count + 1, sizeof *ids);
  size_t count = 0;
  if (ids == NULL) return ee_err_set(err, "no memory for a list of segments");
  for (size_t i = 0; i < look->count; i++) {
    struct ee_spool_segment segment;
    if (!ee_spool_segment_head(look->directory, look->numbers[i], &segment)) continue;
    memcpy(ids[count++], segment.id, sizeof segment.id);
  }
  look->known = most_frequent(ids, count, look->id);
  free(ids);
  return true;
}

// Files first: what is settled and removed meanwhile is then below what the control file says.
static bool look_at(const char *path, struct ee_spool_look *look, struct ee_err *err) {
  struct ee_spool_control control;
  look->holder = ee_dir_lock_holder(path);
  if (!ee_spool_segment_numbers(look->directory, &look->numbers, &look->count, err)) return false;
  look->control = ee_spool_control_read(path, &control, &look->known, &look->says);
  if (look->control == EE_SPOOL_CONTROL_MISSING && look->count == 0) {
    return ee_err_set(err, "there is no spool: neither a control file nor a segment");
  }
  memcpy(look->id, control.id, sizeof look->id);
  look->progress = (struct ee_spool_progress){.segment = 1, .offset = EE_SPOOL_UNIT};
  if (look->control == EE_SPOOL_CONTROL_OPEN) {
    look->progress = control.progress;
  } else if (look->count > 0) {
    look->progress.segment = look->numbers[0];
  }
  return look->known || find_id(look, err);
}

bool ee_spool_look_open(const char *directory, struct ee_spool_look *ret, struct ee_err *err) {
  struct ee_spool_look look = {.directory = -1};
  look.directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (look.directory < 0) return ee_err_set(err, "%s: %s", directory, strerror(errno));
  if (!look_at(directory, &look, err)) {
    ee_spool_look_close(&look);
    return ee_err_prefix(err, "%s", directory);
  }
  *ret = look;
  return true;
}

void ee_spool_look_close(struct ee_spool_look *look) {
  free(look->numbers);
  if (look->directory >= 0) close(look->directory);
  *look = (struct ee_spool_look){.directory = -1};
}

// ---- What lies in a file.

static uint64_t settled_of(const struct ee_spool_look *look, const struct ee_spool_view *view) {
  const struct ee_spool_progress *progress = &look->progress;
  uint64_t end = view->size / EE_SPOOL_UNIT * EE_SPOOL_UNIT;
  if (view->number < progress->segment) return end;
  if (view->number > progress->segment || progress->offset < EE_SPOOL_UNIT) return EE_SPOOL_UNIT;
  uint64_t offset = progress->offset / EE_SPOOL_UNIT * EE_SPOOL_UNIT;
  return offset < end ? offset : end;
}

void ee_spool_walk_init(struct ee_spool_walk *walk, const struct ee_spool_look *look,
                        const struct ee_spool_view *view) {
  *walk = (struct ee_spool_walk){.view = view, .settled = settled_of(look, view)};
  ee_spool_scan_init(&walk->scan, ee_bytes(view->bytes, walk->settled), view->salt, EE_SPOOL_UNIT);
}

static void see(const struct ee_spool_walk *walk, enum ee_spool_found found,
                const struct ee_spool_place *place, struct ee_spool_sight *ret) {
  const struct ee_spool_view *view = walk->view;
  const uint8_t *at = view->bytes + place->offset;
  uint64_t mark;
  memcpy(&mark, at, sizeof mark);
  *ret = (struct ee_spool_sight){.settled = !walk->behind,
                                 .record = found == EE_SPOOL_FOUND_RECORD,
                                 .marked = mark != 0,
                                 .place = *place};
  if (!ret->record) return;
  ret->numbered = ee_spool_record_numbering(at, view->salt, place->offset, &ret->numbering);
  ret->misnumbered = !ret->numbered && !ee_spool_record_unnumbered(at);
}

bool ee_spool_walk_next(struct ee_spool_walk *walk, struct ee_spool_sight *ret) {
  struct ee_spool_place place;
  enum ee_spool_found found = ee_spool_scan_next(&walk->scan, &place);
  if (found == EE_SPOOL_FOUND_END && !walk->behind) {
    walk->behind = true;
    ee_spool_scan_init(&walk->scan, ee_bytes(walk->view->bytes, walk->view->size), walk->view->salt,
                       walk->settled);
    found = ee_spool_scan_next(&walk->scan, &place);
  }
  if (found == EE_SPOOL_FOUND_END) return false;
  see(walk, found, &place, ret);
  return true;
}
