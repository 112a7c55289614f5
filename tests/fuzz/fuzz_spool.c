// SPDX-License-Identifier: Apache-2.0
// A segment of good records, damaged anywhere: what was not touched is found where it was, and
// nothing is found that was not written. Sizes of records first, up to a zero; then the damage, as
// offsets (two bytes) with the byte that goes there.
#include <stdlib.h>

#include "spool/scan.h"

#define SEGMENT ((size_t)16384)
#define RECORDS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds) {
  if (!holds) abort();
}

struct made {
  uint64_t offset;
  size_t attributes_size, payload_size;
  bool touched;
};

static struct {
  uint8_t good[SEGMENT], damaged[SEGMENT];
  uint32_t salt;
  struct made made[RECORDS_MAX];
  size_t count;
} image;

static void add(uint64_t *end, size_t attributes_size, size_t payload_size) {
  static const uint8_t bytes[4096] = "each record begins alike";
  struct ee_spool_item item = {.schema = image.count,
                               .topic = (uint8_t)image.count,
                               .attributes = ee_bytes(bytes, attributes_size),
                               .payload = ee_bytes(bytes, payload_size)};
  size_t size = ee_spool_record_size(attributes_size, payload_size);
  if (image.count == RECORDS_MAX || *end + size > SEGMENT) return;
  uint64_t mark = ee_spool_record_write(image.good + *end, image.salt, *end, &item);
  memcpy(image.good + *end, &mark, sizeof mark);
  image.made[image.count++] = (struct made){*end, attributes_size, payload_size, false};
  *end += size;
}

// Returns the bytes of data that it has used.
static size_t make(const uint8_t *data, size_t size) {
  struct ee_spool_segment segment = {.id = "fuzz", .number = 1, .size = SEGMENT};
  uint64_t end = EE_SPOOL_UNIT;
  size_t at = 0;
  memset(&image, 0, sizeof image);
  ee_spool_segment_make(&segment, image.good);
  image.salt = ee_spool_salt(&segment);
  for (; at < size && data[at] != 0; at++) {
    add(&end, data[at] % 8u, data[at] * 13u);
  }
  return at < size ? at + 1 : at;
}

// The numbering and the padding have no say in whether a record is one.
static void touch(size_t at) {
  for (size_t i = 0; i < image.count; i++) {
    struct made *made = &image.made[i];
    size_t body = made->offset + EE_SPOOL_UNIT;
    if ((at >= made->offset && at < made->offset + 40) ||
        (at >= body && at < body + made->attributes_size + made->payload_size)) {
      made->touched |= image.damaged[at] != image.good[at];
    }
  }
}

static size_t place_of(const uint8_t *edit) {
  return ((size_t)edit[0] << 8 | edit[1]) % SEGMENT;
}

static void damage(const uint8_t *data, size_t size) {
  memcpy(image.damaged, image.good, SEGMENT);
  for (size_t i = 0; i + 3 <= size; i += 3)
    image.damaged[place_of(data + i)] = data[i + 2];
  for (size_t i = 0; i + 3 <= size; i += 3)
    touch(place_of(data + i));
}

static void require_made(const struct ee_spool_place *place, size_t *next) {
  while (*next < image.count && image.made[*next].offset < place->offset) {
    require(image.made[(*next)++].touched);
  }
  require(*next < image.count && image.made[*next].offset == place->offset);
  const struct made *made = &image.made[(*next)++];
  require(place->item.attributes.size == made->attributes_size &&
          place->item.payload.size == made->payload_size);
  require(memcmp(place->item.attributes.data, image.good + place->offset + EE_SPOOL_UNIT,
                 made->attributes_size + made->payload_size) == 0);
}

static void scan(struct ee_bytes segment, uint32_t salt, bool ours) {
  struct ee_spool_scan walk;
  struct ee_spool_place place;
  enum ee_spool_found found;
  uint64_t before = EE_SPOOL_UNIT;
  size_t next = 0;
  ee_spool_scan_init(&walk, segment, salt, EE_SPOOL_UNIT);
  while ((found = ee_spool_scan_next(&walk, &place)) != EE_SPOOL_FOUND_END) {
    require(place.offset == before && place.size > 0 && place.size <= segment.size - place.offset);
    before = place.offset + place.size;
    if (found == EE_SPOOL_FOUND_RECORD && ours) require_made(&place, &next);
  }
  for (; ours && next < image.count; next++)
    require(image.made[next].touched);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct ee_spool_segment segment;
  size_t used = make(data, size);
  damage(data + used, size - used);
  scan(ee_bytes(image.damaged, SEGMENT), image.salt, true);
  ee_spool_segment_parse(ee_bytes(data, size), &segment);
  scan(ee_bytes(data, size), 0, false);
  return 0;
}
