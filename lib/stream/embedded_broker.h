// SPDX-License-Identifier: Apache-2.0
// The embedded log: a cluster in memory with honest transactions (markers that take an
// offset, a last stable offset, aborted records unseen by read_committed readers,
// fencing by transactional.id), consumer groups with range assignment and static
// members, and an append time that its owner sets. One thread; nothing waits: an
// operation finishes at the next poll.
#ifndef EE_STREAM_EMBEDDED_BROKER_H
#define EE_STREAM_EMBEDDED_BROKER_H

#include "stream/broker.h"

struct ee_cluster;

#define EE_CLUSTER_PARTITIONS_MAX 1024

// partitions: the common count; a topic that has one only by the catalogue has one.
// memory_limit bounds all logs together.
bool ee_cluster_new(const char *topic_prefix, int32_t partitions, size_t memory_limit,
                    struct ee_cluster **ret, struct ee_err *err);
void ee_cluster_free(struct ee_cluster *cluster);

// Append time of what is produced from now on; never goes back.
void ee_cluster_set_time(struct ee_cluster *cluster, int64_t unix_ms);
int64_t ee_cluster_time(const struct ee_cluster *cluster);

// Appends outside transactions. partition -1: by murmur2 of the key. timestamp_ms is
// used on topics without append time (-1: the cluster's time). Returns the offset, -1
// when memory_limit is passed or there is no such partition.
int64_t ee_cluster_append(struct ee_cluster *cluster, const struct ee_output *output,
                          int64_t timestamp_ms);
// Loads a record of another log at its own offset and append time (offsets ascend; gaps
// stay gaps, as transaction markers and compaction leave them). The first one is the log's
// start, unless the topic is compacted: that starts at 0.
bool ee_cluster_load(struct ee_cluster *cluster, struct ee_tp tp, int64_t offset,
                     int64_t timestamp_ms, struct ee_bytes key, struct ee_bytes value,
                     const struct ee_header *headers, size_t header_count, struct ee_err *err);
// Moves a partition's end up to `offset` (a gap at the end), so that end offsets are
// those of the log it was loaded from.
void ee_cluster_load_end(struct ee_cluster *cluster, struct ee_tp tp, int64_t offset);

// Committed records in order, for reading a whole topic: returns the next one at or
// after *offset and moves it behind, or NULL at the end. Borrowed until the next append.
const struct ee_message *ee_cluster_next(struct ee_cluster *cluster, struct ee_tp tp,
                                         int64_t *offset);
int64_t ee_cluster_end(const struct ee_cluster *cluster, struct ee_tp tp,
                       enum ee_isolation isolation);
int32_t ee_cluster_partitions(const struct ee_cluster *cluster, enum ee_topic topic);
// With the prefix; borrowed for the cluster's life.
struct ee_str ee_cluster_topic_name(const struct ee_cluster *cluster, enum ee_topic topic);
// All headers of a message of this cluster, as long as it has not been given back.
const struct ee_header *ee_cluster_headers(const struct ee_message *message, size_t *ret_count);

// A member of `group`; group and instance together are its transactional.id. Joins the
// group at the first poll after subscribe, commits offsets without being a member when it
// never subscribed. Closing leaves an open transaction open, as Kafka does until it times
// out. The cluster outlives its brokers.
bool ee_embedded_broker_new(struct ee_cluster *cluster, const char *group, const char *instance,
                            struct ee_broker **ret, struct ee_err *err);

// The death of a member's process: frees the broker; to the cluster it is still there,
// with its partitions, its transaction and its pending offsets.
void ee_embedded_broker_abandon(struct ee_broker *broker);
// What a cluster does when nothing has been heard of a member for long: takes it out of
// the group (alive, it sees its partitions as lost and joins anew) and fences and aborts
// its open transaction.
void ee_cluster_expire(struct ee_cluster *cluster, const char *group, const char *instance);

#endif
