// SPDX-License-Identifier: Apache-2.0
// The runtime over the embedded log, with a processor that counts: each envelope's record
// lists every event it has seen, so that a lost or doubled step shows.
#include <stdlib.h>

#include "base/time.h"
#include "contract/ident.h"
#include "stream/embedded_broker.h"
#include "stream/runtime.h"
#include "support/faulty_broker.h"
#include "support/test.h"
#include "wire/partition.h"

#define PARTITIONS 4
#define SECOND EE_MICROS_PER_S
#define START_MS INT64_C(1780000000000)
#define LIMIT ((size_t)256 << 20)

// ---- The processor: an envelope's lifecycle record with one line of evidence an event; a
// tick ten seconds after the first event sets closed_at to the tick's clock.

static bool put_counted(struct ee_step *step, struct ee_lifecycle *record, int64_t wake_at) {
  struct ee_buf value;
  ee_buf_init(&value, 1 << 20);
  record->encoded = (struct ee_bytes){0};
  ee_encode(&ee_lifecycle_type, record, &value);
  bool good =
      ee_step_put(step, 0, ee_str_bytes(record->envelope_id), ee_buf_bytes(&value), wake_at);
  ee_buf_release(&value);
  return good;
}

static int64_t counter_wake_at(void *self, uint8_t changelog, struct ee_bytes key,
                               struct ee_bytes value, int64_t clock, struct ee_arena *arena) {
  (void)self;
  (void)key;
  (void)clock;
  struct ee_lifecycle record;
  if (changelog != 0) return EE_NEVER;
  if (!ee_decode(ee_plan_own(&ee_lifecycle_type), value, arena, &record, NULL)) return EE_NEVER;
  return record.closed_at.present ? EE_NEVER : record.evidence.items[0].timestamp + 10 * SECOND;
}

static bool counter_step(void *self, struct ee_step *step, const struct ee_input *input) {
  const struct ee_event_head *head = input->record;
  struct ee_arena *arena = ee_step_arena(step);
  struct ee_lifecycle record;
  struct ee_bytes before;
  (void)self;
  if (input->topic == EE_TOPIC_PRODUCER) return true;
  if (!ee_step_get(step, 0, ee_str_bytes(head->envelope_id), &before)) return false;
  ee_record_init(&ee_lifecycle_type, &record);
  record.envelope_id = head->envelope_id;
  record.tenant = head->tenant;
  if (before.data != NULL) {
    assert_true(ee_decode(ee_plan_own(&ee_lifecycle_type), before, arena, &record, NULL));
  }
  size_t count = record.evidence.count;
  struct ee_evidence *items = ee_arena_zero(arena, count + 1, sizeof *items);
  if (count > 0) memcpy(items, record.evidence.items, count * sizeof *items);
  ee_record_init(&ee_evidence_type, &items[count]);
  items[count].topic = ee_step_topic_name(step, input->topic);
  items[count].partition = input->partition;
  items[count].offset = input->offset;
  items[count].timestamp = input->timestamp;
  items[count].event_id = head->event_id;
  record.evidence.items = items;
  record.evidence.count = count + 1;
  int64_t wake_at = record.closed_at.present ? EE_NEVER : items[0].timestamp + 10 * SECOND;
  return put_counted(step, &record, wake_at);
}

static bool counter_wake(void *self, struct ee_step *step, const struct ee_tick_view *tick,
                         uint8_t changelog, struct ee_bytes key, struct ee_bytes value) {
  struct ee_lifecycle record;
  (void)self;
  (void)key;
  assert_int_equal(changelog, 0);
  assert_true(
      ee_decode(ee_plan_own(&ee_lifecycle_type), value, ee_step_arena(step), &record, NULL));
  record.closed_at = (struct ee_opt_long){.present = true, .value = tick->clock};
  return put_counted(step, &record, EE_NEVER);
}

static const enum ee_topic inputs[] = {EE_TOPIC_ADMISSION, EE_TOPIC_RESOLVED, EE_TOPIC_TICK};
static const struct ee_changelog changelogs[] = {{EE_TOPIC_LIFECYCLE, true},
                                                 {EE_TOPIC_JOIN_STATE, false}};
