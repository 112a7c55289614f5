// SPDX-License-Identifier: Apache-2.0
// Two schemas are first expanded (each named type under its full name in one table, every
// use of it that name) and then walked side by side.
#include "contract/compatible.h"

#include <stdio.h>

#include "contract/canonical.h"
#include "contract/record.h"

#define PATH_SIZE 512
#define DEPTH_MAX 256

// ---- Expanding. The text has been found to be a schema before.

static const char *text_of(const json_t *object, const char *member) {
  return json_string_value(json_object_get(object, member));
}

static void full_name(const char *space, const char *name, char out[EE_SCHEMA_NAME_SIZE]) {
  bool whole = strchr(name, '.') != NULL || space[0] == '\0';
  snprintf(out, EE_SCHEMA_NAME_SIZE, "%s%s%s", whole ? "" : space, whole ? "" : ".", name);
}

static json_t *expand(json_t *names, const json_t *schema, const char *space);

// Takes value; NULL is a failure to be had.
static bool put(json_t *object, const char *member, json_t *value) {
  return json_object_set_new(object, member, value) == 0;
}

static json_t *expand_aliases(const json_t *aliases, const char *space) {
  json_t *list = json_array();
  for (size_t i = 0; i < json_array_size(aliases); i++) {
    const char *alias = json_string_value(json_array_get(aliases, i));
    char full[EE_SCHEMA_NAME_SIZE];
    if (alias == NULL) continue;
    full_name(space, alias, full);
    if (json_array_append_new(list, json_string(full)) != 0) {
      json_decref(list);
      return NULL;
    }
  }
  return list;
}

static bool expand_fields(json_t *names, const json_t *schema, json_t *definition,
                          const char *space) {
  const json_t *fields = json_object_get(schema, "fields");
  json_t *list = json_array();
  bool ok = put(definition, "fields", list);
  for (size_t i = 0; ok && i < json_array_size(fields); i++) {
    const json_t *from = json_array_get(fields, i);
    json_t *field = json_object();
    ok = put(field, "name", json_string(text_of(from, "name"))) &&
         put(field, "aliases", expand_aliases(json_object_get(from, "aliases"), "")) &&
         put(field, "type", expand(names, json_object_get(from, "type"), space)) &&
         put(field, "default", json_boolean(json_object_get(from, "default") != NULL));
    if (!ok) json_decref(field);
    ok = ok && json_array_append_new(list, field) == 0;
  }
  return ok;
}

// Defines the type and gives its name.
static json_t *expand_named(json_t *names, const json_t *schema, const char *space) {
  const char *own = text_of(schema, "namespace");
  char full[EE_SCHEMA_NAME_SIZE];
  char inner[EE_SCHEMA_NAME_SIZE];
  full_name(own != NULL ? own : space, text_of(schema, "name"), full);
  const char *dot = strrchr(full, '.');
  snprintf(inner, sizeof inner, "%.*s", dot == NULL ? 0 : (int)(dot - full), full);
  json_t *definition = json_object();
  bool ok = put(names, full, definition) &&
            put(definition, "type", json_string(text_of(schema, "type"))) &&
            put(definition, "name", json_string(full)) &&
            put(definition, "aliases", expand_aliases(json_object_get(schema, "aliases"), inner)) &&
            put(definition, "default", json_boolean(json_object_get(schema, "default") != NULL));
  if (json_object_get(schema, "symbols") != NULL) {
    ok = ok && put(definition, "symbols", json_copy(json_object_get(schema, "symbols")));
  }
  if (json_object_get(schema, "size") != NULL) {
    ok = ok && put(definition, "size", json_copy(json_object_get(schema, "size")));
  }
  if (json_object_get(schema, "fields") != NULL) {
    ok = ok && expand_fields(names, schema, definition, inner);
  }
  return ok ? json_string(full) : NULL;
}

static json_t *expand_union(json_t *names, const json_t *schema, const char *space) {
  json_t *list = json_array();
  for (size_t i = 0; i < json_array_size(schema); i++) {
    if (json_array_append_new(list, expand(names, json_array_get(schema, i), space)) != 0) {
      json_decref(list);
      return NULL;
    }
  }
  return list;
}

