// SPDX-License-Identifier: Apache-2.0
// Records on their way to the broker: collected while a batch is stepped, handed over when
// the transaction's state allows.
#include <stdlib.h>

#include "base/array.h"
#include "stream/runtime_impl.h"

// One batch. Far above batch_bytes, since a single step may book years of hours at once
// (a late admission over an old grant).
#define OUTPUT_BYTES_MAX ((size_t)256 << 20)
#define HEADERS_MAX EE_DEADLETTER_HEADERS
// Beside key, value and headers: our list's and librdkafka's bookkeeping.
#define OUTPUT_COST 256

void output_init(struct output_list *list) {
  *list = (struct output_list){0};
  ee_buf_init(&list->bytes, OUTPUT_BYTES_MAX);
}

void output_release(struct output_list *list) {
  free(list->items);
  free(list->headers);
  ee_buf_release(&list->bytes);
  *list = (struct output_list){0};
}

void output_clear(struct output_list *list) {
  list->count = 0;
  list->header_count = 0;
  list->sent = 0;
  ee_buf_clear(&list->bytes);
}

static bool add_header(struct output_list *list, const struct ee_header *header) {
  struct pending_header *headers =
      ee_array_room(list->headers, list->header_count, &list->header_capacity, sizeof *headers);
  if (headers == NULL) return false;
  list->headers = headers;
  list->headers[list->header_count++] = (struct pending_header){
      .name = header->name, .value_at = list->bytes.size, .value_size = header->value.size};
  ee_buf_append(&list->bytes, header->value.data, header->value.size);
  return true;
}

static bool add_item(struct output_list *list, const struct pending_output *item) {
  struct pending_output *items =
      ee_array_room(list->items, list->count, &list->capacity, sizeof *items);
  if (items == NULL) return false;
  list->items = items;
  list->items[list->count++] = *item;
  return true;
}

bool output_add(struct ee_runtime *rt, struct ee_tp tp, struct ee_bytes key, struct ee_bytes value,
                const struct ee_header *headers, size_t header_count) {
  struct output_list *list = &rt->open_outputs;
  struct pending_output item = {.tp = tp,
                                .key_at = list->bytes.size,
                                .key_size = key.size,
                                .key_null = key.data == NULL,
                                .value_null = value.data == NULL,
                                .header_at = list->header_count,
                                .header_count = header_count};
  ee_buf_append(&list->bytes, key.data, key.size);
  item.value_at = list->bytes.size;
  if (!item.value_null) {
    struct ee_bytes prefix = rt->prefixes[tp.topic];
    ee_buf_append(&list->bytes, prefix.data, prefix.size);
    ee_buf_append(&list->bytes, value.data, value.size);
  }
  item.value_size = list->bytes.size - item.value_at;
  for (size_t i = 0; i < header_count; i++) {
    if (!add_header(list, &headers[i])) return false;
  }
  if (list->bytes.failed || !add_item(list, &item)) return false;
  rt->batch_bytes += list->bytes.size - item.key_at + OUTPUT_COST;
  rt->metrics->outputs[tp.topic]++;
  return true;
}

bool output_full(const struct ee_runtime *rt) {
  return rt->batch_bytes >= (size_t)rt->settings.batch_bytes;
}

static enum ee_outcome_class send_one(struct ee_runtime *rt, const struct output_list *list,
                                      const struct pending_output *item, struct ee_err *err) {
  struct ee_header headers[HEADERS_MAX];
  for (size_t i = 0; i < item->header_count && i < HEADERS_MAX; i++) {
    const struct pending_header *header = &list->headers[item->header_at + i];
    headers[i] = (struct ee_header){
        .name = header->name,
        .value = ee_bytes(list->bytes.data + header->value_at, header->value_size)};
  }
  struct ee_output output = {
      .tp = item->tp, .headers = headers, .header_count = item->header_count};
  if (!item->key_null) output.key = ee_bytes(list->bytes.data + item->key_at, item->key_size);
  if (!item->value_null) {
    output.value = ee_bytes(list->bytes.data + item->value_at, item->value_size);
  }
  return rt->broker->ops->produce(rt->broker, &output, err);
}

enum ee_outcome_class output_send(struct ee_runtime *rt, struct output_list *list,
                                  struct ee_err *err) {
  while (list->sent < list->count) {
    enum ee_outcome_class outcome = send_one(rt, list, &list->items[list->sent], err);
    if (outcome != EE_DONE) return outcome;
    list->sent++;
  }
  output_clear(list);
  return EE_DONE;
}
