// SPDX-License-Identifier: Apache-2.0
// Logs of the embedded cluster: arrays of records over chunks of bytes that never move.
// A marker takes an offset and no record, so it is a gap like any other.
#include <stdalign.h>
#include <stdlib.h>

#include "stream/embedded_cluster.h"
#include "wire/partition.h"

#define CHUNK_SIZE ((size_t)65536)
#define RECORDS_LEAST ((size_t)16)

struct ee_chunk {
  struct ee_chunk *next;  // owned
  size_t size, used;
  alignas(max_align_t) uint8_t data[];
};

// ---- The cluster.

static size_t logs_of(const struct ee_cluster *cluster, enum ee_topic topic) {
  bool single = ee_topics[topic].partitioning == EE_PARTITION_SINGLE;
  return single ? 1 : (size_t)cluster->partitions;
}

static bool name_topics(struct ee_cluster *cluster, const char *prefix) {
  for (int topic = 0; topic < EE_TOPIC_COUNT; topic++) {
    size_t size = strlen(prefix) + strlen(ee_topics[topic].name) + 1;
    if ((cluster->names[topic] = malloc(size)) == NULL) return false;
    snprintf(cluster->names[topic], size, "%s%s", prefix, ee_topics[topic].name);
    cluster->first_log[topic + 1] = cluster->first_log[topic] + logs_of(cluster, topic);
  }
  cluster->logs = calloc(cluster->first_log[EE_TOPIC_COUNT], sizeof *cluster->logs);
  return cluster->logs != NULL;
}

bool ee_cluster_new(const char *topic_prefix, int32_t partitions, size_t memory_limit,
                    struct ee_cluster **ret, struct ee_err *err) {
  if (partitions < 1 || partitions > EE_CLUSTER_PARTITIONS_MAX) {
    return ee_err_set(err, "a cluster has 1 to %d partitions a topic", EE_CLUSTER_PARTITIONS_MAX);
  }
  struct ee_cluster *cluster = calloc(1, sizeof *cluster);
  if (cluster == NULL) return ee_err_set(err, "no memory");
  cluster->partitions = partitions;
  cluster->memory_limit = memory_limit;
  if (!name_topics(cluster, topic_prefix)) {
    ee_cluster_free(cluster);
    return ee_err_set(err, "no memory");
  }
  *ret = cluster;
  return true;
}

void ee_cluster_free(struct ee_cluster *cluster) {
  if (cluster == NULL) return;
  ee_producers_free(cluster);
  ee_groups_free(cluster);
  for (size_t i = 0; cluster->logs != NULL && i < cluster->first_log[EE_TOPIC_COUNT]; i++) {
    free(cluster->logs[i].records);
  }
  free(cluster->logs);
  for (struct ee_chunk *chunk = cluster->chunks, *next; chunk != NULL; chunk = next) {
    next = chunk->next;
    free(chunk);
  }
  for (int topic = 0; topic < EE_TOPIC_COUNT; topic++) {
    free(cluster->names[topic]);
  }
  free(cluster->transactions);
  free(cluster);
}

void ee_cluster_set_time(struct ee_cluster *cluster, int64_t unix_ms) {
  if (unix_ms > cluster->time_ms) cluster->time_ms = unix_ms;
}

int64_t ee_cluster_time(const struct ee_cluster *cluster) {
  return cluster->time_ms;
}

int32_t ee_cluster_partitions(const struct ee_cluster *cluster, enum ee_topic topic) {
  return (int32_t)(cluster->first_log[topic + 1] - cluster->first_log[topic]);
}

struct ee_str ee_cluster_topic_name(const struct ee_cluster *cluster, enum ee_topic topic) {
  return ee_str(cluster->names[topic]);
}

size_t ee_log_index(const struct ee_cluster *cluster, struct ee_tp tp) {
  return cluster->first_log[tp.topic] + (size_t)tp.partition;
}

struct ee_log *ee_log_of(const struct ee_cluster *cluster, struct ee_tp tp) {
  if ((unsigned)tp.topic >= EE_TOPIC_COUNT || tp.partition < 0 ||
      tp.partition >= ee_cluster_partitions(cluster, tp.topic)) {
    return NULL;
  }
  return &cluster->logs[ee_log_index(cluster, tp)];
}

// ---- Memory.

bool ee_cluster_claim(struct ee_cluster *cluster, size_t size) {
  if (size > cluster->memory_limit - cluster->memory) return false;
  cluster->memory += size;
  return true;
}

static struct ee_chunk *chunk_new(struct ee_cluster *cluster, size_t size) {
  if (!ee_cluster_claim(cluster, sizeof(struct ee_chunk) + size)) return NULL;
  struct ee_chunk *chunk = malloc(sizeof *chunk + size);
  if (chunk == NULL) {
    cluster->memory -= sizeof *chunk + size;
    return NULL;
  }
  *chunk = (struct ee_chunk){.size = size};
  return chunk;
}

