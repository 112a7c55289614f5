// SPDX-License-Identifier: Apache-2.0
// Parsing canonical form and CRC-64-AVRO fingerprint of a schema (Avro specification,
// "Parsing Canonical Form for Schemas" and "Schema Fingerprints"). Also linked into the
// generator.
#ifndef EE_CONTRACT_CANONICAL_H
#define EE_CONTRACT_CANONICAL_H

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"

// Appends the canonical form. False when json is not a schema by the specification's rules
// (names, symbols and unions included); depth is bounded. False with out->failed and not
// out->over_limit: memory was out, and nothing is known of the schema.
bool ee_schema_canonical(const json_t *json, struct ee_buf *out, struct ee_err *err);
uint64_t ee_schema_fingerprint(struct ee_bytes canonical);
// How deep brackets nest in JSON text (those in strings not counted), without parsing it.
size_t ee_json_nesting(struct ee_str text);
// Parses text (bounded in size and nesting before jansson sees it), then as above.
bool ee_schema_text_canonical(struct ee_str text, struct ee_buf *out, struct ee_err *err);
bool ee_schema_text_fingerprint(struct ee_str text, uint64_t *ret, struct ee_err *err);

#endif
