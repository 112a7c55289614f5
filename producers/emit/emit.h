// SPDX-License-Identifier: Apache-2.0
// The work of envelope-emit: lines of JSON become events in their topics. One thread;
// calls block while Kafka or the schema registry has to be asked or librdkafka's queue is
// full.
#ifndef EE_PRODUCERS_EMIT_EMIT_H
#define EE_PRODUCERS_EMIT_EMIT_H

#include "contract/event_line.h"
#include "stream/client.h"

struct ee_emit_counts {
  uint64_t lines;      // read, empty ones left out
  uint64_t refused;    // no events
  uint64_t delivered;  // acknowledged
  uint64_t failed;     // refused by Kafka
  uint64_t given_up;   // neither, when the program ended
};

struct ee_emit_settings {
  const struct ee_client_settings *client;
  const char *source;       // of events that name none
  const char *traceparent;  // of events that have none; may be NULL
  const char *tracestate;   // goes with traceparent; may be NULL
  FILE *print;              // where each acknowledged event is told; NULL: nowhere
};

struct ee_emit;

// Borrows the settings and the wait, which begins again with each acknowledgement.
bool ee_emit_new(const struct ee_emit_settings *settings, struct ee_wait *wait,
                 struct ee_emit **ret, struct ee_err *err);
// Gives up what is outstanding. NULL is allowed.
void ee_emit_free(struct ee_emit *emit);

// Sends one line. A line that is no event is logged and counted, and is no failure. False:
// going on makes no sense (no such topic, Kafka does not come, memory is out).
bool ee_emit_line(struct ee_emit *emit, uint64_t number, struct ee_str line, struct ee_err *err);
// A line too long to be read at all.
void ee_emit_too_long(struct ee_emit *emit, uint64_t number);
// Reports what was acknowledged meanwhile. False: nothing has come for too long, or what
// was acknowledged cannot be printed.
bool ee_emit_serve(struct ee_emit *emit, struct ee_err *err);
// True while acknowledgements are to come.
bool ee_emit_waits(const struct ee_emit *emit);
// Blocks until all is acknowledged.
bool ee_emit_flush(struct ee_emit *emit, struct ee_wait *wait, struct ee_err *err);
// Gives up what is outstanding, so that the counts are final.
struct ee_emit_counts ee_emit_finish(struct ee_emit *emit);

#endif
