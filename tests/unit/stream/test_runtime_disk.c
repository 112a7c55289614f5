// SPDX-License-Identifier: Apache-2.0
// A disk that has no room: intake stops, says so, and goes on when there is room again. And
// what may wait in memory meanwhile.
#include <errno.h>
#include <stdint.h>

#include "support/troubled_disk.h"
#include "tests/unit/stream/runtime_rig.h"
#include "tests/unit/stream/store_support.h"

#define SOON 400  // turns in which everything that waits has been tried again

static bool is_ready(struct rig *rig) {
  return ee_runtime_ready(rig->runtime, &rig->err);
}

// The directory is the caller's to free.
static char *start_on_disk(struct rig *rig) {
  char *directory = directory_new();
  rig->directory = directory;
  rig->settings.checkpoint_interval_ms = 20;
  rig_start(rig);
  return directory;
}

static void test_a_full_disk_stops_intake_until_there_is_room(void **state) {
  struct rig *rig = *state;
  char *directory = start_on_disk(rig);
  rig_append_many(rig, 0, 100);
  rig_turns(rig, 60);
  assert_true(is_ready(rig));

  troubled_disk_fail(0, SIZE_MAX, ENOSPC);
  rig_append_many(rig, 100, 200);
  rig_turns(rig, SOON);
  assert_false(is_ready(rig));
  assert_non_null(strstr(rig->err.text, "nothing is read: cannot write the state in "));
  assert_non_null(strstr(rig->err.text, "make room, it is tried again"));
  uint64_t tries = rig->metrics.checkpoints_failed;
  assert_in_range(tries, 2, SOON * 5 / 500 + 1);  // now and then, not each turn
  uint64_t stepped = rig->metrics.events[EE_TOPIC_ADMISSION];
  rig_append_many(rig, 200, 300);
  rig_turns(rig, SOON);
  assert_int_equal(rig->metrics.events[EE_TOPIC_ADMISSION], stepped);
  assert_true(rig->metrics.checkpoints_failed > tries);

  assert_true(troubled_disk_stop());
  rig_turns(rig, SOON);
  assert_true(is_ready(rig));
  rig_assert_all_counted(rig, 30);
  rig_crash(rig);  // and what the disk holds is good
  rig_start(rig);
  rig_append_many(rig, 300, 310);
  rig_turns(rig, 60);
  rig_assert_all_counted(rig, 31);
  rig_crash(rig);
  directory_free(directory);
}

static bool still_runs(struct rig *rig, int turns) {
  for (int i = 0; i < turns; i++) {
    if (rig_turn(rig) == EE_RUNTIME_FAILED) return false;
  }
  return true;
}

// A disk that fails where the store cannot tell any more what it holds: to try again would be for
// ever, so the process ends, and the next one makes the store anew.
static void test_a_disk_that_spoils_the_store_ends_the_process(void **state) {
  struct rig *rig = *state;
  char *directory = start_on_disk(rig);
  size_t ends = 0, fails = 0;
  bool failed = true;
  rig_append_many(rig, 0, 10);
  rig_turns(rig, 60);
  for (size_t after = 0; failed; after++) {
    int from = 10 * (int)(after + 1);
    uint64_t before = rig->metrics.checkpoints_failed;
    rig_append_many(rig, from, from + 5);
    troubled_disk_fail(after, 1, EIO);
    bool runs = still_runs(rig, 60);
    rig_append_many(rig, from + 5, from + 10);  // its commit proves the ends of the former's
    runs = runs && still_runs(rig, SOON);
    failed = troubled_disk_stop();
    runs = runs && still_runs(rig, SOON);
    if (failed && rig->metrics.checkpoints_failed > before) fails++;
    if (!runs) {
      assert_non_null(strstr(rig->err.text, "must be rebuilt from the changelogs"));
      ends++;
      rig_crash(rig);
      rig_start(rig);
      rig_turns(rig, SOON);
    }
    assert_true(is_ready(rig));
    rig_assert_all_counted(rig, (size_t)from / 10 + 1);
  }
  assert_true(ends > 0 && fails > ends);
  rig_crash(rig);
  directory_free(directory);
}

