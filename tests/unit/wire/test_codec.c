// SPDX-License-Identifier: Apache-2.0
// From framed bytes to plans and from topics to prefixes, with and without a registry.
#include "wire/codec.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/time.h"
#include "records.h"
#include "tests/support/chaos.h"
#include "tests/support/test.h"
#include "tests/unit/wire/fake_registry.h"

#define PATIENCE_MS 20000

struct fixture {
  struct fake_registry fake;
  struct ee_known *known;
  struct ee_registry *registry;
  struct ee_codec *codec;  // with the registry, topic prefix "t."
  struct ee_codec *alone;  // without
  int64_t now_ms;
};

static struct ee_codec *codec_new(struct fixture *f, struct ee_registry *registry,
                                  const char *prefix) {
  struct ee_codec *codec = NULL;
  struct ee_err err = {.text = ""};
  if (!ee_codec_new(f->known, registry, prefix, &codec, &err)) fail_msg("%s", err.text);
  return codec;
}

static int set_up(void **state) {
  struct fixture *f = calloc(1, sizeof *f);
  struct ee_err err;
  if (f == NULL || !ee_known_new(NULL, &f->known, &err)) return 1;
  fake_registry_start(&f->fake, 0);
  struct ee_registry_settings settings = {.url = f->fake.url, .timeout_ms = PATIENCE_MS};
  if (!ee_registry_new(&settings, &f->registry, &err)) return 1;
  f->now_ms = 1000;
  f->codec = codec_new(f, f->registry, "t.");
  f->alone = codec_new(f, NULL, NULL);
  *state = f;
  return 0;
}

static int tear_down(void **state) {
  struct fixture *f = *state;
  ee_codec_free(f->codec);
  ee_codec_free(f->alone);
  ee_registry_free(f->registry);
  ee_known_free(f->known);
  fake_registry_stop(&f->fake);
  free(f);
  return 0;
}

// {"schema":"...","id":...}, in a buffer of the test's.
static const char *schema_answer(const char *schema) {
  static char text[100000];
  struct ee_buf out;
  ee_buf_init(&out, sizeof text - 1);
  ee_buf_text(&out, "{\"id\":77,\"schema\":");
  ee_buf_json_string(&out, ee_str(schema));
  ee_buf_byte(&out, '}');
  ee_buf_byte(&out, 0);
  assert_false(out.failed);
  memcpy(text, out.data, out.size);
  ee_buf_release(&out);
  return text;
}

struct opened {
  const struct ee_plan *plan;
  struct ee_bytes avro;
  struct ee_fault fault;
};

static enum ee_codec_state open_once(struct fixture *f, struct ee_codec *codec,
                                     const struct ee_record_type *reader, struct ee_bytes framed,
                                     struct opened *ret) {
  *ret = (struct opened){.plan = NULL};
  return ee_codec_open(codec, reader, framed, f->now_ms, &ret->plan, &ret->avro, &ret->fault);
}

// Opens, waiting for the registry as long as it is not in trouble.
static enum ee_codec_state open_framed(struct fixture *f, const struct ee_record_type *reader,
                                       struct ee_bytes framed, struct opened *ret) {
  int64_t deadline_ms = ee_clock_monotonic_ms() + PATIENCE_MS, since_ms;
  for (;;) {
    ee_registry_turn(f->registry, f->now_ms);
    enum ee_codec_state state = open_once(f, f->codec, reader, framed, ret);
    if (state != EE_CODEC_WAIT) return state;
    if (ee_registry_trouble(f->registry, &since_ms) != NULL) return state;
    ee_registry_wait(f->registry, 1000);
    assert_true(ee_clock_monotonic_ms() < deadline_ms);
  }
}

static enum ee_codec_state prefix_of(struct fixture *f, enum ee_topic topic, struct ee_bytes *ret,
                                     struct ee_err *err) {
  int64_t deadline_ms = ee_clock_monotonic_ms() + PATIENCE_MS, since_ms;
  for (;;) {
    ee_registry_turn(f->registry, f->now_ms);
    enum ee_codec_state state = ee_codec_prefix(f->codec, topic, f->now_ms, ret, err);
    if (state != EE_CODEC_WAIT) return state;
    if (ee_registry_trouble(f->registry, &since_ms) != NULL) return state;
    ee_registry_wait(f->registry, 1000);
    assert_true(ee_clock_monotonic_ms() < deadline_ms);
  }
}

static void assert_refused(struct fixture *f, struct ee_codec *codec, const char *bytes,
                           size_t size, enum ee_reason reason, const char *words) {
  struct opened opened;
  struct ee_bytes framed = ee_bytes(bytes, size);
  assert_int_equal(open_once(f, codec, &ee_failed_type, framed, &opened), EE_CODEC_REFUSED);
  assert_string_equal(ee_reason_name(opened.fault.reason), ee_reason_name(reason));
  if (strstr(opened.fault.detail, words) == NULL) fail_msg("%s", opened.fault.detail);
  assert_null(opened.plan);
}

