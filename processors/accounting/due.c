// SPDX-License-Identifier: Apache-2.0
// From facts to metered intervals and amounts (ARCHITECTURE.md, "Accounting").
#include "accounting/due.h"

#include <stdlib.h>

#include "accounting/facts.h"
#include "stream/store.h"

#define STATED_MOST (INT64_C(1) << 53)  // larger numbers are read as not stated

int64_t ee_hour_of(int64_t micros) {
  int64_t into = micros % EE_MICROS_PER_HOUR;
  return micros - (into < 0 ? into + EE_MICROS_PER_HOUR : into);
}

// ---- Numbers that can be metered.

const struct ee_str ee_rate_names[EE_RATE_COUNT] = {
    [EE_RATE_CONCURRENCY] = {.data = "concurrency", .size = sizeof "concurrency" - 1},
    [EE_RATE_CPU_MILLIS] = {.data = "cpu_millis", .size = sizeof "cpu_millis" - 1},
    [EE_RATE_GPU] = {.data = "gpu", .size = sizeof "gpu" - 1},
    [EE_RATE_MEMORY_BYTES] = {.data = "memory_bytes", .size = sizeof "memory_bytes" - 1},
};

static bool in_range(int64_t value) {
  return value >= 0 && value <= STATED_MOST;
}

static bool gpu_rate(const struct ee_resources *r, int64_t *ret) {
  int64_t share = r->gpu_share_milli.present ? r->gpu_share_milli.value : 1000;
  return r->gpu_count.present && in_range(r->gpu_count.value) && in_range(share) &&
         !__builtin_mul_overflow(r->gpu_count.value, share, ret) && in_range(*ret);
}

bool ee_rate_of(const struct ee_resources *resources, enum ee_rate rate, int64_t *ret) {
  struct ee_opt_long value = {.present = false};
  if (rate == EE_RATE_GPU) return gpu_rate(resources, ret);
  if (rate == EE_RATE_CONCURRENCY) value = resources->concurrency;
  if (rate == EE_RATE_CPU_MILLIS) value = resources->cpu_millis;
  if (rate == EE_RATE_MEMORY_BYTES) value = resources->memory_bytes;
  *ret = value.value;
  return value.present && in_range(value.value);
}

// ---- The tenant's own events, each phase by (occurred_at, event_id).

struct run {
  const struct ee_usage_event **items;
  size_t count;
};

static int compare_events(const void *a, const void *b) {
  const struct ee_usage_event *x = *(const struct ee_usage_event *const *)a;
  const struct ee_usage_event *y = *(const struct ee_usage_event *const *)b;
  if (x->evidence.phase != y->evidence.phase) return x->evidence.phase < y->evidence.phase ? -1 : 1;
  if (x->occurred_at != y->occurred_at) return x->occurred_at < y->occurred_at ? -1 : 1;
  return ee_str_compare(x->evidence.event_id, y->evidence.event_id);
}

static bool sort_events(const struct ee_accounting_envelope *facts, struct ee_arena *arena,
                        struct run runs[EE_PHASE_OTHER + 1]) {
  struct ee_str tenant = facts->admission->tenant;
  const struct ee_usage_event **all = ee_arena_alloc(arena, facts->events.count * sizeof *all);
  if (all == NULL) return false;
  size_t count = 0;
  for (size_t i = 0; i < facts->events.count; i++) {
    const struct ee_usage_event *event = &facts->events.items[i];
    if (ee_str_equal(event->tenant, tenant)) all[count++] = event;
  }
  if (count > 1) qsort(all, count, sizeof *all, compare_events);
  for (size_t i = 0; i < count; i++) {
    struct run *run = &runs[all[i]->evidence.phase];
    if (run->count++ == 0) run->items = all + i;
  }
  return true;
}

// ---- Intervals.

struct end {
  int64_t at;
  const struct ee_usage_event *event;
};

static struct end metering_end(const struct ee_usage_admission *admission, const struct run *runs) {
  const struct run *released = &runs[EE_PHASE_RELEASED];
  const struct run *finalized = &runs[EE_PHASE_FINALIZED];
  if (released->count > 0) {
    return (struct end){.at = released->items[0]->occurred_at, .event = released->items[0]};
  }
  if (admission->kind == EE_EXECUTION_KIND_DEPLOYMENT) return (struct end){.at = INT64_MAX};
  if (finalized->count > 0 && finalized->items[0]->occurred_at <= admission->deadline) {
    return (struct end){.at = finalized->items[0]->occurred_at, .event = finalized->items[0]};
  }
  return (struct end){.at = admission->deadline};
}

