// SPDX-License-Identifier: Apache-2.0
// Holes in producers' numbers, one rule at a time. The grace is 5 s: a number is missing when
// it has not come within 5 s of what shows it to be missing, and that is told 5 s later.
#include "tests/unit/processors/numbers_world.h"

// ---- What is missing.

static void test_numbers_in_order_leave_nothing(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  for (int i = 0; i < 10; i++) {
    add_number(&w, i);
    w.now += SECOND;
  }
  add_settled(&w, 9);
  tick_after(&w, 3600);
  assert_holes(&w, "");
  const struct ee_join_sequence *known = sequence_of(&w, EE_TOPIC_RESOLVED);
  assert_int_equal(known->next, 10);
  assert_int_equal(known->first.value, 0);
  assert_int_equal(known->begun_at, NOON);
  assert_int_equal(known->last_at, NOON + 10 * SECOND);
  assert_int_equal(known->gaps.count, 0);
  assert_false(known->closed);
  world_release(&w);
}

static void test_a_higher_number_exposes(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  add_number(&w, 0);
  w.now += SECOND;
  add_number(&w, 4);
  tick_after(&w, 10);  // one second short
  assert_holes(&w, "");
  tick_after(&w, 11);
  assert_holes(&w, "1-3 undeclared resolved@1");
  tick_after(&w, 3600);
  assert_holes(&w, "1-3 undeclared resolved@1");
  world_release(&w);
}

static void test_the_violation_says_all(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  add_number(&w, 2);
  tick_after(&w, 10);
  const struct ee_violation *all;
  assert_int_equal(world_violations(&w, &all), 1);
  char text[120], id[EE_SHA256_HEX_SIZE];
  snprintf(text, sizeof text, "%lld:envelope.resolved.v1:3:0-1", (long long)EPOCH);
  struct ee_str name = ee_str(text);
  assert_true(ee_violation_id(EE_STR("producer_hole"), EE_STR(PRODUCER), &name, 1, id));
  assert_text(all->violation_id, id);
  assert_int_equal(all->hole->epoch, EPOCH);
  assert_text(all->hole->topic, "envelope.resolved.v1");
  const struct ee_evidence *at = &all->evidence.items[0];
  assert_int_equal(all->evidence.count, 1);
  assert_text(at->topic, "envelope.resolved.v1");
  assert_int_equal(at->partition, PARTITION);
  assert_int_equal(at->timestamp, NOON);
  assert_text(at->event_id, "e-0");
  world_release(&w);
}

static void test_a_number_comes_in_time_or_not(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  add_number(&w, 5);
  w.now = NOON + 5 * SECOND - 1;
  add_number(&w, 1);
  add_again(&w, 3);
  w.now++;
  add_number(&w, 2);  // too late
  assert_int_equal(sequence_of(&w, EE_TOPIC_RESOLVED)->gaps.count, 3);
  tick_after(&w, 10);
  assert_holes(&w,
               "0-0 undeclared resolved@0; 2-2 undeclared resolved@0; 4-4 undeclared resolved@0");
  world_release(&w);
}

static void test_repeats_change_nothing(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  for (int i = 0; i < 3; i++) {
    add_number(&w, 0);
    add_number(&w, 1);
    add_number(&w, 0);
    add_again(&w, 1);
  }
  tick_after(&w, 10);
  assert_holes(&w, "");
  assert_int_equal(sequence_of(&w, EE_TOPIC_RESOLVED)->next, 2);
  world_release(&w);
}

// What was sent again shows nothing by itself: those before it may be sent again later.
static void test_was_fills_and_never_exposes(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  add_again(&w, 4);
  tick_after(&w, 3600);
  w.now = NOON + 7200 * SECOND;
  add_again(&w, 2);  // in time, however late
  tick_after(&w, 9000);
  assert_holes(&w, "");
  add_number(&w, 6);
  tick_after(&w, 9010);
  assert_holes(&w,
               "0-1 undeclared resolved@2; 3-3 undeclared resolved@2; 5-5 undeclared resolved@2");
  world_release(&w);
}

// A number of its own below the highest shows what lies below itself.
static void test_a_lower_number_exposes_what_is_below(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  add_again(&w, 9);
  add_number(&w, 4);
  tick_after(&w, 10);
  assert_holes(&w, "0-3 undeclared resolved@1");
  assert_int_equal(sequence_of(&w, EE_TOPIC_RESOLVED)->gaps.count, 1);  // 5 to 8, not exposed
  world_release(&w);
}

