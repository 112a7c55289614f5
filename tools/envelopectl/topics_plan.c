// SPDX-License-Identifier: Apache-2.0
// The catalogue against what is there.
#include "tools/envelopectl/topics_plan.h"

#include <inttypes.h>

const char *const ee_topic_setting_names[EE_TOPIC_SETTINGS] = {
    "cleanup.policy", "retention.ms", "message.timestamp.type", "max.message.bytes"};

void ee_topic_values(enum ee_topic topic, struct ee_topic_values *ret) {
  const struct ee_topic_info *info = &ee_topics[topic];
  snprintf(ret->text[0], EE_TOPIC_VALUE_SIZE, "%s",
           info->cleanup == EE_CLEANUP_COMPACT ? "compact" : "delete");
  snprintf(ret->text[1], EE_TOPIC_VALUE_SIZE, "%" PRId64, info->retention_ms);
  snprintf(ret->text[2], EE_TOPIC_VALUE_SIZE, "%s",
           info->append_time ? "LogAppendTime" : "CreateTime");
  snprintf(ret->text[3], EE_TOPIC_VALUE_SIZE, "%" PRId64, info->max_message_bytes);
}

// The first topic of the common set that is there, or -1.
static int first_common(const struct ee_topic_found found[EE_TOPIC_COUNT]) {
  for (int i = 0; i < EE_TOPIC_COUNT; i++) {
    if (ee_topics[i].common_partitions && found[i].partitions != 0) return i;
  }
  return -1;
}

static bool find_count(const struct ee_topic_found found[EE_TOPIC_COUNT], int32_t wanted,
                       int32_t *ret, struct ee_err *err) {
  static const char why[] =
      "all but policy and dead letters need one common number, and growing would move keys away "
      "from their history: make a new set with --topic-prefix";
  int first = first_common(found);
  *ret = wanted != 0 ? wanted : first < 0 ? EE_TOPIC_PARTITIONS : found[first].partitions;
  if (first < 0) return true;
  for (int i = 0; i < EE_TOPIC_COUNT; i++) {
    int32_t count = found[i].partitions;
    if (!ee_topics[i].common_partitions || count == 0 || count == found[first].partitions) continue;
    return ee_err_set(err, "%s has %" PRId32 " partitions and %s %" PRId32 ": %s",
                      ee_topics[first].name, found[first].partitions, ee_topics[i].name, count,
                      why);
  }
  if (found[first].partitions == *ret) return true;
  return ee_err_set(err, "--partitions %" PRId32 ": the topics have %" PRId32 "; %s", wanted,
                    found[first].partitions, why);
}

// Dead letters go to the partition of their input, so theirs may be more but not fewer.
static bool check_other(enum ee_topic topic, int32_t count, int32_t common, struct ee_err *err) {
  const struct ee_topic_info *info = &ee_topics[topic];
  if (count == 0 || info->common_partitions) return true;
  if (info->partitioning == EE_PARTITION_SINGLE && count != 1) {
    return ee_err_set(err, "%s has %" PRId32 " partitions; it must have one only", info->name,
                      count);
  }
  if (info->partitioning == EE_PARTITION_AS_INPUT && count < common) {
    return ee_err_set(err, "%s has %" PRId32 " partitions; it needs the %" PRId32 " of its input",
                      info->name, count, common);
  }
  return true;
}

static void plan_topic(enum ee_topic topic, const struct ee_topic_found *found, int32_t common,
                       struct ee_topic_plan *ret) {
  bool single = ee_topics[topic].partitioning == EE_PARTITION_SINGLE;
  struct ee_topic_values values;
  *ret = (struct ee_topic_plan){.action = EE_TOPIC_CREATE, .partitions = single ? 1 : common};
  if (found->partitions == 0) return;
  ret->partitions = found->partitions;
  ret->action = EE_TOPIC_KEEP;
  ee_topic_values(topic, &values);
  for (int i = 0; i < EE_TOPIC_SETTINGS; i++) {
    ret->differs[i] = strcmp(values.text[i], found->values.text[i]) != 0;
    if (ret->differs[i]) ret->action = EE_TOPIC_CHANGE;
  }
}

bool ee_topics_plan(const struct ee_topic_found found[EE_TOPIC_COUNT], int32_t wanted,
                    struct ee_topic_plan ret[EE_TOPIC_COUNT], struct ee_err *err) {
  int32_t common;
  if (!find_count(found, wanted, &common, err)) return false;
  for (int i = 0; i < EE_TOPIC_COUNT; i++) {
    if (!check_other((enum ee_topic)i, found[i].partitions, common, err)) return false;
    plan_topic((enum ee_topic)i, &found[i], common, &ret[i]);
  }
  return true;
}
