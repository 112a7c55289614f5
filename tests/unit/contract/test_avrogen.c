// SPDX-License-Identifier: Apache-2.0
// The generator's own rules: copies of a type must be equal, and what the tables have no
// shape for is refused with file and path. Its sources are part of this program, since no
// archive holds them.
#include <stdlib.h>
#include <unistd.h>

#include "contract/catalogue.h"
#include "records.h"
#include "tests/support/test.h"
#include "tools/avrogen/emit_header.c"
#include "tools/avrogen/emit_tables.c"
#include "tools/avrogen/emit_topics.c"
#include "tools/avrogen/model.c"
#include "tools/avrogen/shape.c"

#define OUT_MAX ((size_t)1 << 20)

static char directory[] = "/tmp/test_avrogen_XXXXXX";

static int make_directory(void **state) {
  (void)state;
  return mkdtemp(directory) == NULL;
}

static int remove_directory(void **state) {
  (void)state;
  return rmdir(directory);
}

static bool add(struct model *model, const char *name, const char *schema, struct ee_err *err) {
  char path[128];
  snprintf(path, sizeof path, "%s/%s.avsc", directory, name);
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs(schema, file);
  assert_int_equal(fclose(file), 0);
  bool added = model_add_file(model, path, err);
  assert_int_equal(unlink(path), 0);
  return added;
}

#define FIELD(NAME, REST) "{\"name\":\"" NAME "\",\"doc\":\"d\",\"type\":" REST "}"
#define ROOT(NAME, FIELDS)                \
  "{\"type\":\"record\",\"name\":\"" NAME \
  "\",\"namespace\":\"n\",\"doc\":\"d\",\"fields\":[" FIELDS "]}"
#define PART(REST) \
  "{\"type\":\"record\",\"name\":\"Part\",\"fields\":[" FIELD("name", "\"string\"") REST "]}"

static struct model *new_model(void) {
  struct model *model = calloc(1, sizeof *model);
  assert_non_null(model);
  return model;
}

static void free_model(struct model *model) {
  model_release(model);
  free(model);
}

static void equal_copies_are_one_type(void **state) {
  (void)state;
  struct model *model = new_model();
  struct ee_err err = {.text = ""};
  if (!add(model, "one", ROOT("One", FIELD("a", PART("")) "," FIELD("b", "\"Part\"")), &err) ||
      !add(model, "two", ROOT("Two", FIELD("b", "{\"type\":\"array\",\"items\":" PART("") "}")),
           &err) ||
      !model_check(model, &err)) {
    fail_msg("%s", err.text);
  }
  assert_int_equal(model->type_count, 3);
  assert_int_equal(model->file_count, 2);
  assert_string_equal(model->types[0].full_name, "n.Part");
  assert_true(model->types[1].root && model->types[2].root && !model->types[0].root);
  free_model(model);
}

static void unequal_copies_are_refused_with_file_and_path(void **state) {
  (void)state;
  struct model *model = new_model();
  struct ee_err err = {.text = ""};
  assert_true(add(model, "one", ROOT("One", FIELD("a", PART(""))), &err));
  assert_false(add(
      model, "two",
      ROOT("Two", FIELD("x", "\"int\"") "," FIELD("b", PART("," FIELD("y", "\"int\"")))), &err));
  assert_non_null(strstr(err.text, "two.avsc: Two.b: n.Part differs from its copy in one"));
  free_model(model);
}

static void names_do_not_reach_into_another_file(void **state) {
  (void)state;
  struct model *model = new_model();
  struct ee_err err = {.text = ""};
  assert_true(add(model, "one", ROOT("One", FIELD("a", PART(""))), &err));
  assert_false(add(model, "two", ROOT("Two", FIELD("b", "\"Part\"")), &err));
  free_model(model);
}

