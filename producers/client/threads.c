// SPDX-License-Identifier: Apache-2.0
// A producer's threads: one moves records to Kafka, one keeps the spool's segments ready, one waits
// for its disk.
#include <errno.h>
#include <signal.h>
#include <time.h>

#include "base/time.h"
#include "client/producer_impl.h"

#define BUSY_WAIT_MS 1
#define IDLE_WAIT_MS 10
#define IDLE_AFTER 100  // turns without work
#define KEEP_BUSY_US 1000
#define KEEP_IDLE_US 10000
#define DISK_US 10000
#define GRACE_MS 2000  // for librdkafka to end its threads
#define NOTICE_MS 30000
#define TROUBLE_MS 50

static struct timespec deadline_after_us(int64_t micros) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  at.tv_sec += micros / EE_MICROS_PER_S;
  at.tv_nsec += micros % EE_MICROS_PER_S * 1000;
  if (at.tv_nsec >= 1000000000) {
    at.tv_nsec -= 1000000000;
    at.tv_sec++;
  }
  return at;
}

// ---- The sender.

// What the sender has to know of what others want.
struct wish {
  bool stop, finish;
  int64_t stop_at_ms;
  uint64_t flush_asked;
  struct ee_spool_at flush_to;
};

static struct wish look(struct envelope_producer *producer) {
  pthread_mutex_lock(&producer->lock);
  struct wish wish = {.stop = producer->stop,
                      .finish = producer->finish,
                      .stop_at_ms = producer->stop_at_ms,
                      .flush_asked = producer->flush_asked,
                      .flush_to = producer->flush_to};
  pthread_mutex_unlock(&producer->lock);
  return wish;
}

// Kept for those who ask. While something is acknowledged there is none.
static void note_trouble(struct envelope_producer *producer, uint64_t *acknowledged) {
  bool by_operator = false;
  const char *trouble = ee_sender_trouble(producer->sender, &by_operator);
  uint64_t now = atomic_load(&ee_sender_counts(producer->sender)->acknowledged);
  if (now != *acknowledged) trouble = NULL;
  *acknowledged = now;
  pthread_mutex_lock(&producer->lock);
  ee_err_set(&producer->trouble, "%s", trouble == NULL ? "" : trouble);
  producer->trouble_by_operator = by_operator;
  pthread_mutex_unlock(&producer->lock);
}

static void flushed(struct envelope_producer *producer, const struct wish *wish) {
  pthread_mutex_lock(&producer->lock);
  if (producer->flush_done < wish->flush_asked) {
    producer->flush_done = wish->flush_asked;
    pthread_cond_broadcast(&producer->changed);
  }
  pthread_mutex_unlock(&producer->lock);
}

static void tell_dropped(struct envelope_producer *producer, uint64_t *told, int64_t *told_ms,
                         int64_t now_ms) {
  uint64_t dropped = atomic_load_explicit(&producer->dropped, memory_order_relaxed);
  if (dropped == *told || now_ms < *told_ms + 1000) return;
  ee_notice(&producer->settings.notices, ENVELOPE_ERROR,
            "the spool was full: %llu events dropped so far, and declared",
            (unsigned long long)dropped);
  *told = dropped;
  *told_ms = now_ms;
}

static void send_on(struct envelope_producer *producer) {
  uint64_t told = 0, acknowledged = 0;
  int64_t told_ms = INT64_MIN / 2;
  int quiet = IDLE_AFTER;
  int64_t trouble_at_ms = INT64_MIN;
  bool busy = false;
  for (;;) {
    struct wish wish = look(producer);
    struct ee_sender_time now = {.monotonic_ms = ee_clock_monotonic_ms(),
                                 .wall_us = ee_clock_wall_micros()};
    int wait_ms = busy ? 0 : quiet < IDLE_AFTER ? BUSY_WAIT_MS : IDLE_WAIT_MS;
    busy = ee_sender_turn(producer->sender, &now, wait_ms);
    quiet = busy ? 0 : quiet + 1;
    if (ee_sender_reached(producer->sender, wish.flush_to)) flushed(producer, &wish);
    tell_dropped(producer, &told, &told_ms, now.monotonic_ms);
    if (now.monotonic_ms >= trouble_at_ms) {
      note_trouble(producer, &acknowledged);
      trouble_at_ms = now.monotonic_ms + TROUBLE_MS;
    }
    if (!wish.stop) continue;
    if (!wish.finish || now.monotonic_ms >= wish.stop_at_ms) return;
    if (ee_sender_end(producer->sender)) return;
  }
}

