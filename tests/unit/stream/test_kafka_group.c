// SPDX-License-Identifier: Apache-2.0
// Offers and revocations in every order in which librdkafka may bring them, without a
// broker: the callback is called by hand.
#include "stream/kafka_group.h"

#include "tests/support/test.h"

static struct ee_kafka_shared *shared;
static struct ee_kafka_fetch *fetch;
static struct ee_kafka_group *group;

static const struct ee_tp a0 = {EE_TOPIC_ADMISSION, 0}, a1 = {EE_TOPIC_ADMISSION, 1};

// In place of librdkafka's own: what it would say, and how often it was answered.
static bool assignment_lost;
static int answers;

int rd_kafka_assignment_lost(rd_kafka_t *rk) {
  (void)rk;
  return assignment_lost;
}

rd_kafka_resp_err_t rd_kafka_assign(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *list) {
  (void)rk, (void)list;
  answers++;
  return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static int setup(void **state) {
  (void)state;
  struct ee_kafka_settings settings = {.bootstrap = "127.0.0.1:1",
                                       .topic_prefix = "",
                                       .group = "g",
                                       .instance = "one",
                                       .transaction_timeout_ms = 10000,
                                       .session_timeout_ms = 10000,
                                       .memory_bytes = 1 << 20};
  struct ee_err err = {.text = ""};
  assignment_lost = false;
  answers = 0;
  return ee_kafka_shared_new(&settings, &shared, &err) &&
                 ee_kafka_fetch_new(shared, &fetch, &err) &&
                 ee_kafka_group_new(shared, fetch, &group, &err)
             ? 0
             : -1;
}

static int teardown(void **state) {
  (void)state;
  ee_kafka_handle_free(group->handle);
  ee_kafka_group_free(group);
  ee_kafka_handle_free(fetch->handle);
  ee_kafka_fetch_free(fetch);
  ee_kafka_shared_free(shared);
  return 0;
}

static void call(rd_kafka_resp_err_t err, const struct ee_tp *tps, size_t count) {
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(4);
  for (size_t i = 0; i < count; i++) {
    rd_kafka_topic_partition_list_add(list, shared->names[tps[i].topic], tps[i].partition);
  }
  rd_kafka_topic_partition_list_add(list, "not.of.the.catalogue", 0);
  group->handle->rebalance(group->handle->rebalance_context, err, list);
  rd_kafka_topic_partition_list_destroy(list);
}

static void offer(struct ee_tp tp) {
  call(RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS, &tp, 1);
}
static void revoke(struct ee_tp tp) {
  call(RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS, &tp, 1);
}

static void expect_event(enum ee_broker_event_kind kind, struct ee_tp tp, bool lost) {
  struct ee_broker_event event;
  assert_true(ee_kafka_group_event(group, &event));
  assert_int_equal(event.kind, kind);
  assert_int_equal(event.count, 1);
  assert_int_equal(event.partitions[0].topic, tp.topic);
  assert_int_equal(event.partitions[0].partition, tp.partition);
  assert_int_equal(event.lost, lost);
  assert_false(ee_kafka_group_event(group, &event));  // said once
}

static void expect_nothing(void) {
  struct ee_broker_event event;
  assert_false(ee_kafka_group_event(group, &event));
}

static void accept_offer(struct ee_tp tp) {
  offer(tp);
  expect_event(EE_EVENT_ASSIGNED, tp, false);
  ee_kafka_group_accept(group);
  assert_true(ee_kafka_group_holds(group, tp));
  expect_nothing();
}

static void test_plain(void **state) {
  (void)state;
  expect_nothing();
  ee_kafka_group_accept(group);  // nothing is offered
  ee_kafka_group_relinquish(group);
  assert_false(ee_kafka_group_holds(group, a0));
  accept_offer(a0);
  assert_false(ee_kafka_group_holds(group, a1));
  ee_kafka_fetch_start(fetch, a0, 5, true);
  assert_int_equal(ee_kafka_fetch_position(fetch, a0), 5);
  revoke(a0);
  expect_event(EE_EVENT_REVOKED, a0, false);
  assert_true(ee_kafka_group_holds(group, a0));  // until it is given up
  ee_kafka_group_relinquish(group);
  assert_false(ee_kafka_group_holds(group, a0));
  assert_int_equal(ee_kafka_fetch_position(fetch, a0), EE_OFFSET_NONE);
  expect_nothing();
  accept_offer(a1);
}

// A newer offer before the last one is accepted: that one has been lost.
static void test_offer_overtaken(void **state) {
  (void)state;
  offer(a0);
  expect_event(EE_EVENT_ASSIGNED, a0, false);
  offer(a1);
  expect_event(EE_EVENT_REVOKED, a0, true);
  ee_kafka_group_accept(group);  // of a0: too late
  assert_false(ee_kafka_group_holds(group, a0));
  assert_false(ee_kafka_group_holds(group, a1));
  ee_kafka_group_relinquish(group);
  expect_event(EE_EVENT_ASSIGNED, a1, false);
  ee_kafka_group_accept(group);
  assert_true(ee_kafka_group_holds(group, a1));
}

// A newer offer before the last one is even reported: only the newer one counts.
static void test_offer_unseen(void **state) {
  (void)state;
  offer(a0);
  ee_kafka_group_accept(group);  // cannot be meant
  assert_false(ee_kafka_group_holds(group, a0));
  offer(a1);
  expect_event(EE_EVENT_ASSIGNED, a1, false);
}

// A newer offer while the old assignment is held: that is lost, at once.
static void test_offer_over_held(void **state) {
  (void)state;
  accept_offer(a0);
  offer(a1);
  assert_false(ee_kafka_group_holds(group, a0));
  expect_event(EE_EVENT_REVOKED, a0, true);
  ee_kafka_group_relinquish(group);
  expect_event(EE_EVENT_ASSIGNED, a1, false);
  ee_kafka_group_accept(group);
  assert_true(ee_kafka_group_holds(group, a1));
}

// The offer is withdrawn: before it was reported nobody hears of it, after it somebody does.
static void test_offer_withdrawn(void **state) {
  (void)state;
  offer(a0);
  revoke(a0);
  expect_nothing();
  offer(a0);
  expect_event(EE_EVENT_ASSIGNED, a0, false);
  revoke(a0);
  expect_event(EE_EVENT_REVOKED, a0, false);
  ee_kafka_group_accept(group);
  ee_kafka_group_relinquish(group);
  assert_false(ee_kafka_group_holds(group, a0));
  expect_nothing();
  // A new offer comes and goes while the old assignment is being given up.
  accept_offer(a0);
  offer(a1);
  expect_event(EE_EVENT_REVOKED, a0, true);
  revoke(a1);
  ee_kafka_group_relinquish(group);
  expect_nothing();
  accept_offer(a1);
}

// A revocation is answered when it has been carried out, a loss at once and only once: what
// is waited for until then is the way back.
static void test_lost(void **state) {
  (void)state;
  accept_offer(a0);
  answers = 0;
  revoke(a0);
  assert_int_equal(answers, 0);
  expect_event(EE_EVENT_REVOKED, a0, false);
  ee_kafka_group_relinquish(group);
  assert_int_equal(answers, 1);
  accept_offer(a0);
  assignment_lost = true;
  answers = 0;
  revoke(a0);
  assert_int_equal(answers, 1);
  assert_false(ee_kafka_group_holds(group, a0));
  offer(a1);  // waits until the old work has been put away
  expect_event(EE_EVENT_REVOKED, a0, true);
  ee_kafka_group_relinquish(group);
  assert_int_equal(answers, 1);
  expect_event(EE_EVENT_ASSIGNED, a1, false);
  ee_kafka_group_accept(group);
  assert_int_equal(answers, 2);
  assert_true(ee_kafka_group_holds(group, a1));
  // Lost while a revocation was being carried out: that is answered with it.
  assignment_lost = false;
  answers = 0;
  revoke(a1);
  expect_event(EE_EVENT_REVOKED, a1, false);
  assignment_lost = true;
  revoke(a1);
  offer(a0);
  ee_kafka_group_relinquish(group);
  assert_int_equal(answers, 1);
  expect_event(EE_EVENT_ASSIGNED, a0, false);
}

static void test_leave(void **state) {
  (void)state;
  accept_offer(a0);
  offer(a1);
  ee_kafka_group_leave(group);
  ee_kafka_group_leave(group);
  expect_nothing();
  assert_false(ee_kafka_group_holds(group, a0));
  offer(a1);
  expect_nothing();
  revoke(a1);
  expect_nothing();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_plain, setup, teardown),
      cmocka_unit_test_setup_teardown(test_offer_overtaken, setup, teardown),
      cmocka_unit_test_setup_teardown(test_offer_unseen, setup, teardown),
      cmocka_unit_test_setup_teardown(test_offer_over_held, setup, teardown),
      cmocka_unit_test_setup_teardown(test_offer_withdrawn, setup, teardown),
      cmocka_unit_test_setup_teardown(test_lost, setup, teardown),
      cmocka_unit_test_setup_teardown(test_leave, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
