// SPDX-License-Identifier: Apache-2.0
// Any bytes as a record of any type of the contract. What is accepted, avro-c must read
// from the same bytes, and it must survive each way of being written.
#include <stdlib.h>

#include "contract/json.h"
#include "records.h"
#include "tests/unit/contract/avro_oracle.h"

#define MEMORY_MAX ((size_t)64 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds) {
  if (!holds) abort();
}

static struct avro_oracle *oracle_of(size_t index) {
  static struct avro_oracle oracles[64];
  require(index < sizeof oracles / sizeof *oracles);
  if (oracles[index].type == NULL) {
    require(avro_oracle_init(&oracles[index], ee_record_types[index]));
  }
  return &oracles[index];
}

// Written field by field and read again it is the same value.
static void require_round_trip(const struct ee_record_type *type, void *record,
                               struct ee_arena *arena) {
  struct ee_buf out;
  void *again = ee_arena_zero(arena, 1, type->size);
  require(again != NULL);
  ee_buf_init(&out, MEMORY_MAX);
  *(struct ee_bytes *)record = (struct ee_bytes){.data = NULL};
  ee_encode(type, record, &out);
  require(!out.failed);
  require(ee_decode(ee_plan_own(type), ee_buf_bytes(&out), arena, again, NULL));
  require(ee_equal(type, record, again, NULL));
  ee_buf_release(&out);
}

static void require_json(const struct ee_record_type *type, const void *record,
                         struct ee_arena *arena) {
  struct ee_buf out;
  void *again = ee_arena_zero(arena, 1, type->size);
  ee_buf_init(&out, MEMORY_MAX);
  ee_json_write(type, record, NULL, &out);
  require(again != NULL && !out.failed);
  json_error_t error;
  json_t *json =
      json_loadb((const char *)out.data, out.size, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
  // A NUL in a map's key is beyond jansson, in this version and the next.
  require(json != NULL || json_error_code(&error) == json_error_null_byte_in_key);
  if (json != NULL) {
    require(ee_json_read(type, json, arena, again, NULL));
    require(ee_equal(type, record, again, NULL));
  }
  json_decref(json);
  ee_buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  size_t index = data[0] % ee_record_type_count;
  const struct ee_record_type *type = ee_record_types[index];
  const struct ee_plan *plan = ee_plan_own(type);
  struct ee_bytes bytes = ee_bytes(data + 1, size - 1);
  struct ee_arena arena;
  struct ee_fault fault = {.reason = EE_ACCEPTED};
  ee_arena_init(&arena, MEMORY_MAX);
  void *record = ee_arena_zero(&arena, 1, type->size);
  require(plan != NULL && record != NULL);
  bool valid = ee_validate(plan, bytes, &fault);
  require(valid == (fault.reason == EE_ACCEPTED));
  require(ee_decode(plan, bytes, &arena, record, NULL) == valid);
  if (valid) {
    require(avro_oracle_agrees(oracle_of(index), bytes, record));
    avro_oracle_rest(oracle_of(index));
    require(ee_check_record(type, record, NULL));
    require_round_trip(type, record, &arena);
    require_json(type, record, &arena);
  }
  ee_arena_release(&arena);
  return 0;
}