static const struct ee_processor_ops counter_ops = {.name = "counter",
                                                    .inputs = inputs,
                                                    .input_count = COUNT_OF(inputs),
                                                    .changelogs = changelogs,
                                                    .changelog_count = COUNT_OF(changelogs),
                                                    .state_changelog = 1,
                                                    .step = counter_step,
                                                    .wake = counter_wake,
                                                    .wake_at = counter_wake_at};
static const struct ee_processor counter = {.ops = &counter_ops};

// ---- A cluster, and one instance on it.

struct rig {
  struct ee_cluster *cluster;
  struct ee_known *known;
  struct ee_codec *codec;
  struct ee_broker *broker;
  struct faulty_broker faulty;
  struct ee_store *store;
  struct ee_metrics metrics;
  struct ee_runtime *runtime;
  struct ee_runtime_settings settings;
  int64_t now_ms;
  struct ee_err err;
};

static int setup(void **state) {
  struct rig *rig = calloc(1, sizeof *rig);
  assert_true(ee_cluster_new("t.", PARTITIONS, LIMIT, &rig->cluster, &rig->err));
  ee_cluster_set_time(rig->cluster, START_MS);
  assert_true(ee_known_new(NULL, &rig->known, &rig->err));
  assert_true(ee_codec_new(rig->known, NULL, "t.", &rig->codec, &rig->err));
  rig->settings = (struct ee_runtime_settings){.commit_interval_ms = 20,
                                               .checkpoint_interval_ms = 1000,
                                               .checkpoint_bytes = 1 << 20,
                                               .policy_margin_ms = 10000};
  *state = rig;
  return 0;
}

static void start_group(struct rig *rig, const char *group) {
  const char *emptied;
  struct ee_store_settings store = {
      .memory_bytes = (int64_t)LIMIT, .format = 1, .changelog_count = COUNT_OF(changelogs)};
  assert_true(ee_store_open(&store, &rig->store, &emptied, &rig->err));
  assert_true(ee_embedded_broker_new(rig->cluster, group, "one", &rig->broker, &rig->err));
  faulty_broker_init(&rig->faulty, rig->broker);
  assert_true(ee_runtime_new(&counter, &rig->faulty.face, rig->store, rig->codec, &rig->metrics,
                             &rig->settings, &rig->runtime, &rig->err));
}

static void start(struct rig *rig) {
  start_group(rig, "counter");
}

// As a crash: nothing is finished, the store is gone with the memory.
static void crash(struct rig *rig) {
  ee_runtime_free(rig->runtime);
  rig->runtime = NULL;
  rig->broker->ops->close(rig->broker, 0);
  rig->broker = NULL;
  ee_store_close(rig->store);
  rig->store = NULL;
}

static int teardown(void **state) {
  struct rig *rig = *state;
  if (rig->runtime != NULL) crash(rig);
  ee_codec_free(rig->codec);
  ee_known_free(rig->known);
  ee_cluster_free(rig->cluster);
  free(rig);
  return 0;
}

static enum ee_runtime_state turn(struct rig *rig) {
  bool busy;
  rig->now_ms += 5;
  return ee_runtime_turn(rig->runtime, rig->now_ms, START_MS + rig->now_ms, 0, &busy, &rig->err);
}

static void turns(struct rig *rig, int count) {
  for (int i = 0; i < count; i++) {
    if (turn(rig) == EE_RUNTIME_FAILED) fail_msg("%s", rig->err.text);
  }
}

static void append(struct rig *rig, enum ee_topic topic, struct ee_str key, struct ee_bytes avro,
                   int32_t partition) {
  struct ee_bytes prefix;
  struct ee_buf framed;
  ee_buf_init(&framed, 1 << 20);
  assert_int_equal(ee_codec_prefix(rig->codec, topic, 0, &prefix, &rig->err), EE_CODEC_READY);
  ee_buf_append(&framed, prefix.data, prefix.size);
  ee_buf_append(&framed, avro.data, avro.size);
  struct ee_output output = {
      .tp = {topic, partition}, .key = ee_str_bytes(key), .value = ee_buf_bytes(&framed)};
  assert_true(ee_cluster_append(rig->cluster, &output, -1) >= 0);
  ee_buf_release(&framed);
}

