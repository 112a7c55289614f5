// SPDX-License-Identifier: Apache-2.0
// Schemas are checked and brought into canonical form in one walk over the parsed JSON. What
// comes out holds only what was understood, so that it can be handed on safely.
#include "contract/canonical.h"

#include "contract/record.h"

#define NAME_MAX_SIZE 512  // bytes of a full name

struct walk {
  struct ee_buf *out;
  struct ee_err *err;
  json_t *names;      // owned; full names defined so far
  const char *space;  // namespace in force; "" is none
  unsigned depth;
};

static bool canonical(struct walk *walk, const json_t *schema);

// A set of names; NULL, which the other functions take: memory is out.
static json_t *new_names(struct walk *walk) {
  json_t *names = json_object();
  if (names == NULL) walk->out->failed = true;
  return names;
}

// False: it was there, or memory is out.
static bool add_name(struct walk *walk, json_t *names, const char *name) {
  if (json_object_get(names, name) != NULL) return false;
  if (json_object_set_new(names, name, json_true()) == 0) return true;
  walk->out->failed = true;
  return false;
}

static const char *text_of(const json_t *object, const char *member) {
  return json_string_value(json_object_get(object, member));
}

static bool is_primitive(const char *name) {
  static const char *const names[] = {"null",  "boolean", "int",   "long",
                                      "float", "double",  "bytes", "string"};
  for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
    if (strcmp(names[i], name) == 0) return true;
  }
  return false;
}

// [A-Za-z_][A-Za-z0-9_]*, with dots between such parts where allowed.
static bool is_name(const char *name, bool dots) {
  bool first = true;
  if (name == NULL || strlen(name) > NAME_MAX_SIZE) return false;
  for (; *name != '\0'; name++) {
    char c = *name;
    if (c == '.' && dots && !first) {
      first = true;
      continue;
    }
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    if (!letter && (first || c < '0' || c > '9')) return false;
    first = false;
  }
  return !first;
}

// The name with the namespace in force before it, unless it has one.
static void full_name(const char *space, const char *name, char out[NAME_MAX_SIZE + 2]) {
  if (strchr(name, '.') != NULL || space[0] == '\0') space = "";
  snprintf(out, NAME_MAX_SIZE + 2, "%s%s%s", space, space[0] == '\0' ? "" : ".", name);
}

static bool canonical_name(struct walk *walk, const char *name) {
  char full[NAME_MAX_SIZE + 2];
  if (!is_primitive(name)) {
    if (!is_name(name, true)) return ee_err_set(walk->err, "a type has no valid name");
    full_name(walk->space, name, full);
    if (json_object_get(walk->names, full) == NULL) {
      return ee_err_set(walk->err, "type %s is not defined before its use", full);
    }
    name = full;
  }
  ee_buf_printf(walk->out, "\"%s\"", name);
  return true;
}

// What tells the branches of a union apart: the name of a named type, else the type's.
static const char *branch_name(const struct walk *walk, const json_t *branch,
                               char full[NAME_MAX_SIZE + 2]) {
  const char *type = json_is_string(branch) ? json_string_value(branch) : text_of(branch, "type");
  const char *name = text_of(branch, "name");
  bool named = type != NULL && (strcmp(type, "record") == 0 || strcmp(type, "enum") == 0 ||
                                strcmp(type, "fixed") == 0);
  if (named && name != NULL) {
    const char *space = text_of(branch, "namespace");
    full_name(space != NULL ? space : walk->space, name, full);
    return full;
  }
  if (type != NULL && !is_primitive(type) && json_is_string(branch)) {
    full_name(walk->space, type, full);
    return full;
  }
  return type;
}

static bool canonical_union(struct walk *walk, const json_t *schema) {
  json_t *seen = new_names(walk);
  bool valid = seen != NULL && json_array_size(schema) > 0;
  if (!valid) ee_err_set(walk->err, "an empty union");
  ee_buf_byte(walk->out, '[');
  for (size_t i = 0; valid && i < json_array_size(schema); i++) {
    const json_t *branch = json_array_get(schema, i);
    char full[NAME_MAX_SIZE + 2];
    const char *name = branch_name(walk, branch, full);
    if (json_is_array(branch) || name == NULL || !add_name(walk, seen, name)) {
      valid = ee_err_set(walk->err, "a union holds a type twice, another union or no type");
      break;
    }
    if (i > 0) ee_buf_byte(walk->out, ',');
    valid = canonical(walk, branch);
  }
  ee_buf_byte(walk->out, ']');
  json_decref(seen);
  return valid;
}

