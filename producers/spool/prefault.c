// SPDX-License-Identifier: Apache-2.0
// Pages are there, and may be written to, before callers come to them. A store that faults may wait
// for the disk: for a page that it is writing, or for its turn.
#include <errno.h>
#include <sys/mman.h>

#include "spool/spool_impl.h"

#define LEAD_LEAST ((uint64_t)8 << 20)
#define LEAD_MOST ((uint64_t)64 << 20)
#define CALL_MOST ((uint64_t)8 << 20)  // of one call: the nearest are to be looked at again
#define STEP ((uint64_t)1 << 20)
#define NEAR ((uint64_t)256 << 10)
#define PAGE ((uint64_t)4096)
#define MEASURE_MS 50

void spool_touch(uint8_t *from, uint64_t size) {
#ifdef MADV_POPULATE_WRITE
  if (madvise(from, size, MADV_POPULATE_WRITE) == 0 || errno != EINVAL) return;
#endif
  for (uint64_t at = 0; at < size; at += PAGE) {
    __atomic_fetch_or((uint64_t *)(void *)(from + at), 0, __ATOMIC_RELAXED);
  }
}

// Returns where it ended: at `to`, or where no segment is prepared.
static uint64_t touch(struct ee_spool *spool, uint64_t from, uint64_t to) {
  while (from < to) {
    uint64_t turn = from / spool->segment_bytes, offset = from % spool->segment_bytes;
    if (turn > atomic_load(&spool->prepared)) return from;
    uint64_t size = spool->segment_bytes - offset;
    if (size > to - from) size = to - from;
    if (size > STEP) size = STEP;
    spool_touch(slot_of(spool, (uint32_t)turn)->map.bytes + offset, size);
    from += size;
  }
  return from;
}

// Follows callers at once when they become faster, and slowly when they become slower.
static void measure(struct prefault *prefault, uint64_t position, int64_t now_ms) {
  int64_t elapsed_ms = now_ms - prefault->from_ms;
  if (elapsed_ms < MEASURE_MS) return;
  uint64_t speed = (position - prefault->from_position) * 1000 / (uint64_t)elapsed_ms;
  uint64_t slower = prefault->speed / 8 * 7;
  prefault->speed = speed > slower ? speed : slower;
  prefault->from_position = position;
  prefault->from_ms = now_ms;
}

// Whole pages, in bytes: what callers fill in a second, within bounds.
static uint64_t lead(const struct prefault *prefault) {
  if (prefault->speed < LEAD_LEAST) return LEAD_LEAST;
  return prefault->speed < LEAD_MOST ? prefault->speed / PAGE * PAGE : LEAD_MOST;
}

void spool_prefault(struct ee_spool *spool, int64_t now_ms) {
  struct prefault *prefault = &spool->prefault;
  uint64_t tail = atomic_load_explicit(&spool->tail, memory_order_acquire);
  uint64_t position = TURN(tail) * (uint64_t)spool->segment_bytes + OFFSET(tail) / PAGE * PAGE;
  measure(prefault, position, now_ms);
  // Pages that the disk has taken meanwhile fault once more: those that are next shall not.
  touch(spool, position, position + NEAR);
  if (prefault->ready < position) prefault->ready = position;  // callers have overtaken it
  uint64_t to = position + lead(prefault);
  if (to > prefault->ready + CALL_MOST) to = prefault->ready + CALL_MOST;
  prefault->ready = touch(spool, prefault->ready, to);
}
