// SPDX-License-Identifier: Apache-2.0
// From lines to records in Kafka, and from acknowledgements to counts and printed lines.
#include "emit/emit.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/time.h"
#include "contract/ident.h"
#include "emit/lines.h"
#include "stream/lookup.h"
#include "wire/partition.h"

#define ARENA_MAX ((size_t)16 << 20)
#define HEADERS_MAX (EE_CLOUDEVENT_HEADERS + 2)
#define PRINT_MAX 2048

struct target {
  char name[EE_TOPIC_NAME_SIZE];
  int32_t partitions;  // 0: not asked yet
  struct ee_bytes prefix;
};

struct ee_emit {
  const struct ee_emit_settings *settings;
  struct ee_wait *wait;
  struct ee_client *client;
  struct ee_codec_set codecs;
  struct target targets[EE_TOPIC_COUNT];
  struct ee_arena arena;  // of one line
  struct ee_buf value;
  struct ee_buf printed;
  struct ee_emit_counts counts;
  bool print_failed;
};

// What is remembered of a record until it is acknowledged.
struct sent {
  uint64_t line;
  size_t envelope_id_size;
  size_t event_id_size;  // 0: none
  char text[];           // envelope_id, event_id
};

// ---- Acknowledgements.

static void print_delivery(struct ee_emit *emit, const struct sent *sent,
                           const struct ee_delivery *delivery) {
  struct ee_buf *out = &emit->printed;
  ee_buf_clear(out);
  ee_buf_printf(out, "{\"line\":%" PRIu64 ",\"envelope_id\":", sent->line);
  ee_buf_json_string(out, (struct ee_str){sent->text, sent->envelope_id_size});
  if (sent->event_id_size != 0) {
    ee_buf_text(out, ",\"event_id\":");
    ee_buf_json_string(out,
                       (struct ee_str){sent->text + sent->envelope_id_size, sent->event_id_size});
  }
  ee_buf_text(out, ",\"topic\":");
  ee_buf_json_string(out, ee_str(delivery->topic));
  ee_buf_printf(out, ",\"partition\":%" PRId32 ",\"offset\":%" PRId64 "}\n", delivery->partition,
                delivery->offset);
  if (out->failed || fwrite(out->data, 1, out->size, emit->settings->print) != out->size) {
    emit->print_failed = true;
  }
}

static void on_delivery(void *context, const struct ee_delivery *delivery) {
  struct ee_emit *emit = context;
  struct sent *sent = delivery->opaque;
  ee_wait_again(emit->wait);
  if (delivery->given_up) {
    emit->counts.given_up++;
  } else if (delivery->failed != NULL) {
    emit->counts.failed++;
    ee_log(EE_ERROR, "event not written",
           EE_LOG_WITH(EE_LOG_I("line", (int64_t)sent->line),
                       EE_LOG_S("topic", ee_str(delivery->topic)),
                       EE_LOG_S("reason", ee_str(delivery->failed))));
  } else {
    emit->counts.delivered++;
    if (emit->settings->print != NULL) print_delivery(emit, sent, delivery);
  }
  free(sent);
}

// ---- Life.

bool ee_emit_new(const struct ee_emit_settings *settings, struct ee_wait *wait,
                 struct ee_emit **ret, struct ee_err *err) {
  struct ee_emit *emit = calloc(1, sizeof *emit);
  if (emit == NULL) return ee_err_set(err, "memory is out");
  emit->settings = settings;
  emit->wait = wait;
  ee_arena_init(&emit->arena, ARENA_MAX);
  ee_buf_init(&emit->value, EE_EVENT_SIZE_MAX + EE_FRAME_MAX);
  ee_buf_init(&emit->printed, PRINT_MAX);
  if (!ee_client_new(settings->client, EE_CLIENT_PRODUCER, "envelope-emit", &emit->client, err) ||
      !ee_codec_set_init(&emit->codecs, settings->client, NULL, err)) {
    ee_emit_free(emit);
    return false;
  }
  ee_client_on_delivery(emit->client, on_delivery, emit);
  for (int i = 0; i < EE_TOPIC_COUNT; i++) {
    ee_client_topic_name(settings->client, (enum ee_topic)i, emit->targets[i].name);
  }
  *ret = emit;
  return true;
}

