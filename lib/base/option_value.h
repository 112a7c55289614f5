// SPDX-License-Identifier: Apache-2.0
// The values of options: from text, to text, and the words for what is allowed. Pure.
#ifndef EE_BASE_OPTION_VALUE_H
#define EE_BASE_OPTION_VALUE_H

#include "base/option.h"

#define EE_OPTION_TEXT_MAX 48  // enough for a printed number or pair of bounds

// True for types whose value is a number with bounds.
bool ee_option_is_number(enum ee_option_type type);
// A number in the type's units, within the option's bounds. The error says what the text
// is not, and what is allowed.
bool ee_option_parse_number(const struct ee_option *option, const char *text, int64_t *ret,
                            struct ee_err *err);
// In the largest unit that gives a whole number: 20ms, 64MiB.
void ee_option_print_number(enum ee_option_type type, int64_t value, char out[EE_OPTION_TEXT_MAX]);
// "1ms to 10min"; empty without bounds.
void ee_option_print_bounds(const struct ee_option *option, char out[EE_OPTION_TEXT_MAX]);
// Splits at the first '='; the name must not be empty. Borrows from text.
bool ee_option_parse_property(const char *text, struct ee_str *ret_name, struct ee_str *ret_value,
                              struct ee_err *err);
// How many single-character edits part two names: for suggestions. Names longer than 63
// bytes are as far apart as can be.
size_t ee_option_distance(struct ee_str a, struct ee_str b);

#endif
