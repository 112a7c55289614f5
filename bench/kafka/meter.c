// SPDX-License-Identifier: Apache-2.0
// Writes events at a steady rate and reads what comes of them, read_committed: how long each
// took, and what CPU a process spent on them meanwhile.
//
//   meter BOOTSTRAP FROM_PREFIX FIRST TO_PREFIX OUT_TOPIC RATE WARM_UP_SECONDS SECONDS PID...
//
// The events are those of the phase topics under FROM_PREFIX, by append time, from number FIRST
// on, each written once; outputs name their input in the header `in`. Prints for each output,
// with no PID given, the wall time in microseconds at which it was received, a line each; at
// last {"events", "received", "p50_ms", "p99_ms", "max_ms", "cpu_us"}, of the SECONDS after the
// warm-up alone.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/kafka/peer.h"

#define BATCH 1000
#define SETTLE_US INT64_C(15000000)  // for outputs that are under way at the end
#define PARTITIONS_MAX 64

struct event {
  int phase;
  int32_t partition;
  int64_t offset;     // of the original
  int64_t append_ms;  // of the original
  void *key, *value;
  size_t key_size, value_size;
  int64_t sent_us;
  int64_t lag_us;  // from sent to received; -1: not received
};

// Which event lies where: by offset from the first one that we wrote.
struct lane {
  int64_t base, size, room;
  struct event **events;
  int64_t *received_us;
};

struct meter {
  const char *bootstrap;
  struct event *events;
  int64_t count, room;
  int64_t first, rate, next;  // next: how many were written
  struct lane lanes[PEER_PHASES][PARTITIONS_MAX];
  rd_kafka_t *producer, *consumer;
  rd_kafka_topic_t *topics[PEER_PHASES];
  rd_kafka_queue_t *outputs;
  size_t prefix_size;
  bool print_times;
};

static void *grown(void *items, int64_t count, int64_t *room, size_t size) {
  if (count < *room) return items;
  *room = count < 512 ? 1024 : count * 2;
  items = realloc(items, (size_t)*room * size);
  if (items == NULL) peer_die("events", "no memory");
  return items;
}

static void *copied(const void *bytes, size_t size) {
  void *copy = malloc(size + 1);
  if (copy == NULL) peer_die("events", "no memory");
  if (size > 0) memcpy(copy, bytes, size);
  return copy;
}

static int phase_of(const char *topic, size_t prefix_size) {
  static const char before[] = "envelope.";
  size_t size = strlen(topic);
  if (size < prefix_size + sizeof before) return -1;
  const char *name = topic + prefix_size + sizeof before - 1;
  for (int p = 0; p < PEER_PHASES; p++) {
    size_t length = strlen(peer_phases[p]);
    if (strncmp(name, peer_phases[p], length) == 0 && name[length] == '.') return p;
  }
  return -1;
}

// ---- The events.

static void keep(struct meter *m, const rd_kafka_message_t *message, size_t prefix_size) {
  m->events = grown(m->events, m->count, &m->room, sizeof *m->events);
  m->events[m->count++] =
      (struct event){.phase = phase_of(rd_kafka_topic_name(message->rkt), prefix_size),
                     .partition = message->partition,
                     .offset = message->offset,
                     .append_ms = rd_kafka_message_timestamp(message, NULL),
                     .key = copied(message->key, message->key_len),
                     .key_size = message->key_len,
                     .value = copied(message->payload, message->len),
                     .value_size = message->len,
                     .lag_us = -1};
}

static int compare(const void *a, const void *b) {
  const struct event *left = a, *right = b;
  if (left->append_ms != right->append_ms) return left->append_ms < right->append_ms ? -1 : 1;
  if (left->phase != right->phase) return left->phase - right->phase;
  if (left->partition != right->partition) return left->partition - right->partition;
  return left->offset < right->offset ? -1 : left->offset > right->offset;
}

static void read_events(struct meter *m, const char *prefix) {
  rd_kafka_t *consumer =
      peer_consumer(peer_conf(m->bootstrap, "group.id", "meter", "enable.partition.eof", "true",
                              "enable.auto.commit", "false", NULL));
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(PEER_PHASES);
  for (int p = 0; p < PEER_PHASES; p++) {
    char topic[256];
    snprintf(topic, sizeof topic, "%senvelope.%s.v1", prefix, peer_phases[p]);
    peer_add_all(list, consumer, topic, RD_KAFKA_OFFSET_BEGINNING);
  }
  peer_check_err("assign", rd_kafka_assign(consumer, list));
  for (int ends = list->cnt; ends > 0;) {
    rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 100);
    if (message == NULL) continue;
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      ends--;
    } else {
      peer_check_err("read", message->err);
      keep(m, message, strlen(prefix));
    }
    rd_kafka_message_destroy(message);
  }
  qsort(m->events, (size_t)m->count, sizeof *m->events, compare);
  rd_kafka_topic_partition_list_destroy(list);
  rd_kafka_consumer_close(consumer);
  rd_kafka_destroy(consumer);
}

