// SPDX-License-Identifier: Apache-2.0
// base/option_value: printed numbers read back, distances between names.
#include "base/option_value.h"

#include "tests/support/test.h"

static void test_numbers_in_the_largest_whole_unit(void **state) {
  (void)state;
  static const struct {
    enum ee_option_type type;
    int64_t value;
    const char *text;
  } numbers[] = {{EE_OPTION_COUNT, 3600000, "3600000"},
                 {EE_OPTION_COUNT, -5, "-5"},
                 {EE_OPTION_DURATION, 0, "0ms"},
                 {EE_OPTION_DURATION, 1, "1ms"},
                 {EE_OPTION_DURATION, 1500, "1500ms"},
                 {EE_OPTION_DURATION, 90000, "90s"},
                 {EE_OPTION_DURATION, 600000, "10min"},
                 {EE_OPTION_DURATION, 90 * 60000, "90min"},
                 {EE_OPTION_DURATION, 36000000, "10h"},
                 {EE_OPTION_DURATION, INT64_C(30) * 86400000, "30d"},
                 {EE_OPTION_SIZE, 0, "0"},
                 {EE_OPTION_SIZE, 1000, "1000"},
                 {EE_OPTION_SIZE, 1536, "1536"},
                 {EE_OPTION_SIZE, 512 * 1024, "512KiB"},
                 {EE_OPTION_SIZE, 256 << 20, "256MiB"},
                 {EE_OPTION_SIZE, INT64_C(2) << 30, "2GiB"},
                 {EE_OPTION_SIZE, INT64_MAX, "9223372036854775807"}};
  for (size_t i = 0; i < COUNT_OF(numbers); i++) {
    char out[EE_OPTION_TEXT_MAX];
    struct ee_option option = {.type = numbers[i].type, .least = INT64_MIN, .most = INT64_MAX};
    int64_t read = 0;
    ee_option_print_number(numbers[i].type, numbers[i].value, out);
    assert_string_equal(out, numbers[i].text);
    assert_true(ee_option_parse_number(&option, out, &read, NULL));
    assert_true(read == numbers[i].value);
  }
}

static void test_bounds(void **state) {
  (void)state;
  char out[EE_OPTION_TEXT_MAX];
  struct ee_option option = {.type = EE_OPTION_SIZE, .least = 1024, .most = 1 << 20};
  ee_option_print_bounds(&option, out);
  assert_string_equal(out, "1KiB to 1MiB");
  option.type = EE_OPTION_TEXT;
  ee_option_print_bounds(&option, out);
  assert_string_equal(out, "");
  option = (struct ee_option){.type = EE_OPTION_COUNT, .least = INT64_MIN + 1, .most = INT64_MAX};
  ee_option_print_bounds(&option, out);
  assert_string_equal(out, "-9223372036854775807 to 9223372036854775807");
}

static size_t distance(const char *a, const char *b) {
  assert_int_equal(ee_option_distance(ee_str(a), ee_str(b)),
                   ee_option_distance(ee_str(b), ee_str(a)));
  return ee_option_distance(ee_str(a), ee_str(b));
}

static void test_distances(void **state) {
  (void)state;
  char longest[65];
  assert_int_equal(distance("", ""), 0);
  assert_int_equal(distance("memory", ""), 6);
  assert_int_equal(distance("memory", "memory"), 0);
  assert_int_equal(distance("memory", "memori"), 1);
  assert_int_equal(distance("memory", "emory"), 1);
  assert_int_equal(distance("memory", "memmory"), 1);
  assert_int_equal(distance("memory", "mmeory"), 2);
  assert_int_equal(distance("kitten", "sitting"), 3);
  memset(longest, 'x', sizeof longest);
  longest[63] = '\0';
  assert_int_equal(distance(longest, ""), 63);
  longest[63] = 'x';
  longest[64] = '\0';
  assert_true(distance(longest, "") == SIZE_MAX);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_numbers_in_the_largest_whole_unit),
      cmocka_unit_test(test_bounds),
      cmocka_unit_test(test_distances),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
