// SPDX-License-Identifier: Apache-2.0
// Open envelopes, by when their next event is due: a binary heap with a limit.
#ifndef EE_TOOLS_LOAD_HEAP_H
#define EE_TOOLS_LOAD_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct open_envelope {
  int64_t due;      // of its next event, UTC microseconds of the stories
  int64_t at;       // when it was asked
  uint64_t number;  // which story; of equal times the lower goes first
  int32_t event;    // which event of it, as told
};

struct heap {
  struct open_envelope *items;  // owned
  size_t count, capacity, limit;
};

void heap_init(struct heap *heap, size_t limit);
void heap_release(struct heap *heap);
static inline bool heap_full(const struct heap *heap) {
  return heap->count >= heap->limit;
}
// Not while it is full. False: no memory.
bool heap_push(struct heap *heap, struct open_envelope item);
// The first one; NULL: none.
const struct open_envelope *heap_first(const struct heap *heap);
// Takes the first one out. Not while there is none.
struct open_envelope heap_pop(struct heap *heap);

#endif
