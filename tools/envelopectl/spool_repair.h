// SPDX-License-Identifier: Apache-2.0
// The repair of a spool, without a command around it.
#ifndef EE_TOOLS_ENVELOPECTL_SPOOL_REPAIR_H
#define EE_TOOLS_ENVELOPECTL_SPOOL_REPAIR_H

#include "base/buf.h"
#include "base/err.h"

// Makes a spool one that opens and in which every sound record is read. Nothing is deleted: what
// is of no use there goes to a folder of the directory. Appends a line to said for each thing that
// was done, or, when dry, would be. Blocks on the disk. False: a process has it open, a later
// version wrote it, or the system refuses; what was said is done, and it may be tried again.
bool ee_spool_repair(const char *directory, bool dry, struct ee_buf *said, struct ee_err *err);

#endif
