// SPDX-License-Identifier: Apache-2.0
// A broker that stands before another one and misbehaves when told to.
#include "support/faulty_broker.h"

static struct faulty_broker *faulty(struct ee_broker *broker) {
  return (struct faulty_broker *)(void *)broker;
}

// Before a call that changes something. False: it has no effect.
static bool lives(struct faulty_broker *f) {
  if (f->dead || f->calls_to_live == 0) return !f->dead;
  f->dead = --f->calls_to_live == 0;
  return !f->dead || f->dies_after_effect;
}

static bool do_subscribe(struct ee_broker *b, const enum ee_topic *topics, size_t count,
                         struct ee_err *err) {
  return faulty(b)->inner->ops->subscribe(faulty(b)->inner, topics, count, err);
}

static void report(struct ee_broker_event *ret, struct ee_operation *operation) {
  operation->pending = false;
  *ret = (struct ee_broker_event){.kind = EE_EVENT_OPERATION, .operation = operation};
}

static struct ee_operation *release(struct ee_operation **place) {
  struct ee_operation *operation = *place;
  *place = NULL;
  return operation;
}

static bool is_away(struct faulty_broker *f, struct ee_broker_event *ret) {
  if (f->away == 0) {
    f->said_away = false;
    return false;
  }
  f->away--;
  if (f->said_away) return true;
  f->said_away = true;
  ret->kind = EE_EVENT_TROUBLE;
  ret->outcome = EE_RETRY;
  ee_err_set(&ret->err, "all brokers are away");
  return true;
}

static void lose_reply(struct faulty_broker *f, struct ee_operation *operation) {
  bool commit = operation->kind == EE_OP_COMMIT && f->commit == COMMIT_DONE_UNKNOWN;
  bool abort = operation->kind == EE_OP_ABORT && f->abort_unknown;
  if (!commit && !abort) return;
  if (commit) f->commit = COMMIT_GOES;
  if (abort) f->abort_unknown = false;
  operation->outcome = EE_INDEFINITE;
  ee_err_set(&operation->err, "the reply was lost");
}

// A held one goes before another of its kind; others may overtake it.
static void hold(struct faulty_broker *f, struct ee_broker_event *ret) {
  struct ee_operation *operation = ret->operation;
  bool overtakes = f->held != NULL && f->held->kind != operation->kind;
  if (overtakes || (f->held == NULL && f->delay == 0)) return;
  struct ee_operation *before = release(&f->held);
  f->held = operation;
  f->held_for = before == NULL ? f->delay : 0;
  operation->pending = true;
  *ret = (struct ee_broker_event){.kind = EE_EVENT_NONE};
  if (before != NULL) report(ret, before);
}

static void do_poll(struct ee_broker *b, int timeout_ms, struct ee_broker_event *ret) {
  struct faulty_broker *f = faulty(b);
  *ret = (struct ee_broker_event){.kind = EE_EVENT_NONE};
  if (!lives(f) || f->dead || is_away(f, ret)) return;
  if (f->refused != NULL) {
    report(ret, release(&f->refused));
    return;
  }
  if (f->held != NULL && f->held_for-- <= 0) {
    report(ret, release(&f->held));
    return;
  }
  f->inner->ops->poll(f->inner, timeout_ms, ret);
  if (ret->kind != EE_EVENT_OPERATION) return;
  lose_reply(f, ret->operation);
  hold(f, ret);
}

static void do_free(struct ee_broker *b, struct ee_message *message) {
  faulty(b)->inner->ops->free_message(faulty(b)->inner, message);
}

static struct ee_bytes do_header(struct ee_broker *b, const struct ee_message *message,
                                 const char *name) {
  return faulty(b)->inner->ops->header(faulty(b)->inner, message, name);
}

