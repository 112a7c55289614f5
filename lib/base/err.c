// SPDX-License-Identifier: Apache-2.0
// Error texts: formatted aside first, since the arguments may point into the old text.
#include "base/err.h"

#include <stdarg.h>
#include <string.h>

#include "base/utf8.h"

// Foreign bytes must not break the line or the terminal it is shown on.
static void make_one_line(char *text) {
  for (; *text != '\0'; text++) {
    if ((unsigned char)*text < 0x20 || *text == 0x7F) *text = ' ';
  }
}

// Ends a text that was cut at size - 1 with "...", after a whole character.
static void mark_cut(char *text, size_t size) {
  size_t end = size - sizeof "...";
  size_t back = 0;
  while (back < 3 && ((unsigned char)text[end - back] & 0xC0) == 0x80)
    back++;
  if (ee_utf8_length(text + end - back, size - 1 - end + back) > back) end -= back;
  memcpy(text + end, "...", sizeof "...");
}

static __attribute__((format(printf, 3, 0))) void format_line(char *out, size_t size,
                                                              const char *format,
                                                              va_list arguments) {
  int length = vsnprintf(out, size, format, arguments);
  if (length < 0) out[0] = '\0';
  make_one_line(out);
  if (length >= 0 && (size_t)length >= size) mark_cut(out, size);
}

bool ee_err_set(struct ee_err *err, const char *format, ...) {
  if (err == NULL) return false;
  struct ee_err fresh;
  va_list arguments;
  va_start(arguments, format);
  format_line(fresh.text, sizeof fresh.text, format, arguments);
  va_end(arguments);
  *err = fresh;
  return false;
}

bool ee_err_prefix(struct ee_err *err, const char *format, ...) {
  if (err == NULL) return false;
  struct ee_err prefix;
  va_list arguments;
  va_start(arguments, format);
  format_line(prefix.text, sizeof prefix.text, format, arguments);
  va_end(arguments);
  return ee_err_set(err, "%s: %s", prefix.text, err->text);
}
