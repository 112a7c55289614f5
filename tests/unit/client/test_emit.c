// SPDX-License-Identifier: Apache-2.0
// Emitting: what is accepted lies in the spool as it was encoded, and what is not leaves nothing
// there.
#include <string.h>

#include "contract/event_line.h"
#include "tests/unit/client/producer_support.h"

#define PARENT "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
#define OTHER_PARENT "00-4bf92f3577b34da6a3ce929d0e0e4737-00f067aa0ba902b7-01"
#define RECORDS_MAX 64

// What a spool should hold.
struct expected {
  enum ee_topic topic;
  size_t size;
  uint8_t *payload;  // owned
  char attributes[EE_TRACEPARENT_SIZE + EE_TRACESTATE_MAX + 1];
};

struct world {
  struct place place;
  envelope_producer *producer;
  envelope_event *event;
  struct expected records[RECORDS_MAX];
  size_t count;
};

static struct world world;

static void open_producer(const char *source) {
  envelope_settings *settings = settings_at(&world.place);
  if (source != NULL) set_setting(settings, "source", source);
  world.producer = producer_with(settings);
}

static int setup(void **state) {
  (void)state;
  memset(&world, 0, sizeof world);
  world.place = place_new();
  world.event = envelope_event_new(ENVELOPE_ADMISSION);
  assert_non_null(world.event);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  for (size_t i = 0; i < world.count; i++)
    free(world.records[i].payload);
  envelope_event_free(world.event);
  place_free(&world.place);
  return 0;
}

static void expect(enum ee_topic topic, const void *record, const char *attributes) {
  struct expected *expected = &world.records[world.count++];
  struct ee_buf avro;
  assert_true(world.count <= RECORDS_MAX);
  ee_buf_init(&avro, 1 << 20);
  ee_encode(ee_topics[topic].value, record, &avro);
  assert_false(avro.failed);
  *expected = (struct expected){.topic = topic, .size = avro.size, .payload = avro.data};
  snprintf(expected->attributes, sizeof expected->attributes, "%s", attributes);
}

static void emit_expected(const char *attributes) {
  emit(world.producer, world.event);
  expect((enum ee_topic)world.event->phase, &world.event->record, attributes);
}

// Closes the producer; the spool holds that and nothing else.
static void assert_spool(void) {
  struct ee_spool_entry entry;
  assert_int_equal(counts_of(world.producer).accepted, world.count);
  producer_end(world.producer);
  struct ee_spool *spool = spool_at(world.place.directory);
  for (size_t i = 0; i < world.count; i++) {
    const struct expected *expected = &world.records[i];
    assert_int_equal(ee_spool_read(spool, &entry, NULL), EE_SPOOL_READ_RECORD);
    assert_int_equal(entry.item.topic, expected->topic);
    assert_true(entry.item.schema == ee_topics[expected->topic].value->fingerprint);
    assert_int_equal(entry.item.payload.size, expected->size);
    assert_memory_equal(entry.item.payload.data, expected->payload, expected->size);
    assert_true(ee_bytes_equal(entry.item.attributes,
                               ee_bytes(expected->attributes, strlen(expected->attributes))));
  }
  assert_int_equal(ee_spool_read(spool, &entry, NULL), EE_SPOOL_READ_NOTHING);
  ee_spool_close(spool);
}

// ---- Events.

static void each_phase_is_accepted(void **state) {
  (void)state;
  open_producer(NULL);
  for (int phase = 0; phase < EE_PHASE_TOPICS; phase++) {
    complete(world.event, (envelope_phase)phase);
    emit_expected("");
    envelope_event_set_trace(world.event, PARENT, NULL);
    emit_expected(PARENT);
    envelope_event_set_trace(world.event, PARENT, "a=1,b=2");
    emit_expected(PARENT "a=1,b=2");
  }
  assert_spool();
}

