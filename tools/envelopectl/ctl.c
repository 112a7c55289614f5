// SPDX-License-Identifier: Apache-2.0
// Output and waits of envelopectl's commands.
#include "tools/envelopectl/ctl.h"

#include <errno.h>

bool ee_ctl_print(struct ee_buf *out, struct ee_err *err) {
  if (out->failed) return ee_err_set(err, "a line is too long to be printed, or memory is out");
  size_t written = fwrite(ee_buf_bytes(out).data, 1, out->size, stdout);
  bool ok = written == out->size || ee_err_set(err, "standard output: %s", strerror(errno));
  ee_buf_clear(out);
  return ok;
}

void ee_ctl_wait_init(struct ee_wait *wait, const struct ee_ctl_settings *settings) {
  ee_wait_init(wait, settings->timeout_ms, NULL);
}

rd_kafka_topic_partition_list_t *ee_ctl_partition_list(const char *topic, int32_t count) {
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);
  for (int32_t i = 0; i < count && list != NULL; i++)
    rd_kafka_topic_partition_list_add(list, topic, i);
  return list;
}

bool ee_ctl_partitions(struct ee_client *client, const char *topic, struct ee_wait *wait,
                       int32_t *ret_count, struct ee_err *err) {
  if (!ee_client_partitions(client, topic, wait, ret_count, NULL, err)) return false;
  return *ret_count > 0 ||
         ee_err_set(err, "topic %s does not exist: run `envelopectl topics apply` first", topic);
}
