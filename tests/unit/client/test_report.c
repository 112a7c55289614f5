// SPDX-License-Identifier: Apache-2.0
// Reports of numbers: over any sequence of what happens, each hole is told, no number before it is
// acknowledged, and the end once.
#include "client/report.h"

#include <stdio.h>

#include "support/chaos.h"
#include "tests/unit/contract/random_record.h"
#include "tests/unit/spool/numbers_support.h"

#define PARTITIONS 3
#define NUMBERS 512
#define EPOCH ((uint32_t)7)
#define MEMORY ((size_t)1 << 20)

static struct ee_str topics[EE_NUMBERS_TOPICS];
static char names[EE_NUMBERS_TOPICS][8];
static struct ee_arena arena;
static struct ee_numbers numbers;

static int setup(void **state) {
  (void)state;
  open_directory();
  ee_arena_init(&arena, MEMORY);
  for (int i = 0; i < EE_NUMBERS_TOPICS; i++) {
    snprintf(names[i], sizeof names[i], "p.%d", i);
    topics[i] = ee_str(names[i]);
  }
  numbers = make_numbers(EPOCH, PARTITIONS);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  ee_numbers_close(&numbers);
  ee_arena_release(&arena);
  close_directory();
  return 0;
}

static struct ee_reporter reporter_of(bool ended) {
  struct ee_reporter reporter;
  assert_true(ee_reporter_init(&reporter, &numbers, ended));
  return reporter;
}

static struct ee_producer_report make(struct ee_reporter *reporter, int32_t partition) {
  struct ee_producer_report report;
  ee_arena_clear(&arena);
  assert_true(ee_reporter_due(reporter, partition));
  assert_true(ee_reporter_make(reporter, partition, topics, &arena, &report));
  assert_false(ee_reporter_due(reporter, partition));  // while it is under way
  assert_int_equal(report.epoch, EPOCH);
  assert_int_equal(report.closing, reporter->ended);
  return report;
}

static void give(uint8_t topic, int32_t partition, uint64_t next, uint64_t acked) {
  ee_numbers_at(&numbers, topic, partition)->next = next;
  ee_numbers_at(&numbers, topic, partition)->acked = acked;
}

static bool any_due(const struct ee_reporter *reporter) {
  bool due = false;
  for (int32_t partition = 0; partition < PARTITIONS; partition++)
    due = due || ee_reporter_due(reporter, partition);
  return due;
}

static bool tells_hole(const struct ee_producer_report *report, uint8_t topic, int64_t first,
                       int64_t last, const char *reason) {
  for (size_t i = 0; i < report->holes.count; i++) {
    const struct ee_producer_hole *hole = &report->holes.items[i];
    if (hole->first == first && hole->last == last && ee_str_equal(hole->topic, topics[topic]) &&
        ee_str_equal(hole->reason, ee_str(reason))) {
      return true;
    }
  }
  return false;
}

// ---- One by one.

static void acknowledged_numbers_are_told(void **state) {
  (void)state;
  struct ee_reporter reporter = reporter_of(false);
  assert_false(any_due(&reporter));
  give(0, 1, 9, 0);  // given, not acknowledged
  assert_false(any_due(&reporter));
  give(0, 1, 9, 4);
  ee_numbers_at(&numbers, 0, 1)->resent = 1;  // told at the end
  give(5, 1, 2, 2);
  assert_false(ee_reporter_due(&reporter, 0));
  struct ee_producer_report report = make(&reporter, 1);
  assert_int_equal(report.sequences.count, 2);
  assert_true(ee_str_equal(report.sequences.items[0].topic, topics[0]));
  assert_int_equal(report.sequences.items[0].partition, 1);
  assert_int_equal(report.sequences.items[0].number, 3);
  assert_true(ee_str_equal(report.sequences.items[1].topic, topics[5]));
  assert_int_equal(report.sequences.items[1].number, 1);
  assert_int_equal(report.holes.count, 0);
  give(0, 1, 9, 6);  // while it is under way
  ee_reporter_result(&reporter, 1, true);
  report = make(&reporter, 1);
  assert_int_equal(report.sequences.items[0].number, 5);
  ee_reporter_result(&reporter, 1, false);
  make(&reporter, 1);
  ee_reporter_result(&reporter, 1, true);
  assert_false(any_due(&reporter));
  assert_true(ee_reporter_all_told(&reporter));
  ee_reporter_release(&reporter);
}