static void append_admission(struct rig *rig, const char *envelope, const char *event) {
  struct ee_admission record;
  struct ee_buf avro;
  ee_buf_init(&avro, 1 << 16);
  ee_record_init(&ee_admission_type, &record);
  record.envelope_id = ee_str(envelope);
  record.event_id = ee_str(event);
  record.tenant = EE_STR("acme");
  record.source = EE_STR("urn:test");
  record.caller.requester_urn = EE_STR("urn:user:ada");
  record.execution.service = EE_STR("serving");
  record.execution.operation = EE_STR("deploy_model");
  ee_encode(&ee_admission_type, &record, &avro);
  append(rig, EE_TOPIC_ADMISSION, record.envelope_id, ee_buf_bytes(&avro), -1);
  ee_buf_release(&avro);
}

static void append_tick(struct rig *rig, int32_t partition, int64_t as_of) {
  struct ee_tick tick;
  struct ee_buf avro;
  struct ee_long_entry offsets[2] = {{.key = EE_STR("t.envelope.admission.v1")},
                                     {.key = EE_STR("t.envelope.resolved.v1")}};
  for (int i = 0; i < 2; i++) {
    struct ee_tp tp = {(enum ee_topic)i, partition};
    offsets[i].value = ee_cluster_end(rig->cluster, tp, EE_READ_COMMITTED);
  }
  ee_buf_init(&avro, 1 << 16);
  ee_record_init(&ee_tick_type, &tick);
  tick.as_of = (struct ee_opt_long){.present = true, .value = as_of};
  tick.offsets.entries = offsets;
  tick.offsets.count = 2;
  ee_encode(&ee_tick_type, &tick, &avro);
  append(rig, EE_TOPIC_TICK, (struct ee_str){0}, ee_buf_bytes(&avro), partition);
  ee_buf_release(&avro);
}

static int32_t partition_of(const char *envelope) {
  return ee_partition_of(ee_str_bytes(ee_str(envelope)), PARTITIONS);
}

// The newest committed lifecycle record of an envelope; false: none. records: how many.
static bool newest(struct rig *rig, const char *envelope, struct ee_arena *arena,
                   struct ee_lifecycle *ret, size_t *records) {
  struct ee_tp tp = {EE_TOPIC_LIFECYCLE, partition_of(envelope)};
  const struct ee_message *message;
  int64_t offset = 0;
  size_t count = 0;
  while ((message = ee_cluster_next(rig->cluster, tp, &offset)) != NULL) {
    if (!ee_bytes_equal(message->key, ee_str_bytes(ee_str(envelope)))) continue;
    struct ee_frame frame;
    assert_true(ee_frame_parse(message->value, &frame, NULL));
    assert_true(ee_decode(ee_plan_own(&ee_lifecycle_type), frame.avro, arena, ret, NULL));
    count++;
  }
  if (records != NULL) *records = count;
  return count > 0;
}

// Every event of the envelope once: as many lines of evidence, no offset twice.
static void assert_counted(struct rig *rig, const char *envelope, size_t events) {
  struct ee_arena arena;
  struct ee_lifecycle record;
  ee_arena_init(&arena, 16 << 20);
  assert_true(newest(rig, envelope, &arena, &record, NULL));
  assert_int_equal(record.evidence.count, events);
  for (size_t i = 0; i < record.evidence.count; i++) {
    for (size_t j = 0; j < i; j++) {
      assert_false(record.evidence.items[i].offset == record.evidence.items[j].offset &&
                   ee_str_equal(record.evidence.items[i].topic, record.evidence.items[j].topic));
    }
  }
  ee_arena_release(&arena);
}

static size_t count_committed(struct rig *rig, enum ee_topic topic) {
  size_t count = 0;
  for (int32_t partition = 0; partition < PARTITIONS; partition++) {
    int64_t offset = 0;
    while (ee_cluster_next(rig->cluster, (struct ee_tp){topic, partition}, &offset) != NULL)
      count++;
  }
  return count;
}

static void append_many(struct rig *rig, int from, int to) {
  for (int i = from; i < to; i++) {
    char envelope[32], event[32];
    snprintf(envelope, sizeof envelope, "envelope-%d", i % 10);
    snprintf(event, sizeof event, "event-%d", i);
    append_admission(rig, envelope, event);
  }
}

