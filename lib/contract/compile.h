// SPDX-License-Identifier: Apache-2.0
// For plan.c alone and what it is split into: the making of a plan's nodes from avro-c's
// form of the writer's schema. Functions that return bool have set the fault when false.
#ifndef EE_CONTRACT_COMPILE_H
#define EE_CONTRACT_COMPILE_H

#include <avro.h>

#include "contract/plan.h"

// A named record of the writer's whose skipping has a plan already, or is getting one.
struct ee_skipped {
  avro_schema_t schema;  // borrowed
  struct ee_node node;
  uint32_t index;  // of a node with the same content, for recursion; 0: none yet
  bool done;
};

struct ee_compiler {
  struct ee_plan *plan;
  struct ee_fault *fault;
  bool fatal;                  // memory or a bound: not to be taken for a branch that does not fit
  struct ee_skipped *skipped;  // owned
  size_t skipped_count;
  size_t skipped_capacity;
  unsigned nesting;
};

// A node that reads the writer's type into the reader's. same: both are the same to the
// last symbol. May nest as deep as the reader's type does.
bool ee_compile_keep(struct ee_compiler *c, avro_schema_t writer, const struct ee_type *reader,
                     struct ee_node *ret, bool *same);
// A node that reads the writer's type and keeps nothing.
bool ee_compile_skip(struct ee_compiler *c, avro_schema_t writer, struct ee_node *ret);

// A bound is passed, or memory is out: ends the making of the plan.
bool ee_compile_stop(struct ee_compiler *c, enum ee_reason reason, const char *what);
bool ee_compile_no_memory(struct ee_compiler *c);
// Memory that lives as long as the plan; NULL: has stopped, `what` being too large or memory
// being out.
void *ee_compile_alloc(struct ee_compiler *c, size_t size, const char *what);
// Takes count nodes in a row, zeroed. Pointers to nodes are invalid afterwards.
bool ee_compile_take(struct ee_compiler *c, size_t count, uint32_t *ret_first);
// Puts a node into the plan and says where.
bool ee_compile_put(struct ee_compiler *c, const struct ee_node *node, uint32_t *ret);
// A copy that lives as long as the plan.
bool ee_compile_name(struct ee_compiler *c, const char *name, const char **ret);

static inline avro_schema_t ee_schema_target(avro_schema_t schema) {
  return is_avro_link(schema) ? avro_schema_link_target(schema) : schema;
}

static inline uint32_t ee_saturated(uint64_t sum) {
  return sum > UINT32_MAX ? UINT32_MAX : (uint32_t)sum;
}

#endif