static void our_own_records_are_read_without_a_registry(void **state) {
  struct fixture *f = *state;
  for (int topic = 0; topic < EE_TOPIC_COUNT; topic++) {
    const struct ee_record_type *type = ee_topics[topic].value;
    struct ee_bytes prefix;
    struct ee_err err = {.text = ""};
    enum ee_codec_state codec_state =
        ee_codec_prefix(f->alone, (enum ee_topic)topic, f->now_ms, &prefix, &err);
    if (type == NULL) {
      assert_int_equal(codec_state, EE_CODEC_REFUSED);
      assert_non_null(strstr(err.text, "envelope.deadletter.v1"));
      continue;
    }
    assert_int_equal(codec_state, EE_CODEC_READY);
    struct ee_frame frame;
    assert_true(ee_frame_parse(prefix, &frame, NULL));
    assert_true(frame.fingerprint == type->fingerprint);
    struct opened opened;
    assert_int_equal(open_once(f, f->alone, type, prefix, &opened), EE_CODEC_READY);
    assert_ptr_equal(ee_plan_reader(opened.plan), type);
    assert_true(ee_plan_same(opened.plan));
    assert_int_equal(opened.avro.size, 0);
  }
}

// Every schema for every reader, and again from what is kept.
static void each_reader_has_its_own_plan(void **state) {
  struct fixture *f = *state;
  for (size_t round = 0; round < 2; round++) {
    for (size_t i = 0; i < ee_record_type_count; i++) {
      for (size_t j = 0; j < ee_record_type_count; j++) {
        uint8_t prefix[EE_FRAME_MAX];
        struct opened opened;
        struct ee_bytes framed =
            ee_bytes(prefix, ee_frame_single_object(ee_record_types[i]->fingerprint, prefix));
        assert_int_equal(open_once(f, f->alone, ee_record_types[j], framed, &opened),
                         i == j ? EE_CODEC_READY : EE_CODEC_REFUSED);
      }
    }
  }
}

static void a_record_comes_through(void **state) {
  struct fixture *f = *state;
  struct ee_tick tick, back;
  struct ee_bytes prefix;
  struct ee_err err;
  struct ee_buf framed;
  struct ee_arena arena;
  struct opened opened;
  ee_record_init(&ee_tick_type, &tick);
  ee_buf_init(&framed, 10000);
  ee_arena_init(&arena, 10000);
  assert_int_equal(ee_codec_prefix(f->alone, EE_TOPIC_TICK, 0, &prefix, &err), EE_CODEC_READY);
  ee_buf_append(&framed, prefix.data, prefix.size);
  ee_encode(&ee_tick_type, &tick, &framed);
  assert_int_equal(open_once(f, f->alone, &ee_tick_type, ee_buf_bytes(&framed), &opened),
                   EE_CODEC_READY);
  assert_true(ee_decode(opened.plan, opened.avro, &arena, &back, &opened.fault));
  assert_true(ee_equal(&ee_tick_type, &tick, &back, NULL));
  ee_arena_release(&arena);
  ee_buf_release(&framed);
}

static void what_cannot_be_opened_is_named(void **state) {
  struct fixture *f = *state;
  struct opened opened;
  assert_int_equal(open_once(f, f->codec, &ee_failed_type, ee_bytes(NULL, 0), &opened),
                   EE_CODEC_REFUSED);
  assert_int_equal(opened.fault.reason, EE_REASON_unknown_framing);
  assert_refused(f, f->alone, "", 0, EE_REASON_truncated, "empty");
  assert_refused(f, f->alone, "{}", 2, EE_REASON_unknown_framing, "7B");
  assert_refused(f, f->alone, "\xC3\x01\x01\x02\x03\x04\x05\x06\x07\x08", 10,
                 EE_REASON_unknown_fingerprint, "0807060504030201");
  assert_refused(f, f->alone, "\x00\x00\x00\x00\x07", 5, EE_REASON_unknown_schema_id,
                 "no schema registry is configured");
  assert_refused(f, f->codec, "\x00\xFF\x00\x00\x07", 5, EE_REASON_unknown_schema_id, "negative");
  // Another record's schema does not become this one's.
  uint8_t prefix[EE_FRAME_MAX];
  size_t size = ee_frame_single_object(ee_tick_type.fingerprint, prefix);
  assert_refused(f, f->alone, (const char *)prefix, size, EE_REASON_wrong_schema, "");
  assert_refused(f, f->alone, (const char *)prefix, size, EE_REASON_wrong_schema, "");
}

