// SPDX-License-Identifier: Apache-2.0
// The runtime over the embedded log: every event is stepped once, whatever happens.
#include <stdlib.h>

#include "support/chaos.h"
#include "tests/unit/stream/runtime_rig.h"

// ---- Tests.

static void test_steps_and_commits(void **state) {
  struct rig *rig = *state;
  rig_append_many(rig, 0, 100);
  rig_start(rig);
  rig_turns(rig, 60);
  rig_assert_all_counted(rig, 10);
  assert_int_equal(rig->metrics.events[EE_TOPIC_ADMISSION], 100);
  assert_true(rig->metrics.transactions_committed > 0);
  assert_int_equal(rig->metrics.transactions_aborted, 0);
}

static void test_resumes_after_crash_at_any_turn(void **state) {
  struct rig *rig = *state;
  for (int life = 1; life <= 25; life++) {
    rig_append_many(rig, (life - 1) * 10, life * 10);
    rig_start(rig);
    rig_turns(rig, life);  // later lives get further
    rig_crash(rig);
  }
  rig_start(rig);
  rig_turns(rig, 80);
  rig_assert_all_counted(rig, 25);
}

static void commit_fault(struct rig *rig, enum commit_fault fault) {
  rig_append_many(rig, 0, 50);
  rig_start(rig);
  rig_turns(rig, 30);
  rig_append_many(rig, 50, 100);
  rig->faulty.commit = fault;
  rig_turns(rig, 10);
  rig_append_many(rig, 100, 150);  // stepped while the fault is being mended
  rig_turns(rig, 400);
  assert_int_equal(rig->faulty.commit, COMMIT_GOES);
  rig_assert_all_counted(rig, 15);
  assert_int_equal(rig_count(rig, EE_TOPIC_LIFECYCLE), 150);  // one an event, none twice
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
  rig_append_many(rig, 0, 100);
  rig_start(rig);
  rig->faulty.push_back = 57;
  rig->faulty.delay = 3;
  rig_turns(rig, 300);
  rig_assert_all_counted(rig, 10);
}

// The transaction has to be aborted while some of its outputs have not been handed over.
static void test_produce_refused(void **state) {
  struct rig *rig = *state;
  rig_append_many(rig, 0, 50);
  rig_start(rig);
  rig->faulty.push_back = 3;  // behind which more gathers
  rig->faulty.produce_aborts = true;
  rig_turns(rig, 300);
  assert_false(rig->faulty.produce_aborts);
  assert_true(rig->metrics.transactions_aborted > 0);
  rig_assert_all_counted(rig, 5);
  assert_int_equal(rig_count(rig, EE_TOPIC_LIFECYCLE), 50);
}

// State records join a batch when it is sealed: a full queue then holds the commit back.
static void test_push_back_of_state(void **state) {
  struct rig *rig = *state;
  rig_append_many(rig, 0, 10);
  for (int32_t p = 0; p < PARTITIONS; p++)
    rig_append_tick(rig, p, START_MS * 1000 + 11 * SECOND);
  rig_start(rig);
  for (int i = 0; rig->metrics.ticks_applied < PARTITIONS; i++) {
    assert_true(i < 100);
    rig_turns(rig, 1);
  }
  assert_int_equal(rig_count(rig, EE_TOPIC_JOIN_STATE), 0);
  rig->faulty.push_back = 3;  // what was emitted so far has been handed over
  rig_turns(rig, 50);
  assert_int_equal(rig->faulty.push_back, 0);
  assert_int_equal(rig_count(rig, EE_TOPIC_JOIN_STATE), PARTITIONS);
}

// More is polled than is stepped: offsets are committed of what was stepped.
static void test_queued_records_are_not_committed(void **state) {
  struct rig *rig = *state;
  const int all = 2000;
  for (int i = 0; i < all; i++)
    rig_append_admission(rig, i % 2 == 0 ? "even" : "odd", "event");
  for (int life = 4; rig->metrics.events[EE_TOPIC_ADMISSION] < (uint64_t)all; life++) {
    assert_true(life < 100);
    rig_start(rig);
    rig_turns(rig, life);
    rig_crash(rig);
  }
  rig_start(rig);
  rig_turns(rig, 100);
  rig_assert_counted(rig, "even", (size_t)all / 2);
  rig_assert_counted(rig, "odd", (size_t)all / 2);
}

