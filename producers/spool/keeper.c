// SPDX-License-Identifier: Apache-2.0
// The keeper: segments and their pages are there before callers need them.
#include "spool/spool_impl.h"

// Segments behind the one that is written to: as many as callers fill in so long.
#define SPARE_S 5
#define SPARES_LEAST ((uint64_t)2)
#define SPARES_MOST ((uint64_t)5)

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

// ---- Segments to come.

static uint64_t segments_there(const struct ee_spool *spool) {
  uint64_t made = spool->old_count + atomic_load(&spool->prepared);
  return made - atomic_load_explicit(&spool->removed, memory_order_acquire);
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

static uint32_t spares(const struct ee_spool *spool) {
  uint64_t count = spool->prefault.speed * SPARE_S / spool->segment_bytes;
  if (count < SPARES_LEAST) count = SPARES_LEAST;
  return (uint32_t)(count < SPARES_MOST ? count : SPARES_MOST);
}

static bool prepare(struct ee_spool *spool, uint32_t writing, struct ee_err *err) {
  uint32_t last = writing + spares(spool);
  for (;;) {
    uint32_t turn = atomic_load(&spool->prepared) + 1;
    bool full;
    if (turn > last || turn - atomic_load(&spool->released) >= SLOTS) return true;
    if ((segments_there(spool) + 1) * spool->segment_bytes > spool->most_bytes) return true;
    if (!prepare_one(spool, turn, &full, err)) return full;
  }
}

bool ee_spool_keep(struct ee_spool *spool, int64_t now_ms, struct ee_err *err) {
  uint32_t writing = TURN(atomic_load_explicit(&spool->tail, memory_order_acquire));
  spool_prefault(spool, now_ms);  // first: what follows takes longer
  release(spool, writing);
  bool prepared = prepare(spool, writing, err);
  spool_prefault(spool, now_ms);
  return prepared;
}
