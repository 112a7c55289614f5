// SPDX-License-Identifier: Apache-2.0
// Is this JSON text (RFC 8259)? For the values of extensions and annotations, which are on
// the hot path and need no tree. Bounded in depth; UTF-8 has been checked before.
#include "contract/value.h"

static const char *skip_space(const char *at, const char *end) {
  while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')) {
    at++;
  }
  return at;
}

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

static bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_plain(char c) {
  return (unsigned char)c >= 0x20 && c != '"' && c != '\\';
}

// Each of these begins at the first byte of its piece and returns the byte after it, or
// NULL.
static const char *skip_string(const char *at, const char *end) {
  for (at++; at < end; at++) {
    if (is_plain(*at)) continue;
    if (*at == '"') return at + 1;
    if (*at != '\\') return NULL;  // a control character
    if (++at == end || memchr("\"\\/bfnrtu", *at, 9) == NULL) return NULL;
    if (*at != 'u') continue;
    if (end - at < 5) return NULL;
    for (int i = 1; i <= 4; i++) {
      if (!is_hex(at[i])) return NULL;
    }
    at += 4;
  }
  return NULL;
}

static const char *skip_digits(const char *at, const char *end) {
  if (at == end || !is_digit(*at)) return NULL;
  while (at < end && is_digit(*at)) {
    at++;
  }
  return at;
}

static const char *skip_number(const char *at, const char *end) {
  if (*at == '-') at++;
  if (at < end && *at == '0') {
    at++;
  } else {
    at = skip_digits(at, end);
  }
  if (at != NULL && at < end && *at == '.') at = skip_digits(at + 1, end);
  if (at != NULL && at < end && (*at == 'e' || *at == 'E')) {
    at++;
    if (at < end && (*at == '+' || *at == '-')) at++;
    at = skip_digits(at, end);
  }
  return at;
}

static const char *skip_word(const char *at, const char *end, const char *word) {
  size_t size = strlen(word);
  return (size_t)(end - at) >= size && memcmp(at, word, size) == 0 ? at + size : NULL;
}

static const char *skip_value(const char *at, const char *end, unsigned depth);

// "name": and the space around the colon.
static const char *skip_name(const char *at, const char *end) {
  if (at == end || *at != '"') return NULL;
  at = skip_string(at, end);
  if (at != NULL) at = skip_space(at, end);
  return at != NULL && at < end && *at == ':' ? skip_space(at + 1, end) : NULL;
}

static const char *skip_members(const char *at, const char *end, char close, unsigned depth) {
  at = skip_space(at + 1, end);
  if (at < end && *at == close) return at + 1;
  for (;;) {
    if (close == '}') at = skip_name(at, end);
    if (at != NULL) at = skip_value(at, end, depth);
    if (at == NULL) return NULL;
    at = skip_space(at, end);
    if (at < end && *at == close) return at + 1;
    if (at == end || *at != ',') return NULL;
    at = skip_space(at + 1, end);
  }
}

static const char *skip_value(const char *at, const char *end, unsigned depth) {
  if (at == end || depth == 0) return NULL;
  switch (*at) {
    case '{':
      return skip_members(at, end, '}', depth - 1);
    case '[':
      return skip_members(at, end, ']', depth - 1);
    case '"':
      return skip_string(at, end);
    case 't':
      return skip_word(at, end, "true");
    case 'f':
      return skip_word(at, end, "false");
    case 'n':
      return skip_word(at, end, "null");
    default:
      return *at == '-' || is_digit(*at) ? skip_number(at, end) : NULL;
  }
}

bool ee_json_text_valid(struct ee_str text) {
  if (text.size == 0) return false;
  const char *end = text.data + text.size;
  const char *at = skip_value(skip_space(text.data, end), end, EE_SCHEMA_DEPTH_MAX);
  return at != NULL && skip_space(at, end) == end;
}
