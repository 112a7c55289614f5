// SPDX-License-Identifier: Apache-2.0
// An outlet that is no Kafka: it keeps what is written, fails as it is told, and says at the end
// which numbers a reader misses.
#ifndef EE_TESTS_SENDER_DOUBLE_H
#define EE_TESTS_SENDER_DOUBLE_H

#include "client/outlet.h"
#include "tests/unit/contract/random_record.h"

#define PARTITIONS 3
#define TOPICS 6
#define EPOCHS 64     // openings of one spool
#define NUMBERS 8192  // of one epoch, topic and partition
#define EVENTS 8192

// What readers know of one epoch's numbers on one topic's partition.
struct sequence {
  bool arrived[NUMBERS];
  int64_t highest;         // number that is known to have been given; -1: none
  bool declared[NUMBERS];  // as lost
  bool closed;
};

// Records on their way.
struct flight {
  uint64_t tag;
  enum ee_topic topic;
  int32_t partition;
  int64_t event;  // -1: a report
  char seq[128], was[128];
  uint8_t *report;  // owned
  size_t report_size;
};

struct outlet_double {
  struct random random;
  uint32_t first_epoch;
  // What goes wrong, in per mille.
  int later, again, broken, unknown_partitions;
  bool away;  // nothing is taken
  bool unknown_schema;
  int32_t partitions;  // PARTITIONS, but for a test
  int most_batches;    // that one turn answers
  bool unauthorised[TOPICS];
  bool poison[EVENTS];  // refused when alone, and those beside it when not
  // What happened.
  struct flight *flights;
  size_t flight_count, flight_room;
  bool is_broken;
  int64_t offset;
  int delivered[EVENTS];
  int64_t offset_of[EVENTS];  // where it was written last
  size_t written, reports;
  bool partitions_told;  // the test sets it back
  size_t asked;          // for partitions
  struct sequence sequences[EPOCHS][TOPICS][PARTITIONS];
};

struct outlet_double *double_new(uint64_t seed, uint32_t first_epoch);
void double_free(struct outlet_double *outlet);
struct ee_outlet double_outlet(struct outlet_double *outlet);
// The process is gone: what was under way was written or was not.
void double_crash(struct outlet_double *outlet);
// Numbers that were given on a topic's partition, in all epochs, and never arrived.
int64_t double_missing(const struct outlet_double *outlet, int topic, int partition);
int64_t double_declared(const struct outlet_double *outlet, int topic, int partition);

#endif
