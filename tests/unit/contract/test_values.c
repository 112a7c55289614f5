// SPDX-License-Identifier: Apache-2.0
// What walks structs: defaults, equality, copies, the encoder's use of `encoded`, and the
// check of records made by hand.
#include "records.h"
#include "tests/support/chaos.h"
#include "tests/support/test.h"
#include "tests/unit/contract/random_record.h"
#include "tests/unit/contract/thing.h"

#define ROUNDS 60

static void *zeroed(struct ee_arena *arena, size_t size) {
  void *memory = ee_arena_zero(arena, 1, size);
  assert_non_null(memory);
  return memory;
}

// ---- Defaults.

static void defaults_are_set_and_all_else_is_absent(void **state) {
  (void)state;
  struct thing thing;
  memset(&thing, 0xa5, sizeof thing);
  ee_record_init(&thing_type, &thing);
  assert_null(thing.encoded.data);
  assert_null(thing.id.data);
  assert_false(thing.size.present);
  assert_int_equal(thing.total, 0);
  assert_int_equal(thing.level, 7);
  assert_true(thing.flag);
  assert_true(ee_str_equal(thing.note, EE_STR("none")));
  assert_null(thing.nick.data);
  assert_int_equal(thing.colour, GREEN);
  assert_false(thing.trim.present);
  assert_null(thing.mark);
  assert_true(thing.price == 0);
  assert_null(thing.main.name.data);
  assert_int_equal(thing.main.weight, 5);
  assert_null(thing.spare);
  assert_int_equal(thing.parts.count + thing.labels.count + thing.counts.count, 0);
  struct ee_lifecycle lifecycle;
  ee_record_init(&ee_lifecycle_type, &lifecycle);
  assert_int_equal(lifecycle.foreign.resolved.count, 0);
  struct ee_caller caller;
  ee_record_init(&ee_caller_type, &caller);
  assert_int_equal(caller.initiator, EE_INITIATOR_OTHER);
}

static void symbols_are_found_by_their_whole_name(void **state) {
  (void)state;
  assert_int_equal(ee_enum_find(&colour_type, EE_STR("BLUE")), BLUE);
  assert_int_equal(ee_enum_find(&colour_type, EE_STR("BLU")), -1);
  assert_int_equal(ee_enum_find(&colour_type, EE_STR("BLUE\0")), -1);
  assert_int_equal(ee_enum_find(&colour_type, EE_STR("blue")), -1);
  assert_int_equal(ee_enum_find(&colour_type, EE_STR("")), -1);
}

// ---- Equality.

// Turns every map of a record around.
static void reverse_maps(const struct ee_record_type *type, void *record) {
  for (size_t i = 0; i < type->count; i++) {
    const struct ee_type *field = &type->fields[i].type;
    void *value = (void *)ee_value_in(field, ee_at(record, type->fields[i].offset));
    if (value == NULL) continue;
    if (field->kind == EE_TYPE_RECORD) reverse_maps(field->record, value);
    if (field->kind == EE_TYPE_ARRAY && field->item->kind == EE_TYPE_RECORD) {
      struct ee_array *array = value;
      for (size_t k = 0; k < array->count; k++) {
        reverse_maps(field->item->record, ee_at_mutable(array->items, k * field->size));
      }
    }
    if (field->kind != EE_TYPE_MAP) continue;
    struct ee_map *map = value;
    char swap[64];
    assert_true(field->size <= sizeof swap);
    for (size_t k = 0; k < map->count / 2; k++) {
      char *a = ee_at_mutable(map->entries, k * field->size);
      char *b = ee_at_mutable(map->entries, (map->count - 1 - k) * field->size);
      memcpy(swap, a, field->size);
      memcpy(a, b, field->size);
      memcpy(b, swap, field->size);
    }
  }
}

static bool same_bytes(const struct ee_record_type *type, const void *a, const void *b) {
  struct ee_buf x, y;
  ee_buf_init(&x, 1 << 22);
  ee_buf_init(&y, 1 << 22);
  ee_encode(type, a, &x);
  ee_encode(type, b, &y);
  assert_false(x.failed || y.failed);
  bool same = ee_bytes_equal(ee_buf_bytes(&x), ee_buf_bytes(&y));
  ee_buf_release(&x);
  ee_buf_release(&y);
  return same;
}

static void each_type(void (*test)(struct random *, const struct ee_record_type *,
                                   struct ee_arena *)) {
  struct ee_arena arena;
  ee_arena_init(&arena, (size_t)16 << 20);
  for (size_t i = 0; i < ee_record_type_count; i++) {
    struct random random = {.state = 77 + i};
    for (int round = 0; round < ROUNDS; round++) {
      test(&random, ee_record_types[i], &arena);
      ee_arena_clear(&arena);
    }
  }
  ee_arena_release(&arena);
}

