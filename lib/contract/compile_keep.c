// SPDX-License-Identifier: Apache-2.0
// Plans for what the reader keeps: the writer's type and the reader's side by side (Avro
// specification, "Schema Resolution").
#include <stdlib.h>

#include "contract/compile.h"

static bool unlike(struct ee_compiler *c, avro_schema_t writer, const char *wanted) {
  return ee_fault_set(c->fault, EE_REASON_wrong_schema, 0, ": %s cannot be read as %s",
                      avro_schema_type_name(writer), wanted);
}

static const char *unqualified(const char *name) {
  const char *dot = strrchr(name, '.');
  return dot == NULL ? name : dot + 1;
}

static bool is_alias(const char *const *aliases, const char *name) {
  for (; aliases != NULL && *aliases != NULL; aliases++) {
    if (strcmp(unqualified(*aliases), name) == 0) return true;
  }
  return false;
}

static bool has_full_name(avro_schema_t writer, const char *full_name) {
  const char *space = avro_schema_namespace(writer);
  size_t size = space == NULL ? 0 : strlen(space);
  if (size == 0) return strcmp(full_name, avro_schema_name(writer)) == 0;
  return strncmp(full_name, space, size) == 0 && full_name[size] == '.' &&
         strcmp(full_name + size + 1, avro_schema_name(writer)) == 0;
}

// The reader's field for one of the writer's, or -1. An alias counts only where the writer
// does not have the name itself.
static int field_index(const struct ee_record_type *reader, avro_schema_t writer, const char *name,
                       const bool *taken) {
  for (size_t i = 0; i < reader->count; i++) {
    if (strcmp(reader->fields[i].name, name) == 0) return (int)i;
  }
  for (size_t i = 0; i < reader->count; i++) {
    if (!taken[i] && is_alias(reader->fields[i].aliases, name) &&
        avro_schema_record_field_get_index(writer, reader->fields[i].name) < 0) {
      return (int)i;
    }
  }
  return -1;
}

static bool compile_enum(struct ee_compiler *c, avro_schema_t writer,
                         const struct ee_enum_type *reader, struct ee_node *ret, bool *same) {
  int count = avro_schema_enum_number_of_symbols(writer);
  bool identical = count == reader->count;
  if (strcmp(avro_schema_name(writer), reader->name) != 0) return unlike(c, writer, reader->name);
  int32_t *symbols =
      ee_compile_alloc(c, (size_t)count * sizeof *symbols, "the schema's enums are too large");
  if (symbols == NULL) return false;
  for (int i = 0; i < count; i++) {
    int index = ee_enum_find(reader, ee_str(avro_schema_enum_get(writer, i)));
    identical = identical && index == i;
    symbols[i] = index >= 0 ? index : reader->fallback;
  }
  *ret = (struct ee_node){.op = identical ? EE_OP_ENUM : EE_OP_ENUM_MAP,
                          .count = (uint32_t)count,
                          .least = 1,
                          .symbols = symbols};
  *same = identical;
  return true;
}

// What is checked is the value, whichever branch of a writer's union it comes in.
static void set_check(struct ee_plan *plan, struct ee_node *node, enum ee_check check) {
  uint32_t branches = node->op == EE_OP_OPTIONAL ? 1 : node->op == EE_OP_UNION ? node->count : 0;
  node->check = (uint8_t)check;
  for (uint32_t i = 0; i < branches; i++) {
    plan->nodes[node->child + i].check = (uint8_t)check;
  }
}

// One of the writer's fields: kept where the reader has it, else passed over.
static bool compile_field(struct ee_compiler *c, avro_schema_t writer, const char *name,
                          const struct ee_field *reader, struct ee_node *ret, bool *same) {
  if (reader != NULL) {
    if (!ee_compile_keep(c, writer, &reader->type, ret, same)) {
      return ee_fault_in_field(c->fault, name);
    }
    ret->at += reader->offset;
    ret->name = reader->name;
    set_check(c->plan, ret, reader->check);
    return true;
  }
  struct ee_node skip;
  uint32_t child;
  *same = false;
  if (!ee_compile_skip(c, writer, &skip)) return ee_fault_in_field(c->fault, name);
  *ret = skip;
  if (skip.op == EE_OP_NONE) return true;
  if (!ee_compile_put(c, &skip, &child)) return false;
  *ret = (struct ee_node){.op = EE_OP_SKIP, .child = child, .least = skip.least};
  return ee_compile_name(c, name, &ret->name);
}

