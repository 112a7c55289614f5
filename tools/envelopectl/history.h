// SPDX-License-Identifier: Apache-2.0
// Earlier versions of our schemas, as files in a directory.
#ifndef EE_TOOLS_ENVELOPECTL_HISTORY_H
#define EE_TOOLS_ENVELOPECTL_HISTORY_H

#include "base/err.h"
#include "contract/record.h"

#define EE_HISTORY_FILES_MAX 4096

struct ee_history_file {
  char *path;                         // owned
  struct ee_buf text;                 // owned
  const struct ee_record_type *type;  // whose earlier version it is
};

struct ee_history {
  struct ee_history_file *files;  // owned
  size_t count;
};

// Reads the *.avsc of a directory and of the folders in it (blocks); NULL reads none. Which
// record a file is about is said by the name in it. A file that is no schema, or of none of
// our records, fails the whole, by its path. history is zeroed before, and can be released
// after a failure, too.
bool ee_history_read(const char *directory, struct ee_history *history, struct ee_err *err);
void ee_history_release(struct ee_history *history);

// True if ours and an earlier version can read each other's records; else why says which way
// not, and where. Pure.
bool ee_history_compatible(const struct ee_history_file *file, struct ee_err *why);

#endif
