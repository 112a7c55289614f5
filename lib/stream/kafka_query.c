// SPDX-License-Identifier: Apache-2.0
// Jobs that ask: committed offsets, end and start offsets, topics and their settings.
#include <stdlib.h>

#include "stream/kafka_class.h"
#include "stream/kafka_offsets.h"
#include "stream/kafka_worker.h"

#define QUERY_MS 2000
// Short, so that a commit that was begun meanwhile does not wait for another process's
// transaction to end; whoever asks is told to ask again.
#define COMMITTED_MS 500

static void answer(struct ee_kafka_job *job, rd_kafka_resp_err_t code, const char *what) {
  struct ee_kafka_fault fault = {.code = code};
  job->outcome = ee_kafka_classify(EE_KAFKA_QUERY, fault);
  if (job->outcome != EE_DONE) ee_err_set(&job->err, "%s: %s", what, rd_kafka_err2str(code));
}

// Which partition it is about.
static void prefix(struct ee_kafka_job *job, int at) {
  const rd_kafka_topic_partition_t *tp = &job->list->elems[at];
  ee_err_prefix(&job->err, "%s [%d]", tp->topic, (int)tp->partition);
}

// An error of one partition is the error of all.
static void check_each(struct ee_kafka_job *job, const char *what) {
  int at = ee_kafka_first_error(job->list);
  if (at < 0) return;
  answer(job, job->list->elems[at].err, what);
  prefix(job, at);
}

static void committed(const struct ee_kafka_handles *handles, struct ee_kafka_job *job) {
  answer(job, rd_kafka_committed(handles->member->rk, job->list, COMMITTED_MS),
         "committed offsets");
  if (job->outcome == EE_DONE) check_each(job, "committed offset");
  for (int i = 0; i < job->list->cnt; i++) {
    if (job->list->elems[i].offset < 0) job->list->elems[i].offset = EE_OFFSET_NONE;
  }
}

static void offsets_at(struct ee_kafka_handle *handle, struct ee_kafka_job *job,
                       enum ee_log_offset which, const char *what) {
  int about;
  answer(job, ee_kafka_offsets(handle->rk, job->list, which, QUERY_MS, &about), what);
  if (about >= 0) prefix(job, about);
}

// ---- Topics.

static int64_t number_of(const char *value) {
  char *end;
  long long number = value == NULL ? 0 : strtoll(value, &end, 10);
  return value == NULL || *value == '\0' || *end != '\0' ? -1 : (int64_t)number;
}

static void read_setting(const char *name, const char *value, struct ee_topic_state *state) {
  if (strcmp(name, "message.timestamp.type") == 0) {
    state->append_time = value != NULL && strcmp(value, "LogAppendTime") == 0;
  } else if (strcmp(name, "cleanup.policy") == 0) {
    bool compact = value != NULL && strcmp(value, "compact") == 0;
    bool delete = value != NULL && strcmp(value, "delete") == 0;
    state->cleanup = compact ? EE_CLEANUP_COMPACT : delete ? EE_CLEANUP_DELETE : EE_CLEANUP_OTHER;
  } else if (strcmp(name, "max.message.bytes") == 0) {
    state->max_message_bytes = number_of(value);
  } else if (strcmp(name, "delete.retention.ms") == 0) {
    state->delete_retention_ms = number_of(value);
  } else if (strcmp(name, "retention.ms") == 0) {
    state->retention_ms = number_of(value);
  }
}

static void read_resource(const struct ee_kafka_shared *shared, struct ee_kafka_job *job,
                          const rd_kafka_ConfigResource_t *resource) {
  const char *name = rd_kafka_ConfigResource_name(resource);
  int topic = name == NULL ? -1 : ee_kafka_topic_of(shared, name);
  if (topic < 0) return;
  rd_kafka_resp_err_t code = rd_kafka_ConfigResource_error(resource);
  if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) return;  // exists stays false
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    answer(job, code, "describing its settings");
    ee_err_prefix(&job->err, "%s", name);
    return;
  }
  job->topics[topic].exists = true;
  size_t count;
  const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resource, &count);
  for (size_t i = 0; i < count; i++) {
    read_setting(rd_kafka_ConfigEntry_name(entries[i]), rd_kafka_ConfigEntry_value(entries[i]),
                 &job->topics[topic]);
  }
}

