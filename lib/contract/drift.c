// SPDX-License-Identifier: Apache-2.0
// Drift: one pass over the fixed dimensions, then one over each of the two maps, whose
// keys are put in order first.
#include "contract/drift.h"

#include <stdlib.h>

#define FIXED_DIMENSIONS ((size_t)8)
#define DEFAULT_SHARE_MILLI 1000

struct lines {
  struct ee_arena *arena;
  struct ee_drift_line *items;  // room for all there can be
  size_t count;
  bool failed;
};

static struct ee_str keep(struct lines *lines, const char *text, size_t size) {
  struct ee_str kept = ee_arena_str(lines->arena, (struct ee_str){.data = text, .size = size});
  if (kept.data == NULL) lines->failed = true;
  return kept;
}

// Most numbers fit a machine word, whose division is far cheaper.
static struct ee_str decimal(struct lines *lines, ee_int128 value) {
  char text[EE_INT128_TEXT];
  if (value < 0 || value > INT64_MAX) {
    ee_int128_print(value, text);
    return keep(lines, text, strlen(text));
  }
  size_t start = sizeof text;
  uint64_t rest = (uint64_t)value;
  do {
    text[--start] = (char)('0' + rest % 10);
    rest /= 10;
  } while (rest != 0);
  return keep(lines, text + start, sizeof text - start);
}

static void add(struct lines *lines, struct ee_str dimension, struct ee_str requested,
                struct ee_str granted, enum ee_change change) {
  lines->items[lines->count++] = (struct ee_drift_line){
      .dimension = dimension, .requested = requested, .granted = granted, .change = change};
}

struct number {
  bool present;
  ee_int128 value;
};

static void add_numbers(struct lines *lines, struct ee_str dimension, struct number requested,
                        struct number granted) {
  struct ee_str none = {.data = NULL, .size = 0};
  if (!requested.present && !granted.present) return;
  struct ee_str asked = requested.present ? decimal(lines, requested.value) : none;
  if (!granted.present) {
    add(lines, dimension, asked, none, EE_CHANGE_UNSTATED);
  } else if (!requested.present) {
    add(lines, dimension, none, decimal(lines, granted.value), EE_CHANGE_UNSTATED);
  } else if (requested.value == granted.value) {
    add(lines, dimension, asked, asked, EE_CHANGE_EQUAL);
  } else {
    add(lines, dimension, asked, decimal(lines, granted.value),
        granted.value < requested.value ? EE_CHANGE_NARROWED : EE_CHANGE_WIDENED);
  }
}

static void add_longs(struct lines *lines, struct ee_str dimension, struct ee_opt_long requested,
                      struct ee_opt_long granted) {
  add_numbers(lines, dimension,
              (struct number){.present = requested.present, .value = requested.value},
              (struct number){.present = granted.present, .value = granted.value});
}

static struct number gpus(const struct ee_resources *resources) {
  int64_t share =
      resources->gpu_share_milli.present ? resources->gpu_share_milli.value : DEFAULT_SHARE_MILLI;
  return (struct number){.present = resources->gpu_count.present,
                         .value = (ee_int128)resources->gpu_count.value * share};
}

static void add_texts(struct lines *lines, struct ee_str dimension, struct ee_str requested,
                      struct ee_str granted) {
  if (requested.data == NULL && granted.data == NULL) return;
  enum ee_change change = EE_CHANGE_REBOUND;
  if (requested.data == NULL || granted.data == NULL) change = EE_CHANGE_UNSTATED;
  if (ee_str_equal(requested, granted)) change = EE_CHANGE_EQUAL;
  add(lines, dimension, requested, granted, change);
}

// ---- The maps. Entries of both begin with their key, so one order serves both.

static int compare_entries(const void *a, const void *b) {
  const struct ee_str *const *left = a, *const *right = b;
  return ee_str_compare(**left, **right);
}

// Pointers to the entries' keys, ordered by their bytes.
static const struct ee_str **ordered(struct lines *lines, const void *entries, size_t count,
                                     size_t entry_size) {
  const struct ee_str **keys = ee_arena_zero(lines->arena, count, sizeof *keys);
  if (keys == NULL) {
    lines->failed = true;
    return NULL;
  }
  for (size_t i = 0; i < count; i++) {
    keys[i] = (const struct ee_str *)(const void *)((const char *)entries + i * entry_size);
  }
  if (count > 1) qsort(keys, count, sizeof *keys, compare_entries);
  return keys;
}

static struct ee_str dimension_of(struct lines *lines, const char *prefix, struct ee_str key) {
  size_t length = strlen(prefix);
  char *text = ee_arena_alloc(lines->arena, length + key.size);
  if (text == NULL) {
    lines->failed = true;
    return (struct ee_str){.data = NULL, .size = 0};
  }
  memcpy(text, prefix, length);
  if (key.size != 0) memcpy(text + length, key.data, key.size);
  return (struct ee_str){.data = text, .size = length + key.size};
}

