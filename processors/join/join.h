// SPDX-License-Identifier: Apache-2.0
// The join: everything known under one envelope_id, as one record (ARCHITECTURE.md, "The
// join"). Pure: a function of the records and ticks it is given.
#ifndef EE_PROCESSORS_JOIN_JOIN_H
#define EE_PROCESSORS_JOIN_JOIN_H

#include "contract/deadline.h"
#include "stream/processor.h"

struct ee_join_limits;

struct ee_join_settings {
  struct ee_deadlines deadlines;
  int64_t grace_ms;                     // after a deadline, before a tick judges it
  int64_t orphan_grace_ms;              // after the first event without an admission
  int64_t retire_after_ms;              // 0: never
  const struct ee_join_limits *limits;  // NULL: the contract's; smaller ones are for tests
};

// Borrows the settings for as long as the processor is used.
struct ee_processor ee_join_processor(const struct ee_join_settings *settings);

#endif