// ---- Writing.

static struct lane *lane_of(struct meter *m, int phase, int32_t partition) {
  if (phase < 0 || partition < 0 || partition >= PARTITIONS_MAX) peer_die("output", "of no input");
  return &m->lanes[phase][partition];
}

// Where the record at that offset is noted, or NULL for one from before our time.
static int64_t place_in(struct lane *lane, int64_t offset) {
  int64_t at = offset - lane->base;
  if (at < 0) return -1;
  while (at >= lane->size) {
    int64_t room = lane->room;
    lane->events = grown(lane->events, lane->size, &room, sizeof *lane->events);
    lane->received_us = grown(lane->received_us, lane->size, &lane->room, sizeof(int64_t));
    lane->events[lane->size] = NULL;
    lane->received_us[lane->size++] = 0;
  }
  return at;
}

static void acknowledge(rd_kafka_t *handle, const rd_kafka_message_t *message, void *opaque) {
  (void)handle;
  struct meter *m = opaque;
  struct event *event = message->_private;
  peer_check_err("delivery", message->err);
  struct lane *lane = lane_of(m, event->phase, message->partition);
  int64_t at = place_in(lane, message->offset);
  if (at >= 0) lane->events[at] = event;
}

static void send_event(struct meter *m, struct event *event) {
  event->sent_us = peer_now_us();
  while (rd_kafka_produce(m->topics[event->phase], RD_KAFKA_PARTITION_UA, 0, event->value,
                          event->value_size, event->key, event->key_size, event) != 0) {
    if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
      peer_check_err("produce", rd_kafka_last_error());
    }
    rd_kafka_poll(m->producer, 1);
  }
}

static void open_producer(struct meter *m, const char *prefix) {
  rd_kafka_conf_t *conf = peer_conf(m->bootstrap, "linger.ms", "1", NULL);
  rd_kafka_conf_set_dr_msg_cb(conf, acknowledge);
  rd_kafka_conf_set_opaque(conf, m);
  m->producer = peer_producer(conf);
  for (int p = 0; p < PEER_PHASES; p++) {
    char topic[256], text[256];
    snprintf(topic, sizeof topic, "%senvelope.%s.v1", prefix, peer_phases[p]);
    rd_kafka_topic_conf_t *by_key = rd_kafka_topic_conf_new();
    if (rd_kafka_topic_conf_set(by_key, "partitioner", "murmur2_random", text, sizeof text) !=
        RD_KAFKA_CONF_OK) {
      peer_die("partitioner", text);
    }
    m->topics[p] = rd_kafka_topic_new(m->producer, topic, by_key);
    int partitions = peer_partitions(m->producer, topic);
    for (int i = 0; i < partitions; i++) {
      int64_t low;
      peer_check_err("offsets", rd_kafka_query_watermark_offsets(m->producer, topic, i, &low,
                                                                 &lane_of(m, p, i)->base, 30000));
    }
  }
}

// ---- Reading.

static void note(struct meter *m, const rd_kafka_message_t *message, int64_t now_us) {
  rd_kafka_headers_t *headers;
  const void *in;
  size_t size;
  peer_check_err("headers", rd_kafka_message_headers(message, &headers));
  peer_check_err("header in", rd_kafka_header_get_last(headers, "in", &in, &size));
  char topic[256];
  int partition;
  int64_t offset;
  char text[512];
  snprintf(text, sizeof text, "%.*s", (int)size, (const char *)in);
  if (sscanf(text, "[\"%255[^\"]\",%d,%" SCNd64, topic, &partition, &offset) != 3) {
    peer_die("header in", text);
  }
  if (strstr(topic, "envelope.tick.v1") != NULL) return;
  struct lane *lane = lane_of(m, phase_of(topic, m->prefix_size), partition);
  int64_t at = place_in(lane, offset);
  if (at >= 0 && lane->received_us[at] == 0) lane->received_us[at] = now_us;
}

static void read_outputs(struct meter *m, int timeout_ms) {
  rd_kafka_message_t *batch[BATCH];
  ssize_t got = rd_kafka_consume_batch_queue(m->outputs, timeout_ms, batch, BATCH);
  int64_t now_us = peer_now_us();
  for (ssize_t i = 0; i < got; i++) {
    peer_check_err("output", batch[i]->err);
    note(m, batch[i], now_us);
    if (m->print_times) printf("%" PRId64 "\n", peer_wall_us());
    rd_kafka_message_destroy(batch[i]);
  }
  if (m->print_times && got > 0) fflush(stdout);
}

