// SPDX-License-Identifier: Apache-2.0
// Events as lines of JSON: {"phase": "admission", ...} with the record's members beside
// (design, "Programs and their common face"). A phase of "receipt" is a record of the
// obligation topic. Pure: what a line leaves out is filled in from what the caller gives.
#ifndef EE_CONTRACT_EVENT_LINE_H
#define EE_CONTRACT_EVENT_LINE_H

#include "base/arena.h"
#include "base/buf.h"
#include "contract/catalogue.h"
#include "contract/event.h"
#include "contract/reason.h"

#define EE_LINE_MAX ((size_t)1 << 20)    // bytes of a line
#define EE_TRACESTATE_MAX ((size_t)512)  // bytes, as W3C Trace Context asks to be kept at least

// What takes the place of members that a line leaves out. A receipt has no event_id and no
// source, and only an admission without envelope_id gets one. Texts may be absent. Borrowed for
// the call.
struct ee_line_defaults {
  struct ee_str envelope_id;
  struct ee_str event_id;
  struct ee_str source;
  int64_t occurred_at;  // UTC microseconds
};

struct ee_event_line {
  enum ee_topic topic;
  const struct ee_record_type *type;
  void *record;               // the generated struct, checked
  struct ee_str envelope_id;  // the record key
  struct ee_str event_id;     // absent in a receipt
  struct ee_str traceparent;  // W3C Trace Context; absent unless the line has it
  struct ee_str tracestate;   // absent unless the line has it
};

// A line that is no event: where (1 from the left, in characters; 0: unknown) and why.
struct ee_line_fault {
  int column;
  struct ee_fault fault;
};

// Reads one line without its newline. All that *ret points to lives in arena. Reasons:
// oversized (a line over EE_LINE_MAX, or a full arena), too_deep, wrong_schema (not an
// object, no such phase, a member that the record does not have or of another type),
// missing_field and those of ee_check_record.
bool ee_event_line_read(struct ee_str line, const struct ee_line_defaults *defaults,
                        struct ee_arena *arena, struct ee_event_line *ret,
                        struct ee_line_fault *fault);

// At most EE_TRACESTATE_MAX printable ASCII characters: what may go along as a tracestate.
bool ee_tracestate_valid(struct ee_str text);

// Appends the line of a record that is the topic's, which ee_event_line_read reads as the same
// record; without a newline. traceparent and tracestate may be absent. False: the topic has no such
// lines. Ask out->failed.
bool ee_event_line_write(enum ee_topic topic, const void *record, struct ee_str traceparent,
                         struct ee_str tracestate, struct ee_buf *out);

#endif
