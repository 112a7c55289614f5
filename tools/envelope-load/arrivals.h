// SPDX-License-Identifier: Apache-2.0
// When envelopes are asked for: by chance at a mean rate (Poisson), or likewise in bursts. Pure.
#ifndef EE_TOOLS_LOAD_ARRIVALS_H
#define EE_TOOLS_LOAD_ARRIVALS_H

#include "tools/traffic/random.h"

// A tenth of the time is burst, at five times the mean rate; half of the arrivals come then.
#define BURST_RATE 5.0
#define BURST_MEAN_US 1e6
#define QUIET_MEAN_US 9e6

struct arrivals {
  struct random random;  // of the arrivals
  struct random phases;  // of when bursts begin and end
  double rate;           // a microsecond
  double at;             // of the last one, microseconds since the beginning
  double phase_end;
  bool bursty, burst;
};

// per_s: this one's share of the rate, above 0. Those of one seed have their bursts at one time,
// and arrivals of their own by `number`.
void arrivals_init(struct arrivals *arrivals, uint64_t seed, uint64_t number, double per_s,
                   bool bursty);
// Microseconds since the beginning, never less than the one before.
int64_t arrivals_next(struct arrivals *arrivals);

#endif
