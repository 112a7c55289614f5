// SPDX-License-Identifier: Apache-2.0
// Look-ups against a registry that is well, ill, hostile or gone.
#include "wire/registry.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/time.h"
#include "contract/record.h"
#include "tests/support/test.h"
#include "tests/unit/wire/registry_fixture.h"

static void schemas_are_found_and_kept(void **state) {
  struct registry_fixture *f = *state;
  fake_registry_answer(&f->fake, 200, STRING_SCHEMA);
  struct ee_str text;
  struct ee_fault fault;
  assert_int_equal(ee_registry_schema(f->registry, 7, f->now_ms, &text, &fault), EE_LOOKUP_PENDING);
  assert_string_equal(fault.detail, "");
  assert_schema(f, 7, "\"string\"");
  assert_true(fake_registry_asked(&f->fake, "GET", "/schemas/ids/7", ""));
  f->now_ms += 1000000000;
  ee_registry_turn(f->registry, f->now_ms);
  assert_schema(f, 7, "\"string\"");
  assert_int_equal(fake_registry_count(&f->fake), 1);
  assert_schema(f, 8, "\"string\"");
  assert_int_equal(fake_registry_count(&f->fake), 2);
}

static void absence_is_believed_for_a_minute(void **state) {
  struct registry_fixture *f = *state;
  struct ee_str text;
  struct ee_fault fault;
  fake_registry_answer(&f->fake, 404, NOT_FOUND);
  assert_int_equal(ask_schema(f, 7, &text, &fault), EE_LOOKUP_ABSENT);
  fake_registry_answer(&f->fake, 200, STRING_SCHEMA);
  f->now_ms += EE_REGISTRY_ABSENT_MS - 1;
  assert_int_equal(ask_schema(f, 7, &text, &fault), EE_LOOKUP_ABSENT);
  assert_int_equal(fake_registry_count(&f->fake), 1);
  f->now_ms += 1;
  assert_schema(f, 7, "\"string\"");
}

// Each of these is neither found nor absent, and heals.
static void nonsense_is_tried_again(void **state) {
  struct registry_fixture *f = *state;
  static const struct {
    unsigned status;
    const char *body, *words;
  } samples[] = {
      {404, "", "HTTP 404"},
      {404, "<html>no such page</html>", "HTTP 404"},
      {404, "{\"error_code\":40401}", "HTTP 404"},
      {500, "{\"error_code\":50001,\"message\":\"store\\nfailed\"}", "HTTP 500: store failed"},
      {503, "", "HTTP 503"},
      {200, "", "not JSON"},
      {200, "[]", "not a JSON object"},
      {200, "{\"schema\":7}", "no schema"},
      {200, "{\"schema\":{}}", "no schema"},
      {200, "{\"schema\":\"x\",\"references\":7}", "references"},
  };
  for (size_t i = 0; i < COUNT_OF(samples); i++) {
    fake_registry_answer(&f->fake, samples[i].status, samples[i].body);
    assert_trouble(f, (int32_t)i, samples[i].words);
    fake_registry_answer(&f->fake, 200, STRING_SCHEMA);
    f->now_ms += 10000;
    int64_t deadline_ms = ee_clock_monotonic_ms() + PATIENCE_MS, since_ms;
    while (ee_registry_trouble(f->registry, &since_ms) != NULL) {
      ee_registry_turn(f->registry, f->now_ms);
      if (ee_registry_trouble(f->registry, &since_ms) != NULL) ee_registry_wait(f->registry, 1000);
      assert_true(ee_clock_monotonic_ms() < deadline_ms);
    }
    assert_schema(f, (int32_t)i, "\"string\"");
  }
}

static void redirects_are_not_followed(void **state) {
  struct registry_fixture *f = *state;
  struct fake_registry other;
  fake_registry_start(&other, 0);
  fake_registry_answer(&other, 200, STRING_SCHEMA);
  f->fake.location = other.url;
  fake_registry_answer(&f->fake, 302, STRING_SCHEMA);
  assert_trouble(f, 7, "HTTP 302");
  assert_int_equal(fake_registry_count(&other), 0);
  fake_registry_stop(&other);
}

