// SPDX-License-Identifier: Apache-2.0
// Schemas against schemas: a table of the specification's rules, each with the fault's place,
// and agreement with the plans that really read records.
#include "contract/compatible.h"

#include <stdlib.h>

#include "contract/record.h"
#include "records.h"
#include "tests/support/chaos.h"
#include "tests/support/test.h"

static const struct {
  const char *reader, *writer;
  const char *fault;  // in why_not; NULL: it can read
} rows[] = {
    // Kinds and promotions.
    {"\"int\"", "\"int\"", NULL},
    {"\"long\"", "\"int\"", NULL},
    {"\"double\"", "\"int\"", NULL},
    {"\"double\"", "\"float\"", NULL},
    {"\"float\"", "\"long\"", NULL},
    {"\"string\"", "\"bytes\"", NULL},
    {"\"bytes\"", "\"string\"", NULL},
    {"\"int\"", "\"long\"", "long cannot be read as int"},
    {"\"float\"", "\"double\"", "double cannot be read as float"},
    {"\"string\"", "\"int\"", "int cannot be read as string"},
    {"{\"type\":\"array\",\"items\":\"long\"}", "{\"type\":\"array\",\"items\":\"int\"}", NULL},
    {"{\"type\":\"array\",\"items\":\"int\"}", "{\"type\":\"array\",\"items\":\"long\"}",
     "[]: long cannot"},
    {"{\"type\":\"map\",\"values\":\"int\"}", "{\"type\":\"array\",\"items\":\"int\"}",
     "array cannot be read as map"},
    {"{\"type\":\"map\",\"values\":\"int\"}", "{\"type\":\"map\",\"values\":\"string\"}",
     "[]: string cannot"},
    // Named types.
    {"{\"type\":\"fixed\",\"name\":\"F\",\"size\":2}",
     "{\"type\":\"fixed\",\"name\":\"F\",\"size\":2}", NULL},
    {"{\"type\":\"fixed\",\"name\":\"F\",\"size\":2}",
     "{\"type\":\"fixed\",\"name\":\"F\",\"size\":3}", "another size"},
    {"{\"type\":\"fixed\",\"name\":\"F\",\"size\":2}",
     "{\"type\":\"fixed\",\"name\":\"G\",\"size\":2}", "fixed G cannot be read as fixed F"},
    {"{\"type\":\"fixed\",\"name\":\"F\",\"size\":2,\"aliases\":[\"G\"]}",
     "{\"type\":\"fixed\",\"name\":\"G\",\"size\":2}", NULL},
    {"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"]}",
     "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"B\"]}", NULL},
    {"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"]}",
     "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"]}", "no symbol B and no default"},
    {"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"],\"default\":\"A\"}",
     "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"]}", NULL},
    // The namespace is not compared, as in the specification.
    {"{\"type\":\"record\",\"name\":\"R\",\"namespace\":\"a\",\"fields\":[]}",
     "{\"type\":\"record\",\"name\":\"b.R\",\"fields\":[]}", NULL},
    {"{\"type\":\"record\",\"name\":\"R\",\"namespace\":\"a\",\"aliases\":[\"Q\"],\"fields\":[]}",
     "{\"type\":\"record\",\"name\":\"a.Q\",\"fields\":[]}", NULL},
    {"{\"type\":\"record\",\"name\":\"R\",\"namespace\":\"a\",\"aliases\":[\"Q\"],\"fields\":[]}",
     "{\"type\":\"record\",\"name\":\"b.Q\",\"fields\":[]}", "record b.Q cannot be read as"},
    // Fields.
    {"{\"type\":\"record\",\"name\":\"R\",\"fields\":[]}",
     "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"x\",\"type\":\"int\"}]}", NULL},
    {"{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"x\",\"type\":\"int\"}]}",
     "{\"type\":\"record\",\"name\":\"R\",\"fields\":[]}", "no field x"},
    {"{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"x\",\"type\":\"int\",\"default\":"
     "0}]}",
     "{\"type\":\"record\",\"name\":\"R\",\"fields\":[]}", NULL},
    {"{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"x\",\"type\":[\"null\",\"int\"],"
     "\"default\":null}]}",
     "{\"type\":\"record\",\"name\":\"R\",\"fields\":[]}", NULL},
    {"{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"y\",\"type\":\"int\","
     "\"aliases\":[\"x\"]}]}",
     "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"x\",\"type\":\"int\"}]}", NULL},
    {"{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":{\"type\":"
     "\"record\","
     "\"name\":\"S\",\"fields\":[{\"name\":\"b\",\"type\":{\"type\":\"array\",\"items\":\"int\"}}]}"
     "}]}",
     "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":{\"type\":"
     "\"record\","
     "\"name\":\"S\",\"fields\":[{\"name\":\"b\",\"type\":{\"type\":\"array\",\"items\":\"string\"}"
     "}]}}]"
     "}",
     "a.b[]: string cannot be read as int"},
    // Unions.
    {"[\"null\",\"long\"]", "\"int\"", NULL},
    {"[\"null\",\"string\"]", "\"int\"", "int cannot be read as union"},
    {"\"int\"", "[\"null\",\"int\"]", "null cannot be read as int"},
    {"[\"null\",\"int\"]", "[\"int\",\"null\"]", NULL},
    {"[\"null\",\"int\"]", "[\"null\",\"int\",\"string\"]", "string cannot be read as union"},
    {"[\"null\",\"int\",\"string\"]", "[\"null\",\"int\"]", NULL},
    // A branch that fits by name and not by content is no branch; one after it may be.
    {"[{\"type\":\"record\",\"name\":\"a.R\",\"fields\":[{\"name\":\"x\",\"type\":\"int\"}]},"
     "{\"type\":\"record\",\"name\":\"b.R\",\"fields\":[]}]",
     "{\"type\":\"record\",\"name\":\"b.R\",\"fields\":[]}", NULL},
    // Where a branch has the writer's kind and name, it says what is wrong with it.
    {"[\"null\",{\"type\":\"record\",\"name\":\"a.R\",\"fields\":[{\"name\":\"x\",\"type\":"
     "[\"null\",{\"type\":\"map\",\"values\":\"int\"}]}]}]",
     "{\"type\":\"record\",\"name\":\"b.R\",\"fields\":[{\"name\":\"x\",\"type\":{\"type\":\"map\","
     "\"values\":\"string\"}}]}",
     "x[]: string cannot be read as int"},
    {"[\"null\",{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"]}]",
     "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"]}", "enum E has no symbol B"},
    {"[\"null\",{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"]}]",
     "{\"type\":\"enum\",\"name\":\"F\",\"symbols\":[\"A\"]}", "enum F cannot be read as union"},
    // Recursion ends.
    {"{\"type\":\"record\",\"name\":\"L\",\"fields\":[{\"name\":\"next\",\"type\":[\"null\",\"L\"]}"
     ","
     "{\"name\":\"v\",\"type\":\"long\"}]}",
     "{\"type\":\"record\",\"name\":\"L\",\"fields\":[{\"name\":\"next\",\"type\":[\"null\",\"L\"]}"
     ","
     "{\"name\":\"v\",\"type\":\"int\"}]}",
     NULL},
    {"{\"type\":\"record\",\"name\":\"L\",\"fields\":[{\"name\":\"next\",\"type\":[\"null\",\"L\"]}"
     ","
     "{\"name\":\"v\",\"type\":\"int\"}]}",
     "{\"type\":\"record\",\"name\":\"L\",\"fields\":[{\"name\":\"next\",\"type\":[\"null\",\"L\"]}"
     ","
     "{\"name\":\"v\",\"type\":\"long\"}]}",
     "v: long cannot be read as int"},
    // No schemas.
    {"\"intt\"", "\"int\"", "the reader's schema"},
    {"\"int\"", "{", "the writer's schema"},
};

