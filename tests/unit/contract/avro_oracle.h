// SPDX-License-Identifier: Apache-2.0
// avro-c's generic values as the oracle: does it read from the bytes what we read, value
// for value? Only for bytes that our interpreter has accepted.
#ifndef EE_TESTS_AVRO_ORACLE_H
#define EE_TESTS_AVRO_ORACLE_H

#include <avro.h>

#include "contract/value.h"

struct avro_oracle {
  const struct ee_record_type *type;
  avro_schema_t schema;
  avro_value_iface_t *class;
  avro_value_t value;
};

static inline bool avro_oracle_init(struct avro_oracle *oracle, const struct ee_record_type *type) {
  *oracle = (struct avro_oracle){.type = type};
  if (avro_schema_from_json_length(type->schema, type->schema_size, &oracle->schema) != 0) {
    return false;
  }
  oracle->class = avro_generic_class_from_schema(oracle->schema);
  return oracle->class != NULL && avro_generic_value_new(oracle->class, &oracle->value) == 0;
}

static inline void avro_oracle_release(struct avro_oracle *oracle) {
  if (oracle->value.iface != NULL) avro_value_decref(&oracle->value);
  if (oracle->class != NULL) avro_value_iface_decref(oracle->class);
  if (oracle->schema != NULL) avro_schema_decref(oracle->schema);
}

static inline bool avro_same_record(const struct ee_record_type *type, const void *record,
                                    avro_value_t *avro);
static inline bool avro_same_value(const struct ee_type *type, const void *value,
                                   avro_value_t *avro);

static inline bool avro_same_text(struct ee_str text, avro_value_t *avro) {
  const char *data = NULL;
  size_t size = 0;
  return avro_value_get_string(avro, &data, &size) == 0 && size == text.size + 1 &&
         memcmp(data, text.data, text.size) == 0;
}

static inline bool avro_same_decimal(const void *value, avro_value_t *avro) {
  const void *data = NULL;
  size_t size = 0;
  ee_int128 ours, theirs;
  memcpy(&ours, value, sizeof ours);
  return avro_value_get_bytes(avro, &data, &size) == 0 &&
         ee_int128_from_bytes(ee_bytes(data, size), &theirs) && ours == theirs;
}

static inline bool avro_same_items(const struct ee_type *type, const struct ee_array *array,
                                   avro_value_t *avro) {
  size_t count = 0;
  if (avro_value_get_size(avro, &count) != 0 || count != array->count) return false;
  for (size_t i = 0; i < count; i++) {
    avro_value_t item;
    if (avro_value_get_by_index(avro, i, &item, NULL) != 0 ||
        !avro_same_value(type->item, ee_at(array->items, i * type->size), &item)) {
      return false;
    }
  }
  return true;
}

static inline bool avro_same_entries(const struct ee_type *type, const struct ee_map *map,
                                     avro_value_t *avro) {
  size_t count = 0;
  if (avro_value_get_size(avro, &count) != 0) return false;
  // avro-c ends keys at a NUL, so keys that differ behind one are the same key to it.
  for (size_t i = 0; i < map->count; i++) {
    struct ee_str key = ee_map_key(map, type->size, i);
    if (memchr(key.data, 0, key.size) != NULL) return true;
  }
  if (count != map->count) return false;
  for (size_t i = 0; i < count; i++) {
    avro_value_t value;
    const char *key = NULL;
    if (avro_value_get_by_index(avro, i, &value, &key) != 0 ||
        !ee_str_equal(ee_str(key), ee_map_key(map, type->size, i)) ||
        !avro_same_value(type->item, ee_at(map->entries, i * type->size + EE_ENTRY_VALUE),
                         &value)) {
      return false;
    }
  }
  return true;
}

static inline bool avro_same_value(const struct ee_type *type, const void *value,
                                   avro_value_t *avro) {
  int number = 0;
  int32_t narrow = 0;
  int64_t wide = 0;
  const void *data = NULL;
  size_t size = 0;
  switch (type->kind) {
    case EE_TYPE_BOOLEAN:
      return avro_value_get_boolean(avro, &number) == 0 && number == *(const bool *)value;
    case EE_TYPE_INT:
      return avro_value_get_int(avro, &narrow) == 0 && narrow == *(const int32_t *)value;
    case EE_TYPE_LONG:
      return avro_value_get_long(avro, &wide) == 0 && wide == *(const int64_t *)value;
    case EE_TYPE_STRING:
      return avro_same_text(*(const struct ee_str *)value, avro);
    case EE_TYPE_FIXED:
      return avro_value_get_fixed(avro, &data, &size) == 0 && size == type->size &&
             memcmp(data, *(const uint8_t *const *)value, size) == 0;
    case EE_TYPE_DECIMAL:
      return avro_same_decimal(value, avro);
    case EE_TYPE_ENUM:
      return avro_value_get_enum(avro, &number) == 0 && number == *(const int *)value;
    case EE_TYPE_RECORD:
      return avro_same_record(type->record, value, avro);
    case EE_TYPE_ARRAY:
      return avro_same_items(type, value, avro);
    case EE_TYPE_MAP:
      return avro_same_entries(type, value, avro);
  }
  return false;
}

static inline bool avro_same_field(const struct ee_type *type, const void *place,
                                   avro_value_t *avro) {
  const void *value = ee_value_in(type, place);
  if (!type->nullable) return avro_same_value(type, value, avro);
  int branch = -1;
  avro_value_t inner;
  if (avro_value_get_discriminant(avro, &branch) != 0) return false;
  bool absent = (branch == 1) == type->null_second;
  if (absent || value == NULL) return absent && value == NULL;
  return avro_value_get_current_branch(avro, &inner) == 0 && avro_same_value(type, value, &inner);
}

static inline bool avro_same_record(const struct ee_record_type *type, const void *record,
                                    avro_value_t *avro) {
  for (size_t i = 0; i < type->count; i++) {
    const struct ee_field *field = &type->fields[i];
    avro_value_t value;
    if (avro_value_get_by_name(avro, field->name, &value, NULL) != 0 ||
        !avro_same_field(&field->type, ee_at(record, field->offset), &value)) {
      return false;
    }
  }
  return true;
}

// Gives the value's memory back until it is needed again. (It keeps pointers at addresses
// where a leak checker does not look.)
static inline void avro_oracle_rest(struct avro_oracle *oracle) {
  avro_value_decref(&oracle->value);
  oracle->value.iface = NULL;
}

static inline bool avro_oracle_ready(struct avro_oracle *oracle) {
  if (oracle->value.iface != NULL) return avro_value_reset(&oracle->value) == 0;
  return avro_generic_value_new(oracle->class, &oracle->value) == 0;
}

// True if avro-c reads all of the bytes, and as this record.
static inline bool avro_oracle_agrees(struct avro_oracle *oracle, struct ee_bytes bytes,
                                      const void *record) {
  avro_reader_t reader = avro_reader_memory((const char *)bytes.data, (int64_t)bytes.size);
  char one_more;
  bool read = reader != NULL && avro_oracle_ready(oracle) &&
              avro_value_read(reader, &oracle->value) == 0 && avro_read(reader, &one_more, 1) != 0;
  avro_reader_free(reader);
  return read && avro_same_record(oracle->type, record, &oracle->value);
}

#endif
