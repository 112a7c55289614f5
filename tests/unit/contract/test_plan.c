// SPDX-License-Identifier: Apache-2.0
// Schema resolution: what an older or newer writer's record becomes for our reader.
#include "contract/plan.h"
#include "records.h"
#include "tests/support/chaos.h"
#include "tests/unit/contract/cell.h"

#define PART(NAME, FIELDS) "{\"type\":\"record\",\"name\":\"" NAME "\",\"fields\":[" FIELDS "]}"
#define NAME_FIELD "{\"name\":\"name\",\"type\":\"string\"}"
#define WEIGHT(TYPE) "{\"name\":\"weight\",\"type\":" TYPE "}"
#define COLOURS(NAME, SYMBOLS) "{\"type\":\"enum\",\"name\":\"" NAME "\",\"symbols\":[" SYMBOLS "]}"

static const struct cell_case cases[] = {
    // Promotions, and the kinds that stay apart.
    {&a_long, "\"long\"", "feffffff1f", "{\"f\":4294967295}"},
    {&a_long, "\"int\"", "03", "{\"f\":-2}"},
    {&a_long, "\"int\"", "feffffff1f", "oversized"},
    {&a_long, "\"float\"", "", "plan wrong_schema"},
    {&a_long, "\"string\"", "", "plan wrong_schema"},
    {&an_int, "\"int\"", "ffffffff0f", "{\"f\":-2147483648}"},
    {&an_int, "\"int\"", "feffffff0f", "{\"f\":2147483647}"},
    {&an_int, "\"int\"", "8080808010", "oversized"},
    {&an_int, "\"long\"", "", "plan wrong_schema"},
    {&a_boolean, "\"boolean\"", "01", "{\"f\":true}"},
    {&a_boolean, "\"int\"", "", "plan wrong_schema"},
    {&a_string, "\"string\"", "0668c3", "truncated"},
    {&a_string, "\"string\"", "04c3a9", "{\"f\":\"\xc3\xa9\"}"},
    {&a_string, "\"bytes\"", "04c3a9", "{\"f\":\"\xc3\xa9\"}"},
    {&a_string, "\"bytes\"", "04c328", "invalid_utf8"},
    {&a_string, "\"null\"", "", "plan wrong_schema"},
    {&a_decimal, "\"bytes\"", "0400ff", "{\"f\":\"255\"}"},
    {&a_decimal, "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":9}", "02ff",
     "{\"f\":\"-1\"}"},
    {&a_decimal, "\"string\"", "", "plan wrong_schema"},
    {&a_fixed, "{\"type\":\"fixed\",\"name\":\"Other\",\"size\":3}", "010203", "{\"f\":\"AQID\"}"},
    {&a_fixed, "{\"type\":\"fixed\",\"name\":\"Other\",\"size\":4}", "", "plan wrong_schema"},
    {&a_fixed, "\"bytes\"", "", "plan wrong_schema"},
    // Enums: by symbol, not by index; what is unknown falls back.
    {&an_enum, COLOURS("Colour", "\"RED\",\"GREEN\",\"BLUE\""), "02", "{\"f\":\"GREEN\"}"},
    {&an_enum, COLOURS("Colour", "\"BLUE\",\"RED\""), "02", "{\"f\":\"RED\"}"},
    {&an_enum, COLOURS("Colour", "\"RED\",\"MAUVE\""), "02", "{\"f\":\"BLUE\"}"},
    {&an_enum, COLOURS("other.space.Colour", "\"RED\""), "00", "{\"f\":\"RED\"}"},
    {&an_enum, COLOURS("Shape", "\"RED\""), "", "plan wrong_schema"},
    {&an_enum, COLOURS("Colour", "\"RED\",\"MAUVE\""), "04", "bad_enum"},
    {&a_strict_enum, COLOURS("Colour", "\"MAUVE\",\"RED\""), "02", "{\"f\":\"RED\"}"},
    {&a_strict_enum, COLOURS("Colour", "\"MAUVE\",\"RED\""), "00", "bad_enum"},
    // Records: names, aliases, fields added, removed and reordered.
    {&a_record, PART("Part", NAME_FIELD "," WEIGHT("\"long\"")), "026106",
     "{\"f\":{\"name\":\"a\",\"weight\":3}}"},
    {&a_record, PART("x.Part", WEIGHT("\"int\"") "," NAME_FIELD), "060261",
     "{\"f\":{\"name\":\"a\",\"weight\":3}}"},
    {&a_record, PART("Piece", NAME_FIELD), "0261", "{\"f\":{\"name\":\"a\",\"weight\":5}}"},
    {&a_record, PART("Bit", NAME_FIELD), "", "plan wrong_schema"},
    {&a_record, PART("Part", WEIGHT("\"long\"")), "", "plan missing_field"},
    {&a_record,
     PART("Part", "{\"name\":\"x\",\"type\":{\"type\":\"array\",\"items\":\"double\"}}," NAME_FIELD
                  ",{\"name\":\"y\",\"type\":[\"float\",\"null\"]}"),
     "02 0000000000000000 00 0261 02", "{\"f\":{\"name\":\"a\",\"weight\":5}}"},
    {&a_record, PART("Part", "{\"name\":\"x\",\"type\":\"null\"}," NAME_FIELD), "0261",
     "{\"f\":{\"name\":\"a\",\"weight\":5}}"},
    {&a_record, PART("Part", NAME_FIELD ",{\"name\":\"y\",\"type\":\"boolean\"}"), "026102",
     "bad_boolean"},
    // Unions: into nullable, out of nullable, of more than two, of branches that do not fit.
    {&opt_long, "\"long\"", "06", "{\"f\":3}"},
    {&opt_long, "\"null\"", "", "{}"},
    {&opt_long, "[\"null\",\"long\"]", "0206", "{\"f\":3}"},
    {&opt_long, "[\"null\",\"long\"]", "00", "{}"},
    {&opt_long, "[\"long\",\"null\"]", "0006", "{\"f\":3}"},
    {&opt_long, "[\"long\",\"null\"]", "02", "{}"},
    {&opt_long, "[\"null\",\"int\"]", "0206", "{\"f\":3}"},
    {&opt_long, "[\"null\",\"int\",\"long\",\"string\"]", "00", "{}"},
    {&opt_long, "[\"null\",\"int\",\"long\",\"string\"]", "0206", "{\"f\":3}"},
    {&opt_long, "[\"null\",\"int\",\"long\",\"string\"]", "0406", "{\"f\":3}"},
    {&opt_long, "[\"null\",\"int\",\"long\",\"string\"]", "060261", "wrong_schema"},
    {&opt_long, "[\"null\",\"int\",\"long\",\"string\"]", "08", "wrong_schema"},
    {&opt_long, "[\"null\",\"string\"]", "00", "{}"},
    {&opt_long, "[\"null\",\"string\"]", "020261", "wrong_schema"},
    {&opt_long, "[\"string\",\"bytes\"]", "", "plan wrong_schema"},
    {&opt_long, "[\"null\",\"long\"]", "04", "wrong_schema"},
    {&opt_long, "[\"null\",\"long\"]", "01", "wrong_schema"},
    {&opt_long, "[\"null\",\"long\"]", "8000", "non_minimal_varint"},
    {&opt_long, "[\"null\",\"long\"]", "", "truncated"},
    {&a_long, "[\"null\",\"long\"]", "0206", "{\"f\":3}"},
    {&a_long, "[\"null\",\"long\"]", "00", "wrong_schema"},
    {&a_long, "[\"long\"]", "0006", "{\"f\":3}"},
    {&opt_boolean, "[\"null\",\"boolean\"]", "0201", "{\"f\":true}"},
    {&opt_int, "[\"null\",\"int\"]", "0201", "{\"f\":-1}"},
    {&opt_string, "[\"null\",\"string\"]", "0200", "{\"f\":\"\"}"},
    {&opt_string, "[\"bytes\",\"null\"]", "000261", "{\"f\":\"a\"}"},
    {&opt_fixed, "[\"null\",{\"type\":\"fixed\",\"name\":\"F\",\"size\":3}]", "02000000",
     "{\"f\":\"AAAA\"}"},
    {&opt_decimal, "[\"null\",\"bytes\"]", "020201", "{\"f\":\"1\"}"},
    {&opt_enum, "[\"null\"," COLOURS("Colour", "\"BLUE\"") "]", "0200", "{\"f\":\"BLUE\"}"},
    {&opt_record, "[\"null\"," PART("Part", NAME_FIELD) "]", "020261",
     "{\"f\":{\"name\":\"a\",\"weight\":5}}"},
    {&opt_record, "[\"null\"," PART("Part", NAME_FIELD) "]", "00", "{}"},
    {&opt_record, PART("Part", NAME_FIELD), "0261", "{\"f\":{\"name\":\"a\",\"weight\":5}}"},
    {&opt_record, "[" PART("Bit", NAME_FIELD) "," PART("Part", NAME_FIELD) "]", "020261",
     "{\"f\":{\"name\":\"a\",\"weight\":5}}"},
    {&opt_record, "[" PART("Bit", NAME_FIELD) "," PART("Part", NAME_FIELD) "]", "000261",
     "wrong_schema"},
    // Arrays and maps: items are resolved too.
    {&an_array, "{\"type\":\"array\",\"items\":" PART("Part", NAME_FIELD) "}", "040261026200",
     "{\"f\":[{\"name\":\"a\",\"weight\":5},{\"name\":\"b\",\"weight\":5}]}"},
    {&an_array, "{\"type\":\"array\",\"items\":[\"null\"," PART("Part", NAME_FIELD) "]}",
     "0202026100", "{\"f\":[{\"name\":\"a\",\"weight\":5}]}"},
    {&an_array, "{\"type\":\"array\",\"items\":[\"null\"," PART("Part", NAME_FIELD) "]}", "020000",
     "wrong_schema"},
    {&an_array, "{\"type\":\"map\",\"values\":\"string\"}", "", "plan wrong_schema"},
    {&a_map, "{\"type\":\"map\",\"values\":\"bytes\"}", "02026b026100", "{\"f\":{\"k\":\"a\"}}"},
    {&a_long_map, "{\"type\":\"map\",\"values\":\"int\"}", "02026b0600", "{\"f\":{\"k\":3}}"},
    {&a_long_map, "{\"type\":\"map\",\"values\":[\"null\",\"long\"]}", "02026b020600",
     "{\"f\":{\"k\":3}}"},
    {&a_long_map, "{\"type\":\"map\",\"values\":\"boolean\"}", "", "plan wrong_schema"},
};

