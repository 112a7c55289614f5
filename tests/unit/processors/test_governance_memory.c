// SPDX-License-Identifier: Apache-2.0
// Governance with memory and calls that fail: one story with all that can happen, told again
// and again, with each allocation failing, the step's arena full at each size and each of
// the step's calls refused. What failed is tried again, and in the end nothing differs.
#include "tests/support/chaos.h"
#include "tests/unit/processors/governance_world.h"

enum kind { ALLOCATION, ARENA, CALL };

// Set for one step or wake, which then meets one failure.
static struct {
  bool armed;
  enum kind kind;
  size_t after;
  bool met;
} trouble;

static size_t begin_trouble(struct ee_step *step) {
  struct ee_arena *arena = ee_step_arena(step);
  size_t limit = arena->limit;
  ee_arena_release(arena);  // what it has from steps before would be enough
  if (trouble.armed && trouble.kind == ARENA) arena->limit = trouble.after;
  if (trouble.armed && trouble.kind == ALLOCATION) ee_chaos_fail_after(trouble.after);
  return limit;
}

static bool end_trouble(struct ee_step *step, size_t limit, bool done) {
  ee_step_arena(step)->limit = limit;
  if (!trouble.armed) return done;
  bool failed = trouble.kind == ALLOCATION && ee_chaos_stop();
  trouble.met = failed || !done;
  trouble.armed = false;
  return done;
}

static bool troubled_step(void *self, struct ee_step *step, const struct ee_input *input) {
  size_t limit = begin_trouble(step);
  return end_trouble(step, limit, ee_governance_processor(self).ops->step(self, step, input));
}

static bool troubled_wake(void *self, struct ee_step *step, const struct ee_tick_view *tick,
                          uint8_t changelog, struct ee_bytes key, struct ee_bytes value) {
  size_t limit = begin_trouble(step);
  return end_trouble(
      step, limit,
      ee_governance_processor(self).ops->wake(self, step, tick, changelog, key, value));
}

#define CHAPTERS 7

static void tell(struct world *w, int chapter) {
  char id[EE_SHA256_HEX_SIZE];
  id_of("envelope", 0, "hint-notify", "notify", id);
  struct ee_receipt receipt = a_receipt(ee_str(id), EE_OBLIGATION_STATE_FAILED, NOON);
  struct ee_governance governance = {
      .sensitivity = CHOSEN(EE_SENSITIVITY_INTERNAL),
      .retention = EE_STR_INIT("P1D"),
      .hints = ENTRIES(ENTRY("notify", "me"), ENTRY("review", "legal"))};
  union event admission = an_admission(&governance),
              annotation = an_event(EE_PHASE_ANNOTATION, "n");
  annotation.head.sensitivity = CHOSEN(EE_SENSITIVITY_PUBLIC);
  enum ee_topic topic = EE_TOPIC_OBLIGATION;
  const void *record = &receipt;
  if (chapter == 1) topic = EE_TOPIC_ADMISSION, record = &admission;
  if (chapter == 3 || chapter == 6) topic = EE_TOPIC_ANNOTATION, record = &annotation;
  if (chapter == 4) receipt.occurred_at++, receipt.state = EE_OBLIGATION_STATE_APPLIED;
  if (chapter == 2 || chapter == 5) {
    int64_t clock = NOON + (chapter == 2 ? 2 * HOUR : 24 * 8 * HOUR);
    if (!step_double_tick(w->d, PARTITION, clock, w->offsets)) world_tick(w, clock);
    return;
  }
  if (step_double_input(w->d, topic, PARTITION, w->offsets[topic], w->now, record)) {
    w->offsets[topic]++;
  } else {
    world_input(w, topic, record);
  }
}

// The trouble is met in the given chapter; -1: in none.
static void tell_all(struct world *w, int troubled) {
  for (int chapter = 0; chapter < CHAPTERS; chapter++) {
    trouble.armed = chapter == troubled;
    if (trouble.armed && trouble.kind == CALL) step_double_fail_at(w->d, (int)trouble.after + 1);
    tell(w, chapter);
    step_double_fail_at(w->d, 0);
  }
}

static void trouble_init(struct world *w, struct ee_processor_ops *ops,
                         struct ee_processor *processor) {
  world_init(w, NULL);
  *ops = *w->processor.ops;
  ops->step = troubled_step;
  ops->wake = troubled_wake;
  *processor = (struct ee_processor){.ops = ops, .self = w->processor.self};
  step_double_free(w->d);
  w->d = step_double_new(processor);
  step_double_may_fail(w->d);
}

static void assert_same_outputs(struct world *a, struct world *b) {
  const struct step_output *of_a, *of_b;
  size_t count = step_double_outputs(a->d, &of_a);
  assert_int_equal(step_double_outputs(b->d, &of_b), count);
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(of_a[i].topic, of_b[i].topic);
    assert_true(ee_bytes_equal(of_a[i].value, of_b[i].value));
  }
  assert_true(
      ee_bytes_equal(world_state(a, "envelope")->encoded, world_state(b, "envelope")->encoded));
}

// least: failures in the chapter with the fewest.
static void run_out(enum kind kind, size_t stride, size_t least) {
  struct ee_processor_ops ops;
  struct ee_processor processor;
  struct world whole;
  const struct ee_obligation *written;
  trouble_init(&whole, &ops, &processor);
  tell_all(&whole, -1);
  // Two by the admission, one by the second receipt, one by the last tick.
  assert_int_equal(world_obligations(&whole, &written), 4);
  assert_true(written[3].overdue);
  for (int chapter = 0; chapter < CHAPTERS; chapter++) {
    size_t failures = 0;
    trouble.met = true;
    for (size_t after = 0; trouble.met; after += stride) {
      struct world w;
      trouble_init(&w, &ops, &processor);
      trouble.kind = kind;
      trouble.after = after;
      trouble.met = false;
      tell_all(&w, chapter);
      failures += trouble.met;
      assert_same_outputs(&whole, &w);
      world_release(&w);
    }
    assert_true(failures >= least || chapter == 2);  // its tick finds nothing to judge
  }
  world_release(&whole);
}

static void test_each_allocation_fails(void **state) {
  (void)state;
  run_out(ALLOCATION, 1, 4);
}

static void test_each_arena_is_full(void **state) {
  (void)state;
  run_out(ARENA, 8, 8);
}

static void test_each_call_fails(void **state) {
  (void)state;
  run_out(CALL, 1, 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_each_allocation_fails),
      cmocka_unit_test(test_each_arena_is_full),
      cmocka_unit_test(test_each_call_fails),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
