// SPDX-License-Identifier: Apache-2.0
// Reads schema files into the model: each named type is taken out of the place where it
// is first written, and a further copy must be equal to it.
#include "tools/avrogen/model.h"

#include <ctype.h>

#include "base/file.h"
#include "contract/canonical.h"

#define FILE_SIZE_MAX (1u << 20)

// Where the reader is: for messages, and for the namespace in force.
struct place {
  struct model *model;
  const char *space;
  char path[MODEL_PATH_MAX];
};

const char *model_text(const json_t *object, const char *member) {
  return json_string_value(json_object_get(object, member));
}

bool model_is_record(const struct model_type *type) {
  return strcmp(model_text(type->definition, "type"), "record") == 0;
}

bool model_is_enum(const struct model_type *type) {
  return strcmp(model_text(type->definition, "type"), "enum") == 0;
}

const struct model_type *model_find(const struct model *model, const char *full_name) {
  for (size_t i = 0; i < model->type_count; i++) {
    if (strcmp(model->types[i].full_name, full_name) == 0) return &model->types[i];
  }
  return NULL;
}

const struct model_file *model_file_named(const struct model *model, const char *base) {
  for (size_t i = 0; i < model->file_count; i++) {
    if (strcmp(model->files[i].base, base) == 0) return &model->files[i];
  }
  return NULL;
}

bool model_snake_case(const char *name, bool upper, char out[MODEL_NAME_MAX]) {
  size_t used = 0;
  for (size_t i = 0; name[i] != '\0'; i++) {
    if (used + 3 > MODEL_NAME_MAX) return false;
    bool separate =
        isupper((unsigned char)name[i]) && i > 0 && !isupper((unsigned char)name[i - 1]);
    if (separate && out[used - 1] != '_') out[used++] = '_';
    int c = isalnum((unsigned char)name[i]) ? name[i] : '_';
    out[used++] = (char)(upper ? toupper(c) : tolower(c));
  }
  out[used] = '\0';
  return true;
}

static bool is_primitive(const char *name) {
  static const char *const names[] = {"null",  "boolean", "int",   "long",
                                      "float", "double",  "bytes", "string"};
  for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
    if (strcmp(names[i], name) == 0) return true;
  }
  return false;
}

static bool refuse(const struct place *place, struct ee_err *err, const char *what) {
  return ee_err_set(err, "%s: %s", place->path, what);
}

// New reference to name with the namespace put before it, or NULL.
static json_t *full_name(const char *space, const char *name) {
  if (strchr(name, '.') != NULL || space[0] == '\0') return json_string(name);
  return json_sprintf("%s.%s", space, name);
}

static json_t *take_out(struct place *place, const json_t *type, struct ee_err *err);

static json_t *take_out_name(struct place *place, const char *name, struct ee_err *err) {
  if (is_primitive(name)) return json_string(name);
  json_t *full = full_name(place->space, name);
  const struct model_type *type =
      full == NULL ? NULL : model_find(place->model, json_string_value(full));
  if (type == NULL) {
    ee_err_set(err,
               "%s: type %s is not defined before this place in the file (recursive types "
               "are not supported)",
               place->path, name);
    json_decref(full);
    return NULL;
  }
  return full;
}

// Registers a definition (stolen) or compares it with the copy that is there.
static bool add_type(struct place *place, json_t *definition, struct ee_err *err) {
  struct model *model = place->model;
  const char *name = model_text(definition, "name");
  const struct model_type *known = model_find(model, name);
  if (known != NULL) {
    bool equal = json_equal(known->definition, definition);
    if (!equal) {
      ee_err_set(err, "%s: %s differs from its copy in %s", place->path, name,
                 model->files[known->first_file].base);
    }
    json_decref(definition);
    return equal;
  }
  struct model_type *type = &model->types[model->type_count];
  const char *dot = strrchr(name, '.');
  *type = (struct model_type){.definition = definition,
                              .full_name = name,
                              .name = dot == NULL ? name : dot + 1,
                              .first_file = model->file_count};
  if (model->type_count == MODEL_TYPES_MAX || !model_snake_case(type->name, false, type->c_name) ||
      !model_snake_case(type->name, true, type->c_constant)) {
    json_decref(definition);
    return refuse(place, err, "too many types, or a name is too long");
  }
  model->type_count++;
  return true;
}

static json_t *take_out_fields(struct place *place, const json_t *fields, struct ee_err *err) {
  json_t *out = json_array();
  size_t length = strlen(place->path);
  for (size_t i = 0; i < json_array_size(fields); i++) {
    json_t *field = json_copy(json_array_get(fields, i));
    const char *name = model_text(field, "name");
    int size = snprintf(place->path + length, sizeof place->path - length, ".%s",
                        name == NULL ? "?" : name);
    json_t *type = NULL;
    if (name == NULL || size < 0 || (size_t)size >= sizeof place->path - length) {
      refuse(place, err, "a field has no name, or one too long");
    } else {
      type = take_out(place, json_object_get(field, "type"), err);
    }
    if (type == NULL || json_object_set_new(field, "type", type) != 0 ||
        json_array_append_new(out, json_incref(field)) != 0) {
      json_decref(field);
      json_decref(out);
      return NULL;
    }
    json_decref(field);
    place->path[length] = '\0';
  }
  return out;
}

