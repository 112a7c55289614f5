// SPDX-License-Identifier: Apache-2.0
// Heads, names, sensitivity and order of events.
#include "contract/event.h"

#include <stdlib.h>

#include "contract/record.h"
#include "tests/support/test.h"
#include "tests/unit/contract/random_record.h"

static void phases_have_their_topics_records(void **state) {
  (void)state;
  for (int i = 0; i < EE_PHASE_TOPICS; i++) {
    const struct ee_record_type *type = ee_phase_record((enum ee_phase)i);
    assert_ptr_equal(type, ee_topics[i].value);
    // envelope.admission.v1
    const char *name = ee_phase_name((enum ee_phase)i);
    struct ee_str topic = ee_str(ee_topics[i].name);
    assert_int_equal(topic.size, strlen("envelope.") + strlen(name) + strlen(".v1"));
    assert_memory_equal(topic.data + strlen("envelope."), name, strlen(name));
    assert_int_equal(ee_phase_find(ee_str(name)), i);
  }
  assert_null(ee_phase_record(EE_PHASE_OTHER));
  assert_string_equal(ee_phase_name(EE_PHASE_OTHER), "other");
}

static void unknown_phases_are_not_found(void **state) {
  (void)state;
  assert_int_equal(ee_phase_find(EE_STR("other")), -1);
  assert_int_equal(ee_phase_find(EE_STR("")), -1);
  assert_int_equal(ee_phase_find(EE_STR("Admission")), -1);
  assert_int_equal(ee_phase_find(EE_STR("admission\0")), -1);
  assert_int_equal(ee_phase_find(EE_STR("admissio")), -1);
  assert_int_equal(ee_phase_find((struct ee_str){.data = NULL}), -1);
}

static void three_phases_end_an_envelope(void **state) {
  (void)state;
  assert_false(ee_phase_terminal(EE_PHASE_ADMISSION));
  assert_false(ee_phase_terminal(EE_PHASE_RESOLVED));
  assert_true(ee_phase_terminal(EE_PHASE_FINALIZED));
  assert_true(ee_phase_terminal(EE_PHASE_FAILED));
  assert_true(ee_phase_terminal(EE_PHASE_RELEASED));
  assert_false(ee_phase_terminal(EE_PHASE_ANNOTATION));
  assert_false(ee_phase_terminal(EE_PHASE_OTHER));
}

static struct ee_opt_enum stated(int value) {
  return (struct ee_opt_enum){.present = value >= 0, .value = value < 0 ? 0 : value};
}

// -1 is absent: the higher of the two, and the highest where neither is stated.
static void sensitivity_is_the_higher_one(void **state) {
  (void)state;
  for (int own = -1; own <= EE_SENSITIVITY_RESTRICTED; own++) {
    for (int governed = -1; governed <= EE_SENSITIVITY_RESTRICTED; governed++) {
      struct ee_governance governance = {.sensitivity = stated(governed)};
      struct ee_admission admission = {.sensitivity = stated(own), .governance = &governance};
      int higher = own > governed ? own : governed;
      if (higher < 0) higher = EE_SENSITIVITY_RESTRICTED;
      assert_int_equal(ee_event_sensitivity(EE_PHASE_ADMISSION, &admission), higher);
    }
    int alone = own < 0 ? EE_SENSITIVITY_RESTRICTED : own;
    struct ee_admission admission = {.sensitivity = stated(own)};
    assert_int_equal(ee_event_sensitivity(EE_PHASE_ADMISSION, &admission), alone);
    struct ee_failed failed = {.sensitivity = stated(own)};
    assert_int_equal(ee_event_sensitivity(EE_PHASE_FAILED, &failed), alone);
  }
  struct ee_failed mild = {.sensitivity = stated(EE_SENSITIVITY_PUBLIC)};
  assert_int_equal(ee_event_sensitivity(EE_PHASE_OTHER, &mild), EE_SENSITIVITY_RESTRICTED);
}

static void events_order_by_time_then_id_bytes(void **state) {
  (void)state;
  // In ascending order.
  const struct ee_event_head heads[] = {
      {.occurred_at = INT64_MIN, .event_id = EE_STR("z")},
      {.occurred_at = -1, .event_id = EE_STR("a")},
      {.occurred_at = 0, .event_id = EE_STR("")},
      {.occurred_at = 0, .event_id = EE_STR("B")},
      {.occurred_at = 0, .event_id = EE_STR("a")},
      {.occurred_at = 0, .event_id = EE_STR("aa")},
      {.occurred_at = 0, .event_id = EE_STR("\xC3\xA9")},
      {.occurred_at = INT64_MAX, .event_id = EE_STR("")},
  };
  for (size_t i = 0; i < COUNT_OF(heads); i++) {
    for (size_t j = 0; j < COUNT_OF(heads); j++) {
      int order = ee_event_order(&heads[i], &heads[j]);
      assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
    }
  }
}

