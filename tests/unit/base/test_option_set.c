// SPDX-License-Identifier: Apache-2.0
// base/option for settings that a program fills in: all defaults, one by its name, a copy.
#include <stdio.h>

#include "base/option.h"
#include "tests/support/chaos.h"
#include "tests/support/test.h"

struct settings {
  bool drain;
  const char *bootstrap;
  const char *state_dir;
  int64_t partitions;
  int64_t interval;
  struct ee_properties properties;
};

#define AT(FIELD) offsetof(struct settings, FIELD)

static const struct ee_option options[] = {
    {.name = "Group", .type = EE_OPTION_GROUP},
    {.name = "drain", .type = EE_OPTION_FLAG, .offset = AT(drain), .doc = "d"},
    {.name = "bootstrap",
     .argument = "HOST:PORT",
     .type = EE_OPTION_TEXT,
     .offset = AT(bootstrap),
     .fallback = "localhost:9092",
     .doc = "b"},
    {.name = "state-dir",
     .argument = "DIR",
     .type = EE_OPTION_TEXT,
     .offset = AT(state_dir),
     .doc = "s"},
    {.name = "partitions",
     .argument = "N",
     .type = EE_OPTION_COUNT,
     .offset = AT(partitions),
     .fallback = "12",
     .least = 1,
     .most = 1000,
     .doc = "p"},
    {.name = "interval",
     .argument = "TIME",
     .type = EE_OPTION_DURATION,
     .offset = AT(interval),
     .fallback = "20ms",
     .doc = "i"},
    {.name = "property",
     .letter = 'X',
     .argument = "KEY=VALUE",
     .type = EE_OPTION_PROPERTY,
     .offset = AT(properties),
     .fallback = "a=1",
     .doc = "x"},
    {.name = NULL},
};
static const struct ee_option *const tables[] = {options, NULL};
static const struct ee_command command = {
    .program = "test", .purpose = "p", .usage = "", .tables = tables};

static struct settings defaults(void) {
  struct settings settings = {.drain = false};
  struct ee_err err;
  if (!ee_options_defaults(&command, &settings, &err)) fail_msg("%s", err.text);
  return settings;
}

static void set(struct settings *settings, const char *name, const char *text) {
  struct ee_err err;
  if (!ee_options_set(&command, settings, name, text, &err)) fail_msg("%s", err.text);
}

static void assert_nothing_owned(const struct settings *settings) {
  assert_null(settings->bootstrap);
  assert_null(settings->state_dir);
  assert_int_equal(settings->properties.count, 0);
}

static void all_have_their_defaults(void **state) {
  (void)state;
  struct settings settings = defaults();
  assert_false(settings.drain);
  assert_string_equal(settings.bootstrap, "localhost:9092");
  assert_null(settings.state_dir);
  assert_int_equal(settings.partitions, 12);
  assert_int_equal(settings.interval, 20);
  assert_int_equal(settings.properties.count, 1);
  assert_string_equal(settings.properties.items[0].value, "1");
  ee_options_release(&command, &settings);
  assert_nothing_owned(&settings);
}

static void one_is_set_by_its_name(void **state) {
  (void)state;
  struct settings settings = defaults();
  char text[] = "b:1";
  set(&settings, "bootstrap", text);
  text[0] = 'x';  // it is copied
  set(&settings, "drain", "true");
  set(&settings, "state-dir", "/s");
  set(&settings, "state-dir", "/t");
  set(&settings, "partitions", "7");
  set(&settings, "interval", "2s");
  set(&settings, "property", "a=9");
  set(&settings, "property", "b=2=3");
  assert_true(settings.drain);
  assert_string_equal(settings.bootstrap, "b:1");
  assert_string_equal(settings.state_dir, "/t");
  assert_int_equal(settings.partitions, 7);
  assert_int_equal(settings.interval, 2000);
  assert_int_equal(settings.properties.count, 2);
  assert_string_equal(settings.properties.items[0].value, "9");
  assert_string_equal(settings.properties.items[1].name, "b");
  assert_string_equal(settings.properties.items[1].value, "2=3");
  ee_options_release(&command, &settings);
}

