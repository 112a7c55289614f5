// SPDX-License-Identifier: Apache-2.0
// Which setting goes to which handle: tables of tuning and of what the guarantees rest on.
#include "stream/kafka_config.h"

#include <inttypes.h>

#define KIB INT64_C(1024)
#define MIB (KIB * KIB)
#define LARGEST_RECORD (4 * MIB + 64 * KIB)  // state records with their framing

#define ROLE(R) (1u << (R))
#define CONSUMERS (ROLE(EE_KAFKA_MEMBER) | ROLE(EE_KAFKA_FETCHER) | ROLE(EE_KAFKA_OBSERVER))
#define PRODUCERS (ROLE(EE_KAFKA_TRANSACTOR) | ROLE(EE_KAFKA_TICKER))
#define EVERY (CONSUMERS | PRODUCERS)

struct setting {
  unsigned roles;
  const char *name;
  const char *value;
};

static const struct setting tuning[] = {
    {EVERY, "socket.nagle.disable", "true"},
    {EVERY, "reconnect.backoff.max.ms", "2000"},
    // How long a fetch waits for data also bounds how long a partition that is added or
    // resumed, or an end that is reached, waits for the fetch under way.
    {ROLE(EE_KAFKA_FETCHER), "fetch.wait.max.ms", "20"},
    {ROLE(EE_KAFKA_FETCHER), "fetch.error.backoff.ms", "100"},
    {ROLE(EE_KAFKA_TRANSACTOR), "linger.ms", "5"},
    // The first request of a transaction is often told to come back (CONCURRENT_TRANSACTIONS).
    {ROLE(EE_KAFKA_TRANSACTOR), "retry.backoff.ms", "5"},
    {ROLE(EE_KAFKA_TICKER), "linger.ms", "1"},
    // An old tick is worth nothing.
    {ROLE(EE_KAFKA_TICKER), "message.timeout.ms", "10000"},
    {ROLE(EE_KAFKA_TICKER), "queue.buffering.max.messages", "10000"},
};

static const struct setting fixed[] = {
    {EVERY, "log.queue", "true"},
    {CONSUMERS, "enable.auto.commit", "false"},
    {CONSUMERS, "enable.auto.offset.store", "false"},
    {CONSUMERS, "auto.offset.reset", "error"},
    {CONSUMERS, "allow.auto.create.topics", "false"},
    {ROLE(EE_KAFKA_MEMBER) | ROLE(EE_KAFKA_FETCHER), "isolation.level", "read_committed"},
    {ROLE(EE_KAFKA_OBSERVER), "isolation.level", "read_uncommitted"},
    {ROLE(EE_KAFKA_MEMBER), "partition.assignment.strategy", "range"},
    // How the position passes markers and aborted messages.
    {ROLE(EE_KAFKA_FETCHER), "enable.partition.eof", "true"},
    {PRODUCERS, "partitioner", "murmur2_random"},
    {ROLE(EE_KAFKA_TRANSACTOR), "enable.idempotence", "true"},
    {ROLE(EE_KAFKA_TRANSACTOR), "acks", "all"},
};

static const struct {
  const char *name;
  const char *why;
} refused[] = {
    {"bootstrap.servers", "has an option of its own"},
    {"metadata.broker.list", "has an option of its own"},
    {"group.id", "has an option of its own"},
    {"group.instance.id", "has an option of its own"},
    {"transactional.id", "is made of group and instance"},
    {"transaction.timeout.ms", "has an option of its own"},
    {"session.timeout.ms", "has an option of its own"},
    {"isolation.level", "is read_committed: anything else doubles outputs"},
    {"enable.auto.commit", "is false: offsets are committed with the outputs"},
    {"enable.auto.offset.store", "is false: offsets are committed with the outputs"},
    {"auto.offset.reset", "is error: starting anywhere else would lose or repeat records"},
    {"allow.auto.create.topics", "is false: topics are made by `envelopectl topics apply`"},
    {"enable.partition.eof", "is true: restores need it"},
    {"enable.idempotence", "is true: exactly once rests on it"},
    {"acks", "is all: exactly once rests on it"},
    {"request.required.acks", "is all: exactly once rests on it"},
    {"partition.assignment.strategy",
     "is range: it gives a member the same partitions of every "
     "input"},
    {"group.protocol", "is classic: the assignment has to be range"},
    {"partitioner", "is murmur2_random: keys have to land where Java puts them"},
    {"log.queue", "is true: logs are printed as JSON"},
    {"delivery.report.only.error", "is ours to choose"},
};