// An admission of an envelope in the last partition.
static void append_to_last(struct rig *rig, int number) {
  char envelope[32], event[32];
  snprintf(event, sizeof event, "e%d", number);
  for (int i = 0;; i++) {
    snprintf(envelope, sizeof envelope, "of the last %d.%d", number, i);
    if (rig_partition_of(envelope) == PARTITIONS - 1) break;
  }
  rig_append_admission(rig, envelope, event);
}

// What could not be written of a partition that is another's now holds nothing up.
static void test_a_full_disk_does_not_outlive_the_partition(void **state) {
  struct rig *rig = *state;
  char *directory = start_on_disk(rig);
  rig_turns(rig, 20);
  troubled_disk_fail(0, SIZE_MAX, ENOSPC);
  append_to_last(rig, 0);
  rig_turns(rig, 60);
  append_to_last(rig, 1);  // its commit proves the ends of the former's
  rig_turns(rig, 60);
  assert_false(is_ready(rig));
  struct ee_broker *other;
  assert_true(ee_embedded_broker_new(rig->cluster, "counter", "two", &other, &rig->err));
  assert_true(other->ops->subscribe(other, rig->processor.ops->inputs,
                                    rig->processor.ops->input_count, &rig->err));
  for (int i = 0; i < 60; i++) {
    struct ee_broker_event event;
    other->ops->poll(other, 0, &event);
    if (event.kind == EE_EVENT_ASSIGNED) other->ops->accept(other);
    rig_turns(rig, 1);
  }
  assert_true(rig->metrics.partitions[0].running);
  assert_false(rig->metrics.partitions[PARTITIONS - 1].running);
  assert_true(is_ready(rig));
  other->ops->close(other, 0);
  assert_true(troubled_disk_stop());
  rig_crash(rig);
  directory_free(directory);
}

// A restore writes as it goes: it stops where the disk is full, and what was written is not
// read again.
static void test_a_restore_goes_on_where_the_disk_was_full(void **state) {
  enum { RECORDS = 2000, ROOM = 10 };
  struct rig *rig = *state;
  char *directory = directory_new();
  rig_start(rig);
  rig_append_many(rig, 0, RECORDS);
  rig_turns(rig, SOON);
  rig_assert_all_counted(rig, RECORDS / 10);
  rig_crash(rig);

  rig->directory = directory;
  rig->settings.checkpoint_bytes = 8 << 10;
  rig_start(rig);
  troubled_disk_fail(ROOM, SIZE_MAX, ENOSPC);
  rig_turns(rig, SOON);
  assert_true(troubled_disk_stop());
  assert_false(is_ready(rig));
  assert_non_null(strstr(rig->err.text, "nothing is read: cannot write the state in "));
  uint64_t before = rig->metrics.restored_records;
  assert_in_range(before, 1, RECORDS - 1);
  assert_true(rig->metrics.checkpoints > 0);
  rig_crash(rig);

  rig_start(rig);
  rig_append_many(rig, RECORDS, RECORDS + 10);
  rig_turns(rig, SOON);
  assert_true(is_ready(rig));
  rig_assert_all_counted(rig, RECORDS / 10 + 1);
  uint64_t again = rig->metrics.restored_records - before;
  assert_in_range(again, RECORDS - before, RECORDS - 1);
  rig_crash(rig);

  // In one go as well.
  directory_free(directory);
  rig->directory = directory = directory_new();
  rig_start(rig);
  troubled_disk_fail(ROOM, 3, ENOSPC);
  rig_append_many(rig, RECORDS + 10, RECORDS + 20);
  rig_turns(rig, 3 * SOON);
  assert_true(troubled_disk_stop());
  rig_assert_all_counted(rig, RECORDS / 10 + 2);
  rig_crash(rig);
  directory_free(directory);
}

// ---- What waits in memory.

