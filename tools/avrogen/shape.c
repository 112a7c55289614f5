// SPDX-License-Identifier: Apache-2.0
// What a type of the schemas becomes in C, and the refusal of all that has no such shape:
// the tables promise less than Avro allows (contract/type.h).
#include <ctype.h>

#include "tools/avrogen/model.h"

// A number that the generated struct can hold and code can be written for.
#define FIXED_SIZE_MAX 4096

static bool primitive_shape(const char *name, struct model_shape *ret) {
  static const struct {
    const char *name;
    enum ee_type_kind kind;
  } known[] = {{"boolean", EE_TYPE_BOOLEAN},
               {"int", EE_TYPE_INT},
               {"long", EE_TYPE_LONG},
               {"string", EE_TYPE_STRING}};
  for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
    if (strcmp(known[i].name, name) != 0) continue;
    *ret = (struct model_shape){.kind = known[i].kind};
    return true;
  }
  return false;
}

static bool named_shape(const struct model *model, const char *name, struct model_shape *ret,
                        struct ee_err *err) {
  const struct model_type *type = model_find(model, name);
  if (type == NULL) return ee_err_set(err, "%s has no shape in C", name);
  if (model_is_record(type)) {
    *ret = (struct model_shape){.kind = EE_TYPE_RECORD, .type = type};
  } else if (model_is_enum(type)) {
    *ret = (struct model_shape){.kind = EE_TYPE_ENUM, .type = type};
  } else {
    int64_t size = json_integer_value(json_object_get(type->definition, "size"));
    if (size < 1 || size > FIXED_SIZE_MAX) return ee_err_set(err, "fixed of unusable size");
    *ret = (struct model_shape){.kind = EE_TYPE_FIXED, .size = size};
  }
  return true;
}

static bool logical_shape(const json_t *type, const char *kind, const char *logical,
                          struct model_shape *ret, struct ee_err *err) {
  if (strcmp(kind, "long") == 0 && strcmp(logical, "timestamp-micros") == 0) {
    *ret = (struct model_shape){.kind = EE_TYPE_LONG, .timestamp = true};
    return true;
  }
  if (strcmp(kind, "bytes") == 0 && strcmp(logical, "decimal") == 0) {
    if (json_integer_value(json_object_get(type, "scale")) != 0 ||
        json_integer_value(json_object_get(type, "precision")) != 38) {
      return ee_err_set(err, "a decimal must have precision 38 and scale 0");
    }
    *ret = (struct model_shape){.kind = EE_TYPE_DECIMAL};
    return true;
  }
  return ee_err_set(err, "logical type %s of %s is not supported", logical, kind);
}

// Items of arrays and values of maps have one struct each in the generated header.
static bool holder_shape(const struct model *model, const json_t *type, bool map,
                         struct model_shape *ret, struct ee_err *err) {
  const json_t *item = json_object_get(type, map ? "values" : "items");
  struct model_shape shape;
  if (!model_shape_of(model, item, &shape, err)) return false;
  bool usable = map ? shape.kind == EE_TYPE_STRING || (shape.kind == EE_TYPE_LONG)
                    : shape.kind == EE_TYPE_STRING || shape.kind == EE_TYPE_ENUM ||
                          shape.kind == EE_TYPE_RECORD;
  if (!usable || shape.nullable || shape.timestamp) {
    return ee_err_set(err, "%s of this type are not supported", map ? "maps" : "arrays");
  }
  *ret = (struct model_shape){.kind = map ? EE_TYPE_MAP : EE_TYPE_ARRAY, .item = item};
  return true;
}

static bool object_shape(const struct model *model, const json_t *type, struct model_shape *ret,
                         struct ee_err *err) {
  const char *kind = model_text(type, "type");
  const char *logical = model_text(type, "logicalType");
  if (strcmp(kind, "array") == 0) return holder_shape(model, type, false, ret, err);
  if (strcmp(kind, "map") == 0) return holder_shape(model, type, true, ret, err);
  if (logical != NULL) return logical_shape(type, kind, logical, ret, err);
  return primitive_shape(kind, ret) || ee_err_set(err, "type %s is not supported", kind);
}

