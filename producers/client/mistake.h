// SPDX-License-Identifier: Apache-2.0
// The public form of errors. All set *error, if there is one, and return its result.
#ifndef EE_CLIENT_MISTAKE_H
#define EE_CLIENT_MISTAKE_H

#include "base/err.h"
#include "client/envelope.h"
#include "contract/reason.h"

// field may be NULL.
int ee_mistake(struct envelope_error *error, int result, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
// A refusal by the contract: its detail begins with the path of the field.
int ee_mistake_of_fault(struct envelope_error *error, const struct ee_fault *fault);
int ee_mistake_of_err(struct envelope_error *error, int result, const struct ee_err *err);

#endif
