// SPDX-License-Identifier: Apache-2.0
// The broker interface over the embedded cluster: a member that joins, is assigned
// partitions, reads, and writes transactions. Nothing is ever on its way: what can be
// reported is reported by the next poll.
#include "stream/embedded_broker.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

#include "stream/embedded_client.h"

static struct ee_client *client_of(struct ee_broker *broker) {
  return (struct ee_client *)(void *)((char *)broker - offsetof(struct ee_client, broker));
}

__attribute__((format(printf, 3, 0))) static void add_trouble(struct ee_client *client,
                                                              struct ee_trouble trouble,
                                                              const char *format,
                                                              va_list arguments) {
  char text[EE_ERR_MAX];
  if (client->trouble_count == EE_TROUBLES_MAX) return;
  vsnprintf(text, sizeof text, format, arguments);
  ee_err_set(&trouble.err, "%s", text);
  client->troubles[client->trouble_count++] = trouble;
}

void ee_client_trouble(struct ee_client *client, enum ee_outcome_class outcome, const char *format,
                       ...) {
  va_list arguments;
  va_start(arguments, format);
  add_trouble(client, (struct ee_trouble){.outcome = outcome}, format, arguments);
  va_end(arguments);
}

void ee_client_out_of_range(struct ee_client *client, struct ee_tp tp, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  add_trouble(client, (struct ee_trouble){.outcome = EE_FATAL, .out_of_range = true, .tp = tp},
              format, arguments);
  va_end(arguments);
}

// ---- The group.

static void lose_partitions(struct ee_client *client) {
  ee_fetch_remove_group(client);
  client->assignment = EE_ASSIGNMENT_NONE;
  client->assigned_count = 0;
}

void ee_client_expire(struct ee_client *client) {
  client->member = NULL;
  client->expired = client->assignment != EE_ASSIGNMENT_NONE;
}

static void replace(struct ee_client *client) {
  client->replaced = true;
  client->member = NULL;
  lose_partitions(client);
  ee_client_trouble(client, EE_FENCED, "another member has joined the group as instance %s",
                    client->instance);
}

static void join(struct ee_client *client) {
  struct ee_client *replaced;
  client->member = ee_group_join(client->cluster, client->group, client->instance, client->topics,
                                 client, &replaced);
  if (client->member == NULL) ee_client_trouble(client, EE_RETRY, "no memory");
  if (replaced != NULL) replace(replaced);
}

static bool report_assigned(struct ee_client *client, struct ee_broker_event *event) {
  struct ee_member *member = client->member;
  member->offered = false;
  client->generation = client->group->generation;
  client->assignment = EE_ASSIGNMENT_OFFERED;
  client->assigned_count = member->assigned_count;
  memcpy(client->assigned, member->assigned, member->assigned_count * sizeof *client->assigned);
  event->kind = EE_EVENT_ASSIGNED;
  event->partitions = client->assigned;
  event->count = client->assigned_count;
  return true;
}

static bool report_revoked(struct ee_client *client, bool lost, struct ee_broker_event *event) {
  client->assignment = EE_ASSIGNMENT_REVOKED;
  if (lost) ee_fetch_remove_group(client);
  event->kind = EE_EVENT_REVOKED;
  event->partitions = client->assigned;
  event->count = client->assigned_count;
  event->lost = lost;
  return true;
}

// Moves the membership on; true when there is something to report. An event that waits
// for its answer holds the next one back.
static bool group_event(struct ee_client *client, struct ee_broker_event *event) {
  if (!client->subscribed || client->left || client->replaced) return false;
  if (client->assignment == EE_ASSIGNMENT_OFFERED || client->assignment == EE_ASSIGNMENT_REVOKED) {
    return false;
  }
  bool holds = client->assignment == EE_ASSIGNMENT_ACCEPTED;
  bool lost = client->expired;
  client->expired = false;
  if (lost && holds) return report_revoked(client, true, event);
  if (client->member == NULL) join(client);
  if (client->member == NULL) return false;
  if (client->group->rebalancing && !client->member->joined) {
    if (holds && client->assigned_count > 0) return report_revoked(client, false, event);
    lose_partitions(client);
    ee_group_rejoin(client->cluster, client->group, client->member);
  }
  return client->member->offered && report_assigned(client, event);
}

