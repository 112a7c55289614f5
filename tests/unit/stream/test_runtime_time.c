// SPDX-License-Identifier: Apache-2.0
// Time and policy enter through the logs alone: what ticks wait for and what waits for
// them, what logs that were cut leave to decide, the ticks that the runtime writes, and which
// policy version a record is given.
#include <stdlib.h>

#include "tests/support/own_plan.h"
#include "tests/unit/stream/runtime_rig.h"
#include "wire/framing.h"

#define MARGIN_MS 10000  // of the rig's settings

static int64_t at_ms(int64_t ms) {
  return (START_MS + ms) * EE_MICROS_PER_MS;
}

// ---- Ticks that are applied.

static void append_receipt(struct rig *rig, const char *envelope) {
  struct ee_receipt record;
  struct ee_buf avro;
  ee_buf_init(&avro, 1 << 16);
  ee_record_init(&ee_receipt_type, &record);
  record.obligation_id = EE_STR("obligation");
  record.envelope_id = ee_str(envelope);
  record.tenant = EE_STR("acme");
  record.state = EE_OBLIGATION_STATE_APPLIED;
  record.actor = EE_STR("urn:user:ada");
  ee_encode(&ee_receipt_type, &record, &avro);
  rig_append(rig, EE_TOPIC_OBLIGATION, record.envelope_id, ee_buf_bytes(&avro), -1);
  ee_buf_release(&avro);
}

// Whatever the input that lags behind, phase or receipts.
static void waits_for(struct rig *rig, enum ee_topic topic) {
  struct ee_tp slow = {topic, rig_partition_of("x")};
  rig_start(rig);
  rig_turns(rig, 30);
  rig->broker->ops->pause(rig->broker, slow);
  rig_append_admission(rig, "x", "e");
  append_receipt(rig, "x");
  rig_append_tick(rig, slow.partition, at_ms(1000));
  rig_turns(rig, 30);
  assert_int_equal(rig->metrics.ticks_applied, 0);
  rig->broker->ops->resume(rig->broker, slow);
  rig_turns(rig, 30);
  assert_int_equal(rig->metrics.ticks_applied, 1);
}

static void test_tick_waits_for_events(void **state) {
  waits_for(*state, EE_TOPIC_ADMISSION);
}
static void test_tick_waits_for_receipts(void **state) {
  waits_for(*state, EE_TOPIC_OBLIGATION);
}

#define WOKEN 700  // more than one turn wakes

// The header `in` says which record or tick a lifecycle record came from.
static bool is_of_tick(const struct ee_message *message) {
  size_t count;
  const struct ee_header *headers = ee_cluster_headers(message, &count);
  assert_int_equal(count, 1);
  return memmem(headers->value.data, headers->value.size, ".tick.", 6) != NULL;
}

// While a tick is being applied in steps, no record of its partition comes between.
static void test_records_wait_for_a_tick_under_way(void **state) {
  struct rig *rig = *state;
  int32_t partition = rig_partition_of("x");
  for (int i = 0, made = 0; made < WOKEN; i++) {
    char envelope[32];
    snprintf(envelope, sizeof envelope, "woken-%d", i);
    if (rig_partition_of(envelope) != partition) continue;
    rig_append_admission(rig, envelope, "e");
    made++;
  }
  rig_start(rig);
  rig_turns(rig, 60);
  ee_cluster_set_time(rig->cluster, START_MS + 11000);
  rig_append_tick(rig, partition, at_ms(11000));
  for (int i = 0; i < 50; i++)
    rig_append_admission(rig, "x", "e");  // beyond the tick's offsets
  rig_turns(rig, 60);
  assert_int_equal(rig->metrics.ticks_applied, 1);
  const struct ee_message *message;
  struct ee_tp tp = {EE_TOPIC_LIFECYCLE, partition};
  int64_t offset = 0;
  int of_tick = 0, begun_or_ended = 0;
  bool before = false;
  while ((message = ee_cluster_next(rig->cluster, tp, &offset)) != NULL) {
    bool now = is_of_tick(message);
    of_tick += now;
    begun_or_ended += now != before;
    before = now;
  }
  assert_int_equal(of_tick, WOKEN);
  assert_int_equal(begun_or_ended, 2);
}

