// SPDX-License-Identifier: Apache-2.0
// Bytes that nobody has checked: each way of being wrong is refused by its name, and what
// is on the right side of each bound is read.
#include "records.h"
#include "tests/support/chaos.h"
#include "tests/support/own_plan.h"
#include "tests/unit/contract/cell.h"

#define PART                                                               \
  "{\"type\":\"record\",\"name\":\"Part\",\"fields\":[{\"name\":\"name\"," \
  "\"type\":\"string\"},{\"name\":\"weight\",\"type\":\"long\"}]}"
#define PARTS "{\"type\":\"array\",\"items\":" PART "}"
// A part whose writer has one field more, which is passed over.
#define PART_AND(TYPE)                                                                          \
  "{\"type\":\"record\",\"name\":\"Part\",\"fields\":[{\"name\":\"name\",\"type\":\"string\"}," \
  "{\"name\":\"extra\",\"type\":" TYPE "}]}"
#define A "{\"f\":{\"name\":\"a\",\"weight\":5}}"
// Two fields of one record type.
#define TWIN                                                                                       \
  "{\"name\":\"one\",\"type\":{\"type\":\"record\",\"name\":\"Twin\",\"fields\":[{\"name\":\"s\"," \
  "\"type\":\"string\"}]}}"
#define TWO "{\"name\":\"two\",\"type\":\"Twin\"}"
#define MAP "{\"type\":\"map\",\"values\":\"string\"}"

