// SPDX-License-Identifier: Apache-2.0
// What the library has to say, to whoever asked for it.
#ifndef EE_CLIENT_NOTICE_H
#define EE_CLIENT_NOTICE_H

#include "client/envelope.h"

struct ee_notices {
  envelope_notice *notice;  // NULL: nobody asked
  void *context;
};

void ee_notice(const struct ee_notices *notices, envelope_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
