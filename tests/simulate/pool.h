// SPDX-License-Identifier: Apache-2.0
// Envelopes to choose from: their events framed and ready to append, made once and shared by
// all seeds.
#ifndef EE_TESTS_SIMULATE_POOL_H
#define EE_TESTS_SIMULATE_POOL_H

#include "base/arena.h"
#include "contract/catalogue.h"
#include "wire/codec.h"

struct pool_event {
  enum ee_topic topic;
  struct ee_bytes key, value;
  struct ee_str event_id;
};

struct pool_envelope {
  struct pool_event *events;  // in the order they are sent
  size_t count;
  bool repeats;  // an event_id or the admission is there twice
};

struct pool {
  struct ee_arena arena;
  struct pool_envelope *envelopes;
  size_t count;
  struct pool_event *policies;  // versions of two policies
  size_t policy_count;
};

// Exits when it cannot be made.
void pool_make(struct pool *pool, struct ee_codec *codec, size_t envelopes);
void pool_free(struct pool *pool);

#endif
