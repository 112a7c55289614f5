// SPDX-License-Identifier: Apache-2.0
// What a producer's parts share: opening and closing (producer.c), its threads (threads.c) and
// what callers do (emit.c).
#ifndef EE_CLIENT_PRODUCER_IMPL_H
#define EE_CLIENT_PRODUCER_IMPL_H

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>

#include "client/kafka_outlet.h"
#include "client/sender.h"
#include "client/settings.h"
#include "spool/spool.h"

// Of the setting sync = call: calls wait for their turn, and one sync serves all that wait.
struct ee_sync {
  uint64_t asked, done;         // calls, in the order in which they asked
  uint64_t failed;              // the last of them that failed, or waited with one that did
  struct ee_spool_at from, to;  // of those that are not done
};

struct envelope_producer {
  // Of callers.
  alignas(64) _Atomic(uint64_t) accepted;
  _Atomic(uint64_t) dropped;
  // Fixed while it is open.
  alignas(64) const uint8_t *alive;  // 1; a child of fork reads 0
  struct ee_spool *spool;
  struct ee_sender *sender;
  bool refuse_when_full, sync_calls;
  struct ee_str source;  // absent: none
  char name[EE_PRODUCER_NAME_MAX + 1];
  struct envelope_settings settings;  // owns its values
  struct ee_kafka_outlet *outlet;
  struct envelope_producer *next;  // in the list of all that are open
  // Of the threads.
  pthread_t sending, keeping, disk;
  pthread_mutex_t lock;  // of what follows
  pthread_cond_t changed;
  bool stop, sender_ended, spool_stop;
  int64_t stop_at_ms;  // once stop is set: monotonic, not after
  bool finish;         // the last reports are to be written first
  uint64_t flush_asked, flush_done;
  struct ee_spool_at flush_to;
  struct ee_sync sync;
  struct ee_err trouble;  // "": none
  bool trouble_by_operator;
};

// threads.c. All threads run after start, and none after a failure of it.
bool producer_start(struct envelope_producer *producer, struct ee_err *err);
// Blocks; false: not in time.
bool producer_flush(struct envelope_producer *producer, int64_t timeout_ms);
// Ends all, at most at about that time. False: the sender still hangs in librdkafka; nothing of
// the producer may be freed.
bool producer_stop(struct envelope_producer *producer, bool finish, int64_t until_ms);
// Blocks until what lies there survives the machine. False: it may not.
bool producer_sync(struct envelope_producer *producer, struct ee_spool_at at);

static inline bool producer_forked(const struct envelope_producer *producer) {
  return *(const volatile uint8_t *)producer->alive == 0;
}

#endif
