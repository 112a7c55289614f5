// SPDX-License-Identifier: Apache-2.0
// Walks the windows in which two states of an envelope differ and makes the entries.
#include "accounting/entries.h"

#include <stdlib.h>

#include "base/time.h"

#define AMOUNTS_PREFIX "amounts."

// A place in one of the two sides; all of it only moves forward.
struct side {
  const struct ee_due *due;
  size_t changed;   // first interval that ends after the time compared
  size_t interval;  // first interval that ends after the window's start
  size_t amount;    // next amount
};

struct witness {
  const struct ee_evidence *evidence;
  int64_t occurred_at;
};

struct line {
  int64_t window;
  struct ee_opt_decimal before[EE_QUANTITY_COUNT];
  struct ee_opt_decimal after[EE_QUANTITY_COUNT];
  struct witness witnesses[EE_ENTRY_EVIDENCE_MAX];
  size_t witness_count;
};

struct walk {
  const struct ee_entry_source *source;
  struct side before, after;
  bool (*visit)(void *context, const struct ee_usage *entry);
  void *context;
};

// ---- Evidence.

static void add_witness(struct line *line, const struct ee_evidence *evidence,
                        int64_t occurred_at) {
  for (size_t i = 0; i < line->witness_count; i++) {
    const struct ee_evidence *known = line->witnesses[i].evidence;
    if (known->phase == evidence->phase && known->offset == evidence->offset) return;
  }
  if (line->witness_count == EE_ENTRY_EVIDENCE_MAX) return;
  line->witnesses[line->witness_count++] =
      (struct witness){.evidence = evidence, .occurred_at = occurred_at};
}

static void add_event(struct line *line, const struct ee_usage_event *event) {
  if (event != NULL) add_witness(line, &event->evidence, event->occurred_at);
}

static void begin_line(struct line *line, const struct ee_entry_source *source, int64_t window) {
  *line = (struct line){.window = window};
  const struct ee_usage_admission *admission = source->after->admission;
  add_witness(line, &admission->evidence, admission->occurred_at);
  add_event(line, source->trigger);
}

static int compare_witnesses(const void *a, const void *b) {
  const struct witness *x = a, *y = b;
  if (x->evidence->phase != y->evidence->phase) {
    return x->evidence->phase < y->evidence->phase ? -1 : 1;
  }
  if (x->occurred_at != y->occurred_at) return x->occurred_at < y->occurred_at ? -1 : 1;
  return ee_str_compare(x->evidence->event_id, y->evidence->event_id);
}

// ---- One entry.

static void add_quantity(struct ee_opt_decimal *sum, ee_int128 value) {
  sum->present = true;
  sum->value += value;
}

// What the entry says of one quantity: absent when it does not change. Known for the first
// time it is said even if it is 0; no longer known, it is taken back.
static struct ee_opt_decimal difference(struct ee_opt_decimal before, struct ee_opt_decimal after) {
  struct ee_opt_decimal result = {.present = after.present && !before.present,
                                  .value = after.value - before.value};
  if (result.value != 0) result.present = true;
  return result;
}

static bool write_entry(struct walk *walk, struct line *line, struct ee_str dimension) {
  struct ee_usage entry = {
      .envelope_id = walk->source->envelope_id,
      .tenant = walk->source->after->admission->tenant,
      .window_start = line->window,
      .dimension = dimension,
      .asked = difference(line->before[EE_ASKED], line->after[EE_ASKED]),
      .granted = difference(line->before[EE_GRANTED], line->after[EE_GRANTED]),
      .billed = difference(line->before[EE_BILLED], line->after[EE_BILLED]),
  };
  if (!entry.asked.present && !entry.granted.present && !entry.billed.present) return true;
  struct ee_evidence evidence[EE_ENTRY_EVIDENCE_MAX];
  qsort(line->witnesses, line->witness_count, sizeof *line->witnesses, compare_witnesses);
  for (size_t i = 0; i < line->witness_count; i++) {
    evidence[i] = *line->witnesses[i].evidence;
  }
  entry.evidence = (struct ee_evidence_array){.items = evidence, .count = line->witness_count};
  return walk->visit(walk->context, &entry);
}

// ---- Rates.

static void meter_interval(const struct ee_due *due, size_t i, enum ee_rate rate, struct line *line,
                           struct ee_opt_decimal quantities[EE_QUANTITY_COUNT]) {
  const struct ee_due_interval *interval = &due->intervals[i];
  int64_t start = interval->start, end = ee_due_end(due, i);
  int64_t window_end = line->window + EE_MICROS_PER_HOUR;
  bool ends_here = end <= window_end;
  if (start < line->window) start = line->window;
  if (end > window_end) end = window_end;
  if (start >= end) return;
  int64_t asked, granted;
  bool asks = ee_rate_of(&due->admission->requested, rate, &asked);
  bool grants = interval->grant != NULL && ee_rate_of(interval->grant->granted, rate, &granted);
  if (!asks && !grants) return;
  if (asks) add_quantity(&quantities[EE_ASKED], (ee_int128)asked * (end - start));
  if (grants) add_quantity(&quantities[EE_GRANTED], (ee_int128)granted * (end - start));
  add_event(line, interval->grant);
  if (ends_here || interval->grant == NULL) add_event(line, interval->ended_by);
}

static void meter_side(const struct side *side, enum ee_rate rate, struct line *line,
                       struct ee_opt_decimal quantities[EE_QUANTITY_COUNT]) {
  const struct ee_due *due = side->due;
  for (size_t i = side->interval; i < due->interval_count; i++) {
    if (due->intervals[i].start >= line->window + EE_MICROS_PER_HOUR) break;
    meter_interval(due, i, rate, line, quantities);
  }
}

