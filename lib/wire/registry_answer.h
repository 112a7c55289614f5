// SPDX-License-Identifier: Apache-2.0
// What a schema registry's answer means: from HTTP status and body (hostile until read
// here) to a verdict. Pure functions, private to this folder.
#ifndef EE_WIRE_REGISTRY_ANSWER_H
#define EE_WIRE_REGISTRY_ANSWER_H

#include "base/buf.h"
#include "base/err.h"

// A registry that keeps its schemas in Kafka has none above 1 MiB by default; in JSON most
// text grows to less than twice its size. So what it holds is answered, not trouble.
#define EE_ANSWER_SIZE_MAX ((size_t)2 << 20)

enum ee_answer {
  EE_ANSWER_FOUND,
  EE_ANSWER_ABSENT,     // 404 with an error code that says so
  EE_ANSWER_UNUSABLE,   // not Avro, or refers to other schemas; why says which
  EE_ANSWER_OVERSIZED,  // a schema of more than EE_SCHEMA_SIZE_MAX bytes; why says how large
  EE_ANSWER_TROUBLE,    // anything else; why says what
};

// To GET /schemas/ids/N. FOUND sets the contents of schema (initialised by the caller).
enum ee_answer ee_answer_schema(long status, struct ee_bytes body, struct ee_buf *schema,
                                struct ee_err *why);
// To POST /subjects/S and POST /subjects/S/versions: FOUND, ABSENT or TROUBLE.
enum ee_answer ee_answer_id(long status, struct ee_bytes body, int32_t *ret_id, struct ee_err *why);
// To POST /compatibility/subjects/S/versions: FOUND (with *ret_compatible; where it is
// false why_not holds the registry's messages), ABSENT or TROUBLE.
enum ee_answer ee_answer_compatible(long status, struct ee_bytes body, bool *ret_compatible,
                                    struct ee_err *why_not, struct ee_err *why);
// To PUT /config/S: FOUND or TROUBLE.
enum ee_answer ee_answer_done(long status, struct ee_bytes body, struct ee_err *why);

#endif