// Ticks look at keys often; where they change nothing they write nothing.
static void test_ticks_that_change_nothing_are_silent(void **state) {
  struct rig *rig = *state;
  rig->ways.looks_only = true;
  rig_append_many(rig, 0, 30);
  for (int32_t p = 0; p < PARTITIONS; p++)
    rig_append_tick(rig, p, at_ms(11000));
  rig_start(rig);
  rig_turns(rig, 60);
  assert_int_equal(rig->metrics.ticks_applied, PARTITIONS);
  assert_int_equal(rig_count(rig, EE_TOPIC_LIFECYCLE), 30);
}

// ---- Logs that retention has cut.

static void test_cut_logs_are_refused(void **state) {
  struct rig *rig = *state;
  ee_cluster_load_end(rig->cluster, (struct ee_tp){EE_TOPIC_OBLIGATION, 1}, 100);
  rig_append_many(rig, 0, 30);
  rig_start(rig);
  for (int i = 0; i < 60 && rig_turn(rig) != EE_RUNTIME_FAILED; i++)
    continue;
  assert_non_null(strstr(rig->err.text, "--accept-truncated"));
  assert_int_equal(rig_count(rig, EE_TOPIC_LIFECYCLE), 0);
}

// A partition whose log begins at offset 100, with an event appended at two seconds.
static int32_t cut_log(struct rig *rig) {
  int32_t partition = rig_partition_of("x");
  rig->settings.accept_truncated = true;
  ee_cluster_load_end(rig->cluster, (struct ee_tp){EE_TOPIC_ADMISSION, partition}, 100);
  ee_cluster_set_time(rig->cluster, START_MS + 2000);
  return partition;
}

// Nothing below the log's start is known, so such a tick decides nothing.
static void test_ticks_below_a_cut_are_not_applied(void **state) {
  struct rig *rig = *state;
  int32_t partition = rig_partition_of("x");
  rig_append_tick(rig, partition, at_ms(1000));  // of offset 0
  cut_log(rig);
  rig_append_admission(rig, "x", "e");
  rig_start(rig);
  rig_turns(rig, 60);
  assert_int_equal(rig->metrics.ticks_applied, 0);
  rig_append_tick(rig, partition, at_ms(3000));
  rig_turns(rig, 60);
  assert_int_equal(rig->metrics.ticks_applied, 1);
}

// Nor does one from before the first event that is left, after a restart either.
static void test_ticks_before_a_cut_are_not_applied(void **state) {
  struct rig *rig = *state;
  int32_t partition = cut_log(rig);
  rig_append_admission(rig, "x", "e");
  rig_start(rig);
  rig_turns(rig, 60);
  rig_append_tick(rig, partition, at_ms(1000));
  rig_turns(rig, 60);
  rig_crash(rig);
  rig_append_tick(rig, partition, at_ms(2000));
  rig_start(rig);
  rig_turns(rig, 60);
  assert_int_equal(rig->metrics.ticks_applied, 0);
  rig_append_tick(rig, partition, at_ms(2001));
  rig_turns(rig, 60);
  assert_int_equal(rig->metrics.ticks_applied, 1);
}

// ---- Ticks that are written.

static int64_t offset_of(const struct ee_tick *tick, struct ee_str topic) {
  for (size_t i = 0; i < tick->offsets.count; i++) {
    if (ee_str_equal(tick->offsets.entries[i].key, topic)) return tick->offsets.entries[i].value;
  }
  fail_msg("%.*s is not among the offsets", EE_STR_ARG(topic));
  return -1;
}