static void request_settings(const struct ee_kafka_handles *handles, rd_kafka_queue_t *queue) {
  rd_kafka_ConfigResource_t *resources[EE_TOPIC_COUNT];
  for (int i = 0; i < EE_TOPIC_COUNT; i++) {
    resources[i] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, handles->shared->names[i]);
  }
  rd_kafka_AdminOptions_t *options =
      rd_kafka_AdminOptions_new(handles->observer->rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
  rd_kafka_AdminOptions_set_request_timeout(options, QUERY_MS, NULL, 0);
  rd_kafka_DescribeConfigs(handles->observer->rk, resources, EE_TOPIC_COUNT, options, queue);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_ConfigResource_destroy_array(resources, EE_TOPIC_COUNT);
}

static void topic_settings(const struct ee_kafka_handles *handles, struct ee_kafka_job *job) {
  rd_kafka_queue_t *queue = rd_kafka_queue_new(handles->observer->rk);
  request_settings(handles, queue);
  rd_kafka_event_t *event = rd_kafka_queue_poll(queue, QUERY_MS + 500);
  const rd_kafka_DescribeConfigs_result_t *result =
      event == NULL ? NULL : rd_kafka_event_DescribeConfigs_result(event);
  rd_kafka_resp_err_t code =
      result == NULL ? RD_KAFKA_RESP_ERR__TIMED_OUT : rd_kafka_event_error(event);
  answer(job, code, "describing the topics' settings");
  if (job->outcome == EE_DONE) {
    size_t count;
    const rd_kafka_ConfigResource_t **resources =
        rd_kafka_DescribeConfigs_result_resources(result, &count);
    for (size_t i = 0; i < count; i++)
      read_resource(handles->shared, job, resources[i]);
  }
  if (event != NULL) rd_kafka_event_destroy(event);
  rd_kafka_queue_destroy(queue);
}

// One topic at a time: a request for several could make librdkafka create missing ones.
static void topic_partitions(const struct ee_kafka_handles *handles, struct ee_kafka_job *job,
                             enum ee_topic topic) {
  rd_kafka_topic_t *rkt =
      rd_kafka_topic_new(handles->observer->rk, handles->shared->names[topic], NULL);
  if (rkt == NULL) {
    answer(job, rd_kafka_last_error(), handles->shared->names[topic]);
    return;
  }
  const struct rd_kafka_metadata *metadata = NULL;
  rd_kafka_resp_err_t code = rd_kafka_metadata(handles->observer->rk, 0, rkt, &metadata, QUERY_MS);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
    if (metadata->topic_cnt == 1) {
      code = metadata->topics[0].err;
      job->topics[topic].partitions = metadata->topics[0].partition_cnt;
    } else {
      code = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    }
    rd_kafka_metadata_destroy(metadata);
  }
  answer(job, code, handles->shared->names[topic]);
  rd_kafka_topic_destroy(rkt);
}

static void topics(const struct ee_kafka_handles *handles, struct ee_kafka_job *job) {
  memset(job->topics, 0, EE_TOPIC_COUNT * sizeof(*job->topics));
  topic_settings(handles, job);
  for (int i = 0; i < EE_TOPIC_COUNT && job->outcome == EE_DONE; i++) {
    if (job->topics[i].exists) topic_partitions(handles, job, (enum ee_topic)i);
  }
}

void ee_kafka_perform_query(const struct ee_kafka_handles *handles, struct ee_kafka_job *job) {
  switch (job->kind) {
    case EE_OP_COMMITTED:
      committed(handles, job);
      break;
    case EE_OP_END:
      offsets_at(job->isolation == EE_READ_COMMITTED ? handles->fetcher : handles->observer, job,
                 EE_LOG_END, "end offset");
      break;
    case EE_OP_START:
      offsets_at(handles->observer, job, EE_LOG_START, "log start offset");
      break;
    default:
      topics(handles, job);
  }
}
