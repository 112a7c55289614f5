// SPDX-License-Identifier: Apache-2.0
// Schemas known by fingerprint: our own, and those of a directory.
#include "contract/known.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "contract/canonical.h"
#include "contract/record.h"
#include "records.h"
#include "tests/support/chaos.h"
#include "tests/support/test.h"

static char directory[64];

static int make_directory(void **state) {
  (void)state;
  snprintf(directory, sizeof directory, "/tmp/ee-known-XXXXXX");
  return mkdtemp(directory) == NULL;
}

static int remove_directory(void **state) {
  (void)state;
  DIR *dir = opendir(directory);
  for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
    unlinkat(dirfd(dir), entry->d_name, entry->d_type == DT_DIR ? AT_REMOVEDIR : 0);
  }
  closedir(dir);
  return rmdir(directory);
}

static void write_file(const char *name, const char *text, size_t size) {
  char path[400];
  snprintf(path, sizeof path, "%s/%s", directory, name);
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  assert_int_equal(fwrite(text, 1, size, file), size);
  fclose(file);
}

static uint64_t fingerprint(const char *text) {
  uint64_t value;
  struct ee_err err;
  assert_true(ee_schema_text_fingerprint(ee_str(text), &value, &err));
  return value;
}

static struct ee_known *known_new(const char *path) {
  struct ee_known *known = NULL;
  struct ee_err err = {.text = ""};
  if (!ee_known_new(path, &known, &err)) fail_msg("%s", err.text);
  return known;
}

static void assert_refused(const char *path, const char *word) {
  struct ee_known *known = NULL;
  struct ee_err err = {.text = ""};
  assert_false(ee_known_new(path, &known, &err));
  assert_null(known);
  if (strstr(err.text, word) == NULL) fail_msg("%s does not name %s", err.text, word);
}

static void assert_knows(const struct ee_known *known, uint64_t print, const char *text) {
  struct ee_str found = ee_known_schema(known, print);
  assert_true(ee_str_equal(found, ee_str(text)));
}

static void own_schemas_are_known(void **state) {
  (void)state;
  struct ee_known *known = known_new(NULL);
  assert_true(ee_record_type_count >= 6);
  for (size_t i = 0; i < ee_record_type_count; i++) {
    struct ee_str text = ee_known_schema(known, ee_record_types[i]->fingerprint);
    assert_ptr_equal(text.data, ee_record_types[i]->schema);
    assert_int_equal(text.size, ee_record_types[i]->schema_size);
    assert_null(ee_known_schema(known, ee_record_types[i]->fingerprint ^ 1).data);
  }
  ee_known_free(known);
  ee_known_free(NULL);
}

static const char older[] = "{\"type\":\"record\",\"name\":\"Older\",\"fields\":[]}";
static const char newer[] = "{\"type\":\"record\",\"name\":\"Newer\",\"doc\":\"x\",\"fields\":[]}";

static void files_of_a_directory_are_known(void **state) {
  (void)state;
  write_file("b.avsc", older, strlen(older));
  write_file("a.avsc", newer, strlen(newer));
  write_file("notes.txt", "no schema", 9);
  write_file(".avsc", "no schema", 9);
  write_file(".hidden.avsc", "no schema", 9);
  struct ee_known *known = known_new(directory);
  assert_knows(known, fingerprint(older), older);
  assert_knows(known, fingerprint(newer), newer);
  const struct ee_record_type *own = ee_record_types[0];
  assert_ptr_equal(ee_known_schema(known, own->fingerprint).data, own->schema);
  ee_known_free(known);
}

// Docs are not part of a fingerprint: the first file by name stands, and our own over all.
static void the_first_of_one_fingerprint_stands(void **state) {
  (void)state;
  const struct ee_record_type *own = ee_record_types[0];
  static const char same[] = "{\"type\":\"record\",\"name\":\"Newer\",\"fields\":[]}";
  write_file("0.avsc", own->schema, own->schema_size);
  write_file("10.avsc", newer, strlen(newer));
  write_file("9.avsc", same, strlen(same));
  assert_true(fingerprint(newer) == fingerprint(same));
  struct ee_known *known = known_new(directory);
  assert_knows(known, fingerprint(same), newer);
  assert_ptr_equal(ee_known_schema(known, own->fingerprint).data, own->schema);
  ee_known_free(known);
}

static void bad_files_are_named(void **state) {
  (void)state;
  assert_refused("/nonexistent/schemas", "/nonexistent/schemas");
  write_file("good.avsc", older, strlen(older));
  write_file("odd.avsc", "{\"type\":\"recrod\"}", 17);
  assert_refused(directory, "odd.avsc");
  write_file("odd.avsc", "", 0);
  assert_refused(directory, "odd.avsc");
  static char large[EE_SCHEMA_SIZE_MAX + 1];
  memset(large, ' ', sizeof large);
  memcpy(large, older, strlen(older));
  write_file("odd.avsc", large, EE_SCHEMA_SIZE_MAX);
  ee_known_free(known_new(directory));
  write_file("odd.avsc", large, EE_SCHEMA_SIZE_MAX + 1);
  assert_refused(directory, "odd.avsc");
}

static void directories_named_like_schemas_are_named(void **state) {
  (void)state;
  char path[200];
  snprintf(path, sizeof path, "%s/dir.avsc", directory);
  assert_int_equal(mkdir(path, 0700), 0);
  assert_refused(directory, "dir.avsc");
}

static void the_number_of_files_is_bounded(void **state) {
  (void)state;
  for (int i = 0; i <= EE_KNOWN_FILES_MAX; i++) {
    char name[32], text[128];
    snprintf(name, sizeof name, "%d.avsc", i);
    snprintf(text, sizeof text, "{\"type\":\"record\",\"name\":\"R%d\",\"fields\":[]}", i);
    write_file(name, text, strlen(text));
  }
  assert_refused(directory, "1025");
  char path[200];
  snprintf(path, sizeof path, "%s/7.avsc", directory);
  unlink(path);
  struct ee_known *known = known_new(directory);
  static const char last[] = "{\"type\":\"record\",\"name\":\"R1024\",\"fields\":[]}";
  assert_knows(known, fingerprint(last), last);
  ee_known_free(known);
}

static void lack_of_memory_is_reported(void **state) {
  (void)state;
  write_file("a.avsc", newer, strlen(newer));
  bool failed = true;
  for (size_t n = 0; failed; n++) {
    struct ee_known *known = NULL;
    struct ee_err err = {.text = ""};
    ee_chaos_fail_after(n);
    bool ok = ee_known_new(directory, &known, &err);
    failed = ee_chaos_stop();
    assert_int_equal(ok, !failed);
    assert_true(ok || (known == NULL && err.text[0] != '\0'));
    ee_known_free(known);
  }
}

#define WITH_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(own_schemas_are_known),
      WITH_DIRECTORY(files_of_a_directory_are_known),
      WITH_DIRECTORY(the_first_of_one_fingerprint_stands),
      WITH_DIRECTORY(bad_files_are_named),
      WITH_DIRECTORY(directories_named_like_schemas_are_named),
      WITH_DIRECTORY(the_number_of_files_is_bounded),
      WITH_DIRECTORY(lack_of_memory_is_reported),
  };
  return cmocka_run_group_tests_name("contract/known", tests, NULL, NULL);
}
