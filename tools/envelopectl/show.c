// SPDX-License-Identifier: Apache-2.0
// envelopectl show: one envelope's story, from Kafka or from what a local run has written.
#include <errno.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#include "contract/json.h"
#include "stream/lookup.h"
#include "tools/envelopectl/ctl.h"
#include "tools/envelopectl/story.h"
#include "wire/partition.h"

#define OUTPUT_MAX ((size_t)64 << 20)
#define RECORD_MEMORY_MAX ((size_t)64 << 20)
#define PATH_SIZE 4096

struct show_settings {
  struct ee_ctl_settings ctl;
  const char *from;
  bool json;
};

static const struct ee_option options[] = {
    {.name = "show", .type = EE_OPTION_GROUP},
    {.name = "from",
     .argument = "DIR",
     .type = EE_OPTION_TEXT,
     .offset = offsetof(struct show_settings, from),
     .doc = "Read what `envelope-local --out DIR` has written instead of Kafka."},
    EE_CTL_JSON(struct show_settings, json, "Print JSON for programs."),
    {.name = NULL}};

static const enum ee_topic topics[] = {EE_TOPIC_LIFECYCLE, EE_TOPIC_GOVERNANCE, EE_TOPIC_VIOLATION,
                                       EE_TOPIC_USAGE};

// One topic being read for the story.
struct reading {
  struct story *story;
  enum ee_topic topic;
  struct ee_str key;  // only records with it are looked at
  struct ee_arena arena;
  struct ee_codec_set codecs;
  struct ee_wait wait;
};

// Records of the usage topic are keyed by tenant, the others by envelope.
static struct ee_str key_of(const struct story *story, enum ee_topic topic) {
  if (topic != EE_TOPIC_USAGE) return story->envelope_id;
  return story->lifecycle == NULL ? (struct ee_str){0} : story->lifecycle->tenant;
}

static bool no_memory(struct ee_err *err) {
  return ee_err_set(err, "no memory for the story");
}

// ---- From a directory.

static bool take_line(struct reading *reading, const char *text, size_t size, struct ee_err *err) {
  const struct ee_record_type *type = ee_topics[reading->topic].value;
  struct ee_fault fault;
  json_error_t where;
  json_t *line = json_loadb(text, size, JSON_ALLOW_NUL, &where);
  const json_t *key = json_object_get(line, "key"), *value = json_object_get(line, "value");
  bool good = line != NULL || ee_err_set(err, "column %d: %s", where.column, where.text);
  struct ee_str name = {json_string_value(key), json_string_length(key)};
  if (good && json_is_object(value) && ee_str_equal(name, reading->key)) {
    void *record = ee_arena_alloc(&reading->arena, type->size);
    if (record == NULL) {
      good = no_memory(err);
    } else if (!ee_json_read(type, value, &reading->arena, record, &fault)) {
      good = ee_err_set(err, "%s", fault.detail);
    } else {
      good = story_take(reading->story, reading->topic, record) || no_memory(err);
    }
  }
  json_decref(line);
  ee_arena_clear(&reading->arena);
  return good;
}

static bool read_file(struct reading *reading, const char *path, struct ee_err *err) {
  FILE *in = fopen(path, "r");
  char *line = NULL;
  size_t capacity = 0, number = 0;
  ssize_t size;
  bool good = true;
  if (in == NULL) return ee_err_set(err, "%s: %s", path, strerror(errno));
  while (good && (size = getline(&line, &capacity, in)) >= 0) {
    number++;
    good = take_line(reading, line, (size_t)size, err);
  }
  if (!good) ee_err_prefix(err, "%s line %zu", path, number);
  free(line);
  fclose(in);
  return good;
}

static bool read_directory(struct reading *reading, const struct show_settings *settings,
                           struct ee_err *err) {
  for (size_t i = 0; i < sizeof topics / sizeof *topics; i++) {
    char path[PATH_SIZE], name[EE_TOPIC_NAME_SIZE];
    reading->topic = topics[i];
    reading->key = key_of(reading->story, topics[i]);
    ee_client_topic_name(&settings->ctl.client, topics[i], name);
    int size = snprintf(path, sizeof path, "%s/%s.jsonl", settings->from, name);
    if (size < 0 || (size_t)size >= sizeof path)
      return ee_err_set(err, "--from: the path is too long");
    if (!read_file(reading, path, err)) return false;
  }
  return true;
}

// ---- From Kafka.

