// SPDX-License-Identifier: Apache-2.0
// A producer's settings: those that all programs have, and those of its spool. The same table
// serves the library and envelope-emit.
#ifndef EE_CLIENT_SETTINGS_H
#define EE_CLIENT_SETTINGS_H

#include "client/notice.h"
#include "stream/settings.h"

struct ee_producer_settings {
  struct ee_client_settings client;
  const char *spool;
  const char *producer;
  const char *source;
  int64_t spool_bytes;
  int64_t segment_bytes;
  const char *when_full;
  const char *sync;
};

extern const struct ee_option ee_producer_options[];  // without the client's
extern const struct ee_command ee_producer_command;   // with them

struct envelope_settings {
  struct ee_producer_settings values;
  struct ee_notices notices;
  envelope_delivered *delivered;
  void *delivered_context;
};

#endif