static bool subscribe(struct ee_broker *broker, const enum ee_topic *topics, size_t count,
                      struct ee_err *err) {
  struct ee_client *client = client_of(broker);
  if (client->subscribed) return ee_err_set(err, "subscribed already");
  for (size_t i = 0; i < count; i++) {
    client->topics[topics[i]] = true;
  }
  client->subscribed = true;
  return true;
}

static void accept(struct ee_broker *broker) {
  struct ee_client *client = client_of(broker);
  if (client->assignment != EE_ASSIGNMENT_OFFERED) return;
  client->assignment = EE_ASSIGNMENT_ACCEPTED;
  for (size_t i = 0; i < client->assigned_count; i++) {
    ee_fetch_add(client, client->assigned[i], true);
  }
}

static void leave_group(struct ee_client *client) {
  lose_partitions(client);
  client->left = true;
  client->expired = false;
  if (client->member == NULL) return;
  ee_group_remove(client->cluster, client->group, client->member);
  client->member = NULL;
}

static void leave(struct ee_broker *broker) {
  leave_group(client_of(broker));
}

static void relinquish(struct ee_broker *broker) {
  struct ee_client *client = client_of(broker);
  if (client->assignment != EE_ASSIGNMENT_REVOKED) return;
  lose_partitions(client);
  if (client->member == NULL) return;
  ee_group_rejoin(client->cluster, client->group, client->member);
}

// ---- Reading.

static void start(struct ee_broker *broker, struct ee_tp tp, int64_t offset) {
  struct ee_client *client = client_of(broker);
  struct ee_fetch *fetch = ee_fetch_of(client, tp);
  if (fetch != NULL) ee_fetch_start(client, fetch, offset);
}

static void set_paused(struct ee_broker *broker, struct ee_tp tp, bool paused) {
  struct ee_fetch *fetch = ee_fetch_of(client_of(broker), tp);
  if (fetch != NULL) fetch->paused = paused;
}

static void pause_partition(struct ee_broker *broker, struct ee_tp tp) {
  set_paused(broker, tp, true);
}

static void resume_partition(struct ee_broker *broker, struct ee_tp tp) {
  set_paused(broker, tp, false);
}

static void read_partition(struct ee_broker *broker, struct ee_tp tp, int64_t offset) {
  struct ee_client *client = client_of(broker);
  if (ee_log_of(client->cluster, tp) == NULL) {
    ee_client_trouble(client, EE_FATAL, "there is no partition %" PRId32 " to read", tp.partition);
    return;
  }
  struct ee_fetch *fetch = ee_fetch_of(client, tp);
  if (fetch == NULL) fetch = ee_fetch_add(client, tp, false);
  ee_fetch_start(client, fetch, offset);
}

static void read_stop(struct ee_broker *broker, struct ee_tp tp) {
  ee_fetch_remove(client_of(broker), tp);
}

static int64_t position(struct ee_broker *broker, struct ee_tp tp) {
  struct ee_client *client = client_of(broker);
  struct ee_fetch *fetch = ee_fetch_of(client, tp);
  return fetch == NULL ? 0 : ee_fetch_position(client, fetch);
}

static int64_t lag(struct ee_broker *broker, struct ee_tp tp) {
  struct ee_client *client = client_of(broker);
  struct ee_fetch *fetch = ee_fetch_of(client, tp);
  if (fetch == NULL || !fetch->running) return -1;
  return ee_log_stable(client->cluster, fetch->log) - ee_fetch_position(client, fetch);
}

static void free_message(struct ee_broker *broker, struct ee_message *message) {
  (void)broker;
  struct ee_item *item = message->owner;
  struct ee_batch *batch = item->batch;
  if (--batch->live == 0) free(batch);
}

