// SPDX-License-Identifier: Apache-2.0
// Both framings, read and written, and what is neither.
#include "wire/framing.h"

#include <stdlib.h>

#include "tests/support/test.h"

static enum ee_reason reason_of(const char *bytes, size_t size) {
  struct ee_frame frame;
  struct ee_fault fault = {.reason = EE_ACCEPTED};
  uint8_t *exact = malloc(size == 0 ? 1 : size);
  assert_non_null(exact);
  memcpy(exact, bytes, size);
  bool ok = ee_frame_parse(ee_bytes(exact, size), &frame, &fault);
  free(exact);
  assert_int_equal(ok, fault.reason == EE_ACCEPTED);
  assert_true(ok || fault.detail[0] != '\0');
  return fault.reason;
}

static void confluent_frames_round_trip(void **state) {
  (void)state;
  static const int32_t ids[] = {0, 1, 255, 256, 0x01020304, INT32_MAX};
  for (size_t i = 0; i < COUNT_OF(ids); i++) {
    uint8_t bytes[EE_FRAME_MAX + 2];
    struct ee_frame frame;
    size_t size = ee_frame_confluent(ids[i], bytes);
    assert_int_equal(size, 5);
    memcpy(bytes + size, "\x7F\x00", 2);
    assert_true(ee_frame_parse(ee_bytes(bytes, size + 2), &frame, NULL));
    assert_int_equal(frame.framing, EE_FRAMING_CONFLUENT);
    assert_int_equal(frame.schema_id, ids[i]);
    assert_ptr_equal(frame.avro.data, bytes + 5);
    assert_int_equal(frame.avro.size, 2);
  }
  uint8_t bytes[EE_FRAME_MAX];
  ee_frame_confluent(0x01020304, bytes);
  assert_memory_equal(bytes, "\x00\x01\x02\x03\x04", 5);
}

static void single_object_frames_round_trip(void **state) {
  (void)state;
  uint8_t bytes[EE_FRAME_MAX];
  struct ee_frame frame;
  assert_int_equal(ee_frame_single_object(UINT64_C(0x0102030405060708), bytes), 10);
  assert_memory_equal(bytes, "\xC3\x01\x08\x07\x06\x05\x04\x03\x02\x01", 10);
  assert_true(ee_frame_parse(ee_bytes(bytes, 10), &frame, NULL));
  assert_int_equal(frame.framing, EE_FRAMING_SINGLE_OBJECT);
  assert_true(frame.fingerprint == UINT64_C(0x0102030405060708));
  assert_int_equal(frame.avro.size, 0);
  assert_non_null(frame.avro.data);
}

static void what_is_neither_is_named(void **state) {
  (void)state;
  struct ee_frame frame;
  struct ee_fault fault;
  assert_false(ee_frame_parse(ee_bytes(NULL, 0), &frame, &fault));
  assert_int_equal(fault.reason, EE_REASON_unknown_framing);
  assert_int_equal(reason_of("\x01\x00\x00\x00\x01", 5), EE_REASON_unknown_framing);
  assert_int_equal(reason_of("{\"envelope_id\":1}", 17), EE_REASON_unknown_framing);
  assert_int_equal(reason_of("\xC3\x02\x00\x00\x00\x00\x00\x00\x00\x00", 10),
                   EE_REASON_unknown_framing);
  assert_int_equal(reason_of("\xC3\x02", 2), EE_REASON_unknown_framing);
  assert_int_equal(reason_of("\x00\x80\x00\x00\x00", 5), EE_REASON_unknown_schema_id);
  assert_int_equal(reason_of("\x00\xFF\xFF\xFF\xFF", 5), EE_REASON_unknown_schema_id);
}

static void prefixes_cut_short_are_truncated(void **state) {
  (void)state;
  for (size_t size = 0; size < 5; size++)
    assert_int_equal(reason_of("\x00\x00\x00\x00\x01", size), EE_REASON_truncated);
  assert_int_equal(reason_of("\x00\x00\x00\x00\x01", 5), EE_ACCEPTED);
  for (size_t size = 1; size < 10; size++)
    assert_int_equal(reason_of("\xC3\x01\x08\x07\x06\x05\x04\x03\x02\x01", size),
                     EE_REASON_truncated);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(confluent_frames_round_trip),
      cmocka_unit_test(single_object_frames_round_trip),
      cmocka_unit_test(what_is_neither_is_named),
      cmocka_unit_test(prefixes_cut_short_are_truncated),
  };
  return cmocka_run_group_tests_name("wire/framing", tests, NULL, NULL);
}
