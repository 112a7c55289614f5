// SPDX-License-Identifier: Apache-2.0
// base/int128: both ends of the range, minimal bytes, what is no number.
#include "base/int128.h"

#include "tests/support/test.h"

#define MOST ((ee_int128)(~(ee_uint128)0 >> 1))
#define LEAST (-MOST - 1)

static void assert_prints(ee_int128 value, const char *text) {
  char out[EE_INT128_TEXT];
  ee_int128_print(value, out);
  assert_string_equal(out, text);
}

static void test_prints_the_ends(void **state) {
  (void)state;
  assert_prints(0, "0");
  assert_prints(-1, "-1");
  assert_prints(INT64_MAX, "9223372036854775807");
  assert_prints(MOST, "170141183460469231731687303715884105727");
  assert_prints(LEAST, "-170141183460469231731687303715884105728");
}

// Powers of two, one more and one less: where lengths change.
static size_t edge_values(ee_int128 out[400]) {
  size_t count = 0;
  for (int bit = 0; bit < 127; bit++) {
    ee_int128 power = (ee_int128)1 << bit;
    out[count++] = power;
    out[count++] = power - 1;
    out[count++] = -power;
  }
  out[count++] = MOST;
  out[count++] = LEAST;
  out[count++] = LEAST + 1;
  return count;
}

static void test_text_reads_back(void **state) {
  (void)state;
  ee_int128 values[400];
  size_t count = edge_values(values);
  for (size_t i = 0; i < count; i++) {
    char out[EE_INT128_TEXT];
    ee_int128 read = 1;
    ee_int128_print(values[i], out);
    size_t digits = strlen(out) - (out[0] == '-');
    assert_int_equal(ee_int128_parse(ee_str(out), &read), digits <= 38);
    if (digits <= 38) assert_true(read == values[i]);
  }
}

static void test_bytes_read_back_and_are_minimal(void **state) {
  (void)state;
  ee_int128 values[400];
  size_t count = edge_values(values);
  for (size_t i = 0; i < count; i++) {
    uint8_t out[16];
    ee_int128 read = 1;
    size_t size = ee_int128_to_bytes(values[i], out);
    assert_in_range(size, 1, 16);
    assert_true(ee_int128_from_bytes(ee_bytes(out, size), &read));
    assert_true(read == values[i]);
    // One byte less is another number.
    if (size > 1) assert_true(ee_int128_from_bytes(ee_bytes(out + 1, size - 1), &read));
    if (size > 1) assert_false(read == values[i]);
  }
}

static void test_known_bytes(void **state) {
  (void)state;
  static const struct {
    int64_t value;
    size_t size;
    uint8_t bytes[3];
  } known[] = {{0, 1, {0}},
               {1, 1, {1}},
               {127, 1, {0x7F}},
               {128, 2, {0, 0x80}},
               {-1, 1, {0xFF}},
               {-128, 1, {0x80}},
               {-129, 2, {0xFF, 0x7F}},
               {256, 2, {1, 0}},
               {-32769, 3, {0xFF, 0x7F, 0xFF}}};
  for (size_t i = 0; i < COUNT_OF(known); i++) {
    uint8_t out[16];
    assert_int_equal(ee_int128_to_bytes(known[i].value, out), known[i].size);
    assert_memory_equal(out, known[i].bytes, known[i].size);
  }
}

static void test_padded_bytes_are_read(void **state) {
  (void)state;
  uint8_t bytes[17];
  ee_int128 read = 0;
  memset(bytes, 0xFF, sizeof bytes);
  assert_true(ee_int128_from_bytes(ee_bytes(bytes, 16), &read));
  assert_true(read == -1);
  assert_false(ee_int128_from_bytes(ee_bytes(bytes, 17), &read));
  assert_false(ee_int128_from_bytes(ee_bytes(bytes, 0), &read));
}

static void test_what_is_no_number(void **state) {
  (void)state;
  static const struct ee_str bad[] = {
      EE_STR_INIT(""),          EE_STR_INIT("-"),
      EE_STR_INIT("+1"),        EE_STR_INIT(" 1"),
      EE_STR_INIT("1 "),        EE_STR_INIT("1.0"),
      EE_STR_INIT("0x1"),       EE_STR_INIT("1\0"),
      EE_STR_INIT("--1"),       EE_STR_INIT("1-"),
      EE_STR_INIT("1e3"),       EE_STR_INIT("000000000000000000000000000000000000001"),
      {.data = NULL, .size = 0}};
  for (size_t i = 0; i < COUNT_OF(bad); i++) {
    ee_int128 read = 42;
    assert_false(ee_int128_parse(bad[i], &read));
    assert_true(read == 42);
  }
  ee_int128 read = 1;
  assert_true(ee_int128_parse(EE_STR("-0"), &read));
  assert_true(read == 0);
  assert_true(ee_int128_parse(EE_STR("00000000000000000000000000000000000012"), &read));
  assert_true(read == 12);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_prints_the_ends),
      cmocka_unit_test(test_text_reads_back),
      cmocka_unit_test(test_bytes_read_back_and_are_minimal),
      cmocka_unit_test(test_known_bytes),
      cmocka_unit_test(test_padded_bytes_are_read),
      cmocka_unit_test(test_what_is_no_number),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
