// SPDX-License-Identifier: Apache-2.0
// The small validator of JSON text against jansson, on texts that are right, nearly right
// and random.
#include <jansson.h>

#include "base/utf8.h"
#include "contract/value.h"
#include "tests/support/test.h"
#include "tests/unit/contract/random_record.h"

// False in *ret_judged where jansson stops at a limit of its own that JSON does not have:
// range of numbers, lone surrogates, NUL in keys.
static bool jansson_reads(struct ee_str text, bool *ret_judged) {
  json_error_t error;
  json_t *json = json_loadb(text.data, text.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
  bool read = json != NULL;
  json_decref(json);
  *ret_judged = read || (json_error_code(&error) != json_error_numeric_overflow &&
                         json_error_code(&error) != json_error_null_byte_in_key &&
                         strncmp(error.text, "invalid Unicode", 15) != 0);
  return read;
}

static void check(struct ee_str text) {
  char *exact = malloc(text.size == 0 ? 1 : text.size);
  assert_non_null(exact);
  memcpy(exact, text.data, text.size);
  struct ee_str copy = {.data = exact, .size = text.size};
  bool judged;
  bool ours = ee_json_text_valid(copy);
  bool theirs = jansson_reads(copy, &judged);
  if (judged && ours != theirs) {
    fail_msg("%s: %.*s", ours ? "accepted" : "refused", EE_STR_ARG(copy));
  }
  free(exact);
}

static const char *const seeds[] = {"0",
                                    "-0",
                                    "1",
                                    "-12.5e+10",
                                    "1E-3",
                                    "0.0",
                                    "true",
                                    "false",
                                    "null",
                                    "\"\"",
                                    "[]",
                                    "{}",
                                    "\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"",
                                    "\"\xc3\xa9\xe2\x82\xac\"",
                                    " [ 1 , [ ] , { } , \"x\" ] ",
                                    "{\"a\":1,\"b\":[true,{\"c\":null}]}\r\n\t",
                                    "[[[[[[1]]]]]]",
                                    "{\"\":{\"\":\"\"}}",
                                    "\"\\ud83d\\ude80\""};

static void right_texts_are_accepted(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(seeds); i++) {
    assert_true(ee_json_text_valid(ee_str(seeds[i])));
    check(ee_str(seeds[i]));
  }
}

static void wrong_texts_are_refused(void **state) {
  (void)state;
  static const char *const wrong[] = {"",
                                      " ",
                                      "-",
                                      "+1",
                                      "01",
                                      "1.",
                                      ".5",
                                      "1e",
                                      "1e+",
                                      "0x1",
                                      "--1",
                                      "tru",
                                      "True",
                                      "nulll",
                                      "NaN",
                                      "Infinity",
                                      "\"",
                                      "\"\\\"",
                                      "\"\\x\"",
                                      "\"\\u12\"",
                                      "\"\\u12g4\"",
                                      "\"\n\"",
                                      "\"\t\"",
                                      "[",
                                      "]",
                                      "[1",
                                      "[1,",
                                      "[1,]",
                                      "[,1]",
                                      "[1 2]",
                                      "{",
                                      "}",
                                      "{\"a\"}",
                                      "{\"a\":}",
                                      "{\"a\":1,}",
                                      "{,}",
                                      "{a:1}",
                                      "{1:1}",
                                      "{\"a\" 1}",
                                      "{\"a\":1 \"b\":2}",
                                      "[}",
                                      "{]",
                                      "1 2",
                                      "{}{}",
                                      "'a'",
                                      "/**/1",
                                      "\f1",
                                      "\"\\u",
                                      "\"\\"};
  for (size_t i = 0; i < COUNT_OF(wrong); i++) {
    if (ee_json_text_valid(ee_str(wrong[i]))) fail_msg("accepted: %s", wrong[i]);
    check(ee_str(wrong[i]));
  }
  assert_false(ee_json_text_valid((struct ee_str){.data = NULL}));
}

static void mutated_texts_are_judged_as_jansson_judges(void **state) {
  (void)state;
  static const char bytes[] = "{}[]\",:\\ 0123.eE+-truefalsn/u\n\x1f";
  struct random random = {.state = 9};
  size_t accepted = 0;
  for (int i = 0; i < 200000; i++) {
    char text[80];
    const char *seed = seeds[random_below(&random, COUNT_OF(seeds))];
    size_t size = strlen(seed);
    memcpy(text, seed, size);
    for (size_t n = random_below(&random, 4); n > 0; n--) {
      size_t at = random_below(&random, size + 1);
      char c = bytes[random_below(&random, sizeof bytes - 1)];
      if (random_below(&random, 2) == 0 && at < size) {
        text[at] = c;
      } else if (size < sizeof text) {
        memmove(text + at + 1, text + at, size - at);
        text[at] = c;
        size++;
      }
    }
    struct ee_str candidate = {.data = text, .size = size};
    if (!ee_utf8_valid(text, size)) continue;
    check(candidate);
    accepted += ee_json_text_valid(candidate);
  }
  assert_in_range(accepted, 10000, 190000);
}

static void depth_is_bounded(void **state) {
  (void)state;
  char text[2 * EE_SCHEMA_DEPTH_MAX + 2];
  for (int depth = EE_SCHEMA_DEPTH_MAX; depth <= EE_SCHEMA_DEPTH_MAX + 1; depth++) {
    memset(text, '[', (size_t)depth);
    memset(text + depth, ']', (size_t)depth);
    struct ee_str nested = {.data = text, .size = 2 * (size_t)depth};
    assert_int_equal(ee_json_text_valid(nested), depth == EE_SCHEMA_DEPTH_MAX);
  }
  char *endless = malloc(1 << 20);
  assert_non_null(endless);
  memset(endless, '[', 1 << 20);
  assert_false(ee_json_text_valid((struct ee_str){.data = endless, .size = 1 << 20}));
  free(endless);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(right_texts_are_accepted),
      cmocka_unit_test(wrong_texts_are_refused),
      cmocka_unit_test(mutated_texts_are_judged_as_jansson_judges),
      cmocka_unit_test(depth_is_bounded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
