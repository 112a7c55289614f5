// SPDX-License-Identifier: Apache-2.0
// What a spool's segments hold, byte by byte (version 1, little-endian). Pure functions over
// memory that nobody has checked.
//
// A segment is a file of fixed size: a head of EE_SPOOL_UNIT bytes, then records. A record
// begins at a multiple of EE_SPOOL_UNIT and is that long too, so that its head lies in one page
// and one cache line: after a power cut a head is there or not, never half.
//
//   record:  0  u64 mark: its size below, the checksum of the head above; 0: not published
//            8  u64 schema fingerprint       16  i64 accepted, wall clock in microseconds
//           24  u32 payload size             28  u16 attributes size   30  u8 topic   31  u8 0
//           32  u32 checksum of attributes and payload                 36  u32 0
//           40  u64 number                   48  u32 epoch             52  i32 partition
//           56  u32 checksum of the numbering; 0: not numbered         60  u32 0
//           64  attributes, payload, zeros
//
// The mark is written last. Checksums (CRC-32C) begin with the spool's id, the segment's number
// and the offset: what lay there before, or lies elsewhere, is never taken for a record. The
// numbering comes later, when a record is about to be sent, and has a checksum of its own.
#ifndef EE_SPOOL_FORMAT_H
#define EE_SPOOL_FORMAT_H

#include "base/slice.h"

#define EE_SPOOL_VERSION 1
#define EE_SPOOL_UNIT ((size_t)64)
#define EE_SPOOL_ID_SIZE 16
#define EE_SPOOL_SEGMENT_LEAST ((size_t)1 << 20)
#define EE_SPOOL_SEGMENT_MOST ((size_t)1 << 30)
#define EE_SPOOL_PAYLOAD_MAX ((size_t)262144)  // bytes: an event's
#define EE_SPOOL_ATTRIBUTES_MAX ((size_t)1024)

struct ee_spool_segment {
  uint8_t id[EE_SPOOL_ID_SIZE];  // of the spool, drawn when it was made
  uint64_t number;               // ascending, from 1
  uint64_t size;                 // of the whole file
};

enum ee_spool_head {
  EE_SPOOL_HEAD_GOOD,
  EE_SPOOL_HEAD_FOREIGN,  // not a segment
  EE_SPOOL_HEAD_NEWER,    // of a later version
  EE_SPOOL_HEAD_TORN,     // the beginning of a segment, damaged
};

void ee_spool_segment_make(const struct ee_spool_segment *segment, uint8_t out[EE_SPOOL_UNIT]);
// Reads in's first bytes. *ret is set when GOOD.
enum ee_spool_head ee_spool_segment_parse(struct ee_bytes in, struct ee_spool_segment *ret);

// Where checksums of a segment's records begin.
uint32_t ee_spool_salt(const struct ee_spool_segment *segment);

// A record as the caller gives it.
struct ee_spool_item {
  uint64_t schema;  // fingerprint of the writer's schema
  int64_t accepted_us;
  uint8_t topic;
  struct ee_bytes attributes;  // opaque here
  struct ee_bytes payload;     // unframed Avro
};

// What a record was sent under.
struct ee_spool_numbering {
  uint64_t number;
  uint32_t epoch;
  int32_t partition;
};

// Bytes that the record takes, a multiple of EE_SPOOL_UNIT. Both sizes are within bounds.
size_t ee_spool_record_size(size_t attributes_size, size_t payload_size);
// Writes all of the record but its mark, which it returns: to be stored at `at` with release
// order. at: zeroed room for the record's size, at that offset of its segment.
uint64_t ee_spool_record_write(uint8_t *at, uint32_t salt, uint64_t offset,
                               const struct ee_spool_item *item);
void ee_spool_record_number(uint8_t *at, uint32_t salt, uint64_t offset,
                            const struct ee_spool_numbering *numbering);

enum ee_spool_record {
  EE_SPOOL_NOTHING,  // no head of a record
  EE_SPOOL_DAMAGED,  // a head; what follows it is not what it says
  EE_SPOOL_RECORD,
};

// Looks at the offset, a multiple of EE_SPOOL_UNIT, of a segment's bytes. *ret_size is set
// unless NOTHING, *ret_item when RECORD; its runs borrow from segment. A record does not reach
// beyond the segment. The mark must have been read with acquire order before.
enum ee_spool_record ee_spool_record_read(struct ee_bytes segment, uint32_t salt, uint64_t offset,
                                          size_t *ret_size, struct ee_spool_item *ret_item);
// False: the record at the offset was not numbered, or that is damaged.
bool ee_spool_record_numbering(const uint8_t *at, uint32_t salt, uint64_t offset,
                               struct ee_spool_numbering *ret);
// Nobody has written a numbering there.
bool ee_spool_record_unnumbered(const uint8_t *at);

#endif