static void open_consumer(struct meter *m, const char *topic) {
  m->consumer = peer_consumer(peer_conf(m->bootstrap, "group.id", "meter", "isolation.level",
                                        "read_committed", "enable.auto.commit", "false", NULL));
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
  peer_add_all(list, m->consumer, topic, RD_KAFKA_OFFSET_INVALID);
  for (int i = 0; i < list->cnt; i++) {
    int64_t low;
    peer_check_err("offsets",
                   rd_kafka_query_watermark_offsets(m->consumer, topic, list->elems[i].partition,
                                                    &low, &list->elems[i].offset, 30000));
  }
  peer_check_err("assign", rd_kafka_assign(m->consumer, list));
  rd_kafka_topic_partition_list_destroy(list);
  m->outputs = rd_kafka_queue_get_consumer(m->consumer);
}

// ---- The run.

// A slice each millisecond, in which outputs are read as well.
static void run_until(struct meter *m, int64_t begun_us, int64_t end_us) {
  for (int64_t now_us; (now_us = peer_now_us()) < end_us;) {
    int64_t due = (now_us - begun_us) * m->rate / 1000000;
    if (m->first + due > m->count) peer_die("events", "too few for so long a run");
    while (m->next < due) {
      send_event(m, &m->events[m->first + m->next++]);
    }
    rd_kafka_poll(m->producer, 0);
    read_outputs(m, 1);
  }
}

static int compare_lags(const void *a, const void *b) {
  int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
  return left < right ? -1 : left > right;
}

static int64_t cpu_of(int count, char **pids) {
  int64_t sum = 0;
  for (int i = 0; i < count; i++) {
    sum += peer_cpu_us((int)peer_number("pid", pids[i], 1));
  }
  return sum;
}

static int64_t settle(struct meter *m) {
  int64_t received = 0;
  for (int p = 0; p < PEER_PHASES; p++) {
    for (int i = 0; i < PARTITIONS_MAX; i++) {
      struct lane *lane = &m->lanes[p][i];
      for (int64_t at = 0; at < lane->size; at++) {
        if (lane->events[at] == NULL || lane->received_us[at] == 0) continue;
        lane->events[at]->lag_us = lane->received_us[at] - lane->events[at]->sent_us;
        received++;
      }
    }
  }
  return received;
}

static void wait_for_outputs(struct meter *m) {
  peer_check_err("flush", rd_kafka_flush(m->producer, 30000));
  int64_t before = -1, until_us = peer_now_us() + SETTLE_US;
  while (peer_now_us() < until_us) {
    int64_t end_us = peer_now_us() + 300000;
    while (peer_now_us() < end_us) {
      read_outputs(m, 50);
    }
    int64_t received = settle(m);
    if (received == before) return;
    before = received;
  }
}

static void report(struct meter *m, int64_t first, int64_t last, int64_t cpu_us) {
  int64_t *lags = malloc(sizeof *lags * (size_t)(last - first + 1));
  if (lags == NULL) peer_die("report", "no memory");
  int64_t count = 0;
  for (int64_t i = first; i < last; i++) {
    if (m->events[i].lag_us >= 0) lags[count++] = m->events[i].lag_us;
  }
  if (count == 0) peer_die("outputs", "none was received");
  qsort(lags, (size_t)count, sizeof *lags, compare_lags);
  printf("{\"events\": %" PRId64 ", \"received\": %" PRId64
         ", \"p50_ms\": %.2f, \"p99_ms\": %.2f, \"max_ms\": %.2f, \"cpu_us\": %" PRId64 "}\n",
         last - first, count, (double)lags[count / 2] / 1e3, (double)lags[count * 99 / 100] / 1e3,
         (double)lags[count - 1] / 1e3, cpu_us);
  free(lags);
}

int main(int argc, char **argv) {
  if (argc < 9) {
    peer_die("usage",
             "meter BOOTSTRAP FROM_PREFIX FIRST TO_PREFIX OUT_TOPIC RATE WARM_UP_SECONDS "
             "SECONDS PID...");
  }
  static struct meter m;
  m.bootstrap = argv[1];
  m.prefix_size = strlen(argv[4]);
  m.rate = peer_number("rate", argv[6], 1);
  m.print_times = argc == 9;
  read_events(&m, argv[2]);
  m.first = peer_number("first", argv[3], 0);
  open_producer(&m, argv[4]);
  open_consumer(&m, argv[5]);
  int64_t begun_us = peer_now_us();
  int64_t from_us = begun_us + peer_number("warm-up", argv[7], 0) * 1000000;
  int64_t end_us = from_us + peer_number("seconds", argv[8], 1) * 1000000;
  run_until(&m, begun_us, from_us);
  int64_t first = m.next, cpu_us = cpu_of(argc - 9, argv + 9);
  run_until(&m, begun_us, end_us);
  int64_t last = m.next;
  cpu_us = cpu_of(argc - 9, argv + 9) - cpu_us;
  wait_for_outputs(&m);
  report(&m, m.first + first, m.first + last, cpu_us);
  return 0;
}
