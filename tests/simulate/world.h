// SPDX-License-Identifier: Apache-2.0
// One simulation: three processors on an embedded cluster, events that arrive, and a plan of
// what goes wrong.
#ifndef EE_TESTS_SIMULATE_WORLD_H
#define EE_TESTS_SIMULATE_WORLD_H

#include "tests/simulate/plan.h"
#include "tests/simulate/pool.h"

// Runs the plan, then an undisturbed run over the same logs, and compares. False: err says
// what came out otherwise, or who did not get on. directory: for the stores, on a fast disk.
// details: NULL, or where a difference is shown in full. *ret_struck (or NULL): the plan's error
// has happened; false: there are not that many of its kind.
bool world_run(const struct plan *plan, const struct pool *pool, struct ee_codec *codec,
               const char *directory, FILE *details, bool *ret_struck, struct ee_err *err);

#endif
