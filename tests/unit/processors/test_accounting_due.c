// SPDX-License-Identifier: Apache-2.0
// Accounting's pure parts at their edges: hours, rates, running grants and clocks, numbers
// and times as large as they come, the largest state, and memory that runs out.
#include "accounting/entries.h"
#include "accounting/facts.h"
#include "accounting/totals.h"
#include "tests/support/chaos.h"
#include "tests/support/own_plan.h"
#include "tests/unit/processors/accounting_world.h"

#define LARGEST (INT64_C(1) << 53)
#define YEAR_HOURS INT64_C(8766)

static void test_hours_of_any_time(void **state) {
  (void)state;
  assert_int_equal(ee_hour_of(0), 0);
  assert_int_equal(ee_hour_of(HOUR - 1), 0);
  assert_int_equal(ee_hour_of(HOUR), HOUR);
  assert_int_equal(ee_hour_of(-1), -HOUR);
  assert_int_equal(ee_hour_of(-HOUR), -HOUR);
  assert_int_equal(ee_hour_of(NOON + 59 * MINUTE), NOON);
}

static void assert_rate(const struct ee_resources *r, enum ee_rate rate, int64_t expected) {
  int64_t value = 0;
  assert_true(ee_rate_of(r, rate, &value));
  assert_int_equal(value, expected);
}

static void assert_no_rate(const struct ee_resources *r, enum ee_rate rate) {
  int64_t value;
  assert_false(ee_rate_of(r, rate, &value));
}

static void test_rates_at_their_bounds(void **state) {
  (void)state;
  struct ee_resources r;
  ee_record_init(&ee_resources_type, &r);
  for (int rate = 0; rate < EE_RATE_COUNT; rate++) {
    assert_no_rate(&r, (enum ee_rate)rate);
  }
  r.cpu_millis = NUMBER(LARGEST);
  r.memory_bytes = NUMBER(LARGEST + 1);
  r.concurrency = NUMBER(-1);
  assert_rate(&r, EE_RATE_CPU_MILLIS, LARGEST);
  assert_no_rate(&r, EE_RATE_MEMORY_BYTES);
  assert_no_rate(&r, EE_RATE_CONCURRENCY);
  r.gpu_share_milli = NUMBER(500);
  assert_no_rate(&r, EE_RATE_GPU);  // a share of no GPUs known
  r.gpu_count = NUMBER(3);
  assert_rate(&r, EE_RATE_GPU, 1500);
  r.gpu_share_milli.present = false;
  assert_rate(&r, EE_RATE_GPU, 3000);
  static const struct {
    int64_t count, share;
  } bad[] = {{-1, -1},
             {-1, 1},
             {1, -1},
             {LARGEST, 2},
             {LARGEST + 1, 0},
             {0, INT64_MAX},
             {LARGEST, LARGEST},
             {INT64_MAX, INT64_MAX}};
  for (size_t i = 0; i < COUNT_OF(bad); i++) {
    r.gpu_count = NUMBER(bad[i].count);
    r.gpu_share_milli = NUMBER(bad[i].share);
    assert_no_rate(&r, EE_RATE_GPU);
  }
  r.gpu_count = NUMBER(LARGEST / 2);
  r.gpu_share_milli = NUMBER(2);
  assert_rate(&r, EE_RATE_GPU, LARGEST);
}

static void test_dimensions_are_in_the_order_of_their_bytes(void **state) {
  (void)state;
  assert_true(ee_str_compare(EE_STR("amounts.\xff"), ee_rate_names[0]) < 0);
  for (int i = 1; i < EE_RATE_COUNT; i++) {
    assert_true(ee_str_compare(ee_rate_names[i - 1], ee_rate_names[i]) < 0);
  }
}

// ---- Running grants.

static struct ee_due a_running(struct ee_due_interval *interval, int64_t start, int64_t end) {
  *interval = (struct ee_due_interval){.start = start, .end = end};
  return (struct ee_due){
      .intervals = interval, .interval_count = 1, .running = true, .booked_until = EE_DUE_NOTHING};
}

