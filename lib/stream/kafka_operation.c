// SPDX-License-Identifier: Apache-2.0
// From an operation to a job and back. A job has its own copy of everything, so that one
// that is left behind at closing writes nothing into the caller's memory.
#include <stdlib.h>

#include "stream/kafka_impl.h"

static bool wants_list(const struct ee_operation *operation) {
  switch (operation->kind) {
    case EE_OP_COMMIT:
    case EE_OP_COMMITTED:
    case EE_OP_END:
    case EE_OP_START:
      return operation->count > 0;
    default:
      return false;
  }
}

// Without memory it is committed without: a missing bookmark is one that is not compared.
static void set_metadata(rd_kafka_topic_partition_t *to, const char *metadata) {
  to->metadata = strdup(metadata);  // librdkafka frees it
  to->metadata_size = to->metadata == NULL ? 0 : strlen(metadata);
}

static void copy_metadata(struct ee_tp_offset *to, const rd_kafka_topic_partition_t *from) {
  size_t size = from->metadata == NULL ? 0 : from->metadata_size;
  if (size >= sizeof(to->metadata)) size = 0;  // foreign
  if (size > 0) memcpy(to->metadata, from->metadata, size);
  to->metadata[size] = '\0';
}

static rd_kafka_topic_partition_list_t *make_list(const struct ee_kafka_broker *broker,
                                                  const struct ee_operation *operation) {
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)operation->count);
  for (size_t i = 0; i < operation->count; i++) {
    const struct ee_tp_offset *from = &operation->offsets[i];
    rd_kafka_topic_partition_t *to = rd_kafka_topic_partition_list_add(
        list, broker->shared->names[from->tp.topic], from->tp.partition);
    to->offset = from->offset;
    if (operation->kind == EE_OP_COMMIT) set_metadata(to, from->metadata);
  }
  return list;
}

static struct ee_kafka_job *job_new(struct ee_kafka_broker *broker,
                                    struct ee_operation *operation) {
  struct ee_kafka_job *job = calloc(1, sizeof(*job));
  if (job == NULL) return NULL;
  job->operation = operation;
  job->kind = operation->kind;
  job->isolation = operation->isolation;
  if (operation->kind == EE_OP_TOPICS) {
    job->topics = calloc(EE_TOPIC_COUNT, sizeof(*job->topics));
    if (job->topics == NULL) {
      free(job);
      return NULL;
    }
  }
  if (wants_list(operation)) job->list = make_list(broker, operation);
  if (operation->kind == EE_OP_COMMIT && job->list != NULL) {
    job->ticket = ee_kafka_ticket_take(broker->group->ticket);
  }
  job->transactor = broker->transactor;
  if (ee_kafka_job_takes_transactor(job->kind)) {
    broker->transactor = NULL;
    broker->transaction_open = false;
  }
  return job;
}

// ---- Answers that need no round trip.

static bool may_commit(const struct ee_kafka_broker *broker, struct ee_operation *operation) {
  if (operation->count == 0) return true;
  const struct ee_kafka_ticket *ticket = broker->group->ticket;
  if (ticket == NULL || ticket->metadata == NULL) {
    return ee_err_set(&operation->err, "not a member of the group");
  }
  for (size_t i = 0; i < operation->count; i++) {
    struct ee_tp tp = operation->offsets[i].tp;
    if (ee_kafka_group_holds(broker->group, tp)) continue;
    return ee_err_set(&operation->err, "%s [%d] is no longer ours", broker->shared->names[tp.topic],
                      (int)tp.partition);
  }
  return true;
}

// Sets *ret to the answer, or returns false: a round trip has to be made.
static bool answer_at_once(const struct ee_kafka_broker *broker, struct ee_operation *operation,
                           enum ee_outcome_class *ret) {
  switch (operation->kind) {
    case EE_OP_COMMIT:
    case EE_OP_ABORT:
      if (broker->transactor == NULL) {
        ee_err_set(&operation->err, "there is no producer: it was not renewed");
        *ret = EE_INDEFINITE;
        return true;
      }
      *ret = operation->kind == EE_OP_COMMIT ? EE_ABORT : EE_DONE;
      if (operation->kind == EE_OP_COMMIT) return !may_commit(broker, operation);
      return operation->kind == EE_OP_ABORT && !broker->transaction_open;
    case EE_OP_COMMITTED:
    case EE_OP_END:
    case EE_OP_START:
      *ret = EE_DONE;
      return operation->count == 0;
    default:
      return false;
  }
}

// Without memory, or with too many waiting: answered by the next poll.
static void refuse(struct ee_kafka_broker *broker, struct ee_operation *operation) {
  if (broker->refused_count == EE_KAFKA_REFUSED_MAX) {
    ee_kafka_notice(&broker->shared->notices, EE_FATAL, "too many operations are under way");
    return;
  }
  operation->outcome = EE_RETRY;
  ee_err_set(&operation->err, "too many operations are under way, or no memory for one more");
  broker->refused[broker->refused_count++] = operation;
  ee_kafka_wake(broker->shared->wake_fd);
}

