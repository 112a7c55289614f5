// SPDX-License-Identifier: Apache-2.0
// CloudEvents headers, `in`, and those of dead letters.
#include "wire/headers.h"

#include <jansson.h>

#include "base/time.h"
#include "base/utf8.h"
#include "tests/support/test.h"

#define PARENT "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

static void traceparents_are_strict(void **state) {
  (void)state;
  static const char *const right[] = {PARENT,
                                      "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff"};
  static const char *const wrong[] = {
      "",
      "00",
      "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
      PARENT "-",
      PARENT "-extra",
      "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
      "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
      "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
      "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
      "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
      "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
      "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7_01",
      "0g-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
      "00-4bf92f3577b34da6a3ce929d0e0e473\"-00f067aa0ba902b7-01",
      "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b\xFF-01",
      "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0/",
  };
  for (size_t i = 0; i < COUNT_OF(right); i++)
    assert_true(ee_traceparent_valid(ee_str_bytes(ee_str(right[i]))));
  for (size_t i = 0; i < COUNT_OF(wrong); i++) {
    if (ee_traceparent_valid(ee_str_bytes(ee_str(wrong[i])))) fail_msg("accepted %s", wrong[i]);
  }
  assert_false(ee_traceparent_valid(ee_bytes(NULL, 0)));
  // Any byte of a valid one changed to one that is no digit makes it invalid.
  for (size_t i = 0; i < sizeof PARENT - 1; i++) {
    char text[] = PARENT;
    text[i] = 'x';
    assert_false(ee_traceparent_valid(ee_bytes(text, sizeof text - 1)));
  }
}

static void assert_number(const char *text, const char *producer, int64_t epoch, int64_t number) {
  struct ee_record_number read;
  if (!ee_record_number_parse(ee_str_bytes(ee_str(text)), &read)) fail_msg("refused %s", text);
  assert_true(ee_str_equal(read.producer, ee_str(producer)));
  assert_int_equal(read.epoch, epoch);
  assert_int_equal(read.number, number);
}

// The producer may have colons: the two numbers are the last.
static void numbers_are_read_from_the_right(void **state) {
  (void)state;
  assert_number("p:1:0", "p", 1, 0);
  assert_number("p:0:10", "p", 0, 10);
  assert_number("urn:a:b:1780000000:17", "urn:a:b", 1780000000, 17);
  assert_number("::1:2", ":", 1, 2);
  assert_number("p:9223372036854775807:9223372036854775806", "p", INT64_MAX, INT64_MAX - 1);
}

static void numbers_are_strict(void **state) {
  (void)state;
  static const char *const wrong[] = {"",
                                      ":",
                                      "::",
                                      "p",
                                      "p:1",
                                      "p:1:",
                                      "p::1",
                                      ":1:2",
                                      "1:2",
                                      "p:1:-2",
                                      "p:-1:2",
                                      "p:+1:2",
                                      "p:1:02",
                                      "p:00:2",
                                      "p:1:2 ",
                                      "p: 1:2",
                                      "p:1:2a",
                                      "p:0x1:2",
                                      "p:9223372036854775808:0",
                                      "p:0:9223372036854775807",
                                      "p:0:99999999999999999999",
                                      "\xFF:1:2",
                                      "\xC3:1:2"};
  struct ee_record_number read = {.number = 77};
  for (size_t i = 0; i < COUNT_OF(wrong); i++) {
    if (ee_record_number_parse(ee_str_bytes(ee_str(wrong[i])), &read))
      fail_msg("accepted %s", wrong[i]);
  }
  assert_false(ee_record_number_parse(ee_bytes(NULL, 0), &read));
  assert_false(ee_record_number_parse(ee_bytes("a\0b:1:2", 7), &read));
  assert_int_equal(read.number, 77);
  assert_null(read.producer.data);
}

