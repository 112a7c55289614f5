// SPDX-License-Identifier: Apache-2.0
// Making and unmaking librdkafka handles; their callbacks, which turn into logs, notices
// and the group's rebalances.
#include "stream/kafka_handle.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "stream/kafka_class.h"
#include "stream/kafka_config.h"

// ---- What the handles share.

static bool copy_text(const char *text, const char **ret) {
  char *copy = strdup(text == NULL ? "" : text);
  *ret = copy;
  return copy != NULL;
}

static bool copy_properties(const struct ee_properties *from, struct ee_properties *to) {
  if (from == NULL) return true;
  for (size_t i = 0; i < from->count; i++) {
    struct ee_property *p = &to->items[to->count++];
    if (!copy_text(from->items[i].name, &p->name)) return false;
    if (!copy_text(from->items[i].value, &p->value)) return false;
  }
  return true;
}

static bool is_name(const char *text, size_t most) {
  static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  size_t size = strlen(text);
  return size <= most && strspn(text, allowed) == size;
}

static bool check_settings(const struct ee_kafka_settings *s, struct ee_err *err) {
  if (s->group[0] == '\0' || strlen(s->group) > EE_KAFKA_TOPIC_NAME_MAX) {
    return ee_err_set(err, "group: 1 to %d bytes are allowed", EE_KAFKA_TOPIC_NAME_MAX);
  }
  if (s->instance[0] == '\0' || !is_name(s->instance, EE_KAFKA_TOPIC_NAME_MAX)) {
    return ee_err_set(err, "instance \"%s\": 1 to %d letters, digits, '.', '_' and '-' are allowed",
                      s->instance, EE_KAFKA_TOPIC_NAME_MAX);
  }
  if (!is_name(s->topic_prefix, EE_KAFKA_TOPIC_NAME_MAX)) {
    return ee_err_set(err, "topic prefix \"%s\": letters, digits, '.', '_' and '-' are allowed",
                      s->topic_prefix);
  }
  return true;
}

static bool make_names(struct ee_kafka_shared *shared, struct ee_err *err) {
  for (int i = 0; i < EE_TOPIC_COUNT; i++) {
    int size = snprintf(shared->names[i], sizeof(shared->names[i]), "%s%s",
                        shared->settings.topic_prefix, ee_topics[i].name);
    if (size < 0 || size > EE_KAFKA_TOPIC_NAME_MAX) {
      return ee_err_set(err, "topic prefix \"%s\" makes topic names longer than %d bytes",
                        shared->settings.topic_prefix, EE_KAFKA_TOPIC_NAME_MAX);
    }
  }
  return true;
}

bool ee_kafka_shared_new(const struct ee_kafka_settings *settings, struct ee_kafka_shared **ret,
                         struct ee_err *err) {
  struct ee_kafka_shared *shared = calloc(1, sizeof(*shared));
  if (shared == NULL) return ee_err_set(err, "no memory for the broker");
  struct ee_kafka_settings *s = &shared->settings;
  *s = *settings;
  s->bootstrap = s->topic_prefix = s->group = s->instance = NULL;
  s->properties = &shared->properties;
  atomic_init(&shared->closing, false);
  shared->wakes_itself = ee_kafka_conf_wakes_itself();
  shared->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  ee_kafka_notices_init(&shared->notices, shared->wake_fd);
  if (shared->wake_fd < 0) {
    ee_err_set(err, "no descriptor for the broker");
    goto out;
  }
  if (!copy_text(settings->bootstrap, &s->bootstrap) ||
      !copy_text(settings->topic_prefix, &s->topic_prefix) ||
      !copy_text(settings->group, &s->group) || !copy_text(settings->instance, &s->instance) ||
      !copy_properties(settings->properties, &shared->properties)) {
    ee_err_set(err, "no memory for the broker's settings");
    goto out;
  }
  if (!check_settings(s, err) || !make_names(shared, err)) goto out;
  *ret = shared;
  return true;
out:
  ee_kafka_shared_free(shared);
  return false;
}

void ee_kafka_shared_free(struct ee_kafka_shared *shared) {
  if (shared == NULL) return;
  struct ee_kafka_settings *s = &shared->settings;
  const char *texts[] = {s->bootstrap, s->topic_prefix, s->group, s->instance};
  for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
    free((void *)texts[i]);
  for (size_t i = 0; i < shared->properties.count; i++) {
    free((void *)shared->properties.items[i].name);
    free((void *)shared->properties.items[i].value);
  }
  ee_kafka_notices_release(&shared->notices);
  if (shared->wake_fd >= 0) close(shared->wake_fd);
  free(shared);
}

