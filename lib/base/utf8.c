// SPDX-License-Identifier: Apache-2.0
// Well-formed UTF-8, by Unicode's table 3-7.
#include "base/utf8.h"

static uint64_t word_at(const char *at) {
  uint64_t word;
  memcpy(&word, at, sizeof word);
  return word;
}

static uint64_t half_at(const char *at) {
  uint32_t half;
  memcpy(&half, at, sizeof half);
  return half;
}

// The last word may overlap the one before it.
static bool is_ascii(const char *data, size_t size) {
  uint64_t seen = 0;
  if (size >= sizeof seen) {
    for (size_t i = 0; i + sizeof seen < size; i += sizeof seen)
      seen |= word_at(data + i);
    seen |= word_at(data + size - sizeof seen);
  } else if (size >= sizeof seen / 2) {
    seen = half_at(data) | half_at(data + size - sizeof seen / 2);
  } else {
    for (size_t i = 0; i < size; i++)
      seen |= (uint8_t)data[i];
  }
  return (seen & UINT64_C(0x8080808080808080)) == 0;
}

static bool continues(uint8_t byte) {
  return (byte & 0xC0) == 0x80;
}

size_t ee_utf8_length(const char *data, size_t size) {
  const uint8_t *at = (const uint8_t *)data;
  if (size == 0) return 0;
  uint8_t lead = at[0];
  if (lead < 0x80) return 1;
  if (lead < 0xC2 || lead > 0xF4) return 0;
  if (size < 2 || !continues(at[1])) return 0;
  if (lead < 0xE0) return 2;
  if (lead == 0xE0 && at[1] < 0xA0) return 0;  // overlong
  if (lead == 0xED && at[1] > 0x9F) return 0;  // surrogate
  if (size < 3 || !continues(at[2])) return 0;
  if (lead < 0xF0) return 3;
  if (lead == 0xF0 && at[1] < 0x90) return 0;  // overlong
  if (lead == 0xF4 && at[1] > 0x8F) return 0;  // above U+10FFFF
  return size >= 4 && continues(at[3]) ? 4 : 0;
}

bool ee_utf8_valid(const char *data, size_t size) {
  if (is_ascii(data, size)) return true;
  for (size_t i = 0; i < size;) {
    size_t length = ee_utf8_length(data + i, size - i);
    if (length == 0) return false;
    i += length;
  }
  return true;
}

struct ee_str ee_utf8_cut(struct ee_str text, size_t most) {
  if (text.size <= most) return text;
  while (most > 0 && continues((uint8_t)text.data[most]))
    most--;
  return (struct ee_str){.data = text.data, .size = most};
}
