// SPDX-License-Identifier: Apache-2.0
// The broker interface over librdkafka: the table of calls, and poll.
#include "stream/kafka_broker.h"

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/time.h"
#include "stream/kafka_impl.h"

static struct ee_kafka_broker *of(struct ee_broker *base) {
  return (struct ee_kafka_broker *)base;
}

static bool do_subscribe(struct ee_broker *base, const enum ee_topic *topics, size_t count,
                         struct ee_err *err) {
  return ee_kafka_group_subscribe(of(base)->group, topics, count, err);
}

// ---- Poll.

static bool take_trouble(struct ee_kafka_broker *broker, struct ee_broker_event *ret) {
  struct ee_kafka_notice notice;
  if (!ee_kafka_notice_take(&broker->shared->notices, &notice)) return false;
  *ret = (struct ee_broker_event){
      .kind = notice.out_of_range ? EE_EVENT_OUT_OF_RANGE : EE_EVENT_TROUBLE,
      .tp = notice.tp,
      .outcome = notice.outcome,
      .err = notice.err};
  return true;
}

static bool take_operation(struct ee_kafka_broker *broker, struct ee_broker_event *ret) {
  struct ee_operation *operation = ee_kafka_ended(broker);
  if (operation == NULL) return false;
  *ret = (struct ee_broker_event){.kind = EE_EVENT_OPERATION,
                                  .operation = operation,
                                  .outcome = operation->outcome,
                                  .err = operation->err};
  return true;
}

// Serves what has arrived. True: *ret is to be returned now.
static bool turn(struct ee_kafka_broker *broker, struct ee_broker_event *ret) {
  ee_kafka_group_turn(broker->group);
  if (broker->transactor != NULL) ee_kafka_handle_serve(broker->transactor);
  ee_kafka_handle_serve(broker->ticker);
  ee_kafka_handle_serve(broker->observer);
  if (take_trouble(broker, ret) || ee_kafka_group_event(broker->group, ret) ||
      take_operation(broker, ret)) {
    return true;
  }
  int64_t now_ms = ee_clock_monotonic_ms();
  bool moved;
  size_t count = ee_kafka_fetch_turn(broker->fetch, now_ms, &moved);
  *ret = (struct ee_broker_event){.kind = count > 0 ? EE_EVENT_MESSAGES : EE_EVENT_NONE,
                                  .messages = broker->fetch->messages,
                                  .count = count};
  rd_kafka_topic_partition_list_t *sleeping = ee_kafka_fetch_sleeping(broker->fetch, now_ms);
  if (sleeping != NULL) ee_kafka_wake_fetcher(broker, sleeping);
  return count > 0 || moved;
}

// False: a signal came, or the time is over.
static bool wait_until(struct ee_kafka_broker *broker, int64_t until_ms) {
  int64_t now_ms = ee_clock_monotonic_ms();
  int64_t left_ms = until_ms - now_ms;
  if (left_ms <= 0) return false;
  int patience_ms = ee_kafka_fetch_patience_ms(broker->fetch, now_ms);
  struct pollfd pollfd = {.fd = broker->shared->wake_fd, .events = POLLIN};
  int ready = poll(&pollfd, 1, left_ms < patience_ms ? (int)left_ms : patience_ms);
  if (ready < 0) return false;
  uint64_t count;
  ssize_t got = ready == 0 ? 0 : read(pollfd.fd, &count, sizeof(count));
  return got >= 0;
}

static void do_poll(struct ee_broker *base, int timeout_ms, struct ee_broker_event *ret) {
  struct ee_kafka_broker *broker = of(base);
  int64_t until_ms = ee_clock_monotonic_ms() + timeout_ms;
  while (!turn(broker, ret) && wait_until(broker, until_ms))
    continue;
}

static void do_free_message(struct ee_broker *base, struct ee_message *message) {
  (void)base;
  ee_kafka_fetch_give_back(message);
}

static struct ee_bytes do_header(struct ee_broker *base, const struct ee_message *message,
                                 const char *name) {
  (void)base;
  return ee_kafka_fetch_header(message, name);
}

// ---- Group and partitions.

static void do_accept(struct ee_broker *base) {
  ee_kafka_group_accept(of(base)->group);
}
static void do_leave(struct ee_broker *base) {
  ee_kafka_group_leave(of(base)->group);
}
static void do_relinquish(struct ee_broker *base) {
  ee_kafka_group_relinquish(of(base)->group);
}

static void do_start(struct ee_broker *base, struct ee_tp tp, int64_t offset) {
  ee_kafka_fetch_start(of(base)->fetch, tp, offset, true);
}

