// SPDX-License-Identifier: Apache-2.0
// RFC 3339 times: what is read and lies in the printable years prints and reads as itself.
#include <stdlib.h>

#include "base/time.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  int64_t micros, again;
  char text[EE_RFC3339_SIZE];
  if (!ee_time_parse(ee_bytes_str(ee_bytes(data, size)), &micros)) return 0;
  ee_time_print(micros, text);
  if (strchr(text, 'T') == NULL) return 0;
  if (!ee_time_parse(ee_str(text), &again) || again != micros) abort();
  return 0;
}