static void what_is_left_out_is_filled_in(void **state) {
  (void)state;
  struct ee_event_head *head = &world.event->record.head;
  open_producer("urn:setting");
  complete_but(world.event, ENVELOPE_FAILED, ENVELOPE_FIELD_SOURCE);
  head->occurred_at = INT64_MIN;  // as if it had not been set
  head->event_id = (struct ee_str){.data = NULL};
  emit_expected("");
  char *id = strdup(envelope_event_event_id(world.event));
  int64_t at = head->occurred_at;
  assert_int_equal(strlen(id), 36);
  assert_true(ee_str_equal(head->source, EE_STR("urn:setting")));
  assert_in_range(at, 1700000000000000, 9000000000000000);
  emit_expected("");  // the same event once more
  assert_string_equal(envelope_event_event_id(world.event), id);
  assert_int_equal(head->occurred_at, at);
  free(id);
  // What is given stands.
  complete(world.event, ENVELOPE_FAILED);
  emit_expected("");
  assert_string_equal(envelope_event_event_id(world.event), "t");
  assert_true(ee_str_equal(head->source, EE_STR("t")));
  assert_int_equal(head->occurred_at, 1780000000000000);
  assert_spool();
}

static bool is_filled_in(envelope_phase phase, int field) {
  return field == ENVELOPE_FIELD_EVENT_ID || field == ENVELOPE_FIELD_OCCURRED_AT ||
         (phase == ENVELOPE_ADMISSION && field == ENVELOPE_FIELD_ENVELOPE_ID);
}

static void what_is_required_is_missed(void **state) {
  (void)state;
  open_producer(NULL);
  int missed = 0;
  for (int i = 0; i < EE_PHASE_TOPICS; i++) {
    envelope_phase phase = (envelope_phase)i;
    for (int field = 0; field < EE_FIELDS_END; field++) {
      struct envelope_error error = {.column = 0};
      if (!is_required((enum ee_phase)i, field)) continue;
      complete_but(world.event, phase, field);
      int result = envelope_emit(world.producer, world.event, &error);
      if (is_filled_in(phase, field)) {
        assert_int_equal(result, ENVELOPE_OK);
        expect((enum ee_topic)phase, &world.event->record, "");
        continue;
      }
      assert_int_equal(result, field == ENVELOPE_FIELD_TENANT ? ENVELOPE_TENANT_MISSING
                                                              : ENVELOPE_MISSING_FIELD);
      assert_int_equal(error.result, result);
      assert_string_equal(error.field, ee_field_path(field));
      assert_int_equal(envelope_emit(world.producer, world.event, NULL), result);
      missed++;
    }
  }
  assert_true(missed > 6 * 3);
  assert_spool();
}

// Set to text of that size; key NULL: a text, "": an item, else an entry.
static const struct bad {
  envelope_field field;
  const char *key, *text;
  size_t size;
  int result;
  const char *path;
} bad[] = {
    {ENVELOPE_FIELD_TENANT, NULL, "", 0, ENVELOPE_TENANT_MISSING, "tenant"},
    {ENVELOPE_FIELD_TENANT, NULL, "a\0b", 3, ENVELOPE_INVALID_UTF8, "tenant"},
    {ENVELOPE_FIELD_TENANT, NULL, NULL, 129, ENVELOPE_OVERSIZED, "tenant"},
    {ENVELOPE_FIELD_ENVELOPE_ID, NULL, "", 0, ENVELOPE_MISSING_FIELD, "envelope_id"},
    {ENVELOPE_FIELD_EVENT_ID, NULL, NULL, 129, ENVELOPE_OVERSIZED, "event_id"},
    {ENVELOPE_FIELD_SOURCE, NULL, "\xff", 1, ENVELOPE_INVALID_UTF8, "source"},
    {ENVELOPE_FIELD_SCOPE_APP, NULL, "a\xc0\x80", 3, ENVELOPE_INVALID_UTF8, "scope.app"},
    {ENVELOPE_FIELD_SCOPE_APP, NULL, NULL, 262144, ENVELOPE_OVERSIZED, ""},
    {ENVELOPE_FIELD_CALLER_ON_BEHALF_OF, "", "\xff", 1, ENVELOPE_INVALID_UTF8,
     "caller.on_behalf_of[0]"},
    {ENVELOPE_FIELD_REQUESTED_PLACEMENT, "zone", "\xff", 1, ENVELOPE_INVALID_UTF8,
     "requested.placement[zone]"},
    {ENVELOPE_FIELD_REQUESTED_PLACEMENT, "\xff", "v", 1, ENVELOPE_INVALID_UTF8,
     "requested.placement[?]"},
    {ENVELOPE_FIELD_EXTENSIONS, "plain", "1", 1, ENVELOPE_EXTENSION_NOT_NAMESPACED,
     "extensions[plain]"},
    {ENVELOPE_FIELD_EXTENSIONS, "a: b", "1", 1, ENVELOPE_EXTENSION_NOT_NAMESPACED,
     "extensions[a: b]"},
    {ENVELOPE_FIELD_EXTENSIONS, "a.b/c", "{", 1, ENVELOPE_EXTENSION_NOT_NAMESPACED,
     "extensions[a.b/c]"},
};

