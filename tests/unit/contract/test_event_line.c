// SPDX-License-Identifier: Apache-2.0
// Events from lines of JSON: what is filled in, what is refused, and where.
#include "contract/event_line.h"

#include <stdio.h>
#include <stdlib.h>

#include "contract/record.h"
#include "records.h"
#include "tests/support/chaos.h"
#include "tests/support/test.h"
#include "tests/unit/contract/random_record.h"

#define COMMON "\"tenant\":\"acme\""
#define REST                                                                                \
  ",\"caller\":{\"requester_urn\":\"urn:u\",\"request_id\":\"r\",\"initiator\":\"human\"}," \
  "\"execution\":{\"kind\":\"inference\",\"service\":\"s\",\"operation\":\"o\","            \
  "\"target\":\"t\"},\"requested\":{\"gpu_count\":2}"
#define ADMISSION "{\"phase\":\"admission\"," COMMON REST "}"
#define RECEIPT                                                                  \
  "{\"phase\":\"receipt\",\"obligation_id\":\"o\",\"envelope_id\":\"e\"," COMMON \
  ",\"state\":\"applied\",\"actor\":\"a\"}"
#define FAILED "{\"phase\":\"failed\"," COMMON ",\"stage\":\"x\",\"reason\":\"r\""

static const struct ee_line_defaults defaults = {.envelope_id = EE_STR_INIT("made-envelope"),
                                                 .event_id = EE_STR_INIT("made-event"),
                                                 .source = EE_STR_INIT("urn:made"),
                                                 .occurred_at = 1234567};

static struct ee_arena arena;

static int set_up(void **state) {
  (void)state;
  ee_arena_init(&arena, (size_t)16 << 20);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  ee_arena_release(&arena);
  return 0;
}

static struct ee_event_line read_line(const char *text) {
  struct ee_event_line line;
  struct ee_line_fault fault;
  if (!ee_event_line_read(ee_str(text), &defaults, &arena, &line, &fault)) {
    fail_msg("%s: %s", text, fault.fault.detail);
  }
  return line;
}

static struct ee_line_fault refuse(struct ee_str text) {
  struct ee_event_line line;
  struct ee_line_fault fault;
  assert_false(ee_event_line_read(text, &defaults, &arena, &line, &fault));
  return fault;
}

static void assert_refused(const char *text, enum ee_reason reason, const char *word) {
  struct ee_line_fault fault = refuse(ee_str(text));
  if (fault.fault.reason != reason || strstr(fault.fault.detail, word) == NULL) {
    fail_msg("%s: %s: %s", text, ee_reason_name(fault.fault.reason), fault.fault.detail);
  }
}

static void assert_text(struct ee_str found, const char *wanted) {
  assert_true(ee_str_equal(found, ee_str(wanted)));
}

static void an_admission_gets_what_it_leaves_out(void **state) {
  (void)state;
  struct ee_event_line line = read_line(ADMISSION);
  const struct ee_admission *admission = line.record;
  assert_int_equal(line.topic, EE_TOPIC_ADMISSION);
  assert_ptr_equal(line.type, &ee_admission_type);
  assert_text(line.envelope_id, "made-envelope");
  assert_text(line.event_id, "made-event");
  assert_text(admission->envelope_id, "made-envelope");
  assert_text(admission->source, "urn:made");
  assert_int_equal(admission->occurred_at, 1234567);
  assert_int_equal(admission->requested.gpu_count.value, 2);
  assert_null(line.traceparent.data);
  assert_null(line.tracestate.data);
}

static void what_is_given_stands(void **state) {
  (void)state;
  struct ee_event_line line = read_line(
      "{\"event_id\":\"e\",\"envelope_id\":\"id\",\"occurred_at\":\"1970-01-01T00:00:07Z\","
      "\"source\":\"urn:s\",\"phase\":\"failed\"," COMMON ",\"stage\":\"x\",\"reason\":\"r\"}");
  const struct ee_failed *failed = line.record;
  assert_int_equal(line.topic, EE_TOPIC_FAILED);
  assert_text(line.envelope_id, "id");
  assert_text(line.event_id, "e");
  assert_text(failed->source, "urn:s");
  assert_int_equal(failed->occurred_at, 7000000);
}

// Every phase finds its topic; what is missing beyond the defaults is said by name.
static void each_phase_has_its_topic(void **state) {
  (void)state;
  for (int phase = 0; phase < EE_PHASE_TOPICS; phase++) {
    char text[128];
    snprintf(text, sizeof text, "{\"phase\":\"%s\"}", ee_phase_name((enum ee_phase)phase));
    struct ee_line_fault fault = refuse(ee_str(text));
    assert_int_not_equal(fault.fault.reason, EE_REASON_bad_enum);
    assert_true(fault.fault.detail[0] != '\0');
  }
}

