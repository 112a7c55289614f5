// SPDX-License-Identifier: Apache-2.0
// Any text as a record in JSON: what is read must print, read and encode as the same
// value. And any text as the value of an extension, judged as jansson judges it.
#include <stdlib.h>

#include "base/utf8.h"
#include "contract/canonical.h"
#include "contract/json.h"
#include "contract/value.h"
#include "records.h"

#define MEMORY_MAX ((size_t)64 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds) {
  if (!holds) abort();
}

static void require_prints(const struct ee_record_type *type, const void *record,
                           struct ee_arena *arena) {
  struct ee_buf out;
  void *again = ee_arena_zero(arena, 1, type->size);
  ee_buf_init(&out, MEMORY_MAX);
  ee_json_write(type, record, NULL, &out);
  require(again != NULL && !out.failed);
  json_t *json =
      json_loadb((const char *)out.data, out.size, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
  require(json != NULL && ee_json_read(type, json, arena, again, NULL));
  require(ee_equal(type, record, again, NULL));
  json_decref(json);
  ee_buf_release(&out);
}

static void require_encodes(const struct ee_record_type *type, const void *record,
                            struct ee_arena *arena) {
  struct ee_buf out;
  void *again = ee_arena_zero(arena, 1, type->size);
  ee_buf_init(&out, MEMORY_MAX);
  ee_encode(type, record, &out);
  require(again != NULL && !out.failed);
  require(ee_decode(ee_plan_own(type), ee_buf_bytes(&out), arena, again, NULL));
  require(ee_equal(type, record, again, NULL));
  ee_buf_release(&out);
}

static void try_extension(struct ee_str text) {
  json_error_t error;
  // jansson takes a NUL for the end of the text.
  if (text.size == 0 || memchr(text.data, 0, text.size) != NULL) return;
  if (!ee_utf8_valid(text.data, text.size) || ee_json_nesting(text) > EE_SCHEMA_DEPTH_MAX) return;
  json_t *json = json_loadb(text.data, text.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
  bool limit = json == NULL && (json_error_code(&error) == json_error_numeric_overflow ||
                                json_error_code(&error) == json_error_null_byte_in_key ||
                                strncmp(error.text, "invalid Unicode", 15) == 0);
  require(limit || ee_json_text_valid(text) == (json != NULL));
  json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  const struct ee_record_type *type = ee_record_types[data[0] % ee_record_type_count];
  struct ee_str text = ee_bytes_str(ee_bytes(data + 1, size - 1));
  struct ee_arena arena;
  ee_arena_init(&arena, MEMORY_MAX);
  json_t *json = json_loadb(text.data, text.size, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, NULL);
  void *record = ee_arena_zero(&arena, 1, type->size);
  require(record != NULL);
  if (json != NULL && ee_json_read(type, json, &arena, record, NULL)) {
    require_prints(type, record, &arena);
    require_encodes(type, record, &arena);
  }
  json_decref(json);
  ee_arena_release(&arena);
  try_extension(text);
  return 0;
}
