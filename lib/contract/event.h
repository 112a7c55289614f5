// SPDX-License-Identifier: Apache-2.0
// What the events of all phases have in common.
#ifndef EE_CONTRACT_EVENT_H
#define EE_CONTRACT_EVENT_H

#include "contract/catalogue.h"
#include "contract/reason.h"
#include "records.h"

// The fields every phase event begins with; a pointer to any of the six structs may be
// read through this one (event.c asserts the layout).
struct ee_event_head {
  struct ee_bytes encoded;
  struct ee_str envelope_id;
  struct ee_str event_id;
  struct ee_str tenant;
  int64_t occurred_at;  // UTC microseconds
  struct ee_str source;
  struct ee_opt_enum sensitivity;
};

// Topics and phases have the same order: phase p lies on topic p. EE_PHASE_OTHER (a phase
// of a newer schema) has no record type and is never found by name.
const struct ee_record_type *ee_phase_record(enum ee_phase phase);
// "admission" ... "annotation", and back; -1 when there is no such phase.
const char *ee_phase_name(enum ee_phase phase);
int ee_phase_find(struct ee_str name);
// True for finalized, failed and released.
bool ee_phase_terminal(enum ee_phase phase);

// The higher of the event's own sensitivity and, for an admission, governance's; where
// neither is stated, or the phase is none of the six, the highest.
enum ee_sensitivity ee_event_sensitivity(enum ee_phase phase, const void *record);

// Order of events within a phase: occurred_at, then the bytes of event_id (design,
// section 4, join).
int ee_event_order(const struct ee_event_head *a, const struct ee_event_head *b);

// Beyond the tables' check, of an envelope_id or a producer's name: one of control characters would
// make a state key that the processors' stores cannot hold, and is refused as oversized.
bool ee_check_name(struct ee_str name, const char *field, struct ee_fault *fault);

// Reads the head of an event's Avro data, whose writer's schema is this build's, without the rest:
// for bytes that were validated before, or written by this library. Borrows. False: it is cut
// short or malformed; nothing is read beyond avro.
bool ee_event_head_read(struct ee_bytes avro, struct ee_event_head *ret);
// Whether its records are events of a phase, or receipts: what emitters write. Of any number.
bool ee_topic_has_events(enum ee_topic topic);
// Likewise the record key of an event or a receipt: its envelope_id. False for other topics.
bool ee_event_key_read(enum ee_topic topic, struct ee_bytes avro, struct ee_str *ret);

#endif