static void test_each_sequence_is_its_own(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  for (enum ee_phase phase = 0; phase < EE_PHASE_TOPICS; phase++) {
    assert_true(try_number(&w, phase, 0, -1));
    w.offsets[phase]++;
  }
  union event event = an_event(RESOLVED, "other", 5);
  step_double_numbers(w.d, "other:producer:0:0", number_text(EPOCH - 1, 0));
  world_event(&w, RESOLVED, &event);
  tick_after(&w, 3600);
  const struct ee_violation *all;
  assert_int_equal(world_violations(&w, &all), 0);
  assert_int_equal(sequence_of(&w, EE_TOPIC_RESOLVED)->next, 1);
  assert_non_null(sequence_state(&w, EPOCH - 1, EE_TOPIC_RESOLVED).data);
  world_release(&w);
}

// A dead letter is in the log all the same.
static void test_refused_records_have_arrived(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  add_number(&w, 0);
  step_double_numbers(w.d, number_text(EPOCH, 1), NULL);
  assert_true(step_double_refused(w.d, EE_TOPIC_RESOLVED, PARTITION, w.offsets[RESOLVED]++, NOON));
  add_number(&w, 2);
  step_double_numbers(w.d, number_text(EPOCH, 4), NULL);
  assert_true(step_double_refused(w.d, EE_TOPIC_RESOLVED, PARTITION, w.offsets[RESOLVED]++, NOON));
  tick_after(&w, 10);
  assert_holes(&w, "3-3 undeclared resolved@3");
  world_release(&w);
}

// ---- What reports say.

static void test_a_report_exposes(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  add_number(&w, 0);
  w.now += SECOND;
  add_settled(&w, 2);
  tick_after(&w, 10);
  assert_holes(&w, "");
  tick_after(&w, 11);
  assert_holes(&w, "1-2 undeclared other@0");
  world_release(&w);
}

// Read before the records that it speaks of: the time that counts is that of the first to show it.
static void test_a_report_read_early(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  w.now = NOON + 3 * SECOND;
  add_settled(&w, 3);
  w.now = NOON;
  add_number(&w, 0);
  add_number(&w, 2);
  w.now = NOON + SECOND;
  add_number(&w, 3);
  tick_after(&w, 9);
  assert_holes(&w, "");
  tick_after(&w, 10);
  assert_holes(&w, "1-1 undeclared resolved@1");
  world_release(&w);
}

static void test_declared_holes_have_their_reasons(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  add_number(&w, 0);
  add_number(&w, 9);
  w.now += SECOND;
  add_hole(&w, 2, 3, "refused");
  add_hole(&w, 3, 5, "torn");  // the first word stands
  add_hole(&w, 7, 7, "sent_again");
  add_hole(&w, 11, 12, "disk_full");  // shows itself
  tick_after(&w, 11);
  assert_holes(
      &w,
      "1-1 undeclared resolved@1; 11-12 disk_full other@3; 2-3 refused resolved@1 other@0; "
      "4-5 torn resolved@1 other@1; 6-6 undeclared resolved@1; 8-8 undeclared resolved@1");
  assert_int_equal(sequence_of(&w, EE_TOPIC_RESOLVED)->next, 13);
  tick_after(&w, 3600);
  assert_int_equal(sequence_of(&w, EE_TOPIC_RESOLVED)->gaps.count, 1);  // 10: nothing shows it yet
  world_release(&w);
}

// Declared too late is not declared, and makes no border.
static void test_declared_too_late(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  add_number(&w, 4);
  w.now = NOON + 5 * SECOND;
  add_hole(&w, 1, 1, "torn");
  add_hole(&w, 2, 3, "sent_again");
  tick_after(&w, 10);
  assert_holes(&w, "0-3 undeclared resolved@0");
  world_release(&w);
}

static void test_long_reasons_are_cut(void **state) {
  (void)state;
  struct world w;
  char reason[1000], cut[100];
  world_init(&w);
  memset(reason, 'x', sizeof reason);
  memcpy(reason + 63, "\xC3\xA9", 2);
  reason[sizeof reason - 1] = '\0';
  add_hole(&w, 0, 0, reason);
  tick_after(&w, 10);
  snprintf(cut, sizeof cut, "0-0 %.63s other@0", reason);
  assert_holes(&w, cut);
  world_release(&w);
}