// Against the decoder, of all phases; each byte less is refused or, behind the head, not missed.
static void the_head_is_read_alone(void **state) {
  (void)state;
  struct random random = {.state = 7};
  struct ee_arena arena;
  struct ee_buf avro;
  ee_arena_init(&arena, (size_t)16 << 20);
  ee_buf_init(&avro, (size_t)1 << 20);
  for (int i = 0; i < ee_tries(600); i++) {
    const struct ee_record_type *type = ee_phase_record((enum ee_phase)(i % EE_PHASE_TOPICS));
    void *record = ee_arena_zero(&arena, 1, type->size);
    const struct ee_event_head *whole = record;
    struct ee_event_head head;
    random_record(&random, type, &arena, record);
    ee_buf_clear(&avro);
    ee_encode(type, record, &avro);
    assert_true(ee_event_head_read(ee_buf_bytes(&avro), &head));
    assert_true(ee_str_equal(head.envelope_id, whole->envelope_id));
    assert_true(ee_str_equal(head.event_id, whole->event_id));
    assert_true(ee_str_equal(head.tenant, whole->tenant));
    assert_int_equal(head.occurred_at, whole->occurred_at);
    assert_true(ee_str_equal(head.source, whole->source));
    assert_int_equal(head.sensitivity.present, whole->sensitivity.present);
    if (head.sensitivity.present) {
      assert_int_equal(head.sensitivity.value, whole->sensitivity.value);
    }
    const char *source_end = head.source.data + head.source.size;
    for (size_t size = 0; size < avro.size; size++) {
      uint8_t *cut = malloc(size + 1);  // a reader beyond it is seen by the sanitizer
      memcpy(cut, avro.data, size);
      bool enough =
          size >= (size_t)(source_end - (const char *)avro.data) + 1 + head.sensitivity.present;
      cut = realloc(cut, size == 0 ? 1 : size);
      assert_int_equal(
          ee_event_head_read(ee_bytes(cut, size), &(struct ee_event_head){.occurred_at = 0}),
          enough);
      free(cut);
    }
    ee_arena_clear(&arena);
  }
  ee_buf_release(&avro);
  ee_arena_release(&arena);
}

static void a_head_that_is_none_is_refused(void **state) {
  (void)state;
  struct ee_event_head head;
  static const struct {
    const char *bytes;
    size_t size;
  } bad[] = {{"\x01", 1},  // a negative size
             {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10},
             {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 12},
             {"\0\0\0\0\0\x04", 6},  // no such branch
             {"\0\0\0\0\0\x02\x08", 7},
             {"\0\0\0\0\0\x02\x01", 7}};
  for (size_t i = 0; i < COUNT_OF(bad); i++) {
    assert_false(ee_event_head_read(ee_bytes(bad[i].bytes, bad[i].size), &head));
  }
  assert_true(ee_event_head_read(ee_bytes("\0\0\0\0\0\x02\x06", 7), &head));
  assert_int_equal(head.sensitivity.value, EE_SENSITIVITY_RESTRICTED);
}

static void only_events_and_receipts_have_keys(void **state) {
  (void)state;
  struct ee_str key;
  struct ee_bytes avro = ee_bytes(
      "\x02o\x02"
      "e",
      4);
  for (int topic = 0; topic <= UINT8_MAX; topic++) {
    bool wanted = topic < EE_PHASE_TOPICS || topic == EE_TOPIC_OBLIGATION;
    assert_int_equal(ee_topic_has_events((enum ee_topic)topic), wanted);
    assert_int_equal(ee_event_key_read((enum ee_topic)topic, avro, &key), wanted);
    if (!wanted) continue;
    assert_true(ee_str_equal(key, topic < EE_PHASE_TOPICS ? EE_STR("o") : EE_STR("e")));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(phases_have_their_topics_records),
      cmocka_unit_test(unknown_phases_are_not_found),
      cmocka_unit_test(three_phases_end_an_envelope),
      cmocka_unit_test(sensitivity_is_the_higher_one),
      cmocka_unit_test(events_order_by_time_then_id_bytes),
      cmocka_unit_test(the_head_is_read_alone),
      cmocka_unit_test(a_head_that_is_none_is_refused),
      cmocka_unit_test(only_events_and_receipts_have_keys),
  };
  return cmocka_run_group_tests_name("contract/event", tests, NULL, NULL);
}
