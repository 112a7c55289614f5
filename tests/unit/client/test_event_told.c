// SPDX-License-Identifier: Apache-2.0
// Any record of a phase can be told through the public calls, and is encoded as it was told.
#include "client/event.h"
#include "client/fields.h"
#include "contract/record.h"
#include "support/own_plan.h"
#include "tests/unit/client/pinned.h"
#include "tests/unit/contract/random_record.h"

#define MOST ((size_t)1 << 20)  // bytes of an event's memory

static void set_one(envelope_event *event, envelope_field field, const struct ee_type *type,
                    const void *value) {
  int result = ENVELOPE_OK;
  const struct ee_str *text = value;
  if (type->kind == EE_TYPE_ENUM) {
    struct ee_str symbol = type->enumeration->symbols[*(const int *)value];
    result = envelope_event_set_text(event, field, symbol.data, symbol.size, NULL);
  } else if (type->kind == EE_TYPE_STRING) {
    result = envelope_event_set_text(event, field, text->data, text->size, NULL);
  } else if (type->kind == EE_TYPE_LONG) {
    result = envelope_event_set_long(event, field, *(const int64_t *)value, NULL);
  } else {
    assert_int_equal(type->kind, EE_TYPE_BOOLEAN);
    result = envelope_event_set_boolean(event, field, *(const bool *)value, NULL);
  }
  assert_int_equal(result, ENVELOPE_OK);
}

static void put_all(envelope_event *event, envelope_field field, const struct ee_type *type,
                    const struct ee_map *map) {
  for (size_t i = 0; i < map->count; i++) {
    const void *entry = ee_at(map->entries, i * type->size);
    const struct ee_str *key = entry, *text = ee_at(entry, EE_ENTRY_VALUE);
    int result =
        type->item->kind == EE_TYPE_STRING
            ? envelope_event_put_text(event, field, key->data, key->size, text->data, text->size, 0)
            : envelope_event_put_long(event, field, key->data, key->size,
                                      *(const int64_t *)ee_at(entry, EE_ENTRY_VALUE), NULL);
    assert_int_equal(result, ENVELOPE_OK);
  }
}

static void add_all(envelope_event *event, envelope_field field, const struct ee_type *type,
                    const struct ee_array *array) {
  for (size_t i = 0; i < array->count; i++) {
    const void *item = ee_at(array->items, i * type->size);
    const struct ee_str *text = item;
    const struct ee_authority_ref *ref = item;
    int result = type->item->kind == EE_TYPE_STRING
                     ? envelope_event_add_text(event, field, text->data, text->size, NULL)
                     : envelope_event_add_authority_ref(event, ref->kind.data, ref->reference.data,
                                                        ref->digest.data, NULL);
    assert_int_equal(result, ENVELOPE_OK);
  }
}

// Through the public calls alone.
static void rebuild(envelope_event *event, enum ee_phase phase, const void *record) {
  assert_int_equal(envelope_event_begin(event, (envelope_phase)phase), ENVELOPE_OK);
  for (size_t i = 0; i < COUNT_OF(pinned); i++) {
    envelope_field field = (envelope_field)pinned[i].number;
    const struct ee_field_place *place = ee_field_place(phase, pinned[i].number);
    if (place == NULL) continue;
    const void *in = record;
    if (place->container != NULL) {
      in = ee_value_in(&place->container->type, ee_at(record, place->container->offset));
    }
    const struct ee_type *type = &place->leaf->type;
    const void *value = in == NULL ? NULL : ee_value_in(type, ee_at(in, place->leaf->offset));
    if (value == NULL) continue;
    if (type->kind == EE_TYPE_MAP)
      put_all(event, field, type, value);
    else if (type->kind == EE_TYPE_ARRAY)
      add_all(event, field, type, value);
    else
      set_one(event, field, type, value);
  }
}

// What the calls cannot say: a record in it that is there and empty, a text with a NUL in an
// authority.
static void make_sayable(struct ee_admission *admission) {
  struct ee_scope no_scope = {.app = {.data = NULL}};
  struct ee_governance no_governance;
  ee_record_init(&ee_governance_type, &no_governance);
  if (admission->scope != NULL && ee_equal(&ee_scope_type, admission->scope, &no_scope, NULL)) {
    admission->scope = NULL;
  }
  if (admission->governance != NULL &&
      ee_equal(&ee_governance_type, admission->governance, &no_governance, NULL)) {
    admission->governance = NULL;
  }
  for (size_t i = 0; i < admission->caller.authority_refs.count; i++) {
    struct ee_authority_ref *ref = &admission->caller.authority_refs.items[i];
    ref->kind = EE_STR("kind");
    ref->reference = EE_STR("urn:reference");
    if (ref->digest.data != NULL) ref->digest = EE_STR("sha256:0");
  }
}

static void any_record_can_be_told(void **state) {
  (void)state;
  struct random r = {.state = 5};
  struct ee_arena arena;
  struct ee_buf avro;
  struct ee_fault fault = {.detail = ""};
  ee_arena_init(&arena, (size_t)16 << 20);
  ee_buf_init(&avro, 2 * MOST);
  envelope_event *event = envelope_event_new(ENVELOPE_ADMISSION);
  assert_non_null(event);
  for (int i = 0; i < ee_tries(3000); i++) {
    union ee_event_record record, read;
    enum ee_phase phase = (enum ee_phase)(i % EE_PHASE_TOPICS);
    const struct ee_record_type *type = ee_phase_record(phase);
    ee_arena_clear(&arena);
    ee_buf_clear(&avro);
    random_record(&r, type, &arena, &record);
    if (phase == EE_PHASE_ADMISSION) make_sayable(&record.admission);
    rebuild(event, phase, &record);
    assert_true(ee_equal(type, &event->record, &record, NULL));
    if (!ee_check_record(type, &event->record, &fault)) fail_msg("%s", fault.detail);
    ee_encode(type, &event->record, &avro);
    assert_true(ee_decode(own_plan(type), ee_buf_bytes(&avro), &arena, &read, &fault));
    assert_true(ee_equal(type, &read, &record, NULL));
  }
  envelope_event_free(event);
  ee_buf_release(&avro);
  ee_arena_release(&arena);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(any_record_can_be_told)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
