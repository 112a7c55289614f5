// SPDX-License-Identifier: Apache-2.0
// base/arena: alignment, limits, no piece touching another, a steady load without malloc.
#include "base/arena.h"

#include <stdalign.h>

#include "tests/support/chaos.h"
#include "tests/support/test.h"

#define PIECES ((size_t)500)

static void test_pieces_are_apart_and_aligned(void **state) {
  (void)state;
  struct ee_arena arena;
  uint8_t *pieces[PIECES];
  ee_arena_init(&arena, 1 << 20);
  for (size_t i = 0; i < PIECES; i++) {
    pieces[i] = ee_arena_alloc(&arena, i);
    assert_non_null(pieces[i]);
    assert_int_equal((uintptr_t)pieces[i] % alignof(max_align_t), 0);
    memset(pieces[i], (int)(i & 0xFF), i);
  }
  for (size_t i = 0; i < PIECES; i++) {
    for (size_t j = 0; j < i; j++) {
      assert_int_equal(pieces[i][j], i & 0xFF);
    }
  }
  ee_arena_release(&arena);
  ee_arena_release(&arena);
  ee_arena_release(NULL);
}

static void test_limit(void **state) {
  (void)state;
  for (size_t limit = 0; limit < 20000; limit += 111) {
    struct ee_arena arena;
    ee_arena_init(&arena, limit);
    assert_null(ee_arena_alloc(&arena, limit + 1));
    assert_non_null(ee_arena_alloc(&arena, limit));
    assert_null(ee_arena_alloc(&arena, 64));
    assert_true(arena.total <= limit);
    ee_arena_clear(&arena);
    assert_non_null(ee_arena_alloc(&arena, limit));
    ee_arena_release(&arena);
  }
}

static void test_many_small_pieces_stay_below_limit(void **state) {
  (void)state;
  struct ee_arena arena;
  ee_arena_init(&arena, 100000);
  size_t count = 0;
  while (ee_arena_alloc(&arena, 100) != NULL) {
    assert_true(arena.total <= 100000);
    count++;
  }
  // 128 bytes at most for each, and little lost at the ends of blocks.
  assert_in_range(count, 700, 1000);
  ee_arena_release(&arena);
}

static void test_sizes_that_overflow(void **state) {
  (void)state;
  struct ee_arena arena;
  ee_arena_init(&arena, SIZE_MAX);
  assert_null(ee_arena_alloc(&arena, SIZE_MAX));
  assert_null(ee_arena_alloc(&arena, SIZE_MAX - 7));
  assert_null(ee_arena_zero(&arena, SIZE_MAX / 2, 3));
  assert_null(ee_arena_zero(&arena, SIZE_MAX, SIZE_MAX));
  assert_non_null(ee_arena_zero(&arena, 0, SIZE_MAX));
  assert_non_null(ee_arena_zero(&arena, SIZE_MAX, 0));
  ee_arena_release(&arena);
}

static void test_zero_is_zero_after_clear(void **state) {
  (void)state;
  struct ee_arena arena;
  ee_arena_init(&arena, 1 << 16);
  memset(ee_arena_alloc(&arena, 3000), 0xA5, 3000);
  ee_arena_clear(&arena);
  const uint8_t *zeroed = ee_arena_zero(&arena, 1000, 3);
  for (size_t i = 0; i < 3000; i++) {
    assert_int_equal(zeroed[i], 0);
  }
  ee_arena_release(&arena);
}

static void one_round(struct ee_arena *arena, size_t pieces) {
  for (size_t i = 0; i < pieces; i++) {
    assert_non_null(ee_arena_alloc(arena, 50 + i % 100));
  }
}

// From the third round on, for loads that fill one block up to nearly the limit.
static void test_steady_load_allocates_nothing(void **state) {
  (void)state;
  for (size_t pieces = 1; pieces < 480; pieces++) {
    struct ee_arena arena;
    ee_arena_init(&arena, 1 << 16);
    for (int round = 0; round < 3; round++) {
      ee_chaos_fail_after(round < 2 ? SIZE_MAX : 0);
      one_round(&arena, pieces);
      assert_false(ee_chaos_stop());
      ee_arena_clear(&arena);
    }
    ee_arena_release(&arena);
  }
}

static void test_text_copies(void **state) {
  (void)state;
  struct ee_arena arena;
  ee_arena_init(&arena, 4096);
  char source[] = "a\0b";
  struct ee_str copy = ee_arena_str(&arena, (struct ee_str){.data = source, .size = 3});
  source[0] = 'x';
  assert_true(ee_str_equal(copy, EE_STR("a\0b")));
  assert_true(ee_str_equal(ee_arena_str(&arena, EE_STR("")), EE_STR("")));
  assert_null(ee_arena_str(&arena, (struct ee_str){.data = NULL, .size = 0}).data);
  static char large[5000];
  copy = ee_arena_str(&arena, (struct ee_str){.data = large, .size = sizeof large});
  assert_null(copy.data);
  assert_int_equal(copy.size, 0);
  ee_arena_release(&arena);
}

static void test_failing_allocation(void **state) {
  (void)state;
  struct ee_arena arena;
  ee_arena_init(&arena, 1 << 20);
  ee_chaos_fail_after(0);
  assert_null(ee_arena_alloc(&arena, 10));
  assert_true(ee_chaos_stop());
  assert_non_null(ee_arena_alloc(&arena, 10));
  ee_chaos_fail_after(0);
  assert_null(ee_arena_alloc(&arena, 100000));
  assert_true(ee_chaos_stop());
  assert_non_null(ee_arena_alloc(&arena, 10));
  ee_arena_release(&arena);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_pieces_are_apart_and_aligned),
      cmocka_unit_test(test_limit),
      cmocka_unit_test(test_many_small_pieces_stay_below_limit),
      cmocka_unit_test(test_sizes_that_overflow),
      cmocka_unit_test(test_zero_is_zero_after_clear),
      cmocka_unit_test(test_steady_load_allocates_nothing),
      cmocka_unit_test(test_text_copies),
      cmocka_unit_test(test_failing_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
