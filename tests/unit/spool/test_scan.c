// SPDX-License-Identifier: Apache-2.0
// Finding records again, after a crash at any point and a power cut that lost any pages.
#include "spool/scan.h"

#include "tests/unit/spool/spool_support.h"

#define SEGMENT ((size_t)64 << 10)
#define RECORDS_MAX 16

// What was written: to compare with what is found.
struct written {
  struct ee_spool_item items[RECORDS_MAX];
  uint64_t offsets[RECORDS_MAX];
  uint8_t rooms[RECORDS_MAX][8192];
  size_t count;
};

static void write_one(struct image *image, struct written *written, size_t payload_size) {
  size_t i = written->count++;
  assert_true(payload_size <= sizeof written->rooms[i]);
  written->items[i] = numbered_item(i, payload_size, written->rooms[i]);
  written->offsets[i] = image_add(image, &written->items[i]);
}

struct counts {
  size_t records, torn;
  bool found[RECORDS_MAX];
};

// Walks a segment; whatever it takes for a record must be one that was written, where it was.
static struct counts scan_all(const struct image *image, const uint8_t *bytes,
                              const struct written *written) {
  struct counts counts = {0};
  struct ee_spool_scan scan;
  struct ee_spool_place place;
  uint64_t before = EE_SPOOL_UNIT;
  ee_spool_scan_init(&scan, ee_bytes(bytes, image->size), image->salt, EE_SPOOL_UNIT);
  for (;;) {
    enum ee_spool_found found = ee_spool_scan_next(&scan, &place);
    if (found == EE_SPOOL_FOUND_END) break;
    assert_true(place.offset == before && place.size > 0);
    before = place.offset + place.size;
    if (found == EE_SPOOL_FOUND_TORN) {
      counts.torn++;
      continue;
    }
    size_t i = 0;
    while (i < written->count && written->offsets[i] != place.offset)
      i++;
    assert_true(i < written->count);
    assert_same_item(&place.item, &written->items[i]);
    counts.found[i] = true;
    counts.records++;
  }
  assert_int_equal(ee_spool_scan_next(&scan, &place), EE_SPOOL_FOUND_END);
  return counts;
}

static void test_finds_all(void **state) {
  (void)state;
  static const size_t sizes[] = {0, 1, 500, 8192, 63, 64, 65, 3000};
  static struct written written;
  struct image image;
  image_init(&image, SEGMENT);
  written.count = 0;
  assert_int_equal(scan_all(&image, image.bytes, &written).records, 0);
  for (size_t i = 0; i < COUNT_OF(sizes); i++) {
    write_one(&image, &written, sizes[i]);
    struct counts counts = scan_all(&image, image.bytes, &written);
    assert_int_equal(counts.records, i + 1);
    assert_int_equal(counts.torn, 0);
  }
  image_release(&image);
}

// Up to the last byte: there is no room for zeros behind it.
static void test_full_segment(void **state) {
  (void)state;
  static struct written written;
  struct image image;
  image_init(&image, EE_SPOOL_UNIT + 3 * 1024);
  written.count = 0;
  for (int i = 0; i < 3; i++) {
    write_one(&image, &written, 1024 - EE_SPOOL_UNIT - (size_t)(written.count % 11));
  }
  assert_int_equal(image.end, image.size);
  assert_int_equal(scan_all(&image, image.bytes, &written).records, 3);
  image.bytes[written.offsets[2] + 100] ^= 1;
  struct counts counts = scan_all(&image, image.bytes, &written);
  assert_true(counts.records == 2 && counts.torn == 1);
  image_release(&image);
}

// A process that is killed leaves what it stored, in the order in which it stored it: words of a
// record in any order, then its mark. Each number of words, from the front and from the back.
static void test_killed_between_stores(void **state) {
  (void)state;
  static struct written written;
  struct image image;
  image_init(&image, SEGMENT);
  written.count = 0;
  write_one(&image, &written, 300);
  write_one(&image, &written, 700);
  write_one(&image, &written, 200);
  uint64_t from = written.offsets[1];
  size_t words = (written.offsets[2] - from) / 8;
  uint8_t *crashed = malloc(image.size);
  assert_non_null(crashed);
  for (int third = 0; third < 2; third++) {  // a later record, of another thread, may be whole
    for (int back = 0; back < 2; back++) {
      for (size_t stored = 0; stored < words; stored++) {
        memcpy(crashed, image.bytes, image.size);
        if (!third) memset(crashed + written.offsets[2], 0, image.end - written.offsets[2]);
        memset(crashed + from, 0, 8);  // the mark
        size_t gap = back ? 1 : 1 + stored;
        memset(crashed + from + 8 * gap, 0, 8 * (words - 1 - stored));
        struct counts counts = scan_all(&image, crashed, &written);
        assert_true(counts.found[0] && !counts.found[1] && counts.found[2] == (third == 1));
        assert_true(counts.torn == 1 || (!third && counts.torn == 0));
      }
    }
  }
  free(crashed);
  image_release(&image);
}