static bool canonical_symbols(struct walk *walk, const json_t *schema) {
  const json_t *symbols = json_object_get(schema, "symbols");
  json_t *seen = new_names(walk);
  bool valid = seen != NULL && json_array_size(symbols) > 0;
  ee_buf_text(walk->out, ",\"symbols\":[");
  for (size_t i = 0; valid && i < json_array_size(symbols); i++) {
    const char *symbol = json_string_value(json_array_get(symbols, i));
    valid = is_name(symbol, false) && add_name(walk, seen, symbol);
    if (valid) ee_buf_printf(walk->out, "%s\"%s\"", i > 0 ? "," : "", symbol);
  }
  ee_buf_byte(walk->out, ']');
  json_decref(seen);
  return valid || ee_err_set(walk->err, "an enum has no symbols, or one twice or not a name");
}

static bool canonical_size(struct walk *walk, const json_t *schema) {
  const json_t *size = json_object_get(schema, "size");
  if (!json_is_integer(size) || json_integer_value(size) < 0 ||
      json_integer_value(size) > EE_EVENT_SIZE_MAX) {
    return ee_err_set(walk->err, "a fixed has no usable size");
  }
  ee_buf_printf(walk->out, ",\"size\":%d", (int)json_integer_value(size));
  return true;
}

static bool canonical_fields(struct walk *walk, const json_t *schema) {
  const json_t *fields = json_object_get(schema, "fields");
  json_t *seen = new_names(walk);
  bool valid = seen != NULL && json_is_array(fields);
  if (!valid) ee_err_set(walk->err, "a record has no list of fields");
  ee_buf_text(walk->out, ",\"fields\":[");
  for (size_t i = 0; valid && i < json_array_size(fields); i++) {
    const json_t *field = json_array_get(fields, i);
    const char *name = text_of(field, "name");
    if (!is_name(name, false) || !add_name(walk, seen, name)) {
      valid = ee_err_set(walk->err, "a field has no valid name, or one that is taken");
      break;
    }
    ee_buf_printf(walk->out, "%s{\"name\":\"%s\",\"type\":", i > 0 ? "," : "", name);
    valid = canonical(walk, json_object_get(field, "type"));
    if (!valid) ee_err_prefix(walk->err, "%s", name);
    ee_buf_byte(walk->out, '}');
  }
  ee_buf_byte(walk->out, ']');
  json_decref(seen);
  return valid;
}

static bool canonical_named(struct walk *walk, const json_t *schema, const char *type) {
  const char *outer = walk->space;
  const char *space = text_of(schema, "namespace");
  const char *name = text_of(schema, "name");
  char full[NAME_MAX_SIZE + 2];
  char inner[NAME_MAX_SIZE + 2];
  if (!is_name(name, true) || is_primitive(name)) {
    return ee_err_set(walk->err, "a named type has no valid name");
  }
  if (space != NULL && space[0] != '\0' && !is_name(space, true)) {
    return ee_err_set(walk->err, "a namespace is not valid");
  }
  full_name(space != NULL ? space : outer, name, full);
  if (strlen(full) > NAME_MAX_SIZE || !add_name(walk, walk->names, full)) {
    return ee_err_set(walk->err, "type %s is defined twice, or its name is too long", full);
  }
  // A name with dots brings its namespace with it.
  char *dot = strrchr(full, '.');
  snprintf(inner, sizeof inner, "%.*s", dot == NULL ? 0 : (int)(dot - full), full);
  walk->space = inner;
  ee_buf_printf(walk->out, "{\"name\":\"%s\",\"type\":\"%s\"", full, type);
  bool valid = strcmp(type, "record") == 0 ? canonical_fields(walk, schema)
               : strcmp(type, "enum") == 0 ? canonical_symbols(walk, schema)
                                           : canonical_size(walk, schema);
  ee_buf_byte(walk->out, '}');
  walk->space = outer;
  return valid;
}

static bool canonical_holder(struct walk *walk, const json_t *schema, const char *type,
                             const char *member) {
  ee_buf_printf(walk->out, "{\"type\":\"%s\",\"%s\":", type, member);
  bool valid = canonical(walk, json_object_get(schema, member));
  ee_buf_byte(walk->out, '}');
  return valid;
}

