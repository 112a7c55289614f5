// SPDX-License-Identifier: Apache-2.0
// The classes of librdkafka's errors: what each stage says about each kind.
#include "stream/kafka_class.h"
#include "tests/support/test.h"

#define STAGES (EE_KAFKA_FETCH + 1)

static enum ee_outcome_class fatal(enum ee_kafka_stage stage, rd_kafka_resp_err_t code) {
  return ee_kafka_classify(stage, (struct ee_kafka_fault){.code = code, .fatal = true});
}
static enum ee_outcome_class abortable(enum ee_kafka_stage stage, rd_kafka_resp_err_t code) {
  return ee_kafka_classify(stage, (struct ee_kafka_fault){.code = code, .abortable = true});
}
static enum ee_outcome_class retriable(enum ee_kafka_stage stage, rd_kafka_resp_err_t code) {
  return ee_kafka_classify(stage, (struct ee_kafka_fault){.code = code, .retriable = true});
}
static enum ee_outcome_class plain(enum ee_kafka_stage stage, rd_kafka_resp_err_t code) {
  return ee_kafka_classify(stage, (struct ee_kafka_fault){.code = code});
}

static void test_no_error(void **state) {
  (void)state;
  for (int stage = 0; stage < STAGES; stage++) {
    assert_int_equal(plain((enum ee_kafka_stage)stage, RD_KAFKA_RESP_ERR_NO_ERROR), EE_DONE);
  }
}

// A member that is fenced has been taken over, and so has one whose producer is fenced while
// it begins. Later the coordinator may have done it, because the transaction timed out: the
// producer has died, like any other. And by the flag, not by the code alone: an abortable
// INVALID_PRODUCER_EPOCH is librdkafka's own recovery.
static void test_fenced(void **state) {
  (void)state;
  static const rd_kafka_resp_err_t codes[] = {RD_KAFKA_RESP_ERR__FENCED,
                                              RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
                                              RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH};
  for (size_t i = 0; i < COUNT_OF(codes); i++) {
    assert_int_equal(fatal(EE_KAFKA_INIT, codes[i]), EE_FENCED);
    assert_int_equal(fatal(EE_KAFKA_GROUP, codes[i]), EE_FENCED);
    assert_int_equal(fatal(EE_KAFKA_PRODUCE, codes[i]), EE_ABORT);
    assert_int_equal(fatal(EE_KAFKA_BEGIN, codes[i]), EE_INDEFINITE);
    assert_int_equal(fatal(EE_KAFKA_OFFSETS, codes[i]), EE_INDEFINITE);
    assert_int_equal(fatal(EE_KAFKA_COMMIT, codes[i]), EE_INDEFINITE);
    assert_int_equal(fatal(EE_KAFKA_ABORT, codes[i]), EE_INDEFINITE);
    assert_int_equal(abortable(EE_KAFKA_OFFSETS, codes[i]), EE_ABORT);
    assert_int_equal(abortable(EE_KAFKA_COMMIT, codes[i]), EE_ABORT);
  }
  for (int stage = 0; stage < STAGES; stage++) {
    assert_int_equal(fatal((enum ee_kafka_stage)stage, RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID),
                     EE_FENCED);
  }
}

// A producer that died of anything else may or may not have done its last work.
static void test_dead(void **state) {
  (void)state;
  rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
  assert_int_equal(fatal(EE_KAFKA_PRODUCE, code), EE_ABORT);
  assert_int_equal(fatal(EE_KAFKA_BEGIN, code), EE_INDEFINITE);
  assert_int_equal(fatal(EE_KAFKA_OFFSETS, code), EE_INDEFINITE);
  assert_int_equal(fatal(EE_KAFKA_COMMIT, code), EE_INDEFINITE);
  assert_int_equal(fatal(EE_KAFKA_ABORT, code), EE_INDEFINITE);
  assert_int_equal(fatal(EE_KAFKA_INIT, code), EE_FATAL);
  assert_int_equal(fatal(EE_KAFKA_GROUP, code), EE_FATAL);
  code = RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
  assert_int_equal(fatal(EE_KAFKA_INIT, code), EE_FATAL);
  assert_int_equal(fatal(EE_KAFKA_COMMIT, code), EE_FATAL);
  // Not FATAL: the abort that follows says it.
  assert_int_equal(fatal(EE_KAFKA_PRODUCE, code), EE_ABORT);
}

