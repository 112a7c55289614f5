// SPDX-License-Identifier: Apache-2.0
// Growing byte buffer. Memory is always one byte larger than capacity, so that
// vsnprintf's NUL has a place which counts for nothing.
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"

#define CAPACITY_LEAST ((size_t)64)

void ee_buf_init(struct ee_buf *buf, size_t limit) {
  if (limit == SIZE_MAX) limit--;  // room for the extra byte
  *buf = (struct ee_buf){.limit = limit};
}

void ee_buf_init_in(struct ee_buf *buf, struct ee_arena *arena, size_t limit) {
  ee_buf_init(buf, limit);
  buf->arena = arena;
}

void ee_buf_release(struct ee_buf *buf) {
  if (buf == NULL) return;
  if (buf->arena == NULL) free(buf->data);
  *buf = (struct ee_buf){.limit = buf->limit};
}

void ee_buf_clear(struct ee_buf *buf) {
  buf->size = 0;
  buf->failed = false;
  buf->over_limit = false;
}

// A capacity that holds needed (within the limit) and makes appending linear in all.
static size_t grown_capacity(const struct ee_buf *buf, size_t needed) {
  size_t capacity = buf->capacity > buf->limit / 2 ? buf->limit : buf->capacity * 2;
  if (capacity < CAPACITY_LEAST) capacity = CAPACITY_LEAST;
  if (capacity < needed) capacity = needed;
  return capacity > buf->limit ? buf->limit : capacity;
}

static uint8_t *grown(const struct ee_buf *buf, size_t capacity) {
  if (buf->arena == NULL) return realloc(buf->data, capacity + 1);
  uint8_t *data = ee_arena_alloc(buf->arena, capacity + 1);
  if (data != NULL && buf->size > 0) memcpy(data, buf->data, buf->size);
  return data;
}

uint8_t *ee_buf_reserve(struct ee_buf *buf, size_t size) {
  if (buf->failed) return NULL;
  if (size > buf->limit - buf->size) {
    buf->failed = true;
    buf->over_limit = true;
    return NULL;
  }
  if (buf->data == NULL || size > buf->capacity - buf->size) {
    size_t capacity = grown_capacity(buf, buf->size + size);
    uint8_t *data = grown(buf, capacity);
    if (data == NULL) {
      buf->failed = true;
      return NULL;
    }
    buf->data = data;
    buf->capacity = capacity;
  }
  return buf->data + buf->size;
}

void ee_buf_append_slowly(struct ee_buf *buf, const void *data, size_t size) {
  uint8_t *place = ee_buf_reserve(buf, size);
  if (place == NULL) return;
  memcpy(place, data, size);
  buf->size += size;
}

void ee_buf_str(struct ee_buf *buf, struct ee_str text) {
  ee_buf_append(buf, text.data, text.size);
}

void ee_buf_text(struct ee_buf *buf, const char *text) {
  ee_buf_append(buf, text, strlen(text));
}

size_t ee_decimal_print(uint64_t value, char out[EE_DECIMAL_MAX]) {
  char text[EE_DECIMAL_MAX];
  size_t at = sizeof text;
  do {
    text[--at] = (char)('0' + value % 10);
    value /= 10;
  } while (value > 0);
  memcpy(out, text + at, sizeof text - at);
  return sizeof text - at;
}

void ee_buf_decimal(struct ee_buf *buf, int64_t value) {
  char text[EE_DECIMAL_MAX + 1] = "-";
  size_t sign = value < 0 ? 1 : 0;
  uint64_t digits = value < 0 ? -(uint64_t)value : (uint64_t)value;
  ee_buf_append(buf, text, ee_decimal_print(digits, text + sign) + sign);
}

void ee_buf_printf(struct ee_buf *buf, const char *format, ...) {
  uint8_t *place = ee_buf_reserve(buf, 0);
  if (place == NULL) return;
  va_list arguments, again;
  va_start(arguments, format);
  va_copy(again, arguments);
  size_t room = buf->capacity - buf->size;
  int length = vsnprintf((char *)place, room + 1, format, arguments);
  if (length < 0) {
    buf->failed = true;
  } else if ((size_t)length > room && (place = ee_buf_reserve(buf, (size_t)length)) != NULL) {
    vsnprintf((char *)place, (size_t)length + 1, format, again);
  }
  if (!buf->failed) buf->size += (size_t)length;
  va_end(again);
  va_end(arguments);
}

static void json_escape(struct ee_buf *buf, uint8_t byte) {
  static const char letters[32] = {
      ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
  if (byte == '"' || byte == '\\') {
    ee_buf_byte(buf, '\\');
    ee_buf_byte(buf, byte);
  } else if (letters[byte] != 0) {
    ee_buf_byte(buf, '\\');
    ee_buf_byte(buf, (uint8_t)letters[byte]);
  } else {
    ee_buf_printf(buf, "\\u%04x", byte);
  }
}

void ee_buf_json_string(struct ee_buf *buf, struct ee_str text) {
  if (!ee_utf8_valid(text.data, text.size)) {
    buf->failed = true;
    return;
  }
  ee_buf_byte(buf, '"');
  size_t plain = 0;  // where the run that needs no escape begins
  for (size_t i = 0; i < text.size; i++) {
    uint8_t byte = (uint8_t)text.data[i];
    if (byte >= 0x20 && byte != '"' && byte != '\\') continue;
    ee_buf_append(buf, text.data + plain, i - plain);
    json_escape(buf, byte);
    plain = i + 1;
  }
  if (text.size > plain) ee_buf_append(buf, text.data + plain, text.size - plain);
  ee_buf_byte(buf, '"');
}
