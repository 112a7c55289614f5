// SPDX-License-Identifier: Apache-2.0
// Canonical forms and fingerprints: the specification's own examples (its schema-tests.txt),
// our schemas as another implementation sees them, and what is no schema.
#include <inttypes.h>

#include "contract/canonical.h"
#include "contract/record.h"
#include "records.h"
#include "tests/support/test.h"

#define RECORD(REST) "{\"name\":\"foo\",\"type\":\"record\",\"fields\":[" REST "]}"

// Signed, as the specification's file has them.
static const struct {
  const char *schema, *canonical;
  int64_t fingerprint;
} examples[] = {
    {"\"null\"", "\"null\"", INT64_C(7195948357588979594)},
    {"{\"type\":\"null\"}", "\"null\"", INT64_C(7195948357588979594)},
    {"\"boolean\"", "\"boolean\"", INT64_C(-6970731678124411036)},
    {"\"int\"", "\"int\"", INT64_C(8247732601305521295)},
    {"\"long\"", "\"long\"", INT64_C(-3434872931120570953)},
    {"\"float\"", "\"float\"", INT64_C(5583340709985441680)},
    {"\"double\"", "\"double\"", INT64_C(-8181574048448539266)},
    {"\"bytes\"", "\"bytes\"", INT64_C(5746618253357095269)},
    {"\"string\"", "\"string\"", INT64_C(-8142146995180207161)},
    {"[ \"int\"  ]", "[\"int\"]", INT64_C(-5232228896498058493)},
    {"[ \"int\" , {\"type\":\"boolean\"} ]", "[\"int\",\"boolean\"]", INT64_C(5392556393470105090)},
    {"{\"fields\":[], \"type\":\"record\", \"name\":\"foo\"}", RECORD(""),
     INT64_C(-4824392279771201922)},
    {"{\"fields\":[], \"type\":\"record\", \"name\":\"foo\", \"namespace\":\"x.y\"}",
     "{\"name\":\"x.y.foo\",\"type\":\"record\",\"fields\":[]}", INT64_C(5916914534497305771)},
    {"{\"fields\":[], \"type\":\"record\", \"name\":\"a.b.foo\", \"namespace\":\"x.y\"}",
     "{\"name\":\"a.b.foo\",\"type\":\"record\",\"fields\":[]}", INT64_C(-4616218487480524110)},
    {"{\"fields\":[], \"type\":\"record\", \"name\":\"foo\", \"doc\":\"Useful info\"}", RECORD(""),
     INT64_C(-4824392279771201922)},
    {"{\"fields\":[{\"type\":{\"type\":\"boolean\"}, \"name\":\"f1\"}], \"type\":\"record\","
     "\"name\":\"foo\"}",
     RECORD("{\"name\":\"f1\",\"type\":\"boolean\"}"), INT64_C(7843277075252814651)},
    {"{\"type\":\"enum\", \"name\":\"foo\", \"symbols\":[\"A1\"]}",
     "{\"name\":\"foo\",\"type\":\"enum\",\"symbols\":[\"A1\"]}", INT64_C(-6342190197741309591)},
    {"{\"namespace\":\"x.y.z\", \"type\":\"enum\", \"name\":\"foo\", \"doc\":\"foo bar\","
     "\"symbols\":[\"A1\", \"A2\"]}",
     "{\"name\":\"x.y.z.foo\",\"type\":\"enum\",\"symbols\":[\"A1\",\"A2\"]}",
     INT64_C(-4448647247586288245)},
    {"{\"name\":\"foo\",\"type\":\"fixed\",\"size\":15}",
     "{\"name\":\"foo\",\"type\":\"fixed\",\"size\":15}", INT64_C(1756455273707447556)},
    {"{\"namespace\":\"x.y.z\", \"type\":\"fixed\", \"name\":\"foo\", \"doc\":\"foo bar\","
     "\"size\":32}",
     "{\"name\":\"x.y.z.foo\",\"type\":\"fixed\",\"size\":32}", INT64_C(-3064184465700546786)},
    {"{ \"items\":{\"type\":\"null\"}, \"type\":\"array\"}",
     "{\"type\":\"array\",\"items\":\"null\"}", INT64_C(-589620603366471059)},
    {"{ \"values\":\"string\", \"type\":\"map\"}", "{\"type\":\"map\",\"values\":\"string\"}",
     INT64_C(-8732877298790414990)},
};

static void examples_of_the_specification(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(examples); i++) {
    struct ee_buf out;
    struct ee_err err = {.text = ""};
    uint64_t fingerprint = 0;
    ee_buf_init(&out, 4096);
    if (!ee_schema_text_canonical(ee_str(examples[i].schema), &out, &err)) fail_msg("%s", err.text);
    assert_int_equal(out.size, strlen(examples[i].canonical));
    assert_memory_equal(out.data, examples[i].canonical, out.size);
    assert_true(ee_schema_text_fingerprint(ee_str(examples[i].schema), &fingerprint, &err));
    if ((int64_t)fingerprint != examples[i].fingerprint) {
      fail_msg("%s: %" PRId64, examples[i].schema, (int64_t)fingerprint);
    }
    ee_buf_release(&out);
  }
}

