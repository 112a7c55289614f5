// SPDX-License-Identifier: Apache-2.0
// What is due for an envelope: when its grants ran, and which amounts fall into which hour,
// as a function of its facts and of the time up to which running grants are booked. Pure.
//
// A grant that an event has ended is due as a whole; one that runs, or that only the
// deadline ends, is due up to booked_until. At most one is of the second kind, and it is
// the last.
#ifndef EE_PROCESSORS_ACCOUNTING_DUE_H
#define EE_PROCESSORS_ACCOUNTING_DUE_H

#include "base/arena.h"
#include "records.h"

#define EE_DUE_NOTHING INT64_MIN  // booked_until: no running grant has been booked

// Start of the UTC hour that a time lies in.
int64_t ee_hour_of(int64_t micros);

// The rates, in the order of their names' bytes; all come after "amounts.".
enum ee_rate {
  EE_RATE_CONCURRENCY,
  EE_RATE_CPU_MILLIS,
  EE_RATE_GPU,
  EE_RATE_MEMORY_BYTES,
  EE_RATE_COUNT
};
extern const struct ee_str ee_rate_names[EE_RATE_COUNT];
// False: not stated, or not between 0 and 2^53.
bool ee_rate_of(const struct ee_resources *resources, enum ee_rate rate, int64_t *ret);

enum ee_quantity { EE_ASKED, EE_GRANTED, EE_BILLED, EE_QUANTITY_COUNT };

// Metered time [start, end), UTC microseconds.
struct ee_due_interval {
  int64_t start, end;
  const struct ee_usage_event *grant;     // NULL: a denial, for which only asked is due
  const struct ee_usage_event *ended_by;  // NULL: the deadline, or nothing yet (INT64_MAX)
};

// A named amount, due in one window.
struct ee_due_amount {
  int64_t window;
  struct ee_str name;
  enum ee_quantity quantity;
  bool running;  // of the grant that runs: due when the window has been booked
  int64_t value;
  const struct ee_usage_event *event;
};

// Borrows from the facts and the arena it was made with.
struct ee_due {
  const struct ee_usage_admission *admission;  // NULL: nothing is due
  struct ee_due_interval *intervals;           // ascending, disjoint, none empty
  size_t interval_count;
  bool running;                   // the last interval is not ended by an event
  struct ee_due_amount *amounts;  // by (window, name, quantity)
  size_t amount_count;
  int64_t booked_until;  // the facts', or EE_DUE_NOTHING; may be moved by whoever holds it
};

// False: the arena is full.
bool ee_due_make(const struct ee_accounting_envelope *facts, struct ee_arena *arena,
                 struct ee_due *ret);

// The end of interval i as far as it is due: at or before its start when nothing is.
int64_t ee_due_end(const struct ee_due *due, size_t i);
bool ee_due_amount_is_due(const struct ee_due *due, const struct ee_due_amount *amount);

// What booked_until is to be at a partition's clock: the last whole hour at or below it, but
// no later than the end of the hour in which the running grant ends; EE_DUE_NOTHING when
// nothing runs or it has not begun by then. clock: INT64_MIN when there is none.
int64_t ee_due_until(const struct ee_due *due, int64_t clock);
// The clock at which ee_due_until will lie beyond booked_until, or EE_NEVER.
int64_t ee_due_wake_at(const struct ee_due *due);

#endif
