// SPDX-License-Identifier: Apache-2.0
// records.c: the tables that the interpreter walks, the schema texts and fingerprints.
#include <inttypes.h>

#include "tools/avrogen/emit.h"

void emit_literal(const char *text, struct ee_buf *out) {
  if (text == NULL) {
    ee_buf_text(out, "NULL");
    return;
  }
  ee_buf_byte(out, '"');
  for (; *text != '\0'; text++) {
    unsigned char c = (unsigned char)*text;
    if (c == '"' || c == '\\') {
      ee_buf_printf(out, "\\%c", c);
    } else if (c < 0x20 || c >= 0x7f || c == '?') {
      ee_buf_printf(out, "\\%03o", c);
    } else {
      ee_buf_byte(out, c);
    }
  }
  ee_buf_byte(out, '"');
}

static void emit_enum_table(const struct model_type *type, struct ee_buf *out) {
  const json_t *symbols = json_object_get(type->definition, "symbols");
  const char *fallback = model_text(type->definition, "default");
  int fallback_index = -1;
  ee_buf_printf(out, "\nstatic const struct ee_str %s_symbols[] = {\n", type->c_name);
  for (size_t i = 0; i < json_array_size(symbols); i++) {
    const char *symbol = json_string_value(json_array_get(symbols, i));
    ee_buf_printf(out, "    {.data = \"%s\", .size = %zu},\n", symbol, strlen(symbol));
    if (fallback != NULL && strcmp(fallback, symbol) == 0) fallback_index = (int)i;
  }
  ee_buf_printf(out,
                "};\nconst struct ee_enum_type ee_%s_type = {\n    .name = \"%s\",\n"
                "    .symbols = %s_symbols,\n    .count = %zu,\n    .fallback = %d,\n};\n",
                type->c_name, type->name, type->c_name, json_array_size(symbols), fallback_index);
}

// A NULL-terminated list of names; nothing when there is none.
static bool emit_aliases(const json_t *owner, const char *prefix, const char *name,
                         struct ee_buf *out) {
  const json_t *aliases = json_object_get(owner, "aliases");
  if (json_array_size(aliases) == 0) return false;
  ee_buf_printf(out, "\nstatic const char *const %s%s_aliases[] = {", prefix, name);
  for (size_t i = 0; i < json_array_size(aliases); i++) {
    emit_literal(json_string_value(json_array_get(aliases, i)), out);
    ee_buf_text(out, ", ");
  }
  ee_buf_text(out, "NULL};\n");
  return true;
}

static const char *kind_name(enum ee_type_kind kind) {
  static const char *const names[] = {
      [EE_TYPE_BOOLEAN] = "BOOLEAN", [EE_TYPE_INT] = "INT",       [EE_TYPE_LONG] = "LONG",
      [EE_TYPE_STRING] = "STRING",   [EE_TYPE_FIXED] = "FIXED",   [EE_TYPE_DECIMAL] = "DECIMAL",
      [EE_TYPE_ENUM] = "ENUM",       [EE_TYPE_RECORD] = "RECORD", [EE_TYPE_ARRAY] = "ARRAY",
      [EE_TYPE_MAP] = "MAP"};
  return names[kind];
}

// The members of a struct ee_type, after its opening brace. `item` names the table of an
// array's or map's items.
static void emit_type(const struct model *model, const struct model_shape *shape, const char *item,
                      struct ee_buf *out) {
  ee_buf_printf(out, ".kind = EE_TYPE_%s", kind_name(shape->kind));
  if (shape->nullable) ee_buf_text(out, ", .nullable = true");
  if (shape->null_second) ee_buf_text(out, ", .null_second = true");
  if (shape->timestamp) ee_buf_text(out, ", .timestamp = true");
  if (shape->kind == EE_TYPE_FIXED) ee_buf_printf(out, ", .size = %d", (int)shape->size);
  if (shape->kind == EE_TYPE_RECORD) {
    ee_buf_printf(out, ", .record = &ee_%s_type", shape->type->c_name);
  }
  if (shape->kind == EE_TYPE_ENUM) {
    ee_buf_printf(out, ", .enumeration = &ee_%s_type", shape->type->c_name);
  }
  if (shape->item != NULL) {
    ee_buf_text(out, ", .size = sizeof(*((");
    emit_holder_name(model, shape, out);
    ee_buf_printf(out, " *)0)->%s), .item = &%s", shape->kind == EE_TYPE_MAP ? "entries" : "items",
                  item);
  }
}