static json_t *take_out_named(struct place *place, const json_t *type, struct ee_err *err) {
  const char *outer = place->space;
  const char *space = model_text(type, "namespace");
  const char *name = model_text(type, "name");
  if (name == NULL || strchr(name, '.') != NULL) {
    refuse(place, err, "a named type needs a name without dots (and a namespace)");
    return NULL;
  }
  if (space != NULL) place->space = space;
  json_t *definition = json_copy((json_t *)type);
  json_t *full = full_name(place->space, name);
  const json_t *fields = json_object_get(type, "fields");
  json_t *taken = fields == NULL ? NULL : take_out_fields(place, fields, err);
  place->space = outer;
  json_object_del(definition, "namespace");
  if (full == NULL || (fields != NULL && taken == NULL) ||
      json_object_set(definition, "name", full) != 0 ||
      (taken != NULL && json_object_set(definition, "fields", taken) != 0) ||
      !add_type(place, json_incref(definition), err)) {
    json_decref(full);
    full = NULL;
  }
  json_decref(taken);
  json_decref(definition);
  return full;
}

// An array or map with what its member holds taken out.
static json_t *take_out_holder(struct place *place, const json_t *type, const char *member,
                               struct ee_err *err) {
  json_t *item = take_out(place, json_object_get(type, member), err);
  if (item == NULL) return NULL;
  json_t *out = json_copy((json_t *)type);
  if (json_object_set_new(out, member, item) == 0) return out;
  json_decref(out);
  return NULL;
}

static json_t *take_out_union(struct place *place, const json_t *type, struct ee_err *err) {
  json_t *out = json_array();
  for (size_t i = 0; i < json_array_size(type); i++) {
    json_t *branch = take_out(place, json_array_get(type, i), err);
    if (branch == NULL || json_array_append_new(out, branch) != 0) {
      json_decref(out);
      return NULL;
    }
  }
  return out;
}

// New reference to the type with definitions replaced by names; NULL: err says why.
static json_t *take_out(struct place *place, const json_t *type, struct ee_err *err) {
  if (json_is_string(type)) return take_out_name(place, json_string_value(type), err);
  if (json_is_array(type)) return take_out_union(place, type, err);
  const char *kind = model_text(type, "type");
  if (kind != NULL && strcmp(kind, "array") == 0) return take_out_holder(place, type, "items", err);
  if (kind != NULL && strcmp(kind, "map") == 0) return take_out_holder(place, type, "values", err);
  if (kind != NULL && is_primitive(kind)) return json_copy((json_t *)type);
  if (kind != NULL &&
      (strcmp(kind, "record") == 0 || strcmp(kind, "enum") == 0 || strcmp(kind, "fixed") == 0)) {
    return take_out_named(place, type, err);
  }
  refuse(place, err, "not a type this generator knows");
  return NULL;
}

static bool base_name(const char *path, char out[MODEL_NAME_MAX]) {
  const char *slash = strrchr(path, '/');
  const char *name = slash == NULL ? path : slash + 1;
  const char *dot = strchr(name, '.');
  size_t size = dot == NULL ? strlen(name) : (size_t)(dot - name);
  if (size == 0 || size >= MODEL_NAME_MAX) return false;
  memcpy(out, name, size);
  out[size] = '\0';
  return true;
}

static bool read_schema(struct model_file *file, const char *path, json_t **ret,
                        struct ee_err *err) {
  if (!ee_file_read(path, &file->text, err)) return false;
  struct ee_str text = ee_buf_view(&file->text);
  // The full check of the specification's rules comes with the canonical form.
  if (!ee_schema_text_fingerprint(text, &file->fingerprint, err)) return false;
  json_error_t error;
  *ret = json_loadb(text.data, text.size, JSON_REJECT_DUPLICATES, &error);
  if (*ret == NULL) return ee_err_set(err, "line %d: %s", error.line, error.text);
  return true;
}

bool model_add_file(struct model *model, const char *path, struct ee_err *err) {
  if (model->file_count == MODEL_FILES_MAX) return ee_err_set(err, "too many schema files");
  struct model_file *file = &model->files[model->file_count];
  ee_buf_init(&file->text, FILE_SIZE_MAX);
  json_t *schema = NULL;
  json_t *root = NULL;
  bool done = false;
  if (!base_name(path, file->base)) {
    ee_err_set(err, "%s: not a usable file name", path);
    goto out;
  }
  if (!read_schema(file, path, &schema, err)) goto out;
  struct place place = {.model = model, .space = ""};
  const char *name = model_text(schema, "name");
  snprintf(place.path, sizeof place.path, "%s", name == NULL ? "schema" : name);
  root = take_out(&place, schema, err);
  if (root == NULL) goto out;
  struct model_type *type =
      (struct model_type *)model_find(model, json_is_string(root) ? json_string_value(root) : "");
  if (type == NULL || !model_is_record(type)) {
    ee_err_set(err, "the file's own type is not a record");
    goto out;
  }
  type->root = true;
  file->root = (size_t)(type - model->types);
  model->file_count++;
  done = true;
out:
  json_decref(root);
  json_decref(schema);
  if (!done) {
    ee_buf_release(&file->text);
    ee_err_prefix(err, "%s", path);
  }
  return done;
}

void model_release(struct model *model) {
  for (size_t i = 0; i < model->file_count; i++) {
    ee_buf_release(&model->files[i].text);
  }
  for (size_t i = 0; i < model->type_count; i++) {
    json_decref(model->types[i].definition);
  }
  model->file_count = 0;
  model->type_count = 0;
}
