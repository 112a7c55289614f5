// SPDX-License-Identifier: Apache-2.0
// Names of reasons, and details that stay valid text whatever goes into them.
#include "contract/reason.h"

#include "base/utf8.h"
#include "tests/support/test.h"

static void names_are_those_of_the_contract(void **state) {
  (void)state;
  assert_string_equal(ee_reason_name(EE_ACCEPTED), "accepted");
  assert_string_equal(ee_reason_name(EE_REASON_truncated), "truncated");
  assert_string_equal(ee_reason_name(EE_REASON_extension_not_namespaced),
                      "extension_not_namespaced");
  assert_string_equal(ee_reason_name(EE_REASON_missing_field), "missing_field");
  assert_string_equal(ee_reason_name(EE_REASON_COUNT), "unknown");
  assert_string_equal(ee_reason_name(EE_NO_MEMORY), "no_memory");
  for (int i = 1; i < EE_REASON_COUNT; i++) {
    for (int k = 0; k < i; k++) {
      assert_string_not_equal(ee_reason_name((enum ee_reason)i), ee_reason_name((enum ee_reason)k));
    }
  }
}

static void a_fault_may_be_unwanted(void **state) {
  (void)state;
  assert_false(ee_fault_set(NULL, EE_REASON_truncated, 3, "x"));
  assert_false(ee_fault_in_field(NULL, "f"));
  assert_false(ee_fault_in_item(NULL, 1));
  assert_false(ee_fault_in_key(NULL, EE_STR("k")));
  assert_false(ee_fault_end(NULL));
}

static void the_path_grows_from_its_end(void **state) {
  (void)state;
  struct ee_fault fault;
  assert_false(ee_fault_set(&fault, EE_REASON_bad_enum, 7, ": %d is wrong", 3));
  assert_false(ee_fault_in_key(&fault, EE_STR("k")));
  assert_false(ee_fault_in_field(&fault, "map"));
  assert_false(ee_fault_in_item(&fault, 12));
  assert_false(ee_fault_in_field(&fault, "list"));
  assert_false(ee_fault_end(&fault));
  assert_string_equal(fault.detail, "list[12].map[k]: 3 is wrong");
  assert_int_equal(fault.reason, EE_REASON_bad_enum);
  assert_int_equal(fault.position, 7);
  ee_fault_set(&fault, EE_REASON_truncated, 0, ": the end");
  ee_fault_end(&fault);
  assert_string_equal(fault.detail, "the end");
  ee_fault_set(&fault, EE_REASON_truncated, 0, "plain");
  ee_fault_end(&fault);
  assert_string_equal(fault.detail, "plain");
}

static void details_are_valid_utf8_on_one_line(void **state) {
  (void)state;
  struct ee_fault fault;
  ee_fault_set(&fault, EE_REASON_truncated, 0, "a\xff\n\x7f\xc3\xa9");
  assert_string_equal(fault.detail, "a???\xc3\xa9");
  char text[400];
  for (size_t shift = 0; shift < 4; shift++) {
    memset(text, 'x', shift);
    for (size_t i = shift; i + 3 < sizeof text; i += 3) {
      memcpy(text + i, "\xe2\x82\xac", 4);
    }
    ee_fault_set(&fault, EE_REASON_truncated, 0, "%s", text);
    assert_true(strlen(fault.detail) == sizeof fault.detail - 1);
    assert_true(ee_utf8_valid(fault.detail, strlen(fault.detail)));
    for (int i = 0; i < 40; i++) {
      ee_fault_in_key(&fault, ee_str(text));
      assert_true(ee_utf8_valid(fault.detail, strlen(fault.detail)));
      assert_true(strlen(fault.detail) < sizeof fault.detail);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(names_are_those_of_the_contract),
      cmocka_unit_test(a_fault_may_be_unwanted),
      cmocka_unit_test(the_path_grows_from_its_end),
      cmocka_unit_test(details_are_valid_utf8_on_one_line),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