// A tick decides on everything below its offsets, whatever is read when.
static void test_tick_waits_for_its_offsets(void **state) {
  struct rig *rig = *state;
  struct ee_arena arena;
  struct ee_lifecycle record;
  ee_arena_init(&arena, 1 << 20);
  rig_append_many(rig, 0, 100);
  for (int32_t partition = 0; partition < PARTITIONS; partition++) {
    rig_append_tick(rig, partition, START_MS * 1000 + 9 * SECOND);   // too early for any
    rig_append_tick(rig, partition, START_MS * 1000 + 11 * SECOND);  // closes all
    rig_append_tick(rig, partition, START_MS * 1000 + 5 * SECOND);   // goes back: changes nothing
    rig_append_tick(rig, partition, START_MS * 1000 + 11 * SECOND);  // nor does one that stays
  }
  rig_start(rig);
  rig_turns(rig, 200);
  rig_assert_all_counted(rig, 10);
  for (int i = 0; i < 10; i++) {
    char envelope[32];
    size_t records;
    snprintf(envelope, sizeof envelope, "envelope-%d", i);
    assert_true(rig_newest(rig, envelope, &arena, &record, &records));
    assert_true(record.closed_at.present);
    assert_int_equal(record.closed_at.value, START_MS * 1000 + 11 * SECOND);
    assert_int_equal(records, 11);  // ten events and the tick, which came after all of them
  }
  assert_int_equal(rig->metrics.ticks_applied, 2 * PARTITIONS);
  ee_arena_release(&arena);
}

static void test_clock_survives_restart(void **state) {
  struct rig *rig = *state;
  rig_append_many(rig, 0, 10);
  for (int32_t p = 0; p < PARTITIONS; p++)
    rig_append_tick(rig, p, START_MS * 1000 + 11 * SECOND);
  rig_start(rig);
  rig_turns(rig, 100);
  rig_crash(rig);
  for (int32_t p = 0; p < PARTITIONS; p++)
    rig_append_tick(rig, p, START_MS * 1000 + 10 * SECOND);
  rig_start(rig);
  rig_turns(rig, 100);
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
    if (rig_turn(rig) == EE_RUNTIME_FAILED) return strstr(rig->err.text, text) != NULL;
  }
  return false;
}

// What one group has derived another does not derive again.
static void test_another_group_is_refused(void **state) {
  struct rig *rig = *state;
  rig_append_many(rig, 0, 30);
  rig_start(rig);
  rig_turns(rig, 60);
  rig_crash(rig);
  rig_start_group(rig, "another");
  assert_true(fails_saying(rig, "was derived by another group"));
  rig_crash(rig);
  rig_start(rig);
  rig_turns(rig, 60);
  rig_assert_all_counted(rig, 3);
}

static int64_t lifecycle_end(struct rig *rig, enum ee_isolation isolation) {
  return ee_cluster_end(rig->cluster, (struct ee_tp){EE_TOPIC_LIFECYCLE, 0}, isolation);
}

// Derived records whose transaction was aborted are nobody's.
static void test_aborted_results_are_nobodys(void **state) {
  struct rig *rig = *state;
  rig_append_many(rig, 0, 30);
  rig_start(rig);
  while (lifecycle_end(rig, EE_READ_UNCOMMITTED) == 0)
    rig_turns(rig, 1);
  rig_crash(rig);
  rig_start(rig);  // its init aborts
  while (lifecycle_end(rig, EE_READ_COMMITTED) == 0)
    rig_turns(rig, 1);
  rig_crash(rig);
  assert_int_equal(rig_count(rig, EE_TOPIC_LIFECYCLE), 0);
  rig_start_group(rig, "another");
  rig_turns(rig, 100);
  rig_assert_all_counted(rig, 3);
}

static void test_dead_letters(void **state) {
  struct rig *rig = *state;
  static const uint8_t unknown_id[] = {0, 0, 0, 0, 7, 2};
  static const uint8_t nothing_known[] = {7, 7};
  append_raw(rig, "a", nothing_known, sizeof nothing_known, -1);
  append_raw(rig, "b", unknown_id, sizeof unknown_id, -1);
  rig_append_admission(rig, "good", "e");
  rig_start(rig);
  rig_turns(rig, 60);
  rig_assert_counted(rig, "good", 1);
  assert_int_equal(rig->metrics.dead_letters[EE_REASON_unknown_framing], 1);
  assert_int_equal(rig->metrics.dead_letters[EE_REASON_unknown_schema_id], 1);
  assert_int_equal(rig_count(rig, EE_TOPIC_DEADLETTER), 2);
}

