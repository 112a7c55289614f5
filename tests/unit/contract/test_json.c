// SPDX-License-Identifier: Apache-2.0
// Records as JSON and back, with jansson as the oracle; redaction; the JSON Schema.
#include "contract/json.h"

#include "records.h"
#include "tests/support/chaos.h"
#include "tests/support/test.h"
#include "tests/unit/contract/random_record.h"
#include "tests/unit/contract/thing.h"

#define ROUNDS 60
#define OUT_MAX ((size_t)4 << 20)

static json_t *load(const char *text) {
  json_error_t error;
  json_t *json =
      json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
  if (json == NULL) fail_msg("%s: %s", error.text, text);
  return json;
}

// The record as jansson reads what we print.
static json_t *printed(const struct ee_record_type *type, const void *record,
                       const struct ee_redaction *redaction) {
  struct ee_buf out;
  json_error_t error;
  ee_buf_init(&out, OUT_MAX);
  ee_json_write(type, record, redaction, &out);
  assert_false(out.failed);
  json_t *json =
      json_loadb((const char *)out.data, out.size, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
  if (json == NULL) fail_msg("%s: %.*s", error.text, (int)out.size, (const char *)out.data);
  ee_buf_release(&out);
  return json;
}

static void check_text(const struct ee_record_type *type, const void *record,
                       const struct ee_redaction *redaction, const char *expected) {
  struct ee_buf out;
  ee_buf_init(&out, OUT_MAX);
  ee_json_write(type, record, redaction, &out);
  assert_false(out.failed);
  ee_buf_byte(&out, '\0');
  assert_string_equal((const char *)out.data, expected);
  ee_buf_release(&out);
}

// ---- Writing.

static struct thing sample(struct part *parts, struct ee_str_entry *labels) {
  struct thing thing;
  ee_record_init(&thing_type, &thing);
  thing.id = EE_STR("a\0\"\n\xc3\xa9");
  thing.size = (struct ee_opt_long){.present = true, .value = INT64_MIN};
  thing.total = INT64_MAX;
  thing.level = -1;
  thing.nick = EE_STR("");
  thing.trim = (struct ee_opt_enum){.present = true, .value = RED};
  thing.mark = (const uint8_t *)"\xff\x00\x10";
  thing.price = -(ee_int128)INT64_MAX * 1000;
  thing.main.name = EE_STR("m");
  parts[0] = (struct part){.name = EE_STR("p"), .weight = 1};
  parts[1] = (struct part){.name = EE_STR("q"), .weight = 2};
  thing.spare = &parts[1];
  thing.parts = (struct part_array){parts, 2};
  labels[0] = (struct ee_str_entry){EE_STR("z"), EE_STR("1")};
  labels[1] = (struct ee_str_entry){EE_STR("a.b"), EE_STR("2")};
  labels[2] = (struct ee_str_entry){EE_STR("a"), EE_STR("3")};
  thing.labels = (struct ee_str_map){labels, 3};
  return thing;
}

#define SAMPLE_HEAD                                                                           \
  "{\"id\":\"a\\u0000\\\"\\n\xc3\xa9\",\"size\":-9223372036854775808,"                        \
  "\"total\":9223372036854775807,\"level\":-1,\"flag\":true,\"note\":\"none\",\"nick\":\"\"," \
  "\"colour\":\"GREEN\",\"trim\":\"RED\",\"mark\":\"/wAQ\","

static void records_are_printed_plainly(void **state) {
  (void)state;
  struct part parts[2];
  struct ee_str_entry labels[3];
  struct thing thing = sample(parts, labels);
  check_text(&thing_type, &thing, NULL,
             SAMPLE_HEAD
             "\"price\":\"-9223372036854775807000\",\"main\":{\"name\":\"m\",\"weight\":5},"
             "\"spare\":{\"name\":\"q\",\"weight\":2},\"parts\":[{\"name\":\"p\",\"weight\":1},"
             "{\"name\":\"q\",\"weight\":2}],\"labels\":{\"a\":\"3\",\"a.b\":\"2\",\"z\":\"1\"},"
             "\"counts\":{}}");
}

static void times_are_rfc_3339_while_they_can_be(void **state) {
  (void)state;
  struct ee_tick tick = {.as_of = {.present = true, .value = INT64_C(1778241600123456)}};
  check_text(&ee_tick_type, &tick, NULL,
             "{\"as_of\":\"2026-05-08T12:00:00.123456Z\",\"offsets\":{}}");
  tick.as_of.value = INT64_MAX;
  check_text(&ee_tick_type, &tick, NULL, "{\"as_of\":9223372036854775807,\"offsets\":{}}");
  tick.as_of.present = false;
  check_text(&ee_tick_type, &tick, NULL, "{\"offsets\":{}}");
}

static void what_cannot_be_printed_fails(void **state) {
  (void)state;
  struct part parts[2];
  struct ee_str_entry labels[3];
  struct thing thing = sample(parts, labels);
  struct ee_buf out;
  ee_buf_init(&out, OUT_MAX);
  thing.colour = 3;
  ee_json_write(&thing_type, &thing, NULL, &out);
  assert_true(out.failed);
  thing.colour = RED;
  thing.note = EE_STR("\xff");
  ee_buf_clear(&out);
  ee_json_write(&thing_type, &thing, NULL, &out);
  assert_true(out.failed);
  thing.note = EE_STR("ok");
  ee_buf_clear(&out);
  ee_json_write(&thing_type, &thing, NULL, &out);
  assert_false(out.failed);
  size_t size = out.size;
  ee_buf_release(&out);
  for (size_t limit = 0; limit < size; limit++) {
    ee_buf_init(&out, limit);
    ee_json_write(&thing_type, &thing, NULL, &out);
    assert_true(out.failed);
    ee_buf_release(&out);
  }
}

// ---- Round trips.

static void random_records_come_back(void **state) {
  (void)state;
  struct ee_arena arena;
  ee_arena_init(&arena, (size_t)16 << 20);
  for (size_t i = 0; i <= ee_record_type_count; i++) {
    const struct ee_record_type *type = i == 0 ? &thing_type : ee_record_types[i - 1];
    struct random random = {.state = 1000 + i};
    for (int round = 0; round < ROUNDS; round++) {
      struct ee_fault fault = {.detail = ""};
      void *record = ee_arena_zero(&arena, 1, type->size);
      void *again = ee_arena_zero(&arena, 1, type->size);
      random_record(&random, type, &arena, record);
      if (i == 0) ((struct thing *)record)->encoded.data = NULL;
      json_t *json = printed(type, record, NULL);
      if (!ee_json_read(type, json, &arena, again, &fault)) fail_msg("%s", fault.detail);
      json_decref(json);  // nothing of it may be borrowed
      assert_true(ee_equal(type, record, again, NULL));
      ee_arena_clear(&arena);
    }
  }
  ee_arena_release(&arena);
}

// Against an independent rendering: jansson's own objects, built from the table.
static json_t *expected_value(const struct ee_type *type, const void *value);

static json_t *expected_record(const struct ee_record_type *type, const void *record) {
  json_t *json = json_object();
  for (size_t i = 0; i < type->count; i++) {
    const struct ee_field *field = &type->fields[i];
    const void *value = ee_value_in(&field->type, ee_at(record, field->offset));
    if (value != NULL) json_object_set_new(json, field->name, expected_value(&field->type, value));
  }
  return json;
}

static json_t *expected_value(const struct ee_type *type, const void *value) {
  const struct ee_str *text = value;
  const struct ee_array *array = value;
  switch (type->kind) {
    case EE_TYPE_BOOLEAN:
      return json_boolean(*(const bool *)value);
    case EE_TYPE_INT:
      return json_integer(*(const int32_t *)value);
    case EE_TYPE_LONG:
      return json_integer(*(const int64_t *)value);
    case EE_TYPE_STRING:
      return json_stringn(text->data, text->size);
    case EE_TYPE_ENUM:
      return json_string(type->enumeration->symbols[*(const int *)value].data);
    case EE_TYPE_RECORD:
      return expected_record(type->record, value);
    case EE_TYPE_ARRAY: {
      json_t *json = json_array();
      for (size_t i = 0; i < array->count; i++) {
        json_array_append_new(json,
                              expected_value(type->item, ee_at(array->items, i * type->size)));
      }
      return json;
    }
    case EE_TYPE_MAP: {
      json_t *json = json_object();
      for (size_t i = 0; i < array->count; i++) {
        const void *entry = ee_at(array->items, i * type->size);
        const struct ee_str *key = entry;
        json_object_setn_new(json, key->data, key->size,
                             expected_value(type->item, ee_at(entry, EE_ENTRY_VALUE)));
      }
      return json;
    }
    case EE_TYPE_FIXED:
    case EE_TYPE_DECIMAL:
      break;  // none in the records this is used for
  }
  return NULL;
}

static void jansson_sees_what_is_in_the_record(void **state) {
  (void)state;
  struct ee_arena arena;
  ee_arena_init(&arena, (size_t)16 << 20);
  struct random random = {.state = 4};
  for (int round = 0; round < 400; round++) {
    struct ee_resolution resolution;
    struct ee_caller caller;
    random_record(&random, &ee_resolution_type, &arena, &resolution);
    random_record(&random, &ee_caller_type, &arena, &caller);
    json_t *json = printed(&ee_resolution_type, &resolution, NULL);
    json_t *expected = expected_record(&ee_resolution_type, &resolution);
    assert_true(json_equal(json, expected));
    json_decref(json);
    json_decref(expected);
    json = printed(&ee_caller_type, &caller, NULL);
    expected = expected_record(&ee_caller_type, &caller);
    assert_true(json_equal(json, expected));
    json_decref(json);
    json_decref(expected);
    ee_arena_clear(&arena);
  }
  ee_arena_release(&arena);
}

// ---- Reading.

#define LEAST_BUT_ID "\"total\":1,\"mark\":\"AAAA\",\"price\":1,\"main\":{\"name\":\"m\"}"
#define LEAST "\"id\":\"i\"," LEAST_BUT_ID

static bool read_thing(const char *text, struct ee_arena *arena, struct thing *thing,
                       struct ee_fault *fault) {
  json_t *json = load(text);
  bool read = ee_json_read(&thing_type, json, arena, thing, fault);
  json_decref(json);
  return read;
}

static void absent_members_take_their_defaults(void **state) {
  (void)state;
  struct ee_arena arena;
  struct thing thing;
  struct ee_fault fault = {.detail = ""};
  ee_arena_init(&arena, 65536);
  if (!read_thing("{" LEAST "}", &arena, &thing, &fault)) fail_msg("%s", fault.detail);
  check_text(&thing_type, &thing, NULL,
             "{\"id\":\"i\",\"total\":1,\"level\":7,\"flag\":true,\"note\":\"none\","
             "\"colour\":\"GREEN\",\"mark\":\"AAAA\",\"price\":\"1\",\"main\":{\"name\":\"m\","
             "\"weight\":5},\"parts\":[],\"labels\":{},\"counts\":{}}");
  assert_null(thing.encoded.data);
  ee_arena_release(&arena);
}

static void values_may_be_written_in_either_form(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int64_t as_of;
  } times[] = {{"{\"as_of\":1778241600123456}", INT64_C(1778241600123456)},
               {"{\"as_of\":\"2026-05-08T12:00:00.123456Z\"}", INT64_C(1778241600123456)},
               {"{\"as_of\":\"2026-05-08T14:00:00+02:00\"}", INT64_C(1778241600000000)},
               {"{\"as_of\":-1}", -1}};
  struct ee_arena arena;
  ee_arena_init(&arena, 65536);
  for (size_t i = 0; i < COUNT_OF(times); i++) {
    struct ee_tick tick;
    json_t *json = load(times[i].text);
    assert_true(ee_json_read(&ee_tick_type, json, &arena, &tick, NULL));
    assert_true(tick.as_of.present && tick.as_of.value == times[i].as_of);
    json_decref(json);
  }
  struct thing thing;
  assert_true(read_thing("{" LEAST ",\"nick\":null,\"size\":null,\"spare\":null,\"trim\":null}",
                         &arena, &thing, NULL));
  assert_true(thing.nick.data == NULL && !thing.size.present && thing.spare == NULL);
  assert_true(
      read_thing("{\"id\":\"i\",\"total\":1,\"mark\":\"AAAA\",\"main\":{\"name\":\"m\"},"
                 "\"price\":\"-99999999999999999999999999999999999999\"}",
                 &arena, &thing, NULL));
  ee_arena_release(&arena);
}