// Whatever was appended before as_of lies below the tick's offsets.
static void assert_forges_nothing(struct rig *rig, const struct ee_tick *tick, int32_t partition) {
  struct ee_tp tp = {EE_TOPIC_ADMISSION, partition};
  const struct ee_message *message;
  int64_t offset = 0;
  int64_t end = offset_of(tick, ee_cluster_topic_name(rig->cluster, EE_TOPIC_ADMISSION));
  while ((message = ee_cluster_next(rig->cluster, tp, &offset)) != NULL) {
    if (message->timestamp_ms * EE_MICROS_PER_MS >= tick->as_of.value) break;
    assert_true(message->offset < end);
  }
}

// Returns how many of the partition's ticks know a time.
static int check_ticks(struct rig *rig, int32_t partition) {
  struct ee_tp tp = {EE_TOPIC_TICK, partition};
  const struct ee_message *message;
  struct ee_arena arena;
  int64_t offset = 0;
  int known = 0;
  ee_arena_init(&arena, 1 << 20);
  while ((message = ee_cluster_next(rig->cluster, tp, &offset)) != NULL) {
    struct ee_frame frame;
    struct ee_tick tick;
    assert_true(ee_frame_parse(message->value, &frame, NULL));
    assert_true(ee_decode(own_plan(&ee_tick_type), frame.avro, &arena, &tick, NULL));
    if (tick.as_of.present) {
      assert_forges_nothing(rig, &tick, partition);
      known++;
    }
    ee_arena_clear(&arena);
  }
  ee_arena_release(&arena);
  return known;
}

// Also where the answer about end offsets takes long, and others write ticks meanwhile.
static void test_ticks_forge_nothing(void **state) {
  struct rig *rig = *state;
  rig->settings.tick_interval_ms = 40;
  rig->settings.commit_interval_ms = 200;  // the end of a commit would end the delay
  rig_start(rig);
  for (int i = 0; i < 400; i++) {
    ee_cluster_set_time(rig->cluster, START_MS + i);
    rig->faulty.delay = i % 50;
    rig_append_many(rig, i * 10, i * 10 + 10);
    for (int32_t p = 0; i % 13 == 0 && p < PARTITIONS; p++)
      rig_append_tick(rig, p, at_ms(i - 1));
    rig_turns(rig, 1);
  }
  for (int32_t p = 0; p < PARTITIONS; p++)
    assert_true(check_ticks(rig, p) > 400 / 13 + 10);
}

// ---- Policy.

static void append_policy(struct rig *rig, int64_t effective_from) {
  struct ee_policy record;
  struct ee_buf avro;
  ee_buf_init(&avro, 1 << 16);
  ee_record_init(&ee_policy_type, &record);
  record.name = EE_STR("handling");
  record.effective_from =
      (struct ee_opt_long){.present = effective_from != 0, .value = effective_from};
  ee_encode(&ee_policy_type, &record, &avro);
  rig_append(rig, EE_TOPIC_POLICY, record.name, ee_buf_bytes(&avro), 0);
  ee_buf_release(&avro);
}

static void read_policy(struct rig *rig) {
  rig->processor.ops = &policy_counter_ops;
  rig->ways.tells_version = true;
  rig_start(rig);
}

// The versions that the events of the envelope were given, in their order.
static void assert_versions(struct rig *rig, const char *envelope, const char *versions) {
  struct ee_arena arena;
  struct ee_lifecycle record;
  char found[64] = "";
  ee_arena_init(&arena, 1 << 20);
  assert_true(rig_newest(rig, envelope, &arena, &record, NULL));
  for (size_t i = 0; i < record.evidence.count; i++) {
    size_t size = strlen(found);
    snprintf(found + size, sizeof found - size, "%.*s ",
             EE_STR_ARG(record.evidence.items[i].event_id));
  }
  assert_string_equal(found, versions);
  ee_arena_release(&arena);
}

static void admit_at(struct rig *rig, int64_t ms) {
  ee_cluster_set_time(rig->cluster, START_MS + ms);
  rig_append_admission(rig, "x", "e");
}