static const struct {
  const char *fields, *error;
} unsupported[] = {
    {FIELD("f", "\"double\""), "two: Two: f: double has no shape in C"},
    {FIELD("f", "\"bytes\""), "two: Two: f: bytes has no shape in C"},
    {FIELD("f", "[\"int\",\"string\"]"), "a union must be of null and one type"},
    {FIELD("f", "[\"null\"]"), "a union must be of null and one type"},
    {FIELD("f", "[\"null\",\"int\",\"long\"]"), "a union must be of null and one type"},
    {FIELD("f", "[\"null\",{\"type\":\"array\",\"items\":\"string\"}]"), "cannot be nullable"},
    {FIELD("f", "{\"type\":\"array\",\"items\":\"long\"}"), "arrays of this type"},
    {FIELD("f", "{\"type\":\"array\",\"items\":[\"null\",\"string\"]}"), "arrays of this type"},
    {FIELD("f", "{\"type\":\"map\",\"values\":\"boolean\"}"), "maps of this type"},
    {FIELD("f", "{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}"), "logical type"},
    {FIELD("f", "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":38,\"scale\":2}"),
     "precision 38 and scale 0"},
    {FIELD("f", "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":9}"),
     "precision 38 and scale 0"},
    {FIELD("f", "[\"null\",\"Two\"]"), "recursive types are not supported"},
    {FIELD("switch", "\"int\""), "means something in C"},
    {FIELD("encoded", "\"int\""), "the name encoded is taken"},
    {"{\"name\":\"f\",\"type\":\"int\"}", "f: has no doc"},
    {FIELD("f", "\"string\",\"check\":\"unheard_of\""), "check unheard_of is unknown"},
    {FIELD("f", "\"int\",\"check\":\"required\""), "not for this type"},
    {FIELD("f", "\"string\",\"check\":\"namespaced_json\""), "for maps of strings"},
    {FIELD("f", "[\"null\",\"string\"],\"check\":\"required\""), "check is not for this type"},
    {FIELD("f", "\"string\",\"default\":\"a\\\"b\""), "default is not supported"},
    {FIELD("f", "\"int\",\"default\":2147483648"), "default is not supported"},
    {FIELD("f", "[\"null\",\"int\"],\"default\":1"), "default is not supported"},
    {FIELD("f", "{\"type\":\"map\",\"values\":\"long\"},\"default\":{\"a\":1}"),
     "default is not supported"},
    {FIELD("f", PART("") ",\"default\":{\"name\":\"x\"}"), "default is not supported"},
    {FIELD("f", "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"]},\"default\":\"B\""),
     "default is not supported"},
    {FIELD("f", "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"],\"aliases\":[\"F\"]}"),
     "aliases are supported for records and fields only"},
    {FIELD("f", "{\"type\":\"fixed\",\"name\":\"F\",\"size\":0}"), "unusable size"},
    {FIELD("f", "{\"type\":\"enum\",\"name\":\"TWO\",\"symbols\":[\"A\"]}"), "same name in C"},
    {"", "a record without fields"}};

static void what_has_no_shape_is_refused(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(unsupported); i++) {
    char schema[2048];
    struct model *model = new_model();
    struct ee_err err = {.text = ""};
    snprintf(schema, sizeof schema, ROOT("Two", "%s"), unsupported[i].fields);
    bool fits = add(model, "two", schema, &err) && model_check(model, &err);
    if (fits || strstr(err.text, unsupported[i].error) == NULL) {
      fail_msg("%s: %s, expected %s", unsupported[i].fields, err.text, unsupported[i].error);
    }
    assert_non_null(strstr(err.text, "two"));
    free_model(model);
  }
}

static void broken_files_are_refused(void **state) {
  (void)state;
  static const char *const texts[] = {"", "{", "\"string\"",
                                      "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"]}",
                                      "{\"type\":\"record\",\"name\":\"a.b\",\"fields\":[]}"};
  for (size_t i = 0; i < COUNT_OF(texts); i++) {
    struct model *model = new_model();
    struct ee_err err = {.text = ""};
    assert_false(add(model, "two", texts[i], &err));
    assert_non_null(strstr(err.text, "two.avsc: "));
    free_model(model);
  }
}

static void names_become_c_names(void **state) {
  (void)state;
  static const struct {
    const char *name, *lower, *upper;
  } names[] = {{"UsageTotal", "usage_total", "USAGE_TOTAL"},
               {"Sha256", "sha256", "SHA256"},
               {"audit.checkpoint", "audit_checkpoint", "AUDIT_CHECKPOINT"},
               {"by_key", "by_key", "BY_KEY"},
               {"URI", "uri", "URI"}};
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    char out[MODEL_NAME_MAX];
    assert_true(model_snake_case(names[i].name, false, out));
    assert_string_equal(out, names[i].lower);
    assert_true(model_snake_case(names[i].name, true, out));
    assert_string_equal(out, names[i].upper);
  }
  char long_name[2 * MODEL_NAME_MAX], out[MODEL_NAME_MAX];
  memset(long_name, 'a', sizeof long_name - 1);
  long_name[sizeof long_name - 1] = '\0';
  assert_false(model_snake_case(long_name, false, out));
}