static void huge_answers_are_cut_off(void **state) {
  struct registry_fixture *f = *state;
  size_t size = 64 << 20;
  char *body = calloc(1, size);
  assert_non_null(body);
  memset(body, ' ', size);
  fake_registry_answer_bytes(&f->fake, 200, body, size);
  assert_trouble(f, 7, "more than 2097152 bytes");
  for (size_t i = 0; i < EE_REST_EXCHANGES_MAX; i++)
    assert_true(f->registry->rest.exchanges[i].answer.capacity <= EE_ANSWER_SIZE_MAX);
  fake_registry_answer(&f->fake, 200, "");
  free(body);
}

static void answers_broken_off_are_trouble(void **state) {
  struct registry_fixture *f = *state;
  struct ee_str text;
  struct ee_fault fault;
  f->fake.truncated = true;
  fake_registry_answer(&f->fake, 200, STRING_SCHEMA);
  assert_trouble(f, 7, "http://127.0.0.1");
  // One that has just begun is in none.
  assert_int_equal(ee_registry_schema(f->registry, 8, f->now_ms, &text, &fault), EE_LOOKUP_PENDING);
  assert_string_equal(fault.detail, "");
  f->fake.truncated = false;
}

static void silence_is_trouble_after_the_timeout(void **state) {
  struct registry_fixture *f = *state;
  char url[64];
  int fd = silent_server(url);
  f->settings.url = url;
  f->settings.timeout_ms = 50;
  registry_open(f);
  assert_trouble(f, 7, "timed out");
  close(fd);
  // Nobody listens there now.
  registry_open(f);
  assert_trouble(f, 7, url);
}

static void what_cannot_be_read_is_said_by_name(void **state) {
  struct registry_fixture *f = *state;
  struct ee_str text;
  struct ee_fault fault;
  fake_registry_answer(&f->fake, 200, "{\"schema\":\"syntax\",\"schemaType\":\"PROTOBUF\"}");
  assert_int_equal(ask_schema(f, 7, &text, &fault), EE_LOOKUP_UNUSABLE);
  assert_int_equal(fault.reason, EE_REASON_wrong_schema);
  assert_string_equal(fault.detail, "schema 7: its type is PROTOBUF, not AVRO");
  fake_registry_answer(&f->fake, 200,
                       "{\"schema\":\"\\\"M\\\"\",\"references\":[{\"name\":\"acme.M\"}]}");
  assert_int_equal(ask_schema(f, 8, &text, &fault), EE_LOOKUP_UNUSABLE);
  assert_int_equal(fault.reason, EE_REASON_wrong_schema);
  assert_non_null(strstr(fault.detail, "acme.M"));

  char *body = calloc(1, EE_SCHEMA_SIZE_MAX + 100);
  assert_non_null(body);
  memcpy(body, "{\"schema\":\"", 11);
  memset(body + 11, 'x', EE_SCHEMA_SIZE_MAX + 1);
  memcpy(body + 11 + EE_SCHEMA_SIZE_MAX + 1, "\"}", 3);
  fake_registry_answer(&f->fake, 200, body);
  assert_int_equal(ask_schema(f, 9, &text, &fault), EE_LOOKUP_UNUSABLE);
  assert_int_equal(fault.reason, EE_REASON_oversized);
  fake_registry_answer(&f->fake, 200, "");
  free(body);
  assert_int_equal(ask_schema(f, 7, &text, &fault), EE_LOOKUP_UNUSABLE);
  assert_int_equal(fake_registry_count(&f->fake), 3);
}

static void the_user_is_sent_and_never_shown(void **state) {
  struct registry_fixture *f = *state;
  f->settings.user = "ada:secret-word";
  registry_open(f);
  fake_registry_answer(&f->fake, 401, "{\"message\":\"no\"}");
  assert_trouble(f, 7, "HTTP 401: no");
  int64_t since_ms;
  assert_null(strstr(ee_registry_trouble(f->registry, &since_ms), "secret"));
  assert_string_equal(f->fake.authorization, "Basic YWRhOnNlY3JldC13b3Jk");
}

