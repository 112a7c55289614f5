// SPDX-License-Identifier: Apache-2.0
// Allocation failure on demand, through the linker's --wrap.
#include "tests/support/chaos.h"

#include <stdlib.h>
#include <string.h>

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

static bool armed;
static bool failed;
static size_t remaining;  // to succeed
static size_t failures;   // to come after that

void ee_chaos_fail_times(size_t after, size_t times) {
  armed = true;
  failed = false;
  remaining = after;
  failures = times;
}

void ee_chaos_fail_after(size_t after) {
  ee_chaos_fail_times(after, 1);
}

bool ee_chaos_stop(void) {
  bool result = failed;
  armed = false;
  failed = false;
  return result;
}

static bool must_fail(void) {
  if (!armed || failures == 0) return false;
  if (remaining > 0) {
    remaining--;
    return false;
  }
  failures--;
  failed = true;
  return true;
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