// What has been read and not stepped is bounded by its bytes, however few records a queue holds.
static void test_queues_are_bounded_by_bytes(void **state) {
  enum { RECORDS = 3000, BOUND = 64 << 10 };
  struct rig *rig = *state;
  rig->settings.queue_bytes = BOUND;
  char *directory = start_on_disk(rig);
  rig_append_many(rig, 0, 100);
  rig_turns(rig, 60);
  troubled_disk_fail(0, SIZE_MAX, ENOSPC);
  rig_append_many(rig, 100, 200);
  rig_turns(rig, SOON);
  assert_false(is_ready(rig));
  rig_append_many(rig, 200, 200 + RECORDS);
  rig_turns(rig, SOON);
  int64_t behind = 0;
  for (int32_t i = 0; i < PARTITIONS; i++) {
    struct ee_tp tp = {EE_TOPIC_ADMISSION, i};
    behind += rig->broker->ops->lag(rig->broker, tp);
  }
  // Each takes 256 bytes and more. One batch comes before the broker is asked to pause.
  assert_true(behind > RECORDS - BOUND / 256 - 256);
  assert_true(troubled_disk_stop());
  rig_turns(rig, 2 * SOON);
  rig_assert_all_counted(rig, (200 + RECORDS) / 10);
  rig_crash(rig);
  directory_free(directory);
}

static struct ee_operation *refused;
static bool refusing;

static void begin_refusing(struct ee_broker *broker, struct ee_operation *operation) {
  struct faulty_broker *faulty = (struct faulty_broker *)(void *)broker;
  if (refusing && operation->kind == EE_OP_END && operation->isolation == EE_READ_COMMITTED) {
    operation->pending = true;
    refused = operation;
  } else {
    faulty->inner->ops->begin(faulty->inner, operation);
  }
}

static void poll_refusing(struct ee_broker *broker, int timeout_ms, struct ee_broker_event *ret) {
  struct faulty_broker *faulty = (struct faulty_broker *)(void *)broker;
  if (refused == NULL) {
    faulty->inner->ops->poll(faulty->inner, timeout_ms, ret);
    return;
  }
  refused->pending = false;
  refused->outcome = EE_RETRY;
  *ret = (struct ee_broker_event){.kind = EE_EVENT_OPERATION, .operation = refused};
  refused = NULL;
}

// Commits go on, and no checkpoint can be made: the changes that wait for one are bounded.
static void test_changes_that_wait_for_a_checkpoint_are_bounded(void **state) {
  enum { BOUND = 16 << 10 };
  struct rig *rig = *state;
  rig->settings.checkpoint_bytes = BOUND;
  rig->settings.batch_bytes = BOUND;
  refusing = true;
  char *directory = start_on_disk(rig);
  struct ee_broker_ops ops = *rig->faulty.face.ops;
  ops.begin = begin_refusing;
  ops.poll = poll_refusing;
  rig->faulty.face.ops = &ops;
  for (int i = 0; i < 1000; i++) {
    char envelope[32];
    snprintf(envelope, sizeof envelope, "envelope %d", i);
    rig_append_admission(rig, envelope, "e");
  }
  rig_turns(rig, 2 * SOON);
  uint64_t stepped = rig->metrics.events[EE_TOPIC_ADMISSION];
  assert_in_range(stepped, 1, 999);
  // Beside them a batch that was open, and one that was sealed.
  assert_in_range(ee_store_pending_bytes(rig->store), 2 * BOUND, 4 * BOUND);
  assert_int_equal(rig->metrics.checkpoints, 0);
  refusing = false;
  rig_turns(rig, 2 * SOON);
  assert_int_equal(rig->metrics.events[EE_TOPIC_ADMISSION], 1000);
  assert_true(rig->metrics.checkpoints > 0);
  rig_crash(rig);
  directory_free(directory);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_a_full_disk_stops_intake_until_there_is_room, rig_setup,
                                      rig_teardown),
      cmocka_unit_test_setup_teardown(test_a_disk_that_spoils_the_store_ends_the_process, rig_setup,
                                      rig_teardown),
      cmocka_unit_test_setup_teardown(test_a_full_disk_does_not_outlive_the_partition, rig_setup,
                                      rig_teardown),
      cmocka_unit_test_setup_teardown(test_a_restore_goes_on_where_the_disk_was_full, rig_setup,
                                      rig_teardown),
      cmocka_unit_test_setup_teardown(test_queues_are_bounded_by_bytes, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_changes_that_wait_for_a_checkpoint_are_bounded,
                                      rig_setup, rig_teardown),
  };
  return cmocka_run_group_tests_name("runtime_disk", tests, NULL, NULL);
}
