// SPDX-License-Identifier: Apache-2.0
// Instances of one group: partitions move between them with nothing lost or doubled, and
// what is read ahead is bounded.
#include <stdlib.h>

#include "tests/unit/stream/runtime_rig.h"

static struct rig another(struct rig *rig) {
  return (struct rig){.cluster = rig->cluster,
                      .codec = rig->codec,
                      .settings = rig->settings,
                      .processor = rig->processor,
                      .instance = "two"};
}

// Every so many turns the second one comes, or goes as in a crash.
static void come_and_go(struct rig *rig, int turns_each) {
  struct rig other = another(rig);
  int appended = 0;
  rig_start(rig);
  for (int life = 0; life < 10; life++) {
    rig_start(&other);
    for (int i = 0; i < 2 * turns_each + life; i++, appended++) {
      if (i == turns_each) rig_crash(&other);
      rig_append_many(rig, appended, appended + 1);
      rig_turns(rig, 1);
      if (other.runtime != NULL) rig_turns(&other, 1);
    }
    ee_cluster_expire(rig->cluster, "counter", "two");  // what it had in flight
  }
  int all = (appended + 9) / 10 * 10;
  rig_append_many(rig, appended, all);
  rig_turns(rig, 200);
  rig_assert_all_counted(rig, (size_t)all / 10);
  assert_int_equal(rig_count(rig, EE_TOPIC_LIFECYCLE), all);
  assert_true(other.metrics.events[EE_TOPIC_ADMISSION] > 0);
}

static void test_partitions_move_at_once(void **state) {
  come_and_go(*state, 7);
}
static void test_partitions_move_now_and_then(void **state) {
  come_and_go(*state, 40);
}

// A member of another version, which reads other topics, would part the phases.
static void test_member_with_other_inputs(void **state) {
  static const enum ee_topic fewer[] = {EE_TOPIC_ADMISSION};
  struct rig *rig = *state;
  struct ee_broker *other;
  bool failed = false;
  rig_start(rig);
  rig_turns(rig, 20);
  assert_true(ee_embedded_broker_new(rig->cluster, "counter", "old", &other, &rig->err));
  assert_true(other->ops->subscribe(other, fewer, COUNT_OF(fewer), &rig->err));
  for (int i = 0; i < 60 && !failed; i++) {
    struct ee_broker_event event;
    other->ops->poll(other, 0, &event);
    if (event.kind == EE_EVENT_ASSIGNED) other->ops->accept(other);
    failed = rig_turn(rig) == EE_RUNTIME_FAILED;
  }
  assert_true(failed);
  assert_non_null(strstr(rig->err.text, "stop all members"));
  other->ops->close(other, 0);
}

#define QUEUED_MOST 4096  // messages of one partition

// A flood of one partition is read no faster than it is stepped, and to its end.
static void test_reading_ahead_is_bounded(void **state) {
  struct rig *rig = *state;
  struct ee_tp tp = {EE_TOPIC_ADMISSION, rig_partition_of("x")};
  uint64_t all = 0;
  int64_t most = 0;
  for (int i = 0; all < 30000; i++) {
    char envelope[32];
    snprintf(envelope, sizeof envelope, "%d", i);
    if (rig_partition_of(envelope) != tp.partition) continue;
    rig_append_admission(rig, envelope, "e");
    all++;
  }
  rig_start(rig);
  for (int i = 0; i < 600 && rig->metrics.events[EE_TOPIC_ADMISSION] < all; i++) {
    rig_turns(rig, 1);
    int64_t stepped = (int64_t)rig->metrics.events[EE_TOPIC_ADMISSION];
    int64_t queued = rig->broker->ops->position(rig->broker, tp) - stepped;
    if (queued > most) most = queued;
  }
  rig_turns(rig, 10);
  assert_int_equal(rig_count(rig, EE_TOPIC_LIFECYCLE), all);
  assert_true(most > QUEUED_MOST / 2);  // it was a flood
  assert_true(most <= QUEUED_MOST);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_partitions_move_at_once, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_partitions_move_now_and_then, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_member_with_other_inputs, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_reading_ahead_is_bounded, rig_setup, rig_teardown),
  };
  return cmocka_run_group_tests_name("runtime_group", tests, NULL, NULL);
}
