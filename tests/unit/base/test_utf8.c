// SPDX-License-Identifier: Apache-2.0
// base/utf8 against a decoder that works by code points: all sequences of three bytes.
#include "base/utf8.h"

#include "tests/support/test.h"

// By the definition: decode the shortest-form bits, then look at the code point.
static size_t oracle_length(const uint8_t *at, size_t size) {
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  if (size == 0) return 0;
  size_t length = at[0] < 0x80           ? 1
                  : (at[0] >> 5) == 0x06 ? 2
                  : (at[0] >> 4) == 0x0E ? 3
                  : (at[0] >> 3) == 0x1E ? 4
                                         : 0;
  if (length == 0 || length > size) return 0;
  uint32_t point = length == 1 ? at[0] : at[0] & (0x7Fu >> length);
  for (size_t i = 1; i < length; i++) {
    if ((at[i] & 0xC0) != 0x80) return 0;
    point = point << 6 | (at[i] & 0x3F);
  }
  bool surrogate = point >= 0xD800 && point <= 0xDFFF;
  return point < least[length] || surrogate || point > 0x10FFFF ? 0 : length;
}

static void assert_like_oracle(const uint8_t *bytes, size_t size) {
  size_t length = ee_utf8_length((const char *)bytes, size);
  if (length != oracle_length(bytes, size)) {
    fail_msg("%02x %02x %02x %02x: %zu", bytes[0], bytes[1], bytes[2], bytes[3], length);
  }
}

static void test_every_three_bytes(void **state) {
  (void)state;
  for (uint32_t word = 0; word < UINT32_C(1) << 24; word++) {
    uint8_t bytes[4] = {(uint8_t)(word >> 16), (uint8_t)(word >> 8), (uint8_t)word, 0};
    assert_like_oracle(bytes, 3);
  }
}

static void test_four_bytes_at_the_edges(void **state) {
  (void)state;
  static const uint8_t ends[] = {0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF};
  for (int lead = 0xE0; lead <= 0xFF; lead++) {
    for (int second = 0; second < 256; second++) {
      for (size_t third = 0; third < COUNT_OF(ends); third++) {
        for (size_t fourth = 0; fourth < COUNT_OF(ends); fourth++) {
          uint8_t bytes[4] = {(uint8_t)lead, (uint8_t)second, ends[third], ends[fourth]};
          for (size_t size = 0; size <= 4; size++) {
            assert_like_oracle(bytes, size);
          }
        }
      }
    }
  }
}

// The fast path takes eight bytes at a time: a bad byte is seen at each place.
static void test_bad_byte_anywhere(void **state) {
  (void)state;
  char text[40];
  for (size_t size = 1; size <= sizeof text; size++) {
    memset(text, 'a', sizeof text);
    assert_true(ee_utf8_valid(text, size));
    for (size_t i = 0; i < size; i++) {
      text[i] = (char)0xFF;
      assert_false(ee_utf8_valid(text, size));
      text[i] = (char)0xC3;  // valid before a continuation only
      assert_false(ee_utf8_valid(text, size));
      if (i + 1 < size) {
        text[i + 1] = (char)0xA9;
        assert_true(ee_utf8_valid(text, size));
        text[i + 1] = 'a';
      }
      text[i] = 'a';
    }
  }
}

static void test_empty_and_nul(void **state) {
  (void)state;
  assert_true(ee_utf8_valid(NULL, 0));
  assert_true(ee_utf8_valid("\0\0\0\0\0\0\0\0\0", 9));
  assert_int_equal(ee_utf8_length("\0", 1), 1);
}

static void test_cut_after_a_whole_character(void **state) {
  (void)state;
  static const char text[] = "a\xC3\xA9\xF0\x9F\x98\x80z";
  static const size_t expected[] = {0, 1, 1, 3, 3, 3, 3, 7, 8, 8};
  for (size_t most = 0; most < COUNT_OF(expected); most++) {
    struct ee_str cut = ee_utf8_cut(EE_STR("a\xC3\xA9\xF0\x9F\x98\x80z"), most);
    assert_int_equal(cut.size, expected[most]);
    assert_memory_equal(cut.data, text, cut.size);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_three_bytes),
      cmocka_unit_test(test_four_bytes_at_the_edges),
      cmocka_unit_test(test_bad_byte_anywhere),
      cmocka_unit_test(test_empty_and_nul),
      cmocka_unit_test(test_cut_after_a_whole_character),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
