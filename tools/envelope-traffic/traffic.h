// SPDX-License-Identifier: Apache-2.0
// Seeded traffic: the same seed gives the same lines.
#ifndef EE_TOOLS_TRAFFIC_H
#define EE_TOOLS_TRAFFIC_H

#include <stdio.h>

#include "base/slice.h"
#include "tools/traffic/story.h"

struct traffic_settings {
  int64_t envelopes;
  int64_t seed;
  const char *start;
  int64_t span_ms;
};

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

// Takes the events of stories, a line each.
struct story_sink lines_sink(struct lines *lines);
// Adds a record on the admission topic as it is. partition -1: by key.
void lines_add_raw(struct lines *lines, struct ee_str key, struct ee_bytes value, int partition,
                   int64_t sent_at);
bool lines_write(struct lines *lines, FILE *out);
void lines_release(struct lines *lines);

// Adds one record that breaks the contract, a different way for each `kind`. number makes its
// envelope_id.
#define MALFORMED_KINDS 10
void malformed_add(struct lines *lines, struct random *random, int64_t number, int kind,
                   int64_t at);

#endif
