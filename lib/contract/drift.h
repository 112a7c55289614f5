// SPDX-License-Identifier: Apache-2.0
// Requested against granted, dimension by dimension (design, section 4, join).
#ifndef EE_CONTRACT_DRIFT_H
#define EE_CONTRACT_DRIFT_H

#include "base/arena.h"
#include "records.h"

// Fills lines in the order cpu_millis, memory_bytes, gpu, gpu_class, engine,
// concurrency, timeout_ms, priority, placement.K, amounts.K (K by its bytes), one for
// each dimension that either side states. Texts live in arena. False when it is full.
//
//   numbers     equal, narrowed (granted less), widened (granted more)
//   gpu         gpu_count times gpu_share_milli (absent share: 1000); stated where
//               gpu_count is
//   texts       gpu_class, engine: equal or rebound
//   placement   changed: rebound; only granted: equal (an addition); only requested:
//               unstated
//   one side    unstated
bool ee_drift(const struct ee_resources *requested, const struct ee_resources *granted,
              struct ee_arena *arena, struct ee_drift_line_array *ret);

// True unless the dimension is listed only (timeout_ms, priority).
bool ee_drift_counts(struct ee_str dimension);

struct ee_drift_summary {
  bool equal, narrowed, widened, rebound;  // over the counted lines
};
struct ee_drift_summary ee_drift_summarise(const struct ee_drift_line_array *lines);

#endif
