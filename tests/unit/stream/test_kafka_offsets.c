// SPDX-License-Identifier: Apache-2.0
// Offsets of partitions that have had no leader for a while, from librdkafka's own mock cluster.
#include "stream/kafka_offsets.h"

#include <librdkafka/rdkafka_mock.h>

#include "base/time.h"
#include "tests/support/test.h"

#define TOPIC "t"
#define PARTITIONS 2
#define BROKER 1
#define ANSWER_MS 5000
#define PATIENCE_MS 30000

struct cluster {
  rd_kafka_t *host, *asker;
  rd_kafka_mock_cluster_t *mock;
};

static rd_kafka_t *client(const char *bootstrap) {
  char text[256];
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  if (bootstrap != NULL) rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, NULL, 0);
  rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);
  if (rk == NULL) fail_msg("%s", text);
  return rk;
}

static void set_leaders(const struct cluster *cluster, int32_t of_0, int32_t of_1) {
  assert_int_equal(rd_kafka_mock_partition_set_leader(cluster->mock, TOPIC, 0, of_0), 0);
  assert_int_equal(rd_kafka_mock_partition_set_leader(cluster->mock, TOPIC, 1, of_1), 0);
}

static int open_cluster(void **state) {
  static struct cluster cluster;
  cluster.host = client(NULL);
  cluster.mock = rd_kafka_mock_cluster_new(cluster.host, 1);
  assert_non_null(cluster.mock);
  assert_int_equal(rd_kafka_mock_topic_create(cluster.mock, TOPIC, PARTITIONS, 1), 0);
  cluster.asker = client(rd_kafka_mock_cluster_bootstraps(cluster.mock));
  *state = &cluster;
  return 0;
}

static int close_cluster(void **state) {
  const struct cluster *cluster = *state;
  rd_kafka_destroy(cluster->asker);
  rd_kafka_mock_cluster_destroy(cluster->mock);
  rd_kafka_destroy(cluster->host);
  return 0;
}

static rd_kafka_resp_err_t ask(const struct cluster *cluster, int timeout_ms, int *ret_about) {
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(PARTITIONS);
  for (int32_t i = 0; i < PARTITIONS; i++)
    rd_kafka_topic_partition_list_add(list, TOPIC, i);
  rd_kafka_resp_err_t code =
      ee_kafka_offsets(cluster->asker, list, EE_LOG_END, timeout_ms, ret_about);
  for (int i = 0; i < PARTITIONS && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
    assert_int_equal(list->elems[i].offset, 0);
  rd_kafka_topic_partition_list_destroy(list);
  return code;
}

// Asks until the answer is this one.
static void ask_until(const struct cluster *cluster, rd_kafka_resp_err_t wanted, int about) {
  rd_kafka_resp_err_t code;
  int was_about;
  int64_t until = ee_clock_monotonic_ms() + PATIENCE_MS;
  do {
    code = ask(cluster, ANSWER_MS, &was_about);
  } while (code != wanted && ee_clock_monotonic_ms() < until);
  if (code != wanted) fail_msg("%s", rd_kafka_err2str(code));
  assert_int_equal(was_about, about);
}

static void no_leaders_for_a_while(void **state) {
  const struct cluster *cluster = *state;
  set_leaders(cluster, -1, -1);
  ask_until(cluster, RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, 0);
  set_leaders(cluster, BROKER, BROKER);
  ask_until(cluster, RD_KAFKA_RESP_ERR_NO_ERROR, -1);
}

static void one_has_no_leader_for_a_while(void **state) {
  const struct cluster *cluster = *state;
  set_leaders(cluster, BROKER, -1);
  ask_until(cluster, RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, 1);
  set_leaders(cluster, BROKER, BROKER);
  ask_until(cluster, RD_KAFKA_RESP_ERR_NO_ERROR, -1);
}

static void a_partition_that_is_not_there(void **state) {
  const struct cluster *cluster = *state;
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(2);
  int about;
  rd_kafka_topic_partition_list_add(list, TOPIC, 0);
  rd_kafka_topic_partition_list_add(list, TOPIC, PARTITIONS);
  rd_kafka_resp_err_t code =
      ee_kafka_offsets(cluster->asker, list, EE_LOG_START, ANSWER_MS, &about);
  assert_int_equal(code, RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION);
  assert_int_equal(about, 1);
  rd_kafka_topic_partition_list_destroy(list);
}

static void nobody_answers(void **state) {
  const struct cluster *cluster = *state;
  int about;
  assert_int_equal(rd_kafka_mock_broker_set_down(cluster->mock, BROKER), 0);
  assert_int_not_equal(ask(cluster, 500, &about), RD_KAFKA_RESP_ERR_NO_ERROR);
  assert_int_equal(about, -1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(no_leaders_for_a_while, open_cluster, close_cluster),
      cmocka_unit_test_setup_teardown(one_has_no_leader_for_a_while, open_cluster, close_cluster),
      cmocka_unit_test_setup_teardown(a_partition_that_is_not_there, open_cluster, close_cluster),
      cmocka_unit_test_setup_teardown(nobody_answers, open_cluster, close_cluster),
  };
  return cmocka_run_group_tests_name("stream/kafka_offsets", tests, NULL, NULL);
}
