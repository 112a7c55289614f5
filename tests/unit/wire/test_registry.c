// SPDX-License-Identifier: Apache-2.0
// Look-ups against a registry that is well, ill, hostile or gone. Time for the client is
// the test's own number; only the network runs by the machine's clock.
#include "wire/registry.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/time.h"
#include "contract/record.h"
#include "tests/support/chaos.h"
#include "tests/support/test.h"
#include "tests/unit/wire/fake_registry.h"
#include "wire/registry_impl.h"

#define STRING_SCHEMA "{\"schema\":\"\\\"string\\\"\"}"
#define NOT_FOUND "{\"error_code\":40403,\"message\":\"Schema not found\"}"
#define PATIENCE_MS 20000  // for what must come at once; only a failing test waits for it

struct fixture {
  struct fake_registry fake;
  struct ee_registry_settings settings;
  struct ee_registry *registry;
  int64_t now_ms;
  char directory[64];
};

static void open_registry(struct fixture *f) {
  struct ee_err err = {.text = ""};
  ee_registry_free(f->registry);
  f->registry = NULL;
  if (!ee_registry_new(&f->settings, &f->registry, &err)) fail_msg("%s", err.text);
}

static int set_up(void **state) {
  struct fixture *f = calloc(1, sizeof *f);
  if (f == NULL) return 1;
  fake_registry_start(&f->fake, 0);
  snprintf(f->directory, sizeof f->directory, "/tmp/ee-registry-XXXXXX");
  if (mkdtemp(f->directory) == NULL) return 1;
  f->settings = (struct ee_registry_settings){.url = f->fake.url, .timeout_ms = PATIENCE_MS};
  f->now_ms = 1000;
  open_registry(f);
  *state = f;
  return 0;
}

