// SPDX-License-Identifier: Apache-2.0
// Accounting as a processor: phase events and ticks become ledger entries (first stage),
// ledger entries become totals (second stage).
#include "accounting/accounting.h"
#include "accounting/entries.h"
#include "accounting/facts.h"
#include "accounting/totals.h"
#include "base/time.h"
#include "contract/ident.h"
#include "contract/record.h"

enum { TOTALS, STATE };  // the changelogs

#define WAKE_HOURS 168                    // windows booked in one wake
#define KEY_SIZE_MAX ((size_t)2 << 20)    // before a long key is replaced by its hash
#define VALUE_SIZE_MAX ((size_t)1 << 20)  // an entry or a total

struct work {
  struct ee_step *step;
  struct ee_arena *arena;  // the step's
  struct ee_buf key;
  struct ee_buf value;
};

static void work_init(struct work *work, struct ee_step *step) {
  work->step = step;
  work->arena = ee_step_arena(step);
  ee_buf_init_in(&work->key, work->arena, KEY_SIZE_MAX);
  ee_buf_init_in(&work->value, work->arena, VALUE_SIZE_MAX);
}

// State under work->key, as a copy: what the step lends ends with the next call on it.
static bool get_copy(struct work *work, uint8_t changelog, struct ee_bytes *ret) {
  struct ee_bytes lent;
  if (work->key.failed) return false;
  if (!ee_step_get(work->step, changelog, ee_buf_bytes(&work->key), &lent)) return false;
  struct ee_str copy = ee_arena_str(work->arena, ee_bytes_str(lent));
  *ret = ee_str_bytes(copy);
  return (copy.data == NULL) == (lent.data == NULL);
}

// ---- First stage.

static bool emit_entry(void *context, const struct ee_usage *entry) {
  struct work *work = context;
  ee_buf_clear(&work->value);
  ee_encode(&ee_usage_type, entry, &work->value);
  if (work->value.failed) return false;
  return ee_step_emit(work->step, EE_TOPIC_USAGE, ee_str_bytes(entry->tenant),
                      ee_buf_bytes(&work->value));
}

// Books what is due after and was not before, and keeps the facts after.
static bool book(struct work *work, struct ee_accounting_envelope *facts,
                 const struct ee_entry_source *source) {
  int64_t until = source->after->booked_until;
  facts->booked_until = (struct ee_opt_long){.present = until != EE_DUE_NOTHING};
  if (facts->booked_until.present) facts->booked_until.value = until;
  if (source->after->admission != NULL && !ee_entries_visit(source, emit_entry, work)) return false;

  struct ee_buf state;
  ee_buf_init_in(&state, work->arena, EE_FACTS_STATE_MAX);
  ee_facts_write(facts, &state);
  return !state.failed && ee_step_put(work->step, STATE, ee_buf_bytes(&work->key),
                                      ee_buf_bytes(&state), ee_due_wake_at(source->after));
}

static bool step_event(struct work *work, const struct ee_accounting_settings *settings,
                       const struct ee_input *input) {
  struct ee_str envelope_id = ((const struct ee_event_head *)input->record)->envelope_id;
  struct ee_bytes value;
  struct ee_accounting_envelope facts;
  ee_key_envelope(&work->key, envelope_id);
  if (!get_copy(work, STATE, &value) || !ee_facts_read(value, work->arena, &facts)) return false;

  struct ee_due before, after;
  if (!ee_due_make(&facts, work->arena, &before)) return false;
  struct ee_facts_change change;
  struct ee_str topic = ee_step_topic_name(work->step, input->topic);
  if (!ee_facts_add(&facts, input, topic, &settings->deadlines, work->arena, &change)) return false;
  if (!change.changed) return true;
  if (!ee_due_make(&facts, work->arena, &after)) return false;
  after.booked_until = ee_due_until(&after, ee_step_clock(work->step));
  return book(work, &facts,
              &(struct ee_entry_source){.envelope_id = envelope_id,
                                        .before = &before,
                                        .after = &after,
                                        .trigger = change.event,
                                        .arena = work->arena});
}

