// SPDX-License-Identifier: Apache-2.0
// The lifecycle record as a function of its events and the clock: the table of
// ARCHITECTURE.md, "The join", line by line.
#include "contract/drift.h"
#include "join/envelope.h"
#include "join/lists.h"

static bool is_own(const struct ee_joined *joined, const struct ee_join_event *event) {
  return !event->left_out && !ee_joined_foreign(joined, event);
}

// The last event of the phase that counts, or NULL.
static const struct ee_join_event *last_of(const struct ee_joined *joined, enum ee_phase phase) {
  const struct ee_join_phase *events = &joined->phases[phase];
  for (size_t i = events->count; i > 0; i--) {
    if (is_own(joined, &events->events[i - 1])) return &events->events[i - 1];
  }
  return NULL;
}

// The later of two; at equal times the second. Either may be NULL.
static const struct ee_join_event *later(const struct ee_join_event *a,
                                         const struct ee_join_event *b) {
  if (a == NULL || b == NULL) return a == NULL ? b : a;
  return a->head->occurred_at > b->head->occurred_at ? a : b;
}

// A failed event, when it is the last of the finalized and failed ones: a release heals
// nothing.
static const struct ee_join_event *failure(const struct ee_joined *joined) {
  const struct ee_join_event *last =
      later(last_of(joined, EE_PHASE_FINALIZED), last_of(joined, EE_PHASE_FAILED));
  return last != NULL && last->at.phase == EE_PHASE_FAILED ? last : NULL;
}

const struct ee_join_event *ee_joined_last_terminal(const struct ee_joined *joined) {
  const struct ee_join_event *last =
      later(last_of(joined, EE_PHASE_FINALIZED), last_of(joined, EE_PHASE_FAILED));
  return later(last, last_of(joined, EE_PHASE_RELEASED));
}

static struct ee_str tenant_of(const struct ee_joined *joined) {
  for (int p = 0; p < EE_PHASE_TOPICS; p++) {
    const struct ee_join_phase *phase = &joined->phases[p];
    for (size_t i = 0; i < phase->count; i++) {
      if (is_own(joined, &phase->events[i])) return phase->events[i].head->tenant;
    }
  }
  return EE_STR("");
}

static enum ee_status status_of(const struct ee_joined *joined) {
  static const enum ee_status by_phase[EE_PHASE_TOPICS] = {
      [EE_PHASE_FINALIZED] = EE_STATUS_FINALIZED,
      [EE_PHASE_FAILED] = EE_STATUS_FAILED,
      [EE_PHASE_RELEASED] = EE_STATUS_RELEASED,
  };
  if (ee_joined_admission(joined) == NULL) return EE_STATUS_ORPHANED;
  const struct ee_join_event *last = ee_joined_last_terminal(joined);
  if (last != NULL) return by_phase[last->at.phase];
  return last_of(joined, EE_PHASE_RESOLVED) != NULL ? EE_STATUS_RESOLVED : EE_STATUS_ADMITTED;
}

// Grants are in order, so the first one tells whether any is old enough.
static bool granted_by(const struct ee_lifecycle *record, int64_t time) {
  return record->grants.count > 0 && record->grants.items[0].occurred_at <= time;
}

static enum ee_outcome drift_outcome(const struct ee_drift_line_array *lines, bool ended) {
  struct ee_drift_summary summary = ee_drift_summarise(lines);
  if (summary.rebound) return EE_OUTCOME_REBOUND;
  if (summary.narrowed) return EE_OUTCOME_NARROWED;
  if (summary.widened) return EE_OUTCOME_WIDENED;
  if (summary.equal) return EE_OUTCOME_AS_REQUESTED;
  return ended ? EE_OUTCOME_UNSTATED : EE_OUTCOME_PENDING;
}

// The first that holds. Wants lists, drift and deadline filled in.
static enum ee_outcome outcome_of(const struct ee_joined *joined, const struct ee_lifecycle *record,
                                  int64_t grace_ms, int64_t clock) {
  const struct ee_join_event *failed = failure(joined);
  if (failed != NULL) {
    return granted_by(record, failed->head->occurred_at) ? EE_OUTCOME_UNHEALTHY : EE_OUTCOME_DENIED;
  }
  if (record->admission == NULL) return EE_OUTCOME_PENDING;
  bool ended = ee_joined_last_terminal(joined) != NULL;
  if (!ended && clock >= ee_join_after(record->deadline.value, grace_ms)) {
    return EE_OUTCOME_INCOMPLETE;
  }
  return drift_outcome(&record->drift, ended);
}