static void test_numbers_that_are_none(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  struct ee_producer_report report = a_report();
  struct ee_producer_sequence wrong[] = {
      settled(EE_TOPIC_RESOLVED, -1),        settled(EE_TOPIC_RESOLVED, INT64_MIN),
      settled(EE_TOPIC_RESOLVED, INT64_MAX), settled(EE_TOPIC_RESOLVED, 5),
      settled(EE_TOPIC_RESOLVED, 5),         settled(EE_TOPIC_OBLIGATION, 5)};
  wrong[3].partition = PARTITION + 1;
  wrong[4].topic = EE_STR("resolved");
  struct ee_producer_hole holes[] = {hole(5, 4, "x"), hole(-1, 4, "x"), hole(0, INT64_MAX, "x"),
                                     hole(INT64_MAX, INT64_MAX, "x"), hole(1, 2, "x")};
  holes[4].partition = -1;
  report.sequences = (struct ee_producer_sequence_array){wrong, COUNT_OF(wrong)};
  report.holes = (struct ee_producer_hole_array){holes, COUNT_OF(holes)};
  report.closing = true;
  add_report(&w, &report);
  assert_null(sequence_of(&w, EE_TOPIC_RESOLVED));
  report.epoch = -1;
  wrong[0].number = 7;
  add_report(&w, &report);
  assert_null(sequence_state(&w, -1, EE_TOPIC_RESOLVED).data);
  tick_after(&w, 3600);
  assert_holes(&w, "");
  world_release(&w);
}

static void test_huge_numbers(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  add_number(&w, 0);
  add_settled(&w, INT64_C(1) << 62);
  add_hole(&w, 7, INT64_MAX - 1, "disk_full");
  add_number(&w, 3);
  add_number(&w, INT64_MAX - 1);
  tick_after(&w, 10);
  assert_holes(&w,
               "1-2 undeclared resolved@1; 4-6 undeclared resolved@2; "
               "7-9223372036854775805 disk_full resolved@2 other@1");
  assert_int_equal(sequence_of(&w, EE_TOPIC_RESOLVED)->next, INT64_MAX);
  add_number(&w, 5);  // judged: it changes nothing
  tick_after(&w, 30);
  assert_int_equal(sequence_of(&w, EE_TOPIC_RESOLVED)->gaps.count, 0);
  world_release(&w);
}

// ---- More runs than are kept apart.

static void test_too_many_runs(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  const int64_t runs = (int64_t)EE_SEQUENCE_GAPS_MAX;
  for (int64_t i = 0; i < runs; i++) {
    add_number(&w, 10 * i + 9);
  }
  assert_int_equal(sequence_of(&w, EE_TOPIC_RESOLVED)->gaps.count, runs);
  assert_false(sequence_of(&w, EE_TOPIC_RESOLVED)->gaps.items[0].coarse);
  add_number(&w, 10 * runs + 5);
  add_number(&w, 10 * runs + 2);
  const struct ee_join_sequence *known = sequence_of(&w, EE_TOPIC_RESOLVED);
  assert_int_equal(known->gaps.count, runs);
  // All lie equally close: the lowest were taken as one, twice.
  assert_true(known->gaps.items[0].coarse);
  assert_int_equal(known->gaps.items[0].first, 0);
  assert_int_equal(known->gaps.items[0].last, 28);
  for (size_t i = 1; i < known->gaps.count; i++) {
    assert_false(known->gaps.items[i].coarse);
  }
  tick_after(&w, 10);
  char(*texts)[FOUND_TEXT];
  assert_int_equal(found_holes(&w, &texts), runs);
  assert_int_equal(sequence_of(&w, EE_TOPIC_RESOLVED)->gaps.count, 0);
  world_release(&w);
}

