// SPDX-License-Identifier: Apache-2.0
// For the tests of accounting: a processor with its two stages over the step double, short
// ways to write events, and the ledger read back as sums.
#ifndef EE_TESTS_ACCOUNTING_WORLD_H
#define EE_TESTS_ACCOUNTING_WORLD_H

#include <stdlib.h>

#include "accounting/accounting.h"
#include "accounting/due.h"
#include "base/time.h"
#include "contract/ident.h"
#include "contract/record.h"
#include "tests/support/own_plan.h"
#include "tests/support/test.h"
#include "tests/unit/processors/step_double.h"

#define HOUR EE_MICROS_PER_HOUR
#define MINUTE (60 * EE_MICROS_PER_S)
#define NOON INT64_C(1778241600000000)  // 2026-05-08T12:00:00Z
#define NUMBER(n) ((struct ee_opt_long){.present = true, .value = (n)})

#define WORLD_PARTITION 0   // of the events
#define LEDGER_PARTITION 1  // of the entries: the tenant's, so another one
enum { WORLD_TOTALS, WORLD_STATE };

// What the ledger says of one (envelope, window, dimension).
struct row {
  char envelope[160];
  char tenant[160];
  int64_t window;
  char dimension[160];
  ee_int128 sums[EE_QUANTITY_COUNT];
  bool known[EE_QUANTITY_COUNT];
};

struct world {
  struct ee_accounting_settings settings;
  struct step_double *d;
  int64_t offsets[EE_TOPIC_COUNT];  // next, by topic
  size_t read;                      // outputs in rows so far
  size_t entries;                   // of the ledger so far
  struct row *rows;
  size_t row_count;
  struct ee_arena arena;
};

static inline void world_init(struct world *w) {
  *w = (struct world){.d = NULL};
  const struct ee_properties none = {.count = 0};
  struct ee_err err;
  assert_true(ee_deadlines_init(&w->settings.deadlines, &none, &err));
  struct ee_processor processor = ee_accounting_processor(&w->settings);
  w->d = step_double_new(&processor);
  ee_arena_init(&w->arena, (size_t)64 << 20);
}

static inline void world_release(struct world *w) {
  step_double_free(w->d);
  free(w->rows);
  ee_arena_release(&w->arena);
}

static inline void text_copy(char *out, size_t room, struct ee_str text) {
  assert_true(text.size < room);
  memcpy(out, text.data, text.size);
  out[text.size] = '\0';
}

static inline struct row *world_row(struct world *w, struct ee_str envelope, int64_t window,
                                    struct ee_str dimension) {
  for (size_t i = 0; i < w->row_count; i++) {
    struct row *row = &w->rows[i];
    if (row->window == window && ee_str_equal(ee_str(row->envelope), envelope) &&
        ee_str_equal(ee_str(row->dimension), dimension)) {
      return row;
    }
  }
  return NULL;
}

static inline void add_to_row(struct row *row, enum ee_quantity quantity,
                              struct ee_opt_decimal value) {
  if (!value.present) return;
  row->known[quantity] = true;
  row->sums[quantity] += value.value;
}

static inline void add_to_ledger(struct world *w, const struct ee_usage *entry) {
  struct row *row = world_row(w, entry->envelope_id, entry->window_start, entry->dimension);
  if (row == NULL) {
    if ((w->row_count & (w->row_count - 1)) == 0) {
      size_t room = w->row_count == 0 ? 1 : 2 * w->row_count;
      w->rows = realloc(w->rows, room * sizeof *w->rows);
      assert_non_null(w->rows);
    }
    row = &w->rows[w->row_count++];
    *row = (struct row){.window = entry->window_start};
    text_copy(row->envelope, sizeof row->envelope, entry->envelope_id);
    text_copy(row->tenant, sizeof row->tenant, entry->tenant);
    text_copy(row->dimension, sizeof row->dimension, entry->dimension);
  }
  assert_true(ee_str_equal(ee_str(row->tenant), entry->tenant));
  add_to_row(row, EE_ASKED, entry->asked);
  add_to_row(row, EE_GRANTED, entry->granted);
  add_to_row(row, EE_BILLED, entry->billed);
}