bool ee_kafka_property_allowed(const char *name, struct ee_err *err) {
  for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
    if (strcmp(refused[i].name, name) == 0) {
      return ee_err_set(err, "-X %s: cannot be set, it %s", name, refused[i].why);
    }
  }
  return true;
}

static bool set(rd_kafka_conf_t *conf, const char *name, const char *value, struct ee_err *err) {
  char text[512];
  switch (rd_kafka_conf_set(conf, name, value, text, sizeof(text))) {
    case RD_KAFKA_CONF_OK:
      return true;
    case RD_KAFKA_CONF_UNKNOWN:
      return ee_err_set(err, "-X %s: librdkafka %s has no such property", name,
                        rd_kafka_version_str());
    default:
      return ee_err_set(err, "-X %s=%s: %s", name, value, text);
  }
}

static bool set_number(rd_kafka_conf_t *conf, const char *name, int64_t value, struct ee_err *err) {
  char text[24];
  snprintf(text, sizeof(text), "%" PRId64, value);
  return set(conf, name, text, err);
}

// librdkafka wants it no shorter than the session; the user's own is left as it is.
#define POLL_INTERVAL_MS INT64_C(300000)

static int64_t clamp(int64_t value, int64_t least, int64_t most) {
  return value < least ? least : value > most ? most : value;
}

#define MESSAGE_SIZE 512  // of a message with what librdkafka has of it: events are small

// An eighth of the memory for what waits to be taken and as much for what is being fetched
// (more would only be fetched again after a pause), of one partition little, for the same
// reason; a quarter for what is to be sent. Half is left for what librdkafka has beside the
// bytes that it counts. A record larger than a fetch comes all the same, alone.
static bool set_sizes(rd_kafka_conf_t *conf, const struct ee_kafka_settings *s,
                      enum ee_kafka_role role, struct ee_err *err) {
  int64_t memory = s->memory_bytes;
  switch (role) {
    case EE_KAFKA_FETCHER:
      return set_number(conf, "queued.max.messages.kbytes",
                        clamp(memory / 8 / KIB, MIB / KIB, 2000000), err) &&
             set_number(conf, "queued.min.messages",
                        clamp(memory / 8 / MESSAGE_SIZE, MIB / MESSAGE_SIZE, 100000), err) &&
             set_number(conf, "fetch.max.bytes", clamp(memory / 8, MIB, 50 * MIB), err) &&
             set_number(conf, "fetch.message.max.bytes", clamp(memory / 128, 64 * KIB, MIB), err);
    case EE_KAFKA_TRANSACTOR:
      return set_number(conf, "queue.buffering.max.kbytes",
                        clamp(memory / 4 / KIB, 2 * LARGEST_RECORD / KIB, 2000000), err) &&
             set_number(conf, "message.max.bytes", LARGEST_RECORD, err);
    default:
      return true;
  }
}

static bool set_patience(rd_kafka_conf_t *conf, const struct ee_kafka_settings *s,
                         enum ee_kafka_role role, struct ee_err *err) {
  int64_t session_ms = s->session_timeout_ms;
  return !(CONSUMERS & ROLE(role)) ||
         set_number(conf, "max.poll.interval.ms",
                    session_ms > POLL_INTERVAL_MS ? session_ms : POLL_INTERVAL_MS, err);
}

