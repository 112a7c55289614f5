// SPDX-License-Identifier: Apache-2.0
// What an instance knows after it was started again: state from changelogs and checkpoints,
// deletions and timers included.
#include <stdlib.h>

#include "support/chaos.h"
#include "tests/unit/stream/runtime_rig.h"
#include "tests/unit/stream/store_support.h"

#define LATER_MS 11000  // after the first event, when the counter's tick closes

// Moves time on and gives each partition a tick that closes what has been counted.
static void append_closing_ticks(struct rig *rig) {
  int64_t now_ms = ee_cluster_time(rig->cluster) + LATER_MS;
  ee_cluster_set_time(rig->cluster, now_ms);
  for (int32_t p = 0; p < PARTITIONS; p++)
    rig_append_tick(rig, p, now_ms * EE_MICROS_PER_MS);
}

// Restored from changelogs alone, a key is still woken.
static void test_timers_survive_a_restart(void **state) {
  struct rig *rig = *state;
  struct ee_arena arena;
  struct ee_lifecycle record;
  ee_arena_init(&arena, 1 << 20);
  rig_append_many(rig, 0, 30);
  rig_start(rig);
  rig_turns(rig, 60);
  rig_crash(rig);
  append_closing_ticks(rig);
  rig_start(rig);
  rig_turns(rig, 60);
  for (int i = 0; i < 10; i++) {
    char envelope[32];
    snprintf(envelope, sizeof envelope, "envelope-%d", i);
    assert_true(rig_newest(rig, envelope, &arena, &record, NULL));
    assert_true(record.closed_at.present);
  }
  ee_arena_release(&arena);
}

// What a tombstone has taken away does not come back.
static void test_tombstones_are_restored(void **state) {
  struct rig *rig = *state;
  rig->ways.forgets = true;
  rig_append_many(rig, 0, 30);
  rig_start(rig);
  rig_turns(rig, 60);
  append_closing_ticks(rig);
  rig_turns(rig, 60);
  assert_int_equal(rig->metrics.ticks_applied, PARTITIONS);
  rig_crash(rig);
  rig_append_many(rig, 30, 50);
  rig_start(rig);
  rig_turns(rig, 60);
  rig_assert_all_counted(rig, 2);
}

enum { LONE = 40 };  // envelopes of which each has one record in the changelog

static void append_lone(struct rig *rig, const char *event) {
  char envelope[32];
  for (int i = 0; i < LONE; i++) {
    snprintf(envelope, sizeof envelope, "lone-%d", i);
    rig_append_admission(rig, envelope, event);
  }
}

// Restores into a new store, while an allocation fails; false: there are not that many.
static bool restore_short_of_memory(struct rig *rig, size_t after, size_t *ends) {
  char envelope[32];
  char *directory = directory_new();
  bool runs = true;
  rig_start(rig);
  append_lone(rig, "first");
  rig_turns(rig, 60);
  rig_crash(rig);
  rig->directory = directory;
  rig->settings.checkpoint_bytes = 256;
  rig_start(rig);
  ee_chaos_fail_after(after);
  for (int i = 0; runs && i < 60; i++)
    runs = rig_turn(rig) != EE_RUNTIME_FAILED;
  bool failed = ee_chaos_stop();
  assert_true(runs || failed);
  if (!runs) {
    ++*ends;
    rig_crash(rig);
    rig_start(rig);
  }
  append_lone(rig, "second");
  rig_turns(rig, 400);
  for (int i = 0; i < LONE; i++) {
    snprintf(envelope, sizeof envelope, "lone-%d", i);
    rig_assert_counted(rig, envelope, 2);
  }
  rig_crash(rig);
  directory_free(directory);
  return failed;
}

// What could not be taken for want of memory is not passed over: the process ends, and the next
// one reads on from there, however much of the same batch came after it.
static void test_a_restore_without_memory_ends_where_it_was(void **state) {
  (void)state;
  size_t ends = 0;
  bool failed = true;
  for (size_t after = 0; failed; after++) {
    void *rig = NULL;
    assert_int_equal(rig_setup(&rig), 0);
    failed = restore_short_of_memory(rig, after, &ends);
    rig_teardown(&rig);
  }
  assert_true(ends > 0);
}

// What was committed behind another's open transaction is state like the rest: the restore
// waits for the end of that transaction rather than end before it.
static void test_restores_beyond_an_open_transaction(void **state) {
  struct rig *rig = *state;
  rig_append_many(rig, 0, 30);
  rig_start(rig);
  rig_turns(rig, 60);
  struct ee_broker *other = rig_freeze_other(rig, EE_TOPIC_LIFECYCLE);
  rig_append_many(rig, 30, 60);
  rig_turns(rig, 60);
  rig_crash(rig);
  rig_append_many(rig, 60, 90);
  uint64_t before = rig->metrics.events[EE_TOPIC_ADMISSION];
  assert_int_equal(before, 60);
  rig_start(rig);
  rig_turns(rig, 100);
  assert_int_equal(rig->metrics.events[EE_TOPIC_ADMISSION], before);
  rig_expire_other(rig, other);
  rig_turns(rig, 100);
  rig_assert_all_counted(rig, 9);
}