static const struct {
  const char *text;
  enum ee_reason reason;
  const char *detail;
} refused[] = {
    {"[]", EE_REASON_wrong_schema, "must be an object"},
    {"{}", EE_REASON_missing_field, "id: is required"},
    {"{" LEAST_BUT_ID ",\"id\":\"\"}", EE_REASON_missing_field, "id: must not be empty"},
    {"{" LEAST_BUT_ID ",\"id\":\"a\\u0000b\"}", EE_REASON_invalid_utf8, "id: contains a NUL"},
    {"{" LEAST_BUT_ID ",\"id\":null}", EE_REASON_wrong_schema, "id: must be a string"},
    {"{" LEAST ",\"Id\":1}", EE_REASON_wrong_schema, "Id: Thing has no such field"},
    {"{" LEAST ",\"encoded\":\"x\"}", EE_REASON_wrong_schema, "encoded: Thing has no such field"},
    {"{" LEAST ",\"level\":1.0}", EE_REASON_wrong_schema, "level: must be an integer of 32 bits"},
    {"{" LEAST ",\"level\":2147483648}", EE_REASON_wrong_schema,
     "level: must be an integer of 32 bits"},
    {"{" LEAST ",\"level\":null}", EE_REASON_wrong_schema, "level: must be an integer of 32 bits"},
    {"{" LEAST ",\"size\":\"1\"}", EE_REASON_wrong_schema, "size: must be an integer of 64 bits"},
    {"{" LEAST ",\"flag\":1}", EE_REASON_wrong_schema, "flag: must be true or false"},
    {"{" LEAST ",\"note\":1}", EE_REASON_wrong_schema, "note: must be a string"},
    {"{" LEAST ",\"colour\":\"MAUVE\"}", EE_REASON_bad_enum,
     "colour: \"MAUVE\" is no symbol of Colour"},
    {"{" LEAST ",\"colour\":0}", EE_REASON_wrong_schema, "colour: must be the name of a symbol"},
    {"{" LEAST ",\"parts\":[{\"name\":\"a\"},{}]}", EE_REASON_missing_field,
     "parts[1].name: is required"},
    {"{" LEAST ",\"parts\":{}}", EE_REASON_wrong_schema, "parts: must be an array"},
    {"{" LEAST ",\"labels\":{\"k\":1}}", EE_REASON_wrong_schema, "labels[k]: must be a string"},
    {"{" LEAST ",\"labels\":[]}", EE_REASON_wrong_schema, "labels: must be an object"},
    {"{" LEAST ",\"counts\":{\"k\":\"1\"}}", EE_REASON_wrong_schema,
     "counts[k]: must be an integer of 64 bits"},
    {"{" LEAST ",\"spare\":[]}", EE_REASON_wrong_schema, "spare: must be an object"}};

