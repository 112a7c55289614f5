// SPDX-License-Identifier: Apache-2.0
// Filling in an event: what each call stores, what it refuses and leaves as it was, and how much
// an event holds.
#include "client/event.h"

#include <stdio.h>

#include "client/fields.h"
#include "contract/record.h"
#include "support/chaos.h"
#include "tests/support/test.h"

#define MOST ((size_t)1 << 20)  // bytes of an event's memory
#define ID "0197f3a0-0000-7000-8000-000000000001"
#define PARENT "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

static envelope_event *event_of(envelope_phase phase) {
  envelope_event *event = envelope_event_new(phase);
  assert_non_null(event);
  return event;
}

static void assert_str(struct ee_str found, const char *data, size_t size) {
  assert_true(ee_str_equal(found, (struct ee_str){data, size}));
  assert_int_equal(found.data[size], '\0');  // so that it can be borrowed as text
}

static void set(envelope_event *event, envelope_field field, const char *text) {
  assert_int_equal(envelope_event_set_text(event, field, text, ENVELOPE_TEXT, NULL), ENVELOPE_OK);
}

// ---- What fits where.

enum call { SET_TEXT, SET_LONG, SET_BOOLEAN, PUT_TEXT, PUT_LONG, ADD_TEXT, ADD_REF, CALLS };

static int call(enum call call, envelope_event *event, envelope_field field, const char *text,
                struct envelope_error *error) {
  switch (call) {
    case SET_TEXT:
      return envelope_event_set_text(event, field, text, ENVELOPE_TEXT, error);
    case SET_LONG:
      return envelope_event_set_long(event, field, 5, error);
    case SET_BOOLEAN:
      return envelope_event_set_boolean(event, field, 1, error);
    case PUT_TEXT:
      return envelope_event_put_text(event, field, "a/k", ENVELOPE_TEXT, text, ENVELOPE_TEXT,
                                     error);
    case PUT_LONG:
      return envelope_event_put_long(event, field, "a/k", ENVELOPE_TEXT, 5, error);
    case ADD_TEXT:
      return envelope_event_add_text(event, field, text, ENVELOPE_TEXT, error);
    case ADD_REF:
      return envelope_event_add_authority_ref(event, "k", "r", "d", error);
    case CALLS:
      break;
  }
  return INT32_MIN;
}

static bool fits(enum call call, enum ee_phase phase, int field) {
  const struct ee_field_place *place = ee_field_place(phase, field);
  if (call == ADD_REF) return phase == EE_PHASE_ADMISSION;
  if (place == NULL) return false;
  const struct ee_type *type = &place->leaf->type;
  bool is_map = type->kind == EE_TYPE_MAP, is_list = type->kind == EE_TYPE_ARRAY;
  switch (call) {
    case SET_TEXT:
      return type->kind == EE_TYPE_STRING || type->kind == EE_TYPE_ENUM;
    case SET_LONG:
      return type->kind == EE_TYPE_LONG;
    case SET_BOOLEAN:
      return type->kind == EE_TYPE_BOOLEAN;
    case PUT_TEXT:
      return is_map && type->item->kind == EE_TYPE_STRING;
    case PUT_LONG:
      return is_map && type->item->kind == EE_TYPE_LONG;
    case ADD_TEXT:
      return is_list && type->item->kind == EE_TYPE_STRING;
    default:
      return false;
  }
}

// A symbol where one is wanted.
static const char *text_for(enum ee_phase phase, int field) {
  const struct ee_field_place *place = ee_field_place(phase, field);
  if (place == NULL || place->leaf->type.kind != EE_TYPE_ENUM) return "text";
  return place->leaf->type.enumeration->symbols[0].data;
}

static void assert_refusal(const struct envelope_error *error, enum ee_phase phase, int field) {
  const char *path = ee_field_path(field);
  assert_int_equal(error->result, ENVELOPE_WRONG_FIELD);
  assert_int_equal(error->column, 0);
  assert_string_equal(error->field, path == NULL ? "" : path);
  assert_non_null(strstr(error->text, ee_phase_name(phase)));
}