static void registered_schemas_are_waited_for_and_kept(void **state) {
  struct fixture *f = *state;
  struct opened opened;
  struct ee_bytes framed = ee_bytes("\x00\x00\x00\x00\x07rest", 9);
  fake_registry_answer(&f->fake, 200, schema_answer(ee_failed_type.schema));
  assert_int_equal(open_once(f, f->codec, &ee_failed_type, framed, &opened), EE_CODEC_WAIT);
  assert_int_equal(open_framed(f, &ee_failed_type, framed, &opened), EE_CODEC_READY);
  assert_true(ee_plan_same(opened.plan));
  assert_true(ee_bytes_equal(opened.avro, ee_bytes("rest", 4)));
  const struct ee_plan *plan = opened.plan;
  assert_int_equal(open_once(f, f->codec, &ee_failed_type, framed, &opened), EE_CODEC_READY);
  assert_ptr_equal(opened.plan, plan);
  assert_int_equal(fake_registry_count(&f->fake), 1);
  // The same id for another reader is another plan: here, none.
  assert_int_equal(open_once(f, f->codec, &ee_tick_type, framed, &opened), EE_CODEC_REFUSED);
  assert_int_equal(opened.fault.reason, EE_REASON_wrong_schema);
}

static void the_registrys_refusals_become_reasons(void **state) {
  struct fixture *f = *state;
  struct opened opened;
  static const struct {
    unsigned status;
    const char *body;
    enum ee_reason reason;
    const char *words;
  } samples[] = {
      {404, "{\"error_code\":40403}", EE_REASON_unknown_schema_id, "registry has no schema"},
      {200, "{\"schema\":\"x\",\"schemaType\":\"JSON\"}", EE_REASON_wrong_schema, "JSON"},
      {200, "{\"schema\":\"x\"}", EE_REASON_wrong_schema, ""},
      {200, "{\"schema\":\"\\\"string\\\"\"}", EE_REASON_wrong_schema, ""},
      {200,
       "{\"schema\":\"{\\\"type\\\":\\\"record\\\",\\\"name\\\":\\\"Failed\\\",\\\"fields\\\":[]}"
       "\"}",
       EE_REASON_missing_field, "envelope_id"},
  };
  for (size_t i = 0; i < COUNT_OF(samples); i++) {
    uint8_t prefix[EE_FRAME_MAX];
    struct ee_bytes framed = ee_bytes(prefix, ee_frame_confluent((int32_t)i, prefix));
    fake_registry_answer(&f->fake, samples[i].status, samples[i].body);
    for (int again = 0; again < 2; again++) {
      assert_int_equal(open_framed(f, &ee_failed_type, framed, &opened), EE_CODEC_REFUSED);
      assert_int_equal(opened.fault.reason, samples[i].reason);
      if (strstr(opened.fault.detail, samples[i].words) == NULL)
        fail_msg("%s", opened.fault.detail);
    }
    assert_int_equal(fake_registry_count(&f->fake), i + 1);
  }
  fake_registry_answer(&f->fake, 500, "");
  struct ee_bytes framed = ee_bytes("\x00\x00\x00\x01\x07", 5);
  assert_int_equal(open_framed(f, &ee_failed_type, framed, &opened), EE_CODEC_WAIT);
}

static void prefixes_come_from_the_registry(void **state) {
  struct fixture *f = *state;
  struct ee_bytes prefix;
  struct ee_err err;
  fake_registry_answer(&f->fake, 200, "{\"id\":77}");
  assert_int_equal(prefix_of(f, EE_TOPIC_LIFECYCLE, &prefix, &err), EE_CODEC_READY);
  assert_true(
      fake_registry_asked(&f->fake, "POST", "/subjects/t.envelope.lifecycle.v1-value", NULL));
  assert_true(ee_bytes_equal(prefix, ee_bytes("\x00\x00\x00\x00\x4D", 5)));
  const uint8_t *data = prefix.data;
  assert_int_equal(prefix_of(f, EE_TOPIC_LIFECYCLE, &prefix, &err), EE_CODEC_READY);
  assert_ptr_equal(prefix.data, data);
  assert_int_equal(fake_registry_count(&f->fake), 1);

  fake_registry_answer(&f->fake, 404, "{\"error_code\":40401}");
  assert_int_equal(prefix_of(f, EE_TOPIC_USAGE, &prefix, &err), EE_CODEC_REFUSED);
  assert_non_null(strstr(err.text, "t.envelope.usage.v1-value"));
  assert_non_null(strstr(err.text, "envelopectl schemas register"));
  assert_int_equal(prefix_of(f, EE_TOPIC_DEADLETTER, &prefix, &err), EE_CODEC_REFUSED);
  fake_registry_answer(&f->fake, 500, "");
  assert_int_equal(prefix_of(f, EE_TOPIC_AUDIT, &prefix, &err), EE_CODEC_WAIT);
}

