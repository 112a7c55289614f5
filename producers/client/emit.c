// SPDX-License-Identifier: Apache-2.0
// What callers do: an event is filled in, checked, encoded and appended to the spool.
#include "base/time.h"
#include "client/event.h"
#include "client/mistake.h"
#include "client/producer_impl.h"
#include "contract/event_line.h"
#include "contract/ident.h"
#include "contract/record.h"

#define JSON_MEMORY_MAX ((size_t)16 << 20)

// What is appended, and the key by which it is counted if there is no room.
struct letter {
  enum ee_topic topic;
  const struct ee_record_type *type;
  const void *record;
  struct ee_str envelope_id;
  const struct ee_trace *trace;
  int64_t accepted_us;
};

static int no_room(struct envelope_producer *producer, const struct letter *letter) {
  if (producer->refuse_when_full) return ENVELOPE_FULL;
  atomic_fetch_add_explicit(&producer->dropped, 1, memory_order_relaxed);
  ee_sender_dropped(producer->sender, letter->topic, letter->envelope_id);
  return ENVELOPE_DROPPED;
}

static int append(struct envelope_producer *producer, const struct letter *letter,
                  struct ee_buf *avro, struct envelope_error *error) {
  struct ee_spool_at at;
  ee_buf_clear(avro);
  ee_encode(letter->type, letter->record, avro);
  if (avro->failed && !avro->over_limit) {
    return ee_mistake(error, ENVELOPE_NO_MEMORY, NULL, "memory is out");
  }
  if (avro->failed || avro->size > EE_EVENT_SIZE_MAX) {
    return ee_mistake(error, ENVELOPE_OVERSIZED, NULL, "an event may have at most %d bytes",
                      EE_EVENT_SIZE_MAX);
  }
  struct ee_spool_item item = {.schema = letter->type->fingerprint,
                               .accepted_us = letter->accepted_us,
                               .topic = (uint8_t)letter->topic,
                               .attributes = ee_bytes(letter->trace->bytes, letter->trace->size),
                               .payload = ee_buf_bytes(avro)};
  if (!ee_spool_append(producer->spool, &item, &at)) return no_room(producer, letter);
  atomic_fetch_add_explicit(&producer->accepted, 1, memory_order_relaxed);
  if (!producer->sync_calls || producer_sync(producer, at)) return ENVELOPE_OK;
  return ee_mistake(error, ENVELOPE_UNAVAILABLE, NULL,
                    "the event is in the spool, but may not be on the disk");
}

static int forked(struct envelope_error *error) {
  return ee_mistake(error, ENVELOPE_FORKED, NULL,
                    "the producer belongs to the parent process: open one here");
}

// ---- Events.

static bool fill_text(struct envelope_event *event, struct ee_str *at, struct ee_str text) {
  if (at->data != NULL || text.data == NULL) return true;
  *at = ee_event_keep(event, text);
  return at->data != NULL;
}

static bool fill(struct envelope_event *event, struct ee_str source, int64_t now_us) {
  struct ee_event_head *head = &event->record.head;
  char id[EE_UUID_SIZE];
  if (head->occurred_at == INT64_MIN) head->occurred_at = now_us;
  if (head->event_id.data == NULL) ee_uuid7_now(id);
  return fill_text(event, &head->event_id, ee_str(id)) && fill_text(event, &head->source, source);
}

int envelope_emit(envelope_producer *producer, envelope_event *event,
                  struct envelope_error *error) {
  struct ee_fault fault;
  const struct ee_record_type *type = ee_phase_record(event->phase);
  if (producer_forked(producer)) return forked(error);
  int64_t now_us = ee_clock_wall_micros();
  if (!fill(event, producer->source, now_us)) return ee_event_no_room(event, NULL, error);
  struct letter letter = {.topic = (enum ee_topic)event->phase,
                          .type = type,
                          .record = &event->record,
                          .envelope_id = event->record.head.envelope_id,
                          .trace = &event->trace,
                          .accepted_us = now_us};
  if (!ee_check_record(type, &event->record, &fault) ||
      !ee_check_name(letter.envelope_id, "envelope_id", &fault)) {
    return ee_mistake_of_fault(error, &fault);
  }
  return append(producer, &letter, &event->avro, error);
}

// ---- JSON.

// The trace context that goes with a line: its own, else the request's. False: its own is not
// valid.
static bool set_trace(const struct ee_event_line *event, struct ee_str traceparent,
                      struct ee_str tracestate, struct ee_trace *ret) {
  if (event->traceparent.data != NULL)
    return ee_trace_set(ret, event->traceparent, event->tracestate);
  ee_trace_set(ret, traceparent, tracestate);
  return true;
}

static bool read_line(const struct envelope_producer *producer, struct ee_str line, int64_t now_us,
                      struct ee_arena *arena, struct ee_event_line *ret,
                      struct ee_line_fault *fault) {
  char ids[2][EE_UUID_SIZE];
  ee_uuid7_now(ids[0]);
  ee_uuid7_now(ids[1]);
  struct ee_line_defaults defaults = {.envelope_id = ee_str(ids[0]),
                                      .event_id = ee_str(ids[1]),
                                      .source = producer->source,
                                      .occurred_at = now_us};
  return ee_event_line_read(line, &defaults, arena, ret, fault) &&
         ee_check_name(ret->envelope_id, "envelope_id", &fault->fault);
}

static int emit_line(struct envelope_producer *producer, struct ee_str line,
                     const struct ee_trace *request, struct ee_arena *arena, struct ee_buf *avro,
                     struct envelope_error *error) {
  struct ee_trace trace;
  struct ee_event_line event;
  struct ee_line_fault fault = {.column = 0};
  struct ee_str parent, state;
  int64_t now_us = ee_clock_wall_micros();
  if (!read_line(producer, line, now_us, arena, &event, &fault)) {
    int result = ee_mistake_of_fault(error, &fault.fault);
    if (error != NULL) error->column = fault.column;
    return result;
  }
  ee_trace_read(ee_bytes(request->bytes, request->size), &parent, &state);
  if (!set_trace(&event, parent, state, &trace)) {
    return ee_mistake(error, ENVELOPE_WRONG_SCHEMA, "traceparent",
                      "traceparent: not as in W3C Trace Context");
  }
  struct letter letter = {.topic = event.topic,
                          .type = event.type,
                          .record = event.record,
                          .envelope_id = event.envelope_id,
                          .trace = &trace,
                          .accepted_us = now_us};
  return append(producer, &letter, avro, error);
}

int envelope_emit_json(envelope_producer *producer, const char *json, size_t size,
                       const char *traceparent, const char *tracestate,
                       struct envelope_error *error) {
  struct ee_arena arena;
  struct ee_buf avro;
  struct ee_trace request;
  if (producer_forked(producer)) return forked(error);
  ee_trace_set(&request, ee_str(traceparent), ee_str(tracestate));
  ee_arena_init(&arena, JSON_MEMORY_MAX);
  ee_buf_init(&avro, 2 * EE_EVENT_SIZE_MAX);
  struct ee_str line = size == ENVELOPE_TEXT ? ee_str(json) : (struct ee_str){json, size};
  if (json == NULL) line = EE_STR("");
  int result = emit_line(producer, line, &request, &arena, &avro, error);
  ee_buf_release(&avro);
  ee_arena_release(&arena);
  return result;
}
