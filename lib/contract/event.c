// SPDX-License-Identifier: Apache-2.0
// What the events of all phases have in common: one head, names, order, sensitivity.
#include "contract/event.h"

#include <assert.h>

#include "contract/ident.h"

#define SAME_PLACE(RECORD, FIELD)                                                                \
  static_assert(offsetof(struct RECORD, FIELD) == offsetof(struct ee_event_head, FIELD) &&       \
                    sizeof((struct RECORD){0}.FIELD) == sizeof((struct ee_event_head){0}.FIELD), \
                #RECORD " must begin like ee_event_head: " #FIELD)
#define BEGINS_WITH_HEAD(RECORD)   \
  SAME_PLACE(RECORD, encoded);     \
  SAME_PLACE(RECORD, envelope_id); \
  SAME_PLACE(RECORD, event_id);    \
  SAME_PLACE(RECORD, tenant);      \
  SAME_PLACE(RECORD, occurred_at); \
  SAME_PLACE(RECORD, source);      \
  SAME_PLACE(RECORD, sensitivity)

BEGINS_WITH_HEAD(ee_admission);
BEGINS_WITH_HEAD(ee_resolved);
BEGINS_WITH_HEAD(ee_finalized);
BEGINS_WITH_HEAD(ee_failed);
BEGINS_WITH_HEAD(ee_released);
BEGINS_WITH_HEAD(ee_annotation);

#define SAME_NUMBER(NAME) \
  static_assert((int)EE_PHASE_##NAME == (int)EE_TOPIC_##NAME, "phases and topics differ: " #NAME)
SAME_NUMBER(ADMISSION);
SAME_NUMBER(RESOLVED);
SAME_NUMBER(FINALIZED);
SAME_NUMBER(FAILED);
SAME_NUMBER(RELEASED);
SAME_NUMBER(ANNOTATION);
static_assert((int)EE_PHASE_OTHER == EE_PHASE_TOPICS, "a phase has no topic");

static bool is_phase(enum ee_phase phase) {
  return (unsigned)phase < EE_PHASE_TOPICS;
}

const struct ee_record_type *ee_phase_record(enum ee_phase phase) {
  static const struct ee_record_type *const types[EE_PHASE_TOPICS] = {
      [EE_PHASE_ADMISSION] = &ee_admission_type, [EE_PHASE_RESOLVED] = &ee_resolved_type,
      [EE_PHASE_FINALIZED] = &ee_finalized_type, [EE_PHASE_FAILED] = &ee_failed_type,
      [EE_PHASE_RELEASED] = &ee_released_type,   [EE_PHASE_ANNOTATION] = &ee_annotation_type,
  };
  return is_phase(phase) ? types[phase] : NULL;
}

static const char *const phase_names[EE_PHASE_TOPICS] = {
    [EE_PHASE_ADMISSION] = "admission", [EE_PHASE_RESOLVED] = "resolved",
    [EE_PHASE_FINALIZED] = "finalized", [EE_PHASE_FAILED] = "failed",
    [EE_PHASE_RELEASED] = "released",   [EE_PHASE_ANNOTATION] = "annotation",
};

const char *ee_phase_name(enum ee_phase phase) {
  return is_phase(phase) ? phase_names[phase] : "other";
}

int ee_phase_find(struct ee_str name) {
  for (int i = 0; i < EE_PHASE_TOPICS; i++) {
    if (ee_str_equal(name, ee_str(phase_names[i]))) return i;
  }
  return -1;
}

bool ee_phase_terminal(enum ee_phase phase) {
  return phase == EE_PHASE_FINALIZED || phase == EE_PHASE_FAILED || phase == EE_PHASE_RELEASED;
}

enum ee_sensitivity ee_event_sensitivity(enum ee_phase phase, const void *record) {
  if (!is_phase(phase)) return EE_SENSITIVITY_RESTRICTED;
  const struct ee_event_head *head = record;
  struct ee_opt_enum own = head->sensitivity;
  struct ee_opt_enum governed = {.present = false};
  if (phase == EE_PHASE_ADMISSION) {
    const struct ee_admission *admission = record;
    if (admission->governance != NULL) governed = admission->governance->sensitivity;
  }
  if (!own.present && !governed.present) return EE_SENSITIVITY_RESTRICTED;
  if (!own.present) return (enum ee_sensitivity)governed.value;
  if (!governed.present || governed.value < own.value) return (enum ee_sensitivity)own.value;
  return (enum ee_sensitivity)governed.value;
}

int ee_event_order(const struct ee_event_head *a, const struct ee_event_head *b) {
  if (a->occurred_at != b->occurred_at) return a->occurred_at < b->occurred_at ? -1 : 1;
  return ee_str_compare(a->event_id, b->event_id);
}

bool ee_check_name(struct ee_str name, const char *field, struct ee_fault *fault) {
  return ee_name_fits(name) ||
         ee_fault_set(fault, EE_REASON_oversized, 0,
                      "%s: takes more bytes as JSON than the %d that are allowed", field,
                      EE_NAME_JSON_MAX);
}

// ---- The head alone. The order of its fields is the schemas' (BEGINS_WITH_HEAD; a test compares
// with the decoder).

static bool take_long(struct ee_bytes *in, int64_t *ret) {
  uint64_t value = 0;
  for (size_t i = 0; i < in->size && i < 10; i++) {
    value |= (uint64_t)(in->data[i] & 0x7F) << (7 * i);
    if (in->data[i] & 0x80) continue;
    *in = ee_bytes(in->data + i + 1, in->size - i - 1);
    *ret = (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
    return true;
  }
  return false;
}

static bool take_text(struct ee_bytes *in, struct ee_str *ret) {
  int64_t size;
  if (!take_long(in, &size) || size < 0 || (uint64_t)size > in->size) return false;
  *ret = ee_bytes_str(ee_bytes(in->data, (size_t)size));
  *in = ee_bytes(in->data + size, in->size - (size_t)size);
  return true;
}

bool ee_event_head_read(struct ee_bytes avro, struct ee_event_head *ret) {
  *ret = (struct ee_event_head){.encoded = avro};
  int64_t branch, sensitivity;
  if (!take_text(&avro, &ret->envelope_id) || !take_text(&avro, &ret->event_id) ||
      !take_text(&avro, &ret->tenant) || !take_long(&avro, &ret->occurred_at) ||
      !take_text(&avro, &ret->source) || !take_long(&avro, &branch)) {
    return false;
  }
  if (branch == 0) return true;
  if (branch != 1 || !take_long(&avro, &sensitivity)) return false;
  if (sensitivity < 0 || sensitivity > EE_SENSITIVITY_RESTRICTED) return false;
  ret->sensitivity = (struct ee_opt_enum){.present = true, .value = (int)sensitivity};
  return true;
}

bool ee_topic_has_events(enum ee_topic topic) {
  return (unsigned)topic < EE_PHASE_TOPICS || topic == EE_TOPIC_OBLIGATION;
}

bool ee_event_key_read(enum ee_topic topic, struct ee_bytes avro, struct ee_str *ret) {
  struct ee_str obligation_id;
  if (!ee_topic_has_events(topic)) return false;
  if (topic == EE_TOPIC_OBLIGATION && !take_text(&avro, &obligation_id)) return false;
  return take_text(&avro, ret);
}
