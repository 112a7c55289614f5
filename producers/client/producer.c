// SPDX-License-Identifier: Apache-2.0
// Producers: opened, closed, counted, and given up in a child of fork.
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/fork.h"
#include "base/time.h"
#include "base/version.h"
#include "client/mistake.h"
#include "client/producer_impl.h"
#include "contract/ident.h"
#include "contract/record.h"

#define ID_SHOWN 4  // bytes of the spool's id in the producer's name
#define ASIDE_LEAST ((uint64_t)16 << 20)

const char *envelope_version(void) {
  return EE_VERSION;
}

// ---- All that are open, for fork.

static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static struct envelope_producer *all;

static void before_fork(void) {
  pthread_mutex_lock(&all_lock);
}

static void in_parent(void) {
  pthread_mutex_unlock(&all_lock);
}

static void in_child(void) {
  for (struct envelope_producer *producer = all; producer != NULL; producer = producer->next)
    ee_spool_forsake(producer->spool);
  all = NULL;
  pthread_mutex_unlock(&all_lock);
}

// Plans are made before several threads may want them.
static void prepare_process(void) {
  pthread_atfork(before_fork, in_parent, in_child);
  for (int topic = 0; topic <= EE_TOPIC_OBLIGATION; topic++)
    ee_plan_own(ee_topics[topic].value);
}

static void list(struct envelope_producer *producer) {
  pthread_mutex_lock(&all_lock);
  producer->next = all;
  all = producer;
  pthread_mutex_unlock(&all_lock);
}

static void unlist(struct envelope_producer *producer) {
  pthread_mutex_lock(&all_lock);
  struct envelope_producer **at = &all;
  while (*at != NULL && *at != producer)
    at = &(*at)->next;
  if (*at != NULL) *at = producer->next;
  pthread_mutex_unlock(&all_lock);
}

// ---- Opening.

// The schemas of what is written lie beside it: a later version of the library, or a tool, reads
// it by these.
static bool keep_schemas(const char *directory, struct ee_err *err) {
  char path[PATH_MAX];
  if (!ee_dir_make(directory, err)) return false;
  for (int topic = 0; topic <= EE_TOPIC_OBLIGATION; topic++) {
    const struct ee_record_type *type = ee_topics[topic].value;
    struct stat found;
    int size = snprintf(path, sizeof path, "%s/%s-%016llx.avsc", directory, type->name,
                        (unsigned long long)type->fingerprint);
    if (size < 0 || size >= (int)sizeof path) return ee_err_set(err, "%s: too long", directory);
    if (stat(path, &found) == 0) continue;
    if (!ee_file_replace(path, ee_bytes(type->schema, type->schema_size), err)) return false;
  }
  return true;
}

// A folder that cannot be read keeps nobody from sending what is known without it.
static bool schemas_sound(const struct envelope_producer *producer, const char *directory) {
  struct ee_known *known = NULL;
  struct ee_err err;
  bool sound = ee_known_new(directory, &known, &err);
  ee_known_free(known);
  if (!sound) {
    ee_notice(&producer->settings.notices, ENVELOPE_WARNING, "without the spool's schemas: %s",
              err.text);
  }
  return sound;
}

static bool set_schemas(struct envelope_producer *producer, struct ee_err *err) {
  char path[PATH_MAX];
  struct ee_client_settings *client = &producer->settings.values.client;
  int size = snprintf(path, sizeof path, "%s/schemas", producer->settings.values.spool);
  if (size < 0 || size >= (int)sizeof path) return ee_err_set(err, "spool: the path is too long");
  if (!keep_schemas(path, err)) return false;
  free((void *)client->schema_directory);
  client->schema_directory = NULL;
  if (!schemas_sound(producer, path)) return true;
  client->schema_directory = strdup(path);
  return client->schema_directory != NULL || ee_err_set(err, "memory is out");
}

static struct ee_spool_settings spool_settings(const struct ee_producer_settings *values) {
  return (struct ee_spool_settings){.directory = values->spool,
                                    .segment_bytes = (size_t)values->segment_bytes,
                                    .most_bytes = (uint64_t)values->spool_bytes,
                                    .wall_s = ee_clock_wall_micros() / EE_MICROS_PER_S};
}

static bool open_spool(struct envelope_producer *producer, struct ee_err *err) {
  struct ee_spool_settings settings = spool_settings(&producer->settings.values);
  struct ee_err kept;
  if (!ee_spool_open(&settings, &producer->spool, err)) return false;
  if (!ee_spool_keep(producer->spool, ee_clock_monotonic_ms(), &kept)) {
    ee_notice(&producer->settings.notices, ENVELOPE_ERROR, "spool: %s", kept.text);
  }
  return true;
}

static void make_name(struct envelope_producer *producer) {
  char host[80] = "localhost", id[2 * ID_SHOWN + 1];
  const char *name = producer->settings.values.producer;
  if (name == NULL) {
    gethostname(host, sizeof host - 1);
    name = host;
  }
  ee_hex(ee_bytes(ee_spool_id(producer->spool), ID_SHOWN), id);
  snprintf(producer->name, sizeof producer->name, "%s-%s", name, id);
}

static bool open_sender(struct envelope_producer *producer, struct ee_err *err) {
  const struct envelope_settings *settings = &producer->settings;
  uint64_t aside = (uint64_t)settings->values.spool_bytes / 8;
  struct ee_sender_settings sender = {.spool = producer->spool,
                                      .outlet = ee_kafka_outlet(producer->outlet),
                                      .producer = producer->name,
                                      .topic_prefix = settings->values.client.topic_prefix,
                                      .aside_bytes = aside < ASIDE_LEAST ? ASIDE_LEAST : aside,
                                      .notices = settings->notices,
                                      .delivered = settings->delivered,
                                      .delivered_context = settings->delivered_context};
  return ee_sender_new(&sender, &producer->sender, err);
}

