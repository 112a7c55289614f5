// SPDX-License-Identifier: Apache-2.0
// The runtime's parts, for its own files alone:
//
//   runtime.c     start, the turn, stop
//   assignment.c  from an offered assignment to the first step; revocation
//   restore.c     changelogs into the store
//   intake.c      a message becomes an input or a dead letter
//   partition.c   queues, which record is next, ticks being applied
//   step.c        what a processor's step sees
//   output.c      records on their way to the broker
//   transaction.c seal, commit, abort, rewind, checkpoint
//   clock.c       writes ticks
//   policy.c      versions of the policy
//   drain.c       when everything that was there has been done
#ifndef EE_STREAM_RUNTIME_IMPL_H
#define EE_STREAM_RUNTIME_IMPL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/log.h"
#include "stream/bookmark.h"
#include "stream/runtime.h"

#define QUEUE_HIGH 4096          // messages of one topic and partition: then paused
#define QUEUE_LOW 1024           // resumed
#define BATCH_RECORDS_MAX 10000  // steps in one transaction
#define STEPS_A_TURN 512
#define WAKES_A_TURN 256
#define POLICY_VERSIONS_MAX 4096
#define STEP_ARENA_MAX (64 << 20)  // hostile but valid events within the limits need 23 MiB
#define RETRY_MS 500               // between tries of what heals by itself
#define HELD_MS 5000               // a wait for the policy below this is ordinary

// Messages of one topic and partition that were polled and not stepped yet, in order.
struct queue {
  struct ee_message *items;  // ring
  size_t head, count, capacity;
  size_t bytes;
  bool paused;
};

struct input_position {
  int64_t next;       // next offset to step; EE_OFFSET_EARLIEST before the first
  int64_t committed;  // as Kafka has it; EE_OFFSET_NONE: none yet
  int64_t log_start;  // as it was at the assignment
  bool from_start;    // nothing was committed then: it is read from the log start
  bool dirty;         // next has moved since the last seal
  // The log is the one that was read before if it still has the last record of what was
  // committed: reading begins there, and the record is compared and not stepped.
  struct ee_record_mark last;  // of what was stepped
  struct ee_record_mark kept;  // of what was committed
  bool comparing;              // the next record read should be `kept`
  int64_t broken_at;           // where the log was found not to go on; EE_OFFSET_NONE
};

enum partition_state { PARTITION_RESTORING, PARTITION_RUNNING };

struct changelog_restore {
  int64_t from;  // next offset to read; EE_OFFSET_EARLIEST: nothing was read yet
  int64_t end;   // high watermark to reach
  int64_t seen;  // last stable offset that was seen of it: a log does not become shorter
  bool reading;
  bool stalled;  // reading goes on at `from` when the registry answers or the disk has room
};

struct partition {
  int32_t number;
  enum partition_state state;
  struct queue queues[EE_TOPIC_COUNT];
  struct input_position inputs[EE_TOPIC_COUNT];
  struct changelog_restore changelogs[EE_CHANGELOGS_MAX];
  int64_t policy_ms;   // since when records wait for the policy; 0: they do not
  bool unread;         // the group has committed no offset: nothing may have been derived yet
  uint32_t read;       // inputs of which it has committed offsets: bit of enum ee_topic
  int64_t clock;       // INT64_MIN: none yet
  int64_t judge_from;  // see struct ee_tick_view
  // The tick at the head of its queue, once decoded.
  bool tick_loaded;
  bool tick_applying;
  int64_t tick_held_ms;            // since when it waits at the end of a log; 0: it does not
  struct ee_message tick_message;  // a view for coordinates; owner is not touched
  int64_t tick_clock;
  int64_t tick_offsets[EE_TOPIC_COUNT];
  // For writing ticks.
  int64_t newest_tick;   // append time of the newest tick read, UTC microseconds; INT64_MIN
  int64_t tick_read_ms;  // monotonic time at which it was read
  int64_t drain_to[EE_TOPIC_COUNT];
};