static void emit_field(const struct model *model, const struct model_type *type,
                       const json_t *field, struct ee_buf *out) {
  struct model_shape shape;
  if (!model_shape_of(model, json_object_get(field, "type"), &shape, NULL)) return;
  const char *name = model_text(field, "name");
  const char *check = model_text(field, "check");
  char upper[MODEL_NAME_MAX] = "";
  char item[2 * MODEL_NAME_MAX + 16];
  if (check != NULL && !model_snake_case(check, true, upper)) out->failed = true;
  snprintf(item, sizeof item, "%s_%s_item", type->c_name, name);
  ee_buf_printf(out, "    {.name = \"%s\",\n     .type = {", name);
  emit_type(model, &shape, item, out);
  ee_buf_printf(out, "},\n     .offset = offsetof(struct ee_%s, %s),\n", type->c_name, name);
  if (check != NULL) ee_buf_printf(out, "     .check = EE_CHECK_%s,\n", upper);
  char *fallback = json_dumps(json_object_get(field, "default"), JSON_ENCODE_ANY | JSON_COMPACT);
  if (fallback != NULL) {
    ee_buf_text(out, "     .fallback = ");
    emit_literal(fallback, out);
    ee_buf_text(out, ",\n");
    free(fallback);
  }
  if (json_array_size(json_object_get(field, "aliases")) > 0) {
    ee_buf_printf(out, "     .aliases = %s_%s_aliases,\n", type->c_name, name);
  }
  ee_buf_text(out, "     .doc = ");
  emit_literal(model_text(field, "doc"), out);
  ee_buf_text(out, "},\n");
}

// What a record's table refers to: its items' types and its aliases.
static void emit_field_parts(const struct model *model, const struct model_type *type,
                             const json_t *field, struct ee_buf *out) {
  struct model_shape shape, item;
  const char *name = model_text(field, "name");
  char prefix[MODEL_NAME_MAX + 2];
  snprintf(prefix, sizeof prefix, "%s_", type->c_name);
  emit_aliases(field, prefix, name, out);
  if (!model_shape_of(model, json_object_get(field, "type"), &shape, NULL) || shape.item == NULL ||
      !model_shape_of(model, shape.item, &item, NULL)) {
    return;
  }
  ee_buf_printf(out, "static const struct ee_type %s_%s_item = {", type->c_name, name);
  emit_type(model, &item, NULL, out);
  ee_buf_text(out, "};\n");
}

static const struct model_file *file_of(const struct model *model, const struct model_type *type) {
  for (size_t i = 0; i < model->file_count; i++) {
    if (&model->types[model->files[i].root] == type) return &model->files[i];
  }
  return NULL;
}

// As bytes: C promises no string literals of this length.
static void emit_schema_text(const struct model_type *type, const struct model_file *file,
                             struct ee_buf *out) {
  ee_buf_printf(out, "static const char %s_schema[] = {", type->c_name);
  for (size_t i = 0; i < file->text.size; i++) {
    ee_buf_text(out, i % 24 == 0 ? "\n    " : " ");
    ee_buf_printf(out, "%d,", (int)(signed char)file->text.data[i]);
  }
  ee_buf_text(out, "\n    0};\n");
}

static void emit_record_table(const struct model *model, const struct model_type *type,
                              struct ee_buf *out) {
  const json_t *fields = json_object_get(type->definition, "fields");
  const struct model_file *file = file_of(model, type);
  ee_buf_byte(out, '\n');
  bool aliases = emit_aliases(type->definition, "", type->c_name, out);
  for (size_t i = 0; i < json_array_size(fields); i++) {
    emit_field_parts(model, type, json_array_get(fields, i), out);
  }
  if (file != NULL) emit_schema_text(type, file, out);
  ee_buf_printf(out, "static const struct ee_field %s_fields[] = {\n", type->c_name);
  for (size_t i = 0; i < json_array_size(fields); i++) {
    emit_field(model, type, json_array_get(fields, i), out);
  }
  ee_buf_printf(out,
                "};\nconst struct ee_record_type ee_%s_type = {\n    .name = \"%s\",\n"
                "    .full_name = \"%s\",\n    .fields = %s_fields,\n    .count = %zu,\n"
                "    .size = sizeof(struct ee_%s),\n",
                type->c_name, type->name, type->full_name, type->c_name, json_array_size(fields),
                type->c_name);
  if (aliases) ee_buf_printf(out, "    .aliases = %s_aliases,\n", type->c_name);
  ee_buf_text(out, "    .doc = ");
  emit_literal(model_text(type->definition, "doc"), out);
  ee_buf_text(out, ",\n");
  if (file != NULL) {
    ee_buf_printf(out,
                  "    .schema = %s_schema,\n    .schema_size = %zu,\n"
                  "    .fingerprint = UINT64_C(0x%016" PRIx64 "),\n",
                  type->c_name, file->text.size, file->fingerprint);
  }
  ee_buf_text(out, "};\n");
}

void emit_tables(const struct model *model, struct ee_buf *out) {
  ee_buf_text(out,
              "// SPDX-License-Identifier: Apache-2.0\n"
              "// Generated from schemas/*.avsc by tools/avrogen: do not edit.\n"
              "#include \"records.h\"\n");
  for (size_t i = 0; i < model->type_count; i++) {
    const struct model_type *type = &model->types[i];
    if (model_is_enum(type)) emit_enum_table(type, out);
    if (model_is_record(type)) emit_record_table(model, type, out);
  }
  ee_buf_text(out, "\nconst struct ee_record_type *const ee_record_types[] = {\n");
  for (size_t i = 0; i < model->file_count; i++) {
    ee_buf_printf(out, "    &ee_%s_type,\n", model->types[model->files[i].root].c_name);
  }
  ee_buf_printf(out, "};\nconst size_t ee_record_type_count = %zu;\n", model->file_count);
}
