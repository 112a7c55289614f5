// SPDX-License-Identifier: Apache-2.0
// cmocka, with the headers that it wants before itself.
#ifndef EE_TESTS_SUPPORT_TEST_H
#define EE_TESTS_SUPPORT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

#endif
