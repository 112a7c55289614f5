// SPDX-License-Identifier: Apache-2.0
// What a transactional copy from topic to topic costs through this interface, beside a
// bare librdkafka loop that does the same.
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "tests/system/broker/cases.h"

#ifdef __SANITIZE_THREAD__
#define RECORDS 10000  // no figure, but the same path
#else
#define RECORDS 100000
#endif
#define RECORD_SIZE 600
#define PARTITIONS 4
#define COMMIT_MS 20

static const enum ee_topic input = EE_TOPIC_ADMISSION;

struct cost {
  int64_t cpu_us, wall_us;
};

static int64_t cpu_micros(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * EE_MICROS_PER_S +
         usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

static struct cost cost_now(void) {
  return (struct cost){.cpu_us = cpu_micros(), .wall_us = ee_clock_wall_micros()};
}

// Returns the records a second.
static double print_cost(const char *what, struct cost from) {
  struct cost to = cost_now();
  double rate = (double)RECORDS * 1e6 / (double)(to.wall_us - from.wall_us);
  print_message("%s: %.2f us of CPU a record, %.0f records/s\n", what,
                (double)(to.cpu_us - from.cpu_us) / RECORDS, rate);
  return rate;
}

static const char *make_input(void) {
  const char *prefix = fresh_prefix();
  make_topics(prefix, (struct topic_wish[]){{.topic = input, .partitions = PARTITIONS},
                                            {.topic = EE_TOPIC_LIFECYCLE, .partitions = PARTITIONS},
                                            {.partitions = 0}});
  rd_kafka_t *other = other_producer(NULL);
  char value[RECORD_SIZE + 1];
  memset(value, 'x', RECORD_SIZE);
  value[RECORD_SIZE] = '\0';
  for (int i = 0; i < RECORDS; i++) {
    other_write_async(other, prefix, (struct ee_tp){input, i % PARTITIONS}, value);
  }
  assert_int_equal(rd_kafka_flush(other, PATIENCE_MS), RD_KAFKA_RESP_ERR_NO_ERROR);
  rd_kafka_destroy(other);
  return prefix;
}

// ---- Through the interface: polls on while a commit is under way, holds records back.

struct copier {
  struct ee_broker *broker;
  struct ee_message held[4 * 1000];  // arrived while a commit was under way
  size_t held_count;
  int64_t next[PARTITIONS];
  struct ee_operation commit;
  struct ee_tp_offset offsets[PARTITIONS];
  int64_t begun_ms;  // of the open transaction; 0: none is open
  size_t copied;
};

static void copy_one(struct copier *copier, struct ee_message *message) {
  const struct ee_broker_ops *ops = copier->broker->ops;
  struct ee_err err = {.text = ""};
  if (copier->begun_ms == 0) {
    assert_int_equal(ops->begin_transaction(copier->broker, &err), EE_DONE);
    copier->begun_ms = ee_clock_monotonic_ms();
  }
  struct ee_output output = {.tp = {EE_TOPIC_LIFECYCLE, message->tp.partition},
                             .key = message->key,
                             .value = message->value};
  enum ee_outcome_class outcome;
  while ((outcome = ops->produce(copier->broker, &output, &err)) == EE_RETRY)
    continue;
  assert_int_equal(outcome, EE_DONE);
  assert_int_equal(message->offset, copier->next[message->tp.partition]);
  copier->next[message->tp.partition] = message->offset + 1;
  ops->free_message(copier->broker, message);
  copier->copied++;
}

static void take(struct copier *copier, const struct ee_broker_event *event) {
  for (size_t i = 0; i < event->count; i++) {
    if (copier->commit.pending) {
      assert_true(copier->held_count < COUNT_OF(copier->held));
      copier->held[copier->held_count++] = event->messages[i];
    } else {
      copy_one(copier, &event->messages[i]);
    }
  }
}

static void begin_commit(struct copier *copier) {
  for (int p = 0; p < PARTITIONS; p++) {
    copier->offsets[p] = (struct ee_tp_offset){.tp = {input, p}, .offset = copier->next[p]};
  }
  copier->commit =
      (struct ee_operation){.kind = EE_OP_COMMIT, .offsets = copier->offsets, .count = PARTITIONS};
  copier->broker->ops->begin(copier->broker, &copier->commit);
}

static void end_commit(struct copier *copier) {
  if (copier->commit.outcome != EE_DONE) print_error("%s\n", copier->commit.err.text);
  assert_int_equal(copier->commit.outcome, EE_DONE);
  copier->begun_ms = 0;
  for (size_t i = 0; i < copier->held_count; i++)
    copy_one(copier, &copier->held[i]);
  copier->held_count = 0;
}

static void copy_all(struct copier *copier) {
  int64_t until = ee_clock_monotonic_ms() + PATIENCE_MS;
  while (copier->copied < RECORDS || copier->begun_ms != 0) {
    assert_true(ee_clock_monotonic_ms() < until);
    struct ee_broker_event event;
    // Enough is held back.
    bool full = copier->held_count + 1000 > COUNT_OF(copier->held);
    for (int p = 0; full && p < PARTITIONS; p++) {
      copier->broker->ops->pause(copier->broker, (struct ee_tp){input, p});
    }
    copier->broker->ops->poll(copier->broker, 5, &event);
    if (event.kind == EE_EVENT_MESSAGES) take(copier, &event);
    if (event.kind == EE_EVENT_OPERATION) {
      end_commit(copier);
      for (int p = 0; p < PARTITIONS; p++) {
        copier->broker->ops->resume(copier->broker, (struct ee_tp){input, p});
      }
    }
    if (!copier->commit.pending && copier->begun_ms != 0 &&
        ee_clock_monotonic_ms() - copier->begun_ms >= COMMIT_MS) {
      begin_commit(copier);
    }
  }
}

static double through_interface(const char *prefix, const char *group, int64_t memory_bytes) {
  struct driver driver;
  driver_open(
      &driver,
      &(struct opening){
          .prefix = prefix, .group = group, .instance = "one", .memory_bytes = memory_bytes});
  struct copier *copier = calloc(1, sizeof(*copier));
  assert_non_null(copier);
  copier->broker = driver.broker;
  join_group(&driver, &input, 1);
  assert_int_equal(perform_kind(&driver, EE_OP_INIT), EE_DONE);
  struct cost from = cost_now();
  for (int p = 0; p < PARTITIONS; p++) {
    driver.broker->ops->start(driver.broker, (struct ee_tp){input, p}, 0);
  }
  copy_all(copier);
  double rate = print_cost("through the interface", from);
  for (int p = 0; p < PARTITIONS; p++) {
    assert_int_equal(committed_offset(&driver, (struct ee_tp){input, p}), RECORDS / PARTITIONS);
  }
  free(copier);
  driver_close(&driver, 5000);
  return rate;
}

// ---- The bare loop: stands still while it commits.

static rd_kafka_t *bare_consumer(const char *prefix, const char *topic) {
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  char group[128];
  snprintf(group, sizeof(group), "%sbare", prefix);
  rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, NULL, 0);
  rd_kafka_conf_set(conf, "group.id", group, NULL, 0);
  rd_kafka_conf_set(conf, "enable.auto.commit", "false", NULL, 0);
  rd_kafka_conf_set(conf, "enable.auto.offset.store", "false", NULL, 0);
  rd_kafka_conf_set(conf, "fetch.wait.max.ms", "20", NULL, 0);
  rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, NULL, 0);
  assert_non_null(rk);
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(PARTITIONS);
  for (int p = 0; p < PARTITIONS; p++) {
    rd_kafka_topic_partition_list_add(list, topic, p)->offset = 0;
  }
  assert_int_equal(rd_kafka_assign(rk, list), RD_KAFKA_RESP_ERR_NO_ERROR);
  rd_kafka_topic_partition_list_destroy(list);
  return rk;
}