static void assert_all_counted(struct rig *rig, size_t each) {
  for (int i = 0; i < 10; i++) {
    char envelope[32];
    snprintf(envelope, sizeof envelope, "envelope-%d", i);
    assert_counted(rig, envelope, each);
  }
}

// ---- Tests.

static void test_steps_and_commits(void **state) {
  struct rig *rig = *state;
  append_many(rig, 0, 100);
  start(rig);
  turns(rig, 60);
  assert_all_counted(rig, 10);
  assert_int_equal(rig->metrics.events[EE_TOPIC_ADMISSION], 100);
  assert_true(rig->metrics.transactions_committed > 0);
  assert_int_equal(rig->metrics.transactions_aborted, 0);
}

static void test_resumes_after_crash_at_any_turn(void **state) {
  struct rig *rig = *state;
  for (int life = 1; life <= 25; life++) {
    append_many(rig, (life - 1) * 10, life * 10);
    start(rig);
    turns(rig, life);  // later lives get further
    crash(rig);
  }
  start(rig);
  turns(rig, 80);
  assert_all_counted(rig, 25);
}

static void commit_fault(struct rig *rig, enum commit_fault fault) {
  append_many(rig, 0, 50);
  start(rig);
  turns(rig, 30);
  append_many(rig, 50, 100);
  rig->faulty.commit = fault;
  turns(rig, 10);
  append_many(rig, 100, 150);  // stepped while the fault is being mended
  turns(rig, 400);
  assert_int_equal(rig->faulty.commit, COMMIT_GOES);
  assert_all_counted(rig, 15);
}

static void test_commit_refused(void **state) {
  commit_fault(*state, COMMIT_REFUSED);
  assert_true(((struct rig *)*state)->metrics.transactions_aborted > 0);
}
static void test_commit_done_unknown(void **state) {
  commit_fault(*state, COMMIT_DONE_UNKNOWN);
}
static void test_commit_undone_unknown(void **state) {
  commit_fault(*state, COMMIT_UNDONE_UNKNOWN);
}

static void test_push_back_and_delay(void **state) {
  struct rig *rig = *state;
  append_many(rig, 0, 100);
  start(rig);
  rig->faulty.push_back = 57;
  rig->faulty.delay = 3;
  turns(rig, 300);
  assert_all_counted(rig, 10);
}

// A tick decides on everything below its offsets, whatever is read when.
static void test_tick_waits_for_its_offsets(void **state) {
  struct rig *rig = *state;
  struct ee_arena arena;
  struct ee_lifecycle record;
  ee_arena_init(&arena, 1 << 20);
  append_many(rig, 0, 100);
  for (int32_t partition = 0; partition < PARTITIONS; partition++) {
    append_tick(rig, partition, START_MS * 1000 + 9 * SECOND);   // too early for any
    append_tick(rig, partition, START_MS * 1000 + 11 * SECOND);  // closes all
    append_tick(rig, partition, START_MS * 1000 + 5 * SECOND);   // goes back: changes nothing
  }
  start(rig);
  turns(rig, 200);
  assert_all_counted(rig, 10);
  for (int i = 0; i < 10; i++) {
    char envelope[32];
    size_t records;
    snprintf(envelope, sizeof envelope, "envelope-%d", i);
    assert_true(newest(rig, envelope, &arena, &record, &records));
    assert_true(record.closed_at.present);
    assert_int_equal(record.closed_at.value, START_MS * 1000 + 11 * SECOND);
    assert_int_equal(records, 11);  // ten events and the tick, which came after all of them
  }
  assert_int_equal(rig->metrics.ticks_applied, 2 * PARTITIONS);
  ee_arena_release(&arena);
}

static void test_clock_survives_restart(void **state) {
  struct rig *rig = *state;
  append_many(rig, 0, 10);
  for (int32_t p = 0; p < PARTITIONS; p++)
    append_tick(rig, p, START_MS * 1000 + 11 * SECOND);
  start(rig);
  turns(rig, 100);
  crash(rig);
  for (int32_t p = 0; p < PARTITIONS; p++)
    append_tick(rig, p, START_MS * 1000 + 10 * SECOND);
  start(rig);
  turns(rig, 100);
  assert_int_equal(rig->metrics.ticks_applied, PARTITIONS);  // the second round lies below
  assert_int_equal(rig->metrics.partitions[0].clock_micros, START_MS * 1000 + 11 * SECOND);
}

