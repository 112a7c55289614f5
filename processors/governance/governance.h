// SPDX-License-Identifier: Apache-2.0
// Governance: obligations from hints under the handling policy, and redacted audit entries
// (ARCHITECTURE.md, "Governance"). Pure.
#ifndef EE_PROCESSORS_GOVERNANCE_GOVERNANCE_H
#define EE_PROCESSORS_GOVERNANCE_GOVERNANCE_H

#include "stream/processor.h"

struct ee_governance_settings {
  int64_t grace_ms;  // after an obligation is due, before a tick calls it overdue
};

// Borrows the settings for as long as the processor is used.
struct ee_processor ee_governance_processor(const struct ee_governance_settings *settings);

// The policy that holds before the first version: version 0.
const struct ee_policy *ee_policy_builtin(void);

#endif
