// SPDX-License-Identifier: Apache-2.0
// Lists of events by phase: a table of their places in the generated structs.
#include "join/lists.h"

#define OWN(LIST) offsetof(struct ee_lifecycle, LIST)
#define FOREIGN(LIST) offsetof(struct ee_foreign_events, LIST)

static const struct {
  size_t own;
  size_t foreign;
} places[EE_PHASE_TOPICS] = {
    [EE_PHASE_RESOLVED] = {OWN(grants), FOREIGN(resolved)},
    [EE_PHASE_FINALIZED] = {OWN(finalized), FOREIGN(finalized)},
    [EE_PHASE_FAILED] = {OWN(failed), FOREIGN(failed)},
    [EE_PHASE_RELEASED] = {OWN(released), FOREIGN(released)},
    [EE_PHASE_ANNOTATION] = {OWN(annotations), FOREIGN(annotations)},
};

// Arrays in generated structs have the layout of struct ee_array (contract/type.h).
static struct ee_array load(const void *record, size_t place) {
  struct ee_array list;
  memcpy(&list, (const char *)record + place, sizeof list);
  return list;
}

struct ee_array ee_own_list(const struct ee_lifecycle *lifecycle, enum ee_phase phase) {
  if (phase != EE_PHASE_ADMISSION) return load(lifecycle, places[phase].own);
  return (struct ee_array){.items = lifecycle->admission, .count = lifecycle->admission != NULL};
}

struct ee_array ee_foreign_list(const struct ee_foreign_events *events, enum ee_phase phase) {
  if (phase == EE_PHASE_ADMISSION) return (struct ee_array){.items = NULL, .count = 0};
  return load(events, places[phase].foreign);
}

void ee_set_own_list(struct ee_lifecycle *lifecycle, enum ee_phase phase, struct ee_array list) {
  if (phase == EE_PHASE_ADMISSION) {
    lifecycle->admission = list.count == 0 ? NULL : list.items;
  } else {
    memcpy((char *)lifecycle + places[phase].own, &list, sizeof list);
  }
}

void ee_set_foreign_list(struct ee_foreign_events *events, enum ee_phase phase,
                         struct ee_array list) {
  if (phase != EE_PHASE_ADMISSION) {
    memcpy((char *)events + places[phase].foreign, &list, sizeof list);
  }
}

const struct ee_event_head *ee_list_at(struct ee_array list, enum ee_phase phase, size_t i) {
  return (const struct ee_event_head *)(const void *)((const char *)list.items +
                                                      i * ee_phase_record(phase)->size);
}
