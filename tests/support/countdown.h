// SPDX-License-Identifier: Apache-2.0
// Which of many calls fail: so many succeed, so many after them fail, then all succeed. By the
// test's own wish, or for a whole program by an environment variable: "N" (the call after N
// others, once) or "N+" (that one and all after it), with ":FILE" the number of calls is written
// there when the program ends.
#ifndef EE_TESTS_SUPPORT_COUNTDOWN_H
#define EE_TESTS_SUPPORT_COUNTDOWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct countdown {
  bool armed;
  bool failed;
  size_t seen;       // since it was armed
  size_t remaining;  // to succeed
  size_t failures;   // to come after that
};

static inline struct countdown countdown_of(size_t after, size_t times) {
  return (struct countdown){.armed = true, .remaining = after, .failures = times};
}

// Counts a call. True: it is to fail.
static inline bool countdown_strikes(struct countdown *countdown) {
  if (!countdown->armed) return false;
  countdown->seen++;
  if (countdown->remaining > 0) {
    countdown->remaining--;
    return false;
  }
  if (countdown->failures == 0) return false;
  countdown->failures--;
  countdown->failed = true;
  return true;
}

// Not armed where the environment does not have the variable.
static inline struct countdown countdown_from_environment(const char *variable) {
  const char *text = getenv(variable);
  if (text == NULL || text[0] == '\0') return (struct countdown){.armed = false};
  char *end;
  size_t after = strtoull(text, &end, 10);
  return countdown_of(after, *end == '+' ? SIZE_MAX : 1);
}

// At the program's end.
static inline void countdown_report(struct countdown *countdown, const char *variable) {
  if (!countdown->armed) return;
  countdown->armed = false;
  const char *text = getenv(variable);
  const char *file = text == NULL ? NULL : strchr(text, ':');
  FILE *out = file == NULL ? NULL : fopen(file + 1, "we");
  if (out == NULL) return;
  fprintf(out, "%zu\n", countdown->seen);
  fclose(out);
}

#endif
