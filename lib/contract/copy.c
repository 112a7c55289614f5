// SPDX-License-Identifier: Apache-2.0
// Deep copies into an arena, `encoded` included.
#include "contract/value.h"

static bool copy_value(const struct ee_type *type, void *value, struct ee_arena *arena);

// Each function turns a shallow copy into a deep one in place.
static bool copy_bytes(const void **data, size_t size, struct ee_arena *arena) {
  if (*data == NULL) return true;
  void *copy = ee_arena_alloc(arena, size);
  if (copy == NULL) return false;
  if (size > 0) memcpy(copy, *data, size);
  *data = copy;
  return true;
}

static bool copy_text(struct ee_str *text, struct ee_arena *arena) {
  const void *data = text->data;
  bool done = copy_bytes(&data, text->size, arena);
  text->data = data;
  return done;
}

static bool copy_items(void **items, size_t count, size_t size, struct ee_arena *arena) {
  if (count == 0) {
    *items = NULL;
    return true;
  }
  if (count > SIZE_MAX / size) return false;
  const void *data = *items;
  if (!copy_bytes(&data, count * size, arena)) return false;
  *items = (void *)(uintptr_t)data;
  return true;
}

static bool copy_array(const struct ee_type *type, struct ee_array *array, struct ee_arena *arena) {
  if (!copy_items(&array->items, array->count, type->size, arena)) return false;
  for (size_t i = 0; i < array->count; i++) {
    if (!copy_value(type->item, ee_at_mutable(array->items, i * type->size), arena)) return false;
  }
  return true;
}

static bool copy_map(const struct ee_type *type, struct ee_map *map, struct ee_arena *arena) {
  if (!copy_items(&map->entries, map->count, type->size, arena)) return false;
  for (size_t i = 0; i < map->count; i++) {
    void *entry = ee_at_mutable(map->entries, i * type->size);
    if (!copy_text(entry, arena) ||
        !copy_value(type->item, ee_at_mutable(entry, EE_ENTRY_VALUE), arena)) {
      return false;
    }
  }
  return true;
}

static bool copy_fixed(const uint8_t **fixed, size_t size, struct ee_arena *arena) {
  const void *data = *fixed;
  bool done = copy_bytes(&data, size, arena);
  *fixed = data;
  return done;
}

static bool copy_pointed(const struct ee_record_type *type, void **record, struct ee_arena *arena) {
  if (*record == NULL) return true;
  void *copy = ee_arena_alloc(arena, type->size);
  if (copy == NULL || !ee_copy(type, *record, copy, arena)) return false;
  *record = copy;
  return true;
}

static bool copy_fields(const struct ee_record_type *type, void *record, struct ee_arena *arena) {
  if (type->schema != NULL) {
    struct ee_bytes *encoded = record;
    if (!copy_fixed(&encoded->data, encoded->size, arena)) return false;
  }
  for (size_t i = 0; i < type->count; i++) {
    const struct ee_type *field = &type->fields[i].type;
    if (!copy_value(field, ee_at_mutable(record, type->fields[i].offset), arena)) return false;
  }
  return true;
}

static bool copy_value(const struct ee_type *type, void *value, struct ee_arena *arena) {
  switch (type->kind) {
    case EE_TYPE_STRING:
      return copy_text(value, arena);
    case EE_TYPE_FIXED:
      return copy_fixed(value, type->size, arena);
    case EE_TYPE_RECORD:
      return type->nullable ? copy_pointed(type->record, value, arena)
                            : copy_fields(type->record, value, arena);
    case EE_TYPE_ARRAY:
      return copy_array(type, value, arena);
    case EE_TYPE_MAP:
      return copy_map(type, value, arena);
    case EE_TYPE_BOOLEAN:
    case EE_TYPE_INT:
    case EE_TYPE_LONG:
    case EE_TYPE_DECIMAL:
    case EE_TYPE_ENUM:
      break;
  }
  return true;
}

bool ee_copy(const struct ee_record_type *type, const void *from, void *to,
             struct ee_arena *arena) {
  memcpy(to, from, type->size);
  return copy_fields(type, to, arena);
}
