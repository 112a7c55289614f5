// SPDX-License-Identifier: Apache-2.0
// base/buf: limits, failure that sticks, printf at every fill, JSON with jansson as oracle.
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "tests/support/chaos.h"
#include "tests/support/test.h"

static void test_append_keeps_order(void **state) {
  (void)state;
  struct ee_buf buf;
  ee_buf_init(&buf, 1 << 20);
  for (int i = 0; i < 100000; i++) {
    ee_buf_byte(&buf, (uint8_t)(i * 7));
  }
  assert_false(buf.failed);
  assert_int_equal(buf.size, 100000);
  for (int i = 0; i < 100000; i++) {
    assert_int_equal(buf.data[i], (uint8_t)(i * 7));
  }
  ee_buf_release(&buf);
  ee_buf_release(&buf);
  ee_buf_release(NULL);
}

static void test_limit_is_exact(void **state) {
  (void)state;
  for (size_t limit = 0; limit < 200; limit++) {
    struct ee_buf buf;
    ee_buf_init(&buf, limit);
    for (size_t i = 0; i < limit; i++) {
      ee_buf_byte(&buf, 'x');
    }
    assert_false(buf.failed);
    assert_int_equal(buf.size, limit);
    ee_buf_byte(&buf, 'x');
    assert_true(buf.failed);
    assert_int_equal(buf.size, limit);
    ee_buf_release(&buf);
  }
}

static void test_what_failed_is_told_apart(void **state) {
  (void)state;
  struct ee_buf buf;
  ee_buf_init(&buf, 1000);
  ee_chaos_fail_after(0);
  ee_buf_byte(&buf, 'x');
  assert_true(ee_chaos_stop());
  assert_true(buf.failed && !buf.over_limit);
  ee_buf_text(&buf, "more");  // a second failure is none
  ee_buf_printf(&buf, "%2000d", 1);
  assert_false(buf.over_limit);
  ee_buf_clear(&buf);
  ee_buf_json_string(&buf, EE_STR("\xff"));
  assert_true(buf.failed && !buf.over_limit);
  ee_buf_clear(&buf);
  ee_buf_printf(&buf, "%1001d", 1);
  assert_true(buf.failed && buf.over_limit);
  ee_buf_clear(&buf);
  assert_false(buf.failed || buf.over_limit);
  assert_null(ee_buf_reserve(&buf, SIZE_MAX));
  assert_true(buf.over_limit);
  ee_buf_release(&buf);
  assert_false(buf.over_limit);
}

static void test_failure_sticks_until_clear(void **state) {
  (void)state;
  struct ee_buf buf;
  ee_buf_init(&buf, 4);
  ee_buf_text(&buf, "ab");
  ee_buf_text(&buf, "cde");
  ee_buf_text(&buf, "f");
  ee_buf_printf(&buf, "%d", 1);
  assert_null(ee_buf_reserve(&buf, 0));
  assert_true(buf.failed);
  assert_true(ee_str_equal(ee_buf_view(&buf), EE_STR("ab")));
  ee_buf_clear(&buf);
  ee_buf_text(&buf, "abcd");
  assert_false(buf.failed);
  assert_true(ee_str_equal(ee_buf_view(&buf), EE_STR("abcd")));
  ee_buf_release(&buf);
}

static void test_empty_is_present(void **state) {
  (void)state;
  struct ee_buf buf;
  ee_buf_init(&buf, 0);
  assert_non_null(ee_buf_bytes(&buf).data);
  assert_non_null(ee_buf_reserve(&buf, 0));
  ee_buf_str(&buf, (struct ee_str){.data = NULL, .size = 0});
  ee_buf_append(&buf, NULL, 0);
  ee_buf_text(&buf, "");
  ee_buf_printf(&buf, "%s", "");
  assert_false(buf.failed);
  assert_int_equal(buf.size, 0);
  ee_buf_release(&buf);
}

static void test_huge_sizes_fail(void **state) {
  (void)state;
  struct ee_buf buf;
  ee_buf_init(&buf, SIZE_MAX);
  ee_buf_text(&buf, "abc");
  assert_null(ee_buf_reserve(&buf, SIZE_MAX));
  assert_true(buf.failed);
  ee_buf_clear(&buf);
  ee_buf_text(&buf, "abc");
  assert_null(ee_buf_reserve(&buf, SIZE_MAX - 3));
  assert_true(buf.failed);
  ee_buf_release(&buf);
}

// At every fill of the buffer and every length, including those that just fit.
static void test_printf_at_every_fill(void **state) {
  (void)state;
  char text[100];
  memset(text, 'p', sizeof text);
  for (size_t before = 0; before < 130; before++) {
    for (int length = 0; length < 100; length += 3) {
      struct ee_buf buf;
      ee_buf_init(&buf, before + (size_t)length);
      for (size_t i = 0; i < before; i++) {
        ee_buf_byte(&buf, 'x');
      }
      ee_buf_printf(&buf, "%.*s", length, text);
      assert_false(buf.failed);
      assert_int_equal(buf.size, before + (size_t)length);
      assert_memory_equal(buf.data + before, text, (size_t)length);
      ee_buf_printf(&buf, "%d", 1);
      assert_true(buf.failed);
      ee_buf_release(&buf);
    }
  }
}