static void what_is_wrong_changes_nothing(void **state) {
  (void)state;
  static const struct {
    const char *name, *text, *expected;
  } wrong[] = {
      {"partitions", "0", "partitions: 0 is out of bounds: 1 to 1000"},
      {"partitions", "many", "partitions: "},
      {"interval", "2 weeks", "interval: "},
      {"drain", "yes", "drain: yes is neither true nor false"},
      {"property", "novalue", "property: "},
      {"partition", "5", "unknown option partition; did you mean partitions?"},
      {"zzzzzzzzz", "5", "unknown option zzzzzzzzz"},
      {"Group", "5", "unknown option Group"},
      {"", "5", "unknown option "},
      {"config", "f", "config is for the command line"},
      {"help", "true", "help is for the command line"},
  };
  struct settings settings = defaults();
  for (size_t i = 0; i < COUNT_OF(wrong); i++) {
    struct ee_err err;
    assert_false(ee_options_set(&command, &settings, wrong[i].name, wrong[i].text, &err));
    if (strncmp(err.text, wrong[i].expected, strlen(wrong[i].expected)) != 0) {
      fail_msg("%s, not %s", err.text, wrong[i].expected);
    }
  }
  assert_int_equal(settings.partitions, 12);
  assert_int_equal(settings.interval, 20);
  assert_int_equal(settings.properties.count, 1);
  ee_options_release(&command, &settings);
}

static void a_copy_owns_what_it_has(void **state) {
  (void)state;
  struct settings settings = defaults(), copy = {.drain = false};
  struct ee_err err;
  set(&settings, "property", "b=2");
  set(&settings, "drain", "true");
  set(&settings, "partitions", "3");
  assert_true(ee_options_copy(&command, &settings, &copy, &err));
  assert_ptr_not_equal(copy.bootstrap, settings.bootstrap);
  ee_options_release(&command, &settings);
  assert_true(copy.drain);
  assert_int_equal(copy.partitions, 3);
  assert_int_equal(copy.interval, 20);
  assert_string_equal(copy.bootstrap, "localhost:9092");
  assert_null(copy.state_dir);
  assert_int_equal(copy.properties.count, 2);
  assert_string_equal(copy.properties.items[1].name, "b");
  assert_string_equal(copy.properties.items[1].value, "2");
  ee_options_release(&command, &copy);
  assert_nothing_owned(&copy);
}

static void short_memory_leaves_nothing(void **state) {
  (void)state;
  struct ee_err err;
  bool failed = true;
  size_t failures = 0;
  for (size_t n = 0; failed; n++) {
    struct settings settings = {.drain = false};
    ee_chaos_fail_after(n);
    bool done = ee_options_defaults(&command, &settings, &err);
    failed = ee_chaos_stop();
    assert_int_equal(done, !failed);
    failures += failed;
    if (!done) assert_nothing_owned(&settings);
    ee_options_release(&command, &settings);
  }
  struct settings settings = defaults();
  set(&settings, "state-dir", "/s");
  failed = true;
  for (size_t n = 0; failed; n++) {
    struct settings copy = {.drain = false};
    ee_chaos_fail_after(n);
    bool done = ee_options_copy(&command, &settings, &copy, &err);
    failed = ee_chaos_stop();
    assert_int_equal(done, !failed);
    failures += failed;
    if (!done) assert_nothing_owned(&copy);
    ee_options_release(&command, &copy);
  }
  ee_options_release(&command, &settings);
  assert_true(failures > 5);
}

// What could not be set is as it was, and the rest can be used.
static void short_memory_leaves_what_was_set(void **state) {
  (void)state;
  struct settings settings = defaults();
  struct ee_err err;
  bool failed = true;
  for (size_t n = 0; failed; n++) {
    ee_chaos_fail_after(n);
    bool done = ee_options_set(&command, &settings, "property", "new=1", &err) &&
                ee_options_set(&command, &settings, "bootstrap", "new:1", &err);
    failed = ee_chaos_stop();
    assert_int_equal(done, !failed);
    if (!done) assert_string_equal(settings.bootstrap, "localhost:9092");
    for (size_t i = 0; i < settings.properties.count; i++) {
      assert_non_null(settings.properties.items[i].name);
      assert_non_null(settings.properties.items[i].value);
    }
  }
  assert_int_equal(settings.properties.count, 2);
  assert_string_equal(settings.bootstrap, "new:1");
  ee_options_release(&command, &settings);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_have_their_defaults),
      cmocka_unit_test(one_is_set_by_its_name),
      cmocka_unit_test(what_is_wrong_changes_nothing),
      cmocka_unit_test(a_copy_owns_what_it_has),
      cmocka_unit_test(short_memory_leaves_nothing),
      cmocka_unit_test(short_memory_leaves_what_was_set),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
