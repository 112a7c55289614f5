// SPDX-License-Identifier: Apache-2.0
// What a value must satisfy beyond its Avro type, and the check of whole structs that were
// made by hand or from JSON.
#include "base/utf8.h"
#include "contract/value.h"

#define IDENTIFIER_MAX 128  // contract, section "The contract"

static bool check_value(const struct ee_type *type, enum ee_check check, const void *value,
                        struct ee_fault *fault);

bool ee_check_text(enum ee_check check, struct ee_str text, size_t position,
                   struct ee_fault *fault) {
  if (check != EE_CHECK_IDENTIFIER && check != EE_CHECK_TENANT && check != EE_CHECK_REQUIRED) {
    return true;
  }
  if (text.size == 0) {
    return ee_fault_set(
        fault, check == EE_CHECK_TENANT ? EE_REASON_tenant_missing : EE_REASON_missing_field,
        position, ": must not be empty");
  }
  if (check == EE_CHECK_REQUIRED) return true;
  if (text.size > IDENTIFIER_MAX) {
    return ee_fault_set(fault, EE_REASON_oversized, position, ": %zu bytes, at most %d may be",
                        text.size, IDENTIFIER_MAX);
  }
  if (memchr(text.data, 0, text.size) != NULL) {
    return ee_fault_set(fault, EE_REASON_invalid_utf8, position, ": contains a NUL");
  }
  return true;
}

static bool is_part_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-';
}

// Parts of [A-Za-z0-9_-]+ with dots between them, at least one dot, then perhaps a slash
// and a name of any bytes.
static bool has_namespace(struct ee_str key) {
  size_t part = 0;
  size_t dots = 0;
  size_t i = 0;
  for (; i < key.size && key.data[i] != '/'; i++) {
    if (key.data[i] == '.') {
      if (part == 0) return false;
      dots++;
      part = 0;
    } else if (is_part_byte(key.data[i])) {
      part++;
    } else {
      return false;
    }
  }
  return part > 0 && dots > 0 && (i == key.size || i + 1 < key.size);
}

bool ee_check_entry(struct ee_str key, struct ee_str value, size_t position,
                    struct ee_fault *fault) {
  if (!has_namespace(key)) {
    return ee_fault_set(fault, EE_REASON_extension_not_namespaced, position,
                        ": the key has no namespace");
  }
  if (!ee_json_text_valid(value)) {
    return ee_fault_set(fault, EE_REASON_extension_not_namespaced, position,
                        ": the value is not JSON text");
  }
  return true;
}

bool ee_decimal_fits(ee_int128 value) {
  const ee_int128 bound = UINT64_C(10000000000000000000);  // 10^19
  return value / bound < bound && value / bound > -bound;
}

static bool check_text(enum ee_check check, bool nullable, struct ee_str text,
                       struct ee_fault *fault) {
  if (check != EE_CHECK_NONE && !ee_check_text(check, text, 0, fault)) return false;
  if (text.data == NULL && !nullable) {
    return ee_fault_set(fault, EE_REASON_missing_field, 0, ": is absent");
  }
  if (!ee_utf8_valid(text.data, text.size)) {
    return ee_fault_set(fault, EE_REASON_invalid_utf8, 0, ": not valid UTF-8");
  }
  return true;
}

static bool check_array(const struct ee_type *type, const struct ee_array *array,
                        struct ee_fault *fault) {
  for (size_t i = 0; i < array->count; i++) {
    if (!check_value(type->item, EE_CHECK_NONE, ee_at(array->items, i * type->size), fault)) {
      return ee_fault_in_item(fault, i);
    }
  }
  return true;
}

static bool check_map_entry(const struct ee_type *type, enum ee_check check, const void *entry,
                            struct ee_fault *fault) {
  struct ee_str key = *(const struct ee_str *)entry;
  const void *value = ee_at(entry, EE_ENTRY_VALUE);
  if (!check_text(EE_CHECK_NONE, false, key, fault)) return false;
  if (!check_value(type->item, EE_CHECK_NONE, value, fault)) return false;
  if (check != EE_CHECK_NAMESPACED_JSON) return true;
  return ee_check_entry(key, *(const struct ee_str *)value, 0, fault);
}

static bool check_map(const struct ee_type *type, enum ee_check check, const struct ee_map *map,
                      struct ee_fault *fault) {
  uint16_t order[EE_ENTRIES_MAX];
  if (map->count == 0) return true;
  if (!ee_map_order(map, type->size, order)) {
    return ee_fault_set(fault, EE_REASON_oversized, 0, ": more than %d entries", EE_ENTRIES_MAX);
  }
  for (size_t i = 0; i < map->count; i++) {
    struct ee_str key = ee_map_key(map, type->size, order[i]);
    if (i > 0 && ee_str_compare(key, ee_map_key(map, type->size, order[i - 1])) == 0) {
      ee_fault_set(fault, EE_REASON_duplicate_key, 0, ": the key is there twice");
      return ee_fault_in_key(fault, key);
    }
    if (!check_map_entry(type, check, ee_at(map->entries, order[i] * (size_t)type->size), fault)) {
      return ee_fault_in_key(fault, key);
    }
  }
  return true;
}

static bool check_fields(const struct ee_record_type *type, const void *record,
                         struct ee_fault *fault) {
  for (size_t i = 0; i < type->count; i++) {
    const struct ee_field *field = &type->fields[i];
    const void *value = ee_value_in(&field->type, ee_at(record, field->offset));
    if (value == NULL) continue;
    // Most fields are texts.
    bool sound =
        field->type.kind == EE_TYPE_STRING
            ? check_text(field->check, field->type.nullable, *(const struct ee_str *)value, fault)
            : check_value(&field->type, field->check, value, fault);
    if (!sound) {
      return ee_fault_in_field(fault, field->name);
    }
  }
  return true;
}

static bool check_value(const struct ee_type *type, enum ee_check check, const void *value,
                        struct ee_fault *fault) {
  switch (type->kind) {
    case EE_TYPE_STRING:
      return check_text(check, type->nullable, *(const struct ee_str *)value, fault);
    case EE_TYPE_FIXED:
      return *(const uint8_t *const *)value != NULL ||
             ee_fault_set(fault, EE_REASON_missing_field, 0, ": is absent");
    case EE_TYPE_DECIMAL: {
      ee_int128 number;
      memcpy(&number, value, sizeof number);
      return ee_decimal_fits(number) ||
             ee_fault_set(fault, EE_REASON_oversized, 0, ": more than 38 digits");
    }
    case EE_TYPE_ENUM: {
      int index = *(const int *)value;
      if (index == -1) return ee_fault_set(fault, EE_REASON_missing_field, 0, ": is absent");
      return (index >= 0 && index < type->enumeration->count) ||
             ee_fault_set(fault, EE_REASON_bad_enum, 0, ": %d is no symbol of %s", index,
                          type->enumeration->name);
    }
    case EE_TYPE_RECORD:
      return check_fields(type->record, value, fault);
    case EE_TYPE_ARRAY:
      return check_array(type, value, fault);
    case EE_TYPE_MAP:
      return check_map(type, check, value, fault);
    case EE_TYPE_BOOLEAN:
    case EE_TYPE_INT:
    case EE_TYPE_LONG:
      break;
  }
  return true;
}

bool ee_check_record(const struct ee_record_type *type, const void *record,
                     struct ee_fault *fault) {
  return check_fields(type, record, fault) || ee_fault_end(fault);
}
