// SPDX-License-Identifier: Apache-2.0
// Cases as lines of a table: a reader's field, what the writer's schema has in its place,
// bytes in hex, and what comes out: the record as JSON, or the name of a reason ("plan"
// before it when there is not even a plan).
#ifndef EE_TESTS_CELL_H
#define EE_TESTS_CELL_H

#include <stdio.h>
#include <stdlib.h>

#include "contract/json.h"
#include "tests/support/test.h"
#include "tests/unit/contract/thing.h"

struct cell_case {
  const struct ee_field *field;
  const char *writer;  // JSON of the writer's type for the field
  const char *hex;     // spaces are allowed
  const char *expected;
};

#define CELL(NAME, ...) static const struct ee_field NAME = {.name = "f", .type = {__VA_ARGS__}}

CELL(a_boolean, .kind = EE_TYPE_BOOLEAN);
CELL(an_int, .kind = EE_TYPE_INT);
CELL(a_long, .kind = EE_TYPE_LONG);
CELL(a_string, .kind = EE_TYPE_STRING);
CELL(a_fixed, .kind = EE_TYPE_FIXED, .size = 3);
CELL(a_decimal, .kind = EE_TYPE_DECIMAL);
CELL(an_enum, .kind = EE_TYPE_ENUM, .enumeration = &colour_type);
// An enum that has no symbol to fall back to.
static const struct ee_enum_type strict_type = {
    .name = "Colour", .symbols = colour_symbols, .count = 3, .fallback = -1};
CELL(a_strict_enum, .kind = EE_TYPE_ENUM, .enumeration = &strict_type);
CELL(a_record, .kind = EE_TYPE_RECORD, .record = &part_type);
CELL(an_array, .kind = EE_TYPE_ARRAY, .size = sizeof(struct part), .item = &thing_part);
CELL(a_map, .kind = EE_TYPE_MAP, .size = sizeof(struct ee_str_entry), .item = &thing_string);
CELL(a_long_map, .kind = EE_TYPE_MAP, .size = sizeof(struct ee_long_entry), .item = &thing_long);
CELL(opt_boolean, .kind = EE_TYPE_BOOLEAN, .nullable = true);
CELL(opt_int, .kind = EE_TYPE_INT, .nullable = true);
CELL(opt_long, .kind = EE_TYPE_LONG, .nullable = true);
CELL(opt_string, .kind = EE_TYPE_STRING, .nullable = true);
CELL(opt_fixed, .kind = EE_TYPE_FIXED, .nullable = true, .size = 3);
CELL(opt_decimal, .kind = EE_TYPE_DECIMAL, .nullable = true);
CELL(opt_enum, .kind = EE_TYPE_ENUM, .nullable = true, .enumeration = &colour_type);
CELL(opt_record, .kind = EE_TYPE_RECORD, .nullable = true, .record = &part_type);

// A copy on the heap of just the right size, so that a sanitizer sees a step too far.
static inline struct ee_bytes cell_bytes(const char *hex) {
  uint8_t *data = malloc(strlen(hex) + 1);
  size_t size = 0;
  assert_non_null(data);
  for (; *hex != '\0'; hex++) {
    if (*hex == ' ') continue;
    char pair[3] = {hex[0], hex[1], '\0'};
    data[size++] = (uint8_t)strtoul(pair, NULL, 16);
    hex++;
  }
  uint8_t *exact = realloc(data, size == 0 ? 1 : size);
  assert_non_null(exact);
  return ee_bytes(exact, size);
}

static inline void cell_print(const struct ee_record_type *type, const void *record,
                              struct ee_buf *out) {
  ee_buf_clear(out);
  ee_json_write(type, record, NULL, out);
  assert_false(out->failed);
  ee_buf_byte(out, '\0');
}

// Validates and decodes; checks that both say the same, and what.
static inline void cell_read(const struct ee_plan *plan, struct ee_bytes bytes,
                             const char *expected, const char *what) {
  _Alignas(16) char record[sizeof(struct thing)];
  const struct ee_record_type *type = ee_plan_reader(plan);
  struct ee_fault fault = {.detail = ""}, fault_decode = {.detail = ""};
  struct ee_arena arena;
  struct ee_buf out;
  ee_arena_init(&arena, 1 << 20);
  ee_buf_init(&out, 1 << 20);
  bool valid = ee_validate(plan, bytes, &fault);
  assert_int_equal(ee_validate(plan, bytes, NULL), valid);
  assert_true(type->size <= sizeof record);
  memset(record, 0x5a, sizeof record);
  assert_int_equal(ee_decode(plan, bytes, &arena, record, &fault_decode), valid);
  assert_string_equal(fault.detail, fault_decode.detail);
  const char *result = ee_reason_name(fault.reason);
  if (valid) {
    cell_print(type, record, &out);
    result = (const char *)out.data;
  }
  if (strcmp(result, expected) != 0) {
    fail_msg("%s: %s (%s), expected %s", what, result, fault.detail, expected);
  }
  ee_buf_release(&out);
  ee_arena_release(&arena);
}

static inline void cell_check(const struct cell_case *c) {
  const struct ee_record_type reader = {
      .name = "R", .full_name = "t.R", .fields = c->field, .count = 1, .size = 64};
  char schema[4096];
  char what[512];
  struct ee_plan *plan = NULL;
  struct ee_fault fault = {.detail = ""};
  snprintf(schema, sizeof schema,
           "{\"type\":\"record\",\"name\":\"t.R\",\"fields\":[{\"name\":\"f\",\"type\":%s}]}",
           c->writer);
  snprintf(what, sizeof what, "%.200s of %.200s", c->hex, c->writer);
  bool planned = ee_plan_new(&reader, ee_str(schema), &plan, &fault);
  assert_int_equal(planned, strncmp(c->expected, "plan ", 5) != 0);
  if (!planned) {
    if (strcmp(ee_reason_name(fault.reason), c->expected + 5) != 0) {
      fail_msg("%s: no plan, %s (%s), expected %s", what, ee_reason_name(fault.reason),
               fault.detail, c->expected);
    }
    return;
  }
  struct ee_bytes bytes = cell_bytes(c->hex);
  cell_read(plan, bytes, c->expected, what);
  free((void *)bytes.data);
  ee_plan_free(plan);
}

#endif
