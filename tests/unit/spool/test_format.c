// SPDX-License-Identifier: Apache-2.0
// Segments and records as bytes: what is written is read, and nothing else is.
#include <stdio.h>

#include "tests/unit/spool/spool_support.h"

#define SEGMENT ((size_t)64 << 10)

static enum ee_spool_record image_read(const struct image *image, uint32_t salt, uint64_t offset,
                                       size_t *size, struct ee_spool_item *item) {
  return ee_spool_record_read(ee_bytes(image->bytes, image->size), salt, offset, size, item);
}

static void test_segment_heads(void **state) {
  (void)state;
  struct ee_spool_segment segment = {.id = "0123456789abcde", .number = 3, .size = 1 << 20}, read;
  uint8_t head[EE_SPOOL_UNIT];
  ee_spool_segment_make(&segment, head);
  assert_int_equal(ee_spool_segment_parse(ee_bytes(head, sizeof head), &read), EE_SPOOL_HEAD_GOOD);
  assert_memory_equal(read.id, segment.id, sizeof read.id);
  assert_true(read.number == 3 && read.size == 1 << 20);
  assert_int_equal(ee_spool_segment_parse(ee_bytes(head, sizeof head - 1), &read),
                   EE_SPOOL_HEAD_FOREIGN);
  for (size_t bit = 0; bit < 8 * sizeof head; bit++) {
    head[bit / 8] ^= (uint8_t)(1 << bit % 8);
    enum ee_spool_head found = ee_spool_segment_parse(ee_bytes(head, sizeof head), &read);
    assert_int_not_equal(found, EE_SPOOL_HEAD_GOOD);
    if (bit < 64) assert_int_equal(found, EE_SPOOL_HEAD_FOREIGN);
    head[bit / 8] ^= (uint8_t)(1 << bit % 8);
  }
  head[8] = EE_SPOOL_VERSION + 1;
  assert_int_equal(ee_spool_segment_parse(ee_bytes(head, sizeof head), &read), EE_SPOOL_HEAD_NEWER);
}

static void test_record_sizes(void **state) {
  (void)state;
  assert_int_equal(ee_spool_record_size(0, 0), 64);
  assert_int_equal(ee_spool_record_size(0, 1), 128);
  assert_int_equal(ee_spool_record_size(10, 54), 128);
  assert_int_equal(ee_spool_record_size(11, 54), 192);
}

static void test_reads_what_it_wrote(void **state) {
  (void)state;
  static const size_t sizes[] = {0, 1, 53, 54, 63, 64, 65, 500, 4096, 20000};
  struct image image;
  image_init(&image, SEGMENT);
  uint8_t room[20000];
  for (size_t i = 0; i < COUNT_OF(sizes); i++) {
    struct ee_spool_item item = numbered_item(i, sizes[i], room), read;
    uint64_t offset = image_add(&image, &item);
    size_t size;
    assert_int_equal(image_read(&image, image.salt, offset, &size, &read), EE_SPOOL_RECORD);
    assert_int_equal(offset + size, image.end);
    assert_same_item(&read, &item);
  }
  image_release(&image);
}

static void assert_hex(const uint8_t *bytes, const char *hex) {
  char found[512];
  size_t size = strlen(hex) / 2;
  assert_true(2 * size < sizeof found);
  for (size_t i = 0; i < size; i++) {
    snprintf(found + 2 * i, 3, "%02x", bytes[i]);
  }
  assert_string_equal(found, hex);
}

// The format outlives builds: these are version 1's bytes, their checksums made by another program.
static void test_bytes(void **state) {
  (void)state;
  struct image image;
  image_init(&image, SEGMENT);
  struct ee_spool_item item = {.schema = 0x0807060504030201,
                               .accepted_us = 0x10,
                               .topic = 4,
                               .attributes = ee_bytes("at", 2),
                               .payload = ee_bytes("payload", 7)};
  uint64_t offset = image_add(&image, &item);
  struct ee_spool_numbering numbering = {.number = 5, .epoch = 6, .partition = 7};
  ee_spool_record_number(image.bytes + offset, image.salt, offset, &numbering);
  assert_hex(image.bytes,
             "454553504f4f4c00"
             "01000000"
             "21b7c228"
             "612073706f6f6c277320696420313500"
             "0700000000000000"
             "0000010000000000"
             "00000000000000000000000000000000");
  assert_hex(image.bytes + offset,
             "80000000"
             "781c9ce5"
             "0102030405060708"
             "1000000000000000"
             "07000000"
             "0200"
             "04"
             "00"
             "496e8377"
             "00000000"
             "0500000000000000"
             "06000000"
             "07000000"
             "252569d2"
             "00000000"
             "61747061796c6f6164"
             "00000000000000");
  image_release(&image);
}