static void only_an_admission_is_given_an_envelope(void **state) {
  (void)state;
  assert_refused(FAILED "}", EE_REASON_missing_field, "envelope_id");
  assert_refused("{\"phase\":\"receipt\",\"obligation_id\":\"o\"," COMMON
                 ",\"state\":\"applied\",\"actor\":\"urn:a\"}",
                 EE_REASON_missing_field, "envelope_id");
}

static void a_receipt_is_one(void **state) {
  (void)state;
  struct ee_event_line line =
      read_line("{\"phase\":\"receipt\",\"obligation_id\":\"o\",\"envelope_id\":\"id\"," COMMON
                ",\"state\":\"waived\",\"actor\":\"urn:a\"}");
  const struct ee_receipt *receipt = line.record;
  assert_int_equal(line.topic, EE_TOPIC_OBLIGATION);
  assert_text(line.envelope_id, "id");
  assert_null(line.event_id.data);
  assert_int_equal(receipt->state, EE_OBLIGATION_STATE_WAIVED);
  assert_int_equal(receipt->occurred_at, 1234567);
}

static void trace_members_are_the_lines_own(void **state) {
  (void)state;
  struct ee_event_line line = read_line(FAILED
                                        ",\"envelope_id\":\"id\",\"traceparent\":\"00-ab\","
                                        "\"tracestate\":\"v=1\"}");
  assert_text(line.traceparent, "00-ab");
  assert_text(line.tracestate, "v=1");
  assert_refused(FAILED ",\"envelope_id\":\"id\",\"traceparent\":1}", EE_REASON_wrong_schema,
                 "traceparent");
  assert_refused(FAILED ",\"envelope_id\":\"id\",\"tracestate\":\"a\\nb\"}", EE_REASON_wrong_schema,
                 "tracestate");
}

static void what_is_no_event_is_refused(void **state) {
  (void)state;
  assert_refused("", EE_REASON_wrong_schema, "not JSON");
  assert_refused("[]", EE_REASON_wrong_schema, "object");
  assert_refused("{}", EE_REASON_missing_field, "phase");
  assert_refused("{\"phase\":1}", EE_REASON_missing_field, "phase");
  assert_refused("{\"phase\":\"denied\"}", EE_REASON_bad_enum, "denied");
  assert_refused("{\"phase\":\"other\"}", EE_REASON_bad_enum, "other");
  assert_refused("{\"phase\":\"admission\",\"phase\":\"failed\"}", EE_REASON_wrong_schema,
                 "not JSON");
  assert_refused(FAILED ",\"envelope_id\":\"id\",\"resaon\":\"r\"}", EE_REASON_wrong_schema,
                 "resaon");
  assert_refused(FAILED ",\"envelope_id\":\"id\",\"source\":null}", EE_REASON_wrong_schema,
                 "source");
  assert_refused(FAILED ",\"envelope_id\":\"a\\u0000b\"}", EE_REASON_invalid_utf8, "envelope_id");
  assert_refused(FAILED ",\"envelope_id\":\"id\"} {}", EE_REASON_wrong_schema, "not JSON");
  assert_refused("{\"phase\":\"failed\",\"envelope_id\":\"id\",\"stage\":\"x\",\"reason\":\"r\"}",
                 EE_REASON_tenant_missing, "tenant");
}

static void the_place_is_said(void **state) {
  (void)state;
  struct ee_line_fault fault = refuse(EE_STR("{\"phase\": oops}"));
  assert_int_equal(fault.column, 14);
  fault = refuse(EE_STR("{\"phase\":\"denied\"}"));
  assert_int_equal(fault.column, 0);
}

// A NUL would end the text for the parser, and hide what follows it.
static void a_nul_byte_hides_nothing(void **state) {
  (void)state;
  static const char text[] = FAILED ",\"envelope_id\":\"id\"}\0 and more";
  struct ee_line_fault fault = refuse((struct ee_str){text, sizeof text - 1});
  assert_int_equal(fault.fault.reason, EE_REASON_wrong_schema);
  assert_non_null(strstr(fault.fault.detail, "NUL"));
}

static void bounds_hold(void **state) {
  (void)state;
  char *text = malloc(EE_LINE_MAX + 1);
  assert_non_null(text);
  memset(text, '[', EE_LINE_MAX + 1);
  struct ee_line_fault fault = refuse((struct ee_str){text, EE_LINE_MAX + 1});
  assert_int_equal(fault.fault.reason, EE_REASON_oversized);
  fault = refuse((struct ee_str){text, EE_LINE_MAX});
  assert_int_equal(fault.fault.reason, EE_REASON_too_deep);
  memset(text, ' ', EE_LINE_MAX);
  memcpy(text, ADMISSION, sizeof ADMISSION - 1);
  struct ee_event_line line;
  assert_true(
      ee_event_line_read((struct ee_str){text, EE_LINE_MAX}, &defaults, &arena, &line, &fault));
  free(text);
}