static struct ee_bytes header(struct ee_broker *broker, const struct ee_message *message,
                              const char *name) {
  (void)broker;
  size_t count;
  const struct ee_header *headers = ee_cluster_headers(message, &count);
  while (count-- > 0) {  // of several the last one counts, as with Kafka's clients
    if (ee_str_equal(headers[count].name, ee_str(name))) return headers[count].value;
  }
  return ee_bytes(NULL, 0);
}

// ---- Writing.

static enum ee_outcome_class begin_transaction(struct ee_broker *broker, struct ee_err *err) {
  struct ee_client *client = client_of(broker);
  if (!ee_client_holds_producer(client)) {
    ee_err_set(err, "another instance has taken over the transactional.id");
    return EE_FENCED;
  }
  if (client->transaction_begun) {
    ee_err_set(err, "a transaction is open already");
    return EE_FATAL;
  }
  enum ee_outcome_class outcome = ee_client_open_transaction(client, err);
  if (outcome == EE_FATAL) return outcome;
  client->transaction_begun = true;
  return EE_DONE;
}

// Fills in the partition. EE_DONE: it may be appended.
static enum ee_outcome_class check_output(const struct ee_cluster *cluster,
                                          const struct ee_output *output, struct ee_tp *ret,
                                          struct ee_err *err) {
  *ret = (struct ee_tp){.topic = output->tp.topic, .partition = ee_log_partition(cluster, output)};
  if (ret->partition < 0) {
    ee_err_set(err, "there is no partition %" PRId32 " to write to", output->tp.partition);
    return EE_FATAL;
  }
  size_t size = output->key.size + output->value.size;
  for (size_t i = 0; i < output->header_count; i++) {
    size += output->headers[i].name.size + output->headers[i].value.size;
  }
  if (size <= (size_t)ee_topics[ret->topic].max_message_bytes) return EE_DONE;
  ee_err_set(err,
             "a record of %zu bytes is larger than max.message.bytes of %s allows (%" PRId64 ")",
             size, cluster->names[ret->topic], ee_topics[ret->topic].max_message_bytes);
  return EE_FATAL;
}

static enum ee_outcome_class full(const struct ee_cluster *cluster, struct ee_err *err) {
  ee_err_set(err, "the embedded log is full: %zu bytes of memory are not enough for this input",
             cluster->memory_limit);
  return EE_FATAL;
}

static enum ee_outcome_class produce(struct ee_broker *broker, const struct ee_output *output,
                                     struct ee_err *err) {
  struct ee_client *client = client_of(broker);
  struct ee_tp tp;
  if (!ee_client_holds_producer(client)) {
    ee_err_set(err, "another instance has taken over the transactional.id");
    return EE_FENCED;
  }
  if (!client->transaction_begun) {
    ee_err_set(err, "no transaction is open");
    return EE_FATAL;
  }
  enum ee_outcome_class outcome = ee_client_open_transaction(client, err);
  if (outcome == EE_DONE) outcome = check_output(client->cluster, output, &tp, err);
  if (outcome != EE_DONE) return outcome;
  int64_t offset = ee_transaction_append(client->cluster, client->producer, tp, output);
  return offset >= 0 ? EE_DONE : full(client->cluster, err);
}

static void produce_plain(struct ee_broker *broker, const struct ee_output *output) {
  struct ee_client *client = client_of(broker);
  struct ee_tp tp;
  struct ee_err err;
  enum ee_outcome_class outcome = check_output(client->cluster, output, &tp, &err);
  if (outcome == EE_DONE && ee_cluster_append(client->cluster, output, -1) < 0) {
    outcome = full(client->cluster, &err);
  }
  if (outcome != EE_DONE) ee_client_trouble(client, outcome, "%s", err.text);
}

static void begin(struct ee_broker *broker, struct ee_operation *operation) {
  ee_operation_begin(client_of(broker), operation);
}

// ---- Reporting.

