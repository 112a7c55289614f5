// SPDX-License-Identifier: Apache-2.0
// What the bench's own clients share.
#include "bench/kafka/peer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define METADATA_MS 30000

const char *const peer_phases[PEER_PHASES] = {"admission", "resolved", "finalized",
                                              "failed",    "released", "annotation"};

void peer_die(const char *what, const char *why) {
  fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, why);
  exit(1);
}

void peer_check(const char *what, rd_kafka_error_t *error) {
  if (error != NULL) peer_die(what, rd_kafka_error_string(error));
}

void peer_check_err(const char *what, rd_kafka_resp_err_t err) {
  if (err != RD_KAFKA_RESP_ERR_NO_ERROR) peer_die(what, rd_kafka_err2str(err));
}

static int64_t clock_us(clockid_t clock) {
  struct timespec t;
  if (clock_gettime(clock, &t) != 0) peer_die("clock_gettime", strerror(errno));
  return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t peer_now_us(void) {
  return clock_us(CLOCK_MONOTONIC);
}

int64_t peer_wall_us(void) {
  return clock_us(CLOCK_REALTIME);
}

int64_t peer_cpu_us(int pid) {
  clockid_t clock;
  int err = clock_getcpuclockid(pid, &clock);
  if (err != 0) peer_die("clock_getcpuclockid", strerror(err));
  return clock_us(clock);
}

int64_t peer_number(const char *what, const char *text, int64_t least) {
  char *end;
  errno = 0;
  long long value = strtoll(text, &end, 10);
  if (errno != 0 || end == text || *end != '\0' || value < least) peer_die(what, text);
  return value;
}

void peer_set(rd_kafka_conf_t *conf, const char *name, const char *value) {
  char text[256];
  if (rd_kafka_conf_set(conf, name, value, text, sizeof text) != RD_KAFKA_CONF_OK) {
    peer_die(name, text);
  }
}

rd_kafka_conf_t *peer_conf(const char *bootstrap, ...) {
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  peer_set(conf, "bootstrap.servers", bootstrap);
  va_list settings;
  va_start(settings, bootstrap);
  for (const char *name; (name = va_arg(settings, const char *)) != NULL;) {
    peer_set(conf, name, va_arg(settings, const char *));
  }
  va_end(settings);
  return conf;
}

static rd_kafka_t *make(rd_kafka_type_t type, rd_kafka_conf_t *conf) {
  char text[256];
  rd_kafka_t *handle = rd_kafka_new(type, conf, text, sizeof text);
  if (handle == NULL) peer_die("rd_kafka_new", text);
  return handle;
}

rd_kafka_t *peer_consumer(rd_kafka_conf_t *conf) {
  rd_kafka_t *consumer = make(RD_KAFKA_CONSUMER, conf);
  rd_kafka_poll_set_consumer(consumer);
  return consumer;
}

rd_kafka_t *peer_producer(rd_kafka_conf_t *conf) {
  return make(RD_KAFKA_PRODUCER, conf);
}

int peer_partitions(rd_kafka_t *handle, const char *topic) {
  const struct rd_kafka_metadata *metadata;
  rd_kafka_topic_t *wanted = rd_kafka_topic_new(handle, topic, NULL);
  if (wanted == NULL) peer_die(topic, "no such topic");
  peer_check_err(topic, rd_kafka_metadata(handle, 0, wanted, &metadata, METADATA_MS));
  if (metadata->topic_cnt != 1) peer_die(topic, "no metadata");
  peer_check_err(topic, metadata->topics[0].err);
  int count = metadata->topics[0].partition_cnt;
  rd_kafka_metadata_destroy(metadata);
  rd_kafka_topic_destroy(wanted);
  return count;
}

void peer_add_all(rd_kafka_topic_partition_list_t *list, rd_kafka_t *handle, const char *topic,
                  int64_t offset) {
  int count = peer_partitions(handle, topic);
  for (int p = 0; p < count; p++) {
    rd_kafka_topic_partition_list_add(list, topic, p)->offset = offset;
  }
}