static void move_to_window(struct side *side, int64_t window) {
  while (side->interval < side->due->interval_count &&
         ee_due_end(side->due, side->interval) <= window) {
    side->interval++;
  }
}

static bool write_rates(struct walk *walk, int64_t window) {
  move_to_window(&walk->before, window);
  move_to_window(&walk->after, window);
  for (int rate = 0; rate < EE_RATE_COUNT; rate++) {
    struct line line;
    begin_line(&line, walk->source, window);
    meter_side(&walk->after, (enum ee_rate)rate, &line, line.after);
    meter_side(&walk->before, (enum ee_rate)rate, &line, line.before);
    if (!write_entry(walk, &line, ee_rate_names[rate])) return false;
  }
  return true;
}

// The resources metered at a time (ret_until: for how long this stays so), or NULL for
// none. A denial's are a value of their own.
static const void *metered_at(struct side *side, int64_t at, int64_t *ret_until) {
  static const char denied;
  const struct ee_due *due = side->due;
  while (side->changed < due->interval_count && ee_due_end(due, side->changed) <= at) {
    side->changed++;
  }
  *ret_until = INT64_MAX;
  if (side->changed == due->interval_count) return NULL;
  const struct ee_due_interval *interval = &due->intervals[side->changed];
  *ret_until = interval->start;
  if (interval->start > at) return NULL;
  *ret_until = ee_due_end(due, side->changed);
  return interval->grant == NULL ? (const void *)&denied : interval->grant->granted;
}

// The first time at or after `at` when the two sides meter different things; INT64_MAX: none.
static int64_t next_change(struct walk *walk, int64_t at) {
  while (at != INT64_MAX) {
    int64_t until_before, until_after;
    const void *before = metered_at(&walk->before, at, &until_before);
    const void *after = metered_at(&walk->after, at, &until_after);
    if (before != after) return at;
    at = until_before < until_after ? until_before : until_after;
  }
  return at;
}

// ---- Amounts.

static const struct ee_due_amount *next_amount(struct side *side) {
  const struct ee_due *due = side->due;
  while (side->amount < due->amount_count &&
         !ee_due_amount_is_due(due, &due->amounts[side->amount])) {
    side->amount++;
  }
  return side->amount < due->amount_count ? &due->amounts[side->amount] : NULL;
}

static int64_t next_amount_window(struct side *side) {
  const struct ee_due_amount *amount = next_amount(side);
  return amount == NULL ? INT64_MAX : amount->window;
}

static void take_amounts(struct side *side, struct ee_str name, struct line *line,
                         struct ee_opt_decimal quantities[EE_QUANTITY_COUNT]) {
  const struct ee_due_amount *amount;
  while ((amount = next_amount(side)) != NULL && amount->window == line->window &&
         ee_str_equal(amount->name, name)) {
    add_quantity(&quantities[amount->quantity], amount->value);
    add_event(line, amount->event);
    side->amount++;
  }
}

static struct ee_str amount_dimension(struct ee_str name, struct ee_arena *arena) {
  struct ee_str prefix = EE_STR(AMOUNTS_PREFIX);
  char *text = ee_arena_alloc(arena, prefix.size + name.size);
  if (text == NULL) return (struct ee_str){.data = NULL};
  memcpy(text, prefix.data, prefix.size);
  if (name.size > 0) memcpy(text + prefix.size, name.data, name.size);
  return (struct ee_str){.data = text, .size = prefix.size + name.size};
}

static bool write_amounts(struct walk *walk, int64_t window) {
  for (;;) {
    const struct ee_due_amount *before = next_amount(&walk->before);
    const struct ee_due_amount *after = next_amount(&walk->after);
    if (before != NULL && before->window != window) before = NULL;
    if (after != NULL && after->window != window) after = NULL;
    if (before == NULL && after == NULL) return true;
    bool first_is_before =
        after == NULL || (before != NULL && ee_str_compare(before->name, after->name) < 0);
    struct ee_str name = first_is_before ? before->name : after->name;
    struct line line;
    begin_line(&line, walk->source, window);
    take_amounts(&walk->after, name, &line, line.after);
    take_amounts(&walk->before, name, &line, line.before);
    struct ee_str dimension = amount_dimension(name, walk->source->arena);
    if (dimension.data == NULL || !write_entry(walk, &line, dimension)) return false;
  }
}

// ---- Windows.

static int64_t least_of(int64_t a, int64_t b) {
  return a < b ? a : b;
}

bool ee_entries_visit(const struct ee_entry_source *source,
                      bool (*visit)(void *context, const struct ee_usage *entry), void *context) {
  struct walk walk = {.source = source,
                      .before = {.due = source->before},
                      .after = {.due = source->after},
                      .visit = visit,
                      .context = context};
  int64_t from = INT64_MIN, change = next_change(&walk, from);
  for (;;) {
    if (change < from) change = next_change(&walk, from);
    int64_t rates_window = change == INT64_MAX ? INT64_MAX : ee_hour_of(change);
    int64_t amounts_window =
        least_of(next_amount_window(&walk.before), next_amount_window(&walk.after));
    int64_t window = least_of(rates_window, amounts_window);
    if (window == INT64_MAX) return true;
    if (!write_amounts(&walk, window)) return false;
    if (window == rates_window && !write_rates(&walk, window)) return false;
    from = window + EE_MICROS_PER_HOUR;
  }
}
