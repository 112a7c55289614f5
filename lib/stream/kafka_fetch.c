// SPDX-License-Identifier: Apache-2.0
// Reading partitions: wanted state, brought about once a turn by incremental assignment;
// then the batch, from which is dropped what no longer belongs.
//
// A restart is an unassignment and an assignment rather than a seek: those are queued by
// librdkafka whatever state the partition is in, a seek is refused in some of them. A pause
// is an unassignment too: resuming (2.0.2) does not wake the thread that fetches, which
// then may sleep for a second.
#include "stream/kafka_fetch.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>

#include "stream/kafka_class.h"

struct ee_kafka_partition {
  struct ee_tp tp;
  int64_t position;  // next to report
  bool headers;      // are asked for
  bool wanted;
  bool paused;   // wanted, but not now
  bool restart;  // what has been fetched is not what is wanted
  bool live;     // assigned in librdkafka
  bool changed;  // in the list
  struct ee_kafka_partition *next;
};

bool ee_kafka_fetch_new(struct ee_kafka_shared *shared, struct ee_kafka_fetch **ret,
                        struct ee_err *err) {
  struct ee_kafka_fetch *fetch = calloc(1, sizeof(*fetch));
  if (fetch == NULL) return ee_err_set(err, "no memory for the consumer");
  if (!ee_kafka_handle_new(shared, EE_KAFKA_FETCHER, &fetch->handle, err)) {
    free(fetch);
    return false;
  }
  *ret = fetch;
  return true;
}

void ee_kafka_fetch_free(struct ee_kafka_fetch *fetch) {
  if (fetch == NULL) return;
  for (int topic = 0; topic < EE_TOPIC_COUNT; topic++) {
    for (int32_t i = 0; i < fetch->counts[topic]; i++)
      free(fetch->parts[topic][i]);
    free(fetch->parts[topic]);
  }
  free(fetch);
}

// ---- What is wanted.

static struct ee_kafka_partition *find(const struct ee_kafka_fetch *fetch, struct ee_tp tp) {
  if (tp.partition < 0 || tp.partition >= fetch->counts[tp.topic]) return NULL;
  return fetch->parts[tp.topic][tp.partition];
}

static bool grow(struct ee_kafka_fetch *fetch, struct ee_tp tp) {
  if (tp.partition < 0 || tp.partition >= EE_KAFKA_PARTITION_MAX) return false;
  int32_t count = fetch->counts[tp.topic];
  if (tp.partition < count) return true;
  int32_t wanted = tp.partition + 16;
  struct ee_kafka_partition **parts =
      realloc(fetch->parts[tp.topic], (size_t)wanted * sizeof(*parts));
  if (parts == NULL) return false;
  for (int32_t i = count; i < wanted; i++)
    parts[i] = NULL;
  fetch->parts[tp.topic] = parts;
  fetch->counts[tp.topic] = wanted;
  return true;
}

static struct ee_kafka_partition *find_or_make(struct ee_kafka_fetch *fetch, struct ee_tp tp) {
  struct ee_kafka_partition *part = find(fetch, tp);
  if (part != NULL) return part;
  part = grow(fetch, tp) ? calloc(1, sizeof(*part)) : NULL;
  if (part == NULL) {
    ee_kafka_notice(&fetch->handle->shared->notices, EE_FATAL, "no memory to read %s [%d]",
                    fetch->handle->shared->names[tp.topic], (int)tp.partition);
    return NULL;
  }
  ee_kafka_fetch_expect(fetch, tp.topic);
  part->tp = tp;
  fetch->parts[tp.topic][tp.partition] = part;
  return part;
}

void ee_kafka_fetch_expect(struct ee_kafka_fetch *fetch, enum ee_topic topic) {
  ee_kafka_handle_topic(fetch->handle, topic);
}

static void mark(struct ee_kafka_fetch *fetch, struct ee_kafka_partition *part) {
  if (part->changed) return;
  part->changed = true;
  part->next = fetch->changed;
  fetch->changed = part;
}

void ee_kafka_fetch_start(struct ee_kafka_fetch *fetch, struct ee_tp tp, int64_t offset,
                          bool headers) {
  struct ee_kafka_partition *part = find_or_make(fetch, tp);
  if (part == NULL) return;
  part->headers = headers;
  part->wanted = true;
  part->restart = true;
  part->paused = false;
  part->position = offset;
  mark(fetch, part);
}

void ee_kafka_fetch_stop(struct ee_kafka_fetch *fetch, struct ee_tp tp) {
  struct ee_kafka_partition *part = find(fetch, tp);
  if (part == NULL) return;
  part->wanted = false;
  mark(fetch, part);
}

