// SPDX-License-Identifier: Apache-2.0
// Refusals by the contract as callers see them: the result, the field, the text.
#include "client/mistake.h"

#include <stdio.h>

#include "tests/support/test.h"

static int mistake_of(enum ee_reason reason, const char *detail, struct envelope_error *error) {
  struct ee_fault fault = {.reason = reason};
  snprintf(fault.detail, sizeof fault.detail, "%s", detail);
  *error = (struct envelope_error){.column = 7};
  return ee_mistake_of_fault(error, &fault);
}

static void reasons_are_results(void **state) {
  (void)state;
  struct envelope_error error;
  for (int reason = 1; reason < EE_REASON_COUNT; reason++) {
    int result = mistake_of((enum ee_reason)reason, "x: y", &error);
    const char *name = ee_reason_name((enum ee_reason)reason);
    assert_true(result < 0);
    assert_int_equal(error.result, result);
    bool same = strcmp(envelope_result_name(result), name) == 0;
    // What only bytes can be refused for is no mistake that an event has a name for.
    assert_true(same || result == ENVELOPE_WRONG_SCHEMA);
    assert_true(!same || reason != EE_REASON_truncated);
  }
  static const int named[] = {EE_REASON_missing_field, EE_REASON_tenant_missing,
                              EE_REASON_oversized,     EE_REASON_invalid_utf8,
                              EE_REASON_bad_enum,      EE_REASON_extension_not_namespaced,
                              EE_REASON_duplicate_key, EE_REASON_too_deep};
  for (size_t i = 0; i < COUNT_OF(named); i++) {
    int result = mistake_of((enum ee_reason)named[i], "x: y", &error);
    assert_string_equal(envelope_result_name(result), ee_reason_name((enum ee_reason)named[i]));
  }
  assert_int_equal(mistake_of(EE_NO_MEMORY, "memory is out", &error), ENVELOPE_NO_MEMORY);
}

static void the_field_is_the_path(void **state) {
  (void)state;
  static const struct {
    const char *detail, *field;
  } cases[] = {{"tenant: must not be empty", "tenant"},
               {"requested.placement[zone]: not valid UTF-8", "requested.placement[zone]"},
               {"extensions[a: b]: the key", "extensions[a: b]"},
               {"extensions[a]b]: the key", "extensions[a]b]"},
               {"caller.authority_refs[12].kind: is required", "caller.authority_refs[12].kind"},
               {"not JSON: '[' expected", ""},
               {"not JSON: ']: ' expected", ""},
               {"not an object", ""},
               {"more than 32 levels of nesting", ""},
               {"[3]: is wrong", ""},
               {"extensions[cut sho", ""},
               {"", ""}};
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct envelope_error error;
    assert_int_equal(mistake_of(EE_REASON_wrong_schema, cases[i].detail, &error),
                     ENVELOPE_WRONG_SCHEMA);
    assert_string_equal(error.field, cases[i].field);
    assert_string_equal(error.text, cases[i].detail);
    assert_int_equal(error.column, 0);
  }
}

static void what_is_long_is_cut(void **state) {
  (void)state;
  char detail[256];
  struct envelope_error error;
  memset(detail, 'a', sizeof detail);
  memcpy(detail + 200, ": is", 5);
  mistake_of(EE_REASON_oversized, detail, &error);
  assert_int_equal(strlen(error.field), sizeof error.field - 1);
  assert_string_equal(error.text, detail);
  assert_int_equal(ee_mistake(NULL, ENVELOPE_FULL, NULL, "x"), ENVELOPE_FULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reasons_are_results),
      cmocka_unit_test(the_field_is_the_path),
      cmocka_unit_test(what_is_long_is_cut),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
