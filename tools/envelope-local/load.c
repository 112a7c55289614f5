// SPDX-License-Identifier: Apache-2.0
// Records in their printed form, back into a log: for replaying a Kafka run, and for input
// that is no event.
#include <sodium.h>
#include <stdlib.h>

#include "tools/envelope-local/local.h"

#define RECORD_MAX ((size_t)16 << 20)

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
    return ee_err_set(err, "%s: neither text nor {\"base64\": ...}", what);
  }
  *ret = ee_bytes(bytes, used);
  return true;
}

struct loaded {
  struct ee_tp tp;
  int64_t offset, timestamp_ms;
  struct ee_bytes key, value;
  struct ee_header *headers;
  size_t header_count;
};

// Only what processors read: what they derive is made anew.
static bool read_topic(struct local *local, const json_t *json, enum ee_topic *ret,
                       struct ee_err *err) {
  if (!json_is_string(json)) return ee_err_set(err, "topic: a text is missing");
  struct ee_str name = {json_string_value(json), json_string_length(json)};
  for (int topic = 0; topic < EE_TOPIC_COUNT; topic++) {
    *ret = (enum ee_topic)topic;
    if (!ee_str_equal(name, ee_cluster_topic_name(local->cluster, *ret))) continue;
    return topic <= EE_TOPIC_POLICY ||
           ee_err_set(err, "topic: %.*s is derived; only what processors read can be given",
                      EE_STR_ARG(name));
  }
  return ee_err_set(err, "topic: %.*s is none of the catalogue's with --topic-prefix \"%s\"",
                    EE_STR_ARG(name), local->settings->topic_prefix);
}

// -1 when the line has none.
static bool read_partition(struct local *local, const json_t *json, struct ee_tp *tp,
                           struct ee_err *err) {
  int32_t count = ee_cluster_partitions(local->cluster, tp->topic);
  json_int_t given = json_integer_value(json);
  tp->partition = -1;
  if (json == NULL) return true;
  if (!json_is_integer(json) || given < 0 || given >= count) {
    return ee_err_set(err, "partition: must be from 0 to %d here (see --partitions)", count - 1);
  }
  tp->partition = (int32_t)given;
  return true;
}

static bool read_number(const json_t *line, const char *name, int64_t *ret, struct ee_err *err) {
  const json_t *json = json_object_get(line, name);
  *ret = json_integer_value(json);
  return (json_is_integer(json) && *ret >= 0) ||
         ee_err_set(err, "%s: a number from 0 up is missing", name);
}

// A list of [name, value]; may be left out. A value is read as key and value are.
static bool read_headers(struct local *local, const json_t *json, struct loaded *ret,
                         struct ee_err *err) {
  ret->headers = NULL;
  ret->header_count = 0;
  if (json == NULL) return true;
  if (!json_is_array(json)) return ee_err_set(err, "headers: not a list");
  ret->headers = ee_arena_zero(&local->arena, json_array_size(json), sizeof *ret->headers);
  if (ret->headers == NULL) return ee_err_set(err, "headers: no memory");
  for (size_t i = 0; i < json_array_size(json); i++) {
    const json_t *pair = json_array_get(json, i), *name = json_array_get(pair, 0);
    struct ee_header *header = &ret->headers[ret->header_count++];
    if (json_array_size(pair) != 2 || !json_is_string(name)) {
      return ee_err_set(err, "headers: not a list of [name, value]");
    }
    header->name = (struct ee_str){json_string_value(name), json_string_length(name)};
    if (!read_bytes(local, json_array_get(pair, 1), "headers", &header->value, err)) return false;
  }
  return true;
}

static bool read_record(struct local *local, const json_t *line, struct loaded *ret,
                        struct ee_err *err) {
  if (!read_topic(local, json_object_get(line, "topic"), &ret->tp.topic, err) ||
      !read_partition(local, json_object_get(line, "partition"), &ret->tp, err)) {
    return false;
  }
  return read_bytes(local, json_object_get(line, "key"), "key", &ret->key, err) &&
         read_bytes(local, json_object_get(line, "value"), "value", &ret->value, err) &&
         read_headers(local, json_object_get(line, "headers"), ret, err);
}

bool local_append_raw(struct local *local, const json_t *line, struct ee_err *err) {
  struct loaded record;
  if (!read_record(local, line, &record, err)) return false;
  struct ee_output output = {.tp = record.tp,
                             .key = record.key,
                             .value = record.value,
                             .headers = record.headers,
                             .header_count = record.header_count};
  if (record.tp.partition < 0 && record.key.data == NULL) {
    return ee_err_set(err, "partition: missing, and there is no key that would name it");
  }
  return ee_cluster_append(local->cluster, &output, -1) >= 0 ||
         ee_err_set(err, "the log in memory is full; raise --memory");
}

static bool load_record(struct local *local, const json_t *line, struct ee_err *err) {
  struct loaded record;
  if (!read_record(local, line, &record, err)) return false;
  if (record.tp.partition < 0) return ee_err_set(err, "partition: missing");
  if (json_object_get(line, "end") != NULL) {
    if (!read_number(line, "end", &record.offset, err)) return false;
    ee_cluster_load_end(local->cluster, record.tp, record.offset);
    return true;
  }
  if (!read_number(line, "offset", &record.offset, err) ||
      !read_number(line, "timestamp", &record.timestamp_ms, err)) {
    return false;
  }
  if (record.timestamp_ms > ee_cluster_time(local->cluster)) {
    ee_cluster_set_time(local->cluster, record.timestamp_ms);
  }
  return ee_cluster_load(local->cluster, record.tp, record.offset, record.timestamp_ms, record.key,
                         record.value, record.headers, record.header_count, err);
}

static bool load_line(struct local *local, struct ee_str line, struct ee_err *err) {
  if (line.data == NULL) return ee_err_set(err, "at most %zu bytes are allowed", RECORD_MAX);
  json_error_t where;
  json_t *json = json_loadb(line.data, line.size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &where);
  bool good = json != NULL ? load_record(local, json, err)
                           : ee_err_set(err, "column %d: %s", where.column, where.text);
  json_decref(json);
  return good;
}

bool local_load(struct local *local, FILE *in, struct ee_err *err) {
  return local_each_line(local, in, RECORD_MAX, load_line, err);
}
