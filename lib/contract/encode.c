// SPDX-License-Identifier: Apache-2.0
// Avro binary form of records. Arrays and maps are written as one block with a plain
// count, so that equal records whose maps are in the same order have equal bytes.
#include "contract/value.h"

static void encode_value(const struct ee_type *type, const void *value, struct ee_buf *out);

static void encode_varint(uint64_t n, struct ee_buf *out) {
  uint8_t bytes[10];
  size_t size = 0;
  for (; n >= 0x80; n >>= 7) {
    bytes[size++] = (uint8_t)(n | 0x80);
  }
  bytes[size++] = (uint8_t)n;
  ee_buf_append(out, bytes, size);
}

static inline void encode_long(int64_t value, struct ee_buf *out) {
  uint64_t n = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
  if (n < 0x80) {
    ee_buf_byte(out, (uint8_t)n);
  } else {
    encode_varint(n, out);
  }
}

static inline void encode_text(struct ee_str text, struct ee_buf *out) {
  encode_long((int64_t)text.size, out);
  ee_buf_append(out, text.data, text.size);
}

static void encode_fixed(const uint8_t *data, size_t size, struct ee_buf *out) {
  if (data != NULL) {
    ee_buf_append(out, data, size);
    return;
  }
  uint8_t *empty = ee_buf_reserve(out, size);
  if (empty == NULL) return;
  memset(empty, 0, size);
  out->size += size;
}

static void encode_decimal(const void *value, struct ee_buf *out) {
  ee_int128 number;
  uint8_t bytes[16];
  memcpy(&number, value, sizeof number);
  size_t size = ee_int128_to_bytes(number, bytes);
  encode_long((int64_t)size, out);
  ee_buf_append(out, bytes, size);
}

static void encode_array(const struct ee_type *type, const struct ee_array *array,
                         struct ee_buf *out) {
  if (array->count > 0) encode_long((int64_t)array->count, out);
  for (size_t i = 0; i < array->count; i++) {
    encode_value(type->item, ee_at(array->items, i * type->size), out);
  }
  encode_long(0, out);
}

static void encode_map(const struct ee_type *type, const struct ee_map *map, struct ee_buf *out) {
  if (map->count > 0) encode_long((int64_t)map->count, out);
  for (size_t i = 0; i < map->count; i++) {
    const void *entry = ee_at(map->entries, i * type->size);
    encode_text(*(const struct ee_str *)entry, out);
    encode_value(type->item, ee_at(entry, EE_ENTRY_VALUE), out);
  }
  encode_long(0, out);
}

static void encode_value(const struct ee_type *type, const void *value, struct ee_buf *out) {
  switch (type->kind) {
    case EE_TYPE_BOOLEAN:
      ee_buf_byte(out, *(const bool *)value);
      break;
    case EE_TYPE_INT:
      encode_long(*(const int32_t *)value, out);
      break;
    case EE_TYPE_LONG:
      encode_long(*(const int64_t *)value, out);
      break;
    case EE_TYPE_STRING:
      encode_text(*(const struct ee_str *)value, out);
      break;
    case EE_TYPE_FIXED:
      encode_fixed(*(const uint8_t *const *)value, type->size, out);
      break;
    case EE_TYPE_DECIMAL:
      encode_decimal(value, out);
      break;
    case EE_TYPE_ENUM:
      encode_long(*(const int *)value, out);
      break;
    case EE_TYPE_RECORD:
      ee_encode(type->record, value, out);
      break;
    case EE_TYPE_ARRAY:
      encode_array(type, value, out);
      break;
    case EE_TYPE_MAP:
      encode_map(type, value, out);
      break;
  }
}

#define SHORT_TEXT 64  // its length is one byte

// Most fields are short texts: with their branch and their length in one go.
static bool encode_short_text(struct ee_str text, int branch, struct ee_buf *out) {
  if (text.size >= SHORT_TEXT || !ee_buf_has_room(out, text.size + 2)) return false;
  uint8_t *at = out->data + out->size;
  if (branch >= 0) *at++ = (uint8_t)branch;
  *at++ = (uint8_t)(text.size << 1);
  if (text.size > 0) memcpy(at, text.data, text.size);
  out->size = (size_t)(at + text.size - out->data);
  return true;
}

static void encode_field(const struct ee_type *type, const void *field, struct ee_buf *out) {
  const void *value = ee_value_in(type, field);
  // Branch 0 is zero as a varint, branch 1 is two.
  int branch = !type->nullable ? -1 : (value == NULL) == type->null_second ? 2 : 0;
  if (type->kind == EE_TYPE_STRING && value != NULL &&
      encode_short_text(*(const struct ee_str *)value, branch, out)) {
    return;
  }
  if (branch >= 0) ee_buf_byte(out, (uint8_t)branch);
  if (value != NULL) encode_value(type, value, out);
}

void ee_encode(const struct ee_record_type *type, const void *record, struct ee_buf *out) {
  if (type->schema != NULL) {
    const struct ee_bytes *encoded = record;
    if (encoded->data != NULL) {
      ee_buf_append(out, encoded->data, encoded->size);
      return;
    }
  }
  for (size_t i = 0; i < type->count; i++) {
    encode_field(&type->fields[i].type, ee_at(record, type->fields[i].offset), out);
  }
}
