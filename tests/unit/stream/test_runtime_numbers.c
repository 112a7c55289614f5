// SPDX-License-Identifier: Apache-2.0
// Producers' numbers, from a record's headers to the processor: of records that are stepped,
// of those that are refused, and not for processors that do not ask for them.
#include "tests/unit/stream/runtime_rig.h"

#define HEARD_MAX 4096

// What a listener was given: "admission 0 p:1:2 was p:0:7; ...".
static char heard[HEARD_MAX];

static void hear(const char *how, const struct ee_input *input) {
  size_t size = strlen(heard);
  size += (size_t)snprintf(heard + size, HEARD_MAX - size, "%s%s %lld", size == 0 ? "" : "; ", how,
                           (long long)input->offset);
  const struct ee_record_number *numbers[] = {&input->seq, &input->was};
  for (int i = 0; i < 2; i++) {
    const struct ee_record_number *number = numbers[i];
    if (number->producer.data == NULL) continue;
    size += (size_t)snprintf(heard + size, HEARD_MAX - size, "%s %.*s:%lld:%lld",
                             i == 0 ? "" : " was", EE_STR_ARG(number->producer),
                             (long long)number->epoch, (long long)number->number);
  }
}

static bool step(void *self, struct ee_step *s, const struct ee_input *input) {
  (void)self;
  (void)s;
  assert_non_null(input->record);
  hear(input->topic == EE_TOPIC_PRODUCER ? "report" : "step", input);
  return true;
}

static bool refused(void *self, struct ee_step *s, const struct ee_input *input) {
  (void)self;
  (void)s;
  assert_null(input->record);
  assert_null(input->avro.data);
  assert_int_equal(input->timestamp, START_MS * EE_MICROS_PER_MS);
  hear("refused", input);
  return true;
}

static bool listen(void **state, bool uses_numbers) {
  static const enum ee_topic inputs[] = {EE_TOPIC_ADMISSION, EE_TOPIC_PRODUCER, EE_TOPIC_TICK};
  static struct ee_processor_ops ops;
  if (rig_setup(state) != 0) return false;
  struct rig *rig = *state;
  ops = counter_ops;
  ops.inputs = inputs;
  ops.input_count = COUNT_OF(inputs);
  ops.uses_numbers = uses_numbers;
  ops.step = step;
  ops.refused = refused;
  rig->processor.ops = &ops;
  heard[0] = '\0';
  return true;
}

static int setup(void **state) {
  return listen(state, true) ? 0 : -1;
}

static int setup_without(void **state) {
  return listen(state, false) ? 0 : -1;
}

// An admission of envelope x that is good, or has a byte too much.
static void append(struct rig *rig, bool good, const struct ee_header *headers, size_t count) {
  struct ee_admission record = rig_admission("x", "e");
  struct ee_bytes prefix;
  struct ee_buf value;
  ee_buf_init(&value, 1 << 16);
  assert_int_equal(ee_codec_prefix(rig->codec, EE_TOPIC_ADMISSION, 0, &prefix, &rig->err),
                   EE_CODEC_READY);
  ee_buf_append(&value, prefix.data, prefix.size);
  ee_encode(&ee_admission_type, &record, &value);
  if (!good) ee_buf_byte(&value, 0);
  struct ee_output output = {.tp = {EE_TOPIC_ADMISSION, rig_partition_of("x")},
                             .key = ee_str_bytes(EE_STR("x")),
                             .value = ee_buf_bytes(&value),
                             .headers = headers,
                             .header_count = count};
  assert_true(ee_cluster_append(rig->cluster, &output, -1) >= 0);
  ee_buf_release(&value);
}

#define HEADER(NAME, VALUE)                       \
  {                                               \
    EE_STR_INIT(NAME), {                          \
      (const uint8_t *)(VALUE), sizeof(VALUE) - 1 \
    }                                             \
  }

static void append_all(struct rig *rig) {
  static const struct ee_header own[] = {HEADER("ce_id", "e"), HEADER("seq", "urn:p:7:0")};
  static const struct ee_header again[] = {HEADER("was", "urn:p:6:9"), HEADER("seq", "urn:p:7:1")};
  static const struct ee_header malformed[] = {HEADER("seq", "urn:p:7:"), HEADER("was", "p:1:2")};
  static const struct ee_header twice[] = {HEADER("seq", "p:1:2"), HEADER("seq", "p:1:3")};
  append(rig, true, own, COUNT_OF(own));
  append(rig, true, NULL, 0);
  append(rig, false, again, COUNT_OF(again));
  append(rig, true, malformed, COUNT_OF(malformed));
  append(rig, true, twice, COUNT_OF(twice));
  append(rig, false, NULL, 0);
}

static void test_numbers_come_with_records(void **state) {
  struct rig *rig = *state;
  append_all(rig);
  rig_start(rig);
  rig_turns(rig, 60);
  assert_string_equal(heard,
                      "step 0 urn:p:7:0; step 1; refused 2 urn:p:7:1 was urn:p:6:9; "
                      "step 3 was p:1:2; step 4 p:1:3; refused 5");
  assert_int_equal(rig_count(rig, EE_TOPIC_DEADLETTER), 2);
}

static void test_numbers_that_nobody_asked_for(void **state) {
  struct rig *rig = *state;
  append_all(rig);
  rig_start(rig);
  rig_turns(rig, 60);
  assert_string_equal(heard, "step 0; step 1; refused 2; step 3; step 4; refused 5");
}

static void append_report(struct rig *rig, char *producer, size_t size) {
  struct ee_producer_report record;
  struct ee_buf avro;
  ee_record_init(&ee_producer_report_type, &record);
  record.producer = (struct ee_str){producer, size};
  ee_buf_init(&avro, 1 << 16);
  ee_encode(&ee_producer_report_type, &record, &avro);
  rig_append(rig, EE_TOPIC_PRODUCER, (struct ee_str){0}, ee_buf_bytes(&avro), 0);
  ee_buf_release(&avro);
}

// As with envelope_ids: control characters take six times their size in state keys.
static void test_producers_that_state_keys_cannot_hold(void **state) {
  struct rig *rig = *state;
  char name[65];
  memset(name, '\1', sizeof name);
  append_report(rig, name, 64);
  append_report(rig, name, 65);
  rig_start(rig);
  rig_turns(rig, 60);
  assert_string_equal(heard, "report 0; refused 1");
  assert_int_equal(rig->metrics.dead_letters[EE_REASON_oversized], 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_numbers_come_with_records, setup, rig_teardown),
      cmocka_unit_test_setup_teardown(test_numbers_that_nobody_asked_for, setup_without,
                                      rig_teardown),
      cmocka_unit_test_setup_teardown(test_producers_that_state_keys_cannot_hold, setup,
                                      rig_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
