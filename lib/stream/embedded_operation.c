// SPDX-License-Identifier: Apache-2.0
// Operations of a member of the embedded cluster. A commit sends its offsets when it is
// begun, or when the markers of the transaction before it have been written, and ends the
// transaction at the next poll, so that a member can die in between, as it can with Kafka.
#include <assert.h>

#include "stream/embedded_client.h"

bool ee_client_holds_producer(const struct ee_client *client) {
  return client->epoch != 0 && client->epoch == client->producer->epoch;
}

static enum ee_outcome_class fenced(struct ee_err *err) {
  ee_err_set(err, "another instance has taken over the transactional.id");
  return EE_FENCED;
}

// ---- The four that change the producer.

static bool generation_valid(const struct ee_client *client) {
  if (!client->subscribed) return true;
  return client->member != NULL && !client->replaced &&
         client->generation == client->group->generation;
}

static enum ee_outcome_class send_offsets(struct ee_client *client,
                                          const struct ee_operation *operation,
                                          struct ee_err *err) {
  if (!ee_client_holds_producer(client) || client->replaced) return fenced(err);
  enum ee_outcome_class outcome = ee_client_open_transaction(client, err);
  if (outcome != EE_DONE) return outcome;
  if (operation->count > 0 && !generation_valid(client)) {
    ee_err_set(err, "the group has a newer generation");
    return EE_ABORT;
  }
  for (size_t i = 0; i < operation->count; i++) {
    if (ee_log_of(client->cluster, operation->offsets[i].tp) != NULL) continue;
    ee_err_set(err, "there is no partition %d to commit", operation->offsets[i].tp.partition);
    return EE_FATAL;
  }
  if (!ee_transaction_send_offsets(client->producer, client->group, operation->offsets,
                                   operation->count)) {
    ee_err_set(err, "no memory");
    return EE_ABORT;
  }
  return EE_DONE;
}

static enum ee_outcome_class end_transaction(struct ee_client *client, bool commit,
                                             struct ee_err *err) {
  if (!ee_client_holds_producer(client)) return fenced(err);
  client->transaction_begun = false;
  if (client->producer->transaction != 0 && !client->producer->ending) {
    ee_transaction_end(client->cluster, client->producer, commit);
  }
  return EE_DONE;
}

enum ee_outcome_class ee_client_open_transaction(struct ee_client *client, struct ee_err *err) {
  if (client->producer->ending) {
    ee_err_set(err, "the transaction before this one is still ending");
    return EE_RETRY;
  }
  if (client->producer->transaction != 0) return EE_DONE;
  enum ee_outcome_class outcome = ee_transaction_begin(client->cluster, client->producer);
  if (outcome != EE_DONE) ee_err_set(err, "no memory for another transaction");
  return outcome;
}

static enum ee_outcome_class commit(struct ee_client *client, struct ee_err *err) {
  if (client->commit_outcome == EE_DONE) return end_transaction(client, true, err);
  *err = client->commit_err;
  return client->commit_outcome;
}

// ---- Those that only look.

static void fill_ends(const struct ee_client *client, struct ee_operation *operation) {
  for (size_t i = 0; i < operation->count; i++) {
    struct ee_tp_offset *offset = &operation->offsets[i];
    offset->offset = ee_cluster_end(client->cluster, offset->tp, operation->isolation);
  }
}

static void fill_starts(const struct ee_client *client, struct ee_operation *operation) {
  for (size_t i = 0; i < operation->count; i++) {
    const struct ee_log *log = ee_log_of(client->cluster, operation->offsets[i].tp);
    operation->offsets[i].offset = log == NULL ? 0 : log->start;
  }
}

static void fill_committed(const struct ee_client *client, struct ee_operation *operation) {
  for (size_t i = 0; i < operation->count; i++) {
    struct ee_tp_offset *offset = &operation->offsets[i];
    bool known = ee_log_of(client->cluster, offset->tp) != NULL;
    struct ee_committed committed = {.offset = EE_OFFSET_NONE};
    if (known) committed = client->group->offsets[ee_log_index(client->cluster, offset->tp)];
    offset->offset = committed.offset;
    memcpy(offset->metadata, committed.metadata, sizeof offset->metadata);
  }
}

static void fill_topics(const struct ee_client *client, struct ee_operation *operation) {
  for (int topic = 0; topic < EE_TOPIC_COUNT; topic++) {
    const struct ee_topic_info *info = &ee_topics[topic];
    operation->topics[topic] = (struct ee_topic_state){
        .exists = true,
        .partitions = ee_cluster_partitions(client->cluster, topic),
        .append_time = info->append_time,
        .cleanup = info->cleanup,
        .max_message_bytes = info->max_message_bytes,
        .delete_retention_ms = INT64_MAX,  // nothing is ever deleted
    };
  }
}

// ---- Their queue.

// May move it on.
static bool can_finish(struct ee_client *client, struct ee_operation *operation) {
  if (operation->kind == EE_OP_INIT || operation->kind == EE_OP_RENEW) {
    if (client->replaced) return true;
    client->transaction_begun = false;
    client->epoch = ee_producer_init(client->cluster, client->producer);
    return client->epoch != 0;
  }
  if (operation->kind == EE_OP_COMMIT && client->commit_outcome == EE_RETRY) {
    client->commit_outcome = send_offsets(client, operation, &client->commit_err);
    return false;
  }
  if (operation->kind != EE_OP_COMMITTED) return true;
  for (size_t i = 0; i < operation->count; i++) {
    if (ee_group_pending(client->cluster, client->group, operation->offsets[i].tp)) return false;
  }
  return true;
}

static enum ee_outcome_class finish(struct ee_client *client, struct ee_operation *operation) {
  switch (operation->kind) {
    case EE_OP_INIT:
    case EE_OP_RENEW:
      return client->replaced ? fenced(&operation->err) : EE_DONE;
    case EE_OP_COMMIT:
      return commit(client, &operation->err);
    case EE_OP_ABORT:
      return end_transaction(client, false, &operation->err);
    case EE_OP_COMMITTED:
      fill_committed(client, operation);
      return EE_DONE;
    case EE_OP_END:
      fill_ends(client, operation);
      return EE_DONE;
    case EE_OP_START:
      fill_starts(client, operation);
      return EE_DONE;
    case EE_OP_TOPICS:
      fill_topics(client, operation);
      return EE_DONE;
  }
  return EE_FATAL;
}

void ee_operation_begin(struct ee_client *client, struct ee_operation *operation) {
  assert(client->operation_count < EE_OPERATIONS_MAX);
  operation->pending = true;
  operation->err.text[0] = '\0';
  client->operations[client->operation_count++] = operation;
  if (operation->kind == EE_OP_COMMIT) {
    client->commit_outcome = send_offsets(client, operation, &client->commit_err);
  }
}

struct ee_operation *ee_operation_finish(struct ee_client *client) {
  size_t at = 0;
  bool committed_waits = false;  // those behind it wait too
  for (; at < client->operation_count; at++) {
    struct ee_operation *operation = client->operations[at];
    bool behind = operation->kind == EE_OP_COMMITTED && committed_waits;
    if (!behind && can_finish(client, operation)) break;
    committed_waits |= operation->kind == EE_OP_COMMITTED;
  }
  if (at == client->operation_count) return NULL;
  struct ee_operation *operation = client->operations[at];
  client->operation_count--;
  memmove(&client->operations[at], &client->operations[at + 1],
          (client->operation_count - at) * sizeof(struct ee_operation *));
  operation->outcome = finish(client, operation);
  operation->pending = false;
  return operation;
}
