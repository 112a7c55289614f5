// SPDX-License-Identifier: Apache-2.0
// Derived topics as JSON lines, one file each.
#include <dirent.h>
#include <errno.h>

#include "base/file.h"
#include "stream/printed.h"
#include "tools/envelope-local/local.h"

#define LINE_MAX_BYTES ((size_t)16 << 20)
#define PATH_SIZE 4096

// The value as a record, or NULL: it does not decode (or has no schema).
static void *decode(struct local *local, enum ee_topic topic, const struct ee_message *message) {
  const struct ee_record_type *type = ee_topics[topic].value;
  const struct ee_plan *plan;
  struct ee_bytes avro;
  if (type == NULL || message->value.data == NULL ||
      ee_codec_open(local->codec, type, message->value, 0, &plan, &avro, NULL) != EE_CODEC_READY) {
    return NULL;
  }
  void *record = ee_arena_alloc(&local->arena, type->size);
  return record != NULL && ee_decode(plan, avro, &local->arena, record, NULL) ? record : NULL;
}

static bool write_message(struct local *local, enum ee_topic topic,
                          const struct ee_message *message, struct ee_buf *line, FILE *out) {
  struct ee_printed printed = {.topic = ee_cluster_topic_name(local->cluster, topic),
                               .partition = message->tp.partition,
                               .offset = message->offset,
                               .timestamp_ms = message->timestamp_ms,
                               .append_time = message->append_time,
                               .key = message->key,
                               .value = message->value};
  printed.headers = ee_cluster_headers(message, &printed.header_count);
  ee_buf_clear(line);
  ee_printed_write(&printed, ee_topics[topic].value, decode(local, topic, message), line);
  ee_arena_clear(&local->arena);
  return !line->failed && fwrite(line->data, 1, line->size, out) == line->size;
}

static bool write_topic(struct local *local, enum ee_topic topic, const char *path,
                        struct ee_err *err) {
  FILE *out = fopen(path, "w");
  struct ee_buf line;
  bool good = true;
  if (out == NULL) return ee_err_set(err, "%s: %s", path, strerror(errno));
  ee_buf_init(&line, LINE_MAX_BYTES);
  for (int32_t p = 0; good && p < ee_cluster_partitions(local->cluster, topic); p++) {
    const struct ee_message *message;
    int64_t offset = 0;
    while (good &&
           (message = ee_cluster_next(local->cluster, (struct ee_tp){topic, p}, &offset)) != NULL) {
      good = write_message(local, topic, message, &line, out);
    }
  }
  ee_buf_release(&line);
  if (fclose(out) != 0) good = false;
  return good || ee_err_set(err, "%s cannot be written: %s", path, strerror(errno));
}

bool local_out_is_free(const char *directory, struct ee_err *err) {
  DIR *dir = opendir(directory);
  if (dir == NULL) {
    return errno == ENOENT || ee_err_set(err, "--out: %s: %s", directory, strerror(errno));
  }
  bool is_free = true;
  const struct dirent *entry;
  while ((entry = readdir(dir)) != NULL) {
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) is_free = false;
  }
  closedir(dir);
  return is_free || ee_err_set(err, "--out: %s is not empty; name a new directory", directory);
}

bool local_write(struct local *local, const char *directory, struct ee_err *err) {
  static const enum ee_topic topics[] = {
      EE_TOPIC_LIFECYCLE, EE_TOPIC_VIOLATION,    EE_TOPIC_GOVERNANCE, EE_TOPIC_AUDIT,
      EE_TOPIC_USAGE,     EE_TOPIC_USAGE_TENANT, EE_TOPIC_DEADLETTER};
  if (!ee_dir_make(directory, err)) return false;
  for (size_t i = 0; i < sizeof topics / sizeof *topics; i++) {
    char path[PATH_SIZE];
    struct ee_str name = ee_cluster_topic_name(local->cluster, topics[i]);
    int size = snprintf(path, sizeof path, "%s/%.*s.jsonl", directory, EE_STR_ARG(name));
    if (size < 0 || (size_t)size >= sizeof path)
      return ee_err_set(err, "--out: the path is too long");
    if (!write_topic(local, topics[i], path, err)) return false;
  }
  return true;
}
