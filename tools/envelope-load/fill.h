// SPDX-License-Identifier: Apache-2.0
// From a record of the contract to an event of the client library's, by its public calls.
#ifndef EE_TOOLS_LOAD_FILL_H
#define EE_TOOLS_LOAD_FILL_H

#include "client/envelope.h"
#include "contract/event.h"

// Makes *event the event that the record says, emptied before. Lists are not carried over: no story
// has one. ENVELOPE_OK or what the library refuses.
int event_fill(envelope_event *event, enum ee_phase phase, const void *record,
               struct envelope_error *error);

#endif