void ee_emit_free(struct ee_emit *emit) {
  if (emit == NULL) return;
  ee_client_free(emit->client);
  ee_codec_set_release(&emit->codecs);
  ee_arena_release(&emit->arena);
  ee_buf_release(&emit->value);
  ee_buf_release(&emit->printed);
  free(emit);
}

// ---- Lines.

static void refuse(struct ee_emit *emit, uint64_t number, int column,
                   const struct ee_fault *fault) {
  emit->counts.refused++;
  struct ee_log_member members[5] = {EE_LOG_I("line", (int64_t)number),
                                     EE_LOG_S("reason", ee_str(ee_reason_name(fault->reason))),
                                     EE_LOG_S("detail", ee_str(fault->detail))};
  if (column > 0) members[3] = EE_LOG_I("column", column);
  ee_log(EE_ERROR, "line refused", members);
}

void ee_emit_too_long(struct ee_emit *emit, uint64_t number) {
  struct ee_fault fault;
  ee_fault_set(&fault, EE_REASON_oversized, 0, "a line may have at most %zu bytes", EE_LINE_MAX);
  emit->counts.lines++;
  refuse(emit, number, 0, &fault);
}

// Asks for what has to be known of a topic, once.
static bool find_target(struct ee_emit *emit, enum ee_topic topic, struct ee_err *err) {
  struct target *target = &emit->targets[topic];
  if (target->partitions != 0) return true;
  int32_t count;
  if (!ee_client_partitions(emit->client, target->name, emit->wait, &count, NULL, err))
    return false;
  if (count == 0) {
    return ee_err_set(err, "topic %s does not exist: run `envelopectl topics apply` first",
                      target->name);
  }
  if (!ee_lookup_prefix(&emit->codecs, topic, emit->wait, &target->prefix, err)) return false;
  target->partitions = count;
  return true;
}

static size_t add_trace(const struct ee_emit *emit, const struct ee_event_line *event,
                        struct ee_header *headers) {
  struct ee_str parent = event->traceparent;
  struct ee_str state = event->tracestate;
  if (parent.data == NULL) {
    parent = ee_str(emit->settings->traceparent);
    state = ee_str(emit->settings->tracestate);
  }
  size_t count = 0;
  if (parent.data == NULL) return 0;
  headers[count++] = (struct ee_header){EE_STR("traceparent"), ee_str_bytes(parent)};
  if (state.data != NULL) {
    headers[count++] = (struct ee_header){EE_STR("tracestate"), ee_str_bytes(state)};
  }
  return count;
}

static struct sent *remember(uint64_t number, const struct ee_event_line *event) {
  struct ee_str id = event->envelope_id;
  struct ee_str event_id = event->event_id;
  struct sent *sent = malloc(sizeof *sent + id.size + event_id.size);
  if (sent == NULL) return NULL;
  *sent =
      (struct sent){.line = number, .envelope_id_size = id.size, .event_id_size = event_id.size};
  memcpy(sent->text, id.data, id.size);
  if (event_id.size != 0) memcpy(sent->text + id.size, event_id.data, event_id.size);
  return sent;
}

static bool send_event(struct ee_emit *emit, uint64_t number, const struct ee_event_line *event,
                       struct ee_err *err) {
  struct target *target = &emit->targets[event->topic];
  struct ee_header headers[HEADERS_MAX];
  size_t header_count = 0;
  if (event->topic < EE_PHASE_TOPICS) {
    header_count =
        ee_headers_cloudevent((enum ee_phase)event->topic, event->record, &emit->arena, headers);
    if (header_count == 0) return ee_err_set(err, "memory is out");
  }
  header_count += add_trace(emit, event, headers + header_count);
  struct ee_bytes key = ee_str_bytes(event->envelope_id);
  struct ee_send send = {.topic = target->name,
                         .partition = ee_partition_of(key, target->partitions),
                         .key = key,
                         .value = ee_buf_bytes(&emit->value),
                         .headers = headers,
                         .header_count = header_count,
                         .opaque = remember(number, event)};
  if (send.opaque == NULL) return ee_err_set(err, "memory is out");
  if (!ee_emit_waits(emit)) ee_wait_again(emit->wait);
  if (ee_client_send(emit->client, &send, emit->wait, err)) return true;
  free(send.opaque);
  return false;
}

