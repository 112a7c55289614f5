// SPDX-License-Identifier: Apache-2.0
// Stories of envelopes: what is asked, granted and done in one of them, when, and the accidents of
// a real day. Pure: told again with the same random numbers, a story is the same.
#ifndef EE_TOOLS_TRAFFIC_STORY_H
#define EE_TOOLS_TRAFFIC_STORY_H

#include "contract/event.h"
#include "tools/traffic/tenants.h"

struct story_model {
  const struct tenants *tenants;  // borrowed
  double time_scale;              // what every delay is multiplied by
};

struct story_sink {
  // One event. record is the phase's, borrowed for the call; sent_at is UTC microseconds. Events
  // come in no order: of equal times the one told earlier is sent earlier.
  void (*take)(void *context, enum ee_phase phase, const void *record, int64_t sent_at);
  void *context;
};

// What a story may come to, at most.
#define STORY_EVENTS_MAX 16

// Tells all of one envelope, asked at `at` (UTC microseconds). number decides of its kind.
void traffic_tell(const struct story_model *model, struct random *random, int64_t number,
                  int64_t at, const struct story_sink *sink);

#endif
