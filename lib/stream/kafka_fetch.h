// SPDX-License-Identifier: Apache-2.0
// Reading partitions: those of the group and those read by hand, all through one consumer
// that is assigned by hand. What is wanted is written down by the calls and brought about
// by the next turn; so a turn after a rewind reports nothing from before it.
//
// One thread. Nothing blocks longer than librdkafka's own threads take to answer.
#ifndef EE_STREAM_KAFKA_FETCH_H
#define EE_STREAM_KAFKA_FETCH_H

#include "stream/kafka_handle.h"

#define EE_KAFKA_BATCH 1000            // most messages of one turn
#define EE_KAFKA_PARTITION_MAX 100000  // a partition's number stays below

struct ee_kafka_partition;

struct ee_kafka_fetch {
  struct ee_kafka_handle *handle;                     // owned
  struct ee_kafka_partition **parts[EE_TOPIC_COUNT];  // owned, by number, NULL: never wanted
  int32_t counts[EE_TOPIC_COUNT];                     // sizes of these arrays
  struct ee_kafka_partition *changed;                 // list of those to bring about
  rd_kafka_message_t *batch[EE_KAFKA_BATCH];
  struct ee_message messages[EE_KAFKA_BATCH];
  int64_t data_ms;   // when messages arrived last, monotonic
  int64_t woken_ms;  // when ee_kafka_fetch_sleeping looked last
  size_t waiting;    // messages in librdkafka's queue after the last turn
  size_t backlog;    // most of them since the fetcher was last woken
};

bool ee_kafka_fetch_new(struct ee_kafka_shared *shared, struct ee_kafka_fetch **ret,
                        struct ee_err *err);
// Everything but the handle, which whoever closes it has taken. NULL is allowed.
void ee_kafka_fetch_free(struct ee_kafka_fetch *fetch);

// The topic will be read: finds out now where its partitions are, since librdkafka first
// looks up to a second after a partition was assigned.
void ee_kafka_fetch_expect(struct ee_kafka_fetch *fetch, enum ee_topic topic);
// Reads from offset on, whether it was read before or not; not paused. To find out a message's
// headers costs as much as the rest of it.
void ee_kafka_fetch_start(struct ee_kafka_fetch *fetch, struct ee_tp tp, int64_t offset,
                          bool headers);
void ee_kafka_fetch_stop(struct ee_kafka_fetch *fetch, struct ee_tp tp);
void ee_kafka_fetch_pause(struct ee_kafka_fetch *fetch, struct ee_tp tp, bool paused);

int64_t ee_kafka_fetch_position(const struct ee_kafka_fetch *fetch, struct ee_tp tp);
int64_t ee_kafka_fetch_lag(const struct ee_kafka_fetch *fetch, struct ee_tp tp);

// Brings about what was asked for, takes what has arrived, at most EE_KAFKA_BATCH
// messages, in fetch->messages. *ret_moved: a position moved over markers or aborted
// messages alone.
size_t ee_kafka_fetch_turn(struct ee_kafka_fetch *fetch, int64_t now_ms, bool *ret_moved);

// librdkafka before 2.2 sleeps for up to a second after its queue was full, whatever is
// taken from it; a request to the leaders wakes it. Those partitions, new, to be asked
// about, or NULL: it does not sleep.
rd_kafka_topic_partition_list_t *ee_kafka_fetch_sleeping(struct ee_kafka_fetch *fetch,
                                                         int64_t now_ms);
// How long poll may wait at most before it asks that again.
int ee_kafka_fetch_patience_ms(const struct ee_kafka_fetch *fetch, int64_t now_ms);

void ee_kafka_fetch_give_back(struct ee_message *message);
struct ee_bytes ee_kafka_fetch_header(const struct ee_message *message, const char *name);

#endif
