// SPDX-License-Identifier: Apache-2.0
// 128-bit quantities: decimal text, and Avro's decimal bytes.
#ifndef EE_BASE_INT128_H
#define EE_BASE_INT128_H

#include "base/slice.h"

__extension__ typedef __int128 ee_int128;
__extension__ typedef unsigned __int128 ee_uint128;

#define EE_INT128_TEXT 48  // enough for any value with sign and NUL

void ee_int128_print(ee_int128 value, char out[EE_INT128_TEXT]);
// Optional minus, then 1 to 38 digits, nothing else.
bool ee_int128_parse(struct ee_str text, ee_int128 *ret);
// Two's complement, big-endian, as few bytes as hold it (Avro decimal). Returns the
// number of bytes written, 1 to 16.
size_t ee_int128_to_bytes(ee_int128 value, uint8_t out[16]);
// False for 0 or more than 16 bytes.
bool ee_int128_from_bytes(struct ee_bytes bytes, ee_int128 *ret);

#endif
