// SPDX-License-Identifier: Apache-2.0
// Record headers of the contract ("On the wire"): CloudEvents on phase events, `in` on
// derived records, dl_* on dead letters. Pure functions.
#ifndef EE_WIRE_HEADERS_H
#define EE_WIRE_HEADERS_H

#include "base/arena.h"
#include "base/buf.h"
#include "contract/event.h"
#include "contract/reason.h"

struct ee_header {
  struct ee_str name;  // NUL-terminated literal
  struct ee_bytes value;
};

// Appends the value of `in`: compact JSON array [topic, partition, offset] or, with a
// traceparent, [topic, partition, offset, traceparent]. A traceparent that is absent or not
// valid is left out. Ask out->failed.
void ee_header_in(struct ee_buf *out, struct ee_str topic, int32_t partition, int64_t offset,
                  struct ee_bytes traceparent);
// W3C Trace Context, 55 bytes in lower-case hex: version (not ff), trace id and parent id
// (neither all zero), flags. What a later version may add at the end is not valid here.
bool ee_traceparent_valid(struct ee_bytes value);

// A producer's number of a record, on the topic and partition that the record lies on.
struct ee_record_number {
  struct ee_str producer;  // data NULL: there is none
  int64_t epoch;
  int64_t number;  // below INT64_MAX
};
// The header `seq`: the record's own number. The header `was`: the number that it had when it
// was sent before, by an earlier opening of the same spool.
#define EE_HEADER_SEQ "seq"
#define EE_HEADER_WAS "was"
// Reads either, PRODUCER:EPOCH:NUMBER: the producer is 1 to 128 bytes of UTF-8 without NUL,
// fit for a key (ee_name_fits), and may have colons; the others are plain decimals, without
// sign and leading zeros. False when it is not that, and *ret is untouched. Borrows.
bool ee_record_number_parse(struct ee_bytes value, struct ee_record_number *ret);

#define EE_CLOUDEVENT_HEADERS 7
#define EE_CLOUDEVENT_CONSTANT 4  // the first of them: alike in all events of a phase

// CloudEvents 1.0, Kafka binding, binary mode: ce_specversion, ce_type (envelope.<phase>.v1),
// ce_dataschema (urn:avro:<full name>), content-type, ce_source, ce_id (the event_id) and, where
// occurred_at has an RFC 3339 form (years 0 to 9999), ce_time. Values live in arena or borrow from
// head. Returns the number of headers; 0 when the arena is full or the phase is none of the six.
size_t ee_headers_cloudevent(enum ee_phase phase, const struct ee_event_head *head,
                             struct ee_arena *arena, struct ee_header out[EE_CLOUDEVENT_HEADERS]);

#define EE_DEADLETTER_HEADERS 6
#define EE_DEADLETTER_DETAIL_MAX 256  // bytes of dl_detail

// dl_topic, dl_partition, dl_offset, dl_processor, dl_reason, dl_detail as text. Values live
// in arena or borrow from topic, processor and fault; the detail is cut after its last whole
// character. Returns the number of headers; 0 when the arena is full.
size_t ee_headers_deadletter(struct ee_str topic, int32_t partition, int64_t offset,
                             const char *processor, const struct ee_fault *fault,
                             struct ee_arena *arena, struct ee_header out[EE_DEADLETTER_HEADERS]);

#endif
