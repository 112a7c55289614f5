// SPDX-License-Identifier: Apache-2.0
// Counts over many processes with counters that know of one stretch of time.
#include "tests/simulate/errors.h"

#include <errno.h>

#include "support/chaos.h"
#include "support/troubled_disk.h"

#define TIMES_HINDERED 60

void errors_init(struct errors *errors, const struct error *plan) {
  *errors = (struct errors){.plan = plan, .left = plan->on ? TIMES_HINDERED : 1};
}

void errors_enter(struct errors *errors, const struct instance *instance) {
  if (errors->plan->kind == ERROR_NONE) return;
  size_t number = errors->plan->number;
  size_t after = errors->seen < number ? number - errors->seen : 0;
  bool mine = errors->victim == instance || !errors->struck;
  size_t times = mine && errors->left > 0 ? (errors->plan->on ? SIZE_MAX : 1) : 0;
  if (errors->plan->kind == ERROR_ALLOCATION) {
    ee_chaos_fail_times(after, times);
  } else {
    troubled_disk_fail(after, times, errors->plan->kind == ERROR_FULL ? ENOSPC : EIO);
  }
}

void errors_leave(struct errors *errors, const struct instance *instance) {
  if (errors->plan->kind == ERROR_NONE) return;
  bool memory = errors->plan->kind == ERROR_ALLOCATION;
  errors->seen += memory ? ee_chaos_seen() : troubled_disk_seen();
  if (memory ? ee_chaos_stop() : troubled_disk_stop()) {
    errors->struck = true;
    errors->victim = instance;
  }
  if (errors->victim == instance) errors->left--;
}

bool errors_end(struct errors *errors, const struct instance *instance) {
  if (errors->victim != instance) return false;
  errors->victim = NULL;
  return true;
}
