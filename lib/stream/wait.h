// SPDX-License-Identifier: Apache-2.0
// Waiting as tools do it: within a deadline, visibly, and until somebody asks them to stop.
// One thread.
#ifndef EE_STREAM_WAIT_H
#define EE_STREAM_WAIT_H

#include <signal.h>

#include "base/err.h"
#include "base/slice.h"

struct ee_wait {
  int64_t timeout_ms;                   // 0: for ever
  int64_t since_ms;                     // monotonic; when something last came of it
  int64_t said_ms;                      // when it was last logged
  const volatile sig_atomic_t *signal;  // not 0: asked to stop; NULL: nobody asks
};

// signal is borrowed.
void ee_wait_init(struct ee_wait *wait, int64_t timeout_ms, const volatile sig_atomic_t *signal);
// Something came of it: the deadline moves on.
void ee_wait_again(struct ee_wait *wait);
// Asked between two tries. False when the deadline has passed or a signal has come: err
// says what was waited for and why it did not come (trouble; NULL or "": not known). Else it
// is logged every few seconds that the wait goes on.
bool ee_wait_more(struct ee_wait *wait, const char *what, const char *trouble, struct ee_err *err);
// How long one try may block: at most most_ms, and not beyond the deadline; at least 1.
int ee_wait_slice(const struct ee_wait *wait, int most_ms);

#endif
