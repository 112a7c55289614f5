// SPDX-License-Identifier: Apache-2.0
// Rows of a restore, gathered.
#include "stream/store_batch.h"

#include <stdlib.h>

#include "base/array.h"

#define BATCH_MAX (4 * EE_STORE_VALUE_MAX)

void ee_batch_init(struct ee_batch *batch) {
  *batch = (struct ee_batch){.count = 0};
  ee_buf_init(&batch->bytes, BATCH_MAX);
}

void ee_batch_release(struct ee_batch *batch) {
  ee_buf_release(&batch->bytes);
  free(batch->rows);
  ee_batch_init(batch);
}

void ee_batch_clear(struct ee_batch *batch) {
  if (batch->count == 0) ee_batch_release(batch);
  batch->count = 0;
  ee_buf_clear(&batch->bytes);
}

struct ee_bytes ee_batch_key(const struct ee_batch *batch, const struct ee_batch_row *row) {
  return ee_bytes(batch->bytes.data + row->at, row->key_size);
}

struct ee_bytes ee_batch_value(const struct ee_batch *batch, const struct ee_batch_row *row) {
  if (!row->present) return ee_bytes(NULL, 0);
  return ee_bytes(batch->bytes.data + row->at + row->key_size, row->value_size);
}

bool ee_batch_add(struct ee_batch *batch, const struct ee_packed *key, struct ee_bytes value,
                  int64_t wake_at) {
  struct ee_buf *bytes = &batch->bytes;
  size_t at = bytes->size;
  struct ee_batch_row *rows =
      ee_array_room(batch->rows, batch->count, &batch->capacity, sizeof *rows);
  if (rows == NULL) return false;
  batch->rows = rows;
  if (ee_buf_reserve(bytes, key->size + value.size) == NULL) {
    bytes->failed = false;  // what it holds is whole
    return false;
  }
  ee_buf_append(bytes, key->data, key->size);
  ee_buf_append(bytes, value.data, value.size);
  batch->rows[batch->count++] = (struct ee_batch_row){.at = at,
                                                      .value_size = (uint32_t)value.size,
                                                      .key_size = (uint16_t)key->size,
                                                      .present = value.data != NULL,
                                                      .wake_at = wake_at};
  return true;
}

void ee_batch_drop(struct ee_batch *batch, int32_t partition) {
  size_t kept = 0;
  for (size_t i = 0; i < batch->count; i++) {
    const uint8_t *key = batch->bytes.data + batch->rows[i].at;
    if ((key[0] << 8 | key[1]) != partition) batch->rows[kept++] = batch->rows[i];
  }
  batch->count = kept;
  if (kept == 0) ee_batch_release(batch);
}

size_t ee_batch_memory(const struct ee_batch *batch) {
  return batch->bytes.capacity + batch->capacity * sizeof *batch->rows;
}
