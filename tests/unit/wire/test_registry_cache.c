// SPDX-License-Identifier: Apache-2.0
// Files of the registry's cache: what is damaged or another's is not believed.
#include "wire/registry_cache.h"

#include <stdlib.h>

#include "tests/support/test.h"

#define HERE EE_STR("http://registry:8081")
#define KEY EE_STR("schema-7")

static struct ee_bytes body_text(void) {
  return ee_str_bytes(EE_STR("{\"schema\":\"\\\"string\\\"\"}"));
}

static void files_read_back(void **state) {
  (void)state;
  struct ee_buf file;
  struct ee_bytes body;
  ee_buf_init(&file, 10000);
  ee_cache_file_write(HERE, KEY, body_text(), &file);
  assert_false(file.failed);
  assert_true(ee_cache_file_parse(ee_buf_bytes(&file), HERE, KEY, &body));
  assert_true(ee_bytes_equal(body, body_text()));
  ee_buf_clear(&file);
  ee_cache_file_write(HERE, KEY, ee_bytes("", 0), &file);
  assert_true(ee_cache_file_parse(ee_buf_bytes(&file), HERE, KEY, &body));
  assert_int_equal(body.size, 0);
  ee_buf_release(&file);
}

static void files_of_others_are_not_believed(void **state) {
  (void)state;
  struct ee_buf file;
  struct ee_bytes body;
  ee_buf_init(&file, 10000);
  ee_cache_file_write(HERE, KEY, body_text(), &file);
  struct ee_bytes content = ee_buf_bytes(&file);
  assert_false(ee_cache_file_parse(content, EE_STR("http://registry:8082"), KEY, &body));
  assert_false(ee_cache_file_parse(content, EE_STR("http://registry:808"), KEY, &body));
  assert_false(ee_cache_file_parse(content, HERE, EE_STR("schema-70"), &body));
  assert_false(ee_cache_file_parse(content, HERE, EE_STR("schema-"), &body));
  ee_buf_release(&file);
}

static void damaged_files_are_not_believed(void **state) {
  (void)state;
  struct ee_buf file;
  struct ee_bytes body;
  ee_buf_init(&file, 10000);
  ee_cache_file_write(HERE, KEY, body_text(), &file);
  for (size_t size = 0; size < file.size; size++) {
    uint8_t *exact = malloc(size + 1);
    assert_non_null(exact);
    memcpy(exact, file.data, size);
    assert_false(ee_cache_file_parse(ee_bytes(exact, size), HERE, KEY, &body));
    free(exact);
  }
  for (size_t i = 0; i < file.size; i++) {
    for (int bit = 0; bit < 8; bit++) {
      file.data[i] ^= (uint8_t)(1 << bit);
      assert_false(ee_cache_file_parse(ee_buf_bytes(&file), HERE, KEY, &body));
      file.data[i] ^= (uint8_t)(1 << bit);
    }
  }
  ee_buf_byte(&file, '\n');
  assert_false(ee_cache_file_parse(ee_buf_bytes(&file), HERE, KEY, &body));
  ee_buf_release(&file);
}

static void without_a_directory_nothing_is_kept(void **state) {
  (void)state;
  struct ee_registry_cache cache;
  struct ee_err err;
  struct ee_buf file;
  struct ee_bytes body;
  ee_buf_init(&file, 10000);
  assert_true(ee_registry_cache_init(&cache, NULL, "http://registry:8081", &err));
  ee_registry_cache_put(&cache, "schema-7", body_text());
  ee_registry_cache_remove(&cache, "schema-7");
  assert_false(ee_registry_cache_get(&cache, "schema-7", &file, &body));
  ee_registry_cache_release(&cache);
  assert_false(ee_registry_cache_init(&cache, "/dev/null/cache", "http://registry:8081", &err));
  ee_buf_release(&file);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(files_read_back),
      cmocka_unit_test(files_of_others_are_not_believed),
      cmocka_unit_test(damaged_files_are_not_believed),
      cmocka_unit_test(without_a_directory_nothing_is_kept),
  };
  return cmocka_run_group_tests_name("wire/registry_cache", tests, NULL, NULL);
}