static void urls_are_asked_in_turn(void **state) {
  struct registry_fixture *f = *state;
  struct fake_registry first;
  fake_registry_start(&first, 0);
  fake_registry_answer(&first, 500, "{\"error_code\":50001}");
  fake_registry_answer(&f->fake, 200, STRING_SCHEMA);
  char urls[200];
  snprintf(urls, sizeof urls, " %s/ , %s//", first.url, f->fake.url);
  f->settings.url = urls;
  registry_open(f);
  assert_schema(f, 7, "\"string\"");
  assert_int_equal(fake_registry_count(&first), 1);
  // The one that answered is asked first from now on.
  assert_schema(f, 8, "\"string\"");
  assert_int_equal(fake_registry_count(&first), 1);
  fake_registry_answer(&f->fake, 500, "");
  assert_trouble(f, 9, "HTTP 500");
  assert_int_equal(fake_registry_count(&first), 2);
  fake_registry_stop(&first);
}

static void ids_are_asked_by_subject(void **state) {
  struct registry_fixture *f = *state;
  int32_t id = -1;
  fake_registry_answer(&f->fake, 200, "{\"subject\":\"x\",\"id\":12,\"version\":1}");
  assert_int_equal(ask_id(f, "p.envelope/a b-value", &id), EE_LOOKUP_FOUND);
  assert_int_equal(id, 12);
  // The server has taken the escapes out of the path.
  assert_true(fake_registry_asked(&f->fake, "POST", "/subjects/p.envelope/a b-value",
                                  "{\"schema\":\"\\\"a\\\\b\\\"\"}"));
  assert_string_equal(f->fake.content_type, "application/vnd.schemaregistry.v1+json");
  assert_int_equal(ask_id(f, "p.envelope/a b-value", &id), EE_LOOKUP_FOUND);
  assert_int_equal(fake_registry_count(&f->fake), 1);

  static const char *const absent[] = {"{\"error_code\":40401}", "{\"error_code\":40402}",
                                       "{\"error_code\":40403}"};
  static const char *const subjects[] = {"a", "b", "c"};
  for (size_t i = 0; i < COUNT_OF(absent); i++) {
    fake_registry_answer(&f->fake, 404, absent[i]);
    assert_int_equal(ask_id(f, subjects[i], &id), EE_LOOKUP_ABSENT);
  }
  fake_registry_answer(&f->fake, 422, "{\"error_code\":42201,\"message\":\"Invalid schema\"}");
  assert_int_equal(ask_id(f, "d", &id), EE_LOOKUP_PENDING);
}

static void paths_are_escaped(void **state) {
  (void)state;
  struct ee_buf out;
  ee_buf_init(&out, 1000);
  ee_url_escape(&out, "AZaz09-._~/?#%&+ \xC3\xA9");
  assert_true(ee_str_equal(ee_buf_view(&out), EE_STR("AZaz09-._~%2F%3F%23%25%26%2B%20%C3%A9")));
  ee_buf_release(&out);
}

// ---- The disk.

static void a_restart_needs_no_registry(void **state) {
  struct registry_fixture *f = *state;
  int32_t id = 0;
  f->settings.cache_directory = f->directory;
  registry_open(f);
  fake_registry_answer(&f->fake, 200, STRING_SCHEMA);
  assert_schema(f, 7, "\"string\"");
  fake_registry_answer(&f->fake, 200, "{\"id\":12}");
  assert_int_equal(ask_id(f, "s", &id), EE_LOOKUP_FOUND);
  fake_registry_answer(&f->fake, 200, "{\"schema\":\"x\",\"schemaType\":\"JSON\"}");
  struct ee_str text;
  struct ee_fault fault;
  assert_int_equal(ask_schema(f, 8, &text, &fault), EE_LOOKUP_UNUSABLE);
  assert_int_equal(visit_files(f->directory, NULL), 3);

  registry_open(f);
  fake_registry_answer(&f->fake, 500, "");
  assert_schema(f, 7, "\"string\"");
  assert_int_equal(ask_id(f, "s", &id), EE_LOOKUP_FOUND);
  assert_int_equal(id, 12);
  assert_int_equal(ask_schema(f, 8, &text, &fault), EE_LOOKUP_UNUSABLE);
  assert_trouble(f, 9, "HTTP 500");
}

