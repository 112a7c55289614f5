// SPDX-License-Identifier: Apache-2.0
// The topic catalogue (design, section 2), from schemas/topics.json: the one list of
// topics with their keys, value schemas and settings.
#ifndef EE_CONTRACT_CATALOGUE_H
#define EE_CONTRACT_CATALOGUE_H

#include "contract/type.h"

// Values index ee_topics[]. The six phases come first, in phase order.
enum ee_topic {
  EE_TOPIC_ADMISSION,
  EE_TOPIC_RESOLVED,
  EE_TOPIC_FINALIZED,
  EE_TOPIC_FAILED,
  EE_TOPIC_RELEASED,
  EE_TOPIC_ANNOTATION,
  EE_TOPIC_PRODUCER,
  EE_TOPIC_OBLIGATION,
  EE_TOPIC_TICK,
  EE_TOPIC_POLICY,
  EE_TOPIC_LIFECYCLE,
  EE_TOPIC_VIOLATION,
  EE_TOPIC_GOVERNANCE,
  EE_TOPIC_AUDIT,
  EE_TOPIC_AUDIT_CHECKPOINT,
  EE_TOPIC_USAGE,
  EE_TOPIC_USAGE_TENANT,
  EE_TOPIC_DEADLETTER,
  EE_TOPIC_JOIN_STATE,
  EE_TOPIC_GOVERNANCE_STATE,
  EE_TOPIC_ACCOUNTING_STATE,
  EE_TOPIC_COUNT
};
#define EE_PHASE_TOPICS 6  // also the values of enum ee_phase, in the same order

enum ee_cleanup {
  EE_CLEANUP_DELETE,
  EE_CLEANUP_COMPACT,
  EE_CLEANUP_OTHER,  // both, or neither: of no topic of ours, but brokers allow it
};
enum ee_partitioning {
  EE_PARTITION_BY_KEY,    // murmur2 of the key
  EE_PARTITION_EXPLICIT,  // the writer says
  EE_PARTITION_SINGLE,    // one partition only
  EE_PARTITION_AS_INPUT,  // that of the input record
};

struct ee_topic_info {
  const char *name;                    // envelope.admission.v1, without prefix
  const struct ee_record_type *value;  // NULL: the bytes of another topic (dead letters)
  const char *key;                     // what the key is, in words
  const char *writer;                  // who writes it
  enum ee_partitioning partitioning;
  enum ee_cleanup cleanup;
  int64_t retention_ms;  // -1: for ever (and for compacted topics)
  int64_t max_message_bytes;
  bool append_time;        // message.timestamp.type=LogAppendTime, checked at start
  bool common_partitions;  // has the set's common number of partitions
  const char *doc;
};

extern const struct ee_topic_info ee_topics[EE_TOPIC_COUNT];

// The topic of that name without prefix, or -1.
int ee_topic_find(struct ee_str name);

#endif