static inline struct ee_usage decode_entry(struct world *w, const struct step_output *output) {
  struct ee_usage entry;
  assert_int_equal(output->topic, EE_TOPIC_USAGE);
  assert_true(ee_decode(own_plan(&ee_usage_type), output->value, &w->arena, &entry, NULL));
  assert_true(ee_check_record(&ee_usage_type, &entry, NULL));
  assert_true(ee_bytes_equal(output->key, ee_str_bytes(entry.tenant)));
  return entry;
}

// Whether b comes after a by (window, dimension).
static inline bool in_order(const struct ee_usage *a, const struct ee_usage *b) {
  if (a->window_start != b->window_start) return a->window_start < b->window_start;
  return ee_str_compare(a->dimension, b->dimension) < 0;
}

// Reads what the last step wrote: into the rows and through the second stage. `ordered`:
// the outputs are of one step, and their order is checked.
static inline void world_read(struct world *w, bool ordered) {
  const struct step_output *outputs;
  size_t count = step_double_outputs(w->d, &outputs);
  struct ee_usage last = {.window_start = INT64_MIN};
  for (size_t i = w->read; i < count; i++) {
    outputs = NULL;
    (void)step_double_outputs(w->d, &outputs);  // the second stage adds to it
    struct ee_usage entry = decode_entry(w, &outputs[i]);
    if (ordered && i > w->read) assert_true(in_order(&last, &entry));
    last = entry;
    last.dimension = ee_arena_str(&w->arena, entry.dimension);
    add_to_ledger(w, &entry);
    assert_true(step_double_input(w->d, EE_TOPIC_USAGE, LEDGER_PARTITION,
                                  w->offsets[EE_TOPIC_USAGE]++, entry.window_start, &entry));
  }
  w->entries += count - w->read;
  w->read = step_double_outputs(w->d, &outputs);
  ee_arena_clear(&w->arena);
}

// Steps one event at the next offset of its topic; timestamp: append time.
static inline void world_event(struct world *w, enum ee_topic topic, int64_t timestamp,
                               const void *record) {
  assert_true(
      step_double_input(w->d, topic, WORLD_PARTITION, w->offsets[topic]++, timestamp, record));
  world_read(w, true);
}

static inline void world_tick(struct world *w, int64_t clock) {
  assert_true(step_double_tick(w->d, WORLD_PARTITION, clock, w->offsets));
  world_read(w, false);
}

// ---- Events.

#define ENVELOPE "env-1"
#define TENANT "acme"

// timeout_ms: negative for none.
static inline struct ee_admission an_admission(enum ee_execution_kind kind, int64_t timeout_ms) {
  struct ee_admission a;
  ee_record_init(&ee_admission_type, &a);
  a.envelope_id = EE_STR(ENVELOPE);
  a.event_id = EE_STR("a-1");
  a.tenant = EE_STR(TENANT);
  a.occurred_at = NOON;
  a.source = EE_STR("urn:test");
  a.caller.requester_urn = EE_STR("urn:user:u");
  a.execution.kind = kind;
  a.execution.service = EE_STR("s");
  a.execution.operation = EE_STR("o");
  if (timeout_ms >= 0) a.requested.timeout_ms = NUMBER(timeout_ms);
  return a;
}

#define AN_EVENT(NAME, REQUIRED)                                                       \
  static inline struct ee_##NAME a_##NAME(const char *event_id, int64_t occurred_at) { \
    struct ee_##NAME e;                                                                \
    ee_record_init(&ee_##NAME##_type, &e);                                             \
    e.envelope_id = EE_STR(ENVELOPE);                                                  \
    e.event_id = ee_str(event_id);                                                     \
    e.tenant = EE_STR(TENANT);                                                         \
    e.occurred_at = occurred_at;                                                       \
    e.source = EE_STR("urn:test");                                                     \
    REQUIRED;                                                                          \
    return e;                                                                          \
  }