static void each_case_resolves(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    cell_check(&cases[i]);
  }
}

// ---- Whole records.

static void read_thing(const char *schema, const char *hex, const char *expected) {
  struct ee_plan *plan = NULL;
  struct ee_fault fault = {.detail = ""};
  if (!ee_plan_new(&thing_type, ee_str(schema), &plan, &fault)) fail_msg("%s", fault.detail);
  struct ee_bytes bytes = cell_bytes(hex);
  cell_read(plan, bytes, expected, hex);
  free((void *)bytes.data);
  ee_plan_free(plan);
}

#define LEAST_FIELDS \
  "{\"name\":\"mark\",\"type\":{\"type\":\"fixed\",\"name\":\"M\",\"size\":3}}," \
  "{\"name\":\"price\",\"type\":\"bytes\"}," \
  "{\"name\":\"nick\",\"type\":[\"string\",\"null\"]}," \
  "{\"name\":\"main\",\"type\":" PART("Part", NAME_FIELD) "}," \
  "{\"name\":\"id\",\"type\":\"string\"}"
#define LEAST_HEX "4d4d4d 0201 02 0261 046964"

static void absent_fields_take_their_defaults(void **state) {
  (void)state;
  read_thing(
      "{\"type\":\"record\",\"name\":\"Thing\",\"fields\":[" LEAST_FIELDS
      ",{\"name\":\"total\",\"type\":\"int\"}]}",
      LEAST_HEX "06",
      "{\"id\":\"id\",\"total\":3,\"level\":7,\"flag\":true,\"note\":\"none\",\"colour\":\"GREEN\","
      "\"mark\":\"TU1N\",\"price\":\"1\",\"main\":{\"name\":\"a\",\"weight\":5},\"parts\":[],"
      "\"labels\":{},\"counts\":{}}");
}

