// SPDX-License-Identifier: Apache-2.0
// Kafka for tools: a plain producer, or a reader of whole topics outside any group, on
// librdkafka. Calls that block say so and take a struct ee_wait. One thread.
#ifndef EE_STREAM_CLIENT_H
#define EE_STREAM_CLIENT_H

#include <librdkafka/rdkafka.h>

#include "stream/kafka_offsets.h"
#include "stream/printed.h"
#include "stream/settings.h"
#include "stream/wait.h"

#define EE_TOPIC_NAME_SIZE 250  // Kafka's own limit, with a NUL

struct ee_client;

enum ee_client_role {
  EE_CLIENT_PRODUCER,  // idempotent, acks=all, nothing expires
  EE_CLIENT_READER,    // read committed; also for questions and for topics' settings
};

// What became of one record, in the order of each partition.
struct ee_delivery {
  void *opaque;       // as given to ee_client_send
  const char *topic;  // full name
  int32_t partition;
  int64_t offset;
  int64_t append_ms;   // the broker's append time; -1 where the topic has none
  const char *failed;  // NULL: acknowledged; else why it was not, or not surely, written; static
  rd_kafka_resp_err_t code;     // the same
  bool given_up;                // failed because of ee_client_purge
  rd_kafka_message_t *message;  // of librdkafka, for its headers; borrowed for the call
};
typedef void ee_delivered(void *context, const struct ee_delivery *delivery);

// Copies what it needs of the settings; contacts nobody yet. err names a property that is
// refused (those that would break what the role promises). program names the client.
bool ee_client_new(const struct ee_client_settings *settings, enum ee_client_role role,
                   const char *program, struct ee_client **ret, struct ee_err *err);
// Gives up what was not acknowledged (its deliveries are reported first) and blocks until
// librdkafka's threads have ended. NULL is allowed.
void ee_client_free(struct ee_client *client);
// For calls of the admin interface. Borrowed.
rd_kafka_t *ee_client_handle(struct ee_client *client);
// What was last wrong with the brokers or the way to them, "" if nothing has been. Borrowed
// until the next call on the client.
const char *ee_client_trouble(struct ee_client *client);
// Lets librdkafka report what it has, deliveries too; waits at most timeout_ms for it.
void ee_client_serve(struct ee_client *client, int timeout_ms);

// The catalogue's topic with the prefix before its name. The prefix is at most
// EE_TOPIC_PREFIX_MAX bytes (ee_client_options refuses longer ones).
void ee_client_topic_name(const struct ee_client_settings *settings, enum ee_topic topic,
                          char out[EE_TOPIC_NAME_SIZE]);

// Blocks. How many partitions a topic has, 0 where there is none; creates nothing.
// ret_leaders (may be NULL): true if each of them has a leader.
bool ee_client_partitions(struct ee_client *client, const char *topic, struct ee_wait *wait,
                          int32_t *ret_count, bool *ret_leaders, struct ee_err *err);

// Blocks. Sets each offset of the list: a READER's end is the last stable offset.
bool ee_client_offsets(struct ee_client *client, rd_kafka_topic_partition_list_t *list,
                       enum ee_log_offset which, struct ee_wait *wait, struct ee_err *err);

// ---- PRODUCER.

// Where deliveries are reported: by send, serve, flush and free, never from another thread.
void ee_client_on_delivery(struct ee_client *client, ee_delivered *delivered, void *context);

struct ee_send {
  const char *topic;
  int32_t partition;
  struct ee_bytes key;  // data NULL: none
  struct ee_bytes value;
  const struct ee_header *headers;
  size_t header_count;
  void *opaque;
};

// Copies the record and hands it to librdkafka. Blocks only while its queue is full. False:
// it will not be sent and not be reported.
bool ee_client_send(struct ee_client *client, const struct ee_send *send, struct ee_wait *wait,
                    struct ee_err *err);
// Records that were sent and not reported yet.
size_t ee_client_outstanding(const struct ee_client *client);
// Blocks until nothing is outstanding. False: the wait has ended before.
bool ee_client_flush(struct ee_client *client, struct ee_wait *wait, struct ee_err *err);
// Gives up what is outstanding: each is reported, most of them as failed.
void ee_client_purge(struct ee_client *client);

// ---- READER.

// Called for each record in the order of offsets; what it points to is borrowed for the call.
// False ends the reading, err says why.
typedef bool ee_client_record(void *context, const struct ee_printed *record, struct ee_err *err);

// Blocks. Reads a partition from an offset to before another, read committed. The wait begins
// again with each record.
bool ee_client_read(struct ee_client *client, const char *topic, int32_t partition, int64_t from,
                    int64_t end, struct ee_wait *wait, ee_client_record *record, void *context,
                    struct ee_err *err);

#endif
