// SPDX-License-Identifier: Apache-2.0
// A step over plain maps in memory, for testing processors as functions: no broker, no
// store, no runtime. Implements ee_step_* itself.
#ifndef EE_TESTS_STEP_DOUBLE_H
#define EE_TESTS_STEP_DOUBLE_H

#include "stream/processor.h"

struct step_double;

struct step_output {
  enum ee_topic topic;
  int32_t partition;  // of the step
  struct ee_bytes key;
  struct ee_bytes value;  // Avro data without framing; data NULL: tombstone
};

struct step_double *step_double_new(const struct ee_processor *processor);
void step_double_free(struct step_double *d);
// Encodes the record, decodes it again as the runtime would, and steps it. False only when
// a failure was injected: what the step did is undone then, and it may be tried again.
// Fails the test when the step returns anything else than its calls gave it cause to.
bool step_double_input(struct step_double *d, enum ee_topic topic, int32_t partition,
                       int64_t offset, int64_t timestamp_micros, const void *record);
// The headers `seq` and `was` of the inputs that follow, as they would be written; NULL: none.
// Borrowed.
void step_double_numbers(struct step_double *d, const char *seq, const char *was);
// A record that the runtime has refused. False: as above.
bool step_double_refused(struct step_double *d, enum ee_topic topic, int32_t partition,
                         int64_t offset, int64_t timestamp_micros);
// For processors with a policy: the version handed to the steps that follow.
void step_double_policy(struct step_double *d, const struct ee_policy_version *policy);
// Applies a tick: wakes every due key of the partition in order (wake_at, changelog, key)
// until none is left; fails the test if a wake makes no progress. offsets by enum ee_topic.
// During a wake ee_step_clock is still the clock before; a tick not above it does nothing.
// False: as above; the tick may be tried again.
bool step_double_tick(struct step_double *d, int32_t partition, int64_t clock_micros,
                      const int64_t offsets[EE_TOPIC_COUNT]);
// For ticks that follow; INT64_MIN at first.
void step_double_judge_from(struct step_double *d, int64_t micros);
// Forgets wake times and asks wake_at for them again, as a restore would.
void step_double_restore(struct step_double *d);
// The same as a restore that has not come to the partition's clock yet.
void step_double_restore_without_clock(struct step_double *d);

struct ee_bytes step_double_state(struct step_double *d, int32_t partition, uint8_t changelog,
                                  struct ee_bytes key);
// Everything put to emitted changelogs and emitted so far, in order.
size_t step_double_outputs(const struct step_double *d, const struct step_output **ret);
void step_double_clear_outputs(struct step_double *d);
// Makes the Nth ee_step_* call from now fail (0: none), to test that steps stop cleanly.
void step_double_fail_at(struct step_double *d, int nth);
// Steps may fail from now on though no call of theirs did: the test makes allocations fail.
void step_double_may_fail(struct step_double *d);

#endif