static void holes_are_told_until_a_report_is_written(void **state) {
  (void)state;
  struct ee_reporter reporter = reporter_of(false);
  give(2, 0, 10, 8);
  assert_true(ee_numbers_add_hole(&numbers, 2, 0, 3, 4, EE_HOLE_REFUSED));
  assert_true(ee_numbers_add_hole(&numbers, 2, 1, 0, 0, EE_HOLE_REFUSED));  // another partition's
  for (int i = 0; i < 3; i++) {
    struct ee_producer_report report = make(&reporter, 0);
    assert_int_equal(report.holes.count, 1);
    assert_true(tells_hole(&report, 2, 3, 4, "refused"));
    assert_int_equal(report.holes.items[0].partition, 0);
    ee_reporter_result(&reporter, 0, i == 2);
  }
  assert_false(ee_reporter_due(&reporter, 0));
  assert_true(ee_reporter_due(&reporter, 1));
  ee_reporter_release(&reporter);
}

static void a_hole_that_has_grown_is_told_again(void **state) {
  (void)state;
  struct ee_reporter reporter = reporter_of(false);
  give(2, 0, 10, 10);
  assert_true(ee_numbers_add_hole(&numbers, 2, 0, 3, 4, EE_HOLE_REFUSED));
  make(&reporter, 0);
  assert_true(ee_numbers_add_hole(&numbers, 2, 0, 5, 5, EE_HOLE_REFUSED));
  ee_reporter_result(&reporter, 0, true);
  struct ee_producer_report report = make(&reporter, 0);
  assert_true(tells_hole(&report, 2, 3, 5, "refused"));
  ee_reporter_result(&reporter, 0, true);
  assert_false(any_due(&reporter));
  ee_reporter_release(&reporter);
}

static size_t holes_there(void) {
  size_t count = 0;
  for (size_t i = 0; i < EE_NUMBERS_HOLES_MAX; i++)
    count += numbers.holes[i].reason != EE_HOLE_NONE;
  return count;
}

// What the next opening has to know: that these numbers were no records.
static void a_hole_ahead_is_kept_when_it_is_told(void **state) {
  (void)state;
  struct ee_reporter reporter = reporter_of(false);
  give(1, 0, 10, 4);
  assert_true(ee_numbers_add_hole(&numbers, 1, 0, 6, 9, EE_HOLE_DISK_FULL));
  make(&reporter, 0);
  ee_reporter_result(&reporter, 0, true);
  assert_int_equal(holes_there(), 1);
  assert_false(any_due(&reporter));
  give(1, 0, 10, 6);
  ee_numbers_pass_holes(&numbers);
  struct ee_producer_report report = make(&reporter, 0);
  assert_int_equal(report.sequences.items[0].number, 9);
  assert_int_equal(report.holes.count, 0);
  ee_reporter_result(&reporter, 0, true);
  assert_int_equal(holes_there(), 0);
  ee_reporter_release(&reporter);
}

static void many_holes_take_several_reports(void **state) {
  (void)state;
  struct ee_reporter reporter = reporter_of(false);
  bool told[2500] = {false};
  give(0, 2, 5000, 5000);
  for (uint64_t i = 0; i < COUNT_OF(told); i++)
    assert_true(ee_numbers_add_hole(&numbers, 0, 2, 2 * i, 2 * i, EE_HOLE_TORN));
  for (int reports = 0; reports < 3; reports++) {
    struct ee_producer_report report = make(&reporter, 2);
    assert_int_equal(report.holes.count, reports < 2 ? EE_REPORT_HOLES_MAX : 500);
    for (size_t i = 0; i < report.holes.count; i++) {
      assert_false(told[report.holes.items[i].first / 2]);
      told[report.holes.items[i].first / 2] = true;
    }
    ee_reporter_result(&reporter, 2, true);
  }
  assert_false(any_due(&reporter));
  for (size_t i = 0; i < COUNT_OF(told); i++)
    assert_true(told[i]);
  ee_reporter_release(&reporter);
}

