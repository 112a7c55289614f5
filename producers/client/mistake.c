// SPDX-License-Identifier: Apache-2.0
// The public form of errors, and their names.
#include "client/mistake.h"

#include <stdarg.h>
#include <stdio.h>

const char *envelope_result_name(int result) {
  switch ((envelope_result)result) {
    case ENVELOPE_OK:
      return "ok";
    case ENVELOPE_DROPPED:
      return "dropped";
    case ENVELOPE_FULL:
      return "full";
    case ENVELOPE_TIMED_OUT:
      return "timed_out";
    case ENVELOPE_NO_MEMORY:
      return "no_memory";
    case ENVELOPE_UNAVAILABLE:
      return "unavailable";
    case ENVELOPE_MISSING_FIELD:
      return "missing_field";
    case ENVELOPE_TENANT_MISSING:
      return "tenant_missing";
    case ENVELOPE_OVERSIZED:
      return "oversized";
    case ENVELOPE_INVALID_UTF8:
      return "invalid_utf8";
    case ENVELOPE_EXTENSION_NOT_NAMESPACED:
      return "extension_not_namespaced";
    case ENVELOPE_BAD_ENUM:
      return "bad_enum";
    case ENVELOPE_DUPLICATE_KEY:
      return "duplicate_key";
    case ENVELOPE_TOO_DEEP:
      return "too_deep";
    case ENVELOPE_WRONG_SCHEMA:
      return "wrong_schema";
    case ENVELOPE_WRONG_FIELD:
      return "wrong_field";
    case ENVELOPE_BAD_SETTING:
      return "bad_setting";
    case ENVELOPE_FORKED:
      return "forked";
  }
  return "unknown";
}

int ee_mistake(struct envelope_error *error, int result, const char *field, const char *format,
               ...) {
  if (error == NULL) return result;
  va_list arguments;
  va_start(arguments, format);
  error->result = result;
  error->column = 0;
  snprintf(error->field, sizeof error->field, "%s", field == NULL ? "" : field);
  vsnprintf(error->text, sizeof error->text, format, arguments);
  va_end(arguments);
  return result;
}

// Of the reasons that an event of the caller's can be refused for.
static int result_of(enum ee_reason reason) {
  switch (reason) {
    case EE_REASON_missing_field:
      return ENVELOPE_MISSING_FIELD;
    case EE_REASON_tenant_missing:
      return ENVELOPE_TENANT_MISSING;
    case EE_REASON_oversized:
      return ENVELOPE_OVERSIZED;
    case EE_REASON_invalid_utf8:
      return ENVELOPE_INVALID_UTF8;
    case EE_REASON_extension_not_namespaced:
      return ENVELOPE_EXTENSION_NOT_NAMESPACED;
    case EE_REASON_bad_enum:
      return ENVELOPE_BAD_ENUM;
    case EE_REASON_duplicate_key:
      return ENVELOPE_DUPLICATE_KEY;
    case EE_REASON_too_deep:
      return ENVELOPE_TOO_DEEP;
    case EE_NO_MEMORY:
      return ENVELOPE_NO_MEMORY;
    default:
      return ENVELOPE_WRONG_SCHEMA;
  }
}

// Bytes of the path that a detail begins with: names, and keys or indices in brackets. 0: it is
// about no field.
static size_t path_size(const char *detail) {
  const char *at = detail;
  for (;;) {
    at += strspn(at, "abcdefghijklmnopqrstuvwxyz0123456789_.");
    if (*at == ':') return (size_t)(at - detail);
    if (*at != '[' || at == detail) return 0;
    do {
      at = strchr(at + 1, ']');
    } while (at != NULL && strchr(":.[", at[1]) == NULL);  // a key may have one
    if (at == NULL) return 0;
    at++;
  }
}

int ee_mistake_of_fault(struct envelope_error *error, const struct ee_fault *fault) {
  char field[sizeof error->field];
  size_t size = path_size(fault->detail);
  if (size >= sizeof field) size = sizeof field - 1;
  memcpy(field, fault->detail, size);
  field[size] = '\0';
  return ee_mistake(error, result_of(fault->reason), field, "%s", fault->detail);
}

int ee_mistake_of_err(struct envelope_error *error, int result, const struct ee_err *err) {
  return ee_mistake(error, result, NULL, "%s", err->text);
}
