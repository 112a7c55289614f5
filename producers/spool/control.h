// SPDX-License-Identifier: Apache-2.0
// What a spool knows of itself beside its segments: whose they are, which epoch it is, and how
// far all has been settled. One small mapped file. The epoch and the place settled lie in two
// sectors that are written in turn, each with a checksum: what a crash or a power cut leaves is
// the newer one or the one before.
#ifndef EE_SPOOL_CONTROL_H
#define EE_SPOOL_CONTROL_H

#include "base/err.h"
#include "spool/format.h"

struct ee_spool_progress {
  uint32_t epoch;    // of the opening under way, or the last one
  uint64_t segment;  // everything before this segment's
  uint64_t offset;   // offset is settled
};

struct ee_spool_control {
  uint8_t *bytes;  // mapped
  uint8_t id[EE_SPOOL_ID_SIZE];
  struct ee_spool_progress progress;
  uint64_t generation;
};

enum ee_spool_control_result {
  EE_SPOOL_CONTROL_OPEN,
  EE_SPOOL_CONTROL_MISSING,
  EE_SPOOL_CONTROL_DAMAGED,  // or another file: err says which
  EE_SPOOL_CONTROL_NEWER,    // a later version wrote it
  EE_SPOOL_CONTROL_FAILED,   // the system refuses
};

// All of these may block on the disk. Making one replaces what is there, as a whole.
enum ee_spool_control_result ee_spool_control_open(const char *directory,
                                                   struct ee_spool_control *ret,
                                                   struct ee_err *err);
// Reads what it says and changes nothing, also while another process has it open: a copy that
// caught that one writing is read again. ret->bytes is NULL: there is nothing to close. *ret_id:
// ret->id is sound, which it may be where the rest is damaged; ret->progress only when OPEN. What
// is no file is DAMAGED here.
enum ee_spool_control_result ee_spool_control_read(const char *directory,
                                                   struct ee_spool_control *ret, bool *ret_id,
                                                   struct ee_err *err);
bool ee_spool_control_make(const char *directory, const uint8_t id[EE_SPOOL_ID_SIZE],
                           const struct ee_spool_progress *progress, struct ee_err *err);
void ee_spool_control_close(struct ee_spool_control *control);

// Stores to memory only: it survives the process. One thread at a time.
void ee_spool_control_store(struct ee_spool_control *control,
                            const struct ee_spool_progress *progress);
// What was stored survives the machine. May block.
bool ee_spool_control_sync(struct ee_spool_control *control, struct ee_err *err);

#endif
