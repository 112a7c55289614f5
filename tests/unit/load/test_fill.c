// SPDX-License-Identifier: Apache-2.0
// An event that was filled from a record is that record, whatever the event was before.
#include "tools/envelope-load/fill.h"

#include "client/event.h"
#include "contract/record.h"
#include "tests/support/test.h"
#include "tools/traffic/story.h"

static envelope_event *event;
static int filled[EE_PHASE_TOPICS];

static void fill_and_compare(void *context, enum ee_phase phase, const void *record,
                             int64_t sent_at) {
  (void)context, (void)sent_at;
  struct envelope_error error = {.text = ""};
  assert_int_equal(event_fill(event, phase, record, &error), ENVELOPE_OK);
  assert_string_equal(error.text, "");
  assert_int_equal(event->phase, phase);
  assert_true(ee_equal(ee_phase_record(phase), &event->record, record, NULL));
  filled[phase]++;
}

static void stories_pass_unchanged(void **state) {
  (void)state;
  struct tenants tenants;
  struct ee_err err;
  assert_true(tenants_init(&tenants, TENANTS, TENANT_EXPONENT, &err));
  struct story_model model = {.tenants = &tenants, .time_scale = 1};
  struct story_sink sink = {.take = fill_and_compare};
  for (int i = 0; i < 500; i++) {
    struct random random = random_of(1, (uint64_t)i);
    traffic_tell(&model, &random, i, 0, &sink);
  }
  for (int phase = 0; phase < EE_PHASE_TOPICS; phase++)
    assert_true(filled[phase] > 0);
  tenants_release(&tenants);
}

// What stories leave out today: each type of field, in and outside of records within the record.
static void each_type_of_field_is_carried(void **state) {
  (void)state;
  struct ee_failed failed;
  ee_record_init(&ee_failed_type, &failed);
  failed.envelope_id = EE_STR("e");
  failed.event_id = EE_STR("v");
  failed.tenant = EE_STR("t");
  failed.occurred_at = 1;
  failed.source = EE_STR("urn:s");
  failed.sensitivity = (struct ee_opt_enum){.present = true, .value = EE_SENSITIVITY_RESTRICTED};
  failed.stage = EE_STR("run");
  failed.reason = EE_STR("");
  failed.retryable = (struct ee_opt_boolean){.present = true, .value = true};
  struct ee_str_entry extension = {EE_STR("com.example/x"), EE_STR("{}")};
  failed.extensions = (struct ee_str_map){.entries = &extension, .count = 1};
  fill_and_compare(NULL, EE_PHASE_FAILED, &failed, 0);
}

// Though what comes after it is none.
static void a_mistake_is_handed_on(void **state) {
  (void)state;
  static char much[(2 << 20) + 1];
  struct envelope_error error = {.text = ""};
  struct ee_failed failed;
  memset(much, 'x', sizeof much - 1);
  ee_record_init(&ee_failed_type, &failed);
  failed.stage = ee_str(much);
  failed.reason = EE_STR("full");
  assert_int_equal(event_fill(event, EE_PHASE_FAILED, &failed, &error), ENVELOPE_OVERSIZED);
  assert_string_equal(error.field, "stage");
  struct ee_str_entry extensions[] = {{EE_STR("com.example/x"), ee_str(much)},
                                      {EE_STR("com.example/y"), EE_STR("{}")}};
  failed.stage = EE_STR("run");
  failed.extensions = (struct ee_str_map){.entries = extensions, .count = 2};
  assert_int_equal(event_fill(event, EE_PHASE_FAILED, &failed, &error), ENVELOPE_OVERSIZED);
  assert_string_equal(error.field, "extensions");
}

static int set_up(void **state) {
  (void)state;
  event = envelope_event_new(ENVELOPE_ADMISSION);
  return event == NULL ? -1 : 0;
}

static int tear_down(void **state) {
  (void)state;
  envelope_event_free(event);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(stories_pass_unchanged),
      cmocka_unit_test(each_type_of_field_is_carried),
      cmocka_unit_test(a_mistake_is_handed_on),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
