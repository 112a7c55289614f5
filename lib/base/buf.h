// SPDX-License-Identifier: Apache-2.0
// A growing byte buffer with a mandatory limit.
//
// Appends never report failure one by one: the first one that cannot be done (limit
// passed, or no memory) marks the buffer failed, later ones do nothing, and the caller
// asks once at the end. Not for sharing between threads.
#ifndef EE_BASE_BUF_H
#define EE_BASE_BUF_H

#include "base/arena.h"
#include "base/slice.h"

struct ee_buf {
  uint8_t *data;           // owned, or the arena's
  struct ee_arena *arena;  // or NULL
  size_t size;
  size_t capacity;
  size_t limit;  // most bytes it may ever hold
  bool failed;
  bool over_limit;  // failed, and more memory would not have helped
};

void ee_buf_init(struct ee_buf *buf, size_t limit);
// Takes its memory from the arena: there is nothing to release, and what it held is gone
// when the arena is cleared. Growing leaves the former memory to the arena: reserve what
// is going to be needed.
void ee_buf_init_in(struct ee_buf *buf, struct ee_arena *arena, size_t limit);
// Frees the contents; the buffer may be initialised again. NULL is allowed.
void ee_buf_release(struct ee_buf *buf);
// Empties it and clears the failure; keeps the memory.
void ee_buf_clear(struct ee_buf *buf);

// Makes room for size more bytes and returns where they go, or NULL (failed). The
// caller writes them and adds to buf->size.
uint8_t *ee_buf_reserve(struct ee_buf *buf, size_t size);
static inline void ee_buf_append(struct ee_buf *buf, const void *data, size_t size);
static inline void ee_buf_byte(struct ee_buf *buf, uint8_t byte);
void ee_buf_str(struct ee_buf *buf, struct ee_str text);
void ee_buf_text(struct ee_buf *buf, const char *text);
void ee_buf_decimal(struct ee_buf *buf, int64_t value);
#define EE_DECIMAL_MAX 20  // digits of UINT64_MAX
// The same for a place that is large enough. Returns how many digits; no NUL.
size_t ee_decimal_print(uint64_t value, char out[EE_DECIMAL_MAX]);
void ee_buf_printf(struct ee_buf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
// Compact JSON string with its quotes: escapes ", \ and control characters; bytes that
// are not valid UTF-8 are a failure.
void ee_buf_json_string(struct ee_buf *buf, struct ee_str text);

void ee_buf_append_slowly(struct ee_buf *buf, const void *data, size_t size);

static inline bool ee_buf_has_room(const struct ee_buf *buf, size_t size) {
  return !buf->failed && size <= buf->capacity - buf->size;
}
static inline void ee_buf_append(struct ee_buf *buf, const void *data, size_t size) {
  if (size == 0) return;
  if (!ee_buf_has_room(buf, size)) {
    ee_buf_append_slowly(buf, data, size);
    return;
  }
  memcpy(buf->data + buf->size, data, size);
  buf->size += size;
}
static inline void ee_buf_byte(struct ee_buf *buf, uint8_t byte) {
  if (!ee_buf_has_room(buf, 1)) {
    ee_buf_append_slowly(buf, &byte, 1);
    return;
  }
  buf->data[buf->size++] = byte;
}

static inline struct ee_bytes ee_buf_bytes(const struct ee_buf *buf) {
  return (struct ee_bytes){.data = buf->data == NULL ? (const uint8_t *)"" : buf->data,
                           .size = buf->size};
}
static inline struct ee_str ee_buf_view(const struct ee_buf *buf) {
  return ee_bytes_str(ee_buf_bytes(buf));
}

#endif
