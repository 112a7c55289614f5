// SPDX-License-Identifier: Apache-2.0
// envelopectl policy apply and policy show: versions of the handling policy.
#include <inttypes.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/time.h"
#include "contract/json.h"
#include "contract/policy_file.h"
#include "governance/governance.h"
#include "stream/lookup.h"
#include "tools/envelopectl/ctl.h"
#include "tools/envelopectl/versions.h"

#define OUTPUT_MAX ((size_t)256 << 20)
#define POLICY_ARENA_MAX ((size_t)16 << 20)

struct settings {
  struct ee_ctl_settings common;
  int64_t margin_ms;
  bool json;
};

#define AT(FIELD) offsetof(struct settings, FIELD)
#define MARGIN                                                                                \
  {                                                                                           \
    .name = "policy-margin", .argument = "DURATION", .type = EE_OPTION_DURATION,              \
    .offset = AT(margin_ms), .fallback = "10s", .least = 100, .most = 600000,                 \
    .doc =                                                                                    \
        "A version takes effect this long after it was appended at the earliest; as told to " \
        "the processors."                                                                     \
  }

static const struct ee_option apply_options[] = {
    {.name = "policy apply", .type = EE_OPTION_GROUP},
    MARGIN,
    EE_CTL_JSON(struct settings, json, "Prints a JSON line."),
    {.name = NULL}};

static const struct ee_option show_options[] = {
    {.name = "policy show", .type = EE_OPTION_GROUP},
    MARGIN,
    EE_CTL_JSON(struct settings, json, "Prints a JSON line for each version, with its rules."),
    {.name = NULL}};

// ---- apply.

struct written {
  int64_t offset;
  int64_t append_ms;
  struct ee_err failed;
};

static void on_delivery(void *context, const struct ee_delivery *delivery) {
  struct written *written = context;
  written->offset = delivery->offset;
  written->append_ms = delivery->append_ms;
  if (delivery->failed != NULL) ee_err_set(&written->failed, "%s", delivery->failed);
}

static bool write_policy(const struct settings *settings, struct ee_client *client,
                         struct ee_codec_set *codecs, const struct ee_policy *policy,
                         struct written *written, struct ee_err *err) {
  char topic[EE_TOPIC_NAME_SIZE];
  struct ee_wait wait;
  int32_t count;
  struct ee_bytes prefix;
  ee_client_topic_name(&settings->common.client, EE_TOPIC_POLICY, topic);
  ee_ctl_wait_init(&wait, &settings->common);
  ee_client_on_delivery(client, on_delivery, written);
  if (!ee_ctl_partitions(client, topic, &wait, &count, err) ||
      !ee_lookup_prefix(codecs, EE_TOPIC_POLICY, &wait, &prefix, err)) {
    return false;
  }
  struct ee_buf value;
  ee_buf_init(&value, EE_POLICY_FILE_MAX + EE_FRAME_MAX);
  ee_buf_append(&value, prefix.data, prefix.size);
  ee_encode(&ee_policy_type, policy, &value);
  struct ee_send send = {
      .topic = topic, .key = ee_str_bytes(policy->name), .value = ee_buf_bytes(&value)};
  bool ok = !value.failed || ee_err_set(err, "the policy is too large, or memory is out");
  ok = ok && ee_client_send(client, &send, &wait, err) && ee_client_flush(client, &wait, err);
  if (ok && written->failed.text[0] != '\0') ok = ee_err_set(err, "%s", written->failed.text);
  if (ok && written->append_ms < 0) {
    ok = ee_err_set(err,
                    "%s has no message.timestamp.type=LogAppendTime: run `envelopectl topics "
                    "apply`",
                    topic);
  }
  ee_buf_release(&value);
  return ok;
}

static bool say_written(const struct settings *settings, const struct ee_policy *policy,
                        const struct written *written, struct ee_err *err) {
  char appended[EE_RFC3339_SIZE];
  char effective[EE_RFC3339_SIZE];
  int64_t append_micros = written->append_ms * EE_MICROS_PER_MS;
  ee_time_print(append_micros, appended);
  ee_time_print(ee_version_effective(policy, append_micros, settings->margin_ms), effective);
  struct ee_buf out;
  ee_buf_init(&out, OUTPUT_MAX);
  if (settings->json) {
    ee_buf_printf(&out, "{\"version\":%" PRId64 ",\"name\":", written->offset + 1);
    ee_buf_json_string(&out, policy->name);
    ee_buf_printf(&out, ",\"appended\":\"%s\",\"effective\":\"%s\"}\n", appended, effective);
  } else {
    ee_buf_printf(&out, "version %" PRId64 " of policy %.*s is written; it takes effect at %s\n",
                  written->offset + 1, EE_STR_ARG(policy->name), effective);
  }
  bool ok = ee_ctl_print(&out, err);
  ee_buf_release(&out);
  return ok;
}

