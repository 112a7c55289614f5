// SPDX-License-Identifier: Apache-2.0
// base/err: one line, cut visibly and between characters, prefixes, self-reference.
#include "base/err.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "tests/support/test.h"

static void test_sets_and_returns_false(void **state) {
  (void)state;
  struct ee_err err;
  assert_false(ee_err_set(&err, "%s: %d", "topic", 7));
  assert_string_equal(err.text, "topic: 7");
  assert_false(ee_err_set(NULL, "%d", 1));
  assert_false(ee_err_prefix(NULL, "%d", 1));
}

static void test_prefix(void **state) {
  (void)state;
  struct ee_err err;
  ee_err_set(&err, "c");
  assert_false(ee_err_prefix(&err, "%s", "b"));
  ee_err_prefix(&err, "a%d", 1);
  assert_string_equal(err.text, "a1: b: c");
}

static void test_arguments_may_be_the_old_text(void **state) {
  (void)state;
  struct ee_err err;
  ee_err_set(&err, "inner");
  ee_err_set(&err, "outer (%s)", err.text);
  assert_string_equal(err.text, "outer (inner)");
  ee_err_prefix(&err, "again (%s)", err.text);
  assert_string_equal(err.text, "again (outer (inner)): outer (inner)");
}

static void test_is_one_line(void **state) {
  (void)state;
  struct ee_err err;
  ee_err_set(&err, "%s", "a\nb\r\x1B[31mc\x7F\td\xC3\xA9");
  assert_string_equal(err.text, "a b  [31mc  d\xC3\xA9");
}

// Every length around the limit, in characters of one to four bytes.
static void test_cut_keeps_whole_characters(void **state) {
  (void)state;
  static const char *const characters[] = {"x", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};
  for (size_t c = 0; c < COUNT_OF(characters); c++) {
    for (size_t lead = 0; lead < 8; lead++) {
      char text[EE_ERR_MAX + 64] = "";
      size_t size = strlen(characters[c]);
      size_t length = lead;
      memset(text, 'y', lead);
      while (length + size < sizeof text) {
        memcpy(text + length, characters[c], size);
        length += size;
        text[length] = '\0';
        struct ee_err err;
        ee_err_set(&err, "%s", text);
        assert_true(ee_utf8_valid(err.text, strlen(err.text)));
        if (length < EE_ERR_MAX) {
          assert_string_equal(err.text, text);
          continue;
        }
        size_t kept = strlen(err.text) - 3;
        assert_string_equal(err.text + kept, "...");
        assert_memory_equal(err.text, text, kept);
        assert_true(kept + 3 + size >= EE_ERR_MAX - 1);
      }
    }
  }
}

static void test_long_prefix_is_cut_too(void **state) {
  (void)state;
  struct ee_err err;
  ee_err_set(&err, "%0*d", EE_ERR_MAX - 10, 0);
  ee_err_prefix(&err, "%s", "a long prefix");
  assert_int_equal(strlen(err.text), EE_ERR_MAX - 1);
  assert_string_equal(err.text + EE_ERR_MAX - 5, "0...");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sets_and_returns_false),
      cmocka_unit_test(test_prefix),
      cmocka_unit_test(test_arguments_may_be_the_old_text),
      cmocka_unit_test(test_is_one_line),
      cmocka_unit_test(test_cut_keeps_whole_characters),
      cmocka_unit_test(test_long_prefix_is_cut_too),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