static void a_field_is_found_by_alias_unless_its_name_is_there(void **state) {
  (void)state;
  const char *json =
      "{\"id\":\"id\",\"total\":3,\"level\":7,\"flag\":true,\"note\":\"none\",\"colour\":\"GREEN\","
      "\"mark\":\"TU1N\",\"price\":\"1\",\"main\":{\"name\":\"a\",\"weight\":5},\"parts\":[],"
      "\"labels\":{},\"counts\":{}}";
  read_thing("{\"type\":\"record\",\"name\":\"Thing\",\"fields\":[" LEAST_FIELDS
             ",{\"name\":\"amount\",\"type\":\"int\"}]}",
             LEAST_HEX "06", json);
  read_thing("{\"type\":\"record\",\"name\":\"Thing\",\"fields\":[" LEAST_FIELDS
             ",{\"name\":\"sum\",\"type\":\"boolean\"},{\"name\":\"total\",\"type\":\"int\"}]}",
             LEAST_HEX "0106", json);
}

static void checks_hold_whatever_branch_the_value_comes_in(void **state) {
  (void)state;
#define ID(TYPE) \
  "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"id\",\"type\":" TYPE "}]}"
  static const struct ee_field field = {
      .name = "id", .type = {.kind = EE_TYPE_STRING}, .check = EE_CHECK_IDENTIFIER};
  static const struct ee_record_type reader = {
      .name = "R", .full_name = "R", .fields = &field, .count = 1, .size = 64};
  static const char *const writers[] = {ID("\"string\""), ID("[\"string\",\"null\"]"),
                                        ID("[\"string\",\"int\",\"bytes\"]")};
  static const char *const bytes[] = {"00", "0000", "0000"};
  for (size_t i = 0; i < COUNT_OF(writers); i++) {
    struct ee_plan *plan = NULL;
    assert_true(ee_plan_new(&reader, ee_str(writers[i]), &plan, NULL));
    struct ee_bytes in = cell_bytes(bytes[i]);
    cell_read(plan, in, "missing_field", writers[i]);
    free((void *)in.data);
    ee_plan_free(plan);
  }
}