static void try_call(enum call which, enum ee_phase phase, int field) {
  envelope_event *event = event_of((envelope_phase)phase);
  const struct ee_record_type *type = ee_phase_record(phase);
  union ee_event_record before = event->record;
  struct envelope_error error = {.result = 99, .column = 99};
  int result = call(which, event, (envelope_field)field, text_for(phase, field), &error);
  bool unchanged = ee_equal(type, &event->record, &before, NULL);
  if (fits(which, phase, field)) {
    if (result != ENVELOPE_OK) fail_msg("%d of %d: %s", which, field, error.text);
    assert_false(unchanged);
    assert_int_equal(error.result, 99);
  } else {
    if (result != ENVELOPE_WRONG_FIELD || !unchanged) {
      fail_msg("%s, field %d, call %d: %d%s", ee_phase_name(phase), field, which, result,
               unchanged ? "" : ", and something was stored");
    }
    int named = which == ADD_REF ? ENVELOPE_FIELD_CALLER_AUTHORITY_REFS : field;
    assert_refusal(&error, phase, named);
  }
  assert_int_equal(call(which, event, (envelope_field)field, text_for(phase, field), NULL), result);
  envelope_event_free(event);
}

static void each_call_takes_its_fields_alone(void **state) {
  (void)state;
  for (int phase = 0; phase < EE_PHASE_TOPICS; phase++) {
    for (int field = -1; field <= EE_FIELDS_END; field++) {
      for (int which = 0; which < ADD_REF; which++)
        try_call((enum call)which, (enum ee_phase)phase, field);
    }
    try_call(ADD_REF, (enum ee_phase)phase, 0);
  }
}

static void there_are_six_phases(void **state) {
  (void)state;
  assert_null(envelope_event_new((envelope_phase)EE_PHASE_TOPICS));
  assert_null(envelope_event_new((envelope_phase)-1));
  envelope_event *event = event_of(ENVELOPE_FAILED);
  set(event, ENVELOPE_FIELD_TENANT, "t");
  assert_int_equal(envelope_event_begin(event, (envelope_phase)6), ENVELOPE_WRONG_FIELD);
  assert_int_equal(envelope_event_follow(event, (envelope_phase)-1, event), ENVELOPE_WRONG_FIELD);
  assert_str(event->record.head.tenant, "t", 1);
  envelope_event_free(event);
  envelope_event_free(NULL);
}

static void no_text_is_refused(void **state) {
  (void)state;
  struct envelope_error error;
  envelope_event *event = event_of(ENVELOPE_ADMISSION);
  union ee_event_record before = event->record;
  static const struct {
    enum call call;
    envelope_field field;
  } calls[] = {{SET_TEXT, ENVELOPE_FIELD_TENANT},
               {SET_TEXT, ENVELOPE_FIELD_SENSITIVITY},
               {SET_TEXT, ENVELOPE_FIELD_SCOPE_APP},
               {PUT_TEXT, ENVELOPE_FIELD_GOVERNANCE_HINTS},
               {ADD_TEXT, ENVELOPE_FIELD_GOVERNANCE_POLICY_REFS}};
  for (size_t i = 0; i < COUNT_OF(calls); i++) {
    assert_int_equal(call(calls[i].call, event, calls[i].field, NULL, &error),
                     ENVELOPE_WRONG_FIELD);
    assert_refusal(&error, EE_PHASE_ADMISSION, calls[i].field);
  }
  int field = ENVELOPE_FIELD_REQUESTED_PLACEMENT;
  assert_int_equal(envelope_event_put_text(event, field, NULL, 0, "v", 1, &error),
                   ENVELOPE_WRONG_FIELD);
  assert_refusal(&error, EE_PHASE_ADMISSION, field);
  field = ENVELOPE_FIELD_REQUESTED_AMOUNTS;
  assert_int_equal(envelope_event_put_long(event, field, NULL, ENVELOPE_TEXT, 1, &error),
                   ENVELOPE_WRONG_FIELD);
  field = ENVELOPE_FIELD_CALLER_AUTHORITY_REFS;
  assert_int_equal(envelope_event_add_authority_ref(event, NULL, "r", NULL, &error),
                   ENVELOPE_WRONG_FIELD);
  assert_int_equal(envelope_event_add_authority_ref(event, "k", NULL, NULL, &error),
                   ENVELOPE_WRONG_FIELD);
  assert_refusal(&error, EE_PHASE_ADMISSION, field);
  assert_true(ee_equal(&ee_admission_type, &event->record, &before, NULL));
  envelope_event_free(event);
}