static void names_are_resolved_in_their_namespace(void **state) {
  (void)state;
  static const char schema[] =
      "{\"type\":\"record\",\"name\":\"A\",\"namespace\":\"x\",\"aliases\":[\"Z\"],\"fields\":["
      "{\"name\":\"e\",\"type\":{\"type\":\"enum\",\"name\":\"y.E\",\"symbols\":[\"S\"],"
      "\"default\":\"S\"},\"default\":\"S\"},"
      "{\"name\":\"b\",\"order\":\"ignore\",\"type\":{\"type\":\"record\",\"name\":\"B\","
      "\"namespace\":\"y\",\"fields\":[{\"name\":\"e\",\"type\":\"E\"},"
      "{\"name\":\"a\",\"type\":[\"null\",\"x.A\"]}]}},"
      "{\"name\":\"r\",\"type\":[\"y.B\",\"A\",{\"type\":\"long\",\"logicalType\":\"date\"}]},"
      "{\"name\":\"n\",\"type\":{\"type\":\"fixed\",\"name\":\"F\",\"namespace\":\"\",\"size\":2}}]"
      "}";
  static const char expected[] =
      "{\"name\":\"x.A\",\"type\":\"record\",\"fields\":["
      "{\"name\":\"e\",\"type\":{\"name\":\"y.E\",\"type\":\"enum\",\"symbols\":[\"S\"]}},"
      "{\"name\":\"b\",\"type\":{\"name\":\"y.B\",\"type\":\"record\",\"fields\":["
      "{\"name\":\"e\",\"type\":\"y.E\"},{\"name\":\"a\",\"type\":[\"null\",\"x.A\"]}]}},"
      "{\"name\":\"r\",\"type\":[\"y.B\",\"x.A\",\"long\"]},"
      "{\"name\":\"n\",\"type\":{\"name\":\"F\",\"type\":\"fixed\",\"size\":2}}]}";
  struct ee_buf out;
  struct ee_err err = {.text = ""};
  ee_buf_init(&out, 4096);
  if (!ee_schema_text_canonical(ee_str(schema), &out, &err)) fail_msg("%s", err.text);
  ee_buf_byte(&out, '\0');
  assert_string_equal((const char *)out.data, expected);
  ee_buf_release(&out);
}

static const struct ee_record_type *type_of_line(const char *line, uint64_t *ret_fingerprint) {
  static size_t next;
  char name[64];
  if (line[0] == '#') return NULL;
  assert_int_equal(sscanf(line, "%63s %" SCNx64, name, ret_fingerprint), 2);
  assert_true(next < ee_record_type_count);  // both are in the order of the files' names
  return ee_record_types[next++];
}

static void our_schemas_have_the_fingerprints_others_see(void **state) {
  (void)state;
  char line[256];
  size_t seen = 0;
  FILE *file = fopen("tests/unit/contract/fingerprints.txt", "r");
  assert_non_null(file);
  while (fgets(line, sizeof line, file) != NULL) {
    uint64_t expected = 0, computed = 0;
    const struct ee_record_type *type = type_of_line(line, &expected);
    if (type == NULL) continue;
    struct ee_str text = {.data = type->schema, .size = type->schema_size};
    assert_true(ee_schema_text_fingerprint(text, &computed, NULL));
    assert_true(computed == type->fingerprint);
    if (computed != expected) fail_msg("%s: %016" PRIx64 " and %s", type->name, computed, line);
    seen++;
  }
  fclose(file);
  assert_int_equal(seen, ee_record_type_count);
}

