// SPDX-License-Identifier: Apache-2.0
// base/time: every day of the years 0000 to 9999 against a calendar counted forward,
// offsets, fractions, leap seconds, and what is no RFC 3339.
#include "base/time.h"

#include <inttypes.h>
#include <stdio.h>

#include "tests/support/test.h"

#define DAY (24 * EE_MICROS_PER_HOUR)
#define FIRST INT64_C(-62167219200000000)   // 0000-01-01T00:00:00Z
#define BEYOND INT64_C(253402300800000000)  // the end of 9999

static void assert_prints(int64_t micros, const char *text) {
  char out[EE_RFC3339_SIZE];
  ee_time_print(micros, out);
  assert_string_equal(out, text);
}

static void assert_reads(const char *text, int64_t micros) {
  int64_t read = 0;
  if (!ee_time_parse(ee_str(text), &read)) fail_msg("%s: refused", text);
  assert_true(read == micros);
}

static int length_of_month(int year, int month) {
  if (month == 2) return year % 400 == 0 || (year % 4 == 0 && year % 100 != 0) ? 29 : 28;
  return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

static void test_every_day(void **state) {
  (void)state;
  int64_t at = FIRST;
  int every = 10 / ee_tries(10);
  for (int year = 0; year <= 9999; year++) {
    for (int month = 1; month <= 12; month++) {
      int days = length_of_month(year, month);
      for (int day = 1; day <= days; day++, at += DAY) {
        if (at / DAY % every != 0) continue;
        char expected[64], out[EE_RFC3339_SIZE];
        int64_t read = 0;
        int64_t inside = at + (at / DAY * 7919 % DAY + DAY) % DAY;
        snprintf(expected, sizeof expected, "%04d-%02d-%02dT", year, month, day);
        ee_time_print(inside, out);
        if (memcmp(out, expected, 11) != 0) fail_msg("%s is not on %s", out, expected);
        if (!ee_time_parse(ee_str(out), &read) || read != inside) fail_msg("%s", out);
      }
      char beyond[64];
      int64_t read = 0;
      snprintf(beyond, sizeof beyond, "%04d-%02d-%02dT00:00:00Z", year, month, days + 1);
      if (ee_time_parse(ee_str(beyond), &read)) fail_msg("%s: taken", beyond);
    }
  }
  assert_true(at == BEYOND);
}

static void test_every_second_of_a_day(void **state) {
  (void)state;
  int64_t start = INT64_C(20581) * DAY;  // 2026-05-08
  for (int second = 0; second < 86400; second += 10 / ee_tries(10)) {
    char expected[64];
    snprintf(expected, sizeof expected, "2026-05-08T%02d:%02d:%02d.%06dZ", second / 3600,
             second / 60 % 60, second % 60, second * 11 % 1000000);
    int64_t micros = start + second * EE_MICROS_PER_S + second * 11 % 1000000;
    assert_prints(micros, expected);
    assert_reads(expected, micros);
  }
}

static void test_the_ends(void **state) {
  (void)state;
  assert_prints(0, "1970-01-01T00:00:00.000000Z");
  assert_prints(-1, "1969-12-31T23:59:59.999999Z");
  assert_prints(FIRST, "0000-01-01T00:00:00.000000Z");
  assert_prints(FIRST - 1, "-62167219200000001");
  assert_prints(BEYOND - 1, "9999-12-31T23:59:59.999999Z");
  assert_prints(BEYOND, "253402300800000000");
  assert_prints(INT64_MAX, "9223372036854775807");
  assert_prints(INT64_MIN, "-9223372036854775808");
}

static void test_offsets(void **state) {
  (void)state;
  for (int minutes = -(23 * 60 + 59); minutes <= 23 * 60 + 59; minutes++) {
    char text[64];
    int size = minutes < 0 ? -minutes : minutes;
    snprintf(text, sizeof text, "1970-01-02T00:00:00%c%02d:%02d", minutes < 0 ? '-' : '+',
             size / 60, size % 60);
    assert_reads(text, DAY - minutes * 60 * EE_MICROS_PER_S);
  }
  assert_reads("1970-01-01T00:00:00-00:00", 0);
  assert_reads("1970-01-01t00:00:00z", 0);
}

static void test_fractions(void **state) {
  (void)state;
  assert_reads("1970-01-01T00:00:00Z", 0);
  assert_reads("1970-01-01T00:00:00.1Z", 100000);
  assert_reads("1970-01-01T00:00:00.12Z", 120000);
  assert_reads("1970-01-01T00:00:00.123Z", 123000);
  assert_reads("1970-01-01T00:00:00.000001Z", 1);
  assert_reads("1970-01-01T00:00:00.999999999Z", 999999);
  assert_reads("1969-12-31T23:59:59.9999999Z", -1);
}

static void test_leap_seconds(void **state) {
  (void)state;
  assert_reads("1990-12-31T23:59:60Z", INT64_C(662688000000000));
  assert_reads("1990-12-31T15:59:60-08:00", INT64_C(662688000000000));
  assert_reads("1990-12-31T23:59:60.5Z", INT64_C(662688000500000));
}

static void test_what_is_no_time(void **state) {
  (void)state;
  static const char *const bad[] = {
      "",
      "Z",
      "1970-01-01",
      "1970-01-01T00:00:00",
      "1970-01-01T00:00Z",
      "1970-01-01 00:00:00Z",
      "1970-1-01T00:00:00Z",
      "970-01-01T00:00:00Z",
      "10000-01-01T00:00:00Z",
      "-001-01-01T00:00:00Z",
      "1970-00-01T00:00:00Z",
      "1970-13-01T00:00:00Z",
      "1970-01-00T00:00:00Z",
      "1970-01-01T24:00:00Z",
      "1970-01-01T00:60:00Z",
      "1970-01-01T00:00:61Z",
      "1970-01-01T00:00:60Z",
      "1990-12-31T23:58:60Z",
      "1970-01-01T00:00:00.Z",
      "1970-01-01T00:00:00.1234567890Z",
      "1970-01-01T00:00:00,5Z",
      "1970-01-01T00:00:00+24:00",
      "1970-01-01T00:00:00+00:60",
      "1970-01-01T00:00:00+0000",
      "1970-01-01T00:00:00+00",
      "1970-01-01T00:00:00Zz",
      " 1970-01-01T00:00:00Z",
      "1970-01-01T00:00:00Z ",
      "1970-01-01T00:00:0\xD9\xA0Z",
      "1970/01/01T00:00:00Z",
      "0",
  };
  for (size_t i = 0; i < COUNT_OF(bad); i++) {
    int64_t read = 42;
    if (ee_time_parse(ee_str(bad[i]), &read)) fail_msg("%s: taken", bad[i]);
    assert_true(read == 42);
  }
}

// Every prefix is refused, and every place refuses every byte that RFC 3339 does not allow.
static void test_prefixes_and_foreign_bytes(void **state) {
  (void)state;
  char text[] = "2026-05-08T12:34:56.789012+01:30";
  size_t size = sizeof text - 1;
  int64_t read = 0;
  assert_false(ee_time_parse(ee_str(NULL), &read));
  for (size_t i = 0; i < size; i++) {
    assert_false(ee_time_parse((struct ee_str){.data = text, .size = i}, &read));
    for (int byte = 0; byte < 256; byte++) {
      char kept = text[i];
      text[i] = (char)byte;
      bool ok = ee_time_parse((struct ee_str){.data = text, .size = size}, &read);
      text[i] = kept;
      bool may_stand = byte != 0 && strchr("0123456789Tt+-", byte) != NULL;
      if (ok && byte != kept && !may_stand) fail_msg("byte %d at %zu", byte, i);
      if (byte == kept) assert_true(ok);
    }
  }
}

static void test_spans(void **state) {
  (void)state;
  static const struct {
    int64_t micros;
    const char *text;
  } spans[] = {{0, "0 us"},
               {1, "1 us"},
               {999, "999 us"},
               {1000, "1 ms"},
               {850999, "850 ms"},
               {1000000, "1.0 s"},
               {12449999, "12.4 s"},
               {59999999, "59.9 s"},
               {60000000, "1 min"},
               {200000000, "3 min 20 s"},
               {3599999999, "59 min 59 s"},
               {3600000000, "1 h"},
               {7500000000, "2 h 5 min"},
               {86400000000, "1 d"},
               {356400000000, "4 d 3 h"},
               {-200000000, "-3 min 20 s"},
               {-850000, "-850 ms"},
               {INT64_MAX, "106751991 d 4 h"},
               {INT64_MIN, "-106751991 d 4 h"}};
  for (size_t i = 0; i < COUNT_OF(spans); i++) {
    char out[EE_RFC3339_SIZE];
    ee_span_print(spans[i].micros, out);
    assert_string_equal(out, spans[i].text);
  }
}

static void test_clocks(void **state) {
  (void)state;
  int64_t before = ee_clock_monotonic_ms();
  assert_true(ee_clock_wall_micros() > INT64_C(1700000000) * EE_MICROS_PER_S);
  assert_true(ee_clock_wall_micros() < BEYOND);
  assert_true(ee_clock_monotonic_ms() >= before);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_day),       cmocka_unit_test(test_every_second_of_a_day),
      cmocka_unit_test(test_the_ends),        cmocka_unit_test(test_offsets),
      cmocka_unit_test(test_fractions),       cmocka_unit_test(test_leap_seconds),
      cmocka_unit_test(test_what_is_no_time), cmocka_unit_test(test_prefixes_and_foreign_bytes),
      cmocka_unit_test(test_spans),           cmocka_unit_test(test_clocks),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
