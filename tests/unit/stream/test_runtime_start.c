// SPDX-License-Identifier: Apache-2.0
// What the runtime says before it works and while it waits: topics that are not right, brokers
// and coordinators that do not answer, a policy topic that cannot be read. Over the embedded
// log, whose answers are doctored; the log lines are read from standard error.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "stream/embedded_broker.h"
#include "stream/runtime.h"
#include "support/test.h"

#define PARTITIONS 2
#define START_MS INT64_C(1780000000000)
#define LIMIT ((size_t)64 << 20)
#define LOG_MAX 65536

// ---- A processor that does nothing.

static bool idle_step(void *self, struct ee_step *step, const struct ee_input *input) {
  (void)self, (void)step, (void)input;
  return true;
}

static int64_t idle_wake_at(void *self, uint8_t changelog, struct ee_bytes key, const void *record,
                            int64_t clock, struct ee_arena *arena) {
  (void)self, (void)changelog, (void)key, (void)record, (void)clock, (void)arena;
  return EE_NEVER;
}

static const enum ee_topic inputs[] = {EE_TOPIC_ADMISSION, EE_TOPIC_TICK};
static const enum ee_topic outputs[] = {EE_TOPIC_VIOLATION};
static const struct ee_changelog changelogs[] = {{EE_TOPIC_LIFECYCLE, true},
                                                 {EE_TOPIC_JOIN_STATE, false}};
static const struct ee_processor_ops idle_ops = {.name = "idle",
                                                 .inputs = inputs,
                                                 .input_count = COUNT_OF(inputs),
                                                 .outputs = outputs,
                                                 .output_count = COUNT_OF(outputs),
                                                 .changelogs = changelogs,
                                                 .changelog_count = COUNT_OF(changelogs),
                                                 .state_changelog = 1,
                                                 .uses_policy = true,
                                                 .step = idle_step,
                                                 .wake_at = idle_wake_at};
static const struct ee_processor idle = {.ops = &idle_ops};

// ---- The broker's answers, doctored: its own poll, then ours over what it reports.

static struct {
  const struct ee_broker_ops *real;
  struct ee_broker_ops ops;
  enum ee_topic topic;  // whose state is another one
  const struct ee_topic_state *state;
  bool kinds_fail[EE_OP_TOPICS + 1];  // answer EE_RETRY
  bool policy_fails;                  // as does the end of the policy topic
  bool policy_lost;                   // it is never reported
  const char *trouble;                // reported next
} doctored;

static bool asks_policy(const struct ee_operation *operation) {
  return operation->kind == EE_OP_END && operation->offsets[0].tp.topic == EE_TOPIC_POLICY;
}

static void doctored_poll(struct ee_broker *broker, int timeout_ms, struct ee_broker_event *ret) {
  if (doctored.trouble != NULL) {
    *ret = (struct ee_broker_event){.kind = EE_EVENT_TROUBLE, .outcome = EE_RETRY};
    ee_err_set(&ret->err, "%s", doctored.trouble);
    doctored.trouble = NULL;
    return;
  }
  doctored.real->poll(broker, timeout_ms, ret);
  if (ret->kind != EE_EVENT_OPERATION) return;
  struct ee_operation *operation = ret->operation;
  if (operation->kind == EE_OP_TOPICS && doctored.state != NULL) {
    operation->topics[doctored.topic] = *doctored.state;
  }
  if (doctored.policy_lost && asks_policy(operation)) ret->kind = EE_EVENT_NONE;
  if (doctored.kinds_fail[operation->kind] || (doctored.policy_fails && asks_policy(operation))) {
    operation->outcome = EE_RETRY;
    ee_err_set(&operation->err, "nobody answers");
  }
}

// ---- A cluster, one instance on it, and what it has logged.

