// SPDX-License-Identifier: Apache-2.0
// Two readers of what earlier openings left, torn or not, and of what callers append: the one
// whose entries are settled, and one that looks ahead of it.
#include "spool/spool_impl.h"

#define TOUCH_STEP ((uint64_t)256 << 10)

void reader_release(struct reader *reader) {
  ee_spool_segment_unmap(&reader->map);
}

static void go_to(struct reader *reader, uint64_t number, uint64_t offset) {
  reader_release(reader);
  reader->number = number;
  reader->offset = offset;
  reader->touched = 0;
}

static void store_settled(struct ee_spool *spool, struct ee_spool_at at) {
  struct ee_spool_progress progress = spool->control.progress;
  progress.segment = at.segment;
  progress.offset = at.offset;
  ee_spool_control_store(&spool->control, &progress);
  atomic_store_explicit(&spool->settled, at.segment, memory_order_release);
}

// Once all that was told is settled, so is what was passed over since: ends of segments, and
// segments without records. Else these would stay, and count, until there is one more record.
static void settle_passed_over(struct ee_spool *spool) {
  struct reader *reader = &spool->reader;
  const struct ee_spool_progress *progress = &spool->control.progress;
  bool all = progress->segment == reader->told.segment && progress->offset == reader->told.offset;
  if (!all || progress->segment == reader->number) return;
  reader->told = (struct ee_spool_at){reader->number, reader->offset};
  store_settled(spool, reader->told);
}

static void next_segment(struct ee_spool *spool, struct reader *reader) {
  go_to(reader, reader->number + 1, EE_SPOOL_UNIT);
  if (reader == &spool->reader) settle_passed_over(spool);
}

static uint32_t turn_of(const struct ee_spool *spool, uint64_t number) {
  return (uint32_t)(number - spool->first + 1);
}

// The first segment that is there, not below a number.
static uint64_t find_old(const struct ee_spool *spool, uint64_t number) {
  for (size_t i = 0; i < spool->old_count; i++) {
    if (spool->old[i] >= number) return spool->old[i];
  }
  return spool->first;
}

static void tell(struct reader *reader, uint64_t offset, uint64_t size,
                 struct ee_spool_entry *ret) {
  *ret = (struct ee_spool_entry){.at = {reader->number, offset}, .size = size};
  reader->offset = offset + size;
  reader->told = (struct ee_spool_at){reader->number, reader->offset};
}

static enum ee_spool_read missing(struct reader *reader, uint64_t next,
                                  struct ee_spool_entry *ret) {
  go_to(reader, next, EE_SPOOL_UNIT);
  tell(reader, EE_SPOOL_UNIT, 0, ret);
  return EE_SPOOL_READ_MISSING;
}

// RECORD: it is mapped.
static enum ee_spool_read map_segment(struct ee_spool *spool, struct reader *reader,
                                      struct ee_spool_entry *ret, struct ee_err *err) {
  switch (ee_spool_segment_map(spool->directory, spool->control.id, reader->number, &reader->map,
                               err)) {
    case EE_SPOOL_MAPPED:
      break;
    case EE_SPOOL_MAP_FAILED:
      return EE_SPOOL_READ_FAILED;
    case EE_SPOOL_MAP_MISSING:
    case EE_SPOOL_MAP_USELESS:
    case EE_SPOOL_MAP_NEWER:
      return missing(reader, reader->number + 1, ret);
  }
  ee_spool_scan_init(&reader->scan, ee_bytes(reader->map.bytes, reader->map.size), reader->map.salt,
                     reader->offset);
  return EE_SPOOL_READ_RECORD;
}

// Whether callers have begun with the segment; one before theirs was there at the opening.
static enum ee_spool_read open_segment(struct ee_spool *spool, struct reader *reader,
                                       struct ee_spool_entry *ret, struct ee_err *err) {
  if (reader->number >= spool->first) {
    uint64_t tail = atomic_load_explicit(&spool->tail, memory_order_acquire);
    if (turn_of(spool, reader->number) > TURN(tail)) return EE_SPOOL_READ_NOTHING;
    return map_segment(spool, reader, ret, err);
  }
  uint64_t found = find_old(spool, reader->number);
  if (found != reader->number) {
    ee_err_set(err, "segments %016llx to %016llx are not there", (unsigned long long)reader->number,
               (unsigned long long)found - 1);
    return missing(reader, found, ret);
  }
  return map_segment(spool, reader, ret, err);
}

static void tell_record(struct reader *reader, uint64_t offset, uint64_t size,
                        const struct ee_spool_item *item, struct ee_spool_entry *ret) {
  const struct ee_spool_map *map = &reader->map;
  tell(reader, offset, size, ret);
  ret->item = *item;
  ret->numbered =
      ee_spool_record_numbering(map->bytes + offset, map->salt, offset, &ret->numbering);
}

// NOTHING: the segment has no more.
static enum ee_spool_read read_old(struct reader *reader, struct ee_spool_entry *ret) {
  struct ee_spool_place place;
  switch (ee_spool_scan_next(&reader->scan, &place)) {
    case EE_SPOOL_FOUND_RECORD:
      tell_record(reader, place.offset, place.size, &place.item, ret);
      return EE_SPOOL_READ_RECORD;
    case EE_SPOOL_FOUND_TORN:
      tell(reader, place.offset, place.size, ret);
      return EE_SPOOL_READ_TORN;
    case EE_SPOOL_FOUND_END:
      break;
  }
  return EE_SPOOL_READ_NOTHING;
}