static void check_copy(struct random *random, const struct ee_record_type *type,
                       struct ee_arena *arena) {
  struct ee_arena source;
  ee_arena_init(&source, (size_t)16 << 20);
  void *record = zeroed(&source, type->size);
  void *copy = zeroed(arena, type->size);
  random_record(random, type, &source, record);
  *(struct ee_bytes *)record = (struct ee_bytes){.data = NULL};
  struct ee_buf before;
  ee_buf_init(&before, 1 << 22);
  ee_encode(type, record, &before);
  struct ee_bytes span = ee_bytes(ee_arena_str(&source, EE_STR("span")).data, 4);
  *(struct ee_bytes *)record = span;
  assert_true(ee_copy(type, record, copy, arena));
  assert_true(ee_equal(type, record, copy, NULL));
  // What it was copied from may go away; under a sanitizer its memory is then poisoned.
  ee_arena_clear(&source);
  const struct ee_bytes *copied = copy;
  assert_ptr_not_equal(copied->data, span.data);
  assert_int_equal(memcmp(copied->data, "span", 4), 0);
  *(struct ee_bytes *)copy = (struct ee_bytes){.data = NULL};
  struct ee_buf after;
  ee_buf_init(&after, 1 << 22);
  ee_encode(type, copy, &after);
  assert_true(ee_bytes_equal(ee_buf_bytes(&before), ee_buf_bytes(&after)));
  reverse_maps(type, copy);
  ee_buf_release(&after);
  ee_buf_release(&before);
  ee_arena_release(&source);
}

static void copies_are_deep(void **state) {
  (void)state;
  each_type(check_copy);
}

static void check_permuted(struct random *random, const struct ee_record_type *type,
                           struct ee_arena *arena) {
  void *record = zeroed(arena, type->size);
  void *copy = zeroed(arena, type->size);
  random_record(random, type, arena, record);
  assert_true(ee_copy(type, record, copy, arena));
  reverse_maps(type, copy);
  assert_true(ee_equal(type, record, copy, NULL));
  assert_true(ee_equal(type, copy, record, NULL));
}

static void maps_are_equal_in_any_order(void **state) {
  (void)state;
  each_type(check_permuted);
}

// Two random records are equal just when their bytes are: a difference anywhere is seen.
static void check_unequal(struct random *random, const struct ee_record_type *type,
                          struct ee_arena *arena) {
  void *a = zeroed(arena, type->size);
  void *b = zeroed(arena, type->size);
  random_record(random, type, arena, a);
  assert_true(ee_copy(type, a, b, arena));
  size_t at = random_below(random, type->count);
  const struct ee_field *field = &type->fields[at];
  void *other = zeroed(arena, type->size);
  random_record(random, type, arena, other);
  memcpy(ee_at_mutable(b, field->offset), ee_at(other, field->offset), ee_value_size(&field->type));
  bool same = same_bytes(type, a, b);
  assert_int_equal(ee_equal(type, a, b, NULL), same);
  const char *const except[] = {field->name, NULL};
  assert_true(ee_equal(type, a, b, except));
  if (type->count > 1 && !same) {
    const char *const wrong[] = {type->fields[(at + 1) % type->count].name, NULL};
    assert_false(ee_equal(type, a, b, wrong));
  }
}

static void any_difference_is_seen_unless_excepted(void **state) {
  (void)state;
  each_type(check_unequal);
}

static void fill(struct ee_long_entry *entries, char (*keys)[8], size_t count) {
  for (size_t i = 0; i < count; i++) {
    snprintf(keys[i], sizeof keys[i], "%zu", i % 100000);
    entries[i] = (struct ee_long_entry){.key = ee_str(keys[i]), .value = (int64_t)i};
  }
}

static void large_maps_compare_by_key_and_value(void **state) {
  (void)state;
  static struct ee_long_entry a[EE_ENTRIES_MAX], b[EE_ENTRIES_MAX];
  static char keys[EE_ENTRIES_MAX][8];
  struct thing x = {.id = EE_STR("x")}, y = {.id = EE_STR("x")};
  static const size_t counts[] = {1, 16, 17, EE_ENTRIES_MAX};
  for (size_t i = 0; i < COUNT_OF(counts); i++) {
    size_t count = counts[i];
    fill(a, keys, count);
    for (size_t k = 0; k < count; k++) {
      b[k] = a[count - 1 - k];
    }
    x.counts = (struct ee_long_map){a, count};
    y.counts = (struct ee_long_map){b, count};
    assert_true(ee_equal(&thing_type, &x, &y, NULL));
    b[count / 2].value++;
    assert_false(ee_equal(&thing_type, &x, &y, NULL));
    b[count / 2].value--;
    b[count / 2].key = EE_STR("other");
    assert_false(ee_equal(&thing_type, &x, &y, NULL));
    y.counts.count--;
    assert_false(ee_equal(&thing_type, &x, &y, NULL));
  }
}

