// SPDX-License-Identifier: Apache-2.0
// Policy files: a table of good and bad ones with what is said of them, which
// tests/system/test_policy_schema.py puts before the JSON Schema too; bounds; memory.
#include "contract/policy_file.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/file.h"
#include "contract/json.h"
#include "contract/record.h"
#include "tests/support/chaos.h"
#include "tests/support/test.h"

#define ARENA_MAX ((size_t)16 << 20)

// Reads a file as a policy; what is said when it is refused, else "".
static const char *judge(struct ee_str text) {
  static struct ee_err err;
  struct ee_arena arena;
  struct ee_policy policy;
  err.text[0] = '\0';
  ee_arena_init(&arena, ARENA_MAX);
  bool good = ee_policy_file_read(text, &arena, &policy, &err);
  assert_int_equal(good, err.text[0] == '\0');
  assert_int_equal(ee_policy_file_read(text, &arena, &policy, NULL), good);
  if (good) assert_true(ee_check_record(&ee_policy_type, &policy, NULL));
  ee_arena_release(&arena);
  return err.text;
}

// Where the text is not JSON, the words after the place are jansson's.
static bool is_said(const char *said, const char *error, bool whole) {
  if (error == NULL) return said[0] == '\0';
  return strncmp(said, error, strlen(error)) == 0 && (!whole || said[strlen(error)] == '\0');
}

static void test_table(void **state) {
  (void)state;
  json_t *table = json_load_file("tests/unit/contract/policies.json", 0, NULL);
  assert_true(json_array_size(table) > 60);
  for (size_t i = 0; i < json_array_size(table); i++) {
    const json_t *row = json_array_get(table, i), *policy = json_object_get(row, "policy");
    const char *error = json_string_value(json_object_get(row, "error"));
    char *text = policy == NULL ? strdup(json_string_value(json_object_get(row, "text")))
                                : json_dumps(policy, 0);
    assert_non_null(text);
    const char *said = judge(ee_str(text));
    if (!is_said(said, error, policy != NULL)) {
      fail_msg("%s\n  is said: %s\n  wanted:  %s", text, said, error == NULL ? "nothing" : error);
    }
    free(text);
  }
  json_decref(table);
}

static void test_example(void **state) {
  (void)state;
  struct ee_buf text;
  struct ee_arena arena;
  struct ee_policy policy;
  struct ee_err err = {""};
  ee_buf_init(&text, EE_POLICY_FILE_MAX);
  ee_arena_init(&arena, ARENA_MAX);
  assert_true(ee_file_read("examples/policy.json", &text, &err));
  assert_true(ee_policy_file_read(ee_buf_view(&text), &arena, &policy, &err));
  ee_buf_release(&text);  // nothing is borrowed from it
  assert_true(ee_str_equal(policy.name, EE_STR("acme-handling")));
  assert_int_equal(policy.rules.count, 6);
  assert_int_equal(policy.effective_from.value, INT64_C(1780272000000000));
  const struct ee_policy_rule *rule = &policy.rules.items[4];
  assert_int_equal(rule->match.kinds.items[1], EE_EXECUTION_KIND_AGENT_RUN);
  assert_true(ee_str_equal(rule->match.hints.entries[0].value, EE_STR("*")));
  assert_int_equal(rule->obligations.items[1].obligation, EE_OBLIGATION_KIND_NOTIFICATION);
  assert_int_equal(rule->obligations.items[1].due_after_ms.value, 3600000);
  ee_arena_release(&arena);
}

// What is read prints as a file that reads as the same.
static void test_printed_form_is_a_policy_file(void **state) {
  (void)state;
  struct ee_buf text, printed;
  struct ee_arena arena;
  struct ee_policy policy, again;
  ee_buf_init(&text, EE_POLICY_FILE_MAX);
  ee_buf_init(&printed, EE_POLICY_FILE_MAX);
  ee_arena_init(&arena, ARENA_MAX);
  assert_true(ee_file_read("examples/policy.json", &text, NULL));
  assert_true(ee_policy_file_read(ee_buf_view(&text), &arena, &policy, NULL));
  ee_json_write(&ee_policy_type, &policy, NULL, &printed);
  assert_true(ee_policy_file_read(ee_buf_view(&printed), &arena, &again, NULL));
  assert_true(ee_equal(&ee_policy_type, &policy, &again, NULL));
  ee_buf_release(&text);
  ee_buf_release(&printed);
  ee_arena_release(&arena);
}

// ---- Bounds.

static void rules_of(struct ee_buf *out, size_t count, const char *more) {
  ee_buf_clear(out);
  ee_buf_text(out, "{\"name\":\"p\",\"rules\":[");
  for (size_t i = 0; i < count; i++) {
    ee_buf_printf(out, "%s{\"name\":\"%zu\",\"match\":{}%s}", i == 0 ? "" : ",", i, more);
  }
  ee_buf_text(out, "]}");
  assert_false(out->failed);
}

