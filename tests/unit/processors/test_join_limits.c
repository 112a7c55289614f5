// SPDX-License-Identifier: Apache-2.0
// The join's limits at their real sizes, what is left out and comes back, the largest
// records there can be; state that does not fit together.
#include <stdlib.h>

#include "tests/support/own_plan.h"
#include "tests/unit/processors/join_world.h"

#define EVENTS ((size_t)512)
#define ENDINGS ((size_t)64)
#define KIB 1024

static char names[2000][8];
static char padding[256 * KIB + 2];

static int set_up(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    snprintf(names[i], sizeof names[i], "n%04zu", i);
  }
  return 0;
}

static void add_many(struct world *w, enum ee_phase phase, size_t count) {
  for (size_t i = 0; i < count; i++) {
    world_add(w, phase, names[i], (int64_t)i);
  }
}

// An event of about that size: padding is the text of an extension.
static void add_large(struct world *w, enum ee_phase phase, const char *event_id, size_t size) {
  union event event = an_event(phase, event_id, 5);
  memset(padding, 'x', sizeof padding);
  padding[0] = padding[size - 1] = '"';
  struct ee_str_entry extension = {.key = EE_STR("com.example/x"),
                                   .value = {.data = padding, .size = size}};
  struct ee_str_map extensions = {.entries = &extension, .count = 1};
  if (phase == EE_PHASE_RELEASED) event.released.extensions = extensions;
  if (phase == EE_PHASE_ANNOTATION) event.annotation.extensions = extensions;
  world_event(w, phase, &event);
}

static const struct ee_join_envelope *left_out(struct world *w) {
  static const struct ee_join_envelope nothing;
  struct ee_bytes bytes = world_state(w, "envelope");
  if (bytes.data == NULL) return &nothing;
  struct ee_str kept = ee_arena_str(&w->arena, ee_bytes_str(bytes));
  struct ee_join_state record;
  struct ee_fault fault;
  assert_true(
      ee_decode(own_plan(&ee_join_state_type), ee_str_bytes(kept), &w->arena, &record, &fault));
  assert_non_null(record.envelope);
  assert_null(record.partition);
  return record.envelope;
}

static void assert_one_too_many(struct world *w, const char *event_id) {
  const struct ee_violation *found;
  assert_int_equal(world_violations(w, &found), 1);
  assert_int_equal(found[0].kind, EE_VIOLATION_KIND_TOO_MANY_EVENTS);
  assert_int_equal(found[0].evidence.count, 1);
  assert_true(ee_str_equal(found[0].evidence.items[0].event_id, ee_str(event_id)));
  char expected[EE_SHA256_HEX_SIZE];
  assert_true(ee_violation_id(EE_STR("too_many_events"), EE_STR("envelope"), NULL, 0, expected));
  assert_true(ee_str_equal(found[0].violation_id, ee_str(expected)));
}

// ---- Counts.

static void test_events_of_a_phase(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  add_many(&w, EE_PHASE_RESOLVED, EVENTS);
  assert_int_equal(world_lifecycle(&w)->grants.count, EVENTS);
  assert_int_equal(world_outputs(&w, EE_TOPIC_VIOLATION), 0);
  assert_null(world_state(&w, "envelope").data);
  world_add(&w, EE_PHASE_RESOLVED, "one more", 1);
  assert_one_too_many(&w, "one more");
  assert_int_equal(world_lifecycle(&w)->grants.count, EVENTS);
  assert_int_equal(left_out(&w)->closed.count, 1);
  assert_int_equal(left_out(&w)->closed.items[0], EE_PHASE_RESOLVED);
  assert_int_equal(left_out(&w)->evidence.count, 0);
  // the phase is closed for good: nothing of it is looked at, conflicts neither
  size_t records = world_outputs(&w, EE_TOPIC_LIFECYCLE);
  world_add(&w, EE_PHASE_RESOLVED, "and one more", 1);
  world_add(&w, EE_PHASE_RESOLVED, names[0], 77);
  assert_int_equal(world_outputs(&w, EE_TOPIC_LIFECYCLE), records);
  assert_int_equal(world_outputs(&w, EE_TOPIC_VIOLATION), 1);
  world_release(&w);
}

