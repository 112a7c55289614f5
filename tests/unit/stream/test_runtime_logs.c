// SPDX-License-Identifier: Apache-2.0
// Logs that were cut, at either end, or made anew: nothing is read on from a log that is not
// the one that was read, and nothing that goes on is refused.
#include "stream/embedded_cluster.h"
#include "tests/unit/stream/runtime_rig.h"
#include "tests/unit/stream/store_support.h"

#define TURNS 60

static struct ee_log *log_of(struct rig *rig, enum ee_topic topic) {
  return ee_log_of(rig->cluster, (struct ee_tp){topic, rig_partition_of("x")});
}

static struct ee_committed *committed_of(struct rig *rig, enum ee_topic topic) {
  struct ee_tp tp = {topic, rig_partition_of("x")};
  return &ee_group_of(rig->cluster, "counter")->offsets[ee_log_index(rig->cluster, tp)];
}

// What an unclean election of a leader does, or, to 0, a topic that is made anew.
static void cut_end(struct ee_log *log, int64_t end) {
  log->count = ee_log_find(log, end);
  log->end = end;
}

// Each a little later than the one before.
static void append(struct rig *rig, int from, int to) {
  for (int i = from; i < to; i++) {
    char event[32];
    snprintf(event, sizeof event, "event-%d", i);
    ee_cluster_set_time(rig->cluster, ee_cluster_time(rig->cluster) + 1);
    rig_append_admission(rig, "x", event);
  }
}

// Events 0 to 9 are read, and the instance is gone.
static void read_ten(struct rig *rig) {
  append(rig, 0, 10);
  rig_start(rig);
  rig_turns(rig, TURNS);
  rig_assert_counted(rig, "x", 10);
  rig_crash(rig);
}

static void assert_fails(struct rig *rig, const char *word) {
  enum ee_runtime_state state = EE_RUNTIME_RUNNING;
  for (int i = 0; i < TURNS && state != EE_RUNTIME_FAILED; i++)
    state = rig_turn(rig);
  assert_int_equal(state, EE_RUNTIME_FAILED);
  if (strstr(rig->err.text, word) == NULL) fail_msg("no \"%s\" in: %s", word, rig->err.text);
}

static void assert_refuses(struct rig *rig, const char *word) {
  size_t before = rig_count(rig, EE_TOPIC_LIFECYCLE);
  rig_start(rig);
  assert_fails(rig, word);
  assert_int_equal(rig_count(rig, EE_TOPIC_LIFECYCLE), before);
}

static void assert_goes_on(struct rig *rig) {
  append(rig, 10, 15);
  rig_start(rig);
  rig_turns(rig, TURNS);
  rig_assert_counted(rig, "x", 15);
}

static void test_same_log_goes_on(void **state) {
  struct rig *rig = *state;
  read_ten(rig);
  assert_goes_on(rig);
}

// As the operator's tools leave it.
static void test_offset_without_bookmark_goes_on(void **state) {
  struct rig *rig = *state;
  read_ten(rig);
  struct ee_committed by_hand = {.offset = 10, .metadata = "by hand"};
  *committed_of(rig, EE_TOPIC_ADMISSION) = by_hand;
  cut_end(log_of(rig, EE_TOPIC_ADMISSION), 9);
  append(rig, 9, 10);  // would be recognised by the bookmark
  assert_goes_on(rig);
}

// ---- Inputs.

static void test_input_made_anew(void **state) {
  struct rig *rig = *state;
  read_ten(rig);
  cut_end(log_of(rig, EE_TOPIC_ADMISSION), 0);
  assert_refuses(rig, "made anew");
}

static void test_input_made_anew_and_longer(void **state) {
  struct rig *rig = *state;
  read_ten(rig);
  cut_end(log_of(rig, EE_TOPIC_ADMISSION), 0);
  append(rig, 100, 130);
  assert_refuses(rig, "made anew");
}

static void test_last_record_cut_off(void **state) {
  struct rig *rig = *state;
  read_ten(rig);
  cut_end(log_of(rig, EE_TOPIC_ADMISSION), 9);
  rig_start(rig);
  rig_turns(rig, TURNS);  // there is nothing to compare yet
  append(rig, 100, 101);
  assert_fails(rig, "made anew");
}