static json_t *expand_holder(json_t *names, const json_t *schema, const char *space,
                             const char *type, const char *member) {
  json_t *holder = json_object();
  if (put(holder, "type", json_string(type)) &&
      put(holder, "of", expand(names, json_object_get(schema, member), space))) {
    return holder;
  }
  json_decref(holder);
  return NULL;
}

static bool is_primitive(const char *name) {
  static const char *const all[] = {"null",  "boolean", "int",   "long",
                                    "float", "double",  "bytes", "string"};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    if (strcmp(all[i], name) == 0) return true;
  }
  return false;
}

// A new reference; NULL when memory is out.
static json_t *expand(json_t *names, const json_t *schema, const char *space) {
  if (json_is_array(schema)) return expand_union(names, schema, space);
  const char *type = json_is_string(schema) ? json_string_value(schema) : text_of(schema, "type");
  bool object = json_is_object(schema);
  if (object && strcmp(type, "array") == 0) {
    return expand_holder(names, schema, space, type, "items");
  }
  if (object && strcmp(type, "map") == 0) {
    return expand_holder(names, schema, space, type, "values");
  }
  if (object &&
      (strcmp(type, "record") == 0 || strcmp(type, "enum") == 0 || strcmp(type, "fixed") == 0)) {
    return expand_named(names, schema, space);
  }
  char full[EE_SCHEMA_NAME_SIZE];
  if (is_primitive(type)) return json_string(type);
  full_name(space, type, full);
  return json_string(full);
}

// ---- A schema, expanded.

struct schema {
  json_t *names;  // owned; full name to definition
  json_t *root;   // owned
};

static void schema_release(struct schema *schema) {
  json_decref(schema->root);
  json_decref(schema->names);
}

static bool schema_init(struct schema *schema, struct ee_str text, struct ee_err *err) {
  struct ee_buf canonical;
  *schema = (struct schema){.names = NULL};
  ee_buf_init(&canonical, 2 * EE_SCHEMA_SIZE_MAX);
  bool ok = ee_schema_text_canonical(text, &canonical, err);
  ee_buf_release(&canonical);
  if (!ok) return false;
  json_t *json = json_loadb(text.data, text.size, JSON_DECODE_ANY, NULL);
  schema->names = json_object();
  if (json != NULL && schema->names != NULL) schema->root = expand(schema->names, json, "");
  json_decref(json);
  if (schema->root != NULL) return true;
  schema_release(schema);
  return ee_err_set(err, "memory is out");
}

// The definition of a named type, or the type itself.
static const json_t *definition_of(const struct schema *schema, const json_t *type) {
  const json_t *definition =
      json_is_string(type) ? json_object_get(schema->names, json_string_value(type)) : NULL;
  return definition != NULL ? definition : type;
}

static const char *kind_of(const json_t *type) {
  if (json_is_array(type)) return "union";
  return json_is_string(type) ? json_string_value(type) : text_of(type, "type");
}

// ---- Walking both.

struct walk {
  struct schema reader, writer;
  json_t *seen;  // owned; pairs of names that are under way or done
  struct ee_err *why;
  char path[PATH_SIZE];
  unsigned depth;
};

static bool readable(struct walk *walk, const json_t *reader, const json_t *writer);

static bool refuse(struct walk *walk, const char *text) {
  if (walk->path[0] == '\0') return ee_err_set(walk->why, "%s", text);
  return ee_err_set(walk->why, "%s: %s", walk->path, text);
}

static bool unlike(struct walk *walk, const json_t *reader, const json_t *writer) {
  struct ee_err text;
  const char *names[] = {text_of(writer, "name"), text_of(reader, "name")};
  ee_err_set(&text, "%s%s%s cannot be read as %s%s%s", kind_of(writer), names[0] ? " " : "",
             names[0] ? names[0] : "", kind_of(reader), names[1] ? " " : "",
             names[1] ? names[1] : "");
  return refuse(walk, text.text);
}

static bool readable_at(struct walk *walk, const char *step, const json_t *reader,
                        const json_t *writer) {
  size_t size = strlen(walk->path);
  snprintf(walk->path + size, PATH_SIZE - size, "%s%s", size == 0 || step[0] == '[' ? "" : ".",
           step);
  bool ok = readable(walk, reader, writer);
  walk->path[size] = '\0';
  return ok;
}

