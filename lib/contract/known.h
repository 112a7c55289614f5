// SPDX-License-Identifier: Apache-2.0
// Schemas known without a registry, by fingerprint: the program's own, and those of a
// directory of .avsc files (older and newer versions that producers still write).
// Immutable once made, so safe from many threads.
#ifndef EE_CONTRACT_KNOWN_H
#define EE_CONTRACT_KNOWN_H

#include "base/err.h"
#include "base/slice.h"

#define EE_KNOWN_FILES_MAX 1024  // files of a schema directory

struct ee_known;

// directory may be NULL: only the program's own schemas. Reads the directory's *.avsc now
// (blocks): at most EE_KNOWN_FILES_MAX, each of at most EE_SCHEMA_SIZE_MAX bytes. A file
// that cannot be read or is no schema fails the whole, by its name; of several with one
// fingerprint the program's own or else the first by name is kept.
bool ee_known_new(const char *directory, struct ee_known **ret, struct ee_err *err);
void ee_known_free(struct ee_known *known);
// The schema's text, borrowed until free; data NULL when unknown.
struct ee_str ee_known_schema(const struct ee_known *known, uint64_t fingerprint);

#endif