static void symbols_are_those_of_the_schema(void **state) {
  (void)state;
  struct envelope_error error;
  envelope_event *event = event_of(ENVELOPE_ADMISSION);
  set(event, ENVELOPE_FIELD_SENSITIVITY, "restricted");
  static const char *const wrong[] = {"Restricted", "", "restricted ", "secret"};
  for (size_t i = 0; i < COUNT_OF(wrong); i++) {
    assert_int_equal(
        envelope_event_set_text(event, ENVELOPE_FIELD_SENSITIVITY, wrong[i], ENVELOPE_TEXT, &error),
        ENVELOPE_BAD_ENUM);
    assert_int_equal(error.result, ENVELOPE_BAD_ENUM);
    assert_string_equal(error.field, "sensitivity");
  }
  assert_non_null(strstr(error.text, "\"secret\" is no Sensitivity"));
  assert_int_equal(event->record.head.sensitivity.value, EE_SENSITIVITY_RESTRICTED);
  assert_int_equal(envelope_event_set_text(event, ENVELOPE_FIELD_GOVERNANCE_AUDIT_LEVEL, "much",
                                           ENVELOPE_TEXT, NULL),
                   ENVELOPE_BAD_ENUM);
  assert_null(event->record.admission.governance);
  envelope_event_free(event);
}

// ---- What is stored.

static void texts_are_copied_with_their_size(void **state) {
  (void)state;
  envelope_event *event = event_of(ENVELOPE_ADMISSION);
  char text[] = "a\0bc";
  assert_int_equal(envelope_event_set_text(event, ENVELOPE_FIELD_SCOPE_APP, text, 4, NULL), 0);
  assert_int_equal(envelope_event_set_text(event, ENVELOPE_FIELD_SCOPE_JOB, text, ENVELOPE_TEXT, 0),
                   0);
  assert_int_equal(envelope_event_set_text(event, ENVELOPE_FIELD_SCOPE_THREAD, text, 0, NULL), 0);
  memset(text, 'x', sizeof text);
  assert_str(event->record.admission.scope->app, "a\0bc", 4);
  assert_str(event->record.admission.scope->job, "a", 1);
  assert_str(event->record.admission.scope->thread, "", 0);
  envelope_event_free(event);
}

static void what_is_set_again_is_replaced(void **state) {
  (void)state;
  envelope_event *event = event_of(ENVELOPE_ADMISSION);
  const struct ee_admission *admission = &event->record.admission;
  set(event, ENVELOPE_FIELD_TENANT, "one");
  set(event, ENVELOPE_FIELD_TENANT, "two");
  set(event, ENVELOPE_FIELD_SCOPE_APP, "one");
  set(event, ENVELOPE_FIELD_SCOPE_JOB, "job");
  set(event, ENVELOPE_FIELD_SCOPE_APP, "two");
  assert_str(admission->tenant, "two", 3);
  assert_str(admission->scope->app, "two", 3);
  assert_str(admission->scope->job, "job", 3);
  for (int64_t i = 0; i < 3; i++) {
    envelope_event_put_long(event, ENVELOPE_FIELD_REQUESTED_AMOUNTS, "key\0x", 5, i, NULL);
    envelope_event_put_long(event, ENVELOPE_FIELD_REQUESTED_AMOUNTS, "key", 3, 10 + i, NULL);
    envelope_event_add_text(event, ENVELOPE_FIELD_CALLER_ON_BEHALF_OF, "same", 4, NULL);
  }
  assert_int_equal(admission->requested.amounts.count, 2);
  assert_str(admission->requested.amounts.entries[0].key, "key\0x", 5);
  assert_int_equal(admission->requested.amounts.entries[0].value, 2);
  assert_int_equal(admission->requested.amounts.entries[1].value, 12);
  assert_int_equal(admission->caller.on_behalf_of.count, 3);
  envelope_event_free(event);
}