// ---- Sameness, which decides what may be copied.

// Sameness of records within others is found node by node, that of a file's own record also
// by its fingerprint. A reader without a schema shows the first alone.
static void check_same(const char *schema, bool same, bool same_nodes) {
  struct ee_record_type nameless = thing_type;
  struct ee_plan *plan = NULL;
  struct ee_fault fault = {.detail = ""};
  nameless.schema = NULL;
  if (!ee_plan_new(&thing_type, ee_str(schema), &plan, &fault)) fail_msg("%s", fault.detail);
  if (ee_plan_same(plan) != same) fail_msg("%s", schema);
  ee_plan_free(plan);
  assert_true(ee_plan_new(&nameless, ee_str(schema), &plan, NULL));
  if (ee_plan_same(plan) != same_nodes) fail_msg("nodes of %s", schema);
  ee_plan_free(plan);
}

static void only_the_same_schema_is_the_same(void **state) {
  (void)state;
#define LEVEL "{\"name\":\"level\",\"type\":\"int\",\"default\":7},"
#define FLAG "{\"name\":\"flag\",\"type\":\"boolean\",\"default\":true},"
  static const struct {
    const char *from, *to;
    bool same, same_nodes;
  } edits[] = {
      {"\"size\"", "\"size\"", true, true},
      {"\"default\":7", "\"default\":8", true, true},
      {"[\"string\",\"null\"]", "[\"null\",\"string\"]", false, false},
      {"[\"string\",\"null\"]", "[\"string\"]", false, false},
      {"[\"null\",\"long\"],\"default\":null", "\"long\"", false, false},
      {"[\"null\",\"long\"]", "[\"null\",\"long\",\"string\"]", false, false},
      {"\"name\":\"total\"", "\"name\":\"sum\"", false, false},
      {"\"name\":\"total\",\"type\":\"long\"", "\"name\":\"total\",\"type\":\"int\"", false, false},
      {"\"name\":\"note\",\"type\":\"string\"", "\"name\":\"note\",\"type\":\"bytes\"", false,
       false},
      {LEVEL FLAG, FLAG LEVEL, false, false},
      {LEVEL, LEVEL "{\"name\":\"extra\",\"type\":\"null\"},", false, false},
      {LEVEL, "", false, false},
      {"\"RED\",\"GREEN\"", "\"GREEN\",\"RED\"", false, false},
      {"\"BLUE\"]", "\"BLUE\",\"PINK\"]", false, false},
      {"\"namespace\":\"t\"", "\"namespace\":\"u\"", false, false},
      {"\"name\":\"Part\"", "\"name\":\"Piece\"", false, false},
      {"\"name\":\"Mark\"", "\"name\":\"Sign\"", false, true}};
  for (size_t i = 0; i < COUNT_OF(edits); i++) {
    char schema[sizeof(THING_JSON) + 64];
    const char *at = strstr(THING_JSON, edits[i].from);
    assert_non_null(at);
    snprintf(schema, sizeof schema, "%.*s%s%s", (int)(at - THING_JSON), THING_JSON, edits[i].to,
             at + strlen(edits[i].from));
    // References follow the definition's new name.
    for (char *p = schema; strstr(edits[i].to, "Piece") != NULL && (p = strstr(p, "\"Part\""));
         p++) {
      memmove(p + 7, p + 6, strlen(p + 6) + 1);
      memcpy(p, "\"Piece\"", 7);
    }
    check_same(schema, edits[i].same, edits[i].same_nodes);
  }
}

