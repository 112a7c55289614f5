// SPDX-License-Identifier: Apache-2.0
// Arena of blocks, each at least as large as all before it together. Under AddressSanitizer, memory
// not handed out is poisoned: a step beyond a piece is seen as it would be with malloc.
#include "base/arena.h"

#include <stdalign.h>
#include <stdlib.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#define POISON(data, size) ASAN_POISON_MEMORY_REGION(data, size)
#define UNPOISON(data, size) ASAN_UNPOISON_MEMORY_REGION(data, size)
#define GUARD_SIZE alignof(max_align_t)
#else
#define POISON(data, size) ((void)(data), (void)(size))
#define UNPOISON(data, size) ((void)(data), (void)(size))
#define GUARD_SIZE ((size_t)0)
#endif

#define BLOCK_LEAST ((size_t)4096)

struct ee_arena_block {
  struct ee_arena_block *older;  // owned
  size_t size;                   // of data
  alignas(max_align_t) uint8_t data[];
};

void ee_arena_init(struct ee_arena *arena, size_t limit) {
  if (limit > SIZE_MAX / 2) limit = SIZE_MAX / 2;  // so that sums of sizes cannot wrap
  *arena = (struct ee_arena){.limit = limit};
}

static void free_blocks(struct ee_arena_block *block) {
  while (block != NULL) {
    struct ee_arena_block *older = block->older;
    free(block);
    block = older;
  }
}

void ee_arena_release(struct ee_arena *arena) {
  if (arena == NULL) return;
  free_blocks(arena->block);
  *arena = (struct ee_arena){.limit = arena->limit};
}

void ee_arena_clear(struct ee_arena *arena) {
  struct ee_arena_block *block = arena->block;
  arena->used = 0;
  arena->starved = false;
  if (block == NULL) return;
  if (block->older == NULL) {
    POISON(block->data, block->size);
    return;
  }
  free_blocks(block);
  arena->block = NULL;
  arena->next = arena->total;
  arena->total = 0;
}

static bool add_block(struct ee_arena *arena, size_t needed) {
  size_t room = arena->limit - arena->total;
  if (needed > room) return false;
  size_t size = arena->block == NULL ? arena->next : arena->total;
  if (size < BLOCK_LEAST) size = BLOCK_LEAST;
  if (size < needed) size = needed;
  if (size > room) size = room;
  struct ee_arena_block *block = malloc(sizeof *block + size);
  if (block == NULL) {
    arena->starved = true;
    return false;
  }
  block->older = arena->block;
  block->size = size;
  POISON(block->data, size);
  arena->block = block;
  arena->used = 0;
  arena->total += size;
  return true;
}

void *ee_arena_alloc(struct ee_arena *arena, size_t size) {
  if (size > arena->limit) return NULL;
  struct ee_arena_block *block = arena->block;
  size_t align = alignof(max_align_t);
  size_t start = (arena->used + align - 1) / align * align;
  if (block == NULL || start > block->size || size > block->size - start) {
    if (!add_block(arena, size)) return NULL;
    block = arena->block;
    start = 0;
  }
  size_t end = start + size;
  UNPOISON(block->data + start, size);
  arena->used = end + GUARD_SIZE;
  return block->data + start;
}

void *ee_arena_zero(struct ee_arena *arena, size_t count, size_t size) {
  if (size != 0 && count > SIZE_MAX / size) return NULL;
  void *memory = ee_arena_alloc(arena, count * size);
  if (memory != NULL) memset(memory, 0, count * size);
  return memory;
}

struct ee_str ee_arena_str(struct ee_arena *arena, struct ee_str text) {
  struct ee_str copy = {.data = NULL, .size = 0};
  if (text.data == NULL) return copy;
  char *data = ee_arena_alloc(arena, text.size);
  if (data == NULL) return copy;
  if (text.size != 0) memcpy(data, text.data, text.size);
  copy.data = data;
  copy.size = text.size;
  return copy;
}
