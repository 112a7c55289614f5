// SPDX-License-Identifier: Apache-2.0
// Lines out of chunks.
#include "emit/lines.h"

void ee_lines_init(struct ee_lines *lines, size_t most, size_t chunk) {
  *lines = (struct ee_lines){.most = most};
  ee_buf_init(&lines->buf, most + 1 + chunk);
}

void ee_lines_release(struct ee_lines *lines) {
  ee_buf_release(&lines->buf);
}

bool ee_lines_feed(struct ee_lines *lines, const void *data, size_t size) {
  if (lines->start != 0) {
    lines->buf.size -= lines->start;
    memmove(lines->buf.data, lines->buf.data + lines->start, lines->buf.size);
    lines->searched -= lines->start;
    lines->start = 0;
  }
  ee_buf_append(&lines->buf, data, size);
  return !lines->buf.failed;
}

void ee_lines_end(struct ee_lines *lines) {
  lines->ended = true;
}

// The end of the next line; false if it has none yet.
static bool find_end(struct ee_lines *lines, size_t *ret_end, size_t *ret_next) {
  const uint8_t *data = ee_buf_bytes(&lines->buf).data;
  size_t size = lines->buf.size;
  const uint8_t *newline = memchr(data + lines->searched, '\n', size - lines->searched);
  lines->searched = size;
  *ret_end = *ret_next = size;
  if (newline == NULL) return lines->ended && lines->start < size;
  *ret_end = (size_t)(newline - data);
  *ret_next = *ret_end + 1;
  return true;
}

enum ee_lines_state ee_lines_next(struct ee_lines *lines, struct ee_str *ret) {
  for (;;) {
    size_t end, next;
    size_t start = lines->start;
    bool whole = find_end(lines, &end, &next);
    bool too_long = end - start > lines->most;
    bool skipped = lines->skipping;
    if (!whole && !too_long && !skipped) return EE_LINES_MORE;
    lines->start = lines->searched = next;
    lines->skipping = !whole;
    if (!skipped) lines->number++;
    if (too_long && !skipped) return EE_LINES_TOO_LONG;
    if (whole && !skipped) {
      *ret = ee_bytes_str(ee_bytes(ee_buf_bytes(&lines->buf).data + start, end - start));
      return EE_LINES_LINE;
    }
    if (!whole) return EE_LINES_MORE;
  }
}

bool ee_line_is_blank(struct ee_str line) {
  for (size_t i = 0; i < line.size; i++) {
    if (strchr(" \t\r", line.data[i]) == NULL || line.data[i] == '\0') return false;
  }
  return true;
}