static const char *inner_admission(const struct ee_lifecycle *lifecycle) {
  return lifecycle->admission == NULL ? NULL : (const char *)lifecycle->admission->encoded.data;
}

// A lifecycle record of a writer whose schema differs outside the admission keeps the
// admission's bytes; one that differs within it does not.
static void spans_are_kept_where_the_record_within_is_the_same(void **state) {
  (void)state;
  static const struct {
    const char *from, *to;
    bool same, spans;
  } edits[] = {{"\"status\"", "\"status\"", true, true},
               {"\"orphaned\", \"admitted\"", "\"admitted\", \"orphaned\"", false, true},
               {"\"human\", \"app\"", "\"app\", \"human\"", false, false}};
  struct ee_admission admission;
  struct ee_lifecycle lifecycle;
  ee_record_init(&ee_admission_type, &admission);
  ee_record_init(&ee_lifecycle_type, &lifecycle);
  admission.envelope_id = admission.event_id = admission.tenant = admission.source = EE_STR("x");
  admission.caller.requester_urn = admission.execution.service = EE_STR("y");
  admission.execution.operation = EE_STR("z");
  lifecycle.envelope_id = lifecycle.tenant = EE_STR("x");
  lifecycle.admission = &admission;
  struct ee_buf bytes, alone;
  ee_buf_init(&bytes, 65536);
  ee_buf_init(&alone, 65536);
  ee_encode(&ee_lifecycle_type, &lifecycle, &bytes);
  ee_encode(&ee_admission_type, &admission, &alone);
  for (size_t i = 0; i < COUNT_OF(edits); i++) {
    char schema[65536];
    const char *at = strstr(ee_lifecycle_type.schema, edits[i].from);
    assert_non_null(at);
    snprintf(schema, sizeof schema, "%.*s%s%s", (int)(at - ee_lifecycle_type.schema),
             ee_lifecycle_type.schema, edits[i].to, at + strlen(edits[i].from));
    struct ee_plan *plan = NULL;
    struct ee_lifecycle read;
    struct ee_arena arena;
    ee_arena_init(&arena, 1 << 20);
    assert_true(ee_plan_new(&ee_lifecycle_type, ee_str(schema), &plan, NULL));
    assert_int_equal(ee_plan_same(plan), edits[i].same);
    assert_true(ee_decode(plan, ee_buf_bytes(&bytes), &arena, &read, NULL));
    assert_int_equal(read.encoded.data != NULL, edits[i].same);
    assert_int_equal(inner_admission(&read) != NULL, edits[i].spans);
    if (edits[i].spans) {
      assert_true(ee_bytes_equal(read.admission->encoded, ee_buf_bytes(&alone)));
    }
    ee_plan_free(plan);
    ee_arena_release(&arena);
  }
  ee_buf_release(&alone);
  ee_buf_release(&bytes);
}