static void test_until_and_wake_at(void **state) {
  (void)state;
  struct ee_due_interval interval;
  struct ee_due due = a_running(&interval, NOON + 30 * MINUTE, NOON + 150 * MINUTE);
  assert_int_equal(ee_due_until(&due, INT64_MIN), EE_DUE_NOTHING);
  assert_int_equal(ee_due_until(&due, NOON + HOUR - 1), EE_DUE_NOTHING);
  assert_int_equal(ee_due_until(&due, NOON + HOUR), NOON + HOUR);
  assert_int_equal(ee_due_until(&due, NOON + 3 * HOUR - 1), NOON + 2 * HOUR);
  assert_int_equal(ee_due_until(&due, NOON + 3 * HOUR), NOON + 3 * HOUR);
  assert_int_equal(ee_due_until(&due, NOON + 99 * HOUR), NOON + 3 * HOUR);
  assert_int_equal(ee_due_until(&due, INT64_MAX), NOON + 3 * HOUR);
  assert_int_equal(ee_due_wake_at(&due), NOON + HOUR);
  due.booked_until = NOON + 2 * HOUR;
  assert_int_equal(ee_due_wake_at(&due), NOON + 3 * HOUR);
  due.booked_until = NOON + 3 * HOUR;
  assert_int_equal(ee_due_wake_at(&due), EE_NEVER);
  due = a_running(&interval, NOON, NOON + HOUR);  // on the hour exactly
  assert_int_equal(ee_due_until(&due, NOON), EE_DUE_NOTHING);
  assert_int_equal(ee_due_until(&due, NOON + 5 * HOUR), NOON + HOUR);
  assert_int_equal(ee_due_wake_at(&due), NOON + HOUR);
  due.running = false;
  assert_int_equal(ee_due_until(&due, NOON + 5 * HOUR), EE_DUE_NOTHING);
  assert_int_equal(ee_due_wake_at(&due), EE_NEVER);
}

static void test_amounts_of_a_running_grant_are_due_with_their_window(void **state) {
  (void)state;
  struct ee_due_interval interval;
  struct ee_due due = a_running(&interval, NOON + MINUTE, INT64_MAX);
  struct ee_due_amount amount = {.window = NOON};
  assert_true(ee_due_amount_is_due(&due, &amount));
  amount.running = true;
  assert_false(ee_due_amount_is_due(&due, &amount));
  due.booked_until = NOON + HOUR - 1;
  assert_false(ee_due_amount_is_due(&due, &amount));
  due.booked_until = NOON + HOUR;
  assert_true(ee_due_amount_is_due(&due, &amount));
}

// The clock is a tick's and may say anything: waking ends at the year 9999.
static void test_no_clock_is_too_large(void **state) {
  (void)state;
  struct ee_due_interval interval;
  struct ee_due due = a_running(&interval, NOON, INT64_MAX);
  due.booked_until = ee_due_until(&due, INT64_MAX);
  assert_int_equal(due.booked_until, ee_hour_of(EE_FACTS_TIME_MOST));
  assert_int_equal(ee_due_until(&due, INT64_MAX - 1), due.booked_until);
  assert_int_equal(ee_due_wake_at(&due), EE_NEVER);
  due.booked_until -= HOUR;
  assert_int_equal(ee_due_wake_at(&due), ee_hour_of(EE_FACTS_TIME_MOST));
  assert_int_equal(ee_due_until(&due, EE_FACTS_TIME_LEAST - 1), EE_DUE_NOTHING);
}

// ---- Facts made by hand.

struct maker {
  struct ee_deadlines deadlines;
  struct ee_arena arena;
  struct ee_accounting_envelope facts;
  struct ee_usage_event const *event;  // the last one added
  int64_t offset;
};

