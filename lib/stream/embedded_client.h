// SPDX-License-Identifier: Apache-2.0
// One member's side of the embedded cluster (private to embedded_*.c): its partitions and
// positions, its operations and the messages it holds.
#ifndef EE_STREAM_EMBEDDED_CLIENT_H
#define EE_STREAM_EMBEDDED_CLIENT_H

#include "stream/embedded_cluster.h"

#define EE_BATCH_MAX 256      // messages of one poll
#define EE_SHARE_MAX 64       // of one partition among them
#define EE_OPERATIONS_MAX 64  // under way at a time
#define EE_TROUBLES_MAX 4     // not yet reported; the first ones matter

// A partition being read.
struct ee_fetch {
  struct ee_tp tp;
  const struct ee_log *log;
  size_t index;  // of the next record to look at
  int64_t position;
  bool of_group;  // assigned; else read outside the group
  bool running, paused;
};

enum ee_assignment {
  EE_ASSIGNMENT_NONE,
  EE_ASSIGNMENT_OFFERED,  // reported, not answered
  EE_ASSIGNMENT_ACCEPTED,
  EE_ASSIGNMENT_REVOKED,  // its end was reported, not answered
};

struct ee_trouble {
  enum ee_outcome_class outcome;
  bool out_of_range;  // of tp
  struct ee_tp tp;
  struct ee_err err;
};

struct ee_client {
  struct ee_broker broker;
  struct ee_cluster *cluster;
  char *instance;  // owned

  struct ee_group *group;
  struct ee_member *member;  // NULL: not in the group
  bool topics[EE_TOPIC_COUNT];
  bool subscribed, left;
  bool replaced;  // by another client with our instance
  bool expired;   // what we hold is ours no longer
  int32_t generation;
  enum ee_assignment assignment;
  struct ee_tp *assigned;  // owned, with room for every partition of the topics
  size_t assigned_count;

  struct ee_producer *producer;
  uint32_t epoch;                        // 0: not initialised
  bool transaction_begun;                // by us; the cluster hears of it when it can
  enum ee_outcome_class commit_outcome;  // of the step that begin has already made
  struct ee_err commit_err;

  struct ee_operation *operations[EE_OPERATIONS_MAX];
  size_t operation_count;
  struct ee_trouble troubles[EE_TROUBLES_MAX];
  size_t trouble_count;

  struct ee_fetch *fetches;  // owned, with room for every partition of the cluster
  size_t fetch_count, turn;
  struct ee_message messages[EE_BATCH_MAX];
};

void ee_client_trouble(struct ee_client *client, enum ee_outcome_class outcome, const char *format,
                       ...) __attribute__((format(printf, 3, 4)));
void ee_client_out_of_range(struct ee_client *client, struct ee_tp tp, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// ---- Positions (embedded_fetch.c).

struct ee_fetch *ee_fetch_of(struct ee_client *client, struct ee_tp tp);
// Adds a partition that is not read yet; it stands still until started.
struct ee_fetch *ee_fetch_add(struct ee_client *client, struct ee_tp tp, bool of_group);
void ee_fetch_remove(struct ee_client *client, struct ee_tp tp);
void ee_fetch_remove_group(struct ee_client *client);
// EE_OFFSET_EARLIEST: the log start. An offset outside the log is a trouble.
void ee_fetch_start(struct ee_client *client, struct ee_fetch *fetch, int64_t offset);
// Behind what was reported and what follows it unseen.
int64_t ee_fetch_position(const struct ee_client *client, struct ee_fetch *fetch);
// Fills client->messages and returns how many there are.
size_t ee_fetch_messages(struct ee_client *client);

// ---- Operations (embedded_operation.c).

void ee_operation_begin(struct ee_client *client, struct ee_operation *operation);
// Ends the first operation that can end and takes it out; NULL: none.
struct ee_operation *ee_operation_finish(struct ee_client *client);
// The transaction that was begun is there. RETRY: the markers of the one before are not.
enum ee_outcome_class ee_client_open_transaction(struct ee_client *client, struct ee_err *err);
// The producer is initialised and nobody has fenced it.
bool ee_client_holds_producer(const struct ee_client *client);

#endif
