// SPDX-License-Identifier: Apache-2.0
// The walk over a segment that nobody writes any more: its records, and what is torn between
// them. Pure; bounded by the segment's size, whatever is in it.
#ifndef EE_SPOOL_SCAN_H
#define EE_SPOOL_SCAN_H

#include "spool/format.h"

struct ee_spool_scan {
  struct ee_bytes segment;
  uint32_t salt;
  uint64_t at;
};

enum ee_spool_found {
  EE_SPOOL_FOUND_RECORD,
  EE_SPOOL_FOUND_TORN,  // bytes that are no record, with a record or nothing but zeros behind them
  EE_SPOOL_FOUND_END,   // nothing but zeros from here on
};

struct ee_spool_place {
  uint64_t offset, size;      // unless END
  struct ee_spool_item item;  // RECORD; its runs borrow from the segment
};

// Begins at an offset, a multiple of EE_SPOOL_UNIT, of a segment's bytes (borrowed), its head
// included.
void ee_spool_scan_init(struct ee_spool_scan *scan, struct ee_bytes segment, uint32_t salt,
                        uint64_t at);
// The next thing. After END it is END again.
enum ee_spool_found ee_spool_scan_next(struct ee_spool_scan *scan, struct ee_spool_place *ret);

#endif