static void bare_commit(rd_kafka_t *consumer, rd_kafka_t *producer, const char *topic,
                        const int64_t next[PARTITIONS]) {
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(PARTITIONS);
  for (int p = 0; p < PARTITIONS; p++) {
    rd_kafka_topic_partition_list_add(list, topic, p)->offset = next[p];
  }
  rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata(consumer);
  other_ok(rd_kafka_send_offsets_to_transaction(producer, list, group, PATIENCE_MS));
  rd_kafka_consumer_group_metadata_destroy(group);
  rd_kafka_topic_partition_list_destroy(list);
  other_ok(rd_kafka_commit_transaction(producer, PATIENCE_MS));
  other_ok(rd_kafka_begin_transaction(producer));
}

static size_t bare_copy(rd_kafka_message_t **batch, ssize_t count, rd_kafka_topic_t *to,
                        rd_kafka_t *producer, int64_t next[PARTITIONS]) {
  size_t copied = 0;
  for (ssize_t i = 0; i < count; i++) {
    rd_kafka_message_t *m = batch[i];
    if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      while (rd_kafka_produce(to, m->partition, RD_KAFKA_MSG_F_COPY, m->payload, m->len, m->key,
                              m->key_len, NULL) != 0) {
        assert_int_equal(rd_kafka_last_error(), RD_KAFKA_RESP_ERR__QUEUE_FULL);
        rd_kafka_poll(producer, 1);
      }
      next[m->partition] = m->offset + 1;
      copied++;
    }
    rd_kafka_message_destroy(m);
  }
  return copied;
}

