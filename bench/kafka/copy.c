// SPDX-License-Identifier: Apache-2.0
// The limit to measure against: a bare consume-produce loop on librdkafka, exactly once.
//
//   copy [-o] [-f] BOOTSTRAP GROUP OUT_TOPIC COMMIT_MS TOPIC:BYTES...
//
// Reads the topics to their ends, or with -f until SIGTERM, and writes for each record one of
// BYTES bytes with its key and one header, in transactions that are committed each COMMIT_MS.
// It stands still during a commit; with -o, overlapped, it goes on with a second producer, whose
// commit waits for that of the first. Prints the number of records.
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/kafka/peer.h"

#define TOPICS_MAX 16
#define PARTITIONS_MAX 256
#define BATCH 1000
#define CALL_MS 30000

struct source {
  char *name;
  size_t bytes;
};

// A producer with its transaction.
struct lane {
  rd_kafka_t *producer, *consumer;
  rd_kafka_topic_t *out;
  rd_kafka_topic_partition_list_t *offsets;
  int64_t records;  // in the open transaction
  pthread_t committer;
  bool committing;
};

struct copy {
  rd_kafka_t *consumer;
  struct source sources[TOPICS_MAX];
  int source_count;
  struct lane lanes[2];
  int lane_count, lane;
  char *payload;
  int64_t records;
};

static volatile sig_atomic_t told_to_stop;

static void stop(int signal) {
  (void)signal;
  told_to_stop = 1;
}

static size_t bytes_for(const struct copy *c, const char *topic) {
  for (int i = 0; i < c->source_count; i++) {
    if (strcmp(c->sources[i].name, topic) == 0) return c->sources[i].bytes;
  }
  return 0;
}

static void copy_one(struct copy *c, const rd_kafka_message_t *message) {
  struct lane *lane = &c->lanes[c->lane];
  const char *topic = rd_kafka_topic_name(message->rkt);
  char in[300];
  int in_size = snprintf(in, sizeof in, "[\"%s\",%d,%" PRId64 "]", topic, (int)message->partition,
                         message->offset);
  rd_kafka_headers_t *headers = rd_kafka_headers_new(1);
  rd_kafka_header_add(headers, "in", 2, in, in_size);
  // The macros for these arguments are an extension of C.
  rd_kafka_resp_err_t err = rd_kafka_producev(
      lane->producer, RD_KAFKA_VTYPE_RKT, lane->out, RD_KAFKA_VTYPE_PARTITION, message->partition,
      RD_KAFKA_VTYPE_KEY, message->key, message->key_len, RD_KAFKA_VTYPE_VALUE, (void *)c->payload,
      bytes_for(c, topic), RD_KAFKA_VTYPE_MSGFLAGS, RD_KAFKA_MSG_F_COPY, RD_KAFKA_VTYPE_HEADERS,
      headers, RD_KAFKA_VTYPE_END);
  peer_check_err("produce", err);
  rd_kafka_topic_partition_t *offset =
      rd_kafka_topic_partition_list_find(lane->offsets, topic, message->partition);
  if (offset == NULL) {
    offset = rd_kafka_topic_partition_list_add(lane->offsets, topic, message->partition);
  }
  offset->offset = message->offset + 1;
  lane->records++;
  c->records++;
}

static void *commit(void *argument) {
  struct lane *lane = argument;
  rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata(lane->consumer);
  peer_check("send offsets",
             rd_kafka_send_offsets_to_transaction(lane->producer, lane->offsets, group, CALL_MS));
  rd_kafka_consumer_group_metadata_destroy(group);
  peer_check("commit", rd_kafka_commit_transaction(lane->producer, -1));
  rd_kafka_topic_partition_list_destroy(lane->offsets);
  lane->offsets = rd_kafka_topic_partition_list_new(PARTITIONS_MAX);
  lane->records = 0;
  return NULL;
}

static void wait_for_commit(struct lane *lane) {
  if (lane->committing) pthread_join(lane->committer, NULL);
  lane->committing = false;
}

// Commits happen in order, and the next producer sends nothing before this one's records are
// acknowledged: else an older record of a key could land after a newer one.
static void commit_beside(struct copy *c) {
  struct lane *lane = &c->lanes[c->lane];
  struct lane *other = &c->lanes[1 - c->lane];
  wait_for_commit(other);
  peer_check_err("flush", rd_kafka_flush(lane->producer, CALL_MS));
  int err = pthread_create(&lane->committer, NULL, commit, lane);
  if (err != 0) peer_die("pthread_create", strerror(err));
  lane->committing = true;
  c->lane = 1 - c->lane;
  peer_check("begin", rd_kafka_begin_transaction(other->producer));
}

