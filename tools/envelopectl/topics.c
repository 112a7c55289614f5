// SPDX-License-Identifier: Apache-2.0
// envelopectl topics apply and topics list.
#include <inttypes.h>
#include <stdlib.h>

#include "base/time.h"
#include "tools/envelopectl/ctl.h"
#include "tools/envelopectl/topics_plan.h"

#define LINE_MAX_SIZE ((size_t)1 << 16)
#define ADMIN_ERROR_SIZE 512

struct settings {
  struct ee_ctl_settings common;
  int64_t partitions;
  int64_t replication_factor;
  bool dry_run;
  bool json;
};

#define AT(FIELD) offsetof(struct settings, FIELD)

static const struct ee_option apply_options[] = {
    {.name = "topics apply", .type = EE_OPTION_GROUP},
    {.name = "partitions",
     .argument = "N",
     .type = EE_OPTION_COUNT,
     .offset = AT(partitions),
     .least = 1,
     .most = 10000,
     .doc = "The common number of partitions, chosen once. Default: that of the topics that are "
            "there, else 12."},
    {.name = "replication-factor",
     .argument = "N",
     .type = EE_OPTION_COUNT,
     .offset = AT(replication_factor),
     .least = 1,
     .most = 100,
     .doc = "Replicas of the topics that are made. Default: the cluster's."},
    {.name = "dry-run",
     .type = EE_OPTION_FLAG,
     .offset = AT(dry_run),
     .doc = "Says what would be done and does nothing."},
    EE_CTL_JSON(struct settings, json, "Prints JSON lines."),
    {.name = NULL}};

struct apply {
  const struct settings *settings;
  struct ee_client *client;
  struct ee_wait wait;
  char names[EE_TOPIC_COUNT][EE_TOPIC_NAME_SIZE];
  struct ee_topic_found found[EE_TOPIC_COUNT];
  struct ee_topic_plan plan[EE_TOPIC_COUNT];
  rd_kafka_event_t *described;                                 // owned; NULL: nothing was there
  const rd_kafka_ConfigResource_t *resources[EE_TOPIC_COUNT];  // borrow from described
  char failed[EE_TOPIC_COUNT][ADMIN_ERROR_SIZE];               // "" unless it did
};

static int find_name(const struct apply *apply, const char *name) {
  for (int i = 0; i < EE_TOPIC_COUNT; i++) {
    if (name != NULL && strcmp(apply->names[i], name) == 0) return i;
  }
  return -1;
}

// ---- Requests of the admin interface, one at a time.

static rd_kafka_AdminOptions_t *admin_options(struct apply *apply, rd_kafka_admin_op_t operation) {
  rd_kafka_AdminOptions_t *options =
      rd_kafka_AdminOptions_new(ee_client_handle(apply->client), operation);
  int timeout_ms = (int)apply->settings->common.timeout_ms;
  rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, NULL, 0);
  if (operation == RD_KAFKA_ADMIN_OP_CREATETOPICS) {
    rd_kafka_AdminOptions_set_operation_timeout(options, timeout_ms, NULL, 0);
  }
  return options;
}

// Waits for the answer to a request that was begun with its own deadline. NULL: there is
// none, or it is an error.
static rd_kafka_event_t *admin_answer(struct apply *apply, rd_kafka_queue_t *queue,
                                      const char *what, struct ee_err *err) {
  int timeout_ms = (int)apply->settings->common.timeout_ms + 1000;
  rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms);
  rd_kafka_queue_destroy(queue);
  if (event == NULL) {
    ee_err_set(err, "%s: no answer from Kafka at %s", what,
               apply->settings->common.client.bootstrap);
  } else if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    ee_err_set(err, "%s: %s", what, rd_kafka_event_error_string(event));
    rd_kafka_event_destroy(event);
    event = NULL;
  }
  return event;
}

// ---- What is there.

static bool count_all(struct apply *apply, struct ee_err *err) {
  for (int i = 0; i < EE_TOPIC_COUNT; i++) {
    if (!ee_client_partitions(apply->client, apply->names[i], &apply->wait,
                              &apply->found[i].partitions, NULL, err)) {
      return false;
    }
  }
  return true;
}

static void note_setting(struct ee_topic_values *values, const char *name, const char *value) {
  for (int i = 0; i < EE_TOPIC_SETTINGS; i++) {
    if (strcmp(name, ee_topic_setting_names[i]) == 0 && value != NULL) {
      snprintf(values->text[i], EE_TOPIC_VALUE_SIZE, "%s", value);
    }
  }
}

