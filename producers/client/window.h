// SPDX-License-Identifier: Apache-2.0
// What was read from the spool and is not settled yet, in the spool's order: a ring in which
// records are done in any order and leave in order. Pure.
//
//   head ... cursor ... tail      settled | sent, or to be passed over | known from before, after
//                                 a rewind | not read yet
#ifndef EE_CLIENT_WINDOW_H
#define EE_CLIENT_WINDOW_H

#include "spool/spool.h"

#define EE_WINDOW_SIZE ((size_t)1 << 16)

enum ee_window_state {
  EE_WINDOW_READY,    // to be sent
  EE_WINDOW_SENT,     // its result is to come
  EE_WINDOW_ALONE,    // to be sent when nothing else is under way
  EE_WINDOW_LONELY,   // sent so
  EE_WINDOW_REFUSED,  // to be kept aside
  EE_WINDOW_DONE,     // written, kept aside, or nothing that could be sent
};

struct ee_window_entry {
  struct ee_spool_at end;  // behind it in the spool
  uint64_t number;         // if numbered: under this epoch
  uint64_t was_number;     // if was_epoch is not 0: under that one
  uint32_t was_epoch;
  int32_t partition;
  uint8_t topic;
  uint8_t state;
  bool record;      // else a torn place or a missing segment
  bool numbered;    // it is on a topic of a phase
  int64_t offset;   // in Kafka; -1: not written
  const char *why;  // it was refused; static
  // envelope_id and event_id, each with a NUL; owned; NULL: nobody asks, or it is no event.
  char *ids;
};

struct ee_window {
  struct ee_window_entry *entries;  // EE_WINDOW_SIZE, owned
  uint64_t head, cursor, tail;
  size_t under_way;  // SENT and LONELY
};

static inline struct ee_window_entry *ee_window_at(const struct ee_window *window, uint64_t i) {
  return &window->entries[i % EE_WINDOW_SIZE];
}

bool ee_window_init(struct ee_window *window);
void ee_window_release(struct ee_window *window);
static inline bool ee_window_full(const struct ee_window *window) {
  return window->tail - window->head == EE_WINDOW_SIZE;
}
// Adds one at the tail; the window is not full.
struct ee_window_entry *ee_window_push(struct ee_window *window);
// Takes away what is known from the cursor on. Nothing is under way.
void ee_window_forget(struct ee_window *window);
// The oldest, if it is done and the cursor has passed it; taken away by pop. NULL: it is not.
struct ee_window_entry *ee_window_done(struct ee_window *window);
void ee_window_pop(struct ee_window *window);

#endif