static void test_endings_of_a_phase(void **state) {
  (void)state;
  static const enum ee_phase endings[] = {EE_PHASE_FINALIZED, EE_PHASE_FAILED, EE_PHASE_RELEASED};
  for (size_t i = 0; i < COUNT_OF(endings); i++) {
    struct world w;
    world_init(&w);
    add_many(&w, endings[i], ENDINGS);
    assert_int_equal(world_outputs(&w, EE_TOPIC_VIOLATION), 0);
    world_add(&w, endings[i], "one more", 1);
    assert_one_too_many(&w, "one more");
    assert_int_equal(world_lifecycle(&w)->evidence.count, ENDINGS);
    world_release(&w);
  }
}

// What the admission and the endings take away is kept, highest offsets first.
static void test_choice_among_phases(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  add_many(&w, EE_PHASE_ANNOTATION, 500);
  add_many(&w, EE_PHASE_RESOLVED, 12);
  assert_int_equal(world_outputs(&w, EE_TOPIC_VIOLATION), 0);
  world_add(&w, EE_PHASE_FINALIZED, "f", 1);
  assert_one_too_many(&w, names[499]);
  world_add(&w, EE_PHASE_ADMISSION, "a", 1);
  const struct ee_lifecycle *record = world_lifecycle(&w);
  assert_int_equal(record->evidence.count, EVENTS);
  assert_int_equal(record->grants.count, 12);
  assert_int_equal(record->annotations.count, 498);
  assert_int_equal(left_out(&w)->closed.count, 0);
  assert_int_equal(left_out(&w)->events.annotations.count, 2);
  assert_int_equal(left_out(&w)->evidence.count, 2);
  assert_true(ee_str_equal(left_out(&w)->evidence.items[0].event_id, ee_str(names[498])));
  // candidates all the same: a repeat is one, another content a conflict
  size_t records = world_outputs(&w, EE_TOPIC_LIFECYCLE);
  world_add(&w, EE_PHASE_ANNOTATION, names[499], 499);
  assert_int_equal(world_outputs(&w, EE_TOPIC_LIFECYCLE), records);
  world_add(&w, EE_PHASE_ANNOTATION, names[499], 500);
  const struct ee_violation *found;
  assert_int_equal(world_violations(&w, &found), 2);
  assert_int_equal(found[1].kind, EE_VIOLATION_KIND_EVENT_ID_CONFLICT);
  world_release(&w);
}

// ---- Sizes.

static void test_bytes_of_a_phase(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  add_large(&w, EE_PHASE_ANNOTATION, "1", 255 * KIB);
  add_large(&w, EE_PHASE_ANNOTATION, "2", 256 * KIB);
  assert_int_equal(world_outputs(&w, EE_TOPIC_VIOLATION), 0);
  add_large(&w, EE_PHASE_ANNOTATION, "3", 2 * KIB);
  assert_one_too_many(&w, "3");
  world_add(&w, EE_PHASE_ANNOTATION, "small enough, but the phase is closed", 1);
  assert_int_equal(world_lifecycle(&w)->annotations.count, 2);
  assert_int_equal(left_out(&w)->events.annotations.count, 0);
  world_release(&w);
}

static void test_limit_of_bytes_is_exact(void **state) {
  (void)state;
  for (size_t less = 0; less < 2; less++) {
    struct world w;
    world_init(&w);
    world_add(&w, EE_PHASE_RESOLVED, names[0], 0);
    size_t size = world_lifecycle(&w)->grants.items[0].encoded.size;
    w.limits.bytes = 2 * size - less;
    world_add(&w, EE_PHASE_RESOLVED, names[1], 0);
    assert_int_equal(world_lifecycle(&w)->grants.count, 2 - less);
    assert_int_equal(world_outputs(&w, EE_TOPIC_VIOLATION), less);
    world_release(&w);
  }
}

// The first that does not fit ends its phase in the record; other phases go on.
static void test_bytes_of_a_record(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  add_large(&w, EE_PHASE_ANNOTATION, "large", 200 * KIB);
  world_add(&w, EE_PHASE_ANNOTATION, "small", 9);
  add_large(&w, EE_PHASE_RELEASED, "r1", 200 * KIB);
  assert_int_equal(world_lifecycle(&w)->annotations.count, 2);
  add_large(&w, EE_PHASE_RELEASED, "r2", 200 * KIB);
  assert_one_too_many(&w, "large");
  assert_int_equal(world_lifecycle(&w)->released.count, 2);
  assert_int_equal(world_lifecycle(&w)->annotations.count, 0);
  assert_int_equal(left_out(&w)->events.annotations.count, 2);
  world_add(&w, EE_PHASE_FINALIZED, "f", 9);
  assert_int_equal(world_lifecycle(&w)->finalized.count, 1);
  world_release(&w);
}

