// SPDX-License-Identifier: Apache-2.0
// What is to be done to a spool so that it opens and every sound record in it is read. Pure.
#ifndef EE_TOOLS_ENVELOPECTL_SPOOL_PLAN_H
#define EE_TOOLS_ENVELOPECTL_SPOOL_PLAN_H

#include "spool/look.h"

// A file with a segment's name.
struct ee_spool_plan_file {
  uint64_t number;       // its name's
  uint64_t head_number;  // MISPLACED: its head's
  enum ee_spool_file is;
};

enum ee_spool_act {
  EE_SPOOL_FILE_ASIDE,
  EE_SPOOL_FILE_RENAME,    // to a number that no file has
  EE_SPOOL_FILE_EXCHANGE,  // with the file that has the number
  EE_SPOOL_HEAD_MAKE,      // over the head that is damaged
  EE_SPOOL_CONTROL_ASIDE,
  EE_SPOOL_CONTROL_MAKE,  // everything from segment `to` on is not settled
};

struct ee_spool_step {
  enum ee_spool_act act;
  uint64_t number;  // of the file, when it is its turn; not of the control file
  uint64_t to;      // RENAME, EXCHANGE, CONTROL_MAKE
};

// Steps that count files may take.
#define EE_SPOOL_STEPS_MOST(COUNT) (2 * (COUNT) + 2)

// For a spool that is neither of a later version nor unreadable in part. Each step leaves one that
// may be repaired again. Of the look, control, known and progress are read; files are changed to
// what they will be. Returns the number of steps; 0: there is nothing to repair.
size_t ee_spool_plan(const struct ee_spool_look *look, struct ee_spool_plan_file *files,
                     size_t count, struct ee_spool_step *steps);

#endif
