// SPDX-License-Identifier: Apache-2.0
// Runs a plan over bytes that nobody has checked. One body serves validation and decoding:
// each of its functions exists twice, with `store` a constant. What is stored goes into
// zeroed memory, so that absent values need nothing.
#include "base/hash.h"
#include "base/utf8.h"
#include "contract/plan.h"

#define INLINE static inline __attribute__((always_inline))
#define COLD __attribute__((noinline, cold))

// A position after what has been read, or NULL: refused.
typedef const uint8_t *cursor;

struct reader {
  const struct ee_node *nodes;
  cursor begin, end;
  struct ee_arena *arena;
  struct ee_fault *fault;
  unsigned depth;
};

static cursor fields_stored(struct reader *r, const struct ee_node *n, cursor p, void *out);
static cursor fields_checked(struct reader *r, const struct ee_node *n, cursor p, void *out);
static cursor value_stored(struct reader *r, const struct ee_node *n, cursor p, void *out);
static cursor value_checked(struct reader *r, const struct ee_node *n, cursor p, void *out);

INLINE cursor any_value(struct reader *r, const struct ee_node *n, cursor p, void *out,
                        bool store) {
  return store ? value_stored(r, n, p, out) : value_checked(r, n, p, out);
}

COLD static cursor refuse(struct reader *r, cursor p, enum ee_reason reason, const char *what) {
  ee_fault_set(r->fault, reason, (size_t)(p - r->begin), ": %s", what);
  return NULL;
}

COLD static cursor refuse_number(struct reader *r, cursor p, enum ee_reason reason,
                                 const char *what, int64_t number) {
  ee_fault_set(r->fault, reason, (size_t)(p - r->begin), ": %s: %lld", what, (long long)number);
  return NULL;
}

// ---- Numbers.

// A varint of more than one byte.
static __attribute__((noinline)) cursor long_varint(struct reader *r, cursor p, uint64_t *ret) {
  uint64_t value = 0;
  for (unsigned i = 0; i < 10; i++) {
    if (p + i == r->end) return refuse(r, p, EE_REASON_truncated, "ends within a number");
    uint8_t byte = p[i];
    value |= (uint64_t)(byte & 0x7f) << (7 * i);
    if (byte >= 0x80) continue;
    if (byte == 0) return refuse(r, p, EE_REASON_non_minimal_varint, "a number longer than needed");
    if (i == 9 && byte > 1) return refuse(r, p, EE_REASON_oversized, "a number of over 64 bits");
    *ret = value;
    return p + i + 1;
  }
  return refuse(r, p, EE_REASON_non_minimal_varint, "a number of more than 10 bytes");
}

INLINE cursor varint(struct reader *r, cursor p, uint64_t *ret) {
  if (p < r->end && *p < 0x80) {
    *ret = *p;
    return p + 1;
  }
  return long_varint(r, p, ret);
}

INLINE cursor zigzag(struct reader *r, cursor p, int64_t *ret) {
  uint64_t n = 0;
  p = varint(r, p, &n);
  *ret = (int64_t)(n >> 1) ^ -(int64_t)(n & 1);
  return p;
}

INLINE cursor zigzag_int(struct reader *r, cursor p, int64_t *ret) {
  cursor next = zigzag(r, p, ret);
  if (next != NULL && (*ret < INT32_MIN || *ret > INT32_MAX)) {
    return refuse_number(r, p, EE_REASON_oversized, "does not fit an int", *ret);
  }
  return next;
}

INLINE cursor index_below(struct reader *r, cursor p, uint32_t count, enum ee_reason reason,
                          uint32_t *ret) {
  int64_t index = 0;
  cursor next = zigzag(r, p, &index);
  if (next == NULL) return NULL;
  if (index < 0 || index >= (int64_t)count) {
    return refuse_number(r, p, reason, "an index out of range", index);
  }
  *ret = (uint32_t)index;
  return next;
}

// ---- Runs of bytes.

