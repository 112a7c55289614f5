// SPDX-License-Identifier: Apache-2.0
// A spool: records on their way out, in preallocated mapped segments of one directory. Any
// number of threads append; one keeps segments ready, one waits for the disk; one reads, numbers
// and settles. The module has no threads of its own.
//
//   appended  in the file's pages: it survives the death of the process
//   numbered  before it is sent: what it was sent under survives too
//   settled   all before it is acknowledged: never read again, its segments are removed
//
// A directory has one process at a time (a lock tells); each opening is a new epoch. What an
// earlier one left is read first.
#ifndef EE_SPOOL_SPOOL_H
#define EE_SPOOL_SPOOL_H

#include "base/err.h"
#include "spool/format.h"

struct ee_spool;

struct ee_spool_settings {
  const char *directory;  // borrowed for the call; made if it is not there
  size_t segment_bytes;   // EE_SPOOL_SEGMENT_LEAST to MOST, a multiple of 4096
  uint64_t most_bytes;    // of all segments; at least four
  int64_t wall_s;         // now, seconds since 1970: epochs are never below it
};

// A place in a spool.
struct ee_spool_at {
  uint64_t segment, offset;
};

// Whether its sizes are within bounds; err says which are.
bool ee_spool_settings_fit(const struct ee_spool_settings *settings, struct ee_err *err);

// May block on the disk. What is there already and cannot be used is told when it is read. False:
// the settings do not fit, another process has it, a later version wrote it, or the system refuses.
bool ee_spool_open(const struct ee_spool_settings *settings, struct ee_spool **ret,
                   struct ee_err *err);
// Nobody may be using it. NULL is allowed. What is not settled stays for the next opening.
void ee_spool_close(struct ee_spool *spool);
// In a child of the process, after fork: gives up the child's share of the lock, so that the
// spool is free when the parent is gone. The parent's mappings are not in the child. Nothing
// else may be done with it there. Safe in the child of a process with threads.
void ee_spool_forsake(struct ee_spool *spool);

// ---- Of any thread, what does not change.

const uint8_t *ee_spool_id(const struct ee_spool *spool);  // EE_SPOOL_ID_SIZE bytes; borrowed
int ee_spool_directory(const struct ee_spool *spool);      // a descriptor; borrowed
struct ee_spool_at ee_spool_first(const struct ee_spool *spool);  // of this opening's records

// ---- Appending: any thread, also several at once.

// False: there is no room just now (the disk or most_bytes is full, or the keeper is late), and
// nothing was appended. Takes no lock, makes no system call, never waits. The item's sizes are
// within EE_SPOOL_PAYLOAD_MAX and EE_SPOOL_ATTRIBUTES_MAX. *ret_at (may be NULL): where it is.
bool ee_spool_append(struct ee_spool *spool, const struct ee_spool_item *item,
                     struct ee_spool_at *ret_at);
// Where the next record will be, or one in the next segment.
struct ee_spool_at ee_spool_tail(const struct ee_spool *spool);

// ---- Keeping: one thread, every millisecond while callers append.

// Makes segments and their pages ready before callers come to them, so that their stores do not
// fault: of pages as many as they fill in a second. now_ms: of a monotonic clock. Does not sync;
// waits for the disk only where it is writing just those pages, or the file system waits for it to
// make a file. False: it could not, the next call tries again; err says why.
bool ee_spool_keep(struct ee_spool *spool, int64_t now_ms, struct ee_err *err);

// ---- The disk: one thread, which may be the keeper; but it waits, and for a busy disk longer than
// callers take to use up what the keeper has made ready.

// Every few milliseconds: where all in them is settled, segments are removed. False: it could not,
// the next call tries again; err says why.
bool ee_spool_remove_settled(struct ee_spool *spool, struct ee_err *err);
// Blocks until what was appended in this opening survives the machine: the record at one place, the
// one at another, and all between.
bool ee_spool_sync(struct ee_spool *spool, struct ee_spool_at from, struct ee_spool_at to,
                   struct ee_err *err);

// ---- Reading: one thread, which may be the keeper.

uint32_t ee_spool_epoch(const struct ee_spool *spool);

struct ee_spool_entry {
  struct ee_spool_at at;      // MISSING: where reading goes on
  uint64_t size;              // of the record, or of what is torn; MISSING: 0
  struct ee_spool_item item;  // borrowed until the next call
  bool numbered;              // by an earlier opening
  struct ee_spool_numbering numbering;
};

enum ee_spool_read {
  EE_SPOOL_READ_RECORD,
  EE_SPOOL_READ_TORN,     // damage of an earlier opening's; a call that was cut short looks alike
  EE_SPOOL_READ_MISSING,  // a segment that should be there, or is useless: err says which
  EE_SPOOL_READ_NOTHING,  // all that is there was read
  EE_SPOOL_READ_FAILED,   // the system refuses; the next call tries again
};

// In the order in which room was taken. Does not block but for pages that must be read.
enum ee_spool_read ee_spool_read(struct ee_spool *spool, struct ee_spool_entry *ret,
                                 struct ee_err *err);
// The same by a second position, which is never before the one of ee_spool_read and moves on by
// itself: for what is to be known of records before their turn. Nothing is settled by it.
enum ee_spool_read ee_spool_look_ahead(struct ee_spool *spool, struct ee_spool_entry *ret,
                                       struct ee_err *err);
// Notes what the record is sent under that was last read, or looked at, and is not settled.
void ee_spool_number(struct ee_spool *spool, const struct ee_spool_entry *entry,
                     const struct ee_spool_numbering *numbering);
// All before that place is done with: behind an entry, at at.offset + size of its segment.
void ee_spool_settle(struct ee_spool *spool, struct ee_spool_at at);
struct ee_spool_at ee_spool_settled(const struct ee_spool *spool);
// What is not settled is read again.
void ee_spool_rewind(struct ee_spool *spool);

#endif