static void a_full_arena_is_a_refusal(void **state) {
  (void)state;
  struct ee_arena small;
  struct ee_event_line line;
  struct ee_line_fault fault;
  bool done = false;
  for (size_t limit = 64; !done; limit *= 2) {
    ee_arena_init(&small, limit);
    done = ee_event_line_read(EE_STR(ADMISSION), &defaults, &small, &line, &fault);
    if (!done) assert_int_equal(fault.fault.reason, EE_REASON_oversized);
    ee_arena_release(&small);
    assert_true(limit < (size_t)1 << 20);
  }
}

static void memory_that_is_out_is_a_refusal(void **state) {
  (void)state;
  bool failed = true;
  for (size_t n = 0; failed; n++) {
    struct ee_arena fresh;
    struct ee_event_line line;
    struct ee_line_fault fault;
    ee_arena_init(&fresh, (size_t)1 << 20);
    ee_chaos_fail_after(n);
    bool ok = ee_event_line_read(EE_STR(ADMISSION), &defaults, &fresh, &line, &fault);
    failed = ee_chaos_stop();
    assert_int_equal(ok, !failed);
    ee_arena_release(&fresh);
  }
}

// What is written is read back as it was, of all phases and of receipts.
static void lines_go_there_and_back(void **state) {
  (void)state;
  static const char parent[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  struct random random = {.state = 11};
  struct ee_buf out;
  ee_buf_init(&out, EE_LINE_MAX);
  for (int i = 0; i < ee_tries(700); i++) {
    enum ee_topic topic = i % 7 < EE_PHASE_TOPICS ? (enum ee_topic)(i % 7) : EE_TOPIC_OBLIGATION;
    const struct ee_record_type *type = ee_topics[topic].value;
    void *record = ee_arena_zero(&arena, 1, type->size);
    struct ee_event_line line;
    struct ee_line_fault fault;
    random_record(&random, type, &arena, record);
    bool traced = i % 2 == 0;
    ee_buf_clear(&out);
    ee_event_line_write(topic, record, traced ? ee_str(parent) : (struct ee_str){0},
                        traced ? EE_STR("a=b") : (struct ee_str){0}, &out);
    assert_false(out.failed);
    if (!ee_event_line_read(ee_buf_view(&out), &defaults, &arena, &line, &fault)) {
      fail_msg("%s: %.*s", fault.fault.detail, EE_STR_ARG(ee_buf_view(&out)));
    }
    assert_int_equal(line.topic, topic);
    assert_true(ee_equal(type, record, line.record, NULL));
    assert_int_equal(line.traceparent.data != NULL, traced);
    if (traced) assert_true(ee_str_equal(line.tracestate, EE_STR("a=b")));
    ee_arena_clear(&arena);
  }
  ee_buf_release(&out);
}

// What is written is read as the same record; a topic without such lines has none.
static void lines_are_written_as_they_are_read(void **state) {
  static const char *const lines[] = {ADMISSION, FAILED ",\"envelope_id\":\"e\"}", RECEIPT};
  struct ee_buf out;
  (void)state;
  ee_buf_init(&out, EE_LINE_MAX);
  for (size_t i = 0; i < COUNT_OF(lines); i++) {
    struct ee_event_line line = read_line(lines[i]);
    ee_buf_clear(&out);
    assert_true(ee_event_line_write(line.topic, line.record, (struct ee_str){0}, (struct ee_str){0},
                                    &out) &&
                !out.failed);
    ee_buf_byte(&out, 0);
    struct ee_event_line again = read_line((const char *)out.data);
    assert_int_equal(again.topic, line.topic);
    assert_true(ee_equal(line.type, line.record, again.record, NULL));
  }
  struct ee_event_line line = read_line(ADMISSION);
  ee_buf_release(&out);
  ee_buf_init(&out, 20);
  assert_true(
      ee_event_line_write(line.topic, line.record, (struct ee_str){0}, (struct ee_str){0}, &out) &&
      out.over_limit);
  assert_false(ee_event_line_write(EE_TOPIC_TICK, line.record, (struct ee_str){0},
                                   (struct ee_str){0}, &out));
  ee_buf_release(&out);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_admission_gets_what_it_leaves_out),
      cmocka_unit_test(what_is_given_stands),
      cmocka_unit_test(each_phase_has_its_topic),
      cmocka_unit_test(only_an_admission_is_given_an_envelope),
      cmocka_unit_test(a_receipt_is_one),
      cmocka_unit_test(trace_members_are_the_lines_own),
      cmocka_unit_test(lines_go_there_and_back),
      cmocka_unit_test(what_is_no_event_is_refused),
      cmocka_unit_test(the_place_is_said),
      cmocka_unit_test(a_nul_byte_hides_nothing),
      cmocka_unit_test(bounds_hold),
      cmocka_unit_test(a_full_arena_is_a_refusal),
      cmocka_unit_test(memory_that_is_out_is_a_refusal),
      cmocka_unit_test(lines_are_written_as_they_are_read),
  };
  return cmocka_run_group_tests_name("contract/event_line", tests, set_up, tear_down);
}