static void wrong_members_are_refused_with_their_path(void **state) {
  (void)state;
  struct ee_arena arena;
  ee_arena_init(&arena, 65536);
  for (size_t i = 0; i < COUNT_OF(refused); i++) {
    struct thing thing;
    struct ee_fault fault = {.detail = ""};
    assert_false(read_thing(refused[i].text, &arena, &thing, &fault));
    assert_string_equal(fault.detail, refused[i].detail);
    assert_int_equal(fault.reason, refused[i].reason);
    assert_false(read_thing(refused[i].text, &arena, &thing, NULL));
  }
  ee_arena_release(&arena);
}

static void marks_and_prices_are_strict(void **state) {
  (void)state;
  static const struct {
    const char *mark, *price;
    bool valid;
  } cases[] = {{"\"AQID\"", "\"12\"", true},
               {"\"AQI=\"", "1", false},
               {"\"AQIDBA==\"", "1", false},
               {"\"AQI*\"", "1", false},
               {"\"AQID=\"", "1", false},
               {"7", "1", false},
               {"\"AQID\"", "1.5", false},
               {"\"AQID\"", "\"1.5\"", false},
               {"\"AQID\"", "\"\"", false},
               {"\"AQID\"", "\"1e3\"", false},
               {"\"AQID\"", "\" 1\"", false},
               {"\"AQID\"", "\"999999999999999999999999999999999999999\"", false}};
  struct ee_arena arena;
  ee_arena_init(&arena, 65536);
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct thing thing;
    char text[256];
    snprintf(text, sizeof text,
             "{\"id\":\"i\",\"total\":1,\"main\":{\"name\":\"m\"},\"mark\":%s,\"price\":%s}",
             cases[i].mark, cases[i].price);
    if (read_thing(text, &arena, &thing, NULL) != cases[i].valid) fail_msg("%s", text);
    if (cases[i].valid) assert_memory_equal(thing.mark, "\x01\x02\x03", 3);
  }
  ee_arena_release(&arena);
}

