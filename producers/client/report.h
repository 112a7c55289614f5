// SPDX-License-Identifier: Apache-2.0
// What one epoch has to report of its numbers (schemas/producer.avsc): of each partition that
// has something new, its last numbers and holes. Pure; what is reported is known only when the
// report was written. A hole is kept until all before it is acknowledged too: the next opening
// would take its numbers for lost.
#ifndef EE_CLIENT_REPORT_H
#define EE_CLIENT_REPORT_H

#include "base/arena.h"
#include "records.h"
#include "spool/numbers.h"

#define EE_REPORT_HOLES_MAX ((size_t)1000)  // of one report

struct ee_reporter {
  struct ee_numbers *numbers;  // borrowed
  bool ended;                  // the epoch gives no more numbers: reports say so
  uint64_t *told;              // by count: acked, as was reported
  uint64_t *telling;           // as the report under way has it
  uint32_t *telling_holes;     // by hole: the checksum of the one that is under way; 0: none
  uint32_t *told_holes;        // likewise: of the one that was reported
  bool *under_way;             // by partition
  bool *telling_end;           // the one under way says that the epoch has ended
  bool *ended_told;
};

bool ee_reporter_init(struct ee_reporter *reporter, struct ee_numbers *numbers, bool ended);
void ee_reporter_release(struct ee_reporter *reporter);

// Whether a partition has something to report, and no report under way.
bool ee_reporter_due(const struct ee_reporter *reporter, int32_t partition);
// Of an ended one: whether all of it was reported.
bool ee_reporter_all_told(const struct ee_reporter *reporter);
// The report of a partition that is due; it is under way then. topics: full names by topic, all
// borrowed. False: the arena is full, and nothing is under way.
bool ee_reporter_make(struct ee_reporter *reporter, int32_t partition,
                      const struct ee_str topics[EE_NUMBERS_TOPICS], struct ee_arena *arena,
                      struct ee_producer_report *ret);
// It was written, or was not.
void ee_reporter_result(struct ee_reporter *reporter, int32_t partition, bool written);

#endif