static bool note_described(struct apply *apply, const rd_kafka_ConfigResource_t *resource,
                           struct ee_err *err) {
  const char *name = rd_kafka_ConfigResource_name(resource);
  int topic = find_name(apply, name);
  if (topic < 0) return true;
  if (rd_kafka_ConfigResource_error(resource) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return ee_err_set(err, "settings of %s: %s", name,
                      rd_kafka_ConfigResource_error_string(resource));
  }
  size_t count;
  const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resource, &count);
  for (size_t i = 0; i < count; i++) {
    note_setting(&apply->found[topic].values, rd_kafka_ConfigEntry_name(entries[i]),
                 rd_kafka_ConfigEntry_value(entries[i]));
  }
  apply->resources[topic] = resource;
  return true;
}

static bool describe(struct apply *apply, struct ee_err *err) {
  rd_kafka_ConfigResource_t *wanted[EE_TOPIC_COUNT];
  size_t count = 0;
  for (int i = 0; i < EE_TOPIC_COUNT; i++) {
    if (apply->found[i].partitions == 0) continue;
    wanted[count++] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, apply->names[i]);
  }
  if (count == 0) return true;
  rd_kafka_t *rk = ee_client_handle(apply->client);
  rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
  rd_kafka_AdminOptions_t *options = admin_options(apply, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
  rd_kafka_DescribeConfigs(rk, wanted, count, options, queue);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_ConfigResource_destroy_array(wanted, count);
  apply->described = admin_answer(apply, queue, "the topics' settings", err);
  if (apply->described == NULL) return false;
  const rd_kafka_ConfigResource_t **resources = rd_kafka_DescribeConfigs_result_resources(
      rd_kafka_event_DescribeConfigs_result(apply->described), &count);
  for (size_t i = 0; i < count; i++) {
    if (!note_described(apply, resources[i], err)) return false;
  }
  return true;
}

// ---- Making topics.

static rd_kafka_NewTopic_t *new_topic(const struct apply *apply, enum ee_topic topic,
                                      struct ee_err *err) {
  char text[ADMIN_ERROR_SIZE];
  int64_t replicas = apply->settings->replication_factor;
  rd_kafka_NewTopic_t *made =
      rd_kafka_NewTopic_new(apply->names[topic], apply->plan[topic].partitions,
                            replicas == 0 ? -1 : (int)replicas, text, sizeof text);
  if (made == NULL) {
    ee_err_set(err, "%s: %s", apply->names[topic], text);
    return NULL;
  }
  struct ee_topic_values values;
  ee_topic_values(topic, &values);
  for (int i = 0; i < EE_TOPIC_SETTINGS; i++)
    rd_kafka_NewTopic_set_config(made, ee_topic_setting_names[i], values.text[i]);
  return made;
}

static void note_results(struct apply *apply, const rd_kafka_topic_result_t **results,
                         size_t count) {
  for (size_t i = 0; i < count; i++) {
    int topic = find_name(apply, rd_kafka_topic_result_name(results[i]));
    rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[i]);
    if (topic < 0 || code == RD_KAFKA_RESP_ERR_NO_ERROR) continue;
    const char *text = rd_kafka_topic_result_error_string(results[i]);
    snprintf(apply->failed[topic], ADMIN_ERROR_SIZE, "%s",
             text != NULL ? text : rd_kafka_err2str(code));
  }
}