// Base64 of every length: what is left over in the last digit must be zero.
static void base64_of_each_length_comes_back(void **state) {
  (void)state;
  struct random random = {.state = 8};
  struct ee_arena arena;
  ee_arena_init(&arena, 65536);
  for (uint32_t size = 1; size <= 40; size++) {
    const struct ee_field field = {.name = "f", .type = {.kind = EE_TYPE_FIXED, .size = size}};
    const struct ee_record_type type = {
        .name = "R", .full_name = "R", .fields = &field, .count = 1, .size = sizeof(void *)};
    const uint8_t *value, *again;
    random_value(&random, &field.type, EE_CHECK_NONE, &arena, &value);
    json_t *json = printed(&type, &value, NULL);
    assert_true(ee_json_read(&type, json, &arena, &again, NULL));
    assert_memory_equal(value, again, size);
    char text[64];
    snprintf(text, sizeof text, "%s", json_string_value(json_object_get(json, "f")));
    if (size % 3 != 0) {
      char *last = text + strcspn(text, "=") - 1;
      static const char odd[] = "BCDEFGHIJKLMNOPRSTUVWXYZabcdefhijklmnopqrstuvxyz01234567";
      *last = odd[random_below(&random, 15)];
      json_object_set_new(json, "f", json_string(text));
      bool zero_rest =
          size % 3 == 1 ? strchr("AQgw", *last) != NULL : strchr("AEIMQUYcgkosw048", *last) != NULL;
      assert_int_equal(ee_json_read(&type, json, &arena, &again, NULL), zero_rest);
    }
    json_decref(json);
  }
  ee_arena_release(&arena);
}