struct rig {
  struct ee_cluster *cluster;
  struct ee_known *known;
  struct ee_codec *codec;
  struct ee_broker *broker;
  struct ee_store *store;
  struct ee_metrics metrics;
  struct ee_runtime *runtime;
  int64_t now_ms;
  char log[LOG_MAX];
  struct ee_err err;
};

static int setup(void **state) {
  struct rig *rig = calloc(1, sizeof *rig);
  const char *emptied;
  struct ee_store_settings store = {
      .memory_bytes = (int64_t)LIMIT, .format = 1, .changelog_count = COUNT_OF(changelogs)};
  struct ee_runtime_settings settings = {.commit_interval_ms = 20,
                                         .checkpoint_interval_ms = 1000,
                                         .batch_bytes = 8 << 20,
                                         .checkpoint_bytes = 1 << 20,
                                         .queue_bytes = 1 << 24,
                                         .policy_margin_ms = 10000};
  assert_true(ee_cluster_new("t.", PARTITIONS, LIMIT, &rig->cluster, &rig->err));
  ee_cluster_set_time(rig->cluster, START_MS);
  assert_true(ee_known_new(NULL, &rig->known, &rig->err));
  assert_true(ee_codec_new(rig->known, NULL, "t.", &rig->codec, &rig->err));
  assert_true(ee_store_open(&store, &rig->store, &emptied, &rig->err));
  assert_true(ee_embedded_broker_new(rig->cluster, "idle", "one", &rig->broker, &rig->err));
  memset(&doctored, 0, sizeof doctored);
  doctored.real = rig->broker->ops;
  doctored.ops = *doctored.real;
  doctored.ops.poll = doctored_poll;
  rig->broker->ops = &doctored.ops;
  assert_true(ee_runtime_new(&idle, rig->broker, rig->store, rig->codec, &rig->metrics, &settings,
                             &rig->runtime, &rig->err));
  *state = rig;
  return 0;
}

static int teardown(void **state) {
  struct rig *rig = *state;
  ee_runtime_free(rig->runtime);
  doctored.real->close(rig->broker, 0);
  ee_store_close(rig->store);
  ee_codec_free(rig->codec);
  ee_known_free(rig->known);
  ee_cluster_free(rig->cluster);
  free(rig);
  return 0;
}

// Turns for so long, its standard error kept in rig->log.
static enum ee_runtime_state turn_for(struct rig *rig, int64_t span_ms) {
  enum ee_runtime_state state = EE_RUNTIME_RUNNING;
  int was = dup(STDERR_FILENO), log = memfd_create("log", MFD_CLOEXEC);
  assert_true(was >= 0 && log >= 0 && dup2(log, STDERR_FILENO) >= 0);
  for (int64_t until_ms = rig->now_ms + span_ms;
       rig->now_ms < until_ms && state == EE_RUNTIME_RUNNING;) {
    bool busy;
    rig->now_ms += 5;
    state = ee_runtime_turn(rig->runtime, rig->now_ms, START_MS + rig->now_ms, 0, &busy, &rig->err);
  }
  assert_true(dup2(was, STDERR_FILENO) >= 0);
  ssize_t size = pread(log, rig->log, sizeof rig->log - 1, 0);
  assert_true(size >= 0);
  rig->log[size] = '\0';
  close(was);
  close(log);
  return state;
}

static void expect_text(const char *text, const char *words) {
  if (strstr(text, words) == NULL) fail_msg("%s: does not say %s", text, words);
}

static void expect_unready(const struct rig *rig, const char *words) {
  struct ee_err why = {.text = ""};
  assert_false(ee_runtime_ready(rig->runtime, &why));
  expect_text(why.text, words);
}

static size_t lines_of(const struct rig *rig, const char *words) {
  size_t count = 0;
  for (const char *at = rig->log; (at = strstr(at, words)) != NULL; at++)
    count++;
  return count;
}

// ---- Tests.

static const struct ee_topic_state right = {
    .exists = true, .partitions = PARTITIONS, .append_time = true, .cleanup = EE_CLEANUP_DELETE};