// ---- Hostile schemas.

static enum ee_reason plan_reason(struct ee_str schema) {
  struct ee_plan *plan = NULL;
  struct ee_fault fault = {.reason = EE_ACCEPTED};
  assert_false(ee_plan_new(&thing_type, schema, &plan, &fault));
  assert_true(strlen(fault.detail) > 0);
  assert_false(ee_plan_new(&thing_type, schema, &plan, NULL));
  return fault.reason;
}

static void what_is_no_schema_is_refused(void **state) {
  (void)state;
  static const char *const schemas[] = {"",
                                        "{",
                                        "nul",
                                        "null",
                                        "7",
                                        "\"Thing\"",
                                        "\"string\"",
                                        "[]",
                                        "{}",
                                        "{\"type\":\"record\"}",
                                        "[\"null\",\"string\"]",
                                        "{\"type\":\"record\",\"name\":\"Other\",\"fields\":[]}",
                                        "{\"type\":\"record\",\"name\":\"Thing\",\"fields\":{}}"};
  for (size_t i = 0; i < COUNT_OF(schemas); i++) {
    assert_int_equal(plan_reason(ee_str(schemas[i])), EE_REASON_wrong_schema);
  }
  assert_int_equal(plan_reason((struct ee_str){.data = NULL}), EE_REASON_wrong_schema);
}

static void large_and_deep_schemas_are_refused_unparsed(void **state) {
  (void)state;
  char *text = malloc(EE_SCHEMA_SIZE_MAX + 1);
  assert_non_null(text);
  memset(text, ' ', EE_SCHEMA_SIZE_MAX + 1);
  struct ee_str schema = {.data = text, .size = EE_SCHEMA_SIZE_MAX + 1};
  assert_int_equal(plan_reason(schema), EE_REASON_oversized);
  memset(text, '[', EE_SCHEMA_SIZE_MAX);
  schema.size = EE_SCHEMA_SIZE_MAX;
  assert_int_equal(plan_reason(schema), EE_REASON_too_deep);
  schema.size = EE_SCHEMA_DEPTH_MAX + 1;
  assert_int_equal(plan_reason(schema), EE_REASON_too_deep);
  schema.size = EE_SCHEMA_DEPTH_MAX;
  assert_int_equal(plan_reason(schema), EE_REASON_wrong_schema);
  free(text);
}

// Records that hold each other by name nest deeper than their text.
static void types_nested_by_name_are_bounded(void **state) {
  (void)state;
  struct ee_buf schema;
  ee_buf_init(&schema, EE_SCHEMA_SIZE_MAX);
  // A branch that does not fit is not looked into, so nothing in it is planned yet when
  // the field behind it names its last record.
  ee_buf_text(&schema,
              "{\"type\":\"record\",\"name\":\"Thing\",\"fields\":[{\"name\":\"total\",\"type\":["
              "\"long\",{\"type\":\"record\",\"name\":\"Box\",\"fields\":["
              "{\"name\":\"b\",\"type\":{\"type\":\"record\",\"name\":\"R0\",\"fields\":["
              "{\"name\":\"x\",\"type\":\"int\"}]}}");
  for (int i = 1; i < 1000; i++) {
    ee_buf_printf(&schema,
                  ",{\"name\":\"b%d\",\"type\":{\"type\":\"record\",\"name\":\"R%d\",\"fields\":["
                  "{\"name\":\"x\",\"type\":\"R%d\"}]}}",
                  i, i, i - 1);
  }
  ee_buf_text(&schema, "]}]},{\"name\":\"extra\",\"type\":\"R999\"}]}");
  assert_false(schema.failed);
  assert_int_equal(plan_reason(ee_buf_view(&schema)), EE_REASON_too_deep);
  ee_buf_release(&schema);
}

