// SPDX-License-Identifier: Apache-2.0
// base/log: every line is one JSON object, whatever goes in and wherever it is cut.
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/time.h"
#include "tests/support/test.h"

static const struct ee_log_head head = {
    .time = "2026-05-08T12:00:00.000000Z", .level = EE_WARN, .program = "envelope-join"};

static json_t *read_line(const char *line, size_t size) {
  assert_true(size > 2 && size <= EE_LOG_LINE_MAX);
  assert_ptr_equal(memchr(line, '\n', size), line + size - 1);
  json_error_t error;
  json_t *object = json_loadb(line, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
  if (object == NULL) fail_msg("%s: %.200s", error.text, line);
  return object;
}

static void test_one_line(void **state) {
  (void)state;
  char out[EE_LOG_LINE_MAX];
  size_t size = ee_log_line(&head, "partition waits",
                            EE_LOG_WITH(EE_LOG_S("topic", EE_STR("a\"b")), EE_LOG_I("partition", 3),
                                        EE_LOG_I("least", INT64_MIN), EE_LOG_B("yes", true),
                                        EE_LOG_B("no", false), EE_LOG_S("absent", ee_str(NULL))),
                            out);
  assert_true(ee_str_equal(
      (struct ee_str){.data = out, .size = size},
      EE_STR("{\"time\":\"2026-05-08T12:00:00.000000Z\",\"level\":\"warn\","
             "\"program\":\"envelope-join\",\"message\":\"partition waits\",\"topic\":\"a\\\"b\","
             "\"partition\":3,\"least\":-9223372036854775808,\"yes\":true,\"no\":false,"
             "\"absent\":null}\n")));
}

static void assert_text(struct ee_str text, struct ee_str expected) {
  char out[EE_LOG_LINE_MAX];
  size_t size = ee_log_line(&head, "m", EE_LOG_WITH(EE_LOG_S("text", text)), out);
  json_t *line = read_line(out, size);
  const json_t *member = json_object_get(line, "text");
  assert_int_equal(json_string_length(member), expected.size);
  assert_memory_equal(json_string_value(member), expected.data, expected.size);
  json_decref(line);
}

static void test_hostile_texts(void **state) {
  (void)state;
  for (int a = 0; a < 128; a++) {
    char text[2] = {(char)a, 'z'};
    struct ee_str s = {.data = text, .size = 2};
    assert_text(s, s);
  }
  assert_text(EE_STR("a\xFF\xE2\x82z"), EE_STR("a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz"));
  assert_text(EE_STR("\xF0\x9F\x98\x80"), EE_STR("\xF0\x9F\x98\x80"));
  assert_text(EE_STR("\xED\xA0\x80"), EE_STR("\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"));
}

// Texts of every length around the limit, of characters that take 1, 2, 3, 4 and 6 bytes,
// and a member behind them: always a whole object, marked when something is not there.
static void assert_cut(const char *character, size_t length) {
  char text[EE_LOG_LINE_MAX + 8];
  char out[EE_LOG_LINE_MAX];
  size_t size = strlen(character);
  for (size_t i = 0; i < length; i++) {
    text[i] = character[i % size];
  }
  size_t written = ee_log_line(
      &head, "m",
      EE_LOG_WITH(EE_LOG_S("text", ((struct ee_str){.data = text, .size = length / size * size})),
                  EE_LOG_S("after", EE_STR("a text that is longer than what is kept free"))),
      out);
  json_t *line = read_line(out, written);
  const json_t *kept = json_object_get(line, "text");
  bool whole = json_string_length(kept) == length / size * size;
  bool after = json_string_length(json_object_get(line, "after")) == 44;
  assert_true((json_object_get(line, "cut") == NULL) == (whole && after));
  if (!whole) assert_null(json_object_get(line, "after"));
  if (!whole) assert_true(written + 32 > EE_LOG_LINE_MAX);
  assert_memory_equal(json_string_value(kept), text, json_string_length(kept));
  json_decref(line);
}

static void test_cut_anywhere(void **state) {
  (void)state;
  static const char *const characters[] = {
      "x", "\"", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\x01"};
  static const size_t width[] = {1, 2, 1, 1, 1, 6};
  for (size_t c = 0; c < COUNT_OF(characters); c++) {
    size_t around = EE_LOG_LINE_MAX / width[c];
    for (size_t length = around - 300 / width[c]; length <= around; length++) {
      assert_cut(characters[c], length);
    }
  }
}

static void test_many_members(void **state) {
  (void)state;
  static struct ee_log_member members[2000];
  static char names[COUNT_OF(members)][16];
  for (size_t i = 0; i + 1 < COUNT_OF(members); i++) {
    snprintf(names[i], sizeof names[i], "member%zu", i);
    members[i] = EE_LOG_I(names[i], INT64_MAX);
  }
  for (size_t longer = 0; longer < 40; longer++) {
    char message[41] = "";
    char out[EE_LOG_LINE_MAX];
    memset(message, 'm', longer);
    size_t size = ee_log_line(&head, message, members, out);
    json_t *line = read_line(out, size);
    assert_true(json_is_true(json_object_get(line, "cut")));
    assert_true(size + 64 > EE_LOG_LINE_MAX);
    json_decref(line);
  }
}

// Runs ee_log with standard error on a pipe, and gives what came out.
static size_t logged(enum ee_level level, const char *message, char *out, size_t room) {
  int ends[2];
  int kept = dup(STDERR_FILENO);
  assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
  dup2(ends[1], STDERR_FILENO);
  errno = ENOENT;
  ee_log(level, message, NULL);
  assert_int_equal(errno, ENOENT);
  dup2(kept, STDERR_FILENO);
  ssize_t size = read(ends[0], out, room);
  close(ends[0]);
  close(ends[1]);
  close(kept);
  return size < 0 ? 0 : (size_t)size;
}

static void test_writes_to_standard_error(void **state) {
  (void)state;
  char out[EE_LOG_LINE_MAX];
  ee_log_setup("envelope-test", "i-1", EE_WARN);
  assert_int_equal(logged(EE_INFO, "quiet", out, sizeof out), 0);
  assert_true(logged(EE_WARN, "heard", out, sizeof out) > 0);
  size_t size = logged(EE_ERROR, "loud", out, sizeof out);
  json_t *line = read_line(out, size);
  int64_t time = 0;
  assert_true(ee_time_parse(ee_str(json_string_value(json_object_get(line, "time"))), &time));
  assert_string_equal(json_string_value(json_object_get(line, "level")), "error");
  assert_string_equal(json_string_value(json_object_get(line, "program")), "envelope-test");
  assert_string_equal(json_string_value(json_object_get(line, "instance")), "i-1");
  assert_string_equal(json_string_value(json_object_get(line, "message")), "loud");
  assert_int_equal(json_object_size(line), 5);
  json_decref(line);
}

static void test_without_standard_error(void **state) {
  (void)state;
  int kept = dup(STDERR_FILENO);
  close(STDERR_FILENO);
  errno = ENOENT;
  ee_log(EE_ERROR, "lost", NULL);
  int error = errno;
  dup2(kept, STDERR_FILENO);
  close(kept);
  assert_int_equal(error, ENOENT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_one_line),
      cmocka_unit_test(test_hostile_texts),
      cmocka_unit_test(test_cut_anywhere),
      cmocka_unit_test(test_many_members),
      cmocka_unit_test(test_writes_to_standard_error),
      cmocka_unit_test(test_without_standard_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
