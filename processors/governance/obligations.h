// SPDX-License-Identifier: Apache-2.0
// Obligations of one envelope: where they come from, what receipts make of them, when they
// are overdue.
#ifndef EE_PROCESSORS_GOVERNANCE_OBLIGATIONS_H
#define EE_PROCESSORS_GOVERNANCE_OBLIGATIONS_H

#include "base/arena.h"
#include "contract/policy_file.h"
#include "stream/processor.h"

// Bounds of one envelope, so that its state stays well below what the topics allow
// whatever callers and policy surfaces write.
#define EE_OBLIGATIONS_MAX EE_POLICY_OBLIGATIONS_MAX  // in the order of the rules
#define EE_RECEIPTS_MAX 256  // different (obligation_id, tenant), in the order of offsets
#define EE_ACTOR_MAX 1024    // bytes kept of a receipt's actor
#define EE_RULE_PARAMETERS_MAX ((size_t)512 << 10)   // bytes of what the rules say
#define EE_ASKED_PARAMETERS_MAX ((size_t)128 << 10)  // bytes of hints and retention

// Fills the envelope's obligations from its admission under the policy in force; of two with
// the same names the first stands. Their parameters are the rule's own, then hint.NAME for
// each hint that the rule matched, then retention, of which the first stands where names are
// equal; left out are hints and retention that a matching rule redacts, and what is beyond
// the bounds. All that is borrowed lives in arena or in what is passed. False: the arena is
// full.
bool ee_obligations_derive(const struct ee_policy_version *policy,
                           const struct ee_admission *admission, int64_t append_time,
                           struct ee_arena *arena, struct ee_governance_envelope *envelope);

// Takes a receipt among those held, if it counts. *ret_changed: the envelope has changed.
bool ee_receipt_hold(const struct ee_receipt *receipt, const struct ee_evidence *evidence,
                     struct ee_arena *arena, struct ee_governance_envelope *envelope,
                     bool *ret_changed);

// The receipt that stands for an obligation, of the envelope's tenant; NULL: none.
const struct ee_held_receipt *ee_receipt_standing(const struct ee_governance_envelope *envelope,
                                                  const struct ee_tracked_obligation *obligation);

// Sets the obligation's state to what the receipts make it.
void ee_obligation_settle(const struct ee_governance_envelope *envelope,
                          struct ee_tracked_obligation *obligation);

// True if a tick finds the obligation overdue for the first time: due + grace has come and
// no receipt lies below its offsets. The caller sees to it that the admission does.
bool ee_obligation_overdue(const struct ee_governance_envelope *envelope,
                           const struct ee_tracked_obligation *obligation, int64_t grace,
                           const struct ee_tick_view *tick);

// The clock at which a tick has to judge next, above `clock`; EE_NEVER: none.
int64_t ee_obligations_wake_at(const struct ee_governance_envelope *envelope, int64_t grace,
                               int64_t clock);

#endif