static void maker_init(struct maker *m) {
  *m = (struct maker){.offset = 0};
  const struct ee_properties none = {.count = 0};
  assert_true(ee_deadlines_init(&m->deadlines, &none, NULL));
  ee_arena_init(&m->arena, (size_t)64 << 20);
}

static bool maker_add(struct maker *m, enum ee_topic topic, int64_t timestamp, const void *record) {
  struct ee_input input = {
      .topic = topic, .offset = m->offset++, .timestamp = timestamp, .record = record};
  struct ee_facts_change change;
  bool ok = ee_facts_add(&m->facts, &input, ee_str(ee_topics[topic].name), &m->deadlines, &m->arena,
                         &change);
  m->event = change.event;
  return ok;
}

static void test_times_at_their_bounds(void **state) {
  (void)state;
  static const int64_t appends[] = {INT64_MIN, -1, 0, NOON, INT64_MAX};
  static const int64_t occurred[] = {INT64_MIN, 0, NOON, INT64_MAX};
  for (size_t i = 0; i < COUNT_OF(appends); i++) {
    for (size_t k = 0; k < COUNT_OF(occurred); k++) {
      struct maker m;
      maker_init(&m);
      struct ee_admission a = an_admission(EE_EXECUTION_KIND_PIPELINE_STEP, INT64_MAX);
      a.occurred_at = occurred[k];
      assert_true(maker_add(&m, EE_TOPIC_ADMISSION, appends[i], &a));
      struct ee_resolved grant = a_resolved("g", occurred[k]);
      grant.granted.cpu_millis = NUMBER(1);
      assert_true(maker_add(&m, EE_TOPIC_RESOLVED, appends[i], &grant));
      int64_t at = m.facts.events.items[0].occurred_at;
      assert_int_equal(at, m.facts.admission->occurred_at);
      assert_true(at >= EE_FACTS_TIME_LEAST - EE_FACTS_CLAMP_MICROS);
      assert_true(at <= EE_FACTS_TIME_MOST + EE_FACTS_CLAMP_MICROS);
      if (appends[i] == NOON && occurred[k] == NOON) assert_int_equal(at, NOON);
      struct ee_due due;
      assert_true(ee_due_make(&m.facts, &m.arena, &due));
      (void)ee_due_until(&due, INT64_MAX);
      (void)ee_due_wake_at(&due);
      ee_arena_release(&m.arena);
    }
  }
}

struct totals {
  ee_int128 sums[EE_QUANTITY_COUNT];
  size_t entries;
  size_t fail_at;  // 0: never
};

static bool sum_up(void *context, const struct ee_usage *entry) {
  struct totals *t = context;
  if (++t->entries == t->fail_at) return false;
  assert_true(entry->evidence.count <= EE_ENTRY_EVIDENCE_MAX);
  if (entry->asked.present) t->sums[EE_ASKED] += entry->asked.value;
  if (entry->granted.present) t->sums[EE_GRANTED] += entry->granted.value;
  if (entry->billed.present) t->sums[EE_BILLED] += entry->billed.value;
  return true;
}

static bool visit(struct maker *m, const struct ee_due *before, const struct ee_due *after,
                  struct totals *t) {
  struct ee_entry_source source = {.envelope_id = EE_STR(ENVELOPE),
                                   .before = before,
                                   .after = after,
                                   .trigger = m->event,
                                   .arena = &m->arena};
  return ee_entries_visit(&source, sum_up, t);
}