static const struct cell_case cases[] = {
    // Numbers.
    {&a_long, "\"long\"", "", "truncated"},
    {&a_long, "\"long\"", "80", "truncated"},
    {&a_long, "\"long\"", "ffffffffffffffffff", "truncated"},
    {&a_long, "\"long\"", "feffffffffffffffff01", "{\"f\":9223372036854775807}"},
    {&a_long, "\"long\"", "ffffffffffffffffff01", "{\"f\":-9223372036854775808}"},
    {&a_long, "\"long\"", "ffffffffffffffffff02", "oversized"},
    {&a_long, "\"long\"", "ffffffffffffffffff7f", "oversized"},
    {&a_long, "\"long\"", "80808080808080808000", "non_minimal_varint"},
    {&a_long, "\"long\"", "ffffffffffffffffffff01", "non_minimal_varint"},
    {&a_long, "\"long\"", "8000", "non_minimal_varint"},
    {&a_long, "\"long\"", "868000", "non_minimal_varint"},
    {&an_int, "\"int\"", "868000", "non_minimal_varint"},
    {&an_int, "\"int\"", "feffffffffffffffff01", "oversized"},
    {&a_long, "\"long\"", "0600", "trailing_bytes"},
    // Booleans, enums, fixed.
    {&a_boolean, "\"boolean\"", "00", "{\"f\":false}"},
    {&a_boolean, "\"boolean\"", "07", "bad_boolean"},
    {&a_boolean, "\"boolean\"", "", "truncated"},
    {&an_enum, "{\"type\":\"enum\",\"name\":\"Colour\",\"symbols\":[\"RED\",\"GREEN\"]}", "d00f",
     "bad_enum"},
    {&an_enum, "{\"type\":\"enum\",\"name\":\"Colour\",\"symbols\":[\"RED\",\"GREEN\"]}", "04",
     "bad_enum"},
    {&an_enum, "{\"type\":\"enum\",\"name\":\"Colour\",\"symbols\":[\"RED\",\"GREEN\"]}", "01",
     "bad_enum"},
    {&a_fixed, "{\"type\":\"fixed\",\"name\":\"F\",\"size\":3}", "0102", "truncated"},
    // Strings.
    {&a_string, "\"string\"", "feffffffffffffffff01", "truncated"},
    {&a_string, "\"string\"", "808080808040 61", "truncated"},
    {&a_string, "\"string\"", "01", "truncated"},
    {&a_string, "\"string\"", "0261", "{\"f\":\"a\"}"},
    {&a_string, "\"string\"", "06610062", "{\"f\":\"a\\u0000b\"}"},
    {&a_string, "\"string\"", "04c0af", "invalid_utf8"},
    {&a_string, "\"string\"", "06eda080", "invalid_utf8"},
    {&a_string, "\"string\"", "1261626364656667 6880", "invalid_utf8"},
    {&a_string, "\"string\"", "12806263646566676869", "invalid_utf8"},
    {&a_string, "\"string\"", "1261626364c3a9666768",
     "{\"f\":\"abcd\xc3\xa9"
     "fgh\"}"},
    // Decimals.
    {&a_decimal, "\"bytes\"", "00", "oversized"},
    {&a_decimal, "\"bytes\"", "22 0000000000000000000000000000000001", "oversized"},
    {&a_decimal, "\"bytes\"", "20 4b3b4ca85a86c47a098a223fffffffff",
     "{\"f\":\"99999999999999999999999999999999999999\"}"},
    {&a_decimal, "\"bytes\"", "20 4b3b4ca85a86c47a098a224000000000", "oversized"},
    {&a_decimal, "\"bytes\"", "20 b4c4b357a5793b85f675ddc000000001",
     "{\"f\":\"-99999999999999999999999999999999999999\"}"},
    {&a_decimal, "\"bytes\"", "20 b4c4b357a5793b85f675ddc000000000", "oversized"},
    {&a_decimal, "\"bytes\"", "04 01", "truncated"},
    // Arrays: one block, several, with sizes right and wrong.
    {&an_array, PARTS, "00", "{\"f\":[]}"},
    {&an_array, PARTS, "02 026106 00", "{\"f\":[{\"name\":\"a\",\"weight\":3}]}"},
    {&an_array, PARTS, "02 026106 04 026208 02630a 00",
     "{\"f\":[{\"name\":\"a\",\"weight\":3},{\"name\":\"b\",\"weight\":4},"
     "{\"name\":\"c\",\"weight\":5}]}"},
    {&an_array, PARTS, "01 06 026106 00", "{\"f\":[{\"name\":\"a\",\"weight\":3}]}"},
    {&an_array, PARTS, "01 04 026106 00", "truncated"},
    {&an_array, PARTS, "01 08 026106 00", "trailing_bytes"},
    {&an_array, PARTS, "01 40 026106 00", "truncated"},
    {&an_array, PARTS, "01 01 026106 00", "truncated"},
    {&an_array, PARTS, "02 026106", "truncated"},
    {&an_array, PARTS, "06 026106 00", "truncated"},
    {&an_array, PARTS, "808080808040 026106 00", "truncated"},
    {&an_array, PARTS, "ffffffffffffffffff01 06 026106 00", "truncated"},
    {&an_array, PARTS, "fdffffffffffffffff01 06 026106 00", "truncated"},
    // Items of no bytes.
    {&a_record, PART_AND("{\"type\":\"array\",\"items\":\"null\"}"), "0261 8010 00", A},
    {&a_record, PART_AND("{\"type\":\"array\",\"items\":\"null\"}"), "0261 8210 00", "oversized"},
    {&a_record, PART_AND("{\"type\":\"array\",\"items\":\"null\"}"), "0261 8010 02 00",
     "oversized"},
    {&a_record, PART_AND("{\"type\":\"array\",\"items\":\"null\"}"), "0261 808080808040 00",
     "oversized"},
    // Maps.
    {&a_map, MAP, "00", "{\"f\":{}}"},
    {&a_map, MAP, "02 026b 0261 00", "{\"f\":{\"k\":\"a\"}}"},
    {&a_map, MAP, "04 026b 0261 026c 0262 00", "{\"f\":{\"k\":\"a\",\"l\":\"b\"}}"},
    {&a_map, MAP, "02 026b 0261 02 026a 0262 00", "{\"f\":{\"j\":\"b\",\"k\":\"a\"}}"},
    {&a_map, MAP, "04 026b 0261 026b 0262 00", "duplicate_key"},
    {&a_map, MAP, "02 026b 0261 02 026b 0262 00", "duplicate_key"},
    {&a_map, MAP, "04 00 00 00 00 00", "duplicate_key"},
    {&a_map, MAP, "02 00 00 00", "{\"f\":{\"\":\"\"}}"},
    {&a_map, MAP, "02 0280 00 00", "invalid_utf8"},
    {&a_map, MAP, "01 08 026b 0261 00", "{\"f\":{\"k\":\"a\"}}"},
    {&a_map, MAP, "01 0a 026b 0261 00", "trailing_bytes"},
    {&a_map, MAP, "", "truncated"},
    // What is passed over is as strictly read.
    {&a_record, PART_AND("\"float\""), "0261 000000", "truncated"},
    {&a_record, PART_AND("\"double\""), "0261 0000000000000000", A},
    {&a_record, PART_AND("{\"type\":\"fixed\",\"name\":\"F\",\"size\":2}"), "0261 0102", A},
    {&a_record, PART_AND("{\"type\":\"fixed\",\"name\":\"F\",\"size\":0}"), "0261", A},
    {&a_record, PART_AND("\"bytes\""), "0261 04ff80", A},
    {&a_record, PART_AND("\"bytes\""), "0261 06ff80", "truncated"},
    {&a_record, PART_AND("\"string\""), "0261 04ff80", "invalid_utf8"},
    {&a_record, PART_AND("\"int\""), "0261 8080808010", "oversized"},
    {&a_record, PART_AND("[\"int\",\"null\"]"), "0261 04", "wrong_schema"},
    {&a_record, PART_AND("{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"X\"]}"), "0261 02",
     "bad_enum"},
    {&a_record, PART_AND("{\"type\":\"record\",\"name\":\"T\",\"fields\":[" TWIN "," TWO "]}"),
     "0261 0262 0263", A},
    {&a_record, PART_AND("{\"type\":\"record\",\"name\":\"T\",\"fields\":[" TWIN "," TWO "]}"),
     "0261 0262", "truncated"},
    {&a_record, PART_AND("{\"type\":\"map\",\"values\":\"null\"}"), "0261 04 026b 026b 00",
     "duplicate_key"},
};

