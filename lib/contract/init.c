// SPDX-License-Identifier: Apache-2.0
// Records at their defaults. The generator lets only such defaults pass as can be set here
// from their JSON text without a parser: numbers, plain strings, symbols, emptiness.
#include <stdlib.h>

#include "contract/value.h"

static struct ee_str unquoted(const char *fallback) {
  return (struct ee_str){.data = fallback + 1, .size = strlen(fallback) - 2};
}

void ee_field_init(const struct ee_field *field, void *record) {
  const struct ee_type *type = &field->type;
  void *value = ee_at_mutable(record, field->offset);
  if (type->kind == EE_TYPE_RECORD && !type->nullable) {
    ee_record_init(type->record, value);
    return;
  }
  if (field->fallback == NULL || type->nullable) return;
  switch (type->kind) {
    case EE_TYPE_BOOLEAN:
      *(bool *)value = field->fallback[0] == 't';
      break;
    case EE_TYPE_INT:
      *(int32_t *)value = (int32_t)strtol(field->fallback, NULL, 10);
      break;
    case EE_TYPE_LONG:
      *(int64_t *)value = strtoll(field->fallback, NULL, 10);
      break;
    case EE_TYPE_STRING:
      *(struct ee_str *)value = unquoted(field->fallback);
      break;
    case EE_TYPE_ENUM:
      *(int *)value = ee_enum_find(type->enumeration, unquoted(field->fallback));
      break;
    case EE_TYPE_FIXED:
    case EE_TYPE_DECIMAL:
    case EE_TYPE_RECORD:
    case EE_TYPE_ARRAY:
    case EE_TYPE_MAP:
      break;
  }
}

void ee_record_init(const struct ee_record_type *type, void *record) {
  memset(record, 0, type->size);
  for (size_t i = 0; i < type->count; i++) {
    ee_field_init(&type->fields[i], record);
  }
}
