// SPDX-License-Identifier: Apache-2.0
// A broker that stands before another one and, when told to, loses replies, refuses
// commits, pushes back, delays answers, is away or dies, as Kafka and its clients do on bad
// days.
#ifndef EE_TESTS_SUPPORT_FAULTY_BROKER_H
#define EE_TESTS_SUPPORT_FAULTY_BROKER_H

#include "stream/broker.h"

enum commit_fault {
  COMMIT_GOES,            // as it is
  COMMIT_DONE_UNKNOWN,    // it happens, the answer is EE_INDEFINITE
  COMMIT_UNDONE_UNKNOWN,  // it does not happen, the answer is EE_INDEFINITE
  COMMIT_REFUSED,         // it does not happen, the answer is EE_ABORT
};

struct faulty_broker {
  struct ee_broker face;  // what the runtime is given
  struct ee_broker *inner;
  enum commit_fault commit;  // of the next commit; then COMMIT_GOES again
  bool abort_unknown;        // the next abort happens, the answer is EE_INDEFINITE
  int push_back;             // so many produce calls answer EE_RETRY
  bool produce_aborts;       // the next produce call answers EE_ABORT
  bool begin_unknown;        // the next begin_transaction answers EE_INDEFINITE
  int delay;                 // so many polls before a finished operation is reported
  int away;                  // so many polls report nothing, the first one a trouble
  int lost_ticks;            // so many records outside transactions are not written
  size_t commits;            // begun so far
  // The process dies within so many calls that change something, before or after the call
  // has its effect; 0: it does not. What it does from then on reaches nobody.
  int calls_to_live;
  bool dies_after_effect;
  bool dead;
  // Within.
  struct ee_operation *refused;
  struct ee_operation *held;
  int held_for;
  bool said_away;
};

// Borrows inner. free, close and the like go to inner through face's operations.
void faulty_broker_init(struct faulty_broker *faulty, struct ee_broker *inner);

#endif
