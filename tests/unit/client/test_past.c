// SPDX-License-Identifier: Apache-2.0
// Earlier epochs: as many as may wait for their report are kept, and what cannot be used is told.
// What is made of them is tested with the sender.
#include "client/past.h"

#include <stdio.h>

#include "tests/unit/spool/numbers_support.h"

struct told {
  size_t count;
  char last[256];
};

static int setup(void **state) {
  (void)state;
  open_directory();
  return 0;
}

static int teardown(void **state) {
  (void)state;
  close_directory();
  return 0;
}

static void keep_notice(void *context, envelope_level level, const char *text) {
  struct told *told = context;
  assert_int_equal(level, ENVELOPE_WARNING);
  told->count++;
  snprintf(told->last, sizeof told->last, "%s", text);
}

static void make_epoch(uint32_t epoch) {
  struct ee_numbers numbers = make_numbers(epoch, 1);
  ee_numbers_close(&numbers);
}

static struct ee_past open_past(const struct ee_notices *notices) {
  struct ee_past past;
  struct ee_err err;
  if (!ee_past_init(&past, directory, id, notices, &err)) fail_msg("%s", err.text);
  return past;
}

static size_t files(void) {
  uint64_t *epochs = NULL;
  size_t count;
  struct ee_err err;
  assert_true(ee_numbers_list(directory, &epochs, &count, &err));
  free(epochs);
  return count;
}

static void the_oldest_are_forgotten(void **state) {
  (void)state;
  struct told told = {0};
  struct ee_notices notices = {keep_notice, &told};
  for (uint32_t i = 0; i < EE_PAST_EPOCHS_MAX + 2; i++)
    make_epoch(100 + i);
  struct ee_past past = open_past(&notices);
  assert_int_equal(past.count, EE_PAST_EPOCHS_MAX);
  assert_int_equal(past.epochs[0].numbers.epoch, 102);
  assert_int_equal(files(), EE_PAST_EPOCHS_MAX);
  assert_int_equal(told.count, 2);
  assert_non_null(strstr(told.last, "epoch 101 is not reported: more than 256 wait"));
  ee_past_release(&past);
  past = open_past(&notices);
  assert_int_equal(past.count, EE_PAST_EPOCHS_MAX);
  assert_int_equal(told.count, 2);
  ee_past_release(&past);
}

static void a_damaged_one_is_told(void **state) {
  (void)state;
  struct told told = {0};
  struct ee_notices notices = {keep_notice, &told};
  make_epoch(0x11);
  make_epoch(0x12);
  int file = openat(directory, "00000011.numbers", O_WRONLY | O_CLOEXEC);
  assert_int_equal(pwrite(file, "other", 5, 0), 5);
  close(file);
  struct ee_past past = open_past(&notices);
  assert_int_equal(past.count, 1);
  assert_null(ee_past_producer(&past, 0x11));
  assert_string_equal(ee_past_producer(&past, 0x12), "producer");
  assert_int_equal(told.count, 1);
  assert_non_null(strstr(told.last, "numbers of epoch 17 are lost: 00000011.numbers: at 0:"));
  ee_past_release(&past);
}

// An epoch's file goes when all of it was reported.
static void what_was_reported_is_taken_away(void **state) {
  (void)state;
  struct ee_notices notices = {NULL, NULL};
  make_epoch(1);
  make_epoch(2);
  struct ee_past past = open_past(&notices);
  ee_numbers_at(&past.epochs[0].numbers, 0, 0)->next = 3;  // nothing else is to be told
  assert_int_equal(past.lost, 0);
  ee_past_forget_told(&past);
  assert_int_equal(past.count, 2);
  assert_true(ee_past_end(&past));
  assert_int_equal(past.lost, 3);
  ee_past_forget_told(&past);
  assert_int_equal(past.count, 1);
  assert_int_equal(past.epochs[0].numbers.epoch, 1);
  assert_int_equal(files(), 1);
  ee_past_release(&past);
}

// A numbering that is nobody's of this spool.
static void what_cannot_be_is_passed_over(void **state) {
  (void)state;
  struct ee_notices notices = {NULL, NULL};
  make_epoch(1);
  struct ee_past past = open_past(&notices);
  struct ee_numbers_count *at = ee_numbers_at(&past.epochs[0].numbers, 0, 0);
  at->next = 9;
  static const struct {
    uint8_t topic;
    struct ee_spool_numbering numbering;
  } others[] = {{EE_NUMBERS_TOPICS, {.number = 3, .epoch = 1, .partition = 0}},
                {0, {.number = 3, .epoch = 1, .partition = -1}},
                {0, {.number = 3, .epoch = 1, .partition = 1}},
                {0, {.number = 9, .epoch = 1, .partition = 0}},
                {0, {.number = 3, .epoch = 2, .partition = 0}}};
  for (size_t i = 0; i < COUNT_OF(others); i++) {
    ee_past_read(&past, others[i].topic, &others[i].numbering);
    ee_past_settled(&past, others[i].topic, &others[i].numbering);
    assert_int_equal(past.lost, 0);
    assert_int_equal(at->acked, 0);
  }
  struct ee_spool_numbering known = {.number = 3, .epoch = 1, .partition = 0};
  ee_past_read(&past, 0, &known);
  ee_past_settled(&past, 0, &known);
  assert_int_equal(past.lost, 3);
  assert_int_equal(at->acked, 4);
  ee_past_release(&past);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(the_oldest_are_forgotten),
      TEST(a_damaged_one_is_told),
      TEST(what_was_reported_is_taken_away),
      TEST(what_cannot_be_is_passed_over),
  };
  return cmocka_run_group_tests_name("client/past", tests, NULL, NULL);
}