INLINE cursor run(struct reader *r, cursor p, size_t *ret_size) {
  int64_t size = 0;
  cursor next = zigzag(r, p, &size);
  if (next == NULL) return NULL;
  if (size < 0 || size > r->end - next) {
    return refuse_number(r, p, EE_REASON_truncated, "a length beyond the end", size);
  }
  *ret_size = (size_t)size;
  return next;
}

INLINE bool is_ascii(const uint8_t *at, size_t size) {
  uint64_t all = 0;
  uint64_t word;
  if (size < 8) {
    for (size_t i = 0; i < size; i++) {
      all |= at[i];
    }
    return (all & 0x80) == 0;
  }
  for (size_t i = 0; i + 8 <= size; i += 8) {
    memcpy(&word, at + i, 8);
    all |= word;
  }
  memcpy(&word, at + size - 8, 8);
  return ((all | word) & UINT64_C(0x8080808080808080)) == 0;
}

INLINE cursor text(struct reader *r, cursor p, struct ee_str *ret) {
  size_t size = 0;
  cursor data = run(r, p, &size);
  if (data == NULL) return NULL;
  if (!is_ascii(data, size) && !ee_utf8_valid((const char *)data, size)) {
    return refuse(r, p, EE_REASON_invalid_utf8, "not valid UTF-8");
  }
  *ret = (struct ee_str){.data = (const char *)data, .size = size};
  return data + size;
}

INLINE cursor string(struct reader *r, const struct ee_node *n, cursor p, void *out, bool store) {
  struct ee_str value;
  cursor next = text(r, p, &value);
  if (next == NULL) return NULL;
  if (n->check != EE_CHECK_NONE &&
      !ee_check_text((enum ee_check)n->check, value, (size_t)(p - r->begin), r->fault)) {
    return NULL;
  }
  if (store) *(struct ee_str *)ee_at_mutable(out, n->at) = value;
  return next;
}

INLINE cursor bytes(struct reader *r, cursor p) {
  size_t size = 0;
  cursor data = run(r, p, &size);
  return data == NULL ? NULL : data + size;
}

INLINE cursor fixed(struct reader *r, const struct ee_node *n, cursor p, void *out, bool store) {
  if (n->count > (size_t)(r->end - p)) {
    return refuse(r, p, EE_REASON_truncated, "ends within a fixed");
  }
  if (store) *(const uint8_t **)ee_at_mutable(out, n->at) = p;
  return p + n->count;
}

INLINE cursor decimal(struct reader *r, const struct ee_node *n, cursor p, void *out, bool store) {
  size_t size = 0;
  ee_int128 value;
  cursor data = run(r, p, &size);
  if (data == NULL) return NULL;
  if (!ee_int128_from_bytes(ee_bytes(data, size), &value) || !ee_decimal_fits(value)) {
    return refuse(r, p, EE_REASON_oversized, "a decimal has 1 to 16 bytes and at most 38 digits");
  }
  if (store) memcpy(ee_at_mutable(out, n->at), &value, sizeof value);
  return data + size;
}

// ---- Simple values.

INLINE cursor boolean(struct reader *r, const struct ee_node *n, cursor p, void *out, bool store) {
  if (p == r->end) return refuse(r, p, EE_REASON_truncated, "ends before a boolean");
  if (*p > 1) return refuse_number(r, p, EE_REASON_bad_boolean, "neither 0 nor 1", *p);
  if (store) *(bool *)ee_at_mutable(out, n->at) = *p == 1;
  return p + 1;
}

INLINE cursor number(struct reader *r, const struct ee_node *n, cursor p, void *out, bool store) {
  int64_t value = 0;
  p = n->op == EE_OP_LONG ? zigzag(r, p, &value) : zigzag_int(r, p, &value);
  if (p == NULL || !store) return p;
  if (n->op == EE_OP_INT) {
    *(int32_t *)ee_at_mutable(out, n->at) = (int32_t)value;
  } else {
    *(int64_t *)ee_at_mutable(out, n->at) = value;
  }
  return p;
}

