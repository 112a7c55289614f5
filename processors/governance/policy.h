// SPDX-License-Identifier: Apache-2.0
// Which rules of the handling policy an event falls under.
#ifndef EE_PROCESSORS_GOVERNANCE_POLICY_H
#define EE_PROCESSORS_GOVERNANCE_POLICY_H

#include "contract/event.h"

enum ee_rule_answer { EE_RULE_NO, EE_RULE_MAYBE, EE_RULE_YES };

// Whether every condition of the rule holds for an event. An admission states all there is
// to know: a condition on what it leaves out does not hold, but absent sensitivity is the
// highest. Later events state no kind, audit level or hints, and perhaps no sensitivity: a
// condition on these may hold.
enum ee_rule_answer ee_rule_match(const struct ee_policy_rule *rule, enum ee_phase phase,
                                  const void *record);

// The value of a hint among an admission's; data NULL when it has none.
struct ee_str ee_hint(const struct ee_admission *admission, struct ee_str name);

#endif