// Checkpoints at every moment of a transaction, and a crash at every moment after one: the
// disk never stands for more than it holds. Each key changes now and then only, so that a
// change that was passed over is not hidden by the next one.
static void crash_at_any_turn_on_disk(struct rig *rig, int64_t checkpoint_interval_ms) {
  char *directory = directory_new();
  int appended = 0;
  rig->directory = directory;
  rig->settings.checkpoint_interval_ms = checkpoint_interval_ms;
  for (int life = 1; life <= 60; life++) {
    rig_start(rig);
    for (int turn = 0; turn < life; turn++, appended++) {
      rig_append_many(rig, appended, appended + 1);
      rig_turns(rig, 1);
    }
    rig_crash(rig);
  }
  rig_start(rig);
  rig_append_many(rig, appended, appended + 10);  // each key once more
  rig_turns(rig, 200);
  rig_assert_all_counted(rig, (size_t)appended / 10 + 1);
  assert_true(rig->metrics.checkpoints > 20);
  rig_crash(rig);
  directory_free(directory);
}

static void test_checkpoints_hold_what_they_say(void **state) {
  crash_at_any_turn_on_disk(*state, 1);
}
static void test_checkpoints_now_and_then(void **state) {
  crash_at_any_turn_on_disk(*state, 45);
}

// What the disk holds is of other logs under the same names: nothing of it is used.
static void test_state_of_other_logs(void **state) {
  struct rig *rig = *state;
  char *directory = directory_new();
  struct ee_cluster *first = rig->cluster;
  rig->directory = directory;
  rig->settings.checkpoint_interval_ms = 1;
  rig_append_admission(rig, "only here", "e");
  rig_start(rig);
  for (int i = 0; i < 60; i++) {
    rig_append_many(rig, i, i + 1);
    rig_turns(rig, 4);
  }
  assert_true(rig->metrics.checkpoints > 0);
  rig_crash(rig);

  assert_true(ee_cluster_new("t.", PARTITIONS, RIG_LIMIT, &rig->cluster, &rig->err));
  ee_cluster_set_time(rig->cluster, START_MS);
  ee_cluster_free(first);
  rig->directory = NULL;  // another machine has begun these
  rig_append_many(rig, 0, 10);
  rig_start(rig);
  rig_turns(rig, 60);
  rig_crash(rig);
  rig->directory = directory;
  rig_append_admission(rig, "only here", "e");
  rig_append_many(rig, 10, 20);
  rig_start(rig);
  rig_turns(rig, 60);
  rig_assert_all_counted(rig, 2);
  rig_assert_counted(rig, "only here", 1);
  rig_crash(rig);
  directory_free(directory);
}

// As above where the group has read nothing yet, and an aborted transaction has left its
// offsets in the changelog.
static void test_state_of_other_logs_that_nobody_has_read(void **state) {
  struct rig *rig = *state;
  char *directory = directory_new();
  struct ee_cluster *first = rig->cluster;
  rig->directory = directory;
  rig->settings.checkpoint_interval_ms = 1;
  rig_append_admission(rig, "x", "e");
  rig_start(rig);
  rig_turns(rig, 20);
  rig_append_tick(rig, rig_partition_of("other"), START_MS * EE_MICROS_PER_MS);
  rig_turns(rig, 60);
  assert_true(rig->metrics.checkpoints > 0);
  rig_crash(rig);

  assert_true(ee_cluster_new("t.", PARTITIONS, RIG_LIMIT, &rig->cluster, &rig->err));
  ee_cluster_free(first);
  for (int i = 0; i < 3; i++) {
    rig_expire_other(rig, rig_freeze_other(rig, EE_TOPIC_LIFECYCLE));
    rig_expire_other(rig, rig_freeze_other(rig, EE_TOPIC_JOIN_STATE));
  }
  rig_append_admission(rig, "x", "e");
  rig_start(rig);
  rig_turns(rig, 60);
  rig_assert_counted(rig, "x", 1);
  rig_crash(rig);
  directory_free(directory);
}

#define RETENTION_MS 60000