// ---- What was left out is judged, and goes at the end.

static void test_left_out_events_are_judged(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  w.settings.retire_after_ms = 3600 * 1000;
  add_large(&w, EE_PHASE_ANNOTATION, "first of all", 200 * KIB);
  w.now += 10 * SECOND;
  add_large(&w, EE_PHASE_RELEASED, "r1", 200 * KIB);
  add_large(&w, EE_PHASE_RELEASED, "r2", 200 * KIB);
  step_double_clear_outputs(w.d);
  world_tick(&w, NOON + 60 * SECOND - 1);
  assert_int_equal(world_outputs(&w, EE_TOPIC_VIOLATION), 0);
  world_tick(&w, NOON + 60 * SECOND);  // by the append time of what is not in the record
  const struct ee_violation *found;
  assert_int_equal(world_violations(&w, &found), 1);
  assert_int_equal(found[0].kind, EE_VIOLATION_KIND_ORPHAN);
  assert_int_equal(found[0].evidence.count, 3);
  world_add(&w, EE_PHASE_ADMISSION, "a", 1);
  assert_non_null(world_state(&w, "envelope").data);
  world_tick(&w, NOON + 2 * EE_MICROS_PER_HOUR);
  assert_true(world_lifecycle(&w)->closed_at.present);
  assert_null(world_state(&w, "envelope").data);
  world_release(&w);
}

// What was found is not looked at again, even by a restore that knows no clock.
static void test_found_once_is_not_looked_at_again(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  world_add(&w, EE_PHASE_RESOLVED, "r", 1);
  world_tick(&w, NOON + 600 * SECOND);
  w.now = NOON + 700 * SECOND;
  union event late = an_event(EE_PHASE_ADMISSION, "a", 1);
  late.admission.requested.timeout_ms = NUMBER(1);
  world_event(&w, EE_PHASE_ADMISSION, &late);
  world_tick(&w, NOON + 800 * SECOND);
  assert_int_equal(world_lifecycle(&w)->violations.count, 2);
  size_t records = world_outputs(&w, EE_TOPIC_LIFECYCLE);
  step_double_restore_without_clock(w.d);
  world_tick(&w, NOON + 900 * SECOND);
  assert_int_equal(world_outputs(&w, EE_TOPIC_LIFECYCLE), records);
  world_release(&w);
}

// As when there was no memory to read the value: the next tick is to look at it.
static int64_t unread(void *self, uint8_t changelog, struct ee_bytes key, const void *record,
                      int64_t clock, struct ee_arena *arena) {
  (void)self, (void)changelog, (void)key, (void)record, (void)clock, (void)arena;
  return INT64_MIN;
}

static void test_values_that_could_not_be_read(void **state) {
  (void)state;
  struct world w;
  struct ee_arena none;
  world_init(&w);
  struct ee_processor_ops ops = *w.processor.ops;
  ops.wake_at = unread;
  struct ee_processor processor = {.ops = &ops, .self = w.processor.self};
  step_double_free(w.d);
  w.d = step_double_new(&processor);
  w.settings.retire_after_ms = 1000;
  world_add(&w, EE_PHASE_ADMISSION, "a", 1);
  ee_arena_init(&none, 0);
  struct ee_lifecycle record;
  assert_true(ee_decode(own_plan(&ee_lifecycle_type), world_bytes(&w, "envelope"), &w.arena,
                        &record, NULL));
  assert_int_equal(
      w.processor.ops->wake_at(&w.settings, 0, ee_bytes(NULL, 0), &record, NOON, &none), INT64_MIN);
  ee_arena_release(&none);
  world_add(&w, EE_PHASE_FAILED, "f", 1);
  step_double_restore(w.d);
  world_tick(&w, NOON + 10 * SECOND);
  struct ee_str stub = ee_arena_str(&w.arena, ee_bytes_str(world_bytes(&w, "envelope")));
  assert_true(world_lifecycle(&w)->closed_at.present);
  step_double_restore(w.d);
  size_t records = world_outputs(&w, EE_TOPIC_LIFECYCLE);
  world_tick(&w, NOON + 20 * SECOND);
  assert_int_equal(world_outputs(&w, EE_TOPIC_LIFECYCLE), records + 1);
  assert_true(ee_bytes_equal(world_bytes(&w, "envelope"), ee_str_bytes(stub)));
  world_release(&w);
}

