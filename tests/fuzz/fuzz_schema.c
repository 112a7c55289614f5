// SPDX-License-Identifier: Apache-2.0
// Any text as a writer's schema, and behind a NUL any bytes as its record: whatever plan is
// made must run within its bounds, and validate and decode must agree.
#include <stdlib.h>

#include "contract/canonical.h"
#include "contract/record.h"
#include "records.h"

#define MEMORY_MAX ((size_t)64 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds) {
  if (!holds) abort();
}

// A canonical form is its own canonical form.
static void require_canonical(struct ee_str schema) {
  struct ee_buf once, twice;
  ee_buf_init(&once, MEMORY_MAX);
  ee_buf_init(&twice, MEMORY_MAX);
  if (ee_schema_text_canonical(schema, &once, NULL) && once.size <= EE_SCHEMA_SIZE_MAX) {
    require(ee_schema_text_canonical(ee_buf_view(&once), &twice, NULL));
    require(ee_bytes_equal(ee_buf_bytes(&once), ee_buf_bytes(&twice)));
  }
  ee_buf_release(&once);
  ee_buf_release(&twice);
}

static void try_reader(const struct ee_record_type *reader, struct ee_str schema,
                       struct ee_bytes bytes) {
  struct ee_plan *plan = NULL;
  struct ee_fault fault = {.reason = EE_ACCEPTED};
  if (!ee_plan_new(reader, schema, &plan, &fault)) {
    require(fault.reason != EE_ACCEPTED && plan == NULL);
    return;
  }
  struct ee_arena arena;
  ee_arena_init(&arena, MEMORY_MAX);
  void *record = ee_arena_zero(&arena, 1, reader->size);
  require(record != NULL);
  bool valid = ee_validate(plan, bytes, &fault);
  bool decoded = ee_decode(plan, bytes, &arena, record, NULL);
  require(decoded == valid);
  if (valid) {
    struct ee_buf out;
    ee_buf_init(&out, MEMORY_MAX);
    require(ee_check_record(reader, record, NULL));
    ee_encode(reader, record, &out);
    require(!out.failed && ee_validate(ee_plan_own(reader), ee_buf_bytes(&out), NULL));
    ee_buf_release(&out);
  }
  ee_arena_release(&arena);
  ee_plan_free(plan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  const struct ee_record_type *reader = ee_record_types[data[0] % ee_record_type_count];
  const uint8_t *text = data + 1;
  const uint8_t *end = memchr(text, 0, size - 1);
  size_t text_size = end == NULL ? size - 1 : (size_t)(end - text);
  struct ee_str schema = {.data = (const char *)text, .size = text_size};
  struct ee_bytes bytes = ee_bytes("", 0);
  if (end != NULL) bytes = ee_bytes(end + 1, size - 2 - text_size);
  require_canonical(schema);
  try_reader(reader, schema, bytes);
  return 0;
}