static void *sender_thread(void *argument) {
  struct envelope_producer *producer = argument;
  send_on(producer);
  ee_kafka_outlet_free(producer->outlet);
  pthread_mutex_lock(&producer->lock);
  producer->sender_ended = true;
  pthread_cond_broadcast(&producer->changed);
  pthread_mutex_unlock(&producer->lock);
  return NULL;
}

// ---- The spool.

static void sync_asked(struct envelope_producer *producer) {
  struct ee_err err;
  struct ee_sync *sync = &producer->sync;
  while (sync->done < sync->asked) {
    uint64_t asked = sync->asked;
    struct ee_spool_at from = sync->from, to = sync->to;
    sync->from = (struct ee_spool_at){.segment = UINT64_MAX};
    sync->to = (struct ee_spool_at){.segment = 0};
    pthread_mutex_unlock(&producer->lock);
    bool synced = ee_spool_sync(producer->spool, from, to, &err);
    if (!synced) ee_notice(&producer->settings.notices, ENVELOPE_ERROR, "spool: %s", err.text);
    pthread_mutex_lock(&producer->lock);
    sync->done = asked;
    if (!synced) sync->failed = asked;
    pthread_cond_broadcast(&producer->changed);
  }
}

static void tell_failure(const struct envelope_producer *producer, const struct ee_err *err,
                         int64_t now_ms, int64_t *said_ms) {
  if (now_ms < *said_ms + NOTICE_MS) return;
  ee_notice(&producer->settings.notices, ENVELOPE_ERROR, "spool: %s", err->text);
  *said_ms = now_ms;
}

static void *keeper_thread(void *argument) {
  struct envelope_producer *producer = argument;
  int64_t said_ms = INT64_MIN / 2;
  struct ee_spool_at before = {.segment = 0};
  pthread_mutex_lock(&producer->lock);
  while (!producer->spool_stop) {
    struct ee_err err;
    pthread_mutex_unlock(&producer->lock);
    int64_t now_ms = ee_clock_monotonic_ms();
    if (!ee_spool_keep(producer->spool, now_ms, &err))
      tell_failure(producer, &err, now_ms, &said_ms);
    struct ee_spool_at tail = ee_spool_tail(producer->spool);
    bool busy = tail.segment != before.segment || tail.offset != before.offset;
    before = tail;
    struct timespec at = deadline_after_us(busy ? KEEP_BUSY_US : KEEP_IDLE_US);
    pthread_mutex_lock(&producer->lock);
    while (!producer->spool_stop &&
           pthread_cond_timedwait(&producer->changed, &producer->lock, &at) == 0) {
    }
  }
  pthread_mutex_unlock(&producer->lock);
  return NULL;
}

static void *disk_thread(void *argument) {
  struct envelope_producer *producer = argument;
  int64_t said_ms = INT64_MIN / 2;
  pthread_mutex_lock(&producer->lock);
  while (!producer->spool_stop) {
    struct ee_err err;
    sync_asked(producer);
    pthread_mutex_unlock(&producer->lock);
    if (!ee_spool_remove_settled(producer->spool, &err))
      tell_failure(producer, &err, ee_clock_monotonic_ms(), &said_ms);
    struct timespec at = deadline_after_us(DISK_US);
    pthread_mutex_lock(&producer->lock);
    while (!producer->spool_stop && producer->sync.done == producer->sync.asked &&
           pthread_cond_timedwait(&producer->changed, &producer->lock, &at) == 0) {
    }
  }
  sync_asked(producer);
  pthread_mutex_unlock(&producer->lock);
  return NULL;
}