static void each_case_is_read_or_refused_by_name(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    cell_check(&cases[i]);
  }
}

static struct ee_plan *plan_of(const struct ee_field *field, const char *writer) {
  static struct ee_record_type reader;
  char schema[4096];
  struct ee_plan *plan = NULL;
  struct ee_fault fault = {.detail = ""};
  reader = (struct ee_record_type){
      .name = "R", .full_name = "t.R", .fields = field, .count = 1, .size = 64};
  snprintf(schema, sizeof schema,
           "{\"type\":\"record\",\"name\":\"t.R\",\"fields\":[{\"name\":\"f\",\"type\":%s}]}",
           writer);
  if (!ee_plan_new(&reader, ee_str(schema), &plan, &fault)) fail_msg("%s", fault.detail);
  return plan;
}

static enum ee_reason validate(const struct ee_plan *plan, struct ee_bytes bytes) {
  struct ee_fault fault = {.reason = EE_ACCEPTED};
  bool valid = ee_validate(plan, bytes, &fault);
  assert_int_equal(valid, fault.reason == EE_ACCEPTED);
  return fault.reason;
}

// ---- Depth.

#define NODE                                                                                  \
  "{\"type\":\"record\",\"name\":\"Node\",\"fields\":[{\"name\":\"next\",\"type\":[\"null\"," \
  "\"Node\"]}]}"

static void recursion_is_bounded(void **state) {
  (void)state;
  struct ee_plan *plan = plan_of(&a_record, PART_AND(NODE));
  size_t size = 512 * 1024;
  uint8_t *data = malloc(size);
  assert_non_null(data);
  memset(data, 2, size);
  data[1] = 'a';
  assert_int_equal(validate(plan, ee_bytes(data, size)), EE_REASON_too_deep);
  // The record, the part, and so many nodes.
  size_t nodes = EE_DEPTH_MAX - 2;
  data[2 + nodes - 1] = 0;
  assert_int_equal(validate(plan, ee_bytes(data, 2 + nodes)), EE_ACCEPTED);
  data[2 + nodes - 1] = 2;
  data[2 + nodes] = 0;
  assert_int_equal(validate(plan, ee_bytes(data, 2 + nodes + 1)), EE_REASON_too_deep);
  ee_plan_free(plan);
  free(data);
}

