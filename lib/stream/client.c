// SPDX-License-Identifier: Apache-2.0
// The tools' handle on Kafka: its settings, its callbacks, and questions about topics.
#include "stream/client.h"

#include <stdlib.h>

#include "base/log.h"
#include "stream/client_impl.h"
#include "stream/kafka_config.h"

#define TRY_MS 1000
#define LARGEST_RECORD "4259840"  // of a state topic, with its framing

#define PRODUCER (1u << EE_CLIENT_PRODUCER)
#define READER (1u << EE_CLIENT_READER)
#define BOTH (PRODUCER | READER)

struct setting {
  unsigned roles;
  const char *name;
  const char *value;
};

// The user's properties come after these and win.
static const struct setting tuning[] = {
    {BOTH, "socket.nagle.disable", "true"},
    {BOTH, "reconnect.backoff.max.ms", "2000"},
    {PRODUCER, "linger.ms", "5"},
    {PRODUCER, "queue.buffering.max.kbytes", "65536"},
    {PRODUCER, "message.max.bytes", LARGEST_RECORD},
    {PRODUCER, "message.timeout.ms", "0"},
    {READER, "fetch.wait.max.ms", "20"},
    {READER, "fetch.error.backoff.ms", "100"},
    {READER, "queued.max.messages.kbytes", "16384"},
};

static const struct setting fixed[] = {
    {BOTH, "allow.auto.create.topics", "false"},
    {PRODUCER, "enable.idempotence", "true"},
    {PRODUCER, "acks", "all"},
    {PRODUCER, "partitioner", "murmur2_random"},
    {READER, "isolation.level", "read_committed"},
    {READER, "enable.auto.commit", "false"},
    {READER, "enable.auto.offset.store", "false"},
    {READER, "auto.offset.reset", "error"},
    {READER, "enable.partition.eof", "true"},
};

// ---- Settings.

static bool set(rd_kafka_conf_t *conf, const char *name, const char *value, struct ee_err *err) {
  char text[512];
  switch (rd_kafka_conf_set(conf, name, value, text, sizeof text)) {
    case RD_KAFKA_CONF_OK:
      return true;
    case RD_KAFKA_CONF_UNKNOWN:
      return ee_err_set(err, "-X %s: librdkafka %s has no such property", name,
                        rd_kafka_version_str());
    default:
      return ee_err_set(err, "-X %s=%s: %s", name, value, text);
  }
}

static bool set_table(rd_kafka_conf_t *conf, const struct setting *table, size_t count,
                      enum ee_client_role role, struct ee_err *err) {
  for (size_t i = 0; i < count; i++) {
    if (!(table[i].roles & 1u << role)) continue;
    if (!set(conf, table[i].name, table[i].value, err)) return false;
  }
  return true;
}

static bool set_user(rd_kafka_conf_t *conf, const struct ee_properties *properties,
                     struct ee_err *err) {
  for (size_t i = 0; i < properties->count; i++) {
    const struct ee_property *property = &properties->items[i];
    if (!ee_kafka_property_allowed(property->name, err) ||
        !set(conf, property->name, property->value, err)) {
      return false;
    }
  }
  return true;
}

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text);
static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque);
static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque);

static rd_kafka_conf_t *make_conf(const struct ee_client_settings *settings, const char *program,
                                  struct ee_client *client, struct ee_err *err) {
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  rd_kafka_conf_set_opaque(conf, client);
  rd_kafka_conf_set_log_cb(conf, on_log);
  rd_kafka_conf_set_error_cb(conf, on_error);
  if (client->role == EE_CLIENT_PRODUCER) rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
  if (set(conf, "client.id", program, err) &&
      set_table(conf, tuning, sizeof tuning / sizeof *tuning, client->role, err) &&
      set_user(conf, &settings->properties, err) &&
      set_table(conf, fixed, sizeof fixed / sizeof *fixed, client->role, err) &&
      set(conf, "bootstrap.servers", settings->bootstrap, err)) {
    return conf;
  }
  rd_kafka_conf_destroy(conf);
  return NULL;
}

bool ee_client_new(const struct ee_client_settings *settings, enum ee_client_role role,
                   const char *program, struct ee_client **ret, struct ee_err *err) {
  struct ee_client *client = calloc(1, sizeof *client);
  if (client == NULL) return ee_err_set(err, "memory is out");
  client->role = role;
  ee_err_set(&client->brokers, "Kafka at %s", settings->bootstrap);
  rd_kafka_conf_t *conf = make_conf(settings, program, client, err);
  if (conf == NULL) goto out;
  char text[512];
  client->rk = rd_kafka_new(role == EE_CLIENT_PRODUCER ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER,
                            conf, text, sizeof text);
  if (client->rk == NULL) {
    rd_kafka_conf_destroy(conf);
    ee_err_set(err, "librdkafka refuses the settings: %s", text);
    goto out;
  }
  *ret = client;
  return true;
out:
  ee_client_free(client);
  return false;
}