static void append_raw(struct rig *rig, const char *key, const void *value, size_t size,
                       int32_t partition) {
  struct ee_output output = {.tp = {EE_TOPIC_ADMISSION, partition},
                             .key = ee_str_bytes(ee_str(key)),
                             .value = ee_bytes(value, size)};
  assert_true(ee_cluster_append(rig->cluster, &output, -1) >= 0);
}

static bool fails_saying(struct rig *rig, const char *text) {
  for (int i = 0; i < 200; i++) {
    if (turn(rig) == EE_RUNTIME_FAILED) return strstr(rig->err.text, text) != NULL;
  }
  return false;
}

// What one group has derived another does not derive again.
static void test_another_group_is_refused(void **state) {
  struct rig *rig = *state;
  append_many(rig, 0, 30);
  start(rig);
  turns(rig, 60);
  crash(rig);
  start_group(rig, "another");
  assert_true(fails_saying(rig, "was derived by another group"));
  crash(rig);
  start(rig);
  turns(rig, 60);
  assert_all_counted(rig, 3);
}

static int64_t lifecycle_end(struct rig *rig, enum ee_isolation isolation) {
  return ee_cluster_end(rig->cluster, (struct ee_tp){EE_TOPIC_LIFECYCLE, 0}, isolation);
}

// Derived records whose transaction was aborted are nobody's.
static void test_aborted_results_are_nobodys(void **state) {
  struct rig *rig = *state;
  append_many(rig, 0, 30);
  start(rig);
  while (lifecycle_end(rig, EE_READ_UNCOMMITTED) == 0)
    turns(rig, 1);
  crash(rig);
  start(rig);  // its init aborts
  while (lifecycle_end(rig, EE_READ_COMMITTED) == 0)
    turns(rig, 1);
  crash(rig);
  assert_int_equal(count_committed(rig, EE_TOPIC_LIFECYCLE), 0);
  start_group(rig, "another");
  turns(rig, 100);
  assert_all_counted(rig, 3);
}

static void test_dead_letters(void **state) {
  struct rig *rig = *state;
  static const uint8_t unknown_id[] = {0, 0, 0, 0, 7, 2};
  static const uint8_t nothing_known[] = {7, 7};
  append_raw(rig, "a", nothing_known, sizeof nothing_known, -1);
  append_raw(rig, "b", unknown_id, sizeof unknown_id, -1);
  append_admission(rig, "good", "e");
  start(rig);
  turns(rig, 60);
  assert_counted(rig, "good", 1);
  assert_int_equal(rig->metrics.dead_letters[EE_REASON_unknown_framing], 1);
  assert_int_equal(rig->metrics.dead_letters[EE_REASON_unknown_schema_id], 1);
  assert_int_equal(count_committed(rig, EE_TOPIC_DEADLETTER), 2);
}

// A client that was left on another partitioner.
static void test_wrong_partition(void **state) {
  struct rig *rig = *state;
  append_admission(rig, "x", "e");
  int32_t right = partition_of("x"), wrong = (right + 1) % PARTITIONS;
  int64_t offset = 0;
  const struct ee_message *message =
      ee_cluster_next(rig->cluster, (struct ee_tp){EE_TOPIC_ADMISSION, right}, &offset);
  uint8_t copy[4096];
  assert_true(message->value.size <= sizeof copy);
  memcpy(copy, message->value.data, message->value.size);
  append_raw(rig, "x", copy, message->value.size, wrong);
  append_raw(rig, "y", copy, message->value.size, -1);  // the key is not the envelope_id
  start(rig);
  turns(rig, 60);
  assert_counted(rig, "x", 1);
  assert_int_equal(rig->metrics.dead_letters[EE_REASON_wrong_partition], 1);
  assert_int_equal(rig->metrics.dead_letters[EE_REASON_key_mismatch], 1);
}