// The failed event for which the envelope is denied, or NULL (the join's outcome, on
// clamped times).
static const struct ee_usage_event *denial(const struct run *runs) {
  const struct run *grants = &runs[EE_PHASE_RESOLVED];
  const struct run *finalized = &runs[EE_PHASE_FINALIZED];
  const struct run *failed = &runs[EE_PHASE_FAILED];
  if (failed->count == 0) return NULL;
  const struct ee_usage_event *last = failed->items[failed->count - 1];
  if (finalized->count > 0 &&
      finalized->items[finalized->count - 1]->occurred_at > last->occurred_at) {
    return NULL;
  }
  if (grants->count > 0 && grants->items[0]->occurred_at <= last->occurred_at) return NULL;
  return last;
}

static void add_interval(struct ee_due *due, const struct ee_due_interval *interval) {
  if (interval->start < interval->end) due->intervals[due->interval_count++] = *interval;
}

// Ends it at an event not after its end so far; at equal times an event comes before the
// deadline, so that the interval is due as a whole.
static void end_by(struct ee_due_interval *interval, const struct ee_usage_event *event) {
  if (event->occurred_at > interval->end) return;
  interval->end = event->occurred_at;
  interval->ended_by = event;
}

// Adds the intervals of all grants and returns the effective one: the last that begins
// before metering ends.
static const struct ee_usage_event *add_grants(struct ee_due *due, const struct run *runs,
                                               struct end last) {
  const struct run *grants = &runs[EE_PHASE_RESOLVED];
  const struct run *failed = &runs[EE_PHASE_FAILED];
  const struct ee_usage_event *effective = NULL;
  size_t next_failed = 0;
  for (size_t i = 0; i < grants->count && grants->items[i]->occurred_at < last.at; i++) {
    effective = grants->items[i];
    struct ee_due_interval interval = {.start = effective->occurred_at,
                                       .end = last.at,
                                       .grant = effective,
                                       .ended_by = last.event};
    if (i + 1 < grants->count) end_by(&interval, grants->items[i + 1]);
    while (next_failed < failed->count &&
           failed->items[next_failed]->occurred_at < interval.start) {
      next_failed++;
    }
    if (next_failed < failed->count) end_by(&interval, failed->items[next_failed]);
    due->running = interval.ended_by == NULL;
    add_interval(due, &interval);
  }
  return effective;
}

// ---- Amounts.

struct measure {
  const struct ee_long_entry *entry;
  const struct ee_usage_event *event;
  size_t rank;  // the higher counts
};

static int compare_measures(const void *a, const void *b) {
  const struct measure *x = a, *y = b;
  int order = ee_str_compare(x->entry->key, y->entry->key);
  if (order != 0) return order;
  return x->rank > y->rank ? -1 : x->rank < y->rank;
}

static size_t add_measures(struct measure *out, size_t count, const struct run *run, size_t rank) {
  for (size_t i = 0; i < run->count; i++) {
    const struct ee_long_map *measured = &run->items[i]->measured;
    for (size_t k = 0; k < measured->count; k++) {
      if (!in_range(measured->entries[k].value)) continue;
      out[count++] = (struct measure){
          .entry = &measured->entries[k], .event = run->items[i], .rank = rank + i};
    }
  }
  return count;
}

static size_t map_sizes(const struct run *run) {
  size_t size = 0;
  for (size_t i = 0; i < run->count; i++) {
    size += run->items[i]->measured.count;
  }
  return size;
}

// Of each name the last released event's, else the last finalized one's.
static bool collect_measures(const struct run *runs, struct ee_arena *arena, struct measure **ret,
                             size_t *ret_count) {
  const struct run *finalized = &runs[EE_PHASE_FINALIZED];
  const struct run *released = &runs[EE_PHASE_RELEASED];
  size_t most = map_sizes(finalized) + map_sizes(released);
  struct measure *all = ee_arena_alloc(arena, most * sizeof *all);
  if (all == NULL) return false;
  size_t count = add_measures(all, 0, finalized, 0);
  count = add_measures(all, count, released, finalized->count);
  if (count > 1) qsort(all, count, sizeof *all, compare_measures);
  size_t kept = 0;
  for (size_t i = 0; i < count; i++) {
    if (kept > 0 && ee_str_equal(all[kept - 1].entry->key, all[i].entry->key)) continue;
    all[kept++] = all[i];
  }
  *ret = all;
  *ret_count = kept;
  return true;
}

static int compare_amounts(const void *a, const void *b) {
  const struct ee_due_amount *x = a, *y = b;
  if (x->window != y->window) return x->window < y->window ? -1 : 1;
  int order = ee_str_compare(x->name, y->name);
  if (order != 0) return order;
  return (int)x->quantity - (int)y->quantity;
}

