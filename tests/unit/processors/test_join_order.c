// SPDX-License-Identifier: Apache-2.0
// The join as a function of the set of records: random stories, read in many orders, with
// ticks as early and as late as they may come, restores and failures in between, all give
// the same bytes and the same violations, and those that a plain model says.
#include <stdlib.h>

#include "tests/support/own_plan.h"
#include "tests/unit/contract/random_record.h"
#include "tests/unit/processors/join_model.h"

static const char *const envelopes[] = {"first", "second"};
static const char *const ids[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j",
                                  "k", "l", "m", "n", "o", "p", "q", "r", "s", "t",
                                  "u", "v", "w", "x", "y", "z", "1", "2", "3", "4"};
static const char *const tenants[] = {"acme", "other", "third"};

// What a story is made of.
struct flavour {
  size_t events;
  size_t id_count;  // of those that are drawn
  size_t tenant_count;
  bool repeats;  // whole records once more
  bool limits;   // small ones
  bool retire;
};

// ---- Records.

static char fill[64];
static struct ee_str_entry extension = {EE_STR_INIT("com.example/fill"), {fill, 0}};

static union event build(const struct told *told) {
  union event event = an_event(told->phase, told->event_id, told->occurred_at);
  event.head.envelope_id = ee_str(told->envelope);
  event.head.tenant = ee_str(told->tenant);
  memset(fill, 'x', sizeof fill);
  fill[0] = fill[1 + told->filler] = '"';
  extension.value.size = (size_t)told->filler + 2;
  struct ee_str_map extensions = {.entries = &extension, .count = 1};
  char digit = (char)('0' + told->variant);
  static char name[1];
  name[0] = digit;
  struct ee_str text = {.data = name, .size = 1};
  switch (told->phase) {
    case EE_PHASE_ADMISSION:
      event.admission.extensions = extensions;
      event.admission.execution.kind =
          told->variant == 2 ? EE_EXECUTION_KIND_DEPLOYMENT : EE_EXECUTION_KIND_INFERENCE;
      event.admission.requested.cpu_millis = NUMBER(1);
      event.admission.requested.timeout_ms = NUMBER(TIMEOUT_MS(told->variant));
      break;
    case EE_PHASE_RESOLVED:
      event.resolved.extensions = extensions;
      event.resolved.granted.cpu_millis = NUMBER(told->variant);
      break;
    case EE_PHASE_FINALIZED:
      event.finalized.extensions = extensions;
      event.finalized.runtime_id = text;
      break;
    case EE_PHASE_FAILED:
      event.failed.extensions = extensions;
      event.failed.reason = text;
      break;
    case EE_PHASE_RELEASED:
      event.released.extensions = extensions;
      event.released.reason = text;
      break;
    default:
      event.annotation.extensions = extensions;
      event.annotation.sensitivity = (struct ee_opt_enum){.present = true, .value = told->variant};
  }
  return event;
}

static size_t size_of(const struct told *told) {
  union event event = build(told);
  struct ee_buf out;
  ee_buf_init(&out, 1 << 20);
  ee_encode(ee_phase_record(told->phase), &event, &out);
  assert_false(out.failed);
  size_t size = out.size;
  ee_buf_release(&out);
  return size;
}

// ---- Stories.

static bool admitted_before(const struct story *story, const char *envelope) {
  for (size_t i = 0; i < story->count; i++) {
    const struct told *event = &story->events[i];
    if (event->phase == EE_PHASE_ADMISSION && strcmp(event->envelope, envelope) == 0) return true;
  }
  return false;
}

