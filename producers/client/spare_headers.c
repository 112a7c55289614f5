// SPDX-License-Identifier: Apache-2.0
// Header lists that librdkafka is done with, filled in again.
#include "client/spare_headers.h"

#include <stdlib.h>

#define NAME_SIZE 64

static rd_kafka_headers_t *take(struct ee_spare_headers *spare, enum ee_topic topic) {
  if (spare->counts[topic] == 0) return NULL;
  spare->total--;
  return spare->lists[topic][--spare->counts[topic]];
}

void ee_spare_headers_release(struct ee_spare_headers *spare) {
  for (int topic = 0; topic < EE_TOPIC_COUNT; topic++) {
    rd_kafka_headers_t *list;
    while ((list = take(spare, (enum ee_topic)topic)) != NULL)
      rd_kafka_headers_destroy(list);
    free(spare->lists[topic]);
    spare->lists[topic] = NULL;
  }
}

static bool same(const rd_kafka_headers_t *list, size_t at, const struct ee_header *header) {
  const char *name;
  const void *value;
  size_t size;
  return rd_kafka_header_get_all(list, at, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR &&
         size == header->value.size && memcmp(value, header->value.data, size) == 0 &&
         ee_str_equal(ee_str(name), header->name);
}

// Removes all headers from there on. A name goes with its header, so that a copy is asked for.
static bool cut(rd_kafka_headers_t *list, size_t at) {
  const char *found;
  const void *value;
  size_t size;
  char name[NAME_SIZE];
  while (rd_kafka_header_get_all(list, at, &found, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR) {
    size_t length = strlen(found);
    if (length >= sizeof name) return false;
    memcpy(name, found, length + 1);
    if (rd_kafka_header_remove(list, name) != RD_KAFKA_RESP_ERR_NO_ERROR) return false;
  }
  return true;
}

// Leaves what it has of these headers from the first on. False: what it has is not known.
static bool keep_same(rd_kafka_headers_t *list, const struct ee_header *headers, size_t count,
                      size_t *at) {
  while (*at < count && same(list, *at, &headers[*at]))
    (*at)++;
  return cut(list, *at);
}

static bool add(rd_kafka_headers_t *list, const struct ee_header *header) {
  return rd_kafka_header_add(list, header->name.data, (ssize_t)header->name.size,
                             header->value.data,
                             (ssize_t)header->value.size) == RD_KAFKA_RESP_ERR_NO_ERROR;
}

rd_kafka_headers_t *ee_spare_headers_fill(struct ee_spare_headers *spare, enum ee_topic topic,
                                          const struct ee_header *headers, size_t count,
                                          size_t constant) {
  rd_kafka_headers_t *list = take(spare, topic);
  size_t at = list == NULL ? 0 : constant;
  bool known = list == NULL || keep_same(list, headers, count, &at);
  if (list == NULL) list = rd_kafka_headers_new(count);
  if (list == NULL) return NULL;
  while (known && at < count && add(list, &headers[at]))
    at++;
  if (known && at == count) return list;
  rd_kafka_headers_destroy(list);
  return NULL;
}

void ee_spare_headers_give_back(struct ee_spare_headers *spare, enum ee_topic topic,
                                rd_kafka_headers_t *list) {
  rd_kafka_headers_t ***lists = &spare->lists[topic];
  if (*lists == NULL) *lists = malloc(EE_SPARE_HEADERS_MAX * sizeof **lists);
  if (*lists == NULL || spare->total == EE_SPARE_HEADERS_MAX) {
    rd_kafka_headers_destroy(list);
    return;
  }
  (*lists)[spare->counts[topic]++] = list;
  spare->total++;
}
