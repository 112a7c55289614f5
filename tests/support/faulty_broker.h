// SPDX-License-Identifier: Apache-2.0
// A broker that stands before another one and, when told to, loses replies, refuses
// commits, pushes back or delays answers, as Kafka does on bad days.
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
  int push_back;             // so many produce calls answer EE_RETRY
  int delay;                 // so many polls before a finished operation is reported
  size_t commits;            // begun so far
  // Within.
  struct ee_operation *refused;
  struct ee_operation *held;
  int held_for;
};

// Borrows inner. free, close and the like go to inner through face's operations.
void faulty_broker_init(struct faulty_broker *faulty, struct ee_broker *inner);

#endif