void ee_client_free(struct ee_client *client) {
  if (client == NULL) return;
  if (client->rk != NULL) {
    if (client->role == EE_CLIENT_PRODUCER) ee_client_purge(client);
    rd_kafka_destroy_flags(client->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
  }
  free(client->headers);
  free(client);
}

rd_kafka_t *ee_client_handle(struct ee_client *client) {
  return client->rk;
}

const char *ee_client_trouble(struct ee_client *client) {
  ee_client_serve(client, 0);
  return client->trouble.text;
}

void ee_client_topic_name(const struct ee_client_settings *settings, enum ee_topic topic,
                          char out[EE_TOPIC_NAME_SIZE]) {
  snprintf(out, EE_TOPIC_NAME_SIZE, "%s%s", settings->topic_prefix, ee_topics[topic].name);
}

// ---- Callbacks.

// From librdkafka's threads, too. What matters of it arrives as an error as well, and is said
// by who waits.
static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text) {
  (void)rk;
  (void)level;
  ee_log(EE_DEBUG, text, EE_LOG_WITH(EE_LOG_S("librdkafka", ee_str(facility))));
}

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque) {
  struct ee_client *client = opaque;
  (void)rk;
  // "All brokers are down" says less than the errors before it.
  if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && client->trouble.text[0] != '\0') return;
  ee_err_set(&client->trouble, "%s", reason);
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque) {
  const struct ee_client *client = opaque;
  (void)rk;
  rd_kafka_timestamp_type_t kind;
  int64_t append_ms = rd_kafka_message_timestamp(message, &kind);
  struct ee_delivery delivery = {
      .opaque = message->_private,
      .topic = rd_kafka_topic_name(message->rkt),
      .partition = message->partition,
      .offset = message->offset,
      .append_ms = kind == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME ? append_ms : -1,
      .failed = message->err == RD_KAFKA_RESP_ERR_NO_ERROR ? NULL : rd_kafka_err2str(message->err),
      .code = message->err,
      .given_up = message->err == RD_KAFKA_RESP_ERR__PURGE_QUEUE ||
                  message->err == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT,
      // librdkafka's promise not to change it is of no use to us, whose message it is.
      .message = (rd_kafka_message_t *)message};
  if (client->delivered != NULL) client->delivered(client->context, &delivery);
}

void ee_client_serve(struct ee_client *client, int timeout_ms) {
  rd_kafka_poll(client->rk, timeout_ms);
}

// ---- Questions.

// True for errors that another try may heal.
static bool heals(rd_kafka_resp_err_t code) {
  switch (code) {
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__WAIT_CACHE:
    case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
    case RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
    case RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION:
    // Whoever asks has seen the topic: it was just made, and not every broker knows.
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
      return true;
    default:
      return false;
  }
}

// After a try that failed. True: try again.
static bool again(struct ee_client *client, rd_kafka_resp_err_t code, const char *what,
                  struct ee_wait *wait, struct ee_err *err) {
  if (!heals(code)) return ee_err_set(err, "%s: %s", what, rd_kafka_err2str(code));
  const char *trouble = ee_client_trouble(client);
  if (trouble[0] == '\0') trouble = rd_kafka_err2str(code);
  struct ee_err subject;
  ee_err_set(&subject, "%s (%s)", client->brokers.text, what);
  if (!ee_wait_more(wait, subject.text, trouble, err)) return false;
  ee_client_serve(client, 50);  // what failed at once is not asked again at once
  return true;
}

static void count_partitions(const struct rd_kafka_metadata *metadata, rd_kafka_resp_err_t *code,
                             int32_t *ret_count, bool *ret_leaders) {
  if (metadata->topic_cnt != 1) {
    *code = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    return;
  }
  const struct rd_kafka_metadata_topic *topic = &metadata->topics[0];
  *code = topic->err;
  *ret_count = topic->partition_cnt;
  for (int i = 0; i < topic->partition_cnt && ret_leaders != NULL; i++) {
    if (topic->partitions[i].leader < 0) *ret_leaders = false;
  }
}

bool ee_client_partitions(struct ee_client *client, const char *topic, struct ee_wait *wait,
                          int32_t *ret_count, bool *ret_leaders, struct ee_err *err) {
  rd_kafka_topic_t *rkt = rd_kafka_topic_new(client->rk, topic, NULL);
  if (rkt == NULL) {
    return ee_err_set(err, "topic %s: %s", topic, rd_kafka_err2str(rd_kafka_last_error()));
  }
  char what[EE_TOPIC_NAME_SIZE + 32];
  snprintf(what, sizeof what, "partitions of %s", topic);
  rd_kafka_resp_err_t code;
  do {
    const struct rd_kafka_metadata *metadata = NULL;
    *ret_count = 0;
    if (ret_leaders != NULL) *ret_leaders = true;
    code = rd_kafka_metadata(client->rk, 0, rkt, &metadata, ee_wait_slice(wait, TRY_MS));
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) continue;
    count_partitions(metadata, &code, ret_count, ret_leaders);
    rd_kafka_metadata_destroy(metadata);
    if (code != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) continue;
    *ret_count = 0;
    code = RD_KAFKA_RESP_ERR_NO_ERROR;
  } while (code != RD_KAFKA_RESP_ERR_NO_ERROR && again(client, code, what, wait, err));
  rd_kafka_topic_destroy(rkt);
  return code == RD_KAFKA_RESP_ERR_NO_ERROR;
}

bool ee_client_offsets(struct ee_client *client, rd_kafka_topic_partition_list_t *list,
                       enum ee_log_offset which, struct ee_wait *wait, struct ee_err *err) {
  rd_kafka_resp_err_t code;
  char what[EE_TOPIC_NAME_SIZE + 32];
  do {
    int about;
    code = ee_kafka_offsets(client->rk, list, which, ee_wait_slice(wait, 5 * TRY_MS), &about);
    if (about < 0) {
      snprintf(what, sizeof what, "%s offsets", which == EE_LOG_END ? "end" : "start");
    } else {
      const rd_kafka_topic_partition_t *tp = &list->elems[about];
      snprintf(what, sizeof what, "offsets of %s [%d]", tp->topic, (int)tp->partition);
    }
  } while (code != RD_KAFKA_RESP_ERR_NO_ERROR && again(client, code, what, wait, err));
  return code == RD_KAFKA_RESP_ERR_NO_ERROR;
}