static const char *unqualified(const char *name) {
  const char *dot = strrchr(name, '.');
  return dot == NULL ? name : dot + 1;
}

static bool has_alias(const json_t *owner, const char *name) {
  const json_t *aliases = json_object_get(owner, "aliases");
  for (size_t i = 0; i < json_array_size(aliases); i++) {
    if (strcmp(json_string_value(json_array_get(aliases, i)), name) == 0) return true;
  }
  return false;
}

static bool same_name(const json_t *reader, const json_t *writer) {
  const char *r = text_of(reader, "name");
  const char *w = text_of(writer, "name");
  return strcmp(unqualified(r), unqualified(w)) == 0 || has_alias(reader, w);
}

// The writer's field that a reader's takes its value from: by its name, else by an alias.
static const json_t *source_of(const json_t *field, const json_t *writer) {
  const json_t *fields = json_object_get(writer, "fields");
  const json_t *by_alias = NULL;
  for (size_t i = 0; i < json_array_size(fields); i++) {
    const json_t *candidate = json_array_get(fields, i);
    const char *name = text_of(candidate, "name");
    if (strcmp(name, text_of(field, "name")) == 0) return candidate;
    if (by_alias == NULL && has_alias(field, name)) by_alias = candidate;
  }
  return by_alias;
}

static bool readable_record(struct walk *walk, const json_t *reader, const json_t *writer) {
  const json_t *fields = json_object_get(reader, "fields");
  for (size_t i = 0; i < json_array_size(fields); i++) {
    const json_t *field = json_array_get(fields, i);
    const json_t *source = source_of(field, writer);
    const char *name = text_of(field, "name");
    if (source == NULL && !json_is_true(json_object_get(field, "default"))) {
      struct ee_err text;
      ee_err_set(&text, "the writer has no field %s, and the reader no default for it", name);
      return refuse(walk, text.text);
    }
    if (source != NULL &&
        !readable_at(walk, name, json_object_get(field, "type"), json_object_get(source, "type"))) {
      return false;
    }
  }
  return true;
}

static bool has_symbol(const json_t *symbols, const char *symbol) {
  for (size_t i = 0; i < json_array_size(symbols); i++) {
    if (strcmp(json_string_value(json_array_get(symbols, i)), symbol) == 0) return true;
  }
  return false;
}

static bool readable_enum(struct walk *walk, const json_t *reader, const json_t *writer) {
  const json_t *symbols = json_object_get(writer, "symbols");
  if (json_is_true(json_object_get(reader, "default"))) return true;
  for (size_t i = 0; i < json_array_size(symbols); i++) {
    const char *symbol = json_string_value(json_array_get(symbols, i));
    if (has_symbol(json_object_get(reader, "symbols"), symbol)) continue;
    struct ee_err text;
    ee_err_set(&text, "the reader's enum %s has no symbol %s and no default",
               text_of(reader, "name"), symbol);
    return refuse(walk, text.text);
  }
  return true;
}

static bool readable_named(struct walk *walk, const json_t *reader, const json_t *writer) {
  if (!same_name(reader, writer)) return unlike(walk, reader, writer);
  char pair[2 * EE_SCHEMA_NAME_SIZE];
  snprintf(pair, sizeof pair, "%s %s", text_of(reader, "name"), text_of(writer, "name"));
  if (json_object_get(walk->seen, pair) != NULL) return true;
  if (!put(walk->seen, pair, json_true())) return refuse(walk, "memory is out");
  const char *kind = kind_of(reader);
  if (strcmp(kind, "record") == 0) return readable_record(walk, reader, writer);
  if (strcmp(kind, "enum") == 0) return readable_enum(walk, reader, writer);
  return json_equal(json_object_get(reader, "size"), json_object_get(writer, "size")) ||
         refuse(walk, "a fixed of another size");
}

// The branch that was meant for the writer's type: of its kind, and of its name if it has one.
static const json_t *meant_branch(const struct walk *walk, const json_t *reader,
                                  const json_t *writer) {
  for (size_t i = 0; i < json_array_size(reader); i++) {
    const json_t *branch = definition_of(&walk->reader, json_array_get(reader, i));
    if (strcmp(kind_of(branch), kind_of(writer)) != 0) continue;
    if (text_of(branch, "name") == NULL || same_name(branch, writer)) return branch;
  }
  return NULL;
}

