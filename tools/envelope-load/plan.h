// SPDX-License-Identifier: Apache-2.0
// What one emitting thread emits, and when: stories that begin by chance, their events in the order
// of time. Pure: the same settings give the same events.
//
// An open envelope is held as where its story stands, 32 bytes, and its story is told again for
// each event: memory is bounded by how many may be open.
#ifndef EE_TOOLS_LOAD_PLAN_H
#define EE_TOOLS_LOAD_PLAN_H

#include "tools/envelope-load/arrivals.h"
#include "tools/envelope-load/heap.h"
#include "tools/traffic/story.h"

struct plan_settings {
  struct story_model model;
  uint64_t seed;
  int64_t start;  // UTC microseconds
  double per_s;   // envelopes, by all threads; above 0
  bool bursty;
  uint64_t envelopes;  // by all threads
  size_t open;         // at most, by each thread; at least 1
  uint64_t thread, threads;
};

struct plan {
  struct plan_settings settings;
  struct arrivals arrivals;
  struct heap open;
  int64_t arrival;        // of the next envelope, once it is known
  int64_t clock;          // of the event given last
  int64_t held_us;        // how much later envelopes come than they would, since too many are open
  uint64_t number;        // of the next story
  uint64_t begun, ended;  // envelopes
};

void plan_init(struct plan *plan, const struct plan_settings *settings);
void plan_release(struct plan *plan);

enum plan_state { PLAN_DUE, PLAN_DONE, PLAN_NO_MEMORY };
// When the next event is due, UTC microseconds: never before the one given last.
enum plan_state plan_due(struct plan *plan, int64_t *ret);
// Gives that event to the sink, once. Only after PLAN_DUE. False: no memory.
bool plan_give(struct plan *plan, const struct story_sink *sink);

#endif
