// SPDX-License-Identifier: Apache-2.0
// Membership in the consumer group (classic protocol, range, eager): what librdkafka's
// rebalance callback says, turned into offers and revocations that are answered later.
#include "stream/kafka_group.h"

#include <stdlib.h>

#include "stream/kafka_class.h"

static ee_kafka_rebalance on_rebalance;

bool ee_kafka_group_new(struct ee_kafka_shared *shared, struct ee_kafka_fetch *fetch,
                        struct ee_kafka_group **ret, struct ee_err *err) {
  struct ee_kafka_group *group = calloc(1, sizeof(*group));
  if (group == NULL) return ee_err_set(err, "no memory for the group");
  if (!ee_kafka_handle_new(shared, EE_KAFKA_MEMBER, &group->handle, err)) {
    free(group);
    return false;
  }
  group->fetch = fetch;
  group->handle->rebalance_context = group;
  group->handle->rebalance = on_rebalance;
  *ret = group;
  return true;
}

void ee_kafka_group_free(struct ee_kafka_group *group) {
  if (group == NULL) return;
  ee_kafka_ticket_give(group->ticket);
  free(group->held.items);
  free(group->offered.items);
  free(group);
}

struct ee_kafka_ticket *ee_kafka_ticket_take(struct ee_kafka_ticket *ticket) {
  if (ticket != NULL) ticket->users++;
  return ticket;
}

void ee_kafka_ticket_give(struct ee_kafka_ticket *ticket) {
  if (ticket == NULL || --ticket->users > 0) return;
  if (ticket->metadata != NULL) rd_kafka_consumer_group_metadata_destroy(ticket->metadata);
  free(ticket);
}

bool ee_kafka_group_subscribe(struct ee_kafka_group *group, const enum ee_topic *topics,
                              size_t count, struct ee_err *err) {
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
  for (size_t i = 0; i < count; i++) {
    rd_kafka_topic_partition_list_add(list, group->handle->shared->names[topics[i]],
                                      RD_KAFKA_PARTITION_UA);
    ee_kafka_fetch_expect(group->fetch, topics[i]);
  }
  rd_kafka_resp_err_t code = rd_kafka_subscribe(group->handle->rk, list);
  rd_kafka_topic_partition_list_destroy(list);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return true;
  return ee_err_set(err, "subscribing to the inputs: %s", rd_kafka_err2str(code));
}

// ---- What the group says.

static void give_up(struct ee_kafka_group *group) {
  rd_kafka_assign(group->handle->rk, NULL);
}

static void hold_offer(struct ee_kafka_group *group) {
  free(group->held.items);
  group->held = group->offered;
  group->offered = (struct ee_kafka_tps){.items = NULL};
  group->offer = false;
  group->holds = true;
}

static void revoke(struct ee_kafka_group *group, bool lost, bool silent) {
  if (group->revoking) {
    group->lost |= lost;
    group->silent &= silent;
    return;
  }
  group->revoking = true;
  group->lost = lost;
  group->silent = silent;
  group->told = false;
}

static void offer(struct ee_kafka_group *group, const rd_kafka_topic_partition_list_t *list) {
  const struct ee_kafka_shared *shared = group->handle->shared;
  // librdkafka goes on to the next offer without a revocation if the group moved on before
  // the last one was answered: then what we hold is lost.
  if (group->holds) revoke(group, true, true);
  struct ee_tp *items = malloc((size_t)(list->cnt + 1) * sizeof(*items));
  if (items == NULL) {
    ee_kafka_notice(&group->handle->shared->notices, EE_FATAL, "no memory for the assignment");
    return;
  }
  free(group->offered.items);
  group->offered = (struct ee_kafka_tps){.items = items};
  for (int i = 0; i < list->cnt; i++) {
    int topic = ee_kafka_topic_of(shared, list->elems[i].topic);
    if (topic < 0) continue;
    items[group->offered.count++] = (struct ee_tp){(enum ee_topic)topic, list->elems[i].partition};
  }
  group->offer = true;
  if (!group->revoking) group->told = false;
}

// What is lost is answered at once, since there is nothing left to finish: until then
// librdkafka (2.0.2) sends heartbeats without the member id that it has thrown away, and the
// broker, when it is back, takes a static member for a second process and fences it.
static void withdraw(struct ee_kafka_group *group, bool lost) {
  if (lost || !group->holds) give_up(group);
  if (!group->holds) return;
  revoke(group, lost, lost);
  if (lost) group->silent = true;
}

