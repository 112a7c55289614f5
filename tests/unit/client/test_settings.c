// SPDX-License-Identifier: Apache-2.0
// A producer's settings by name: what is taken, what is refused and how it is said.
#include "client/settings.h"

#include <stdio.h>
#include <string.h>

#include "support/chaos.h"
#include "support/test.h"

static envelope_settings *settings_of(void) {
  envelope_settings *settings = envelope_settings_new();
  assert_non_null(settings);
  return settings;
}

static void set(envelope_settings *settings, const char *name, const char *value) {
  struct envelope_error error;
  if (envelope_settings_set(settings, name, value, &error) != ENVELOPE_OK) {
    fail_msg("%s", error.text);
  }
}

static void they_have_defaults(void **state) {
  (void)state;
  envelope_settings *settings = settings_of();
  const struct ee_producer_settings *values = &settings->values;
  assert_null(values->spool);
  assert_null(values->producer);
  assert_null(values->source);
  assert_int_equal(values->spool_bytes, 1 << 30);
  assert_int_equal(values->segment_bytes, 16 << 20);
  assert_string_equal(values->when_full, "drop");
  assert_string_equal(values->sync, "none");
  assert_string_equal(values->client.bootstrap, "localhost:9092");
  assert_null(settings->notices.notice);
  assert_null(settings->delivered);
  envelope_settings_free(settings);
  envelope_settings_free(NULL);
}

static void what_is_set_is_copied(void **state) {
  (void)state;
  envelope_settings *settings = settings_of();
  const struct ee_producer_settings *values = &settings->values;
  char name[] = "spool", value[] = "/var/spool/a";
  set(settings, name, value);
  memset(name, 'x', sizeof name - 1);
  memset(value, 'x', sizeof value - 1);
  assert_string_equal(values->spool, "/var/spool/a");
  set(settings, "spool", "/var/spool/b");
  set(settings, "producer", "\xc3\xa9");
  set(settings, "source", "https://s.example");
  set(settings, "spool-bytes", "64MiB");
  set(settings, "segment-bytes", "2MiB");
  set(settings, "when-full", "refuse");
  set(settings, "sync", "call");
  set(settings, "bootstrap", "k-1:9092,k-2:9092");
  set(settings, "topic-prefix", "p.");
  assert_string_equal(values->spool, "/var/spool/b");
  assert_string_equal(values->producer, "\xc3\xa9");
  assert_string_equal(values->source, "https://s.example");
  assert_int_equal(values->spool_bytes, 64 << 20);
  assert_int_equal(values->segment_bytes, 2 << 20);
  assert_string_equal(values->when_full, "refuse");
  assert_string_equal(values->sync, "call");
  assert_string_equal(values->client.bootstrap, "k-1:9092,k-2:9092");
  assert_string_equal(values->client.topic_prefix, "p.");
  envelope_settings_free(settings);
}

static void properties_are_many(void **state) {
  (void)state;
  envelope_settings *settings = settings_of();
  const struct ee_properties *properties = &settings->values.client.properties;
  struct envelope_error error;
  char text[32];
  for (int i = 0; i < EE_PROPERTIES_MAX; i++) {
    snprintf(text, sizeof text, "name.%d=%d", i, i);
    set(settings, "property", text);
  }
  assert_int_equal(properties->count, EE_PROPERTIES_MAX);
  set(settings, "property", "name.5=again");
  assert_string_equal(properties->items[5].value, "again");
  assert_string_equal(properties->items[63].name, "name.63");
  assert_int_equal(envelope_settings_set(settings, "property", "one.more=1", &error),
                   ENVELOPE_BAD_SETTING);
  assert_non_null(strstr(error.text, "more than 64 properties"));
  envelope_settings_free(settings);
}

