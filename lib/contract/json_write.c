// SPDX-License-Identifier: Apache-2.0
// Records as compact JSON. A redaction is matched against the path of each value on the
// way down; what it names is replaced before any of its bytes are written.
#include <inttypes.h>

#include "base/time.h"
#include "contract/json.h"
#include "contract/value.h"

#define PATH_MAX_SIZE 1024  // field names of the schemas, nested; keys are not in it

struct writer {
  struct ee_buf *out;
  const struct ee_redaction *redaction;
  char path[PATH_MAX_SIZE];
  size_t path_size;
};

static void write_value(struct writer *w, const struct ee_type *type, const void *value);
static void write_fields(struct writer *w, const struct ee_record_type *type, const void *record);

// ---- Redaction.

static bool starts_with(struct ee_str text, const char *data, size_t size) {
  return text.size >= size && memcmp(text.data, data, size) == 0;
}

// True if the path so far is named.
static bool names_path(const struct writer *w) {
  if (w->redaction == NULL) return false;
  for (size_t i = 0; i < w->redaction->count; i++) {
    struct ee_str path = w->redaction->paths[i];
    if (path.size == w->path_size && starts_with(path, w->path, w->path_size)) return true;
  }
  return false;
}

// True if the entry of that key in the map at the path so far is named.
static bool names_entry(const struct writer *w, struct ee_str key) {
  if (w->redaction == NULL) return false;
  for (size_t i = 0; i < w->redaction->count; i++) {
    struct ee_str path = w->redaction->paths[i];
    size_t size = w->path_size;
    if (path.size <= size || !starts_with(path, w->path, size) || path.data[size] != '.') continue;
    struct ee_str rest = {.data = path.data + size + 1, .size = path.size - size - 1};
    if (ee_str_equal(rest, EE_STR("*")) || ee_str_equal(rest, key)) return true;
  }
  return false;
}

static void write_redacted(struct writer *w) {
  ee_buf_text(w->out, "{\"redacted\":true}");
}

// Puts a field's name behind the path and returns the size to go back to.
static size_t enter(struct writer *w, const char *name) {
  size_t before = w->path_size;
  size_t size = strlen(name);
  if (before + size + 1 > sizeof w->path) {
    w->out->failed = true;  // never print what might have had to be redacted
    return before;
  }
  if (before > 0) w->path[w->path_size++] = '.';
  memcpy(w->path + w->path_size, name, size);
  w->path_size += size;
  return before;
}

// ---- Values.

static void write_base64(const uint8_t *data, size_t size, struct ee_buf *out) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  ee_buf_byte(out, '"');
  for (size_t i = 0; i < size; i += 3) {
    size_t rest = size - i;
    uint32_t group = (uint32_t)data[i] << 16;
    if (rest > 1) group |= (uint32_t)data[i + 1] << 8;
    if (rest > 2) group |= data[i + 2];
    char text[4] = {digits[group >> 18], digits[group >> 12 & 63],
                    rest > 1 ? digits[group >> 6 & 63] : '=', rest > 2 ? digits[group & 63] : '='};
    ee_buf_append(out, text, sizeof text);
  }
  ee_buf_byte(out, '"');
}

static void write_long(const struct ee_type *type, int64_t value, struct ee_buf *out) {
  char text[EE_RFC3339_SIZE];
  if (type->timestamp) ee_time_print(value, text);
  // Years beyond 9999 have no RFC 3339 form and are printed as an integer.
  bool is_time = type->timestamp && strchr(text, 'T') != NULL;
  if (is_time) {
    ee_buf_printf(out, "\"%s\"", text);
  } else {
    ee_buf_printf(out, "%" PRId64, value);
  }
}

static void write_decimal(const void *value, struct ee_buf *out) {
  char text[EE_INT128_TEXT];
  ee_int128 number;
  memcpy(&number, value, sizeof number);
  ee_int128_print(number, text);
  ee_buf_printf(out, "\"%s\"", text);
}

static void write_symbol(const struct ee_enum_type *type, int index, struct ee_buf *out) {
  if (index < 0 || index >= type->count) {
    out->failed = true;
    return;
  }
  ee_buf_json_string(out, type->symbols[index]);
}

static void write_text(struct ee_str text, struct ee_buf *out) {
  ee_buf_json_string(out, text.data == NULL ? EE_STR("") : text);
}

