// SPDX-License-Identifier: Apache-2.0
// Plans as a whole: from the text of a writer's schema to nodes. avro-c parses the schema,
// but only ever sees the canonical form of what has been checked here.
#include "contract/plan.h"

#include <errno.h>
#include <stdlib.h>

#include "contract/canonical.h"
#include "contract/compile.h"

#define PLAN_ARENA_MAX ((size_t)1 << 20)
#define OWN_PLANS_MAX 64

bool ee_compile_stop(struct ee_compiler *c, enum ee_reason reason, const char *what) {
  c->fatal = true;
  return ee_fault_set(c->fault, reason, 0, ": %s", what);
}

bool ee_compile_no_memory(struct ee_compiler *c) {
  return ee_compile_stop(c, EE_NO_MEMORY, "memory is out");
}

void *ee_compile_alloc(struct ee_compiler *c, size_t size, const char *what) {
  const struct ee_arena *arena = &c->plan->arena;
  void *memory = ee_arena_alloc(&c->plan->arena, size);
  if (memory != NULL) return memory;
  if (size > arena->limit - arena->total) {
    ee_compile_stop(c, EE_REASON_oversized, what);
  } else {
    ee_compile_no_memory(c);
  }
  return NULL;
}

bool ee_compile_take(struct ee_compiler *c, size_t count, uint32_t *ret_first) {
  struct ee_plan *plan = c->plan;
  if (count > EE_PLAN_NODES_MAX - plan->count) {
    return ee_compile_stop(c, EE_REASON_oversized, "the schemas are too large");
  }
  if (plan->count + count > plan->capacity) {
    size_t capacity = 2 * (size_t)plan->capacity + count + 64;
    struct ee_node *nodes = realloc(plan->nodes, capacity * sizeof *nodes);
    if (nodes == NULL) return ee_compile_no_memory(c);
    plan->nodes = nodes;
    plan->capacity = (uint32_t)capacity;
  }
  memset(plan->nodes + plan->count, 0, count * sizeof *plan->nodes);
  *ret_first = plan->count;
  plan->count += (uint32_t)count;
  return true;
}

bool ee_compile_put(struct ee_compiler *c, const struct ee_node *node, uint32_t *ret) {
  if (!ee_compile_take(c, 1, ret)) return false;
  c->plan->nodes[*ret] = *node;
  return true;
}

bool ee_compile_name(struct ee_compiler *c, const char *name, const char **ret) {
  char *copy = ee_compile_alloc(c, strlen(name) + 1, "the names of the schema are too large");
  if (copy == NULL) return false;
  memcpy(copy, name, strlen(name) + 1);
  *ret = copy;
  return true;
}

// The fewest bytes of an item are known only when all of a recursive type is.
static void set_item_sizes(struct ee_plan *plan) {
  for (uint32_t i = 0; i < plan->count; i++) {
    struct ee_node *node = &plan->nodes[i];
    if (node->op == EE_OP_AGAIN) node->least = plan->nodes[node->child].least;
  }
  for (uint32_t i = 0; i < plan->count; i++) {
    struct ee_node *node = &plan->nodes[i];
    if (node->op != EE_OP_ARRAY && node->op != EE_OP_MAP) continue;
    node->count = plan->nodes[node->child].least;
  }
}

static bool build(struct ee_compiler *c, avro_schema_t writer) {
  const struct ee_type type = {.kind = EE_TYPE_RECORD, .record = c->plan->reader};
  struct ee_node root;
  uint32_t index;
  if (!ee_compile_take(c, 1, &index) || !ee_compile_keep(c, writer, &type, &root, &c->plan->same)) {
    return false;
  }
  c->plan->nodes[0] = root;
  set_item_sizes(c->plan);
  return true;
}