static void assert_refused(int result, const char *path) {
  struct envelope_error error = {.column = 9};
  assert_int_equal(envelope_emit(world.producer, world.event, &error), result);
  assert_int_equal(error.result, result);
  assert_int_equal(error.column, 0);
  assert_string_equal(error.field, path);
  assert_true(error.text[0] != '\0');
}

static void bad_content_is_refused(void **state) {
  (void)state;
  static char long_text[262144];
  memset(long_text, 'x', sizeof long_text);
  open_producer(NULL);
  for (size_t i = 0; i < COUNT_OF(bad); i++) {
    const struct bad *b = &bad[i];
    const char *text = b->text == NULL ? long_text : b->text;
    int result;
    complete(world.event, ENVELOPE_ADMISSION);
    if (b->key == NULL)
      result = envelope_event_set_text(world.event, b->field, text, b->size, NULL);
    else if (b->key[0] == '\0')
      result = envelope_event_add_text(world.event, b->field, text, b->size, NULL);
    else
      result = envelope_event_put_text(world.event, b->field, b->key, ENVELOPE_TEXT, text, b->size,
                                       NULL);
    assert_int_equal(result, ENVELOPE_OK);
    assert_refused(b->result, b->path);
  }
  complete(world.event, ENVELOPE_ADMISSION);
  emit_expected("");
  assert_spool();
}

static void much_content_is_refused(void **state) {
  (void)state;
  char key[129];
  open_producer("urn:s");
  complete(world.event, ENVELOPE_ADMISSION);
  for (int i = 0; i <= EE_ENTRIES_MAX; i++) {
    snprintf(key, sizeof key, "k%d", i);
    envelope_event_put_long(world.event, ENVELOPE_FIELD_REQUESTED_AMOUNTS, key, ENVELOPE_TEXT, i,
                            NULL);
  }
  assert_refused(ENVELOPE_OVERSIZED, "requested.amounts");
  memset(key, 1, sizeof key);  // takes six bytes each as JSON
  complete(world.event, ENVELOPE_ADMISSION);
  envelope_event_set_text(world.event, ENVELOPE_FIELD_ENVELOPE_ID, key, 128, NULL);
  assert_refused(ENVELOPE_OVERSIZED, "envelope_id");
  // So full that what is left out finds no room.
  complete_but(world.event, ENVELOPE_ADMISSION, ENVELOPE_FIELD_EVENT_ID);
  for (size_t size = 4096; size > 0; size /= 2) {
    static const char text[4096];
    while (envelope_event_set_text(world.event, ENVELOPE_FIELD_SCOPE_APP, text, size - 1, NULL) ==
           ENVELOPE_OK) {
    }
  }
  assert_refused(ENVELOPE_OVERSIZED, "");
  complete(world.event, ENVELOPE_ADMISSION);
  emit_expected("");
  assert_spool();
}

