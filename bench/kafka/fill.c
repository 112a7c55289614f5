// SPDX-License-Identifier: Apache-2.0
// Writes many open envelopes: one admission over and over, with new ids of the same length.
//
//   fill BOOTSTRAP FROM_TOPIC TO_TOPIC COUNT 4|7
//
// Takes the first record of FROM_TOPIC that has its key, a UUID, inside. Ids are UUIDs of that
// version, those of version 7 a thousand a second apart.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/kafka/peer.h"

#define UUID_SIZE 36
#define FIRST_MS INT64_C(1767225600000)
#define FROM_START_MS 30000

static uint64_t state;

// SplitMix64.
static uint64_t next_random(void) {
  uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

static void make_id(int64_t number, bool in_time, char out[UUID_SIZE + 1]) {
  uint64_t high = next_random(), low = next_random();
  if (in_time) high = (uint64_t)(FIRST_MS + number) << 16 | (high & 0xffff);
  snprintf(out, UUID_SIZE + 1,
           "%08" PRIx64 "-%04" PRIx64 "-%c%03" PRIx64 "-%c%03" PRIx64 "-%012" PRIx64, high >> 32,
           high >> 16 & 0xffff, in_time ? '7' : '4', high & 0xfff, "89ab"[low >> 62],
           low >> 48 & 0xfff, low & UINT64_C(0xffffffffffff));
}

// The place of the id inside the record's value, of which `ret` owns a copy.
static char *read_one(const char *bootstrap, const char *topic, char **ret, size_t *ret_size) {
  rd_kafka_t *consumer = peer_consumer(peer_conf(bootstrap, "group.id", "fill", NULL));
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
  peer_add_all(list, consumer, topic, RD_KAFKA_OFFSET_BEGINNING);
  peer_check_err("assign", rd_kafka_assign(consumer, list));
  char *place = NULL;
  int64_t until_us = peer_now_us() + FROM_START_MS * 1000;
  while (place == NULL) {
    if (peer_now_us() > until_us) peer_die(topic, "has no record to copy");
    rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 100);
    if (message == NULL) continue;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR && message->key_len == UUID_SIZE) {
      *ret = malloc(message->len);
      if (*ret == NULL) peer_die(topic, "no memory");
      *ret_size = message->len;
      memcpy(*ret, message->payload, message->len);
      place = memmem(*ret, message->len, message->key, UUID_SIZE);
      if (place == NULL) free(*ret);
    }
    rd_kafka_message_destroy(message);
  }
  rd_kafka_topic_partition_list_destroy(list);
  rd_kafka_consumer_close(consumer);
  rd_kafka_destroy(consumer);
  return place;
}

static void failed(rd_kafka_t *handle, const rd_kafka_message_t *message, void *opaque) {
  (void)handle, (void)opaque;
  peer_check_err("delivery", message->err);
}

int main(int argc, char **argv) {
  if (argc != 6) peer_die("usage", "fill BOOTSTRAP FROM_TOPIC TO_TOPIC COUNT 4|7");
  int64_t count = peer_number("count", argv[4], 0);
  bool in_time = argv[5][0] == '7';
  char *value, id[UUID_SIZE + 1];
  size_t size;
  char *place = read_one(argv[1], argv[2], &value, &size);
  rd_kafka_conf_t *conf = peer_conf(argv[1], "enable.idempotence", "true", "linger.ms", "20", NULL);
  rd_kafka_conf_set_dr_msg_cb(conf, failed);
  rd_kafka_t *producer = peer_producer(conf);
  rd_kafka_topic_conf_t *by_key = rd_kafka_topic_conf_new();
  char text[256];
  if (rd_kafka_topic_conf_set(by_key, "partitioner", "murmur2_random", text, sizeof text) !=
      RD_KAFKA_CONF_OK) {
    peer_die("partitioner", text);
  }
  rd_kafka_topic_t *topic = rd_kafka_topic_new(producer, argv[3], by_key);
  for (int64_t i = 0; i < count; i++) {
    make_id(i, in_time, id);
    memcpy(place, id, UUID_SIZE);
    while (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, value, size, id,
                            UUID_SIZE, NULL) != 0) {
      if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        peer_check_err("produce", rd_kafka_last_error());
      }
      rd_kafka_poll(producer, 10);
    }
    if (i % 1000 == 0) rd_kafka_poll(producer, 0);
  }
  peer_check_err("flush", rd_kafka_flush(producer, 600000));
  rd_kafka_topic_destroy(topic);
  rd_kafka_destroy(producer);
  free(value);
  return 0;
}