static void tenants_have_their_own_reason(void **state) {
  (void)state;
  struct ee_arena arena;
  struct ee_admission admission;
  struct ee_fault fault = {.detail = ""};
  ee_arena_init(&arena, 65536);
  json_t *json = load("{\"envelope_id\":\"e\",\"event_id\":\"v\"}");
  assert_false(ee_json_read(&ee_admission_type, json, &arena, &admission, &fault));
  assert_int_equal(fault.reason, EE_REASON_tenant_missing);
  json_decref(json);
  ee_arena_release(&arena);
}

static void a_full_arena_is_oversized(void **state) {
  (void)state;
  const char *text = "{" LEAST
                     ",\"parts\":[{\"name\":\"a\"}],\"labels\":{\"k\":\"v\"},"
                     "\"spare\":{\"name\":\"b\"}}";
  struct thing thing;
  struct ee_arena arena;
  struct ee_fault fault;
  bool read = false;
  for (size_t limit = 0; !read; limit += 8) {
    ee_arena_init(&arena, limit);
    read = read_thing(text, &arena, &thing, &fault);
    if (!read) assert_int_equal(fault.reason, EE_REASON_oversized);
    ee_arena_release(&arena);
  }
  bool failed = true;
  for (size_t n = 0; failed; n++) {
    ee_arena_init(&arena, 65536);
    ee_chaos_fail_after(n);
    read = read_thing(text, &arena, &thing, &fault);
    failed = ee_chaos_stop();
    assert_int_equal(read, !failed);
    ee_arena_release(&arena);
  }
}