static bool canonical_object(struct walk *walk, const json_t *schema) {
  const char *type = text_of(schema, "type");
  if (type == NULL) return ee_err_set(walk->err, "a type is missing or not a name");
  if (strcmp(type, "array") == 0) return canonical_holder(walk, schema, type, "items");
  if (strcmp(type, "map") == 0) return canonical_holder(walk, schema, type, "values");
  if (strcmp(type, "record") == 0 || strcmp(type, "enum") == 0 || strcmp(type, "fixed") == 0) {
    return canonical_named(walk, schema, type);
  }
  return canonical_name(walk, type);
}

static bool canonical(struct walk *walk, const json_t *schema) {
  if (walk->depth == EE_SCHEMA_DEPTH_MAX) return ee_err_set(walk->err, "nested too deep");
  walk->depth++;
  bool valid = json_is_string(schema)   ? canonical_name(walk, json_string_value(schema))
               : json_is_array(schema)  ? canonical_union(walk, schema)
               : json_is_object(schema) ? canonical_object(walk, schema)
                                        : ee_err_set(walk->err, "a type is missing");
  walk->depth--;
  return valid;
}

bool ee_schema_canonical(const json_t *json, struct ee_buf *out, struct ee_err *err) {
  struct walk walk = {.out = out, .err = err, .space = ""};
  walk.names = new_names(&walk);
  bool valid = walk.names != NULL && canonical(&walk, json);
  json_decref(walk.names);
  if (out->over_limit) return ee_err_set(err, "the canonical form is too large");
  if (out->failed) return ee_err_set(err, "memory is out");
  return valid;
}

// One byte of CRC-64-AVRO, bit by bit: fingerprints are taken of schemas, not of records.
uint64_t ee_schema_fingerprint(struct ee_bytes canonical) {
  const uint64_t empty = UINT64_C(0xc15d213aa4d7a795);
  uint64_t fingerprint = empty;
  for (size_t i = 0; i < canonical.size; i++) {
    uint64_t entry = (fingerprint ^ canonical.data[i]) & 0xff;
    for (int bit = 0; bit < 8; bit++) {
      entry = (entry >> 1) ^ ((entry & 1) ? empty : 0);
    }
    fingerprint = (fingerprint >> 8) ^ entry;
  }
  return fingerprint;
}

size_t ee_json_nesting(struct ee_str text) {
  size_t depth = 0;
  size_t deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size; i++) {
    char c = text.data[i];
    if (in_string) {
      if (c == '\\') i++;
      if (c == '"') in_string = false;
      continue;
    }
    if (c == '"') in_string = true;
    if (c == '{' || c == '[') depth++;
    if ((c == '}' || c == ']') && depth > 0) depth--;
    if (depth > deepest) deepest = depth;
  }
  return deepest;
}

// A new reference, or NULL. jansson does not always tell a lack of memory from a syntax error
// (2.14: "invalid token"), so an error is heard twice.
static json_t *load(struct ee_str text, struct ee_buf *out, struct ee_err *err) {
  const size_t flags = JSON_DECODE_ANY | JSON_REJECT_DUPLICATES;
  json_error_t error = {.text = ""};
  json_t *json = json_loadb(text.data, text.size, flags, &error);
  if (json == NULL) json = json_loadb(text.data, text.size, flags, &error);
  if (json != NULL) return json;
  if (error.text[0] == '\0' || json_error_code(&error) == json_error_out_of_memory) {
    out->failed = true;
    ee_err_set(err, "memory is out");
  } else {
    ee_err_set(err, "not JSON: line %d: %s", error.line, error.text);
  }
  return NULL;
}

bool ee_schema_text_canonical(struct ee_str text, struct ee_buf *out, struct ee_err *err) {
  if (text.data == NULL || text.size > EE_SCHEMA_SIZE_MAX) {
    return ee_err_set(err, "a schema may have at most %d bytes", EE_SCHEMA_SIZE_MAX);
  }
  if (ee_json_nesting(text) > EE_SCHEMA_DEPTH_MAX) {
    return ee_err_set(err, "a schema may nest at most %d levels", EE_SCHEMA_DEPTH_MAX);
  }
  json_t *json = load(text, out, err);
  if (json == NULL) return false;
  bool valid = ee_schema_canonical(json, out, err);
  json_decref(json);
  return valid;
}

bool ee_schema_text_fingerprint(struct ee_str text, uint64_t *ret, struct ee_err *err) {
  struct ee_buf out;
  ee_buf_init(&out, 2 * EE_SCHEMA_SIZE_MAX);
  bool valid = ee_schema_text_canonical(text, &out, err);
  if (valid) *ret = ee_schema_fingerprint(ee_buf_bytes(&out));
  ee_buf_release(&out);
  return valid;
}
