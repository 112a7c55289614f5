// SPDX-License-Identifier: Apache-2.0
// Lines of JSON, collected and sorted.
#include <sodium.h>
#include <stdlib.h>

#include "base/array.h"
#include "contract/event_line.h"
#include "tools/envelope-traffic/traffic.h"

// Takes the text.
static void add(struct lines *lines, char *text, int64_t sent_at) {
  struct line *items = ee_array_room(lines->items, lines->count, &lines->capacity, sizeof *items);
  if (items != NULL) lines->items = items;
  if (text == NULL || items == NULL) {
    free(text);
    lines->failed = true;
    return;
  }
  lines->items[lines->count] =
      (struct line){.sent_at = sent_at, .number = lines->count, .text = text};
  lines->count++;
}

static char *text_of(struct ee_buf *buf) {
  ee_buf_byte(buf, 0);
  char *text = buf->failed ? NULL : strdup((const char *)buf->data);
  ee_buf_release(buf);
  return text;
}

static void take(void *context, enum ee_phase phase, const void *record, int64_t sent_at) {
  struct ee_str absent = {.data = NULL};
  struct ee_buf line;
  ee_buf_init(&line, EE_LINE_MAX);
  ee_event_line_write((enum ee_topic)phase, record, absent, absent, &line);
  add(context, text_of(&line), sent_at);
}

struct story_sink lines_sink(struct lines *lines) {
  return (struct story_sink){.take = take, .context = lines};
}

void lines_add_raw(struct lines *lines, struct ee_str key, struct ee_bytes value, int partition,
                   int64_t sent_at) {
  struct ee_buf line;
  size_t size = sodium_base64_encoded_len(value.size, sodium_base64_VARIANT_ORIGINAL);
  char *base64 = malloc(size);
  if (base64 == NULL) {
    lines->failed = true;
    return;
  }
  sodium_bin2base64(base64, size, value.data, value.size, sodium_base64_VARIANT_ORIGINAL);
  ee_buf_init(&line, EE_LINE_MAX);
  ee_buf_printf(&line, "{\"topic\":\"%s\",", ee_topics[EE_TOPIC_ADMISSION].name);
  if (partition >= 0) ee_buf_printf(&line, "\"partition\":%d,", partition);
  ee_buf_text(&line, "\"key\":");
  ee_buf_json_string(&line, key);
  ee_buf_printf(&line, ",\"value\":{\"base64\":\"%s\"}}", base64);
  free(base64);
  add(lines, text_of(&line), sent_at);
}

static int compare(const void *a, const void *b) {
  const struct line *left = a, *right = b;
  if (left->sent_at != right->sent_at) return left->sent_at < right->sent_at ? -1 : 1;
  return left->number < right->number ? -1 : left->number > right->number;
}

bool lines_write(struct lines *lines, FILE *out) {
  if (lines->failed) return false;
  qsort(lines->items, lines->count, sizeof *lines->items, compare);
  for (size_t i = 0; i < lines->count; i++) {
    if (fputs(lines->items[i].text, out) == EOF || fputc('\n', out) == EOF) return false;
  }
  return fflush(out) == 0;
}

void lines_release(struct lines *lines) {
  for (size_t i = 0; i < lines->count; i++)
    free(lines->items[i].text);
  free(lines->items);
  *lines = (struct lines){.items = NULL};
}
