// SPDX-License-Identifier: Apache-2.0
// Producers' numbers in the join's steps: from records, reports and ticks to the state of
// their sequences and to producer_hole (ARCHITECTURE.md, "Producers' numbers").
#ifndef EE_PROCESSORS_JOIN_NUMBERS_H
#define EE_PROCESSORS_JOIN_NUMBERS_H

#include "join/join.h"

// All return false when the step cannot go on.

// The numbers of a phase record, whether it was accepted or not.
bool ee_join_number(const struct ee_join_settings *settings, struct ee_step *step,
                    const struct ee_input *input);
// A ProducerReport.
bool ee_join_report(const struct ee_join_settings *settings, struct ee_step *step,
                    const struct ee_input *input);

// Whether a key of the state changelog is that of a sequence, and a tick that wakes it.
bool ee_join_is_sequence(struct ee_bytes key);
bool ee_join_wake_sequence(const struct ee_join_settings *settings, struct ee_step *step,
                           const struct ee_tick_view *tick, struct ee_bytes key);

#endif