// ---- JSON.

#define LINE "\"phase\":\"failed\",\"envelope_id\":\"e\",\"tenant\":\"t\",\"stage\":\"s\""
#define WHOLE LINE ",\"reason\":\"r\",\"event_id\":\"i\",\"occurred_at\":1780000000000000"

static int emit_json(const char *line, struct envelope_error *error) {
  return envelope_emit_json(world.producer, line, ENVELOPE_TEXT, NULL, NULL, error);
}

static void lines_that_are_no_events_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *line;
    int result;
    const char *field;
    int column;
  } lines[] = {
      {NULL, ENVELOPE_WRONG_SCHEMA, "", 0},
      {"", ENVELOPE_WRONG_SCHEMA, "", 0},
      {"nope", ENVELOPE_WRONG_SCHEMA, "", 4},
      {"[]", ENVELOPE_WRONG_SCHEMA, "", 0},
      {"{" WHOLE ",\"reason\":\"again\"}", ENVELOPE_WRONG_SCHEMA, "", 128},
      {"{}", ENVELOPE_MISSING_FIELD, "phase", 0},
      {"{\"phase\":\"other\"}", ENVELOPE_BAD_ENUM, "phase", 0},
      {"{" LINE "}", ENVELOPE_MISSING_FIELD, "reason", 0},
      {"{\"phase\":\"failed\",\"stage\":\"s\"}", ENVELOPE_MISSING_FIELD, "envelope_id", 0},
      {"{" WHOLE ",\"granted\":{}}", ENVELOPE_WRONG_SCHEMA, "granted", 0},
      {"{" WHOLE ",\"code\":5}", ENVELOPE_WRONG_SCHEMA, "code", 0},
      {"{" WHOLE ",\"sensitivity\":\"x\"}", ENVELOPE_BAD_ENUM, "sensitivity", 0},
      {"{" WHOLE ",\"extensions\":{\"k\":\"1\"}}", ENVELOPE_EXTENSION_NOT_NAMESPACED,
       "extensions[k]", 0},
      {"{" WHOLE ",\"traceparent\":\"00-x\"}", ENVELOPE_WRONG_SCHEMA, "traceparent", 0},
      {"{" WHOLE ",\"traceparent\":\"" PARENT "\",\"tracestate\":\"\\n\"}", ENVELOPE_WRONG_SCHEMA,
       "tracestate", 0},
  };
  open_producer("urn:s");
  for (size_t i = 0; i < COUNT_OF(lines); i++) {
    struct envelope_error error = {.column = 9};
    int result = emit_json(lines[i].line, &error);
    if (result != lines[i].result || error.result != result || error.column != lines[i].column ||
        strcmp(error.field, lines[i].field) != 0) {
      fail_msg("%s: %s, column %d [%s] %s", lines[i].line, envelope_result_name(result),
               error.column, error.field, error.text);
    }
    assert_int_equal(emit_json(lines[i].line, NULL), result);
  }
  assert_spool();
}

static void a_line_has_a_most(void **state) {
  (void)state;
  struct envelope_error error;
  char *line = calloc(1, EE_LINE_MAX + 2);
  assert_non_null(line);
  open_producer("urn:s");
  snprintf(line, 200, "{" WHOLE "}");
  memset(line + strlen(line), ' ', EE_LINE_MAX - strlen(line));
  assert_int_equal(emit_json(line, &error), ENVELOPE_OK);
  line[EE_LINE_MAX] = ' ';
  assert_int_equal(emit_json(line, &error), ENVELOPE_OVERSIZED);
  assert_string_equal(error.field, "");
  assert_int_equal(counts_of(world.producer).accepted, 1);
  memset(line, 0, EE_LINE_MAX + 1);
  snprintf(line, 200, "{" WHOLE ",\"a\":");
  memset(line + strlen(line), '[', 100);
  assert_int_equal(emit_json(line, &error), ENVELOPE_TOO_DEEP);
  free(line);
  producer_end(world.producer);
}

