// SPDX-License-Identifier: Apache-2.0
// What the spool's parts share. Segments of this opening count from 1 (`turn`); their numbers go
// on from the last one that was there.
#ifndef EE_SPOOL_IMPL_H
#define EE_SPOOL_IMPL_H

#include <stdalign.h>
#include <stdatomic.h>

#include "spool/control.h"
#include "spool/scan.h"
#include "spool/segment.h"
#include "spool/spool.h"

#define SLOTS ((uint32_t)8)  // segments that callers may be writing to, or will
#define CACHE_LINE 64

// A segment while callers may write to it.
struct slot {
  struct ee_spool_map map;
  _Atomic(uint64_t) published;  // bytes of whole records
  _Atomic(uint64_t) end;        // where the last record ends; 0: there is room yet
};

// What a reader stands in.
struct reader {
  uint64_t number;            // of the segment
  uint64_t offset;            // in it
  struct ee_spool_at told;    // behind the last thing that was returned
  struct ee_spool_map map;    // bytes NULL: not mapped yet
  uint64_t touched;           // pages of a live segment that are there, in bytes
  struct ee_spool_scan scan;  // where an earlier opening wrote it
};

// Positions count the bytes of all turns, from turn 0 on.
struct prefault {
  uint64_t ready;          // pages below it were made ready
  uint64_t speed;          // of callers, bytes a second
  uint64_t from_position;  // where it is measured from
  int64_t from_ms;
};

struct ee_spool {
  // Taken by callers: the turn above, the offset below, of the next record.
  alignas(CACHE_LINE) _Atomic(uint64_t) tail;
  // Set by the keeper.
  alignas(CACHE_LINE) _Atomic(uint32_t) prepared;  // turns up to it have a slot
  _Atomic(uint32_t) released;                      // up to it nobody writes any more
  struct slot slots[SLOTS];
  // Fixed.
  uint64_t first;  // number of turn 1
  size_t segment_bytes;
  uint64_t most_bytes;
  int directory, lock;
  uint64_t *old;  // numbers of segments that were there; owned
  size_t old_count;
  // The keeper's.
  struct prefault prefault;
  // Of the thread that waits for the disk.
  size_t old_removed;
  uint64_t next;              // to be removed, of this opening's
  _Atomic(uint64_t) removed;  // how many are, with the old ones; for the keeper
  uint32_t named;             // turns up to it have names that survive the machine
  // The reader's.
  struct reader reader;
  struct reader ahead;
  struct ee_spool_control control;
  _Atomic(uint64_t) settled;  // its segment, to be removed below
};

#define TURN(tail) ((uint32_t)((tail) >> 32))
#define OFFSET(tail) ((uint64_t)(uint32_t)(tail))

static inline struct slot *slot_of(struct ee_spool *spool, uint32_t turn) {
  return &spool->slots[turn % SLOTS];
}

// prefault.c: faults pages in, many at a time. A page that is there already is left as it is;
// callers may be writing to it.
void spool_touch(uint8_t *from, uint64_t size);
// The same of what callers come to next: as much as they fill in a second. Of the keeper's thread.
void spool_prefault(struct ee_spool *spool, int64_t now_ms);

// reader.c
void reader_release(struct reader *reader);

#endif
