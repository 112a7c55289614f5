// SPDX-License-Identifier: Apache-2.0
// Policy files as operators write them: the Policy record in plain JSON
// (schemas/policy.schema.json), checked beyond its types.
#ifndef EE_CONTRACT_POLICY_FILE_H
#define EE_CONTRACT_POLICY_FILE_H

#include "base/arena.h"
#include "base/err.h"
#include "records.h"

#define EE_POLICY_FILE_MAX ((size_t)512 << 10)  // bytes
#define EE_POLICY_RULES_MAX 1024
#define EE_POLICY_OBLIGATIONS_MAX 256  // of all rules together, since one envelope may owe them all
#define EE_POLICY_REDACTIONS_MAX 1024  // likewise

// Reads and checks a policy. What it borrows lives in arena. The error names the place:
// line and column where the text is not JSON, else the path, as in
// "rules[2].redact[0]: no event has a field caller.name".
// Refused are unknown members, names given twice, redaction paths that no event has or that
// name the record key, times that are negative, and more than the bounds above. On failure
// *ret is undefined.
bool ee_policy_file_read(struct ee_str text, struct ee_arena *arena, struct ee_policy *ret,
                         struct ee_err *err);

#endif