int ee_kafka_topic_of(const struct ee_kafka_shared *shared, const char *full_name) {
  size_t prefix = strlen(shared->settings.topic_prefix);
  if (strncmp(full_name, shared->settings.topic_prefix, prefix) != 0) return -1;
  return ee_topic_find(ee_str(full_name + prefix));
}

const char *ee_kafka_role_name(enum ee_kafka_role role) {
  static const char *const names[] = {
      [EE_KAFKA_MEMBER] = "member",     [EE_KAFKA_FETCHER] = "fetcher",
      [EE_KAFKA_OBSERVER] = "observer", [EE_KAFKA_TRANSACTOR] = "transactor",
      [EE_KAFKA_TICKER] = "ticker",
  };
  return names[role];
}

// ---- Callbacks. They run in whichever thread serves the handle's queue: ours, or the
// worker's within a commit.

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text) {
  // Every handle is given all of the user's properties, those of the other kind included.
  if (strcmp(facility, "CONFWARN") == 0 && strstr(text, "will be ignored by") != NULL) return;
  const struct ee_kafka_handle *handle = rk == NULL ? NULL : rd_kafka_opaque(rk);
  enum ee_level to = level <= 3 ? EE_ERROR : level == 4 ? EE_WARN : level <= 6 ? EE_INFO : EE_DEBUG;
  // Connections come and go; that all are gone is said as a trouble.
  if (strcmp(facility, "FAIL") == 0) to = EE_INFO;
  const char *name = handle == NULL ? "" : ee_kafka_role_name(handle->role);
  ee_log(to, text,
         EE_LOG_WITH(EE_LOG_S("librdkafka", ee_str(facility)), EE_LOG_S("handle", ee_str(name))));
}

void ee_kafka_explain_fence(const struct ee_kafka_shared *shared, struct ee_err *err) {
  ee_err_prefix(
      err,
      "another process runs as instance \"%s\" of group \"%s\" (give each an --instance "
      "and a --state-dir of its own), or the brokers were away and let this one join twice "
      "(start it again)",
      shared->settings.instance, shared->settings.group);
}

void ee_kafka_handle_fatal(struct ee_kafka_handle *handle) {
  // The transactor's death is told by the operation that meets it; one that RENEW has
  // already replaced is fenced by its own successor.
  if (handle->role == EE_KAFKA_TRANSACTOR) return;
  char text[512];
  rd_kafka_resp_err_t code = rd_kafka_fatal_error(handle->rk, text, sizeof(text));
  struct ee_kafka_fault fault = {.code = code, .fatal = true};
  enum ee_outcome_class outcome = ee_kafka_classify(EE_KAFKA_GROUP, fault);
  if (outcome == EE_FENCED) {
    struct ee_err err;
    ee_err_set(&err, "%s", text);
    ee_kafka_explain_fence(handle->shared, &err);
    ee_kafka_notice(&handle->shared->notices, outcome, "%s", err.text);
  } else {
    ee_kafka_notice(&handle->shared->notices, outcome, "%s", text);
  }
}

static void on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque) {
  struct ee_kafka_handle *handle = opaque;
  (void)rk;
  switch (err) {
    case RD_KAFKA_RESP_ERR__FATAL:
      ee_kafka_handle_fatal(handle);
      break;
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
      ee_kafka_notice_away(&handle->shared->notices, handle->shared->settings.bootstrap, reason);
      break;
    case RD_KAFKA_RESP_ERR__RESOLVE:
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR__SSL:
      ee_kafka_notice_ailment(&handle->shared->notices, EE_KAFKA_BROKERS_AWAY, "Kafka at %s: %s",
                              handle->shared->settings.bootstrap, reason);
      break;
    default:  // single connections come and go
      ee_kafka_notice_connection(&handle->shared->notices, reason);
      break;
  }
}

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err,
                         rd_kafka_topic_partition_list_t *partitions, void *opaque) {
  struct ee_kafka_handle *handle = opaque;
  // While closing nobody waits for an answer.
  if (handle->rebalance == NULL || atomic_load(&handle->shared->closing)) {
    rd_kafka_assign(rk, NULL);
  } else {
    handle->rebalance(handle->rebalance_context, err, partitions);
  }
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque) {
  struct ee_kafka_handle *handle = opaque;
  (void)rk;
  if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
    ee_kafka_notice_healed(&handle->shared->notices, EE_KAFKA_TICKS_FAIL);
  } else {
    ee_kafka_notice_ailment(
        &handle->shared->notices, EE_KAFKA_TICKS_FAIL, "%s [%d]: a record was not written: %s",
        rd_kafka_topic_name(message->rkt), (int)message->partition, rd_kafka_err2str(message->err));
  }
}

