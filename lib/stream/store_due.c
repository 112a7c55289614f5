// SPDX-License-Identifier: Apache-2.0
// Binary heaps of entries by wake time, and the form of the same order on disk.
#include "stream/store_due.h"

#include <stdlib.h>

#define CAPACITY_LEAST ((size_t)16)
#define SLOTS_MOST ((size_t)UINT32_MAX - 1)

void ee_due_key_make(struct ee_due_key *out, const uint8_t *packed, size_t size, int64_t wake_at) {
  uint64_t bits = (uint64_t)wake_at ^ UINT64_C(1) << 63;
  memcpy(out->data, packed, 2);
  for (size_t i = 0; i < 8; i++) {
    out->data[2 + i] = (uint8_t)(bits >> (56 - 8 * i));
  }
  memcpy(out->data + 10, packed + 2, size - 2);
  out->size = size + 8;
}

bool ee_due_reserve(struct ee_part *part, size_t entries) {
  if (entries <= part->due_capacity) return true;
  if (entries > SLOTS_MOST) return false;
  size_t capacity = part->due_capacity < CAPACITY_LEAST ? CAPACITY_LEAST : part->due_capacity * 2;
  struct ee_entry **due = realloc(part->due, capacity * sizeof *due);
  if (due == NULL) return false;
  part->due = due;
  part->due_capacity = capacity;
  return true;
}

// Whether a comes before b: by time, then as the rows on disk.
static bool before(const struct ee_entry *a, const struct ee_entry *b) {
  if (a->due_at != b->due_at) return a->due_at < b->due_at;
  return ee_bytes_compare(ee_bytes(a->key, a->key_size), ee_bytes(b->key, b->key_size)) < 0;
}

static void put_at(struct ee_part *part, size_t slot, struct ee_entry *entry) {
  part->due[slot] = entry;
  entry->due_slot = (uint32_t)slot + 1;
}

static void sift_up(struct ee_part *part, size_t slot) {
  struct ee_entry *entry = part->due[slot];
  while (slot > 0 && before(entry, part->due[(slot - 1) / 2])) {
    put_at(part, slot, part->due[(slot - 1) / 2]);
    slot = (slot - 1) / 2;
  }
  put_at(part, slot, entry);
}

static void sift_down(struct ee_part *part, size_t slot) {
  struct ee_entry *entry = part->due[slot];
  for (;;) {
    size_t child = 2 * slot + 1;
    if (child >= part->due_count) break;
    if (child + 1 < part->due_count && before(part->due[child + 1], part->due[child])) child++;
    if (!before(part->due[child], entry)) break;
    put_at(part, slot, part->due[child]);
    slot = child;
  }
  put_at(part, slot, entry);
}

void ee_due_place(struct ee_part *part, struct ee_entry *entry, int64_t due_at) {
  if (entry->due_slot == 0) {
    put_at(part, part->due_count++, entry);
  } else if (entry->due_at == due_at) {
    return;
  }
  entry->due_at = due_at;
  sift_up(part, entry->due_slot - 1);
  sift_down(part, entry->due_slot - 1);
}

void ee_due_remove(struct ee_part *part, struct ee_entry *entry) {
  if (entry->due_slot == 0) return;
  size_t slot = entry->due_slot - 1;
  struct ee_entry *last = part->due[--part->due_count];
  entry->due_slot = 0;
  if (last == entry) return;
  put_at(part, slot, last);
  sift_up(part, slot);
  sift_down(part, last->due_slot - 1);
}

struct ee_entry *ee_due_least(const struct ee_part *part) {
  return part->due_count == 0 ? NULL : part->due[0];
}
