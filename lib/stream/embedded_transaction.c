// SPDX-License-Identifier: Apache-2.0
// Producers and transactions of the embedded cluster. A transaction's records are in the
// logs from the start; its end decides, in one place, whether they are ever seen.
#include <assert.h>
#include <stdlib.h>

#include "stream/embedded_cluster.h"

#define TRANSACTIONS_LEAST UINT32_C(64)
#define TRANSACTIONS_MOST (UINT32_C(1) << 31)

static void producer_free(struct ee_producer *producer) {
  free(producer->id);
  free(producer->first);
  free(producer->touched);
  free(producer->offsets);
  free(producer);
}

void ee_producers_free(struct ee_cluster *cluster) {
  for (struct ee_producer *producer = cluster->producers, *next; producer != NULL;
       producer = next) {
    next = producer->next;
    producer_free(producer);
  }
  cluster->producers = NULL;
}

static struct ee_producer *producer_new(struct ee_cluster *cluster, const char *id) {
  size_t logs = cluster->first_log[EE_TOPIC_COUNT];
  struct ee_producer *producer = calloc(1, sizeof *producer);
  if (producer == NULL) return NULL;
  producer->id = strdup(id);
  producer->first = malloc(logs * sizeof *producer->first);
  producer->touched = malloc(logs * sizeof *producer->touched);
  if (producer->id == NULL || producer->first == NULL || producer->touched == NULL) {
    producer_free(producer);
    return NULL;
  }
  for (size_t i = 0; i < logs; i++) {
    producer->first[i] = -1;
  }
  producer->next = cluster->producers;
  cluster->producers = producer;
  return producer;
}

struct ee_producer *ee_producer_of(struct ee_cluster *cluster, const char *group,
                                   const char *instance) {
  size_t size = strlen(group) + 1 + strlen(instance) + 1;
  char *id = malloc(size);
  if (id == NULL) return NULL;
  snprintf(id, size, "%s/%s", group, instance);
  struct ee_producer *producer = cluster->producers;
  while (producer != NULL && strcmp(producer->id, id) != 0)
    producer = producer->next;
  if (producer == NULL) producer = producer_new(cluster, id);
  free(id);
  return producer;
}

void ee_producer_fence(struct ee_cluster *cluster, struct ee_producer *producer) {
  if (producer->transaction == 0 || producer->ending) return;
  ee_transaction_end(cluster, producer, false);
  producer->epoch++;
}

uint32_t ee_producer_init(struct ee_cluster *cluster, struct ee_producer *producer) {
  ee_producer_fence(cluster, producer);
  return producer->ending ? 0 : ++producer->epoch;
}

// Number 0 stands for records outside any transaction.
static enum ee_outcome_class reserve_number(struct ee_cluster *cluster) {
  if (cluster->transaction_count + 1 < cluster->transaction_capacity) return EE_DONE;
  uint32_t capacity = cluster->transaction_capacity * 2;
  if (capacity < TRANSACTIONS_LEAST) capacity = TRANSACTIONS_LEAST;
  size_t more = capacity - cluster->transaction_capacity;
  if (capacity > TRANSACTIONS_MOST || !ee_cluster_claim(cluster, more)) return EE_FATAL;
  uint8_t *transactions = realloc(cluster->transactions, capacity);
  if (transactions == NULL) {
    cluster->memory -= more;
    return EE_RETRY;
  }
  cluster->transactions = transactions;
  cluster->transaction_capacity = capacity;
  return EE_DONE;
}

enum ee_outcome_class ee_transaction_begin(struct ee_cluster *cluster,
                                           struct ee_producer *producer) {
  assert(producer->transaction == 0);
  enum ee_outcome_class outcome = reserve_number(cluster);
  if (outcome != EE_DONE) return outcome;
  producer->transaction = ++cluster->transaction_count;
  cluster->transactions[producer->transaction] = EE_TRANSACTION_OPEN;
  return EE_DONE;
}

int64_t ee_transaction_append(struct ee_cluster *cluster, struct ee_producer *producer,
                              struct ee_tp tp, const struct ee_output *output) {
  size_t index = ee_log_index(cluster, tp);
  int64_t timestamp_ms = ee_log_timestamp(cluster, tp.topic, -1);
  int64_t offset = ee_log_append(cluster, tp, output, timestamp_ms, producer->transaction);
  if (offset < 0 || producer->first[index] >= 0) return offset;
  producer->first[index] = offset;
  producer->touched[producer->touched_count++] = index;
  cluster->logs[index].open++;
  return offset;
}

bool ee_transaction_send_offsets(struct ee_producer *producer, struct ee_group *group,
                                 const struct ee_tp_offset *offsets, size_t count) {
  size_t all = producer->offset_count + count;
  if (count == 0) return true;
  struct ee_tp_offset *grown = realloc(producer->offsets, all * sizeof *grown);
  if (grown == NULL) return false;
  memcpy(grown + producer->offset_count, offsets, count * sizeof *grown);
  producer->offsets = grown;
  producer->offset_count = all;
  producer->group = group;
  return true;
}

static void write_marker(struct ee_cluster *cluster, struct ee_producer *producer, size_t which) {
  size_t index = producer->touched[which];
  cluster->logs[index].end++;
  cluster->logs[index].open--;
  producer->first[index] = -1;
  producer->touched[which] = producer->touched[--producer->touched_count];
}

static void apply_offsets(struct ee_cluster *cluster, struct ee_producer *producer) {
  for (size_t i = 0; producer->commits && i < producer->offset_count; i++) {
    const struct ee_tp_offset *offset = &producer->offsets[i];
    struct ee_committed *to = &producer->group->offsets[ee_log_index(cluster, offset->tp)];
    to->offset = offset->offset;
    memcpy(to->metadata, offset->metadata, sizeof to->metadata);
  }
  producer->offset_count = 0;
  producer->group = NULL;
}

void ee_transaction_mark(struct ee_cluster *cluster, struct ee_producer *producer, size_t which) {
  assert(producer->ending);
  if (which < producer->touched_count) {
    write_marker(cluster, producer, which);
  } else {
    apply_offsets(cluster, producer);
  }
  if (producer->touched_count > 0 || producer->offset_count > 0) return;
  producer->transaction = 0;
  producer->ending = false;
}

void ee_transaction_end(struct ee_cluster *cluster, struct ee_producer *producer, bool commit) {
  assert(producer->transaction != 0 && !producer->ending);
  cluster->transactions[producer->transaction] =
      commit ? EE_TRANSACTION_COMMITTED : EE_TRANSACTION_ABORTED;
  producer->ending = true;
  producer->commits = commit;
  if (producer->touched_count == 0 && producer->offset_count == 0)
    ee_transaction_mark(cluster, producer, 0);
  while (producer->ending && !cluster->holds_markers)
    ee_transaction_mark(cluster, producer, 0);
}