// 512 grants at the largest rates in all dimensions, the last of them for twenty years.
static void test_largest_numbers_over_years(void **state) {
  (void)state;
  struct maker m;
  maker_init(&m);
  struct ee_admission a = an_admission(EE_EXECUTION_KIND_DEPLOYMENT, -1);
  struct ee_resources largest = {.cpu_millis = NUMBER(LARGEST),
                                 .memory_bytes = NUMBER(LARGEST),
                                 .gpu_count = NUMBER(LARGEST),
                                 .gpu_share_milli = NUMBER(1),
                                 .concurrency = NUMBER(LARGEST)};
  a.requested = largest;
  assert_true(maker_add(&m, EE_TOPIC_ADMISSION, NOON, &a));
  char ids[512][8];
  for (int i = 0; i < 512; i++) {
    assert_true(snprintf(ids[i], sizeof ids[i], "g%03d", i) < (int)sizeof ids[i]);
    struct ee_resolved grant = a_resolved(ids[i], NOON + i * MINUTE);
    grant.granted = largest;
    assert_true(maker_add(&m, EE_TOPIC_RESOLVED, grant.occurred_at, &grant));
    assert_non_null(m.event);
  }
  const int64_t hours = 20 * YEAR_HOURS;
  struct ee_due before, after;
  assert_true(ee_due_make(&m.facts, &m.arena, &before));
  after = before;
  after.booked_until = ee_due_until(&before, NOON + hours * HOUR);
  before = (struct ee_due){.admission = NULL, .booked_until = EE_DUE_NOTHING};
  struct totals t = {.entries = 0};
  assert_true(visit(&m, &before, &after, &t));
  assert_int_equal(t.entries, 4 * hours);
  ee_int128 whole = (ee_int128)LARGEST * 4 * hours * HOUR;
  assert_true(t.sums[EE_ASKED] == whole && t.sums[EE_GRANTED] == whole);

  // The end is read at last: only what differs from the booked hours is said.
  before = after;
  struct ee_released r = a_released("r", NOON + hours * HOUR - MINUTE);
  assert_true(maker_add(&m, EE_TOPIC_RELEASED, r.occurred_at, &r));
  assert_true(ee_due_make(&m.facts, &m.arena, &after));
  t = (struct totals){.entries = 0};
  assert_true(visit(&m, &before, &after, &t));
  assert_int_equal(t.entries, 4);
  assert_true(t.sums[EE_GRANTED] == -(ee_int128)LARGEST * 4 * MINUTE);
  ee_arena_release(&m.arena);
}

static void test_a_failing_visit_ends_the_walk(void **state) {
  (void)state;
  struct maker m;
  maker_init(&m);
  struct ee_admission a = an_admission(EE_EXECUTION_KIND_DEPLOYMENT, -1);
  a.requested.cpu_millis = NUMBER(1);
  struct ee_long_entry amount = {.key = EE_STR("tokens"), .value = 1};
  a.requested.amounts = (struct ee_long_map){.entries = &amount, .count = 1};
  assert_true(maker_add(&m, EE_TOPIC_ADMISSION, NOON, &a));
  struct ee_failed f = a_failed("f", NOON + 2 * HOUR);
  assert_true(maker_add(&m, EE_TOPIC_FAILED, NOON, &f));
  struct ee_due before = {.booked_until = EE_DUE_NOTHING}, after;
  assert_true(ee_due_make(&m.facts, &m.arena, &after));
  for (size_t n = 1; n <= 3; n++) {
    struct totals t = {.fail_at = n};
    assert_false(visit(&m, &before, &after, &t));
    assert_int_equal(t.entries, n);
  }
  struct totals t = {.fail_at = 4};
  assert_true(visit(&m, &before, &after, &t));
  ee_arena_release(&m.arena);
}

static void test_absent_quantities_add_nothing(void **state) {
  (void)state;
  struct ee_usage entry = {.asked = {.present = false, .value = 5},
                           .billed = {.present = true, .value = 7}};
  struct ee_usage_total before = {.billed = {.present = false, .value = 100}}, total;
  ee_total_add(&before, &entry, &total);
  assert_false(total.asked.present || total.granted.present);
  assert_true(total.billed.present && total.billed.value == 7);
  assert_true(ee_total_known(&total));
}

// ---- The largest state.