// The place of the last record is taken by what is not reported (markers).
static void test_last_record_replaced_by_markers(void **state) {
  struct rig *rig = *state;
  read_ten(rig);
  cut_end(log_of(rig, EE_TOPIC_ADMISSION), 9);
  log_of(rig, EE_TOPIC_ADMISSION)->end = 12;
  append(rig, 100, 101);
  assert_refuses(rig, "made anew");
}

static void test_input_made_anew_under_way(void **state) {
  struct rig *rig = *state;
  append(rig, 0, 10);
  rig_start(rig);
  rig_turns(rig, TURNS);
  struct ee_tp tp = {EE_TOPIC_ADMISSION, rig_partition_of("x")};
  cut_end(log_of(rig, EE_TOPIC_ADMISSION), 0);
  rig->broker->ops->start(rig->broker, tp, 10);  // what librdkafka does at the broker's refusal
  assert_fails(rig, "made anew");
}

// As Kafka forgets a group's offsets of a topic that is deleted. Returns what was committed.
static int64_t forget(struct rig *rig, enum ee_topic topic) {
  struct ee_committed *committed = committed_of(rig, topic);
  int64_t offset = committed->offset;
  *committed = (struct ee_committed){.offset = EE_OFFSET_NONE};
  return offset;
}

static void test_offsets_of_one_input_are_gone(void **state) {
  struct rig *rig = *state;
  append(rig, 0, 5);
  rig_append_tick(rig, rig_partition_of("x"), START_MS * EE_MICROS_PER_MS);
  rig_start(rig);
  rig_turns(rig, TURNS);
  rig_crash(rig);
  assert_int_equal(forget(rig, EE_TOPIC_TICK), 1);
  assert_refuses(rig, "no offset of it any more");
}

// The first one that was ever read too: the bookmarks before it could not name it.
static void test_offsets_of_the_last_input_are_gone(void **state) {
  struct rig *rig = *state;
  rig_append_tick(rig, rig_partition_of("x"), START_MS * EE_MICROS_PER_MS);
  rig_start(rig);
  rig_turns(rig, TURNS);
  append(rig, 0, 5);
  rig_turns(rig, TURNS);
  rig_crash(rig);
  assert_int_equal(forget(rig, EE_TOPIC_ADMISSION), 5);
  assert_refuses(rig, "no offset of it any more");
}

// ---- Retention.

static void test_retention_up_to_what_was_read(void **state) {
  struct rig *rig = *state;
  read_ten(rig);
  log_of(rig, EE_TOPIC_ADMISSION)->start = 10;
  assert_goes_on(rig);
}

// What lies behind the last record of a quiet log are markers, and retention takes them too.
static void test_retention_of_all_but_the_end(void **state) {
  struct rig *rig = *state;
  append(rig, 0, 10);
  rig_start(rig);
  rig_turns(rig, TURNS);
  log_of(rig, EE_TOPIC_ADMISSION)->end = 12;
  rig_append_tick(rig, rig_partition_of("x"), START_MS * EE_MICROS_PER_MS);
  rig_turns(rig, TURNS);
  assert_int_equal(committed_of(rig, EE_TOPIC_ADMISSION)->offset, 12);
  rig_crash(rig);
  log_of(rig, EE_TOPIC_ADMISSION)->start = 12;
  assert_goes_on(rig);
}

// Between the look at the log's start and the first record, which was appended with the last
// one that was read.
static void test_retention_while_it_starts(void **state) {
  struct rig *rig = *state;
  read_ten(rig);
  rig_append_admission(rig, "x", "event-10");
  rig_start(rig);
  int32_t partition = rig_partition_of("x");
  rig->metrics.partitions[partition].running = false;  // that was the one before
  while (!rig->metrics.partitions[partition].running)
    rig_turns(rig, 1);
  log_of(rig, EE_TOPIC_ADMISSION)->start = 10;
  rig->broker->ops->start(rig->broker, (struct ee_tp){EE_TOPIC_ADMISSION, partition}, 10);
  rig_turns(rig, TURNS);
  rig_assert_counted(rig, "x", 11);
}

