// SPDX-License-Identifier: Apache-2.0
// For this folder alone: what a plan is made of. A plan is a flat array of nodes; node 0
// reads the record, its children lie one after another. plan.c makes it, decode.c runs it.
#ifndef EE_CONTRACT_PLAN_H
#define EE_CONTRACT_PLAN_H

#include "contract/value.h"

#define EE_PLAN_NODES_MAX 65536

enum ee_op {
  EE_OP_NONE,  // no bytes; the reader's value stays absent
  EE_OP_BOOLEAN,
  EE_OP_INT,       // varint of 32 bits
  EE_OP_INT_WIDE,  // the same into an int64_t
  EE_OP_LONG,      // varint of 64 bits
  EE_OP_STRING,    // length, UTF-8
  EE_OP_BYTES,     // length, anything; never kept
  EE_OP_SPAN,      // count bytes of anything; never kept
  EE_OP_FIXED,     // count bytes
  EE_OP_DECIMAL,   // length, 1 to 16 bytes
  EE_OP_ENUM,      // varint below count
  EE_OP_ENUM_MAP,  // the same, then translated by symbols
  EE_OP_RECORD,    // count children from `child`
  EE_OP_ARRAY,     // blocks of items of at least count bytes read by `child`
  EE_OP_MAP,       // the same of keys, and values read by `child`
  EE_OP_OPTIONAL,  // union of null and one other, read by `child`; null is branch `count`
  EE_OP_UNION,     // varint below count chooses among the children from `child`
  EE_OP_REFUSE,    // a branch that the reader has no place for
  EE_OP_SKIP,      // read by `child`, kept nowhere
  EE_OP_AGAIN,     // a recursive type: the record at `child`, kept nowhere
  EE_OP_DEFAULT,   // no bytes; the reader's `field` takes its default
};

struct ee_node {
  uint8_t op;
  uint8_t check;   // enum ee_check
  uint8_t pair;    // offset of the value behind its flag where nullable by a pair, else 0
  bool boxed;      // RECORD: behind a pointer
  bool spans;      // RECORD: sets `encoded`
  bool zeroed;     // ARRAY, MAP: items must be zero before they are read
  uint32_t at;     // where the bare value goes in the struct around it
  uint32_t count;  // see enum ee_op
  uint32_t child;  // see enum ee_op
  uint32_t least;  // fewest bytes that the value can have
  uint32_t size;   // bytes in memory: of a boxed record, an item, an entry
  union {
    const int32_t *symbols;        // ENUM_MAP: reader's index or -1; owned by the plan
    const struct ee_field *field;  // DEFAULT
  };
  const char *name;  // of the field, for faults; NULL: not a field's
};

struct ee_plan {
  const struct ee_record_type *reader;
  bool same;
  struct ee_node *nodes;  // owned
  uint32_t count;
  uint32_t capacity;
  struct ee_arena arena;  // names and symbol maps
};

#endif