// As many entries as fit into a map, with keys that are as short as they can be.
static size_t fill_map(struct ee_long_entry *entries, char (*keys)[3], size_t count) {
  for (size_t i = 0; i < count; i++) {
    keys[i][0] = (char)('!' + i % 90);
    keys[i][1] = (char)('!' + i / 90);
    entries[i] = (struct ee_long_entry){.key = {.data = keys[i], .size = 2}, .value = 1};
  }
  return count;
}

static void test_largest_state_can_be_read_back(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  static struct ee_long_entry entries[EE_ENTRIES_MAX];
  static char keys[EE_ENTRIES_MAX][3];
  struct ee_long_map map = {.entries = entries, .count = fill_map(entries, keys, EE_ENTRIES_MAX)};
  char id[16];
  for (int i = 0; i < 200; i++) {  // more than fit
    assert_true(snprintf(id, sizeof id, "x%03d", i) < (int)sizeof id);
    struct ee_resolved grant = a_resolved(id, NOON + i);
    grant.granted.amounts = map;
    world_event(&w, EE_TOPIC_RESOLVED, NOON, &grant);
    if (i > EE_FACTS_ENDS_MAX) continue;
    struct ee_finalized f = a_finalized(id, NOON + 1000 + i);
    f.measured = map;
    world_event(&w, EE_TOPIC_FINALIZED, NOON, &f);
    struct ee_released r = a_released(id, NOON + 1000 + i);
    r.tenant = EE_STR("other");  // so that the grant runs
    r.measured = map;
    world_event(&w, EE_TOPIC_RELEASED, NOON, &r);
  }
  struct ee_admission a = an_admission(EE_EXECUTION_KIND_DEPLOYMENT, -1);
  a.requested.amounts = map;
  world_event(&w, EE_TOPIC_ADMISSION, NOON, &a);
  struct ee_bytes key = ee_str_bytes(EE_STR("[\"e\",\"" ENVELOPE "\"]"));
  struct ee_bytes value = step_double_state(w.d, WORLD_PARTITION, WORLD_STATE, key);
  assert_true(value.size > 900000 && value.size < EE_FACTS_STATE_MAX / 2);
  // The arena of a restore is smaller than that of a step.
  struct ee_arena small;
  ee_arena_init(&small, (size_t)16 << 20);
  struct ee_processor p = ee_accounting_processor(&w.settings);
  struct ee_accounting_state record;
  assert_true(ee_decode(own_plan(&ee_accounting_state_type), value, &small, &record, NULL));
  assert_int_equal(p.ops->wake_at(p.self, WORLD_STATE, key, &record, INT64_MIN, &small),
                   NOON + HOUR);
  // What there is no memory for is looked at by the next tick.
  struct ee_arena none;
  ee_arena_init(&none, 0);
  assert_int_equal(p.ops->wake_at(p.self, WORLD_STATE, key, &record, INT64_MIN, &none), INT64_MIN);
  assert_int_equal(p.ops->wake_at(p.self, WORLD_TOTALS, key, NULL, INT64_MIN, &small), EE_NEVER);
  ee_arena_release(&none);
  ee_arena_release(&small);
  world_tick(&w, NOON + HOUR);
  assert_ledger(&w, NOON, "amounts.!!", 1, 1, 1);
  world_release(&w);
}

static void test_partition_state_is_no_envelope(void **state) {
  (void)state;
  struct ee_partition_state clock = {.clock = NUMBER(NOON)};
  struct ee_accounting_state record = {.partition = &clock};
  struct ee_arena arena;
  ee_arena_init(&arena, 65536);
  struct ee_accounting_settings settings = {{{0}}};
  struct ee_processor p = ee_accounting_processor(&settings);
  struct ee_bytes key = ee_str_bytes(EE_STR("[\"p\",\"clock\"]"));
  assert_int_equal(p.ops->wake_at(p.self, WORLD_STATE, key, &record, INT64_MIN, &arena), EE_NEVER);
  ee_arena_release(&arena);
}

// ---- Memory.

struct chaos_run {
  struct maker m;
  struct ee_buf state;
};