// ---- Handles.

static bool is_producer(enum ee_kafka_role role) {
  return role == EE_KAFKA_TRANSACTOR || role == EE_KAFKA_TICKER;
}

static bool has_group(enum ee_kafka_role role) {
  return role == EE_KAFKA_MEMBER || role == EE_KAFKA_FETCHER;
}

static void set_callbacks(rd_kafka_conf_t *conf, struct ee_kafka_handle *handle) {
  rd_kafka_conf_set_opaque(conf, handle);
  rd_kafka_conf_set_log_cb(conf, on_log);
  rd_kafka_conf_set_error_cb(conf, on_error);
  if (handle->role == EE_KAFKA_MEMBER) rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
  // Not for the transactor: what fails there fails the transaction.
  if (handle->role == EE_KAFKA_TICKER) rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
}

static bool open_queue(struct ee_kafka_handle *handle, struct ee_err *err) {
  if (has_group(handle->role)) {
    rd_kafka_poll_set_consumer(handle->rk);
    handle->queue = rd_kafka_queue_get_consumer(handle->rk);
  } else {
    handle->queue = rd_kafka_queue_get_main(handle->rk);
  }
  if (handle->queue == NULL ||
      rd_kafka_set_log_queue(handle->rk, NULL) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return ee_err_set(err, "librdkafka gives no queue for the %s",
                      ee_kafka_role_name(handle->role));
  }
  uint64_t one = 1;
  rd_kafka_queue_io_event_enable(handle->queue, handle->shared->wake_fd, &one, sizeof(one));
  return true;
}

bool ee_kafka_handle_new(struct ee_kafka_shared *shared, enum ee_kafka_role role,
                         struct ee_kafka_handle **ret, struct ee_err *err) {
  struct ee_kafka_handle *handle = calloc(1, sizeof(*handle));
  if (handle == NULL) return ee_err_set(err, "no memory for a Kafka handle");
  handle->role = role;
  handle->shared = shared;
  rd_kafka_conf_t *conf = ee_kafka_conf_new(shared, role, err);
  if (conf == NULL) goto out;
  set_callbacks(conf, handle);
  char text[512];
  handle->rk = rd_kafka_new(is_producer(role) ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER, conf, text,
                            sizeof(text));
  if (handle->rk == NULL) {
    rd_kafka_conf_destroy(conf);
    ee_err_set(err, "librdkafka refuses the settings: %s", text);
    goto out;
  }
  if (!open_queue(handle, err)) goto out;
  *ret = handle;
  return true;
out:
  ee_kafka_handle_free(handle);
  return false;
}

void ee_kafka_handle_silence(struct ee_kafka_handle *handle) {
  if (handle->queue != NULL) rd_kafka_queue_io_event_enable(handle->queue, -1, NULL, 0);
}

void ee_kafka_handle_free(struct ee_kafka_handle *handle) {
  if (handle == NULL) return;
  for (int i = 0; i < EE_TOPIC_COUNT; i++) {
    if (handle->topics[i] != NULL) rd_kafka_topic_destroy(handle->topics[i]);
  }
  ee_kafka_handle_silence(handle);
  if (handle->queue != NULL) rd_kafka_queue_destroy(handle->queue);
  // The member is closed before; nobody else has anything to say to the group.
  if (handle->rk != NULL) rd_kafka_destroy_flags(handle->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
  free(handle);
}

rd_kafka_topic_t *ee_kafka_handle_topic(struct ee_kafka_handle *handle, enum ee_topic topic) {
  if (handle->topics[topic] == NULL) {
    handle->topics[topic] = rd_kafka_topic_new(handle->rk, handle->shared->names[topic], NULL);
  }
  return handle->topics[topic];
}

void ee_kafka_handle_serve(struct ee_kafka_handle *handle) {
  rd_kafka_poll(handle->rk, 0);
}
