// SPDX-License-Identifier: Apache-2.0
// avrogen OUTDIR TOPICS.json SCHEMA.avsc...
// Writes records.h, records.c and topics.c into OUTDIR, the same bytes for the same input.
// Exit status: 0 done, 1 failed, 2 wrong usage.
#include <stdlib.h>

#include "base/file.h"
#include "tools/avrogen/emit.h"

#define OUTPUT_MAX (16u << 20)
#define TOPICS_MAX (1u << 20)

static bool write_file(const char *directory, const char *name, const struct ee_buf *content,
                       struct ee_err *err) {
  char path[4096];
  int size = snprintf(path, sizeof path, "%s/%s", directory, name);
  if (size < 0 || (size_t)size >= sizeof path) return ee_err_set(err, "%s: too long", directory);
  if (content->failed) return ee_err_set(err, "%s: too large, or memory is out", path);
  return ee_file_replace(path, ee_buf_bytes(content), err);
}

static bool write_topics(const struct model *model, const char *directory, const char *path,
                         struct ee_buf *out, struct ee_err *err) {
  struct ee_buf text;
  ee_buf_init(&text, TOPICS_MAX);
  json_t *topics = NULL;
  json_error_t error;
  bool done = false;
  if (!ee_file_read(path, &text, err)) goto out;
  topics = json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, &error);
  if (topics == NULL) {
    ee_err_set(err, "%s: line %d: %s", path, error.line, error.text);
    goto out;
  }
  if (!emit_topics(model, topics, out, err)) {
    ee_err_prefix(err, "%s", path);
    goto out;
  }
  done = write_file(directory, "topics.c", out, err);
out:
  json_decref(topics);
  ee_buf_release(&text);
  return done;
}

static bool generate(struct model *model, char **argv, struct ee_buf *out, struct ee_err *err) {
  for (char **path = argv + 3; *path != NULL; path++) {
    if (!model_add_file(model, *path, err)) return false;
  }
  if (!model_check(model, err)) return false;
  emit_header(model, out);
  if (!write_file(argv[1], "records.h", out, err)) return false;
  ee_buf_clear(out);
  emit_tables(model, out);
  if (!write_file(argv[1], "records.c", out, err)) return false;
  ee_buf_clear(out);
  return write_topics(model, argv[1], argv[2], out, err);
}

int main(int argc, char **argv) {
  if (argc < 4) {
    fprintf(stderr, "usage: avrogen OUTDIR TOPICS.json SCHEMA.avsc...\n");
    return 2;
  }
  struct model *model = calloc(1, sizeof *model);
  struct ee_err err = {.text = ""};
  struct ee_buf out;
  ee_buf_init(&out, OUTPUT_MAX);
  bool done = model != NULL ? generate(model, argv, &out, &err) : ee_err_set(&err, "memory is out");
  if (!done) fprintf(stderr, "avrogen: %s\n", err.text);
  ee_buf_release(&out);
  if (model != NULL) model_release(model);
  free(model);
  return done ? 0 : 1;
}