static void a_record_that_holds_itself_has_no_end(void **state) {
  (void)state;
  struct ee_plan *plan =
      plan_of(&a_record, PART_AND("{\"type\":\"record\",\"name\":\"Node\",\"fields\":[{\"name\":"
                                  "\"n\",\"type\":\"Node\"}]}"));
  assert_int_equal(validate(plan, ee_bytes("\x02"
                                           "a",
                                           2)),
                   EE_REASON_too_deep);
  ee_plan_free(plan);
}

// A tree: items of a recursive type have bytes, so their number is not bounded as that of
// empty items is.
static void recursive_items_count_by_their_bytes(void **state) {
  (void)state;
  struct ee_plan *plan = plan_of(
      &a_record,
      PART_AND("{\"type\":\"record\",\"name\":\"Tree\",\"fields\":[{\"name\":\"of\",\"type\":"
               "{\"type\":\"array\",\"items\":\"Tree\"}}]}"));
  size_t count = 2000;
  struct ee_buf bytes;
  ee_buf_init(&bytes, 65536);
  ee_buf_append(&bytes,
                "\x02"
                "a\xa0\x1f",
                4);
  for (size_t i = 0; i < count + 1; i++) {
    ee_buf_byte(&bytes, 0);
  }
  assert_int_equal(validate(plan, ee_buf_bytes(&bytes)), EE_ACCEPTED);
  bytes.size--;
  assert_int_equal(validate(plan, ee_buf_bytes(&bytes)), EE_REASON_truncated);
  ee_buf_release(&bytes);
  ee_plan_free(plan);
}

// ---- Large maps.

// count entries k0, k1, ... in blocks of block; the last key repeats that of `twin`.
static void put_map(struct ee_buf *out, size_t count, size_t block, size_t twin) {
  for (size_t i = 0; i < count; i++) {
    if (i % block == 0) {
      size_t n = 2 * (count - i < block ? count - i : block);
      for (; n >= 0x80; n >>= 7) {
        ee_buf_byte(out, (uint8_t)(n | 0x80));
      }
      ee_buf_byte(out, (uint8_t)n);
    }
    char key[32];
    int size = snprintf(key, sizeof key, "k%zu", i + 1 == count ? twin : i);
    ee_buf_byte(out, (uint8_t)(2 * size));
    ee_buf_append(out, key, (size_t)size);
    ee_buf_text(out, "\x02v");
  }
  ee_buf_byte(out, 0);
}

static void large_maps_are_read_and_their_keys_compared(void **state) {
  (void)state;
  static const size_t counts[] = {1, 2, 15, 16, 17, 18, 33, 500, EE_ENTRIES_MAX};
  static const size_t blocks[] = {1, 7, 16, 17, EE_ENTRIES_MAX + 1};
  struct ee_plan *plan = plan_of(&a_map, MAP);
  struct ee_buf bytes;
  struct ee_arena arena;
  ee_buf_init(&bytes, 65536);
  ee_arena_init(&arena, 1 << 20);
  for (size_t i = 0; i < COUNT_OF(counts) * COUNT_OF(blocks); i++) {
    size_t count = counts[i / COUNT_OF(blocks)];
    size_t block = blocks[i % COUNT_OF(blocks)];
    _Alignas(16) char record[64];
    const struct ee_str_map *map = (const void *)record;
    put_map(&bytes, count, block, count - 1);
    assert_int_equal(validate(plan, ee_buf_bytes(&bytes)), EE_ACCEPTED);
    assert_true(ee_decode(plan, ee_buf_bytes(&bytes), &arena, record, NULL));
    assert_int_equal(map->count, count);
    for (size_t k = 0; k < count; k++) {
      char key[32];
      snprintf(key, sizeof key, "k%zu", k);
      assert_true(ee_str_equal(map->entries[k].key, ee_str(key)));
      assert_true(ee_str_equal(map->entries[k].value, EE_STR("v")));
    }
    for (size_t twin = 0; twin + 1 < count; twin += 1 + count / 20) {
      ee_buf_clear(&bytes);
      put_map(&bytes, count, block, twin);
      assert_int_equal(validate(plan, ee_buf_bytes(&bytes)), EE_REASON_duplicate_key);
      assert_false(ee_decode(plan, ee_buf_bytes(&bytes), &arena, record, NULL));
    }
    ee_buf_clear(&bytes);
    ee_arena_clear(&arena);
  }
  for (size_t i = 0; i < COUNT_OF(blocks); i++) {
    ee_buf_clear(&bytes);
    put_map(&bytes, EE_ENTRIES_MAX + 1, blocks[i], EE_ENTRIES_MAX);
    assert_int_equal(validate(plan, ee_buf_bytes(&bytes)), EE_REASON_oversized);
  }
  ee_arena_release(&arena);
  ee_buf_release(&bytes);
  ee_plan_free(plan);
}

