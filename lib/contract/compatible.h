// SPDX-License-Identifier: Apache-2.0
// Whether what one schema writes can be read by another: schemas against schemas, so that
// older readers can be asked about, too. Rules: Avro specification, "Schema Resolution", and
// what registries make of it (each branch of a writer's union has to be readable). Pure.
#ifndef EE_CONTRACT_COMPATIBLE_H
#define EE_CONTRACT_COMPATIBLE_H

#include "base/err.h"
#include "base/slice.h"

#define EE_SCHEMA_NAME_SIZE 514  // of a full name, with its NUL

// True if whatever a writer with the one schema may write can be read with the other. Both
// are texts of at most EE_SCHEMA_SIZE_MAX bytes, hostile until parsed here. why_not begins with
// the path where there is one: "requested.gpu_count: long cannot be read as int".
bool ee_schema_can_read(struct ee_str reader, struct ee_str writer, struct ee_err *why_not);

// The full name of the record, enum or fixed that the text defines. False: it is no schema,
// or one without a name.
bool ee_schema_full_name(struct ee_str schema, char out[EE_SCHEMA_NAME_SIZE], struct ee_err *err);

#endif
