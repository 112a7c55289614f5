// SPDX-License-Identifier: Apache-2.0
// The join with memory that runs out: one story with all that can happen, told again and
// again, with each allocation failing and the step's arena full at each size. A step that
// failed is tried again, and in the end nothing differs.
#include "tests/support/chaos.h"
#include "tests/unit/processors/numbers_world.h"

// Set for one step or wake, which then meets one failure.
static struct {
  bool armed;
  bool arena;  // the step's arena is full after so many bytes; else an allocation fails
  size_t after;
  bool met;
} trouble;

static void begin_trouble(struct ee_step *step, size_t *ret_limit) {
  struct ee_arena *arena = ee_step_arena(step);
  *ret_limit = arena->limit;
  if (!trouble.armed) return;
  if (trouble.arena) {
    arena->limit = trouble.after;
  } else {
    ee_chaos_fail_after(trouble.after);
  }
}

static bool end_trouble(struct ee_step *step, size_t limit, bool done) {
  ee_step_arena(step)->limit = limit;
  if (!trouble.armed) return done;
  bool failed = !trouble.arena && ee_chaos_stop();
  trouble.met = failed || !done;
  trouble.armed = false;
  return done;
}

// Grants come as from an older writer, so that they are encoded here.
static bool troubled_step(void *self, struct ee_step *step, const struct ee_input *input) {
  size_t limit;
  union event event;
  struct ee_input older = *input;
  if (input->topic == EE_TOPIC_RESOLVED) {
    memcpy(&event.resolved, input->record, sizeof event.resolved);
    event.head.encoded = ee_bytes(NULL, 0);
    older.record = &event;
  }
  begin_trouble(step, &limit);
  return end_trouble(step, limit, ee_join_processor(self).ops->step(self, step, &older));
}

static bool troubled_wake(void *self, struct ee_step *step, const struct ee_tick_view *tick,
                          uint8_t changelog, struct ee_bytes key, struct ee_bytes value) {
  size_t limit;
  begin_trouble(step, &limit);
  return end_trouble(step, limit,
                     ee_join_processor(self).ops->wake(self, step, tick, changelog, key, value));
}

static void tick_at(struct world *w, int64_t seconds) {
  int64_t clock = NOON + seconds * SECOND;
  if (!step_double_tick(w->d, PARTITION, clock, w->offsets)) world_tick(w, clock);
  w->now = clock + SECOND;
}

static void tell(struct world *w, enum ee_phase phase, const char *event_id, const char *tenant,
                 int64_t timeout_ms) {
  union event event = an_event(phase, event_id, 5);
  event.head.tenant = ee_str(tenant);
  if (phase == EE_PHASE_ADMISSION) event.admission.requested.timeout_ms = NUMBER(timeout_ms);
  if (phase == EE_PHASE_RESOLVED) event.resolved.granted.timeout_ms = NUMBER(timeout_ms);
  if (!world_try(w, phase, &event)) assert_true(world_try(w, phase, &event));
  w->offsets[phase]++;
}

// Of numbers 0 to 4, 1 and 3 have come, 2 is declared.
static void tell_numbers(struct world *w) {
  step_double_numbers(w->d, number_text(EPOCH, 3), number_text(EPOCH, 1));
  tell(w, EE_PHASE_ANNOTATION, "n", "acme", 0);
  step_double_numbers(w->d, NULL, NULL);
}

static void tell_report(struct world *w) {
  struct ee_producer_report report = a_report();
  struct ee_producer_sequence sequence = settled(EE_TOPIC_ANNOTATION, 4);
  struct ee_producer_hole declared = hole(2, 2, "torn");
  declared.topic = sequence.topic;
  report.sequences = (struct ee_producer_sequence_array){&sequence, 1};
  report.holes = (struct ee_producer_hole_array){&declared, 1};
  if (!try_report(w, &report)) assert_true(try_report(w, &report));
}

#define CHAPTERS 11

// Everything that can happen to an envelope, with limits of a few events, and to numbers; the
// trouble is met in the given chapter.
static void tell_all(struct world *w, int troubled) {
  for (int chapter = 0; chapter < CHAPTERS; chapter++) {
    trouble.armed = chapter == troubled;
    switch (chapter) {
      case 0:
        tell(w, EE_PHASE_RESOLVED, "r", "other", 1);
        break;
      case 1:
        tick_at(w, 60);
        break;
      case 2:
        tell(w, EE_PHASE_ADMISSION, "a", "acme", 1000);
        break;
      case 3:
        tell(w, EE_PHASE_RESOLVED, "s", "acme", 2);
        break;
      case 4:
        tell(w, EE_PHASE_ADMISSION, "b", "acme", 2);
        break;
      case 5:
        tick_at(w, 70);
        break;
      case 6:
        tell(w, EE_PHASE_FAILED, "f", "acme", 0);
        break;  // crowds a grant out
      case 7:
        tell_numbers(w);
        break;
      case 8:
        tell_report(w);
        break;
      case 9:
        tick_at(w, 100);
        break;
      default:
        tick_at(w, 7200);
        break;
    }
  }
}

static void trouble_init(struct world *w, struct ee_processor_ops *ops,
                         struct ee_processor *processor) {
  world_init(w);
  w->limits.events = 2;
  w->settings.retire_after_ms = 3600 * 1000;
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
}

static void run_out(bool arena, size_t stride, size_t least) {
  struct ee_processor_ops ops;
  struct ee_processor processor;
  struct world whole;
  trouble_init(&whole, &ops, &processor);
  tell_all(&whole, -1);
  assert_true(world_lifecycle(&whole)->closed_at.present);
  assert_int_equal(world_outputs(&whole, EE_TOPIC_VIOLATION), 8);
  for (int chapter = 0; chapter < CHAPTERS; chapter++) {
    size_t failures = 0;
    trouble.met = true;
    for (size_t after = 0; trouble.met; after += stride) {
      struct world w;
      trouble_init(&w, &ops, &processor);
      trouble.arena = arena;
      trouble.after = after;
      trouble.met = false;
      tell_all(&w, chapter);
      failures += trouble.met;
      assert_same_outputs(&whole, &w);
      world_release(&w);
    }
    assert_true(failures >= least);
  }
  world_release(&whole);
}

static void test_each_allocation_fails(void **state) {
  (void)state;
  run_out(false, 1, 3);
}

static void test_each_arena_is_full(void **state) {
  (void)state;
  run_out(true, 16, 20);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_each_allocation_fails),
      cmocka_unit_test(test_each_arena_is_full),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
