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

__attribute__((format(printf, 3, 0))) static void push(struct ee_kafka_notices *notices,
                                                       enum ee_outcome_class outcome,
                                                       const char *format, va_list args) {
  size_t place = notices->count;
  if (place == EE_KAFKA_NOTICES) {
    if (outcome == EE_RETRY) return;
    place--;
  } else {
    notices->count++;
  }
  struct ee_kafka_notice *notice = &notices->ring[(notices->first + place) % EE_KAFKA_NOTICES];
  notice->outcome = outcome;
  char text[EE_ERR_MAX];
  vsnprintf(text, sizeof(text), format, args);
  ee_err_set(&notice->err, "%s", text);
  ee_kafka_wake(notices->wake_fd);
}

void ee_kafka_notice(struct ee_kafka_notices *notices, enum ee_outcome_class outcome,
                     const char *format, ...) {
  va_list args;
  va_start(args, format);
  pthread_mutex_lock(&notices->lock);
  push(notices, outcome, format, args);
  pthread_mutex_unlock(&notices->lock);
  va_end(args);
}

void ee_kafka_notice_ailment(struct ee_kafka_notices *notices, enum ee_kafka_ailment ailment,
                             const char *format, ...) {
  va_list args;
  va_start(args, format);
  pthread_mutex_lock(&notices->lock);
  if (!notices->ailing[ailment]) push(notices, EE_RETRY, format, args);
  notices->ailing[ailment] = true;
  pthread_mutex_unlock(&notices->lock);
  va_end(args);
}

void ee_kafka_notice_healed(struct ee_kafka_notices *notices, enum ee_kafka_ailment ailment) {
  pthread_mutex_lock(&notices->lock);
  notices->ailing[ailment] = false;
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
