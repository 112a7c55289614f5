// SPDX-License-Identifier: Apache-2.0
// Finds records again behind whatever is torn: each head says by its own checksum that it is one.
#include "spool/scan.h"

void ee_spool_scan_init(struct ee_spool_scan *scan, struct ee_bytes segment, uint32_t salt,
                        uint64_t at) {
  *scan = (struct ee_spool_scan){.segment = segment, .salt = salt, .at = at};
}

static bool unit_used(const uint8_t *unit) {
  static const uint8_t zeros[EE_SPOOL_UNIT];
  return memcmp(unit, zeros, sizeof zeros) != 0;
}

// Where the next head is, or the segment's size; *ret_used: the end of the last unit before it
// that is not zero, or `from`.
static uint64_t find_head(const struct ee_spool_scan *scan, uint64_t from, uint64_t *ret_used) {
  uint64_t end = scan->segment.size / EE_SPOOL_UNIT * EE_SPOOL_UNIT;
  *ret_used = from;
  for (uint64_t at = from; at < end; at += EE_SPOOL_UNIT) {
    struct ee_spool_item item;
    size_t size;
    if (!unit_used(scan->segment.data + at)) continue;
    if (ee_spool_record_read(scan->segment, scan->salt, at, &size, &item) != EE_SPOOL_NOTHING) {
      return at;
    }
    *ret_used = at + EE_SPOOL_UNIT;
  }
  return end;
}

static enum ee_spool_found torn(struct ee_spool_scan *scan, uint64_t from, uint64_t to,
                                struct ee_spool_place *ret) {
  *ret = (struct ee_spool_place){.offset = from, .size = to - from};
  scan->at = to;
  return EE_SPOOL_FOUND_TORN;
}

enum ee_spool_found ee_spool_scan_next(struct ee_spool_scan *scan, struct ee_spool_place *ret) {
  struct ee_spool_item item;
  size_t size;
  uint64_t from = scan->at, used;
  switch (ee_spool_record_read(scan->segment, scan->salt, from, &size, &item)) {
    case EE_SPOOL_RECORD:
      *ret = (struct ee_spool_place){.offset = from, .size = size, .item = item};
      scan->at = from + size;
      return EE_SPOOL_FOUND_RECORD;
    case EE_SPOOL_DAMAGED:
      return torn(scan, from, from + size, ret);
    case EE_SPOOL_NOTHING:
      break;
  }
  uint64_t head = find_head(scan, from, &used);
  if (head < scan->segment.size / EE_SPOOL_UNIT * EE_SPOOL_UNIT) return torn(scan, from, head, ret);
  if (used > from) return torn(scan, from, used, ret);
  scan->at = scan->segment.size;
  return EE_SPOOL_FOUND_END;
}