static struct told random_event(struct random *r, const struct flavour *flavour,
                                const struct story *story) {
  if (flavour->repeats && story->count > 0 && random_below(r, 5) == 0) {
    return story->events[random_below(r, story->count)];
  }
  struct told told = {.phase = (enum ee_phase)random_below(r, EE_PHASE_TOPICS),
                      .envelope = envelopes[random_below(r, COUNT_OF(envelopes))],
                      .event_id = ids[random_below(r, flavour->id_count)],
                      .tenant = tenants[random_below(r, flavour->tenant_count)],
                      .occurred_at = (int64_t)random_below(r, 6),
                      .variant = (int)random_below(r, 3),
                      .filler = (int)random_below(r, 20)};
  if (flavour->retire) {  // each once, so that what is read early can be told from what is late
    told.event_id = ids[story->count];
    if (told.phase == EE_PHASE_ADMISSION && admitted_before(story, told.envelope)) {
      told.phase = EE_PHASE_ANNOTATION;
    }
  }
  return told;
}

static void add_tick(struct random *r, struct story *story, const int64_t *offsets, int64_t now) {
  if (story->tick_count == TICKS_MAX) return;
  struct told_tick *tick = &story->ticks[story->tick_count++];
  tick->as_of = now - (int64_t)random_below(r, 3) * SECOND / 2;
  memcpy(tick->offsets, offsets, sizeof tick->offsets);
}

static void make_story(struct random *r, const struct flavour *flavour, struct story *story) {
  int64_t offsets[EE_TOPIC_COUNT] = {0}, now = NOON;
  *story = (struct story){.count = 0};
  while (story->count < flavour->events) {
    now += (int64_t)random_below(r, 4) * SECOND / 2;
    if (random_below(r, 5) == 0) {
      add_tick(r, story, offsets, now);
      continue;
    }
    struct told told = random_event(r, flavour, story);
    told.appended = now;
    told.offset = offsets[told.phase]++;
    told.size = size_of(&told);
    story->events[story->count++] = told;
  }
  if (story->tick_count == TICKS_MAX) story->tick_count--;
  add_tick(r, story, offsets, now + (int64_t)random_below(r, 20) * SECOND);
}

static void make_settings(struct random *r, const struct flavour *flavour,
                          const struct story *story, struct world *w) {
  world_init(w);
  w->settings.grace_ms = (int64_t)random_below(r, 3) * 1000;
  w->settings.orphan_grace_ms = (int64_t)random_below(r, 5) * 1000;
  if (flavour->retire) w->settings.retire_after_ms = 500 + (int64_t)random_below(r, 4) * 500;
  if (!flavour->limits) return;
  size_t largest = 0;
  for (size_t i = 0; i < story->count; i++) {
    if (story->events[i].size > largest) largest = story->events[i].size;
  }
  w->limits.events = 1 + random_below(r, 8);
  w->limits.ending_events = 1 + random_below(r, 3);
  w->limits.bytes = largest + random_below(r, 5 * largest);
}

// ---- Reading one in some order.

enum manner { AT_RANDOM, TICKS_FIRST, TICKS_LAST, PHASE_BY_PHASE, MANNERS };

struct reader {
  struct world *w;
  const struct story *story;
  struct random r;
  enum manner manner;
  bool disturbed;  // restores and failures
  bool done[EVENTS_MAX];
  size_t ticks_done;
};

// The next record of that phase, or the count.
static size_t next_of(const struct reader *reader, enum ee_phase phase) {
  for (size_t i = 0; i < reader->story->count; i++) {
    if (!reader->done[i] && reader->story->events[i].phase == phase) return i;
  }
  return reader->story->count;
}

static bool tick_may_come(const struct reader *reader) {
  if (reader->ticks_done == reader->story->tick_count) return false;
  const struct told_tick *tick = &reader->story->ticks[reader->ticks_done];
  for (enum ee_phase p = 0; p < EE_PHASE_TOPICS; p++) {
    size_t next = next_of(reader, p);
    if (next == reader->story->count) continue;
    if (reader->story->events[next].offset < tick->offsets[p]) return false;
  }
  return true;
}

