// SPDX-License-Identifier: Apache-2.0
// Small files on disk: whole reads with a bound, atomic replacement, directory locks.
// All of it may block. Errors name the path.
#ifndef EE_BASE_FILE_H
#define EE_BASE_FILE_H

#include "base/buf.h"
#include "base/err.h"

// Reads a whole file ("-" is standard input) to the end of an initialised buf; its limit
// is the bound.
bool ee_file_read(const char *path, struct ee_buf *buf, struct ee_err *err);
// Writes a new file (mode 0600) beside path, syncs it, renames it over path, syncs the
// directory. Nobody ever sees half of it, and after success it survives a power cut.
bool ee_file_replace(const char *path, struct ee_bytes content, struct ee_err *err);
// mkdir -p with mode 0700 for the parts that are missing.
bool ee_dir_make(const char *path, struct ee_err *err);
// Takes an exclusive lock (flock) on the file `lock` in the directory, never blocking.
// The error names the process that holds it. Returns the descriptor in ret_fd; closing
// it, or the end of the process, gives the lock back.
bool ee_dir_lock(const char *directory, int *ret_fd, struct ee_err *err);
// The process that holds that lock, or 0: none is seen to. Takes no lock and changes nothing: the
// system's list (/proc/locks) tells, which leaves out processes of other containers.
long ee_dir_lock_holder(const char *directory);

#endif
