// SPDX-License-Identifier: Apache-2.0
// Stories interleaved in the order of time.
#include "tools/envelope-load/plan.h"

void plan_init(struct plan *plan, const struct plan_settings *settings) {
  *plan =
      (struct plan){.settings = *settings, .clock = settings->start, .number = settings->thread};
  arrivals_init(&plan->arrivals, settings->seed, settings->thread,
                settings->per_s / (double)settings->threads, settings->bursty);
  heap_init(&plan->open, settings->open);
  plan->arrival = settings->start + arrivals_next(&plan->arrivals);
}

void plan_release(struct plan *plan) {
  heap_release(&plan->open);
}

// ---- One telling of a story: one event is given, the one after it is found.

struct telling {
  const struct open_envelope *current;
  const struct story_sink *sink;  // NULL: none is given
  int32_t told;
  struct open_envelope next;
  bool more;
};

static bool comes_before(const struct open_envelope *a, const struct open_envelope *b) {
  return a->due != b->due ? a->due < b->due : a->event < b->event;
}

static void take(void *context, enum ee_phase phase, const void *record, int64_t sent_at) {
  struct telling *telling = context;
  struct open_envelope found = *telling->current;
  found.due = sent_at;
  found.event = telling->told++;
  if (found.event == telling->current->event) {
    if (telling->sink != NULL) telling->sink->take(telling->sink->context, phase, record, sent_at);
  } else if (comes_before(telling->current, &found) &&
             (!telling->more || comes_before(&found, &telling->next))) {
    telling->next = found;
    telling->more = true;
  }
}

// Gives what is current and keeps what follows it, if anything does.
static bool go_on(struct plan *plan, const struct open_envelope *current,
                  const struct story_sink *sink) {
  struct telling telling = {.current = current, .sink = sink};
  struct story_sink own = {.take = take, .context = &telling};
  struct random random = random_of(plan->settings.seed, current->number);
  traffic_tell(&plan->settings.model, &random, (int64_t)current->number, current->at, &own);
  if (telling.more) return heap_push(&plan->open, telling.next);
  plan->ended++;
  return true;
}

// ---- Arrivals.

static bool to_begin(const struct plan *plan) {
  if (plan->number >= plan->settings.envelopes || heap_full(&plan->open)) return false;
  const struct open_envelope *first = heap_first(&plan->open);
  return first == NULL || plan->arrival <= first->due;
}

// An envelope for which there was no room comes later, and all after it.
static bool begin(struct plan *plan) {
  if (plan->arrival < plan->clock) {
    plan->held_us += plan->clock - plan->arrival;
    plan->arrival = plan->clock;
  }
  struct open_envelope before = {
      .due = INT64_MIN, .at = plan->arrival, .number = plan->number, .event = -1};
  plan->number += plan->settings.threads;
  plan->begun++;
  plan->arrival = plan->settings.start + plan->held_us + arrivals_next(&plan->arrivals);
  return go_on(plan, &before, NULL);
}

enum plan_state plan_due(struct plan *plan, int64_t *ret) {
  while (to_begin(plan)) {
    if (!begin(plan)) return PLAN_NO_MEMORY;
  }
  const struct open_envelope *first = heap_first(&plan->open);
  if (first == NULL) return PLAN_DONE;
  *ret = first->due;
  return PLAN_DUE;
}

bool plan_give(struct plan *plan, const struct story_sink *sink) {
  struct open_envelope current = heap_pop(&plan->open);
  plan->clock = current.due;
  return go_on(plan, &current, sink);
}
