// SPDX-License-Identifier: Apache-2.0
// Log lines are built in a fixed piece of stack, so that logging works without memory.
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/time.h"
#include "base/utf8.h"

#define CUT_MARK ",\"cut\":true"
// Always kept free: the quote that closes a text, the mark, the brace and the newline.
#define TAIL_SIZE (1 + sizeof CUT_MARK - 1 + 2)

static struct {
  const char *program;
  const char *instance;
  enum ee_level least;
} setup = {.least = EE_INFO};

struct line {
  char *data;
  size_t size;
  bool cut;
};

void ee_log_setup(const char *program, const char *instance, enum ee_level least) {
  setup.program = program;
  setup.instance = instance;
  setup.least = least;
}

// Adds the whole piece, or nothing and marks the line cut. (A closing quote may have
// gone one byte into the tail.)
static void put(struct line *line, const char *data, size_t size) {
  if (line->cut || line->size + size > EE_LOG_LINE_MAX - TAIL_SIZE) {
    line->cut = true;
    return;
  }
  memcpy(line->data + line->size, data, size);
  line->size += size;
}

// Escapes the character that text begins with; returns how many bytes it is.
static size_t put_character(struct line *line, struct ee_str text) {
  size_t size = ee_utf8_length(text.data, text.size);
  unsigned char byte = (unsigned char)text.data[0];
  if (size == 0) {
    put(line, "\xEF\xBF\xBD", 3);
    return 1;
  }
  if (byte == '"' || byte == '\\') {
    put(line, (char[]){'\\', (char)byte}, 2);
  } else if (byte < 0x20) {
    char escape[8];
    int length = snprintf(escape, sizeof escape, "\\u%04x", byte);
    put(line, escape, (size_t)length);
  } else {
    put(line, text.data, size);
  }
  return size;
}

static void put_quoted(struct line *line, struct ee_str text) {
  put(line, "\"", 1);
  if (line->cut) return;
  for (size_t i = 0; i < text.size && !line->cut;) {
    i += put_character(line, (struct ee_str){.data = text.data + i, .size = text.size - i});
  }
  line->data[line->size++] = '"';  // TAIL_SIZE keeps room for it
}

static void put_value(struct line *line, const struct ee_log_member *member) {
  char number[24];
  int length = snprintf(number, sizeof number, "%" PRId64, member->number);
  switch (member->type) {
    case EE_LOG_TEXT:
      if (member->text.data == NULL)
        put(line, "null", 4);
      else
        put_quoted(line, member->text);
      break;
    case EE_LOG_INT:
      put(line, number, (size_t)length);
      break;
    case EE_LOG_BOOL:
      put(line, member->number != 0 ? "true" : "false", member->number != 0 ? 4 : 5);
      break;
  }
}

// A member whose name does not fit is left out; a text that does not fit is shortened.
static void put_member(struct line *line, const struct ee_log_member *member) {
  if (line->cut) return;
  size_t before = line->size;
  if (before > 1) put(line, ",", 1);
  put(line, "\"", 1);
  put(line, member->name, strlen(member->name));
  put(line, "\":", 2);
  size_t value = line->size;
  if (!line->cut) put_value(line, member);
  if (line->cut && line->size == value) line->size = before;
}

static void put_text(struct line *line, const char *name, const char *text) {
  if (text != NULL) put_member(line, &EE_LOG_S(name, ee_str(text)));
}

size_t ee_log_line(const struct ee_log_head *head, const char *message,
                   const struct ee_log_member *members, char out[EE_LOG_LINE_MAX]) {
  static const char *const levels[] = {"debug", "info", "warn", "error"};
  struct line line = {.data = out, .size = 0, .cut = false};
  put(&line, "{", 1);
  put_text(&line, "time", head->time);
  put_text(&line, "level", levels[head->level]);
  put_text(&line, "program", head->program);
  put_text(&line, "instance", head->instance);
  put_text(&line, "message", message);
  for (; members != NULL && members->name != NULL; members++) {
    put_member(&line, members);
  }
  if (line.cut) {
    memcpy(out + line.size, CUT_MARK, sizeof CUT_MARK - 1);
    line.size += sizeof CUT_MARK - 1;
  }
  memcpy(out + line.size, "}\n", 2);
  return line.size + 2;
}

void ee_log(enum ee_level level, const char *message, const struct ee_log_member *members) {
  if (level < setup.least) return;
  int error = errno;  // a caller may log before it looks at errno
  char time[EE_RFC3339_SIZE];
  char out[EE_LOG_LINE_MAX];
  ee_time_print(ee_clock_wall_micros(), time);
  struct ee_log_head head = {
      .time = time, .level = level, .program = setup.program, .instance = setup.instance};
  size_t size = ee_log_line(&head, message, members, out);
  ssize_t written;
  do {
    written = write(STDERR_FILENO, out, size);
  } while (written < 0 && errno == EINTR);
  errno = error;
}
