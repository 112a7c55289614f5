// SPDX-License-Identifier: Apache-2.0
// Why a record is refused: the names that dead letters carry (contract, "Names").
#ifndef EE_CONTRACT_REASON_H
#define EE_CONTRACT_REASON_H

#include "base/slice.h"

#define EE_REASONS(X)         \
  X(truncated)                \
  X(oversized)                \
  X(trailing_bytes)           \
  X(invalid_utf8)             \
  X(non_minimal_varint)       \
  X(bad_enum)                 \
  X(bad_boolean)              \
  X(duplicate_key)            \
  X(too_deep)                 \
  X(unknown_framing)          \
  X(unknown_schema_id)        \
  X(unknown_fingerprint)      \
  X(wrong_schema)             \
  X(key_mismatch)             \
  X(wrong_partition)          \
  X(extension_not_namespaced) \
  X(tenant_missing)           \
  X(missing_field)

enum ee_reason {
  EE_ACCEPTED = 0,
#define EE_REASON_ENTRY(NAME) EE_REASON_##NAME,
  EE_REASONS(EE_REASON_ENTRY)
#undef EE_REASON_ENTRY
      EE_REASON_COUNT,
  // No refusal: memory was out, and nothing is known of the input. Only from functions that
  // name it; never a dead letter's.
  EE_NO_MEMORY
};

// The printed name ("truncated"); "accepted" for EE_ACCEPTED, "no_memory" for EE_NO_MEMORY.
const char *ee_reason_name(enum ee_reason reason);

// A refusal with its place, for dl_detail and for people.
struct ee_fault {
  enum ee_reason reason;
  size_t position;   // byte in the Avro data, or 0
  char detail[256];  // field path and what is wrong; NUL-terminated valid UTF-8
};

// Fills the fault and returns false. fault may be NULL.
bool ee_fault_set(struct ee_fault *fault, enum ee_reason reason, size_t position,
                  const char *format, ...) __attribute__((format(printf, 4, 5)));

// How walks of records say the place: where the fault is found the detail begins with ": ",
// each level that it passes on its way up puts its own step before it, and the outermost
// one ends it: "requested.placement[zone]: not valid UTF-8". All return false.
bool ee_fault_in_field(struct ee_fault *fault, const char *name);
bool ee_fault_in_item(struct ee_fault *fault, size_t index);
bool ee_fault_in_key(struct ee_fault *fault, struct ee_str key);
bool ee_fault_end(struct ee_fault *fault);

#endif