static bool is_null(const json_t *type) {
  return json_is_string(type) && strcmp(json_string_value(type), "null") == 0;
}

static bool union_shape(const struct model *model, const json_t *type, struct model_shape *ret,
                        struct ee_err *err) {
  bool null_second = json_array_size(type) == 2 && is_null(json_array_get(type, 1));
  if (json_array_size(type) != 2 || is_null(json_array_get(type, 0)) == null_second) {
    return ee_err_set(err, "a union must be of null and one type");
  }
  if (!model_shape_of(model, json_array_get(type, null_second ? 0 : 1), ret, err)) return false;
  if (ret->kind == EE_TYPE_ARRAY || ret->kind == EE_TYPE_MAP) {
    return ee_err_set(err, "arrays and maps cannot be nullable");
  }
  ret->nullable = true;
  ret->null_second = null_second;
  return true;
}

bool model_shape_of(const struct model *model, const json_t *type, struct model_shape *ret,
                    struct ee_err *err) {
  if (json_is_array(type)) return union_shape(model, type, ret, err);
  if (json_is_object(type)) return object_shape(model, type, ret, err);
  const char *name = json_string_value(type);
  return primitive_shape(name, ret) || named_shape(model, name, ret, err);
}

// ---- Defaults: those that ee_record_init can set without reading JSON.

static bool default_fits(const struct model *model, const json_t *field, struct ee_err *err);

static bool integer_fits(const json_t *value, enum ee_type_kind kind) {
  if (!json_is_integer(value)) return false;
  json_int_t n = json_integer_value(value);
  return kind == EE_TYPE_LONG || (n >= INT32_MIN && n <= INT32_MAX);
}

static bool plain_string(const json_t *value) {
  const char *text = json_string_value(value);
  if (text == NULL || strlen(text) != json_string_length(value)) return false;
  for (; *text != '\0'; text++) {
    if ((unsigned char)*text < 0x20 || *text == '"' || *text == '\\') return false;
  }
  return true;
}

static bool symbol_exists(const struct model_type *type, const json_t *value) {
  const json_t *symbols = json_object_get(type->definition, "symbols");
  for (size_t i = 0; i < json_array_size(symbols); i++) {
    if (json_equal(json_array_get(symbols, i), value)) return true;
  }
  return false;
}

// A record's default must say no more than what its fields are without it: nothing, or
// their own defaults.
static bool record_default_fits(const struct model_type *type, const json_t *value) {
  const json_t *fields = json_object_get(type->definition, "fields");
  if (!json_is_object(value) || json_object_size(value) != json_array_size(fields)) return false;
  for (size_t i = 0; i < json_array_size(fields); i++) {
    const json_t *field = json_array_get(fields, i);
    const json_t *given = json_object_get(value, model_text(field, "name"));
    const json_t *own = json_object_get(field, "default");
    bool empty = json_is_null(given) || (json_is_array(given) && json_array_size(given) == 0) ||
                 (json_is_object(given) && json_object_size(given) == 0);
    if (given == NULL || !(own != NULL ? json_equal(own, given) : empty)) return false;
  }
  return true;
}

static bool default_fits(const struct model *model, const json_t *field, struct ee_err *err) {
  const json_t *value = json_object_get(field, "default");
  struct model_shape shape;
  if (value == NULL) return true;
  if (!model_shape_of(model, json_object_get(field, "type"), &shape, err)) return false;
  bool fits = false;
  if (shape.nullable) {
    fits = json_is_null(value) && !shape.null_second;
  } else {
    switch (shape.kind) {
      case EE_TYPE_BOOLEAN:
        fits = json_is_boolean(value);
        break;
      case EE_TYPE_INT:
      case EE_TYPE_LONG:
        fits = integer_fits(value, shape.kind);
        break;
      case EE_TYPE_STRING:
        fits = plain_string(value);
        break;
      case EE_TYPE_ENUM:
        fits = symbol_exists(shape.type, value);
        break;
      case EE_TYPE_RECORD:
        fits = record_default_fits(shape.type, value);
        break;
      case EE_TYPE_ARRAY:
        fits = json_is_array(value) && json_array_size(value) == 0;
        break;
      case EE_TYPE_MAP:
        fits = json_is_object(value) && json_object_size(value) == 0;
        break;
      case EE_TYPE_FIXED:
      case EE_TYPE_DECIMAL:
        break;
    }
  }
  return fits || ee_err_set(err, "this default is not supported for this type");
}