// However many borders a report draws, the state stays bounded, and all stays in sight.
static void test_a_report_of_many_holes(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  enum { HOLES = 5000 };
  static struct ee_producer_hole holes[HOLES];
  for (int i = 0; i < HOLES; i++) {  // descending, overlapping, each with another reason beside it
    int64_t at = 7 * (HOLES - i);
    holes[i] = hole(at - 9, at, i % 2 == 0 ? "torn" : "refused");
  }
  holes[HOLES - 1].first = 0;
  struct ee_producer_report report = a_report();
  report.holes = (struct ee_producer_hole_array){holes, HOLES};
  add_report(&w, &report);
  assert_true(sequence_of(&w, EE_TOPIC_RESOLVED)->gaps.count <= EE_SEQUENCE_GAPS_MAX);
  assert_int_equal(sequence_of(&w, EE_TOPIC_RESOLVED)->next, 7 * HOLES + 1);
  tick_after(&w, 10);
  const struct ee_violation *all;
  size_t count = world_violations(&w, &all);
  int64_t missing = 0;
  for (size_t i = 0; i < count; i++) {
    missing += all[i].hole->last - all[i].hole->first + 1;
  }
  assert_int_equal(missing, 7 * HOLES + 1);
  world_release(&w);
}

// ---- Where the beginning is not known.

static void test_judge_from(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  step_double_judge_from(w.d, NOON + 1);  // the epoch began just before
  add_number(&w, 7);
  add_number(&w, 10);
  add_settled(&w, 12);
  tick_after(&w, 10);
  assert_holes(&w, "11-12 undeclared other@0; 8-9 undeclared resolved@1");
  world_release(&w);

  world_init(&w);
  step_double_judge_from(w.d, NOON);  // not before
  add_number(&w, 2);
  tick_after(&w, 10);
  assert_holes(&w, "0-1 undeclared resolved@0");
  world_release(&w);

  world_init(&w);
  step_double_judge_from(w.d, NOON + 1);
  add_settled(&w, 12);  // its records may all have been cut off
  add_hole(&w, 3, 4, "torn");
  tick_after(&w, 10);
  assert_holes(&w, "3-4 torn other@0 other@1");
  world_release(&w);
}

// Seen first a week after the epoch began, it may have been there before and been forgotten.
static void test_a_late_beginning(void **state) {
  (void)state;
  const int64_t week = 7 * 24 * 3600 * SECOND;
  struct world w;
  world_init(&w);
  w.now = NOON + week;
  add_number(&w, 5);
  add_number(&w, 8);
  world_tick(&w, w.now + 10 * SECOND);
  assert_holes(&w, "6-7 undeclared resolved@1");
  world_release(&w);

  world_init(&w);
  w.now = NOON + week - 1;
  add_number(&w, 2);
  world_tick(&w, w.now + 10 * SECOND);
  assert_holes(&w, "0-1 undeclared resolved@0");
  world_release(&w);

  world_init(&w);
  w.now = NOON + week;
  add_settled(&w, 5);
  w.now = NOON + week - 1;  // appended before the report, read after it
  add_number(&w, 4);
  world_tick(&w, NOON + week + 10 * SECOND);
  assert_holes(&w, "0-3 undeclared resolved@0; 5-5 undeclared other@0");
  world_release(&w);
}

// ---- The end of a sequence.

static void test_sequences_are_forgotten(void **state) {
  (void)state;
  const int64_t day = 24 * 3600;
  struct world w;
  world_init(&w);
  add_number(&w, 0);
  assert_true(try_number(&w, FAILED, 0, -1));
  struct ee_producer_report report = a_report();
  struct ee_producer_sequence sequence = settled(EE_TOPIC_RESOLVED, 0);
  report.sequences = (struct ee_producer_sequence_array){&sequence, 1};
  report.closing = true;
  add_report(&w, &report);  // closes those as well that it does not name
  assert_true(sequence_of(&w, EE_TOPIC_FAILED)->closed);
  assert_true(sequence_of(&w, EE_TOPIC_RESOLVED)->closed);
  assert_null(sequence_of(&w, EE_TOPIC_ADMISSION));
  add_again(&w, 2);  // and this is never shown to be missing anything
  tick_after(&w, 7 * day - 1);
  assert_non_null(sequence_of(&w, EE_TOPIC_RESOLVED));
  tick_after(&w, 8 * day);
  assert_null(sequence_of(&w, EE_TOPIC_RESOLVED));
  assert_null(sequence_of(&w, EE_TOPIC_FAILED));
  assert_holes(&w, "");
  world_release(&w);

  world_init(&w);
  add_number(&w, 0);
  tick_after(&w, 30 * day - 1);
  assert_non_null(sequence_of(&w, EE_TOPIC_RESOLVED));
  tick_after(&w, 31 * day);
  assert_null(sequence_of(&w, EE_TOPIC_RESOLVED));
  world_release(&w);
}

