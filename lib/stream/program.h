// SPDX-License-Identifier: Apache-2.0
// The common body of the processors' programs: options, state directory, broker, store,
// metrics over HTTP, signals, and the loop that turns the runtime.
#ifndef EE_STREAM_PROGRAM_H
#define EE_STREAM_PROGRAM_H

#include "stream/processor.h"
#include "stream/settings.h"

// The first member of a processor program's settings struct.
struct ee_processor_settings {
  struct ee_client_settings client;
  const char *group;
  const char *instance;
  const char *state_directory;
  int64_t memory_bytes;
  const char *http;
  bool drain;
  int64_t commit_interval_ms;
  int64_t tick_interval_ms;
  int64_t policy_margin_ms;
  int64_t transaction_timeout_ms;
  int64_t session_timeout_ms;
  bool accept_truncated;
};

extern const struct ee_option ee_processor_options[];

struct ee_processor_program {
  const char *name;                 // envelope-join
  const char *purpose;              // one sentence
  const struct ee_option *options;  // the processor's own, or NULL
  // Makes the processor from the settings, which stay in place while it runs. False: a
  // setting is wrong, err says which.
  bool (*make)(void *settings, struct ee_processor *ret, struct ee_err *err);
};

// settings: zeroed, begins with a struct ee_processor_settings. Returns the exit status.
int ee_processor_main(const struct ee_processor_program *program, void *settings, int argc,
                      char **argv);

#endif
