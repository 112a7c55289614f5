// SPDX-License-Identifier: Apache-2.0
// The input, line by line, each of a bounded size; errors name the file and the line.
#include <errno.h>

#include "emit/lines.h"
#include "tools/envelope-local/local.h"

#define CHUNK 65536

static bool take_lines(struct local *local, struct ee_lines *lines, local_take_line *take,
                       struct ee_err *err) {
  struct ee_str line;
  enum ee_lines_state state;
  while ((state = ee_lines_next(lines, &line)) != EE_LINES_MORE) {
    bool whole = state == EE_LINES_LINE;
    local->line = lines->number;
    if (whole && ee_line_is_blank(line)) continue;
    bool good = take(local, whole ? line : (struct ee_str){0}, err);
    ee_arena_clear(&local->arena);
    if (!good) return ee_err_prefix(err, "%s:%llu", local->path, (unsigned long long)local->line);
  }
  return true;
}

bool local_each_line(struct local *local, FILE *in, size_t most, local_take_line *take,
                     struct ee_err *err) {
  static char chunk[CHUNK];
  struct ee_lines lines;
  bool good = true;
  ee_lines_init(&lines, most, CHUNK);
  while (good && !lines.ended) {
    size_t size = fread(chunk, 1, CHUNK, in);
    if (ferror(in)) {
      good = ee_err_set(err, "%s: %s", local->path, strerror(errno));
    } else if (size == 0) {
      ee_lines_end(&lines);
    } else if (!ee_lines_feed(&lines, chunk, size)) {
      good = ee_err_set(err, "no memory for a line");
    }
    good = good && take_lines(local, &lines, take, err);
  }
  ee_lines_release(&lines);
  return good;
}
