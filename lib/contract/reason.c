// SPDX-License-Identifier: Apache-2.0
// Names of the reasons, and faults whose detail is valid UTF-8 on one line whatever bytes
// went into it.
#include "contract/reason.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/utf8.h"

#define KEY_SHOWN_MAX 64  // bytes of a map key in a path

const char *ee_reason_name(enum ee_reason reason) {
  static const char *const names[] = {"accepted",
#define EE_REASON_ENTRY(NAME) #NAME,
                                      EE_REASONS(EE_REASON_ENTRY)
#undef EE_REASON_ENTRY
  };
  if (reason == EE_NO_MEMORY) return "no_memory";
  return (size_t)reason < sizeof(names) / sizeof(*names) ? names[reason] : "unknown";
}

// Foreign bytes may be in the text, and the cut may have fallen into a character.
static void make_plain(char *text) {
  size_t size = strlen(text);
  size_t i = 0;
  while (i < size) {
    size_t length = ee_utf8_length(text + i, size - i);
    if (length == 0 || (unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
      text[i] = '?';
      length = 1;
    }
    i += length;
  }
}

bool ee_fault_set(struct ee_fault *fault, enum ee_reason reason, size_t position,
                  const char *format, ...) {
  if (fault == NULL) return false;
  va_list arguments;
  va_start(arguments, format);
  fault->reason = reason;
  fault->position = position;
  if (vsnprintf(fault->detail, sizeof fault->detail, format, arguments) < 0) {
    fault->detail[0] = '\0';
  }
  va_end(arguments);
  make_plain(fault->detail);
  return false;
}

static __attribute__((format(printf, 2, 3))) bool prefix(struct ee_fault *fault, const char *format,
                                                         ...) {
  char text[sizeof fault->detail];
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (length < 0 || (size_t)length >= sizeof text) return false;
  size_t rest = strlen(fault->detail);
  if (rest > sizeof text - 1 - (size_t)length) rest = sizeof text - 1 - (size_t)length;
  memmove(fault->detail + length, fault->detail, rest);
  memcpy(fault->detail, text, (size_t)length);
  fault->detail[(size_t)length + rest] = '\0';
  make_plain(fault->detail);
  return false;
}

bool ee_fault_in_field(struct ee_fault *fault, const char *name) {
  return fault != NULL && prefix(fault, ".%.*s", KEY_SHOWN_MAX, name);
}

bool ee_fault_in_item(struct ee_fault *fault, size_t index) {
  return fault != NULL && prefix(fault, "[%zu]", index);
}

bool ee_fault_in_key(struct ee_fault *fault, struct ee_str key) {
  bool cut = key.size > KEY_SHOWN_MAX;
  return fault != NULL && prefix(fault, "[%.*s%s]", cut ? KEY_SHOWN_MAX : (int)key.size,
                                 key.data == NULL ? "" : key.data, cut ? "..." : "");
}

bool ee_fault_end(struct ee_fault *fault) {
  if (fault == NULL) return false;
  size_t skip = fault->detail[0] == '.' ? 1 : strncmp(fault->detail, ": ", 2) == 0 ? 2 : 0;
  memmove(fault->detail, fault->detail + skip, strlen(fault->detail + skip) + 1);
  return false;
}