// What the reader of lines makes of it, with the defaults that a producer gives.
static void expect_line(const char *line, const char *attributes) {
  struct ee_line_defaults defaults = {.source = EE_STR("urn:s")};
  struct ee_event_line read;
  struct ee_line_fault fault = {.column = 0};
  struct ee_arena arena;
  ee_arena_init(&arena, 1 << 20);
  if (!ee_event_line_read(ee_str(line), &defaults, &arena, &read, &fault)) {
    fail_msg("%s: %s", line, fault.fault.detail);
  }
  expect(read.topic, read.record, attributes);
  ee_arena_release(&arena);
}

static void emit_line(const char *line, const char *parent, const char *tracestate,
                      const char *attributes) {
  struct envelope_error error;
  int result = envelope_emit_json(world.producer, line, strlen(line), parent, tracestate, &error);
  if (result != ENVELOPE_OK) fail_msg("%s: %s", line, error.text);
  expect_line(line, attributes);
}

#define RECEIPT                                                                            \
  "{\"phase\":\"receipt\",\"obligation_id\":\"o\",\"envelope_id\":\"e\",\"tenant\":\"t\"," \
  "\"state\":\"applied\",\"actor\":\"urn:a\",\"occurred_at\":1780000000000000}"

static void lines_are_accepted(void **state) {
  (void)state;
  open_producer("urn:s");
  emit_line("{" WHOLE "}", NULL, NULL, "");
  emit_line(RECEIPT, NULL, NULL, "");
  // A line's own trace context, else the request's; a request's that is not valid is not passed on.
  emit_line("{" WHOLE "}", PARENT, "a=1", PARENT "a=1");
  emit_line("{" WHOLE "}", PARENT, NULL, PARENT);
  emit_line("{" WHOLE "}", "00-x", "a=1", "");
  emit_line("{" WHOLE "}", NULL, "a=1", "");
  emit_line("{" WHOLE ",\"traceparent\":\"" OTHER_PARENT "\"}", PARENT, "a=1", OTHER_PARENT);
  emit_line("{" WHOLE ",\"traceparent\":\"" OTHER_PARENT "\",\"tracestate\":\"b=2\"}", NULL, NULL,
            OTHER_PARENT "b=2");
  emit_line(RECEIPT, PARENT, NULL, PARENT);
  assert_spool();
}

static void a_line_that_leaves_out_is_filled_in(void **state) {
  (void)state;
  struct envelope_error error;
  struct ee_spool_entry entry;
  struct ee_event_head head;
  open_producer("urn:s");
  assert_int_equal(emit_json("{" LINE ",\"reason\":\"r\"}", &error), ENVELOPE_OK);
  producer_end(world.producer);
  struct ee_spool *spool = spool_at(world.place.directory);
  assert_int_equal(ee_spool_read(spool, &entry, NULL), EE_SPOOL_READ_RECORD);
  assert_true(ee_event_head_read(entry.item.payload, &head));
  assert_true(ee_str_equal(head.source, EE_STR("urn:s")));
  assert_true(ee_str_equal(head.envelope_id, EE_STR("e")));
  assert_int_equal(head.event_id.size, 36);
  assert_in_range(head.occurred_at, 1700000000000000, 9000000000000000);
  ee_spool_close(spool);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(each_phase_is_accepted),
      TEST(what_is_left_out_is_filled_in),
      TEST(what_is_required_is_missed),
      TEST(bad_content_is_refused),
      TEST(much_content_is_refused),
      TEST(lines_that_are_no_events_are_refused),
      TEST(a_line_has_a_most),
      TEST(lines_are_accepted),
      TEST(a_line_that_leaves_out_is_filled_in),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
