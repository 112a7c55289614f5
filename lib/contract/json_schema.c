// SPDX-License-Identifier: Apache-2.0
// JSON Schema of the printed form: each record and enum once in $defs, those asked for
// first.
#include "contract/json.h"
#include "contract/value.h"

#define RECORDS_MAX 256

struct definitions {
  const struct ee_record_type *records[RECORDS_MAX];
  size_t record_count;
  const struct ee_enum_type *enums[RECORDS_MAX];
  size_t enum_count;
  struct ee_buf *out;
};

static void add_record(struct definitions *d, const struct ee_record_type *type) {
  for (size_t i = 0; i < d->record_count; i++) {
    if (d->records[i] == type) return;
  }
  if (d->record_count == RECORDS_MAX) {
    d->out->failed = true;
    return;
  }
  d->records[d->record_count++] = type;
}

static void add_enum(struct definitions *d, const struct ee_enum_type *type) {
  for (size_t i = 0; i < d->enum_count; i++) {
    if (d->enums[i] == type) return;
  }
  if (d->enum_count == RECORDS_MAX) {
    d->out->failed = true;
    return;
  }
  d->enums[d->enum_count++] = type;
}

static void write_ref(struct definitions *d, const char *name) {
  ee_buf_printf(d->out, "\"$ref\":\"#/$defs/%s\"", name);
}

static void write_string(struct definitions *d, enum ee_check check) {
  ee_buf_text(d->out, "\"type\":\"string\"");
  if (check == EE_CHECK_IDENTIFIER || check == EE_CHECK_TENANT) {
    ee_buf_text(d->out, ",\"minLength\":1,\"maxLength\":128,\"pattern\":\"^[^\\\\u0000]*$\"");
  } else if (check == EE_CHECK_REQUIRED) {
    ee_buf_text(d->out, ",\"minLength\":1");
  }
}

// The members of a value's schema, without its braces.
static void write_type(struct definitions *d, const struct ee_type *type, enum ee_check check) {
  switch (type->kind) {
    case EE_TYPE_BOOLEAN:
      ee_buf_text(d->out, "\"type\":\"boolean\"");
      break;
    case EE_TYPE_INT:
      ee_buf_text(d->out, "\"type\":\"integer\",\"minimum\":-2147483648,\"maximum\":2147483647");
      break;
    case EE_TYPE_LONG:
      ee_buf_text(d->out, type->timestamp
                              ? "\"anyOf\":[{\"type\":\"string\",\"format\":\"date-time\"},"
                                "{\"type\":\"integer\"}]"
                              : "\"type\":\"integer\",\"minimum\":-9223372036854775808,"
                                "\"maximum\":9223372036854775807");
      break;
    case EE_TYPE_STRING:
      write_string(d, check);
      break;
    case EE_TYPE_FIXED:
      ee_buf_printf(d->out,
                    "\"type\":\"string\",\"contentEncoding\":\"base64\",\"minLength\":%u,"
                    "\"maxLength\":%u",
                    (type->size + 2) / 3 * 4, (type->size + 2) / 3 * 4);
      break;
    case EE_TYPE_DECIMAL:
      ee_buf_text(d->out,
                  "\"anyOf\":[{\"type\":\"string\",\"pattern\":\"^-?[0-9]{1,38}$\"},"
                  "{\"type\":\"integer\"}]");
      break;
    case EE_TYPE_ENUM:
      add_enum(d, type->enumeration);
      write_ref(d, type->enumeration->name);
      break;
    case EE_TYPE_RECORD:
      add_record(d, type->record);
      write_ref(d, type->record->name);
      break;
    case EE_TYPE_ARRAY:
      ee_buf_text(d->out, "\"type\":\"array\",\"items\":{");
      write_type(d, type->item, EE_CHECK_NONE);
      ee_buf_byte(d->out, '}');
      break;
    case EE_TYPE_MAP:
      ee_buf_printf(d->out, "\"type\":\"object\",\"maxProperties\":%d,", EE_ENTRIES_MAX);
      if (check == EE_CHECK_NAMESPACED_JSON) {
        ee_buf_text(d->out,
                    "\"propertyNames\":{\"pattern\":"
                    "\"^[A-Za-z0-9_-]+(\\\\.[A-Za-z0-9_-]+)+(/.+)?$\"},");
      }
      ee_buf_text(d->out, "\"additionalProperties\":{");
      write_type(d, type->item, EE_CHECK_NONE);
      if (check == EE_CHECK_NAMESPACED_JSON) {
        ee_buf_text(d->out, ",\"contentMediaType\":\"application/json\"");
      }
      ee_buf_byte(d->out, '}');
      break;
  }
}

static void write_doc(struct definitions *d, const char *doc) {
  if (doc == NULL) return;
  ee_buf_text(d->out, "\"description\":");
  ee_buf_json_string(d->out, ee_str(doc));
  ee_buf_byte(d->out, ',');
}

static void write_property(struct definitions *d, const struct ee_field *field) {
  ee_buf_printf(d->out, "\"%s\":{", field->name);
  write_doc(d, field->doc);
  if (field->fallback != NULL && !field->type.nullable) {
    ee_buf_printf(d->out, "\"default\":%s,", field->fallback);
  }
  if (field->type.nullable) ee_buf_text(d->out, "\"anyOf\":[{\"type\":\"null\"},{");
  write_type(d, &field->type, field->check);
  ee_buf_text(d->out, field->type.nullable ? "}]}" : "}");
}

static void write_record(struct definitions *d, const struct ee_record_type *type) {
  bool first = true;
  ee_buf_printf(d->out, "\"%s\":{", type->name);
  write_doc(d, type->doc);
  ee_buf_text(d->out, "\"type\":\"object\",\"additionalProperties\":false,\"required\":[");
  for (size_t i = 0; i < type->count; i++) {
    const struct ee_field *field = &type->fields[i];
    if (field->fallback != NULL || field->type.nullable) continue;
    ee_buf_printf(d->out, "%s\"%s\"", first ? "" : ",", field->name);
    first = false;
  }
  ee_buf_text(d->out, "],\"properties\":{");
  for (size_t i = 0; i < type->count; i++) {
    if (i > 0) ee_buf_byte(d->out, ',');
    write_property(d, &type->fields[i]);
  }
  ee_buf_text(d->out, "}}");
}

static void write_enum(struct definitions *d, const struct ee_enum_type *type) {
  ee_buf_printf(d->out, ",\"%s\":{\"enum\":[", type->name);
  for (int i = 0; i < type->count; i++) {
    if (i > 0) ee_buf_byte(d->out, ',');
    ee_buf_json_string(d->out, type->symbols[i]);
  }
  ee_buf_text(d->out, "]}");
}

void ee_json_schema(const struct ee_record_type *const *types, size_t count, const char *id,
                    const char *title, struct ee_buf *out) {
  struct definitions d = {.out = out};
  ee_buf_text(out, "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"$id\":");
  ee_buf_json_string(out, ee_str(id));
  ee_buf_text(out, ",\"title\":");
  ee_buf_json_string(out, ee_str(title));
  ee_buf_text(out, ",\"$defs\":{");
  for (size_t i = 0; i < count; i++) {
    add_record(&d, types[i]);
  }
  // The list grows while it is written.
  for (size_t i = 0; i < d.record_count; i++) {
    if (i > 0) ee_buf_byte(out, ',');
    write_record(&d, d.records[i]);
  }
  for (size_t i = 0; i < d.enum_count; i++) {
    write_enum(&d, d.enums[i]);
  }
  ee_buf_text(out, "}}");
}
