// SPDX-License-Identifier: Apache-2.0
// When traffic begins.
#include "tools/traffic/start.h"

#include "base/time.h"

bool start_read(const char *text, int64_t *ret, struct ee_err *err) {
  *ret = ee_clock_wall_micros();
  return strcmp(text, "now") == 0 || ee_time_parse(ee_str(text), ret) ||
         ee_err_set(err, "--start: %s is neither now nor an RFC 3339 time", text);
}
