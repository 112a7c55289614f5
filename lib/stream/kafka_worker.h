// SPDX-License-Identifier: Apache-2.0
// The thread that makes librdkafka's blocking calls, one at a time, in the order in which
// they were begun. A job is made and freed by the main thread; between begin and done it
// belongs to the worker.
#ifndef EE_STREAM_KAFKA_WORKER_H
#define EE_STREAM_KAFKA_WORKER_H

#include "stream/kafka_group.h"

#define EE_KAFKA_JOBS_MAX 256

struct ee_kafka_job {
  struct ee_operation *operation;  // the caller's, NULL: ours; the worker does not touch it
  enum ee_operation_kind kind;
  enum ee_isolation isolation;
  rd_kafka_topic_partition_list_t *list;  // owned: offsets in and out, in the caller's order
  struct ee_topic_state *topics;          // owned: TOPICS
  struct ee_kafka_ticket *ticket;         // COMMIT with offsets: a user of it
  // COMMIT, ABORT: borrowed. INIT, RENEW: owned, NULL or what was there before; given back
  // initialised when DONE, else NULL.
  struct ee_kafka_handle *transactor;
  bool answered;  // nothing is to be done; it only keeps its place in the order
  enum ee_outcome_class outcome;
  struct ee_err err;
  struct ee_kafka_job *next;
};

void ee_kafka_job_free(struct ee_kafka_job *job);
bool ee_kafka_job_takes_transactor(enum ee_operation_kind kind);

// Handles that jobs use, borrowed.
struct ee_kafka_handles {
  struct ee_kafka_shared *shared;
  struct ee_kafka_handle *member, *fetcher, *observer;
};

// Performs a job; blocks. The outcome and err are in the job.
void ee_kafka_perform_query(const struct ee_kafka_handles *handles, struct ee_kafka_job *job);
void ee_kafka_perform_transaction(const struct ee_kafka_handles *handles, struct ee_kafka_job *job);

struct ee_kafka_worker;

bool ee_kafka_worker_new(const struct ee_kafka_handles *handles, struct ee_kafka_worker **ret,
                         struct ee_err *err);
// Takes the job. False: too many are waiting.
bool ee_kafka_worker_begin(struct ee_kafka_worker *worker, struct ee_kafka_job *job);
// A job that has ended, given to the caller, or NULL.
struct ee_kafka_job *ee_kafka_worker_done(struct ee_kafka_worker *worker);

// Forgets the jobs that wait, runs `last` in the worker after the one under way, and ends
// the thread. Waits for it at most deadline_ms. The worker must not be used after it: it
// frees itself, by this call or, when that came back too early (false), at its own end;
// either way `last` has then run or will run.
bool ee_kafka_worker_close(struct ee_kafka_worker *worker, int deadline_ms,
                           void (*last)(void *context), void *context);

#endif
