// SPDX-License-Identifier: Apache-2.0
// Producers' numbers over the join's world: records with headers, reports, and what comes of
// them as text.
#ifndef EE_TESTS_NUMBERS_WORLD_H
#define EE_TESTS_NUMBERS_WORLD_H

#include <stdlib.h>

#include "join/sequence.h"
#include "tests/unit/processors/join_world.h"

#define PRODUCER "urn:p"
#define EPOCH (NOON / SECOND)
#define FOUND_TEXT 200

// "PRODUCER:EPOCH:number", in one of a few places that are used in turn.
static inline const char *number_text(int64_t epoch, int64_t number) {
  static char texts[4][80];
  static int turn;
  char *text = texts[turn++ % 4];
  snprintf(text, sizeof texts[0], PRODUCER ":%lld:%lld", (long long)epoch, (long long)number);
  return text;
}

// Numbers of EPOCH; -1: none. The event is a new one each time.
static inline bool try_number(struct world *w, enum ee_phase phase, int64_t seq, int64_t was) {
  char event_id[32];
  snprintf(event_id, sizeof event_id, "e-%lld", (long long)w->offsets[phase]);
  union event event = an_event(phase, event_id, 5);
  step_double_numbers(w->d, seq < 0 ? NULL : number_text(EPOCH, seq),
                      was < 0 ? NULL : number_text(EPOCH, was));
  return world_try(w, phase, &event);
}

static inline void add_number(struct world *w, int64_t seq) {
  assert_true(try_number(w, RESOLVED, seq, -1));
  w->offsets[RESOLVED]++;
}

static inline void add_again(struct world *w, int64_t was) {
  assert_true(try_number(w, RESOLVED, -1, was));
  w->offsets[RESOLVED]++;
}

static inline struct ee_producer_sequence settled(enum ee_topic topic, int64_t last) {
  return (struct ee_producer_sequence){
      .topic = ee_str(ee_topics[topic].name), .partition = PARTITION, .number = last};
}

static inline struct ee_producer_hole hole(int64_t first, int64_t last, const char *reason) {
  return (struct ee_producer_hole){.topic = ee_str(ee_topics[EE_TOPIC_RESOLVED].name),
                                   .partition = PARTITION,
                                   .first = first,
                                   .last = last,
                                   .reason = ee_str(reason)};
}

static inline struct ee_producer_report a_report(void) {
  struct ee_producer_report report;
  ee_record_init(&ee_producer_report_type, &report);
  report.producer = EE_STR(PRODUCER);
  report.epoch = EPOCH;
  return report;
}

static inline bool try_report(struct world *w, const struct ee_producer_report *report) {
  return step_double_input(w->d, EE_TOPIC_PRODUCER, PARTITION, w->offsets[EE_TOPIC_PRODUCER],
                           w->now, report);
}

static inline void add_report(struct world *w, const struct ee_producer_report *report) {
  assert_true(try_report(w, report));
  w->offsets[EE_TOPIC_PRODUCER]++;
}

// All numbers of the resolved topic up to this one are settled.
static inline void add_settled(struct world *w, int64_t last) {
  struct ee_producer_report report = a_report();
  struct ee_producer_sequence sequence = settled(EE_TOPIC_RESOLVED, last);
  report.sequences = (struct ee_producer_sequence_array){&sequence, 1};
  add_report(w, &report);
}

static inline void add_hole(struct world *w, int64_t first, int64_t last, const char *reason) {
  struct ee_producer_report report = a_report();
  struct ee_producer_hole declared = hole(first, last, reason);
  report.holes = (struct ee_producer_hole_array){&declared, 1};
  add_report(w, &report);
}

static inline struct ee_bytes sequence_state(struct world *w, int64_t epoch, enum ee_topic topic) {
  struct ee_buf key;
  ee_buf_init(&key, 1024);
  ee_key_sequence(
      &key, &(struct ee_sequence_name){EE_STR(PRODUCER), epoch, ee_str(ee_topics[topic].name)});
  struct ee_bytes state = step_double_state(w->d, PARTITION, 1, ee_buf_bytes(&key));
  ee_buf_release(&key);
  return state;
}

// NULL: nothing is stored. Lives until the world ends.
static inline const struct ee_join_sequence *sequence_of(struct world *w, enum ee_topic topic) {
  struct ee_bytes bytes = sequence_state(w, EPOCH, topic);
  if (bytes.data == NULL) return NULL;
  struct ee_str kept = ee_arena_str(&w->arena, ee_bytes_str(bytes));
  struct ee_join_state *state = ee_arena_zero(&w->arena, 1, sizeof *state);
  struct ee_fault fault;
  assert_true(
      ee_decode(own_plan(&ee_join_state_type), ee_str_bytes(kept), &w->arena, state, &fault));
  assert_non_null(state->sequence);
  assert_null(state->envelope);
  return state->sequence;
}

static inline int compare_found(const void *a, const void *b) {
  return strcmp(a, b);
}

// The holes told so far, each as "first-last reason evidence...", sorted; evidence as the
// phase (other: a report) and offset. A coarse one is marked. Returns how many there are.
static inline size_t found_holes(struct world *w, char (**ret)[FOUND_TEXT]) {
  const struct ee_violation *all;
  size_t count = world_violations(w, &all), found = 0;
  char(*texts)[FOUND_TEXT] = ee_arena_zero(&w->arena, count + 1, sizeof *texts);
  for (size_t i = 0; i < count; i++) {
    if (all[i].kind != EE_VIOLATION_KIND_PRODUCER_HOLE) continue;
    const struct ee_hole *told = all[i].hole;
    assert_non_null(told);
    assert_text(all[i].envelope_id, PRODUCER);
    assert_text(all[i].tenant, "");
    assert_int_equal(told->partition, PARTITION);
    int size =
        snprintf(texts[found], FOUND_TEXT, "%lld-%lld %.*s%s", (long long)told->first,
                 (long long)told->last, EE_STR_ARG(told->reason), told->coarse ? " coarse" : "");
    for (size_t j = 0; j < all[i].evidence.count; j++) {
      const struct ee_evidence *at = &all[i].evidence.items[j];
      size += snprintf(texts[found] + size, FOUND_TEXT - (size_t)size, " %s@%lld",
                       ee_phase_name((enum ee_phase)at->phase), (long long)at->offset);
    }
    found++;
  }
  qsort(texts, found, sizeof *texts, compare_found);
  *ret = texts;
  return found;
}

// All holes told so far, joined by "; ".
static inline void assert_holes(struct world *w, const char *expected) {
  char(*texts)[FOUND_TEXT], all[4096] = "";
  size_t count = found_holes(w, &texts), size = 0;
  for (size_t i = 0; i < count; i++) {
    size += (size_t)snprintf(all + size, sizeof all - size, "%s%s", i == 0 ? "" : "; ", texts[i]);
  }
  assert_string_equal(all, expected);
}

// Ticks at seconds after NOON.
static inline void tick_after(struct world *w, int64_t seconds) {
  world_tick(w, NOON + seconds * SECOND);
}

#endif
