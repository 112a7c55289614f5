// SPDX-License-Identifier: Apache-2.0
// The layout of values in memory (contract/type.h), in one place.
#include "contract/value.h"

#include <stdlib.h>

size_t ee_pair_offset(enum ee_type_kind kind) {
  switch (kind) {
    case EE_TYPE_BOOLEAN:
      return offsetof(struct ee_opt_boolean, value);
    case EE_TYPE_INT:
      return offsetof(struct ee_opt_int, value);
    case EE_TYPE_LONG:
      return offsetof(struct ee_opt_long, value);
    case EE_TYPE_DECIMAL:
      return offsetof(struct ee_opt_decimal, value);
    case EE_TYPE_ENUM:
      return offsetof(struct ee_opt_enum, value);
    case EE_TYPE_STRING:
    case EE_TYPE_FIXED:
    case EE_TYPE_RECORD:
    case EE_TYPE_ARRAY:
    case EE_TYPE_MAP:
      return 0;
  }
  return 0;
}

size_t ee_value_size(const struct ee_type *type) {
  switch (type->kind) {
    case EE_TYPE_BOOLEAN:
      return type->nullable ? sizeof(struct ee_opt_boolean) : sizeof(bool);
    case EE_TYPE_INT:
      return type->nullable ? sizeof(struct ee_opt_int) : sizeof(int32_t);
    case EE_TYPE_LONG:
      return type->nullable ? sizeof(struct ee_opt_long) : sizeof(int64_t);
    case EE_TYPE_DECIMAL:
      return type->nullable ? sizeof(struct ee_opt_decimal) : sizeof(ee_int128);
    case EE_TYPE_ENUM:
      return type->nullable ? sizeof(struct ee_opt_enum) : sizeof(int);
    case EE_TYPE_STRING:
      return sizeof(struct ee_str);
    case EE_TYPE_FIXED:
      return sizeof(const uint8_t *);
    case EE_TYPE_RECORD:
      return type->nullable ? sizeof(void *) : type->record->size;
    case EE_TYPE_ARRAY:
      return sizeof(struct ee_array);
    case EE_TYPE_MAP:
      return sizeof(struct ee_map);
  }
  return 0;
}

void *ee_value_place(const struct ee_type *type, void *field, struct ee_arena *arena) {
  if (!type->nullable) return field;
  if (type->kind == EE_TYPE_RECORD) {
    void *record = ee_arena_zero(arena, 1, type->record->size);
    *(void **)field = record;
    return record;
  }
  size_t offset = ee_pair_offset(type->kind);
  if (offset > 0) *(bool *)field = true;
  return ee_at_mutable(field, offset);
}

struct sort {
  const struct ee_map *map;
  size_t entry_size;
};

static int compare_keys(const void *a, const void *b, void *context) {
  const struct sort *sort = context;
  return ee_str_compare(ee_map_key(sort->map, sort->entry_size, *(const uint16_t *)a),
                        ee_map_key(sort->map, sort->entry_size, *(const uint16_t *)b));
}

bool ee_map_order(const struct ee_map *map, size_t entry_size, uint16_t order[EE_ENTRIES_MAX]) {
  if (map->count > EE_ENTRIES_MAX) return false;
  for (size_t i = 0; i < map->count; i++) {
    order[i] = (uint16_t)i;
  }
  if (map->count < 2) return true;
  struct sort sort = {.map = map, .entry_size = entry_size};
  qsort_r(order, map->count, sizeof *order, compare_keys, &sort);
  return true;
}

int ee_enum_find(const struct ee_enum_type *type, struct ee_str symbol) {
  for (int i = 0; i < type->count; i++) {
    if (ee_str_equal(type->symbols[i], symbol)) return i;
  }
  return -1;
}