INLINE cursor enumeration(struct reader *r, const struct ee_node *n, cursor p, void *out,
                          bool store) {
  uint32_t index = 0;
  cursor next = index_below(r, p, n->count, EE_REASON_bad_enum, &index);
  if (next == NULL) return NULL;
  int symbol = n->op == EE_OP_ENUM_MAP ? n->symbols[index] : (int)index;
  if (symbol < 0) {
    return refuse_number(r, p, EE_REASON_bad_enum, "a symbol the reader does not have", index);
  }
  if (store) *(int *)ee_at_mutable(out, n->at) = symbol;
  return next;
}

// ---- Blocks of arrays and maps.

struct block {
  size_t count;
  cursor size_end;  // where the items must end, if the block says its size; else NULL
};

// The header of a block that is not a plain small count.
static __attribute__((noinline)) cursor sized_block(struct reader *r, cursor p, int64_t count,
                                                    struct block *ret) {
  size_t size = 0;
  if (count == INT64_MIN) return refuse(r, p, EE_REASON_truncated, "a count beyond all bounds");
  p = run(r, p, &size);
  if (p == NULL) return NULL;
  ret->count = (size_t)-count;
  ret->size_end = p + size;
  return p;
}

// total: items read before, all blocks together.
INLINE cursor block_begin(struct reader *r, const struct ee_node *n, cursor p, size_t total,
                          struct block *ret) {
  int64_t count = 0;
  cursor next = zigzag(r, p, &count);
  if (next == NULL) return NULL;
  *ret = (struct block){.count = (size_t)count};
  if (count == 0) return next;
  if (count < 0) next = sized_block(r, next, count, ret);
  if (next == NULL) return NULL;
  if (n->count > 0 && ret->count > (size_t)(r->end - next) / n->count) {
    return refuse_number(r, p, EE_REASON_truncated, "more items than the rest can hold",
                         (int64_t)ret->count);
  }
  if ((n->count == 0 || n->op == EE_OP_MAP) && ret->count > EE_ENTRIES_MAX - total) {
    return refuse_number(r, p, EE_REASON_oversized, "too many entries", (int64_t)ret->count);
  }
  return next;
}

INLINE cursor block_end(struct reader *r, const struct block *block, cursor p) {
  if (block->size_end == NULL || block->size_end == p) return p;
  return refuse(r, p, block->size_end > p ? EE_REASON_trailing_bytes : EE_REASON_truncated,
                "a block is not of the size it says");
}

// Makes room for count more items behind those that are there.
static bool grow(struct reader *r, const struct ee_node *n, void **items, size_t have,
                 size_t *capacity, size_t count) {
  if (count <= *capacity - have) return true;
  size_t wanted = have + count;
  if (have > 0 && wanted < 2 * have) wanted = 2 * have;
  if (wanted > SIZE_MAX / n->size) return false;
  void *memory = n->zeroed ? ee_arena_zero(r->arena, wanted, n->size)
                           : ee_arena_alloc(r->arena, wanted * n->size);
  if (memory == NULL) return false;
  if (have > 0) memcpy(memory, *items, have * n->size);
  *items = memory;
  *capacity = wanted;
  return true;
}

INLINE cursor items(struct reader *r, const struct ee_node *n, cursor p, struct ee_array *array,
                    bool store) {
  const struct ee_node *item = r->nodes + n->child;
  size_t capacity = 0;
  struct block block;
  for (;;) {
    p = block_begin(r, n, p, array->count, &block);
    if (p == NULL || block.count == 0) return p;
    if (store && !grow(r, n, &array->items, array->count, &capacity, block.count)) {
      return refuse(r, p, EE_REASON_oversized, "no room for the items");
    }
    for (size_t i = 0; i < block.count; i++, array->count++) {
      void *out = store ? ee_at_mutable(array->items, array->count * n->size) : NULL;
      p = any_value(r, item, p, out, store);
      if (p == NULL) {
        ee_fault_in_item(r->fault, array->count);
        return NULL;
      }
    }
    p = block_end(r, &block, p);
    if (p == NULL) return NULL;
  }
}

INLINE cursor array(struct reader *r, const struct ee_node *n, cursor p, void *out, bool store) {
  struct ee_array read = {.items = NULL};
  p = items(r, n, p, &read, store);
  if (p != NULL && store) *(struct ee_array *)ee_at_mutable(out, n->at) = read;
  return p;
}

