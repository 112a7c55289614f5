// SPDX-License-Identifier: Apache-2.0
// Where logs begin and end.
#ifndef EE_STREAM_KAFKA_OFFSETS_H
#define EE_STREAM_KAFKA_OFFSETS_H

#include <librdkafka/rdkafka.h>

// The protocol's special times (ListOffsets). The end is the one that the handle's isolation sees.
enum ee_log_offset { EE_LOG_END = -1, EE_LOG_START = -2 };

// Blocks: sets the offsets of the list; with an error they mean nothing. An error of one partition
// is the error of all: *ret_about is its place in the list, -1: it is no partition's.
//
// To be asked again, however long it takes: a partition that had no leader when librdkafka (2.0 to
// 2.8) last heard of its topic has none to it until what it heard grows old, for minutes; it does
// not ask. So after such an error the topic is asked for here, for timeout_ms once more.
rd_kafka_resp_err_t ee_kafka_offsets(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *list,
                                     enum ee_log_offset which, int timeout_ms, int *ret_about);

// The place of the first partition with an error of its own; -1: there is none.
int ee_kafka_first_error(const rd_kafka_topic_partition_list_t *list);

#endif
