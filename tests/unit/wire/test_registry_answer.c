// SPDX-License-Identifier: Apache-2.0
// What answers mean, whatever is in them.
#include "wire/registry_answer.h"

#include <stdlib.h>

#include "contract/record.h"
#include "tests/support/chaos.h"
#include "tests/support/test.h"

struct sample {
  long status;
  const char *body;
  enum ee_answer answer;
  const char *words;  // that `why` must hold
};

#define FOUND EE_ANSWER_FOUND
#define ABSENT EE_ANSWER_ABSENT
#define UNUSABLE EE_ANSWER_UNUSABLE
#define TROUBLE EE_ANSWER_TROUBLE

// What any request may be told.
static const struct sample refusals[] = {
    {404, "{\"error_code\":40403,\"message\":\"Schema not found\"}", ABSENT, ""},
    {404, "{\"error_code\":404,\"message\":\"HTTP 404 Not Found\"}", TROUBLE, "HTTP 404 Not Found"},
    {404, "{\"error_code\":\"40403\"}", TROUBLE, "HTTP 404"},
    {404, "{\"error_code\":40403.0}", TROUBLE, "HTTP 404"},
    {404, "{\"error_code\":null}", TROUBLE, "HTTP 404"},
    {404, "{\"error_code\":40403", TROUBLE, "HTTP 404"},
    {404, "[{\"error_code\":40403}]", TROUBLE, "HTTP 404"},
    {404, "<html>not found</html>", TROUBLE, "HTTP 404"},
    {404, "", TROUBLE, "HTTP 404"},
    {500, "{\"error_code\":40403}", TROUBLE, "HTTP 500"},
    {500, "{\"error_code\":50001,\"message\":\"Error in the backend data store\"}", TROUBLE,
     "HTTP 500: Error in the backend data store"},
    {401, "{\"message\":{\"schema\":\"x\"}}", TROUBLE, "HTTP 401"},
    {301, "{\"schema\":\"\\\"string\\\"\",\"id\":1,\"is_compatible\":true}", TROUBLE, "HTTP 301"},
    {204, "", TROUBLE, "HTTP 204"},
    {201, "{\"schema\":\"\\\"string\\\"\",\"id\":1}", TROUBLE, "HTTP 201"},
    {200, "", TROUBLE, "not JSON"},
    {200, "null", TROUBLE, "not JSON"},
    {200, "7", TROUBLE, "JSON"},
    {200, "\"schema\"", TROUBLE, "JSON"},
    {200, "[]", TROUBLE, "not a JSON object"},
    {200, "{}", TROUBLE, "the answer has no"},
    {200, "{\"schema\":\"a\",\"id\":1,\"is_compatible\":true", TROUBLE, "not JSON"},
    {200, "{\"schema\":\"a\",\"id\":1,\"is_compatible\":true}x", TROUBLE, "not JSON"},
    {200,
     "{\"id\":1,\"id\":2,\"schema\":\"a\",\"schema\":\"b\",\"is_compatible\":true,"
     "\"is_compatible\":false}",
     TROUBLE, "not JSON"},
};

static void assert_sample(enum ee_answer answer, const struct ee_err *why,
                          const struct sample *sample) {
  if (answer != sample->answer) {
    fail_msg("%ld %s: %d instead of %d", sample->status, sample->body, answer, sample->answer);
  }
  if (strstr(why->text, sample->words) == NULL) {
    fail_msg("%ld %s: %s", sample->status, sample->body, why->text);
  }
}

static struct ee_bytes body_of(const struct sample *sample) {
  return ee_str_bytes(ee_str(sample->body));
}

static void refusals_mean_the_same_to_all(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(refusals); i++) {
    const struct sample *sample = &refusals[i];
    struct ee_buf schema;
    struct ee_err why = {.text = ""}, why_not;
    int32_t id;
    bool compatible;
    ee_buf_init(&schema, 1000);
    assert_sample(ee_answer_schema(sample->status, body_of(sample), &schema, &why), &why, sample);
    ee_buf_release(&schema);
    assert_sample(ee_answer_id(sample->status, body_of(sample), &id, &why), &why, sample);
    assert_sample(
        ee_answer_compatible(sample->status, body_of(sample), &compatible, &why_not, &why), &why,
        sample);
    if (sample->status == 200) continue;
    assert_int_equal(ee_answer_done(sample->status, body_of(sample), &why), TROUBLE);
    assert_non_null(strstr(why.text, "HTTP "));
  }
}