// A registry made anew under the same URL may give other schemas the same ids.
static void while_it_answers_the_registrys_word_counts(void **state) {
  struct registry_fixture *f = *state;
  struct ee_str text;
  struct ee_fault fault;
  f->settings.cache_directory = f->directory;
  registry_open(f);
  fake_registry_answer(&f->fake, 200, STRING_SCHEMA);
  assert_schema(f, 7, "\"string\"");
  registry_open(f);
  fake_registry_answer(&f->fake, 200, "{\"schema\":\"\\\"long\\\"\"}");
  assert_schema(f, 7, "\"long\"");
  registry_open(f);
  fake_registry_answer(&f->fake, 404, NOT_FOUND);
  assert_int_equal(ask_schema(f, 7, &text, &fault), EE_LOOKUP_ABSENT);
  assert_int_equal(visit_files(f->directory, NULL), 0);
}

static void damage(const char *path) {
  int fd = open(path, O_RDWR);
  if (fd < 0) return;  // a directory
  assert_int_equal(pwrite(fd, "#", 1, 100), 1);
  close(fd);
}

static void a_damaged_file_is_ignored_and_replaced(void **state) {
  struct registry_fixture *f = *state;
  f->settings.cache_directory = f->directory;
  registry_open(f);
  fake_registry_answer(&f->fake, 200, STRING_SCHEMA);
  assert_schema(f, 7, "\"string\"");
  assert_int_equal(visit_files(f->directory, damage), 1);
  registry_open(f);
  fake_registry_answer(&f->fake, 500, "");
  assert_trouble(f, 7, "HTTP 500");
  registry_open(f);
  fake_registry_answer(&f->fake, 200, STRING_SCHEMA);
  assert_schema(f, 7, "\"string\"");
  registry_open(f);
  fake_registry_answer(&f->fake, 500, "");
  assert_schema(f, 7, "\"string\"");
}

static void another_registrys_files_are_not_believed(void **state) {
  struct registry_fixture *f = *state;
  char url[100];
  f->settings.cache_directory = f->directory;
  registry_open(f);
  fake_registry_answer(&f->fake, 200, STRING_SCHEMA);
  assert_schema(f, 7, "\"string\"");
  snprintf(url, sizeof url, "%s/other", f->fake.url);
  f->settings.url = url;
  registry_open(f);
  fake_registry_answer(&f->fake, 500, "");
  assert_trouble(f, 7, "HTTP 500");
}

int main(void) {
  registry_without_proxy();
  const struct CMUnitTest tests[] = {
      WITH_REGISTRY(schemas_are_found_and_kept),
      WITH_REGISTRY(absence_is_believed_for_a_minute),
      WITH_REGISTRY(nonsense_is_tried_again),
      WITH_REGISTRY(redirects_are_not_followed),
      WITH_REGISTRY(huge_answers_are_cut_off),
      WITH_REGISTRY(answers_broken_off_are_trouble),
      WITH_REGISTRY(silence_is_trouble_after_the_timeout),
      WITH_REGISTRY(what_cannot_be_read_is_said_by_name),
      WITH_REGISTRY(the_user_is_sent_and_never_shown),
      WITH_REGISTRY(urls_are_asked_in_turn),
      WITH_REGISTRY(ids_are_asked_by_subject),
      cmocka_unit_test(paths_are_escaped),
      WITH_REGISTRY(a_restart_needs_no_registry),
      WITH_REGISTRY(while_it_answers_the_registrys_word_counts),
      WITH_REGISTRY(a_damaged_file_is_ignored_and_replaced),
      WITH_REGISTRY(another_registrys_files_are_not_believed),
  };
  return cmocka_run_group_tests_name("wire/registry", tests, NULL, NULL);
}