// What is larger than the dead letter topic takes goes there by reference.
static void test_oversized(void **state) {
  struct rig *rig = *state;
  size_t size = 600 * 1024;
  uint8_t *value = calloc(1, size);
  append_raw(rig, "big", value, size, -1);
  free(value);
  start(rig);
  turns(rig, 60);
  assert_int_equal(rig->metrics.dead_letters[EE_REASON_oversized], 1);
  int64_t offset = 0;
  struct ee_tp tp = {EE_TOPIC_DEADLETTER, partition_of("big")};
  const struct ee_message *message = ee_cluster_next(rig->cluster, tp, &offset);
  assert_non_null(message);
  assert_null(message->value.data);
}

static void test_drain_ends(void **state) {
  struct rig *rig = *state;
  append_many(rig, 0, 100);
  rig->settings.drain = true;
  start(rig);
  enum ee_runtime_state last = EE_RUNTIME_RUNNING;
  for (int i = 0; i < 400 && last == EE_RUNTIME_RUNNING; i++)
    last = turn(rig);
  assert_int_equal(last, EE_RUNTIME_DONE);
  assert_all_counted(rig, 10);
}

static void test_stop_commits(void **state) {
  struct rig *rig = *state;
  append_many(rig, 0, 100);
  start(rig);
  for (int i = 0; rig->metrics.events[EE_TOPIC_ADMISSION] == 0; i++) {
    assert_true(i < 100);
    turns(rig, 1);
  }
  ee_runtime_stop(rig->runtime);
  enum ee_runtime_state last = EE_RUNTIME_RUNNING;
  for (int i = 0; i < 200 && last == EE_RUNTIME_RUNNING; i++)
    last = turn(rig);
  assert_int_equal(last, EE_RUNTIME_DONE);
  assert_int_equal(count_committed(rig, EE_TOPIC_LIFECYCLE),
                   rig->metrics.events[EE_TOPIC_ADMISSION]);
}

// The successor fences the instance that still believes it holds the partitions.
static void test_second_instance_of_the_name(void **state) {
  struct rig *rig = *state;
  append_many(rig, 0, 50);
  start(rig);
  turns(rig, 40);
  struct rig other = {.cluster = rig->cluster, .codec = rig->codec, .settings = rig->settings};
  start(&other);
  enum ee_runtime_state last = EE_RUNTIME_RUNNING;
  for (int i = 0; i < 200 && last != EE_RUNTIME_FAILED; i++) {
    turns(&other, 1);
    append_many(rig, 50 + i, 51 + i);
    last = turn(rig);
  }
  assert_int_equal(last, EE_RUNTIME_FAILED);
  turns(&other, 200);
  crash(&other);
  assert_true(strlen(rig->err.text) > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_steps_and_commits, setup, teardown),
      cmocka_unit_test_setup_teardown(test_resumes_after_crash_at_any_turn, setup, teardown),
      cmocka_unit_test_setup_teardown(test_commit_refused, setup, teardown),
      cmocka_unit_test_setup_teardown(test_commit_done_unknown, setup, teardown),
      cmocka_unit_test_setup_teardown(test_commit_undone_unknown, setup, teardown),
      cmocka_unit_test_setup_teardown(test_push_back_and_delay, setup, teardown),
      cmocka_unit_test_setup_teardown(test_tick_waits_for_its_offsets, setup, teardown),
      cmocka_unit_test_setup_teardown(test_clock_survives_restart, setup, teardown),
      cmocka_unit_test_setup_teardown(test_another_group_is_refused, setup, teardown),
      cmocka_unit_test_setup_teardown(test_aborted_results_are_nobodys, setup, teardown),
      cmocka_unit_test_setup_teardown(test_dead_letters, setup, teardown),
      cmocka_unit_test_setup_teardown(test_wrong_partition, setup, teardown),
      cmocka_unit_test_setup_teardown(test_oversized, setup, teardown),
      cmocka_unit_test_setup_teardown(test_drain_ends, setup, teardown),
      cmocka_unit_test_setup_teardown(test_stop_commits, setup, teardown),
      cmocka_unit_test_setup_teardown(test_second_instance_of_the_name, setup, teardown),
  };
  return cmocka_run_group_tests_name("runtime", tests, NULL, NULL);
}