static void write_array(struct writer *w, const struct ee_type *type,
                        const struct ee_array *array) {
  ee_buf_byte(w->out, '[');
  for (size_t i = 0; i < array->count; i++) {
    if (i > 0) ee_buf_byte(w->out, ',');
    write_value(w, type->item, ee_at(array->items, i * type->size));
  }
  ee_buf_byte(w->out, ']');
}

static void write_map(struct writer *w, const struct ee_type *type, const struct ee_map *map) {
  uint16_t order[EE_ENTRIES_MAX];
  if (!ee_map_order(map, type->size, order)) {
    w->out->failed = true;
    return;
  }
  ee_buf_byte(w->out, '{');
  for (size_t i = 0; i < map->count; i++) {
    const void *entry = ee_at(map->entries, order[i] * (size_t)type->size);
    struct ee_str key = *(const struct ee_str *)entry;
    if (i > 0) ee_buf_byte(w->out, ',');
    write_text(key, w->out);
    ee_buf_byte(w->out, ':');
    if (names_entry(w, key)) {
      write_redacted(w);
    } else {
      write_value(w, type->item, ee_at(entry, EE_ENTRY_VALUE));
    }
  }
  ee_buf_byte(w->out, '}');
}

static void write_fixed(const uint8_t *data, size_t size, struct ee_buf *out) {
  write_base64(data, data == NULL ? 0 : size, out);
}

static void write_value(struct writer *w, const struct ee_type *type, const void *value) {
  switch (type->kind) {
    case EE_TYPE_BOOLEAN:
      ee_buf_text(w->out, *(const bool *)value ? "true" : "false");
      break;
    case EE_TYPE_INT:
      ee_buf_printf(w->out, "%" PRId32, *(const int32_t *)value);
      break;
    case EE_TYPE_LONG:
      write_long(type, *(const int64_t *)value, w->out);
      break;
    case EE_TYPE_STRING:
      write_text(*(const struct ee_str *)value, w->out);
      break;
    case EE_TYPE_FIXED:
      write_fixed(*(const uint8_t *const *)value, type->size, w->out);
      break;
    case EE_TYPE_DECIMAL:
      write_decimal(value, w->out);
      break;
    case EE_TYPE_ENUM:
      write_symbol(type->enumeration, *(const int *)value, w->out);
      break;
    case EE_TYPE_RECORD:
      write_fields(w, type->record, value);
      break;
    case EE_TYPE_ARRAY:
      write_array(w, type, value);
      break;
    case EE_TYPE_MAP:
      write_map(w, type, value);
      break;
  }
}

static void write_fields(struct writer *w, const struct ee_record_type *type, const void *record) {
  bool first = true;
  ee_buf_byte(w->out, '{');
  for (size_t i = 0; i < type->count; i++) {
    const struct ee_field *field = &type->fields[i];
    const void *value = ee_value_in(&field->type, ee_at(record, field->offset));
    if (value == NULL) continue;
    ee_buf_printf(w->out, "%s\"%s\":", first ? "" : ",", field->name);
    first = false;
    size_t before = enter(w, field->name);
    if (names_path(w)) {
      write_redacted(w);
    } else {
      write_value(w, &field->type, value);
    }
    w->path_size = before;
  }
  ee_buf_byte(w->out, '}');
}

void ee_json_write(const struct ee_record_type *type, const void *record,
                   const struct ee_redaction *redaction, struct ee_buf *out) {
  struct writer w = {.out = out, .redaction = redaction};
  write_fields(&w, type, record);
}

// ---- Is a path one of the type's?

static const struct ee_field *find_field(const struct ee_record_type *type, struct ee_str name) {
  for (size_t i = 0; i < type->count; i++) {
    if (ee_str_equal(ee_str(type->fields[i].name), name)) return &type->fields[i];
  }
  return NULL;
}

bool ee_redaction_path_valid(const struct ee_record_type *type, struct ee_str path) {
  while (path.data != NULL) {
    const char *dot = memchr(path.data, '.', path.size);
    size_t size = dot == NULL ? path.size : (size_t)(dot - path.data);
    const struct ee_field *field =
        find_field(type, (struct ee_str){.data = path.data, .size = size});
    if (field == NULL) return false;
    if (dot == NULL) return true;
    path = (struct ee_str){.data = dot + 1, .size = path.size - size - 1};
    const struct ee_type *inner =
        field->type.kind == EE_TYPE_ARRAY ? field->type.item : &field->type;
    if (inner->kind == EE_TYPE_MAP) return path.size > 0;
    if (inner->kind != EE_TYPE_RECORD) return false;
    type = inner->record;
  }
  return false;
}
