// SPDX-License-Identifier: Apache-2.0
// base/slice: absent is not empty for equality, and orders as empty.
#include "base/slice.h"

#include "tests/support/test.h"

static void test_equality(void **state) {
  (void)state;
  struct ee_str absent = ee_str(NULL);
  assert_true(ee_str_equal(absent, absent));
  assert_false(ee_str_equal(absent, EE_STR("")));
  assert_false(ee_bytes_equal(ee_bytes(NULL, 0), ee_bytes("", 0)));
  assert_true(ee_str_equal(EE_STR("a\0b"), EE_STR("a\0b")));
  assert_false(ee_str_equal(EE_STR("a\0b"), EE_STR("a\0c")));
  assert_false(ee_str_equal(EE_STR("a"), EE_STR("ab")));
  assert_true(ee_bytes_equal(ee_bytes("ab", 2), ee_str_bytes(EE_STR("ab"))));
  assert_false(ee_bytes_equal(ee_bytes("ab", 2), ee_bytes("aB", 2)));
}

static int sign(int order) {
  return order < 0 ? -1 : order > 0;
}

static void test_order_is_that_of_bytes(void **state) {
  (void)state;
  const struct ee_str ordered[] = {EE_STR(""),     EE_STR("\0"),   EE_STR("\0a"),  EE_STR("A"),
                                   EE_STR("a"),    EE_STR("ab"),   EE_STR("ab\0"), EE_STR("b"),
                                   EE_STR("\x7F"), EE_STR("\x80"), EE_STR("\xFF")};
  for (size_t i = 0; i < COUNT_OF(ordered); i++) {
    for (size_t j = 0; j < COUNT_OF(ordered); j++) {
      assert_int_equal(sign(ee_str_compare(ordered[i], ordered[j])), sign((int)i - (int)j));
    }
  }
  assert_int_equal(ee_str_compare(ee_str(NULL), EE_STR("")), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_equality),
      cmocka_unit_test(test_order_is_that_of_bytes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
