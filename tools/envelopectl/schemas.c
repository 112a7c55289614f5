// SPDX-License-Identifier: Apache-2.0
// envelopectl schemas check, register and show.
#include <inttypes.h>
#include <stdlib.h>
#include <strings.h>

#include "contract/canonical.h"
#include "records.h"
#include "tools/envelopectl/ctl.h"
#include "tools/envelopectl/history.h"

#define LINE_MAX_SIZE ((size_t)4 << 20)

struct settings {
  struct ee_ctl_settings common;
  bool json;
};

static struct ee_str schema_of(const struct ee_record_type *type) {
  return (struct ee_str){type->schema, type->schema_size};
}

static bool open_registry(const struct settings *settings, struct ee_codec_set *codecs,
                          struct ee_err *err) {
  struct ee_client_settings client = settings->common.client;
  if (client.registry_timeout_ms > settings->common.timeout_ms) {
    client.registry_timeout_ms = settings->common.timeout_ms;
  }
  return ee_codec_set_init(codecs, &client, NULL, err);
}

static void subject_of(const struct settings *settings, enum ee_topic topic,
                       char out[EE_TOPIC_NAME_SIZE + 8]) {
  char name[EE_TOPIC_NAME_SIZE];
  ee_client_topic_name(&settings->common.client, topic, name);
  snprintf(out, EE_TOPIC_NAME_SIZE + 8, "%s-value", name);
}

// ---- check.

// What was found about one of our records.
struct finding {
  const struct ee_record_type *type;
  size_t earlier;     // versions compared with
  bool registered;    // the registry was asked
  const char *where;  // the version that it is not compatible with; NULL: all are
  struct ee_err why;
};

static void check_history(const struct ee_history *history, struct finding *finding) {
  for (size_t i = 0; i < history->count && finding->where == NULL; i++) {
    const struct ee_history_file *file = &history->files[i];
    if (file->type != finding->type) continue;
    finding->earlier++;
    if (!ee_history_compatible(file, &finding->why)) finding->where = file->path;
  }
}

static bool check_registry(const struct settings *settings, struct ee_registry *registry,
                           struct finding *finding, struct ee_err *err) {
  for (int i = 0; i < EE_TOPIC_COUNT && registry != NULL && finding->where == NULL; i++) {
    if (ee_topics[i].value != finding->type) continue;
    char subject[EE_TOPIC_NAME_SIZE + 8];
    bool compatible;
    subject_of(settings, (enum ee_topic)i, subject);
    if (!ee_registry_check(registry, subject, schema_of(finding->type), &compatible, &finding->why,
                           err)) {
      return false;
    }
    finding->registered = true;
    if (compatible) continue;
    finding->where = "schema registry";
    ee_err_prefix(&finding->why, "%s", subject);
  }
  return true;
}

static void say_finding(const struct finding *finding, struct ee_buf *out) {
  ee_buf_printf(out, "%-16s %016" PRIx64 "  ", finding->type->name, finding->type->fingerprint);
  if (finding->where != NULL) {
    ee_buf_printf(out, "INCOMPATIBLE with %s: %s\n", finding->where, finding->why.text);
  } else {
    ee_buf_printf(out, "compatible with %zu earlier version%s%s\n", finding->earlier,
                  finding->earlier == 1 ? "" : "s",
                  finding->registered ? " and the registry's" : "");
  }
}

static void say_finding_json(const struct finding *finding, struct ee_buf *out) {
  ee_buf_printf(out, "{\"record\":\"%s\",\"fingerprint\":\"%016" PRIx64 "\",\"canonical\":",
                finding->type->full_name, finding->type->fingerprint);
  struct ee_buf canonical;
  ee_buf_init(&canonical, 2 * EE_SCHEMA_SIZE_MAX);
  if (!ee_schema_text_canonical(schema_of(finding->type), &canonical, NULL)) out->failed = true;
  ee_buf_json_string(out, ee_buf_view(&canonical));
  ee_buf_release(&canonical);
  ee_buf_printf(out, ",\"earlier_versions\":%zu,\"registry\":%s,\"compatible\":%s",
                finding->earlier, finding->registered ? "true" : "false",
                finding->where == NULL ? "true" : "false");
  if (finding->where != NULL) {
    ee_buf_text(out, ",\"incompatible_with\":");
    ee_buf_json_string(out, ee_str(finding->where));
    ee_buf_text(out, ",\"why\":");
    ee_buf_json_string(out, ee_str(finding->why.text));
  }
  ee_buf_text(out, "}\n");
}

static bool check_all(const struct settings *settings, const struct ee_history *history,
                      struct ee_registry *registry, struct ee_buf *out, struct ee_err *err) {
  size_t incompatible = 0;
  for (size_t i = 0; i < ee_record_type_count; i++) {
    struct finding finding = {.type = ee_record_types[i]};
    check_history(history, &finding);
    if (!check_registry(settings, registry, &finding, err)) return false;
    incompatible += finding.where != NULL;
    if (settings->json) {
      say_finding_json(&finding, out);
    } else {
      say_finding(&finding, out);
    }
    if (!ee_ctl_print(out, err)) return false;
  }
  return incompatible == 0 || ee_err_set(err, "%zu schemas are incompatible", incompatible);
}