// ---- Maps. Up to SMALL_MAP keys are compared each with each, more go through a table.

#define SMALL_MAP 16
#define SLOTS ((size_t)2 * EE_ENTRIES_MAX)

struct map_walk {
  struct ee_map map;
  size_t capacity;
  struct ee_str first[SMALL_MAP];
};

// Keys of a large map, by place in the input.
struct key_table {
  uint32_t at[EE_ENTRIES_MAX];
  uint32_t size[EE_ENTRIES_MAX];
  uint16_t slots[SLOTS];  // index + 1, or 0
};

static bool seen_before(const struct map_walk *walk, struct ee_str key) {
  for (size_t i = 0; i < walk->map.count; i++) {
    if (walk->first[i].size == key.size && memcmp(walk->first[i].data, key.data, key.size) == 0) {
      return true;
    }
  }
  return false;
}

// False when the key is there.
static bool table_add(const struct reader *r, struct key_table *table, size_t index,
                      struct ee_str key) {
  size_t slot = ee_hash(key.data, key.size) % SLOTS;
  for (; table->slots[slot] != 0; slot = (slot + 1) % SLOTS) {
    size_t other = table->slots[slot] - 1u;
    if (table->size[other] == key.size &&
        memcmp(r->begin + table->at[other], key.data, key.size) == 0) {
      return false;
    }
  }
  table->slots[slot] = (uint16_t)(index + 1);
  table->at[index] = (uint32_t)((cursor)key.data - r->begin);
  table->size[index] = (uint32_t)key.size;
  return true;
}

INLINE cursor entry(struct reader *r, const struct ee_node *n, cursor p, struct map_walk *walk,
                    struct key_table *table, bool store) {
  struct ee_str key;
  size_t index = walk->map.count;
  cursor after = text(r, p, &key);
  if (after == NULL) return NULL;
  void *out = store ? ee_at_mutable(walk->map.entries, index * n->size) : NULL;
  if (table != NULL ? !table_add(r, table, index, key) : seen_before(walk, key)) {
    p = refuse(r, p, EE_REASON_duplicate_key, "the key is there twice");
  } else {
    if (table == NULL) walk->first[index] = key;
    if (store) *(struct ee_str *)out = key;
    p = any_value(r, r->nodes + n->child, after, out, store);
  }
  if (p != NULL && n->check == EE_CHECK_NAMESPACED_JSON) {
    size_t size = 0;
    struct ee_str json = {.data = (const char *)run(r, after, &size)};
    json.size = size;
    if (!ee_check_entry(key, json, (size_t)(after - r->begin), r->fault)) p = NULL;
  }
  if (p == NULL) ee_fault_in_key(r->fault, key);
  walk->map.count++;
  return p;
}

INLINE cursor block_entries(struct reader *r, const struct ee_node *n, cursor p,
                            const struct block *block, struct map_walk *walk,
                            struct key_table *table, bool store) {
  if (store && !grow(r, n, &walk->map.entries, walk->map.count, &walk->capacity, block->count)) {
    return refuse(r, p, EE_REASON_oversized, "no room for the entries");
  }
  for (size_t i = 0; i < block->count; i++) {
    p = entry(r, n, p, walk, table, store);
    if (p == NULL) return NULL;
  }
  return block_end(r, block, p);
}

// From the block with which the map becomes large. The table is the reason for a function
// of its own: only maps that need one pay for it.
INLINE cursor large_map(struct reader *r, const struct ee_node *n, cursor p, struct block block,
                        struct map_walk *walk, bool store) {
  struct key_table table;
  memset(table.slots, 0, sizeof table.slots);
  for (size_t i = 0; i < walk->map.count; i++) {
    table_add(r, &table, i, walk->first[i]);
  }
  while (p != NULL && block.count > 0) {
    p = block_entries(r, n, p, &block, walk, &table, store);
    if (p != NULL) p = block_begin(r, n, p, walk->map.count, &block);
  }
  return p;
}

static __attribute__((noinline)) cursor large_map_stored(struct reader *r, const struct ee_node *n,
                                                         cursor p, struct block block,
                                                         struct map_walk *walk) {
  return large_map(r, n, p, block, walk, true);
}