// A large piece gets a chunk of its own behind the one being filled.
static uint8_t *take_bytes(struct ee_cluster *cluster, size_t size) {
  size_t align = alignof(max_align_t);
  size = (size + align - 1) / align * align;
  struct ee_chunk *chunk = cluster->chunks;
  if (chunk == NULL || size > chunk->size - chunk->used) {
    bool own = size > CHUNK_SIZE / 4;
    chunk = chunk_new(cluster, own ? size : CHUNK_SIZE);
    if (chunk == NULL) return NULL;
    struct ee_chunk **link =
        own && cluster->chunks != NULL ? &cluster->chunks->next : &cluster->chunks;
    chunk->next = *link;
    *link = chunk;
  }
  uint8_t *bytes = chunk->data + chunk->used;
  chunk->used += size;
  return bytes;
}

static bool reserve_record(struct ee_cluster *cluster, struct ee_log *log) {
  if (log->count < log->capacity) return true;
  size_t capacity = log->capacity < RECORDS_LEAST ? RECORDS_LEAST : log->capacity * 2;
  size_t more = (capacity - log->capacity) * sizeof *log->records;
  if (!ee_cluster_claim(cluster, more)) return false;
  struct ee_log_record *records = realloc(log->records, capacity * sizeof *records);
  if (records == NULL) {
    cluster->memory -= more;
    return false;
  }
  log->records = records;
  log->capacity = capacity;
  return true;
}

// ---- Records.

static size_t block_size(const struct ee_output *output) {
  if (output->header_count == 0) return 0;
  return sizeof(struct ee_header_block) + output->header_count * sizeof(struct ee_header);
}

static size_t header_bytes(const struct ee_output *output) {
  size_t size = 0;
  for (size_t i = 0; i < output->header_count; i++) {
    size += output->headers[i].name.size + 1 + output->headers[i].value.size;
  }
  return size;
}

static const uint8_t *put(uint8_t **at, struct ee_bytes bytes) {
  const uint8_t *copy = bytes.data == NULL ? NULL : *at;
  if (bytes.size > 0) memcpy(*at, bytes.data, bytes.size);
  *at += bytes.size;
  return copy;
}

// Header block first, since it alone is aligned.
static const struct ee_header_block *put_headers(uint8_t *block_at, uint8_t **at,
                                                 const struct ee_output *output) {
  if (output->header_count == 0) return NULL;
  struct ee_header_block *block = (void *)block_at;
  block->count = output->header_count;
  for (size_t i = 0; i < output->header_count; i++) {
    struct ee_header header = output->headers[i];
    const uint8_t *name = put(at, ee_str_bytes(header.name));
    *(*at)++ = '\0';
    block->items[i] = (struct ee_header){
        .name = {.data = (const char *)name, .size = header.name.size},
        .value = {.data = put(at, header.value), .size = header.value.size},
    };
  }
  return block;
}

static bool store_record(struct ee_cluster *cluster, struct ee_log *log,
                         const struct ee_output *output, struct ee_log_record record) {
  size_t block = block_size(output);
  if (output->key.size > UINT32_MAX || output->value.size > UINT32_MAX) return false;
  if (!reserve_record(cluster, log)) return false;
  // One byte more, so that an empty key or value has a place to point to.
  size_t size = block + header_bytes(output) + output->key.size + output->value.size + 1;
  uint8_t *bytes = take_bytes(cluster, size);
  if (bytes == NULL) return false;
  uint8_t *at = bytes + block;
  record.key = put(&at, output->key);
  record.key_size = (uint32_t)output->key.size;
  record.value = put(&at, output->value);
  record.value_size = (uint32_t)output->value.size;
  record.headers = put_headers(bytes, &at, output);
  log->records[log->count++] = record;
  log->end = record.offset + 1;
  return true;
}

int64_t ee_log_append(struct ee_cluster *cluster, struct ee_tp tp, const struct ee_output *output,
                      int64_t timestamp_ms, uint32_t transaction) {
  struct ee_log *log = ee_log_of(cluster, tp);
  struct ee_log_record record = {
      .offset = log->end, .timestamp_ms = timestamp_ms, .transaction = transaction};
  return store_record(cluster, log, output, record) ? record.offset : -1;
}

int64_t ee_log_timestamp(const struct ee_cluster *cluster, enum ee_topic topic, int64_t given_ms) {
  return ee_topics[topic].append_time || given_ms < 0 ? cluster->time_ms : given_ms;
}

int32_t ee_log_partition(const struct ee_cluster *cluster, const struct ee_output *output) {
  struct ee_tp tp = output->tp;
  if ((unsigned)tp.topic >= EE_TOPIC_COUNT) return -1;
  if (tp.partition == -1 && output->key.data != NULL) {
    return ee_partition_of(output->key, ee_cluster_partitions(cluster, tp.topic));
  }
  return ee_log_of(cluster, tp) == NULL ? -1 : tp.partition;
}

