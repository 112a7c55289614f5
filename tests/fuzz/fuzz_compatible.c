// SPDX-License-Identifier: Apache-2.0
// Any two texts, parted by a NUL, as schemas: a schema reads itself, and a verdict is given on
// each pair without a fault.
#include <stdlib.h>

#include "contract/canonical.h"
#include "contract/compatible.h"
#include "contract/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds) {
  if (!holds) abort();
}

static void require_reads_itself(struct ee_str schema) {
  struct ee_err why = {.text = ""};
  uint64_t fingerprint;
  bool is_schema = ee_schema_text_fingerprint(schema, &fingerprint, NULL);
  bool can = ee_schema_can_read(schema, schema, &why);
  require(can ? is_schema : !is_schema || strstr(why.text, "nested too deep") != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const uint8_t *end = memchr(data, 0, size);
  size_t first = end == NULL ? size : (size_t)(end - data);
  size_t second = end == NULL ? 0 : size - first - 1;
  struct ee_str a = ee_bytes_str(ee_bytes(data, first));
  struct ee_str b = ee_bytes_str(ee_bytes(data + size - second, second));
  char name[EE_SCHEMA_NAME_SIZE];
  struct ee_err why = {.text = ""};
  require_reads_itself(a);
  require_reads_itself(b);
  require(ee_schema_can_read(a, b, &why) || why.text[0] != '\0');
  ee_schema_full_name(a, name, &why);
  return 0;
}