static bool create(struct apply *apply, struct ee_err *err) {
  rd_kafka_NewTopic_t *wanted[EE_TOPIC_COUNT];
  size_t count = 0;
  bool ok = true;
  for (int i = 0; i < EE_TOPIC_COUNT && ok; i++) {
    if (apply->plan[i].action != EE_TOPIC_CREATE) continue;
    wanted[count] = new_topic(apply, (enum ee_topic)i, err);
    ok = wanted[count] != NULL;
    if (ok) count++;
  }
  if (ok && count != 0) {
    rd_kafka_t *rk = ee_client_handle(apply->client);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_AdminOptions_t *options = admin_options(apply, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_CreateTopics(rk, wanted, count, options, queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_event_t *event = admin_answer(apply, queue, "making topics", err);
    ok = event != NULL;
    if (ok) {
      size_t results;
      const rd_kafka_topic_result_t **topics =
          rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &results);
      note_results(apply, topics, results);
      rd_kafka_event_destroy(event);
    }
  }
  rd_kafka_NewTopic_destroy_array(wanted, count);
  return ok;
}

// A topic that was just made is not known to every broker at once. It is usable when each
// partition has a leader that knows it is one.
static bool await_topic(struct apply *apply, enum ee_topic topic, struct ee_err *err) {
  const char *name = apply->names[topic];
  for (;;) {
    int32_t count;
    bool leaders;
    if (!ee_client_partitions(apply->client, name, &apply->wait, &count, &leaders, err)) {
      return false;
    }
    if (count > 0 && leaders) break;
    if (!ee_wait_more(&apply->wait, name, "it was made, but has no leaders yet", err)) return false;
    ee_client_serve(apply->client, 20);
  }
  rd_kafka_topic_partition_list_t *list =
      ee_ctl_partition_list(name, apply->plan[topic].partitions);
  if (list == NULL) return ee_err_set(err, "memory is out");
  bool ok = ee_client_offsets(apply->client, list, EE_LOG_END, &apply->wait, err);
  rd_kafka_topic_partition_list_destroy(list);
  return ok;
}

static bool await_topics(struct apply *apply, struct ee_err *err) {
  for (int i = 0; i < EE_TOPIC_COUNT; i++) {
    bool made = apply->plan[i].action == EE_TOPIC_CREATE && apply->failed[i][0] == '\0';
    if (made && !await_topic(apply, (enum ee_topic)i, err)) return false;
  }
  return true;
}

// ---- Changing settings. AlterConfigs replaces all of a topic's own settings, so those that
// are not ours are read before and given again.

static bool is_ours(const char *name) {
  for (int i = 0; i < EE_TOPIC_SETTINGS; i++) {
    if (strcmp(name, ee_topic_setting_names[i]) == 0) return true;
  }
  return false;
}

static rd_kafka_ConfigResource_t *altered(const struct apply *apply, enum ee_topic topic) {
  rd_kafka_ConfigResource_t *resource =
      rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, apply->names[topic]);
  size_t count;
  const rd_kafka_ConfigEntry_t **entries =
      rd_kafka_ConfigResource_configs(apply->resources[topic], &count);
  for (size_t i = 0; i < count; i++) {
    const char *name = rd_kafka_ConfigEntry_name(entries[i]);
    const char *value = rd_kafka_ConfigEntry_value(entries[i]);
    if (rd_kafka_ConfigEntry_source(entries[i]) == RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG &&
        value != NULL && !is_ours(name)) {
      rd_kafka_ConfigResource_set_config(resource, name, value);
    }
  }
  struct ee_topic_values values;
  ee_topic_values(topic, &values);
  for (int i = 0; i < EE_TOPIC_SETTINGS; i++)
    rd_kafka_ConfigResource_set_config(resource, ee_topic_setting_names[i], values.text[i]);
  return resource;
}

static void note_altered(struct apply *apply, rd_kafka_event_t *event) {
  size_t count;
  const rd_kafka_ConfigResource_t **resources =
      rd_kafka_AlterConfigs_result_resources(rd_kafka_event_AlterConfigs_result(event), &count);
  for (size_t i = 0; i < count; i++) {
    int topic = find_name(apply, rd_kafka_ConfigResource_name(resources[i]));
    rd_kafka_resp_err_t code = rd_kafka_ConfigResource_error(resources[i]);
    if (topic < 0 || code == RD_KAFKA_RESP_ERR_NO_ERROR) continue;
    const char *text = rd_kafka_ConfigResource_error_string(resources[i]);
    snprintf(apply->failed[topic], ADMIN_ERROR_SIZE, "%s",
             text != NULL ? text : rd_kafka_err2str(code));
  }
}

static bool change(struct apply *apply, struct ee_err *err) {
  rd_kafka_ConfigResource_t *wanted[EE_TOPIC_COUNT];
  size_t count = 0;
  for (int i = 0; i < EE_TOPIC_COUNT; i++) {
    if (apply->plan[i].action == EE_TOPIC_CHANGE)
      wanted[count++] = altered(apply, (enum ee_topic)i);
  }
  if (count == 0) return true;
  rd_kafka_t *rk = ee_client_handle(apply->client);
  rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
  rd_kafka_AdminOptions_t *options = admin_options(apply, RD_KAFKA_ADMIN_OP_ALTERCONFIGS);
  rd_kafka_AlterConfigs(rk, wanted, count, options, queue);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_ConfigResource_destroy_array(wanted, count);
  rd_kafka_event_t *event = admin_answer(apply, queue, "changing settings", err);
  if (event == NULL) return false;
  note_altered(apply, event);
  rd_kafka_event_destroy(event);
  return true;
}

