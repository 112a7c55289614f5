// SPDX-License-Identifier: Apache-2.0
// Borrowed runs of bytes: the one way in which text and binary values are handed around.
#ifndef EE_BASE_SLICE_H
#define EE_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// Text. Not NUL-terminated; may contain NUL. data == NULL means absent, which is not
// the same as empty. Borrows what it points to.
struct ee_str {
  const char *data;
  size_t size;
};

// Binary. data == NULL means absent (a Kafka null). Borrows what it points to.
struct ee_bytes {
  const uint8_t *data;
  size_t size;
};

#define EE_STR(literal) ((struct ee_str){.data = "" literal, .size = sizeof(literal) - 1})
// The same in the initializer of a static table.
#define EE_STR_INIT(literal) \
  { .data = "" literal, .size = sizeof(literal) - 1 }
// For printf's "%.*s"; cuts nothing below 2 GiB.
#define EE_STR_ARG(s) (int)(s).size, (s).data == NULL ? "" : (s).data

static inline struct ee_str ee_str(const char *text) {
  return (struct ee_str){.data = text, .size = text == NULL ? 0 : strlen(text)};
}

static inline struct ee_bytes ee_bytes(const void *data, size_t size) {
  return (struct ee_bytes){.data = data, .size = size};
}

static inline struct ee_bytes ee_str_bytes(struct ee_str s) {
  return (struct ee_bytes){.data = (const uint8_t *)s.data, .size = s.size};
}

static inline struct ee_str ee_bytes_str(struct ee_bytes b) {
  return (struct ee_str){.data = (const char *)b.data, .size = b.size};
}

static inline bool ee_str_equal(struct ee_str a, struct ee_str b) {
  return a.size == b.size && (a.data == NULL) == (b.data == NULL) &&
         (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

// Order of the bytes, a shorter prefix first. Absent orders as empty.
static inline int ee_bytes_compare(struct ee_bytes a, struct ee_bytes b) {
  size_t size = a.size < b.size ? a.size : b.size;
  int order = size == 0 ? 0 : memcmp(a.data, b.data, size);
  if (order != 0) return order;
  return a.size < b.size ? -1 : a.size > b.size;
}

static inline int ee_str_compare(struct ee_str a, struct ee_str b) {
  return ee_bytes_compare(ee_str_bytes(a), ee_str_bytes(b));
}

static inline bool ee_bytes_equal(struct ee_bytes a, struct ee_bytes b) {
  return (a.data == NULL) == (b.data == NULL) && a.size == b.size && ee_bytes_compare(a, b) == 0;
}

#endif