void ee_kafka_fetch_pause(struct ee_kafka_fetch *fetch, struct ee_tp tp, bool paused) {
  struct ee_kafka_partition *part = find(fetch, tp);
  if (part == NULL || !part->wanted) return;
  part->paused = paused;
  mark(fetch, part);
}

int64_t ee_kafka_fetch_position(const struct ee_kafka_fetch *fetch, struct ee_tp tp) {
  const struct ee_kafka_partition *part = find(fetch, tp);
  return part == NULL || !part->wanted ? EE_OFFSET_NONE : part->position;
}

int64_t ee_kafka_fetch_lag(const struct ee_kafka_fetch *fetch, struct ee_tp tp) {
  const struct ee_kafka_partition *part = find(fetch, tp);
  if (part == NULL || !part->wanted || part->position < 0) return -1;
  // What the last fetch said, no round trip; on a read_committed consumer the last
  // stable offset.
  int64_t low = -1, high = -1;
  if (rd_kafka_get_watermark_offsets(fetch->handle->rk, fetch->handle->shared->names[tp.topic],
                                     tp.partition, &low, &high) != RD_KAFKA_RESP_ERR_NO_ERROR ||
      high < 0) {
    return -1;
  }
  return high > part->position ? high - part->position : 0;
}

// ---- Bringing it about.

typedef bool ee_kafka_chooses(const struct ee_kafka_partition *part);

static bool leaves(const struct ee_kafka_partition *part) {
  return part->live && (!part->wanted || part->paused || part->restart);
}
static bool joins(const struct ee_kafka_partition *part) {
  return part->wanted && !part->paused && !part->live;
}

// NULL when nothing is chosen.
static rd_kafka_topic_partition_list_t *choose(const struct ee_kafka_fetch *fetch,
                                               ee_kafka_chooses *chosen) {
  rd_kafka_topic_partition_list_t *list = NULL;
  for (const struct ee_kafka_partition *p = fetch->changed; p != NULL; p = p->next) {
    if (!chosen(p)) continue;
    if (list == NULL) list = rd_kafka_topic_partition_list_new(16);
    const char *name = fetch->handle->shared->names[p->tp.topic];
    rd_kafka_topic_partition_list_add(list, name, p->tp.partition)->offset =
        p->position < 0 ? RD_KAFKA_OFFSET_BEGINNING : p->position;
  }
  return list;
}

static void check(struct ee_kafka_fetch *fetch, const char *what, rd_kafka_error_t *error) {
  if (error == NULL) return;
  ee_kafka_notice(&fetch->handle->shared->notices, EE_FATAL, "%s partitions to read: %s", what,
                  rd_kafka_error_string(error));
  rd_kafka_error_destroy(error);
}

static void remove_chosen(struct ee_kafka_fetch *fetch) {
  rd_kafka_topic_partition_list_t *list = choose(fetch, leaves);
  if (list == NULL) return;
  check(fetch, "removing", rd_kafka_incremental_unassign(fetch->handle->rk, list));
  rd_kafka_topic_partition_list_destroy(list);
  for (struct ee_kafka_partition *p = fetch->changed; p != NULL; p = p->next) {
    if (leaves(p)) p->live = false;
  }
}

static void add_chosen(struct ee_kafka_fetch *fetch) {
  rd_kafka_topic_partition_list_t *list = choose(fetch, joins);
  if (list == NULL) return;
  check(fetch, "adding", rd_kafka_incremental_assign(fetch->handle->rk, list));
  rd_kafka_topic_partition_list_destroy(list);
  for (struct ee_kafka_partition *p = fetch->changed; p != NULL; p = p->next) {
    if (joins(p)) p->live = true;
  }
}

static void bring_about(struct ee_kafka_fetch *fetch) {
  remove_chosen(fetch);
  add_chosen(fetch);
  while (fetch->changed != NULL) {
    struct ee_kafka_partition *part = fetch->changed;
    fetch->changed = part->next;
    part->changed = false;
    part->restart = false;
  }
}

// ---- What has arrived.

// Batches have runs of one topic: its name is looked up once a run.
struct topic_memo {
  const rd_kafka_topic_t *rkt;
  int topic;
};

static struct ee_kafka_partition *partition_of(const struct ee_kafka_fetch *fetch,
                                               const rd_kafka_message_t *message,
                                               struct topic_memo *memo) {
  if (message->rkt == NULL) return NULL;
  if (message->rkt != memo->rkt) {
    memo->rkt = message->rkt;
    memo->topic = ee_kafka_topic_of(fetch->handle->shared, rd_kafka_topic_name(message->rkt));
  }
  if (memo->topic < 0) return NULL;
  return find(fetch, (struct ee_tp){(enum ee_topic)memo->topic, message->partition});
}

