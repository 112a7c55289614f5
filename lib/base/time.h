// SPDX-License-Identifier: Apache-2.0
// Times as the contract prints and reads them: UTC microseconds since 1970.
#ifndef EE_BASE_TIME_H
#define EE_BASE_TIME_H

#include "base/buf.h"

#define EE_MICROS_PER_MS INT64_C(1000)
#define EE_MICROS_PER_S INT64_C(1000000)
#define EE_MICROS_PER_HOUR (INT64_C(3600) * EE_MICROS_PER_S)
#define EE_RFC3339_SIZE 32  // enough for any printed time with its NUL

// 2026-05-08T12:00:00.000000Z: always six digits and Z. Years outside 0000 to 9999 have
// no RFC 3339 form and are printed as an integer.
void ee_time_print(int64_t micros, char out[EE_RFC3339_SIZE]);
// Reads RFC 3339 (any offset, 0 to 9 digits of fraction, cut to microseconds; a leap
// second 60 is read as the second after). False when text is anything else.
bool ee_time_parse(struct ee_str text, int64_t *ret_micros);
// A span for people: "850 ms", "12.4 s", "3 min 20 s", "2 h 5 min", "4 d 3 h".
void ee_span_print(int64_t micros, char out[EE_RFC3339_SIZE]);

// The edge: only programs and the runtime's shell read clocks.
int64_t ee_clock_wall_micros(void);
int64_t ee_clock_monotonic_ms(void);
int64_t ee_clock_monotonic_nanos(void);

#endif