// As of a topic that keeps its tombstones for a minute.
static void poll_forgetful(struct ee_broker *broker, int timeout_ms, struct ee_broker_event *ret) {
  struct faulty_broker *faulty = (struct faulty_broker *)(void *)broker;
  faulty->inner->ops->poll(faulty->inner, timeout_ms, ret);
  if (ret->kind != EE_EVENT_OPERATION || ret->operation->kind != EE_OP_TOPICS) return;
  ret->operation->topics[EE_TOPIC_LIFECYCLE].delete_retention_ms = RETENTION_MS;
}

// Starts after so long and returns how many records of the changelogs were read.
static uint64_t restored_after(struct rig *rig, int64_t ms) {
  uint64_t before = rig->metrics.restored_records;
  rig->now_ms += ms;
  rig_start(rig);
  struct ee_broker_ops forgetful = *rig->faulty.face.ops;
  forgetful.poll = poll_forgetful;
  rig->faulty.face.ops = &forgetful;
  rig_turns(rig, 40);
  rig_crash(rig);
  return rig->metrics.restored_records - before;
}

// A checkpoint is built upon as long as no tombstone that it lacks can be gone.
static void test_checkpoints_grow_old(void **state) {
  struct rig *rig = *state;
  char *directory = directory_new();
  rig->directory = directory;
  rig->settings.checkpoint_interval_ms = 1;
  rig_start(rig);
  for (int i = 0; i < 60; i++) {
    rig_append_many(rig, i, i + 1);
    rig_turns(rig, 4);
  }
  rig_crash(rig);
  assert_true(restored_after(rig, RETENTION_MS / 2) < 10);
  assert_int_equal(restored_after(rig, RETENTION_MS), 60);
  directory_free(directory);
}

// ---- When a checkpoint asks for the changelogs' ends.

static const struct ee_operation *commit_under_way;
static int ends_asked, ends_asked_meanwhile;

static void begin_watched(struct ee_broker *broker, struct ee_operation *operation) {
  struct faulty_broker *faulty = (struct faulty_broker *)(void *)broker;
  if (operation->kind == EE_OP_COMMIT) commit_under_way = operation;
  if (operation->kind == EE_OP_END && operation->isolation == EE_READ_COMMITTED) {
    ends_asked++;
    if (commit_under_way != NULL) ends_asked_meanwhile++;
  }
  faulty->inner->ops->begin(faulty->inner, operation);
}

static void poll_watched(struct ee_broker *broker, int timeout_ms, struct ee_broker_event *ret) {
  struct faulty_broker *faulty = (struct faulty_broker *)(void *)broker;
  static int held;
  // A commit's answer takes some polls, in which anything else may be begun.
  if (commit_under_way != NULL && ++held % 8 != 0) {
    *ret = (struct ee_broker_event){.kind = EE_EVENT_NONE};
    return;
  }
  faulty->inner->ops->poll(faulty->inner, timeout_ms, ret);
  if (ret->kind == EE_EVENT_OPERATION && ret->operation == commit_under_way)
    commit_under_way = NULL;
}

// While a commit is under way nobody knows whether the partitions are still ours: ends that are
// asked for then may be another's, and the end of that commit would not tell.
static void test_ends_are_asked_for_between_commits(void **state) {
  struct rig *rig = *state;
  char *directory = directory_new();
  rig->directory = directory;
  rig->settings.checkpoint_interval_ms = 115;  // due at any state of a transaction
  commit_under_way = NULL;
  ends_asked = ends_asked_meanwhile = 0;
  rig_start(rig);
  struct ee_broker_ops watched = *rig->faulty.face.ops;
  watched.begin = begin_watched;
  watched.poll = poll_watched;
  rig->faulty.face.ops = &watched;
  for (int i = 0; i < 200; i++) {
    rig_append_many(rig, i, i + 1);
    rig_turns(rig, 3);
  }
  rig_turns(rig, 60);
  rig_assert_all_counted(rig, 20);
  assert_true(ends_asked > 10);
  assert_int_equal(ends_asked_meanwhile, 0);
  rig_crash(rig);
  directory_free(directory);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_timers_survive_a_restart, rig_setup, rig_teardown),
      cmocka_unit_test(test_a_restore_without_memory_ends_where_it_was),
      cmocka_unit_test_setup_teardown(test_tombstones_are_restored, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_restores_beyond_an_open_transaction, rig_setup,
                                      rig_teardown),
      cmocka_unit_test_setup_teardown(test_checkpoints_hold_what_they_say, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_checkpoints_now_and_then, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_state_of_other_logs, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_state_of_other_logs_that_nobody_has_read, rig_setup,
                                      rig_teardown),
      cmocka_unit_test_setup_teardown(test_checkpoints_grow_old, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_ends_are_asked_for_between_commits, rig_setup,
                                      rig_teardown),
  };
  return cmocka_run_group_tests_name("runtime_restore", tests, NULL, NULL);
}