// ---- Saying what was done.

static const char *verb(const struct apply *apply, int topic) {
  static const char *const done[] = {"unchanged", "created", "changed"};
  static const char *const would[] = {"unchanged", "would create", "would change"};
  if (apply->failed[topic][0] != '\0') return "failed";
  return (apply->settings->dry_run ? would : done)[apply->plan[topic].action];
}

static void say_changes(const struct apply *apply, int topic, bool json, struct ee_buf *out) {
  struct ee_topic_values values;
  ee_topic_values((enum ee_topic)topic, &values);
  const char *separator = "";
  for (int i = 0; i < EE_TOPIC_SETTINGS; i++) {
    if (apply->plan[topic].action != EE_TOPIC_CHANGE || !apply->plan[topic].differs[i]) continue;
    const char *before = apply->found[topic].values.text[i];
    if (json) {
      ee_buf_printf(out, "%s\"%s\":", separator, ee_topic_setting_names[i]);
      ee_buf_text(out, "{\"from\":");
      ee_buf_json_string(out, ee_str(before));
      ee_buf_printf(out, ",\"to\":\"%s\"}", values.text[i]);
    } else {
      ee_buf_printf(out, "%s%s %s -> %s", separator, ee_topic_setting_names[i], before,
                    values.text[i]);
    }
    separator = json ? "," : ", ";
  }
}

static void say_json(const struct apply *apply, int topic, struct ee_buf *out) {
  ee_buf_printf(out,
                "{\"topic\":\"%s\",\"action\":\"%s\",\"partitions\":%" PRId32 ",\"settings\":{",
                apply->names[topic], verb(apply, topic), apply->plan[topic].partitions);
  say_changes(apply, topic, true, out);
  ee_buf_byte(out, '}');
  if (apply->failed[topic][0] != '\0') {
    ee_buf_text(out, ",\"error\":");
    ee_buf_json_string(out, ee_str(apply->failed[topic]));
  }
  ee_buf_text(out, "}\n");
}

static void say_text(const struct apply *apply, int topic, struct ee_buf *out) {
  const char *failed = apply->failed[topic];
  ee_buf_printf(out, "%-13s %-30s ", verb(apply, topic), apply->names[topic]);
  if (failed[0] != '\0') {
    ee_buf_printf(out, "%s\n", failed);
    return;
  }
  int32_t count = apply->plan[topic].partitions;
  ee_buf_printf(out, "%" PRId32 " partition%s", count, count == 1 ? "" : "s");
  if (apply->plan[topic].action == EE_TOPIC_CHANGE) ee_buf_text(out, "; ");
  say_changes(apply, topic, false, out);
  ee_buf_byte(out, '\n');
}

static bool say(const struct apply *apply, struct ee_err *err) {
  struct ee_buf out;
  ee_buf_init(&out, LINE_MAX_SIZE);
  int failed = 0;
  for (int i = 0; i < EE_TOPIC_COUNT; i++) {
    failed += apply->failed[i][0] != '\0';
    if (apply->settings->json) {
      say_json(apply, i, &out);
    } else {
      say_text(apply, i, &out);
    }
  }
  bool ok = ee_ctl_print(&out, err);
  ee_buf_release(&out);
  return ok && (failed == 0 || ee_err_set(err, "%d topics are not as they should be", failed));
}

static bool apply_all(struct apply *apply, struct ee_err *err) {
  const struct settings *settings = apply->settings;
  ee_ctl_wait_init(&apply->wait, &settings->common);
  if (!ee_client_new(&settings->common.client, EE_CLIENT_READER, EE_CTL_NAME, &apply->client,
                     err) ||
      !count_all(apply, err) || !describe(apply, err) ||
      !ee_topics_plan(apply->found, (int32_t)settings->partitions, apply->plan, err)) {
    return false;
  }
  if (!settings->dry_run &&
      (!create(apply, err) || !change(apply, err) || !await_topics(apply, err))) {
    return false;
  }
  return say(apply, err);
}

