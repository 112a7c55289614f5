// SPDX-License-Identifier: Apache-2.0
// Makes allocations of the code under test fail. Unit tests are linked so that malloc,
// calloc, realloc, strdup and strndup called by the project's own objects come here
// first; those of shared libraries do not. Not for several threads at a time.
//
// EE_CHAOS=N in the environment: the program's allocation after N others fails; N+: and all
// after it, whatever else a test asks for (tests/support/countdown.h).
#ifndef EE_TESTS_SUPPORT_CHAOS_H
#define EE_TESTS_SUPPORT_CHAOS_H

#include <stdbool.h>
#include <stddef.h>

// The next `after` allocations succeed, the one after them fails, then all succeed.
void ee_chaos_fail_after(size_t after);
// Likewise, but so many fail.
void ee_chaos_fail_times(size_t after, size_t times);
// How many allocations there were since then.
size_t ee_chaos_seen(void);
// Ends it. True if an allocation has failed since: a test that makes each allocation
// fail in turn goes on while this is true.
//
//   for (size_t n = 0; n == 0 || failed; n++) {
//     ee_chaos_fail_after(n);
//     ... call; check that failure was reported and nothing leaks ...
//     failed = ee_chaos_stop();
//   }
bool ee_chaos_stop(void);

#endif