static void literals_are_safe(void **state) {
  (void)state;
  struct ee_buf out;
  ee_buf_init(&out, OUT_MAX);
  emit_literal(
      "a\"b\\c?\n\xc3\xa9"
      "1",
      &out);
  emit_literal(NULL, &out);
  ee_buf_byte(&out, '\0');
  assert_string_equal((char *)out.data, "\"a\\\"b\\\\c\\077\\012\\303\\2511\"NULL");
  ee_buf_release(&out);
}

// The files of this very build, once more: the same bytes.
static void check_again(const struct model *model,
                        void (*emit)(const struct model *, struct ee_buf *)) {
  struct ee_buf first, second;
  ee_buf_init(&first, 8 * OUT_MAX);
  ee_buf_init(&second, 8 * OUT_MAX);
  emit(model, &first);
  emit(model, &second);
  assert_false(first.failed);
  assert_true(first.size > 1000);
  assert_true(ee_bytes_equal(ee_buf_bytes(&first), ee_buf_bytes(&second)));
  ee_buf_release(&first);
  ee_buf_release(&second);
}

static struct model *model_of_this_build(void) {
  static const char *const files[] = {"admission", "resolved",   "finalized", "failed",
                                      "released",  "annotation", "lifecycle", "usage"};
  struct model *model = new_model();
  struct ee_err err = {.text = ""};
  for (size_t i = 0; i < COUNT_OF(files); i++) {
    char path[128];
    snprintf(path, sizeof path, "schemas/%s.avsc", files[i]);
    if (!model_add_file(model, path, &err)) fail_msg("%s", err.text);
  }
  if (!model_check(model, &err)) fail_msg("%s", err.text);
  return model;
}

static void output_is_a_function_of_input(void **state) {
  (void)state;
  struct model *model = model_of_this_build();
  check_again(model, emit_header);
  check_again(model, emit_tables);
  free_model(model);
}

static void topics_must_be_in_order_and_whole(void **state) {
  (void)state;
  struct model *model = new_model();
  struct ee_err err = {.text = ""};
  struct ee_buf out;
  ee_buf_init(&out, OUT_MAX);
  json_t *topics = json_load_file("schemas/topics.json", 0, NULL);
  assert_non_null(topics);
  assert_false(emit_topics(model, topics, &out, &err));  // no schema files were added
  assert_non_null(strstr(err.text, "there is no schema file admission"));
  json_t *last = json_incref(json_array_get(topics, EE_TOPIC_COUNT - 1));
  json_array_remove(topics, EE_TOPIC_COUNT - 1);
  assert_false(emit_topics(model, topics, &out, &err));
  json_array_insert_new(topics, 0, last);
  assert_false(emit_topics(model, topics, &out, &err));
  assert_string_equal(err.text,
                      "envelope.accounting.state.v1 is where enum ee_topic has "
                      "envelope.admission.v1");
  json_decref(topics);
  ee_buf_release(&out);
  free_model(model);
}

static void the_catalogue_is_found_by_name(void **state) {
  (void)state;
  for (int i = 0; i < EE_TOPIC_COUNT; i++) {
    assert_int_equal(ee_topic_find(ee_str(ee_topics[i].name)), i);
  }
  assert_int_equal(ee_topic_find(EE_STR("envelope.admission")), -1);
  assert_int_equal(ee_topic_find(EE_STR("")), -1);
  assert_ptr_equal(ee_topics[EE_TOPIC_USAGE_TENANT].value, &ee_usage_total_type);
  assert_null(ee_topics[EE_TOPIC_DEADLETTER].value);
  assert_string_equal(ee_topics[EE_TOPIC_AUDIT_CHECKPOINT].name, "envelope.audit.checkpoint.v1");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(equal_copies_are_one_type),
      cmocka_unit_test(unequal_copies_are_refused_with_file_and_path),
      cmocka_unit_test(names_do_not_reach_into_another_file),
      cmocka_unit_test(what_has_no_shape_is_refused),
      cmocka_unit_test(broken_files_are_refused),
      cmocka_unit_test(names_become_c_names),
      cmocka_unit_test(literals_are_safe),
      cmocka_unit_test(output_is_a_function_of_input),
      cmocka_unit_test(topics_must_be_in_order_and_whole),
      cmocka_unit_test(the_catalogue_is_found_by_name),
  };
  return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
