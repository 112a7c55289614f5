// SPDX-License-Identifier: Apache-2.0
// What a restore reads, on its way to the disk (private to store*.c): values gathered in one
// piece and written one after the other, past the working set, which has no use for them until
// the partition runs.
#ifndef EE_STREAM_STORE_BATCH_H
#define EE_STREAM_STORE_BATCH_H

#include "base/buf.h"
#include "stream/store_set.h"

struct ee_batch_row {
  size_t at;  // the packed key, then the value
  uint32_t value_size;
  uint16_t key_size;
  bool present;  // false: the key has no value
  int64_t wake_at;
};

// Of two rows of one key the later one holds.
struct ee_batch {
  struct ee_buf bytes;
  struct ee_batch_row *rows;  // owned
  size_t count, capacity;
};

void ee_batch_init(struct ee_batch *batch);
// Forgets all rows and gives their memory back.
void ee_batch_release(struct ee_batch *batch);
// Forgets all rows; keeps the memory for more of them, and gives it back if there were none.
void ee_batch_clear(struct ee_batch *batch);
// value data NULL: the key has none. False: no memory, and nothing has changed.
bool ee_batch_add(struct ee_batch *batch, const struct ee_packed *key, struct ee_bytes value,
                  int64_t wake_at);
void ee_batch_drop(struct ee_batch *batch, int32_t partition);
// Memory of everything here.
size_t ee_batch_memory(const struct ee_batch *batch);

struct ee_bytes ee_batch_key(const struct ee_batch *batch, const struct ee_batch_row *row);
// data NULL: none.
struct ee_bytes ee_batch_value(const struct ee_batch *batch, const struct ee_batch_row *row);

#endif