// A rebalance shows at send_offsets; it ends the transaction, not the producer.
static void test_transaction(void **state) {
  (void)state;
  static const rd_kafka_resp_err_t codes[] = {
      RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID,
      RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE};
  for (size_t i = 0; i < COUNT_OF(codes); i++) {
    assert_int_equal(abortable(EE_KAFKA_OFFSETS, codes[i]), EE_ABORT);
    assert_int_equal(abortable(EE_KAFKA_COMMIT, codes[i]), EE_ABORT);
    assert_int_equal(abortable(EE_KAFKA_ABORT, codes[i]), EE_INDEFINITE);
  }
  assert_int_equal(retriable(EE_KAFKA_COMMIT, RD_KAFKA_RESP_ERR__TIMED_OUT), EE_RETRY);
  assert_int_equal(retriable(EE_KAFKA_ABORT, RD_KAFKA_RESP_ERR__TIMED_OUT), EE_RETRY);
  assert_int_equal(retriable(EE_KAFKA_INIT, RD_KAFKA_RESP_ERR__TIMED_OUT), EE_RETRY);
  // Without a flag: never taken for done, and never for something that may be repeated.
  assert_int_equal(plain(EE_KAFKA_INIT, RD_KAFKA_RESP_ERR__STATE), EE_FATAL);
  assert_int_equal(plain(EE_KAFKA_COMMIT, RD_KAFKA_RESP_ERR__STATE), EE_ABORT);
  assert_int_equal(plain(EE_KAFKA_ABORT, RD_KAFKA_RESP_ERR__STATE), EE_INDEFINITE);
  assert_int_equal(plain(EE_KAFKA_BEGIN, RD_KAFKA_RESP_ERR__STATE), EE_INDEFINITE);
}

static void test_produce(void **state) {
  (void)state;
  assert_int_equal(plain(EE_KAFKA_PRODUCE, RD_KAFKA_RESP_ERR__QUEUE_FULL), EE_RETRY);
  assert_int_equal(plain(EE_KAFKA_PRODUCE, RD_KAFKA_RESP_ERR__STATE), EE_ABORT);
  assert_int_equal(plain(EE_KAFKA_PRODUCE, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE), EE_FATAL);
  assert_int_equal(plain(EE_KAFKA_PRODUCE, RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION), EE_FATAL);
}

// Reading past what cannot be read would drop it.
static void test_fetch(void **state) {
  (void)state;
  static const rd_kafka_resp_err_t stop[] = {
      RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET, RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE,
      RD_KAFKA_RESP_ERR__BAD_MSG,           RD_KAFKA_RESP_ERR__BAD_COMPRESSION,
      RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED,   RD_KAFKA_RESP_ERR_INVALID_MSG,
      RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED};
  for (size_t i = 0; i < COUNT_OF(stop); i++) {
    assert_int_equal(plain(EE_KAFKA_FETCH, stop[i]), EE_FATAL);
  }
  assert_int_equal(plain(EE_KAFKA_FETCH, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART), EE_RETRY);
  assert_int_equal(plain(EE_KAFKA_FETCH, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION), EE_RETRY);
}

static void test_query(void **state) {
  (void)state;
  static const rd_kafka_resp_err_t again[] = {
      RD_KAFKA_RESP_ERR__TIMED_OUT, RD_KAFKA_RESP_ERR__TRANSPORT,
      RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT, RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
      RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN};
  for (size_t i = 0; i < COUNT_OF(again); i++) {
    assert_int_equal(plain(EE_KAFKA_QUERY, again[i]), EE_RETRY);
  }
  assert_int_equal(plain(EE_KAFKA_QUERY, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED), EE_FATAL);
  assert_int_equal(plain(EE_KAFKA_GROUP, RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED), EE_RETRY);
  assert_int_equal(plain(EE_KAFKA_GROUP, RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL), EE_FATAL);
}

// Whoever set what the brokers refuse is told which option it was.
static void test_advice(void **state) {
  (void)state;
  assert_non_null(
      strstr(ee_kafka_advice(RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT), "--session-timeout"));
  assert_non_null(strstr(ee_kafka_advice(RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT),
                         "--transaction-timeout"));
  assert_string_equal(ee_kafka_advice(RD_KAFKA_RESP_ERR__TRANSPORT), "");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_no_error), cmocka_unit_test(test_fenced),
      cmocka_unit_test(test_dead),     cmocka_unit_test(test_transaction),
      cmocka_unit_test(test_produce),  cmocka_unit_test(test_fetch),
      cmocka_unit_test(test_query),    cmocka_unit_test(test_advice),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
