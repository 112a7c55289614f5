// SPDX-License-Identifier: Apache-2.0
// envelopectl tick: two rounds of ticks for all partitions. The first brings the clocks to
// the newest tick that was there, the second to the append time of the first (design,
// section 4, "Time").
#include <inttypes.h>
#include <stdlib.h>

#include "base/time.h"
#include "records.h"
#include "stream/lookup.h"
#include "tools/envelopectl/ctl.h"

#define TICK_TOPICS (EE_TOPIC_OBLIGATION + 1)  // phases, producer, obligation
#define VALUE_MAX ((size_t)64 << 10)

struct settings {
  struct ee_ctl_settings common;
  bool json;
};

static const struct ee_option options[] = {{.name = "tick", .type = EE_OPTION_GROUP},
                                           EE_CTL_JSON(struct settings, json, "Prints JSON lines."),
                                           {.name = NULL}};

// Of one partition.
struct clock {
  int64_t as_of;    // micros: append time of the newest tick known; INT64_MIN: none
  int64_t written;  // as_of of the tick written last
  int64_t offset;   // where that one lies
};

struct tick {
  const struct settings *settings;
  struct ee_client *reader, *writer;
  struct ee_codec_set codecs;
  struct ee_wait wait;
  struct ee_bytes prefix;
  char topic[EE_TOPIC_NAME_SIZE];
  char names[TICK_TOPICS][EE_TOPIC_NAME_SIZE];
  int32_t partitions;
  struct clock *clocks;                   // owned; one a partition
  rd_kafka_topic_partition_list_t *ends;  // owned; partition by partition, each of its topics
  struct ee_buf value;
  struct ee_err failed;  // of a delivery
};

static bool no_append_time(const struct tick *tick, struct ee_err *err) {
  return ee_err_set(err,
                    "%s has no message.timestamp.type=LogAppendTime: run `envelopectl topics "
                    "apply`",
                    tick->topic);
}

// ---- What is there.

static bool count_partitions(struct tick *tick, struct ee_err *err) {
  if (!ee_ctl_partitions(tick->reader, tick->topic, &tick->wait, &tick->partitions, err)) {
    return false;
  }
  for (int i = 0; i < TICK_TOPICS; i++) {
    int32_t count;
    ee_client_topic_name(&tick->settings->common.client, (enum ee_topic)i, tick->names[i]);
    if (!ee_ctl_partitions(tick->reader, tick->names[i], &tick->wait, &count, err)) return false;
    if (count == tick->partitions) continue;
    return ee_err_set(err, "%s has %" PRId32 " partitions and %s %" PRId32 ": they must be as many",
                      tick->topic, tick->partitions, tick->names[i], count);
  }
  return true;
}

static bool make_room(struct tick *tick, struct ee_err *err) {
  tick->clocks = calloc((size_t)tick->partitions, sizeof *tick->clocks);
  tick->ends = rd_kafka_topic_partition_list_new(tick->partitions * TICK_TOPICS);
  if (tick->clocks == NULL || tick->ends == NULL) return ee_err_set(err, "memory is out");
  for (int32_t p = 0; p < tick->partitions; p++) {
    tick->clocks[p].as_of = INT64_MIN;
    for (int i = 0; i < TICK_TOPICS; i++)
      rd_kafka_topic_partition_list_add(tick->ends, tick->names[i], p);
  }
  return true;
}

static bool note_newest(void *context, const struct ee_printed *record, struct ee_err *err) {
  struct tick *tick = context;
  if (!record->append_time) return no_append_time(tick, err);
  tick->clocks[record->partition].as_of = record->timestamp_ms * EE_MICROS_PER_MS;
  return true;
}

static bool read_newest(struct tick *tick, struct ee_err *err) {
  rd_kafka_topic_partition_list_t *starts = ee_ctl_partition_list(tick->topic, tick->partitions);
  rd_kafka_topic_partition_list_t *ends = ee_ctl_partition_list(tick->topic, tick->partitions);
  bool ok = starts != NULL && ends != NULL;
  if (!ok) ee_err_set(err, "memory is out");
  ok = ok && ee_client_offsets(tick->reader, starts, EE_LOG_START, &tick->wait, err) &&
       ee_client_offsets(tick->reader, ends, EE_LOG_END, &tick->wait, err);
  for (int32_t p = 0; ok && p < tick->partitions; p++) {
    int64_t end = ends->elems[p].offset;
    if (end <= starts->elems[p].offset) continue;
    ok = ee_client_read(tick->reader, tick->topic, p, end - 1, end, &tick->wait, note_newest, tick,
                        err);
  }
  if (starts != NULL) rd_kafka_topic_partition_list_destroy(starts);
  if (ends != NULL) rd_kafka_topic_partition_list_destroy(ends);
  return ok;
}

// ---- A round.

