// SPDX-License-Identifier: Apache-2.0
// Memory for one record or one step, given back all at once. Has a mandatory limit.
// Not for sharing between threads.
#ifndef EE_BASE_ARENA_H
#define EE_BASE_ARENA_H

#include "base/slice.h"

struct ee_arena_block;

struct ee_arena {
  struct ee_arena_block *block;  // owned; the newest first
  size_t used;                   // bytes handed out of the newest block
  size_t total;                  // bytes in all blocks
  size_t limit;
  size_t next;   // bytes that the next first block shall have
  bool starved;  // memory was out since the last clear: the limit is not to blame
};

void ee_arena_init(struct ee_arena *arena, size_t limit);
void ee_arena_release(struct ee_arena *arena);
// Takes back everything that was handed out. A load that was held in one block finds it
// again; one that took several will find one of their size, so that a steady load soon
// allocates nothing.
void ee_arena_clear(struct ee_arena *arena);

// Uninitialised memory aligned for any type, or NULL when the limit is passed or memory
// is out. Valid until clear or release. size 0 gives a valid pointer.
void *ee_arena_alloc(struct ee_arena *arena, size_t size);
// The same for count items, zeroed; NULL also when count * size overflows.
void *ee_arena_zero(struct ee_arena *arena, size_t count, size_t size);
// Copies; data NULL stays NULL. A failed copy of present text is absent text.
struct ee_str ee_arena_str(struct ee_arena *arena, struct ee_str text);

#endif