static bool set_identity(rd_kafka_conf_t *conf, const struct ee_kafka_settings *s,
                         enum ee_kafka_role role, struct ee_err *err) {
  if (!set(conf, "bootstrap.servers", s->bootstrap, err)) return false;
  // All consumers, since the user's max.poll.interval.ms, which may not be below it, goes
  // to all of them.
  if ((CONSUMERS & ROLE(role)) &&
      !set_number(conf, "session.timeout.ms", s->session_timeout_ms, err)) {
    return false;
  }
  if (role == EE_KAFKA_MEMBER) {
    return set(conf, "group.id", s->group, err) &&
           set(conf, "group.instance.id", s->instance, err) &&
           set_number(conf, "heartbeat.interval.ms", clamp(s->session_timeout_ms / 4, 100, 3000),
                      err);
  }
  // Manual assignment wants a group; this one joins and commits nothing, so that the
  // group's own permission is enough.
  if (role == EE_KAFKA_FETCHER) return set(conf, "group.id", s->group, err);
  if (role == EE_KAFKA_TRANSACTOR) {
    // An instance has no '/', so no two pairs give the same id.
    char id[2 * EE_KAFKA_TOPIC_NAME_MAX + 2];
    snprintf(id, sizeof(id), "%s/%s", s->group, s->instance);
    return set(conf, "transactional.id", id, err) &&
           set_number(conf, "transaction.timeout.ms", s->transaction_timeout_ms, err);
  }
  return true;
}

static bool set_client(rd_kafka_conf_t *conf, const struct ee_kafka_settings *s,
                       enum ee_kafka_role role, struct ee_err *err) {
  char id[2 * EE_KAFKA_TOPIC_NAME_MAX + 16];
  snprintf(id, sizeof(id), "%s-%s-%s", s->group, s->instance, ee_kafka_role_name(role));
  return set(conf, "client.id", id, err);
}

static bool set_table(rd_kafka_conf_t *conf, const struct setting *table, size_t count,
                      enum ee_kafka_role role, struct ee_err *err) {
  for (size_t i = 0; i < count; i++) {
    if (!(table[i].roles & ROLE(role))) continue;
    if (!set(conf, table[i].name, table[i].value, err)) return false;
  }
  return true;
}

static bool set_user(rd_kafka_conf_t *conf, const struct ee_properties *properties,
                     struct ee_err *err) {
  for (size_t i = 0; i < properties->count; i++) {
    const struct ee_property *p = &properties->items[i];
    if (!ee_kafka_property_allowed(p->name, err) || !set(conf, p->name, p->value, err)) {
      return false;
    }
  }
  return true;
}

static bool set_queue_backoff(rd_kafka_conf_t *conf) {
  return rd_kafka_conf_set(conf, "fetch.queue.backoff.ms", "10", NULL, 0) == RD_KAFKA_CONF_OK;
}

bool ee_kafka_conf_wakes_itself(void) {
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  bool known = set_queue_backoff(conf);
  rd_kafka_conf_destroy(conf);
  return known;
}

rd_kafka_conf_t *ee_kafka_conf_new(const struct ee_kafka_shared *shared, enum ee_kafka_role role,
                                   struct ee_err *err) {
  const struct ee_kafka_settings *s = &shared->settings;
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  if (role == EE_KAFKA_FETCHER && shared->wakes_itself) set_queue_backoff(conf);
  if (set_client(conf, s, role, err) &&
      set_table(conf, tuning, sizeof(tuning) / sizeof(tuning[0]), role, err) &&
      set_sizes(conf, s, role, err) && set_patience(conf, s, role, err) &&
      set_user(conf, &shared->properties, err) &&
      set_table(conf, fixed, sizeof(fixed) / sizeof(fixed[0]), role, err) &&
      set_identity(conf, s, role, err)) {
    return conf;
  }
  rd_kafka_conf_destroy(conf);
  return NULL;
}