static void the_rules_are_the_specifications(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    struct ee_err why = {.text = ""};
    bool can = ee_schema_can_read(ee_str(rows[i].reader), ee_str(rows[i].writer), &why);
    if (can != (rows[i].fault == NULL) || (!can && strstr(why.text, rows[i].fault) == NULL)) {
      fail_msg("%s reads %s: %d, %s", rows[i].reader, rows[i].writer, can, why.text);
    }
  }
}

// What it holds for readable, the plans must read. (Not the other way: a plan refuses a
// branch of a union only when it comes.)
static void plans_agree(void **state) {
  (void)state;
  for (size_t i = 0; i < ee_record_type_count; i++) {
    const struct ee_record_type *type = ee_record_types[i];
    struct ee_str ours = {type->schema, type->schema_size};
    for (size_t j = 0; j < ee_record_type_count; j++) {
      struct ee_str theirs = {ee_record_types[j]->schema, ee_record_types[j]->schema_size};
      struct ee_plan *plan = NULL;
      struct ee_err why;
      bool can = ee_schema_can_read(ours, theirs, &why);
      assert_int_equal(can, i == j);
      assert_int_equal(ee_plan_new(type, theirs, &plan, NULL), can);
      ee_plan_free(plan);
    }
  }
}

// Takes one text out of another, or puts one in its place; NULL if it is not in there.
static char *changed(struct ee_str text, const char *from, const char *to) {
  char *copy = malloc(text.size + strlen(to) + 1);
  assert_non_null(copy);
  memcpy(copy, text.data, text.size);
  copy[text.size] = '\0';
  char *at = strstr(copy, from);
  assert_non_null(at);
  memmove(at + strlen(to), at + strlen(from), strlen(at + strlen(from)) + 1);
  memcpy(at, to, strlen(to));
  return copy;
}

