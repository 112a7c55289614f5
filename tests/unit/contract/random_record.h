// SPDX-License-Identifier: Apache-2.0
// Random records of any type, valid by its table: every kind of value, absent optionals,
// empty and large maps, text with NUL and with characters of one to four bytes.
#ifndef EE_TESTS_RANDOM_RECORD_H
#define EE_TESTS_RANDOM_RECORD_H

#include <stdlib.h>

#include "contract/value.h"

// SplitMix64: the same values from the same seed everywhere.
struct random {
  uint64_t state;
};

static inline uint64_t random_next(struct random *r) {
  uint64_t z = (r->state += UINT64_C(0x9e3779b97f4a7c15));
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

static inline size_t random_below(struct random *r, size_t bound) {
  return (size_t)(random_next(r) % bound);
}

// Numbers of every length, both signs.
static inline int64_t random_long(struct random *r) {
  uint64_t n = random_next(r) >> random_below(r, 64);
  return (int64_t)(random_below(r, 2) == 0 ? n : ~n);
}

static inline struct ee_str random_text(struct random *r, struct ee_arena *arena, size_t least) {
  static const char *const pieces[] = {
      "a",  "Z",  "7",  "-", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x9a\x80",
      "\"", "\\", "\n", "/", "\x7f"};
  size_t count = least + random_below(r, random_below(r, 8) == 0 ? 300 : 20);
  char *data = ee_arena_alloc(arena, 4 * count + 1);
  size_t size = 0;
  if (data == NULL) abort();
  for (size_t i = 0; i < count; i++) {
    size_t choice = random_below(r, 60);
    const char *piece = choice < 12 ? pieces[choice] : "b";
    memcpy(data + size, piece, strlen(piece));
    size += strlen(piece);
    if (choice == 59) data[size - 1] = '\0';
  }
  return (struct ee_str){.data = data, .size = size};
}

static inline struct ee_str random_format(struct ee_arena *arena, const char *format,
                                          uint64_t number) {
  char text[64];
  int size = snprintf(text, sizeof text, "%s%llu", format, (unsigned long long)number);
  return ee_arena_str(arena, (struct ee_str){.data = text, .size = (size_t)size});
}

static inline struct ee_str random_checked_text(struct random *r, struct ee_arena *arena,
                                                enum ee_check check) {
  if (check == EE_CHECK_IDENTIFIER || check == EE_CHECK_TENANT) {
    return random_format(arena, "id-", random_next(r) >> random_below(r, 64));
  }
  return random_text(r, arena, check == EE_CHECK_REQUIRED ? 1 : 0);
}

static inline void random_record(struct random *r, const struct ee_record_type *type,
                                 struct ee_arena *arena, void *record);

static inline void random_value(struct random *r, const struct ee_type *type, enum ee_check check,
                                struct ee_arena *arena, void *out);

static inline void random_array(struct random *r, const struct ee_type *type,
                                struct ee_arena *arena, struct ee_array *out) {
  out->count = random_below(r, 4);
  out->items = out->count == 0 ? NULL : ee_arena_zero(arena, out->count, type->size);
  for (size_t i = 0; i < out->count; i++) {
    random_value(r, type->item, EE_CHECK_NONE, arena, ee_at_mutable(out->items, i * type->size));
  }
}

static inline struct ee_str random_json(struct random *r, struct ee_arena *arena) {
  static const char *const texts[] = {"null",
                                      "true",
                                      "-0.5e+3",
                                      "\"a\\u0000\\n\"",
                                      "[]",
                                      "{}",
                                      " {\"a\": [1, {\"b\": null}]} ",
                                      "\"\xe2\x82\xac\""};
  return ee_arena_str(arena, ee_str(texts[random_below(r, sizeof(texts) / sizeof *texts)]));
}

static inline void random_map(struct random *r, const struct ee_type *type, enum ee_check check,
                              struct ee_arena *arena, struct ee_map *out) {
  out->count = random_below(r, random_below(r, 10) == 0 ? 40 : 4);
  out->entries = out->count == 0 ? NULL : ee_arena_zero(arena, out->count, type->size);
  uint64_t first = random_next(r) >> random_below(r, 64);
  for (size_t i = 0; i < out->count; i++) {
    void *entry = ee_at_mutable(out->entries, i * type->size);
    bool namespaced = check == EE_CHECK_NAMESPACED_JSON;
    // An odd factor keeps the keys apart and mixes their order.
    *(struct ee_str *)entry =
        random_format(arena, namespaced ? "com.example-1/k" : "k.\xc3\xa9", (first + i) * 7919);
    void *value = ee_at_mutable(entry, EE_ENTRY_VALUE);
    if (namespaced) {
      *(struct ee_str *)value = random_json(r, arena);
    } else {
      random_value(r, type->item, EE_CHECK_NONE, arena, value);
    }
  }
}

static inline void random_value(struct random *r, const struct ee_type *type, enum ee_check check,
                                struct ee_arena *arena, void *out) {
  switch (type->kind) {
    case EE_TYPE_BOOLEAN:
      *(bool *)out = random_below(r, 2) == 1;
      break;
    case EE_TYPE_INT:
      *(int32_t *)out = (int32_t)random_long(r);
      break;
    case EE_TYPE_LONG:
      *(int64_t *)out = random_long(r);
      break;
    case EE_TYPE_STRING:
      *(struct ee_str *)out = random_checked_text(r, arena, check);
      break;
    case EE_TYPE_FIXED: {
      uint8_t *data = ee_arena_alloc(arena, type->size);
      for (size_t i = 0; i < type->size; i++) {
        data[i] = (uint8_t)random_next(r);
      }
      *(const uint8_t **)out = data;
      break;
    }
    case EE_TYPE_DECIMAL: {
      ee_int128 value = (ee_int128)random_long(r) * random_long(r);
      if (!ee_decimal_fits(value)) value = random_long(r);
      memcpy(out, &value, sizeof value);
      break;
    }
    case EE_TYPE_ENUM:
      *(int *)out = (int)random_below(r, (size_t)type->enumeration->count);
      break;
    case EE_TYPE_RECORD:
      random_record(r, type->record, arena, out);
      break;
    case EE_TYPE_ARRAY:
      random_array(r, type, arena, out);
      break;
    case EE_TYPE_MAP:
      random_map(r, type, check, arena, out);
      break;
  }
}

static inline void random_record(struct random *r, const struct ee_record_type *type,
                                 struct ee_arena *arena, void *record) {
  memset(record, 0, type->size);
  for (size_t i = 0; i < type->count; i++) {
    const struct ee_field *field = &type->fields[i];
    void *place = ee_at_mutable(record, field->offset);
    if (field->type.nullable && random_below(r, 3) == 0) continue;
    random_value(r, &field->type, field->check, arena, ee_value_place(&field->type, place, arena));
  }
}

#endif
