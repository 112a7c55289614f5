// SPDX-License-Identifier: Apache-2.0
// Merely reads topics, read_committed, from their starts to their ends: how fast that goes,
// and how long it took to write them, by the records' times.
//
//   read BOOTSTRAP TOPIC...
//
// Prints {"records", "bytes", "seconds", "span_seconds"}.
#include <inttypes.h>
#include <stdio.h>

#include "bench/kafka/peer.h"

#define BATCH 1000

struct reading {
  int64_t records, bytes;
  int64_t first_ms, last_ms;  // of the records
  int ends;                   // of partitions, still to come
};

static void count(struct reading *r, const rd_kafka_message_t *message) {
  if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
    r->ends--;
    return;
  }
  peer_check_err("read", message->err);
  int64_t time_ms = rd_kafka_message_timestamp(message, NULL);
  if (r->records == 0 || time_ms < r->first_ms) r->first_ms = time_ms;
  if (r->records == 0 || time_ms > r->last_ms) r->last_ms = time_ms;
  r->records++;
  r->bytes += (int64_t)(message->key_len + message->len);
}

int main(int argc, char **argv) {
  if (argc < 3) peer_die("usage", "read BOOTSTRAP TOPIC...");
  rd_kafka_t *consumer = peer_consumer(peer_conf(
      argv[1], "group.id", "read", "isolation.level", "read_committed", "enable.auto.commit",
      "false", "enable.auto.offset.store", "false", "enable.partition.eof", "true", NULL));
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(argc);
  for (int i = 2; i < argc; i++) {
    peer_add_all(list, consumer, argv[i], RD_KAFKA_OFFSET_BEGINNING);
  }
  struct reading reading = {.ends = list->cnt};
  int64_t begun_us = peer_now_us();
  peer_check_err("assign", rd_kafka_assign(consumer, list));
  rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(consumer);
  while (reading.ends > 0) {
    rd_kafka_message_t *batch[BATCH];
    ssize_t got = rd_kafka_consume_batch_queue(queue, 5, batch, BATCH);
    for (ssize_t i = 0; i < got; i++) {
      count(&reading, batch[i]);
      rd_kafka_message_destroy(batch[i]);
    }
  }
  printf("{\"records\": %" PRId64 ", \"bytes\": %" PRId64
         ", \"seconds\": %.4f, \"span_seconds\": %.3f}\n",
         reading.records, reading.bytes, (double)(peer_now_us() - begun_us) / 1e6,
         (double)(reading.last_ms - reading.first_ms) / 1e3);
  rd_kafka_queue_destroy(queue);
  rd_kafka_topic_partition_list_destroy(list);
  rd_kafka_consumer_close(consumer);
  rd_kafka_destroy(consumer);
  return 0;
}
