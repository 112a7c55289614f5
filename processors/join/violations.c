// SPDX-License-Identifier: Apache-2.0
// Breaches of the contract's invariants: what makes one, its name and its evidence. Each is
// found once; the list of those found before lies in the lifecycle record.
#include "join/envelope.h"

// Where a violation is, or would be, in the list: by (kind, id).
static size_t place_of(const struct ee_violation_ref_array *refs, enum ee_violation_kind kind,
                       struct ee_str id, bool *ret_there) {
  size_t low = 0, high = refs->count;
  *ret_there = false;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    const struct ee_violation_ref *ref = &refs->items[middle];
    int order = ref->kind - (int)kind;
    if (order == 0) order = ee_str_compare(ref->violation_id, id);
    if (order == 0) {
      *ret_there = true;
      return middle;
    }
    if (order < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

static size_t count_of(const struct ee_violation_ref_array *refs, enum ee_violation_kind kind) {
  size_t count = 0;
  for (size_t i = 0; i < refs->count; i++) {
    count += refs->items[i].kind == (int)kind;
  }
  return count;
}

bool ee_join_found(const struct ee_violation_ref_array *violations, enum ee_violation_kind kind) {
  return count_of(violations, kind) > 0;
}

// Makes room for one more item by moving to twice the memory. NULL: the arena is full.
static void *grown(void *items, size_t count, size_t *room, size_t size, struct ee_arena *arena) {
  if (count < *room) return items;
  size_t more = *room < 4 ? 4 : *room * 2;
  void *moved = ee_arena_alloc(arena, more * size);
  if (moved == NULL) return NULL;
  if (count > 0) memcpy(moved, items, count * size);
  *room = more;
  return moved;
}

static bool list(struct ee_joined *joined, size_t place, struct ee_violation_ref ref,
                 struct ee_arena *arena) {
  struct ee_violation_ref_array *refs = &joined->violations;
  struct ee_violation_ref *items =
      grown(refs->items, refs->count, &joined->violations_room, sizeof ref, arena);
  if (items == NULL) return false;
  memmove(items + place + 1, items + place, (refs->count - place) * sizeof ref);
  items[place] = ref;
  *refs = (struct ee_violation_ref_array){.items = items, .count = refs->count + 1};
  return true;
}

static bool name(struct ee_str envelope_id, struct ee_join_finding *finding,
                 struct ee_arena *arena) {
  const struct ee_evidence_array *evidence = &finding->evidence;
  size_t count = finding->kind == EE_VIOLATION_KIND_TOO_MANY_EVENTS ? 0 : evidence->count;
  struct ee_str *ids = ee_arena_alloc(arena, count * sizeof *ids);
  if (ids == NULL) return false;
  for (size_t i = 0; i < count; i++) {
    ids[i] = evidence->items[i].event_id;
  }
  return ee_violation_id(ee_violation_kind_type.symbols[finding->kind], envelope_id, ids, count,
                         finding->id);
}

static bool add_finding(struct ee_join_findings *findings, const struct ee_join_finding *finding,
                        struct ee_arena *arena) {
  struct ee_join_finding *items =
      grown(findings->items, findings->count, &findings->room, sizeof *items, arena);
  if (items == NULL) return false;
  findings->items = items;
  items[findings->count++] = *finding;
  return true;
}

bool ee_join_find(struct ee_joined *joined, enum ee_violation_kind kind,
                  struct ee_evidence_array evidence, struct ee_arena *arena,
                  struct ee_join_findings *findings) {
  struct ee_join_finding finding = {.kind = kind, .evidence = evidence};
  if (!name(joined->envelope_id, &finding, arena)) return false;
  struct ee_violation_ref ref = {.violation_id = ee_arena_str(arena, ee_str(finding.id)),
                                 .kind = kind};
  if (ref.violation_id.data == NULL) return false;
  bool there;
  size_t place = place_of(&joined->violations, kind, ref.violation_id, &there);
  if (there) return true;
  bool listed = kind != EE_VIOLATION_KIND_ADMISSION_CONFLICT ||
                count_of(&joined->violations, kind) < EE_ADMISSION_CONFLICTS_LISTED;
  if (listed && !list(joined, place, ref, arena)) return false;
  return add_finding(findings, &finding, arena);
}

static bool find_pair(struct ee_joined *joined, enum ee_violation_kind kind,
                      const struct ee_join_event *first, const struct ee_join_event *second,
                      struct ee_arena *arena, struct ee_join_findings *findings) {
  struct ee_evidence *items = ee_arena_alloc(arena, 2 * sizeof *items);
  if (items == NULL) return false;
  items[0] = first->at;
  items[1] = second->at;
  return ee_join_find(joined, kind, (struct ee_evidence_array){.items = items, .count = 2}, arena,
                      findings);
}

bool ee_join_find_conflict(struct ee_joined *joined, const struct ee_join_event *standing,
                           const struct ee_join_event *event, struct ee_arena *arena,
                           struct ee_join_findings *findings) {
  enum ee_violation_kind kind = event->at.phase == EE_PHASE_ADMISSION
                                    ? EE_VIOLATION_KIND_ADMISSION_CONFLICT
                                    : EE_VIOLATION_KIND_EVENT_ID_CONFLICT;
  return find_pair(joined, kind, standing, event, arena, findings);
}

static bool find_mismatch(struct ee_joined *joined, const struct ee_join_event *event,
                          struct ee_arena *arena, struct ee_join_findings *findings) {
  if (!ee_joined_foreign(joined, event)) return true;
  return find_pair(joined, EE_VIOLATION_KIND_TENANT_MISMATCH, ee_joined_admission(joined), event,
                   arena, findings);
}

bool ee_join_find_mismatches(struct ee_joined *joined, const struct ee_join_event *event,
                             struct ee_arena *arena, struct ee_join_findings *findings) {
  if (event->at.phase != EE_PHASE_ADMISSION) return find_mismatch(joined, event, arena, findings);
  for (int p = 0; p < EE_PHASE_TOPICS; p++) {
    const struct ee_join_phase *phase = &joined->phases[p];
    for (size_t i = 0; i < phase->count; i++) {
      if (!find_mismatch(joined, &phase->events[i], arena, findings)) return false;
    }
  }
  return true;
}

// ---- What a tick decides.

static bool judge_orphan(struct ee_joined *joined, const struct ee_joined *below,
                         const struct ee_join_settings *settings, int64_t clock,
                         struct ee_arena *arena, struct ee_join_findings *findings) {
  struct ee_join_span appended = ee_joined_appended(below);
  if (appended.first > appended.last || ee_joined_admission(below) != NULL) return true;
  if (clock < ee_join_after(appended.first, settings->orphan_grace_ms)) return true;
  if (ee_join_found(&joined->violations, EE_VIOLATION_KIND_ORPHAN)) return true;
  struct ee_evidence_array evidence;
  return ee_joined_evidence(below, EE_JOIN_ALL, arena, &evidence) &&
         ee_join_find(joined, EE_VIOLATION_KIND_ORPHAN, evidence, arena, findings);
}

static bool any_terminal(const struct ee_joined *below) {
  for (enum ee_phase p = 0; p < EE_PHASE_TOPICS; p++) {
    if (!ee_phase_terminal(p)) continue;
    for (size_t i = 0; i < below->phases[p].count; i++) {
      if (!ee_joined_foreign(below, &below->phases[p].events[i])) return true;
    }
  }
  return false;
}

static bool judge_deadline(struct ee_joined *joined, const struct ee_joined *below,
                           const struct ee_join_settings *settings, int64_t clock,
                           struct ee_arena *arena, struct ee_join_findings *findings) {
  const struct ee_join_event *admission = ee_joined_admission(below);
  if (admission == NULL || any_terminal(below)) return true;
  int64_t deadline =
      ee_deadline(&settings->deadlines, (const void *)admission->head, admission->at.timestamp);
  if (clock < ee_join_after(deadline, settings->grace_ms)) return true;
  struct ee_evidence *item = ee_arena_alloc(arena, sizeof *item);
  if (item == NULL) return false;
  *item = admission->at;
  return ee_join_find(joined, EE_VIOLATION_KIND_DEADLINE_MISSED,
                      (struct ee_evidence_array){.items = item, .count = 1}, arena, findings);
}

bool ee_join_judge(struct ee_joined *joined, const struct ee_joined *below,
                   const struct ee_join_settings *settings, int64_t clock, struct ee_arena *arena,
                   struct ee_join_findings *findings) {
  return judge_orphan(joined, below, settings, clock, arena, findings) &&
         judge_deadline(joined, below, settings, clock, arena, findings);
}
