// SPDX-License-Identifier: Apache-2.0
// Settings of the handles without a broker: what the user may set and may not, what the
// guarantees rest on, names and identities, and each allocation failing in turn.
#include "stream/kafka_config.h"

#include "tests/support/chaos.h"
#include "tests/support/test.h"

#define CLOSE_MS 60000  // a deadline; under valgrind on a busy machine seconds are nothing

static struct ee_kafka_settings settings_with(const struct ee_properties *properties) {
  return (struct ee_kafka_settings){.bootstrap = "127.0.0.1:1",
                                    .topic_prefix = "p.",
                                    .properties = properties,
                                    .group = "join",
                                    .instance = "one",
                                    .transaction_timeout_ms = 10000,
                                    .session_timeout_ms = 10000,
                                    .memory_bytes = 64 << 20};
}

static struct ee_kafka_shared *shared_with(const struct ee_properties *properties) {
  struct ee_kafka_settings settings = settings_with(properties);
  struct ee_kafka_shared *shared = NULL;
  struct ee_err err = {.text = ""};
  assert_true(ee_kafka_shared_new(&settings, &shared, &err));
  return shared;
}

static void check_value(rd_kafka_conf_t *conf, const char *name, const char *value) {
  char text[512];
  size_t size = sizeof(text);
  assert_int_equal(rd_kafka_conf_get(conf, name, text, &size), RD_KAFKA_CONF_OK);
  assert_string_equal(text, value);
}

static void expect_role(enum ee_kafka_role role, const char *const *pairs) {
  struct ee_kafka_shared *shared = shared_with(NULL);
  struct ee_err err = {.text = ""};
  rd_kafka_conf_t *conf = ee_kafka_conf_new(shared, role, &err);
  assert_non_null(conf);
  for (; *pairs != NULL; pairs += 2)
    check_value(conf, pairs[0], pairs[1]);
  rd_kafka_conf_destroy(conf);
  ee_kafka_shared_free(shared);
}

static void test_roles(void **state) {
  (void)state;
  expect_role(
      EE_KAFKA_MEMBER,
      (const char *[]){"group.id", "join", "group.instance.id", "one", "isolation.level",
                       "read_committed", "enable.auto.commit", "false", "enable.auto.offset.store",
                       "false", "partition.assignment.strategy", "range", "session.timeout.ms",
                       "10000", "allow.auto.create.topics", "false", NULL});
  expect_role(EE_KAFKA_FETCHER,
              (const char *[]){"group.id", "join", "isolation.level", "read_committed",
                               "enable.partition.eof", "true", "auto.offset.reset", "error",
                               "enable.auto.commit", "false", NULL});
  expect_role(EE_KAFKA_OBSERVER, (const char *[]){"isolation.level", "read_uncommitted",
                                                  "allow.auto.create.topics", "false", NULL});
  expect_role(EE_KAFKA_TRANSACTOR,
              (const char *[]){"transactional.id", "join/one", "transaction.timeout.ms", "10000",
                               "enable.idempotence", "true", "acks", "-1", "partitioner",
                               "murmur2_random", NULL});
  expect_role(EE_KAFKA_TICKER, (const char *[]){"partitioner", "murmur2_random",
                                                "message.timeout.ms", "10000", NULL});
}

// The user's properties reach every handle and win over our tuning.
static void test_user(void **state) {
  (void)state;
  struct ee_properties properties = {
      .items = {{"compression.type", "lz4"}, {"linger.ms", "7"}, {"fetch.wait.max.ms", "33"}},
      .count = 3};
  struct ee_kafka_shared *shared = shared_with(&properties);
  properties.items[1].value = "overwritten";  // it was copied
  struct ee_err err = {.text = ""};
  for (int role = EE_KAFKA_MEMBER; role <= EE_KAFKA_TICKER; role++) {
    rd_kafka_conf_t *conf = ee_kafka_conf_new(shared, (enum ee_kafka_role)role, &err);
    assert_non_null(conf);
    check_value(conf, "linger.ms", "7");
    check_value(conf, "compression.type", "lz4");
    check_value(conf, "fetch.wait.max.ms", "33");
    rd_kafka_conf_destroy(conf);
  }
  ee_kafka_shared_free(shared);
}

static void expect_refused(const char *name, const char *value, const char *part) {
  struct ee_properties properties = {.items = {{name, value}}, .count = 1};
  struct ee_kafka_settings settings = settings_with(&properties);
  struct ee_broker *broker;
  struct ee_err err = {.text = ""};
  assert_false(ee_kafka_broker_new(&settings, &broker, &err));
  if (strstr(err.text, part) == NULL) print_error("%s\n", err.text);
  assert_non_null(strstr(err.text, part));
}

