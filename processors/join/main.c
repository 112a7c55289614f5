// SPDX-License-Identifier: Apache-2.0
// envelope-join: joins the phases of each envelope into one lifecycle record.
#include "join/join.h"
#include "stream/program.h"

struct settings {
  struct ee_processor_settings common;
  struct ee_properties deadlines;
  struct ee_join_settings join;
};

#define AT(FIELD) offsetof(struct settings, FIELD)

static const struct ee_option options[] = {
    {.name = "deadline",
     .argument = "KIND=DURATION",
     .type = EE_OPTION_PROPERTY,
     .offset = AT(deadlines),
     .doc = "Time limit of an execution kind for requests that state none; may be given many "
            "times. The same for envelope-accounting."},
    {.name = "grace",
     .argument = "DURATION",
     .type = EE_OPTION_DURATION,
     .offset = AT(join.grace_ms),
     .fallback = "5s",
     .least = 0,
     .most = 3600000,
     .doc = "How long after a deadline a tick judges it; brokers' clocks must agree to within it."},
    {.name = "orphan-grace",
     .argument = "DURATION",
     .type = EE_OPTION_DURATION,
     .offset = AT(join.orphan_grace_ms),
     .fallback = "60s",
     .least = 0,
     .most = 86400000,
     .doc = "How long an envelope's first event may lie without an admission."},
    {.name = "retire-after",
     .argument = "DURATION",
     .type = EE_OPTION_DURATION,
     .offset = AT(join.retire_after_ms),
     .fallback = "0",
     .least = 0,
     .most = INT64_C(3650) * 86400000,
     .doc = "When a closed envelope is reduced to a stub; not below the phase topics' retention. "
            "0: never."},
    {.name = NULL}};

static bool make(void *context, struct ee_processor *ret, struct ee_err *err) {
  struct settings *settings = context;
  int64_t kept_ms = ee_topics[EE_TOPIC_ADMISSION].retention_ms;
  if (settings->join.retire_after_ms != 0 && settings->join.retire_after_ms < kept_ms) {
    return ee_err_set(err, "--retire-after: less than the phase topics' retention of %lld ms",
                      (long long)kept_ms);
  }
  if (!ee_deadlines_init(&settings->join.deadlines, &settings->deadlines, err)) return false;
  *ret = ee_join_processor(&settings->join);
  return true;
}

int main(int argc, char **argv) {
  static struct settings settings;
  static const struct ee_processor_program program = {
      .name = "envelope-join",
      .purpose = "Joins the phases of each envelope into one lifecycle record, exactly once.",
      .options = options,
      .make = make};
  return ee_processor_main(&program, &settings, argc, argv);
}