// Reader's fields that the writer does not have.
static bool compile_defaults(struct ee_compiler *c, const struct ee_record_type *reader,
                             const bool *taken, struct ee_node *nodes, uint32_t *used) {
  for (size_t i = 0; i < reader->count; i++) {
    const struct ee_field *field = &reader->fields[i];
    if (taken[i]) continue;
    if (field->fallback == NULL) {
      ee_fault_set(c->fault, EE_REASON_missing_field, 0,
                   ": the writer's schema does not have it, and it has no default");
      return ee_fault_in_field(c->fault, field->name);
    }
    nodes[(*used)++] = (struct ee_node){.op = EE_OP_DEFAULT, .field = field, .name = field->name};
  }
  return true;
}

// `nodes` has room for all of the writer's and all of the reader's fields, `taken` for the
// reader's.
static bool compile_fields(struct ee_compiler *c, avro_schema_t writer,
                           const struct ee_record_type *reader, bool *taken, struct ee_node *nodes,
                           struct ee_node *ret, bool *same) {
  size_t count = avro_schema_record_size(writer);
  uint64_t least = 0;
  uint32_t used = 0;
  *same = has_full_name(writer, reader->full_name) && count == reader->count;
  for (size_t i = 0; i < count; i++) {
    const char *name = avro_schema_record_field_name(writer, (int)i);
    int index = field_index(reader, writer, name, taken);
    bool field_same = false;
    struct ee_node *node = &nodes[used];
    if (index >= 0) taken[index] = true;
    if (!compile_field(c, avro_schema_record_field_get_by_index(writer, (int)i), name,
                       index < 0 ? NULL : &reader->fields[index], node, &field_same)) {
      return false;
    }
    *same = *same && field_same && strcmp(reader->fields[i].name, name) == 0;
    least += node->least;
    // What has no bytes and no place costs no step, however many of it there are.
    if (index >= 0 || node->op != EE_OP_NONE) used++;
  }
  if (!compile_defaults(c, reader, taken, nodes, &used)) return false;
  uint32_t first;
  if (!ee_compile_take(c, used, &first)) return false;
  if (used > 0) memcpy(c->plan->nodes + first, nodes, used * sizeof *nodes);
  *ret = (struct ee_node){.op = EE_OP_RECORD,
                          .spans = *same && reader->schema != NULL,
                          .child = first,
                          .count = used,
                          .least = ee_saturated(least),
                          .size = (uint32_t)reader->size};
  return true;
}

static bool compile_record(struct ee_compiler *c, avro_schema_t writer,
                           const struct ee_record_type *reader, struct ee_node *ret, bool *same) {
  const char *name = avro_schema_name(writer);
  if (strcmp(name, reader->name) != 0 && !is_alias(reader->aliases, name)) {
    ee_fault_set(c->fault, EE_REASON_wrong_schema, 0, ": record %s cannot be read as %s", name,
                 reader->name);
    return false;
  }
  bool *taken = calloc(reader->count + 1, sizeof *taken);
  struct ee_node *nodes =
      calloc(avro_schema_record_size(writer) + reader->count + 1, sizeof *nodes);
  bool done = taken != NULL && nodes != NULL
                  ? compile_fields(c, writer, reader, taken, nodes, ret, same)
                  : ee_compile_no_memory(c);
  free(nodes);
  free(taken);
  return done;
}

static bool compile_items(struct ee_compiler *c, avro_schema_t item, const struct ee_type *reader,
                          enum ee_op op, struct ee_node *ret, bool *same) {
  struct ee_node node;
  uint32_t child;
  if (!ee_compile_keep(c, item, reader->item, &node, same)) {
    return ee_fault_in_key(c->fault, EE_STR("*"));
  }
  if (op == EE_OP_MAP) node.at += (uint32_t)EE_ENTRY_VALUE;
  bool zeroed = node.op == EE_OP_RECORD || node.op == EE_OP_OPTIONAL || node.op == EE_OP_UNION ||
                node.op == EE_OP_NONE;
  if (!ee_compile_put(c, &node, &child)) return false;
  *ret = (struct ee_node){
      .op = (uint8_t)op, .child = child, .least = 1, .zeroed = zeroed, .size = reader->size};
  return true;
}

