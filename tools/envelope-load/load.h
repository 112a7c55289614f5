// SPDX-License-Identifier: Apache-2.0
// A run of envelope-load: threads that emit their plans through one producer, each at its time or
// as fast as they can, and what came of it so far. Nothing is allocated for an event.
#ifndef EE_TOOLS_LOAD_LOAD_H
#define EE_TOOLS_LOAD_LOAD_H

#include "client/settings.h"
#include "tools/envelope-load/histogram.h"
#include "tools/envelope-load/plan.h"

#define LOAD_THREADS_MAX 64

struct load_settings {
  struct ee_producer_settings *producer;
  struct plan_settings plan;  // thread is set for each
  bool paced;                 // false: nothing is waited for
  int64_t duration_ms;        // 0: until all is emitted
};

struct load_counts {
  uint64_t envelopes, finished;       // begun, and those with no event to come
  uint64_t events;                    // accepted by the spool
  uint64_t phases[EE_PHASE_TOPICS];   // of these
  uint64_t dropped;                   // for which it had no room
  uint64_t full;                      // times that a full spool was waited for
  uint64_t mistakes;                  // refused by the library
  uint64_t acknowledged, refused;     // by Kafka, of these events
  int64_t behind_us, behind_most_us;  // the latest thread's last event, and the latest event
  int64_t held_us;  // how much later envelopes came since as many were open as may be
};

struct load;

// Opens the producer and starts the threads. Borrows the settings.
bool load_start(const struct load_settings *settings, struct load **ret, struct ee_err *err);
// True until every thread has ended, by itself or after load_stop.
bool load_runs(struct load *load);
// Asks the threads to end: each finishes the call that it is in.
void load_stop(struct load *load);
// Waits for the threads. False: one could not go on.
bool load_join(struct load *load, struct ee_err *err);
// Blocks at most so many ms: true when all is acknowledged or refused.
bool load_flush(struct load *load, int timeout_ms);
// Closes the producer, after load_join: counts are final. What is not acknowledged stays in the
// spool.
void load_close(struct load *load, int64_t timeout_ms);
void load_free(struct load *load);  // NULL is allowed

// While the producer is open, what it waits for, as envelope_producer_trouble.
int load_trouble(struct load *load, char *text, size_t size);
// Any thread's view, at any time. calls: nanoseconds of envelope_emit. late: nanoseconds from when
// an event was to be emitted to when it was, the call included; nothing where nothing is paced.
void load_counts(struct load *load, struct load_counts *ret);
void load_tally(struct load *load, struct tally *calls, struct tally *late);

#endif