// ---- The largest records.

// As many events as count, all of another tenant and with long names; then the admission.
static void test_largest_records(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  char long_id[129] = "";
  memset(long_id, '\x01', 128);  // six bytes each in a violation's name
  for (enum ee_phase p = EE_PHASE_RESOLVED; p <= EE_PHASE_ANNOTATION; p++) {
    size_t count = ee_phase_terminal(p) ? ENDINGS : EVENTS;
    for (size_t i = 0; i < count; i++) {
      union event event = an_event(p, long_id, (int64_t)i);
      memcpy(long_id, names[i], 5);
      event.head.tenant = EE_STR("other");
      world_event(&w, p, &event);
    }
  }
  world_tick(&w, NOON + 60 * SECOND);
  world_add(&w, EE_PHASE_ADMISSION, "a", 1);
  const struct ee_lifecycle *record = world_lifecycle(&w);
  size_t all = 3 * ENDINGS + 2 * EVENTS;
  assert_int_equal(record->evidence.count, EVENTS);
  assert_int_equal(left_out(&w)->evidence.count, all + 1 - EVENTS);
  // names are shared by phases: 512 different mismatches, an orphan, too many events
  assert_int_equal(record->violations.count, EVENTS + 2);
  const struct ee_violation *found;
  assert_int_equal(world_violations(&w, &found), EVENTS + 2);
  for (size_t i = 0; i < EVENTS + 2; i++) {
    if (found[i].kind == EE_VIOLATION_KIND_ORPHAN) assert_int_equal(found[i].evidence.count, all);
  }
  const struct step_output *outputs;
  size_t count = step_double_outputs(w.d, &outputs);
  for (size_t i = 0; i < count; i++) {
    assert_true((int64_t)outputs[i].value.size < ee_topics[outputs[i].topic].max_message_bytes);
  }
  world_release(&w);
}

// Maps of the smallest entries, which take many times their bytes in memory.
#define TINY 1000

static struct ee_str_entry tiny_texts[TINY];
static struct ee_long_entry tiny_numbers[TINY];
static struct ee_str_entry tiny_extensions[TINY];

static void make_tiny(void) {
  static char keys[TINY][7];
  for (size_t i = 0; i < TINY; i++) {
    snprintf(keys[i], sizeof keys[i], "a.b/%c%c", (char)('0' + i % 64), (char)('0' + i / 64));
    tiny_extensions[i] = (struct ee_str_entry){.key = ee_str(keys[i]), .value = EE_STR("1")};
    tiny_texts[i] = (struct ee_str_entry){.key = ee_str(keys[i] + 4), .value = EE_STR("")};
    tiny_numbers[i] = (struct ee_long_entry){.key = ee_str(keys[i] + 4)};
  }
}

static union event dearest_event(enum ee_phase phase, const char *event_id) {
  static struct ee_str chain[100000];
  struct ee_str_map texts = {tiny_texts, TINY}, extensions = {tiny_extensions, TINY};
  struct ee_long_map numbers = {tiny_numbers, TINY};
  union event event = an_event(phase, event_id, 5);
  for (size_t i = 0; i < COUNT_OF(chain); i++) {
    chain[i] = EE_STR("");
  }
  switch (phase) {
    case EE_PHASE_ADMISSION:
      event.admission.caller.on_behalf_of = (struct ee_str_array){chain, COUNT_OF(chain)};
      event.admission.extensions = extensions;
      break;
    case EE_PHASE_RESOLVED:
      event.resolved.resolution.attributes = event.resolved.granted.placement = texts;
      event.resolved.granted.amounts = numbers;
      break;
    case EE_PHASE_FINALIZED:
      event.finalized.measured = numbers;
      event.finalized.extensions = extensions;
      break;
    case EE_PHASE_FAILED:
      event.failed.extensions = extensions;
      break;
    case EE_PHASE_RELEASED:
      event.released.measured = numbers;
      event.released.extensions = extensions;
      break;
    default:
      event.annotation.annotations = event.annotation.extensions = extensions;
  }
  return event;
}

