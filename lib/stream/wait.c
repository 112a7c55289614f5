// SPDX-License-Identifier: Apache-2.0
// Deadlines of tools, and what they say while they wait.
#include "stream/wait.h"

#include "base/log.h"
#include "base/time.h"

#define FIRST_WORD_MS 3000  // a wait shorter than this is not worth a line
#define NEXT_WORD_MS 10000

void ee_wait_init(struct ee_wait *wait, int64_t timeout_ms, const volatile sig_atomic_t *signal) {
  *wait = (struct ee_wait){.timeout_ms = timeout_ms, .signal = signal};
  ee_wait_again(wait);
}

void ee_wait_again(struct ee_wait *wait) {
  wait->since_ms = ee_clock_monotonic_ms();
  wait->said_ms = wait->since_ms + FIRST_WORD_MS - NEXT_WORD_MS;
}

bool ee_wait_more(struct ee_wait *wait, const char *what, const char *trouble, struct ee_err *err) {
  int64_t now_ms = ee_clock_monotonic_ms();
  int64_t waited_ms = now_ms - wait->since_ms;
  bool known = trouble != NULL && trouble[0] != '\0';
  const char *colon = known ? ": " : "";
  if (!known) trouble = "";
  if (wait->signal != NULL && *wait->signal != 0) {
    return ee_err_set(err, "stopped by a signal while it waited for %s%s%s", what, colon, trouble);
  }
  if (wait->timeout_ms != 0 && waited_ms >= wait->timeout_ms) {
    char span[EE_RFC3339_SIZE];
    ee_span_print(wait->timeout_ms * EE_MICROS_PER_MS, span);
    return ee_err_set(err, "waited %s for %s%s%s", span, what, colon, trouble);
  }
  if (now_ms - wait->said_ms < NEXT_WORD_MS) return true;
  wait->said_ms = now_ms;
  ee_log(EE_WARN, "waits",
         EE_LOG_WITH(EE_LOG_S("for", ee_str(what)),
                     EE_LOG_S("trouble", known ? ee_str(trouble) : (struct ee_str){.data = NULL}),
                     EE_LOG_I("waited_ms", waited_ms)));
  return true;
}

int ee_wait_slice(const struct ee_wait *wait, int most_ms) {
  if (wait->timeout_ms == 0) return most_ms;
  int64_t left = wait->since_ms + wait->timeout_ms - ee_clock_monotonic_ms();
  return left < 1 ? 1 : left < most_ms ? (int)left : most_ms;
}
