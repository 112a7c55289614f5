// SPDX-License-Identifier: Apache-2.0
// A spool's opening and closing, and what callers do: take room, write, publish.
#include "spool/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/file.h"
#include "spool/spool_impl.h"

// ---- Appending.

// Moves the tail from a full segment to the next. False: there is none.
static bool advance(struct ee_spool *spool, uint64_t *tail) {
  uint32_t turn = TURN(*tail);
  if (turn >= atomic_load_explicit(&spool->prepared, memory_order_acquire)) return false;
  uint64_t next = (uint64_t)(turn + 1) << 32 | EE_SPOOL_UNIT;
  uint64_t end = OFFSET(*tail);
  if (!atomic_compare_exchange_strong_explicit(&spool->tail, tail, next, memory_order_acq_rel,
                                               memory_order_acquire)) {
    return true;  // another has done so, or taken what room there was
  }
  if (turn > 0) {
    atomic_store_explicit(&slot_of(spool, turn)->end, end, memory_order_release);
  }
  *tail = next;
  return true;
}

// *ret: the tail as it was, where the room is.
static bool take_room(struct ee_spool *spool, size_t size, uint64_t *ret) {
  uint64_t tail = atomic_load_explicit(&spool->tail, memory_order_acquire);
  for (;;) {
    if (OFFSET(tail) + size > spool->segment_bytes) {
      if (!advance(spool, &tail)) return false;
    } else if (atomic_compare_exchange_weak_explicit(&spool->tail, &tail, tail + size,
                                                     memory_order_acq_rel, memory_order_acquire)) {
      *ret = tail;
      return true;
    }
  }
}

bool ee_spool_append(struct ee_spool *spool, const struct ee_spool_item *item,
                     struct ee_spool_at *ret_at) {
  size_t size = ee_spool_record_size(item->attributes.size, item->payload.size);
  uint64_t room;
  if (!take_room(spool, size, &room)) return false;
  struct slot *slot = slot_of(spool, TURN(room));
  uint8_t *at = slot->map.bytes + OFFSET(room);
  uint64_t mark = ee_spool_record_write(at, slot->map.salt, OFFSET(room), item);
  __atomic_store_n((uint64_t *)(void *)at, mark, __ATOMIC_RELEASE);
  if (ret_at != NULL) *ret_at = (struct ee_spool_at){slot->map.number, OFFSET(room)};
  atomic_fetch_add_explicit(&slot->published, size, memory_order_release);
  return true;
}

// ---- Opening.

bool ee_spool_settings_fit(const struct ee_spool_settings *settings, struct ee_err *err) {
  size_t size = settings->segment_bytes;
  if (size < EE_SPOOL_SEGMENT_LEAST || size > EE_SPOOL_SEGMENT_MOST || size % 4096 != 0) {
    return ee_err_set(err, "a segment of %zu bytes: it has 1 MiB to 1 GiB, in pages of 4096", size);
  }
  return settings->most_bytes >= 4 * (uint64_t)size ||
         ee_err_set(err, "a spool of %llu bytes: it has at least four segments (%zu bytes each)",
                    (unsigned long long)settings->most_bytes, size);
}

static bool look_at_old(struct ee_spool *spool, struct ee_err *err) {
  for (size_t i = 0; i < spool->old_count; i++) {
    struct ee_spool_map map;
    switch (ee_spool_segment_map(spool->directory, spool->control.id, spool->old[i], &map, err)) {
      case EE_SPOOL_MAPPED:
        ee_spool_segment_unmap(&map);
        break;
      case EE_SPOOL_MAP_NEWER:
      case EE_SPOOL_MAP_FAILED:
        return false;
      case EE_SPOOL_MAP_MISSING:
      case EE_SPOOL_MAP_USELESS:
        break;  // told when it is its turn to be read
    }
  }
  return true;
}

// The id that the segments have, or a new one: they say whose they are when the control file is
// lost.
static bool find_id(const struct ee_spool *spool, uint8_t ret[EE_SPOOL_ID_SIZE],
                    struct ee_err *err) {
  for (size_t i = 0; i < spool->old_count; i++) {
    struct ee_spool_segment segment;
    if (!ee_spool_segment_head(spool->directory, spool->old[i], &segment) ||
        segment.number != spool->old[i]) {
      continue;
    }
    memcpy(ret, segment.id, sizeof segment.id);
    return true;
  }
  if (getrandom(ret, EE_SPOOL_ID_SIZE, 0) == EE_SPOOL_ID_SIZE) return true;
  return ee_err_set(err, "random bytes: %s", strerror(errno));
}