static void put_numbered(envelope_event *event, int i) {
  char key[16];
  snprintf(key, sizeof key, "k%d", i);
  assert_int_equal(envelope_event_put_text(event, ENVELOPE_FIELD_REQUESTED_PLACEMENT, key,
                                           ENVELOPE_TEXT, key, ENVELOPE_TEXT, NULL),
                   0);
  assert_int_equal(
      envelope_event_put_long(event, ENVELOPE_FIELD_REQUESTED_AMOUNTS, key, ENVELOPE_TEXT, i, NULL),
      0);
  assert_int_equal(
      envelope_event_add_text(event, ENVELOPE_FIELD_CALLER_ON_BEHALF_OF, key, ENVELOPE_TEXT, NULL),
      0);
  assert_int_equal(envelope_event_add_authority_ref(event, key, key, i % 2 ? key : NULL, NULL), 0);
}

static void assert_numbered(const struct ee_admission *admission, int i) {
  char key[16];
  snprintf(key, sizeof key, "k%d", i);
  size_t size = strlen(key);
  const struct ee_authority_ref *ref = &admission->caller.authority_refs.items[i];
  assert_str(admission->requested.placement.entries[i].key, key, size);
  assert_str(admission->requested.placement.entries[i].value, key, size);
  assert_str(admission->requested.amounts.entries[i].key, key, size);
  assert_int_equal(admission->requested.amounts.entries[i].value, i);
  assert_str(admission->caller.on_behalf_of.items[i], key, size);
  assert_str(ref->kind, key, size);
  assert_str(ref->reference, key, size);
  assert_int_equal(ref->digest.data != NULL, i % 2);
}

// Through each power of two, and beyond what a record may have.
static void lists_and_maps_grow(void **state) {
  (void)state;
  envelope_event *event = event_of(ENVELOPE_ADMISSION);
  const struct ee_admission *admission = &event->record.admission;
  for (int i = 0; i < EE_ENTRIES_MAX + 10; i++) {
    put_numbered(event, i);
    assert_int_equal(admission->requested.placement.count, i + 1);
    assert_int_equal(admission->requested.amounts.count, i + 1);
    assert_int_equal(admission->caller.on_behalf_of.count, i + 1);
    assert_int_equal(admission->caller.authority_refs.count, i + 1);
    bool grew = (i & (i - 1)) == 0;
    for (int j = 0; grew && j <= i; j++)
      assert_numbered(admission, j);
  }
  for (int i = 0; i < EE_ENTRIES_MAX + 10; i++)
    assert_numbered(admission, i);
  envelope_event_free(event);
}

// ---- How much it holds.

static size_t memory_of(const envelope_event *event) {
  return event->arenas[0].total + event->arenas[1].total;
}

static int fill_by(enum call which, envelope_event *event, struct envelope_error *error) {
  char text[1000];
  int result = ENVELOPE_OK;
  memset(text, 'x', sizeof text);
  for (int i = 0; result == ENVELOPE_OK && i < 100000; i++) {
    snprintf(text, sizeof text - 1, "%d", i);
    text[strlen(text)] = '.';
    text[sizeof text - 1] = '\0';
    if (which == SET_TEXT)
      result = call(which, event, ENVELOPE_FIELD_SCOPE_APP, text, error);
    else if (which == PUT_TEXT)
      result = envelope_event_put_text(event, ENVELOPE_FIELD_GOVERNANCE_HINTS, text, ENVELOPE_TEXT,
                                       text, ENVELOPE_TEXT, error);
    else if (which == PUT_LONG)
      result = envelope_event_put_long(event, ENVELOPE_FIELD_REQUESTED_AMOUNTS, text, ENVELOPE_TEXT,
                                       i, error);
    else if (which == ADD_TEXT)
      result = call(which, event, ENVELOPE_FIELD_CALLER_ON_BEHALF_OF, text, error);
    else
      result = envelope_event_add_authority_ref(event, text, "r", NULL, error);
  }
  return result;
}

