// SPDX-License-Identifier: Apache-2.0
// What the library has to say.
#include "client/notice.h"

#include <stdarg.h>
#include <stdio.h>

void ee_notice(const struct ee_notices *notices, envelope_level level, const char *format, ...) {
  char text[1024];
  if (notices->notice == NULL) return;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  notices->notice(notices->context, level, text);
}
