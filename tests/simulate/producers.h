// SPDX-License-Identifier: Apache-2.0
// Producers that number their records, lose some, send some again, begin new epochs and report
// on the old: what they say is so, but for numbers that are lost without a word.
#ifndef EE_TESTS_SIMULATE_PRODUCERS_H
#define EE_TESTS_SIMULATE_PRODUCERS_H

#include "base/buf.h"
#include "stream/broker.h"
#include "tools/traffic/random.h"

#define PRODUCERS 2
#define PRODUCER_PARTITIONS_MAX 3
#define OWED_MAX 8
#define PRODUCER_HOLES_MAX 8

// The headers of one record, as text; empty: it has none.
struct numbered {
  char seq[64], was[64];
};

// What one epoch has given on one topic and partition.
struct numbering {
  int64_t next;
  int64_t owed[OWED_MAX];  // not acknowledged, ascending: they are sent again
  size_t owed_count;
  struct producer_hole {
    int64_t number;
    const char *reason;
  } holes[PRODUCER_HOLES_MAX];  // to be declared
  size_t hole_count;
};

struct producer {
  int64_t epoch, former;  // -1: there is no former one
  struct numbering now[EE_PHASE_TOPICS][PRODUCER_PARTITIONS_MAX];
  struct numbering before[EE_PHASE_TOPICS][PRODUCER_PARTITIONS_MAX];
};

struct producers {
  struct random *random;  // borrowed
  struct producer all[PRODUCERS];
};

void producers_init(struct producers *producers, struct random *random, int64_t now_ms);
// One of them, or one that gives no numbers, sends a record to a phase topic.
void producers_number(struct producers *producers, struct ee_tp tp, struct numbered *ret);
// Returns how many headers there are; they borrow.
size_t numbered_headers(const struct numbered *numbered, struct ee_header out[2]);
// Appends a ProducerReport on this partition to out, by one of them and on one of its epochs.
// Topics are named as in the catalogue.
void producers_report(struct producers *producers, int32_t partition, struct ee_buf *out);

#endif