// ---- Checks of the tables.

static struct ee_admission admission(void) {
  struct ee_admission a;
  ee_record_init(&ee_admission_type, &a);
  a.envelope_id = a.event_id = a.tenant = a.source = EE_STR("x");
  a.caller.requester_urn = a.execution.service = a.execution.operation = EE_STR("y");
  return a;
}

static void expect(const struct ee_admission *a, enum ee_reason reason, const char *detail) {
  struct ee_buf bytes;
  struct ee_arena arena;
  struct ee_admission read;
  struct ee_fault fault = {.detail = ""};
  ee_buf_init(&bytes, 1 << 20);
  ee_arena_init(&arena, 1 << 20);
  ee_encode(&ee_admission_type, a, &bytes);
  const struct ee_plan *plan = own_plan(&ee_admission_type);
  bool valid = ee_validate(plan, ee_buf_bytes(&bytes), &fault);
  if (fault.reason != reason || valid != (reason == EE_ACCEPTED) ||
      strcmp(fault.detail, detail) != 0) {
    fail_msg("%s: %s, expected %s: %s", ee_reason_name(fault.reason), fault.detail,
             ee_reason_name(reason), detail);
  }
  assert_int_equal(ee_decode(plan, ee_buf_bytes(&bytes), &arena, &read, NULL), valid);
  // The same check on the struct says the same.
  struct ee_fault made = {.detail = ""};
  assert_int_equal(ee_check_record(&ee_admission_type, a, &made), valid);
  assert_string_equal(made.detail, detail);
  assert_int_equal(made.reason, reason);
  ee_arena_release(&arena);
  ee_buf_release(&bytes);
}

static void identifiers_and_required_fields_are_checked(void **state) {
  (void)state;
  char long_id[129];
  memset(long_id, 'i', sizeof long_id);
  struct ee_admission a = admission();
  expect(&a, EE_ACCEPTED, "");
  a.envelope_id = (struct ee_str){.data = long_id, .size = 128};
  expect(&a, EE_ACCEPTED, "");
  a.envelope_id.size = 129;
  expect(&a, EE_REASON_oversized, "envelope_id: 129 bytes, at most 128 may be");
  a.envelope_id = EE_STR("");
  expect(&a, EE_REASON_missing_field, "envelope_id: must not be empty");
  a.envelope_id = EE_STR("a\0b");
  expect(&a, EE_REASON_invalid_utf8, "envelope_id: contains a NUL");
  a = admission();
  a.tenant = EE_STR("");
  expect(&a, EE_REASON_tenant_missing, "tenant: must not be empty");
  a.tenant = EE_STR("t\0");
  expect(&a, EE_REASON_invalid_utf8, "tenant: contains a NUL");
  a = admission();
  a.caller.requester_urn = EE_STR("");
  expect(&a, EE_REASON_missing_field, "caller.requester_urn: must not be empty");
  a.caller.requester_urn = EE_STR("a\0b");  // no identifier: any text will do
  expect(&a, EE_ACCEPTED, "");
}