static void absent_and_empty_are_not_equal(void **state) {
  (void)state;
  struct thing x, y;
  ee_record_init(&thing_type, &x);
  y = x;
  x.nick = EE_STR("");
  assert_false(ee_equal(&thing_type, &x, &y, NULL));
  y = x;
  y.size = (struct ee_opt_long){.present = true};
  assert_false(ee_equal(&thing_type, &x, &y, NULL));
  y = x;
  y.mark = (const uint8_t *)"abc";
  assert_false(ee_equal(&thing_type, &x, &y, NULL));
  assert_false(ee_equal(&thing_type, &y, &x, NULL));
}

static void a_copy_fails_whole_when_there_is_no_room(void **state) {
  (void)state;
  struct ee_arena source, arena;
  ee_arena_init(&source, 1 << 22);
  struct random random = {.state = 5};
  struct thing thing, copy;
  do {
    random_record(&random, &thing_type, &source, &thing);
  } while (thing.parts.count == 0 || thing.labels.count == 0 || thing.spare == NULL);
  thing.encoded = (struct ee_bytes){.data = NULL};
  bool copied = false;
  for (size_t limit = 0; !copied; limit += 8) {
    ee_arena_init(&arena, limit);
    copied = ee_copy(&thing_type, &thing, &copy, &arena);
    if (copied) assert_true(ee_equal(&thing_type, &thing, &copy, NULL));
    ee_arena_release(&arena);
  }
  bool failed = true;
  for (size_t n = 0; failed; n++) {
    ee_arena_init(&arena, 1 << 22);
    ee_chaos_fail_after(n);
    copied = ee_copy(&thing_type, &thing, &copy, &arena);
    failed = ee_chaos_stop();
    assert_int_equal(copied, !failed);
    ee_arena_release(&arena);
  }
  ee_arena_release(&source);
}

// ---- Encoding.

// A thing at its defaults, absent required values as empty ones.
static const uint8_t plain_thing[] = "\0\0\0\x0e\x01\x08none\x02\x02\0\0\0\0\x02\0\0\x0a\0\0\0\0";

static void encoded_bytes_are_copied_and_cleared_ones_are_not(void **state) {
  (void)state;
  struct thing thing;
  struct ee_buf out;
  ee_buf_init(&out, 4096);
  ee_record_init(&thing_type, &thing);
  thing.encoded = ee_bytes("as it was", 9);
  ee_encode(&thing_type, &thing, &out);
  assert_int_equal(out.size, 9);
  assert_memory_equal(out.data, "as it was", 9);
  thing.encoded = (struct ee_bytes){.data = NULL};
  ee_buf_clear(&out);
  ee_encode(&thing_type, &thing, &out);
  assert_int_equal(out.size, sizeof plain_thing - 1);
  assert_memory_equal(out.data, plain_thing, out.size);
  ee_buf_release(&out);
}

static void an_encoder_without_room_says_so(void **state) {
  (void)state;
  struct thing thing;
  ee_record_init(&thing_type, &thing);
  for (size_t limit = 0; limit < sizeof plain_thing - 1; limit++) {
    struct ee_buf out;
    ee_buf_init(&out, limit);
    ee_encode(&thing_type, &thing, &out);
    assert_true(out.failed);
    ee_buf_release(&out);
  }
}

// ---- Checks of structs. (What bytes can also be wrong in is in test_decode.)

static struct thing good_thing(void) {
  struct thing thing;
  ee_record_init(&thing_type, &thing);
  thing.id = thing.main.name = EE_STR("x");
  thing.mark = (const uint8_t *)"abc";
  return thing;
}

static void expect(const struct thing *thing, enum ee_reason reason, const char *detail) {
  struct ee_fault fault = {.detail = ""};
  bool valid = ee_check_record(&thing_type, thing, &fault);
  assert_int_equal(valid, reason == EE_ACCEPTED);
  assert_int_equal(ee_check_record(&thing_type, thing, NULL), valid);
  assert_string_equal(fault.detail, detail);
  assert_int_equal(fault.reason, reason);
}