static void the_end_is_told_once(void **state) {
  (void)state;
  give(0, 0, 5, 3);
  give(3, 0, 4, 4);
  give(4, 2, 2, 0);
  ee_numbers_at(&numbers, 3, 0)->resent = 2;
  assert_true(ee_numbers_add_hole(&numbers, 0, 0, 3, 4, EE_HOLE_TORN));
  struct ee_reporter reporter = reporter_of(true);
  assert_false(ee_reporter_all_told(&reporter));
  assert_false(ee_reporter_due(&reporter, 1));  // nothing was numbered there
  struct ee_producer_report report = make(&reporter, 0);
  assert_int_equal(report.sequences.count, 2);
  assert_int_equal(report.sequences.items[0].number, 4);  // whatever was not acknowledged is a hole
  assert_int_equal(report.holes.count, 2);
  assert_true(tells_hole(&report, 0, 3, 4, "torn"));
  assert_true(tells_hole(&report, 3, 0, 1, "sent_again"));
  ee_reporter_result(&reporter, 0, false);
  make(&reporter, 0);
  ee_reporter_result(&reporter, 0, true);
  assert_false(ee_reporter_due(&reporter, 0));
  assert_false(ee_reporter_all_told(&reporter));
  make(&reporter, 2);
  assert_false(ee_reporter_all_told(&reporter));
  ee_reporter_result(&reporter, 2, true);
  assert_true(ee_reporter_all_told(&reporter));
  ee_reporter_release(&reporter);
}

static void short_memory(void **state) {
  (void)state;
  struct ee_reporter reporter;
  struct ee_producer_report report;
  bool failed = true;
  for (size_t n = 0; failed; n++) {
    ee_chaos_fail_after(n);
    bool made = ee_reporter_init(&reporter, &numbers, false);
    failed = ee_chaos_stop();
    assert_int_equal(made, !failed);
    if (made) ee_reporter_release(&reporter);
  }
  reporter = reporter_of(false);
  give(0, 0, 1, 1);
  struct ee_arena small;
  ee_arena_init(&small, 1000);
  assert_false(ee_reporter_make(&reporter, 0, topics, &small, &report));
  assert_true(ee_reporter_due(&reporter, 0));  // nothing is under way
  ee_arena_release(&small);
  ee_reporter_release(&reporter);
}

// ---- Whatever happens.

struct model {
  struct random random;
  struct ee_reporter reporter;
  bool under_way[PARTITIONS];
  struct ee_producer_report telling[PARTITIONS];
  struct ee_arena arenas[PARTITIONS];
  bool hole[EE_NUMBERS_TOPICS][PARTITIONS][NUMBERS];  // it is one
  bool told[EE_NUMBERS_TOPICS][PARTITIONS][NUMBERS];  // by a report that was written
  int64_t reached[EE_NUMBERS_TOPICS][PARTITIONS];     // as was told
};

static int topic_of(struct ee_str name) {
  for (int i = 0; i < EE_NUMBERS_TOPICS; i++) {
    if (ee_str_equal(name, topics[i])) return i;
  }
  fail_msg("no such topic");
  return -1;
}

static void begin_report(struct model *model, int32_t partition) {
  struct ee_producer_report *report = &model->telling[partition];
  ee_arena_clear(&model->arenas[partition]);
  if (!ee_reporter_due(&model->reporter, partition)) return;
  assert_true(
      ee_reporter_make(&model->reporter, partition, topics, &model->arenas[partition], report));
  model->under_way[partition] = true;
  for (size_t i = 0; i < report->sequences.count; i++) {
    const struct ee_producer_sequence *at = &report->sequences.items[i];
    uint8_t topic = (uint8_t)topic_of(at->topic);
    assert_int_equal(at->partition, partition);
    assert_int_equal(at->number + 1, ee_numbers_at(&numbers, topic, partition)->acked);
  }
  for (size_t i = 0; i < report->holes.count; i++) {
    const struct ee_producer_hole *at = &report->holes.items[i];
    assert_int_equal(at->partition, partition);
    for (int64_t n = at->first; n <= at->last; n++)
      assert_true(model->hole[topic_of(at->topic)][partition][n]);
  }
}

static void end_report(struct model *model, int32_t partition, bool written) {
  const struct ee_producer_report *report = &model->telling[partition];
  model->under_way[partition] = false;
  ee_reporter_result(&model->reporter, partition, written);
  for (size_t i = 0; written && i < report->sequences.count; i++) {
    const struct ee_producer_sequence *at = &report->sequences.items[i];
    model->reached[topic_of(at->topic)][partition] = at->number + 1;
  }
  for (size_t i = 0; written && i < report->holes.count; i++) {
    const struct ee_producer_hole *at = &report->holes.items[i];
    for (int64_t n = at->first; n <= at->last; n++)
      model->told[topic_of(at->topic)][partition][n] = true;
  }
}

