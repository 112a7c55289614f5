// SPDX-License-Identifier: Apache-2.0
// The last record under each key of a topic.
#include "tools/envelope-local/latest.h"

#include <stdlib.h>

#include "base/hash.h"

static size_t count_all(struct ee_cluster *cluster, enum ee_topic topic) {
  size_t count = 0;
  for (int32_t p = 0; p < ee_cluster_partitions(cluster, topic); p++) {
    int64_t offset = 0;
    while (ee_cluster_next(cluster, (struct ee_tp){topic, p}, &offset) != NULL)
      count++;
  }
  return count;
}

// Puts a message into an open-addressing table with a power of two of places.
static void put(struct ee_message *table, size_t places, const struct ee_message *message) {
  size_t at = (size_t)ee_hash(message->key.data, message->key.size) & (places - 1);
  while (table[at].key.data != NULL && !ee_bytes_equal(table[at].key, message->key)) {
    at = (at + 1) & (places - 1);
  }
  table[at] = *message;
}

bool latest_of(struct ee_cluster *cluster, enum ee_topic topic, struct latest *ret) {
  size_t places = 16;
  while (places < 2 * count_all(cluster, topic))
    places *= 2;
  *ret = (struct latest){.items = calloc(places, sizeof *ret->items)};
  if (ret->items == NULL) return false;
  for (int32_t p = 0; p < ee_cluster_partitions(cluster, topic); p++) {
    const struct ee_message *message;
    int64_t offset = 0;
    while ((message = ee_cluster_next(cluster, (struct ee_tp){topic, p}, &offset)) != NULL) {
      put(ret->items, places, message);
    }
  }
  for (size_t i = 0; i < places; i++) {
    if (ret->items[i].value.data != NULL) {
      ret->items[ret->count++] = ret->items[i];
    }
  }
  return true;
}

void latest_release(struct latest *latest) {
  free(latest->items);
  *latest = (struct latest){0};
}
