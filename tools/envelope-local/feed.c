// SPDX-License-Identifier: Apache-2.0
// JSON lines into the log: events at their own time, and ticks as that time passes.
#include <stdlib.h>

#include "base/log.h"
#include "base/time.h"
#include "contract/event_line.h"
#include "contract/ident.h"
#include "contract/policy_file.h"
#include "tools/envelope-local/local.h"
#include "wire/headers.h"

#define AVRO_MAX ((size_t)4 << 20)
#define YEAR_10000 (INT64_C(253402300800) * EE_MICROS_PER_S)
#define TICKS_MAX 200000  // of one run: months of the default

// column 0: not known.
static void refuse(struct local *local, int column, enum ee_reason reason, const char *detail) {
  struct ee_log_member members[6] = {
      EE_LOG_S("file", ee_str(local->path)), EE_LOG_I("line", (int64_t)local->line),
      EE_LOG_S("reason", ee_str(ee_reason_name(reason))), EE_LOG_S("detail", ee_str(detail))};
  if (column > 0) members[4] = EE_LOG_I("column", column);
  local->refused++;
  ee_log(EE_ERROR, "line refused", members);
}

static bool append_tick(struct local *local, int32_t partition, struct ee_err *err) {
  struct ee_long_entry entries[EE_TOPIC_OBLIGATION + 1];
  struct ee_tick tick;
  struct ee_buf avro;
  ee_record_init(&ee_tick_type, &tick);
  if (local->last_tick_ms != INT64_MIN) {
    tick.as_of = (struct ee_opt_long){true, local->last_tick_ms * EE_MICROS_PER_MS};
  }
  for (int topic = 0; topic <= EE_TOPIC_OBLIGATION; topic++) {
    struct ee_tp tp = {(enum ee_topic)topic, partition};
    entries[topic].key = ee_cluster_topic_name(local->cluster, tp.topic);
    entries[topic].value = ee_cluster_end(local->cluster, tp, EE_READ_COMMITTED);
  }
  tick.offsets.entries = entries;
  tick.offsets.count = EE_TOPIC_OBLIGATION + 1;
  ee_buf_init(&avro, AVRO_MAX);
  ee_encode(&ee_tick_type, &tick, &avro);
  bool good =
      local_append(local, EE_TOPIC_TICK, partition, (struct ee_bytes){0}, ee_buf_bytes(&avro), err);
  ee_buf_release(&avro);
  return good;
}

static bool append_ticks(struct local *local, int64_t at_ms, struct ee_err *err) {
  ee_cluster_set_time(local->cluster, at_ms);
  for (int32_t p = 0; p < local->settings->partitions; p++) {
    if (!append_tick(local, p, err)) return false;
  }
  local->last_tick_ms = at_ms;
  return true;
}

static bool too_far(const struct local *local, int64_t at_ms, struct ee_err *err) {
  char from[EE_RFC3339_SIZE], to[EE_RFC3339_SIZE];
  ee_time_print(local->first_ms * EE_MICROS_PER_MS, from);
  ee_time_print(at_ms * EE_MICROS_PER_MS, to);
  return ee_err_set(err,
                    "the clock would go from %s to %s in more than %d ticks: if these times are "
                    "right, give a longer --tick",
                    from, to, TICKS_MAX);
}

// Moves the log's time on to at_ms (never back), with the ticks on the way.
static bool advance(struct local *local, int64_t at_ms, struct ee_err *err) {
  if (local->first_ms == INT64_MIN) {
    local->first_ms = at_ms;
    local->next_tick_ms = at_ms + local->settings->tick_ms;
  }
  if ((at_ms - local->first_ms) / local->settings->tick_ms > TICKS_MAX) {
    return too_far(local, at_ms, err);
  }
  for (; local->next_tick_ms <= at_ms; local->next_tick_ms += local->settings->tick_ms) {
    if (!append_ticks(local, local->next_tick_ms, err)) return false;
  }
  ee_cluster_set_time(local->cluster, at_ms);
  return true;
}

bool local_end(struct local *local, struct ee_err *err) {
  int64_t until_ms = ee_cluster_time(local->cluster) + EE_MICROS_PER_HOUR / EE_MICROS_PER_MS;
  if (local->first_ms == INT64_MIN) return true;
  if (local->settings->until != NULL) until_ms = local->settings->until_ms;
  if (until_ms < ee_cluster_time(local->cluster)) {
    char last[EE_RFC3339_SIZE];
    ee_time_print(ee_cluster_time(local->cluster) * EE_MICROS_PER_MS, last);
    return ee_err_set(err, "--until: %s is before the last event, at %s", local->settings->until,
                      last);
  }
  return advance(local, until_ms, err) && append_ticks(local, until_ms, err) &&
         append_ticks(local, until_ms, err);
}

