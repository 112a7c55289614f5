// SPDX-License-Identifier: Apache-2.0
// The worker thread: a queue in, a queue out, an eventfd to say so.
#include "stream/kafka_worker.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

struct job_queue {
  struct ee_kafka_job *first, *last;
};

struct ee_kafka_worker {
  struct ee_kafka_handles handles;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  // Under the lock:
  struct job_queue waiting, done;
  size_t count;  // of both and the one under way
  void (*last)(void *context);
  void *context;
  bool closing;
  bool ended;      // the thread uses nothing any more but this struct
  bool abandoned;  // nobody waits: the thread frees it
};

bool ee_kafka_job_takes_transactor(enum ee_operation_kind kind) {
  return kind == EE_OP_INIT || kind == EE_OP_RENEW;
}

void ee_kafka_job_free(struct ee_kafka_job *job) {
  if (job == NULL) return;
  if (job->list != NULL) rd_kafka_topic_partition_list_destroy(job->list);
  free(job->topics);
  ee_kafka_ticket_give(job->ticket);
  if (ee_kafka_job_takes_transactor(job->kind)) ee_kafka_handle_free(job->transactor);
  free(job);
}

static void queue_push(struct job_queue *queue, struct ee_kafka_job *job) {
  job->next = NULL;
  if (queue->first == NULL) {
    queue->first = job;
  } else {
    queue->last->next = job;
  }
  queue->last = job;
}

static struct ee_kafka_job *queue_pop(struct job_queue *queue) {
  struct ee_kafka_job *job = queue->first;
  if (job != NULL) queue->first = job->next;
  return job;
}

static void queue_release(struct job_queue *queue) {
  for (struct ee_kafka_job *job; (job = queue_pop(queue)) != NULL;)
    ee_kafka_job_free(job);
}

static void worker_free(struct ee_kafka_worker *worker) {
  pthread_mutex_destroy(&worker->lock);
  pthread_cond_destroy(&worker->changed);
  free(worker);
}

static void perform(const struct ee_kafka_handles *handles, struct ee_kafka_job *job) {
  switch (job->kind) {
    case EE_OP_INIT:
    case EE_OP_COMMIT:
    case EE_OP_ABORT:
    case EE_OP_RENEW:
      ee_kafka_perform_transaction(handles, job);
      break;
    default:
      ee_kafka_perform_query(handles, job);
  }
}

// The next job, or NULL when the worker closes.
static struct ee_kafka_job *next_job(struct ee_kafka_worker *worker) {
  pthread_mutex_lock(&worker->lock);
  while (!worker->closing && worker->waiting.first == NULL) {
    pthread_cond_wait(&worker->changed, &worker->lock);
  }
  struct ee_kafka_job *job = worker->closing ? NULL : queue_pop(&worker->waiting);
  pthread_mutex_unlock(&worker->lock);
  return job;
}

static void finish(struct ee_kafka_worker *worker) {
  queue_release(&worker->waiting);
  queue_release(&worker->done);
  worker->last(worker->context);
  pthread_mutex_lock(&worker->lock);
  worker->ended = true;
  bool abandoned = worker->abandoned;
  pthread_cond_signal(&worker->changed);
  pthread_mutex_unlock(&worker->lock);
  if (abandoned) worker_free(worker);
}

static void *run(void *argument) {
  struct ee_kafka_worker *worker = argument;
  for (struct ee_kafka_job *job; (job = next_job(worker)) != NULL;) {
    if (!job->answered) perform(&worker->handles, job);
    pthread_mutex_lock(&worker->lock);
    queue_push(&worker->done, job);
    pthread_mutex_unlock(&worker->lock);
    ee_kafka_wake(worker->handles.shared->wake_fd);
  }
  finish(worker);
  return NULL;
}

bool ee_kafka_worker_new(const struct ee_kafka_handles *handles, struct ee_kafka_worker **ret,
                         struct ee_err *err) {
  struct ee_kafka_worker *worker = calloc(1, sizeof(*worker));
  if (worker == NULL) return ee_err_set(err, "no memory for the worker");
  worker->handles = *handles;
  pthread_mutex_init(&worker->lock, NULL);
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(&worker->changed, &attributes);
  pthread_condattr_destroy(&attributes);
  // Signals are the main thread's.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int code = pthread_create(&worker->thread, NULL, run, worker);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (code != 0) {
    worker_free(worker);
    return ee_err_set(err, "no thread for the worker");
  }
  *ret = worker;
  return true;
}

bool ee_kafka_worker_begin(struct ee_kafka_worker *worker, struct ee_kafka_job *job) {
  pthread_mutex_lock(&worker->lock);
  bool taken = worker->count < EE_KAFKA_JOBS_MAX;
  if (taken) {
    queue_push(&worker->waiting, job);
    worker->count++;
    pthread_cond_signal(&worker->changed);
  }
  pthread_mutex_unlock(&worker->lock);
  return taken;
}

struct ee_kafka_job *ee_kafka_worker_done(struct ee_kafka_worker *worker) {
  pthread_mutex_lock(&worker->lock);
  struct ee_kafka_job *job = queue_pop(&worker->done);
  if (job != NULL) worker->count--;
  pthread_mutex_unlock(&worker->lock);
  return job;
}

bool ee_kafka_worker_close(struct ee_kafka_worker *worker, int deadline_ms,
                           void (*last)(void *context), void *context) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  int64_t nanos = until.tv_nsec + (int64_t)(deadline_ms % 1000) * 1000000;
  until.tv_sec += deadline_ms / 1000 + nanos / 1000000000;
  until.tv_nsec = nanos % 1000000000;
  pthread_mutex_lock(&worker->lock);
  worker->closing = true;
  worker->last = last;
  worker->context = context;
  pthread_cond_signal(&worker->changed);
  int code = 0;
  while (!worker->ended && code != ETIMEDOUT) {
    code = pthread_cond_timedwait(&worker->changed, &worker->lock, &until);
  }
  bool ended = worker->ended;
  worker->abandoned = !ended;
  pthread_t thread = worker->thread;
  pthread_mutex_unlock(&worker->lock);
  if (!ended) {
    pthread_detach(thread);
    return false;
  }
  pthread_join(thread, NULL);
  worker_free(worker);
  return true;
}
