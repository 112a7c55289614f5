// SPDX-License-Identifier: Apache-2.0
// Records from JSON. Strict about names and kinds, so that a misspelt field is refused
// rather than lost; what the tables check is checked once at the end.
#include <inttypes.h>

#include "base/time.h"
#include "contract/json.h"
#include "contract/value.h"

struct source {
  struct ee_arena *arena;
  struct ee_fault *fault;
};

static bool read_value(const struct source *s, const struct ee_type *type, const json_t *json,
                       void *out);
static bool read_fields(const struct source *s, const struct ee_record_type *type,
                        const json_t *json, void *record);

static bool unlike(const struct source *s, const char *wanted) {
  return ee_fault_set(s->fault, EE_REASON_wrong_schema, 0, ": must be %s", wanted);
}

static bool full(const struct source *s) {
  return ee_fault_set(s->fault, EE_REASON_oversized, 0, ": no room for it");
}

static struct ee_str json_text(const json_t *json) {
  return (struct ee_str){.data = json_string_value(json), .size = json_string_length(json)};
}

static bool read_text(const struct source *s, struct ee_str text, struct ee_str *ret) {
  *ret = ee_arena_str(s->arena, text);
  return ret->data != NULL || full(s);
}

static bool read_boolean(const struct source *s, const json_t *json, bool *ret) {
  if (!json_is_boolean(json)) return unlike(s, "true or false");
  *ret = json_is_true(json);
  return true;
}

static bool read_int(const struct source *s, const json_t *json, int32_t *ret) {
  json_int_t value = json_integer_value(json);
  if (!json_is_integer(json) || value < INT32_MIN || value > INT32_MAX) {
    return unlike(s, "an integer of 32 bits");
  }
  *ret = (int32_t)value;
  return true;
}

static bool read_long(const struct source *s, const struct ee_type *type, const json_t *json,
                      int64_t *ret) {
  if (json_is_integer(json)) {
    *ret = json_integer_value(json);
    return true;
  }
  if (!type->timestamp) return unlike(s, "an integer of 64 bits");
  return (json_is_string(json) && ee_time_parse(json_text(json), ret)) ||
         unlike(s, "a time as in RFC 3339 or integer microseconds");
}

static bool read_decimal(const struct source *s, const json_t *json, void *out) {
  ee_int128 value = json_integer_value(json);
  bool valid =
      json_is_integer(json) || (json_is_string(json) && ee_int128_parse(json_text(json), &value));
  if (!valid) return unlike(s, "a whole number of at most 38 digits");
  memcpy(out, &value, sizeof value);
  return true;
}

static bool read_symbol(const struct source *s, const struct ee_enum_type *type, const json_t *json,
                        int *ret) {
  if (!json_is_string(json)) return unlike(s, "the name of a symbol");
  *ret = ee_enum_find(type, json_text(json));
  return *ret >= 0 ||
         ee_fault_set(s->fault, EE_REASON_bad_enum, 0, ": \"%.64s\" is no symbol of %s",
                      json_string_value(json), type->name);
}

static int base64_digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

// Exactly size bytes, padded, no bits left over.
static bool parse_base64(struct ee_str text, uint8_t *out, size_t size) {
  size_t digits = (size * 8 + 5) / 6;
  uint32_t bits = 0;
  size_t written = 0;
  if (text.size != (size + 2) / 3 * 4) return false;
  for (size_t i = 0; i < text.size; i++) {
    int digit = base64_digit(text.data[i]);
    if (i >= digits ? text.data[i] != '=' : digit < 0) return false;
    if (i >= digits) continue;
    bits = bits << 6 | (uint32_t)digit;
    size_t held = (i + 1) * 6 - written * 8;
    if (held < 8) continue;
    out[written++] = (uint8_t)(bits >> (held - 8));
  }
  return (bits & ((1u << (digits * 6 - size * 8)) - 1)) == 0;
}

static bool read_fixed(const struct source *s, size_t size, const json_t *json,
                       const uint8_t **ret) {
  uint8_t *data = ee_arena_alloc(s->arena, size);
  if (data == NULL) return full(s);
  if (!json_is_string(json) || !parse_base64(json_text(json), data, size)) {
    return ee_fault_set(s->fault, EE_REASON_wrong_schema, 0, ": must be base64 of %zu bytes", size);
  }
  *ret = data;
  return true;
}

static bool read_array(const struct source *s, const struct ee_type *type, const json_t *json,
                       struct ee_array *ret) {
  if (!json_is_array(json)) return unlike(s, "an array");
  size_t count = json_array_size(json);
  if (count == 0) return true;
  ret->items = ee_arena_zero(s->arena, count, type->size);
  if (ret->items == NULL) return full(s);
  ret->count = count;
  for (size_t i = 0; i < count; i++) {
    void *item = ee_at_mutable(ret->items, i * type->size);
    if (!read_value(s, type->item, json_array_get(json, i), item)) {
      return ee_fault_in_item(s->fault, i);
    }
  }
  return true;
}