static void on_delivery(void *context, const struct ee_delivery *delivery) {
  struct tick *tick = context;
  struct clock *clock = delivery->opaque;
  if (delivery->failed != NULL) {
    ee_err_set(&tick->failed, "%s [%" PRId32 "]: %s", delivery->topic, delivery->partition,
               delivery->failed);
  } else if (delivery->append_ms < 0) {
    no_append_time(tick, &tick->failed);
  } else {
    clock->written = clock->as_of;
    clock->as_of = delivery->append_ms * EE_MICROS_PER_MS;
    clock->offset = delivery->offset;
  }
}

static bool write_tick(struct tick *tick, int32_t partition, struct ee_err *err) {
  struct ee_long_entry entries[TICK_TOPICS];
  struct clock *clock = &tick->clocks[partition];
  for (int i = 0; i < TICK_TOPICS; i++) {
    entries[i].key = ee_str(tick->names[i]);
    entries[i].value = tick->ends->elems[partition * TICK_TOPICS + i].offset;
  }
  struct ee_tick record;
  ee_record_init(&ee_tick_type, &record);
  record.as_of = (struct ee_opt_long){.present = clock->as_of != INT64_MIN, .value = clock->as_of};
  record.offsets.entries = entries;
  record.offsets.count = TICK_TOPICS;
  ee_buf_clear(&tick->value);
  ee_buf_append(&tick->value, tick->prefix.data, tick->prefix.size);
  ee_encode(&ee_tick_type, &record, &tick->value);
  if (tick->value.failed) return ee_err_set(err, "memory is out");
  struct ee_send send = {.topic = tick->topic,
                         .partition = partition,
                         .value = ee_buf_bytes(&tick->value),
                         .opaque = clock};
  return ee_client_send(tick->writer, &send, &tick->wait, err);
}

// The ends are asked for after what as_of says has been read or acknowledged.
static bool write_round(struct tick *tick, struct ee_err *err) {
  ee_wait_again(&tick->wait);
  if (!ee_client_offsets(tick->reader, tick->ends, EE_LOG_END, &tick->wait, err)) return false;
  for (int32_t p = 0; p < tick->partitions; p++) {
    if (!write_tick(tick, p, err)) return false;
  }
  if (!ee_client_flush(tick->writer, &tick->wait, err)) return false;
  if (tick->failed.text[0] != '\0') *err = tick->failed;
  return tick->failed.text[0] == '\0';
}

static bool say(struct tick *tick, struct ee_err *err) {
  for (int32_t p = 0; p < tick->partitions; p++) {
    const struct clock *clock = &tick->clocks[p];
    char as_of[EE_RFC3339_SIZE];
    ee_time_print(clock->written, as_of);
    ee_buf_clear(&tick->value);
    ee_buf_printf(&tick->value,
                  tick->settings->json
                      ? "{\"partition\":%" PRId32 ",\"offset\":%" PRId64 ",\"as_of\":\"%s\"}\n"
                      : "partition %" PRId32 ": tick at offset %" PRId64 ", as of %s\n",
                  p, clock->offset, as_of);
    if (!ee_ctl_print(&tick->value, err)) return false;
  }
  return true;
}

static bool tick_all(struct tick *tick, struct ee_err *err) {
  const struct ee_client_settings *client = &tick->settings->common.client;
  ee_client_topic_name(client, EE_TOPIC_TICK, tick->topic);
  ee_ctl_wait_init(&tick->wait, &tick->settings->common);
  if (!ee_client_new(client, EE_CLIENT_READER, EE_CTL_NAME, &tick->reader, err) ||
      !ee_client_new(client, EE_CLIENT_PRODUCER, EE_CTL_NAME, &tick->writer, err) ||
      !ee_codec_set_init(&tick->codecs, client, NULL, err)) {
    return false;
  }
  ee_client_on_delivery(tick->writer, on_delivery, tick);
  return count_partitions(tick, err) && make_room(tick, err) &&
         ee_lookup_prefix(&tick->codecs, EE_TOPIC_TICK, &tick->wait, &tick->prefix, err) &&
         read_newest(tick, err) && write_round(tick, err) && write_round(tick, err) &&
         say(tick, err);
}

static bool run(const void *settings, char *const *operands, struct ee_err *err) {
  struct tick tick = {.settings = settings};
  (void)operands;
  ee_buf_init(&tick.value, VALUE_MAX);
  bool ok = tick_all(&tick, err);
  ee_client_free(tick.writer);
  ee_client_free(tick.reader);
  ee_codec_set_release(&tick.codecs);
  if (tick.ends != NULL) rd_kafka_topic_partition_list_destroy(tick.ends);
  free(tick.clocks);
  ee_buf_release(&tick.value);
  return ok;
}

const struct ee_ctl_command ee_ctl_tick = {
    .name = "tick",
    .purpose = "Writes two rounds of ticks for all partitions, which brings the clocks to now.",
    .usage = "",
    .options = options,
    .settings_size = sizeof(struct settings),
    .run = run};
