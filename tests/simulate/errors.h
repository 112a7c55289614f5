// SPDX-License-Identifier: Apache-2.0
// One allocation, or one system call on a store, that fails in one of the simulated processes:
// which one the plan says, counted over all processes and the whole run.
#ifndef EE_TESTS_SIMULATE_ERRORS_H
#define EE_TESTS_SIMULATE_ERRORS_H

#include "tests/simulate/plan.h"

struct instance;

struct errors {
  const struct error *plan;
  size_t seen;                    // calls of the kind, in all processes
  bool struck;                    // it has failed
  const struct instance *victim;  // the process in which it has; NULL: not yet, or it has ended
  int left;  // times that the victim may still be entered and find that it fails
};

void errors_init(struct errors *errors, const struct error *plan);
// Around everything that a process does.
void errors_enter(struct errors *errors, const struct instance *instance);
void errors_leave(struct errors *errors, const struct instance *instance);
// The process has ended. True: it was the victim, and so may have given up.
bool errors_end(struct errors *errors, const struct instance *instance);

#endif