static bool is_out_of_range(rd_kafka_resp_err_t code) {
  return code == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
         code == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE;
}

// `part` is NULL where the error is of no partition that is read.
static void report_error(struct ee_kafka_fetch *fetch, const struct ee_kafka_partition *part,
                         const rd_kafka_message_t *message) {
  struct ee_kafka_notices *notices = &fetch->handle->shared->notices;
  const char *topic = message->rkt == NULL ? "" : rd_kafka_topic_name(message->rkt);
  struct ee_kafka_fault fault = {.code = message->err};
  enum ee_outcome_class outcome = ee_kafka_classify(EE_KAFKA_FETCH, fault);
  if (message->rkt == NULL) {
    ee_kafka_notice(notices, outcome, "reading: %s", rd_kafka_message_errstr(message));
  } else if (part != NULL && is_out_of_range(message->err)) {
    ee_kafka_notice_range(notices, part->tp,
                          "%s [%d]: the log has no offset %" PRId64
                          ": retention has cut it, or the topic was made anew (%s)",
                          topic, (int)message->partition, message->offset,
                          rd_kafka_message_errstr(message));
  } else {
    ee_kafka_notice(notices, outcome, "%s [%d] at offset %" PRId64 ": %s", topic,
                    (int)message->partition, message->offset, rd_kafka_message_errstr(message));
  }
}

// True: the position has moved.
static bool take_error(struct ee_kafka_fetch *fetch, struct ee_kafka_partition *part,
                       const rd_kafka_message_t *message) {
  if (message->err == RD_KAFKA_RESP_ERR__FATAL) {
    ee_kafka_handle_fatal(fetch->handle);
    return false;
  }
  if (message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
    if (part == NULL || part->live) report_error(fetch, part, message);
    return false;
  }
  ee_kafka_notice_healed(&fetch->handle->shared->notices, EE_KAFKA_BROKERS_AWAY);
  if (part == NULL || !part->live || message->offset <= part->position) return false;
  part->position = message->offset;
  return true;
}

// A copy. librdkafka's own keeps the whole response that it came in, of all partitions, and
// those of a topic with little traffic wait long beside one with much; and of headers that it
// was asked for it makes an allocation each.
struct held {
  size_t headers_at, size;
  uint8_t bytes[];  // key, value, headers: of each its sizes, name and value
};

struct header_sizes {
  size_t name, value;
  bool null;
};

static struct ee_bytes keep(struct held *held, const void *data, size_t size) {
  uint8_t *place = held->bytes + held->size;
  if (data == NULL) return ee_bytes(NULL, 0);
  if (size > 0) memcpy(place, data, size);
  held->size += size;
  return ee_bytes(place, size);
}

// Returns their size, and keeps them unless `held` is NULL.
static size_t keep_headers(struct held *held, const rd_kafka_headers_t *headers) {
  const char *name;
  const void *value;
  struct header_sizes sizes = {0};
  size_t sum = 0;
  for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &sizes.value) ==
                     RD_KAFKA_RESP_ERR_NO_ERROR;
       i++) {
    sizes.name = strlen(name);
    sizes.null = value == NULL;
    if (sizes.null) sizes.value = 0;
    sum += sizeof sizes + sizes.name + sizes.value;
    if (held == NULL) continue;
    keep(held, &sizes, sizeof sizes);
    keep(held, name, sizes.name);
    keep(held, value, sizes.value);
  }
  return sum;
}

