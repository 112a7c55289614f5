// SPDX-License-Identifier: Apache-2.0
// The interface to the log: everything the runtime needs of Kafka, and nothing else. Two
// implementations: kafka_broker.h and embedded_broker.h.
//
// All calls come from one thread. None blocks but ee_broker_poll, for at most its
// timeout: what takes a round trip is an operation, begun here and reported finished by
// a later poll. Topics are the catalogue's; the implementation adds the prefix.
#ifndef EE_STREAM_BROKER_H
#define EE_STREAM_BROKER_H

#include "base/err.h"
#include "contract/catalogue.h"
#include "wire/headers.h"

struct ee_tp {
  enum ee_topic topic;
  int32_t partition;
};

#define EE_OFFSET_METADATA_SIZE 160

struct ee_tp_offset {
  struct ee_tp tp;
  int64_t offset;
  char metadata[EE_OFFSET_METADATA_SIZE];  // text committed with it; COMMIT and COMMITTED alone
};

#define EE_OFFSET_NONE INT64_C(-1)      // no committed offset
#define EE_OFFSET_EARLIEST INT64_C(-2)  // start at the log start

// What an answer means for the caller (KIP-691's classes, as far as librdkafka tells).
enum ee_outcome_class {
  EE_DONE,        // it happened
  EE_RETRY,       // it did not happen; the same call may succeed later
  EE_ABORT,       // the transaction must be aborted; then go on
  EE_FENCED,      // another instance has taken over: stop, or join again as new
  EE_INDEFINITE,  // it may or may not have happened: begin EE_OP_RENEW, read our own tail
  EE_FATAL,       // it cannot succeed: err says what the operator should do
};

struct ee_message {
  struct ee_tp tp;
  int64_t offset;
  int64_t timestamp_ms;   // -1: none
  bool append_time;       // timestamp is the broker's append time
  struct ee_bytes key;    // data NULL: none
  struct ee_bytes value;  // data NULL: tombstone
  size_t header_size;     // bytes that its headers take
  void *owner;            // the implementation's
};

struct ee_output {
  struct ee_tp tp;
  struct ee_bytes key;
  struct ee_bytes value;
  const struct ee_header *headers;
  size_t header_count;
};

enum ee_isolation { EE_READ_COMMITTED, EE_READ_UNCOMMITTED };

enum ee_operation_kind {
  // Fences earlier producers of our transactional.id and waits for their transactions'
  // ends. FENCED and FATAL are possible answers; RETRY: begin it again.
  EE_OP_INIT,
  // Ends the open transaction with `offsets` (next to consume, by topic and partition)
  // committed for the group under the current generation. DONE, ABORT, FENCED,
  // INDEFINITE (transaction.timeout.ms has passed, or the producer has died, fenced perhaps:
  // by the coordinator after that time, or by another process, which the group reports), FATAL.
  EE_OP_COMMIT,
  // Throws the open transaction away. DONE, FENCED, INDEFINITE, FATAL.
  EE_OP_ABORT,
  // After INDEFINITE: a new producer in place of the old one, initialised (fences).
  EE_OP_RENEW,
  // Fills `offsets` with the group's committed offsets and their metadata (empty where it is
  // none of ours), EE_OFFSET_NONE where there is none; waits for transactions that would change
  // them (KIP-447), or says RETRY.
  EE_OP_COMMITTED,
  // Fills `offsets` with end offsets under `isolation`: the last stable offset or the
  // high watermark, as they are at some moment after the operation was begun and, where
  // a commit was begun before it, after that one's end. A commit ends before its markers
  // are written: only the high watermark is sure to lie above its records.
  EE_OP_END,
  // Fills `offsets` with log start offsets.
  EE_OP_START,
  // Fills `topics`: existence, partition counts and settings.
  EE_OP_TOPICS,
};

struct ee_topic_state {
  bool exists;
  int32_t partitions;
  bool append_time;
  enum ee_cleanup cleanup;
  int64_t max_message_bytes;
  int64_t delete_retention_ms;
  int64_t retention_ms;  // -1: for ever
};

// Owned by the caller and kept in place from begin until poll reports it.
struct ee_operation {
  enum ee_operation_kind kind;
  enum ee_isolation isolation;   // END
  struct ee_tp_offset *offsets;  // COMMIT: in; COMMITTED, END, START: in and out
  size_t count;
  struct ee_topic_state *topics;  // TOPICS: EE_TOPIC_COUNT entries, filled
  void *user;                     // the caller's

  bool pending;  // set by begin, cleared when reported
  enum ee_outcome_class outcome;
  struct ee_err err;
};