AN_EVENT(resolved, )
AN_EVENT(finalized, e.runtime_id = EE_STR("pod"))
AN_EVENT(failed, (e.stage = EE_STR("s"), e.code = EE_STR("c")))
AN_EVENT(released, e.reason = EE_STR("done"))
AN_EVENT(annotation, )
#undef AN_EVENT

static inline void world_admission(struct world *w, const struct ee_admission *a) {
  world_event(w, EE_TOPIC_ADMISSION, a->occurred_at, a);
}

// A grant appended when it happened.
static inline void world_grant(struct world *w, const char *event_id, int64_t at,
                               int64_t cpu_millis) {
  struct ee_resolved r = a_resolved(event_id, at);
  r.granted.cpu_millis = NUMBER(cpu_millis);
  world_event(w, EE_TOPIC_RESOLVED, at, &r);
}

static inline void world_finalized(struct world *w, const char *event_id, int64_t at) {
  struct ee_finalized f = a_finalized(event_id, at);
  world_event(w, EE_TOPIC_FINALIZED, at, &f);
}

static inline void world_failed(struct world *w, const char *event_id, int64_t at) {
  struct ee_failed f = a_failed(event_id, at);
  world_event(w, EE_TOPIC_FAILED, at, &f);
}

static inline void world_released(struct world *w, const char *event_id, int64_t at) {
  struct ee_released r = a_released(event_id, at);
  world_event(w, EE_TOPIC_RELEASED, at, &r);
}

#define PIPELINE EE_EXECUTION_KIND_PIPELINE_STEP
#define DEPLOYMENT EE_EXECUTION_KIND_DEPLOYMENT
#define TEN_HOURS_MS (INT64_C(36000) * 1000)

static inline struct ee_long_map amounts_of(struct ee_long_entry *entries, size_t count) {
  return (struct ee_long_map){.entries = entries, .count = count};
}
#define AMOUNTS(...)                                \
  amounts_of((struct ee_long_entry[]){__VA_ARGS__}, \
             sizeof((struct ee_long_entry[]){__VA_ARGS__}) / sizeof(struct ee_long_entry))

// ---- The ledger.

#define UNKNOWN INT64_MIN

// The sum of a quantity, as 64 bits; UNKNOWN when it is in no entry.
static inline int64_t ledger(struct world *w, int64_t window, const char *dimension,
                             enum ee_quantity quantity) {
  struct row *row = world_row(w, EE_STR(ENVELOPE), window, ee_str(dimension));
  if (row == NULL || !row->known[quantity]) return UNKNOWN;
  assert_true(row->sums[quantity] <= INT64_MAX && row->sums[quantity] > INT64_MIN);
  return (int64_t)row->sums[quantity];
}

#define assert_ledger(w, window, dimension, asked, granted, billed)                 \
  do {                                                                              \
    assert_int_equal(ledger(w, window, dimension, EE_ASKED), (int64_t)(asked));     \
    assert_int_equal(ledger(w, window, dimension, EE_GRANTED), (int64_t)(granted)); \
    assert_int_equal(ledger(w, window, dimension, EE_BILLED), (int64_t)(billed));   \
  } while (0)

// The total of the second stage. False: there is none, or it is a tombstone.
static inline bool world_total(struct world *w, const char *tenant, int64_t window,
                               const char *dimension, struct ee_usage_total *ret) {
  char time[EE_RFC3339_SIZE];
  ee_time_print(window, time);
  struct ee_buf key;
  ee_buf_init(&key, 1024);
  ee_json_array(&key, (struct ee_str[]){ee_str(tenant), ee_str(time), ee_str(dimension)}, 3);
  assert_false(key.failed);
  struct ee_bytes value =
      step_double_state(w->d, LEDGER_PARTITION, WORLD_TOTALS, ee_buf_bytes(&key));
  ee_buf_release(&key);
  if (value.data == NULL) return false;
  assert_true(ee_decode(own_plan(&ee_usage_total_type), value, &w->arena, ret, NULL));
  return true;
}

#endif