static bool earlier(struct ee_spool_at a, struct ee_spool_at b) {
  return a.segment < b.segment || (a.segment == b.segment && a.offset < b.offset);
}

bool producer_sync(struct envelope_producer *producer, struct ee_spool_at at) {
  struct ee_sync *sync = &producer->sync;
  pthread_mutex_lock(&producer->lock);
  uint64_t mine = ++sync->asked;
  if (mine == sync->done + 1 || earlier(at, sync->from)) sync->from = at;
  if (mine == sync->done + 1 || earlier(sync->to, at)) sync->to = at;
  pthread_cond_broadcast(&producer->changed);
  while (sync->done < mine)
    pthread_cond_wait(&producer->changed, &producer->lock);
  bool synced = mine > sync->failed;
  pthread_mutex_unlock(&producer->lock);
  return synced;
}

// ---- Starting, waiting, stopping.

// Signals are the program's: its own threads take them.
static int start_thread(pthread_t *ret, void *(*run)(void *), struct envelope_producer *producer) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(ret, NULL, run, producer);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return error;
}

static void stop_spool(struct envelope_producer *producer, bool disk_too) {
  pthread_mutex_lock(&producer->lock);
  producer->spool_stop = true;
  pthread_cond_broadcast(&producer->changed);
  pthread_mutex_unlock(&producer->lock);
  pthread_join(producer->keeping, NULL);
  if (disk_too) pthread_join(producer->disk, NULL);
}

static int start_threads(struct envelope_producer *producer) {
  int error = start_thread(&producer->keeping, keeper_thread, producer);
  if (error != 0) return error;
  error = start_thread(&producer->disk, disk_thread, producer);
  bool disk = error == 0;
  if (error == 0) error = start_thread(&producer->sending, sender_thread, producer);
  if (error != 0) stop_spool(producer, disk);
  return error;
}

bool producer_start(struct envelope_producer *producer, struct ee_err *err) {
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(&producer->changed, &attributes);
  pthread_condattr_destroy(&attributes);
  pthread_mutex_init(&producer->lock, NULL);
  int error = start_threads(producer);
  if (error == 0) return true;
  pthread_cond_destroy(&producer->changed);
  pthread_mutex_destroy(&producer->lock);
  return ee_err_set(err, "no thread: %s", strerror(error));
}

bool producer_flush(struct envelope_producer *producer, int64_t timeout_ms) {
  if (timeout_ms < 0) timeout_ms = 0;
  if (timeout_ms > INT32_MAX) timeout_ms = INT32_MAX;
  struct timespec at = deadline_after_us(timeout_ms * EE_MICROS_PER_MS);
  struct ee_spool_at tail = ee_spool_tail(producer->spool);
  pthread_mutex_lock(&producer->lock);
  uint64_t mine = ++producer->flush_asked;
  if (earlier(producer->flush_to, tail)) producer->flush_to = tail;
  while (producer->flush_done < mine &&
         pthread_cond_timedwait(&producer->changed, &producer->lock, &at) != ETIMEDOUT) {
  }
  bool done = producer->flush_done >= mine;
  pthread_mutex_unlock(&producer->lock);
  return done;
}

bool producer_stop(struct envelope_producer *producer, bool finish, int64_t until_ms) {
  int64_t left_ms = until_ms - ee_clock_monotonic_ms();
  if (left_ms < 0) left_ms = 0;
  struct timespec at = deadline_after_us((left_ms + GRACE_MS) * EE_MICROS_PER_MS);
  pthread_mutex_lock(&producer->lock);
  producer->stop = true;
  producer->finish = finish;
  producer->stop_at_ms = until_ms;
  while (!producer->sender_ended &&
         pthread_cond_timedwait(&producer->changed, &producer->lock, &at) != ETIMEDOUT) {
  }
  bool ended = producer->sender_ended;
  pthread_mutex_unlock(&producer->lock);
  stop_spool(producer, true);
  if (!ended) {
    pthread_detach(producer->sending);
    return false;
  }
  pthread_join(producer->sending, NULL);
  pthread_cond_destroy(&producer->changed);
  pthread_mutex_destroy(&producer->lock);
  return true;
}
