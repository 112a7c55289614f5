// SPDX-License-Identifier: Apache-2.0
// Every record type of the contract against avro-c: what we encode it reads as the same
// values, what it encodes we read as the same values, and of mutated bytes we accept none
// that it does not read as we do.
#include "contract/record.h"
#include "records.h"
#include "tests/support/own_plan.h"
#include "tests/support/test.h"
#include "tests/unit/contract/avro_oracle.h"
#include "tests/unit/contract/random_record.h"

#define ROUNDS 150
#define MUTATIONS 40
#define ARENA_MAX ((size_t)16 << 20)

struct bench {
  const struct ee_record_type *type;
  const struct ee_plan *plan;
  struct avro_oracle oracle;
  struct ee_arena arena;
  struct ee_buf encoded;
  struct random random;
  unsigned accepted;
};

static void *new_record(struct bench *b) {
  void *record = ee_arena_zero(&b->arena, 1, b->type->size);
  assert_non_null(record);
  return record;
}

static struct ee_bytes exact_copy(struct ee_bytes bytes) {
  uint8_t *copy = malloc(bytes.size == 0 ? 1 : bytes.size);
  assert_non_null(copy);
  if (bytes.size > 0) memcpy(copy, bytes.data, bytes.size);
  return ee_bytes(copy, bytes.size);
}

// What avro-c writes of the value it has just read must be read by us as before.
static void read_back(struct bench *b, const void *record) {
  size_t size = 0;
  struct ee_fault fault;
  assert_int_equal(avro_value_sizeof(&b->oracle.value, &size), 0);
  char *data = malloc(size);
  avro_writer_t writer = avro_writer_memory(data, (int64_t)size);
  assert_int_equal(avro_value_write(writer, &b->oracle.value), 0);
  void *again = new_record(b);
  assert_true(ee_decode(b->plan, ee_bytes(data, size), &b->arena, again, &fault));
  assert_true(ee_equal(b->type, record, again, NULL));
  avro_writer_free(writer);
  free(data);
}

static void try_mutations(struct bench *b) {
  for (int i = 0; i < MUTATIONS; i++) {
    struct ee_bytes bytes = exact_copy(ee_buf_bytes(&b->encoded));
    uint8_t *data = (uint8_t *)bytes.data;
    for (size_t n = 1 + random_below(&b->random, 3); n > 0 && bytes.size > 0; n--) {
      size_t at = random_below(&b->random, bytes.size);
      int bit = 1 << random_below(&b->random, 8);
      data[at] = (uint8_t)(random_below(&b->random, 2) == 0 ? (int)random_next(&b->random)
                                                            : data[at] ^ bit);
    }
    if (random_below(&b->random, 4) == 0) bytes.size = random_below(&b->random, bytes.size + 1);
    void *record = new_record(b);
    struct ee_fault fault;
    bool valid = ee_validate(b->plan, bytes, &fault);
    assert_int_equal(ee_decode(b->plan, bytes, &b->arena, record, &fault), valid);
    if (valid) {
      assert_true(avro_oracle_agrees(&b->oracle, bytes, record));
      assert_true(ee_check_record(b->type, record, &fault));
      b->accepted++;
    } else {
      assert_int_not_equal(fault.reason, EE_ACCEPTED);
      assert_true(fault.position <= bytes.size);
    }
    free(data);
  }
}

static void try_one(struct bench *b) {
  struct ee_fault fault;
  void *record = new_record(b);
  void *decoded = new_record(b);
  random_record(&b->random, b->type, &b->arena, record);
  if (!ee_check_record(b->type, record, &fault)) fail_msg("%s", fault.detail);
  ee_encode(b->type, record, &b->encoded);
  assert_false(b->encoded.failed);
  struct ee_bytes bytes = exact_copy(ee_buf_bytes(&b->encoded));
  if (!ee_validate(b->plan, bytes, &fault)) fail_msg("%s: %s", b->type->name, fault.detail);
  assert_true(ee_decode(b->plan, bytes, &b->arena, decoded, &fault));
  assert_true(ee_equal(b->type, record, decoded, NULL));
  assert_true(avro_oracle_agrees(&b->oracle, bytes, record));
  read_back(b, record);
  // Its own bytes are the whole input, and the encoder copies them.
  const struct ee_bytes *span = decoded;
  assert_ptr_equal(span->data, bytes.data);
  assert_int_equal(span->size, bytes.size);
  free((void *)bytes.data);
  try_mutations(b);
}

static void all_types_agree_with_avro_c(void **state) {
  (void)state;
  unsigned accepted = 0;
  for (size_t i = 0; i < ee_record_type_count; i++) {
    struct bench b = {.type = ee_record_types[i], .random = {.state = i + 1}};
    b.plan = own_plan(b.type);
    assert_non_null(b.plan);
    assert_true(ee_plan_same(b.plan));
    assert_true(avro_oracle_init(&b.oracle, b.type));
    ee_arena_init(&b.arena, ARENA_MAX);
    ee_buf_init(&b.encoded, ARENA_MAX);
    for (int round = 0; round < ROUNDS; round++) {
      try_one(&b);
      ee_arena_clear(&b.arena);
      ee_buf_clear(&b.encoded);
    }
    accepted += b.accepted;
    ee_buf_release(&b.encoded);
    ee_arena_release(&b.arena);
    avro_oracle_release(&b.oracle);
  }
  assert_true(accepted > 1000);  // else the mutations tell nothing
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(all_types_agree_with_avro_c)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
