// SPDX-License-Identifier: Apache-2.0
// What the tests of the runtime share: a cluster in memory, one instance on it that can be
// crashed and started again, and a processor that counts, so that a lost or doubled step
// shows. Each envelope's lifecycle record lists every event that it has seen; a tick ten
// seconds after the first of them sets closed_at to the tick's clock.
#ifndef EE_TESTS_RUNTIME_RIG_H
#define EE_TESTS_RUNTIME_RIG_H

#include "base/time.h"
#include "stream/embedded_broker.h"
#include "stream/runtime.h"
#include "support/faulty_broker.h"
#include "support/test.h"

#define PARTITIONS 4
#define SECOND EE_MICROS_PER_S
#define START_MS INT64_C(1780000000000)  // the cluster's time at first
#define RIG_LIMIT ((size_t)256 << 20)

// How the counter differs from the one above.
struct counter_ways {
  bool forgets;        // a tick deletes the record instead
  bool looks_only;     // a tick changes nothing
  bool tells_version;  // evidence names, as event_id, the policy version in force
};

struct rig {
  struct ee_cluster *cluster;
  struct ee_known *known;
  struct ee_codec *codec;
  struct ee_broker *broker;
  struct faulty_broker faulty;  // before broker
  struct ee_store *store;
  const char *instance;   // borrowed; NULL: "one"
  const char *directory;  // borrowed, of the store; NULL: it is in memory
  struct ee_metrics metrics;
  struct ee_runtime *runtime;
  struct ee_runtime_settings settings;
  struct counter_ways ways;
  struct ee_processor processor;  // the counter unless a test sets another one
  int64_t now_ms;
  struct ee_err err;
};

extern const struct ee_processor_ops counter_ops;         // reads no policy
extern const struct ee_processor_ops policy_counter_ops;  // reads the policy

// For cmocka: *state is a rig with nothing running.
int rig_setup(void **state);
int rig_teardown(void **state);

// Starts the instance in a group; the group's name is "counter" where none is given.
void rig_start(struct rig *rig);
void rig_start_group(struct rig *rig, const char *group);
// Nothing is finished; what a store without a directory held is gone.
void rig_crash(struct rig *rig);

enum ee_runtime_state rig_turn(struct rig *rig);  // 5 ms later
// Fails the test if the runtime does.
void rig_turns(struct rig *rig, int count);

// Appends Avro data, framed. partition -1: by key.
void rig_append(struct rig *rig, enum ee_topic topic, struct ee_str key, struct ee_bytes avro,
                int32_t partition);
// The least that an admission has; borrows both.
struct ee_admission rig_admission(const char *envelope, const char *event);
void rig_append_record(struct rig *rig, const struct ee_admission *record);
void rig_append_admission(struct rig *rig, const char *envelope, const char *event);
// Events number from to below to, of ten envelopes in turn.
void rig_append_many(struct rig *rig, int from, int to);
// A tick with the offsets of admissions, grants and receipts as they are now.
void rig_append_tick(struct rig *rig, int32_t partition, int64_t as_of);

// Another process opens a transaction with a record in each partition of the topic, and
// is heard of no more; the second call does what Kafka does after a while.
struct ee_broker *rig_freeze_other(struct rig *rig, enum ee_topic topic);
void rig_expire_other(struct rig *rig, struct ee_broker *other);

int32_t rig_partition_of(const char *envelope);
// The newest committed lifecycle record of an envelope; false: none, or a tombstone.
// records: how many there are.
bool rig_newest(struct rig *rig, const char *envelope, struct ee_arena *arena,
                struct ee_lifecycle *ret, size_t *records);
// Every event of the envelope once: as many lines of evidence, no offset twice.
void rig_assert_counted(struct rig *rig, const char *envelope, size_t events);
// The same of each envelope of rig_append_many.
void rig_assert_all_counted(struct rig *rig, size_t each);
// Committed records of all partitions.
size_t rig_count(struct rig *rig, enum ee_topic topic);

#endif