static void assert_json_is(struct ee_str text) {
  struct ee_buf buf;
  ee_buf_init(&buf, 8 * text.size + 2);
  ee_buf_json_string(&buf, text);
  assert_false(buf.failed);
  json_t *read =
      json_loadb((const char *)buf.data, buf.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
  assert_non_null(read);
  assert_int_equal(json_string_length(read), text.size);
  assert_memory_equal(json_string_value(read), text.data, text.size);
  json_decref(read);
  ee_buf_release(&buf);
}

static void test_json_string_reads_back(void **state) {
  (void)state;
  for (int a = 0; a < 128; a++) {
    for (int b = 0; b < 128; b++) {
      char text[3] = {(char)a, (char)b, 'z'};
      assert_json_is((struct ee_str){.data = text, .size = sizeof text});
    }
  }
  assert_json_is(EE_STR(""));
  assert_json_is(EE_STR("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80 \\u0041 </script>\x7F"));
}

static void test_json_string_is_compact(void **state) {
  (void)state;
  struct ee_buf buf;
  ee_buf_init(&buf, 100);
  ee_buf_json_string(&buf, EE_STR("a\"b\\c/\b\f\n\r\t\x01\x1F\0\x7F\xC3\xA9"));
  assert_true(
      ee_str_equal(ee_buf_view(&buf),
                   EE_STR("\"a\\\"b\\\\c/\\b\\f\\n\\r\\t\\u0001\\u001f\\u0000\x7F\xC3\xA9\"")));
  ee_buf_release(&buf);
}

static void test_json_string_refuses_bad_utf8(void **state) {
  (void)state;
  static const struct ee_str bad[] = {EE_STR_INIT("\xFF"), EE_STR_INIT("ok\xC0\x80"),
                                      EE_STR_INIT("\xED\xA0\x80"), EE_STR_INIT("\xE2\x82")};
  for (size_t i = 0; i < COUNT_OF(bad); i++) {
    struct ee_buf buf;
    ee_buf_init(&buf, 100);
    ee_buf_json_string(&buf, bad[i]);
    assert_true(buf.failed);
    ee_buf_release(&buf);
  }
}

static void test_failing_allocations(void **state) {
  (void)state;
  bool failed = true;
  size_t failures = 0;
  for (size_t n = 0; failed; n++) {
    struct ee_buf buf;
    ee_buf_init(&buf, 1 << 16);
    ee_chaos_fail_after(n);
    for (int i = 0; i < 1000; i++) {
      ee_buf_printf(&buf, "%03d", i);
    }
    failed = ee_chaos_stop();
    assert_int_equal(buf.failed, failed);
    assert_int_equal(buf.size % 3, 0);
    if (!failed) assert_int_equal(buf.size, 3000);
    failures += failed;
    ee_buf_release(&buf);
  }
  assert_true(failures > 3);
}

static void test_decimal(void **state) {
  (void)state;
  static const int64_t values[] = {0, 1, -1, 9, 10, -10, 99999, INT64_MAX, INT64_MIN, INT32_MIN};
  for (size_t i = 0; i < COUNT_OF(values); i++) {
    struct ee_buf buf;
    char expected[24];
    ee_buf_init(&buf, 100);
    ee_buf_decimal(&buf, values[i]);
    snprintf(expected, sizeof expected, "%" PRId64, values[i]);
    assert_true(ee_str_equal(ee_buf_view(&buf), ee_str(expected)));
    ee_buf_release(&buf);
  }
}

static void test_memory_of_an_arena(void **state) {
  (void)state;
  struct ee_arena arena;
  ee_arena_init(&arena, 1 << 16);
  for (int round = 0; round < 3; round++) {
    struct ee_buf buf, other;
    ee_buf_init_in(&buf, &arena, 3000);
    ee_buf_init_in(&other, &arena, 3000);
    for (int i = 0; i < 1000; i++) {
      ee_buf_printf(&buf, "%03d", i);
      ee_buf_byte(&other, 'x');
    }
    assert_false(buf.failed);
    assert_int_equal(buf.size, 3000);
    assert_memory_equal(buf.data + 3 * 517, "517", 3);
    assert_int_equal(other.size, 1000);
    ee_buf_byte(&buf, 'x');
    assert_true(buf.failed);
    assert_true(buf.over_limit);
    ee_buf_release(&buf);  // allowed, and frees nothing
    assert_int_equal(other.data[999], 'x');
    ee_arena_clear(&arena);
  }
  struct ee_buf buf;
  ee_buf_init_in(&buf, &arena, 1 << 17);
  assert_null(ee_buf_reserve(&buf, 1 << 16));  // the arena's limit
  assert_true(buf.failed);
  ee_arena_release(&arena);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_append_keeps_order),
      cmocka_unit_test(test_limit_is_exact),
      cmocka_unit_test(test_what_failed_is_told_apart),
      cmocka_unit_test(test_failure_sticks_until_clear),
      cmocka_unit_test(test_empty_is_present),
      cmocka_unit_test(test_huge_sizes_fail),
      cmocka_unit_test(test_printf_at_every_fill),
      cmocka_unit_test(test_json_string_reads_back),
      cmocka_unit_test(test_json_string_is_compact),
      cmocka_unit_test(test_json_string_refuses_bad_utf8),
      cmocka_unit_test(test_decimal),
      cmocka_unit_test(test_memory_of_an_arena),
      cmocka_unit_test(test_failing_allocations),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
