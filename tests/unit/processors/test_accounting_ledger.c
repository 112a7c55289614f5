// SPDX-License-Identifier: Apache-2.0
// Accounting's ledger: the evidence of entries, the totals of the second stage, and the
// processor's table.
#include "tests/support/own_plan.h"
#include "tests/unit/processors/accounting_world.h"

// ---- Entries.

static void assert_witness(const struct ee_evidence *e, enum ee_phase phase, int64_t offset,
                           const char *event_id) {
  assert_int_equal(e->phase, phase);
  assert_int_equal(e->offset, offset);
  assert_true(ee_str_equal(e->event_id, ee_str(event_id)));
  assert_true(ee_str_equal(e->topic, ee_str(ee_topics[phase].name)));
  assert_int_equal(e->partition, WORLD_PARTITION);
}

static struct ee_usage output_at(struct world *w, size_t i) {
  const struct step_output *outputs;
  assert_true(i < step_double_outputs(w->d, &outputs));
  return decode_entry(w, &outputs[i]);
}

static void test_evidence(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  struct ee_admission a = an_admission(PIPELINE, TEN_HOURS_MS);
  world_admission(&w, &a);
  world_grant(&w, "g1", NOON, 1);
  world_grant(&w, "g2", NOON + HOUR + MINUTE, 2);
  struct ee_finalized f = a_finalized("f", NOON + 2 * HOUR + MINUTE);
  f.measured = AMOUNTS({EE_STR("tokens"), 30});
  step_double_clear_outputs(w.d);
  assert_true(step_double_input(w.d, EE_TOPIC_FINALIZED, WORLD_PARTITION, 0, f.occurred_at, &f));
  // 13:00 of g2 and, at 14:00, tokens and the rest of g2.
  const struct step_output *outputs;
  assert_int_equal(step_double_outputs(w.d, &outputs), 3);
  struct ee_usage entry = output_at(&w, 0);
  assert_int_equal(entry.evidence.count, 4);
  assert_witness(&entry.evidence.items[0], EE_PHASE_ADMISSION, 0, "a-1");
  assert_witness(&entry.evidence.items[1], EE_PHASE_RESOLVED, 0, "g1");
  assert_witness(&entry.evidence.items[2], EE_PHASE_RESOLVED, 1, "g2");
  assert_witness(&entry.evidence.items[3], EE_PHASE_FINALIZED, 0, "f");
  entry = output_at(&w, 1);
  assert_true(ee_str_equal(entry.dimension, EE_STR("amounts.tokens")));
  assert_int_equal(entry.evidence.count, 2);
  assert_witness(&entry.evidence.items[1], EE_PHASE_FINALIZED, 0, "f");
  assert_true(entry.billed.present && entry.billed.value == 30);
  assert_false(entry.asked.present || entry.granted.present);
  entry = output_at(&w, 2);
  assert_true(ee_str_equal(entry.dimension, EE_STR("cpu_millis")));
  assert_int_equal(entry.evidence.count, 3);
  assert_witness(&entry.evidence.items[1], EE_PHASE_RESOLVED, 1, "g2");
  world_release(&w);
}

// Without a trigger: what the admission, read last, books of three hours.
static void test_evidence_is_that_of_the_window(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  world_grant(&w, "g1", NOON, 1);
  world_grant(&w, "g2", NOON + HOUR + MINUTE, 2);
  world_finalized(&w, "f", NOON + 2 * HOUR + MINUTE);
  struct ee_admission a = an_admission(PIPELINE, TEN_HOURS_MS);
  assert_true(step_double_input(w.d, EE_TOPIC_ADMISSION, WORLD_PARTITION, 0, NOON, &a));
  struct ee_usage entry = output_at(&w, 0);
  assert_int_equal(entry.evidence.count, 2);
  assert_witness(&entry.evidence.items[1], EE_PHASE_RESOLVED, 0, "g1");
  entry = output_at(&w, 1);
  assert_int_equal(entry.evidence.count, 3);
  assert_witness(&entry.evidence.items[2], EE_PHASE_RESOLVED, 1, "g2");
  entry = output_at(&w, 2);
  assert_int_equal(entry.evidence.count, 3);
  assert_witness(&entry.evidence.items[1], EE_PHASE_RESOLVED, 1, "g2");
  assert_witness(&entry.evidence.items[2], EE_PHASE_FINALIZED, 0, "f");
  world_release(&w);
}

