// SPDX-License-Identifier: Apache-2.0
// Lines of `envelopectl cat`, byte for byte.
#include "stream/printed.h"

#include "records.h"
#include "tests/support/test.h"

static struct ee_buf out;

static int set_up(void **state) {
  (void)state;
  ee_buf_init(&out, 1 << 16);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  ee_buf_release(&out);
  return 0;
}

static void assert_line(const char *wanted) {
  assert_false(out.failed);
  if (!ee_str_equal(ee_buf_view(&out), ee_str(wanted))) {
    fail_msg("%.*s", EE_STR_ARG(ee_buf_view(&out)));
  }
  ee_buf_clear(&out);
}

static struct ee_printed plain(void) {
  return (struct ee_printed){.topic = EE_STR("t"),
                             .partition = 3,
                             .offset = INT64_C(9007199254740993),
                             .timestamp_ms = 1700000000123,
                             .key = ee_bytes("k\"", 2),
                             .value = ee_bytes("v", 1)};
}

static void a_record_is_printed_as_the_contract_says(void **state) {
  (void)state;
  struct ee_printed printed = plain();
  struct ee_tick tick;
  struct ee_long_entry entry = {EE_STR("a"), 5};
  struct ee_header headers[] = {{EE_STR("in"), ee_bytes("[\"x\",1,2]", 9)},
                                {EE_STR("raw"), ee_bytes("\xff", 1)},
                                {EE_STR("none"), ee_bytes(NULL, 0)},
                                {EE_STR("empty"), ee_bytes("", 0)}};
  ee_record_init(&ee_tick_type, &tick);
  tick.as_of = (struct ee_opt_long){.present = true, .value = 1000000};
  tick.offsets.entries = &entry;
  tick.offsets.count = 1;
  printed.headers = headers;
  printed.header_count = COUNT_OF(headers);
  ee_printed_write(&printed, &ee_tick_type, &tick, &out);
  assert_line(
      "{\"topic\":\"t\",\"partition\":3,\"offset\":9007199254740993,\"timestamp\":1700000000123,"
      "\"key\":\"k\\\"\",\"headers\":[[\"in\",\"[\\\"x\\\",1,2]\"],[\"raw\",{\"base64\":\"/w==\"}],"
      "[\"none\",null],[\"empty\",\"\"]],\"value\":{\"as_of\":\"1970-01-01T00:00:01.000000Z\","
      "\"offsets\":{\"a\":5}}}\n");
}

static void what_does_not_decode_is_base64(void **state) {
  (void)state;
  struct ee_printed printed = plain();
  printed.timestamp_ms = -1;
  printed.key = ee_bytes("\xc3\x28", 2);
  ee_printed_write(&printed, NULL, NULL, &out);
  assert_line(
      "{\"topic\":\"t\",\"partition\":3,\"offset\":9007199254740993,\"timestamp\":-1,"
      "\"key\":{\"base64\":\"wyg=\"},\"headers\":[],\"value\":{\"base64\":\"dg==\"}}\n");
}

// A tombstone and a record without key, even where a record is at hand.
static void nothing_is_null(void **state) {
  (void)state;
  struct ee_printed printed = plain();
  struct ee_tick tick;
  ee_record_init(&ee_tick_type, &tick);
  printed.key = printed.value = ee_bytes(NULL, 0);
  static const char wanted[] =
      "{\"topic\":\"t\",\"partition\":3,\"offset\":9007199254740993,\"timestamp\":1700000000123,"
      "\"key\":null,\"headers\":[],\"value\":null}\n";
  ee_printed_write(&printed, &ee_tick_type, &tick, &out);
  assert_line(wanted);
  ee_printed_write(&printed, NULL, NULL, &out);
  assert_line(wanted);
  ee_printed_write_raw(&printed, &out);
  assert_line(wanted);
}

static void an_empty_key_is_not_none(void **state) {
  (void)state;
  struct ee_printed printed = plain();
  printed.key = printed.value = ee_bytes("", 0);
  ee_printed_write(&printed, NULL, NULL, &out);
  assert_line(
      "{\"topic\":\"t\",\"partition\":3,\"offset\":9007199254740993,\"timestamp\":1700000000123,"
      "\"key\":\"\",\"headers\":[],\"value\":{\"base64\":\"\"}}\n");
}

// RFC 4648, section 10.
static void base64_gives_the_vectors(void **state) {
  (void)state;
  static const char *const vectors[][2] = {{"f", "Zg=="},         {"fo", "Zm8="},
                                           {"foo", "Zm9v"},       {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
  for (size_t i = 0; i < COUNT_OF(vectors); i++) {
    struct ee_printed printed = {.topic = EE_STR(""), .value = ee_str_bytes(ee_str(vectors[i][0]))};
    char wanted[256];
    snprintf(wanted, sizeof wanted,
             "{\"topic\":\"\",\"partition\":0,\"offset\":0,\"timestamp\":0,\"key\":null,"
             "\"headers\":[],\"value\":{\"base64\":\"%s\"}}\n",
             vectors[i][1]);
    ee_printed_write_raw(&printed, &out);
    assert_line(wanted);
  }
}

static void raw_is_base64_all_over(void **state) {
  (void)state;
  struct ee_printed printed = plain();
  struct ee_header header = {EE_STR("h"), ee_bytes("x", 1)};
  printed.headers = &header;
  printed.header_count = 1;
  printed.value = ee_bytes("\xfb\xff\xbf", 3);
  ee_printed_write_raw(&printed, &out);
  assert_line(
      "{\"topic\":\"t\",\"partition\":3,\"offset\":9007199254740993,\"timestamp\":1700000000123,"
      "\"key\":{\"base64\":\"ayI=\"},\"headers\":[[\"h\",{\"base64\":\"eA==\"}]],"
      "\"value\":{\"base64\":\"+/+/\"}}\n");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_record_is_printed_as_the_contract_says),
      cmocka_unit_test(what_does_not_decode_is_base64),
      cmocka_unit_test(nothing_is_null),
      cmocka_unit_test(an_empty_key_is_not_none),
      cmocka_unit_test(base64_gives_the_vectors),
      cmocka_unit_test(raw_is_base64_all_over),
  };
  return cmocka_run_group_tests_name("stream/printed", tests, set_up, tear_down);
}
