// SPDX-License-Identifier: Apache-2.0
// Bounds of the registry client: pauses, look-ups and bytes kept, settings, memory.
#include "wire/registry.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/time.h"
#include "contract/record.h"
#include "tests/support/chaos.h"
#include "tests/support/test.h"
#include "tests/unit/wire/registry_fixture.h"

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
  struct registry_fixture *f = *state;
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
  struct registry_fixture *f = *state;
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
  struct registry_fixture *f = *state;
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
  struct registry_fixture *f = *state;
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
  struct registry_fixture *f = *state;
  char *body = calloc(1, EE_SCHEMA_SIZE_MAX + 14);
  assert_non_null(body);
  memcpy(body, "{\"schema\":\"", 11);
  memset(body + 11, 'x', EE_SCHEMA_SIZE_MAX);
  memcpy(body + 11 + EE_SCHEMA_SIZE_MAX, "\"}", 3);
  fake_registry_answer(&f->fake, 200, body);
  for (int32_t id = 0; id < 300; id++, f->now_ms++) {
    struct ee_str text;
    assert_int_equal(ask_schema(f, id, &text, NULL), EE_LOOKUP_FOUND);
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
  struct registry_fixture *f = *state;
  char url[64];
  struct ee_str text;
  int fd = silent_server(url);
  f->settings.url = url;
  registry_open(f);
  // A question that no turn has begun yet is not waited for; one under way is.
  ee_registry_schema(f->registry, 7, f->now_ms, &text, NULL);
  int64_t start_ms = ee_clock_monotonic_ms();
  ee_registry_wait(f->registry, 1000000);
  assert_true(ee_clock_monotonic_ms() < start_ms + PATIENCE_MS);
  // Connecting and sending end a wait early, as late as they like; then nothing does.
  int64_t until = ee_clock_monotonic_ms() + PATIENCE_MS;
  do {
    assert_true(ee_clock_monotonic_ms() < until);
    ee_registry_turn(f->registry, f->now_ms);
    start_ms = ee_clock_monotonic_ms();
    ee_registry_wait(f->registry, 50);
  } while (ee_clock_monotonic_ms() < start_ms + 49);
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
  struct registry_fixture *f = *state;
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
  struct registry_fixture *f = *state;
  f->settings.cache_directory = f->directory;
  bool failed = true;
  for (size_t n = 0; failed; n++) {
    struct ee_str text = {.data = NULL};
    enum ee_lookup lookup = EE_LOOKUP_PENDING;
    int32_t id = 0;
    registry_open(f);
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

int main(void) {
  registry_without_proxy();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pauses_double_to_a_bound),
      WITH_REGISTRY(a_failing_registry_is_not_flooded),
      WITH_REGISTRY(unasked_look_ups_are_forgotten),
      WITH_REGISTRY(the_one_unused_longest_goes_first),
      WITH_REGISTRY(open_look_ups_are_bounded),
      WITH_REGISTRY(kept_bytes_are_bounded),
      WITH_REGISTRY(waiting_lasts_until_a_turn_can_help),
      cmocka_unit_test(settings_are_checked),
      WITH_REGISTRY(making_one_survives_lack_of_memory),
      WITH_REGISTRY(look_ups_survive_lack_of_memory),
  };
  return cmocka_run_group_tests_name("wire/registry_limits", tests, NULL, NULL);
}