static void test_evidence_of_a_denial_in_every_window(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  world_failed(&w, "x", NOON + 90 * MINUTE);
  struct ee_admission a = an_admission(PIPELINE, TEN_HOURS_MS);
  a.requested.cpu_millis = NUMBER(1);
  assert_true(step_double_input(w.d, EE_TOPIC_ADMISSION, WORLD_PARTITION, 0, NOON, &a));
  for (size_t i = 0; i < 2; i++) {
    struct ee_usage entry = output_at(&w, i);
    assert_int_equal(entry.evidence.count, 2);
    assert_witness(&entry.evidence.items[0], EE_PHASE_ADMISSION, 0, "a-1");
    assert_witness(&entry.evidence.items[1], EE_PHASE_FAILED, 0, "x");
  }
  world_release(&w);
}

static void test_evidence_is_bounded_and_keeps_admission_and_trigger(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  struct ee_admission a = an_admission(DEPLOYMENT, -1);
  char id[16];
  for (int i = 0; i < 40; i++) {
    assert_true(snprintf(id, sizeof id, "g%02d", i) < (int)sizeof id);
    world_grant(&w, id, NOON + i, 1);
  }
  world_admission(&w, &a);
  step_double_clear_outputs(w.d);
  struct ee_released r = a_released("r", NOON + 50);
  assert_true(step_double_input(w.d, EE_TOPIC_RELEASED, WORLD_PARTITION, 0, NOON, &r));
  struct ee_usage entry = output_at(&w, 0);
  assert_int_equal(entry.evidence.count, 16);
  assert_witness(&entry.evidence.items[0], EE_PHASE_ADMISSION, 0, "a-1");
  assert_witness(&entry.evidence.items[1], EE_PHASE_RESOLVED, 0, "g00");
  assert_witness(&entry.evidence.items[14], EE_PHASE_RESOLVED, 13, "g13");
  assert_witness(&entry.evidence.items[15], EE_PHASE_RELEASED, 0, "r");
  world_release(&w);
}

// ---- Second stage.

static struct ee_usage an_entry(const char *tenant, const char *dimension) {
  struct ee_usage entry;
  ee_record_init(&ee_usage_type, &entry);
  entry.envelope_id = EE_STR(ENVELOPE);
  entry.tenant = ee_str(tenant);
  entry.window_start = NOON;
  entry.dimension = ee_str(dimension);
  return entry;
}

static void add_entry(struct world *w, const struct ee_usage *entry) {
  assert_true(step_double_input(w->d, EE_TOPIC_USAGE, LEDGER_PARTITION,
                                w->offsets[EE_TOPIC_USAGE]++, NOON, entry));
}

#define QUANTITY(n) ((struct ee_opt_decimal){.present = true, .value = (n)})

static void test_totals(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  struct ee_usage entry = an_entry(TENANT, "gpu");
  entry.asked = QUANTITY(0);
  add_entry(&w, &entry);  // nothing but zeros: no total, and no tombstone for it
  const struct step_output *outputs;
  assert_int_equal(step_double_outputs(w.d, &outputs), 0);
  const ee_int128 large = (ee_int128)1 << 100;
  entry.asked = QUANTITY(5);
  entry.billed = QUANTITY(large);
  add_entry(&w, &entry);
  add_entry(&w, &entry);
  entry.asked = QUANTITY(-10);
  entry.billed.present = false;
  entry.granted = QUANTITY(7);
  add_entry(&w, &entry);
  struct ee_usage_total total;
  assert_true(world_total(&w, TENANT, NOON, "gpu", &total));
  assert_false(total.asked.present);
  assert_true(total.granted.present && total.granted.value == 7);
  assert_true(total.billed.present && total.billed.value == 2 * large);
  assert_true(ee_str_equal(total.tenant, EE_STR(TENANT)));
  assert_int_equal(total.window_start, NOON);
  assert_int_equal(step_double_outputs(w.d, &outputs), 3);
  assert_int_equal(outputs[2].topic, EE_TOPIC_USAGE_TENANT);
  assert_int_equal(outputs[2].partition, LEDGER_PARTITION);
  assert_true(ee_bytes_equal(
      outputs[2].key, ee_str_bytes(EE_STR("[\"acme\",\"2026-05-08T12:00:00.000000Z\",\"gpu\"]"))));
  entry.asked = QUANTITY(0);
  entry.granted = QUANTITY(0);
  add_entry(&w, &entry);  // changes nothing
  assert_int_equal(step_double_outputs(w.d, &outputs), 3);
  entry.granted = QUANTITY(-7);
  entry.billed = QUANTITY(-2 * large);
  add_entry(&w, &entry);
  assert_int_equal(step_double_outputs(w.d, &outputs), 4);
  assert_null(outputs[3].value.data);
  assert_false(world_total(&w, TENANT, NOON, "gpu", &total));
  entry.granted = QUANTITY(3);
  entry.billed.present = false;
  add_entry(&w, &entry);
  assert_true(world_total(&w, TENANT, NOON, "gpu", &total));
  assert_true(total.granted.value == 3 && !total.billed.present);
  world_release(&w);
}

