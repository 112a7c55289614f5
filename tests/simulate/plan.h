// SPDX-License-Identifier: Apache-2.0
// What goes wrong in one simulation, and when: drawn from the seed, so that a part of it can
// be left out and the rest stay as it is.
#ifndef EE_TESTS_SIMULATE_PLAN_H
#define EE_TESTS_SIMULATE_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define PROCESSORS 3
#define SLOTS 3  // places where an instance of a processor may run
#define TURNS 400
#define FAULTS_MAX 24

enum fault_kind {
  FAULT_CRASH,           // dies at its number-th call to the log
  FAULT_CRASH_AFTER,     // likewise, when that call has had its effect
  FAULT_STOP,            // SIGTERM
  FAULT_START,           // another instance joins
  FAULT_TWIN,            // a second process with the name of slot 0, in the slot
  FAULT_FREEZE,          // SIGSTOP for number turns
  FAULT_FREEZE_EXPIRED,  // likewise, and the cluster gives it up meanwhile
  FAULT_EXPIRE,          // the cluster gives up a member that lives
  FAULT_EXPIRE_TRANSACTION,
  FAULT_COMMIT_DONE_UNKNOWN,
  FAULT_COMMIT_UNDONE_UNKNOWN,
  FAULT_COMMIT_REFUSED,
  FAULT_ABORT_UNKNOWN,
  FAULT_BEGIN_UNKNOWN,
  FAULT_PRODUCE_ABORTS,
  FAULT_PUSH_BACK,      // number produce calls find the queue full
  FAULT_DELAY,          // replies come number polls late
  FAULT_AWAY,           // brokers are away for number polls
  FAULT_TICKS_LOST,     // number ticks are never written
  FAULT_TICK_REPEATED,  // an earlier tick is written once more
  FAULT_STORE_LOST,     // the process dies, and its store with it
  FAULT_STORE_CORRUPT,  // the process dies, and bytes of its store change
  FAULT_STORE_STALE,    // the process dies, and an older copy of its store comes back
  FAULT_STORE_FOREIGN,  // the process dies, and comes back with another instance's store
  FAULT_MEMORY,         // in each of number turns an allocation fails, or all from one on
  FAULT_DISK,           // likewise a call that writes to the store
  FAULT_RETENTION,      // input logs are cut below what all groups have committed
  FAULT_KINDS
};

struct fault {
  enum fault_kind kind;
  int turn;
  int processor, slot;
  int number;
};

// An error inside a process. Each counts on its own, from 0.
enum error_kind {
  ERROR_NONE,
  ERROR_ALLOCATION,
  ERROR_CALL,  // on a store
  ERROR_FULL,  // such a call that would take room on the disk, and there is none
  ERROR_KINDS
};

struct error {
  enum error_kind kind;
  size_t number;
  bool on;  // the process's later ones fail as well, for a while
};

struct plan {
  uint64_t seed;
  int partitions;
  bool disk;  // stores on disk; else in memory, lost with the process
  // Envelopes are retired. Then nothing is sent twice: what a stub says of a repeat depends on
  // when it is read (ARCHITECTURE.md, "The join").
  bool retires;
  size_t envelopes;
  struct fault faults[FAULTS_MAX];
  size_t fault_count;
  uint32_t left_out;  // bit i: fault i does not happen
  struct error error;
};

void plan_make(struct plan *plan, uint64_t seed);
// One in which nothing goes wrong but the error: few envelopes, stores on disk, and every process
// is stopped, killed, and killed with the loss of its store, so that each way to start is taken.
void plan_make_calm(struct plan *plan, uint64_t seed, const struct error *error);
void plan_print(const struct plan *plan, FILE *out);
// An error as text and back: its kind, a number, and + for those after it too (allocation:17+).
#define ERROR_TEXT_SIZE 40
void error_print(const struct error *error, char out[ERROR_TEXT_SIZE]);
bool error_parse(const char *text, struct error *ret);

#endif