static const struct sample schemas[] = {
    {200, "{\"schema\":\"\\\"string\\\"\"}", FOUND, ""},
    {200,
     "{\"schema\":\"\\\"string\\\"\",\"schemaType\":\"AVRO\",\"references\":[],\"guid\":\"x\"}",
     FOUND, ""},
    {200, "{\"schema\":\"\\\"string\\\"\",\"schemaType\":null,\"references\":null}", FOUND, ""},
    {200, "{\"schema\":null}", TROUBLE, "no schema"},
    {200, "{\"schema\":7}", TROUBLE, "no schema"},
    {200, "{\"schema\":{\"type\":\"string\"}}", TROUBLE, "no schema"},
    {200, "{\"schema\":[\"string\"]}", TROUBLE, "no schema"},
    {200, "{\"schema\":\"a\\u0000b\"}", TROUBLE, "not JSON"},
    {200, "{\"schema\":\"\xFF\"}", TROUBLE, "not JSON"},
    {200, "{\"schema\":\"a\",\"schemaType\":7}", TROUBLE, "schemaType"},
    {200, "{\"schema\":\"a\",\"schemaType\":[\"AVRO\"]}", TROUBLE, "schemaType"},
    {200, "{\"schema\":\"a\",\"schemaType\":\"PROTOBUF\"}", UNUSABLE, "PROTOBUF"},
    {200, "{\"schema\":\"a\",\"schemaType\":\"avro\"}", UNUSABLE, "avro"},
    {200, "{\"schema\":\"a\",\"references\":{}}", TROUBLE, "references"},
    {200, "{\"schema\":\"a\",\"references\":\"x\"}", TROUBLE, "references"},
    {200, "{\"schema\":\"a\",\"references\":[7]}", TROUBLE, "references"},
    {200, "{\"schema\":\"a\",\"references\":[{\"name\":7}]}", TROUBLE, "references"},
    {200,
     "{\"schema\":\"a\",\"references\":[{\"name\":\"acme.Money\",\"subject\":\"m\",\"version\":1}]"
     "}",
     UNUSABLE, "acme.Money"},
    {404, "{\"error_code\":40401}", TROUBLE, "HTTP 404"},  // a subject's word, not a schema's
};

static void schemas_are_checked_in_type(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(schemas); i++) {
    const struct sample *sample = &schemas[i];
    struct ee_buf schema;
    struct ee_err why = {.text = ""};
    ee_buf_init(&schema, 1000);
    ee_buf_text(&schema, "what was there before");
    enum ee_answer answer = ee_answer_schema(sample->status, body_of(sample), &schema, &why);
    assert_sample(answer, &why, sample);
    if (answer == FOUND) assert_true(ee_str_equal(ee_buf_view(&schema), EE_STR("\"string\"")));
    ee_buf_release(&schema);
  }
}

static const struct sample ids[] = {
    {200, "{\"id\":0}", FOUND, ""},
    {200, "{\"subject\":\"s\",\"version\":3,\"id\":2147483647,\"schema\":\"x\"}", FOUND, ""},
    {200, "{\"id\":2147483648}", TROUBLE, "no id"},
    {200, "{\"id\":99999999999999999999}", TROUBLE, "not JSON"},
    {200, "{\"id\":-1}", TROUBLE, "no id"},
    {200, "{\"id\":1.0}", TROUBLE, "no id"},
    {200, "{\"id\":\"1\"}", TROUBLE, "no id"},
    {200, "{\"id\":true}", TROUBLE, "no id"},
    {200, "{\"id\":null}", TROUBLE, "no id"},
    {200, "{\"id\":[1]}", TROUBLE, "no id"},
    {404, "{\"error_code\":40401}", ABSENT, ""},
    {404, "{\"error_code\":40402}", ABSENT, ""},
    {409, "{\"error_code\":409,\"message\":\"incompatible with an earlier schema\"}", TROUBLE,
     "HTTP 409: incompatible with an earlier schema"},
};

static void ids_are_checked_in_type_and_range(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(ids); i++) {
    struct ee_err why = {.text = ""};
    int32_t id = -7;
    enum ee_answer answer = ee_answer_id(ids[i].status, body_of(&ids[i]), &id, &why);
    assert_sample(answer, &why, &ids[i]);
    assert_int_equal(id, answer != FOUND ? -7 : i == 0 ? 0 : INT32_MAX);
  }
}

