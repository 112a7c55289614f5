// SPDX-License-Identifier: Apache-2.0
// What a processor is: a pure step over records and state, and the table that says what
// it reads and keeps. It reads no clock, no randomness and no network; the runtime does
// everything else.
#ifndef EE_STREAM_PROCESSOR_H
#define EE_STREAM_PROCESSOR_H

#include "base/arena.h"
#include "contract/event.h"
#include "stream/store.h"
#include "wire/headers.h"

// An input record, validated, decoded and checked (key, partition, contract).
struct ee_input {
  enum ee_topic topic;
  int32_t partition;
  int64_t offset;
  int64_t timestamp;     // append time, UTC microseconds
  const void *record;    // the generated struct of the topic's value, in the reader's schema
  struct ee_bytes avro;  // the Avro data as the producer wrote it, without framing
  const struct ee_policy_version *policy;  // in force at the append time; NULL: the built-in one
  // Of the headers of phase events, for processors that use them; producer.data NULL: it has
  // none, or one that is not well formed.
  struct ee_record_number seq, was;
};

struct ee_policy_version {
  int64_t number;     // offset plus one; 0: built in
  int64_t effective;  // UTC microseconds
  const struct ee_policy *policy;
};

// A tick being applied to its partition.
struct ee_tick_view {
  int64_t clock;           // its as_of, above the partition's clock so far
  const int64_t *offsets;  // by enum ee_topic: records below are the tick's; INT64_MAX: not named
  // Envelopes with an event appended before this are not judged (their beginnings may have
  // been cut off by retention); INT64_MIN: all are.
  int64_t judge_from;
};

// One step's access to state and outputs. Valid during the step.
struct ee_step;

struct ee_arena *ee_step_arena(struct ee_step *step);  // cleared after the step
int64_t ee_step_clock(const struct ee_step *step);     // the partition's; INT64_MIN: none yet
struct ee_str ee_step_topic_name(const struct ee_step *step, enum ee_topic topic);

// All of these return false when the step cannot go on (disk, memory, broker); the step
// then returns false at once and the runtime aborts, waits and tries again.

// State of this partition, as Avro data of the changelog's record (no framing); data NULL
// when there is none. Borrowed until the next call on the step.
bool ee_step_get(struct ee_step *step, uint8_t changelog, struct ee_bytes key,
                 struct ee_bytes *ret);
// Sets state. A changelog that is `emitted` writes a record now (not for a woken key whose
// value stays the same); another one writes the last value of each key when the
// transaction ends. value data NULL: tombstone. Copies; key and value may be borrowed from
// the last get.
// wake_at: the clock at which `wake` is to be called for this key, or EE_NEVER.
bool ee_step_put(struct ee_step *step, uint8_t changelog, struct ee_bytes key,
                 struct ee_bytes value, int64_t wake_at);
// Writes a derived record to a topic that is not one of the changelogs: by the topic's
// partitioning, EE_PARTITION_AS_INPUT being the step's own partition.
bool ee_step_emit(struct ee_step *step, enum ee_topic topic, struct ee_bytes key,
                  struct ee_bytes value);

struct ee_changelog {
  enum ee_topic topic;
  bool emitted;  // one record a put, with the header `in`; else one a key and transaction
};

struct ee_processor_ops {
  const char *name;             // "join"
  const enum ee_topic *inputs;  // ticks included
  size_t input_count;
  const enum ee_topic *outputs;  // what step and wake emit, changelogs not repeated
  size_t output_count;
  const struct ee_changelog *changelogs;
  size_t changelog_count;
  // The changelog whose record type has the fields `partition` (PartitionState, kept by
  // the runtime under ["p","clock"]).
  uint8_t state_changelog;
  bool uses_policy;
  bool uses_numbers;

  // One record. False: see ee_step_get. A record is never refused here: what a
  // processor cannot use it ignores or reports in its outputs.
  bool (*step)(void *self, struct ee_step *step, const struct ee_input *input);
  // A record that the runtime has made a dead letter: `record` is NULL and `avro` empty, but
  // its place, time and numbers are known. NULL: the processor has no interest in them.
  bool (*refused)(void *self, struct ee_step *step, const struct ee_input *input);
  // A key whose wake_at the tick's clock has reached. Must put it again with a wake_at
  // beyond that clock, or (bounded work) after making progress.
  bool (*wake)(void *self, struct ee_step *step, const struct ee_tick_view *tick, uint8_t changelog,
               struct ee_bytes key, struct ee_bytes value);
  // The wake_at that belongs to a record of a changelog, so that a restore knows it. clock: as
  // ee_step_clock, or INT64_MIN while the restore has not come to it: then the least time
  // that may still have to be judged. Judging again must be harmless.
  int64_t (*wake_at)(void *self, uint8_t changelog, struct ee_bytes key, const void *record,
                     int64_t clock, struct ee_arena *arena);
};

struct ee_processor {
  const struct ee_processor_ops *ops;
  void *self;  // settings, immutable while it runs
};

#endif
