// SPDX-License-Identifier: Apache-2.0
// The strict interpreter: everything that walks a record. Bounded, no recursion deeper
// than EE_DEPTH_MAX, no clock, no I/O, no globals; safe from many threads at once on
// different outputs.
//
// Bytes are read by a plan, made once from the writer's schema and the reader's table:
// the plan says for each of the writer's fields whether to keep it (and where, and after
// which promotion) or to pass over it, and which of the reader's fields take their
// default (Avro specification, "Schema Resolution"). The writer's schema being the
// reader's own is the common case of the same thing.
#ifndef EE_CONTRACT_RECORD_H
#define EE_CONTRACT_RECORD_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "contract/reason.h"
#include "contract/type.h"

#define EE_DEPTH_MAX 32            // nesting of values
#define EE_ENTRIES_MAX 1024        // entries of one map; also items of zero bytes in an array
#define EE_SCHEMA_SIZE_MAX 262144  // bytes of a writer's schema
#define EE_SCHEMA_DEPTH_MAX 64     // JSON nesting of a writer's schema
#define EE_EVENT_SIZE_MAX 262144   // bytes of an event's Avro data (design, section 2)

struct ee_plan;  // immutable once made; may be shared by threads

// Makes a plan from a writer's schema (hostile text: size, nesting and shape are checked
// before avro-c parses it). Reasons: wrong_schema (not a schema, or cannot be resolved to
// the reader: other kind of type, other name), missing_field (a reader's field that the
// writer lacks has no default), too_deep, oversized. EE_NO_MEMORY says nothing of the schema:
// the same call may succeed later.
bool ee_plan_new(const struct ee_record_type *reader, struct ee_str writer_schema,
                 struct ee_plan **ret_plan, struct ee_fault *fault);
void ee_plan_free(struct ee_plan *plan);
// The plan for the reader's own schema, made at first use. NULL only when memory is out.
// Not safe against itself from two threads for one type: programs call it at start.
const struct ee_plan *ee_plan_own(const struct ee_record_type *reader);
const struct ee_record_type *ee_plan_reader(const struct ee_plan *plan);
// True where the writer's schema and the reader's have the same canonical form, so that
// the writer's bytes may be copied as they are.
bool ee_plan_same(const struct ee_plan *plan);

// Reads the whole of `in` as one record and stores nothing. Refuses by name whatever is
// not strictly valid: lengths beyond what remains, counts that the rest cannot hold,
// overlong varints, invalid UTF-8, booleans other than 0 and 1, enum indices out of
// range, duplicate map keys, trailing bytes, and values that fail their check.
bool ee_validate(const struct ee_plan *plan, struct ee_bytes in, struct ee_fault *fault);
// The same, and fills *record (the generated struct of the plan's reader). Strings,
// fixed and `encoded` borrow from `in`; the rest lives in arena. A full arena is
// `oversized`. On failure *record is undefined.
bool ee_decode(const struct ee_plan *plan, struct ee_bytes in, struct ee_arena *arena, void *record,
               struct ee_fault *fault);
// The same for a prefix of `in`: a record followed by others. ret_size: bytes read.
bool ee_decode_prefix(const struct ee_plan *plan, struct ee_bytes in, struct ee_arena *arena,
                      void *record, size_t *ret_size, struct ee_fault *fault);

// Appends the record's Avro binary form to out (arrays and maps as one block with a
// plain count). Ask out->failed. Absent values of required fields are a programming
// error and are encoded as empty. Does not check; ee_check_record does.
void ee_encode(const struct ee_record_type *type, const void *record, struct ee_buf *out);
// The checks of the tables, UTF-8 and bounds, on a struct made by hand or from JSON. An enum
// that is not nullable is absent when it is -1.
bool ee_check_record(const struct ee_record_type *type, const void *record, struct ee_fault *fault);

// Sets every field to its default; fields without one to zero (absent). Default arrays
// and maps are empty. A nullable field's default is absent.
void ee_record_init(const struct ee_record_type *type, void *record);

// Equal as values: maps as sets, nothing else reordered. `except` names top-level fields
// left out of the comparison (NULL-terminated, or NULL).
bool ee_equal(const struct ee_record_type *type, const void *a, const void *b,
              const char *const *except);

// Copies a record with all that it borrows into arena. False when the arena is full.
bool ee_copy(const struct ee_record_type *type, const void *from, void *to, struct ee_arena *arena);

// The index of an enum's symbol, or -1.
int ee_enum_find(const struct ee_enum_type *type, struct ee_str symbol);

#endif