static void test_refused(void **state) {
  (void)state;
  static const char *const ours[] = {"group.id",
                                     "group.instance.id",
                                     "transactional.id",
                                     "isolation.level",
                                     "enable.auto.commit",
                                     "enable.auto.offset.store",
                                     "auto.offset.reset",
                                     "enable.idempotence",
                                     "partition.assignment.strategy",
                                     "bootstrap.servers",
                                     "session.timeout.ms",
                                     "transaction.timeout.ms",
                                     "group.protocol",
                                     "allow.auto.create.topics",
                                     "partitioner",
                                     "metadata.broker.list",
                                     "acks",
                                     "request.required.acks",
                                     "enable.partition.eof",
                                     "log.queue",
                                     "delivery.report.only.error"};
  for (size_t i = 0; i < COUNT_OF(ours); i++) {
    expect_refused(ours[i], "x", ours[i]);
    expect_refused(ours[i], "x", "cannot be set");
  }
  expect_refused("no.such.thing", "1", "-X no.such.thing");
  expect_refused("linger.ms", "many", "-X linger.ms=many");
  // Each good, not together: librdkafka says so when the handle is made.
  expect_refused("max.poll.interval.ms", "9999", "max.poll.interval.ms");
}

static void expect_settings_refused(struct ee_kafka_settings settings, const char *part) {
  struct ee_kafka_shared *shared;
  struct ee_err err = {.text = ""};
  assert_false(ee_kafka_shared_new(&settings, &shared, &err));
  assert_non_null(strstr(err.text, part));
}

static void test_settings(void **state) {
  (void)state;
  char long_text[300];
  memset(long_text, 'x', sizeof(long_text) - 1);
  long_text[sizeof(long_text) - 1] = '\0';
  struct ee_kafka_settings settings = settings_with(NULL);
  settings.instance = "a/b";  // would make two pairs one transactional.id
  expect_settings_refused(settings, "a/b");
  settings.instance = "";
  expect_settings_refused(settings, "instance");
  settings = settings_with(NULL);
  settings.group = long_text;
  expect_settings_refused(settings, "group");
  settings.group = "";
  expect_settings_refused(settings, "group");
  settings = settings_with(NULL);
  settings.topic_prefix = "with space";
  expect_settings_refused(settings, "with space");
  long_text[240] = '\0';
  settings.topic_prefix = long_text;
  expect_settings_refused(settings, "longer than");
}

// A session within the option's bounds is never refused for the time between polls.
static void test_long_session(void **state) {
  (void)state;
  static const struct {
    int64_t session_ms;
    const char *poll_ms;
  } samples[] = {{6000, "300000"}, {300000, "300000"}, {900000, "900000"}};
  for (size_t i = 0; i < COUNT_OF(samples); i++) {
    struct ee_kafka_settings settings = settings_with(NULL);
    settings.session_timeout_ms = samples[i].session_ms;
    struct ee_broker *broker = NULL;
    struct ee_kafka_shared *shared = NULL;
    struct ee_err err = {.text = ""};
    if (!ee_kafka_broker_new(&settings, &broker, &err)) fail_msg("%s", err.text);
    broker->ops->close(broker, CLOSE_MS);
    assert_true(ee_kafka_shared_new(&settings, &shared, &err));
    rd_kafka_conf_t *conf = ee_kafka_conf_new(shared, EE_KAFKA_MEMBER, &err);
    check_value(conf, "max.poll.interval.ms", samples[i].poll_ms);
    rd_kafka_conf_destroy(conf);
    ee_kafka_shared_free(shared);
  }
}

static void test_topic_names(void **state) {
  (void)state;
  struct ee_kafka_shared *shared = shared_with(NULL);
  for (int i = 0; i < EE_TOPIC_COUNT; i++) {
    assert_int_equal(ee_kafka_topic_of(shared, shared->names[i]), i);
    assert_int_equal(ee_kafka_topic_of(shared, ee_topics[i].name), -1);
  }
  assert_int_equal(ee_kafka_topic_of(shared, ""), -1);
  assert_int_equal(ee_kafka_topic_of(shared, "p."), -1);
  ee_kafka_shared_free(shared);
}

// Whichever allocation fails, it is said and nothing is left behind.
static void test_no_memory(void **state) {
  (void)state;
  struct ee_properties properties = {.items = {{"linger.ms", "7"}}, .count = 1};
  struct ee_kafka_settings settings = settings_with(&properties);
  bool failed = true;
  for (size_t n = 0; failed; n++) {
    struct ee_broker *broker = NULL;
    struct ee_err err = {.text = ""};
    ee_chaos_fail_after(n);
    bool made = ee_kafka_broker_new(&settings, &broker, &err);
    failed = ee_chaos_stop();
    assert_int_equal(made, !failed);
    assert_int_equal(err.text[0] != '\0', failed);
    if (made) broker->ops->close(broker, CLOSE_MS);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_roles),        cmocka_unit_test(test_user),
      cmocka_unit_test(test_refused),      cmocka_unit_test(test_settings),
      cmocka_unit_test(test_topic_names),  cmocka_unit_test(test_no_memory),
      cmocka_unit_test(test_long_session),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
