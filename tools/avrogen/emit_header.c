// SPDX-License-Identifier: Apache-2.0
// records.h: enums, structs and the declarations of the tables.
#include "tools/avrogen/emit.h"

void emit_holder_name(const struct model *model, const struct model_shape *shape,
                      struct ee_buf *out) {
  struct model_shape item;
  if (!model_shape_of(model, shape->item, &item, NULL)) return;
  const char *suffix = shape->kind == EE_TYPE_MAP ? "map" : "array";
  const char *name = item.type != NULL             ? item.type->c_name
                     : item.kind == EE_TYPE_STRING ? "str"
                                                   : "long";
  ee_buf_printf(out, "struct ee_%s_%s", name, suffix);
}

static const char *nullable_pair(enum ee_type_kind kind) {
  switch (kind) {
    case EE_TYPE_BOOLEAN:
      return "struct ee_opt_boolean ";
    case EE_TYPE_INT:
      return "struct ee_opt_int ";
    case EE_TYPE_LONG:
      return "struct ee_opt_long ";
    case EE_TYPE_DECIMAL:
      return "struct ee_opt_decimal ";
    case EE_TYPE_ENUM:
      return "struct ee_opt_enum ";
    default:
      return NULL;
  }
}

void emit_value_type(const struct model *model, const struct model_shape *shape,
                     struct ee_buf *out) {
  const char *pair = shape->nullable ? nullable_pair(shape->kind) : NULL;
  if (pair != NULL) {
    ee_buf_text(out, pair);
    return;
  }
  switch (shape->kind) {
    case EE_TYPE_BOOLEAN:
      ee_buf_text(out, "bool ");
      break;
    case EE_TYPE_INT:
      ee_buf_text(out, "int32_t ");
      break;
    case EE_TYPE_LONG:
      ee_buf_text(out, "int64_t ");
      break;
    case EE_TYPE_STRING:
      ee_buf_text(out, "struct ee_str ");
      break;
    case EE_TYPE_FIXED:
      ee_buf_text(out, "const uint8_t *");
      break;
    case EE_TYPE_DECIMAL:
      ee_buf_text(out, "ee_int128 ");
      break;
    case EE_TYPE_ENUM:
      ee_buf_text(out, "int ");
      break;
    case EE_TYPE_RECORD:
      ee_buf_printf(out, "struct ee_%s %s", shape->type->c_name, shape->nullable ? "*" : "");
      break;
    case EE_TYPE_ARRAY:
    case EE_TYPE_MAP:
      emit_holder_name(model, shape, out);
      ee_buf_byte(out, ' ');
      break;
  }
}

static void emit_enum(const struct model_type *type, struct ee_buf *out) {
  const json_t *symbols = json_object_get(type->definition, "symbols");
  ee_buf_printf(out, "enum ee_%s {\n", type->c_name);
  for (size_t i = 0; i < json_array_size(symbols); i++) {
    char symbol[MODEL_NAME_MAX] = "";
    if (!model_snake_case(json_string_value(json_array_get(symbols, i)), true, symbol)) {
      out->failed = true;
    }
    ee_buf_printf(out, "  EE_%s_%s,\n", type->c_constant, symbol);
  }
  ee_buf_printf(out, "};\nextern const struct ee_enum_type ee_%s_type;\n", type->c_name);
}

static void emit_struct(const struct model *model, const struct model_type *type,
                        struct ee_buf *out) {
  const json_t *fields = json_object_get(type->definition, "fields");
  ee_buf_printf(out, "struct ee_%s {\n", type->c_name);
  if (type->root) ee_buf_text(out, "  struct ee_bytes encoded;  // see contract/type.h\n");
  for (size_t i = 0; i < json_array_size(fields); i++) {
    const json_t *field = json_array_get(fields, i);
    struct model_shape shape;
    if (!model_shape_of(model, json_object_get(field, "type"), &shape, NULL)) return;
    ee_buf_text(out, "  ");
    emit_value_type(model, &shape, out);
    ee_buf_printf(out, "%s;", model_text(field, "name"));
    if (shape.kind == EE_TYPE_ENUM) ee_buf_printf(out, "  // enum ee_%s", shape.type->c_name);
    if (shape.kind == EE_TYPE_FIXED) ee_buf_printf(out, "  // %d bytes", (int)shape.size);
    if (shape.timestamp) ee_buf_text(out, "  // UTC microseconds");
    ee_buf_byte(out, '\n');
  }
  ee_buf_printf(out, "};\nextern const struct ee_record_type ee_%s_type;\n", type->c_name);
}

static bool array_used(const struct model *model, const struct model_type *type) {
  for (size_t i = 0; i < model->type_count; i++) {
    const json_t *fields = json_object_get(model->types[i].definition, "fields");
    for (size_t k = 0; k < json_array_size(fields); k++) {
      const json_t *field = json_array_get(fields, k);
      struct model_shape shape, item;
      if (model_shape_of(model, json_object_get(field, "type"), &shape, NULL) &&
          shape.kind == EE_TYPE_ARRAY && model_shape_of(model, shape.item, &item, NULL) &&
          item.type == type) {
        return true;
      }
    }
  }
  return false;
}

void emit_header(const struct model *model, struct ee_buf *out) {
  ee_buf_text(out,
              "// SPDX-License-Identifier: Apache-2.0\n"
              "// Generated from schemas/*.avsc by tools/avrogen: do not edit. How each type of "
              "field lies\n// in memory and who owns what: contract/type.h.\n"
              "#ifndef EE_GEN_RECORDS_H\n#define EE_GEN_RECORDS_H\n\n"
              "#include \"contract/type.h\"\n");
  for (size_t i = 0; i < model->type_count; i++) {
    const struct model_type *type = &model->types[i];
    bool record = model_is_record(type);
    if (!record && !model_is_enum(type)) continue;
    ee_buf_byte(out, '\n');
    if (record) {
      emit_struct(model, type, out);
    } else {
      emit_enum(type, out);
    }
    if (!array_used(model, type)) continue;
    ee_buf_printf(out, "struct ee_%s_array {\n  ", type->c_name);
    if (record) {
      ee_buf_printf(out, "struct ee_%s ", type->c_name);
    } else {
      ee_buf_text(out, "int ");
    }
    ee_buf_text(out, "*items;\n  size_t count;\n};\n");
  }
  ee_buf_text(out,
              "\n// The records that a schema file is named for, in the order of the files' "
              "names.\nextern const struct ee_record_type *const ee_record_types[];\n"
              "extern const size_t ee_record_type_count;\n\n#endif\n");
}