// Whether the last record of a segment that callers have left was read. Its slot says where that
// ends until the keeper has seen all of them published; then there is nothing to wait for.
static bool at_end(struct ee_spool *spool, const struct reader *reader) {
  uint32_t turn = turn_of(spool, reader->number);
  if (TURN(atomic_load_explicit(&spool->tail, memory_order_acquire)) == turn) return false;
  uint64_t end = atomic_load_explicit(&slot_of(spool, turn)->end, memory_order_acquire);
  if (turn <= atomic_load_explicit(&spool->released, memory_order_acquire)) return true;
  return end == reader->offset;
}

// Callers have their pages of it, the reader needs its own: one fault each is too dear.
static void touch_live(struct reader *reader) {
  uint64_t at = reader->offset / TOUCH_STEP * TOUCH_STEP;
  if (reader->offset < reader->touched || at >= reader->map.size) return;
  uint64_t left = reader->map.size - at;
  spool_touch(reader->map.bytes + at, left < TOUCH_STEP ? left : TOUCH_STEP);
  reader->touched = at + TOUCH_STEP;
}

static enum ee_spool_read read_live(struct ee_spool *spool, struct reader *reader,
                                    struct ee_spool_entry *ret) {
  uint64_t offset = reader->offset;
  struct ee_spool_item item;
  size_t size;
  bool whole = at_end(spool, reader);  // asked first: what is published later is not passed over
  uint64_t mark = 0;
  if (offset + EE_SPOOL_UNIT <= reader->map.size) {
    touch_live(reader);
    mark = __atomic_load_n((uint64_t *)(void *)(reader->map.bytes + offset), __ATOMIC_ACQUIRE);
  }
  if (mark == 0) {
    if (whole) next_segment(spool, reader);
    return EE_SPOOL_READ_NOTHING;
  }
  struct ee_bytes segment = ee_bytes(reader->map.bytes, reader->map.size);
  switch (ee_spool_record_read(segment, reader->map.salt, offset, &size, &item)) {
    case EE_SPOOL_RECORD:
      tell_record(reader, offset, size, &item, ret);
      return EE_SPOOL_READ_RECORD;
    case EE_SPOOL_DAMAGED:
      tell(reader, offset, size, ret);
      return EE_SPOOL_READ_TORN;
    case EE_SPOOL_NOTHING:
      tell(reader, offset, EE_SPOOL_UNIT, ret);  // somebody has written over it
      return EE_SPOOL_READ_TORN;
  }
  return EE_SPOOL_READ_NOTHING;
}

static enum ee_spool_read read_on(struct ee_spool *spool, struct reader *reader,
                                  struct ee_spool_entry *ret, struct ee_err *err) {
  for (;;) {
    uint64_t number = reader->number;
    if (reader->map.bytes == NULL) {
      enum ee_spool_read opened = open_segment(spool, reader, ret, err);
      if (opened != EE_SPOOL_READ_RECORD) return opened;
    }
    bool old = number < spool->first;
    enum ee_spool_read read = old ? read_old(reader, ret) : read_live(spool, reader, ret);
    if (read != EE_SPOOL_READ_NOTHING) return read;
    if (old) next_segment(spool, reader);
    if (reader->number == number) return EE_SPOOL_READ_NOTHING;
  }
}

enum ee_spool_read ee_spool_read(struct ee_spool *spool, struct ee_spool_entry *ret,
                                 struct ee_err *err) {
  return read_on(spool, &spool->reader, ret, err);
}

enum ee_spool_read ee_spool_look_ahead(struct ee_spool *spool, struct ee_spool_entry *ret,
                                       struct ee_err *err) {
  const struct reader *reader = &spool->reader;
  struct reader *ahead = &spool->ahead;
  bool behind = ahead->number < reader->number ||
                (ahead->number == reader->number && ahead->offset < reader->offset);
  if (behind) go_to(ahead, reader->number, reader->offset);
  return read_on(spool, ahead, ret, err);
}

void ee_spool_number(struct ee_spool *spool, const struct ee_spool_entry *entry,
                     const struct ee_spool_numbering *numbering) {
  const struct ee_spool_map *map = &spool->reader.map;
  if (map->bytes == NULL || map->number != entry->at.segment) map = &spool->ahead.map;
  ee_spool_record_number(map->bytes + entry->at.offset, map->salt, entry->at.offset, numbering);
}

void ee_spool_settle(struct ee_spool *spool, struct ee_spool_at at) {
  store_settled(spool, at);
  settle_passed_over(spool);
}

struct ee_spool_at ee_spool_settled(const struct ee_spool *spool) {
  const struct ee_spool_progress *progress = &spool->control.progress;
  return (struct ee_spool_at){progress->segment, progress->offset};
}

void ee_spool_rewind(struct ee_spool *spool) {
  struct ee_spool_at settled = ee_spool_settled(spool);
  go_to(&spool->reader, settled.segment, settled.offset);
  spool->reader.told = settled;
}
