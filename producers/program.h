// SPDX-License-Identifier: Apache-2.0
// What programs that emit through the client library share: its notices as log lines, signals, and
// a spool for one run.
#ifndef EE_PRODUCERS_PROGRAM_H
#define EE_PRODUCERS_PROGRAM_H

#include <limits.h>
#include <signal.h>

#include "base/err.h"
#include "client/envelope.h"

// An envelope_notice: the library's levels are the log's. Any thread; context is not used.
void ee_program_notice(void *context, envelope_level level, const char *text);

// The first SIGTERM or SIGINT since they are watched; 0: none has come.
extern volatile sig_atomic_t ee_program_stop;
// Watches for these; the second one ends the process. A pipe that nobody reads is an error of the
// write to it.
void ee_program_watch_signals(void);

// Makes a directory for a run that names none, in $TMPDIR or /tmp: "PROGRAM-" and six characters.
bool ee_program_spool_new(const char *program, char ret[PATH_MAX], struct ee_err *err);
// Removes it with all that is in it, once it is closed.
void ee_program_spool_remove(const char *path);

#endif