static void disturb(struct reader *reader) {
  if (!reader->disturbed) return;
  size_t what = random_below(&reader->r, 6);
  if (what == 0) step_double_restore(reader->w->d);
  if (what == 1) step_double_restore_without_clock(reader->w->d);
  if (what == 2) step_double_fail_at(reader->w->d, 1 + (int)random_below(&reader->r, 6));
}

static void read_event(struct reader *reader, size_t i) {
  const struct told *told = &reader->story->events[i];
  union event event = build(told);
  disturb(reader);
  bool done = step_double_input(reader->w->d, (enum ee_topic)told->phase, PARTITION, told->offset,
                                told->appended, &event);
  step_double_fail_at(reader->w->d, 0);
  if (!done) {
    assert_true(step_double_input(reader->w->d, (enum ee_topic)told->phase, PARTITION, told->offset,
                                  told->appended, &event));
  }
  reader->done[i] = true;
}

static void read_tick(struct reader *reader) {
  const struct told_tick *tick = &reader->story->ticks[reader->ticks_done++];
  disturb(reader);
  bool done = step_double_tick(reader->w->d, PARTITION, tick->as_of, tick->offsets);
  step_double_fail_at(reader->w->d, 0);
  if (!done) assert_true(step_double_tick(reader->w->d, PARTITION, tick->as_of, tick->offsets));
}

static bool tick_now(struct reader *reader) {
  if (!tick_may_come(reader)) return false;
  if (reader->manner == TICKS_FIRST) return true;
  if (reader->manner == AT_RANDOM) return random_below(&reader->r, 4) == 0;
  for (size_t i = 0; i < reader->story->count; i++) {
    if (!reader->done[i]) return false;
  }
  return true;
}

static enum ee_phase next_phase(struct reader *reader) {
  enum ee_phase p = (enum ee_phase)random_below(&reader->r, EE_PHASE_TOPICS);
  bool keep = reader->manner == PHASE_BY_PHASE;
  for (size_t turn = keep ? reader->r.state % EE_PHASE_TOPICS : p;; turn++) {
    p = (enum ee_phase)(turn % EE_PHASE_TOPICS);
    if (next_of(reader, p) < reader->story->count) return p;
  }
}

static void read_story(struct reader *reader) {
  for (size_t left = reader->story->count; left > 0 || tick_may_come(reader);) {
    if (tick_now(reader)) {
      read_tick(reader);
    } else if (left > 0) {
      read_event(reader, next_of(reader, next_phase(reader)));
      left--;
    }
  }
  assert_int_equal(reader->ticks_done, reader->story->tick_count);
}

// ---- What comes of it.

static void said_of(struct world *w, struct found *found) {
  const struct ee_violation *all;
  size_t count = world_violations(w, &all);
  for (size_t i = 0; i < count; i++) {
    char id[EE_SHA256_HEX_SIZE];
    snprintf(id, sizeof id, "%.*s", EE_STR_ARG(all[i].violation_id));
    // the id is that of the evidence
    struct ee_str event_ids[EVENTS_MAX];
    size_t events = all[i].kind == EE_VIOLATION_KIND_TOO_MANY_EVENTS ? 0 : all[i].evidence.count;
    for (size_t j = 0; j < events; j++) {
      event_ids[j] = all[i].evidence.items[j].event_id;
    }
    char expected[EE_SHA256_HEX_SIZE];
    assert_true(ee_violation_id(ee_violation_kind_type.symbols[all[i].kind], all[i].envelope_id,
                                event_ids, events, expected));
    assert_string_equal(id, expected);
    found_add(found, all[i].kind, id);
  }
  qsort(found->names, found->count, sizeof found->names[0], found_compare);
}

static void assert_same_found(const struct found *a, const struct found *b) {
  assert_int_equal(a->count, b->count);
  for (size_t i = 0; i < a->count; i++) {
    assert_string_equal(a->names[i], b->names[i]);
  }
}

static void assert_same_bytes(struct ee_bytes a, struct ee_bytes b) {
  assert_true((a.data == NULL) == (b.data == NULL));
  assert_int_equal(a.size, b.size);
  if (a.size > 0) assert_memory_equal(a.data, b.data, a.size);
}