// Calls visit for each file below directory, if given; returns how many there are.
static size_t visit_files(const char *directory, void (*visit)(const char *path)) {
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

static int tear_down(void **state) {
  struct fixture *f = *state;
  ee_registry_free(f->registry);
  fake_registry_stop(&f->fake);
  visit_files(f->directory, remove_path);
  rmdir(f->directory);
  free(f);
  return 0;
}

// Asks until there is an answer or the look-up is in trouble (PENDING).
static enum ee_lookup schema(struct fixture *f, int32_t id, struct ee_str *ret,
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

static enum ee_lookup subject_id(struct fixture *f, const char *subject, int32_t *ret) {
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

static void assert_schema(struct fixture *f, int32_t id, const char *text) {
  struct ee_str found;
  struct ee_fault fault;
  int64_t since_ms;
  enum ee_lookup lookup = schema(f, id, &found, &fault);
  if (lookup == EE_LOOKUP_PENDING) fail_msg("%s", ee_registry_trouble(f->registry, &since_ms));
  assert_int_equal(lookup, EE_LOOKUP_FOUND);
  assert_true(ee_str_equal(found, ee_str(text)));
  assert_null(ee_registry_trouble(f->registry, &since_ms));
}

static void assert_trouble(struct fixture *f, int32_t id, const char *words) {
  struct ee_str found;
  struct ee_fault fault;
  int64_t since_ms = -1;
  assert_int_equal(schema(f, id, &found, &fault), EE_LOOKUP_PENDING);
  const char *trouble = ee_registry_trouble(f->registry, &since_ms);
  assert_non_null(trouble);
  if (strstr(trouble, words) == NULL) fail_msg("%s: does not say %s", trouble, words);
}

static void schemas_are_found_and_kept(void **state) {
  struct fixture *f = *state;
  fake_registry_answer(&f->fake, 200, STRING_SCHEMA);
  struct ee_str text;
  struct ee_fault fault;
  assert_int_equal(ee_registry_schema(f->registry, 7, f->now_ms, &text, &fault), EE_LOOKUP_PENDING);
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
  struct fixture *f = *state;
  struct ee_str text;
  struct ee_fault fault;
  fake_registry_answer(&f->fake, 404, NOT_FOUND);
  assert_int_equal(schema(f, 7, &text, &fault), EE_LOOKUP_ABSENT);
  fake_registry_answer(&f->fake, 200, STRING_SCHEMA);
  f->now_ms += EE_REGISTRY_ABSENT_MS - 1;
  assert_int_equal(schema(f, 7, &text, &fault), EE_LOOKUP_ABSENT);
  assert_int_equal(fake_registry_count(&f->fake), 1);
  f->now_ms += 1;
  assert_schema(f, 7, "\"string\"");
}

// Each of these is neither found nor absent, and heals.
static void nonsense_is_tried_again(void **state) {
  struct fixture *f = *state;
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
  struct fixture *f = *state;
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
  struct fixture *f = *state;
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
  struct fixture *f = *state;
  f->fake.truncated = true;
  fake_registry_answer(&f->fake, 200, STRING_SCHEMA);
  assert_trouble(f, 7, "http://127.0.0.1");
  f->fake.truncated = false;
}

static void silence_is_trouble_after_the_timeout(void **state) {
  struct fixture *f = *state;
  char url[64];
  int fd = silent_server(url);
  f->settings.url = url;
  f->settings.timeout_ms = 50;
  open_registry(f);
  assert_trouble(f, 7, "timed out");
  close(fd);
  // Nobody listens there now.
  open_registry(f);
  assert_trouble(f, 7, url);
}

static void what_cannot_be_read_is_said_by_name(void **state) {
  struct fixture *f = *state;
  struct ee_str text;
  struct ee_fault fault;
  fake_registry_answer(&f->fake, 200, "{\"schema\":\"syntax\",\"schemaType\":\"PROTOBUF\"}");
  assert_int_equal(schema(f, 7, &text, &fault), EE_LOOKUP_UNUSABLE);
  assert_int_equal(fault.reason, EE_REASON_wrong_schema);
  assert_string_equal(fault.detail, "schema 7: its type is PROTOBUF, not AVRO");
  fake_registry_answer(&f->fake, 200,
                       "{\"schema\":\"\\\"M\\\"\",\"references\":[{\"name\":\"acme.M\"}]}");
  assert_int_equal(schema(f, 8, &text, &fault), EE_LOOKUP_UNUSABLE);
  assert_int_equal(fault.reason, EE_REASON_wrong_schema);
  assert_non_null(strstr(fault.detail, "acme.M"));

  char *body = calloc(1, EE_SCHEMA_SIZE_MAX + 100);
  assert_non_null(body);
  memcpy(body, "{\"schema\":\"", 11);
  memset(body + 11, 'x', EE_SCHEMA_SIZE_MAX + 1);
  memcpy(body + 11 + EE_SCHEMA_SIZE_MAX + 1, "\"}", 3);
  fake_registry_answer(&f->fake, 200, body);
  assert_int_equal(schema(f, 9, &text, &fault), EE_LOOKUP_UNUSABLE);
  assert_int_equal(fault.reason, EE_REASON_oversized);
  fake_registry_answer(&f->fake, 200, "");
  free(body);
  assert_int_equal(schema(f, 7, &text, &fault), EE_LOOKUP_UNUSABLE);
  assert_int_equal(fake_registry_count(&f->fake), 3);
}

static void the_user_is_sent_and_never_shown(void **state) {
  struct fixture *f = *state;
  f->settings.user = "ada:secret-word";
  open_registry(f);
  fake_registry_answer(&f->fake, 401, "{\"message\":\"no\"}");
  assert_trouble(f, 7, "HTTP 401: no");
  int64_t since_ms;
  assert_null(strstr(ee_registry_trouble(f->registry, &since_ms), "secret"));
  assert_string_equal(f->fake.authorization, "Basic YWRhOnNlY3JldC13b3Jk");
}

static void urls_are_asked_in_turn(void **state) {
  struct fixture *f = *state;
  struct fake_registry first;
  fake_registry_start(&first, 0);
  fake_registry_answer(&first, 500, "{\"error_code\":50001}");
  fake_registry_answer(&f->fake, 200, STRING_SCHEMA);
  char urls[200];
  snprintf(urls, sizeof urls, " %s/ , %s//", first.url, f->fake.url);
  f->settings.url = urls;
  open_registry(f);
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
  struct fixture *f = *state;
  int32_t id = -1;
  fake_registry_answer(&f->fake, 200, "{\"subject\":\"x\",\"id\":12,\"version\":1}");
  assert_int_equal(subject_id(f, "p.envelope/a b-value", &id), EE_LOOKUP_FOUND);
  assert_int_equal(id, 12);
  // The server has taken the escapes out of the path.
  assert_true(fake_registry_asked(&f->fake, "POST", "/subjects/p.envelope/a b-value",
                                  "{\"schema\":\"\\\"a\\\\b\\\"\"}"));
  assert_string_equal(f->fake.content_type, "application/vnd.schemaregistry.v1+json");
  assert_int_equal(subject_id(f, "p.envelope/a b-value", &id), EE_LOOKUP_FOUND);
  assert_int_equal(fake_registry_count(&f->fake), 1);

  static const char *const absent[] = {"{\"error_code\":40401}", "{\"error_code\":40402}",
                                       "{\"error_code\":40403}"};
  static const char *const subjects[] = {"a", "b", "c"};
  for (size_t i = 0; i < COUNT_OF(absent); i++) {
    fake_registry_answer(&f->fake, 404, absent[i]);
    assert_int_equal(subject_id(f, subjects[i], &id), EE_LOOKUP_ABSENT);
  }
  fake_registry_answer(&f->fake, 422, "{\"error_code\":42201,\"message\":\"Invalid schema\"}");
  assert_int_equal(subject_id(f, "d", &id), EE_LOOKUP_PENDING);
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
  struct fixture *f = *state;
  int32_t id = 0;
  f->settings.cache_directory = f->directory;
  open_registry(f);
  fake_registry_answer(&f->fake, 200, STRING_SCHEMA);
  assert_schema(f, 7, "\"string\"");
  fake_registry_answer(&f->fake, 200, "{\"id\":12}");
  assert_int_equal(subject_id(f, "s", &id), EE_LOOKUP_FOUND);
  fake_registry_answer(&f->fake, 200, "{\"schema\":\"x\",\"schemaType\":\"JSON\"}");
  struct ee_str text;
  struct ee_fault fault;
  assert_int_equal(schema(f, 8, &text, &fault), EE_LOOKUP_UNUSABLE);
  assert_int_equal(visit_files(f->directory, NULL), 3);

  open_registry(f);
  fake_registry_answer(&f->fake, 500, "");
  assert_schema(f, 7, "\"string\"");
  assert_int_equal(subject_id(f, "s", &id), EE_LOOKUP_FOUND);
  assert_int_equal(id, 12);
  assert_int_equal(schema(f, 8, &text, &fault), EE_LOOKUP_UNUSABLE);
  assert_trouble(f, 9, "HTTP 500");
}

// A registry made anew under the same URL may give other schemas the same ids.
static void while_it_answers_the_registrys_word_counts(void **state) {
  struct fixture *f = *state;
  struct ee_str text;
  struct ee_fault fault;
  f->settings.cache_directory = f->directory;
  open_registry(f);
  fake_registry_answer(&f->fake, 200, STRING_SCHEMA);
  assert_schema(f, 7, "\"string\"");
  open_registry(f);
  fake_registry_answer(&f->fake, 200, "{\"schema\":\"\\\"long\\\"\"}");
  assert_schema(f, 7, "\"long\"");
  open_registry(f);
  fake_registry_answer(&f->fake, 404, NOT_FOUND);
  assert_int_equal(schema(f, 7, &text, &fault), EE_LOOKUP_ABSENT);
  assert_int_equal(visit_files(f->directory, NULL), 0);
}

static void damage(const char *path) {
  int fd = open(path, O_RDWR);
  if (fd < 0) return;  // a directory
  assert_int_equal(pwrite(fd, "#", 1, 100), 1);
  close(fd);
}

static void a_damaged_file_is_ignored_and_replaced(void **state) {
  struct fixture *f = *state;
  f->settings.cache_directory = f->directory;
  open_registry(f);
  fake_registry_answer(&f->fake, 200, STRING_SCHEMA);
  assert_schema(f, 7, "\"string\"");
  assert_int_equal(visit_files(f->directory, damage), 1);
  open_registry(f);
  fake_registry_answer(&f->fake, 500, "");
  assert_trouble(f, 7, "HTTP 500");
  open_registry(f);
  fake_registry_answer(&f->fake, 200, STRING_SCHEMA);
  assert_schema(f, 7, "\"string\"");
  open_registry(f);
  fake_registry_answer(&f->fake, 500, "");
  assert_schema(f, 7, "\"string\"");
}

static void another_registrys_files_are_not_believed(void **state) {
  struct fixture *f = *state;
  char url[100];
  f->settings.cache_directory = f->directory;
  open_registry(f);
  fake_registry_answer(&f->fake, 200, STRING_SCHEMA);
  assert_schema(f, 7, "\"string\"");
  snprintf(url, sizeof url, "%s/other", f->fake.url);
  f->settings.url = url;
  open_registry(f);
  fake_registry_answer(&f->fake, 500, "");
  assert_trouble(f, 7, "HTTP 500");
}

// ---- Bounds.

static void pauses_double_to_a_bound(void **state) {
  (void)state;
  static const int64_t most[] = {100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000};
  for (unsigned i = 0; i < COUNT_OF(most); i++) {
    assert_int_equal(ee_registry_backoff_ms(i + 1, 0), most[i]);
    int64_t least = most[i];
    for (uint64_t random = 0; random < 20000; random++) {
      int64_t pause_ms = ee_registry_backoff_ms(i + 1, random);
      assert_true(pause_ms <= most[i] && pause_ms >= most[i] / 2);
      if (pause_ms < least) least = pause_ms;
    }
    assert_int_equal(least, most[i] / 2);
  }
  assert_int_equal(ee_registry_backoff_ms(UINT32_MAX, 0), 10000);
}

static void a_failing_registry_is_not_flooded(void **state) {
  struct fixture *f = *state;
  fake_registry_answer(&f->fake, 500, "");
  assert_trouble(f, 7, "HTTP 500");
  int64_t since_ms = 0;
  for (int i = 0; i < 1000; i++)
    ee_registry_turn(f->registry, f->now_ms + 49);
  assert_int_equal(fake_registry_count(&f->fake), 1);
  unsigned before = 1;
  int64_t start_ms = f->now_ms;
  struct ee_str text;
  // 100 s of the client's time in steps of 10 ms: 8 rounds of doubling, then each 5 to 10 s.
  for (int i = 0; i < 10000; i++) {
    f->now_ms += 10;
    ee_registry_schema(f->registry, 7, f->now_ms, &text, NULL);
    ee_registry_turn(f->registry, f->now_ms);
    while (f->registry->lookups[0]->exchange != NULL) {
      ee_registry_wait(f->registry, 1000);
      ee_registry_turn(f->registry, f->now_ms);
    }
  }
  unsigned rounds = fake_registry_count(&f->fake) - before;
  assert_in_range(rounds, 7 + 7, 8 + 18);
  assert_non_null(ee_registry_trouble(f->registry, &since_ms));
  assert_int_equal(since_ms, start_ms);
}

static void unasked_look_ups_are_forgotten(void **state) {
  struct fixture *f = *state;
  int64_t since_ms;
  fake_registry_answer(&f->fake, 500, "");
  assert_trouble(f, 7, "HTTP 500");
  ee_registry_turn(f->registry, f->now_ms + EE_REGISTRY_FORGET_MS - 1);
  assert_int_equal(f->registry->count, 1);
  ee_registry_turn(f->registry, f->now_ms + EE_REGISTRY_FORGET_MS);
  assert_int_equal(f->registry->count, 0);
  assert_null(ee_registry_trouble(f->registry, &since_ms));
}

static void the_one_unused_longest_goes_first(void **state) {
  struct fixture *f = *state;
  fake_registry_answer(&f->fake, 200, STRING_SCHEMA);
  for (int32_t id = 0; id < EE_REGISTRY_LOOKUPS_MAX; id++, f->now_ms++)
    assert_schema(f, id, "\"string\"");
  assert_schema(f, 0, "\"string\"");
  assert_int_equal(fake_registry_count(&f->fake), EE_REGISTRY_LOOKUPS_MAX);
  f->now_ms++;
  assert_schema(f, 5000, "\"string\"");
  assert_int_equal(f->registry->count, EE_REGISTRY_LOOKUPS_MAX);
  assert_int_equal(fake_registry_count(&f->fake), EE_REGISTRY_LOOKUPS_MAX + 1);
  assert_schema(f, 0, "\"string\"");
  assert_schema(f, 2, "\"string\"");
  assert_int_equal(fake_registry_count(&f->fake), EE_REGISTRY_LOOKUPS_MAX + 1);
  assert_schema(f, 1, "\"string\"");
  assert_int_equal(fake_registry_count(&f->fake), EE_REGISTRY_LOOKUPS_MAX + 2);
}

static void open_look_ups_are_bounded(void **state) {
  struct fixture *f = *state;
  struct ee_str text;
  for (int32_t id = 0; id < EE_REGISTRY_LOOKUPS_MAX + 100; id++) {
    assert_int_equal(ee_registry_schema(f->registry, id, f->now_ms, &text, NULL),
                     EE_LOOKUP_PENDING);
  }
  assert_int_equal(f->registry->count, EE_REGISTRY_LOOKUPS_MAX);
  ee_registry_turn(f->registry, f->now_ms);
  size_t under_way = 0;
  for (size_t i = 0; i < f->registry->count; i++)
    under_way += f->registry->lookups[i]->exchange != NULL;
  assert_in_range(under_way, 0, EE_REST_EXCHANGES_MAX - 1);
}

static void kept_bytes_are_bounded(void **state) {
  struct fixture *f = *state;
  char *body = calloc(1, EE_SCHEMA_SIZE_MAX + 14);
  assert_non_null(body);
  memcpy(body, "{\"schema\":\"", 11);
  memset(body + 11, 'x', EE_SCHEMA_SIZE_MAX);
  memcpy(body + 11 + EE_SCHEMA_SIZE_MAX, "\"}", 3);
  fake_registry_answer(&f->fake, 200, body);
  for (int32_t id = 0; id < 300; id++, f->now_ms++) {
    struct ee_str text;
    assert_int_equal(schema(f, id, &text, NULL), EE_LOOKUP_FOUND);
    assert_int_equal(text.size, EE_SCHEMA_SIZE_MAX);
  }
  size_t bytes = 0;
  for (size_t i = 0; i < f->registry->count; i++)
    bytes += f->registry->lookups[i]->text.capacity + f->registry->lookups[i]->path.capacity;
  assert_true(bytes <= EE_REGISTRY_BYTES_MAX);
  assert_true(bytes > EE_REGISTRY_BYTES_MAX / 2);
  fake_registry_answer(&f->fake, 200, "");
  free(body);
}

static void waiting_lasts_until_a_turn_can_help(void **state) {
  struct fixture *f = *state;
  char url[64];
  struct ee_str text;
  int fd = silent_server(url);
  f->settings.url = url;
  open_registry(f);
  // A question that no turn has begun yet is not waited for; one under way is.
  ee_registry_schema(f->registry, 7, f->now_ms, &text, NULL);
  int64_t start_ms = ee_clock_monotonic_ms();
  ee_registry_wait(f->registry, 1000000);
  assert_true(ee_clock_monotonic_ms() < start_ms + PATIENCE_MS);
  // Connecting and sending end a wait early; nothing else does.
  for (int i = 0; i < 10; i++) {
    ee_registry_turn(f->registry, f->now_ms);
    ee_registry_wait(f->registry, 10);
  }
  start_ms = ee_clock_monotonic_ms();
  ee_registry_turn(f->registry, f->now_ms);
  ee_registry_wait(f->registry, 50);
  assert_true(ee_clock_monotonic_ms() >= start_ms + 49);
  close(fd);
}

// ---- Tools.

static void tools_register(void **state) {
  struct fixture *f = *state;
  int32_t id = 0;
  struct ee_err err = {.text = ""};
  fake_registry_answer(&f->fake, 200, "{\"id\":3}");
  assert_true(ee_registry_register(f->registry, "s-value", EE_STR("\"long\""), &id, &err));
  assert_int_equal(id, 3);
  assert_true(fake_registry_asked(&f->fake, "POST", "/subjects/s-value/versions",
                                  "{\"schema\":\"\\\"long\\\"\"}"));
  fake_registry_answer(&f->fake, 409, "{\"error_code\":409,\"message\":\"incompatible\"}");
  assert_false(ee_registry_register(f->registry, "s-value", EE_STR("\"long\""), &id, &err));
  assert_string_equal(err.text, "s-value: HTTP 409: incompatible");
  fake_registry_answer(&f->fake, 503, "{\"message\":\"later\"}");
  assert_false(ee_registry_register(f->registry, "s-value", EE_STR("\"long\""), &id, &err));
  assert_non_null(strstr(err.text, "/subjects/s-value/versions: HTTP 503: later"));
  fake_registry_answer(&f->fake, 200, "{\"id\":3}");
  assert_false(ee_registry_register(f->registry, "s-value", EE_STR("\xFF"), &id, &err));
}

static void tools_check(void **state) {
  struct fixture *f = *state;
  bool compatible = false;
  struct ee_err err, why_not;
  fake_registry_answer(&f->fake, 200, "{\"is_compatible\":true}");
  assert_true(ee_registry_check(f->registry, "s-value", EE_STR("x"), &compatible, &why_not, &err));
  assert_true(compatible);
  assert_true(fake_registry_asked(&f->fake, "POST",
                                  "/compatibility/subjects/s-value/versions?verbose=true",
                                  "{\"schema\":\"x\"}"));
  fake_registry_answer(&f->fake, 200, "{\"is_compatible\":false,\"messages\":[\"field a\"]}");
  assert_true(ee_registry_check(f->registry, "s-value", EE_STR("x"), &compatible, &why_not, &err));
  assert_false(compatible);
  assert_string_equal(why_not.text, "field a");
  fake_registry_answer(&f->fake, 404, "{\"error_code\":40401}");
  assert_true(ee_registry_check(f->registry, "s-value", EE_STR("x"), &compatible, &why_not, &err));
  assert_true(compatible);
  fake_registry_answer(&f->fake, 422, "{\"message\":\"bad\"}");
  assert_false(ee_registry_check(f->registry, "s-value", EE_STR("x"), &compatible, &why_not, &err));
  assert_string_equal(err.text, "s-value: HTTP 422: bad");
}

static void tools_set_compatibility(void **state) {
  struct fixture *f = *state;
  struct ee_err err;
  fake_registry_answer(&f->fake, 200, "{\"compatibility\":\"FULL_TRANSITIVE\"}");
  assert_true(ee_registry_set_compatibility(f->registry, "s", "FULL_TRANSITIVE", &err));
  assert_true(
      fake_registry_asked(&f->fake, "PUT", "/config/s", "{\"compatibility\":\"FULL_TRANSITIVE\"}"));
  fake_registry_answer(&f->fake, 422, "{\"message\":\"Invalid compatibility level\"}");
  assert_false(ee_registry_set_compatibility(f->registry, "s", "odd", &err));
  assert_string_equal(err.text, "s: HTTP 422: Invalid compatibility level");
  // After a PUT the same handle posts and gets again.
  fake_registry_answer(&f->fake, 200, STRING_SCHEMA);
  assert_schema(f, 1, "\"string\"");
  assert_true(fake_registry_asked(&f->fake, "GET", "/schemas/ids/1", ""));
}

static void tools_go_from_url_to_url_and_give_up(void **state) {
  struct fixture *f = *state;
  char silent[64], urls[200];
  int32_t id;
  struct ee_err err;
  int fd = silent_server(silent);
  snprintf(urls, sizeof urls, "%s,%s", silent, f->fake.url);
  f->settings.url = urls;
  f->settings.timeout_ms = 200;
  open_registry(f);
  fake_registry_answer(&f->fake, 200, "{\"id\":3}");
  assert_true(ee_registry_register(f->registry, "s", EE_STR("x"), &id, &err));
  f->settings.url = silent;
  open_registry(f);
  assert_false(ee_registry_register(f->registry, "s", EE_STR("x"), &id, &err));
  assert_non_null(strstr(err.text, "timed out"));
  close(fd);
}

// ---- Settings and memory.

static void assert_refused(struct ee_registry_settings settings, const char *words) {
  struct ee_registry *registry = NULL;
  struct ee_err err = {.text = ""};
  assert_false(ee_registry_new(&settings, &registry, &err));
  assert_null(registry);
  if (strstr(err.text, words) == NULL) fail_msg("%s: does not say %s", err.text, words);
  assert_null(strstr(err.text, "secret"));
}

static void settings_are_checked(void **state) {
  (void)state;
  static const char *const urls[] = {"",
                                     "localhost:8081",
                                     "ftp://registry",
                                     "file:///etc/passwd",
                                     "http://",
                                     "http://registry:8081?x=1",
                                     "http://registry:8081#x",
                                     "http://registry:99999999",
                                     "http://registry:8081,",
                                     "http://registry:8081,,http://b",
                                     "http://ada:secret@",
                                     "http://a b"};
  for (size_t i = 0; i < COUNT_OF(urls); i++) {
    struct ee_registry_settings settings = {.url = urls[i], .timeout_ms = 1};
    assert_refused(settings, "not a registry URL");
  }
  struct ee_registry_settings settings = {.timeout_ms = 1};
  assert_refused(settings, "no registry URL");
  settings.url = "http://ada:secret@registry";
  assert_refused(settings, "user or password");
  settings.url = "http://a,http://a,http://a,http://a,http://a,http://a,http://a,http://a,http://a";
  assert_refused(settings, "more than 8");
  settings.url = "http://a";
  settings.timeout_ms = 0;
  assert_refused(settings, "timeout");
  settings.timeout_ms = 1;
  settings.user = "ada";
  assert_refused(settings, "user:password");
  settings.user = NULL;
  settings.key = "key.pem";
  assert_refused(settings, "certificate");
  settings.key = NULL;
  settings.cache_directory = "/dev/null/x";
  assert_refused(settings, "/dev/null");
  ee_registry_free(NULL);
}

static void making_one_survives_lack_of_memory(void **state) {
  struct fixture *f = *state;
  f->settings.cache_directory = f->directory;
  bool failed = true;
  for (size_t n = 0; failed; n++) {
    struct ee_registry *registry = NULL;
    struct ee_err err = {.text = ""};
    ee_chaos_fail_after(n);
    bool ok = ee_registry_new(&f->settings, &registry, &err);
    failed = ee_chaos_stop();
    assert_int_equal(ok, !failed);
    assert_true(ok || err.text[0] != '\0');
    ee_registry_free(registry);
  }
}

// An allocation that fails costs time, never the answer.
static void look_ups_survive_lack_of_memory(void **state) {
  struct fixture *f = *state;
  f->settings.cache_directory = f->directory;
  bool failed = true;
  for (size_t n = 0; failed; n++) {
    struct ee_str text = {.data = NULL};
    enum ee_lookup lookup = EE_LOOKUP_PENDING;
    int32_t id = 0;
    open_registry(f);
    fake_registry_answer(&f->fake, 200, "{\"schema\":\"\\\"string\\\"\",\"id\":4}");
    ee_chaos_fail_after(n);
    for (int i = 0; i < 100000 && lookup == EE_LOOKUP_PENDING; i++, f->now_ms += 100) {
      lookup = ee_registry_schema(f->registry, 7, f->now_ms, &text, NULL);
      ee_registry_turn(f->registry, f->now_ms);
      ee_registry_wait(f->registry, 1);
    }
    assert_int_equal(lookup, EE_LOOKUP_FOUND);
    lookup = EE_LOOKUP_PENDING;
    for (int i = 0; i < 100000 && lookup == EE_LOOKUP_PENDING; i++, f->now_ms += 100) {
      lookup = ee_registry_id(f->registry, "s", EE_STR("x"), f->now_ms, &id);
      ee_registry_turn(f->registry, f->now_ms);
      ee_registry_wait(f->registry, 1);
    }
    failed = ee_chaos_stop();
    assert_int_equal(lookup, EE_LOOKUP_FOUND);
    assert_int_equal(id, 4);
    struct ee_fault fault;
    assert_int_equal(ee_registry_schema(f->registry, 7, f->now_ms, &text, &fault), EE_LOOKUP_FOUND);
    assert_true(ee_str_equal(text, EE_STR("\"string\"")));
  }
}

#define WITH_REGISTRY(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
  // A proxy of the machine's would stand between the test and its server.
  unsetenv("http_proxy");
  unsetenv("all_proxy");
  unsetenv("ALL_PROXY");
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
      cmocka_unit_test(pauses_double_to_a_bound),
      WITH_REGISTRY(a_failing_registry_is_not_flooded),
      WITH_REGISTRY(unasked_look_ups_are_forgotten),
      WITH_REGISTRY(the_one_unused_longest_goes_first),
      WITH_REGISTRY(open_look_ups_are_bounded),
      WITH_REGISTRY(kept_bytes_are_bounded),
      WITH_REGISTRY(waiting_lasts_until_a_turn_can_help),
      WITH_REGISTRY(tools_register),
      WITH_REGISTRY(tools_check),
      WITH_REGISTRY(tools_set_compatibility),
      WITH_REGISTRY(tools_go_from_url_to_url_and_give_up),
      cmocka_unit_test(settings_are_checked),
      WITH_REGISTRY(making_one_survives_lack_of_memory),
      WITH_REGISTRY(look_ups_survive_lack_of_memory),
  };
  return cmocka_run_group_tests_name("wire/registry", tests, NULL, NULL);
}