// ---- Lists.

enum choice { OWN, FOREIGN, LEFT_OUT };

static enum choice choice_of(const struct ee_joined *joined, const struct ee_join_event *event) {
  if (event->left_out) return LEFT_OUT;
  return ee_joined_foreign(joined, event) ? FOREIGN : OWN;
}

// The structs of those events, one behind the other as generated records have them.
static bool list_of(const struct ee_joined *joined, enum ee_phase p, enum choice choice,
                    struct ee_arena *arena, struct ee_array *ret) {
  const struct ee_join_phase *phase = &joined->phases[p];
  size_t size = ee_phase_record(p)->size, count = 0;
  *ret = (struct ee_array){.items = NULL, .count = 0};
  for (size_t i = 0; i < phase->count; i++) {
    count += choice_of(joined, &phase->events[i]) == choice;
  }
  if (count == 0) return true;
  char *items = ee_arena_alloc(arena, count * size);
  if (items == NULL) return false;
  *ret = (struct ee_array){.items = items, .count = count};
  for (size_t i = 0; i < phase->count; i++) {
    if (choice_of(joined, &phase->events[i]) != choice) continue;
    memcpy(items, phase->events[i].head, size);
    items += size;
  }
  return true;
}

static bool set_lists(const struct ee_joined *joined, struct ee_arena *arena,
                      struct ee_lifecycle *record) {
  for (enum ee_phase p = 0; p < EE_PHASE_TOPICS; p++) {
    struct ee_array list;
    if (!list_of(joined, p, OWN, arena, &list)) return false;
    ee_set_own_list(record, p, list);
    if (!list_of(joined, p, FOREIGN, arena, &list)) return false;
    ee_set_foreign_list(&record->foreign, p, list);
  }
  return true;
}

static bool set_drift(struct ee_arena *arena, struct ee_lifecycle *record) {
  if (record->admission == NULL || record->grants.count == 0) return true;
  const struct ee_resolved *effective = &record->grants.items[record->grants.count - 1];
  return ee_drift(&record->admission->requested, &effective->granted, arena, &record->drift);
}

bool ee_joined_derive(const struct ee_joined *joined, const struct ee_join_settings *settings,
                      int64_t clock, struct ee_arena *arena, struct ee_lifecycle *ret) {
  *ret = (struct ee_lifecycle){.envelope_id = joined->envelope_id,
                               .tenant = tenant_of(joined),
                               .status = status_of(joined),
                               .admission_sha256 = joined->admission_sha256,
                               .violations = joined->violations};
  const struct ee_join_event *admission = ee_joined_admission(joined);
  if (!set_lists(joined, arena, ret) || !set_drift(arena, ret) ||
      !ee_joined_evidence(joined, EE_JOIN_IN_RECORD, arena, &ret->evidence)) {
    return false;
  }
  if (admission != NULL) {
    ret->deadline.present = true;
    ret->deadline.value =
        ee_deadline(&settings->deadlines, ret->admission, admission->at.timestamp);
  }
  ret->outcome = outcome_of(joined, ret, settings->grace_ms, clock);
  return true;
}

static bool set_closed(const struct ee_joined *joined, struct ee_arena *arena,
                       struct ee_phase_array *ret) {
  *ret = (struct ee_phase_array){.items = ee_arena_zero(arena, EE_PHASE_TOPICS, sizeof(int))};
  if (ret->items == NULL) return false;
  for (int p = 0; p < EE_PHASE_TOPICS; p++) {
    if (joined->phases[p].closed) ret->items[ret->count++] = p;
  }
  return true;
}

bool ee_joined_left_out(const struct ee_joined *joined, struct ee_arena *arena,
                        struct ee_join_envelope *ret, bool *ret_any) {
  *ret = (struct ee_join_envelope){.closed = {.items = NULL}};
  if (!set_closed(joined, arena, &ret->closed) ||
      !ee_joined_evidence(joined, EE_JOIN_LEFT_OUT, arena, &ret->evidence)) {
    return false;
  }
  for (enum ee_phase p = EE_PHASE_RESOLVED; p < EE_PHASE_TOPICS; p++) {
    struct ee_array list;
    if (!list_of(joined, p, LEFT_OUT, arena, &list)) return false;
    ee_set_foreign_list(&ret->events, p, list);
  }
  *ret_any = ret->closed.count > 0 || ret->evidence.count > 0;
  return true;
}