static void an_event_has_a_most(void **state) {
  (void)state;
  static const struct {
    enum call call;
    const char *field;
  } ways[] = {{SET_TEXT, "scope.app"},
              {PUT_TEXT, "governance.hints"},
              {PUT_LONG, "requested.amounts"},
              {ADD_TEXT, "caller.on_behalf_of"},
              {ADD_REF, "caller.authority_refs"}};
  struct envelope_error error;
  envelope_event *event = event_of(ENVELOPE_ADMISSION);
  for (size_t i = 0; i < COUNT_OF(ways); i++) {
    assert_int_equal(fill_by(ways[i].call, event, &error), ENVELOPE_OVERSIZED);
    assert_int_equal(error.result, ENVELOPE_OVERSIZED);
    assert_string_equal(error.field, ways[i].field);
    assert_in_range(memory_of(event), MOST / 2, 2 * MOST);
    assert_int_equal(envelope_event_begin(event, ENVELOPE_ADMISSION), ENVELOPE_OK);
    set(event, ENVELOPE_FIELD_TENANT, "again");
    assert_str(event->record.admission.tenant, "again", 5);
    assert_null(event->record.admission.scope);
  }
  envelope_event_free(event);
}

// The record that would have held what there was no room for.
static void what_has_no_room_leaves_nothing(void **state) {
  (void)state;
  envelope_event *event = event_of(ENVELOPE_ADMISSION);
  char *text = calloc(1, MOST);
  assert_non_null(text);
  assert_int_equal(envelope_event_set_text(event, ENVELOPE_FIELD_SCOPE_APP, text, MOST, NULL),
                   ENVELOPE_OVERSIZED);
  assert_int_equal(
      envelope_event_put_text(event, ENVELOPE_FIELD_GOVERNANCE_HINTS, text, MOST, "", 0, NULL),
      ENVELOPE_OVERSIZED);
  assert_int_equal(
      envelope_event_add_text(event, ENVELOPE_FIELD_GOVERNANCE_POLICY_REFS, text, MOST, NULL),
      ENVELOPE_OVERSIZED);
  memset(text, 'x', MOST - 1);
  static const char short_text[] = "s";
  for (int i = 0; i < 3; i++) {
    const char *of[] = {short_text, short_text, short_text};
    of[i] = text;
    assert_int_equal(envelope_event_add_authority_ref(event, of[0], of[1], of[2], NULL),
                     ENVELOPE_OVERSIZED);
  }
  assert_null(event->record.admission.scope);
  assert_null(event->record.admission.governance);
  assert_int_equal(event->record.admission.caller.authority_refs.count, 0);
  free(text);
  envelope_event_free(event);
}

// ---- One after another.

static void assert_follows(const envelope_event *event, const char *id) {
  assert_string_equal(envelope_event_envelope_id(event), id);
  assert_string_equal(envelope_event_event_id(event), "");
  assert_str(event->record.head.tenant, "acme", 4);
  assert_str(event->record.head.source, "urn:s", 5);
  assert_int_equal(event->record.head.sensitivity.present, false);
  assert_int_equal(event->trace.size, EE_TRACEPARENT_SIZE);
}

static void an_event_follows_another(void **state) {
  (void)state;
  envelope_event *first = event_of(ENVELOPE_ADMISSION), *next = event_of(ENVELOPE_RELEASED);
  char *id = strdup(envelope_event_envelope_id(first));
  assert_int_equal(strlen(id), 36);
  assert_string_equal(envelope_event_event_id(first), "");
  set(first, ENVELOPE_FIELD_TENANT, "acme");
  set(first, ENVELOPE_FIELD_SOURCE, "urn:s");
  set(first, ENVELOPE_FIELD_SENSITIVITY, "public");
  set(first, ENVELOPE_FIELD_EVENT_ID, "e-1");
  envelope_event_set_trace(first, PARENT, NULL);
  set(next, ENVELOPE_FIELD_REASON, "gone");
  assert_int_equal(envelope_event_follow(next, ENVELOPE_FINALIZED, first), ENVELOPE_OK);
  assert_string_equal(envelope_event_event_id(first), "e-1");
  envelope_event_free(first);
  assert_follows(next, id);
  assert_int_equal(envelope_event_set_text(next, ENVELOPE_FIELD_REASON, "r", 1, NULL),
                   ENVELOPE_WRONG_FIELD);
  free(id);
  envelope_event_free(next);
}