static void assert_compatible(const char *body, enum ee_answer expected, bool compatible,
                              const char *words) {
  bool is = !compatible;
  struct ee_err why, why_not = {.text = "untouched"};
  enum ee_answer answer =
      ee_answer_compatible(200, ee_str_bytes(ee_str(body)), &is, &why_not, &why);
  assert_int_equal(answer, expected);
  if (answer == FOUND) assert_int_equal(is, compatible);
  assert_string_equal(why_not.text, words);
}

static void compatibility_comes_with_reasons(void **state) {
  (void)state;
  assert_compatible("{\"is_compatible\":true,\"messages\":[\"x\"]}", FOUND, true, "untouched");
  assert_compatible("{\"is_compatible\":false,\"messages\":[\"one\",\"two\"]}", FOUND, false,
                    "one; two");
  assert_compatible("{\"is_compatible\":false,\"messages\":[7,{},\"two\",null]}", FOUND, false,
                    "two");
  static const char none[] = "the registry gives no reason";
  assert_compatible("{\"is_compatible\":false,\"messages\":[\"\"]}", FOUND, false, none);
  assert_compatible("{\"is_compatible\":false}", FOUND, false, none);
  assert_compatible("{\"is_compatible\":false,\"messages\":\"one\"}", FOUND, false, none);
  assert_compatible("{\"is_compatible\":false,\"messages\":[]}", FOUND, false, none);
  assert_compatible("{\"is_compatible\":\"true\"}", TROUBLE, true, "untouched");
  assert_compatible("{\"is_compatible\":1}", TROUBLE, true, "untouched");
  assert_compatible("{\"is_compatible\":null}", TROUBLE, true, "untouched");
  assert_int_equal(ee_answer_done(200, ee_bytes("", 0), NULL), FOUND);
}

// {"schema":"xxx..."} with so many x.
static struct ee_bytes large_answer(char *out, size_t size) {
  memcpy(out, "{\"schema\":\"", 11);
  memset(out + 11, 'x', size);
  memcpy(out + 11 + size, "\"}", 2);
  return ee_bytes(out, size + 13);
}

static void sizes_are_bounded(void **state) {
  (void)state;
  char *body = malloc(EE_ANSWER_SIZE_MAX + 100);
  assert_non_null(body);
  struct ee_buf schema;
  struct ee_err why;
  ee_buf_init(&schema, EE_SCHEMA_SIZE_MAX);
  struct ee_bytes most = large_answer(body, EE_SCHEMA_SIZE_MAX);
  assert_int_equal(ee_answer_schema(200, most, &schema, &why), FOUND);
  assert_int_equal(schema.size, EE_SCHEMA_SIZE_MAX);
  struct ee_bytes more = large_answer(body, EE_SCHEMA_SIZE_MAX + 1);
  assert_int_equal(ee_answer_schema(200, more, &schema, &why), EE_ANSWER_OVERSIZED);
  assert_non_null(strstr(why.text, "262145"));
  struct ee_bytes huge = large_answer(body, EE_ANSWER_SIZE_MAX - 13);
  assert_int_equal(ee_answer_schema(200, huge, &schema, &why), EE_ANSWER_OVERSIZED);
  huge = large_answer(body, EE_ANSWER_SIZE_MAX - 12);
  assert_int_equal(ee_answer_schema(200, huge, &schema, &why), TROUBLE);
  ee_buf_release(&schema);
  free(body);
}

static void deep_answers_are_trouble(void **state) {
  (void)state;
  size_t size = 1 << 20;
  char *body = malloc(size);
  assert_non_null(body);
  memset(body, '[', size);
  struct ee_err why;
  int32_t id;
  assert_int_equal(ee_answer_id(200, ee_bytes(body, size), &id, &why), TROUBLE);
  free(body);
}

static void lack_of_memory_is_trouble(void **state) {
  (void)state;
  struct ee_buf schema;
  struct ee_err why;
  ee_buf_init(&schema, 1000);
  ee_chaos_fail_after(0);
  enum ee_answer answer = ee_answer_schema(200, body_of(&schemas[0]), &schema, &why);
  assert_true(ee_chaos_stop());
  assert_int_equal(answer, TROUBLE);
  ee_buf_release(&schema);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(refusals_mean_the_same_to_all),
      cmocka_unit_test(schemas_are_checked_in_type),
      cmocka_unit_test(ids_are_checked_in_type_and_range),
      cmocka_unit_test(compatibility_comes_with_reasons),
      cmocka_unit_test(sizes_are_bounded),
      cmocka_unit_test(deep_answers_are_trouble),
      cmocka_unit_test(lack_of_memory_is_trouble),
  };
  return cmocka_run_group_tests_name("wire/registry_answer", tests, NULL, NULL);
}