static void add_amounts(struct ee_due *due, const struct ee_long_map *map,
                        enum ee_quantity quantity, const struct ee_usage_event *event,
                        bool running) {
  for (size_t i = 0; i < map->count; i++) {
    if (!in_range(map->entries[i].value)) continue;
    due->amounts[due->amount_count++] =
        (struct ee_due_amount){.window = ee_hour_of(event->occurred_at),
                               .name = map->entries[i].key,
                               .quantity = quantity,
                               .running = running,
                               .value = map->entries[i].value,
                               .event = event};
  }
}

// denied, effective: NULL when there is none. A denied envelope that is granted later
// after all has asked once, at the denial.
static bool make_amounts(struct ee_due *due, const struct run *runs,
                         const struct ee_usage_event *denied,
                         const struct ee_usage_event *effective, struct ee_arena *arena) {
  const struct ee_long_map *asked = &due->admission->requested.amounts;
  struct measure *measures;
  size_t measure_count;
  if (!collect_measures(runs, arena, &measures, &measure_count)) return false;
  size_t most = asked->count + measure_count;
  if (effective != NULL) most += effective->granted->amounts.count;
  due->amounts = ee_arena_alloc(arena, most * sizeof *due->amounts);
  if (due->amounts == NULL) return false;
  if (denied != NULL) {
    add_amounts(due, asked, EE_ASKED, denied, false);
  } else if (effective != NULL) {
    add_amounts(due, asked, EE_ASKED, effective, due->running);
  }
  if (effective != NULL) {
    add_amounts(due, &effective->granted->amounts, EE_GRANTED, effective, due->running);
  }
  for (size_t i = 0; i < measure_count; i++) {
    struct ee_long_map one = {.entries = (struct ee_long_entry *)measures[i].entry, .count = 1};
    add_amounts(due, &one, EE_BILLED, measures[i].event, false);
  }
  if (due->amount_count > 1) {
    qsort(due->amounts, due->amount_count, sizeof *due->amounts, compare_amounts);
  }
  return true;
}

bool ee_due_make(const struct ee_accounting_envelope *facts, struct ee_arena *arena,
                 struct ee_due *ret) {
  *ret = (struct ee_due){.admission = facts->admission, .booked_until = EE_DUE_NOTHING};
  if (facts->booked_until.present) ret->booked_until = facts->booked_until.value;
  if (facts->admission == NULL) return true;
  struct run runs[EE_PHASE_OTHER + 1] = {{.items = NULL}};
  if (!sort_events(facts, arena, runs)) return false;
  size_t most = runs[EE_PHASE_RESOLVED].count + 1;  // a grant's each, and a denial's
  ret->intervals = ee_arena_alloc(arena, most * sizeof *ret->intervals);
  if (ret->intervals == NULL) return false;
  const struct ee_usage_event *denied = denial(runs);
  if (denied != NULL) {
    add_interval(ret, &(struct ee_due_interval){.start = facts->admission->occurred_at,
                                                .end = denied->occurred_at,
                                                .ended_by = denied});
  }
  const struct ee_usage_event *effective =
      add_grants(ret, runs, metering_end(facts->admission, runs));
  return make_amounts(ret, runs, denied, effective, arena);
}

// ---- Running grants.

static bool booked(const struct ee_due *due, int64_t until) {
  return due->booked_until != EE_DUE_NOTHING && due->booked_until >= until;
}

int64_t ee_due_end(const struct ee_due *due, size_t i) {
  int64_t end = due->intervals[i].end;
  bool running = due->running && i + 1 == due->interval_count;
  return running && due->booked_until < end ? due->booked_until : end;
}

bool ee_due_amount_is_due(const struct ee_due *due, const struct ee_due_amount *amount) {
  return !amount->running || booked(due, amount->window + EE_MICROS_PER_HOUR);
}

static const struct ee_due_interval *running_interval(const struct ee_due *due) {
  return due->running ? &due->intervals[due->interval_count - 1] : NULL;
}

int64_t ee_due_until(const struct ee_due *due, int64_t clock) {
  const struct ee_due_interval *running = running_interval(due);
  if (running == NULL || clock < EE_FACTS_TIME_LEAST) return EE_DUE_NOTHING;
  int64_t until = ee_hour_of(clock < EE_FACTS_TIME_MOST ? clock : EE_FACTS_TIME_MOST);
  if (until <= running->start) return EE_DUE_NOTHING;
  if (until <= running->end) return until;
  int64_t last = ee_hour_of(running->end);
  return last < running->end ? last + EE_MICROS_PER_HOUR : last;
}

int64_t ee_due_wake_at(const struct ee_due *due) {
  const struct ee_due_interval *running = running_interval(due);
  if (running == NULL || booked(due, running->end)) return EE_NEVER;
  int64_t from = ee_hour_of(running->start);
  if (booked(due, from)) from = due->booked_until;
  int64_t wake_at = from + EE_MICROS_PER_HOUR;
  return wake_at <= EE_FACTS_TIME_MOST ? wake_at : EE_NEVER;
}
