// SPDX-License-Identifier: Apache-2.0
// The lists of events of one phase in the records that have such lists: one way to walk
// them whatever the phase. Borrows; the admission, where there is one, is a list of one.
#ifndef EE_PROCESSORS_JOIN_LISTS_H
#define EE_PROCESSORS_JOIN_LISTS_H

#include "contract/event.h"

struct ee_array ee_own_list(const struct ee_lifecycle *lifecycle, enum ee_phase phase);
// Not for the admission: it is never foreign.
struct ee_array ee_foreign_list(const struct ee_foreign_events *events, enum ee_phase phase);
void ee_set_own_list(struct ee_lifecycle *lifecycle, enum ee_phase phase, struct ee_array list);
void ee_set_foreign_list(struct ee_foreign_events *events, enum ee_phase phase,
                         struct ee_array list);
const struct ee_event_head *ee_list_at(struct ee_array list, enum ee_phase phase, size_t i);

#endif
