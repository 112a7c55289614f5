// SPDX-License-Identifier: Apache-2.0
// When traffic begins.
#ifndef EE_TOOLS_TRAFFIC_START_H
#define EE_TOOLS_TRAFFIC_START_H

#include <stdint.h>

#include "base/err.h"

// "now" or an RFC 3339 time, as UTC microseconds. Reads the wall clock.
bool start_read(const char *text, int64_t *ret, struct ee_err *err);

#endif
