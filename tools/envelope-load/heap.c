// SPDX-License-Identifier: Apache-2.0
// A binary heap of open envelopes.
#include "tools/envelope-load/heap.h"

#include "base/array.h"

void heap_init(struct heap *heap, size_t limit) {
  *heap = (struct heap){.limit = limit};
}

void heap_release(struct heap *heap) {
  free(heap->items);
  *heap = (struct heap){.items = NULL};
}

static bool before(const struct open_envelope *a, const struct open_envelope *b) {
  return a->due != b->due ? a->due < b->due : a->number < b->number;
}

bool heap_push(struct heap *heap, struct open_envelope item) {
  struct open_envelope *items =
      ee_array_room(heap->items, heap->count, &heap->capacity, sizeof *items);
  if (items == NULL) return false;
  heap->items = items;
  size_t at = heap->count++;
  for (; at > 0 && before(&item, &items[(at - 1) / 2]); at = (at - 1) / 2)
    items[at] = items[(at - 1) / 2];
  items[at] = item;
  return true;
}

const struct open_envelope *heap_first(const struct heap *heap) {
  return heap->count == 0 ? NULL : heap->items;
}

struct open_envelope heap_pop(struct heap *heap) {
  struct open_envelope *items = heap->items, first = items[0], last = items[--heap->count];
  size_t at = 0;
  for (;;) {
    size_t next = 2 * at + 1;
    if (next + 1 < heap->count && before(&items[next + 1], &items[next])) next++;
    if (next >= heap->count || !before(&items[next], &last)) break;
    items[at] = items[next];
    at = next;
  }
  items[at] = last;
  return first;
}
