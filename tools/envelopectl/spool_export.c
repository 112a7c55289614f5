// SPDX-License-Identifier: Apache-2.0
// envelopectl spool export: a spool's events as lines that envelope-emit and envelope-local read.
#include <inttypes.h>

#include "base/log.h"
#include "client/event.h"
#include "tools/envelopectl/ctl.h"
#include "tools/envelopectl/spool_check.h"

struct settings {
  struct ee_ctl_settings common;
  bool all;
};

static const struct ee_option options[] = {{.name = "spool export", .type = EE_OPTION_GROUP},
                                           {.name = "all",
                                            .type = EE_OPTION_FLAG,
                                            .offset = offsetof(struct settings, all),
                                            .doc = "Also what is settled and still there."},
                                           {.name = NULL}};

struct export {
  bool all;
  struct ee_buf line;
  uint64_t lacking;  // places where there was, or may have been, a record that is not printed
};

// Whether a record is lacking for it, or nothing but what surrounds records is wrong.
static bool lacks(enum ee_spool_finding_kind kind) {
  switch (kind) {
    case EE_SPOOL_BAD_CONTROL:
    case EE_SPOOL_BAD_HEAD:
    case EE_SPOOL_UNPUBLISHED:
    case EE_SPOOL_BAD_NUMBER:
      return false;
    case EE_SPOOL_BAD_FILE:
    case EE_SPOOL_GAP:
    case EE_SPOOL_TORN_RECORD:
    case EE_SPOOL_UNKNOWN_SCHEMA:
    case EE_SPOOL_NO_EVENT:
      break;
  }
  return true;
}

static bool take_finding(void *context, const struct ee_spool_finding *finding,
                         struct ee_err *err) {
  struct export *export = context;
  (void)err;
  if (finding->fate == EE_SPOOL_SETTLED && !export->all) return true;
  bool lacking = lacks(finding->kind);
  export->lacking += lacking;
  ee_log(lacking ? EE_ERROR : EE_WARN, finding->what,
         EE_LOG_WITH(EE_LOG_S("file", ee_str(finding->file)),
                     EE_LOG_I("offset", (int64_t)finding->offset)));
  return true;
}

static void refuse(struct export *export, const struct ee_spool_view *view,
                   const struct ee_spool_sight *sight, const char *why) {
  char file[EE_SPOOL_NAME_SIZE];
  ee_spool_segment_name(view->number, file);
  export->lacking++;
  ee_log(EE_ERROR, why,
         EE_LOG_WITH(EE_LOG_S("file", ee_str(file)),
                     EE_LOG_I("offset", (int64_t)sight->place.offset)));
}

static bool write_line(struct export *export, const struct ee_spool_sight *sight,
                       const struct ee_event_line *line) {
  struct ee_str parent, state;
  ee_trace_read(sight->place.item.attributes, &parent, &state);
  ee_buf_clear(&export->line);
  bool is_event = ee_event_line_write(line->topic, line->record, parent, state, &export->line);
  ee_buf_byte(&export->line, '\n');
  return is_event;
}

static bool take_event(void *context, const struct ee_spool_view *view,
                       const struct ee_spool_sight *sight, const struct ee_event_line *line,
                       struct ee_err *err) {
  struct export *export = context;
  if (sight->settled && !export->all) return true;
  bool is_event = write_line(export, sight, line);
  if (!is_event || export->line.over_limit) {
    refuse(export, view, sight,
           is_event ? "its line would be longer than one may be" : "a record that is no event");
    return true;
  }
  return ee_ctl_print(&export->line, err);
}

static bool export_all(struct export *export, const struct ee_spool_look *look,
                       const struct ee_known *known, struct ee_err *err) {
  const struct ee_spool_visitor visitor = {
      .context = export, .finding = take_finding, .event = take_event};
  if (!ee_spool_check(look, known, &visitor, err)) return false;
  return export->lacking == 0 ||
         ee_err_set(err, "%" PRIu64 " places could not be exported: see above", export->lacking);
}

static bool run(const void *context, char *const *operands, struct ee_err *err) {
  const struct settings *settings = context;
  struct ee_spool_look look;
  struct ee_known *known = NULL;
  struct export export = {.all = settings->all};
  if (!ee_spool_look_open(operands[0], &look, err)) return false;
  ee_buf_init(&export.line, EE_LINE_MAX + 1);
  bool ok = ee_known_new(settings->common.client.schema_directory, &known, err) &&
            export_all(&export, &look, known, err);
  ee_buf_release(&export.line);
  ee_known_free(known);
  ee_spool_look_close(&look);
  return ok;
}

const struct ee_ctl_command ee_ctl_spool_export = {
    .name = "spool export",
    .purpose =
        "Prints what is not settled as JSON lines that envelope-emit and envelope-local read, "
        "in order. Changes nothing; the spool may be in use.",
    .usage = "DIR",
    .operands_least = 1,
    .operands_most = 1,
    .options = options,
    .settings_size = sizeof(struct settings),
    .run = run};
