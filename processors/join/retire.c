// SPDX-License-Identifier: Apache-2.0
// The end of an envelope, and when ticks must look at one. A tick at time t has every event
// appended before t below its offsets; so what was appended before the time in question
// need not be looked at again when that time comes.
#include <stdlib.h>

#include "join/envelope.h"
#include "join/lists.h"
#include "stream/store.h"

// ---- Retirement.

static bool is_closed(const struct ee_lifecycle *record) {
  if (record->status == EE_STATUS_FAILED || record->status == EE_STATUS_RELEASED) return true;
  return record->status == EE_STATUS_FINALIZED &&
         record->admission->execution.kind != EE_EXECUTION_KIND_DEPLOYMENT;
}

// When an envelope retires whose last event was appended then.
static int64_t retirement(const struct ee_join_settings *settings, int64_t last_appended) {
  return ee_join_after(ee_join_after(last_appended, settings->retire_after_ms), settings->grace_ms);
}

bool ee_join_retires(struct ee_joined *below, const struct ee_join_settings *settings,
                     int64_t clock, struct ee_arena *arena, bool *ret, struct ee_lifecycle *stub) {
  struct ee_join_span appended = ee_joined_appended(below);
  *ret = false;
  if (settings->retire_after_ms == 0 || appended.first > appended.last) return true;
  if (clock < retirement(settings, appended.last)) return true;
  const struct ee_join_event *left_out;
  struct ee_lifecycle whole;
  if (!ee_joined_choose(below, ee_join_limits_of(settings), arena, &left_out) ||
      !ee_joined_derive(below, settings, clock, arena, &whole)) {
    return false;
  }
  if (!is_closed(&whole)) return true;
  const struct ee_join_event *last = ee_joined_last_terminal(below);
  *stub = (struct ee_lifecycle){.envelope_id = whole.envelope_id,
                                .tenant = whole.tenant,
                                .status = whole.status,
                                .outcome = whole.outcome,
                                .admission_sha256 = whole.admission_sha256,
                                .closed_at = {.present = true, .value = last->at.timestamp}};
  *ret = true;
  return true;
}

bool ee_join_is_stub(const struct ee_lifecycle *lifecycle) {
  return lifecycle->closed_at.present;
}

// ---- Times.

// The time at which something that began with an event appended at `since` is to be
// judged. Not above the clock: it was judged, unless the event may lie beyond the offsets
// of the tick that set the clock; then the next tick judges it.
static int64_t still_due(int64_t time, int64_t since, int64_t clock) {
  if (time > clock) return time;
  return since >= clock ? clock + 1 : EE_NEVER;
}

static int64_t least(int64_t a, int64_t b) {
  return a < b ? a : b;
}

static int64_t first_appended(const struct ee_evidence_array *evidence) {
  int64_t first = INT64_MAX;
  for (size_t i = 0; i < evidence->count; i++) {
    first = least(first, evidence->items[i].timestamp);
  }
  return first;
}

static int64_t orphan_time(const struct ee_join_settings *settings, int64_t clock,
                           const struct ee_evidence_array *evidence, int64_t admitted) {
  int64_t first = first_appended(evidence);
  int64_t time = ee_join_after(first, settings->orphan_grace_ms);
  if (evidence->count == 0 || admitted < time) return EE_NEVER;
  return still_due(time, first, clock);
}

// Whether a terminal event of the tenant was appended before that time. The evidence of
// foreign events stands between that of the tenant's.
static bool ended_before(const struct ee_lifecycle *lifecycle, int64_t time) {
  size_t at[EE_PHASE_TOPICS] = {0};
  for (size_t i = 0; i < lifecycle->evidence.count; i++) {
    const struct ee_evidence *evidence = &lifecycle->evidence.items[i];
    enum ee_phase phase = (enum ee_phase)evidence->phase;
    if (!ee_phase_terminal(phase)) continue;
    struct ee_array own = ee_own_list(lifecycle, phase);
    if (at[phase] == own.count) continue;
    const struct ee_event_head *head = ee_list_at(own, phase, at[phase]);
    if (!ee_str_equal(head->event_id, evidence->event_id)) continue;
    if (evidence->timestamp < time) return true;
    at[phase]++;
  }
  return false;
}

static int64_t deadline_time(const struct ee_lifecycle *lifecycle,
                             const struct ee_join_settings *settings, int64_t clock,
                             int64_t admitted) {
  int64_t time = ee_join_after(lifecycle->deadline.value, settings->grace_ms);
  if (ended_before(lifecycle, time)) return EE_NEVER;
  return still_due(time, admitted, clock);
}

static int compare_times(const void *a, const void *b) {
  int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
  return left < right ? -1 : left > right;
}

// Retirement comes after a silence: behind the last event, or between two that lie far
// enough apart for a tick to have come between them.
static bool retirement_time(const struct ee_evidence_array *evidence,
                            const struct ee_join_settings *settings, int64_t clock,
                            bool behind_last, struct ee_arena *arena, int64_t *ret) {
  *ret = EE_NEVER;
  if (settings->retire_after_ms == 0) return true;
  int64_t *times = ee_arena_alloc(arena, evidence->count * sizeof *times);
  if (times == NULL) return false;
  for (size_t i = 0; i < evidence->count; i++) {
    times[i] = evidence->items[i].timestamp;
  }
  if (evidence->count > 1) qsort(times, evidence->count, sizeof *times, compare_times);
  for (size_t i = 0; i < evidence->count; i++) {
    int64_t time = retirement(settings, times[i]);
    bool last = i + 1 == evidence->count;
    if (time <= clock || (last ? !behind_last : times[i + 1] < time)) continue;
    *ret = time;
    return true;
  }
  return true;
}

bool ee_join_wake_lifecycle(const struct ee_lifecycle *lifecycle,
                            const struct ee_join_settings *settings, int64_t clock,
                            struct ee_arena *arena, int64_t *ret) {
  const struct ee_evidence_array *evidence = &lifecycle->evidence;
  *ret = EE_NEVER;
  if (ee_join_is_stub(lifecycle)) return true;
  int64_t time;
  if (!retirement_time(evidence, settings, clock, is_closed(lifecycle), arena, &time)) return false;
  *ret = time;
  bool admitted = lifecycle->admission != NULL && evidence->count > 0;
  int64_t since = admitted ? evidence->items[0].timestamp : INT64_MAX;
  if (!ee_join_found(&lifecycle->violations, EE_VIOLATION_KIND_ORPHAN)) {
    *ret = least(*ret, orphan_time(settings, clock, evidence, since));
  }
  if (admitted && !ee_join_found(&lifecycle->violations, EE_VIOLATION_KIND_DEADLINE_MISSED)) {
    *ret = least(*ret, deadline_time(lifecycle, settings, clock, since));
  }
  return true;
}

bool ee_join_wake_left_out(const struct ee_join_envelope *left_out,
                           const struct ee_join_settings *settings, int64_t clock,
                           struct ee_arena *arena, int64_t *ret) {
  if (!retirement_time(&left_out->evidence, settings, clock, true, arena, ret)) return false;
  *ret = least(*ret, orphan_time(settings, clock, &left_out->evidence, INT64_MAX));
  return true;
}