int64_t ee_cluster_append(struct ee_cluster *cluster, const struct ee_output *output,
                          int64_t timestamp_ms) {
  struct ee_tp tp = {.topic = output->tp.topic, .partition = ee_log_partition(cluster, output)};
  if (tp.partition < 0) return -1;
  return ee_log_append(cluster, tp, output, ee_log_timestamp(cluster, tp.topic, timestamp_ms), 0);
}

// ---- Loading another log. Retention has cut a topic that is not compacted where its
// first record says; a compacted one begins at 0, whatever is missing.

static void cut_start(struct ee_log *log, enum ee_topic topic, int64_t offset) {
  bool untouched = log->count == 0 && log->end == 0;
  if (untouched && ee_topics[topic].cleanup == EE_CLEANUP_DELETE) log->start = offset;
}

bool ee_cluster_load(struct ee_cluster *cluster, struct ee_tp tp, int64_t offset,
                     int64_t timestamp_ms, struct ee_bytes key, struct ee_bytes value,
                     const struct ee_header *headers, size_t header_count, struct ee_err *err) {
  struct ee_log *log = ee_log_of(cluster, tp);
  if (log == NULL) return ee_err_set(err, "the cluster has no partition %d of it", tp.partition);
  if (offset < log->end || offset == INT64_MAX) {
    return ee_err_set(err, "%s [%d]: offset %lld does not come after %lld",
                      cluster->names[tp.topic], tp.partition, (long long)offset,
                      (long long)log->end - 1);
  }
  struct ee_output output = {
      .tp = tp, .key = key, .value = value, .headers = headers, .header_count = header_count};
  struct ee_log_record record = {.offset = offset, .timestamp_ms = timestamp_ms};
  cut_start(log, tp.topic, offset);
  if (store_record(cluster, log, &output, record)) return true;
  return ee_err_set(err, "the records do not fit into %zu bytes of memory: allow more",
                    cluster->memory_limit);
}

void ee_cluster_load_end(struct ee_cluster *cluster, struct ee_tp tp, int64_t offset) {
  struct ee_log *log = ee_log_of(cluster, tp);
  if (log == NULL || offset <= log->end) return;
  cut_start(log, tp.topic, offset);
  log->end = offset;
}

// ---- Reading.

size_t ee_log_find(const struct ee_log *log, int64_t offset) {
  size_t low = 0, high = log->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (log->records[middle].offset < offset) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

bool ee_log_committed(const struct ee_cluster *cluster, const struct ee_log_record *record) {
  return record->transaction == 0 ||
         cluster->transactions[record->transaction] == EE_TRANSACTION_COMMITTED;
}

int64_t ee_log_stable(const struct ee_cluster *cluster, const struct ee_log *log) {
  int64_t stable = log->end;
  if (log->open == 0) return stable;
  size_t index = (size_t)(log - cluster->logs);
  const struct ee_producer *producer = cluster->producers;
  for (; producer != NULL; producer = producer->next) {
    int64_t first = producer->first[index];
    if (first >= 0 && first < stable) stable = first;
  }
  return stable;
}

void ee_log_message(struct ee_tp tp, const struct ee_log_record *record, struct ee_item *item,
                    struct ee_message *ret) {
  item->headers = record->headers;
  *ret = (struct ee_message){
      .tp = tp,
      .offset = record->offset,
      .timestamp_ms = record->timestamp_ms,
      .append_time = ee_topics[tp.topic].append_time,
      .key = ee_bytes(record->key, record->key_size),
      .value = ee_bytes(record->value, record->value_size),
      .owner = item,
  };
}

const struct ee_message *ee_cluster_next(struct ee_cluster *cluster, struct ee_tp tp,
                                         int64_t *offset) {
  const struct ee_log *log = ee_log_of(cluster, tp);
  if (log == NULL) return NULL;
  int64_t stable = ee_log_stable(cluster, log);
  for (size_t i = ee_log_find(log, *offset); i < log->count; i++) {
    const struct ee_log_record *record = &log->records[i];
    if (record->offset >= stable) break;
    if (!ee_log_committed(cluster, record)) continue;
    *offset = record->offset + 1;
    ee_log_message(tp, record, &cluster->next_item, &cluster->next);
    return &cluster->next;
  }
  return NULL;
}

const struct ee_header *ee_cluster_headers(const struct ee_message *message, size_t *ret_count) {
  const struct ee_item *item = message->owner;
  *ret_count = item->headers == NULL ? 0 : item->headers->count;
  return item->headers == NULL ? NULL : item->headers->items;
}

int64_t ee_cluster_end(const struct ee_cluster *cluster, struct ee_tp tp,
                       enum ee_isolation isolation) {
  const struct ee_log *log = ee_log_of(cluster, tp);
  if (log == NULL) return 0;
  return isolation == EE_READ_COMMITTED ? ee_log_stable(cluster, log) : log->end;
}