static void producers_of_numbers_are_bounded(void **state) {
  (void)state;
  char text[140];
  struct ee_record_number read;
  for (size_t size = 127; size <= 129; size++) {
    memset(text, 'p', size);
    memcpy(text + size, ":1:2", 4);
    assert_int_equal(ee_record_number_parse(ee_bytes(text, size + 4), &read), size <= 128);
  }
  for (size_t size = 64; size <= 65; size++) {  // six bytes each in a key
    memset(text, 1, size);
    memcpy(text + size, ":1:2", 4);
    assert_int_equal(ee_record_number_parse(ee_bytes(text, size + 4), &read), size <= 64);
  }
}

static void assert_in(struct ee_bytes traceparent, const char *expected) {
  struct ee_buf out;
  ee_buf_init(&out, 1000);
  ee_header_in(&out, EE_STR("p.envelope.admission.v1"), 11, INT64_C(9223372036854775807),
               traceparent);
  assert_false(out.failed);
  assert_int_equal(out.size, strlen(expected));
  assert_memory_equal(out.data, expected, out.size);
  ee_buf_release(&out);
}

static void in_names_where_a_record_came_from(void **state) {
  (void)state;
  assert_in(ee_bytes(NULL, 0), "[\"p.envelope.admission.v1\",11,9223372036854775807]");
  assert_in(ee_str_bytes(EE_STR(PARENT)),
            "[\"p.envelope.admission.v1\",11,9223372036854775807,\"" PARENT "\"]");
  assert_in(ee_str_bytes(EE_STR("\"]")), "[\"p.envelope.admission.v1\",11,9223372036854775807]");
}

static void assert_header(const struct ee_header *headers, size_t count, const char *name,
                          const char *value) {
  for (size_t i = 0; i < count; i++) {
    if (!ee_str_equal(headers[i].name, ee_str(name))) continue;
    assert_int_equal(headers[i].name.data[headers[i].name.size], 0);
    assert_true(ee_bytes_equal(headers[i].value, ee_str_bytes(ee_str(value))));
    return;
  }
  fail_msg("no header %s", name);
}

static void cloudevents_of_each_phase(void **state) {
  (void)state;
  static const char *const types[] = {"admission", "resolved", "finalized",
                                      "failed",    "released", "annotation"};
  static const char *const records[] = {"Admission", "Resolved", "Finalized",
                                        "Failed",    "Released", "Annotation"};
  struct ee_event_head head = {.event_id = EE_STR("ev-1"),
                               .source = EE_STR("https://serving.example/"),
                               .occurred_at = INT64_C(1778241600000001)};
  for (int phase = 0; phase < EE_PHASE_TOPICS; phase++) {
    struct ee_arena arena;
    struct ee_header headers[EE_CLOUDEVENT_HEADERS];
    char type[64], schema[64];
    snprintf(type, sizeof type, "envelope.%s.v1", types[phase]);
    snprintf(schema, sizeof schema, "urn:avro:envelope.v1.%s", records[phase]);
    ee_arena_init(&arena, 10000);
    size_t count = ee_headers_cloudevent((enum ee_phase)phase, &head, &arena, headers);
    assert_int_equal(count, EE_CLOUDEVENT_HEADERS);
    assert_header(headers, count, "ce_specversion", "1.0");
    assert_header(headers, count, "ce_id", "ev-1");
    assert_header(headers, count, "ce_type", type);
    assert_header(headers, count, "ce_source", "https://serving.example/");
    assert_header(headers, count, "ce_time", "2026-05-08T12:00:00.000001Z");
    assert_header(headers, count, "ce_dataschema", schema);
    assert_header(headers, count, "content-type", "application/avro");
    ee_arena_release(&arena);
  }
}

