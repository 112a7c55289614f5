// SPDX-License-Identifier: Apache-2.0
// When a request should have ended: the admission's append time plus the time limit asked
// for, or the configured default of its kind.
#ifndef EE_CONTRACT_DEADLINE_H
#define EE_CONTRACT_DEADLINE_H

#include "base/err.h"
#include "base/option.h"
#include "records.h"

#define EE_EXECUTION_KINDS 9  // symbols of enum ExecutionKind

// Default time limits in milliseconds, by enum ee_execution_kind.
struct ee_deadlines {
  int64_t default_ms[EE_EXECUTION_KINDS];
};

// deployment 15 min, inference 2 min, pipeline_step 1 h, maintenance_task 1 h,
// evaluation 6 h, data_movement 6 h, tool_call 5 min, agent_run 1 h, other 1 h; then what
// the properties say (KIND=DURATION). False: no such kind or not a duration; err begins with
// --deadline, the option that every program has for it.
bool ee_deadlines_init(struct ee_deadlines *deadlines, const struct ee_properties *changes,
                       struct ee_err *err);

// append_time and result: UTC microseconds; far times saturate. A negative timeout_ms is
// read as not stated.
int64_t ee_deadline(const struct ee_deadlines *deadlines, const struct ee_admission *admission,
                    int64_t append_time);

#endif
