// SPDX-License-Identifier: Apache-2.0
// The order of events: the heap's, that of the whole plan, within its bound, and the same from the
// same seed, to the byte.
#include "tools/envelope-load/plan.h"

#include "base/time.h"
#include "contract/record.h"
#include "tests/support/chaos.h"
#include "tests/support/test.h"

#define AT INT64_C(1780000000000000)
#define ITEMS 5000

// ---- The heap.

static void heap_gives_in_order(void **state) {
  (void)state;
  struct heap heap;
  struct random random = random_of(1, 1);
  heap_init(&heap, ITEMS);
  assert_null(heap_first(&heap));
  for (uint64_t i = 0; i < ITEMS; i++) {
    assert_false(heap_full(&heap));
    assert_true(heap_push(
        &heap, (struct open_envelope){.due = random_below(&random, 500), .number = ITEMS - i}));
  }
  assert_true(heap_full(&heap));
  struct open_envelope before = {.due = -1};
  for (size_t left = ITEMS; left > 0; left--) {
    int64_t due = heap_first(&heap)->due;
    struct open_envelope item = heap_pop(&heap);
    assert_true(item.due == due && heap.count == left - 1);
    assert_true(item.due > before.due || (item.due == before.due && item.number > before.number));
    before = item;
  }
  assert_null(heap_first(&heap));
  heap_release(&heap);
}

// ---- Plans.

static struct tenants tenants;

static struct plan_settings settings(void) {
  return (struct plan_settings){.model = {.tenants = &tenants, .time_scale = 1},
                                .seed = 1,
                                .start = AT,
                                .per_s = 100,
                                .envelopes = 2000,
                                .open = 100000,
                                .threads = 1};
}

struct emitted {
  struct ee_buf bytes;  // of all events
  int64_t last;
  size_t count, phases[EE_PHASE_TOPICS];
  int given;
};

static void keep(void *context, enum ee_phase phase, const void *record, int64_t sent_at) {
  struct emitted *emitted = context;
  emitted->given++;
  assert_true(sent_at >= emitted->last);
  emitted->last = sent_at;
  emitted->count++;
  emitted->phases[phase]++;
  ee_buf_decimal(&emitted->bytes, sent_at);
  ee_encode(ee_phase_record(phase), record, &emitted->bytes);
}

// False: memory was out.
static bool emit_all(struct plan *plan, struct emitted *emitted, size_t *ret_most_open) {
  struct story_sink sink = {.take = keep, .context = emitted};
  enum plan_state state;
  int64_t due;
  while ((state = plan_due(plan, &due)) == PLAN_DUE) {
    if (plan->open.count > *ret_most_open) *ret_most_open = plan->open.count;
    emitted->given = 0;
    bool ok = plan_give(plan, &sink);
    assert_int_equal(emitted->given, 1);
    assert_true(emitted->last == due);
    if (!ok) return false;
  }
  return state == PLAN_DONE;
}

static struct emitted run(const struct plan_settings *with, struct plan *ret, size_t *ret_most) {
  struct emitted emitted = {.last = INT64_MIN};
  *ret_most = 0;
  ee_buf_init(&emitted.bytes, (size_t)64 << 20);
  plan_init(ret, with);
  assert_true(emit_all(ret, &emitted, ret_most));
  assert_false(emitted.bytes.failed);
  plan_release(ret);
  return emitted;
}

static bool same(struct plan_settings a, struct plan_settings b) {
  struct plan plan;
  size_t most;
  struct emitted one = run(&a, &plan, &most), two = run(&b, &plan, &most);
  bool same = ee_bytes_equal(ee_buf_bytes(&one.bytes), ee_buf_bytes(&two.bytes));
  ee_buf_release(&one.bytes);
  ee_buf_release(&two.bytes);
  return same;
}

static void a_seed_gives_the_same_events(void **state) {
  (void)state;
  struct plan_settings one = settings(), other = settings();
  one.envelopes = other.envelopes = 300;
  assert_true(same(one, other));
  other.seed = 2;
  assert_false(same(one, other));
  other = one;
  other.bursty = true;
  assert_false(same(one, other));
}