static void what_is_no_schema_is_refused(void **state) {
  (void)state;
  static const char *const schemas[] = {
      "",
      " ",
      "nul",
      "7",
      "null",
      "true",
      "{}",
      "[]",
      "[[\"int\"]]",
      "\"Unknown\"",
      "\"\"",
      "{\"type\":7}",
      "{\"type\":\"unknown\"}",
      "{\"type\":{\"type\":\"int\"}}",
      "{\"type\":\"array\"}",
      "{\"type\":\"map\",\"values\":\"x\"}",
      "[\"int\",\"int\"]",
      "[\"int\",{\"type\":\"int\"}]",
      "[{\"type\":\"array\",\"items\":\"int\"},"
      "{\"type\":\"array\",\"items\":\"long\"}]",
      "[{\"type\":\"fixed\",\"name\":\"a.F\",\"size\":1},{\"type\":\"fixed\",\"name\":\"a.F\","
      "\"size\":1}]",
      "{\"type\":\"enum\",\"name\":\"E\"}",
      "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[]}",
      "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"A\"]}",
      "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"a-b\"]}",
      "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[7]}",
      "{\"type\":\"fixed\",\"name\":\"F\"}",
      "{\"type\":\"fixed\",\"name\":\"F\",\"size\":-1}",
      "{\"type\":\"fixed\",\"name\":\"F\",\"size\":\"3\"}",
      "{\"type\":\"fixed\",\"name\":\"F\",\"size\":99999999999}",
      "{\"type\":\"fixed\",\"name\":\"7F\",\"size\":3}",
      "{\"type\":\"fixed\",\"name\":\"a..F\",\"size\":3}",
      "{\"type\":\"fixed\",\"name\":\"F.\",\"size\":3}",
      "{\"type\":\"fixed\",\"name\":\"F\",\"namespace\":\"a b\",\"size\":3}",
      "{\"type\":\"fixed\",\"name\":\"int\",\"size\":3}",
      "{\"type\":\"fixed\",\"size\":3}",
      "{\"type\":\"record\",\"name\":\"R\"}",
      "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"type\":\"int\"}]}",
      "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"f\"}]}",
      "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a.f\",\"type\":\"int\"}]}",
      "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"f\",\"type\":\"int\"},"
      "{\"name\":\"f\",\"type\":\"int\"}]}",
      "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"f\",\"type\":"
      "{\"type\":\"fixed\",\"name\":\"R\",\"size\":1}}]}",
      "{\"type\":\"error\",\"name\":\"R\",\"fields\":[]}",
      "{\"type\":\"int\",\"type\":\"long\"}",
      "\"int\" \"int\""};
  for (size_t i = 0; i < COUNT_OF(schemas); i++) {
    uint64_t fingerprint;
    struct ee_err err = {.text = ""};
    if (ee_schema_text_fingerprint(ee_str(schemas[i]), &fingerprint, &err)) {
      fail_msg("accepted: %s", schemas[i]);
    }
    assert_true(strlen(err.text) > 0);
  }
}

static void nesting_is_counted_outside_strings(void **state) {
  (void)state;
  assert_int_equal(ee_json_nesting(EE_STR("")), 0);
  assert_int_equal(ee_json_nesting(EE_STR("{\"a\":[1,[2]],\"b\":{}}")), 3);
  assert_int_equal(ee_json_nesting(EE_STR("\"[[[\\\"[[\"")), 0);
  assert_int_equal(ee_json_nesting(EE_STR("]]]][")), 1);
  assert_int_equal(ee_json_nesting(EE_STR("\"\\")), 0);
  assert_int_equal(ee_json_nesting(EE_STR("\"\\\\\"[")), 1);
}

static void depth_is_bounded(void **state) {
  (void)state;
  struct ee_buf text;
  ee_buf_init(&text, 65536);
  for (int depth = EE_SCHEMA_DEPTH_MAX; depth <= EE_SCHEMA_DEPTH_MAX + 1; depth++) {
    uint64_t fingerprint;
    ee_buf_clear(&text);
    // The innermost type is a level of its own.
    for (int i = 1; i < depth; i++) {
      ee_buf_text(&text, "{\"type\":\"array\",\"items\":");
    }
    ee_buf_text(&text, "\"int\"");
    for (int i = 1; i < depth; i++) {
      ee_buf_byte(&text, '}');
    }
    assert_int_equal(ee_schema_text_fingerprint(ee_buf_view(&text), &fingerprint, NULL),
                     depth == EE_SCHEMA_DEPTH_MAX);
  }
  ee_buf_release(&text);
}

// A full name of the greatest length is still a name when it is read again.
static void long_names_stay_names(void **state) {
  (void)state;
  char name[514];
  for (size_t length = 511; length <= 513; length++) {
    char text[700];
    uint64_t fingerprint, again;
    memset(name, 'n', sizeof name);
    name[length] = '\0';
    name[200] = '.';
    snprintf(text, sizeof text,
             "{\"type\":\"fixed\",\"name\":\"%s\",\"namespace\":\"%.200s\",\"size\":1}", name + 201,
             name);
    bool valid = ee_schema_text_fingerprint(ee_str(text), &fingerprint, NULL);
    assert_int_equal(valid, length <= 512);
    snprintf(text, sizeof text, "{\"type\":\"fixed\",\"name\":\"%s\",\"size\":1}", name);
    assert_int_equal(ee_schema_text_fingerprint(ee_str(text), &again, NULL), valid);
    if (valid) assert_true(fingerprint == again);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(examples_of_the_specification),
      cmocka_unit_test(names_are_resolved_in_their_namespace),
      cmocka_unit_test(our_schemas_have_the_fingerprints_others_see),
      cmocka_unit_test(what_is_no_schema_is_refused),
      cmocka_unit_test(nesting_is_counted_outside_strings),
      cmocka_unit_test(depth_is_bounded),
      cmocka_unit_test(long_names_stay_names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