static void maps_are_bounded(void **state) {
  (void)state;
  struct ee_arena arena;
  struct ee_tick tick;
  struct ee_fault fault;
  ee_arena_init(&arena, 1 << 20);
  json_t *json = json_object();
  json_t *offsets = json_object();
  json_object_set_new(json, "offsets", offsets);
  for (int i = 0; i <= EE_ENTRIES_MAX; i++) {
    char key[16];
    snprintf(key, sizeof key, "k%d", i);
    if (i == EE_ENTRIES_MAX) assert_true(ee_json_read(&ee_tick_type, json, &arena, &tick, &fault));
    json_object_set_new(offsets, key, json_integer(i));
    ee_arena_clear(&arena);
  }
  assert_false(ee_json_read(&ee_tick_type, json, &arena, &tick, &fault));
  assert_int_equal(fault.reason, EE_REASON_oversized);
  json_decref(json);
  ee_arena_release(&arena);
}

// ---- Redaction.

static void redacted_values_are_replaced(void **state) {
  (void)state;
  struct part parts[2];
  struct ee_str_entry labels[3];
  struct thing thing = sample(parts, labels);
  const struct ee_str paths[] = {EE_STR("price"),        EE_STR("main"),       EE_STR("parts.name"),
                                 EE_STR("spare.weight"), EE_STR("labels.a.b"), EE_STR("counts")};
  const struct ee_redaction redaction = {.paths = paths, .count = COUNT_OF(paths)};
  check_text(&thing_type, &thing, &redaction,
             SAMPLE_HEAD
             "\"price\":{\"redacted\":true},\"main\":{\"redacted\":true},"
             "\"spare\":{\"name\":\"q\",\"weight\":{\"redacted\":true}},"
             "\"parts\":[{\"name\":{\"redacted\":true},\"weight\":1},"
             "{\"name\":{\"redacted\":true},\"weight\":2}],"
             "\"labels\":{\"a\":\"3\",\"a.b\":{\"redacted\":true},\"z\":\"1\"},"
             "\"counts\":{\"redacted\":true}}");
  thing.spare = NULL;
  const struct ee_str every[] = {EE_STR("spare"), EE_STR("labels.*"), EE_STR("parts"),
                                 EE_STR("counts.*")};
  const struct ee_redaction stars = {.paths = every, .count = COUNT_OF(every)};
  check_text(&thing_type, &thing, &stars,
             SAMPLE_HEAD
             "\"price\":\"-9223372036854775807000\",\"main\":{\"name\":\"m\",\"weight\":5},"
             "\"parts\":{\"redacted\":true},\"labels\":{\"a\":{\"redacted\":true},"
             "\"a.b\":{\"redacted\":true},\"z\":{\"redacted\":true}},\"counts\":{}}");
}