// ---- The whole model.

static bool check_fits(const struct model *model, const json_t *field,
                       const struct model_shape *shape, struct ee_err *err) {
  const json_t *check = json_object_get(field, "check");
  if (check == NULL) return true;
  const char *name = json_string_value(check);
  if (name == NULL || shape->nullable) return ee_err_set(err, "check is not for this type");
  struct model_shape item;
  if (strcmp(name, "namespaced_json") == 0) {
    return (shape->kind == EE_TYPE_MAP && model_shape_of(model, shape->item, &item, err) &&
            item.kind == EE_TYPE_STRING) ||
           ee_err_set(err, "namespaced_json is for maps of strings");
  }
  bool known = strcmp(name, "identifier") == 0 || strcmp(name, "tenant") == 0 ||
               strcmp(name, "required") == 0;
  return (known && shape->kind == EE_TYPE_STRING) ||
         ee_err_set(err, "check %s is unknown or not for this type", name);
}

static bool name_usable(const char *name, bool root, struct ee_err *err) {
  static const char *const taken[] = {
      "auto",   "bool",   "break",  "case",     "char",   "const",    "continue", "default",
      "do",     "double", "else",   "enum",     "extern", "false",    "float",    "for",
      "goto",   "if",     "inline", "int",      "long",   "register", "restrict", "return",
      "short",  "signed", "sizeof", "static",   "struct", "switch",   "true",     "typedef",
      "typeof", "union",  "void",   "unsigned", "while",  "volatile"};
  if (strlen(name) >= MODEL_NAME_MAX) return ee_err_set(err, "the name is too long");
  if (root && strcmp(name, "encoded") == 0) return ee_err_set(err, "the name encoded is taken");
  for (size_t i = 0; i < sizeof(taken) / sizeof(*taken); i++) {
    if (strcmp(taken[i], name) == 0) return ee_err_set(err, "%s means something in C", name);
  }
  return true;
}

static bool check_record(const struct model *model, const struct model_type *type,
                         struct ee_err *err) {
  const json_t *fields = json_object_get(type->definition, "fields");
  if (json_array_size(fields) == 0) return ee_err_set(err, "a record without fields");
  for (size_t i = 0; i < json_array_size(fields); i++) {
    const json_t *field = json_array_get(fields, i);
    const char *name = model_text(field, "name");
    struct model_shape shape;
    if (!name_usable(name, type->root, err) ||
        !model_shape_of(model, json_object_get(field, "type"), &shape, err) ||
        !check_fits(model, field, &shape, err) || !default_fits(model, field, err)) {
      return ee_err_prefix(err, "%s", name);
    }
    if (model_text(field, "doc") == NULL) return ee_err_set(err, "%s: has no doc", name);
  }
  return true;
}

bool model_check(const struct model *model, struct ee_err *err) {
  for (size_t i = 0; i < model->type_count; i++) {
    const struct model_type *type = &model->types[i];
    bool fits = true;
    if (model_is_record(type)) {
      fits = check_record(model, type, err);
    } else if (json_object_get(type->definition, "aliases") != NULL) {
      fits = ee_err_set(err, "aliases are supported for records and fields only");
    }
    for (size_t k = 0; fits && k < i; k++) {
      if (strcmp(model->types[k].c_name, type->c_name) == 0) {
        fits = ee_err_set(err, "has the same name in C as %s", model->types[k].full_name);
      }
    }
    if (!fits) {
      return ee_err_prefix(err, "%s: %s", model->files[type->first_file].base, type->name);
    }
  }
  return true;
}
