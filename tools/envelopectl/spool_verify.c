// SPDX-License-Identifier: Apache-2.0
// envelopectl spool verify: everything that is wrong in a spool, a line each.
#include <inttypes.h>

#include "tools/envelopectl/ctl.h"
#include "tools/envelopectl/spool_check.h"

#define LINE_MAX_SIZE ((size_t)16384)

struct verify {
  const struct ee_spool_look *look;
  struct ee_buf line;
  uint64_t findings;
};

// A schema of another program's is no damage, and in a spool in use what is not published may be
// a call under way.
static bool is_note(const struct verify *verify, const struct ee_spool_finding *finding) {
  return finding->kind == EE_SPOOL_UNKNOWN_SCHEMA ||
         (verify->look->holder != 0 && finding->kind == EE_SPOOL_UNPUBLISHED);
}

static bool take_finding(void *context, const struct ee_spool_finding *finding,
                         struct ee_err *err) {
  struct verify *verify = context;
  verify->findings += !is_note(verify, finding);
  ee_buf_printf(&verify->line, "%s: at %" PRIu64 ": %s: %s\n", finding->file, finding->offset,
                finding->what, ee_spool_fate_text(finding->fate));
  return ee_ctl_print(&verify->line, err);
}

static bool verify_all(struct verify *verify, const struct ee_known *known, struct ee_err *err) {
  const struct ee_spool_visitor visitor = {.context = verify, .finding = take_finding};
  if (!ee_spool_check(verify->look, known, &visitor, err)) return false;
  return verify->findings == 0 ||
         ee_err_set(err, "%" PRIu64 " findings: see above", verify->findings);
}

static bool run(const void *context, char *const *operands, struct ee_err *err) {
  const struct ee_ctl_settings *settings = context;
  struct ee_spool_look look;
  struct ee_known *known = NULL;
  struct verify verify = {.look = &look};
  if (!ee_spool_look_open(operands[0], &look, err)) return false;
  ee_buf_init(&verify.line, LINE_MAX_SIZE);
  bool ok = ee_known_new(settings->client.schema_directory, &known, err) &&
            verify_all(&verify, known, err);
  ee_buf_release(&verify.line);
  ee_known_free(known);
  ee_spool_look_close(&look);
  return ok;
}

const struct ee_ctl_command ee_ctl_spool_verify = {
    .name = "spool verify",
    .purpose =
        "Reads all of a spool and says, a line each, what is wrong, where, and what that means "
        "for delivery. Changes nothing; the spool may be in use.",
    .usage = "DIR",
    .operands_least = 1,
    .operands_most = 1,
    .settings_size = sizeof(struct ee_ctl_settings),
    .run = run};