static bool check_text(struct ee_str text, struct ee_buf *canonical, struct ee_fault *fault) {
  struct ee_err err;
  if (text.data != NULL && text.size > EE_SCHEMA_SIZE_MAX) {
    return ee_fault_set(fault, EE_REASON_oversized, 0, ": a schema of %zu bytes, at most %d may be",
                        text.size, EE_SCHEMA_SIZE_MAX);
  }
  if (text.data != NULL && ee_json_nesting(text) > EE_SCHEMA_DEPTH_MAX) {
    return ee_fault_set(fault, EE_REASON_too_deep, 0, ": a schema nested deeper than %d levels",
                        EE_SCHEMA_DEPTH_MAX);
  }
  if (!ee_schema_text_canonical(text, canonical, &err)) {
    bool no_memory = canonical->failed && !canonical->over_limit;
    return ee_fault_set(fault, no_memory ? EE_NO_MEMORY : EE_REASON_wrong_schema, 0, ": %.200s",
                        err.text);
  }
  return true;
}

// What has been found to be a schema.
static bool parse(struct ee_bytes canonical, avro_schema_t *ret, struct ee_fault *fault) {
  const char *text = (const char *)canonical.data;
  int code = avro_schema_from_json_length(text, canonical.size, ret);
  // It does not always tell a lack of memory from a refusal, so a refusal is heard twice.
  if (code != 0) code = avro_schema_from_json_length(text, canonical.size, ret);
  if (code == 0) return true;
  *ret = NULL;
  return ee_fault_set(fault, code == ENOMEM ? EE_NO_MEMORY : EE_REASON_wrong_schema, 0, ": %.200s",
                      avro_strerror());
}

static bool compile_text(struct ee_compiler *c, struct ee_str text) {
  struct ee_buf canonical;
  avro_schema_t writer = NULL;
  bool done = false;
  ee_buf_init(&canonical, 2 * EE_SCHEMA_SIZE_MAX);
  if (!check_text(text, &canonical, c->fault)) goto out;
  if (!parse(ee_buf_bytes(&canonical), &writer, c->fault)) goto out;
  if (!is_avro_record(writer)) {
    ee_fault_set(c->fault, EE_REASON_wrong_schema, 0, ": not a record");
    goto out;
  }
  if (!build(c, writer)) goto out;
  // Only the schema of a file has a fingerprint; for others the comparison has to do.
  if (c->plan->reader->schema != NULL) {
    c->plan->same = c->plan->same &&
                    ee_schema_fingerprint(ee_buf_bytes(&canonical)) == c->plan->reader->fingerprint;
  }
  done = true;
out:
  if (writer != NULL) avro_schema_decref(writer);
  ee_buf_release(&canonical);
  return done;
}

bool ee_plan_new(const struct ee_record_type *reader, struct ee_str writer_schema,
                 struct ee_plan **ret_plan, struct ee_fault *fault) {
  struct ee_compiler c = {.plan = calloc(1, sizeof(struct ee_plan)), .fault = fault};
  if (c.plan == NULL) return ee_fault_set(fault, EE_NO_MEMORY, 0, "memory is out");
  c.plan->reader = reader;
  ee_arena_init(&c.plan->arena, PLAN_ARENA_MAX);
  bool done = compile_text(&c, writer_schema);
  free(c.skipped);
  if (!done) {
    ee_plan_free(c.plan);
    return ee_fault_end(fault);
  }
  *ret_plan = c.plan;
  return true;
}

void ee_plan_free(struct ee_plan *plan) {
  if (plan == NULL) return;
  free(plan->nodes);
  ee_arena_release(&plan->arena);
  free(plan);
}

const struct ee_plan *ee_plan_own(const struct ee_record_type *reader) {
  static struct ee_plan *plans[OWN_PLANS_MAX];
  struct ee_str schema = {.data = reader->schema, .size = reader->schema_size};
  for (size_t i = 0; i < OWN_PLANS_MAX; i++) {
    if (plans[i] == NULL && !ee_plan_new(reader, schema, &plans[i], NULL)) return NULL;
    if (plans[i]->reader == reader) return plans[i];
  }
  return NULL;
}

const struct ee_record_type *ee_plan_reader(const struct ee_plan *plan) {
  return plan->reader;
}

bool ee_plan_same(const struct ee_plan *plan) {
  return plan->same;
}
