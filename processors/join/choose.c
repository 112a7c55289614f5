// SPDX-License-Identifier: Apache-2.0
// Which candidates have room in one lifecycle record: endings before grants before
// annotations, so that an ending is never pushed out.
#include <stdlib.h>

#include "join/envelope.h"

static const enum ee_phase order_of_choice[EE_PHASE_TOPICS] = {
    EE_PHASE_ADMISSION, EE_PHASE_RELEASED, EE_PHASE_FAILED,
    EE_PHASE_FINALIZED, EE_PHASE_RESOLVED, EE_PHASE_ANNOTATION,
};

struct room {
  size_t events;
  size_t bytes;
};

// The usual case: there is room for all.
static bool all_fit(const struct ee_joined *joined, struct room room) {
  for (int p = 0; p < EE_PHASE_TOPICS; p++) {
    const struct ee_join_phase *phase = &joined->phases[p];
    if (phase->count > room.events || phase->bytes > room.bytes) return false;
    room.events -= phase->count;
    room.bytes -= phase->bytes;
  }
  return true;
}

static void take_all(struct ee_joined *joined) {
  for (int p = 0; p < EE_PHASE_TOPICS; p++) {
    for (size_t i = 0; i < joined->phases[p].count; i++) {
      joined->phases[p].events[i].left_out = false;
    }
  }
}

static int compare_offsets(const void *a, const void *b) {
  const struct ee_join_event *const *left = a, *const *right = b;
  int64_t l = (*left)->at.offset, r = (*right)->at.offset;
  return l < r ? -1 : l > r;
}

// Takes from the lowest offset up to the first that does not fit, which it returns.
static bool take_phase(struct ee_join_phase *phase, struct room *room, struct ee_arena *arena,
                       const struct ee_join_event **ret) {
  struct ee_join_event **by_offset = ee_arena_alloc(arena, phase->count * sizeof(void *));
  if (by_offset == NULL) return false;
  for (size_t i = 0; i < phase->count; i++) {
    by_offset[i] = &phase->events[i];
  }
  if (phase->count > 1) qsort(by_offset, phase->count, sizeof(void *), compare_offsets);
  bool open = true;
  for (size_t i = 0; i < phase->count; i++) {
    struct ee_join_event *event = by_offset[i];
    size_t size = event->head->encoded.size;
    open = open && room->events > 0 && size <= room->bytes;
    event->left_out = !open;
    if (open) {
      room->events--;
      room->bytes -= size;
    } else if (*ret == NULL) {
      *ret = event;
    }
  }
  return true;
}

bool ee_joined_choose(struct ee_joined *joined, const struct ee_join_limits *limits,
                      struct ee_arena *arena, const struct ee_join_event **ret) {
  struct room room = {.events = limits->events, .bytes = limits->bytes};
  *ret = NULL;
  if (all_fit(joined, room)) {
    take_all(joined);
    return true;
  }
  for (size_t i = 0; i < EE_PHASE_TOPICS; i++) {
    if (!take_phase(&joined->phases[order_of_choice[i]], &room, arena, ret)) return false;
  }
  return true;
}
