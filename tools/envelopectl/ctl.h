// SPDX-License-Identifier: Apache-2.0
// What the commands of envelopectl have in common. A command is a line in the table of
// main.c and a `struct ee_ctl_command`; it may block, within --timeout.
#ifndef EE_TOOLS_ENVELOPECTL_CTL_H
#define EE_TOOLS_ENVELOPECTL_CTL_H

#include "stream/client.h"
#include "stream/settings.h"

// The first member of a command's settings struct.
struct ee_ctl_settings {
  struct ee_client_settings client;
  int64_t timeout_ms;
};

struct ee_ctl_command {
  const char *name;     // "topics apply"
  const char *purpose;  // one sentence
  const char *usage;    // operands, as in struct ee_command
  int operands_least, operands_most;
  const struct ee_option *options;  // its own, after a heading that is its name; or NULL
  size_t settings_size;
  // settings: filled, begins with a struct ee_ctl_settings. Operands: NULL behind the last.
  // Writes results to standard output (ee_ctl_print). False: it failed, err says how.
  bool (*run)(const void *settings, char *const *operands, struct ee_err *err);
};

extern const struct ee_ctl_command ee_ctl_topics_apply;
extern const struct ee_ctl_command ee_ctl_topics_list;
extern const struct ee_ctl_command ee_ctl_schemas_check;
extern const struct ee_ctl_command ee_ctl_schemas_register;
extern const struct ee_ctl_command ee_ctl_schemas_show;
extern const struct ee_ctl_command ee_ctl_schemas_json;
extern const struct ee_ctl_command ee_ctl_policy_apply;
extern const struct ee_ctl_command ee_ctl_policy_show;
extern const struct ee_ctl_command ee_ctl_tick;
extern const struct ee_ctl_command ee_ctl_cat;
extern const struct ee_ctl_command ee_ctl_show;
extern const struct ee_ctl_command ee_ctl_spool_inspect;
extern const struct ee_ctl_command ee_ctl_spool_verify;
extern const struct ee_ctl_command ee_ctl_spool_export;
extern const struct ee_ctl_command ee_ctl_spool_repair;

#define EE_CTL_NAME "envelopectl"

// An option --json of a command's settings struct.
#define EE_CTL_JSON(TYPE, FIELD, DOC) \
  { .name = "json", .type = EE_OPTION_FLAG, .offset = offsetof(TYPE, FIELD), .doc = (DOC) }

// Prints the buffer on standard output and empties it.
bool ee_ctl_print(struct ee_buf *out, struct ee_err *err);

// A wait of --timeout.
void ee_ctl_wait_init(struct ee_wait *wait, const struct ee_ctl_settings *settings);

// The one-partition-at-a-time list that offsets are asked for. NULL when memory is out.
rd_kafka_topic_partition_list_t *ee_ctl_partition_list(const char *topic, int32_t count);

// Blocks. As ee_client_partitions, but a topic that is not there is an error that names
// `envelopectl topics apply`.
bool ee_ctl_partitions(struct ee_client *client, const char *topic, struct ee_wait *wait,
                       int32_t *ret_count, struct ee_err *err);

#endif
