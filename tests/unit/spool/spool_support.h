// SPDX-License-Identifier: Apache-2.0
// Segments in memory, and records to put into them.
#ifndef EE_TESTS_SPOOL_SUPPORT_H
#define EE_TESTS_SPOOL_SUPPORT_H

#include <stdlib.h>

#include "spool/scan.h"
#include "support/test.h"

#define PAGE ((size_t)4096)

struct image {
  uint8_t *bytes;
  size_t size;
  struct ee_spool_segment segment;
  uint32_t salt;
  uint64_t end;
};

static inline void image_init(struct image *image, size_t size) {
  *image =
      (struct image){.size = size, .segment = {.id = "a spool's id 15", .number = 7, .size = size}};
  image->bytes = calloc(1, size);
  assert_non_null(image->bytes);
  ee_spool_segment_make(&image->segment, image->bytes);
  image->salt = ee_spool_salt(&image->segment);
  image->end = EE_SPOOL_UNIT;
}

static inline void image_release(struct image *image) {
  free(image->bytes);
}

// Appends a record and returns its offset.
static inline uint64_t image_add(struct image *image, const struct ee_spool_item *item) {
  uint64_t offset = image->end;
  image->end += ee_spool_record_size(item->attributes.size, item->payload.size);
  assert_true(image->end <= image->size);
  uint64_t mark = ee_spool_record_write(image->bytes + offset, image->salt, offset, item);
  memcpy(image->bytes + offset, &mark, sizeof mark);
  return offset;
}

// One whose bytes follow from its number.
static inline struct ee_spool_item numbered_item(uint64_t number, size_t payload_size,
                                                 uint8_t *room) {
  for (size_t i = 0; i < payload_size; i++) {
    room[i] = (uint8_t)(number * 131 + i * 7 + i / 251);
  }
  return (struct ee_spool_item){.schema = UINT64_C(0x1122334455667788) + number,
                                .accepted_us = 1780000000000000 + (int64_t)number,
                                .topic = (uint8_t)(number % 6),
                                .attributes = ee_bytes("attributes", number % 11),
                                .payload = ee_bytes(room, payload_size)};
}

static inline void assert_same_item(const struct ee_spool_item *a, const struct ee_spool_item *b) {
  assert_true(a->schema == b->schema);
  assert_true(a->accepted_us == b->accepted_us);
  assert_int_equal(a->topic, b->topic);
  assert_true(ee_bytes_equal(a->attributes, b->attributes));
  assert_true(ee_bytes_equal(a->payload, b->payload));
}

#endif
