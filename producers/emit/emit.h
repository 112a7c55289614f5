// SPDX-License-Identifier: Apache-2.0
// The work of envelope-emit: lines of JSON become events in a spool, and what becomes of them is
// counted and told by their lines. One thread, and the library's that tells of deliveries.
#ifndef EE_PRODUCERS_EMIT_EMIT_H
#define EE_PRODUCERS_EMIT_EMIT_H

#include "client/settings.h"
#include "stream/wait.h"

struct ee_emit_counts {
  uint64_t lines;      // read, empty ones left out
  uint64_t refused;    // no events
  uint64_t delivered;  // acknowledged
  uint64_t failed;     // refused by Kafka
  uint64_t given_up;   // neither, when the program ended
};

struct ee_emit_settings {
  struct ee_producer_settings *producer;  // when_full is set to refuse
  const char *traceparent;                // of events that have none; may be NULL
  const char *tracestate;                 // goes with traceparent; may be NULL
  FILE *print;                            // where each acknowledged event is told; NULL: nowhere
};

struct ee_emit;

// Borrows the settings and the wait, which begins again with each acknowledgement.
bool ee_emit_new(const struct ee_emit_settings *settings, struct ee_wait *wait,
                 struct ee_emit **ret, struct ee_err *err);
// Frees what finish has closed. NULL is allowed.
void ee_emit_free(struct ee_emit *emit);

// Emits one line. A line that is no event is logged and counted, and is no failure. Blocks while
// the spool is full. False: going on makes no sense.
bool ee_emit_line(struct ee_emit *emit, uint64_t number, struct ee_str line, struct ee_err *err);
// A line too long to be read at all.
void ee_emit_too_long(struct ee_emit *emit, uint64_t number);
// Looks how it goes. False: nothing has come for too long, Kafka lacks what only an operator can
// make, or what was acknowledged cannot be printed.
bool ee_emit_serve(struct ee_emit *emit, struct ee_err *err);
// True while acknowledgements are to come.
bool ee_emit_waits(struct ee_emit *emit);
// Blocks until all is acknowledged.
bool ee_emit_flush(struct ee_emit *emit, struct ee_wait *wait, struct ee_err *err);
// Closes the spool, so that the counts are final. What was not acknowledged stays in it.
struct ee_emit_counts ee_emit_finish(struct ee_emit *emit);

#endif