static bool apply_policy(const struct settings *settings, const struct ee_policy *policy,
                         struct ee_err *err) {
  struct ee_client *client = NULL;
  struct ee_codec_set codecs = {.codec = NULL};
  struct written written = {.append_ms = -1};
  const struct ee_client_settings *face = &settings->common.client;
  bool ok = ee_client_new(face, EE_CLIENT_PRODUCER, EE_CTL_NAME, &client, err) &&
            ee_codec_set_init(&codecs, face, NULL, err) &&
            write_policy(settings, client, &codecs, policy, &written, err) &&
            say_written(settings, policy, &written, err);
  ee_client_free(client);
  ee_codec_set_release(&codecs);
  return ok;
}

static bool run_apply(const void *settings, char *const *operands, struct ee_err *err) {
  struct ee_buf text;
  struct ee_arena arena;
  struct ee_policy policy;
  ee_buf_init(&text, EE_POLICY_FILE_MAX);
  ee_arena_init(&arena, POLICY_ARENA_MAX);
  bool ok = ee_file_read(operands[0], &text, err);
  if (ok && !ee_policy_file_read(ee_buf_view(&text), &arena, &policy, err)) {
    ok = ee_err_prefix(err, "%s", operands[0]);
  }
  ok = ok && apply_policy(settings, &policy, err);
  ee_arena_release(&arena);
  ee_buf_release(&text);
  return ok;
}

const struct ee_ctl_command ee_ctl_policy_apply = {
    .name = "policy apply",
    .purpose = "Checks a policy file and appends it as a new version; says when it takes effect.",
    .usage = "FILE",
    .operands_least = 1,
    .operands_most = 1,
    .options = apply_options,
    .settings_size = sizeof(struct settings),
    .run = run_apply};

// ---- show.

struct show {
  const struct settings *settings;
  struct ee_client *client;
  struct ee_codec_set codecs;
  struct ee_wait wait;
  struct ee_versions versions;
};

static bool add_version(void *context, const struct ee_printed *printed, struct ee_err *err) {
  struct show *show = context;
  const struct ee_plan *plan = NULL;
  struct ee_bytes avro = {.data = NULL};
  struct ee_fault fault;
  enum ee_open_answer answer = ee_lookup_open(&show->codecs, &ee_policy_type, printed->value,
                                              &show->wait, &plan, &avro, &fault, err);
  if (answer == EE_OPEN_GAVE_UP) return false;
  return ee_versions_add(&show->versions, printed->offset, printed->timestamp_ms * EE_MICROS_PER_MS,
                         answer == EE_OPEN_READY ? plan : NULL, avro, &fault, err);
}

static bool read_versions(struct show *show, struct ee_err *err) {
  char topic[EE_TOPIC_NAME_SIZE];
  int32_t count;
  const struct ee_client_settings *face = &show->settings->common.client;
  ee_client_topic_name(face, EE_TOPIC_POLICY, topic);
  ee_ctl_wait_init(&show->wait, &show->settings->common);
  if (!ee_client_new(face, EE_CLIENT_READER, EE_CTL_NAME, &show->client, err) ||
      !ee_codec_set_init(&show->codecs, face, NULL, err) ||
      !ee_ctl_partitions(show->client, topic, &show->wait, &count, err)) {
    return false;
  }
  rd_kafka_topic_partition_list_t *starts = ee_ctl_partition_list(topic, 1);
  rd_kafka_topic_partition_list_t *ends = ee_ctl_partition_list(topic, 1);
  bool ok = starts != NULL && ends != NULL;
  if (!ok) ee_err_set(err, "memory is out");
  ok = ok && ee_client_offsets(show->client, starts, EE_LOG_START, &show->wait, err) &&
       ee_client_offsets(show->client, ends, EE_LOG_END, &show->wait, err) &&
       ee_client_read(show->client, topic, 0, starts->elems[0].offset, ends->elems[0].offset,
                      &show->wait, add_version, show, err);
  if (starts != NULL) rd_kafka_topic_partition_list_destroy(starts);
  if (ends != NULL) rd_kafka_topic_partition_list_destroy(ends);
  return ok;
}

static bool run_show(const void *settings, char *const *operands, struct ee_err *err) {
  struct show show = {.settings = settings};
  struct ee_buf out;
  (void)operands;
  ee_buf_init(&out, OUTPUT_MAX);
  ee_versions_init(&show.versions, show.settings->margin_ms);
  bool ok =
      ee_versions_builtin(&show.versions, ee_policy_builtin(), err) && read_versions(&show, err);
  if (ok) {
    ee_versions_print(&show.versions, ee_clock_wall_micros(), show.settings->json, &out);
    ok = ee_ctl_print(&out, err);
  }
  ee_client_free(show.client);
  ee_codec_set_release(&show.codecs);
  ee_versions_release(&show.versions);
  ee_buf_release(&out);
  return ok;
}

const struct ee_ctl_command ee_ctl_policy_show = {
    .name = "policy show",
    .purpose = "Lists the versions of the policy and prints the one in force now.",
    .usage = "",
    .options = show_options,
    .settings_size = sizeof(struct settings),
    .run = run_show};
