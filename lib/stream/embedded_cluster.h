// SPDX-License-Identifier: Apache-2.0
// The parts of the embedded cluster (private to embedded_*.c): logs, transactions,
// groups. Each change of their state is one function here, so that a simulator can put
// delays and losses between them. One thread; nothing here waits.
#ifndef EE_STREAM_EMBEDDED_CLUSTER_H
#define EE_STREAM_EMBEDDED_CLUSTER_H

#include "stream/embedded_broker.h"

// ---- Logs.

struct ee_header_block {
  size_t count;
  struct ee_header items[];
};

struct ee_log_record {
  int64_t offset;
  int64_t timestamp_ms;
  const uint8_t *key, *value;             // in the cluster's chunks; NULL: none
  const struct ee_header_block *headers;  // likewise
  uint32_t key_size, value_size;
  uint32_t transaction;  // 0: outside any
};

struct ee_log {
  struct ee_log_record *records;  // owned; by ascending offset, with gaps
  size_t count, capacity;
  int64_t start, end;
  uint32_t open;  // transactions with records here that have not ended
};

enum ee_transaction_state { EE_TRANSACTION_OPEN, EE_TRANSACTION_COMMITTED, EE_TRANSACTION_ABORTED };

struct ee_chunk;
struct ee_producer;
struct ee_group;

// Who a message belongs to: `owner` of struct ee_message.
struct ee_batch {
  size_t live;  // messages not given back
  struct ee_item {
    struct ee_batch *batch;
    const struct ee_header_block *headers;
  } items[];
};

struct ee_cluster {
  int32_t partitions;
  size_t memory, memory_limit;
  int64_t time_ms;
  bool holds_markers;  // they are written by ee_transaction_mark, as late as its caller likes
  char *names[EE_TOPIC_COUNT];  // owned
  size_t first_log[EE_TOPIC_COUNT + 1];
  struct ee_log *logs;      // owned; by topic and partition
  struct ee_chunk *chunks;  // owned; the one being filled first
  uint8_t *transactions;    // owned; enum ee_transaction_state by number, 0 committed
  uint32_t transaction_count, transaction_capacity;
  struct ee_producer *producers;  // owned list
  struct ee_group *groups;        // owned list
  struct ee_message next;         // what ee_cluster_next last returned
  struct ee_item next_item;
};

// NULL when the cluster has no such partition.
struct ee_log *ee_log_of(const struct ee_cluster *cluster, struct ee_tp tp);
size_t ee_log_index(const struct ee_cluster *cluster, struct ee_tp tp);
// Appends a copy and returns its offset, -1 when the memory limit is passed.
int64_t ee_log_append(struct ee_cluster *cluster, struct ee_tp tp, const struct ee_output *output,
                      int64_t timestamp_ms, uint32_t transaction);
int64_t ee_log_timestamp(const struct ee_cluster *cluster, enum ee_topic topic, int64_t given_ms);
// The partition an output goes to: its own, or by key when it says -1. -1: there is none.
int32_t ee_log_partition(const struct ee_cluster *cluster, const struct ee_output *output);
// End of what read_committed readers may see.
int64_t ee_log_stable(const struct ee_cluster *cluster, const struct ee_log *log);
// Index of the first record at or after the offset.
size_t ee_log_find(const struct ee_log *log, int64_t offset);
bool ee_log_committed(const struct ee_cluster *cluster, const struct ee_log_record *record);
void ee_log_message(struct ee_tp tp, const struct ee_log_record *record, struct ee_item *item,
                    struct ee_message *ret);
// Takes so many bytes of the memory limit, for any of the cluster's growing arrays.
bool ee_cluster_claim(struct ee_cluster *cluster, size_t size);

// ---- Transactions.

