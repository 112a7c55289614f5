// SPDX-License-Identifier: Apache-2.0
// envelopectl spool inspect: what is there, for a person or for a program.
#include <inttypes.h>
#include <stdlib.h>

#include "base/time.h"
#include "tools/envelopectl/ctl.h"
#include "tools/envelopectl/spool_facts.h"

#define LINE_MAX_SIZE ((size_t)64 << 20)

struct settings {
  struct ee_ctl_settings common;
  bool json;
};

static const struct ee_option options[] = {
    {.name = "spool inspect", .type = EE_OPTION_GROUP},
    EE_CTL_JSON(struct settings, json, "Prints one JSON object."),
    {.name = NULL}};

static bool run(const void *context, char *const *operands, struct ee_err *err) {
  const struct settings *settings = context;
  struct ee_spool_facts facts;
  struct ee_buf out;
  if (!ee_spool_facts_read(operands[0], &facts, err)) return false;
  ee_buf_init(&out, LINE_MAX_SIZE);
  if (settings->json) {
    ee_spool_facts_json(&facts, operands[0], &out);
  } else {
    ee_spool_facts_tell(&facts, operands[0], &out);
  }
  bool ok = ee_ctl_print(&out, err);
  ee_buf_release(&out);
  ee_spool_facts_release(&facts);
  return ok;
}

const struct ee_ctl_command ee_ctl_spool_inspect = {
    .name = "spool inspect",
    .purpose =
        "Tells what is in a spool: whose it is, how far it is settled, its segments, and what "
        "is not settled. Changes nothing; the spool may be in use.",
    .usage = "DIR",
    .operands_least = 1,
    .operands_most = 1,
    .options = options,
    .settings_size = sizeof(struct settings),
    .run = run};
