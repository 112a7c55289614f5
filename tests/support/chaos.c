// SPDX-License-Identifier: Apache-2.0
// Allocation failure on demand, through the linker's --wrap.
#include "tests/support/chaos.h"

#include <stdlib.h>
#include <string.h>

#include "tests/support/countdown.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);

static struct countdown chaos;    // the test's own
static struct countdown program;  // of the whole program

void ee_chaos_fail_times(size_t after, size_t times) {
  chaos = countdown_of(after, times);
}

void ee_chaos_fail_after(size_t after) {
  ee_chaos_fail_times(after, 1);
}

size_t ee_chaos_seen(void) {
  return chaos.seen;
}

bool ee_chaos_stop(void) {
  bool result = chaos.failed;
  chaos.armed = chaos.failed = false;
  return result;
}

__attribute__((constructor)) static void begin(void) {
  program = countdown_from_environment("EE_CHAOS");
}

__attribute__((destructor)) static void end(void) {
  countdown_report(&program, "EE_CHAOS");
}

static bool must_fail(void) {
  bool fails = countdown_strikes(&program);
  return countdown_strikes(&chaos) || fails;
}

void *__wrap_malloc(size_t size) {
  return must_fail() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
  return must_fail() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size) {
  return must_fail() ? NULL : __real_realloc(memory, size);
}

char *__wrap_strdup(const char *text) {
  return must_fail() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t size) {
  return must_fail() ? NULL : __real_strndup(text, size);
}