static void refuse_next(struct model *model, uint8_t topic, int32_t partition) {
  struct ee_numbers_count *at = ee_numbers_at(&numbers, topic, partition);
  if (at->next == NUMBERS) return;
  uint64_t n = at->next++;
  model->hole[topic][partition][n] = true;
  assert_true(ee_numbers_add_hole(&numbers, topic, partition, n, n, EE_HOLE_REFUSED));
}

static void drop(struct model *model, uint8_t topic, int32_t partition) {
  struct ee_numbers_count *at = ee_numbers_at(&numbers, topic, partition);
  if (at->next + 2 > NUMBERS) return;
  model->hole[topic][partition][at->next] = model->hole[topic][partition][at->next + 1] = true;
  atomic_fetch_add(&at->dropped, 2);
  ee_numbers_declare_dropped(&numbers);
}

static void acknowledge(const struct model *model, uint8_t topic, int32_t partition) {
  struct ee_numbers_count *at = ee_numbers_at(&numbers, topic, partition);
  ee_numbers_pass_holes(&numbers);
  if (at->acked == at->next || model->hole[topic][partition][at->acked]) return;
  at->acked++;
}

static void take_step(struct model *model) {
  struct random *r = &model->random;
  uint8_t topic = (uint8_t)random_below(r, 2);
  int32_t partition = (int32_t)random_below(r, PARTITIONS);
  struct ee_numbers_count *at = ee_numbers_at(&numbers, topic, partition);
  size_t choice = random_below(r, 16);
  if (choice < 5) {
    if (at->next < NUMBERS) at->next++;
  } else if (choice < 7) {
    refuse_next(model, topic, partition);
  } else if (choice < 8) {
    drop(model, topic, partition);
  } else if (choice < 12) {
    acknowledge(model, topic, partition);
  } else if (model->under_way[partition]) {
    end_report(model, partition, choice < 15);
  } else {
    begin_report(model, partition);
  }
}

// All is acknowledged, and all reports are written.
static void settle(struct model *model) {
  for (int32_t partition = 0; partition < PARTITIONS; partition++) {
    if (model->under_way[partition]) end_report(model, partition, true);
    for (uint8_t topic = 0; topic < EE_NUMBERS_TOPICS; topic++) {
      struct ee_numbers_count *at = ee_numbers_at(&numbers, topic, partition);
      while (at->acked < at->next) {
        uint64_t before = at->acked;
        acknowledge(model, topic, partition);
        assert_true(at->acked > before);  // nothing keeps it for ever
      }
    }
  }
  for (int32_t partition = 0; partition < PARTITIONS; partition++) {
    for (int i = 0; ee_reporter_due(&model->reporter, partition); i++) {
      assert_true(i < 3);
      begin_report(model, partition);
      end_report(model, partition, true);
    }
  }
}

static void run(uint64_t seed) {
  static struct model model;
  memset(&model, 0, sizeof model);
  model.random.state = seed;
  memset(numbers.counts, 0, numbers.size - (size_t)((uint8_t *)numbers.counts - numbers.bytes));
  model.reporter = reporter_of(false);
  for (int i = 0; i < PARTITIONS; i++)
    ee_arena_init(&model.arenas[i], MEMORY);
  for (int i = 0; i < 2000; i++)
    take_step(&model);
  settle(&model);
  assert_memory_equal(model.told, model.hole, sizeof model.told);
  for (uint8_t topic = 0; topic < EE_NUMBERS_TOPICS; topic++) {
    for (int32_t i = 0; i < PARTITIONS; i++)
      assert_int_equal(model.reached[topic][i], ee_numbers_at(&numbers, topic, i)->next);
  }
  assert_int_equal(holes_there(), 0);
  assert_true(ee_reporter_all_told(&model.reporter));
  for (int i = 0; i < PARTITIONS; i++)
    ee_arena_release(&model.arenas[i]);
  ee_reporter_release(&model.reporter);
}

static void nothing_is_lost_in_any_order(void **state) {
  (void)state;
  for (int seed = 0; seed < ee_tries(200); seed++)
    run((uint64_t)seed);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(acknowledged_numbers_are_told),
      TEST(holes_are_told_until_a_report_is_written),
      TEST(a_hole_that_has_grown_is_told_again),
      TEST(a_hole_ahead_is_kept_when_it_is_told),
      TEST(many_holes_take_several_reports),
      TEST(the_end_is_told_once),
      TEST(short_memory),
      TEST(nothing_is_lost_in_any_order),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