// What the cluster knows under one transactional.id.
struct ee_producer {
  struct ee_producer *next;
  char *id;              // owned
  uint32_t epoch;        // that of the present holder
  uint32_t transaction;  // number of the one that is open or ending, 0: none
  bool ending;           // decided, and markers are still to be written
  bool commits;          // how it was decided
  int64_t *first;        // owned; by log: offset of the open one's first record, -1: none
  size_t *touched;       // owned; indices of the logs it has records in
  size_t touched_count;
  struct ee_group *group;        // of the pending offsets, NULL: none
  struct ee_tp_offset *offsets;  // owned; pending until the transaction ends
  size_t offset_count;
};

// The producer of that id, made when missing; NULL: no memory.
struct ee_producer *ee_producer_of(struct ee_cluster *cluster, const char *group,
                                   const char *instance);
// Fences the holder and aborts its open transaction.
void ee_producer_fence(struct ee_cluster *cluster, struct ee_producer *producer);
// Likewise, and returns the new holder's epoch; 0: not yet, markers are to be written first.
uint32_t ee_producer_init(struct ee_cluster *cluster, struct ee_producer *producer);
// RETRY: no memory, which may come back; FATAL: the cluster's limit, which stays passed.
enum ee_outcome_class ee_transaction_begin(struct ee_cluster *cluster,
                                           struct ee_producer *producer);
int64_t ee_transaction_append(struct ee_cluster *cluster, struct ee_producer *producer,
                              struct ee_tp tp, const struct ee_output *output);
// Adds the group's offsets to the open transaction: pending until it ends. False: no memory.
bool ee_transaction_send_offsets(struct ee_producer *producer, struct ee_group *group,
                                 const struct ee_tp_offset *offsets, size_t count);
// Decides the open transaction. Its markers are written at once, unless the cluster holds
// them back.
void ee_transaction_end(struct ee_cluster *cluster, struct ee_producer *producer, bool commit);
// Writes one marker of a transaction that is ending: that of the log touched[which], or, from
// touched_count on, that of the group's offsets. The last one ends it.
void ee_transaction_mark(struct ee_cluster *cluster, struct ee_producer *producer, size_t which);
void ee_producers_free(struct ee_cluster *cluster);

// ---- Groups.

struct ee_client;

struct ee_member {
  struct ee_member *next;    // by instance
  char *instance;            // owned
  struct ee_client *client;  // borrowed; NULL: its process is gone
  bool topics[EE_TOPIC_COUNT];
  bool joined;             // waits for the next generation
  bool offered;            // its assignment has not been reported yet
  struct ee_tp *assigned;  // owned, with room for every partition of its topics
  size_t assigned_count;
};

struct ee_committed {
  int64_t offset;  // EE_OFFSET_NONE: none
  char metadata[EE_OFFSET_METADATA_SIZE];
};

struct ee_group {
  struct ee_group *next;
  char *name;  // owned
  int32_t generation;
  bool rebalancing;              // until every member has joined
  struct ee_member *members;     // owned list
  struct ee_committed *offsets;  // owned; by log
};

// The group of that name, made when missing; NULL: no memory.
struct ee_group *ee_group_of(struct ee_cluster *cluster, const char *name);
// Joins, or takes the place of the member with the same instance, whose client is
// returned in *ret_replaced (NULL: none). NULL: no memory.
struct ee_member *ee_group_join(struct ee_cluster *cluster, struct ee_group *group,
                                const char *instance, const bool topics[EE_TOPIC_COUNT],
                                struct ee_client *client, struct ee_client **ret_replaced);
// The member has given up what it had and waits for the next generation.
void ee_group_rejoin(struct ee_cluster *cluster, struct ee_group *group, struct ee_member *member);
void ee_group_remove(struct ee_cluster *cluster, struct ee_group *group, struct ee_member *member);
// A transaction that has not ended would change the group's offset of the partition.
bool ee_group_pending(const struct ee_cluster *cluster, const struct ee_group *group,
                      struct ee_tp tp);
void ee_groups_free(struct ee_cluster *cluster);

// The client's membership has timed out.
void ee_client_expire(struct ee_client *client);

#endif
