// SPDX-License-Identifier: Apache-2.0
// Earlier epochs of the spool: what they numbered and is sent again, what of it is not there any
// more, and the report of their end. A file is kept until that report was written.
#ifndef EE_CLIENT_PAST_H
#define EE_CLIENT_PAST_H

#include "client/notice.h"
#include "client/report.h"

#define EE_PAST_EPOCHS_MAX ((size_t)256)  // beyond, the oldest are forgotten

// One earlier epoch.
struct ee_past_epoch {
  struct ee_numbers numbers;
  struct ee_reporter reporter;  // numbers NULL: not all of it was read yet
  uint64_t *expected;           // by count: the number that its next record should have
};

struct ee_past {
  int directory;  // borrowed
  const struct ee_notices *notices;
  struct ee_past_epoch *epochs;  // ascending
  size_t count;
  int32_t partitions;  // that the topics had; 0: not known
  uint64_t lost;       // records found missing
  bool ended;          // all of it was read and settled: reports are made
};

// Reads what there is. What cannot be used is told. May block on the disk.
bool ee_past_init(struct ee_past *past, int directory, const uint8_t id[EE_SPOOL_ID_SIZE],
                  const struct ee_notices *notices, struct ee_err *err);
void ee_past_release(struct ee_past *past);

// The name that an earlier epoch's numbers were given under; NULL: it is not known. Borrows.
const char *ee_past_producer(const struct ee_past *past, uint32_t epoch);

// A record that an earlier epoch had numbered was read, in the spool's order: those before it
// that were not are holes.
void ee_past_read(struct ee_past *past, uint8_t topic, const struct ee_spool_numbering *numbering);
// It was acknowledged or refused under this epoch, in the spool's order.
void ee_past_settled(struct ee_past *past, uint8_t topic,
                     const struct ee_spool_numbering *numbering);
// It was refused. Where there is no room for the hole it is not declared: room comes only with the
// epoch's report, which waits for all of its records. Readers miss the number nevertheless.
void ee_past_refused(struct ee_past *past, uint8_t topic,
                     const struct ee_spool_numbering *numbering);
// All that earlier epochs left is settled: what did not come is lost. Once.
bool ee_past_end(struct ee_past *past);
// Takes away the epochs of which all was reported. May block on the disk.
void ee_past_forget_told(struct ee_past *past);

#endif
