// SPDX-License-Identifier: Apache-2.0
// envelope-governance: obligations from hints, and the redacted audit log.
#include "governance/governance.h"
#include "stream/program.h"

struct settings {
  struct ee_processor_settings common;
  struct ee_governance_settings governance;
};

static const struct ee_option options[] = {
    {.name = "grace",
     .argument = "DURATION",
     .type = EE_OPTION_DURATION,
     .offset = offsetof(struct settings, governance.grace_ms),
     .fallback = "5s",
     .least = 0,
     .most = 3600000,
     .doc = "How long after an obligation is due a tick calls it overdue; brokers' clocks must "
            "agree to within it."},
    {.name = NULL}};

static bool make(void *context, struct ee_processor *ret, struct ee_err *err) {
  struct settings *settings = context;
  (void)err;
  *ret = ee_governance_processor(&settings->governance);
  return true;
}

int main(int argc, char **argv) {
  static struct settings settings;
  static const struct ee_processor_program program = {
      .name = "envelope-governance",
      .purpose =
          "Turns hints into tracked obligations under the handling policy and writes "
          "redacted audit entries, exactly once.",
      .options = options,
      .make = make};
  return ee_processor_main(&program, &settings, argc, argv);
}