enum ee_broker_event_kind {
  EE_EVENT_NONE,       // nothing within the timeout, or only a position has moved
  EE_EVENT_MESSAGES,   // the caller takes them and gives each back with free_message
  EE_EVENT_ASSIGNED,   // partitions offered; answer with accept or leave
  EE_EVENT_REVOKED,    // partitions to give up; answer with relinquish
  EE_EVENT_OPERATION,  // an operation has finished
  EE_EVENT_TROUBLE,    // outcome and err: RETRY for what heals (brokers away), FENCED, FATAL
  // The log of tp has no such offset as it is read from: retention has cut it, or it was made
  // anew; err says more. It stands still until it is started again.
  EE_EVENT_OUT_OF_RANGE,
};

struct ee_broker_event {
  enum ee_broker_event_kind kind;
  struct ee_message *messages;  // borrowed array, until the next poll
  const struct ee_tp *partitions;
  size_t count;
  struct ee_tp tp;  // OUT_OF_RANGE
  bool lost;        // REVOKED: they are ours no longer; nothing may be committed for them
  struct ee_operation *operation;
  enum ee_outcome_class outcome;
  struct ee_err err;
};

struct ee_broker;

struct ee_broker_ops {
  // The group's input topics. Once, before the first poll.
  bool (*subscribe)(struct ee_broker *, const enum ee_topic *topics, size_t count,
                    struct ee_err *err);
  // Waits at most timeout_ms for one event. *ret is overwritten.
  void (*poll)(struct ee_broker *, int timeout_ms, struct ee_broker_event *ret);
  void (*free_message)(struct ee_broker *, struct ee_message *);
  // A header's value of a message that was not given back (of several of the name the last
  // one's), data NULL when it has none, or is of a partition that is read outside the group.
  // Borrowed until then.
  struct ee_bytes (*header)(struct ee_broker *, const struct ee_message *, const char *name);

  // Takes the offered assignment; every partition is paused until started.
  void (*accept)(struct ee_broker *);
  // Declines it and leaves the group; poll goes on to serve operations.
  void (*leave)(struct ee_broker *);
  // Gives up what was revoked. After it no message of those partitions is reported.
  void (*relinquish)(struct ee_broker *);
  // From which offset on messages of an assigned partition are reported. Also restarts
  // one that runs (a rewind after an abort): what was under way is not reported. Ends a
  // pause.
  void (*start)(struct ee_broker *, struct ee_tp, int64_t offset);
  // What was fetched ahead of a pause is fetched again after it: not for short waits.
  void (*pause)(struct ee_broker *, struct ee_tp);
  void (*resume)(struct ee_broker *, struct ee_tp);

  // Partitions read outside the group, read_committed: changelogs and the policy topic.
  // Never one that the group has assigned.
  void (*read)(struct ee_broker *, struct ee_tp, int64_t offset);
  void (*read_stop)(struct ee_broker *, struct ee_tp);

  // The offset behind the last reported message and the markers and aborted messages
  // that follow it, as far as known; before any, where it was started.
  int64_t (*position)(struct ee_broker *, struct ee_tp);

  // Opens a transaction (no round trip). DONE, FENCED, FATAL, INDEFINITE: the producer is
  // of no further use, begin EE_OP_RENEW.
  enum ee_outcome_class (*begin_transaction)(struct ee_broker *, struct ee_err *err);
  // Appends to the open transaction; copies what it needs. DONE; RETRY: the queue is
  // full, poll and try again; ABORT, FENCED, FATAL. A failed delivery shows in COMMIT.
  enum ee_outcome_class (*produce)(struct ee_broker *, const struct ee_output *,
                                   struct ee_err *err);
  // Appends outside any transaction (ticks). Best effort: a failure is a TROUBLE event.
  void (*produce_plain)(struct ee_broker *, const struct ee_output *);

  // Begins an operation. Operations of one kind finish in the order they were begun; a
  // COMMIT, ABORT, INIT or RENEW excludes the others of these four.
  void (*begin)(struct ee_broker *, struct ee_operation *);

  // The topic's full name, with the prefix; borrowed for the broker's life.
  struct ee_str (*topic_name)(struct ee_broker *, enum ee_topic);
  int32_t (*partition_count)(struct ee_broker *, enum ee_topic);  // as last seen by TOPICS
  // Consumer lag in messages over assigned partitions as last known, -1 unknown.
  int64_t (*lag)(struct ee_broker *, struct ee_tp);

  // Leaves the group, aborts an open transaction and closes, all within deadline_ms; frees
  // the broker whatever happens. Operations still pending are forgotten. All messages have
  // been given back.
  void (*close)(struct ee_broker *, int deadline_ms);
};

struct ee_broker {
  const struct ee_broker_ops *ops;
};

#endif
