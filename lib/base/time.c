// SPDX-License-Identifier: Apache-2.0
// RFC 3339 times on the proleptic Gregorian calendar, spans for people, and the clocks.
#include "base/time.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define SECONDS_PER_DAY INT64_C(86400)
#define DAYS_PER_ERA INT64_C(146097)  // 400 years, after which the calendar repeats
#define EPOCH_DAY INT64_C(719468)     // 1970-01-01, counted from 0000-03-01

struct civil {
  int64_t year;
  int64_t month;  // 1 to 12
  int64_t day;    // 1 to 31
};

static int64_t floor_div(int64_t a, int64_t b) {
  return a / b - (a % b < 0);
}

// Years begin in March here, which puts the leap day last.
static int64_t days_of(struct civil date) {
  int64_t year = date.year - (date.month <= 2);
  int64_t era = floor_div(year, 400);
  int64_t year_of_era = year - era * 400;
  int64_t month = (date.month + 9) % 12;
  int64_t day_of_year = (153 * month + 2) / 5 + date.day - 1;
  return era * DAYS_PER_ERA + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 +
         day_of_year - EPOCH_DAY;
}

static struct civil civil_of(int64_t days) {
  days += EPOCH_DAY;
  int64_t era = floor_div(days, DAYS_PER_ERA);
  int64_t day = days - era * DAYS_PER_ERA;
  int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
  int64_t day_of_year = day - (365 * year + year / 4 - year / 100);
  int64_t month = (5 * day_of_year + 2) / 153;
  return (struct civil){.year = era * 400 + year + (month >= 10),
                        .month = month < 10 ? month + 3 : month - 9,
                        .day = day_of_year - (153 * month + 2) / 5 + 1};
}

static int64_t days_in_month(int64_t year, int64_t month) {
  static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return month == 2 && leap ? 29 : days[month - 1];
}

// Writes the last `digits` digits of value and what follows them.
static char *put_number(char *at, int64_t value, size_t digits, char after) {
  for (size_t i = digits; i-- > 0; value /= 10) {
    at[i] = (char)('0' + value % 10);
  }
  at[digits] = after;
  return at + digits + 1;
}

void ee_time_print(int64_t micros, char out[EE_RFC3339_SIZE]) {
  int64_t seconds = floor_div(micros, EE_MICROS_PER_S);
  int64_t days = floor_div(seconds, SECONDS_PER_DAY);
  struct civil date = civil_of(days);
  if (date.year < 0 || date.year > 9999) {
    snprintf(out, EE_RFC3339_SIZE, "%" PRId64, micros);
    return;
  }
  int64_t of_day = seconds - days * SECONDS_PER_DAY;
  char *at = put_number(out, date.year, 4, '-');
  at = put_number(at, date.month, 2, '-');
  at = put_number(at, date.day, 2, 'T');
  at = put_number(at, of_day / 3600, 2, ':');
  at = put_number(at, of_day / 60 % 60, 2, ':');
  at = put_number(at, of_day % 60, 2, '.');
  at = put_number(at, micros - seconds * EE_MICROS_PER_S, 6, 'Z');
  *at = '\0';
}

// What is left to read. A failed read leaves `ok` false and yields 0 from then on.
struct cursor {
  const char *at;
  const char *end;
  bool ok;
};

static int64_t take_number(struct cursor *in, int digits) {
  int64_t value = 0;
  for (; digits > 0; digits--) {
    in->ok = in->ok && in->at < in->end && *in->at >= '0' && *in->at <= '9';
    if (!in->ok) return 0;
    value = value * 10 + (*in->at++ - '0');
  }
  return value;
}

static bool peek(const struct cursor *in, const char *any_of) {
  return in->ok && in->at < in->end && *in->at != '\0' && strchr(any_of, *in->at) != NULL;
}

static void take(struct cursor *in, const char *any_of) {
  in->ok = peek(in, any_of);
  if (in->ok) in->at++;
}

static int64_t take_date(struct cursor *in) {
  struct civil date = {.year = take_number(in, 4)};
  take(in, "-");
  date.month = take_number(in, 2);
  take(in, "-");
  date.day = take_number(in, 2);
  in->ok = in->ok && date.month >= 1 && date.month <= 12 && date.day >= 1 &&
           date.day <= days_in_month(date.year, date.month);
  return in->ok ? days_of(date) : 0;
}

