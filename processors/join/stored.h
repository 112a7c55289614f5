// SPDX-License-Identifier: Apache-2.0
// What the join keeps under keys, read for the length of a step.
#ifndef EE_PROCESSORS_JOIN_STORED_H
#define EE_PROCESSORS_JOIN_STORED_H

#include "stream/processor.h"

// Changelogs.
#define EE_JOIN_LIFECYCLE 0
#define EE_JOIN_STATE 1

// The record of that type under a key, in the step's arena with all that it borrows, and its
// bytes; data NULL: there is none, and *ret_record is untouched. False: the step cannot go on.
bool ee_join_stored(struct ee_step *step, uint8_t changelog, struct ee_bytes key,
                    const struct ee_record_type *type, struct ee_bytes *ret, void *ret_record);

#endif