// Records on their way: kept in order, in one buffer, until the broker has taken them.
struct pending_header {
  struct ee_str name;  // a literal
  size_t value_at, value_size;
};

struct pending_output {
  struct ee_tp tp;
  size_t key_at, key_size;
  size_t value_at, value_size;
  bool key_null, value_null;
  size_t header_at;  // first of its headers
  size_t header_count;
};

struct output_list {
  struct pending_output *items;
  size_t count, capacity;
  struct pending_header *headers;
  size_t header_count, header_capacity;
  size_t sent;  // of items
  struct ee_buf bytes;
};

enum transaction_state {
  TRANSACTION_NONE,        // no open Kafka transaction
  TRANSACTION_OPEN,        // begun; outputs may be produced
  TRANSACTION_SEALED,      // batch is sealed, its outputs are being produced
  TRANSACTION_COMMITTING,  // EE_OP_COMMIT is under way
  TRANSACTION_ABORTING,
  TRANSACTION_RENEWING,
};

enum runtime_phase {
  PHASE_TOPICS,    // asking for topic settings
  PHASE_PREFIXES,  // asking the registry for the ids of our schemas
  PHASE_INIT,      // init_transactions
  PHASE_RUNNING,   // subscribed
  PHASE_DONE,
  PHASE_FAILED,
};

// Which restore step the newly assigned partitions are at.
enum assignment_step {
  ASSIGNMENT_IDLE,
  ASSIGNMENT_OFFERED,    // waiting for operations under way to end
  ASSIGNMENT_COMMITTED,  // EE_OP_COMMITTED
  ASSIGNMENT_STARTS,     // EE_OP_START of inputs
  ASSIGNMENT_END,        // EE_OP_END of changelogs
  ASSIGNMENT_READING,    // changelogs
};

struct policy_log {
  struct ee_policy_version *versions;
  size_t count, capacity;
  struct ee_arena arena;  // of the decoded policies
  int64_t known_at;       // append time up to which it is known complete; INT64_MIN
  int64_t asked_for;      // newest append time read when the end was asked for
  int64_t end;            // end offset that answers it; -1: not asked
  bool asked;
  bool reading;
  bool complete;  // read to an end at least once
  bool stalled;   // reading goes on at stalled_at when the registry answers
  int64_t stalled_at;
  struct ee_operation operation;
  struct ee_tp_offset offset;
};

struct ee_runtime {
  const struct ee_processor *processor;
  const struct ee_processor_ops *ops;
  struct ee_broker *broker;
  struct ee_store *store;
  struct ee_codec *codec;
  struct ee_metrics *metrics;
  struct ee_runtime_settings settings;

  enum runtime_phase phase;
  int64_t now_ms, wall_ms;
  int64_t retry_at_ms;  // nothing is begun again before
  int64_t said_ms;      // when a wait was last logged
  int64_t unready_ms;   // since when it has not been ready; 0: it is
  int64_t measured_ms;  // when gauges were last taken
  bool stopping;
  struct ee_err err;      // why it failed
  struct ee_err trouble;  // why the last thing that is tried again did not go; empty: it went
  struct ee_err unsaid;   // a trouble that is to be logged
  struct ee_err undone;   // why the disk did not take the last checkpoint; empty: it did
  bool is_input[EE_TOPIC_COUNT];

  struct ee_topic_state topics[EE_TOPIC_COUNT];
  struct ee_operation topics_operation;
  struct ee_operation producer_operation;  // INIT, COMMIT, ABORT, RENEW
  struct ee_bytes prefixes[EE_TOPIC_COUNT];

  struct partition **partitions;  // by partition number; NULL where not ours
  int32_t partition_limit;
  size_t partition_count;

  enum assignment_step assignment;
  bool assigned;  // an assignment was accepted, even an empty one
  bool revoking;
  struct ee_operation assignment_operation;
  struct ee_tp_offset *assignment_offsets;
  size_t assignment_count;