static void do_read(struct ee_broker *base, struct ee_tp tp, int64_t offset) {
  ee_kafka_fetch_start(of(base)->fetch, tp, offset, false);
}

static void do_stop(struct ee_broker *base, struct ee_tp tp) {
  ee_kafka_fetch_stop(of(base)->fetch, tp);
}

static void do_pause(struct ee_broker *base, struct ee_tp tp) {
  ee_kafka_fetch_pause(of(base)->fetch, tp, true);
}

static void do_resume(struct ee_broker *base, struct ee_tp tp) {
  ee_kafka_fetch_pause(of(base)->fetch, tp, false);
}

static int64_t do_position(struct ee_broker *base, struct ee_tp tp) {
  return ee_kafka_fetch_position(of(base)->fetch, tp);
}

static int64_t do_lag(struct ee_broker *base, struct ee_tp tp) {
  return ee_kafka_fetch_lag(of(base)->fetch, tp);
}

// ---- Producing and operations.

static enum ee_outcome_class do_begin_transaction(struct ee_broker *base, struct ee_err *err) {
  return ee_kafka_begin_transaction(of(base), err);
}

static enum ee_outcome_class do_produce(struct ee_broker *base, const struct ee_output *output,
                                        struct ee_err *err) {
  return ee_kafka_produce(of(base), output, err);
}

static void do_produce_plain(struct ee_broker *base, const struct ee_output *output) {
  ee_kafka_produce_plain(of(base), output);
}

static void do_begin(struct ee_broker *base, struct ee_operation *operation) {
  ee_kafka_begin(of(base), operation);
}

static struct ee_str do_topic_name(struct ee_broker *base, enum ee_topic topic) {
  return ee_str(of(base)->shared->names[topic]);
}

static int32_t do_partition_count(struct ee_broker *base, enum ee_topic topic) {
  return of(base)->partition_counts[topic];
}

static void do_close(struct ee_broker *base, int deadline_ms) {
  ee_kafka_close(of(base), deadline_ms);
}

static const struct ee_broker_ops ops = {
    .subscribe = do_subscribe,
    .poll = do_poll,
    .free_message = do_free_message,
    .header = do_header,
    .accept = do_accept,
    .leave = do_leave,
    .relinquish = do_relinquish,
    .start = do_start,
    .pause = do_pause,
    .resume = do_resume,
    .read = do_read,
    .read_stop = do_stop,
    .position = do_position,
    .begin_transaction = do_begin_transaction,
    .produce = do_produce,
    .produce_plain = do_produce_plain,
    .begin = do_begin,
    .topic_name = do_topic_name,
    .partition_count = do_partition_count,
    .lag = do_lag,
    .close = do_close,
};

// ---- Making it.

static void release(struct ee_kafka_broker *broker) {
  ee_kafka_handle_free(broker->transactor);
  ee_kafka_handle_free(broker->ticker);
  ee_kafka_handle_free(broker->observer);
  if (broker->group != NULL) ee_kafka_handle_free(broker->group->handle);
  ee_kafka_group_free(broker->group);
  if (broker->fetch != NULL) ee_kafka_handle_free(broker->fetch->handle);
  ee_kafka_fetch_free(broker->fetch);
  ee_kafka_shared_free(broker->shared);
  free(broker);
}

static bool make_worker(struct ee_kafka_broker *broker, struct ee_err *err) {
  struct ee_kafka_handles handles = {.shared = broker->shared,
                                     .member = broker->group->handle,
                                     .fetcher = broker->fetch->handle,
                                     .observer = broker->observer};
  return ee_kafka_worker_new(&handles, &broker->worker, err);
}

bool ee_kafka_broker_new(const struct ee_kafka_settings *settings, struct ee_broker **ret,
                         struct ee_err *err) {
  struct ee_kafka_broker *broker = calloc(1, sizeof(*broker));
  if (broker == NULL) return ee_err_set(err, "no memory for the broker");
  broker->base.ops = &ops;
  if (ee_kafka_shared_new(settings, &broker->shared, err) &&
      ee_kafka_fetch_new(broker->shared, &broker->fetch, err) &&
      ee_kafka_group_new(broker->shared, broker->fetch, &broker->group, err) &&
      ee_kafka_handle_new(broker->shared, EE_KAFKA_OBSERVER, &broker->observer, err) &&
      ee_kafka_handle_new(broker->shared, EE_KAFKA_TICKER, &broker->ticker, err) &&
      ee_kafka_handle_new(broker->shared, EE_KAFKA_TRANSACTOR, &broker->transactor, err) &&
      make_worker(broker, err)) {
    *ret = &broker->base;
    return true;
  }
  release(broker);
  return false;
}