static void an_event_follows_itself_without_growing(void **state) {
  (void)state;
  envelope_event *event = event_of(ENVELOPE_ADMISSION);
  set(event, ENVELOPE_FIELD_ENVELOPE_ID, ID);
  set(event, ENVELOPE_FIELD_TENANT, "acme");
  set(event, ENVELOPE_FIELD_SOURCE, "urn:s");
  envelope_event_set_trace(event, PARENT, NULL);
  size_t grown = 0;
  for (int i = 0; i < 10000; i++) {
    envelope_phase phase = i % 2 == 0 ? ENVELOPE_RESOLVED : ENVELOPE_ADMISSION;
    assert_int_equal(envelope_event_follow(event, phase, event), ENVELOPE_OK);
    assert_follows(event, ID);
    assert_int_equal(envelope_event_put_text(event, ENVELOPE_FIELD_EXTENSIONS, "a/b", 3, "1", 1, 0),
                     ENVELOPE_OK);
    if (i == 10) grown = memory_of(event);
    assert_true(i < 10 || memory_of(event) == grown);
  }
  assert_int_equal(event->record.head.sensitivity.present, false);
  envelope_event_free(event);
}

static void what_is_absent_is_not_followed(void **state) {
  (void)state;
  envelope_event *event = event_of(ENVELOPE_FAILED);
  assert_string_equal(envelope_event_envelope_id(event), "");
  assert_int_equal(envelope_event_follow(event, ENVELOPE_RELEASED, event), ENVELOPE_OK);
  assert_string_equal(envelope_event_envelope_id(event), "");
  assert_null(event->record.head.tenant.data);
  assert_null(event->record.head.source.data);
  // An admission has its envelope_id from the beginning.
  assert_int_equal(envelope_event_follow(event, ENVELOPE_ADMISSION, event), ENVELOPE_OK);
  assert_int_equal(strlen(envelope_event_envelope_id(event)), 36);
  envelope_event_free(event);
}

static void to_begin_forgets_all(void **state) {
  (void)state;
  envelope_event *event = event_of(ENVELOPE_ADMISSION);
  char *id = strdup(envelope_event_envelope_id(event));
  set(event, ENVELOPE_FIELD_TENANT, "acme");
  envelope_event_set_trace(event, PARENT, NULL);
  assert_int_equal(envelope_event_begin(event, ENVELOPE_ADMISSION), ENVELOPE_OK);
  assert_string_not_equal(envelope_event_envelope_id(event), id);
  assert_null(event->record.head.tenant.data);
  assert_int_equal(event->trace.size, 0);
  free(id);
  envelope_event_free(event);
}

// ---- Trace context.

static void assert_trace(const envelope_event *event, const char *parent, const char *tracestate) {
  struct ee_str found_parent, found_state;
  ee_trace_read(ee_bytes(event->trace.bytes, event->trace.size), &found_parent, &found_state);
  assert_true(ee_str_equal(found_parent, ee_str(parent)));
  assert_true(ee_str_equal(found_state, ee_str(tracestate)));
}

static void a_valid_trace_goes_along(void **state) {
  (void)state;
  char most[EE_TRACESTATE_MAX + 2];
  memset(most, 'x', sizeof most);
  most[sizeof most - 1] = '\0';
  envelope_event *event = event_of(ENVELOPE_FAILED);
  assert_trace(event, NULL, NULL);
  assert_int_equal(envelope_event_set_trace(event, PARENT, "a=1"), ENVELOPE_OK);
  assert_trace(event, PARENT, "a=1");
  envelope_event_set_trace(event, PARENT, most);  // one too long
  assert_trace(event, PARENT, NULL);
  envelope_event_set_trace(event, PARENT, most + 1);
  assert_trace(event, PARENT, most + 1);
  envelope_event_set_trace(event, PARENT, "");
  assert_trace(event, PARENT, NULL);
  envelope_event_free(event);
}