static void what_is_wrong_is_said(void **state) {
  (void)state;
  char long_name[92];
  memset(long_name, 'x', sizeof long_name);
  long_name[91] = '\0';
  const struct {
    const char *name, *value, *expected;
  } wrong[] = {
      {"spol", "/s", "did you mean spool?"},
      {"when_full", "drop", "did you mean when-full?"},
      {"config", "/etc/x", "config is for the command line"},
      {"Spool", "/s", "unknown option Spool"},
      {"spool-bytes", "3MiB", "spool-bytes: 3MiB is out of bounds"},
      {"spool-bytes", "2PiB", "spool-bytes: "},
      {"segment-bytes", "1023KiB", "segment-bytes: "},
      {"segment-bytes", "1025MiB", "segment-bytes: 1025MiB is out of bounds"},
      {"when-full", "wait", "when-full: wait is neither drop nor refuse"},
      {"sync", "yes", "sync: yes is neither none nor call"},
      {"producer", "", "producer: a producer's name has 1 to 90 bytes"},
      {"producer", long_name, "producer: a producer's name has 1 to 90 bytes"},
      {"producer", "\xff", "producer: a producer's name has 1 to 90 bytes"},
      {"bootstrap", " ,", "bootstrap: "},
      {"topic-prefix", "a/b", "topic-prefix: "},
      {"property", "none", "property: "},
      {"spool", NULL, "a setting has a name and a value"},
      {NULL, "x", "a setting has a name and a value"},
  };
  envelope_settings *settings = settings_of();
  for (size_t i = 0; i < COUNT_OF(wrong); i++) {
    struct envelope_error error = {.column = 9};
    assert_int_equal(envelope_settings_set(settings, wrong[i].name, wrong[i].value, &error),
                     ENVELOPE_BAD_SETTING);
    assert_int_equal(error.result, ENVELOPE_BAD_SETTING);
    assert_int_equal(error.column, 0);
    assert_string_equal(error.field, wrong[i].name == NULL ? "" : wrong[i].name);
    if (strstr(error.text, wrong[i].expected) == NULL) {
      fail_msg("%s, not %s", error.text, wrong[i].expected);
    }
    assert_int_equal(envelope_settings_set(settings, wrong[i].name, wrong[i].value, NULL),
                     ENVELOPE_BAD_SETTING);
  }
  assert_int_equal(settings->values.spool_bytes, 1 << 30);
  assert_string_equal(settings->values.when_full, "drop");
  assert_null(settings->values.producer);
  long_name[90] = '\0';
  set(settings, "producer", long_name);
  envelope_settings_free(settings);
}

static void short_memory(void **state) {
  (void)state;
  bool failed = true;
  size_t failures = 0;
  for (size_t n = 0; failed; n++) {
    ee_chaos_fail_after(n);
    envelope_settings *settings = envelope_settings_new();
    failed = ee_chaos_stop();
    assert_int_equal(settings == NULL, failed);
    failures += failed;
    envelope_settings_free(settings);
  }
  assert_true(failures > 3);
}

static void results_have_names(void **state) {
  (void)state;
  static const struct {
    int result;
    const char *name;
  } names[] = {{ENVELOPE_OK, "ok"},
               {ENVELOPE_DROPPED, "dropped"},
               {ENVELOPE_FULL, "full"},
               {ENVELOPE_TIMED_OUT, "timed_out"},
               {ENVELOPE_NO_MEMORY, "no_memory"},
               {ENVELOPE_UNAVAILABLE, "unavailable"},
               {ENVELOPE_MISSING_FIELD, "missing_field"},
               {ENVELOPE_TENANT_MISSING, "tenant_missing"},
               {ENVELOPE_OVERSIZED, "oversized"},
               {ENVELOPE_INVALID_UTF8, "invalid_utf8"},
               {ENVELOPE_EXTENSION_NOT_NAMESPACED, "extension_not_namespaced"},
               {ENVELOPE_BAD_ENUM, "bad_enum"},
               {ENVELOPE_DUPLICATE_KEY, "duplicate_key"},
               {ENVELOPE_TOO_DEEP, "too_deep"},
               {ENVELOPE_WRONG_SCHEMA, "wrong_schema"},
               {ENVELOPE_WRONG_FIELD, "wrong_field"},
               {ENVELOPE_BAD_SETTING, "bad_setting"},
               {ENVELOPE_FORKED, "forked"}};
  for (int result = -20; result < 20; result++) {
    const char *expected = "unknown";
    for (size_t i = 0; i < COUNT_OF(names); i++) {
      if (names[i].result == result) expected = names[i].name;
    }
    assert_string_equal(envelope_result_name(result), expected);
  }
  assert_string_equal(envelope_version(), ENVELOPE_VERSION);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(they_have_defaults),  cmocka_unit_test(what_is_set_is_copied),
      cmocka_unit_test(properties_are_many), cmocka_unit_test(what_is_wrong_is_said),
      cmocka_unit_test(short_memory),        cmocka_unit_test(results_have_names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
