// SPDX-License-Identifier: Apache-2.0
// Arrivals: exponential gaps, whose rate changes when a burst begins or ends.
#include "tools/envelope-load/arrivals.h"

#include <math.h>

#define BURST_SHARE (BURST_MEAN_US / (BURST_MEAN_US + QUIET_MEAN_US))
#define QUIET_RATE ((1.0 - BURST_SHARE * BURST_RATE) / (1.0 - BURST_SHARE))

void arrivals_init(struct arrivals *arrivals, uint64_t seed, uint64_t number, double per_s,
                   bool bursty) {
  *arrivals = (struct arrivals){.random = random_of(seed, UINT64_MAX - 1 - number),
                                .phases = random_of(seed, UINT64_MAX),
                                .rate = per_s / 1e6,
                                .bursty = bursty,
                                .burst = true};  // quiet from the beginning, which ends at 0
}

static void change(struct arrivals *arrivals) {
  arrivals->at = arrivals->phase_end;
  arrivals->burst = !arrivals->burst;
  arrivals->phase_end +=
      random_exponential(&arrivals->phases) * (arrivals->burst ? BURST_MEAN_US : QUIET_MEAN_US);
}

int64_t arrivals_next(struct arrivals *arrivals) {
  double gap = random_exponential(&arrivals->random) / arrivals->rate;  // at the mean rate
  if (!arrivals->bursty) return (int64_t)(arrivals->at += gap);
  for (;;) {
    double rate = arrivals->burst ? BURST_RATE : QUIET_RATE;
    double room = (arrivals->phase_end - arrivals->at) * rate;
    if (gap < room) return (int64_t)(arrivals->at += gap / rate);
    gap -= fmax(room, 0);
    change(arrivals);
  }
}