// Each record holds the one before twice, and the first holds nothing: no bytes, 2^40
// records. Reading must not visit them.
static void a_tower_of_empty_records_costs_nothing(void **state) {
  (void)state;
  struct ee_buf schema;
  ee_buf_init(&schema, EE_SCHEMA_SIZE_MAX);
  ee_buf_text(&schema,
              "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"z0\",\"type\":"
              "{\"type\":\"record\",\"name\":\"R0\",\"fields\":[]}}");
  for (int i = 1; i < 40; i++) {
    ee_buf_printf(&schema,
                  ",{\"name\":\"z%d\",\"type\":{\"type\":\"record\",\"name\":\"R%d\",\"fields\":["
                  "{\"name\":\"x\",\"type\":\"R%d\"},{\"name\":\"y\",\"type\":\"R%d\"}]}}",
                  i, i, i - 1, i - 1);
  }
  ee_buf_text(&schema, ",{\"name\":\"f\",\"type\":\"long\"}]}");
  const struct ee_record_type reader = {
      .name = "R", .full_name = "R", .fields = &a_long, .count = 1, .size = 64};
  struct ee_plan *plan = NULL;
  assert_true(ee_plan_new(&reader, ee_buf_view(&schema), &plan, NULL));
  cell_read(plan, ee_bytes("\x06", 1), "{\"f\":3}", "tower");
  ee_plan_free(plan);
  ee_buf_release(&schema);
}

// As many fields of no bytes as a schema can hold, in as many items as an event can: none
// of them may cost a step.
static void fields_of_no_bytes_cost_nothing(void **state) {
  (void)state;
  struct ee_buf schema, bytes;
  ee_buf_init(&schema, EE_SCHEMA_SIZE_MAX);
  ee_buf_init(&bytes, EE_EVENT_SIZE_MAX);
  ee_buf_text(&schema,
              "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"f\",\"type\":{"
              "\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":\"Part\",\"fields\":["
              "{\"name\":\"name\",\"type\":\"string\"}");
  for (int i = 0; i < 7000; i++) {
    ee_buf_printf(&schema, ",{\"name\":\"n%d\",\"type\":\"null\"}", i);
  }
  ee_buf_text(&schema, "]}}}]}");
  ee_buf_append(&bytes, "\x80\xb5\x18", 3);  // 200,000 items
  for (int i = 0; i < 200001; i++)
    ee_buf_byte(&bytes, 0);
  assert_false(schema.failed || bytes.failed);
  const struct ee_record_type reader = {
      .name = "R", .full_name = "R", .fields = &an_array, .count = 1, .size = 64};
  struct ee_plan *plan = NULL;
  assert_true(ee_plan_new(&reader, ee_buf_view(&schema), &plan, NULL));
  assert_true(ee_validate(plan, ee_buf_bytes(&bytes), NULL));
  assert_true(plan->count < 10);
  ee_plan_free(plan);
  ee_buf_release(&bytes);
  ee_buf_release(&schema);
}

// What one making of a plan says, with at most one allocation that fails; EE_ACCEPTED: made.
static enum ee_reason plan_once(const struct ee_field *field, const char *schema) {
  const struct ee_record_type cell = {
      .name = "R", .full_name = "t.R", .fields = field, .count = 1, .size = 64};
  struct ee_plan *plan = NULL;
  struct ee_fault fault = {.detail = ""};
  bool made = ee_plan_new(field == NULL ? &thing_type : &cell, ee_str(schema), &plan, &fault);
  assert_int_equal(made, plan != NULL);
  ee_plan_free(plan);
  if (!made) assert_true(strlen(fault.detail) > 0);
  return made ? EE_ACCEPTED : fault.reason;
}

#define IN_CELL(TYPE) \
  "{\"type\":\"record\",\"name\":\"t.R\",\"fields\":[{\"name\":\"f\",\"type\":" TYPE "}]}"