static void assert_as_model(struct world *w, const struct story *story) {
  struct found said = {.count = 0}, expected = {.count = 0};
  said_of(w, &said);
  for (size_t e = 0; e < COUNT_OF(envelopes); e++) {
    static struct model model;
    static struct text of_model, of_record;
    of_model.size = of_record.size = 0;
    model_run(&model, story, &w->settings, envelopes[e]);
    struct ee_bytes bytes = world_bytes(w, envelopes[e]);
    assert_int_equal(model.count > 0, bytes.data != NULL);
    if (bytes.data == NULL) continue;
    struct ee_lifecycle record;
    struct ee_fault fault;
    assert_true(ee_decode(own_plan(&ee_lifecycle_type), bytes, &w->arena, &record, &fault));
    model_say(&model, &of_model);
    record_say(&record, &of_record);
    assert_string_equal(of_record.data, of_model.data);
    for (size_t i = 0; i < model.found.count; i++) {
      memcpy(expected.names[expected.count++], model.found.names[i], sizeof expected.names[0]);
    }
  }
  qsort(expected.names, expected.count, sizeof expected.names[0], found_compare);
  assert_same_found(&said, &expected);
}

static void assert_same_worlds(struct world *a, struct world *b) {
  struct found of_a = {.count = 0}, of_b = {.count = 0};
  for (size_t e = 0; e < COUNT_OF(envelopes); e++) {
    assert_same_bytes(world_bytes(a, envelopes[e]), world_bytes(b, envelopes[e]));
    assert_same_bytes(world_state(a, envelopes[e]), world_state(b, envelopes[e]));
  }
  said_of(a, &of_a);
  said_of(b, &of_b);
  assert_same_found(&of_a, &of_b);
}

static void read_in_many_orders(uint64_t seed, const struct flavour *flavour) {
  struct random r = {.state = seed};
  static struct story story;
  struct world first;
  make_story(&r, flavour, &story);
  make_settings(&r, flavour, &story, &first);
  struct reader reader = {.w = &first, .story = &story, .r = r, .manner = AT_RANDOM};
  read_story(&reader);
  assert_as_model(&first, &story);
  for (int i = 0; i < 8; i++) {
    struct world w;
    world_init(&w);
    w.settings = first.settings;
    reader = (struct reader){.w = &w,
                             .story = &story,
                             .r = {.state = random_next(&r)},
                             .manner = (enum manner)(i % MANNERS),
                             .disturbed = i % 2 == 1 || i >= 4};
    read_story(&reader);
    assert_same_worlds(&first, &w);
    world_release(&w);
  }
  world_release(&first);
}

static void read_many_stories(const struct flavour *flavour, size_t stories) {
  for (uint64_t seed = 1; seed <= (uint64_t)ee_tries((int)stories); seed++) {
    read_in_many_orders(seed * 7919 + flavour->events, flavour);
  }
}

static void test_few_events(void **state) {
  (void)state;
  read_many_stories(&(struct flavour){.events = 5, .id_count = 6, .tenant_count = 2}, 400);
}

static void test_conflicts_and_tenants(void **state) {
  (void)state;
  read_many_stories(
      &(struct flavour){.events = 24, .id_count = 5, .tenant_count = 3, .repeats = true}, 250);
}

static void test_small_limits(void **state) {
  (void)state;
  read_many_stories(
      &(struct flavour){
          .events = 30, .id_count = 30, .tenant_count = 2, .repeats = true, .limits = true},
      400);
}

static void test_retirement(void **state) {
  (void)state;
  read_many_stories(
      &(struct flavour){.events = 14, .id_count = 30, .tenant_count = 1, .retire = true}, 400);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_few_events),
      cmocka_unit_test(test_conflicts_and_tenants),
      cmocka_unit_test(test_small_limits),
      cmocka_unit_test(test_retirement),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