static void test_bounds(void **state) {
  (void)state;
  struct ee_buf out;
  ee_buf_init(&out, EE_POLICY_FILE_MAX + 10);
  rules_of(&out, EE_POLICY_RULES_MAX, "");
  assert_string_equal(judge(ee_buf_view(&out)), "");
  rules_of(&out, EE_POLICY_RULES_MAX + 1, "");
  assert_string_equal(judge(ee_buf_view(&out)), "rules: 1025 of them; at most 1024 are allowed");
  static const char one[] = ",\"obligations\":[{\"name\":\"a\",\"obligation\":\"other\"}]";
  rules_of(&out, EE_POLICY_OBLIGATIONS_MAX, one);
  assert_string_equal(judge(ee_buf_view(&out)), "");
  rules_of(&out, EE_POLICY_OBLIGATIONS_MAX + 1, one);
  assert_string_equal(judge(ee_buf_view(&out)),
                      "rules[256].obligations: more than 256 obligations in all rules");
  static const char four[] = ",\"redact\":[\"scope\",\"code\",\"stage\",\"code\"]";
  static const char five[] = ",\"redact\":[\"scope\",\"code\",\"stage\",\"code\",\"code\"]";
  rules_of(&out, EE_POLICY_REDACTIONS_MAX / 4, four);
  assert_string_equal(judge(ee_buf_view(&out)), "");
  rules_of(&out, (EE_POLICY_REDACTIONS_MAX + 1) / 5, five);
  assert_string_equal(judge(ee_buf_view(&out)),
                      "rules[204].redact: more than 1024 paths in all rules");
  rules_of(&out, 0, "");
  while (out.size < EE_POLICY_FILE_MAX && !out.failed)
    ee_buf_byte(&out, ' ');
  assert_string_equal(judge(ee_buf_view(&out)), "");
  ee_buf_byte(&out, ' ');
  assert_string_equal(judge(ee_buf_view(&out)),
                      "a policy of 524289 bytes; at most 524288 are allowed");
  ee_buf_release(&out);
}

static void test_foreign_bytes(void **state) {
  (void)state;
  assert_string_equal(judge((struct ee_str){.data = NULL}), "the policy is empty");
  assert_non_null(strstr(judge(EE_STR("{\"name\":\"\xff\",\"rules\":[]}")), "line 1, column 9: "));
  assert_non_null(strstr(judge(EE_STR("{\"name\":\"a\\u0000\",\"rules\":[]}")), "\\u0000"));
  assert_non_null(strstr(judge(EE_STR("{\"name\":\"a\0\",\"rules\":[]}")), "line 1, column"));
  char deep[5000];
  memset(deep, '[', sizeof deep);
  assert_non_null(strstr(judge((struct ee_str){deep, sizeof deep}), "maximum parsing depth"));
  // A long symbol is cut, and the symbols that there are still listed.
  char text[600];
  snprintf(text, sizeof text,
           "{\"name\":\"p\",\"rules\":[{\"name\":\"r\",\"match\":{},\"disclosure\":\"%0300d\"}]}",
           7);
  assert_non_null(strstr(judge(ee_str(text)), "AuditLevel: minimal, standard, full"));
}

// ---- Memory.

static void test_each_allocation_fails(void **state) {
  (void)state;
  struct ee_buf text;
  ee_buf_init(&text, EE_POLICY_FILE_MAX);
  assert_true(ee_file_read("examples/policy.json", &text, NULL));
  bool failed = true;
  size_t failures = 0;
  for (size_t n = 0; failed; n++) {
    struct ee_arena arena;
    struct ee_policy policy;
    struct ee_err err = {""};
    ee_arena_init(&arena, ARENA_MAX);
    ee_chaos_fail_after(n);
    bool good = ee_policy_file_read(ee_buf_view(&text), &arena, &policy, &err);
    failed = ee_chaos_stop();
    failures += failed;
    assert_int_equal(good, !failed);
    assert_int_equal(good, err.text[0] == '\0');
    ee_arena_release(&arena);
  }
  assert_true(failures >= 1);
  ee_buf_release(&text);
}

static void test_each_arena_is_full(void **state) {
  (void)state;
  struct ee_buf text;
  ee_buf_init(&text, EE_POLICY_FILE_MAX);
  assert_true(ee_file_read("examples/policy.json", &text, NULL));
  bool good = false;
  for (size_t limit = 0; !good; limit += 64) {
    struct ee_arena arena;
    struct ee_policy policy;
    struct ee_err err = {""};
    ee_arena_init(&arena, limit);
    good = ee_policy_file_read(ee_buf_view(&text), &arena, &policy, &err);
    if (!good) assert_non_null(strstr(err.text, "no room for it"));
    ee_arena_release(&arena);
    assert_true(limit < ARENA_MAX);
  }
  ee_buf_release(&text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_table),
      cmocka_unit_test(test_example),
      cmocka_unit_test(test_printed_form_is_a_policy_file),
      cmocka_unit_test(test_bounds),
      cmocka_unit_test(test_foreign_bytes),
      cmocka_unit_test(test_each_allocation_fails),
      cmocka_unit_test(test_each_arena_is_full),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