static const struct {
  const struct ee_field *field;  // NULL: all of struct thing
  const char *schema;
  enum ee_reason reason;
} under_chaos[] = {
    {NULL, THING_JSON, EE_ACCEPTED},
    // Symbols, unions, and what the reader passes over.
    {&a_record,
     IN_CELL(PART(
         "Part",
         "{\"name\":\"x\",\"type\":" PART(
             "X", NAME_FIELD) "},"
                              "{\"name\":\"y\",\"type\":[\"null\",\"X\",\"long\"]}," NAME_FIELD)),
     EE_ACCEPTED},
    {&an_enum, IN_CELL(COLOURS("Colour", "\"BLUE\",\"RED\"")), EE_ACCEPTED},
    {&a_string, IN_CELL("[\"int\",\"string\"]"), EE_ACCEPTED},
    // Refusals stay what they are.
    {&a_string, IN_CELL("[\"int\",\"null\"]"), EE_REASON_wrong_schema},
    {&a_record, IN_CELL(PART("Part", WEIGHT("\"long\""))), EE_REASON_missing_field},
    {&a_string, "{\"type\":\"record\",\"fields\":[", EE_REASON_wrong_schema},
    {&a_string, IN_CELL("\"strong\""), EE_REASON_wrong_schema},
};

static void lack_of_memory_is_no_refusal(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof under_chaos / sizeof *under_chaos; i++) {
    bool failed = true;
    for (size_t n = 0; failed; n++) {
      ee_chaos_fail_after(n);
      enum ee_reason reason = plan_once(under_chaos[i].field, under_chaos[i].schema);
      failed = ee_chaos_stop();
      assert_int_equal(reason, failed ? EE_NO_MEMORY : under_chaos[i].reason);
    }
  }
  struct ee_plan *plan = NULL;
  ee_chaos_fail_after(0);
  assert_false(ee_plan_new(&thing_type, EE_STR(THING_JSON), &plan, NULL));
  assert_true(ee_chaos_stop());
}

// jansson's own allocations, too. It may be heard again, and then there is memory.
static void lack_of_memory_in_parsing_is_no_refusal(void **state) {
  (void)state;
  json_malloc_t allocate;
  json_free_t release;
  json_get_alloc_funcs(&allocate, &release);
  json_set_alloc_funcs(malloc, free);
  for (size_t i = 0; i < sizeof under_chaos / sizeof *under_chaos; i++) {
    bool failed = true;
    for (size_t n = 0; failed; n++) {
      ee_chaos_fail_after(n);
      enum ee_reason reason = plan_once(under_chaos[i].field, under_chaos[i].schema);
      failed = ee_chaos_stop();
      if (failed && reason == EE_NO_MEMORY) continue;
      if (reason != under_chaos[i].reason) fail_msg("%zu, %zu: %s", i, n, ee_reason_name(reason));
    }
  }
  json_set_alloc_funcs(allocate, release);
}

static void own_plans_are_made_once(void **state) {
  (void)state;
  for (size_t i = 0; i < ee_record_type_count; i++) {
    const struct ee_plan *plan = ee_plan_own(ee_record_types[i]);
    assert_non_null(plan);
    assert_ptr_equal(ee_plan_reader(plan), ee_record_types[i]);
    assert_true(ee_plan_same(plan));
    assert_ptr_equal(ee_plan_own(ee_record_types[i]), plan);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_case_resolves),
      cmocka_unit_test(absent_fields_take_their_defaults),
      cmocka_unit_test(a_field_is_found_by_alias_unless_its_name_is_there),
      cmocka_unit_test(checks_hold_whatever_branch_the_value_comes_in),
      cmocka_unit_test(only_the_same_schema_is_the_same),
      cmocka_unit_test(spans_are_kept_where_the_record_within_is_the_same),
      cmocka_unit_test(what_is_no_schema_is_refused),
      cmocka_unit_test(large_and_deep_schemas_are_refused_unparsed),
      cmocka_unit_test(types_nested_by_name_are_bounded),
      cmocka_unit_test(a_tower_of_empty_records_costs_nothing),
      cmocka_unit_test(fields_of_no_bytes_cost_nothing),
      cmocka_unit_test(lack_of_memory_is_no_refusal),
      cmocka_unit_test(lack_of_memory_in_parsing_is_no_refusal),
      cmocka_unit_test(own_plans_are_made_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
