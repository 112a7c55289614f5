// SPDX-License-Identifier: Apache-2.0
// Errors for people: what happened, where, and what to do. Library code returns them;
// only programs print them and exit.
#ifndef EE_BASE_ERR_H
#define EE_BASE_ERR_H

#include <stdbool.h>
#include <stdio.h>

#define EE_ERR_MAX 1024

struct ee_err {
  char text[EE_ERR_MAX];  // NUL-terminated, one line; cut with "..." when longer
};

// Writes the text and returns false, so that a function can `return ee_err_set(...)`.
// err may be NULL. Never fails; never allocates.
bool ee_err_set(struct ee_err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Puts "format: " before the text that is there and returns false.
bool ee_err_prefix(struct ee_err *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
