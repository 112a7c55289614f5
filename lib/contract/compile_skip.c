// SPDX-License-Identifier: Apache-2.0
// Plans for what the writer has and the reader does not: passed over, but read as strictly
// as anything. Named types get one plan each, so that a small schema has a small plan, and
// may be recursive.
#include <stdlib.h>

#include "contract/compile.h"

#define RECORDS_MAX 4096  // named records in one writer's schema
#define NESTING_MAX 256   // of types, those reached by name included

static struct ee_skipped *find_skipped(struct ee_compiler *c, avro_schema_t writer) {
  for (size_t i = 0; i < c->skipped_count; i++) {
    if (c->skipped[i].schema == writer) return &c->skipped[i];
  }
  return NULL;
}

static bool add_skipped(struct ee_compiler *c, avro_schema_t writer, size_t *ret) {
  if (c->skipped_count == RECORDS_MAX) {
    return ee_compile_stop(c, EE_REASON_oversized, "the schema has too many records");
  }
  if (c->skipped_count == c->skipped_capacity) {
    size_t capacity = 2 * c->skipped_capacity + 16;
    struct ee_skipped *skipped = realloc(c->skipped, capacity * sizeof *skipped);
    if (skipped == NULL) return ee_compile_no_memory(c);
    c->skipped = skipped;
    c->skipped_capacity = capacity;
  }
  c->skipped[c->skipped_count] = (struct ee_skipped){.schema = writer};
  *ret = c->skipped_count++;
  return true;
}

// Fields of no bytes are left out, so that each step of a skip consumes something.
static bool skip_fields(struct ee_compiler *c, avro_schema_t writer, struct ee_node *ret) {
  size_t count = avro_schema_record_size(writer);
  uint64_t least = 0;
  uint32_t first;
  uint32_t used = 0;
  if (!ee_compile_take(c, count, &first)) return false;
  for (size_t i = 0; i < count; i++) {
    struct ee_node node;
    const char *name = avro_schema_record_field_name(writer, (int)i);
    if (!ee_compile_skip(c, avro_schema_record_field_get_by_index(writer, (int)i), &node)) {
      return ee_fault_in_field(c->fault, name);
    }
    if (node.op == EE_OP_NONE) continue;
    if (!ee_compile_name(c, name, &node.name)) return false;
    least += node.least;
    c->plan->nodes[first + used++] = node;
  }
  *ret = (struct ee_node){.op = used == 0 ? EE_OP_NONE : EE_OP_RECORD,
                          .child = first,
                          .count = used,
                          .least = ee_saturated(least)};
  return true;
}

static bool skip_record(struct ee_compiler *c, avro_schema_t writer, struct ee_node *ret) {
  struct ee_skipped *known = find_skipped(c, writer);
  if (known != NULL && known->done) {
    *ret = known->node;
    return true;
  }
  if (known != NULL) {  // within itself
    if (known->index == 0) {
      struct ee_node none = {.op = EE_OP_NONE};
      uint32_t index;
      if (!ee_compile_put(c, &none, &index)) return false;
      known->index = index;
    }
    *ret = (struct ee_node){.op = EE_OP_AGAIN, .child = known->index};
    return true;
  }
  size_t place = 0;
  if (!add_skipped(c, writer, &place) || !skip_fields(c, writer, ret)) return false;
  known = &c->skipped[place];
  known->node = *ret;
  known->done = true;
  if (known->index != 0) c->plan->nodes[known->index] = *ret;
  return true;
}

static bool skip_branches(struct ee_compiler *c, avro_schema_t writer, struct ee_node *ret) {
  size_t count = avro_schema_union_size(writer);
  uint32_t first;
  if (!ee_compile_take(c, count, &first)) return false;
  for (size_t i = 0; i < count; i++) {
    struct ee_node node;
    if (!ee_compile_skip(c, avro_schema_union_branch(writer, (int)i), &node)) return false;
    c->plan->nodes[first + i] = node;
  }
  *ret = (struct ee_node){.op = EE_OP_UNION, .child = first, .count = (uint32_t)count, .least = 1};
  return true;
}

static bool skip_items(struct ee_compiler *c, avro_schema_t item, enum ee_op op,
                       struct ee_node *ret) {
  struct ee_node node;
  uint32_t child;
  if (!ee_compile_skip(c, item, &node) || !ee_compile_put(c, &node, &child)) return false;
  *ret = (struct ee_node){.op = (uint8_t)op, .child = child, .least = 1};
  return true;
}

static struct ee_node span(uint32_t size) {
  return (struct ee_node){.op = size == 0 ? EE_OP_NONE : EE_OP_SPAN, .count = size, .least = size};
}

static bool skip_any(struct ee_compiler *c, avro_schema_t writer, struct ee_node *ret) {
  struct ee_node plain = {.least = 1};
  switch (avro_typeof(writer)) {
    case AVRO_NULL:
      plain = span(0);
      break;
    case AVRO_FLOAT:
      plain = span(4);
      break;
    case AVRO_DOUBLE:
      plain = span(8);
      break;
    case AVRO_FIXED:
      plain = span((uint32_t)avro_schema_fixed_size(writer));
      break;
    case AVRO_BOOLEAN:
      plain.op = EE_OP_BOOLEAN;
      break;
    case AVRO_INT32:
      plain.op = EE_OP_INT;
      break;
    case AVRO_INT64:
      plain.op = EE_OP_LONG;
      break;
    case AVRO_STRING:
      plain.op = EE_OP_STRING;
      break;
    case AVRO_BYTES:
      plain.op = EE_OP_BYTES;
      break;
    case AVRO_ENUM:
      plain.op = EE_OP_ENUM;
      plain.count = (uint32_t)avro_schema_enum_number_of_symbols(writer);
      break;
    case AVRO_RECORD:
      return skip_record(c, writer, ret);
    case AVRO_UNION:
      return skip_branches(c, writer, ret);
    case AVRO_ARRAY:
      return skip_items(c, avro_schema_array_items(writer), EE_OP_ARRAY, ret);
    case AVRO_MAP:
      return skip_items(c, avro_schema_map_values(writer), EE_OP_MAP, ret);
    default:  // AVRO_LINK, whose targets are not links; in avro-c 1.12 also AVRO_INVALID
      return false;
  }
  *ret = plain;
  return true;
}

bool ee_compile_skip(struct ee_compiler *c, avro_schema_t writer, struct ee_node *ret) {
  if (c->nesting == NESTING_MAX) {
    return ee_compile_stop(c, EE_REASON_too_deep, "the types nest too deep");
  }
  c->nesting++;
  bool done = skip_any(c, ee_schema_target(writer), ret);
  c->nesting--;
  return done;
}
