// SPDX-License-Identifier: Apache-2.0
// What the bench's own clients share: librdkafka and nothing of ours, since a peer shares no
// code. Whatever goes wrong ends the program with a word on standard error.
#ifndef BENCH_KAFKA_PEER_H
#define BENCH_KAFKA_PEER_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

#define PEER_PHASES 6

extern const char *const peer_phases[PEER_PHASES];

void peer_die(const char *what, const char *why);

// NULL is no error; takes it.
void peer_check(const char *what, rd_kafka_error_t *error);
void peer_check_err(const char *what, rd_kafka_resp_err_t err);

int64_t peer_now_us(void);     // monotonic
int64_t peer_wall_us(void);    // since 1970
int64_t peer_cpu_us(int pid);  // spent so far by a process, of which 0 is this one

// A number from `least` on, or the end.
int64_t peer_number(const char *what, const char *text, int64_t least);

// A configuration with the servers and what is given, name by value, up to NULL.
rd_kafka_conf_t *peer_conf(const char *bootstrap, ...);
void peer_set(rd_kafka_conf_t *conf, const char *name, const char *value);

// Takes conf. The caller owns the handle.
rd_kafka_t *peer_consumer(rd_kafka_conf_t *conf);
rd_kafka_t *peer_producer(rd_kafka_conf_t *conf);

int peer_partitions(rd_kafka_t *handle, const char *topic);

// Every partition of a topic, to be read from `offset` on. The caller owns the list.
void peer_add_all(rd_kafka_topic_partition_list_t *list, rd_kafka_t *handle, const char *topic,
                  int64_t offset);

#endif