static void cloudevents_at_the_edges(void **state) {
  (void)state;
  struct ee_event_head head = {
      .event_id = EE_STR("e"), .source = EE_STR("s"), .occurred_at = INT64_MAX};
  struct ee_header headers[EE_CLOUDEVENT_HEADERS];
  struct ee_arena arena;
  ee_arena_init(&arena, 10000);
  // A time without RFC 3339 form is left out rather than sent in another.
  size_t count = ee_headers_cloudevent(EE_PHASE_FAILED, &head, &arena, headers);
  assert_int_equal(count, EE_CLOUDEVENT_HEADERS - 1);
  for (size_t i = 0; i < count; i++)
    assert_false(ee_str_equal(headers[i].name, EE_STR("ce_time")));
  assert_int_equal(ee_headers_cloudevent(EE_PHASE_OTHER, &head, &arena, headers), 0);
  ee_arena_release(&arena);
  ee_arena_init(&arena, 10);
  assert_int_equal(ee_headers_cloudevent(EE_PHASE_FAILED, &head, &arena, headers), 0);
  ee_arena_release(&arena);
}

static size_t deadletter(const struct ee_fault *fault, struct ee_arena *arena,
                         struct ee_header *headers) {
  return ee_headers_deadletter(EE_STR("envelope.failed.v1"), 3, 1234567890123, "join", fault, arena,
                               headers);
}

static void deadletters_say_where_and_why(void **state) {
  (void)state;
  struct ee_fault fault;
  struct ee_header headers[EE_DEADLETTER_HEADERS];
  struct ee_arena arena;
  ee_fault_set(&fault, EE_REASON_bad_enum, 7, "%s", "caller.initiator: 9 of 5");
  ee_arena_init(&arena, 10000);
  size_t count = deadletter(&fault, &arena, headers);
  assert_int_equal(count, EE_DEADLETTER_HEADERS);
  assert_header(headers, count, "dl_topic", "envelope.failed.v1");
  assert_header(headers, count, "dl_partition", "3");
  assert_header(headers, count, "dl_offset", "1234567890123");
  assert_header(headers, count, "dl_processor", "join");
  assert_header(headers, count, "dl_reason", "bad_enum");
  assert_header(headers, count, "dl_detail", "caller.initiator: 9 of 5");
  ee_arena_release(&arena);
  ee_arena_init(&arena, 0);
  assert_int_equal(deadletter(&fault, &arena, headers), 0);
  ee_arena_release(&arena);
}

// Whatever a fault holds, what is sent is valid UTF-8 of at most 256 bytes.
static void details_are_bounded_text(void **state) {
  (void)state;
  struct ee_header headers[EE_DEADLETTER_HEADERS];
  struct ee_arena arena;
  ee_arena_init(&arena, 1 << 20);
  for (size_t shift = 0; shift < 5; shift++) {
    struct ee_fault fault = {.reason = EE_REASON_truncated};
    memset(fault.detail, 'x', shift);
    for (size_t i = shift; i < sizeof fault.detail; i++)
      fault.detail[i] = "\xF0\x9F\x98\x80"[(i - shift) % 4];  // not even NUL-terminated
    assert_int_equal(deadletter(&fault, &arena, headers), EE_DEADLETTER_HEADERS);
    struct ee_bytes detail = headers[5].value;
    assert_true(detail.size <= EE_DEADLETTER_DETAIL_MAX && detail.size > 250);
    assert_true(ee_utf8_valid((const char *)detail.data, detail.size));
  }
  struct ee_fault empty = {.reason = EE_REASON_truncated};
  assert_int_equal(deadletter(&empty, &arena, headers), EE_DEADLETTER_HEADERS);
  assert_int_equal(headers[5].value.size, 0);
  ee_arena_release(&arena);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(traceparents_are_strict),
      cmocka_unit_test(numbers_are_read_from_the_right),
      cmocka_unit_test(numbers_are_strict),
      cmocka_unit_test(producers_of_numbers_are_bounded),
      cmocka_unit_test(in_names_where_a_record_came_from),
      cmocka_unit_test(cloudevents_of_each_phase),
      cmocka_unit_test(cloudevents_at_the_edges),
      cmocka_unit_test(deadletters_say_where_and_why),
      cmocka_unit_test(details_are_bounded_text),
  };
  return cmocka_run_group_tests_name("wire/headers", tests, NULL, NULL);
}