static void next_transaction(struct copy *c) {
  if (c->lane_count == 2) {
    commit_beside(c);
    return;
  }
  commit(&c->lanes[0]);
  peer_check("begin", rd_kafka_begin_transaction(c->lanes[0].producer));
}

static void run(struct copy *c, int ends, int64_t commit_us) {
  rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(c->consumer);
  rd_kafka_message_t *batch[BATCH];
  int64_t due_us = peer_now_us() + commit_us;
  peer_check("begin", rd_kafka_begin_transaction(c->lanes[0].producer));
  while (ends > 0 && !told_to_stop) {
    ssize_t count = rd_kafka_consume_batch_queue(queue, 5, batch, BATCH);
    for (ssize_t i = 0; i < count; i++) {
      if (batch[i]->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        ends--;
      } else if (batch[i]->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        copy_one(c, batch[i]);
      }
      rd_kafka_message_destroy(batch[i]);
    }
    if (peer_now_us() < due_us || c->lanes[c->lane].records == 0) continue;
    next_transaction(c);
    due_us = peer_now_us() + commit_us;
  }
  wait_for_commit(&c->lanes[1 - c->lane]);
  commit(&c->lanes[c->lane]);
  rd_kafka_queue_destroy(queue);
}

static void subscribe(struct copy *c, int count, char **topics) {
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);
  for (int i = 0; i < count && i < TOPICS_MAX; i++) {
    char *colon = strrchr(topics[i], ':');
    if (colon == NULL) peer_die(topics[i], "not TOPIC:BYTES");
    *colon = '\0';
    c->sources[c->source_count++] =
        (struct source){.name = topics[i], .bytes = (size_t)peer_number("bytes", colon + 1, 0)};
    rd_kafka_topic_partition_list_add(list, topics[i], RD_KAFKA_PARTITION_UA);
  }
  peer_check_err("subscribe", rd_kafka_subscribe(c->consumer, list));
  rd_kafka_topic_partition_list_destroy(list);
}

static void open_lane(struct copy *c, const char *bootstrap, const char *group, const char *out) {
  char id[128];
  struct lane *lane = &c->lanes[c->lane_count];
  snprintf(id, sizeof id, "%s-%d", group, c->lane_count++);
  lane->consumer = c->consumer;
  lane->producer = peer_producer(peer_conf(bootstrap, "transactional.id", id, "retry.backoff.ms",
                                           "5", "queue.buffering.max.messages", "1000000", NULL));
  lane->out = rd_kafka_topic_new(lane->producer, out, NULL);
  lane->offsets = rd_kafka_topic_partition_list_new(PARTITIONS_MAX);
  peer_check("init", rd_kafka_init_transactions(lane->producer, CALL_MS));
}

static void release(struct copy *c) {
  rd_kafka_consumer_close(c->consumer);
  for (int i = 0; i < c->lane_count; i++) {
    rd_kafka_topic_partition_list_destroy(c->lanes[i].offsets);
    rd_kafka_topic_destroy(c->lanes[i].out);
    rd_kafka_destroy(c->lanes[i].producer);
  }
  rd_kafka_destroy(c->consumer);
  free(c->payload);
}

int main(int argc, char **argv) {
  bool overlapped = false, follow = false;
  for (int option; (option = getopt(argc, argv, "of")) != -1;) {
    overlapped |= option == 'o';
    follow |= option == 'f';
  }
  argc -= optind, argv += optind;
  if (argc < 5)
    peer_die("usage", "copy [-o] [-f] BOOTSTRAP GROUP OUT_TOPIC COMMIT_MS TOPIC:BYTES...");
  signal(SIGTERM, stop);
  struct copy c = {.payload = calloc(1, 1 << 20)};
  if (c.payload == NULL) peer_die("payload", "no memory");
  c.consumer =
      peer_consumer(peer_conf(argv[0], "group.id", argv[1], "isolation.level", "read_committed",
                              "enable.auto.commit", "false", "auto.offset.reset", "earliest",
                              "enable.partition.eof", follow ? "false" : "true", NULL));
  for (int i = 0; i < 1 + overlapped; i++) {
    open_lane(&c, argv[0], argv[1], argv[2]);
  }
  subscribe(&c, argc - 4, argv + 4);
  int ends = 0;
  for (int i = 0; i < c.source_count; i++) {
    ends += peer_partitions(c.consumer, c.sources[i].name);
  }
  run(&c, ends, peer_number("milliseconds", argv[3], 1) * 1000);
  printf("%" PRId64 "\n", c.records);
  release(&c);
  return 0;
}