// Any branch of the reader's will do. Where none does, the one that was meant says why.
static bool readable_by_union(struct walk *walk, const json_t *reader, const json_t *writer) {
  struct ee_err *why = walk->why;
  bool found = false;
  walk->why = NULL;
  for (size_t i = 0; !found && i < json_array_size(reader); i++) {
    // What is seen on a branch that does not fit must not count as done.
    json_t *seen = json_copy(walk->seen);
    found = seen != NULL && readable(walk, json_array_get(reader, i), writer);
    if (found) {
      json_decref(seen);
    } else if (seen != NULL) {
      json_decref(walk->seen);
      walk->seen = seen;
    }
  }
  walk->why = why;
  if (found) return true;
  const json_t *type = definition_of(&walk->writer, writer);
  const json_t *meant = why == NULL ? NULL : meant_branch(walk, reader, type);
  if (meant != NULL && !readable(walk, meant, writer)) return false;
  return unlike(walk, reader, type);
}

static bool promotes(const char *reader, const char *writer) {
  static const char *const pairs[][2] = {
      {"int", "long"},    {"int", "float"},    {"int", "double"},   {"long", "float"},
      {"long", "double"}, {"float", "double"}, {"string", "bytes"}, {"bytes", "string"}};
  if (strcmp(reader, writer) == 0) return true;
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
    if (strcmp(pairs[i][0], writer) == 0 && strcmp(pairs[i][1], reader) == 0) return true;
  }
  return false;
}

// Neither is a union.
static bool readable_plain(struct walk *walk, const json_t *reader, const json_t *writer) {
  const char *kind = kind_of(reader);
  if (!promotes(kind, kind_of(writer))) return unlike(walk, reader, writer);
  if (strcmp(kind, "array") == 0 || strcmp(kind, "map") == 0) {
    return readable_at(walk, "[]", json_object_get(reader, "of"), json_object_get(writer, "of"));
  }
  return is_primitive(kind) || readable_named(walk, reader, writer);
}

static bool readable(struct walk *walk, const json_t *reader, const json_t *writer) {
  if (walk->depth == DEPTH_MAX) return refuse(walk, "nested too deep");
  walk->depth++;
  bool ok = true;
  const json_t *r = definition_of(&walk->reader, reader);
  const json_t *w = definition_of(&walk->writer, writer);
  if (json_is_array(w)) {
    for (size_t i = 0; ok && i < json_array_size(w); i++)
      ok = readable(walk, reader, json_array_get(w, i));
  } else if (json_is_array(r)) {
    ok = readable_by_union(walk, r, writer);
  } else {
    ok = readable_plain(walk, r, w);
  }
  walk->depth--;
  return ok;
}

bool ee_schema_can_read(struct ee_str reader, struct ee_str writer, struct ee_err *why_not) {
  struct walk walk = {.why = why_not, .path = ""};
  bool ok = false;
  if (!schema_init(&walk.reader, reader, why_not)) {
    ee_err_prefix(why_not, "the reader's schema");
    goto out;
  }
  if (!schema_init(&walk.writer, writer, why_not)) {
    ee_err_prefix(why_not, "the writer's schema");
    goto out;
  }
  walk.seen = json_object();
  ok = walk.seen == NULL ? ee_err_set(why_not, "memory is out")
                         : readable(&walk, walk.reader.root, walk.writer.root);
out:
  json_decref(walk.seen);
  schema_release(&walk.reader);
  schema_release(&walk.writer);
  return ok;
}

bool ee_schema_full_name(struct ee_str schema, char out[EE_SCHEMA_NAME_SIZE], struct ee_err *err) {
  struct schema expanded;
  if (!schema_init(&expanded, schema, err)) return false;
  const char *name = text_of(definition_of(&expanded, expanded.root), "name");
  if (name != NULL) snprintf(out, EE_SCHEMA_NAME_SIZE, "%s", name);
  bool ok = name != NULL || ee_err_set(err, "the schema defines no named type");
  schema_release(&expanded);
  return ok;
}
