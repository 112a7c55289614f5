// SPDX-License-Identifier: Apache-2.0
// What waits for the disk: segments that are settled go, and what is to survive the machine is
// synced.
#include <errno.h>
#include <unistd.h>

#include "spool/spool_impl.h"

// ---- Segments that are settled.

static void count_removed(struct ee_spool *spool) {
  atomic_fetch_add_explicit(&spool->removed, 1, memory_order_release);
}

static bool any_settled(const struct ee_spool *spool, uint64_t settled) {
  return spool->next < settled ||
         (spool->old_removed < spool->old_count && spool->old[spool->old_removed] < settled);
}

// How far all is settled is on disk before what lies below it goes.
bool ee_spool_remove_settled(struct ee_spool *spool, struct ee_err *err) {
  uint64_t settled = atomic_load_explicit(&spool->settled, memory_order_acquire);
  if (any_settled(spool, settled) && !ee_spool_control_sync(&spool->control, err)) return false;
  while (spool->old_removed < spool->old_count && spool->old[spool->old_removed] < settled) {
    if (!ee_spool_segment_remove(spool->directory, spool->old[spool->old_removed], err))
      return false;
    spool->old_removed++;
    count_removed(spool);
  }
  for (; spool->next < settled; spool->next++) {
    if (!ee_spool_segment_remove(spool->directory, spool->next, err)) return false;
    count_removed(spool);
  }
  return true;
}

// ---- What survives the machine.

// The names of segments that were made since the last time.
static bool sync_names(struct ee_spool *spool, struct ee_err *err) {
  uint32_t prepared = atomic_load_explicit(&spool->prepared, memory_order_acquire);
  if (spool->named == prepared) return true;
  if (fsync(spool->directory) != 0) return ee_err_set(err, "fsync: %s", strerror(errno));
  spool->named = prepared;
  return true;
}

bool ee_spool_sync(struct ee_spool *spool, struct ee_spool_at from, struct ee_spool_at to,
                   struct ee_err *err) {
  for (uint64_t number = from.segment; number <= to.segment; number++) {
    if (!ee_spool_segment_sync(spool->directory, number, err)) return false;
  }
  return sync_names(spool, err);
}