static int open_all(struct envelope_producer *producer, struct ee_err *err) {
  uint8_t *alive = ee_wiped_on_fork();
  if (alive == NULL) {
    ee_err_set(err, "no memory that a fork wipes (Linux 4.14)");
    return ENVELOPE_UNAVAILABLE;
  }
  *alive = 1;
  producer->alive = alive;
  if (!open_spool(producer, err) || !set_schemas(producer, err)) return ENVELOPE_UNAVAILABLE;
  make_name(producer);
  if (!ee_kafka_outlet_new(&producer->settings.values.client, producer->name, &producer->outlet,
                           err)) {
    return ENVELOPE_BAD_SETTING;  // of librdkafka's or the registry's
  }
  bool open = open_sender(producer, err) && producer_start(producer, err);
  return open ? ENVELOPE_OK : ENVELOPE_UNAVAILABLE;
}

// Its threads have ended, or were never started.
static void release(struct envelope_producer *producer, bool outlet_too) {
  ee_sender_free(producer->sender);
  if (outlet_too) ee_kafka_outlet_free(producer->outlet);
  ee_spool_close(producer->spool);
  ee_wiped_free((void *)producer->alive);
  ee_options_release(&ee_producer_command, &producer->settings.values);
  free(producer);
}

static struct envelope_producer *new_producer(const struct envelope_settings *settings,
                                              struct ee_err *err) {
  struct envelope_producer *producer = aligned_alloc(64, sizeof *producer);
  if (producer == NULL) {
    ee_err_set(err, "memory is out");
    return NULL;
  }
  memset(producer, 0, sizeof *producer);
  producer->settings = *settings;
  memset(&producer->settings.values, 0, sizeof producer->settings.values);
  if (!ee_options_copy(&ee_producer_command, &settings->values, &producer->settings.values, err)) {
    free(producer);
    return NULL;
  }
  const struct ee_producer_settings *values = &producer->settings.values;
  producer->refuse_when_full = strcmp(values->when_full, "refuse") == 0;
  producer->sync_calls = strcmp(values->sync, "call") == 0;
  producer->source = ee_str(values->source);
  return producer;
}

int envelope_producer_open(const envelope_settings *settings, envelope_producer **ret,
                           struct envelope_error *error) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  struct ee_err err;
  if (settings->values.spool == NULL) {
    return ee_mistake(error, ENVELOPE_BAD_SETTING, "spool", "spool: a directory has to be named");
  }
  struct ee_spool_settings spool = spool_settings(&settings->values);
  if (!ee_spool_settings_fit(&spool, &err)) {
    return ee_mistake(error, ENVELOPE_BAD_SETTING, "spool-bytes", "%s", err.text);
  }
  pthread_once(&once, prepare_process);
  struct envelope_producer *producer = new_producer(settings, &err);
  if (producer == NULL) return ee_mistake_of_err(error, ENVELOPE_NO_MEMORY, &err);
  int result = open_all(producer, &err);
  if (result != ENVELOPE_OK) {
    release(producer, true);
    return ee_mistake_of_err(error, result, &err);
  }
  list(producer);
  *ret = producer;
  return ENVELOPE_OK;
}

// ---- While it is open.

int envelope_producer_flush(envelope_producer *producer, int64_t timeout_ms) {
  if (producer_forked(producer)) return ENVELOPE_FORKED;
  return producer_flush(producer, timeout_ms) ? ENVELOPE_OK : ENVELOPE_TIMED_OUT;
}

int envelope_producer_close(envelope_producer *producer, int64_t timeout_ms) {
  if (producer == NULL) return ENVELOPE_OK;
  if (producer_forked(producer)) return ENVELOPE_FORKED;
  if (timeout_ms < 0) timeout_ms = 0;
  if (timeout_ms > INT32_MAX) timeout_ms = INT32_MAX;
  int64_t until_ms = ee_clock_monotonic_ms() + timeout_ms;
  unlist(producer);
  bool done = producer_flush(producer, timeout_ms);
  if (producer_stop(producer, done, until_ms)) release(producer, false);
  return done ? ENVELOPE_OK : ENVELOPE_TIMED_OUT;
}

void envelope_producer_counts(const envelope_producer *producer, struct envelope_counts *ret,
                              size_t size) {
  const struct ee_sender_counts *sender = ee_sender_counts(producer->sender);
  struct envelope_counts counts = {.accepted = atomic_load(&producer->accepted),
                                   .dropped = atomic_load(&producer->dropped),
                                   .acknowledged = atomic_load(&sender->acknowledged),
                                   .refused = atomic_load(&sender->refused),
                                   .torn = atomic_load(&sender->torn),
                                   .lost = atomic_load(&sender->lost)};
  memset(ret, 0, size);
  memcpy(ret, &counts, size < sizeof counts ? size : sizeof counts);
}

int envelope_producer_trouble(const envelope_producer *producer, char *text, size_t size) {
  struct envelope_producer *locked = (struct envelope_producer *)producer;
  if (producer_forked(producer)) return ENVELOPE_FORKED;
  pthread_mutex_lock(&locked->lock);
  bool by_operator = producer->trouble_by_operator;
  bool any = producer->trouble.text[0] != '\0';
  snprintf(text, size, "%s", producer->trouble.text);
  pthread_mutex_unlock(&locked->lock);
  if (!any) return ENVELOPE_OK;
  return by_operator ? ENVELOPE_BAD_SETTING : ENVELOPE_UNAVAILABLE;
}

const char *envelope_producer_name(const envelope_producer *producer) {
  return producer->name;
}
