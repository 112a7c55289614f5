// SPDX-License-Identifier: Apache-2.0
// envelopectl cat: a topic's records as JSON lines, to the end that is found at the start.
#include "tools/envelopectl/cat.h"

#include <inttypes.h>
#include <stdlib.h>

#include "stream/lookup.h"
#include "tools/envelopectl/ctl.h"

#define ARENA_MAX ((size_t)64 << 20)
#define LINE_MAX_SIZE ((size_t)64 << 20)

struct settings {
  struct ee_ctl_settings common;
  int64_t partition;
  int64_t offset;
  bool raw;
};

#define AT(FIELD) offsetof(struct settings, FIELD)

static const struct ee_option options[] = {
    {.name = "cat", .type = EE_OPTION_GROUP},
    {.name = "partition",
     .argument = "N",
     .type = EE_OPTION_COUNT,
     .offset = AT(partition),
     .fallback = "-1",
     .least = -1,
     .most = 1000000,
     .doc = "The one partition to read; -1 reads all, one after another."},
    {.name = "offset",
     .argument = "N",
     .type = EE_OPTION_COUNT,
     .offset = AT(offset),
     .fallback = "0",
     .doc = "Where to begin in each partition; what retention has cut is passed over."},
    {.name = "raw",
     .type = EE_OPTION_FLAG,
     .offset = AT(raw),
     .doc = "Decodes nothing: keys, headers and values are {\"base64\": ...}, byte for byte."},
    {.name = NULL}};

int ee_cat_topic(const char *prefix, const char *given, char out[EE_TOPIC_NAME_SIZE]) {
  size_t size = strlen(given);
  int plain = ee_topic_find(ee_str(given));
  snprintf(out, EE_TOPIC_NAME_SIZE, "%s%s", plain < 0 ? "" : prefix, given);
  for (int i = 0; i < EE_TOPIC_COUNT && plain < 0; i++) {
    size_t ending = strlen(ee_topics[i].name);
    if (size > ending && strcmp(given + size - ending, ee_topics[i].name) == 0) plain = i;
  }
  return plain;
}

struct cat {
  const struct settings *settings;
  const struct ee_record_type *type;  // of the values; NULL: not known
  struct ee_client *client;
  struct ee_codec_set codecs;
  struct ee_wait wait;
  struct ee_arena arena;
  struct ee_buf line;
};

// The value as a record, in the arena. NULL with *ret_ok true: it does not decode.
static const void *decode(struct cat *cat, struct ee_bytes value, bool *ret_ok,
                          struct ee_err *err) {
  const struct ee_plan *plan;
  struct ee_bytes avro;
  struct ee_fault fault;
  enum ee_open_answer answer =
      ee_lookup_open(&cat->codecs, cat->type, value, &cat->wait, &plan, &avro, &fault, err);
  *ret_ok = answer != EE_OPEN_GAVE_UP;
  if (answer != EE_OPEN_READY) return NULL;
  void *record = ee_arena_zero(&cat->arena, 1, cat->type->size);
  if (record == NULL || !ee_decode(plan, avro, &cat->arena, record, &fault)) return NULL;
  return record;
}

static bool print_record(void *context, const struct ee_printed *printed, struct ee_err *err) {
  struct cat *cat = context;
  const void *record = NULL;
  bool ok = true;
  if (cat->settings->raw) {
    ee_printed_write_raw(printed, &cat->line);
  } else {
    if (cat->type != NULL && printed->value.data != NULL) {
      record = decode(cat, printed->value, &ok, err);
    }
    if (ok) ee_printed_write(printed, cat->type, record, &cat->line);
  }
  ok = ok && ee_ctl_print(&cat->line, err);
  ee_arena_clear(&cat->arena);
  return ok;
}

static bool read_partition(struct cat *cat, const char *topic, int32_t partition, int64_t start,
                           int64_t end, struct ee_err *err) {
  int64_t from = cat->settings->offset > start ? cat->settings->offset : start;
  ee_wait_again(&cat->wait);
  return ee_client_read(cat->client, topic, partition, from, end, &cat->wait, print_record, cat,
                        err);
}

static bool read_all(struct cat *cat, const char *topic, int32_t count, struct ee_err *err) {
  rd_kafka_topic_partition_list_t *starts = ee_ctl_partition_list(topic, count);
  rd_kafka_topic_partition_list_t *ends = ee_ctl_partition_list(topic, count);
  int64_t only = cat->settings->partition;
  bool ok = starts != NULL && ends != NULL;
  if (!ok) ee_err_set(err, "memory is out");
  // The ends last: a start that moves on meanwhile is found out by reading, an end is not.
  ok = ok && ee_client_offsets(cat->client, starts, EE_LOG_START, &cat->wait, err) &&
       ee_client_offsets(cat->client, ends, EE_LOG_END, &cat->wait, err);
  for (int i = 0; ok && i < count; i++) {
    if (only >= 0 && i != only) continue;
    ok = read_partition(cat, topic, i, starts->elems[i].offset, ends->elems[i].offset, err);
  }
  if (starts != NULL) rd_kafka_topic_partition_list_destroy(starts);
  if (ends != NULL) rd_kafka_topic_partition_list_destroy(ends);
  return ok;
}

static bool find_and_read(struct cat *cat, const char *given, struct ee_err *err) {
  const struct settings *settings = cat->settings;
  char topic[EE_TOPIC_NAME_SIZE];
  if (strlen(given) + strlen(settings->common.client.topic_prefix) >= EE_TOPIC_NAME_SIZE) {
    return ee_err_set(err, "a topic's name has at most %d bytes", EE_TOPIC_NAME_SIZE - 1);
  }
  int known = ee_cat_topic(settings->common.client.topic_prefix, given, topic);
  if (known >= 0) cat->type = ee_topics[known].value;
  ee_ctl_wait_init(&cat->wait, &settings->common);
  int32_t count;
  if (!ee_client_new(&settings->common.client, EE_CLIENT_READER, EE_CTL_NAME, &cat->client, err) ||
      !ee_codec_set_init(&cat->codecs, &settings->common.client, NULL, err) ||
      !ee_client_partitions(cat->client, topic, &cat->wait, &count, NULL, err)) {
    return false;
  }
  if (count == 0) return ee_err_set(err, "topic %s does not exist", topic);
  if (settings->partition >= count) {
    return ee_err_set(err, "--partition %" PRId64 ": %s has partitions 0 to %" PRId32,
                      settings->partition, topic, count - 1);
  }
  return read_all(cat, topic, count, err);
}

static bool run(const void *settings, char *const *operands, struct ee_err *err) {
  struct cat *cat = calloc(1, sizeof *cat);
  if (cat == NULL) return ee_err_set(err, "memory is out");
  cat->settings = settings;
  ee_arena_init(&cat->arena, ARENA_MAX);
  ee_buf_init(&cat->line, LINE_MAX_SIZE);
  bool ok = find_and_read(cat, operands[0], err);
  ee_client_free(cat->client);
  ee_codec_set_release(&cat->codecs);
  ee_arena_release(&cat->arena);
  ee_buf_release(&cat->line);
  free(cat);
  return ok;
}

const struct ee_ctl_command ee_ctl_cat = {
    .name = "cat",
    .purpose =
        "Prints a topic's committed records as JSON lines, by partition and offset, to the "
        "end found at the start.",
    .usage = "TOPIC",
    .operands_least = 1,
    .operands_most = 1,
    .options = options,
    .settings_size = sizeof(struct settings),
    .run = run};
