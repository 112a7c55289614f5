// SPDX-License-Identifier: Apache-2.0
// 128-bit quantities in decimal and in Avro's bytes.
#include "base/int128.h"

#define DIGITS_MOST ((size_t)38)

void ee_int128_print(ee_int128 value, char out[EE_INT128_TEXT]) {
  ee_uint128 rest = value < 0 ? -(ee_uint128)value : (ee_uint128)value;
  char reversed[EE_INT128_TEXT];
  size_t size = 0;
  do {
    reversed[size++] = (char)('0' + (int)(rest % 10));
    rest /= 10;
  } while (rest != 0);
  if (value < 0) reversed[size++] = '-';
  for (size_t i = 0; i < size; i++) {
    out[i] = reversed[size - 1 - i];
  }
  out[size] = '\0';
}

bool ee_int128_parse(struct ee_str text, ee_int128 *ret) {
  bool negative = text.size > 0 && text.data[0] == '-';
  size_t at = negative ? 1 : 0;
  if (text.size == at || text.size - at > DIGITS_MOST) return false;
  ee_int128 value = 0;  // 38 digits are below 2^127
  for (; at < text.size; at++) {
    char digit = text.data[at];
    if (digit < '0' || digit > '9') return false;
    value = value * 10 + (digit - '0');
  }
  *ret = negative ? -value : value;
  return true;
}

size_t ee_int128_to_bytes(ee_int128 value, uint8_t out[16]) {
  uint8_t all[16];
  ee_uint128 bits = (ee_uint128)value;
  for (size_t i = 16; i-- > 0; bits >>= 8) {
    all[i] = (uint8_t)bits;
  }
  uint8_t sign = value < 0 ? 0xFF : 0x00;
  size_t skip = 0;
  while (skip < 15 && all[skip] == sign && (all[skip + 1] & 0x80) == (sign & 0x80))
    skip++;
  memcpy(out, all + skip, 16 - skip);
  return 16 - skip;
}

bool ee_int128_from_bytes(struct ee_bytes bytes, ee_int128 *ret) {
  if (bytes.size == 0 || bytes.size > 16) return false;
  ee_uint128 bits = (bytes.data[0] & 0x80) != 0 ? ~(ee_uint128)0 : 0;
  for (size_t i = 0; i < bytes.size; i++) {
    bits = bits << 8 | bytes.data[i];
  }
  *ret = (ee_int128)bits;
  return true;
}