static void count_phase(void *context, enum ee_phase phase, const void *record, int64_t sent_at) {
  (void)record, (void)sent_at;
  ((size_t *)context)[phase]++;
}

// How many events of each phase the stories have.
static void count_told(const struct plan_settings *with, size_t phases[EE_PHASE_TOPICS]) {
  struct story_sink sink = {.take = count_phase, .context = phases};
  for (uint64_t i = 0; i < with->envelopes; i++) {
    struct random random = random_of(with->seed, i);
    traffic_tell(&with->model, &random, (int64_t)i, AT, &sink);
  }
}

static void every_story_is_told_to_its_end(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 2; seed++) {
    struct plan_settings with = settings();
    struct plan plan;
    size_t most, told[EE_PHASE_TOPICS] = {0};
    with.seed = seed;
    struct emitted emitted = run(&with, &plan, &most);
    count_told(&with, told);
    assert_memory_equal(emitted.phases, told, sizeof told);
    assert_true(plan.begun == 2000 && plan.ended == 2000 && plan.held_us == 0);
    assert_true(most > 100);
    ee_buf_release(&emitted.bytes);
  }
}

// The same events as in one thread, less the times and what comes of them.
static void threads_share_the_stories(void **state) {
  (void)state;
  struct plan_settings with = settings();
  struct plan plan;
  size_t most, count = 0, begun = 0;
  struct emitted emitted = run(&with, &plan, &most);
  size_t alone = emitted.count;
  ee_buf_release(&emitted.bytes);
  with.threads = 3;
  for (with.thread = 0; with.thread < 3; with.thread++) {
    emitted = run(&with, &plan, &most);
    count += emitted.count;
    begun += plan.begun;
    // A third of the rate each: 2000 envelopes at 100 a second take 20 s in any case.
    assert_in_range(plan.arrival - AT, 16 * EE_MICROS_PER_S, 24 * EE_MICROS_PER_S);
    ee_buf_release(&emitted.bytes);
  }
  assert_true(begun == 2000 && count == alone);
}

static void open_envelopes_are_bounded(void **state) {
  (void)state;
  struct plan_settings with = settings();
  struct plan plan;
  size_t most;
  with.open = 50;
  struct emitted emitted = run(&with, &plan, &most);
  assert_int_equal(most, 50);
  assert_true(plan.open.capacity == 0 && plan.begun == 2000 && plan.ended == 2000);
  assert_true(plan.held_us > EE_MICROS_PER_S);
  ee_buf_release(&emitted.bytes);
}

static void memory_that_is_out_is_said(void **state) {
  (void)state;
  bool failed = false;
  for (size_t n = 0; n == 0 || failed; n++) {
    struct plan_settings with = settings();
    struct emitted emitted = {.last = INT64_MIN};
    struct plan plan;
    size_t most = 0;
    with.envelopes = 200;
    ee_buf_init(&emitted.bytes, (size_t)8 << 20);
    assert_non_null(ee_buf_reserve(&emitted.bytes, (size_t)4 << 20));
    plan_init(&plan, &with);
    ee_chaos_fail_after(n);
    bool ok = emit_all(&plan, &emitted, &most);
    failed = ee_chaos_stop();
    assert_true(ok == !failed);
    plan_release(&plan);
    ee_buf_release(&emitted.bytes);
  }
}

static int set_up(void **state) {
  struct ee_err err;
  (void)state;
  return tenants_init(&tenants, TENANTS, TENANT_EXPONENT, &err) ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  tenants_release(&tenants);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(heap_gives_in_order),
      cmocka_unit_test(a_seed_gives_the_same_events),
      cmocka_unit_test(every_story_is_told_to_its_end),
      cmocka_unit_test(threads_share_the_stories),
      cmocka_unit_test(open_envelopes_are_bounded),
      cmocka_unit_test(memory_that_is_out_is_said),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