// So many entries that decoding them asks for memory that no record before it has needed.
static void append_large(struct rig *rig, const char *envelope) {
  enum { ENTRIES = 500 };
  static struct ee_long_entry amounts[ENTRIES];
  static char names[ENTRIES][8];
  struct ee_admission record = rig_admission(envelope, "large");
  for (size_t i = 0; i < ENTRIES; i++) {
    snprintf(names[i], sizeof names[i], "n%zu", i);
    amounts[i] = (struct ee_long_entry){ee_str(names[i]), (int64_t)i};
  }
  record.requested.amounts = (struct ee_long_map){.entries = amounts, .count = ENTRIES};
  rig_append_record(rig, &record);
}

// A record for which there is no memory just now is read again, not refused: wherever an
// allocation fails while a record is taken, it is stepped in the end, by this process or the next.
static void test_short_memory_is_no_refusal(void **state) {
  struct rig *rig = *state;
  bool failed = true;
  for (size_t n = 0; failed; n++) {
    char envelope[32];
    snprintf(envelope, sizeof envelope, "large-%zu", n);
    rig_start(rig);
    rig_turns(rig, 40);
    append_large(rig, envelope);
    ee_chaos_fail_after(n);
    bool runs = true;
    for (int i = 0; runs && i < 20; i++)
      runs = rig_turn(rig) != EE_RUNTIME_FAILED;
    failed = ee_chaos_stop();
    assert_true(runs || failed);
    if (!runs) {
      rig_crash(rig);
      rig_start(rig);
    }
    rig_turns(rig, 100);
    rig_assert_counted(rig, envelope, 1);
    assert_int_equal(rig_count(rig, EE_TOPIC_DEADLETTER), 0);
    rig_crash(rig);
  }
}

// The first record of envelope x once more, as another producer would write it.
static void append_copy(struct rig *rig, const char *key, int32_t partition,
                        const struct ee_header *headers, size_t header_count) {
  struct ee_tp from = {EE_TOPIC_ADMISSION, rig_partition_of("x")};
  int64_t offset = 0;
  const struct ee_message *first = ee_cluster_next(rig->cluster, from, &offset);
  uint8_t copy[4096];
  assert_true(first->value.size <= sizeof copy);
  memcpy(copy, first->value.data, first->value.size);
  struct ee_output output = {.tp = {EE_TOPIC_ADMISSION, partition},
                             .key = ee_str_bytes(ee_str(key)),
                             .value = ee_bytes(copy, first->value.size),
                             .headers = headers,
                             .header_count = header_count};
  assert_true(ee_cluster_append(rig->cluster, &output, -1) >= 0);
}

#define TRACE "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// Each derived record says which record it came from, and carries on that one's trace.
static void test_outputs_name_their_input(void **state) {
  struct rig *rig = *state;
  int32_t partition = rig_partition_of("x");
  struct ee_header trace = {EE_STR("traceparent"), ee_str_bytes(EE_STR(TRACE))};
  rig_append_admission(rig, "x", "e");
  append_copy(rig, "x", partition, &trace, 1);
  rig_start(rig);
  rig_turns(rig, 60);
  struct ee_tp tp = {EE_TOPIC_LIFECYCLE, partition};
  int64_t offset = 0;
  for (int i = 0; i < 2; i++) {
    char wanted[128];
    size_t count;
    snprintf(wanted, sizeof wanted, "[\"t.envelope.admission.v1\",%d,%d%s]", (int)partition, i,
             i == 0 ? "" : ",\"" TRACE "\"");
    const struct ee_message *message = ee_cluster_next(rig->cluster, tp, &offset);
    assert_non_null(message);
    const struct ee_header *headers = ee_cluster_headers(message, &count);
    assert_int_equal(count, 1);
    assert_true(ee_str_equal(headers->name, EE_STR("in")));
    assert_true(ee_str_equal(ee_bytes_str(headers->value), ee_str(wanted)));
  }
}

