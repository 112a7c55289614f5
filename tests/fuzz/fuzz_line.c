// SPDX-License-Identifier: Apache-2.0
// Any bytes as a line of envelope-emit: what is taken must encode and decode as the same
// record, under a key that is the record's own.
#include <stdlib.h>

#include "contract/event_line.h"
#include "contract/record.h"

#define MEMORY_MAX ((size_t)64 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds) {
  if (!holds) abort();
}

static void require_encodes(const struct ee_event_line *line, struct ee_arena *arena) {
  struct ee_buf out;
  void *again = ee_arena_zero(arena, 1, line->type->size);
  ee_buf_init(&out, MEMORY_MAX);
  ee_encode(line->type, line->record, &out);
  require(again != NULL && !out.failed);
  require(ee_decode(ee_plan_own(line->type), ee_buf_bytes(&out), arena, again, NULL));
  require(ee_equal(line->type, line->record, again, NULL));
  ee_buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const struct ee_line_defaults defaults = {.envelope_id = EE_STR_INIT("envelope"),
                                                   .event_id = EE_STR_INIT("event"),
                                                   .source = EE_STR_INIT("urn:source"),
                                                   .occurred_at = 1};
  struct ee_arena arena;
  struct ee_event_line line;
  struct ee_line_fault fault;
  ee_arena_init(&arena, MEMORY_MAX);
  if (ee_event_line_read(ee_bytes_str(ee_bytes(data, size)), &defaults, &arena, &line, &fault)) {
    require(line.envelope_id.size >= 1 && line.envelope_id.size <= 128);
    require((line.event_id.data == NULL) == (line.topic == EE_TOPIC_OBLIGATION));
    require_encodes(&line, &arena);
  } else {
    require(fault.fault.reason != EE_ACCEPTED && fault.fault.detail[0] != '\0');
  }
  ee_arena_release(&arena);
  return 0;
}