static void do_accept(struct ee_broker *b) {
  if (lives(faulty(b))) faulty(b)->inner->ops->accept(faulty(b)->inner);
}
static void do_leave(struct ee_broker *b) {
  if (lives(faulty(b))) faulty(b)->inner->ops->leave(faulty(b)->inner);
}
static void do_relinquish(struct ee_broker *b) {
  if (lives(faulty(b))) faulty(b)->inner->ops->relinquish(faulty(b)->inner);
}
static void do_start(struct ee_broker *b, struct ee_tp tp, int64_t offset) {
  if (lives(faulty(b))) faulty(b)->inner->ops->start(faulty(b)->inner, tp, offset);
}
static void do_pause(struct ee_broker *b, struct ee_tp tp) {
  if (lives(faulty(b))) faulty(b)->inner->ops->pause(faulty(b)->inner, tp);
}
static void do_resume(struct ee_broker *b, struct ee_tp tp) {
  if (lives(faulty(b))) faulty(b)->inner->ops->resume(faulty(b)->inner, tp);
}
static void do_read(struct ee_broker *b, struct ee_tp tp, int64_t offset) {
  if (lives(faulty(b))) faulty(b)->inner->ops->read(faulty(b)->inner, tp, offset);
}
static void do_read_stop(struct ee_broker *b, struct ee_tp tp) {
  if (lives(faulty(b))) faulty(b)->inner->ops->read_stop(faulty(b)->inner, tp);
}
static int64_t do_position(struct ee_broker *b, struct ee_tp tp) {
  return faulty(b)->inner->ops->position(faulty(b)->inner, tp);
}
static enum ee_outcome_class do_begin_transaction(struct ee_broker *b, struct ee_err *err) {
  if (!lives(faulty(b))) return EE_DONE;
  if (faulty(b)->begin_unknown) {
    faulty(b)->begin_unknown = false;
    ee_err_set(err, "the producer is of no further use");
    return EE_INDEFINITE;
  }
  return faulty(b)->inner->ops->begin_transaction(faulty(b)->inner, err);
}

static enum ee_outcome_class do_produce(struct ee_broker *b, const struct ee_output *output,
                                        struct ee_err *err) {
  struct faulty_broker *f = faulty(b);
  if (!lives(f)) return EE_DONE;
  if (f->push_back > 0) {
    f->push_back--;
    ee_err_set(err, "the queue is full");
    return EE_RETRY;
  }
  if (f->produce_aborts) {
    f->produce_aborts = false;
    ee_err_set(err, "the transaction must be aborted");
    return EE_ABORT;
  }
  return f->inner->ops->produce(f->inner, output, err);
}

static void do_produce_plain(struct ee_broker *b, const struct ee_output *output) {
  if (!lives(faulty(b))) return;
  if (faulty(b)->lost_ticks > 0) {
    faulty(b)->lost_ticks--;
    return;
  }
  faulty(b)->inner->ops->produce_plain(faulty(b)->inner, output);
}

static void refuse(struct faulty_broker *f, struct ee_operation *operation,
                   enum ee_outcome_class outcome) {
  f->commit = COMMIT_GOES;
  f->refused = operation;
  operation->pending = true;
  operation->outcome = outcome;
  ee_err_set(&operation->err, "the commit did not go through");
}

static void do_begin(struct ee_broker *b, struct ee_operation *operation) {
  struct faulty_broker *f = faulty(b);
  operation->pending = true;
  if (!lives(f)) return;
  if (operation->kind == EE_OP_COMMIT) {
    f->commits++;
    if (f->commit == COMMIT_REFUSED) {
      refuse(f, operation, EE_ABORT);
      return;
    }
    if (f->commit == COMMIT_UNDONE_UNKNOWN) {
      refuse(f, operation, EE_INDEFINITE);
      return;
    }
  }
  f->inner->ops->begin(f->inner, operation);
}

static struct ee_str do_topic_name(struct ee_broker *b, enum ee_topic topic) {
  return faulty(b)->inner->ops->topic_name(faulty(b)->inner, topic);
}
static int32_t do_partition_count(struct ee_broker *b, enum ee_topic topic) {
  return faulty(b)->inner->ops->partition_count(faulty(b)->inner, topic);
}
static int64_t do_lag(struct ee_broker *b, struct ee_tp tp) {
  return faulty(b)->inner->ops->lag(faulty(b)->inner, tp);
}
static void do_close(struct ee_broker *b, int deadline_ms) {
  faulty(b)->inner->ops->close(faulty(b)->inner, deadline_ms);
}

void faulty_broker_init(struct faulty_broker *f, struct ee_broker *inner) {
  static const struct ee_broker_ops ops = {.subscribe = do_subscribe,
                                           .poll = do_poll,
                                           .free_message = do_free,
                                           .header = do_header,
                                           .accept = do_accept,
                                           .leave = do_leave,
                                           .relinquish = do_relinquish,
                                           .start = do_start,
                                           .pause = do_pause,
                                           .resume = do_resume,
                                           .read = do_read,
                                           .read_stop = do_read_stop,
                                           .position = do_position,
                                           .begin_transaction = do_begin_transaction,
                                           .produce = do_produce,
                                           .produce_plain = do_produce_plain,
                                           .begin = do_begin,
                                           .topic_name = do_topic_name,
                                           .partition_count = do_partition_count,
                                           .lag = do_lag,
                                           .close = do_close};
  *f = (struct faulty_broker){.face = {.ops = &ops}, .inner = inner};
}