static void extensions_are_namespaced_json(void **state) {
  (void)state;
  static const struct {
    struct ee_str key, value;
    bool valid;
    const char *detail;
  } entries[] = {{{"a.b", 3}, {"1", 1}, true, ""},
                 {{"com.example.serving/model", 25}, {"{\"a\":[null,true]}", 17}, true, ""},
                 {{"A-1._x-/any thing/\n", 19}, {"\"\"", 2}, true, ""},
                 {{"model", 5}, {"1", 1}, false, "extensions[model]: the key has no namespace"},
                 {{"tenant", 6}, {"1", 1}, false, "extensions[tenant]: the key has no namespace"},
                 {{"a/b.c", 5}, {"1", 1}, false, "extensions[a/b.c]: the key has no namespace"},
                 {{"a..b", 4}, {"1", 1}, false, "extensions[a..b]: the key has no namespace"},
                 {{".b", 2}, {"1", 1}, false, "extensions[.b]: the key has no namespace"},
                 {{"a.", 2}, {"1", 1}, false, "extensions[a.]: the key has no namespace"},
                 {{"a.b/", 4}, {"1", 1}, false, "extensions[a.b/]: the key has no namespace"},
                 {{"a b.c", 5}, {"1", 1}, false, "extensions[a b.c]: the key has no namespace"},
                 {{"a.b\0", 4}, {"1", 1}, false, "extensions[a.b]: the key has no namespace"},
                 {{"", 0}, {"1", 1}, false, "extensions[]: the key has no namespace"},
                 {{"a.b", 3}, {"", 0}, false, "extensions[a.b]: the value is not JSON text"},
                 {{"a.b", 3}, {"{", 1}, false, "extensions[a.b]: the value is not JSON text"},
                 {{"a.b", 3}, {"1 2", 3}, false, "extensions[a.b]: the value is not JSON text"},
                 {{"a.b", 3}, {"model", 5}, false, "extensions[a.b]: the value is not JSON text"}};
  for (size_t i = 0; i < COUNT_OF(entries); i++) {
    struct ee_str_entry entry = {.key = entries[i].key, .value = entries[i].value};
    struct ee_admission a = admission();
    a.extensions = (struct ee_str_map){.entries = &entry, .count = 1};
    expect(&a, entries[i].valid ? EE_ACCEPTED : EE_REASON_extension_not_namespaced,
           entries[i].detail);
  }
}

// ---- Faults say where.

static void faults_name_path_and_position(void **state) {
  (void)state;
  struct ee_plan *plan = plan_of(&an_array, PARTS);
  struct ee_fault fault;
  struct ee_bytes bytes = cell_bytes("04 026106 0262 8000 00");
  assert_false(ee_validate(plan, bytes, &fault));
  assert_string_equal(fault.detail, "f[1].weight: a number longer than needed");
  assert_int_equal(fault.position, 6);
  free((void *)bytes.data);
  ee_plan_free(plan);

  plan = plan_of(&a_map, MAP);
  bytes = cell_bytes("02 067a6f6e 02ff 00");
  assert_false(ee_validate(plan, bytes, &fault));
  assert_string_equal(fault.detail, "f[zon]: not valid UTF-8");
  assert_int_equal(fault.position, 5);
  free((void *)bytes.data);
  ee_plan_free(plan);

  plan = plan_of(&a_record, PART_AND("{\"type\":\"array\",\"items\":" NODE "}"));
  bytes = cell_bytes("0261 02 02 03 00");
  assert_false(ee_validate(plan, bytes, &fault));
  assert_string_equal(fault.detail, "f.extra[0].next.next: an index out of range: -2");
  free((void *)bytes.data);
  bytes = cell_bytes("0261 00 00");
  assert_false(ee_validate(plan, bytes, &fault));
  assert_string_equal(fault.detail, "bytes after the record: 1");
  assert_int_equal(fault.position, 3);
  free((void *)bytes.data);
  ee_plan_free(plan);
}

// ---- The other ends.

// A count that the rest cannot hold is refused before memory is taken for it.
static void memory_is_taken_only_for_what_can_be_there(void **state) {
  (void)state;
  static uint8_t data[60000];
  struct ee_plan *plan = plan_of(&an_array, PARTS);
  struct ee_arena arena;
  struct ee_fault fault;
  _Alignas(16) char record[64];
  memcpy(data, "\x80\xf1\x04", 3);  // 40,000 parts, each of two bytes at least
  ee_arena_init(&arena, 1000000);
  assert_false(ee_decode(plan, ee_bytes(data, sizeof data), &arena, record, &fault));
  assert_int_equal(fault.reason, EE_REASON_truncated);
  assert_int_equal(arena.total, 0);
  ee_arena_release(&arena);
  ee_plan_free(plan);
}

