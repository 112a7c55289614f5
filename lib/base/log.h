// SPDX-License-Identifier: Apache-2.0
// Logs: one JSON object a line on standard error:
//   {"time": RFC 3339, "level": "info", "program": P, "instance": I, "message": M, ...}
//
// Library code does not log; the runtime, the logs' implementations and programs do.
// Safe from any thread; a line is written with one write(2).
#ifndef EE_BASE_LOG_H
#define EE_BASE_LOG_H

#include "base/slice.h"

enum ee_level { EE_DEBUG, EE_INFO, EE_WARN, EE_ERROR };

enum ee_log_type { EE_LOG_TEXT, EE_LOG_INT, EE_LOG_BOOL };

// A further member of the line. Borrows its texts for the call. name is plain ASCII
// without quotes, and none of those that every line has.
struct ee_log_member {
  const char *name;  // NULL ends the list
  enum ee_log_type type;
  struct ee_str text;  // absent is written as null
  int64_t number;      // a BOOL is true unless 0
};

#define EE_LOG_S(NAME, TEXT) \
  ((struct ee_log_member){.name = (NAME), .type = EE_LOG_TEXT, .text = (TEXT)})
#define EE_LOG_I(NAME, NUMBER) \
  ((struct ee_log_member){.name = (NAME), .type = EE_LOG_INT, .number = (NUMBER)})
#define EE_LOG_B(NAME, TRUTH) \
  ((struct ee_log_member){.name = (NAME), .type = EE_LOG_BOOL, .number = (TRUTH)})

// Before any other call and before threads exist. program and instance are borrowed for
// the life of the process; instance may be NULL. Without it, everything from EE_INFO on
// is logged, without a program.
void ee_log_setup(const char *program, const char *instance, enum ee_level least);

#define EE_LOG_WITH(...) ((const struct ee_log_member[]){__VA_ARGS__, {.name = NULL}})

// ee_log(EE_WARN, "partition waits", EE_LOG_WITH(EE_LOG_S("topic", topic), EE_LOG_I("partition",
// 3))) members may be NULL. Bytes that are not UTF-8 are written as U+FFFD. A line that would pass
// EE_LOG_LINE_MAX bytes ends early, as a whole object, with "cut":true. Blocks as long as standard
// error does; what cannot be written is lost.
void ee_log(enum ee_level level, const char *message, const struct ee_log_member *members);

#define EE_LOG_LINE_MAX ((size_t)16384)

// The line itself, its newline included and no NUL behind it; returns its size. Pure.
// time is RFC 3339 text; program and instance may be NULL and are then left out.
struct ee_log_head {
  const char *time;
  enum ee_level level;
  const char *program;
  const char *instance;
};
size_t ee_log_line(const struct ee_log_head *head, const char *message,
                   const struct ee_log_member *members, char out[EE_LOG_LINE_MAX]);

#endif
