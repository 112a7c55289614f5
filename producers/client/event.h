// SPDX-License-Identifier: Apache-2.0
// An event while its caller fills it in: a record of its phase with memory of its own.
#ifndef EE_CLIENT_EVENT_H
#define EE_CLIENT_EVENT_H

#include "base/arena.h"
#include "base/buf.h"
#include "client/envelope.h"
#include "client/fields.h"
#include "contract/event_line.h"

#define EE_TRACEPARENT_SIZE ((size_t)55)

// What goes along beside the record, and lies in the spool as its attributes: nothing, or a
// traceparent with perhaps a tracestate behind it.
struct ee_trace {
  size_t size;  // 0: none
  char bytes[EE_TRACEPARENT_SIZE + EE_TRACESTATE_MAX];
};
// False: it is not valid, and there is none now. tracestate may be absent; one that is not valid is
// left out.
bool ee_trace_set(struct ee_trace *trace, struct ee_str traceparent, struct ee_str tracestate);
// Both absent unless there is one. Borrows.
void ee_trace_read(struct ee_bytes attributes, struct ee_str *ret_traceparent,
                   struct ee_str *ret_tracestate);

union ee_event_record {
  struct ee_event_head head;
  struct ee_admission admission;
  struct ee_resolved resolved;
  struct ee_finalized finalized;
  struct ee_failed failed;
  struct ee_released released;
  struct ee_annotation annotation;
};

struct envelope_event {
  enum ee_phase phase;
  const struct ee_field_place *places;  // of the phase's fields, borrowed
  union ee_event_record record;  // what it borrows lies in the arena in use, with a NUL behind
  union ee_event_record blank;   // how a record of the phase begins
  struct ee_arena arenas[2];     // in turn, so that an event can follow itself
  int used;                      // the one in use
  struct ee_trace trace;
  struct ee_buf avro;  // room for its encoding
};

// A copy in the event's memory, with a NUL behind it; absent when there is no room.
struct ee_str ee_event_keep(struct envelope_event *event, struct ee_str text);
// The mistake when there was none: it holds too much, or memory is out. field may be NULL.
int ee_event_no_room(const struct envelope_event *event, const char *field,
                     struct envelope_error *error);

#endif