static void a_path_names_no_more_than_it_says(void **state) {
  (void)state;
  struct part parts[2];
  struct ee_str_entry labels[3];
  struct thing thing = sample(parts, labels);
  const struct ee_str paths[] = {EE_STR("pric"),           EE_STR("price."),   EE_STR("price.x"),
                                 EE_STR("main.nam"),       EE_STR("name"),     EE_STR(""),
                                 EE_STR("labels.b"),       EE_STR("*"),        EE_STR("main.*"),
                                 EE_STR("labels."),        EE_STR("labels-z"), EE_STR("PRICE"),
                                 {.data = NULL, .size = 0}};
  const struct ee_redaction redaction = {.paths = paths, .count = COUNT_OF(paths)};
  json_t *plain = printed(&thing_type, &thing, NULL);
  json_t *redacted = printed(&thing_type, &thing, &redaction);
  assert_true(json_equal(plain, redacted));
  json_decref(plain);
  json_decref(redacted);
}

// Puts the mark of redaction where the path says, independently of the writer.
static void redact_json(json_t *json, const char *path) {
  char name[64];
  if (json_is_array(json)) {
    for (size_t i = 0; i < json_array_size(json); i++) {
      redact_json(json_array_get(json, i), path);
    }
    return;
  }
  size_t size = strcspn(path, ".");
  snprintf(name, sizeof name, "%.*s", (int)size, path);
  json_t *member = json_object_get(json, name);
  if (member == NULL) return;
  if (path[size] == '\0') {
    json_object_set_new(json, name, json_pack("{s:b}", "redacted", 1));
  } else {
    redact_json(member, path + size + 1);
  }
}

// Of random admissions: everything but what is named is as before, and of what is named
// no byte is left (each text is made to be found again).
static void nothing_of_what_is_redacted_gets_out(void **state) {
  (void)state;
  static const char *const names[] = {
      "caller.requester_urn", "caller",      "caller.authority_refs.reference",
      "execution.target",     "scope",       "scope.session",
      "governance",           "extensions",  "requested.placement",
      "occurred_at",          "sensitivity", "caller.on_behalf_of"};
  struct ee_arena arena;
  ee_arena_init(&arena, (size_t)4 << 20);
  struct random random = {.state = 12};
  for (int round = 0; round < 600; round++) {
    struct ee_admission admission;
    struct ee_str paths[3];
    random_record(&random, &ee_admission_type, &arena, &admission);
    admission.encoded.data = NULL;
    admission.caller.requester_urn = EE_STR("SECRET-1");
    if (admission.scope != NULL) admission.scope->session = EE_STR("SECRET-2");
    json_t *expected = printed(&ee_admission_type, &admission, NULL);
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
      paths[i] = ee_str(names[random_below(&random, COUNT_OF(names))]);
      assert_true(ee_redaction_path_valid(&ee_admission_type, paths[i]));
    }
    // The outer ones last, as they take the inner ones with them.
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
      redact_json(expected, paths[i].data);
    }
    const struct ee_redaction redaction = {.paths = paths, .count = COUNT_OF(paths)};
    json_t *redacted = printed(&ee_admission_type, &admission, &redaction);
    assert_true(json_equal(redacted, expected));
    char *text = json_dumps(redacted, 0);
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
      if (strcmp(paths[i].data, "caller.requester_urn") == 0) assert_null(strstr(text, "SECRET-1"));
      if (strcmp(paths[i].data, "scope.session") == 0) assert_null(strstr(text, "SECRET-2"));
    }
    free(text);
    json_decref(redacted);
    json_decref(expected);
    ee_arena_clear(&arena);
  }
  ee_arena_release(&arena);
}

static void paths_are_valid_or_not(void **state) {
  (void)state;
  static const char *const valid[] = {"tenant",
                                      "caller",
                                      "caller.requester_urn",
                                      "caller.authority_refs",
                                      "caller.authority_refs.digest",
                                      "extensions",
                                      "extensions.*",
                                      "extensions.com.example/x",
                                      "governance.hints.reviewer",
                                      "requested.amounts.a.b.c"};
  static const char *const invalid[] = {"",
                                        ".",
                                        "tenan",
                                        "tenant.x",
                                        "tenant.",
                                        ".tenant",
                                        "caller.",
                                        "caller.x",
                                        "caller..x",
                                        "extensions.",
                                        "caller.on_behalf_of.0",
                                        "caller.authority_refs.x",
                                        "*",
                                        "caller.*"};
  for (size_t i = 0; i < COUNT_OF(valid); i++) {
    if (!ee_redaction_path_valid(&ee_admission_type, ee_str(valid[i]))) fail_msg("%s", valid[i]);
  }
  for (size_t i = 0; i < COUNT_OF(invalid); i++) {
    if (ee_redaction_path_valid(&ee_admission_type, ee_str(invalid[i]))) fail_msg("%s", invalid[i]);
  }
  assert_false(ee_redaction_path_valid(&ee_admission_type, (struct ee_str){.data = NULL}));
}

