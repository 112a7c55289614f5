// SPDX-License-Identifier: Apache-2.0
// topics.c: the topic catalogue. The order of enum ee_topic is the code's, that of
// topics.json the reader's; they must be the same.
#include <inttypes.h>

#include "contract/catalogue.h"
#include "tools/avrogen/emit.h"

static const char *const order[EE_TOPIC_COUNT] = {
    [EE_TOPIC_ADMISSION] = "admission",
    [EE_TOPIC_RESOLVED] = "resolved",
    [EE_TOPIC_FINALIZED] = "finalized",
    [EE_TOPIC_FAILED] = "failed",
    [EE_TOPIC_RELEASED] = "released",
    [EE_TOPIC_ANNOTATION] = "annotation",
    [EE_TOPIC_PRODUCER] = "producer",
    [EE_TOPIC_OBLIGATION] = "obligation",
    [EE_TOPIC_TICK] = "tick",
    [EE_TOPIC_POLICY] = "policy",
    [EE_TOPIC_LIFECYCLE] = "lifecycle",
    [EE_TOPIC_VIOLATION] = "violation",
    [EE_TOPIC_GOVERNANCE] = "governance",
    [EE_TOPIC_AUDIT] = "audit",
    [EE_TOPIC_AUDIT_CHECKPOINT] = "audit.checkpoint",
    [EE_TOPIC_USAGE] = "usage",
    [EE_TOPIC_USAGE_TENANT] = "usage.tenant",
    [EE_TOPIC_DEADLETTER] = "deadletter",
    [EE_TOPIC_JOIN_STATE] = "join.state",
    [EE_TOPIC_GOVERNANCE_STATE] = "governance.state",
    [EE_TOPIC_ACCOUNTING_STATE] = "accounting.state",
};

static const char *const partitionings[] = {"by_key", "explicit", "single", "as_input", NULL};
static const char *const cleanups[] = {"delete", "compact", NULL};

static bool known_word(const char *word, const char *const *words) {
  for (; word != NULL && *words != NULL; words++) {
    if (strcmp(word, *words) == 0) return true;
  }
  return false;
}

// The members every entry has, of the right types; key and value may be null.
static bool check_topic(const json_t *topic, const char *expected, struct ee_err *err) {
  const char *name = model_text(topic, "name");
  char full[MODEL_NAME_MAX];
  snprintf(full, sizeof full, "envelope.%s.v1", expected);
  if (name == NULL || strcmp(name, full) != 0) {
    return ee_err_set(err, "%s is where enum ee_topic has %s", name == NULL ? "no name" : name,
                      full);
  }
  bool usable = known_word(model_text(topic, "partitioning"), partitionings) &&
                known_word(model_text(topic, "cleanup"), cleanups) &&
                model_text(topic, "writer") != NULL && model_text(topic, "doc") != NULL &&
                json_is_integer(json_object_get(topic, "retention_ms")) &&
                json_is_integer(json_object_get(topic, "max_message_bytes")) &&
                json_is_boolean(json_object_get(topic, "append_time")) &&
                json_is_boolean(json_object_get(topic, "common_partitions"));
  return usable || ee_err_set(err, "%s: a member is missing or wrong", full);
}

static const char *truth(const json_t *topic, const char *member) {
  return json_is_true(json_object_get(topic, member)) ? "true" : "false";
}

static void emit_upper(const char *text, struct ee_buf *out) {
  char upper[MODEL_NAME_MAX] = "";
  if (!model_snake_case(text, true, upper)) out->failed = true;
  ee_buf_text(out, upper);
}

static bool emit_topic(const struct model *model, const json_t *topic, const char *short_name,
                       struct ee_buf *out, struct ee_err *err) {
  const char *value = model_text(topic, "value");
  const struct model_file *file = value == NULL ? NULL : model_file_named(model, value);
  if (value != NULL && file == NULL) {
    return ee_err_set(err, "envelope.%s.v1: there is no schema file %s", short_name, value);
  }
  ee_buf_text(out, "    [EE_TOPIC_");
  emit_upper(short_name, out);
  ee_buf_printf(out, "] =\n        {.name = \"envelope.%s.v1\",\n         .value = ", short_name);
  if (file == NULL) {
    ee_buf_text(out, "NULL");
  } else {
    ee_buf_printf(out, "&ee_%s_type", model->types[file->root].c_name);
  }
  ee_buf_text(out, ",\n         .key = ");
  emit_literal(model_text(topic, "key"), out);
  ee_buf_text(out, ",\n         .writer = ");
  emit_literal(model_text(topic, "writer"), out);
  ee_buf_text(out, ",\n         .partitioning = EE_PARTITION_");
  emit_upper(model_text(topic, "partitioning"), out);
  ee_buf_text(out, ",\n         .cleanup = EE_CLEANUP_");
  emit_upper(model_text(topic, "cleanup"), out);
  ee_buf_printf(out,
                ",\n         .retention_ms = INT64_C(%" PRId64
                "),\n"
                "         .max_message_bytes = INT64_C(%" PRId64
                "),\n"
                "         .append_time = %s,\n         .common_partitions = %s,\n         .doc = ",
                (int64_t)json_integer_value(json_object_get(topic, "retention_ms")),
                (int64_t)json_integer_value(json_object_get(topic, "max_message_bytes")),
                truth(topic, "append_time"), truth(topic, "common_partitions"));
  emit_literal(model_text(topic, "doc"), out);
  ee_buf_text(out, "},\n");
  return true;
}

bool emit_topics(const struct model *model, const json_t *topics, struct ee_buf *out,
                 struct ee_err *err) {
  if (json_array_size(topics) != EE_TOPIC_COUNT) {
    return ee_err_set(err, "there must be %d topics", (int)EE_TOPIC_COUNT);
  }
  ee_buf_text(out,
              "// SPDX-License-Identifier: Apache-2.0\n"
              "// Generated from schemas/topics.json by tools/avrogen: do not edit.\n"
              "#include \"contract/catalogue.h\"\n#include \"records.h\"\n\n"
              "const struct ee_topic_info ee_topics[EE_TOPIC_COUNT] = {\n");
  for (size_t i = 0; i < EE_TOPIC_COUNT; i++) {
    const json_t *topic = json_array_get(topics, i);
    if (!check_topic(topic, order[i], err)) return false;
    if (!emit_topic(model, topic, order[i], out, err)) return false;
  }
  ee_buf_text(out, "};\n");
  return true;
}
