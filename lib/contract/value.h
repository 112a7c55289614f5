// SPDX-License-Identifier: Apache-2.0
// For this folder alone: where a value lies in a struct, and what the walks share.
#ifndef EE_CONTRACT_VALUE_H
#define EE_CONTRACT_VALUE_H

#include "contract/record.h"

// Where the value of a map's entry lies: after the key, at the next multiple of 16 at most.
#define EE_ENTRY_VALUE (sizeof(struct ee_str))
_Static_assert(offsetof(struct ee_long_entry, value) == EE_ENTRY_VALUE, "entry layout");
_Static_assert(offsetof(struct ee_str_entry, value) == EE_ENTRY_VALUE, "entry layout");

static inline const void *ee_at(const void *base, size_t offset) {
  return (const char *)base + offset;
}
static inline void *ee_at_mutable(void *base, size_t offset) {
  return (char *)base + offset;
}

// How far the value of a nullable pair lies behind its flag; 0 for the kinds that are
// nullable by a pointer.
size_t ee_pair_offset(enum ee_type_kind kind);
// Bytes of a field of this type in its struct.
size_t ee_value_size(const struct ee_type *type);
// The bare value in a field, or NULL where a nullable one is absent. For a string or fixed
// that is not nullable never NULL, though it may point to absent text.
static inline const void *ee_value_in(const struct ee_type *type, const void *field) {
  if (!type->nullable) return field;
  switch (type->kind) {
    case EE_TYPE_STRING:
      return ((const struct ee_str *)field)->data == NULL ? NULL : field;
    case EE_TYPE_FIXED:
      return *(const uint8_t *const *)field == NULL ? NULL : field;
    case EE_TYPE_RECORD:
      return *(const void *const *)field;
    default:
      return *(const bool *)field ? ee_at(field, ee_pair_offset(type->kind)) : NULL;
  }
}
// Marks a nullable field present and returns where its bare value goes. A record behind a
// pointer is taken zeroed from the arena; NULL: it is full.
void *ee_value_place(const struct ee_type *type, void *field, struct ee_arena *arena);
// Sets one field of a record to its default. The field must be zero before.
void ee_field_init(const struct ee_field *field, void *record);

// Numbers of the entries in the order of their keys. False when there are more than
// EE_ENTRIES_MAX. entry_size is the type's size.
bool ee_map_order(const struct ee_map *map, size_t entry_size, uint16_t order[EE_ENTRIES_MAX]);
static inline struct ee_str ee_map_key(const struct ee_map *map, size_t entry_size, size_t i) {
  return *(const struct ee_str *)ee_at(map->entries, i * entry_size);
}

// The checks of the tables (enum ee_check) on one string. Its UTF-8 is checked elsewhere.
bool ee_check_text(enum ee_check check, struct ee_str text, size_t position,
                   struct ee_fault *fault);
// NAMESPACED_JSON on one entry; the fault is the entry's, its key is not yet in the path.
bool ee_check_entry(struct ee_str key, struct ee_str value, size_t position,
                    struct ee_fault *fault);
// |value| < 10^38, as the schemas' precision says.
bool ee_decimal_fits(ee_int128 value);
// JSON text as in RFC 8259, nesting at most EE_SCHEMA_DEPTH_MAX. The bytes are valid UTF-8.
bool ee_json_text_valid(struct ee_str text);

#endif
