// SPDX-License-Identifier: Apache-2.0
// What is wrong in a spool and what that means for delivery: one walk over all of it, for the
// commands that tell it (verify) and that go on without it (export).
#ifndef EE_TOOLS_ENVELOPECTL_SPOOL_CHECK_H
#define EE_TOOLS_ENVELOPECTL_SPOOL_CHECK_H

#include "contract/event_line.h"
#include "spool/look.h"
#include "wire/codec.h"

enum ee_spool_finding_kind {
  EE_SPOOL_BAD_CONTROL,  // no sound control file
  EE_SPOOL_BAD_HEAD,     // of a segment whose records can be read all the same
  EE_SPOOL_BAD_FILE,     // a file that is no segment of the spool's, or not in its place
  EE_SPOOL_GAP,          // segments that should be there
  EE_SPOOL_TORN_RECORD,
  EE_SPOOL_UNPUBLISHED,  // bytes of a call that had not returned
  EE_SPOOL_BAD_NUMBER,
  EE_SPOOL_UNKNOWN_SCHEMA,
  EE_SPOOL_NO_EVENT,  // its payload does not decode
};

enum ee_spool_fate {
  EE_SPOOL_DELIVERED,
  EE_SPOOL_LOST,
  EE_SPOOL_NO_RECORD,
  EE_SPOOL_SETTLED,   // before: nothing is lost
  EE_SPOOL_LEFT_OUT,  // lost to the next opening, unless it is repaired before
  EE_SPOOL_WAITS,     // the opening is refused
};

struct ee_spool_finding {
  enum ee_spool_finding_kind kind;
  enum ee_spool_fate fate;
  char file[EE_SPOOL_NAME_SIZE];
  uint64_t offset;  // in the file
  char what[EE_ERR_MAX];
};

// The fate in words.
const char *ee_spool_fate_text(enum ee_spool_fate fate);

// Both get what is borrowed for the call and end the walk by false, with err.
struct ee_spool_visitor {
  void *context;
  bool (*finding)(void *context, const struct ee_spool_finding *finding, struct ee_err *err);
  // A sound record that is an event; line has topic, type and record. May be NULL.
  bool (*event)(void *context, const struct ee_spool_view *view, const struct ee_spool_sight *sight,
                const struct ee_event_line *line, struct ee_err *err);
};

// Visits all that the look has seen, in order; known says which schemas there are. A file that
// was removed since is passed over. May block on the disk. False: the visitor has said so, or
// memory is out.
bool ee_spool_check(const struct ee_spool_look *look, const struct ee_known *known,
                    const struct ee_spool_visitor *visitor, struct ee_err *err);

#endif
