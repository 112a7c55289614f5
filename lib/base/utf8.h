// SPDX-License-Identifier: Apache-2.0
// Well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF).
// NUL is well-formed.
#ifndef EE_BASE_UTF8_H
#define EE_BASE_UTF8_H

#include "base/slice.h"

bool ee_utf8_valid(const char *data, size_t size);

// The bytes of the well-formed character that data begins with, 1 to 4; 0 if it begins
// with none, or size is 0.
size_t ee_utf8_length(const char *data, size_t size);

// At most that many bytes of well-formed text, cut after a whole character. Borrows.
struct ee_str ee_utf8_cut(struct ee_str text, size_t most);

#endif
