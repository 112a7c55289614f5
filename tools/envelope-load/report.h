// SPDX-License-Identifier: Apache-2.0
// What is told of a run: while it lasts, a line each second for a person or log lines, and at its
// end a summary. One thread.
#ifndef EE_TOOLS_LOAD_REPORT_H
#define EE_TOOLS_LOAD_REPORT_H

#include "base/buf.h"
#include "tools/envelope-load/load.h"

#define BEHIND_US INT64_C(100000)  // from here on it is said

struct report {
  bool person;  // standard error is a terminal
  int64_t begun_ms, told_ms, warned_ms;
  bool held_told;
  uint64_t events, acknowledged;  // when last told
  struct tally calls;
};

void report_init(struct report *report, bool person, int64_t now_ms);
// Tells how it goes if it is time to.
void report_turn(struct report *report, struct load *load, int64_t now_ms);

// The summary as one JSON object, without a newline. Latencies are in nanoseconds. Ask out->failed.
// Pure.
struct summary {
  struct load_counts counts;
  struct tally calls, late;
  int64_t emitting_ms, all_ms;  // until the last event was emitted, until all was acknowledged
  bool ok;
};
void report_summary(const struct summary *summary, struct ee_buf *out);

#endif
