// SPDX-License-Identifier: Apache-2.0
// Seeded traffic: the same seed gives the same lines.
#ifndef EE_TOOLS_TRAFFIC_H
#define EE_TOOLS_TRAFFIC_H

#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "contract/catalogue.h"
#include "records.h"

struct traffic_settings {
  int64_t envelopes;
  int64_t seed;
  const char *start;
  int64_t span_ms;
};

// ---- Randomness.

struct random {
  uint64_t state;
};

uint64_t random_next(struct random *random);
// 0 to below; below > 0.
int64_t random_below(struct random *random, int64_t below);
// True in so many of a thousand.
bool random_chance(struct random *random, int per_mille);

// ---- Lines, collected and then written in the order of the time they are sent.

struct line {
  int64_t sent_at;  // UTC microseconds
  size_t number;    // of equal times the earlier made goes first
  char *text;       // owned
};

struct lines {
  struct line *items;
  size_t count, capacity;
  bool failed;  // no memory
};

// Adds the line of an event of a phase's topic.
void lines_add_event(struct lines *lines, enum ee_topic topic, const void *record, int64_t sent_at);
// Adds a record on the admission topic as it is. partition -1: by key.
void lines_add_raw(struct lines *lines, struct ee_str key, struct ee_bytes value, int partition,
                   int64_t sent_at);
bool lines_write(struct lines *lines, FILE *out);
void lines_release(struct lines *lines);

// ---- Stories.

// One envelope's events, whatever becomes of it. number makes its ids.
void story_tell(struct lines *lines, struct random *random, int64_t number, int64_t at);
// One record that breaks the contract, a different way for each `kind`.
#define MALFORMED_KINDS 10
void story_malformed(struct lines *lines, struct random *random, int64_t number, int kind,
                     int64_t at);

#endif