// Beyond the bound the plan made first goes, and never the one just returned.
static void plans_are_bounded(void **state) {
  struct fixture *f = *state;
  fake_registry_answer(&f->fake, 200, schema_answer(ee_tick_type.schema));
  const int32_t count = 3 * EE_CODEC_PLANS_MAX;
  for (int32_t id = 0; id < count; id++, f->now_ms++) {
    uint8_t prefix[EE_FRAME_MAX];
    struct opened opened;
    struct ee_bytes framed = ee_bytes(prefix, ee_frame_confluent(id, prefix));
    assert_int_equal(open_framed(f, &ee_tick_type, framed, &opened), EE_CODEC_READY);
    assert_true(ee_validate(opened.plan, ee_bytes("\x00\x00", 2), &opened.fault));
  }
  struct opened opened;
  assert_int_equal(fake_registry_count(&f->fake), count);
  uint8_t prefix[EE_FRAME_MAX];
  for (int32_t id = count - EE_CODEC_PLANS_MAX; id < count; id++) {
    struct ee_bytes kept = ee_bytes(prefix, ee_frame_confluent(id, prefix));
    assert_int_equal(open_once(f, f->codec, &ee_tick_type, kept, &opened), EE_CODEC_READY);
    // A fingerprint that is the same number is something else.
    struct ee_bytes other = ee_bytes(prefix, ee_frame_single_object((uint64_t)id, prefix));
    assert_int_equal(open_once(f, f->codec, &ee_tick_type, other, &opened), EE_CODEC_REFUSED);
  }
  struct ee_bytes gone =
      ee_bytes(prefix, ee_frame_confluent(count - EE_CODEC_PLANS_MAX - 1, prefix));
  assert_int_equal(open_once(f, f->codec, &ee_tick_type, gone, &opened), EE_CODEC_WAIT);
}

static void topic_prefixes_are_checked(void **state) {
  struct fixture *f = *state;
  char longest[EE_TOPIC_PREFIX_MAX + 2];
  struct ee_codec *codec = NULL;
  struct ee_err err = {.text = ""};
  memset(longest, 'x', sizeof longest - 1);
  longest[sizeof longest - 1] = '\0';
  assert_false(ee_codec_new(f->known, NULL, longest, &codec, &err));
  longest[sizeof longest - 2] = '\0';
  ee_codec_free(codec_new(f, NULL, longest));
  assert_false(ee_codec_new(f->known, NULL, "a/b", &codec, &err));
  assert_non_null(strstr(err.text, "a/b"));
  assert_null(codec);
  ee_codec_free(NULL);
}

// An allocation that fails once makes nobody's record a dead letter.
static void lack_of_memory_refuses_nothing(void **state) {
  struct fixture *f = *state;
  uint8_t prefix[EE_FRAME_MAX];
  size_t size = ee_frame_single_object(ee_failed_type.fingerprint, prefix);
  bool failed = true;
  for (size_t n = 0; failed; n++) {
    struct ee_codec *codec = NULL;
    struct ee_err err;
    struct opened opened;
    ee_chaos_fail_after(n);
    bool made = ee_codec_new(f->known, NULL, NULL, &codec, &err);
    enum ee_codec_state state_seen = EE_CODEC_READY;
    if (made) {
      state_seen = open_once(f, codec, &ee_failed_type, ee_bytes(prefix, size), &opened);
    }
    failed = ee_chaos_stop();
    assert_int_not_equal(state_seen, EE_CODEC_REFUSED);
    if (!failed) assert_int_equal(state_seen, EE_CODEC_READY);
    if (made) {
      state_seen = open_once(f, codec, &ee_failed_type, ee_bytes(prefix, size), &opened);
      assert_int_equal(state_seen, EE_CODEC_READY);
    }
    ee_codec_free(codec);
  }
}

#define WITH_REGISTRY(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
  unsetenv("http_proxy");
  unsetenv("all_proxy");
  unsetenv("ALL_PROXY");
  const struct CMUnitTest tests[] = {
      WITH_REGISTRY(our_own_records_are_read_without_a_registry),
      WITH_REGISTRY(each_reader_has_its_own_plan),
      WITH_REGISTRY(a_record_comes_through),
      WITH_REGISTRY(what_cannot_be_opened_is_named),
      WITH_REGISTRY(registered_schemas_are_waited_for_and_kept),
      WITH_REGISTRY(the_registrys_refusals_become_reasons),
      WITH_REGISTRY(prefixes_come_from_the_registry),
      WITH_REGISTRY(plans_are_bounded),
      WITH_REGISTRY(topic_prefixes_are_checked),
      WITH_REGISTRY(lack_of_memory_refuses_nothing),
  };
  return cmocka_run_group_tests_name("wire/codec", tests, NULL, NULL);
}
