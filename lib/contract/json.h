// SPDX-License-Identifier: Apache-2.0
// Records as plain JSON, both ways (contract, "Printed forms"): no union tags, enums by
// name, unset optionals left out, longs as integers, decimals as strings, fixed as
// base64, times as RFC 3339 with six digits.
#ifndef EE_CONTRACT_JSON_H
#define EE_CONTRACT_JSON_H

#include <jansson.h>

#include "contract/record.h"

// A set of paths to leave out: "caller.requester_urn", "governance.hints.reviewer",
// "extensions.com.example/x" (in a map the rest of the path is one key). A path that
// names a record, array or map leaves out all of it; within an array it applies to every
// item. "*" as the last part stands for every entry of a map.
struct ee_redaction {
  const struct ee_str *paths;
  size_t count;
};

// True if the path names a field that the type has (or an entry of a map it has).
bool ee_redaction_path_valid(const struct ee_record_type *type, struct ee_str path);

// Appends compact JSON, members in the order of the schema, map entries in the order of
// their keys' bytes (so that equal records print alike). redaction may be NULL; a value
// it names prints {"redacted":true} when it is present and nothing when it is absent.
// Ask out->failed.
void ee_json_write(const struct ee_record_type *type, const void *record,
                   const struct ee_redaction *redaction, struct ee_buf *out);

// Fills *record from an object; all it borrows lives in arena (json may be freed). Absent
// members take their default. Times may be RFC 3339 or integer microseconds, decimals
// strings or integers. A member the schema does not have is refused (wrong_schema), so
// that a misspelt field is not lost. Checks like ee_check_record. The fault's detail
// begins with the path.
bool ee_json_read(const struct ee_record_type *type, const json_t *json, struct ee_arena *arena,
                  void *record, struct ee_fault *fault);

// The JSON Schema (2020-12) of these records as they are met in JSON: one $defs entry
// each. Appends to out.
void ee_json_schema(const struct ee_record_type *const *types, size_t count, const char *id,
                    const char *title, struct ee_buf *out);

#endif
