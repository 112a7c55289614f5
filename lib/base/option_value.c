// SPDX-License-Identifier: Apache-2.0
// The values of options: from text, to text, and the words for what is allowed.
#include "base/option_value.h"

#include <inttypes.h>

#define NAME_MAX_SIZE ((size_t)63)

struct unit {
  const char *name;
  int64_t size;
};

// Smallest first; "" is a plain number.
static const struct unit plain[] = {{"", 1}, {NULL, 0}};
static const struct unit durations[] = {
    {"", 1}, {"ms", 1}, {"s", 1000}, {"min", 60000}, {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
static const struct unit sizes[] = {
    {"", 1}, {"KiB", 1024}, {"MiB", 1048576}, {"GiB", 1073741824}, {NULL, 0}};

static const struct {
  const struct unit *units;
  const char *kind;
  const char *help;
} numbers[] = {
    [EE_OPTION_COUNT] = {plain, "a number", "give digits only"},
    [EE_OPTION_DURATION] = {durations, "a duration",
                            "give a whole number with ms, s, min, h or d, as in 20ms"},
    [EE_OPTION_SIZE] = {sizes, "a size",
                        "give bytes, or a whole number with KiB, MiB or GiB, as in 64MiB"},
};

bool ee_option_is_number(enum ee_option_type type) {
  return type == EE_OPTION_COUNT || type == EE_OPTION_DURATION || type == EE_OPTION_SIZE;
}

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// False when there are no digits, an unknown unit, or more than an int64_t holds.
static bool scan_number(const struct unit *units, const char *text, int64_t *ret) {
  bool negative = *text == '-';
  if (negative) text++;
  if (!is_digit(*text)) return false;
  int64_t value = 0;
  for (; is_digit(*text); text++) {
    if (__builtin_mul_overflow(value, 10, &value)) return false;
    if (__builtin_add_overflow(value, *text - '0', &value)) return false;
  }
  for (; units->name != NULL; units++) {
    if (strcmp(text, units->name) != 0) continue;
    if (__builtin_mul_overflow(value, units->size, &value)) return false;
    *ret = negative ? -value : value;
    return true;
  }
  return false;
}

static bool is_bounded(const struct ee_option *option) {
  return option->least != 0 || option->most != 0;
}

bool ee_option_parse_number(const struct ee_option *option, const char *text, int64_t *ret,
                            struct ee_err *err) {
  int64_t value = 0;
  if (!scan_number(numbers[option->type].units, text, &value)) {
    return ee_err_set(err, "%s is not %s: %s", *text == '\0' ? "an empty value" : text,
                      numbers[option->type].kind, numbers[option->type].help);
  }
  if (is_bounded(option) && (value < option->least || value > option->most)) {
    char bounds[EE_OPTION_TEXT_MAX];
    ee_option_print_bounds(option, bounds);
    return ee_err_set(err, "%s is out of bounds: %s", text, bounds);
  }
  if (!is_bounded(option) && value < 0) return ee_err_set(err, "%s is below 0", text);
  *ret = value;
  return true;
}

void ee_option_print_number(enum ee_option_type type, int64_t value, char out[EE_OPTION_TEXT_MAX]) {
  const struct unit *best = numbers[type].units;
  for (const struct unit *unit = best; unit->name != NULL; unit++) {
    if (value % unit->size == 0 && (value != 0 || unit->size == 1)) best = unit;
  }
  snprintf(out, EE_OPTION_TEXT_MAX, "%" PRId64 "%s", value / best->size, best->name);
}

void ee_option_print_bounds(const struct ee_option *option, char out[EE_OPTION_TEXT_MAX]) {
  char least[EE_OPTION_TEXT_MAX];
  char most[EE_OPTION_TEXT_MAX];
  out[0] = '\0';
  if (!ee_option_is_number(option->type) || !is_bounded(option)) return;
  ee_option_print_number(option->type, option->least, least);
  ee_option_print_number(option->type, option->most, most);
  snprintf(out, EE_OPTION_TEXT_MAX, "%.22s to %.21s", least, most);
}

bool ee_option_parse_property(const char *text, struct ee_str *ret_name, struct ee_str *ret_value,
                              struct ee_err *err) {
  const char *equals = strchr(text, '=');
  if (equals == NULL || equals == text) {
    return ee_err_set(err, "%s is not a property: give key=value", text);
  }
  *ret_name = (struct ee_str){.data = text, .size = (size_t)(equals - text)};
  *ret_value = ee_str(equals + 1);
  return true;
}

static size_t least_of(size_t a, size_t b, size_t c) {
  size_t least = a < b ? a : b;
  return least < c ? least : c;
}

size_t ee_option_distance(struct ee_str a, struct ee_str b) {
  if (a.size > NAME_MAX_SIZE || b.size > NAME_MAX_SIZE) return SIZE_MAX;
  size_t row[NAME_MAX_SIZE + 1];  // distances of the prefixes of b from those of a so far
  for (size_t j = 0; j <= b.size; j++) {
    row[j] = j;
  }
  for (size_t i = 1; i <= a.size; i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size; j++) {
      size_t above = row[j];
      row[j] = least_of(above + 1, row[j - 1] + 1, diagonal + (a.data[i - 1] != b.data[j - 1]));
      diagonal = above;
    }
  }
  return row[b.size];
}
