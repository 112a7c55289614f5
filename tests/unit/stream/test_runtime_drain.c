// SPDX-License-Identifier: Apache-2.0
// Draining a processor of two stages, which reads what it writes: it ends when the second
// stage has read all that the first one wrote, and not before.
#include <stdlib.h>

#include "tests/unit/stream/runtime_rig.h"

// ---- The processor: an entry for each admission, which the second stage only reads.

static bool write_entry(struct ee_step *step, const struct ee_event_head *head) {
  struct ee_usage entry;
  struct ee_buf value;
  ee_record_init(&ee_usage_type, &entry);
  entry.envelope_id = head->envelope_id;
  entry.tenant = head->event_id;  // so that entries lie in other partitions, too
  entry.dimension = EE_STR("gpu");
  ee_buf_init(&value, 1 << 16);
  ee_encode(&ee_usage_type, &entry, &value);
  bool good = ee_step_emit(step, EE_TOPIC_USAGE, ee_str_bytes(entry.tenant), ee_buf_bytes(&value));
  ee_buf_release(&value);
  return good;
}

static bool stages_step(void *self, struct ee_step *step, const struct ee_input *input) {
  (void)self;
  return input->topic == EE_TOPIC_USAGE || write_entry(step, input->record);
}

static bool stages_wake(void *self, struct ee_step *step, const struct ee_tick_view *tick,
                        uint8_t changelog, struct ee_bytes key, struct ee_bytes value) {
  (void)self, (void)step, (void)tick, (void)changelog, (void)key, (void)value;
  return false;  // nothing asks for it
}

static int64_t stages_wake_at(void *self, uint8_t changelog, struct ee_bytes key,
                              const void *record, int64_t clock, struct ee_arena *arena) {
  (void)self, (void)changelog, (void)key, (void)record, (void)clock, (void)arena;
  return EE_NEVER;
}

static const enum ee_topic inputs[] = {EE_TOPIC_ADMISSION, EE_TOPIC_USAGE, EE_TOPIC_TICK};
static const enum ee_topic outputs[] = {EE_TOPIC_USAGE};
static const struct ee_changelog changelogs[] = {{EE_TOPIC_ACCOUNTING_STATE, false}};
static const struct ee_processor_ops stages_ops = {.name = "stages",
                                                   .inputs = inputs,
                                                   .input_count = COUNT_OF(inputs),
                                                   .outputs = outputs,
                                                   .output_count = COUNT_OF(outputs),
                                                   .changelogs = changelogs,
                                                   .changelog_count = COUNT_OF(changelogs),
                                                   .state_changelog = 0,
                                                   .step = stages_step,
                                                   .wake = stages_wake,
                                                   .wake_at = stages_wake_at};

static void start_draining(struct rig *rig) {
  rig->settings.drain = true;
  rig->processor.ops = &stages_ops;
  rig_start(rig);
}

static enum ee_runtime_state run(struct rig *rig, int turns) {
  enum ee_runtime_state last = EE_RUNTIME_RUNNING;
  for (int i = 0; i < turns && last == EE_RUNTIME_RUNNING; i++)
    last = rig_turn(rig);
  if (last == EE_RUNTIME_FAILED) fail_msg("%s", rig->err.text);
  return last;
}

// However many there are, and however late the ends are known.
static void test_second_stage_is_drained(void **state) {
  struct rig *rig = *state;
  for (int round = 1; round <= 40; round++) {
    uint64_t before = rig->metrics.events[EE_TOPIC_USAGE];
    rig_append_many(rig, 0, round * 7);
    start_draining(rig);
    rig->faulty.delay = round;
    assert_int_equal(run(rig, 2000), EE_RUNTIME_DONE);
    assert_int_equal(rig->metrics.events[EE_TOPIC_USAGE] - before, round * 7);
    rig_crash(rig);
  }
}

// What the first stage has committed may not be readable yet.
static void test_second_stage_is_waited_for(void **state) {
  struct rig *rig = *state;
  struct ee_broker *other = rig_freeze_other(rig, EE_TOPIC_USAGE);
  rig_append_many(rig, 0, 30);
  start_draining(rig);
  assert_int_equal(run(rig, 300), EE_RUNTIME_RUNNING);
  assert_int_equal(rig->metrics.events[EE_TOPIC_USAGE], 0);
  rig_expire_other(rig, other);
  assert_int_equal(run(rig, 300), EE_RUNTIME_DONE);
  assert_int_equal(rig->metrics.events[EE_TOPIC_USAGE], 30);
}

static void test_nothing_to_drain(void **state) {
  struct rig *rig = *state;
  start_draining(rig);
  assert_int_equal(run(rig, 300), EE_RUNTIME_DONE);
  assert_int_equal(rig->metrics.events[EE_TOPIC_USAGE], 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_second_stage_is_drained, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_second_stage_is_waited_for, rig_setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_nothing_to_drain, rig_setup, rig_teardown),
  };
  return cmocka_run_group_tests_name("runtime_drain", tests, NULL, NULL);
}