static void topics_are_checked(void **state) {
  static const struct {
    enum ee_topic topic;
    bool missing, create_time;
    enum ee_cleanup cleanup;
    int32_t partitions;
    const char *name, *words;
  } wrong[] = {
      {EE_TOPIC_TICK, true, false, EE_CLEANUP_DELETE, 2, "t.envelope.tick.v1", "does not exist"},
      {EE_TOPIC_TICK, false, true, EE_CLEANUP_DELETE, 2, "t.envelope.tick.v1", "LogAppendTime"},
      {EE_TOPIC_ADMISSION, false, false, EE_CLEANUP_COMPACT, 2, "t.envelope.admission.v1",
       "cleanup.policy=delete"},
      {EE_TOPIC_ADMISSION, false, false, EE_CLEANUP_OTHER, 2, "t.envelope.admission.v1",
       "cleanup.policy=delete"},
      {EE_TOPIC_VIOLATION, false, true, EE_CLEANUP_COMPACT, 2, "t.envelope.violation.v1",
       "cleanup.policy=delete"},
      {EE_TOPIC_LIFECYCLE, false, true, EE_CLEANUP_DELETE, 2, "t.envelope.lifecycle.v1",
       "cleanup.policy=compact"},
      {EE_TOPIC_JOIN_STATE, false, true, EE_CLEANUP_OTHER, 2, "t.envelope.join.state.v1",
       "cleanup.policy=compact"},
      {EE_TOPIC_DEADLETTER, false, true, EE_CLEANUP_COMPACT, 5, "t.envelope.deadletter.v1",
       "cleanup.policy=delete"},
      {EE_TOPIC_LIFECYCLE, false, true, EE_CLEANUP_COMPACT, 3, "t.envelope.lifecycle.v1",
       "3 partitions where t.envelope.admission.v1 has 2"},
      {EE_TOPIC_POLICY, false, false, EE_CLEANUP_DELETE, 2, "t.envelope.policy.v1", "only one"},
  };
  (void)state;
  for (size_t i = 0; i < COUNT_OF(wrong); i++) {
    void *own;
    setup(&own);
    struct rig *rig = own;
    struct ee_topic_state found = right;
    found.exists = !wrong[i].missing;
    found.append_time = !wrong[i].create_time;
    found.cleanup = wrong[i].cleanup;
    found.partitions = wrong[i].partitions;
    doctored.topic = wrong[i].topic;
    doctored.state = &found;
    assert_int_equal(turn_for(rig, 1000), EE_RUNTIME_FAILED);
    expect_text(rig->err.text, wrong[i].name);
    expect_text(rig->err.text, wrong[i].words);
    expect_text(rig->err.text, "envelopectl topics apply");
    teardown(&own);
  }
}

static void a_dead_letter_topic_may_have_any_number(void **state) {
  struct rig *rig = *state;
  struct ee_topic_state found = right;
  found.partitions = 7;
  doctored.topic = EE_TOPIC_DEADLETTER;
  doctored.state = &found;
  assert_int_equal(turn_for(rig, 1000), EE_RUNTIME_RUNNING);
  struct ee_err why;
  assert_true(ee_runtime_ready(rig->runtime, &why));
}

static void brokers_are_waited_for_visibly(void **state) {
  struct rig *rig = *state;
  struct ee_err why;
  expect_unready(rig, "starting");
  doctored.kinds_fail[EE_OP_TOPICS] = true;
  assert_int_equal(turn_for(rig, 11000), EE_RUNTIME_RUNNING);
  assert_int_equal(lines_of(rig, "\"waits for the brokers\",\"why\":\"nobody answers\""), 3);
  assert_int_equal(lines_of(rig, "\n"), 3);
  expect_unready(rig, "settings: nobody answers");
  doctored.kinds_fail[EE_OP_TOPICS] = false;
  assert_int_equal(turn_for(rig, 1000), EE_RUNTIME_RUNNING);
  assert_true(ee_runtime_ready(rig->runtime, &why));
  ee_runtime_stop(rig->runtime);
  assert_false(ee_runtime_ready(rig->runtime, &why));
  assert_string_equal(why.text, "stopping");
}

