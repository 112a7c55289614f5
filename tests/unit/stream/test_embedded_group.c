// SPDX-License-Identifier: Apache-2.0
// Groups of the embedded log: assignment, rebalances, static members, and members that
// die.
#include "tests/unit/stream/embedded_support.h"

static struct ee_broker *member_new(struct ee_cluster *cluster, const char *instance) {
  struct ee_broker *broker = broker_new(cluster, "g", instance);
  assert_true(broker->ops->subscribe(broker, inputs, COUNT_OF(inputs), NULL));
  assert_int_equal(run_kind(broker, EE_OP_INIT), EE_DONE);
  return broker;
}

// The event must be an assignment of exactly [from, to) of both topics. Accepts it.
static void expect_assigned(struct ee_broker *broker, int32_t from, int32_t to) {
  struct ee_broker_event event = poll_of(broker);
  assert_int_equal(event.kind, EE_EVENT_ASSIGNED);
  assert_int_equal(event.count, 2 * (to - from));
  for (size_t i = 0; i < event.count; i++) {
    assert_int_equal(event.partitions[i].topic, inputs[i / (size_t)(to - from)]);
    assert_int_equal(event.partitions[i].partition, from + (int32_t)i % (to - from));
  }
  broker->ops->accept(broker);
}

static void expect_revoked(struct ee_broker *broker, size_t count, bool lost) {
  struct ee_broker_event event = poll_of(broker);
  assert_int_equal(event.kind, EE_EVENT_REVOKED);
  assert_int_equal(event.count, count);
  assert_int_equal(event.lost, lost);
}

static void members_share_the_partitions(void **state) {
  (void)state;
  struct ee_cluster *cluster = cluster_new();
  struct ee_broker *b = member_new(cluster, "b");
  struct ee_tp where = tp(EE_TOPIC_ADMISSION, 3);
  expect_assigned(b, 0, 4);
  expect_none(b);
  struct ee_output output = output_of(where, "k", "v0");
  assert_int_equal(ee_cluster_append(cluster, &output, -1), 0);
  expect_none(b);  // paused until started
  b->ops->start(b, where, 0);
  b->ops->pause(b, where);
  expect_none(b);
  b->ops->resume(b, where);
  assert_string_equal(drain(b), "v0@0 ");

  struct ee_broker *a = member_new(cluster, "a");
  begin(b);
  expect_none(a);  // joins, and waits for b
  expect_revoked(b, 8, false);
  // The old generation may commit until b has given up.
  assert_int_equal(commit_offset(b, where, 1), EE_DONE);
  expect_none(a);
  b->ops->relinquish(b);
  assert_int_equal(ee_cluster_append(cluster, &output, -1), 1);
  expect_assigned(a, 0, 2);
  begin(b);
  assert_int_equal(commit_offset(b, where, 2), EE_ABORT);  // b has not seen the new one
  assert_int_equal(run_kind(b, EE_OP_ABORT), EE_DONE);
  expect_assigned(b, 2, 4);
  expect_none(b);
  b->ops->start(b, where, ask(b, EE_OP_COMMITTED, 0, where));
  assert_string_equal(drain(b), "v0@1 ");

  struct ee_broker *c = member_new(cluster, "c");
  expect_none(c);
  expect_revoked(b, 4, false);
  b->ops->relinquish(b);
  expect_none(b);
  expect_revoked(a, 4, false);
  a->ops->relinquish(a);
  expect_assigned(a, 0, 2);  // 4 over 3: the first gets one more
  expect_assigned(b, 2, 3);
  expect_assigned(c, 3, 4);
  a->ops->close(a, 100);
  expect_revoked(c, 2, false);
  c->ops->leave(c);
  expect_revoked(b, 2, false);
  b->ops->relinquish(b);
  expect_assigned(b, 0, 4);
  expect_none(c);
  assert_int_equal(run_kind(c, EE_OP_INIT), EE_DONE);  // goes on serving operations
  close_broker(b);
  close_broker(c);
  ee_cluster_free(cluster);
}

static void declining_leaves_the_group(void **state) {
  (void)state;
  struct ee_cluster *cluster = cluster_new();
  struct ee_broker *a = member_new(cluster, "a"), *b = member_new(cluster, "b");
  assert_int_equal(poll_of(a).kind, EE_EVENT_ASSIGNED);
  a->ops->leave(a);
  expect_none(a);
  expect_assigned(b, 0, 4);
  close_broker(a);
  close_broker(b);
  ee_cluster_free(cluster);
}