static bool make_control(struct ee_spool *spool, const char *path, struct ee_err *err) {
  uint8_t id[EE_SPOOL_ID_SIZE];
  struct ee_spool_progress progress = {.segment = 1, .offset = EE_SPOOL_UNIT};
  if (spool->old_count > 0) progress.segment = spool->old[0];
  return find_id(spool, id, err) && ee_spool_control_make(path, id, &progress, err) &&
         ee_spool_control_open(path, &spool->control, err) == EE_SPOOL_CONTROL_OPEN;
}

static bool open_control(struct ee_spool *spool, const char *path, struct ee_err *err) {
  switch (ee_spool_control_open(path, &spool->control, err)) {
    case EE_SPOOL_CONTROL_OPEN:
      return true;
    case EE_SPOOL_CONTROL_MISSING:
    case EE_SPOOL_CONTROL_DAMAGED:
      return make_control(spool, path, err);
    case EE_SPOOL_CONTROL_NEWER:
    case EE_SPOOL_CONTROL_FAILED:
      return false;
  }
  return false;
}

static bool begin_epoch(struct ee_spool *spool, int64_t wall_s, struct ee_err *err) {
  struct ee_spool_progress progress = spool->control.progress;
  progress.epoch++;
  if (wall_s > progress.epoch && wall_s < UINT32_MAX) progress.epoch = (uint32_t)wall_s;
  ee_spool_control_store(&spool->control, &progress);
  return ee_spool_control_sync(&spool->control, err);
}

static void forget_settled(struct ee_spool *spool) {
  const struct ee_spool_progress *progress = &spool->control.progress;
  spool->first = progress->segment;
  if (spool->old_count > 0 && spool->old[spool->old_count - 1] >= spool->first) {
    spool->first = spool->old[spool->old_count - 1] + 1;
  }
  spool->next = spool->first;
  ee_spool_rewind(spool);
  atomic_store(&spool->settled, progress->segment);
}

static bool open_all(struct ee_spool *spool, const struct ee_spool_settings *settings,
                     struct ee_err *err) {
  const char *path = settings->directory;
  if (!ee_dir_make(path, err) || !ee_dir_lock(path, &spool->lock, err)) return false;
  spool->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (spool->directory < 0) return ee_err_set(err, "%s: %s", path, strerror(errno));
  if (!ee_spool_segment_list(spool->directory, &spool->old, &spool->old_count, err) ||
      !open_control(spool, path, err) || !look_at_old(spool, err)) {
    return ee_err_prefix(err, "%s", path);
  }
  forget_settled(spool);
  return begin_epoch(spool, settings->wall_s, err) || ee_err_prefix(err, "%s", path);
}

bool ee_spool_open(const struct ee_spool_settings *settings, struct ee_spool **ret,
                   struct ee_err *err) {
  if (!ee_spool_settings_fit(settings, err)) return false;
  struct ee_spool *spool = aligned_alloc(CACHE_LINE, sizeof *spool);
  if (spool == NULL) return ee_err_set(err, "no memory for a spool");
  memset(spool, 0, sizeof *spool);
  spool->directory = spool->lock = -1;
  spool->segment_bytes = settings->segment_bytes;
  spool->most_bytes = settings->most_bytes;
  atomic_store(&spool->tail, settings->segment_bytes);  // turn 0 is full from the start
  spool->prefault.from_position = settings->segment_bytes;
  if (!open_all(spool, settings, err)) {
    ee_spool_close(spool);
    return false;
  }
  *ret = spool;
  return true;
}

void ee_spool_close(struct ee_spool *spool) {
  if (spool == NULL) return;
  for (size_t i = 0; i < SLOTS; i++) {
    ee_spool_segment_unmap(&spool->slots[i].map);
  }
  reader_release(&spool->reader);
  reader_release(&spool->ahead);
  ee_spool_control_close(&spool->control);
  free(spool->old);
  if (spool->directory >= 0) close(spool->directory);
  if (spool->lock >= 0) close(spool->lock);
  free(spool);
}

uint32_t ee_spool_epoch(const struct ee_spool *spool) {
  return spool->control.progress.epoch;
}

const uint8_t *ee_spool_id(const struct ee_spool *spool) {
  return spool->control.id;
}

int ee_spool_directory(const struct ee_spool *spool) {
  return spool->directory;
}

struct ee_spool_at ee_spool_first(const struct ee_spool *spool) {
  return (struct ee_spool_at){spool->first, EE_SPOOL_UNIT};
}

struct ee_spool_at ee_spool_tail(const struct ee_spool *spool) {
  uint64_t tail = atomic_load_explicit(&spool->tail, memory_order_acquire);
  if (TURN(tail) == 0) return ee_spool_first(spool);
  return (struct ee_spool_at){spool->first + TURN(tail) - 1, OFFSET(tail)};
}

void ee_spool_forsake(struct ee_spool *spool) {
  close(spool->directory);
  close(spool->lock);
}