static void one_that_is_not_valid_does_not(void **state) {
  (void)state;
  static const char *const wrong[] = {NULL, "", "00-", PARENT "-",
                                      "ff"
                                      "-4bf92f3577b34da6a3ce"};
  envelope_event *event = event_of(ENVELOPE_FAILED);
  for (size_t i = 0; i < COUNT_OF(wrong); i++) {
    envelope_event_set_trace(event, PARENT, "a=1");
    assert_int_equal(envelope_event_set_trace(event, wrong[i], "a=1"), ENVELOPE_OK);
    assert_trace(event, NULL, NULL);
  }
  // What cannot stand in a line of JSON, or in a header of HTTP, is no tracestate.
  static const char *const states[] = {"a=\xff", "a=\n", "a=\x7f", "a=\xc3\xa9"};
  for (size_t i = 0; i < COUNT_OF(states); i++) {
    envelope_event_set_trace(event, PARENT, states[i]);
    assert_trace(event, PARENT, NULL);
  }
  struct ee_str parent, tracestate;
  ee_trace_read(ee_bytes(PARENT, 54), &parent, &tracestate);
  assert_true(parent.data == NULL && tracestate.data == NULL);
  envelope_event_free(event);
}

// ---- Memory that is short.

// Results of all calls, the first failure counts.
static int fill_in(envelope_event *event, struct envelope_error *error) {
  char text[3000];
  memset(text, 'x', sizeof text - 1);
  text[sizeof text - 1] = '\0';
  int result = envelope_event_begin(event, ENVELOPE_ADMISSION);
  for (int i = 0; result == ENVELOPE_OK && i < 20; i++) {
    snprintf(text, 8, "%d", i);
    text[strlen(text)] = 'x';
    for (int which = 0; result == ENVELOPE_OK && which < CALLS; which++) {
      static const envelope_field fields[CALLS] = {ENVELOPE_FIELD_SCOPE_APP,
                                                   ENVELOPE_FIELD_REQUESTED_CPU_MILLIS,
                                                   ENVELOPE_FIELD_TENANT,
                                                   ENVELOPE_FIELD_GOVERNANCE_HINTS,
                                                   ENVELOPE_FIELD_REQUESTED_AMOUNTS,
                                                   ENVELOPE_FIELD_CALLER_ON_BEHALF_OF};
      result = call(which == SET_BOOLEAN ? SET_TEXT : (enum call)which, event, fields[which], text,
                    error);
    }
  }
  return result;
}

static void short_memory_is_told_and_passes(void **state) {
  (void)state;
  struct envelope_error error;
  bool failed = true;
  size_t failures = 0;
  for (size_t n = 0; failed; n++) {
    ee_chaos_fail_after(n);
    envelope_event *event = envelope_event_new(ENVELOPE_ADMISSION);
    int result = event == NULL ? ENVELOPE_NO_MEMORY : fill_in(event, &error);
    if (result == ENVELOPE_OK) result = envelope_event_follow(event, ENVELOPE_FAILED, event);
    failed = ee_chaos_stop();
    assert_int_equal(result, failed ? ENVELOPE_NO_MEMORY : ENVELOPE_OK);
    failures += failed;
    if (event != NULL) assert_int_equal(fill_in(event, &error), ENVELOPE_OK);
    envelope_event_free(event);
  }
  assert_true(failures > 4);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_call_takes_its_fields_alone),
      cmocka_unit_test(there_are_six_phases),
      cmocka_unit_test(no_text_is_refused),
      cmocka_unit_test(symbols_are_those_of_the_schema),
      cmocka_unit_test(texts_are_copied_with_their_size),
      cmocka_unit_test(what_is_set_again_is_replaced),
      cmocka_unit_test(lists_and_maps_grow),
      cmocka_unit_test(an_event_has_a_most),
      cmocka_unit_test(what_has_no_room_leaves_nothing),
      cmocka_unit_test(an_event_follows_another),
      cmocka_unit_test(an_event_follows_itself_without_growing),
      cmocka_unit_test(what_is_absent_is_not_followed),
      cmocka_unit_test(to_begin_forgets_all),
      cmocka_unit_test(a_valid_trace_goes_along),
      cmocka_unit_test(one_that_is_not_valid_does_not),
      cmocka_unit_test(short_memory_is_told_and_passes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