static bool trouble_event(struct ee_client *client, struct ee_broker_event *event) {
  if (client->trouble_count == 0) return false;
  event->kind = client->troubles[0].out_of_range ? EE_EVENT_OUT_OF_RANGE : EE_EVENT_TROUBLE;
  event->tp = client->troubles[0].tp;
  event->outcome = client->troubles[0].outcome;
  event->err = client->troubles[0].err;
  client->trouble_count--;
  memmove(&client->troubles[0], &client->troubles[1],
          client->trouble_count * sizeof client->troubles[0]);
  return true;
}

static bool operation_event(struct ee_client *client, struct ee_broker_event *event) {
  event->operation = ee_operation_finish(client);
  if (event->operation == NULL) return false;
  event->kind = EE_EVENT_OPERATION;
  return true;
}

static void message_event(struct ee_client *client, struct ee_broker_event *event) {
  event->count = ee_fetch_messages(client);
  if (event->count == 0) return;
  event->kind = EE_EVENT_MESSAGES;
  event->messages = client->messages;
}

static void poll_event(struct ee_broker *broker, int timeout_ms, struct ee_broker_event *ret) {
  (void)timeout_ms;  // what will come comes from this very thread
  struct ee_client *client = client_of(broker);
  ret->kind = EE_EVENT_NONE;
  ret->count = 0;
  ret->operation = NULL;
  ret->lost = false;
  ret->outcome = EE_DONE;
  ret->err.text[0] = '\0';
  if (trouble_event(client, ret) || operation_event(client, ret) || group_event(client, ret)) {
    return;
  }
  message_event(client, ret);
}

// ---- Life.

static struct ee_str topic_name(struct ee_broker *broker, enum ee_topic topic) {
  return ee_cluster_topic_name(client_of(broker)->cluster, topic);
}

static int32_t partition_count(struct ee_broker *broker, enum ee_topic topic) {
  return ee_cluster_partitions(client_of(broker)->cluster, topic);
}

static void client_free(struct ee_client *client) {
  free(client->instance);
  free(client->assigned);
  free(client->fetches);
  free(client);
}

static void close_broker(struct ee_broker *broker, int deadline_ms) {
  (void)deadline_ms;
  leave_group(client_of(broker));
  client_free(client_of(broker));
}

void ee_embedded_broker_abandon(struct ee_broker *broker) {
  struct ee_client *client = client_of(broker);
  if (client->member != NULL) client->member->client = NULL;
  client_free(client);
}

static const struct ee_broker_ops ops = {
    .subscribe = subscribe,
    .poll = poll_event,
    .free_message = free_message,
    .header = header,
    .accept = accept,
    .leave = leave,
    .relinquish = relinquish,
    .start = start,
    .pause = pause_partition,
    .resume = resume_partition,
    .read = read_partition,
    .read_stop = read_stop,
    .position = position,
    .begin_transaction = begin_transaction,
    .produce = produce,
    .produce_plain = produce_plain,
    .begin = begin,
    .topic_name = topic_name,
    .partition_count = partition_count,
    .lag = lag,
    .close = close_broker,
};

bool ee_embedded_broker_new(struct ee_cluster *cluster, const char *group, const char *instance,
                            struct ee_broker **ret, struct ee_err *err) {
  size_t logs = cluster->first_log[EE_TOPIC_COUNT];
  struct ee_client *client = calloc(1, sizeof *client);
  if (client == NULL) return ee_err_set(err, "no memory");
  client->broker.ops = &ops;
  client->cluster = cluster;
  client->instance = strdup(instance);
  client->assigned = calloc(logs, sizeof *client->assigned);
  client->fetches = calloc(logs, sizeof *client->fetches);
  client->group = ee_group_of(cluster, group);
  client->producer = ee_producer_of(cluster, group, instance);
  if (client->instance == NULL || client->assigned == NULL || client->fetches == NULL ||
      client->group == NULL || client->producer == NULL) {
    client_free(client);
    return ee_err_set(err, "no memory");
  }
  *ret = &client->broker;
  return true;
}
