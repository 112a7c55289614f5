// SPDX-License-Identifier: Apache-2.0
// From a line of JSON to the record of its phase, and back.
#include "contract/event_line.h"

#include "contract/canonical.h"
#include "contract/json.h"

#define RECEIPT "receipt"

static bool parse(struct ee_str line, json_t **ret, struct ee_line_fault *fault) {
  if (line.size > EE_LINE_MAX) {
    return ee_fault_set(&fault->fault, EE_REASON_oversized, 0, "a line may have at most %zu bytes",
                        EE_LINE_MAX);
  }
  if (ee_json_nesting(line) > EE_DEPTH_MAX) {
    return ee_fault_set(&fault->fault, EE_REASON_too_deep, 0, "more than %d levels of nesting",
                        EE_DEPTH_MAX);
  }
  // The parser takes a NUL for the end of the text.
  if (memchr(line.data, 0, line.size) != NULL) {
    return ee_fault_set(&fault->fault, EE_REASON_wrong_schema, 0, "not JSON: a NUL byte");
  }
  json_error_t error;
  *ret = json_loadb(line.data, line.size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
  if (*ret == NULL) {
    fault->column = error.column > 0 ? error.column : 0;
    return ee_fault_set(&fault->fault, EE_REASON_wrong_schema, 0, "not JSON: %s", error.text);
  }
  if (json_is_object(*ret)) return true;
  return ee_fault_set(&fault->fault, EE_REASON_wrong_schema, 0, "not an object");
}

static bool find_type(const json_t *json, struct ee_event_line *line, struct ee_fault *fault) {
  const json_t *member = json_object_get(json, "phase");
  struct ee_str name = {json_string_value(member), json_string_length(member)};
  if (name.data == NULL) {
    return ee_fault_set(fault, EE_REASON_missing_field, 0, "phase: is missing or not a text");
  }
  int phase = ee_phase_find(name);
  if (phase < 0 && !ee_str_equal(name, ee_str(RECEIPT))) {
    return ee_fault_set(fault, EE_REASON_bad_enum, 0,
                        "phase: \"%.*s\" is none of admission, resolved, finalized, failed, "
                        "released, annotation, " RECEIPT,
                        name.size > 64 ? 64 : (int)name.size, name.data);
  }
  line->topic = phase < 0 ? EE_TOPIC_OBLIGATION : (enum ee_topic)phase;
  line->type = ee_topics[line->topic].value;
  return true;
}

static bool printable(struct ee_str text) {
  for (size_t i = 0; i < text.size; i++) {
    if (text.data[i] < 0x20 || text.data[i] > 0x7e) return false;
  }
  return true;
}

bool ee_tracestate_valid(struct ee_str text) {
  return text.size <= EE_TRACESTATE_MAX && printable(text);
}

// Takes a text that is the line's and not the record's out of the object.
static bool take(json_t *json, const char *name, size_t most, struct ee_arena *arena,
                 struct ee_str *ret, struct ee_fault *fault) {
  const json_t *member = json_object_get(json, name);
  *ret = (struct ee_str){json_string_value(member), json_string_length(member)};
  if (member == NULL) return true;
  if (ret->data == NULL || ret->size > most || !printable(*ret)) {
    return ee_fault_set(fault, EE_REASON_wrong_schema, 0,
                        "%s: at most %zu printable ASCII characters are allowed", name, most);
  }
  *ret = ee_arena_str(arena, *ret);
  if (ret->data == NULL) return ee_fault_set(fault, EE_REASON_oversized, 0, "memory is out");
  json_object_del(json, name);
  return true;
}

static bool fill(json_t *json, const char *name, json_t *value) {
  if (json_object_get(json, name) == NULL) return json_object_set_new(json, name, value) == 0;
  json_decref(value);
  return true;
}

// What is absent from the defaults too is found missing later.
static bool fill_text(json_t *json, const char *name, struct ee_str text) {
  if (text.data == NULL) return true;
  return fill(json, name, json_stringn(text.data, text.size));
}

static bool fill_all(json_t *json, enum ee_topic topic, const struct ee_line_defaults *defaults) {
  bool is_event = topic < EE_PHASE_TOPICS;
  return fill(json, "occurred_at", json_integer(defaults->occurred_at)) &&
         (!is_event || fill_text(json, "event_id", defaults->event_id)) &&
         (!is_event || fill_text(json, "source", defaults->source)) &&
         (topic != EE_TOPIC_ADMISSION || fill_text(json, "envelope_id", defaults->envelope_id));
}

static bool read_record(const json_t *json, struct ee_arena *arena, struct ee_event_line *line,
                        struct ee_fault *fault) {
  line->record = ee_arena_zero(arena, 1, line->type->size);
  if (line->record == NULL) return ee_fault_set(fault, EE_REASON_oversized, 0, "memory is out");
  if (!ee_json_read(line->type, json, arena, line->record, fault)) return false;
  if (line->topic == EE_TOPIC_OBLIGATION) {
    line->envelope_id = ((const struct ee_receipt *)line->record)->envelope_id;
  } else {
    const struct ee_event_head *head = line->record;
    line->envelope_id = head->envelope_id;
    line->event_id = head->event_id;
  }
  return true;
}

bool ee_event_line_read(struct ee_str line, const struct ee_line_defaults *defaults,
                        struct ee_arena *arena, struct ee_event_line *ret,
                        struct ee_line_fault *fault) {
  json_t *json = NULL;
  *ret = (struct ee_event_line){.record = NULL};
  *fault = (struct ee_line_fault){.column = 0};
  bool ok = parse(line, &json, fault) && find_type(json, ret, &fault->fault) &&
            take(json, "traceparent", 255, arena, &ret->traceparent, &fault->fault) &&
            take(json, "tracestate", EE_TRACESTATE_MAX, arena, &ret->tracestate, &fault->fault);
  if (ok) {
    json_object_del(json, "phase");
    ok = fill_all(json, ret->topic, defaults) ||
         ee_fault_set(&fault->fault, EE_REASON_oversized, 0, "memory is out");
  }
  ok = ok && read_record(json, arena, ret, &fault->fault);
  json_decref(json);
  return ok;
}

static void add_text(struct ee_buf *out, const char *name, struct ee_str text) {
  if (text.data == NULL) return;
  ee_buf_printf(out, ",\"%s\":", name);
  ee_buf_json_string(out, text);
}

// The record's opening brace makes way for what stands before it.
bool ee_event_line_write(enum ee_topic topic, const void *record, struct ee_str traceparent,
                         struct ee_str tracestate, struct ee_buf *out) {
  bool is_event = topic < EE_PHASE_TOPICS;
  if (!ee_topic_has_events(topic)) return false;
  ee_buf_printf(out, "{\"phase\":\"%s\"", is_event ? ee_phase_name((enum ee_phase)topic) : RECEIPT);
  add_text(out, "traceparent", traceparent);
  add_text(out, "tracestate", tracestate);
  size_t at = out->size;
  ee_json_write(ee_topics[topic].value, record, NULL, out);
  if (!out->failed) out->data[at] = ',';
  return true;
}
