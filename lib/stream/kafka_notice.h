// SPDX-License-Identifier: Apache-2.0
// Troubles on their way to the next poll: a small bounded ring that any thread may fill.
// What lasts (brokers away) is said once, and again only after it has healed.
#ifndef EE_STREAM_KAFKA_NOTICE_H
#define EE_STREAM_KAFKA_NOTICE_H

#include <pthread.h>

#include "stream/broker.h"

#define EE_KAFKA_NOTICES 16

enum ee_kafka_ailment { EE_KAFKA_BROKERS_AWAY, EE_KAFKA_TICKS_FAIL, EE_KAFKA_AILMENTS };

struct ee_kafka_notice {
  enum ee_outcome_class outcome;
  bool out_of_range;  // EE_EVENT_OUT_OF_RANGE of tp; else EE_EVENT_TROUBLE
  struct ee_tp tp;
  struct ee_err err;
};

struct ee_kafka_notices {
  pthread_mutex_t lock;
  int wake_fd;  // borrowed eventfd, written at each push
  struct ee_kafka_notice ring[EE_KAFKA_NOTICES];
  size_t first, count;
  struct ee_err ailing[EE_KAFKA_AILMENTS];  // empty: not ailing
  struct ee_err connection;                 // what a connection last failed with; empty: healed
};

void ee_kafka_notices_init(struct ee_kafka_notices *notices, int wake_fd);
void ee_kafka_notices_release(struct ee_kafka_notices *notices);

// When the ring is full, a RETRY is lost and anything worse takes the newest one's place.
void ee_kafka_notice(struct ee_kafka_notices *notices, enum ee_outcome_class outcome,
                     const char *format, ...) __attribute__((format(printf, 3, 4)));
// A partition that cannot be read on where it was.
void ee_kafka_notice_range(struct ee_kafka_notices *notices, struct ee_tp tp, const char *format,
                           ...) __attribute__((format(printf, 3, 4)));
// A RETRY, if it is not known already.
void ee_kafka_notice_ailment(struct ee_kafka_notices *notices, enum ee_kafka_ailment ailment,
                             const char *format, ...) __attribute__((format(printf, 3, 4)));
// Notes why a connection failed, for what is said when all have: that says only how many. That
// one was lost says less than why there is no other.
void ee_kafka_notice_connection(struct ee_kafka_notices *notices, const char *why);
// The brokers cannot be reached: an ailment, said with what the last connection failed with,
// or `why` where there was none.
void ee_kafka_notice_away(struct ee_kafka_notices *notices, const char *bootstrap, const char *why);
// Copies what is known of it. False: not ailing.
bool ee_kafka_notice_ails(struct ee_kafka_notices *notices, enum ee_kafka_ailment ailment,
                          struct ee_err *ret);
void ee_kafka_notice_healed(struct ee_kafka_notices *notices, enum ee_kafka_ailment ailment);
// False: there is none.
bool ee_kafka_notice_take(struct ee_kafka_notices *notices, struct ee_kafka_notice *ret);

// Makes poll(2) on an eventfd return.
void ee_kafka_wake(int fd);

#endif