// Facts are added to, written, read back, and booked, all in new memory.
static bool run_once(struct chaos_run *run) {
  struct maker *m = &run->m;
  static char large[60000];
  struct ee_str_entry placement = {.key = EE_STR("k"), .value = {large, sizeof large}};
  struct ee_admission a = an_admission(EE_EXECUTION_KIND_DEPLOYMENT, -1);
  struct ee_long_entry amount = {.key = EE_STR("tokens"), .value = 1};
  a.requested.amounts = (struct ee_long_map){.entries = &amount, .count = 1};
  if (!maker_add(m, EE_TOPIC_ADMISSION, NOON, &a)) return false;
  struct ee_resolved grant = a_resolved("g", NOON);
  grant.granted.cpu_millis = NUMBER(1);
  grant.granted.placement = (struct ee_str_map){.entries = &placement, .count = 1};
  if (!maker_add(m, EE_TOPIC_RESOLVED, NOON, &grant)) return false;
  struct ee_released r = a_released("r", NOON + 2 * HOUR);
  r.measured = a.requested.amounts;
  if (!maker_add(m, EE_TOPIC_RELEASED, NOON, &r)) return false;
  ee_facts_write(&m->facts, &run->state);
  struct ee_accounting_envelope facts;
  if (run->state.failed || !ee_facts_read(ee_buf_bytes(&run->state), &m->arena, &facts)) {
    return false;
  }
  struct ee_due before = {.booked_until = EE_DUE_NOTHING}, after;
  struct totals t = {.entries = 0};
  if (!ee_due_make(&facts, &m->arena, &after) || !visit(m, &before, &after, &t)) return false;
  assert_int_equal(t.entries, 4);  // cpu_millis twice; tokens asked and billed in two windows
  return true;
}

static void test_memory_may_run_out_anywhere(void **state) {
  (void)state;
  assert_non_null(own_plan(&ee_accounting_state_type));  // made once, not part of this
  size_t failures = 0;
  bool failed = true;
  for (size_t n = 0; failed; n++) {
    struct chaos_run run;
    maker_init(&run.m);
    ee_buf_init(&run.state, EE_FACTS_STATE_MAX);
    ee_chaos_fail_after(n);
    bool ok = run_once(&run);
    failed = ee_chaos_stop();
    assert_int_equal(ok, !failed);
    failures += failed;
    ee_buf_release(&run.state);
    ee_arena_release(&run.m.arena);
  }
  assert_true(failures >= 4);
}

// The same with arenas of every size, so that each single piece is refused once.
static void test_arena_may_be_full_anywhere(void **state) {
  (void)state;
  bool ok = false;
  for (size_t limit = 0; !ok; limit += 16) {
    struct chaos_run run;
    maker_init(&run.m);
    ee_arena_init(&run.m.arena, limit);
    ee_buf_init(&run.state, EE_FACTS_STATE_MAX);
    ok = run_once(&run);
    assert_true(limit < 65536);
    ee_buf_release(&run.state);
    ee_arena_release(&run.m.arena);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_hours_of_any_time),
      cmocka_unit_test(test_rates_at_their_bounds),
      cmocka_unit_test(test_dimensions_are_in_the_order_of_their_bytes),
      cmocka_unit_test(test_until_and_wake_at),
      cmocka_unit_test(test_amounts_of_a_running_grant_are_due_with_their_window),
      cmocka_unit_test(test_no_clock_is_too_large),
      cmocka_unit_test(test_times_at_their_bounds),
      cmocka_unit_test(test_largest_numbers_over_years),
      cmocka_unit_test(test_a_failing_visit_ends_the_walk),
      cmocka_unit_test(test_absent_quantities_add_nothing),
      cmocka_unit_test(test_largest_state_can_be_read_back),
      cmocka_unit_test(test_partition_state_is_no_envelope),
      cmocka_unit_test(test_memory_may_run_out_anywhere),
      cmocka_unit_test(test_arena_may_be_full_anywhere),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
