// SPDX-License-Identifier: Apache-2.0
// A producer's numbers of one epoch, on one topic and partition: which have arrived, which
// are missing and since when that is known (ARCHITECTURE.md, "Producers' numbers"). Pure
// functions over the state record.
//
// Everything lives in the arena and borrows from what it was made from; evidence that is
// handed in is borrowed as well. Functions return false only when the arena is full or memory
// is out.
#ifndef EE_PROCESSORS_JOIN_SEQUENCE_H
#define EE_PROCESSORS_JOIN_SEQUENCE_H

#include "base/arena.h"
#include "records.h"

// Runs that are kept apart; beyond, the two that lie closest are taken as one.
#define EE_SEQUENCE_GAPS_MAX ((size_t)256)
#define EE_HOLE_REASON_MAX ((size_t)64)  // bytes kept of a declared reason
// How long after its last record a sequence is kept.
#define EE_SEQUENCE_KEPT_CLOSED_MS (INT64_C(7) * 86400000)
#define EE_SEQUENCE_KEPT_MS (INT64_C(30) * 86400000)

struct ee_sequence {
  struct ee_join_sequence known;
  struct ee_arena *arena;
  int64_t grace_ms;
  size_t room;  // for gaps, in an array of our own; 0: they are those of the stored record
};

// `known` is NULL where nothing is stored.
void ee_sequence_init(struct ee_sequence *sequence, const struct ee_join_sequence *known,
                      int64_t grace_ms, struct ee_arena *arena);

// A record with this number of its own, or (`again`) one that had it before. Not negative,
// below INT64_MAX.
bool ee_sequence_arrive(struct ee_sequence *sequence, int64_t number, bool again,
                        struct ee_evidence *at);
// A report that all numbers up to this one are settled. What is no number is passed over, here
// and below.
bool ee_sequence_settle(struct ee_sequence *sequence, int64_t last, struct ee_evidence *at);
// A report that no record will arrive under these numbers.
bool ee_sequence_declare(struct ee_sequence *sequence, const struct ee_producer_hole *hole,
                         struct ee_evidence *at);

// Takes out what a tick with this clock judges. *ret: the holes, each with what exposes it and,
// where they were declared in time, the declaration.
bool ee_sequence_judge(struct ee_sequence *sequence, int64_t epoch, int64_t clock,
                       int64_t judge_from, struct ee_join_gap_array *ret);
// Nothing more is to be expected of it, so that it may be forgotten.
bool ee_sequence_expired(const struct ee_join_sequence *known, int64_t clock);
// The least time at which a tick has something to do.
int64_t ee_sequence_wake_at(const struct ee_join_sequence *known, int64_t grace_ms);

#endif