// False: no memory.
static bool convert(const struct ee_kafka_partition *part, rd_kafka_message_t *from,
                    struct ee_message *ret) {
  rd_kafka_headers_t *headers = NULL;
  bool plain =
      !part->headers || rd_kafka_message_headers(from, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR;
  size_t header_size = plain ? 0 : keep_headers(NULL, headers);
  struct held *held = malloc(sizeof *held + from->key_len + from->len + header_size);
  if (held == NULL) return false;
  held->size = 0;
  rd_kafka_timestamp_type_t type;
  int64_t timestamp = rd_kafka_message_timestamp(from, &type);
  *ret = (struct ee_message){
      .tp = part->tp,
      .offset = from->offset,
      .timestamp_ms = timestamp,
      .append_time = type == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME,
      .key = keep(held, from->key, from->key_len),
      .value = keep(held, from->payload, from->len),
      .header_size = header_size,
      .owner = held,
  };
  held->headers_at = held->size;
  if (!plain) keep_headers(held, headers);
  return true;
}

static void watch_queue(struct ee_kafka_fetch *fetch) {
  fetch->waiting = rd_kafka_queue_length(fetch->handle->queue);
  if (fetch->waiting > fetch->backlog) fetch->backlog = fetch->waiting;
}

size_t ee_kafka_fetch_turn(struct ee_kafka_fetch *fetch, int64_t now_ms, bool *ret_moved) {
  if (fetch->changed != NULL) bring_about(fetch);
  *ret_moved = false;
  ssize_t got = rd_kafka_consume_batch_queue(fetch->handle->queue, 0, fetch->batch, EE_KAFKA_BATCH);
  struct topic_memo memo = {.rkt = NULL};
  size_t kept = 0;
  for (ssize_t i = 0; i < got; i++) {
    rd_kafka_message_t *message = fetch->batch[i];
    struct ee_kafka_partition *part = partition_of(fetch, message, &memo);
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      *ret_moved |= take_error(fetch, part, message);
      rd_kafka_message_destroy(message);
      continue;
    }
    // librdkafka drops what is from before a change; this is the second lock on that door.
    if (part == NULL || !part->live || part->restart || message->offset < part->position) {
      rd_kafka_message_destroy(message);
      continue;
    }
    if (convert(part, message, &fetch->messages[kept])) {
      part->position = message->offset + 1;
      kept++;
    } else {
      // What follows it must not pass it over: all of it is read again.
      ee_kafka_notice(&fetch->handle->shared->notices, EE_RETRY,
                      "no memory for messages of %s [%d]",
                      fetch->handle->shared->names[part->tp.topic], (int)part->tp.partition);
      ee_kafka_fetch_start(fetch, part->tp, part->position, part->headers);
    }
    rd_kafka_message_destroy(message);
  }
  if (!fetch->handle->shared->wakes_itself) watch_queue(fetch);
  if (kept > 0) {
    fetch->data_ms = now_ms;
    ee_kafka_notice_healed(&fetch->handle->shared->notices, EE_KAFKA_BROKERS_AWAY);
  }
  return kept;
}

// ---- Waking the fetcher.

#define DRY_MS 5       // without messages before that is suspected
#define SLEEP_MS 1100  // after which it has woken by itself
#define AGAIN_MS 20
#define BACKLOG_LEAST 1024  // messages; with fewer the queue was not full

static bool may_sleep(const struct ee_kafka_fetch *fetch, int64_t now_ms) {
  return !fetch->handle->shared->wakes_itself && fetch->data_ms > 0 &&
         now_ms - fetch->data_ms < SLEEP_MS;
}

// Most of what may have filled the queue has been taken: with the rest there is work until the
// fetcher has woken and brings more.
static bool runs_low(const struct ee_kafka_fetch *fetch) {
  return fetch->backlog >= BACKLOG_LEAST && fetch->waiting <= fetch->backlog / 4;
}

int ee_kafka_fetch_patience_ms(const struct ee_kafka_fetch *fetch, int64_t now_ms) {
  return may_sleep(fetch, now_ms) ? DRY_MS : INT_MAX;
}

rd_kafka_topic_partition_list_t *ee_kafka_fetch_sleeping(struct ee_kafka_fetch *fetch,
                                                         int64_t now_ms) {
  bool dry = now_ms - fetch->data_ms >= DRY_MS && now_ms - fetch->woken_ms >= AGAIN_MS;
  if (!may_sleep(fetch, now_ms) || (!dry && !runs_low(fetch))) return NULL;
  fetch->woken_ms = now_ms;
  fetch->backlog = fetch->waiting;
  rd_kafka_topic_partition_list_t *list = NULL;
  for (int topic = 0; topic < EE_TOPIC_COUNT; topic++) {
    for (int32_t i = 0; i < fetch->counts[topic]; i++) {
      struct ee_tp tp = {(enum ee_topic)topic, i};
      const struct ee_kafka_partition *part = find(fetch, tp);
      if (part == NULL || !part->live || ee_kafka_fetch_lag(fetch, tp) <= 0) continue;
      if (list == NULL) list = rd_kafka_topic_partition_list_new(16);
      rd_kafka_topic_partition_list_add(list, fetch->handle->shared->names[topic], i);
    }
  }
  return list;
}

void ee_kafka_fetch_give_back(struct ee_message *message) {
  free(message->owner);
  message->owner = NULL;
}

struct ee_bytes ee_kafka_fetch_header(const struct ee_message *message, const char *name) {
  const struct held *held = message->owner;
  struct ee_bytes last = ee_bytes(NULL, 0);
  struct header_sizes sizes;
  for (size_t at = held->headers_at; at < held->size; at += sizes.name + sizes.value) {
    memcpy(&sizes, held->bytes + at, sizeof sizes);
    at += sizeof sizes;
    if (sizes.name != strlen(name) || memcmp(held->bytes + at, name, sizes.name) != 0) continue;
    last = ee_bytes(sizes.null ? NULL : held->bytes + at + sizes.name, sizes.value);
  }
  return last;
}