static void test_what_is_due_is_told_before_it_is_forgotten(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  add_number(&w, 1);
  tick_after(&w, INT64_C(40) * 24 * 3600);
  assert_holes(&w, "0-0 undeclared resolved@0");
  assert_null(sequence_of(&w, EE_TOPIC_RESOLVED));
  world_release(&w);
}

// ---- Restores and failures.

static void tell_story(struct world *w) {
  add_number(w, 0);
  add_number(w, 3);
  w->now += SECOND;
  add_hole(w, 1, 1, "torn");
  add_again(w, 7);
}

static void test_restored_sequences_are_woken(void **state) {
  (void)state;
  for (int clock_known = 0; clock_known <= 1; clock_known++) {
    struct world w;
    world_init(&w);
    tell_story(&w);
    tick_after(&w, 2);
    if (clock_known == 1) step_double_restore(w.d);
    if (clock_known == 0) step_double_restore_without_clock(w.d);
    tick_after(&w, 9);
    assert_holes(&w, "");
    tick_after(&w, 10);
    assert_holes(&w, "1-1 torn resolved@1 other@0; 2-2 undeclared resolved@1");
    step_double_restore_without_clock(w.d);
    tick_after(&w, INT64_C(32) * 24 * 3600);
    assert_null(sequence_of(&w, EE_TOPIC_RESOLVED));
    world_release(&w);
  }
}

// A step that fails at any of its calls is undone, and leaves nothing behind when tried again.
static void test_failures(void **state) {
  (void)state;
  for (int fail_at = 1; fail_at < 12; fail_at++) {
    struct world w;
    world_init(&w);
    add_number(&w, 0);
    add_number(&w, 3);
    struct ee_producer_report report = a_report();
    struct ee_producer_sequence both[] = {settled(EE_TOPIC_RESOLVED, 4),
                                          settled(EE_TOPIC_FAILED, 0)};
    report.sequences = (struct ee_producer_sequence_array){both, 2};
    step_double_fail_at(w.d, fail_at);
    bool done = try_report(&w, &report);
    assert_int_equal(done, fail_at > 4);
    step_double_fail_at(w.d, 0);
    if (!done) assert_true(try_report(&w, &report));
    step_double_fail_at(w.d, fail_at);
    done = try_number(&w, RESOLVED, 6, 1);
    assert_int_equal(done, fail_at > 6);  // two sequences and the envelope, a get and a put each
    step_double_fail_at(w.d, 0);
    if (!done) assert_true(try_number(&w, RESOLVED, 6, 1));
    int64_t offsets[EE_TOPIC_COUNT] = {0};
    step_double_fail_at(w.d, fail_at);
    while (!step_double_tick(w.d, PARTITION, NOON + 10 * SECOND, offsets)) {
      step_double_fail_at(w.d, 0);
    }
    step_double_fail_at(w.d, 0);
    assert_holes(&w,
                 "0-0 undeclared other@0; 2-2 undeclared resolved@1; 4-5 undeclared resolved@2");
    world_release(&w);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_numbers_in_order_leave_nothing),
      cmocka_unit_test(test_a_higher_number_exposes),
      cmocka_unit_test(test_the_violation_says_all),
      cmocka_unit_test(test_a_number_comes_in_time_or_not),
      cmocka_unit_test(test_repeats_change_nothing),
      cmocka_unit_test(test_was_fills_and_never_exposes),
      cmocka_unit_test(test_a_lower_number_exposes_what_is_below),
      cmocka_unit_test(test_each_sequence_is_its_own),
      cmocka_unit_test(test_refused_records_have_arrived),
      cmocka_unit_test(test_a_report_exposes),
      cmocka_unit_test(test_a_report_read_early),
      cmocka_unit_test(test_declared_holes_have_their_reasons),
      cmocka_unit_test(test_declared_too_late),
      cmocka_unit_test(test_long_reasons_are_cut),
      cmocka_unit_test(test_numbers_that_are_none),
      cmocka_unit_test(test_huge_numbers),
      cmocka_unit_test(test_too_many_runs),
      cmocka_unit_test(test_a_report_of_many_holes),
      cmocka_unit_test(test_judge_from),
      cmocka_unit_test(test_a_late_beginning),
      cmocka_unit_test(test_sequences_are_forgotten),
      cmocka_unit_test(test_what_is_due_is_told_before_it_is_forgotten),
      cmocka_unit_test(test_restored_sequences_are_woken),
      cmocka_unit_test(test_failures),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