static bool append_event(struct local *local, const struct ee_event_line *event,
                         struct ee_err *err) {
  int64_t occurred_at = event->topic == EE_TOPIC_OBLIGATION
                            ? ((const struct ee_receipt *)event->record)->occurred_at
                            : ((const struct ee_event_head *)event->record)->occurred_at;
  struct ee_buf avro;
  bool good = true;
  if (occurred_at < 0 || occurred_at >= YEAR_10000) {
    refuse(local, 0, EE_REASON_wrong_schema,
           "occurred_at: no append time, which lies in the years 1970 to 9999");
    return true;
  }
  ee_buf_init(&avro, EE_EVENT_SIZE_MAX);
  ee_encode(event->type, event->record, &avro);
  if (avro.failed) {
    char detail[64];
    snprintf(detail, sizeof detail, "an event may have at most %d bytes", EE_EVENT_SIZE_MAX);
    refuse(local, 0, EE_REASON_oversized, detail);
  } else {
    good = advance(local, occurred_at / EE_MICROS_PER_MS, err) &&
           local_append(local, event->topic, -1, ee_str_bytes(event->envelope_id),
                        ee_buf_bytes(&avro), err);
  }
  ee_buf_release(&avro);
  return good;
}

static bool append_policy(struct local *local, json_t *json, struct ee_err *err) {
  struct ee_policy policy;
  struct ee_err why;
  struct ee_buf avro;
  json_object_del(json, "phase");
  char *text = json_dumps(json, JSON_COMPACT);
  if (text == NULL) return ee_err_set(err, "no memory for a policy");
  if (!ee_policy_file_read(ee_str(text), &local->arena, &policy, &why)) {
    refuse(local, 0, EE_REASON_wrong_schema, why.text);
    free(text);
    return true;
  }
  ee_buf_init(&avro, AVRO_MAX);
  ee_encode(&ee_policy_type, &policy, &avro);
  bool good =
      local_append(local, EE_TOPIC_POLICY, 0, ee_str_bytes(policy.name), ee_buf_bytes(&avro), err);
  ee_buf_release(&avro);
  free(text);
  return good;
}

// Lines that are no events: a policy, or a record as it is.
static bool feed_other(struct local *local, struct ee_str line, bool *ret_taken,
                       struct ee_err *err) {
  json_t *json = json_loadb(line.data, line.size, JSON_REJECT_DUPLICATES, NULL);
  const char *phase = json_string_value(json_object_get(json, "phase"));
  bool good = true;
  *ret_taken = true;
  if (phase != NULL && strcmp(phase, "policy") == 0) {
    good = append_policy(local, json, err);
  } else if (json_object_get(json, "topic") != NULL) {
    struct ee_err why;
    if (!local_append_raw(local, json, &why)) refuse(local, 0, EE_REASON_wrong_schema, why.text);
  } else {
    *ret_taken = false;
  }
  json_decref(json);
  return good;
}

static bool feed_line(struct local *local, struct ee_str line, struct ee_err *err) {
  char event_id[EE_UUID_SIZE], envelope_id[EE_UUID_SIZE];
  struct ee_event_line event;
  struct ee_line_fault fault;
  bool taken;
  if (line.data == NULL) {
    refuse(local, 0, EE_REASON_oversized, "longer than any event");
    return true;
  }
  if (!feed_other(local, line, &taken, err)) return false;
  if (taken) return true;
  ee_uuid7_now(event_id);
  ee_uuid7_now(envelope_id);
  struct ee_line_defaults defaults = {.envelope_id = ee_str(envelope_id),
                                      .event_id = ee_str(event_id),
                                      .source = EE_STR("urn:envelope-local"),
                                      .occurred_at = ee_clock_wall_micros()};
  if (!ee_event_line_read(line, &defaults, &local->arena, &event, &fault)) {
    refuse(local, fault.column, fault.fault.reason, fault.fault.detail);
    return true;
  }
  if (event.traceparent.data != NULL && !ee_traceparent_valid(ee_str_bytes(event.traceparent))) {
    refuse(local, 0, EE_REASON_wrong_schema, "traceparent: not as in W3C Trace Context");
    return true;
  }
  return append_event(local, &event, err);
}

bool local_feed(struct local *local, FILE *in, struct ee_err *err) {
  return local_each_line(local, in, EE_LINE_MAX, feed_line, err);
}