static bool take_record(void *context, const struct ee_printed *record, struct ee_err *err) {
  struct reading *reading = context;
  const struct ee_record_type *type = ee_topics[reading->topic].value;
  const struct ee_plan *plan;
  struct ee_bytes avro;
  struct ee_fault fault;
  if (record->value.data == NULL || !ee_bytes_equal(record->key, ee_str_bytes(reading->key))) {
    return true;
  }
  enum ee_open_answer answer = ee_lookup_open(&reading->codecs, type, record->value, &reading->wait,
                                              &plan, &avro, &fault, err);
  if (answer == EE_OPEN_GAVE_UP) return false;
  void *decoded = ee_arena_alloc(&reading->arena, type->size);
  bool good = decoded != NULL || no_memory(err);
  if (good &&
      (answer != EE_OPEN_READY || !ee_decode(plan, avro, &reading->arena, decoded, &fault))) {
    good = ee_err_set(err, "%.*s partition %d offset %lld: %s", EE_STR_ARG(record->topic),
                      (int)record->partition, (long long)record->offset, fault.detail);
  }
  if (good) good = story_take(reading->story, reading->topic, decoded) || no_memory(err);
  ee_arena_clear(&reading->arena);
  return good;
}

// Reads the one partition of the topic that records with the key lie in.
static bool read_topic(struct reading *reading, struct ee_client *client,
                       const struct show_settings *settings, struct ee_err *err) {
  char name[EE_TOPIC_NAME_SIZE];
  int32_t count;
  reading->key = key_of(reading->story, reading->topic);
  if (reading->key.data == NULL) return true;
  ee_client_topic_name(&settings->ctl.client, reading->topic, name);
  if (!ee_ctl_partitions(client, name, &reading->wait, &count, err)) return false;
  int32_t partition = ee_partition_of(ee_str_bytes(reading->key), count);
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(list, name, partition);
  bool good = ee_client_offsets(client, list, EE_LOG_START, &reading->wait, err);
  int64_t start = list->elems[0].offset;
  good = good && ee_client_offsets(client, list, EE_LOG_END, &reading->wait, err);
  int64_t end = list->elems[0].offset;
  rd_kafka_topic_partition_list_destroy(list);
  return good && ee_client_read(client, name, partition, start, end, &reading->wait, take_record,
                                reading, err);
}

static bool read_kafka(struct reading *reading, const struct show_settings *settings,
                       struct ee_err *err) {
  struct ee_client *client = NULL;
  bool good = ee_codec_set_init(&reading->codecs, &settings->ctl.client, NULL, err) &&
              ee_client_new(&settings->ctl.client, EE_CLIENT_READER, EE_CTL_NAME, &client, err);
  for (size_t i = 0; good && i < sizeof topics / sizeof *topics; i++) {
    reading->topic = topics[i];
    good = read_topic(reading, client, settings, err);
  }
  ee_client_free(client);
  ee_codec_set_release(&reading->codecs);
  return good;
}

// ---- The command.

static bool print(const struct show_settings *settings, const struct story *story,
                  struct ee_err *err) {
  struct ee_buf out;
  bool good = true;
  ee_buf_init(&out, OUTPUT_MAX);
  if (story->lifecycle == NULL) {
    good = ee_err_set(err, "no envelope %.*s in %s", EE_STR_ARG(story->envelope_id),
                      settings->from != NULL ? settings->from : "the lifecycle topic");
  } else if (settings->json) {
    story_json(story, &out);
  } else {
    good = story_tell(story, &out) || no_memory(err);
  }
  good = good && ee_ctl_print(&out, err);
  ee_buf_release(&out);
  return good;
}

static bool run(const void *context, char *const *operands, struct ee_err *err) {
  const struct show_settings *settings = context;
  struct story story;
  struct reading reading = {.story = &story};
  story_init(&story, ee_str(operands[0]));
  ee_arena_init(&reading.arena, RECORD_MEMORY_MAX);
  ee_ctl_wait_init(&reading.wait, &settings->ctl);
  bool good = settings->from != NULL ? read_directory(&reading, settings, err)
                                     : read_kafka(&reading, settings, err);
  good = good && print(settings, &story, err);
  ee_arena_release(&reading.arena);
  story_release(&story);
  return good;
}

const struct ee_ctl_command ee_ctl_show = {
    .name = "show",
    .purpose =
        "Tells one envelope's story: its phases and the time between them, requested "
        "against granted, the outcome, violations, obligations and ledger.",
    .usage = "ENVELOPE_ID",
    .operands_least = 1,
    .operands_most = 1,
    .options = options,
    .settings_size = sizeof(struct show_settings),
    .run = run};
