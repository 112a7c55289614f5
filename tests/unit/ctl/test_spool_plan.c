// SPDX-License-Identifier: Apache-2.0
// What a repair would do: for each kind of file, and for any mixture of them.
#include "tools/envelopectl/spool_plan.h"

#include "tests/support/test.h"

#define FILES_MAX 8

static struct ee_spool_look look_with(enum ee_spool_control_result control) {
  return (struct ee_spool_look){
      .control = control, .known = true, .progress = {.segment = 3, .offset = EE_SPOOL_UNIT}};
}

static void assert_steps(const struct ee_spool_look *look, struct ee_spool_plan_file *files,
                         size_t count, const struct ee_spool_step *wanted, size_t wanted_count) {
  struct ee_spool_step steps[EE_SPOOL_STEPS_MOST(FILES_MAX)] = {{.number = 0}};
  assert_int_equal(ee_spool_plan(look, files, count, steps), wanted_count);
  for (size_t i = 0; i < wanted_count; i++) {
    assert_int_equal(steps[i].act, wanted[i].act);
    assert_int_equal(steps[i].number, wanted[i].number);
    assert_int_equal(steps[i].to, wanted[i].to);
  }
}

static void what_is_sound_stays(void **state) {
  struct ee_spool_look look = look_with(EE_SPOOL_CONTROL_OPEN);
  struct ee_spool_plan_file files[] = {{3, 0, EE_SPOOL_FILE_SOUND}, {4, 0, EE_SPOOL_FILE_SOUND}};
  (void)state;
  assert_steps(&look, files, COUNT_OF(files), NULL, 0);
}

static void what_is_not_the_spools_goes(void **state) {
  static const struct ee_spool_step wanted[] = {{EE_SPOOL_FILE_ASIDE, 1, 0},
                                                {EE_SPOOL_FILE_ASIDE, 5, 0}};
  struct ee_spool_look look = look_with(EE_SPOOL_CONTROL_OPEN);
  struct ee_spool_plan_file files[] = {{1, 0, EE_SPOOL_FILE_FOREIGN},
                                       {3, 0, EE_SPOOL_FILE_SOUND},
                                       {4, 0, EE_SPOOL_FILE_GONE},
                                       {5, 0, EE_SPOOL_FILE_USELESS}};
  (void)state;
  assert_steps(&look, files, COUNT_OF(files), wanted, COUNT_OF(wanted));
}

// But not where all is settled and will be removed.
static void heads_are_made(void **state) {
  static const struct ee_spool_step wanted[] = {{EE_SPOOL_HEAD_MAKE, 3, 0}};
  struct ee_spool_look look = look_with(EE_SPOOL_CONTROL_OPEN);
  struct ee_spool_plan_file files[] = {{2, 0, EE_SPOOL_FILE_HEADLESS},
                                       {3, 0, EE_SPOOL_FILE_HEADLESS}};
  (void)state;
  assert_steps(&look, files, COUNT_OF(files), wanted, COUNT_OF(wanted));
}

// 3 and 4 have each other's names, 7 is 6, 8 is 9 and so is 10, and 11 is a copy of 6.
static void segments_get_their_places(void **state) {
  static const struct ee_spool_step wanted[] = {{EE_SPOOL_FILE_EXCHANGE, 3, 4},
                                                {EE_SPOOL_FILE_RENAME, 7, 6},
                                                {EE_SPOOL_FILE_RENAME, 8, 9},
                                                {EE_SPOOL_FILE_ASIDE, 10, 0},
                                                {EE_SPOOL_FILE_ASIDE, 11, 0}};
  struct ee_spool_look look = look_with(EE_SPOOL_CONTROL_OPEN);
  struct ee_spool_plan_file files[] = {
      {3, 4, EE_SPOOL_FILE_MISPLACED},  {4, 3, EE_SPOOL_FILE_MISPLACED},
      {7, 6, EE_SPOOL_FILE_MISPLACED},  {8, 9, EE_SPOOL_FILE_MISPLACED},
      {10, 9, EE_SPOOL_FILE_MISPLACED}, {11, 6, EE_SPOOL_FILE_MISPLACED}};
  (void)state;
  assert_steps(&look, files, COUNT_OF(files), wanted, COUNT_OF(wanted));
}