// A client that was left on another partitioner.
static void test_wrong_partition(void **state) {
  struct rig *rig = *state;
  rig_append_admission(rig, "x", "e");
  append_copy(rig, "x", (rig_partition_of("x") + 1) % PARTITIONS, NULL, 0);
  append_copy(rig, "y", -1, NULL, 0);  // the key is not the envelope_id
  rig_start(rig);
  rig_turns(rig, 60);
  rig_assert_counted(rig, "x", 1);
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
  rig_start(rig);
  rig_turns(rig, 60);
  assert_int_equal(rig->metrics.dead_letters[EE_REASON_oversized], 1);
  int64_t offset = 0;
  struct ee_tp tp = {EE_TOPIC_DEADLETTER, rig_partition_of("big")};
  const struct ee_message *message = ee_cluster_next(rig->cluster, tp, &offset);
  assert_non_null(message);
  assert_null(message->value.data);
}

// An id of control characters takes six times its size in state keys.
static void test_ids_that_state_keys_cannot_hold(void **state) {
  struct rig *rig = *state;
  char longest[65], longer[66];
  memset(longest, '\1', sizeof longest - 1);
  memset(longer, '\1', sizeof longer - 1);
  longest[sizeof longest - 1] = longer[sizeof longer - 1] = '\0';
  rig_append_admission(rig, longest, "e");
  rig_append_admission(rig, longer, "e");
  rig_start(rig);
  rig_turns(rig, 60);
  rig_assert_counted(rig, longest, 1);
  assert_int_equal(rig->metrics.dead_letters[EE_REASON_oversized], 1);
}

static void test_drain_ends(void **state) {
  struct rig *rig = *state;
  rig_append_many(rig, 0, 100);
  rig->settings.drain = true;
  rig_start(rig);
  enum ee_runtime_state last = EE_RUNTIME_RUNNING;
  for (int i = 0; i < 400 && last == EE_RUNTIME_RUNNING; i++)
    last = rig_turn(rig);
  assert_int_equal(last, EE_RUNTIME_DONE);
  rig_assert_all_counted(rig, 10);
}

static void test_stop_commits(void **state) {
  struct rig *rig = *state;
  rig_append_many(rig, 0, 100);
  rig_start(rig);
  for (int i = 0; rig->metrics.events[EE_TOPIC_ADMISSION] == 0; i++) {
    assert_true(i < 100);
    rig_turns(rig, 1);
  }
  ee_runtime_stop(rig->runtime);
  enum ee_runtime_state last = EE_RUNTIME_RUNNING;
  for (int i = 0; i < 200 && last == EE_RUNTIME_RUNNING; i++)
    last = rig_turn(rig);
  assert_int_equal(last, EE_RUNTIME_DONE);
  assert_int_equal(rig_count(rig, EE_TOPIC_LIFECYCLE), rig->metrics.events[EE_TOPIC_ADMISSION]);
}

// The successor fences the instance that still believes it holds the partitions.
static void test_second_instance_of_the_name(void **state) {
  struct rig *rig = *state;
  rig_append_many(rig, 0, 50);
  rig_start(rig);
  rig_turns(rig, 40);
  struct rig other = {.cluster = rig->cluster,
                      .codec = rig->codec,
                      .settings = rig->settings,
                      .processor = rig->processor};
  rig_start(&other);
  enum ee_runtime_state last = EE_RUNTIME_RUNNING;
  for (int i = 0; i < 200 && last != EE_RUNTIME_FAILED; i++) {
    rig_turns(&other, 1);
    rig_append_many(rig, 50 + i, 51 + i);
    last = rig_turn(rig);
  }
  assert_int_equal(last, EE_RUNTIME_FAILED);
  rig_turns(&other, 200);
  rig_crash(&other);
  assert_true(strlen(rig->err.text) > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_steps_and_commits, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_resumes_after_crash_at_any_turn, rig_setup,
                                      rig_teardown),
      cmocka_unit_test_setup_teardown(test_commit_refused, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_commit_done_unknown, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_commit_undone_unknown, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_push_back_and_delay, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_produce_refused, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_push_back_of_state, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_queued_records_are_not_committed, rig_setup,
                                      rig_teardown),
      cmocka_unit_test_setup_teardown(test_tick_waits_for_its_offsets, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_clock_survives_restart, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_another_group_is_refused, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_aborted_results_are_nobodys, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_outputs_name_their_input, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_dead_letters, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_short_memory_is_no_refusal, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_wrong_partition, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_oversized, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_ids_that_state_keys_cannot_hold, rig_setup,
                                      rig_teardown),
      cmocka_unit_test_setup_teardown(test_drain_ends, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_stop_commits, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_second_instance_of_the_name, rig_setup, rig_teardown),
  };
  return cmocka_run_group_tests_name("runtime", tests, NULL, NULL);
}
