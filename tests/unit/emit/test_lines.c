// SPDX-License-Identifier: Apache-2.0
// Lines out of chunks: however the bytes are cut, the lines and their numbers are the same.
#include "emit/lines.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/support/chaos.h"
#include "tests/support/test.h"

#define MOST 8
#define CHUNK 64

// Writes what comes out as "1:text|2!|": ! is a line that is too long.
static void drain(struct ee_lines *lines, struct ee_buf *out) {
  for (;;) {
    struct ee_str line = {.data = NULL};
    switch (ee_lines_next(lines, &line)) {
      case EE_LINES_MORE:
        return;
      case EE_LINES_TOO_LONG:
        ee_buf_printf(out, "%d!|", (int)lines->number);
        break;
      case EE_LINES_LINE:
        ee_buf_printf(out, "%d:%.*s|", (int)lines->number, EE_STR_ARG(line));
    }
  }
}

static void feed(struct ee_lines *lines, const char *text, size_t size, size_t step,
                 struct ee_buf *out) {
  for (size_t at = 0; at < size; at += step) {
    size_t part = size - at < step ? size - at : step;
    assert_true(ee_lines_feed(lines, text + at, part));
    drain(lines, out);
  }
  ee_lines_end(lines);
  drain(lines, out);
}

static void check(const char *text, size_t step, const char *wanted) {
  struct ee_lines lines;
  struct ee_buf out;
  ee_lines_init(&lines, MOST, CHUNK);
  ee_buf_init(&out, 4096);
  feed(&lines, text, strlen(text), step, &out);
  ee_buf_byte(&out, 0);
  if (strcmp((char *)out.data, wanted) != 0) fail_msg("\"%s\" by %zu: %s", text, step, out.data);
  ee_buf_release(&out);
  ee_lines_release(&lines);
}

static void lines_are_the_same_however_cut(void **state) {
  (void)state;
  static const struct {
    const char *text, *wanted;
  } rows[] = {
      {"", ""},
      {"\n", "1:|"},
      {"a", "1:a|"},
      {"a\n", "1:a|"},
      {"a\nbc\n\nd", "1:a|2:bc|3:|4:d|"},
      {"12345678\nx", "1:12345678|2:x|"},
      {"123456789\nx", "1!|2:x|"},
      {"12345678", "1:12345678|"},
      {"123456789", "1!|"},
      {"a\n0123456789012345678901234567890\nb\n", "1:a|2!|3:b|"},
      {"0123456789012345678901234567890", "1!|"},
      {"0123456789\n0123456789\n0123456789", "1!|2!|3!|"},
      {"0123456789\n\nz", "1!|2:|3:z|"},
  };
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    for (size_t step = 1; step <= CHUNK; step++)
      check(rows[i].text, step, rows[i].wanted);
  }
}

static void any_bytes_may_be_in_a_line(void **state) {
  (void)state;
  struct ee_lines lines;
  struct ee_str line;
  ee_lines_init(&lines, MOST, CHUNK);
  assert_true(ee_lines_feed(&lines, "a\0b\xff\r\nc\n", 8));
  assert_int_equal(ee_lines_next(&lines, &line), EE_LINES_LINE);
  assert_int_equal(line.size, 5);
  assert_memory_equal(line.data, "a\0b\xff\r", 5);
  assert_int_equal(ee_lines_next(&lines, &line), EE_LINES_LINE);
  assert_int_equal(ee_lines_next(&lines, &line), EE_LINES_MORE);
  ee_lines_release(&lines);
}

// A stream without a newline is held to its bound.
static void memory_is_bounded(void **state) {
  (void)state;
  struct ee_lines lines;
  struct ee_str line;
  char chunk[CHUNK];
  memset(chunk, 'x', sizeof chunk);
  ee_lines_init(&lines, MOST, CHUNK);
  int too_long = 0;
  for (int i = 0; i < 10000; i++) {
    assert_true(ee_lines_feed(&lines, chunk, sizeof chunk));
    while (ee_lines_next(&lines, &line) != EE_LINES_MORE)
      too_long++;
    assert_true(lines.buf.size <= MOST + 1 + CHUNK);
  }
  assert_int_equal(too_long, 1);
  assert_int_equal(lines.number, 1);
  ee_lines_release(&lines);
}

static void memory_that_is_out_is_said(void **state) {
  (void)state;
  struct ee_lines lines;
  ee_lines_init(&lines, MOST, CHUNK);
  ee_chaos_fail_after(0);
  assert_false(ee_lines_feed(&lines, "a\n", 2));
  assert_true(ee_chaos_stop());
  ee_lines_release(&lines);
}

static void blank_lines_hold_nothing(void **state) {
  (void)state;
  assert_true(ee_line_is_blank(EE_STR("")));
  assert_true(ee_line_is_blank(EE_STR(" \t \r")));
  assert_false(ee_line_is_blank(EE_STR(" x")));
  assert_false(ee_line_is_blank((struct ee_str){" \0", 2}));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lines_are_the_same_however_cut),
      cmocka_unit_test(any_bytes_may_be_in_a_line),
      cmocka_unit_test(memory_is_bounded),
      cmocka_unit_test(memory_that_is_out_is_said),
      cmocka_unit_test(blank_lines_hold_nothing),
  };
  return cmocka_run_group_tests_name("emit/lines", tests, NULL, NULL);
}