static void a_control_file_is_made_last(void **state) {
  static const struct ee_spool_step wanted[] = {{EE_SPOOL_FILE_ASIDE, 1, 0},
                                                {EE_SPOOL_FILE_RENAME, 6, 2},
                                                {EE_SPOOL_CONTROL_ASIDE, 0, 0},
                                                {EE_SPOOL_CONTROL_MAKE, 0, 2}};
  struct ee_spool_look look = look_with(EE_SPOOL_CONTROL_DAMAGED);
  struct ee_spool_plan_file files[] = {
      {1, 0, EE_SPOOL_FILE_USELESS}, {5, 0, EE_SPOOL_FILE_SOUND}, {6, 2, EE_SPOOL_FILE_MISPLACED}};
  (void)state;
  look.progress.segment = 1;
  assert_steps(&look, files, COUNT_OF(files), wanted, COUNT_OF(wanted));
}

static void nothing_is_put_aside_that_is_not_there(void **state) {
  static const struct ee_spool_step wanted[] = {{EE_SPOOL_CONTROL_MAKE, 0, 5}};
  static const struct ee_spool_step empty[] = {{EE_SPOOL_CONTROL_ASIDE, 0, 0},
                                               {EE_SPOOL_CONTROL_MAKE, 0, 1}};
  struct ee_spool_look look = look_with(EE_SPOOL_CONTROL_MISSING);
  struct ee_spool_plan_file files[] = {{5, 0, EE_SPOOL_FILE_SOUND}};
  (void)state;
  assert_steps(&look, files, 1, wanted, COUNT_OF(wanted));
  look.control = EE_SPOOL_CONTROL_DAMAGED;
  assert_steps(&look, files, 0, empty, COUNT_OF(empty));
  look.known = false;  // the next opening makes a new spool
  assert_steps(&look, files, 0, empty, 1);
}

// ---- Any mixture.

// A directory as the steps change it: which segment lies under each number, 0: none.
struct shelf {
  uint64_t holds[16];
  size_t aside;
};

static void apply(struct shelf *shelf, const struct ee_spool_step *step) {
  uint64_t *from = &shelf->holds[step->number], *to = &shelf->holds[step->to];
  uint64_t moved = *from;
  assert_true(moved != 0);
  switch (step->act) {
    case EE_SPOOL_FILE_ASIDE:
      *from = 0;
      shelf->aside++;
      break;
    case EE_SPOOL_FILE_RENAME:
      assert_true(*to == 0);
      *from = 0;
      *to = moved;
      break;
    case EE_SPOOL_FILE_EXCHANGE:
      assert_true(*to != 0);
      *from = *to;
      *to = moved;
      break;
    default:
      fail();
  }
}

// Each segment that is there at all has its place in the end, and no file is lost.
static void any_mixture_is_sorted(void **state) {
  uint64_t random = 3;
  size_t exchanges = 0;
  (void)state;
  for (int round = 0; round < 20000; round++) {
    struct ee_spool_look look = look_with(EE_SPOOL_CONTROL_OPEN);
    struct ee_spool_plan_file files[FILES_MAX];
    struct ee_spool_step steps[EE_SPOOL_STEPS_MOST(FILES_MAX)];
    struct shelf shelf = {{0}, 0};
    bool had[16] = {false};
    size_t count = 0, left = 0;
    look.progress.segment = 1;
    for (uint64_t number = 1; number <= FILES_MAX; number++) {
      random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
      uint64_t head = 1 + (random >> 40) % 10;
      if ((random >> 33) % 4 == 0) continue;
      shelf.holds[number] = head;
      had[head] = true;
      files[count++] = (struct ee_spool_plan_file){
          number, head, head == number ? EE_SPOOL_FILE_SOUND : EE_SPOOL_FILE_MISPLACED};
    }
    size_t step_count = ee_spool_plan(&look, files, count, steps);
    assert_true(step_count <= EE_SPOOL_STEPS_MOST(count));
    for (size_t i = 0; i < step_count; i++) {
      apply(&shelf, &steps[i]);
      exchanges += steps[i].act == EE_SPOOL_FILE_EXCHANGE;
    }
    for (uint64_t number = 1; number <= 10; number++) {
      assert_int_equal(shelf.holds[number], had[number] ? number : 0);
      left += shelf.holds[number] != 0;
    }
    assert_int_equal(left + shelf.aside, count);
  }
  assert_true(exchanges > 1000);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_sound_stays),
      cmocka_unit_test(what_is_not_the_spools_goes),
      cmocka_unit_test(heads_are_made),
      cmocka_unit_test(segments_get_their_places),
      cmocka_unit_test(a_control_file_is_made_last),
      cmocka_unit_test(nothing_is_put_aside_that_is_not_there),
      cmocka_unit_test(any_mixture_is_sorted),
  };
  return cmocka_run_group_tests_name("ctl/spool_plan", tests, NULL, NULL);
}
