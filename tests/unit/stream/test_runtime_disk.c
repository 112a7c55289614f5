// SPDX-License-Identifier: Apache-2.0
// A disk that has no room: intake stops, says so, and goes on when there is room again.
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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_a_full_disk_stops_intake_until_there_is_room, rig_setup,
                                      rig_teardown),
      cmocka_unit_test_setup_teardown(test_a_full_disk_does_not_outlive_the_partition, rig_setup,
                                      rig_teardown),
      cmocka_unit_test_setup_teardown(test_a_restore_goes_on_where_the_disk_was_full, rig_setup,
                                      rig_teardown),
  };
  return cmocka_run_group_tests_name("runtime_disk", tests, NULL, NULL);
}
