// SPDX-License-Identifier: Apache-2.0
// Asking for offsets, and for the partitions' leaders where librdkafka does not.
#include "stream/kafka_offsets.h"

#include <stdbool.h>
#include <string.h>

// What it hears goes where librdkafka looks for leaders.
static void ask_for_leaders(rd_kafka_t *rk, const char *topic, int timeout_ms) {
  const struct rd_kafka_metadata *metadata;
  rd_kafka_topic_t *rkt = rd_kafka_topic_new(rk, topic, NULL);
  if (rkt == NULL) return;
  if (rd_kafka_metadata(rk, 0, rkt, &metadata, timeout_ms) == RD_KAFKA_RESP_ERR_NO_ERROR) {
    rd_kafka_metadata_destroy(metadata);
  }
  rd_kafka_topic_destroy(rkt);
}

static bool is_of_the_cache(rd_kafka_resp_err_t code) {
  return code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE ||
         code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
}

int ee_kafka_first_error(const rd_kafka_topic_partition_list_t *list) {
  for (int i = 0; i < list->cnt; i++) {
    if (list->elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR) return i;
  }
  return -1;
}

rd_kafka_resp_err_t ee_kafka_offsets(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *list,
                                     enum ee_log_offset which, int timeout_ms, int *ret_about) {
  *ret_about = -1;
  for (int i = 0; i < list->cnt; i++) {
    list->elems[i].offset = which;
    list->elems[i].err = RD_KAFKA_RESP_ERR_NO_ERROR;
  }
  rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(rk, list, timeout_ms);
  // "Unknown partition" is also its word for: none of them has a leader.
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR && !is_of_the_cache(code)) return code;
  *ret_about = ee_kafka_first_error(list);
  if (*ret_about < 0) return code;
  const rd_kafka_topic_partition_t *about = &list->elems[*ret_about];
  if (is_of_the_cache(about->err)) ask_for_leaders(rk, about->topic, timeout_ms);
  return about->err;
}
