// SPDX-License-Identifier: Apache-2.0
// base/fork: a child finds the memory zeroed, the parent finds it as it was.
#include "base/fork.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/test.h"

static int exit_of(pid_t child) {
  int status;
  assert_true(child > 0);
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  return WEXITSTATUS(status);
}

static int bytes_that_are(const uint8_t *memory, uint8_t byte) {
  int count = 0;
  for (size_t i = 0; i < EE_WIPED_SIZE; i++)
    count += memory[i] == byte;
  return count;
}

static void a_child_finds_zeros(void **state) {
  (void)state;
  uint8_t *memory = ee_wiped_on_fork();
  assert_non_null(memory);
  assert_int_equal(bytes_that_are(memory, 0), EE_WIPED_SIZE);
  memset(memory, 7, EE_WIPED_SIZE);
  pid_t child = fork();
  if (child == 0) {
    bool zero = bytes_that_are(memory, 0) == EE_WIPED_SIZE;
    memory[0] = 9;  // its own
    _exit(zero ? 0 : 1);
  }
  assert_int_equal(exit_of(child), 0);
  assert_int_equal(bytes_that_are(memory, 7), EE_WIPED_SIZE);
  ee_wiped_free(memory);
  ee_wiped_free(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_child_finds_zeros)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