static void on_rebalance(void *context, rd_kafka_resp_err_t err,
                         const rd_kafka_topic_partition_list_t *partitions) {
  struct ee_kafka_group *group = context;
  // An offer that was reported counts as accepted, so that its end is reported too.
  if (group->offer && group->told && !group->revoking) hold_offer(group);
  if (group->left) {
    give_up(group);
  } else if (err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
    offer(group, partitions);
  } else {
    group->offer = false;
    withdraw(group, rd_kafka_assignment_lost(group->handle->rk) != 0);
  }
}

static void report(struct ee_kafka_group *group, const rd_kafka_message_t *message) {
  struct ee_kafka_fault fault = {.code = message->err};
  enum ee_outcome_class outcome = ee_kafka_classify(EE_KAFKA_GROUP, fault);
  const char *topic = message->rkt == NULL ? "" : rd_kafka_topic_name(message->rkt);
  ee_kafka_notice(&group->handle->shared->notices, outcome, "group \"%s\": %s%s%s%s",
                  group->handle->shared->settings.group, topic, topic[0] == '\0' ? "" : ": ",
                  rd_kafka_message_errstr(message), ee_kafka_advice(message->err));
}

void ee_kafka_group_turn(struct ee_kafka_group *group) {
  rd_kafka_message_t *messages[16];
  ssize_t count = rd_kafka_consume_batch_queue(group->handle->queue, 0, messages, 16);
  for (ssize_t i = 0; i < count; i++) {
    if (messages[i]->err == RD_KAFKA_RESP_ERR__FATAL) {
      ee_kafka_handle_fatal(group->handle);
    } else {
      report(group, messages[i]);
    }
    rd_kafka_message_destroy(messages[i]);
  }
}

bool ee_kafka_group_event(struct ee_kafka_group *group, struct ee_broker_event *ret) {
  if (group->told || !(group->revoking || group->offer)) return false;
  group->told = true;
  const struct ee_kafka_tps *tps = group->revoking ? &group->held : &group->offered;
  *ret = (struct ee_broker_event){
      .kind = group->revoking ? EE_EVENT_REVOKED : EE_EVENT_ASSIGNED,
      .partitions = tps->items,
      .count = tps->count,
      .lost = group->revoking && group->lost,
  };
  return true;
}

// ---- What we answer.

static void take_ticket(struct ee_kafka_group *group) {
  ee_kafka_ticket_give(group->ticket);
  group->ticket = calloc(1, sizeof(*group->ticket));
  if (group->ticket == NULL) {
    ee_kafka_notice(&group->handle->shared->notices, EE_FATAL, "no memory for the assignment");
    return;
  }
  group->ticket->users = 1;
  // Taken here rather than at each commit, so that no commit passes under a generation
  // whose assignment we have not seen.
  group->ticket->metadata = rd_kafka_consumer_group_metadata(group->handle->rk);
}

static void assign_nothing(struct ee_kafka_group *group) {
  rd_kafka_topic_partition_list_t *none = rd_kafka_topic_partition_list_new(0);
  rd_kafka_assign(group->handle->rk, none);
  rd_kafka_topic_partition_list_destroy(none);
}

void ee_kafka_group_accept(struct ee_kafka_group *group) {
  if (!group->offer || !group->told || group->revoking) return;
  assign_nothing(group);
  take_ticket(group);
  hold_offer(group);
}

static void stop_reading(struct ee_kafka_group *group) {
  for (size_t i = 0; i < group->held.count; i++) {
    ee_kafka_fetch_stop(group->fetch, group->held.items[i]);
  }
  group->held.count = 0;
  group->holds = false;
}

void ee_kafka_group_relinquish(struct ee_kafka_group *group) {
  if (!group->revoking) return;
  stop_reading(group);
  if (!group->silent) give_up(group);
  group->revoking = false;
  group->told = false;
}

void ee_kafka_group_leave(struct ee_kafka_group *group) {
  if (group->left) return;
  group->left = true;
  // librdkafka leaves the group only once its last question has been answered.
  if (group->offer) assign_nothing(group);
  if (group->revoking && !group->silent) give_up(group);
  group->offer = group->revoking = false;
  stop_reading(group);
  rd_kafka_unsubscribe(group->handle->rk);
}

bool ee_kafka_group_holds(const struct ee_kafka_group *group, struct ee_tp tp) {
  if (!group->holds || (group->revoking && group->lost)) return false;
  for (size_t i = 0; i < group->held.count; i++) {
    if (group->held.items[i].topic == tp.topic && group->held.items[i].partition == tp.partition) {
      return true;
    }
  }
  return false;
}
