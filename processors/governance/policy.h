// SPDX-License-Identifier: Apache-2.0
// Which rules of the handling policy an event falls under.
#ifndef EE_PROCESSORS_GOVERNANCE_POLICY_H
#define EE_PROCESSORS_GOVERNANCE_POLICY_H

#include "contract/event.h"

// True if every condition of the rule holds for the admission. What it does not state
// meets no condition, but absent sensitivity is the highest.
bool ee_rule_matches(const struct ee_policy_rule *rule, const struct ee_admission *admission);

// For what must not be disclosed for want of knowing: a condition on something that an
// event of this phase does not state counts as met.
bool ee_rule_may_match(const struct ee_policy_rule *rule, enum ee_phase phase, const void *record);

// The value of a hint among an admission's; data NULL when it has none.
struct ee_str ee_hint(const struct ee_admission *admission, struct ee_str name);

#endif