static bool run_apply(const void *settings, char *const *operands, struct ee_err *err) {
  (void)operands;
  struct apply *apply = calloc(1, sizeof *apply);
  if (apply == NULL) return ee_err_set(err, "memory is out");
  apply->settings = settings;
  for (int i = 0; i < EE_TOPIC_COUNT; i++) {
    ee_client_topic_name(&apply->settings->common.client, (enum ee_topic)i, apply->names[i]);
  }
  bool ok = apply_all(apply, err);
  if (apply->described != NULL) rd_kafka_event_destroy(apply->described);
  ee_client_free(apply->client);
  free(apply);
  return ok;
}

const struct ee_ctl_command ee_ctl_topics_apply = {
    .name = "topics apply",
    .purpose =
        "Makes the topics of the catalogue that are missing and sets right those that "
        "differ.",
    .usage = "",
    .options = apply_options,
    .settings_size = sizeof(struct settings),
    .run = run_apply};

// ---- The catalogue.

static const struct ee_option list_options[] = {
    {.name = "topics list", .type = EE_OPTION_GROUP},
    EE_CTL_JSON(struct settings, json, "Prints JSON lines."),
    {.name = NULL}};

static const char *partitions_of(const struct ee_topic_info *info) {
  static const char *const names[] = {"by key", "explicit", "single", "as input"};
  return names[info->partitioning];
}

static void text_or_null(const char *text, struct ee_buf *out) {
  if (text == NULL) {
    ee_buf_text(out, "null");
  } else {
    ee_buf_json_string(out, ee_str(text));
  }
}

static void list_json(const char *name, enum ee_topic topic, struct ee_buf *out) {
  const struct ee_topic_info *info = &ee_topics[topic];
  ee_buf_text(out, "{\"topic\":");
  ee_buf_json_string(out, ee_str(name));
  ee_buf_text(out, ",\"record\":");
  text_or_null(info->value == NULL ? NULL : info->value->full_name, out);
  ee_buf_text(out, ",\"key\":");
  text_or_null(info->key, out);
  ee_buf_printf(out, ",\"written_by\":\"%s\",\"partition\":\"%s\",\"common_partitions\":%s",
                info->writer, partitions_of(info), info->common_partitions ? "true" : "false");
  struct ee_topic_values values;
  ee_topic_values(topic, &values);
  for (int i = 0; i < EE_TOPIC_SETTINGS; i++)
    ee_buf_printf(out, ",\"%s\":\"%s\"", ee_topic_setting_names[i], values.text[i]);
  ee_buf_text(out, ",\"doc\":");
  ee_buf_json_string(out, ee_str(info->doc));
  ee_buf_text(out, "}\n");
}

static void list_text(const char *name, enum ee_topic topic, struct ee_buf *out) {
  const struct ee_topic_info *info = &ee_topics[topic];
  char kept[EE_RFC3339_SIZE] = "for ever";
  if (info->retention_ms >= 0) ee_span_print(info->retention_ms * EE_MICROS_PER_MS, kept);
  ee_buf_printf(out, "%-30s %-16s %-10s %-8s %-10s %s\n", name, info->writer, partitions_of(info),
                info->cleanup == EE_CLEANUP_COMPACT ? "compact" : "delete", kept, info->doc);
}

static bool run_list(const void *context, char *const *operands, struct ee_err *err) {
  const struct settings *settings = context;
  struct ee_buf out;
  (void)operands;
  ee_buf_init(&out, LINE_MAX_SIZE);
  if (!settings->json) {
    ee_buf_printf(&out, "%-30s %-16s %-10s %-8s %-10s %s\n", "TOPIC", "WRITTEN BY", "PARTITION",
                  "CLEANUP", "KEPT", "HOLDS");
  }
  for (int i = 0; i < EE_TOPIC_COUNT; i++) {
    char name[EE_TOPIC_NAME_SIZE];
    ee_client_topic_name(&settings->common.client, (enum ee_topic)i, name);
    if (settings->json) {
      list_json(name, (enum ee_topic)i, &out);
    } else {
      list_text(name, (enum ee_topic)i, &out);
    }
  }
  bool ok = ee_ctl_print(&out, err);
  ee_buf_release(&out);
  return ok;
}

const struct ee_ctl_command ee_ctl_topics_list = {
    .name = "topics list",
    .purpose = "Prints the catalogue of topics; asks nobody.",
    .usage = "",
    .options = list_options,
    .settings_size = sizeof(struct settings),
    .run = run_list};