// ---- JSON Schema.

static void collect_refs(const json_t *json, const json_t *defs) {
  const char *ref = json_string_value(json_object_get(json, "$ref"));
  if (ref != NULL) {
    assert_int_equal(strncmp(ref, "#/$defs/", 8), 0);
    if (json_object_get(defs, ref + 8) == NULL) fail_msg("%s is not there", ref);
  }
  json_t *members = (json_t *)(uintptr_t)json;
  for (void *i = json_object_iter(members); i != NULL; i = json_object_iter_next(members, i)) {
    collect_refs(json_object_iter_value(i), defs);
  }
  for (size_t i = 0; i < json_array_size(json); i++) {
    collect_refs(json_array_get(json, i), defs);
  }
}

static void the_json_schema_is_whole(void **state) {
  (void)state;
  struct ee_buf out;
  ee_buf_init(&out, OUT_MAX);
  ee_json_schema(ee_record_types, ee_record_type_count, "urn:x", "T \"q\"", &out);
  assert_false(out.failed);
  ee_buf_byte(&out, '\0');
  json_t *json = load((const char *)out.data);
  json_t *defs = json_object_get(json, "$defs");
  collect_refs(json, defs);
  for (size_t i = 0; i < ee_record_type_count; i++) {
    json_t *def = json_object_get(defs, ee_record_types[i]->name);
    assert_non_null(def);
    assert_int_equal(json_object_size(json_object_get(def, "properties")),
                     ee_record_types[i]->count);
    assert_true(json_is_false(json_object_get(def, "additionalProperties")));
  }
  json_t *admission = json_object_get(defs, "Admission");
  json_t *required = json_object_get(admission, "required");
  assert_int_equal(json_array_size(required), 8);
  assert_string_equal(json_string_value(json_array_get(required, 2)), "tenant");
  assert_string_equal(json_string_value(json_object_get(json, "title")), "T \"q\"");
  json_decref(json);
  size_t size = out.size - 1;
  ee_buf_release(&out);
  ee_buf_init(&out, size - 1);
  ee_json_schema(ee_record_types, ee_record_type_count, "urn:x", "T \"q\"", &out);
  assert_true(out.failed);
  ee_buf_release(&out);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(records_are_printed_plainly),
      cmocka_unit_test(times_are_rfc_3339_while_they_can_be),
      cmocka_unit_test(what_cannot_be_printed_fails),
      cmocka_unit_test(random_records_come_back),
      cmocka_unit_test(jansson_sees_what_is_in_the_record),
      cmocka_unit_test(absent_members_take_their_defaults),
      cmocka_unit_test(values_may_be_written_in_either_form),
      cmocka_unit_test(wrong_members_are_refused_with_their_path),
      cmocka_unit_test(marks_and_prices_are_strict),
      cmocka_unit_test(base64_of_each_length_comes_back),
      cmocka_unit_test(tenants_have_their_own_reason),
      cmocka_unit_test(a_full_arena_is_oversized),
      cmocka_unit_test(maps_are_bounded),
      cmocka_unit_test(redacted_values_are_replaced),
      cmocka_unit_test(a_path_names_no_more_than_it_says),
      cmocka_unit_test(nothing_of_what_is_redacted_gets_out),
      cmocka_unit_test(paths_are_valid_or_not),
      cmocka_unit_test(the_json_schema_is_whole),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
