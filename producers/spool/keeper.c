// SPDX-License-Identifier: Apache-2.0
// The keeper: segments are there before callers need them, their pages too, and those that are
// settled go.
#include <errno.h>
#include <sys/mman.h>

#include "spool/spool_impl.h"

#define SPARES ((uint32_t)2)            // segments behind the one that is written to
#define WARM_LEAST ((uint64_t)8 << 20)  // pages that are there before they are written to
#define WARM_MOST ((uint64_t)64 << 20)
#define WARM_STEP ((uint64_t)1 << 20)
#define NEAR ((uint64_t)256 << 10)
#define PAGE ((uint64_t)4096)

// ---- Segments that nobody writes to any more.

static void release(struct ee_spool *spool, uint32_t writing) {
  uint32_t turn = atomic_load(&spool->released) + 1;
  for (; turn < writing; turn++) {
    struct slot *slot = slot_of(spool, turn);
    uint64_t end = atomic_load_explicit(&slot->end, memory_order_acquire);
    uint64_t published = atomic_load_explicit(&slot->published, memory_order_acquire);
    if (end == 0 || published != end - EE_SPOOL_UNIT) return;
    ee_spool_segment_unmap(&slot->map);
    atomic_store_explicit(&spool->released, turn, memory_order_release);
  }
}

static bool any_settled(const struct ee_spool *spool, uint64_t settled) {
  return spool->removed < settled ||
         (spool->old_removed < spool->old_count && spool->old[spool->old_removed] < settled);
}

// How far all is settled is on disk before what lies below it goes.
static bool remove_settled(struct ee_spool *spool, struct ee_err *err) {
  uint64_t settled = atomic_load_explicit(&spool->settled, memory_order_acquire);
  if (any_settled(spool, settled) && !ee_spool_control_sync(&spool->control, err)) return false;
  while (spool->old_removed < spool->old_count && spool->old[spool->old_removed] < settled) {
    if (!ee_spool_segment_remove(spool->directory, spool->old[spool->old_removed], err))
      return false;
    spool->old_removed++;
  }
  for (; spool->removed < settled; spool->removed++) {
    if (!ee_spool_segment_remove(spool->directory, spool->removed, err)) return false;
  }
  return true;
}

// ---- Segments to come.

static uint64_t segments_there(const struct ee_spool *spool) {
  uint64_t made = spool->first + atomic_load(&spool->prepared);
  return spool->old_count - spool->old_removed + (made - spool->removed);
}

static bool prepare_one(struct ee_spool *spool, uint32_t turn, bool *ret_full, struct ee_err *err) {
  struct slot *slot = slot_of(spool, turn);
  struct ee_spool_segment segment = {.number = spool->first + turn - 1,
                                     .size = spool->segment_bytes};
  memcpy(segment.id, spool->control.id, sizeof segment.id);
  if (!ee_spool_segment_create(spool->directory, &segment, &slot->map, ret_full, err)) return false;
  atomic_store(&slot->published, 0);
  atomic_store(&slot->end, 0);
  atomic_store_explicit(&spool->prepared, turn, memory_order_release);
  return true;
}

static bool prepare(struct ee_spool *spool, uint32_t writing, struct ee_err *err) {
  for (;;) {
    uint32_t turn = atomic_load(&spool->prepared) + 1;
    bool full;
    if (turn > writing + SPARES || turn - atomic_load(&spool->released) >= SLOTS) return true;
    if ((segments_there(spool) + 1) * spool->segment_bytes > spool->most_bytes) return true;
    if (!prepare_one(spool, turn, &full, err)) return full;
  }
}

// ---- Pages.

void spool_touch(uint8_t *from, uint64_t size) {
#ifdef MADV_POPULATE_WRITE
  if (madvise(from, size, MADV_POPULATE_WRITE) == 0 || errno != EINVAL) return;
#endif
  for (uint64_t at = 0; at < size; at += PAGE) {
    __atomic_fetch_or((uint64_t *)(void *)(from + at), 0, __ATOMIC_RELAXED);
  }
}

// Bytes from the page that callers have come to.
static uint64_t warm_ahead(const struct ee_spool *spool, uint64_t tail) {
  uint64_t turns = spool->warm_turn - TURN(tail);
  return turns * spool->segment_bytes + spool->warm_offset - OFFSET(tail) / PAGE * PAGE;
}

// Callers may have overtaken it.
static void follow(struct ee_spool *spool, uint64_t tail) {
  bool behind = spool->warm_turn < TURN(tail) ||
                (spool->warm_turn == TURN(tail) && spool->warm_offset < OFFSET(tail));
  if (!behind) return;
  spool->warm_turn = TURN(tail);
  spool->warm_offset = OFFSET(tail) / PAGE * PAGE;
}

// Twice as much once callers have come near: the disk may hold the keeper up for long.
static void adapt_lead(struct ee_spool *spool, uint64_t tail) {
  if (spool->warm_bytes < WARM_LEAST) spool->warm_bytes = WARM_LEAST;
  bool near = TURN(tail) > 0 && warm_ahead(spool, tail) < spool->warm_bytes / 2;
  if (near && spool->warm_bytes < WARM_MOST) spool->warm_bytes *= 2;
}

// Touches what comes next at that place, at most so many bytes, and moves it on. Returns how many:
// 0 where no segment is prepared.
static uint64_t touch_next(struct ee_spool *spool, uint32_t *turn, uint64_t *offset,
                           uint64_t most) {
  if (*offset >= spool->segment_bytes) {
    if (*turn >= atomic_load(&spool->prepared)) return 0;
    (*turn)++;
    *offset = 0;
  }
  uint64_t size = spool->segment_bytes - *offset;
  if (size > most) size = most;
  spool_touch(slot_of(spool, *turn)->map.bytes + *offset, size);
  *offset += size;
  return size;
}

// Pages that the disk has taken meanwhile fault once more, and their fault may wait for the disk:
// those that callers come to next shall not.
static void touch_again(struct ee_spool *spool) {
  uint64_t tail = atomic_load_explicit(&spool->tail, memory_order_acquire);
  uint32_t turn = TURN(tail);
  uint64_t offset = OFFSET(tail) / PAGE * PAGE, touched;
  if (turn == 0) return;  // none was written to
  for (uint64_t left = NEAR; left > 0; left -= touched) {
    touched = touch_next(spool, &turn, &offset, left);
    if (touched == 0) return;
  }
}

static void warm(struct ee_spool *spool) {
  uint64_t tail = atomic_load_explicit(&spool->tail, memory_order_acquire);
  follow(spool, tail);
  adapt_lead(spool, tail);
  while (warm_ahead(spool, tail) < spool->warm_bytes &&
         touch_next(spool, &spool->warm_turn, &spool->warm_offset, WARM_STEP) > 0) {
  }
}

bool ee_spool_keep(struct ee_spool *spool, struct ee_err *err) {
  touch_again(spool);
  warm(spool);  // first: what follows may wait for the disk
  uint32_t writing = TURN(atomic_load_explicit(&spool->tail, memory_order_acquire));
  release(spool, writing);
  bool removed = remove_settled(spool, err);
  bool prepared = prepare(spool, writing, removed ? err : NULL);
  warm(spool);
  return removed && prepared;
}

bool ee_spool_sync(struct ee_spool *spool, struct ee_spool_at from, struct ee_spool_at to,
                   struct ee_err *err) {
  for (uint64_t number = from.segment; number <= to.segment; number++) {
    if (!ee_spool_segment_sync(spool->directory, number, err)) return false;
  }
  return true;
}