static void test_dearest_events_have_memory(void **state) {
  (void)state;
  static const size_t counts[EE_PHASE_TOPICS] = {1, 45, 40, 57, 40, 30};
  struct world w;
  world_init(&w);
  make_tiny();
  for (enum ee_phase p = EE_PHASE_ANNOTATION + 1; p-- > 0;) {
    for (size_t i = 0; i < counts[p]; i++) {
      union event event = dearest_event(p, names[i]);
      world_event(&w, p, &event);
    }
  }
  assert_true(world_state(&w, "envelope").size > 1900 * KIB);
  world_tick(&w, NOON + EE_MICROS_PER_HOUR);
  assert_int_equal(world_lifecycle(&w)->status, EE_STATUS_RELEASED);
  world_release(&w);
}

// ---- State that no version of the program writes.

static struct ee_lifecycle two_grants(struct ee_resolved *grants, struct ee_evidence *evidence) {
  for (int i = 0; i < 2; i++) {
    union event event = an_event(EE_PHASE_RESOLVED, names[i], i);
    grants[i] = event.resolved;
    grants[i].encoded = ee_str_bytes(EE_STR("grant"));
    evidence[i] = (struct ee_evidence){.topic = EE_STR("envelope.resolved.v1"),
                                       .phase = EE_PHASE_RESOLVED,
                                       .event_id = event.head.event_id};
  }
  return (struct ee_lifecycle){.grants = {grants, 2}, .evidence = {evidence, 2}};
}

static void test_state_that_does_not_fit_together(void **state) {
  (void)state;
  struct ee_arena arena;
  struct ee_joined joined;
  struct ee_resolved grants[2];
  struct ee_evidence evidence[2];
  ee_arena_init(&arena, 1 << 16);
  struct ee_str id = EE_STR("envelope");
  struct ee_lifecycle good = two_grants(grants, evidence), bad = good;
  assert_true(ee_joined_init(&joined, id, &good, NULL, &arena));
  assert_int_equal(joined.phases[EE_PHASE_RESOLVED].count, 2);
  assert_int_equal(joined.phases[EE_PHASE_RESOLVED].bytes, 10);
  bad.evidence.count = 1;
  assert_false(ee_joined_init(&joined, id, &bad, NULL, &arena));
  bad = good;
  bad.grants.count = 1;
  assert_false(ee_joined_init(&joined, id, &bad, NULL, &arena));
  evidence[1].event_id = EE_STR("another");
  assert_false(ee_joined_init(&joined, id, &good, NULL, &arena));
  good = two_grants(grants, evidence);
  evidence[1].phase = EE_PHASE_FAILED;
  assert_false(ee_joined_init(&joined, id, &good, NULL, &arena));
  good = two_grants(grants, evidence);
  int phase = EE_PHASE_OTHER;
  struct ee_join_envelope closed = {.closed = {&phase, 1}};
  assert_false(ee_joined_init(&joined, id, &good, &closed, &arena));
  phase = EE_PHASE_RESOLVED;
  assert_true(ee_joined_init(&joined, id, &good, &closed, &arena));
  closed.evidence = good.evidence;
  assert_false(ee_joined_init(&joined, id, &good, &closed, &arena));
  ee_arena_release(&arena);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_events_of_a_phase),
      cmocka_unit_test(test_endings_of_a_phase),
      cmocka_unit_test(test_choice_among_phases),
      cmocka_unit_test(test_bytes_of_a_phase),
      cmocka_unit_test(test_limit_of_bytes_is_exact),
      cmocka_unit_test(test_bytes_of_a_record),
      cmocka_unit_test(test_left_out_events_are_judged),
      cmocka_unit_test(test_found_once_is_not_looked_at_again),
      cmocka_unit_test(test_values_that_could_not_be_read),
      cmocka_unit_test(test_largest_records),
      cmocka_unit_test(test_dearest_events_have_memory),
      cmocka_unit_test(test_state_that_does_not_fit_together),
  };
  return cmocka_run_group_tests(tests, set_up, NULL);
}
