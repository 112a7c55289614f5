// SPDX-License-Identifier: Apache-2.0
// Which topic `cat` reads: names with and without the prefix.
#include "tools/envelopectl/cat.h"

#include "tests/support/test.h"

static void names_are_resolved(void **state) {
  (void)state;
  static const struct {
    const char *prefix, *given, *name;
    int topic;
  } rows[] = {
      {"", "envelope.tick.v1", "envelope.tick.v1", EE_TOPIC_TICK},
      {"p.", "envelope.tick.v1", "p.envelope.tick.v1", EE_TOPIC_TICK},
      {"p.", "p.envelope.tick.v1", "p.envelope.tick.v1", EE_TOPIC_TICK},
      {"p.", "q.envelope.tick.v1", "q.envelope.tick.v1", EE_TOPIC_TICK},
      {"", "q.envelope.usage.v1", "q.envelope.usage.v1", EE_TOPIC_USAGE},
      {"", "q.envelope.usage.tenant.v1", "q.envelope.usage.tenant.v1", EE_TOPIC_USAGE_TENANT},
      {"", "envelope.deadletter.v1", "envelope.deadletter.v1", EE_TOPIC_DEADLETTER},
      {"p.", "orders", "orders", -1},
      {"p.", "envelope.tick.v1x", "envelope.tick.v1x", -1},
      {"p.", "", "", -1},
  };
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    char name[EE_TOPIC_NAME_SIZE];
    assert_int_equal(ee_cat_topic(rows[i].prefix, rows[i].given, name), rows[i].topic);
    assert_string_equal(name, rows[i].name);
  }
}

// No name of the catalogue ends another, so the ending says which it is.
static void endings_are_unique(void **state) {
  (void)state;
  for (int i = 0; i < EE_TOPIC_COUNT; i++) {
    char given[EE_TOPIC_NAME_SIZE];
    char name[EE_TOPIC_NAME_SIZE];
    snprintf(given, sizeof given, "x%s", ee_topics[i].name);
    assert_int_equal(ee_cat_topic("", given, name), i);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(names_are_resolved),
      cmocka_unit_test(endings_are_unique),
  };
  return cmocka_run_group_tests_name("ctl/cat", tests, NULL, NULL);
}
