// SPDX-License-Identifier: Apache-2.0
// A client of a fake registry, asked as programs ask: turn, ask, wait.
#include "tests/unit/wire/registry_fixture.h"

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/time.h"
#include "tests/support/test.h"

void registry_without_proxy(void) {
  unsetenv("http_proxy");
  unsetenv("all_proxy");
  unsetenv("ALL_PROXY");
}

void registry_open(struct registry_fixture *f) {
  struct ee_err err = {.text = ""};
  ee_registry_free(f->registry);
  f->registry = NULL;
  if (!ee_registry_new(&f->settings, &f->registry, &err)) fail_msg("%s", err.text);
}

int registry_set_up(void **state) {
  struct registry_fixture *f = calloc(1, sizeof *f);
  if (f == NULL) return 1;
  fake_registry_start(&f->fake, 0);
  snprintf(f->directory, sizeof f->directory, "/tmp/ee-registry-XXXXXX");
  if (mkdtemp(f->directory) == NULL) return 1;
  f->settings = (struct ee_registry_settings){.url = f->fake.url, .timeout_ms = PATIENCE_MS};
  f->now_ms = 1000;
  registry_open(f);
  *state = f;
  return 0;
}

size_t visit_files(const char *directory, void (*visit)(const char *path)) {
  size_t count = 0;
  DIR *dir = opendir(directory);
  assert_non_null(dir);
  for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
    char path[600];
    if (entry->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
    count += entry->d_type == DT_DIR ? visit_files(path, visit) : 1;
    if (visit != NULL) visit(path);
  }
  closedir(dir);
  return count;
}

static void remove_path(const char *path) {
  if (unlink(path) != 0) rmdir(path);
}

int registry_tear_down(void **state) {
  struct registry_fixture *f = *state;
  ee_registry_free(f->registry);
  fake_registry_stop(&f->fake);
  visit_files(f->directory, remove_path);
  rmdir(f->directory);
  free(f);
  return 0;
}

enum ee_lookup ask_schema(struct registry_fixture *f, int32_t id, struct ee_str *ret,
                          struct ee_fault *fault) {
  int64_t deadline_ms = ee_clock_monotonic_ms() + PATIENCE_MS, since_ms;
  for (;;) {
    ee_registry_turn(f->registry, f->now_ms);
    enum ee_lookup lookup = ee_registry_schema(f->registry, id, f->now_ms, ret, fault);
    if (lookup != EE_LOOKUP_PENDING) return lookup;
    if (ee_registry_trouble(f->registry, &since_ms) != NULL) return EE_LOOKUP_PENDING;
    ee_registry_wait(f->registry, 1000);
    if (ee_clock_monotonic_ms() > deadline_ms) fail_msg("no answer for schema %d", id);
  }
}

enum ee_lookup ask_id(struct registry_fixture *f, const char *subject, int32_t *ret) {
  int64_t deadline_ms = ee_clock_monotonic_ms() + PATIENCE_MS, since_ms;
  for (;;) {
    ee_registry_turn(f->registry, f->now_ms);
    enum ee_lookup lookup =
        ee_registry_id(f->registry, subject, EE_STR("\"a\\b\""), f->now_ms, ret);
    if (lookup != EE_LOOKUP_PENDING) return lookup;
    if (ee_registry_trouble(f->registry, &since_ms) != NULL) return EE_LOOKUP_PENDING;
    ee_registry_wait(f->registry, 1000);
    if (ee_clock_monotonic_ms() > deadline_ms) fail_msg("no answer for subject %s", subject);
  }
}

void assert_schema(struct registry_fixture *f, int32_t id, const char *text) {
  struct ee_str found;
  struct ee_fault fault;
  int64_t since_ms;
  enum ee_lookup lookup = ask_schema(f, id, &found, &fault);
  if (lookup == EE_LOOKUP_PENDING) fail_msg("%s", ee_registry_trouble(f->registry, &since_ms));
  assert_int_equal(lookup, EE_LOOKUP_FOUND);
  assert_true(ee_str_equal(found, ee_str(text)));
  assert_null(ee_registry_trouble(f->registry, &since_ms));
}

void assert_trouble(struct registry_fixture *f, int32_t id, const char *words) {
  struct ee_str found;
  struct ee_fault fault;
  int64_t since_ms = -1;
  assert_int_equal(ask_schema(f, id, &found, &fault), EE_LOOKUP_PENDING);
  const char *trouble = ee_registry_trouble(f->registry, &since_ms);
  assert_non_null(trouble);
  if (strstr(trouble, words) == NULL) fail_msg("%s: does not say %s", trouble, words);
  assert_int_equal(ee_registry_schema(f->registry, id, f->now_ms, &found, &fault),
                   EE_LOOKUP_PENDING);
  assert_int_equal(fault.reason, EE_ACCEPTED);
  if (strstr(fault.detail, words) == NULL) fail_msg("%s: does not say %s", fault.detail, words);
}