static __attribute__((noinline)) cursor large_map_checked(struct reader *r, const struct ee_node *n,
                                                          cursor p, struct block block,
                                                          struct map_walk *walk) {
  return large_map(r, n, p, block, walk, false);
}

INLINE cursor entries(struct reader *r, const struct ee_node *n, cursor p, struct map_walk *walk,
                      bool store) {
  struct block block;
  for (;;) {
    p = block_begin(r, n, p, walk->map.count, &block);
    if (p == NULL || block.count == 0) return p;
    if (walk->map.count + block.count > SMALL_MAP) {
      return store ? large_map_stored(r, n, p, block, walk)
                   : large_map_checked(r, n, p, block, walk);
    }
    p = block_entries(r, n, p, &block, walk, NULL, store);
    if (p == NULL) return NULL;
  }
}

INLINE cursor map(struct reader *r, const struct ee_node *n, cursor p, void *out, bool store) {
  if (p < r->end && *p == 0) return p + 1;  // most maps are empty, and zero is what out is
  struct map_walk walk;
  walk.map = (struct ee_map){.entries = NULL};
  walk.capacity = 0;
  p = entries(r, n, p, &walk, store);
  if (p != NULL && store) *(struct ee_map *)ee_at_mutable(out, n->at) = walk.map;
  return p;
}

// ---- Records, unions, and the choice among all.

INLINE cursor record(struct reader *r, const struct ee_node *n, cursor p, void *out, bool store) {
  void *base = NULL;
  if (store) {
    base = ee_at_mutable(out, n->at);
    if (n->boxed) {
      void *boxed = ee_arena_zero(r->arena, 1, n->size);
      if (boxed == NULL) return refuse(r, p, EE_REASON_oversized, "no room for the record");
      *(void **)base = boxed;
      base = boxed;
    }
  }
  cursor next = store ? fields_stored(r, n, p, base) : fields_checked(r, n, p, NULL);
  if (next != NULL && store && n->spans) {
    *(struct ee_bytes *)base = ee_bytes(p, (size_t)(next - p));
  }
  return next;
}

INLINE cursor optional(struct reader *r, const struct ee_node *n, cursor p, void *out, bool store) {
  if (p == r->end) return refuse(r, p, EE_REASON_truncated, "ends before a union");
  if (*p > 2 || (*p & 1) != 0) {
    uint32_t index = 0;
    return index_below(r, p, 2, EE_REASON_wrong_schema, &index);  // refuses
  }
  if (*p == 2 * n->count) return p + 1;
  return any_value(r, r->nodes + n->child, p + 1, store ? ee_at_mutable(out, n->at) : NULL, store);
}

INLINE cursor choice(struct reader *r, const struct ee_node *n, cursor p, void *out, bool store) {
  uint32_t index = 0;
  p = index_below(r, p, n->count, EE_REASON_wrong_schema, &index);
  if (p == NULL) return NULL;
  void *base = store ? ee_at_mutable(out, n->at) : NULL;
  return any_value(r, r->nodes + n->child + index, p, base, store);
}

// Nesting is counted where a value can hold others.
INLINE cursor nested(struct reader *r, const struct ee_node *n, cursor p, void *out, bool store) {
  if (r->depth == EE_DEPTH_MAX) return refuse(r, p, EE_REASON_too_deep, "nested too deep");
  r->depth++;
  p = n->op == EE_OP_RECORD  ? record(r, n, p, out, store)
      : n->op == EE_OP_ARRAY ? array(r, n, p, out, store)
                             : map(r, n, p, out, store);
  r->depth--;
  return p;
}