  enum transaction_state transaction;
  int64_t step_after_ms;  // nothing is stepped before: something has to heal
  int64_t batch_started_ms;
  size_t batch_records;
  size_t batch_bytes;  // of its outputs
  bool batch_spoiled;  // a step of the open batch has failed; thrown away when the commit ends
  struct output_list open_outputs;    // of the open batch
  struct output_list sealed_outputs;  // of the sealed one
  struct ee_tp_offset *commit_offsets;
  size_t commit_count, commit_capacity;

  int64_t checkpointed_ms;
  bool checkpoint_given_up;  // while stopping: the changelogs have everything
  bool checkpoint_answered;  // the ends are known and wait for a commit that proves them
  bool checkpoint_void;      // the answer under way is not to be used
  struct ee_operation checkpoint_operation;
  struct ee_tp_offset *checkpoint_offsets;
  size_t checkpoint_count;

  int64_t ticks_asked_ms;
  bool ticks_asked;
  struct ee_operation tick_operation;
  struct ee_tp_offset *tick_offsets;
  size_t tick_count;
  int64_t *tick_as_of;  // by partition number, as snapped before asking

  int drain_round;   // 0: not asked yet; later rounds look at what was written meanwhile
  bool drain_known;  // drain_to holds the ends to reach
  bool drained;
  struct ee_operation drain_operation;
  struct ee_tp_offset *drain_offsets;
  size_t drain_count;

  struct policy_log policy;
  int64_t newest_append;  // newest append time of any message read

  struct ee_arena arena;  // of the record being stepped
  struct ee_buf scratch, value, key;
  struct ee_buf in;        // a step's value of the header `in`, made at first use
  size_t queued_bytes;     // of all partitions
  int32_t next_partition;  // where the next turn goes on, so that none starves
};