// Pages that were not synced are there or not, each for itself, and one that was stored to twice
// may be there as it was between: with the record, without its number.
static void test_power_cuts(void **state) {
  (void)state;
  static struct written written;
  struct image image;
  image_init(&image, SEGMENT);
  written.count = 0;
  write_one(&image, &written, 3000);
  size_t synced = image.end;
  write_one(&image, &written, 7000);
  write_one(&image, &written, 6000);
  uint8_t *before = malloc(image.size), *after = malloc(image.size);
  assert_true(before != NULL && after != NULL);
  memcpy(before, image.bytes, image.size);
  struct ee_spool_numbering numbering = {.number = 1, .epoch = 1, .partition = 1};
  for (size_t i = 1; i < written.count; i++) {
    uint64_t offset = written.offsets[i];
    ee_spool_record_number(image.bytes + offset, image.salt, offset, &numbering);
  }
  size_t first = synced / PAGE, pages = (image.end + PAGE - 1) / PAGE - first, cuts = 1, whole = 0;
  assert_true(pages >= 4);
  for (size_t i = 0; i < pages; i++)
    cuts *= 3;
  for (size_t cut = 0; cut < cuts; cut++) {
    memcpy(after, image.bytes, image.size);
    size_t choice = cut;
    bool kept[8] = {false};
    for (size_t i = 0; i < pages; i++, choice /= 3) {
      uint8_t *page = after + (first + i) * PAGE;
      size_t keep = i == 0 ? synced % PAGE : 0;  // what was synced is there in any case
      kept[i] = choice % 3 != 0;
      if (choice % 3 == 0) memset(page + keep, 0, PAGE - keep);
      if (choice % 3 == 1) memcpy(page, before + (first + i) * PAGE, PAGE);
    }
    struct counts counts = scan_all(&image, after, &written);
    assert_true(counts.found[0]);
    for (size_t i = 1; i < written.count; i++) {
      uint64_t end = i + 1 < written.count ? written.offsets[i + 1] : image.end;
      bool all = true, any = false;
      for (size_t p = written.offsets[i] / PAGE; p <= (end - 1) / PAGE; p++) {
        all = all && kept[p - first];
        any = any || kept[p - first];
      }
      assert_int_equal(counts.found[i], all);
      if (any && !all) assert_true(counts.torn > 0);  // what is left of it is seen
      struct ee_spool_numbering found;
      const uint8_t *at = after + written.offsets[i];
      if (ee_spool_record_numbering(at, image.salt, written.offsets[i], &found)) {
        assert_int_equal(found.number, 1);
      }
    }
    whole += counts.records == 3;
  }
  assert_true(whole > 0 && whole < cuts);
  free(before);
  free(after);
  image_release(&image);
}

// Damage of any kind: what is taken for a record was written.
static void test_damage(void **state) {
  (void)state;
  static struct written written;
  struct image image;
  image_init(&image, SEGMENT);
  written.count = 0;
  for (size_t i = 0; i < 12; i++) {
    write_one(&image, &written, i * 311);
  }
  uint8_t *damaged = malloc(image.size);
  assert_non_null(damaged);
  uint64_t random = 1;
  size_t lost = 0;
  for (int round = 0; round < 2000; round++) {
    memcpy(damaged, image.bytes, image.size);
    for (int i = 0; i < 4; i++) {
      random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
      size_t at = EE_SPOOL_UNIT + (size_t)(random >> 33) % (image.end - EE_SPOOL_UNIT);
      size_t size = (size_t)(random >> 20) % 300;
      if (size > image.end - at) size = image.end - at;
      if (round % 3 == 0) memset(damaged + at, 0, size);
      if (round % 3 == 1) memset(damaged + at, 0xff, size);
      if (round % 3 == 2) memmove(damaged + at, damaged + EE_SPOOL_UNIT, size);
    }
    struct counts counts = scan_all(&image, damaged, &written);
    lost += written.count - counts.records;
    if (counts.records < written.count - 1) assert_true(counts.torn > 0);
  }
  assert_true(lost > 0);
  free(damaged);
  image_release(&image);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_finds_all),
      cmocka_unit_test(test_full_segment),
      cmocka_unit_test(test_killed_between_stores),
      cmocka_unit_test(test_power_cuts),
      cmocka_unit_test(test_damage),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