// Whoever comes first by name has the partitions; the rest are members with nothing.
static void more_members_than_partitions(void **state) {
  (void)state;
  static const char *const names[] = {"0", "1", "2", "3", "4", "5"};
  struct ee_cluster *cluster = cluster_new();
  struct ee_broker *members[COUNT_OF(names)];
  size_t counts[COUNT_OF(names)];
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    members[i] = member_new(cluster, names[i]);
  }
  for (int round = 0; round < 3; round++) {
    for (size_t i = 0; i < COUNT_OF(names); i++) {
      struct ee_broker *member = members[i];
      struct ee_broker_event event = poll_of(member);
      if (event.kind == EE_EVENT_ASSIGNED) member->ops->accept(member);
      if (event.kind == EE_EVENT_REVOKED) member->ops->relinquish(member);
      if (event.kind == EE_EVENT_ASSIGNED) counts[i] = event.count;
    }
  }
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    assert_int_equal(counts[i], i < PARTITIONS ? 2 : 0);
    expect_none(members[i]);
  }
  close_broker(members[0]);
  expect_none(members[5]);  // had nothing to give up
  for (size_t i = 1; i < COUNT_OF(names); i++) {
    close_broker(members[i]);
  }
  ee_cluster_free(cluster);
}

static void a_returning_instance_replaces_the_older(void **state) {
  (void)state;
  struct ee_cluster *cluster = cluster_new();
  struct ee_broker *a = member_new(cluster, "a"), *b = member_new(cluster, "b");
  assert_int_equal(poll_of(a).kind, EE_EVENT_ASSIGNED);
  a->ops->accept(a);
  expect_none(b);
  expect_revoked(a, 8, false);
  a->ops->relinquish(a);
  expect_assigned(a, 0, 2);
  expect_assigned(b, 2, 4);
  a->ops->start(a, tp(EE_TOPIC_ADMISSION, 0), 0);

  struct ee_broker *again = member_new(cluster, "a");
  expect_assigned(again, 0, 2);
  expect_none(b);  // notices nothing
  struct ee_output output = output_of(tp(EE_TOPIC_ADMISSION, 0), "k", "v");
  assert_int_equal(ee_cluster_append(cluster, &output, -1), 0);
  struct ee_broker_event event = poll_of(a);
  assert_int_equal(event.kind, EE_EVENT_TROUBLE);
  assert_int_equal(event.outcome, EE_FENCED);
  expect_none(a);
  assert_int_equal(run_kind(a, EE_OP_INIT), EE_FENCED);
  begin(again);
  assert_int_equal(commit_offset(again, tp(EE_TOPIC_ADMISSION, 0), 1), EE_DONE);
  close_broker(a);
  expect_none(b);  // and nothing of its end
  close_broker(again);
  close_broker(b);
  ee_cluster_free(cluster);
}

static void a_dead_member_holds_its_partitions_until_it_expires(void **state) {
  (void)state;
  struct ee_cluster *cluster = cluster_new();
  struct ee_broker *a = member_new(cluster, "a"), *b;
  expect_assigned(a, 0, 4);
  begin(a);
  produce(a, tp(EE_TOPIC_LIFECYCLE, 0), "v");
  ee_embedded_broker_abandon(a);
  b = member_new(cluster, "b");
  expect_none(b);
  assert_int_equal(ask(b, EE_OP_END, EE_READ_COMMITTED, tp(EE_TOPIC_LIFECYCLE, 0)), 0);
  ee_cluster_expire(cluster, "g", "a");
  expect_assigned(b, 0, 4);
  assert_int_equal(ask(b, EE_OP_END, EE_READ_COMMITTED, tp(EE_TOPIC_LIFECYCLE, 0)), 2);

  // One that lives sees that it has lost them, and comes back.
  begin(b);
  b->ops->start(b, tp(EE_TOPIC_ADMISSION, 0), 0);
  ee_cluster_expire(cluster, "g", "b");
  expect_revoked(b, 8, true);
  struct ee_output output = output_of(tp(EE_TOPIC_ADMISSION, 0), "k", "v");
  assert_int_equal(ee_cluster_append(cluster, &output, -1), 0);
  assert_int_equal(commit_offset(b, tp(EE_TOPIC_ADMISSION, 0), 1), EE_FENCED);
  expect_none(b);
  b->ops->relinquish(b);
  expect_assigned(b, 0, 4);
  // Also in the middle of an answer.
  struct ee_broker *c = member_new(cluster, "c");
  expect_none(c);
  expect_revoked(b, 8, false);
  ee_cluster_expire(cluster, "g", "b");
  expect_assigned(c, 0, 4);
  expect_none(b);
  b->ops->relinquish(b);
  expect_none(b);
  expect_revoked(c, 8, false);
  c->ops->relinquish(c);
  expect_assigned(b, 0, 2);
  ee_cluster_expire(cluster, "g", "nobody");
  close_broker(b);
  close_broker(c);
  ee_cluster_free(cluster);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(members_share_the_partitions),
      cmocka_unit_test(declining_leaves_the_group),
      cmocka_unit_test(more_members_than_partitions),
      cmocka_unit_test(a_returning_instance_replaces_the_older),
      cmocka_unit_test(a_dead_member_holds_its_partitions_until_it_expires),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