static void a_prefix_is_read_and_its_size_told(void **state) {
  (void)state;
  struct ee_admission a = admission();
  struct ee_admission read;
  struct ee_buf bytes;
  struct ee_arena arena;
  size_t size = 0;
  ee_buf_init(&bytes, 65536);
  ee_arena_init(&arena, 65536);
  ee_encode(&ee_admission_type, &a, &bytes);
  size_t whole = bytes.size;
  ee_buf_text(&bytes, "more");
  const struct ee_plan *plan = own_plan(&ee_admission_type);
  assert_true(ee_decode_prefix(plan, ee_buf_bytes(&bytes), &arena, &read, &size, NULL));
  assert_int_equal(size, whole);
  assert_int_equal(read.encoded.size, whole);
  assert_false(ee_decode_prefix(plan, ee_bytes(bytes.data, whole - 1), &arena, &read, &size, NULL));
  ee_arena_release(&arena);
  ee_buf_release(&bytes);
}

static void no_bytes_are_no_record(void **state) {
  (void)state;
  struct ee_fault fault;
  struct ee_bytes absent = {.data = NULL};
  assert_false(ee_validate(own_plan(&ee_admission_type), absent, &fault));
  assert_int_equal(fault.reason, EE_REASON_truncated);
}

static void a_full_arena_and_failed_allocations_are_oversized(void **state) {
  (void)state;
  struct ee_resources requested = {.cpu_millis = {true, 1}};
  struct ee_scope scope = {.app = EE_STR("a")};
  struct ee_str_entry labels[] = {{EE_STR("k"), EE_STR("v")}};
  struct ee_str chain[] = {EE_STR("p"), EE_STR("q")};
  struct ee_admission a = admission();
  struct ee_admission read;
  struct ee_fault fault = {.reason = EE_ACCEPTED};
  struct ee_buf bytes;
  a.requested = requested;
  a.scope = &scope;
  a.requested.placement = (struct ee_str_map){labels, 1};
  a.caller.on_behalf_of = (struct ee_str_array){chain, 2};
  ee_buf_init(&bytes, 65536);
  ee_encode(&ee_admission_type, &a, &bytes);
  const struct ee_plan *plan = own_plan(&ee_admission_type);
  bool decoded = false;
  size_t limit = 0;
  for (; !decoded && limit < 1 << 20; limit += 8) {
    struct ee_arena arena;
    ee_arena_init(&arena, limit);
    decoded = ee_decode(plan, ee_buf_bytes(&bytes), &arena, &read, &fault);
    if (!decoded) assert_int_equal(fault.reason, EE_REASON_oversized);
    ee_arena_release(&arena);
  }
  assert_true(limit > 64);
  bool failed = true;
  for (size_t n = 0; failed; n++) {
    struct ee_arena arena;
    ee_arena_init(&arena, 65536);
    ee_chaos_fail_after(n);
    decoded = ee_decode(plan, ee_buf_bytes(&bytes), &arena, &read, &fault);
    failed = ee_chaos_stop();
    assert_int_equal(decoded, !failed);
    ee_arena_release(&arena);
  }
  ee_buf_release(&bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_case_is_read_or_refused_by_name),
      cmocka_unit_test(recursion_is_bounded),
      cmocka_unit_test(a_record_that_holds_itself_has_no_end),
      cmocka_unit_test(recursive_items_count_by_their_bytes),
      cmocka_unit_test(large_maps_are_read_and_their_keys_compared),
      cmocka_unit_test(identifiers_and_required_fields_are_checked),
      cmocka_unit_test(extensions_are_namespaced_json),
      cmocka_unit_test(faults_name_path_and_position),
      cmocka_unit_test(memory_is_taken_only_for_what_can_be_there),
      cmocka_unit_test(a_prefix_is_read_and_its_size_told),
      cmocka_unit_test(no_bytes_are_no_record),
      cmocka_unit_test(a_full_arena_and_failed_allocations_are_oversized),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
