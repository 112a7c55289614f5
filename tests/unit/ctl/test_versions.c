// SPDX-License-Identifier: Apache-2.0
// Which version of the policy holds when.
#include "tools/envelopectl/versions.h"

#include <stdlib.h>

#include "tests/support/chaos.h"
#include "tests/support/own_plan.h"
#include "tests/support/test.h"

#define S INT64_C(1000000)

static struct ee_versions versions;
static const struct ee_policy builtin = {.name = EE_STR_INIT("built-in")};

static int set_up(void **state) {
  (void)state;
  struct ee_err err;
  ee_versions_init(&versions, 10000);
  return !ee_versions_builtin(&versions, &builtin, &err);
}

static int tear_down(void **state) {
  (void)state;
  ee_versions_release(&versions);
  return 0;
}

// The bytes are thrown away afterwards, as those of a Kafka message are.
static bool add(int64_t offset, int64_t appended, int64_t from, struct ee_err *err) {
  struct ee_policy policy = {.name = EE_STR("p"), .effective_from = {from != 0, from}};
  struct ee_buf avro;
  struct ee_fault fault;
  ee_buf_init(&avro, 4096);
  ee_encode(&ee_policy_type, &policy, &avro);
  bool ok = !avro.failed && ee_versions_add(&versions, offset, appended, own_plan(&ee_policy_type),
                                            ee_buf_bytes(&avro), &fault, err);
  if (!avro.failed) memset(avro.data, 0, avro.size);
  ee_buf_release(&avro);
  return ok;
}

static void must_add(int64_t offset, int64_t appended, int64_t from) {
  struct ee_err err;
  assert_true(add(offset, appended, from, &err));
}

static void assert_in_force(int64_t at, int64_t number) {
  const struct ee_version *version = ee_versions_in_force(&versions, at);
  assert_non_null(version);
  assert_int_equal(version->number, number);
}

static void the_built_in_one_holds_first(void **state) {
  (void)state;
  assert_in_force(INT64_MIN, 0);
  assert_in_force(INT64_MAX, 0);
}

static void a_version_holds_after_the_margin(void **state) {
  (void)state;
  must_add(0, 100 * S, 0);
  assert_in_force(110 * S - 1, 0);
  assert_in_force(110 * S, 1);
}

static void it_may_ask_for_later_but_not_for_sooner(void **state) {
  (void)state;
  must_add(0, 100 * S, 50 * S);
  must_add(1, 100 * S, 200 * S);
  assert_in_force(110 * S - 1, 0);
  assert_in_force(110 * S, 1);
  assert_in_force(200 * S - 1, 1);
  assert_in_force(200 * S, 2);
}

// A later version that is effective at once stands over an earlier one that waits.
static void the_last_effective_one_holds(void **state) {
  (void)state;
  must_add(0, 100 * S, 300 * S);
  must_add(4, 110 * S, 0);
  assert_in_force(120 * S, 5);
  assert_in_force(300 * S, 5);
}

static void one_that_cannot_be_read_never_holds(void **state) {
  (void)state;
  struct ee_err err;
  struct ee_fault fault;
  must_add(0, 100 * S, 0);
  assert_true(ee_versions_add(&versions, 1, 100 * S, own_plan(&ee_policy_type), ee_bytes("\x02", 1),
                              &fault, &err));
  ee_fault_set(&fault, EE_REASON_unknown_framing, 0, "no frame");
  assert_true(ee_versions_add(&versions, 2, 100 * S, NULL, ee_bytes(NULL, 0), &fault, &err));
  assert_in_force(INT64_MAX, 1);
  struct ee_buf out;
  ee_buf_init(&out, 65536);
  ee_versions_print(&versions, 200 * S, false, &out);
  ee_buf_byte(&out, 0);
  assert_non_null(strstr((char *)out.data, "unknown_framing: no frame"));
  assert_non_null(strstr((char *)out.data, "truncated"));
  ee_buf_release(&out);
}

static void they_are_printed_as_lines(void **state) {
  (void)state;
  struct ee_buf out;
  must_add(0, 100 * S, 0);
  ee_buf_init(&out, 65536);
  ee_versions_print(&versions, 109 * S, true, &out);
  ee_buf_byte(&out, 0);
  assert_string_equal(
      (char *)out.data,
      "{\"version\":0,\"in_force\":true,\"policy\":{\"name\":\"built-in\","
      "\"rules\":[]}}\n"
      "{\"version\":1,\"in_force\":false,\"effective\":"
      "\"1970-01-01T00:01:50.000000Z\",\"policy\":{\"name\":\"p\",\"rules\":[]}}\n");
  ee_buf_release(&out);
}

static void people_see_a_table_and_the_rules(void **state) {
  (void)state;
  struct ee_buf out;
  must_add(0, 100 * S, 0);
  ee_buf_init(&out, 65536);
  ee_versions_print(&versions, 109 * S, false, &out);
  ee_buf_byte(&out, 0);
  assert_string_equal((char *)out.data,
                      "VERSION  TAKES EFFECT                 RULES  NAME\n"
                      "      0  always                           0  built-in  <- in force now\n"
                      "      1  1970-01-01T00:01:50.000000Z      0  p  (not yet)\n"
                      "\n{\n  \"name\": \"built-in\",\n  \"rules\": []\n}\n");
  ee_buf_release(&out);
}

static void memory_that_is_out_is_an_error(void **state) {
  (void)state;
  struct ee_err err;
  own_plan(&ee_policy_type);
  bool failed = true;
  for (size_t n = 0; failed; n++) {
    size_t before = versions.count;
    ee_chaos_fail_after(n);
    bool ok = add(7, 100 * S, 0, &err);
    failed = ee_chaos_stop();
    assert_int_equal(ok, !failed);
    assert_int_equal(versions.count, before + ok);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(the_built_in_one_holds_first, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_version_holds_after_the_margin, set_up, tear_down),
      cmocka_unit_test_setup_teardown(it_may_ask_for_later_but_not_for_sooner, set_up, tear_down),
      cmocka_unit_test_setup_teardown(the_last_effective_one_holds, set_up, tear_down),
      cmocka_unit_test_setup_teardown(one_that_cannot_be_read_never_holds, set_up, tear_down),
      cmocka_unit_test_setup_teardown(they_are_printed_as_lines, set_up, tear_down),
      cmocka_unit_test_setup_teardown(people_see_a_table_and_the_rules, set_up, tear_down),
      cmocka_unit_test_setup_teardown(memory_that_is_out_is_an_error, set_up, tear_down),
  };
  return cmocka_run_group_tests_name("ctl/versions", tests, NULL, NULL);
}
