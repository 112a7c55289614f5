// SPDX-License-Identifier: Apache-2.0
// Troubles on their way to the next poll, from whatever thread they come.
#include "stream/kafka_notice.h"

#include <stdarg.h>
#include <unistd.h>

void ee_kafka_wake(int fd) {
  uint64_t one = 1;
  // It can only fail by being full, and then it wakes already.
  ssize_t written = write(fd, &one, sizeof(one));
  (void)written;
}

void ee_kafka_notices_init(struct ee_kafka_notices *notices, int wake_fd) {
  *notices = (struct ee_kafka_notices){.wake_fd = wake_fd};
  pthread_mutex_init(&notices->lock, NULL);
}

void ee_kafka_notices_release(struct ee_kafka_notices *notices) {
  pthread_mutex_destroy(&notices->lock);
}

// Holding the lock.
static void push(struct ee_kafka_notices *notices, const struct ee_kafka_notice *notice) {
  size_t place = notices->count;
  if (place == EE_KAFKA_NOTICES) {
    if (notice->outcome == EE_RETRY) return;
    place--;
  } else {
    notices->count++;
  }
  notices->ring[(notices->first + place) % EE_KAFKA_NOTICES] = *notice;
  ee_kafka_wake(notices->wake_fd);
}

__attribute__((format(printf, 1, 0))) static struct ee_err print(const char *format, va_list args) {
  char text[EE_ERR_MAX];
  struct ee_err err;
  vsnprintf(text, sizeof(text), format, args);
  ee_err_set(&err, "%s", text);
  return err;
}

void ee_kafka_notice(struct ee_kafka_notices *notices, enum ee_outcome_class outcome,
                     const char *format, ...) {
  va_list args;
  va_start(args, format);
  struct ee_kafka_notice notice = {.outcome = outcome, .err = print(format, args)};
  va_end(args);
  pthread_mutex_lock(&notices->lock);
  push(notices, &notice);
  pthread_mutex_unlock(&notices->lock);
}

void ee_kafka_notice_range(struct ee_kafka_notices *notices, struct ee_tp tp, const char *format,
                           ...) {
  va_list args;
  va_start(args, format);
  struct ee_kafka_notice notice = {
      .outcome = EE_FATAL, .out_of_range = true, .tp = tp, .err = print(format, args)};
  va_end(args);
  pthread_mutex_lock(&notices->lock);
  push(notices, &notice);
  pthread_mutex_unlock(&notices->lock);
}

// Holding the lock.
static void ail(struct ee_kafka_notices *notices, enum ee_kafka_ailment ailment,
                const struct ee_err *err) {
  struct ee_err *known = &notices->ailing[ailment];
  struct ee_kafka_notice notice = {.outcome = EE_RETRY, .err = *err};
  if (known->text[0] == '\0') push(notices, &notice);
  *known = *err;
}

void ee_kafka_notice_ailment(struct ee_kafka_notices *notices, enum ee_kafka_ailment ailment,
                             const char *format, ...) {
  va_list args;
  va_start(args, format);
  struct ee_err err = print(format, args);
  va_end(args);
  pthread_mutex_lock(&notices->lock);
  ail(notices, ailment, &err);
  pthread_mutex_unlock(&notices->lock);
}

void ee_kafka_notice_connection(struct ee_kafka_notices *notices, const char *why) {
  pthread_mutex_lock(&notices->lock);
  bool lost = strstr(why, "Disconnected") != NULL;
  if (!lost || notices->connection.text[0] == '\0') ee_err_set(&notices->connection, "%s", why);
  pthread_mutex_unlock(&notices->lock);
}

void ee_kafka_notice_away(struct ee_kafka_notices *notices, const char *bootstrap,
                          const char *why) {
  struct ee_err err;
  pthread_mutex_lock(&notices->lock);
  if (notices->connection.text[0] != '\0') why = notices->connection.text;
  ee_err_set(&err, "Kafka at %s cannot be reached (is it running, and is --bootstrap right?): %s",
             bootstrap, why);
  ail(notices, EE_KAFKA_BROKERS_AWAY, &err);
  pthread_mutex_unlock(&notices->lock);
}

bool ee_kafka_notice_ails(struct ee_kafka_notices *notices, enum ee_kafka_ailment ailment,
                          struct ee_err *ret) {
  pthread_mutex_lock(&notices->lock);
  bool ailing = notices->ailing[ailment].text[0] != '\0';
  if (ailing) *ret = notices->ailing[ailment];
  pthread_mutex_unlock(&notices->lock);
  return ailing;
}

void ee_kafka_notice_healed(struct ee_kafka_notices *notices, enum ee_kafka_ailment ailment) {
  pthread_mutex_lock(&notices->lock);
  notices->ailing[ailment].text[0] = '\0';
  if (ailment == EE_KAFKA_BROKERS_AWAY) notices->connection.text[0] = '\0';
  pthread_mutex_unlock(&notices->lock);
}

bool ee_kafka_notice_take(struct ee_kafka_notices *notices, struct ee_kafka_notice *ret) {
  pthread_mutex_lock(&notices->lock);
  bool found = notices->count > 0;
  if (found) {
    *ret = notices->ring[notices->first];
    notices->first = (notices->first + 1) % EE_KAFKA_NOTICES;
    notices->count--;
  }
  pthread_mutex_unlock(&notices->lock);
  return found;
}