static double bare(const char *prefix) {
  char from_name[256], to_name[256];
  snprintf(from_name, sizeof(from_name), "%s%s", prefix, ee_topics[input].name);
  snprintf(to_name, sizeof(to_name), "%s%s", prefix, ee_topics[EE_TOPIC_LIFECYCLE].name);
  rd_kafka_t *producer = other_producer(prefix);
  other_ok(rd_kafka_init_transactions(producer, PATIENCE_MS));
  other_ok(rd_kafka_begin_transaction(producer));
  rd_kafka_topic_t *to = rd_kafka_topic_new(producer, to_name, NULL);
  struct cost cost = cost_now();
  rd_kafka_t *consumer = bare_consumer(prefix, from_name);
  rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(consumer);
  int64_t next[PARTITIONS] = {0};
  int64_t committed_ms = ee_clock_monotonic_ms(), until = committed_ms + PATIENCE_MS;
  rd_kafka_message_t *batch[1000];
  size_t copied = 0;
  while (copied < RECORDS && ee_clock_monotonic_ms() < until) {
    copied += bare_copy(batch, rd_kafka_consume_batch_queue(queue, 5, batch, COUNT_OF(batch)), to,
                        producer, next);
    if (ee_clock_monotonic_ms() - committed_ms < COMMIT_MS) continue;
    bare_commit(consumer, producer, from_name, next);
    committed_ms = ee_clock_monotonic_ms();
  }
  bare_commit(consumer, producer, from_name, next);
  assert_int_equal(copied, RECORDS);
  double rate = print_cost("bare librdkafka", cost);
  rd_kafka_queue_destroy(queue);
  rd_kafka_topic_destroy(to);
  rd_kafka_destroy(consumer);
  rd_kafka_destroy(producer);
  return rate;
}

static void test_throughput(void **state) {
  (void)state;
  char prefix[64], group[80];
  snprintf(prefix, sizeof(prefix), "%s", make_input());
  bare(prefix);  // warms the broker
  for (int megabytes = 64; megabytes >= 8; megabytes /= 8) {
    snprintf(group, sizeof(group), "%s%d", prefix, megabytes);
    print_message("with %d MiB, ", megabytes);
    double ours = through_interface(prefix, group, (int64_t)megabytes << 20);
    // Far below that, something sleeps: fetching after a pause or a full queue.
    assert_true(ours > bare(prefix) / 12);
  }
}

const struct CMUnitTest throughput_cases[] = {cmocka_unit_test(test_throughput)};
const size_t throughput_count = COUNT_OF(throughput_cases);
