// SPDX-License-Identifier: Apache-2.0
// What programs that emit through the client library share: its notices as log lines, and a spool
// for one run.
#ifndef EE_PRODUCERS_PROGRAM_H
#define EE_PRODUCERS_PROGRAM_H

#include <limits.h>

#include "base/err.h"
#include "client/envelope.h"

// An envelope_notice: the library's levels are the log's. Any thread; context is not used.
void ee_program_notice(void *context, envelope_level level, const char *text);

// Makes a directory for a run that names none, in $TMPDIR or /tmp: "PROGRAM-" and six characters.
bool ee_program_spool_new(const char *program, char ret[PATH_MAX], struct ee_err *err);
// Removes it with all that is in it, once it is closed.
void ee_program_spool_remove(const char *path);

#endif