static bool run_check(const void *context, char *const *operands, struct ee_err *err) {
  const struct settings *settings = context;
  struct ee_history history = {.files = NULL};
  struct ee_codec_set codecs = {.codec = NULL};
  struct ee_buf out;
  ee_buf_init(&out, LINE_MAX_SIZE);
  bool ok = ee_history_read(operands[0], &history, err) && open_registry(settings, &codecs, err) &&
            check_all(settings, &history, codecs.registry, &out, err);
  ee_buf_release(&out);
  ee_codec_set_release(&codecs);
  ee_history_release(&history);
  return ok;
}

static const struct ee_option check_options[] = {
    {.name = "schemas check", .type = EE_OPTION_GROUP},
    EE_CTL_JSON(struct settings, json, "Prints JSON lines, with the canonical forms."),
    {.name = NULL}};

const struct ee_ctl_command ee_ctl_schemas_check = {
    .name = "schemas check",
    .purpose =
        "Compares this program's schemas with earlier versions (*.avsc in DIR and its "
        "folders) and with the schema registry's, both ways.",
    .usage = "[DIR]",
    .operands_most = 1,
    .options = check_options,
    .settings_size = sizeof(struct settings),
    .run = run_check};

// ---- register.

static bool register_one(const struct settings *settings, struct ee_registry *registry,
                         enum ee_topic topic, struct ee_buf *out, struct ee_err *err) {
  char subject[EE_TOPIC_NAME_SIZE + 8];
  int32_t id;
  subject_of(settings, topic, subject);
  // The level first, so that the registry judges this version by it.
  if (!ee_registry_set_compatibility(registry, subject, "FULL_TRANSITIVE", err) ||
      !ee_registry_register(registry, subject, schema_of(ee_topics[topic].value), &id, err)) {
    return false;
  }
  if (settings->json) {
    ee_buf_printf(out, "{\"subject\":\"%s\",\"id\":%" PRId32 "}\n", subject, id);
  } else {
    ee_buf_printf(out, "%-36s %" PRId32 "\n", subject, id);
  }
  return ee_ctl_print(out, err);
}

static bool run_register(const void *context, char *const *operands, struct ee_err *err) {
  const struct settings *settings = context;
  struct ee_codec_set codecs;
  struct ee_buf out;
  (void)operands;
  if (settings->common.client.registry_url == NULL) {
    return ee_err_set(err, "--schema-registry: say which");
  }
  if (!open_registry(settings, &codecs, err)) return false;
  ee_buf_init(&out, LINE_MAX_SIZE);
  bool ok = true;
  for (int i = 0; i < EE_TOPIC_COUNT && ok; i++) {
    if (ee_topics[i].value == NULL) continue;
    ok = register_one(settings, codecs.registry, (enum ee_topic)i, &out, err);
  }
  ee_buf_release(&out);
  ee_codec_set_release(&codecs);
  return ok;
}

static const struct ee_option register_options[] = {
    {.name = "schemas register", .type = EE_OPTION_GROUP},
    EE_CTL_JSON(struct settings, json, "Prints JSON lines."),
    {.name = NULL}};

const struct ee_ctl_command ee_ctl_schemas_register = {
    .name = "schemas register",
    .purpose =
        "Registers the schema of each topic (subject TOPIC-value), FULL_TRANSITIVE compatible.",
    .usage = "",
    .options = register_options,
    .settings_size = sizeof(struct settings),
    .run = run_register};

// ---- show.

// By record name (Admission, in any case), full name, or topic.
static const struct ee_record_type *find_type(const char *name) {
  for (size_t i = 0; i < ee_record_type_count; i++) {
    const struct ee_record_type *type = ee_record_types[i];
    if (strcasecmp(type->name, name) == 0 || strcmp(type->full_name, name) == 0) return type;
  }
  int topic = ee_topic_find(ee_str(name));
  return topic < 0 ? NULL : ee_topics[topic].value;
}

static bool run_show(const void *context, char *const *operands, struct ee_err *err) {
  (void)context;
  const struct ee_record_type *type = find_type(operands[0]);
  struct ee_buf out;
  ee_buf_init(&out, LINE_MAX_SIZE);
  if (type == NULL) {
    for (size_t i = 0; i < ee_record_type_count; i++)
      ee_buf_printf(&out, "%s%s", i == 0 ? "" : ", ", ee_record_types[i]->name);
    ee_err_set(err, "%s: no such record or topic; there are %.*s", operands[0],
               EE_STR_ARG(ee_buf_view(&out)));
  } else {
    ee_buf_str(&out, schema_of(type));
    if (out.size == 0 || out.data[out.size - 1] != '\n') ee_buf_byte(&out, '\n');
  }
  bool ok = type != NULL && ee_ctl_print(&out, err);
  ee_buf_release(&out);
  return ok;
}

const struct ee_ctl_command ee_ctl_schemas_show = {
    .name = "schemas show",
    .purpose = "Prints the schema of a record (Admission) or of a topic's values.",
    .usage = "NAME",
    .operands_least = 1,
    .operands_most = 1,
    .settings_size = sizeof(struct settings),
    .run = run_show};
