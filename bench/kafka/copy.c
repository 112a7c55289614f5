// SPDX-License-Identifier: Apache-2.0
// The limit to measure against: a bare consume-produce loop on librdkafka, exactly once.
//
//   copy BOOTSTRAP GROUP OUT_TOPIC COMMIT_MS TOPIC:BYTES...
//
// Reads the topics to their ends and writes for each record one of BYTES bytes with its
// key and one header, in transactions that are committed each COMMIT_MS, during which it
// stands still. Prints the number of records.
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TOPICS_MAX 16
#define BATCH 1000

struct source {
  char *name;
  size_t bytes;
};

static int64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void die(const char *what, const char *why) {
  fprintf(stderr, "copy: %s: %s\n", what, why);
  exit(1);
}

static void check(const char *what, rd_kafka_error_t *error) {
  if (error != NULL) die(what, rd_kafka_error_string(error));
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value) {
  char text[256];
  if (rd_kafka_conf_set(conf, name, value, text, sizeof text) != RD_KAFKA_CONF_OK) die(name, text);
}

static rd_kafka_t *make(rd_kafka_type_t type, rd_kafka_conf_t *conf) {
  char text[256];
  rd_kafka_t *handle = rd_kafka_new(type, conf, text, sizeof text);
  if (handle == NULL) die("rd_kafka_new", text);
  return handle;
}

static rd_kafka_t *make_consumer(const char *bootstrap, const char *group) {
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  set(conf, "bootstrap.servers", bootstrap);
  set(conf, "group.id", group);
  set(conf, "isolation.level", "read_committed");
  set(conf, "enable.auto.commit", "false");
  set(conf, "auto.offset.reset", "earliest");
  set(conf, "enable.partition.eof", "true");
  rd_kafka_t *consumer = make(RD_KAFKA_CONSUMER, conf);
  rd_kafka_poll_set_consumer(consumer);
  return consumer;
}

static rd_kafka_t *make_producer(const char *bootstrap, const char *group) {
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  set(conf, "bootstrap.servers", bootstrap);
  set(conf, "transactional.id", group);
  set(conf, "retry.backoff.ms", "5");
  set(conf, "queue.buffering.max.messages", "1000000");
  return make(RD_KAFKA_PRODUCER, conf);
}

struct copy {
  rd_kafka_t *consumer, *producer;
  rd_kafka_topic_t *out;
  struct source sources[TOPICS_MAX];
  int source_count;
  rd_kafka_topic_partition_list_t *offsets;
  char *payload;
  int64_t records;
};

static size_t bytes_for(const struct copy *c, const char *topic) {
  for (int i = 0; i < c->source_count; i++) {
    if (strcmp(c->sources[i].name, topic) == 0) return c->sources[i].bytes;
  }
  return 0;
}

static void copy_one(struct copy *c, const rd_kafka_message_t *message) {
  const char *topic = rd_kafka_topic_name(message->rkt);
  char in[128];
  int in_size = snprintf(in, sizeof in, "[\"%s\",%d,%" PRId64 "]", topic, (int)message->partition,
                         message->offset);
  rd_kafka_headers_t *headers = rd_kafka_headers_new(1);
  rd_kafka_header_add(headers, "in", 2, in, in_size);
  rd_kafka_resp_err_t err = rd_kafka_producev(
      c->producer, RD_KAFKA_V_RKT(c->out), RD_KAFKA_V_PARTITION(message->partition),
      RD_KAFKA_V_KEY(message->key, message->key_len),
      RD_KAFKA_V_VALUE(c->payload, bytes_for(c, topic)), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
      RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
  if (err != RD_KAFKA_RESP_ERR_NO_ERROR) die("produce", rd_kafka_err2str(err));
  rd_kafka_topic_partition_t *offset =
      rd_kafka_topic_partition_list_find(c->offsets, topic, message->partition);
  if (offset == NULL) {
    offset = rd_kafka_topic_partition_list_add(c->offsets, topic, message->partition);
  }
  offset->offset = message->offset + 1;
  c->records++;
}

static void commit(struct copy *c) {
  rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata(c->consumer);
  check("send offsets",
        rd_kafka_send_offsets_to_transaction(c->producer, c->offsets, group, 10000));
  rd_kafka_consumer_group_metadata_destroy(group);
  check("commit", rd_kafka_commit_transaction(c->producer, -1));
}

static void run(struct copy *c, int ends, int64_t commit_ms) {
  rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(c->consumer);
  rd_kafka_message_t *batch[BATCH];
  int64_t due_ms = now_ms() + commit_ms, before = 0;
  check("begin", rd_kafka_begin_transaction(c->producer));
  while (ends > 0) {
    ssize_t count = rd_kafka_consume_batch_queue(queue, 5, batch, BATCH);
    for (ssize_t i = 0; i < count; i++) {
      if (batch[i]->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        ends--;
      } else if (batch[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        copy_one(c, batch[i]);
      }
      rd_kafka_message_destroy(batch[i]);
    }
    if (now_ms() < due_ms || c->records == before) continue;
    commit(c);
    check("begin", rd_kafka_begin_transaction(c->producer));
    before = c->records;
    due_ms = now_ms() + commit_ms;
  }
  commit(c);
  rd_kafka_queue_destroy(queue);
}

static void subscribe(struct copy *c, int count, char **topics) {
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);
  for (int i = 0; i < count && i < TOPICS_MAX; i++) {
    char *colon = strrchr(topics[i], ':');
    if (colon == NULL) die(topics[i], "not TOPIC:BYTES");
    *colon = '\0';
    c->sources[c->source_count++] =
        (struct source){.name = topics[i], .bytes = strtoul(colon + 1, NULL, 10)};
    rd_kafka_topic_partition_list_add(list, topics[i], RD_KAFKA_PARTITION_UA);
  }
  rd_kafka_subscribe(c->consumer, list);
  rd_kafka_topic_partition_list_destroy(list);
}

static int partitions_of(struct copy *c) {
  const struct rd_kafka_metadata *metadata;
  rd_kafka_resp_err_t err = rd_kafka_metadata(c->producer, 0, c->out, &metadata, 10000);
  if (err != RD_KAFKA_RESP_ERR_NO_ERROR) die("metadata", rd_kafka_err2str(err));
  int count = metadata->topics[0].partition_cnt;
  rd_kafka_metadata_destroy(metadata);
  return count;
}

int main(int argc, char **argv) {
  if (argc < 6) die("usage", "copy BOOTSTRAP GROUP OUT_TOPIC COMMIT_MS TOPIC:BYTES...");
  struct copy c = {.consumer = make_consumer(argv[1], argv[2]),
                   .producer = make_producer(argv[1], argv[2]),
                   .offsets = rd_kafka_topic_partition_list_new(64),
                   .payload = calloc(1, 1 << 20)};
  c.out = rd_kafka_topic_new(c.producer, argv[3], NULL);
  check("init", rd_kafka_init_transactions(c.producer, 30000));
  subscribe(&c, argc - 5, argv + 5);
  run(&c, (argc - 5) * partitions_of(&c), strtol(argv[4], NULL, 10));
  printf("%" PRId64 "\n", c.records);
  rd_kafka_consumer_close(c.consumer);
  rd_kafka_topic_partition_list_destroy(c.offsets);
  rd_kafka_topic_destroy(c.out);
  rd_kafka_destroy(c.producer);
  rd_kafka_destroy(c.consumer);
  free(c.payload);
  return 0;
}