// Writer and reader both without null: kinds must agree or promote.
static bool compile_plain(struct ee_compiler *c, avro_schema_t writer, const struct ee_type *reader,
                          struct ee_node *ret, bool *same) {
  avro_type_t kind = avro_typeof(writer);
  *ret = (struct ee_node){.least = 1};
  *same = true;
  switch (reader->kind) {
    case EE_TYPE_BOOLEAN:
      ret->op = EE_OP_BOOLEAN;
      return kind == AVRO_BOOLEAN || unlike(c, writer, "boolean");
    case EE_TYPE_INT:
      ret->op = EE_OP_INT;
      return kind == AVRO_INT32 || unlike(c, writer, "int");
    case EE_TYPE_LONG:
      ret->op = kind == AVRO_INT32 ? EE_OP_INT_WIDE : EE_OP_LONG;
      *same = kind == AVRO_INT64;
      return kind == AVRO_INT64 || kind == AVRO_INT32 || unlike(c, writer, "long");
    case EE_TYPE_STRING:
      ret->op = EE_OP_STRING;
      *same = kind == AVRO_STRING;
      return kind == AVRO_STRING || kind == AVRO_BYTES || unlike(c, writer, "string");
    case EE_TYPE_DECIMAL:
      ret->op = EE_OP_DECIMAL;
      *same = kind == AVRO_BYTES;
      ret->least = 2;
      return kind == AVRO_BYTES || unlike(c, writer, "decimal");
    case EE_TYPE_FIXED:
      ret->op = EE_OP_FIXED;
      ret->count = ret->least = reader->size;
      return (kind == AVRO_FIXED && avro_schema_fixed_size(writer) == (int64_t)reader->size) ||
             unlike(c, writer, "a fixed of another size");
    case EE_TYPE_ENUM:
      return kind == AVRO_ENUM ? compile_enum(c, writer, reader->enumeration, ret, same)
                               : unlike(c, writer, reader->enumeration->name);
    case EE_TYPE_RECORD:
      return kind == AVRO_RECORD ? compile_record(c, writer, reader->record, ret, same)
                                 : unlike(c, writer, reader->record->name);
    case EE_TYPE_ARRAY:
      return kind == AVRO_ARRAY
                 ? compile_items(c, avro_schema_array_items(writer), reader, EE_OP_ARRAY, ret, same)
                 : unlike(c, writer, "array");
    case EE_TYPE_MAP:
      return kind == AVRO_MAP
                 ? compile_items(c, avro_schema_map_values(writer), reader, EE_OP_MAP, ret, same)
                 : unlike(c, writer, "map");
  }
  return false;
}

// A writer's type that is no union, into a reader's that may be one.
static bool compile_branch(struct ee_compiler *c, avro_schema_t writer,
                           const struct ee_type *reader, struct ee_node *ret, bool *same) {
  writer = ee_schema_target(writer);
  if (is_avro_null(writer)) {
    *ret = (struct ee_node){.op = EE_OP_NONE};
    *same = true;
    return reader->nullable || unlike(c, writer, "a type without null");
  }
  if (!compile_plain(c, writer, reader, ret, same)) return false;
  if (reader->nullable) {
    ret->pair = (uint8_t)ee_pair_offset(reader->kind);
    ret->at += ret->pair;
    ret->boxed = reader->kind == EE_TYPE_RECORD;
  }
  return true;
}

static bool compile_union(struct ee_compiler *c, avro_schema_t writer, const struct ee_type *reader,
                          struct ee_node *ret, bool *same) {
  size_t count = avro_schema_union_size(writer);
  size_t fitting = 0;
  uint32_t first;
  if (!ee_compile_take(c, count, &first)) return false;
  bool all_same = count == 2 && reader->nullable;
  for (size_t i = 0; i < count; i++) {
    struct ee_node node;
    bool branch_same = false;
    avro_schema_t branch = ee_schema_target(avro_schema_union_branch(writer, (int)i));
    if (compile_branch(c, branch, reader, &node, &branch_same)) {
      fitting++;
    } else {
      if (c->fatal) return false;
      node = (struct ee_node){.op = EE_OP_REFUSE};
    }
    all_same = all_same && branch_same && is_avro_null(branch) == ((i == 1) == reader->null_second);
    c->plan->nodes[first + i] = node;
  }
  if (fitting == 0) return false;  // the last branch's fault stands
  const struct ee_node *nodes = c->plan->nodes + first;
  uint32_t null_branch = count == 2 && nodes[1].op == EE_OP_NONE ? 1 : 0;
  bool optional = count == 2 && nodes[null_branch].op == EE_OP_NONE;
  *ret = (struct ee_node){.op = optional ? EE_OP_OPTIONAL : EE_OP_UNION,
                          .child = optional ? first + 1 - null_branch : first,
                          .count = optional ? null_branch : (uint32_t)count,
                          .least = 1};
  *same = all_same;
  return true;
}

bool ee_compile_keep(struct ee_compiler *c, avro_schema_t writer, const struct ee_type *reader,
                     struct ee_node *ret, bool *same) {
  writer = ee_schema_target(writer);
  if (is_avro_union(writer)) return compile_union(c, writer, reader, ret, same);
  bool done = compile_branch(c, writer, reader, ret, same);
  *same = *same && !reader->nullable;
  return done;
}
