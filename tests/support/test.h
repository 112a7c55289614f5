// SPDX-License-Identifier: Apache-2.0
// cmocka, with the headers that it wants before itself.
#ifndef EE_TESTS_SUPPORT_TEST_H
#define EE_TESTS_SUPPORT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

// How often to try something at random: seldom under valgrind (tests/run-unit says so), which
// sees with a tenth of it what it can see.
static inline int ee_tries(int all) {
  const char *valgrind = getenv("VALGRIND");
  return valgrind == NULL || valgrind[0] == '\0' || all < 10 ? all : all / 10;
}

#endif
