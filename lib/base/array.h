// SPDX-License-Identifier: Apache-2.0
// Room in an array that grows by doubling.
#ifndef EE_BASE_ARRAY_H
#define EE_BASE_ARRAY_H

#include <stdint.h>
#include <stdlib.h>

// The array with room for one more item of that size, moved or not; NULL: no memory, and the
// array is as it was. *capacity in items; 0 with items NULL at first.
static inline void *ee_array_room(void *items, size_t count, size_t *capacity, size_t size) {
  if (count < *capacity) return items;
  size_t wanted = *capacity == 0 ? 64 : *capacity * 2;
  if (wanted > SIZE_MAX / size) return NULL;
  void *grown = realloc(items, wanted * size);
  if (grown != NULL) *capacity = wanted;
  return grown;
}

#endif