// Each bit of a record counts, but for the padding and what comes later.
static void test_flipped_bits(void **state) {
  (void)state;
  struct image image;
  image_init(&image, SEGMENT);
  uint8_t room[100];
  struct ee_spool_item item = numbered_item(9, sizeof room, room), read;
  uint64_t offset = image_add(&image, &item);
  size_t numbering_at = 40, body_at = 64, body_end = 64 + item.attributes.size + sizeof room, size;
  for (size_t bit = 0; bit < 8 * body_end; bit++) {
    size_t byte = bit / 8;
    if (byte >= numbering_at && byte < body_at) continue;
    image.bytes[offset + byte] ^= (uint8_t)(1 << bit % 8);
    assert_int_equal(image_read(&image, image.salt, offset, &size, &read),
                     byte < body_at ? EE_SPOOL_NOTHING : EE_SPOOL_DAMAGED);
    image.bytes[offset + byte] ^= (uint8_t)(1 << bit % 8);
  }
  image_release(&image);
}

// Copied to another offset, into another segment, or found in another spool it is no record.
static void test_elsewhere(void **state) {
  (void)state;
  struct image image;
  image_init(&image, SEGMENT);
  uint8_t room[100];
  struct ee_spool_item item = numbered_item(2, sizeof room, room), read;
  uint64_t offset = image_add(&image, &item);
  size_t size = image.end - offset;
  memcpy(image.bytes + image.end, image.bytes + offset, size);
  assert_int_equal(image_read(&image, image.salt, image.end, &size, &read), EE_SPOOL_NOTHING);
  struct ee_spool_segment other = image.segment;
  other.number++;
  assert_int_equal(image_read(&image, ee_spool_salt(&other), offset, &size, &read),
                   EE_SPOOL_NOTHING);
  other = image.segment;
  other.id[15]++;
  assert_int_equal(image_read(&image, ee_spool_salt(&other), offset, &size, &read),
                   EE_SPOOL_NOTHING);
  image_release(&image);
}

// Nothing begins where a head has no room.
static void test_ends(void **state) {
  (void)state;
  struct image image;
  image_init(&image, SEGMENT);
  const uint64_t offsets[] = {SEGMENT - EE_SPOOL_UNIT / 2, SEGMENT, SEGMENT + EE_SPOOL_UNIT,
                              UINT64_MAX};
  for (size_t i = 0; i < COUNT_OF(offsets); i++) {
    struct ee_spool_item read;
    size_t size;
    assert_int_equal(image_read(&image, image.salt, offsets[i], &size, &read), EE_SPOOL_NOTHING);
  }
  image_release(&image);
}

static void test_numbering(void **state) {
  (void)state;
  struct image image;
  image_init(&image, SEGMENT);
  uint8_t room[100];
  struct ee_spool_item item = numbered_item(2, sizeof room, room), read;
  uint64_t offset = image_add(&image, &item);
  uint8_t *at = image.bytes + offset;
  struct ee_spool_numbering given = {.number = UINT64_MAX, .epoch = 3, .partition = 11}, found;
  assert_false(ee_spool_record_numbering(at, image.salt, offset, &found));
  ee_spool_record_number(at, image.salt, offset, &given);
  assert_true(ee_spool_record_numbering(at, image.salt, offset, &found));
  assert_true(found.number == UINT64_MAX && found.epoch == 3 && found.partition == 11);
  for (size_t bit = 8 * 40; bit < 8 * 60; bit++) {
    at[bit / 8] ^= (uint8_t)(1 << bit % 8);
    assert_false(ee_spool_record_numbering(at, image.salt, offset, &found));
    at[bit / 8] ^= (uint8_t)(1 << bit % 8);
  }
  size_t size;
  assert_int_equal(image_read(&image, image.salt, offset, &size, &read), EE_SPOOL_RECORD);
  assert_same_item(&read, &item);
  image_release(&image);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_segment_heads),
      cmocka_unit_test(test_record_sizes),
      cmocka_unit_test(test_reads_what_it_wrote),
      cmocka_unit_test(test_bytes),
      cmocka_unit_test(test_flipped_bits),
      cmocka_unit_test(test_elsewhere),
      cmocka_unit_test(test_ends),
      cmocka_unit_test(test_numbering),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
