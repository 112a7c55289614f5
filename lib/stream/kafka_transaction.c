// SPDX-License-Identifier: Apache-2.0
// Jobs of the transactional producer: init, commit, abort, renew. One call each, with
// transaction.timeout.ms: librdkafka allows calls that ran out to be resumed, but (2.0.2)
// does not say which call a result belongs to, and a late one is taken for the next call's.
#include <time.h>

#include "base/time.h"
#include "stream/kafka_class.h"
#include "stream/kafka_worker.h"

#define DESTROY_MS 2000  // what RENEW waits for the old producer's threads
#define FLUSH_MS 200

static int timeout_ms(const struct ee_kafka_handles *handles) {
  return (int)handles->shared->settings.transaction_timeout_ms;
}

// Reads librdkafka's answer and destroys it.
static void answer(struct ee_kafka_job *job, enum ee_kafka_stage stage, rd_kafka_error_t *error,
                   const char *what) {
  struct ee_kafka_fault fault = {.code = RD_KAFKA_RESP_ERR_NO_ERROR};
  if (error != NULL) {
    fault = (struct ee_kafka_fault){.code = rd_kafka_error_code(error),
                                    .fatal = rd_kafka_error_is_fatal(error),
                                    .abortable = rd_kafka_error_txn_requires_abort(error),
                                    .retriable = rd_kafka_error_is_retriable(error)};
    ee_err_set(&job->err, "%s: %s%s", what, rd_kafka_error_string(error),
               ee_kafka_advice(fault.code));
    rd_kafka_error_destroy(error);
  }
  job->outcome = ee_kafka_classify(stage, fault);
}

static void send_offsets(const struct ee_kafka_handles *handles, struct ee_kafka_job *job) {
  if (job->list == NULL || job->list->cnt == 0) {
    job->outcome = EE_DONE;
    return;
  }
  answer(job, EE_KAFKA_OFFSETS,
         rd_kafka_send_offsets_to_transaction(job->transactor->rk, job->list, job->ticket->metadata,
                                              timeout_ms(handles)),
         "send_offsets_to_transaction");
  if (job->outcome == EE_RETRY) job->outcome = EE_ABORT;
}

// commit_transaction looks only every 10 ms whether the last record was acknowledged. If
// the transaction has failed some never are, and it says so: hence the bound.
static void flush(rd_kafka_t *rk) {
  int64_t until_ms = ee_clock_monotonic_ms() + FLUSH_MS;
  while (rd_kafka_flush(rk, 1) == RD_KAFKA_RESP_ERR__TIMED_OUT &&
         ee_clock_monotonic_ms() < until_ms) {
    continue;
  }
}

static void commit(const struct ee_kafka_handles *handles, struct ee_kafka_job *job) {
  int64_t until_ms = ee_clock_monotonic_ms() + timeout_ms(handles);
  // While the last records are on their way; committing waits for them.
  send_offsets(handles, job);
  if (job->outcome != EE_DONE) return;
  flush(job->transactor->rk);
  int64_t left_ms = until_ms - ee_clock_monotonic_ms();
  answer(job, EE_KAFKA_COMMIT,
         rd_kafka_commit_transaction(job->transactor->rk, left_ms < 1 ? 1 : (int)left_ms),
         "commit_transaction");
  if (job->outcome == EE_RETRY) job->outcome = EE_INDEFINITE;
}

static void abort_transaction(const struct ee_kafka_handles *handles, struct ee_kafka_job *job) {
  answer(job, EE_KAFKA_ABORT, rd_kafka_abort_transaction(job->transactor->rk, timeout_ms(handles)),
         "abort_transaction");
  if (job->outcome == EE_RETRY) job->outcome = EE_INDEFINITE;
}

static void *destroy(void *handle) {
  ee_kafka_handle_free(handle);
  return NULL;
}

// Destroying can hang; then it does so in a thread of its own.
static void destroy_bounded(struct ee_kafka_handle *handle) {
  pthread_t thread;
  if (handle == NULL) return;
  ee_kafka_handle_silence(handle);
  if (pthread_create(&thread, NULL, destroy, handle) != 0) return;
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += DESTROY_MS / 1000;
  if (pthread_timedjoin_np(thread, NULL, &until) != 0) pthread_detach(thread);
}

// A producer that did not initialise is not asked again but replaced.
static void init(const struct ee_kafka_handles *handles, struct ee_kafka_job *job) {
  if (job->transactor == NULL &&
      !ee_kafka_handle_new(handles->shared, EE_KAFKA_TRANSACTOR, &job->transactor, &job->err)) {
    job->outcome = EE_RETRY;
    return;
  }
  answer(job, EE_KAFKA_INIT, rd_kafka_init_transactions(job->transactor->rk, timeout_ms(handles)),
         "init_transactions");
  if (job->outcome == EE_DONE) return;
  destroy_bounded(job->transactor);
  job->transactor = NULL;
}

static void renew(const struct ee_kafka_handles *handles, struct ee_kafka_job *job) {
  destroy_bounded(job->transactor);
  job->transactor = NULL;
  init(handles, job);
}

void ee_kafka_perform_transaction(const struct ee_kafka_handles *handles,
                                  struct ee_kafka_job *job) {
  switch (job->kind) {
    case EE_OP_INIT:
      init(handles, job);
      break;
    case EE_OP_COMMIT:
      commit(handles, job);
      break;
    case EE_OP_ABORT:
      abort_transaction(handles, job);
      break;
    default:
      renew(handles, job);
  }
}
