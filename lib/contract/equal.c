// SPDX-License-Identifier: Apache-2.0
// Equality of records as values. `encoded` says nothing about the value and is not looked
// at: two encodings of one value may differ.
#include "contract/value.h"

#define SMALL_MAP 16  // up to here comparing each with each is quicker than sorting

static bool equal_value(const struct ee_type *type, const void *a, const void *b);

static const void *find_entry(const struct ee_type *type, const struct ee_map *map,
                              struct ee_str key) {
  for (size_t i = 0; i < map->count; i++) {
    if (ee_str_equal(ee_map_key(map, type->size, i), key)) {
      return ee_at(map->entries, i * type->size);
    }
  }
  return NULL;
}

static bool equal_entry(const struct ee_type *type, const void *a, const void *b) {
  return ee_str_equal(*(const struct ee_str *)a, *(const struct ee_str *)b) &&
         equal_value(type->item, ee_at(a, EE_ENTRY_VALUE), ee_at(b, EE_ENTRY_VALUE));
}

static bool equal_sorted(const struct ee_type *type, const struct ee_map *a,
                         const struct ee_map *b) {
  uint16_t order_a[EE_ENTRIES_MAX];
  uint16_t order_b[EE_ENTRIES_MAX];
  if (!ee_map_order(a, type->size, order_a) || !ee_map_order(b, type->size, order_b)) return false;
  for (size_t i = 0; i < a->count; i++) {
    if (!equal_entry(type, ee_at(a->entries, order_a[i] * (size_t)type->size),
                     ee_at(b->entries, order_b[i] * (size_t)type->size))) {
      return false;
    }
  }
  return true;
}

static bool equal_map(const struct ee_type *type, const struct ee_map *a, const struct ee_map *b) {
  if (a->count != b->count) return false;
  if (a->count > SMALL_MAP) return equal_sorted(type, a, b);
  for (size_t i = 0; i < a->count; i++) {
    const void *entry = ee_at(a->entries, i * type->size);
    const void *other = find_entry(type, b, *(const struct ee_str *)entry);
    if (other == NULL || !equal_entry(type, entry, other)) return false;
  }
  return true;
}

static bool equal_array(const struct ee_type *type, const struct ee_array *a,
                        const struct ee_array *b) {
  if (a->count != b->count) return false;
  for (size_t i = 0; i < a->count; i++) {
    if (!equal_value(type->item, ee_at(a->items, i * type->size),
                     ee_at(b->items, i * type->size))) {
      return false;
    }
  }
  return true;
}

static bool equal_fixed(const uint8_t *a, const uint8_t *b, size_t size) {
  if (a == NULL || b == NULL) return a == b;
  return memcmp(a, b, size) == 0;
}

static bool equal_value(const struct ee_type *type, const void *a, const void *b) {
  switch (type->kind) {
    case EE_TYPE_BOOLEAN:
      return *(const bool *)a == *(const bool *)b;
    case EE_TYPE_INT:
      return *(const int32_t *)a == *(const int32_t *)b;
    case EE_TYPE_LONG:
      return *(const int64_t *)a == *(const int64_t *)b;
    case EE_TYPE_STRING:
      return ee_str_equal(*(const struct ee_str *)a, *(const struct ee_str *)b);
    case EE_TYPE_FIXED:
      return equal_fixed(*(const uint8_t *const *)a, *(const uint8_t *const *)b, type->size);
    case EE_TYPE_DECIMAL:
      return memcmp(a, b, sizeof(ee_int128)) == 0;
    case EE_TYPE_ENUM:
      return *(const int *)a == *(const int *)b;
    case EE_TYPE_RECORD:
      return ee_equal(type->record, a, b, NULL);
    case EE_TYPE_ARRAY:
      return equal_array(type, a, b);
    case EE_TYPE_MAP:
      return equal_map(type, a, b);
  }
  return false;
}

static bool is_named(const char *name, const char *const *names) {
  for (; names != NULL && *names != NULL; names++) {
    if (strcmp(name, *names) == 0) return true;
  }
  return false;
}

bool ee_equal(const struct ee_record_type *type, const void *a, const void *b,
              const char *const *except) {
  for (size_t i = 0; i < type->count; i++) {
    const struct ee_field *field = &type->fields[i];
    if (is_named(field->name, except)) continue;
    const void *value_a = ee_value_in(&field->type, ee_at(a, field->offset));
    const void *value_b = ee_value_in(&field->type, ee_at(b, field->offset));
    if ((value_a == NULL) != (value_b == NULL)) return false;
    if (value_a != NULL && !equal_value(&field->type, value_a, value_b)) return false;
  }
  return true;
}
