// SPDX-License-Identifier: Apache-2.0
// Bookmarks as text, which outlives builds.
#include "stream/bookmark.h"
#include "support/test.h"

static void assert_same(const struct ee_bookmark *a, const struct ee_bookmark *b) {
  assert_int_equal(a->last.offset, b->last.offset);
  assert_int_equal(a->last.timestamp_ms, b->last.timestamp_ms);
  assert_int_equal(a->inputs, b->inputs);
  for (size_t i = 0; i < EE_CHANGELOGS_MAX; i++)
    assert_int_equal(a->ends[i], b->ends[i]);
}

static void test_parses_what_it_prints(void **state) {
  (void)state;
  const struct ee_bookmark bookmarks[] = {
      {.last = {41, 1780000000000}, .inputs = 0x101, .ends = {7, 9}},
      {.last = {EE_OFFSET_NONE, 0}},
      {.last = {INT64_MIN, INT64_MIN},
       .inputs = UINT32_MAX,
       .ends = {INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN}},
  };
  for (size_t i = 0; i < COUNT_OF(bookmarks); i++) {
    char text[EE_OFFSET_METADATA_SIZE];
    struct ee_bookmark read;
    ee_bookmark_print(&bookmarks[i], text);
    assert_true(ee_bookmark_parse(text, &read));
    assert_same(&read, &bookmarks[i]);
  }
}

// Committed offsets outlive builds: the text is a format. Version 1.
static void test_text(void **state) {
  (void)state;
  struct ee_bookmark bookmark = {.last = {41, 1780000000000}, .inputs = 257, .ends = {7, 9}};
  char text[EE_OFFSET_METADATA_SIZE];
  ee_bookmark_print(&bookmark, text);
  assert_string_equal(text, "1 41 1780000000000 257 7 9 0 0");
  // Its bits are numbers of topics.
  assert_int_equal(EE_TOPIC_ADMISSION, 0);
  assert_int_equal(EE_TOPIC_ANNOTATION, 5);
  assert_int_equal(EE_TOPIC_PRODUCER, 6);
  assert_int_equal(EE_TOPIC_OBLIGATION, 7);
  assert_int_equal(EE_TOPIC_TICK, 8);
}

static void test_refuses_what_others_wrote(void **state) {
  (void)state;
  const char *const texts[] = {
      "",
      " ",
      "by hand",
      "1",
      "1 2 3 4 5",
      "1 2 3 4 5 6 7",
      "1 2 3 4 5 6 7 8 ",
      "1 2 3 4 5 6 7 8 9",
      "2 2 3 4 5 6 7 8",
      "1  2 3 4 5 6 7 8",
      " 1 2 3 4 5 6 7 8",
      "1 2 3 -4 5 6 7 8",
      "1 2 3 4294967296 5 6 7 8",
      "1 x 3 4 5 6 7 8",
      "1 2 3 4 5 6 7 8x",
      "1,2,3,4,5,6,7,8",
  };
  for (size_t i = 0; i < COUNT_OF(texts); i++) {
    struct ee_bookmark read;
    if (ee_bookmark_parse(texts[i], &read)) fail_msg("taken: \"%s\"", texts[i]);
    assert_int_equal(read.last.offset, EE_OFFSET_NONE);
    assert_int_equal(read.inputs, 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_parses_what_it_prints),
      cmocka_unit_test(test_text),
      cmocka_unit_test(test_refuses_what_others_wrote),
  };
  return cmocka_run_group_tests_name("bookmark", tests, NULL, NULL);
}