static void a_restore_that_does_not_come_on_is_said(void **state) {
  struct rig *rig = *state;
  doctored.kinds_fail[EE_OP_COMMITTED] = true;
  turn_for(rig, 4000);
  assert_int_equal(lines_of(rig, "\"warn\""), 0);
  turn_for(rig, 2000);
  assert_int_equal(lines_of(rig, "\"not ready\""), 1);
  expect_text(rig->log, "being restored: nobody answers");
  doctored.kinds_fail[EE_OP_COMMITTED] = false;
  turn_for(rig, 6000);
  assert_int_equal(lines_of(rig, "\"warn\""), 0);
}

static void append_admission(struct rig *rig) {
  // Its key is not what it says, but it is not looked at before the policy is known.
  struct ee_output output = {.tp = {EE_TOPIC_ADMISSION, 1},
                             .key = ee_str_bytes(EE_STR("k")),
                             .value = ee_str_bytes(EE_STR("nonsense"))};
  assert_true(ee_cluster_append(rig->cluster, &output, -1) >= 0);
}

static void a_policy_that_cannot_be_read_is_said(void **state) {
  struct rig *rig = *state;
  turn_for(rig, 1000);
  doctored.policy_fails = true;
  append_admission(rig);
  turn_for(rig, 4000);
  assert_int_equal(lines_of(rig, "\"warn\""), 0);
  turn_for(rig, 2000);
  assert_int_equal(lines_of(rig, "\"a partition waits for the policy topic\""), 1);
  expect_text(rig->log,
              "\"topic\":\"t.envelope.admission.v1\",\"partition\":1,\"offset\":0,"
              "\"why\":\"nobody answers\"");
  doctored.policy_fails = false;
  turn_for(rig, 6000);
  assert_int_equal(lines_of(rig, "\"warn\""), 0);
  assert_int_equal(rig->metrics.dead_letters[EE_REASON_unknown_framing], 1);
}

static void a_trouble_that_is_over_is_no_reason(void **state) {
  struct rig *rig = *state;
  doctored.kinds_fail[EE_OP_COMMITTED] = true;
  turn_for(rig, 1000);
  expect_unready(rig, "nobody answers");
  doctored.kinds_fail[EE_OP_COMMITTED] = false;
  turn_for(rig, 1000);
  doctored.policy_lost = true;
  append_admission(rig);
  turn_for(rig, 6000);
  expect_text(rig->log, "\"offset\":0,\"why\":\"not read to its end\"");
}

// Each is reported once by the broker, so none may be lost among others.
static void a_trouble_after_another_is_said_later(void **state) {
  struct rig *rig = *state;
  turn_for(rig, 1000);
  doctored.trouble = "first";
  turn_for(rig, 100);
  assert_int_equal(lines_of(rig, "\"why\":\"first\""), 1);
  doctored.trouble = "second";
  turn_for(rig, 4000);
  assert_int_equal(lines_of(rig, "\"warn\""), 0);
  turn_for(rig, 2000);
  assert_int_equal(lines_of(rig, "\"trouble with the brokers\",\"why\":\"second\""), 1);
  turn_for(rig, 10000);
  assert_int_equal(lines_of(rig, "\"warn\""), 0);
}

#define WITH_RIG(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(topics_are_checked),
      WITH_RIG(a_dead_letter_topic_may_have_any_number),
      WITH_RIG(brokers_are_waited_for_visibly),
      WITH_RIG(a_restore_that_does_not_come_on_is_said),
      WITH_RIG(a_policy_that_cannot_be_read_is_said),
      WITH_RIG(a_trouble_that_is_over_is_no_reason),
      WITH_RIG(a_trouble_after_another_is_said_later),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