static int64_t take_fraction(struct cursor *in) {
  int64_t micros = 0;
  int digits = 0;
  if (!peek(in, ".")) return 0;
  in->at++;
  for (; peek(in, "0123456789"); digits++, in->at++) {
    if (digits < 6) micros = micros * 10 + (*in->at - '0');
  }
  in->ok = in->ok && digits >= 1 && digits <= 9;
  for (; digits < 6; digits++) {
    micros *= 10;
  }
  return micros;
}

// Seconds to add to local time to get UTC.
static int64_t take_offset(struct cursor *in) {
  if (peek(in, "Zz")) {
    in->at++;
    return 0;
  }
  bool east = peek(in, "+");
  take(in, "+-");
  int64_t hours = take_number(in, 2);
  take(in, ":");
  int64_t minutes = take_number(in, 2);
  in->ok = in->ok && hours <= 23 && minutes <= 59;
  int64_t seconds = hours * 3600 + minutes * 60;
  return east ? -seconds : seconds;
}

bool ee_time_parse(struct ee_str text, int64_t *ret_micros) {
  if (text.size == 0) return false;
  struct cursor in = {.at = text.data, .end = text.data + text.size, .ok = true};
  int64_t days = take_date(&in);
  take(&in, "Tt");
  int64_t hour = take_number(&in, 2);
  take(&in, ":");
  int64_t minute = take_number(&in, 2);
  take(&in, ":");
  int64_t second = take_number(&in, 2);
  int64_t fraction = take_fraction(&in);
  int64_t offset = take_offset(&in);
  if (!in.ok || in.at != in.end || hour > 23 || minute > 59 || second > 60) return false;
  int64_t seconds = days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second + offset;
  // A leap second is the last of a day of UTC, so the second after it is a midnight.
  if (second == 60 && seconds % SECONDS_PER_DAY != 0) return false;
  *ret_micros = seconds * EE_MICROS_PER_S + fraction;
  return true;
}

// At least a minute: the two largest units.
static void print_long_span(char *out, const char *sign, uint64_t seconds) {
  static const struct {
    uint64_t seconds;
    const char *name;
  } units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
  size_t unit = 0;
  while (seconds < units[unit].seconds)
    unit++;
  uint64_t whole = seconds / units[unit].seconds;
  uint64_t rest = seconds % units[unit].seconds / units[unit + 1].seconds;
  int size = snprintf(out, EE_RFC3339_SIZE, "%s%" PRIu64 " %s", sign, whole, units[unit].name);
  if (rest == 0) return;
  snprintf(out + size, EE_RFC3339_SIZE - (size_t)size, " %" PRIu64 " %s", rest,
           units[unit + 1].name);
}

void ee_span_print(int64_t micros, char out[EE_RFC3339_SIZE]) {
  const char *sign = micros < 0 ? "-" : "";
  uint64_t size = micros < 0 ? -(uint64_t)micros : (uint64_t)micros;
  if (size >= 60 * (uint64_t)EE_MICROS_PER_S) {
    print_long_span(out, sign, size / (uint64_t)EE_MICROS_PER_S);
  } else if (size >= (uint64_t)EE_MICROS_PER_S) {
    uint64_t tenths = size / 100000;
    snprintf(out, EE_RFC3339_SIZE, "%s%" PRIu64 ".%" PRIu64 " s", sign, tenths / 10, tenths % 10);
  } else if (size >= (uint64_t)EE_MICROS_PER_MS) {
    snprintf(out, EE_RFC3339_SIZE, "%s%" PRIu64 " ms", sign, size / 1000);
  } else {
    snprintf(out, EE_RFC3339_SIZE, "%s%" PRIu64 " us", sign, size);
  }
}

static int64_t clock_nanos(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);  // cannot fail for these clocks and a valid pointer
  return (int64_t)now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

int64_t ee_clock_wall_micros(void) {
  return clock_nanos(CLOCK_REALTIME) / 1000;
}

int64_t ee_clock_monotonic_ms(void) {
  return ee_clock_monotonic_nanos() / 1000000;
}

int64_t ee_clock_monotonic_nanos(void) {
  return clock_nanos(CLOCK_MONOTONIC);
}