static bool read_map(const struct source *s, const struct ee_type *type, const json_t *json,
                     struct ee_map *ret) {
  if (!json_is_object(json)) return unlike(s, "an object");
  size_t count = json_object_size(json);
  if (count == 0) return true;
  ret->entries = ee_arena_zero(s->arena, count, type->size);
  if (ret->entries == NULL) return full(s);
  json_t *members = (json_t *)(uintptr_t)json;  // iteration wants it so; nothing is changed
  for (void *i = json_object_iter(members); i != NULL; i = json_object_iter_next(members, i)) {
    void *entry = ee_at_mutable(ret->entries, ret->count++ * type->size);
    struct ee_str key = {.data = json_object_iter_key(i), .size = json_object_iter_key_len(i)};
    if (!read_text(s, key, entry) || !read_value(s, type->item, json_object_iter_value(i),
                                                 ee_at_mutable(entry, EE_ENTRY_VALUE))) {
      return ee_fault_in_key(s->fault, key);
    }
  }
  return true;
}

static bool read_value(const struct source *s, const struct ee_type *type, const json_t *json,
                       void *out) {
  switch (type->kind) {
    case EE_TYPE_BOOLEAN:
      return read_boolean(s, json, out);
    case EE_TYPE_INT:
      return read_int(s, json, out);
    case EE_TYPE_LONG:
      return read_long(s, type, json, out);
    case EE_TYPE_STRING:
      return json_is_string(json) ? read_text(s, json_text(json), out) : unlike(s, "a string");
    case EE_TYPE_FIXED:
      return read_fixed(s, type->size, json, out);
    case EE_TYPE_DECIMAL:
      return read_decimal(s, json, out);
    case EE_TYPE_ENUM:
      return read_symbol(s, type->enumeration, json, out);
    case EE_TYPE_RECORD:
      return read_fields(s, type->record, json, out);
    case EE_TYPE_ARRAY:
      return read_array(s, type, json, out);
    case EE_TYPE_MAP:
      return read_map(s, type, json, out);
  }
  return false;
}

static bool read_field(const struct source *s, const struct ee_field *field, const json_t *json,
                       void *record) {
  void *place = ee_at_mutable(record, field->offset);
  if (json == NULL && (field->fallback != NULL || field->type.nullable)) {
    ee_field_init(field, record);
    return true;
  }
  if (json == NULL) {
    return ee_fault_set(
        s->fault,
        field->check == EE_CHECK_TENANT ? EE_REASON_tenant_missing : EE_REASON_missing_field, 0,
        ": is required");
  }
  if (json_is_null(json) && field->type.nullable) return true;
  place = ee_value_place(&field->type, place, s->arena);
  return place != NULL ? read_value(s, &field->type, json, place) : full(s);
}

static bool is_field(const struct ee_record_type *type, struct ee_str name) {
  for (size_t i = 0; i < type->count; i++) {
    if (ee_str_equal(ee_str(type->fields[i].name), name)) return true;
  }
  return false;
}

static bool refuse_unknown(const struct source *s, const struct ee_record_type *type,
                           const json_t *json) {
  json_t *members = (json_t *)(uintptr_t)json;
  for (void *i = json_object_iter(members); i != NULL; i = json_object_iter_next(members, i)) {
    struct ee_str name = {.data = json_object_iter_key(i), .size = json_object_iter_key_len(i)};
    if (is_field(type, name)) continue;
    ee_fault_set(s->fault, EE_REASON_wrong_schema, 0, ": %s has no such field", type->name);
    return ee_fault_in_field(s->fault, name.data);
  }
  return true;
}

// The record is zero before.
static bool read_fields(const struct source *s, const struct ee_record_type *type,
                        const json_t *json, void *record) {
  if (!json_is_object(json)) return unlike(s, "an object");
  if (!refuse_unknown(s, type, json)) return false;
  for (size_t i = 0; i < type->count; i++) {
    const struct ee_field *field = &type->fields[i];
    if (!read_field(s, field, json_object_get(json, field->name), record)) {
      return ee_fault_in_field(s->fault, field->name);
    }
  }
  return true;
}

bool ee_json_read(const struct ee_record_type *type, const json_t *json, struct ee_arena *arena,
                  void *record, struct ee_fault *fault) {
  struct source s = {.arena = arena, .fault = fault};
  memset(record, 0, type->size);
  if (!read_fields(&s, type, json, record)) return ee_fault_end(fault);
  return ee_check_record(type, record, fault);
}
