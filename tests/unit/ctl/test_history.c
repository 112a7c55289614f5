// SPDX-License-Identifier: Apache-2.0
// Earlier schemas from a directory, and the verdict on each.
#include "tools/envelopectl/history.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "records.h"
#include "tests/support/chaos.h"
#include "tests/support/test.h"

static char directory[64];
static char paths[8][128];
static size_t path_count;
static struct ee_history history;
static struct ee_err err;

static int set_up(void **state) {
  (void)state;
  path_count = 0;
  history = (struct ee_history){.files = NULL};
  snprintf(directory, sizeof directory, "/tmp/ee-history-XXXXXX");
  if (mkdtemp(directory) == NULL) return 1;
  char folder[128];
  snprintf(folder, sizeof folder, "%s/tick", directory);
  return mkdir(folder, 0700);
}

static int tear_down(void **state) {
  (void)state;
  char folder[128];
  ee_history_release(&history);
  while (path_count > 0)
    unlink(paths[--path_count]);
  snprintf(folder, sizeof folder, "%s/tick", directory);
  return rmdir(folder) | rmdir(directory);
}

static void write_file(const char *name, const char *text, size_t size) {
  char *path = paths[path_count++];
  snprintf(path, sizeof paths[0], "%s/%s", directory, name);
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  assert_int_equal(fwrite(text, 1, size, file), size);
  fclose(file);
}

static void write_text(const char *name, const char *text) {
  write_file(name, text, strlen(text));
}

static void assert_refused(const char *word) {
  assert_false(ee_history_read(directory, &history, &err));
  if (strstr(err.text, word) == NULL) fail_msg("%s", err.text);
}

#define TICK(FIELDS) \
  "{\"type\":\"record\",\"name\":\"Tick\",\"namespace\":\"envelope.v1\",\"fields\":[" FIELDS "]}"
#define AS_OF                                                                  \
  "{\"name\":\"as_of\",\"type\":[\"null\",{\"type\":\"long\",\"logicalType\":" \
  "\"timestamp-micros\"}],\"default\":null}"
#define OFFSETS \
  "{\"name\":\"offsets\",\"type\":{\"type\":\"map\",\"values\":\"long\"},\"default\":{}}"

static void files_of_folders_are_read(void **state) {
  (void)state;
  write_file("policy-1.avsc", ee_policy_type.schema, ee_policy_type.schema_size);
  write_file("tick/1.avsc", ee_tick_type.schema, ee_tick_type.schema_size);
  write_text("tick/2.avsc", TICK(AS_OF));
  write_text("tick/readme.txt", "no schema");
  write_text(".hidden.avsc", "no schema");
  if (!ee_history_read(directory, &history, &err)) fail_msg("%s", err.text);
  assert_int_equal(history.count, 3);
  assert_ptr_equal(history.files[0].type, &ee_policy_type);
  assert_ptr_equal(history.files[1].type, &ee_tick_type);
  assert_ptr_equal(history.files[2].type, &ee_tick_type);
  for (size_t i = 0; i < history.count; i++)
    assert_true(ee_history_compatible(&history.files[i], &err));
}

static void no_directory_is_no_history(void **state) {
  (void)state;
  assert_true(ee_history_read(NULL, &history, &err));
  assert_int_equal(history.count, 0);
  assert_false(ee_history_read("/nowhere", &history, &err));
}

static void what_is_none_of_ours_is_refused(void **state) {
  (void)state;
  write_text("tick/1.avsc", "{\"type\":\"record\",\"name\":\"Other\",\"fields\":[]}");
  assert_refused("tick/1.avsc: Other is none");
}

static void what_is_no_schema_is_refused(void **state) {
  (void)state;
  write_text("1.avsc", "{");
  assert_refused("1.avsc: not JSON");
}

static void assert_verdict(const char *schema, const char *word) {
  struct ee_history_file file = {.type = &ee_tick_type};
  ee_buf_init(&file.text, EE_SCHEMA_SIZE_MAX);
  ee_buf_text(&file.text, schema);
  bool compatible = ee_history_compatible(&file, &err);
  assert_int_equal(compatible, word == NULL);
  if (!compatible && strstr(err.text, word) == NULL) fail_msg("%s", err.text);
  ee_buf_release(&file.text);
}

static void both_directions_count(void **state) {
  (void)state;
  assert_verdict(TICK(AS_OF "," OFFSETS), NULL);
  assert_verdict(TICK(""), NULL);
  assert_verdict(TICK("{\"name\":\"extra\",\"type\":\"int\",\"default\":1}"), NULL);
  assert_verdict(TICK("{\"name\":\"extra\",\"type\":\"int\"}"), "it cannot read what ours writes");
  assert_verdict(TICK("{\"name\":\"offsets\",\"type\":{\"type\":\"map\",\"values\":\"string\"},"
                      "\"default\":{}}"),
                 "ours cannot read what it wrote: offsets[]: string");
  assert_verdict(TICK("{\"name\":\"offsets\",\"type\":{\"type\":\"map\",\"values\":\"int\"},"
                      "\"default\":{}}"),
                 "it cannot read what ours writes: offsets[]: long");
}

static void memory_that_is_out_is_an_error(void **state) {
  (void)state;
  write_file("tick/1.avsc", ee_tick_type.schema, ee_tick_type.schema_size);
  bool failed = true;
  for (size_t n = 0; failed; n++) {
    ee_chaos_fail_after(n);
    bool ok = ee_history_read(directory, &history, &err);
    failed = ee_chaos_stop();
    assert_int_equal(ok, !failed);
    ee_history_release(&history);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(files_of_folders_are_read, set_up, tear_down),
      cmocka_unit_test_setup_teardown(no_directory_is_no_history, set_up, tear_down),
      cmocka_unit_test_setup_teardown(what_is_none_of_ours_is_refused, set_up, tear_down),
      cmocka_unit_test_setup_teardown(what_is_no_schema_is_refused, set_up, tear_down),
      cmocka_unit_test(both_directions_count),
      cmocka_unit_test_setup_teardown(memory_that_is_out_is_an_error, set_up, tear_down),
  };
  return cmocka_run_group_tests_name("ctl/history", tests, NULL, NULL);
}
