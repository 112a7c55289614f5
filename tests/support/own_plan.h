// SPDX-License-Identifier: Apache-2.0
// A type's own plan, where a test cannot go on without it.
#ifndef EE_TESTS_SUPPORT_OWN_PLAN_H
#define EE_TESTS_SUPPORT_OWN_PLAN_H

#include "contract/record.h"
#include "tests/support/test.h"

static inline const struct ee_plan *own_plan(const struct ee_record_type *type) {
  const struct ee_plan *plan = ee_plan_own(type);
  assert_non_null(plan);
  return plan;
}

#endif
