// SPDX-License-Identifier: Apache-2.0
// What the generated tables say about the records of the contract, and the few shapes a
// field can have in memory. The tables come from schemas/*.avsc; the interpreter in this
// folder is the only code that walks a record by its table.
#ifndef EE_CONTRACT_TYPE_H
#define EE_CONTRACT_TYPE_H

#include "base/int128.h"
#include "base/slice.h"

enum ee_type_kind {
  EE_TYPE_BOOLEAN,  // bool
  EE_TYPE_INT,      // int32_t
  EE_TYPE_LONG,     // int64_t
  EE_TYPE_STRING,   // struct ee_str
  EE_TYPE_FIXED,    // const uint8_t * to size bytes
  EE_TYPE_DECIMAL,  // ee_int128; Avro bytes with logicalType decimal, scale 0
  EE_TYPE_ENUM,     // int: index of the symbol; the generated enum has the same values
  EE_TYPE_RECORD,   // the generated struct, inline
  EE_TYPE_ARRAY,    // struct ee_array
  EE_TYPE_MAP,      // struct ee_map
};

// How a nullable field (a union of null and one type) lies in memory: string by
// data == NULL, fixed by a NULL pointer, record by a pointer to the struct that may be
// NULL; the others by these pairs. Arrays and maps are never nullable.
struct ee_opt_boolean {
  bool present;
  bool value;
};
struct ee_opt_int {
  bool present;
  int32_t value;
};
struct ee_opt_enum {
  bool present;
  int value;
};
struct ee_opt_long {
  bool present;
  int64_t value;
};
struct ee_opt_decimal {
  bool present;
  ee_int128 value;
};

// Generated code names a struct of its own for each item type, with this layout.
struct ee_array {
  void *items;  // count values, each as large as its type says
  size_t count;
};
// Likewise: entries are a struct ee_str key followed by the value. Keys are unique; the
// order is that in which they were read, and means nothing.
struct ee_map {
  void *entries;
  size_t count;
};
struct ee_str_array {
  struct ee_str *items;
  size_t count;
};
struct ee_str_entry {
  struct ee_str key;
  struct ee_str value;
};
struct ee_str_map {
  struct ee_str_entry *entries;
  size_t count;
};
struct ee_long_entry {
  struct ee_str key;
  int64_t value;
};
struct ee_long_map {
  struct ee_long_entry *entries;
  size_t count;
};

// What a value must satisfy beyond its Avro type ("check" in the schemas).
enum ee_check {
  EE_CHECK_NONE,
  EE_CHECK_IDENTIFIER,       // 1 to 128 bytes, no NUL
  EE_CHECK_TENANT,           // the same, refused as tenant_missing when empty
  EE_CHECK_REQUIRED,         // not empty
  EE_CHECK_NAMESPACED_JSON,  // map: each key has a namespace, each value is JSON text
};

struct ee_enum_type {
  const char *name;
  const struct ee_str *symbols;
  int count;
  int fallback;  // symbol an unknown one is read as, or -1
};

struct ee_record_type;

struct ee_type {
  enum ee_type_kind kind;
  bool nullable;
  bool null_second;  // the union is [type, null] rather than [null, type]
  bool timestamp;    // LONG: UTC microseconds, printed RFC 3339
  uint32_t size;     // FIXED: bytes; ARRAY: of one item in memory; MAP: of one entry
  const struct ee_record_type *record;     // RECORD
  const struct ee_enum_type *enumeration;  // ENUM
  const struct ee_type *item;              // ARRAY: of the items; MAP: of the values
};

struct ee_field {
  const char *name;
  struct ee_type type;
  uint32_t offset;  // in the struct
  enum ee_check check;
  const char *fallback;        // default as JSON text, or NULL: required
  const char *const *aliases;  // NULL-terminated, or NULL
  const char *doc;
};

struct ee_record_type {
  const char *name;       // Admission
  const char *full_name;  // envelope.v1.Admission
  const struct ee_field *fields;
  size_t count;
  size_t size;                 // of the struct
  const char *const *aliases;  // NULL-terminated, or NULL
  const char *doc;
  // Set for the records that a schema file is named for, else NULL and 0. The struct of
  // such a record begins with a struct ee_bytes named `encoded`: after a decode without
  // resolution, the very bytes it was read from (borrowed); the encoder copies them
  // instead of encoding the fields. Whoever changes a field clears it.
  const char *schema;  // the .avsc as JSON text, whole, docs included
  size_t schema_size;
  uint64_t fingerprint;  // CRC-64-AVRO of the parsing canonical form (Avro specification)
};

#endif