static void structs_are_checked(void **state) {
  (void)state;
  struct thing thing = good_thing();
  expect(&thing, EE_ACCEPTED, "");
  thing.note = (struct ee_str){.data = NULL};
  expect(&thing, EE_REASON_missing_field, "note: is absent");
  thing = good_thing();
  thing.mark = NULL;
  expect(&thing, EE_REASON_missing_field, "mark: is absent");
  thing = good_thing();
  thing.id = (struct ee_str){.data = NULL};
  expect(&thing, EE_REASON_missing_field, "id: must not be empty");
  thing = good_thing();
  thing.nick = EE_STR("\xff");
  expect(&thing, EE_REASON_invalid_utf8, "nick: not valid UTF-8");
  thing = good_thing();
  thing.colour = 3;
  expect(&thing, EE_REASON_bad_enum, "colour: 3 is no symbol of Colour");
  thing.colour = -2;
  expect(&thing, EE_REASON_bad_enum, "colour: -2 is no symbol of Colour");
  thing.colour = -1;
  expect(&thing, EE_REASON_missing_field, "colour: is absent");
  thing = good_thing();
  thing.trim = (struct ee_opt_enum){.present = true, .value = 4};
  expect(&thing, EE_REASON_bad_enum, "trim: 4 is no symbol of Colour");
  thing = good_thing();
  assert_true(ee_int128_parse(EE_STR("99999999999999999999999999999999999999"), &thing.price));
  expect(&thing, EE_ACCEPTED, "");
  thing.price++;
  expect(&thing, EE_REASON_oversized, "price: more than 38 digits");
  thing.price = -thing.price;
  expect(&thing, EE_REASON_oversized, "price: more than 38 digits");
  thing.price++;
  expect(&thing, EE_ACCEPTED, "");
}

static void structs_within_are_checked(void **state) {
  (void)state;
  struct part parts[2] = {{.name = EE_STR("a")}, {.name = EE_STR("\xc3")}};
  struct ee_str_entry labels[2] = {{EE_STR("k"), EE_STR("v")}, {EE_STR("j"), EE_STR("w")}};
  struct thing thing = good_thing();
  thing.parts = (struct part_array){parts, 2};
  expect(&thing, EE_REASON_invalid_utf8, "parts[1].name: not valid UTF-8");
  thing.parts.count = 1;
  expect(&thing, EE_ACCEPTED, "");
  thing.spare = &parts[1];
  expect(&thing, EE_REASON_invalid_utf8, "spare.name: not valid UTF-8");
  thing.spare = &parts[0];
  thing.labels = (struct ee_str_map){labels, 2};
  expect(&thing, EE_ACCEPTED, "");
  labels[1].key = labels[0].key;
  expect(&thing, EE_REASON_duplicate_key, "labels[k]: the key is there twice");
  labels[1].key = (struct ee_str){.data = NULL};
  expect(&thing, EE_REASON_missing_field, "labels[]: is absent");
  labels[1] = (struct ee_str_entry){EE_STR("j"), EE_STR("\xff")};
  expect(&thing, EE_REASON_invalid_utf8, "labels[j]: not valid UTF-8");
}

static void large_maps_are_refused(void **state) {
  (void)state;
  static struct ee_long_entry entries[EE_ENTRIES_MAX + 1];
  static char keys[EE_ENTRIES_MAX + 1][8];
  struct thing thing = good_thing();
  fill(entries, keys, EE_ENTRIES_MAX + 1);
  thing.counts = (struct ee_long_map){entries, EE_ENTRIES_MAX};
  expect(&thing, EE_ACCEPTED, "");
  thing.counts.count++;
  expect(&thing, EE_REASON_oversized, "counts: more than 1024 entries");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(defaults_are_set_and_all_else_is_absent),
      cmocka_unit_test(symbols_are_found_by_their_whole_name),
      cmocka_unit_test(copies_are_deep),
      cmocka_unit_test(maps_are_equal_in_any_order),
      cmocka_unit_test(any_difference_is_seen_unless_excepted),
      cmocka_unit_test(large_maps_compare_by_key_and_value),
      cmocka_unit_test(absent_and_empty_are_not_equal),
      cmocka_unit_test(a_copy_fails_whole_when_there_is_no_room),
      cmocka_unit_test(encoded_bytes_are_copied_and_cleared_ones_are_not),
      cmocka_unit_test(an_encoder_without_room_says_so),
      cmocka_unit_test(structs_are_checked),
      cmocka_unit_test(structs_within_are_checked),
      cmocka_unit_test(large_maps_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