// A name or tenant that would make the key too long for the store is hashed.
static void test_long_total_keys(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  char name[1000];
  memset(name, 'n', sizeof name - 1);
  name[sizeof name - 1] = '\0';
  struct ee_usage entry = an_entry(TENANT, name);
  entry.asked = QUANTITY(5);
  add_entry(&w, &entry);
  name[998] = 'm';
  add_entry(&w, &entry);
  add_entry(&w, &entry);
  char tenant[129];
  memset(tenant, 1, sizeof tenant - 1);
  tenant[128] = '\0';
  entry.tenant = ee_str(tenant);
  entry.dimension = EE_STR("gpu");
  add_entry(&w, &entry);
  const struct step_output *outputs;
  assert_int_equal(step_double_outputs(w.d, &outputs), 4);
  assert_int_equal(outputs[0].key.size, strlen("[\"sha256\",\"\"]") + 64);
  assert_false(ee_bytes_equal(outputs[0].key, outputs[1].key));
  assert_true(ee_bytes_equal(outputs[1].key, outputs[2].key));
  struct ee_usage_total total;
  assert_true(ee_decode(own_plan(&ee_usage_total_type), outputs[2].value, &w.arena, &total, NULL));
  assert_true(total.asked.value == 10);
  assert_true(ee_str_equal(total.dimension, ee_str(name)));
  world_release(&w);
}

static void test_totals_survive_failing_calls(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  struct ee_usage entry = an_entry(TENANT, "gpu");
  entry.asked = QUANTITY(5);
  for (int n = 1; n <= 2; n++) {
    step_double_fail_at(w.d, n);
    assert_false(step_double_input(w.d, EE_TOPIC_USAGE, LEDGER_PARTITION, 0, NOON, &entry));
  }
  add_entry(&w, &entry);
  struct ee_usage_total total;
  assert_true(world_total(&w, TENANT, NOON, "gpu", &total));
  assert_true(total.asked.value == 5);
  world_release(&w);
}

static void test_the_table(void **state) {
  (void)state;
  struct ee_accounting_settings settings = {{{0}}};
  struct ee_processor p = ee_accounting_processor(&settings);
  assert_string_equal(p.ops->name, "accounting");
  assert_int_equal(p.ops->changelogs[WORLD_TOTALS].topic, EE_TOPIC_USAGE_TENANT);
  assert_true(p.ops->changelogs[WORLD_TOTALS].emitted);
  assert_int_equal(p.ops->changelogs[WORLD_STATE].topic, EE_TOPIC_ACCOUNTING_STATE);
  assert_false(p.ops->changelogs[WORLD_STATE].emitted);
  assert_int_equal(p.ops->state_changelog, WORLD_STATE);
  bool phases[EE_PHASE_TOPICS] = {false}, tick = false, usage = false;
  for (size_t i = 0; i < p.ops->input_count; i++) {
    if (p.ops->inputs[i] < EE_PHASE_TOPICS) phases[p.ops->inputs[i]] = true;
    tick = tick || p.ops->inputs[i] == EE_TOPIC_TICK;
    usage = usage || p.ops->inputs[i] == EE_TOPIC_USAGE;
  }
  for (int i = 0; i < EE_PHASE_TOPICS; i++) {
    assert_true(phases[i]);
  }
  assert_true(tick && usage);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_evidence),
      cmocka_unit_test(test_evidence_is_that_of_the_window),
      cmocka_unit_test(test_evidence_of_a_denial_in_every_window),
      cmocka_unit_test(test_evidence_is_bounded_and_keeps_admission_and_trigger),
      cmocka_unit_test(test_totals),
      cmocka_unit_test(test_long_total_keys),
      cmocka_unit_test(test_totals_survive_failing_calls),
      cmocka_unit_test(test_the_table),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
