// SPDX-License-Identifier: Apache-2.0
// Records in their printed form, back into a log: for replaying a Kafka run, and for input
// that is no event.
#include <sodium.h>
#include <stdlib.h>
#include <sys/types.h>

#include "tools/envelope-local/local.h"

#define RECORD_MAX ((size_t)16 << 20)

struct ee_str local_prefix_of(struct ee_str full_name, int *ret_topic) {
  for (int topic = 0; topic < EE_TOPIC_COUNT; topic++) {
    struct ee_str name = ee_str(ee_topics[topic].name);
    if (full_name.size < name.size) continue;
    size_t before = full_name.size - name.size;
    if (memcmp(full_name.data + before, name.data, name.size) != 0) continue;
    *ret_topic = topic;
    return (struct ee_str){full_name.data, before};
  }
  *ret_topic = -1;
  return (struct ee_str){0};
}

// A member as bytes: text, {"base64": ...}, or null. Lives in arena or in json.
static bool read_bytes(struct local *local, const json_t *json, const char *what,
                       struct ee_bytes *ret, struct ee_err *err) {
  *ret = (struct ee_bytes){0};
  if (json == NULL || json_is_null(json)) return true;
  if (json_is_string(json)) {
    *ret = ee_bytes(json_string_value(json), json_string_length(json));
    return true;
  }
  const json_t *text = json_object_get(json, "base64");
  size_t size = json_string_length(text), used = 0;
  uint8_t *bytes = ee_arena_alloc(&local->arena, size + 1);
  if (!json_is_string(text) || bytes == NULL ||
      sodium_base642bin(bytes, size + 1, json_string_value(text), size, NULL, &used, NULL,
                        sodium_base64_VARIANT_ORIGINAL) != 0) {
    return ee_err_set(err, "%s is neither text nor {\"base64\": ...}", what);
  }
  *ret = ee_bytes(bytes, used);
  return true;
}

struct loaded {
  struct ee_tp tp;
  int64_t offset, timestamp_ms;
  struct ee_bytes key, value;
};

static bool read_record(struct local *local, const json_t *line, struct loaded *ret,
                        struct ee_err *err) {
  const json_t *topic = json_object_get(line, "topic");
  const json_t *partition = json_object_get(line, "partition");
  int known;
  local_prefix_of((struct ee_str){json_string_value(topic), json_string_length(topic)}, &known);
  if (!json_is_string(topic) || known < 0)
    return ee_err_set(err, "topic is none of the catalogue's");
  ret->tp = (struct ee_tp){(enum ee_topic)known, -1};
  if (json_is_integer(partition)) ret->tp.partition = (int32_t)json_integer_value(partition);
  if (ret->tp.partition >= local->settings->partitions) {
    return ee_err_set(err, "partition %d; --partitions says how many there are",
                      (int)ret->tp.partition);
  }
  ret->offset = json_integer_value(json_object_get(line, "offset"));
  ret->timestamp_ms = json_integer_value(json_object_get(line, "timestamp"));
  return read_bytes(local, json_object_get(line, "key"), "key", &ret->key, err) &&
         read_bytes(local, json_object_get(line, "value"), "value", &ret->value, err);
}

bool local_append_raw(struct local *local, const json_t *line, struct ee_err *err) {
  struct loaded record;
  if (!read_record(local, line, &record, err)) return false;
  struct ee_output output = {.tp = record.tp, .key = record.key, .value = record.value};
  if (record.tp.partition < 0 && record.key.data == NULL) {
    return ee_err_set(err, "a record without key needs its partition");
  }
  return ee_cluster_append(local->cluster, &output, -1) >= 0 ||
         ee_err_set(err, "the log in memory is full; raise --memory");
}

static bool load_line(struct local *local, const json_t *line, struct ee_err *err) {
  struct loaded record;
  if (!read_record(local, line, &record, err)) return false;
  if (record.tp.partition < 0) return ee_err_set(err, "partition is missing");
  const json_t *end = json_object_get(line, "end");
  if (json_is_integer(end)) {
    ee_cluster_load_end(local->cluster, record.tp, json_integer_value(end));
    return true;
  }
  if (record.timestamp_ms > ee_cluster_time(local->cluster)) {
    ee_cluster_set_time(local->cluster, record.timestamp_ms);
  }
  return ee_cluster_load(local->cluster, record.tp, record.offset, record.timestamp_ms, record.key,
                         record.value, NULL, 0, err);
}

bool local_load(struct local *local, FILE *in, struct ee_err *err) {
  char *line = NULL;
  size_t capacity = 0;
  ssize_t size;
  bool good = true;
  while (good && (size = getline(&line, &capacity, in)) >= 0) {
    local->lines++;
    if ((size_t)size > RECORD_MAX) {
      good = ee_err_set(err, "a line of %zd bytes; at most %zu are allowed", size, RECORD_MAX);
      break;
    }
    json_error_t where;
    json_t *json = json_loadb(line, (size_t)size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &where);
    good = json != NULL ? load_line(local, json, err)
                        : ee_err_set(err, "column %d: %s", where.column, where.text);
    json_decref(json);
    ee_arena_clear(&local->arena);
  }
  if (!good) ee_err_prefix(err, "line %zu", local->lines);
  free(line);
  return good;
}