// By append times, however late it is all read.
static void test_version_in_force_at_the_append_time(void **state) {
  struct rig *rig = *state;
  admit_at(rig, 0);
  append_policy(rig, 0);  // version 1, from the margin on
  admit_at(rig, MARGIN_MS - 1);
  admit_at(rig, MARGIN_MS);
  append_policy(rig, at_ms(MARGIN_MS + 60000));  // version 2, from a later time on
  admit_at(rig, MARGIN_MS + 59999);
  admit_at(rig, MARGIN_MS + 60000);
  append_policy(rig, at_ms(0));  // version 3; its time has passed, so from the margin on
  admit_at(rig, 2 * MARGIN_MS + 59999);
  admit_at(rig, 2 * MARGIN_MS + 60000);
  rig->now_ms = 3600000;
  read_policy(rig);
  rig_turns(rig, 60);
  assert_versions(rig, "x", "0 0 1 1 2 2 3 ");
}

// A policy topic that lags behind holds records back, not their policy.
static void test_records_wait_for_the_policy(void **state) {
  struct rig *rig = *state;
  struct ee_tp policy = {EE_TOPIC_POLICY, 0};
  append_policy(rig, 0);
  admit_at(rig, 0);
  read_policy(rig);
  rig_turns(rig, 30);
  assert_int_equal(rig->metrics.events[EE_TOPIC_ADMISSION], 1);
  rig->broker->ops->pause(rig->broker, policy);
  append_policy(rig, 0);
  admit_at(rig, MARGIN_MS);
  rig_turns(rig, 30);
  assert_int_equal(rig->metrics.events[EE_TOPIC_ADMISSION], 1);
  assert_true(rig->metrics.waits_policy > 0);
  rig->broker->ops->resume(rig->broker, policy);
  rig_turns(rig, 30);
  assert_versions(rig, "x", "0 2 ");
}

// The end that was asked for says nothing of what came after the question, however late it
// is answered.
static void test_policy_is_known_as_of_the_question(void **state) {
  struct rig *rig = *state;
  append_policy(rig, 0);
  admit_at(rig, 0);
  read_policy(rig);
  rig_turns(rig, 30);
  rig->broker->ops->pause(rig->broker, (struct ee_tp){EE_TOPIC_POLICY, 0});
  rig->faulty.delay = 10;
  admit_at(rig, MARGIN_MS / 2);  // old enough a knowledge for this one; it is asked anew
  rig_turns(rig, 2);
  append_policy(rig, 0);
  admit_at(rig, MARGIN_MS / 2 + MARGIN_MS);
  rig_turns(rig, 60);
  assert_versions(rig, "x", "0 0 ");
  rig->broker->ops->resume(rig->broker, (struct ee_tp){EE_TOPIC_POLICY, 0});
  rig_turns(rig, 200);
  assert_versions(rig, "x", "0 0 2 ");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_tick_waits_for_events, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_tick_waits_for_receipts, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_records_wait_for_a_tick_under_way, rig_setup,
                                      rig_teardown),
      cmocka_unit_test_setup_teardown(test_ticks_that_change_nothing_are_silent, rig_setup,
                                      rig_teardown),
      cmocka_unit_test_setup_teardown(test_cut_logs_are_refused, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_ticks_below_a_cut_are_not_applied, rig_setup,
                                      rig_teardown),
      cmocka_unit_test_setup_teardown(test_ticks_before_a_cut_are_not_applied, rig_setup,
                                      rig_teardown),
      cmocka_unit_test_setup_teardown(test_ticks_forge_nothing, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_version_in_force_at_the_append_time, rig_setup,
                                      rig_teardown),
      cmocka_unit_test_setup_teardown(test_policy_is_known_as_of_the_question, rig_setup,
                                      rig_teardown),
      cmocka_unit_test_setup_teardown(test_records_wait_for_the_policy, rig_setup, rig_teardown),
  };
  return cmocka_run_group_tests_name("runtime_time", tests, NULL, NULL);
}