void ee_kafka_begin(struct ee_kafka_broker *broker, struct ee_operation *operation) {
  operation->pending = true;
  operation->err.text[0] = '\0';
  enum ee_outcome_class outcome = EE_DONE;
  bool answered = answer_at_once(broker, operation, &outcome);
  struct ee_kafka_job *job = job_new(broker, operation);
  if (job == NULL) {
    refuse(broker, operation);
    return;
  }
  // Through the worker all the same: operations of a kind end in order.
  job->answered = answered;
  job->outcome = outcome;
  job->err = operation->err;
  if (ee_kafka_worker_begin(broker->worker, job)) return;
  if (ee_kafka_job_takes_transactor(job->kind)) broker->transactor = job->transactor;
  job->transactor = NULL;
  ee_kafka_job_free(job);
  refuse(broker, operation);
}

// ---- Results.

static void copy_offsets(const struct ee_kafka_job *job, struct ee_operation *operation) {
  if (job->list == NULL || job->kind == EE_OP_COMMIT || job->outcome != EE_DONE) return;
  // librdkafka updates lists in place and keeps their order.
  for (size_t i = 0; i < operation->count; i++) {
    operation->offsets[i].offset = job->list->elems[i].offset;
    if (job->kind == EE_OP_COMMITTED) copy_metadata(&operation->offsets[i], &job->list->elems[i]);
  }
}

static void copy_topics(struct ee_kafka_broker *broker, const struct ee_kafka_job *job,
                        struct ee_operation *operation) {
  if (job->topics == NULL || job->outcome != EE_DONE) return;
  for (int i = 0; i < EE_TOPIC_COUNT; i++) {
    operation->topics[i] = job->topics[i];
    broker->partition_counts[i] = job->topics[i].partitions;
  }
}

// "Timed out" alone says nothing: an outage that is known is said with it.
static void explain(struct ee_kafka_broker *broker, struct ee_operation *operation) {
  struct ee_err away;
  if (operation->outcome == EE_FENCED) ee_kafka_explain_fence(broker->shared, &operation->err);
  if (operation->outcome != EE_RETRY ||
      !ee_kafka_notice_ails(&broker->shared->notices, EE_KAFKA_BROKERS_AWAY, &away)) {
    return;
  }
  ee_err_set(&operation->err, "%s (%s)", away.text, operation->err.text);
}

static void finish(struct ee_kafka_broker *broker, struct ee_kafka_job *job) {
  struct ee_operation *operation = job->operation;
  operation->outcome = job->outcome;
  operation->err = job->err;
  explain(broker, operation);
  copy_offsets(job, operation);
  copy_topics(broker, job, operation);
  if (ee_kafka_job_takes_transactor(job->kind)) {
    broker->transactor = job->transactor;
    job->transactor = NULL;
  }
  bool ends = job->kind == EE_OP_COMMIT || job->kind == EE_OP_ABORT;
  if (ends && job->outcome == EE_DONE) broker->transaction_open = false;
  if (job->outcome == EE_DONE && !job->answered) {
    ee_kafka_notice_healed(&broker->shared->notices, EE_KAFKA_BROKERS_AWAY);
  }
}

void ee_kafka_wake_fetcher(struct ee_kafka_broker *broker, rd_kafka_topic_partition_list_t *list) {
  struct ee_kafka_job *job = broker->waking ? NULL : calloc(1, sizeof(*job));
  if (job == NULL) {
    rd_kafka_topic_partition_list_destroy(list);
    return;
  }
  job->kind = EE_OP_END;
  job->isolation = EE_READ_COMMITTED;
  job->list = list;
  broker->waking = ee_kafka_worker_begin(broker->worker, job);
  if (!broker->waking) ee_kafka_job_free(job);
}

// NULL: none, or one of nobody's.
static struct ee_operation *end_job(struct ee_kafka_broker *broker, struct ee_kafka_job *job) {
  struct ee_operation *operation = job->operation;
  if (operation == NULL) {
    broker->waking = false;
  } else {
    finish(broker, job);
  }
  ee_kafka_job_free(job);
  return operation;
}

struct ee_operation *ee_kafka_ended(struct ee_kafka_broker *broker) {
  struct ee_operation *operation = NULL;
  struct ee_kafka_job *job;
  while (operation == NULL && (job = ee_kafka_worker_done(broker->worker)) != NULL) {
    operation = end_job(broker, job);
  }
  if (operation == NULL && broker->refused_count > 0) {
    operation = broker->refused[--broker->refused_count];
  }
  if (operation != NULL) operation->pending = false;
  return operation;
}