static void a_change_to_ours_is_found_with_its_place(void **state) {
  (void)state;
  struct ee_str ours = {ee_admission_type.schema, ee_admission_type.schema_size};
  struct ee_err why;
  char *wider = changed(ours, "{\"name\": \"gpu_count\", \"type\": [\"null\", \"long\"]",
                        "{\"name\": \"gpu_count\", \"type\": [\"null\", \"double\"]");
  assert_true(ee_schema_can_read(ee_str(wider), ours, &why));
  assert_false(ee_schema_can_read(ours, ee_str(wider), &why));
  assert_non_null(strstr(why.text, "requested.gpu_count: double cannot"));
  free(wider);
  char *renamed = changed(ours, "\"name\": \"tenant\"", "\"name\": \"tenancy\"");
  assert_false(ee_schema_can_read(ours, ee_str(renamed), &why));
  assert_non_null(strstr(why.text, "no field tenant"));
  free(renamed);
}

static void names_are_found(void **state) {
  (void)state;
  char name[EE_SCHEMA_NAME_SIZE];
  struct ee_err err;
  assert_true(ee_schema_full_name((struct ee_str){ee_tick_type.schema, ee_tick_type.schema_size},
                                  name, &err));
  assert_string_equal(name, "envelope.v1.Tick");
  assert_true(
      ee_schema_full_name(EE_STR("{\"type\":\"fixed\",\"name\":\"a.F\",\"size\":1}"), name, &err));
  assert_string_equal(name, "a.F");
  assert_false(ee_schema_full_name(EE_STR("\"int\""), name, &err));
  assert_false(ee_schema_full_name(EE_STR("{"), name, &err));
}

// The writer's types each hold the one before, and the reader's one type stands for them all:
// a chain as long as the text allows. The walk must end before the stack does.
static bool reads_chain(int length, struct ee_err *why) {
  struct ee_buf writer, reader;
  ee_buf_init(&writer, EE_SCHEMA_SIZE_MAX);
  ee_buf_init(&reader, EE_SCHEMA_SIZE_MAX);
  ee_buf_text(&writer, "{\"type\":\"record\",\"name\":\"T\",\"fields\":[");
  ee_buf_printf(&reader, "{\"type\":\"record\",\"name\":\"T\",\"fields\":[{\"name\":\"f%d\",",
                length);
  ee_buf_text(&reader,
              "\"type\":{\"type\":\"record\",\"name\":\"L\",\"fields\":[{\"name\":\"c\","
              "\"type\":\"L\",\"default\":{}}],\"aliases\":[\"C0\"");
  for (int i = 0; i <= length; i++) {
    ee_buf_printf(&writer, "%s{\"name\":\"f%d\",\"type\":{\"type\":\"record\",\"name\":\"C%d\",",
                  i == 0 ? "" : ",", i, i);
    if (i == 0) ee_buf_text(&writer, "\"fields\":[]}}");
    if (i > 0) ee_buf_printf(&writer, "\"fields\":[{\"name\":\"c\",\"type\":\"C%d\"}]}}", i - 1);
    ee_buf_printf(&reader, ",\"C%d\"", i);
  }
  ee_buf_text(&writer, "]}");
  ee_buf_text(&reader, "]}}]}");
  assert_false(writer.failed || reader.failed);
  bool can = ee_schema_can_read(ee_buf_view(&reader), ee_buf_view(&writer), why);
  ee_buf_release(&writer);
  ee_buf_release(&reader);
  return can;
}

static void a_long_chain_is_refused(void **state) {
  (void)state;
  struct ee_err why;
  assert_true(reads_chain(200, &why));
  assert_false(reads_chain(2500, &why));
  assert_non_null(strstr(why.text, "nested too deep"));
}

static void memory_that_is_out_is_an_error(void **state) {
  (void)state;
  struct ee_str ours = {ee_admission_type.schema, ee_admission_type.schema_size};
  bool failed = true;
  for (size_t n = 0; failed; n++) {
    struct ee_err why = {.text = ""};
    ee_chaos_fail_after(n);
    bool can = ee_schema_can_read(ours, ours, &why);
    failed = ee_chaos_stop();
    assert_int_equal(can, !failed);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_rules_are_the_specifications),
      cmocka_unit_test(plans_agree),
      cmocka_unit_test(a_change_to_ours_is_found_with_its_place),
      cmocka_unit_test(names_are_found),
      cmocka_unit_test(a_long_chain_is_refused),
      cmocka_unit_test(memory_that_is_out_is_an_error),
  };
  return cmocka_run_group_tests_name("contract/compatible", tests, NULL, NULL);
}