// runtime.c
bool runtime_fail(struct ee_runtime *rt, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
// Begins an operation whose memory is the runtime's.
void runtime_begin(struct ee_runtime *rt, struct ee_operation *operation,
                   enum ee_operation_kind kind, struct ee_tp_offset *offsets, size_t count);
// Says, now and then, what holds up a partition: what is waited for, and why.
void runtime_say_held(struct ee_runtime *rt, const struct ee_message *message, const char *what,
                      const char *why);
struct partition *runtime_partition(const struct ee_runtime *rt, int32_t number);

// assignment.c
void assignment_offered(struct ee_runtime *rt, const struct ee_broker_event *event);
void assignment_revoked(struct ee_runtime *rt);
void assignment_turn(struct ee_runtime *rt);
void assignment_finished(struct ee_runtime *rt, struct ee_operation *operation);
// An input's log does not go on where it was read to. Offsets are asked for again, since
// others may have taken over, and if that is still where it goes on the runtime fails.
void assignment_broken(struct ee_runtime *rt, struct ee_tp tp, int64_t offset, const char *why);
// Begins the restore of every partition again, as if just assigned.
void assignment_again(struct ee_runtime *rt);
void assignment_release(struct ee_runtime *rt);

// restore.c
// A changelog does not become shorter unless it was cut or made anew. False: it did; fails.
bool restore_reaches(struct ee_runtime *rt, struct ee_tp tp, int64_t end, int64_t seen);
bool restore_begin(struct ee_runtime *rt, struct partition *p);
// A record of a changelog. False: trouble says why the state cannot be restored.
bool restore_message(struct ee_runtime *rt, struct partition *p, uint8_t changelog,
                     const struct ee_message *message);
bool restore_done(struct ee_runtime *rt, struct partition *p);
// What all partitions have restored is on disk, and they may be stepped; false: later.
bool restore_written(struct ee_runtime *rt);
void restore_stop(struct ee_runtime *rt, struct partition *p);

// intake.c
enum intake { INTAKE_STEP, INTAKE_REFUSED, INTAKE_WAIT };
struct intake_record {
  void *record;          // in the arena
  struct ee_bytes avro;  // of the message, unframed
  bool current;          // avro is in the current schema
};
// Decodes a message. REFUSED fills fault.
enum intake intake_decode(struct ee_runtime *rt, const struct ee_message *message,
                          struct intake_record *ret, struct ee_fault *fault);
bool intake_dead_letter(struct ee_runtime *rt, const struct ee_message *message,
                        const struct ee_fault *fault);

// partition.c
struct partition *partition_new(int32_t number);
void partition_free(struct ee_runtime *rt, struct partition *p);
// Takes the message whatever happens. False: no memory.
bool partition_queue(struct ee_runtime *rt, struct partition *p, struct ee_message *message);
// Where reading an input goes on: at the last record of what was committed, or behind it.
int64_t partition_start_offset(const struct input_position *input);
// Drops what is queued and starts all inputs at their committed offsets.
bool partition_start(struct ee_runtime *rt, struct partition *p);
bool partition_load_state(struct ee_runtime *rt, struct partition *p);
// Steps at most `most` records or wakes. Returns how many; -1: abort and try again.
int partition_turn(struct ee_runtime *rt, struct partition *p, int most);
// True once everything below the offset has been stepped.
bool partition_reached(struct ee_runtime *rt, const struct partition *p, enum ee_topic topic,
                       int64_t offset);
int64_t partition_lag(struct ee_runtime *rt, struct partition *p);

// step.c
struct ee_step {
  struct ee_runtime *rt;
  struct partition *partition;
  const struct ee_message *trigger;
  struct ee_err err;
};
void step_init(struct ee_step *step, struct ee_runtime *rt, struct partition *p,
               const struct ee_message *trigger);

// output.c
void output_init(struct output_list *list);
void output_release(struct output_list *list);
void output_clear(struct output_list *list);
// Appends to the open batch: value is framed with the topic's prefix unless it is null or
// a dead letter's. False: no memory.
bool output_add(struct ee_runtime *rt, struct ee_tp tp, struct ee_bytes key, struct ee_bytes value,
                const struct ee_header *headers, size_t header_count);
// True when the open batch holds as much as it may.
bool output_full(const struct ee_runtime *rt);
// Hands a list's records to the open transaction. DONE: all of them, and the list is empty;
// RETRY: poll first.
enum ee_outcome_class output_send(struct ee_runtime *rt, struct output_list *list,
                                  struct ee_err *err);

// transaction.c
// Writes what is committed, and how far it goes. Until the disk takes it nothing is stepped:
// memory would grow without a bound.
bool store_write(struct ee_runtime *rt, const struct ee_store_checkpoint *checkpoints,
                 size_t count);
bool store_unwritten(const struct ee_runtime *rt);  // the disk did not take the last of these
void transaction_note(struct ee_runtime *rt);       // a step is about to happen
bool transaction_may_step(const struct ee_runtime *rt);
void transaction_turn(struct ee_runtime *rt);
void transaction_finished(struct ee_runtime *rt, struct ee_operation *operation);
void transaction_abort(struct ee_runtime *rt, const char *why);
bool transaction_idle(const struct ee_runtime *rt);
// Ends that wait for their proof, or are still to come, will not be used.
void checkpoint_forget(struct ee_runtime *rt);
void checkpoint_turn(struct ee_runtime *rt);
void checkpoint_finished(struct ee_runtime *rt, struct ee_operation *operation);

// clock.c
void clock_turn(struct ee_runtime *rt);
void clock_finished(struct ee_runtime *rt, struct ee_operation *operation);
void clock_note_tick(struct ee_runtime *rt, struct partition *p, const struct ee_message *message);

// drain.c
void drain_turn(struct ee_runtime *rt);
void drain_finished(struct ee_runtime *rt, struct ee_operation *operation);

// policy.c
void policy_init(struct policy_log *policy);
void policy_release(struct policy_log *policy);
void policy_turn(struct ee_runtime *rt);
void policy_finished(struct ee_runtime *rt, struct ee_operation *operation);
bool policy_message(struct ee_runtime *rt, const struct ee_message *message);
bool policy_known(const struct ee_runtime *rt, int64_t append_time);
const struct ee_policy_version *policy_in_force(const struct ee_runtime *rt, int64_t append_time);

#endif