static void test_retention_beyond_what_was_read(void **state) {
  struct rig *rig = *state;
  read_ten(rig);
  append(rig, 10, 15);
  log_of(rig, EE_TOPIC_ADMISSION)->start = 12;
  assert_refuses(rig, "--accept-truncated");
  rig_crash(rig);
  rig->settings.accept_truncated = true;
  rig_start(rig);
  rig_turns(rig, TURNS);
  rig_assert_counted(rig, "x", 13);
  rig_crash(rig);
  rig->settings.accept_truncated = false;
  append(rig, 15, 17);
  rig_start(rig);
  rig_turns(rig, TURNS);
  rig_assert_counted(rig, "x", 15);
}

// What is under way meanwhile is thrown away with the rest, and done once.
static void test_batch_under_way_when_a_log_breaks(void **state) {
  struct rig *rig = *state;
  struct ee_tp tp = {EE_TOPIC_OBLIGATION, rig_partition_of("x")};
  read_ten(rig);
  rig_start(rig);
  rig_turns(rig, TURNS);
  append(rig, 10, 15);
  rig->settings.commit_interval_ms = 100;
  rig_turns(rig, 3);
  assert_int_equal(rig_count(rig, EE_TOPIC_LIFECYCLE), 10);
  rig->broker->ops->start(rig->broker, tp, 5);
  rig_turns(rig, TURNS);
  assert_int_equal(rig_count(rig, EE_TOPIC_LIFECYCLE), 15);
  rig_assert_counted(rig, "x", 15);
}

// ---- Changelogs.

// With checkpoints, before which the ends of changelogs are asked for.
static void read_ten_on_disk(struct rig *rig, char *directory) {
  rig->directory = directory;
  rig->settings.checkpoint_interval_ms = 1;
  read_ten(rig);
  rig_start(rig);
  for (int i = 10; i < 15; i++) {  // the commit after a checkpoint's carries the ends
    append(rig, i, i + 1);
    rig_turns(rig, TURNS);
  }
}

static void refuse_changelog_cut_to(struct rig *rig, int64_t end) {
  char *directory = directory_new();
  read_ten_on_disk(rig, directory);
  rig_crash(rig);
  cut_end(log_of(rig, EE_TOPIC_LIFECYCLE), end);
  assert_refuses(rig, "the state in it is lost");
  rig_crash(rig);
  directory_free(directory);
}

static void test_changelog_made_anew(void **state) {
  refuse_changelog_cut_to(*state, 0);
}
static void test_changelog_cut_off(void **state) {
  refuse_changelog_cut_to(*state, 3);
}

static void test_changelog_made_anew_under_way(void **state) {
  struct rig *rig = *state;
  char *directory = directory_new();
  read_ten_on_disk(rig, directory);
  cut_end(log_of(rig, EE_TOPIC_LIFECYCLE), 0);
  append(rig, 15, 16);
  rig_turns(rig, TURNS);  // the proof of ends that were asked for before
  append(rig, 16, 17);
  assert_fails(rig, "the state in it is lost");
  rig_crash(rig);
  directory_free(directory);
}

int main(void) {
#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, rig_setup, rig_teardown)
  const struct CMUnitTest tests[] = {
      TEST(test_same_log_goes_on),
      TEST(test_offset_without_bookmark_goes_on),
      TEST(test_input_made_anew),
      TEST(test_input_made_anew_and_longer),
      TEST(test_last_record_cut_off),
      TEST(test_last_record_replaced_by_markers),
      TEST(test_input_made_anew_under_way),
      TEST(test_offsets_of_one_input_are_gone),
      TEST(test_offsets_of_the_last_input_are_gone),
      TEST(test_retention_up_to_what_was_read),
      TEST(test_retention_of_all_but_the_end),
      TEST(test_retention_while_it_starts),
      TEST(test_retention_beyond_what_was_read),
      TEST(test_batch_under_way_when_a_log_breaks),
      TEST(test_changelog_made_anew),
      TEST(test_changelog_cut_off),
      TEST(test_changelog_made_anew_under_way),
  };
  return cmocka_run_group_tests_name("runtime_logs", tests, NULL, NULL);
}