INLINE cursor value(struct reader *r, const struct ee_node *n, cursor p, void *out, bool store) {
  switch ((enum ee_op)n->op) {
    case EE_OP_STRING:
      p = string(r, n, p, out, store);
      break;
    case EE_OP_OPTIONAL:
      return optional(r, n, p, out, store);
    case EE_OP_INT:
    case EE_OP_INT_WIDE:
    case EE_OP_LONG:
      p = number(r, n, p, out, store);
      break;
    case EE_OP_ENUM:
    case EE_OP_ENUM_MAP:
      p = enumeration(r, n, p, out, store);
      break;
    case EE_OP_RECORD:
    case EE_OP_ARRAY:
    case EE_OP_MAP:
      return nested(r, n, p, out, store);
    case EE_OP_BOOLEAN:
      p = boolean(r, n, p, out, store);
      break;
    case EE_OP_FIXED:
      p = fixed(r, n, p, out, store);
      break;
    case EE_OP_DECIMAL:
      p = decimal(r, n, p, out, store);
      break;
    case EE_OP_BYTES:
      return bytes(r, p);
    case EE_OP_SPAN:
      return fixed(r, n, p, NULL, false);
    case EE_OP_UNION:
      return choice(r, n, p, out, store);
    case EE_OP_SKIP:
    case EE_OP_AGAIN:
      return value_checked(r, r->nodes + n->child, p, NULL);
    case EE_OP_REFUSE:
      return refuse(r, p, EE_REASON_wrong_schema, "a branch that the reader's type cannot hold");
    case EE_OP_DEFAULT:
      if (store) ee_field_init(n->field, out);
      return p;
    case EE_OP_NONE:
      return p;
  }
  if (store && n->pair != 0 && p != NULL) *(bool *)ee_at_mutable(out, n->at - n->pair) = true;
  return p;
}

static cursor value_stored(struct reader *r, const struct ee_node *n, cursor p, void *out) {
  return value(r, n, p, out, true);
}

static cursor value_checked(struct reader *r, const struct ee_node *n, cursor p, void *out) {
  return value(r, n, p, out, false);
}

INLINE cursor fields(struct reader *r, const struct ee_node *n, cursor p, void *out, bool store) {
  const struct ee_node *field = r->nodes + n->child;
  const struct ee_node *end = field + n->count;
  for (; field < end; field++) {
    p = value(r, field, p, out, store);
    if (p == NULL) {
      ee_fault_in_field(r->fault, field->name);
      return NULL;
    }
  }
  return p;
}

static cursor fields_stored(struct reader *r, const struct ee_node *n, cursor p, void *out) {
  return fields(r, n, p, out, true);
}

static cursor fields_checked(struct reader *r, const struct ee_node *n, cursor p, void *out) {
  return fields(r, n, p, out, false);
}

// ---- The whole. record NULL: validation.

static bool read_record(const struct ee_plan *plan, struct ee_bytes in, struct ee_arena *arena,
                        void *out, size_t *ret_size, struct ee_fault *fault) {
  struct reader r = {.nodes = plan->nodes, .arena = arena, .fault = fault};
  r.begin = in.data == NULL ? (cursor) "" : in.data;
  r.end = r.begin + in.size;
  cursor p = r.begin;
  if (in.size > UINT32_MAX) {
    p = refuse(&r, p, EE_REASON_oversized, "more than 4 GiB");
  } else if (out != NULL) {
    memset(out, 0, plan->reader->size);
    p = value_stored(&r, plan->nodes, p, out);
  } else {
    p = value_checked(&r, plan->nodes, p, NULL);
  }
  if (p == NULL) return ee_fault_end(fault);
  if (ret_size != NULL) {
    *ret_size = (size_t)(p - r.begin);
  } else if (p != r.end) {
    refuse_number(&r, p, EE_REASON_trailing_bytes, "bytes after the record", r.end - p);
    return ee_fault_end(fault);
  }
  return true;
}

bool ee_validate(const struct ee_plan *plan, struct ee_bytes in, struct ee_fault *fault) {
  return read_record(plan, in, NULL, NULL, NULL, fault);
}

bool ee_decode(const struct ee_plan *plan, struct ee_bytes in, struct ee_arena *arena,
               void *record_out, struct ee_fault *fault) {
  return read_record(plan, in, arena, record_out, NULL, fault);
}

bool ee_decode_prefix(const struct ee_plan *plan, struct ee_bytes in, struct ee_arena *arena,
                      void *record_out, size_t *ret_size, struct ee_fault *fault) {
  return read_record(plan, in, arena, record_out, ret_size, fault);
}