// Reads the line and encodes its event. False: it is refused.
static bool encode(struct ee_emit *emit, struct ee_str line, struct ee_event_line *event,
                   struct ee_line_fault *fault) {
  char ids[2][EE_UUID_SIZE];
  ee_uuid7_now(ids[0]);
  ee_uuid7_now(ids[1]);
  struct ee_line_defaults defaults = {.envelope_id = ee_str(ids[0]),
                                      .event_id = ee_str(ids[1]),
                                      .source = ee_str(emit->settings->source),
                                      .occurred_at = ee_clock_wall_micros()};
  if (!ee_event_line_read(line, &defaults, &emit->arena, event, fault)) return false;
  if (event->traceparent.data != NULL && !ee_traceparent_valid(ee_str_bytes(event->traceparent))) {
    return ee_fault_set(&fault->fault, EE_REASON_wrong_schema, 0,
                        "traceparent: not as in W3C Trace Context");
  }
  ee_buf_clear(&emit->value);
  ee_encode(event->type, event->record, &emit->value);
  if (!emit->value.failed && emit->value.size <= EE_EVENT_SIZE_MAX) return true;
  return ee_fault_set(&fault->fault, EE_REASON_oversized, 0, "an event may have at most %d bytes",
                      EE_EVENT_SIZE_MAX);
}

// Puts the topic's prefix before the event. There is room for it.
static void frame(struct ee_emit *emit, struct ee_bytes prefix) {
  size_t size = emit->value.size;
  ee_buf_append(&emit->value, prefix.data, prefix.size);
  if (emit->value.failed) return;
  memmove(emit->value.data + prefix.size, emit->value.data, size);
  memcpy(emit->value.data, prefix.data, prefix.size);
}

bool ee_emit_line(struct ee_emit *emit, uint64_t number, struct ee_str line, struct ee_err *err) {
  struct ee_event_line event;
  struct ee_line_fault fault = {.column = 0};
  if (ee_line_is_blank(line)) return true;
  emit->counts.lines++;
  bool ok = true;
  if (!encode(emit, line, &event, &fault)) {
    refuse(emit, number, fault.column, &fault.fault);
  } else {
    ok = find_target(emit, event.topic, err);
    if (ok) frame(emit, emit->targets[event.topic].prefix);
    if (ok && emit->value.failed) ok = ee_err_set(err, "memory is out");
    ok = ok && send_event(emit, number, &event, err);
    if (!ok) emit->counts.given_up++;
  }
  ee_arena_clear(&emit->arena);
  return ok;
}

// ---- Waiting.

static bool show_printed(struct ee_emit *emit, struct ee_err *err) {
  if (emit->settings->print == NULL) return true;
  if (fflush(emit->settings->print) != 0) emit->print_failed = true;
  return !emit->print_failed || ee_err_set(err, "standard output cannot be written");
}

bool ee_emit_serve(struct ee_emit *emit, struct ee_err *err) {
  ee_client_serve(emit->client, 0);
  if (!show_printed(emit, err)) return false;
  return !ee_emit_waits(emit) || ee_wait_more(emit->wait, "Kafka to acknowledge events",
                                              ee_client_trouble(emit->client), err);
}

bool ee_emit_waits(const struct ee_emit *emit) {
  return ee_client_outstanding(emit->client) != 0;
}

bool ee_emit_flush(struct ee_emit *emit, struct ee_wait *wait, struct ee_err *err) {
  struct ee_wait *before = emit->wait;
  emit->wait = wait;
  bool ok = ee_client_flush(emit->client, wait, err);
  emit->wait = before;
  return show_printed(emit, ok ? err : NULL) && ok;
}

struct ee_emit_counts ee_emit_finish(struct ee_emit *emit) {
  ee_client_purge(emit->client);
  return emit->counts;
}