typedef void add_entry(struct lines *lines, struct ee_str key, const struct ee_str *requested,
                       const struct ee_str *granted);

static void add_placement(struct lines *lines, struct ee_str key, const struct ee_str *requested,
                          const struct ee_str *granted) {
  const struct ee_str none = {.data = NULL, .size = 0};
  const struct ee_str_entry *asked = (const void *)requested, *given = (const void *)granted;
  struct ee_str dimension = dimension_of(lines, "placement.", key);
  if (asked == NULL) {
    add(lines, dimension, none, given->value, EE_CHANGE_EQUAL);
  } else {
    add_texts(lines, dimension, asked->value, given == NULL ? none : given->value);
  }
}

static struct ee_opt_long amount(const struct ee_str *entry) {
  if (entry == NULL) return (struct ee_opt_long){.present = false};
  const struct ee_long_entry *named = (const void *)entry;
  return (struct ee_opt_long){.present = true, .value = named->value};
}

static void add_amount(struct lines *lines, struct ee_str key, const struct ee_str *requested,
                       const struct ee_str *granted) {
  add_longs(lines, dimension_of(lines, "amounts.", key), amount(requested), amount(granted));
}

// Visits the keys of both in order, each once.
static void add_maps(struct lines *lines, struct ee_map requested, struct ee_map granted,
                     size_t entry_size, add_entry *visit) {
  if (requested.count == 0 && granted.count == 0) return;
  const struct ee_str **asked = ordered(lines, requested.entries, requested.count, entry_size);
  const struct ee_str **given = ordered(lines, granted.entries, granted.count, entry_size);
  for (size_t i = 0, j = 0; (i < requested.count || j < granted.count) && !lines->failed;) {
    int order = 0;
    if (i == requested.count) {
      order = 1;
    } else if (j == granted.count) {
      order = -1;
    } else {
      order = ee_str_compare(*asked[i], *given[j]);
    }
    const struct ee_str *left = order <= 0 ? asked[i++] : NULL;
    const struct ee_str *right = order >= 0 ? given[j++] : NULL;
    visit(lines, left != NULL ? *left : *right, left, right);
  }
}

bool ee_drift(const struct ee_resources *requested, const struct ee_resources *granted,
              struct ee_arena *arena, struct ee_drift_line_array *ret) {
  size_t most = FIXED_DIMENSIONS + requested->placement.count + granted->placement.count +
                requested->amounts.count + granted->amounts.count;
  struct lines lines = {.arena = arena, .items = ee_arena_alloc(arena, most * sizeof *lines.items)};
  if (lines.items == NULL) return false;
  add_longs(&lines, EE_STR("cpu_millis"), requested->cpu_millis, granted->cpu_millis);
  add_longs(&lines, EE_STR("memory_bytes"), requested->memory_bytes, granted->memory_bytes);
  add_numbers(&lines, EE_STR("gpu"), gpus(requested), gpus(granted));
  add_texts(&lines, EE_STR("gpu_class"), requested->gpu_class, granted->gpu_class);
  add_texts(&lines, EE_STR("engine"), requested->engine, granted->engine);
  add_longs(&lines, EE_STR("concurrency"), requested->concurrency, granted->concurrency);
  add_longs(&lines, EE_STR("timeout_ms"), requested->timeout_ms, granted->timeout_ms);
  add_longs(&lines, EE_STR("priority"), requested->priority, granted->priority);
  add_maps(&lines, (struct ee_map){requested->placement.entries, requested->placement.count},
           (struct ee_map){granted->placement.entries, granted->placement.count},
           sizeof(struct ee_str_entry), add_placement);
  add_maps(&lines, (struct ee_map){requested->amounts.entries, requested->amounts.count},
           (struct ee_map){granted->amounts.entries, granted->amounts.count},
           sizeof(struct ee_long_entry), add_amount);
  if (lines.failed) return false;
  *ret = (struct ee_drift_line_array){.items = lines.items, .count = lines.count};
  return true;
}

bool ee_drift_counts(struct ee_str dimension) {
  return !ee_str_equal(dimension, EE_STR("timeout_ms")) &&
         !ee_str_equal(dimension, EE_STR("priority"));
}

struct ee_drift_summary ee_drift_summarise(const struct ee_drift_line_array *lines) {
  struct ee_drift_summary summary = {.equal = false};
  for (size_t i = 0; i < lines->count; i++) {
    const struct ee_drift_line *line = &lines->items[i];
    if (!ee_drift_counts(line->dimension)) continue;
    summary.equal |= line->change == EE_CHANGE_EQUAL;
    summary.narrowed |= line->change == EE_CHANGE_NARROWED;
    summary.widened |= line->change == EE_CHANGE_WIDENED;
    summary.rebound |= line->change == EE_CHANGE_REBOUND;
  }
  return summary;
}
