// SPDX-License-Identifier: Apache-2.0
// Ledger entries as differences: what is due after minus what was due before, hour by
// hour, so that memory does not grow with the time a grant has run. Pure.
#ifndef EE_PROCESSORS_ACCOUNTING_ENTRIES_H
#define EE_PROCESSORS_ACCOUNTING_ENTRIES_H

#include "accounting/due.h"
#include "base/arena.h"

#define EE_ENTRY_EVIDENCE_MAX 16

struct ee_entry_source {
  struct ee_str envelope_id;
  const struct ee_due *before;
  const struct ee_due *after;            // has an admission
  const struct ee_usage_event *trigger;  // the event just read; NULL: an admission or a tick
  struct ee_arena *arena;                // for the dimensions' names
};

// Visits an entry for each (window, dimension) in which a quantity changed, in that order
// (dimensions by their bytes). Work is in proportion to the hours in which the metered time
// differs, given that after's facts were made from before's by ee_facts_add; else to all
// of them. The entry is valid during the call; false from visit ends the walk. False: visit
// said so, or the arena is full.
//
// Evidence: the admission and the trigger; then, of what is due after and before, in order
// of time: each grant whose metered time in the window has the dimension, the event that
// ended that time if it did so within the window (that of a denial always), and the events whose
// amounts the entry is about. The first EE_ENTRY_EVIDENCE_MAX of these, written by (phase,
// occurred_at, event_id).
bool ee_entries_visit(const struct ee_entry_source *source,
                      bool (*visit)(void *context, const struct ee_usage *entry), void *context);

#endif