static bool wake_envelope(struct work *work, int64_t clock, struct ee_bytes key,
                          struct ee_bytes value) {
  struct ee_buf name;
  ee_buf_init_in(&name, work->arena, KEY_SIZE_MAX);
  ee_buf_append(&work->key, key.data, key.size);
  struct ee_str copy = ee_arena_str(work->arena, ee_bytes_str(value));
  struct ee_accounting_envelope facts;
  struct ee_due before;
  char letter;
  struct ee_str envelope_id;
  if (copy.data == NULL || work->key.failed ||
      !ee_key_parse(ee_buf_bytes(&work->key), &letter, &envelope_id, &name) ||
      !ee_facts_read(ee_str_bytes(copy), work->arena, &facts) ||
      !ee_due_make(&facts, work->arena, &before)) {
    return false;
  }
  struct ee_due after = before;
  int64_t until = ee_due_until(&before, clock);
  int64_t most = ee_due_wake_at(&before);  // the end of the first window to be booked
  if (most <= until) most += (WAKE_HOURS - 1) * EE_MICROS_PER_HOUR;
  after.booked_until = until < most ? until : most;
  return book(
      work, &facts,
      &(struct ee_entry_source){
          .envelope_id = envelope_id, .before = &before, .after = &after, .arena = work->arena});
}

// ---- Second stage.

static bool step_entry(struct work *work, const struct ee_usage *entry) {
  struct ee_bytes value;
  ee_total_key(entry, &work->key);
  if (!get_copy(work, TOTALS, &value)) return false;
  struct ee_usage_total before, total;
  const struct ee_plan *plan = ee_plan_own(&ee_usage_total_type);
  if (value.data != NULL && (plan == NULL || !ee_decode(plan, value, work->arena, &before, NULL))) {
    return false;
  }
  ee_total_add(value.data == NULL ? NULL : &before, entry, &total);
  if (!ee_total_known(&total)) {
    return value.data == NULL ||
           ee_step_put(work->step, TOTALS, ee_buf_bytes(&work->key), ee_bytes(NULL, 0), EE_NEVER);
  }
  ee_encode(&ee_usage_total_type, &total, &work->value);
  if (work->value.failed) return false;
  if (ee_bytes_equal(value, ee_buf_bytes(&work->value))) return true;
  return ee_step_put(work->step, TOTALS, ee_buf_bytes(&work->key), ee_buf_bytes(&work->value),
                     EE_NEVER);
}

// ---- The processor.

static bool accounting_step(void *self, struct ee_step *step, const struct ee_input *input) {
  if (input->topic > EE_TOPIC_RELEASED && input->topic != EE_TOPIC_USAGE) return true;
  struct work work;
  work_init(&work, step);
  return input->topic == EE_TOPIC_USAGE ? step_entry(&work, input->record)
                                        : step_event(&work, self, input);
}

static bool accounting_wake(void *self, struct ee_step *step, const struct ee_tick_view *tick,
                            uint8_t changelog, struct ee_bytes key, struct ee_bytes value) {
  (void)self;
  (void)changelog;  // totals never ask to be woken
  struct work work;
  work_init(&work, step);
  return wake_envelope(&work, tick->clock, key, value);
}

// Facts that cannot be weighed for want of memory are looked at again by the next tick, whose
// wake can report it.
static int64_t accounting_wake_at(void *self, uint8_t changelog, struct ee_bytes key,
                                  const void *record, int64_t clock, struct ee_arena *arena) {
  (void)self;
  (void)key;
  (void)clock;
  if (changelog != STATE) return EE_NEVER;
  const struct ee_accounting_state *state = record;
  struct ee_due due;
  if (state->envelope == NULL) return EE_NEVER;
  if (!ee_due_make(state->envelope, arena, &due)) return INT64_MIN;
  return ee_due_wake_at(&due);
}

struct ee_processor ee_accounting_processor(const struct ee_accounting_settings *settings) {
  static const enum ee_topic inputs[] = {
      EE_TOPIC_ADMISSION, EE_TOPIC_RESOLVED,   EE_TOPIC_FINALIZED, EE_TOPIC_FAILED,
      EE_TOPIC_RELEASED,  EE_TOPIC_ANNOTATION, EE_TOPIC_USAGE,     EE_TOPIC_TICK,
  };
  static const enum ee_topic outputs[] = {EE_TOPIC_USAGE};
  static const struct ee_changelog changelogs[] = {
      [TOTALS] = {.topic = EE_TOPIC_USAGE_TENANT, .emitted = true},
      [STATE] = {.topic = EE_TOPIC_ACCOUNTING_STATE, .emitted = false},
  };
  static const struct ee_processor_ops ops = {
      .name = "accounting",
      .inputs = inputs,
      .input_count = sizeof inputs / sizeof *inputs,
      .outputs = outputs,
      .output_count = sizeof outputs / sizeof *outputs,
      .changelogs = changelogs,
      .changelog_count = sizeof changelogs / sizeof *changelogs,
      .state_changelog = STATE,
      .step = accounting_step,
      .wake = accounting_wake,
      .wake_at = accounting_wake_at,
  };
  return (struct ee_processor){.ops = &ops, .self = (void *)settings};
}
