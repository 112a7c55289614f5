// SPDX-License-Identifier: Apache-2.0
// Governance as a processor, line by line of its specification: what records, receipts and
// ticks make it write, and when.
#include "governance/obligations.h"
#include "tests/support/own_plan.h"
#include "tests/unit/processors/governance_world.h"

static struct ee_policy_obligation due_in_a_minute[] = {
    {.name = EE_STR_INIT("o"),
     .obligation = EE_OBLIGATION_KIND_NOTIFICATION,
     .due_after_ms = {.present = true, .value = 60000},
     .parameters = {.count = 0}}};
static struct ee_policy_rule one_rule[] = {
    {.name = EE_STR_INIT("r"), .obligations = {.items = due_in_a_minute, .count = 1}}};
static const struct ee_policy one_obligation = {.name = EE_STR_INIT("test"),
                                                .rules = {.items = one_rule, .count = 1}};
#define DUE (NOON + 60 * SECOND)

static struct ee_str the_id(void) {
  static char id[EE_SHA256_HEX_SIZE];
  id_of("envelope", 7, "r", "o", id);
  return ee_str(id);
}

static void receive(struct world *w, enum ee_obligation_state state, int64_t occurred_at) {
  struct ee_receipt receipt = a_receipt(the_id(), state, occurred_at);
  world_receive(w, &receipt);
}

// The last record of the only obligation; checks how many there are.
static const struct ee_obligation *last(struct world *w, size_t count) {
  const struct ee_obligation *all;
  assert_int_equal(world_obligations(w, &all), count);
  return &all[count - 1];
}

static void assert_evidence(const struct ee_evidence *e, enum ee_topic topic, int64_t offset,
                            int64_t timestamp, enum ee_phase phase, const char *event_id) {
  assert_text(e->topic, ee_topics[topic].name);
  assert_int_equal(e->partition, PARTITION);
  assert_int_equal(e->offset, offset);
  assert_int_equal(e->timestamp, timestamp);
  assert_int_equal(e->phase, phase);
  assert_text(e->event_id, event_id);
}

// ---- Audit.

static void test_every_phase_record_is_a_leaf_of_its_own_log(void **state) {
  (void)state;
  enum { ROUNDS = 12 };
  struct world w;
  world_init(&w, NULL);
  for (int round = 0; round < ROUNDS; round++) {
    for (enum ee_phase phase = EE_PHASE_ADMISSION; phase <= EE_PHASE_ANNOTATION; phase++) {
      if (phase == EE_PHASE_FAILED && round == 1) continue;
      world_add(&w, phase, "the same event");  // a repeat is a record too
    }
    struct ee_receipt receipt = a_receipt(EE_STR("id"), EE_OBLIGATION_STATE_APPLIED, NOON);
    world_receive(&w, &receipt);
    world_tick(&w, NOON + round * HOUR);
    step_double_restore(w.d);
  }
  const struct ee_audit_entry *entries;
  size_t count = world_entries(&w, &entries);
  assert_int_equal(count, ROUNDS * 6 - 1);
  int64_t next[EE_PHASE_TOPICS] = {0};
  for (size_t i = 0; i < count; i++) {
    int phase = 0;
    while (!ee_str_equal(entries[i].source.topic, ee_str(ee_topics[phase].name)))
      phase++;
    assert_int_equal(entries[i].number, next[phase]);
    assert_int_equal(entries[i].source.offset, next[phase]);
    next[phase]++;
  }
  world_release(&w);
}

static void test_logs_of_partitions_are_apart(void **state) {
  (void)state;
  struct world w;
  world_init(&w, NULL);
  union event event = an_event(EE_PHASE_FAILED, "f");
  for (int32_t partition = 0; partition < 3; partition++) {
    assert_true(step_double_input(w.d, EE_TOPIC_FAILED, partition, 10 + partition, NOON, &event));
  }
  const struct step_output *outputs;
  assert_int_equal(step_double_outputs(w.d, &outputs), 3);
  for (int32_t partition = 0; partition < 3; partition++) {
    struct ee_audit_entry entry;
    assert_true(ee_decode(own_plan(&ee_audit_entry_type), outputs[partition].value, &w.arena,
                          &entry, NULL));
    assert_int_equal(outputs[partition].partition, partition);
    assert_int_equal(entry.source.partition, partition);
    assert_int_equal(entry.number, 0);
    assert_text(ee_bytes_str(outputs[partition].key), "envelope");
  }
  world_release(&w);
}

// ---- Obligations.

static void test_admission_gives_obligations_once(void **state) {
  (void)state;
  struct world w;
  world_init(&w, &one_obligation);
  w.offsets[EE_TOPIC_ADMISSION] = 5;
  world_add(&w, EE_PHASE_ADMISSION, "first");
  const struct ee_obligation *o = last(&w, 1);
  assert_true(ee_str_equal(o->obligation_id, the_id()));
  assert_text(o->envelope_id, "envelope");
  assert_text(o->tenant, "acme");
  assert_int_equal(o->obligation, EE_OBLIGATION_KIND_NOTIFICATION);
  assert_text(o->name, "o");
  assert_text(o->rule, "r");
  assert_int_equal(o->policy_version, 7);
  assert_int_equal(o->state, EE_OBLIGATION_STATE_DUE);
  assert_false(o->overdue);
  assert_true(o->due.present && o->due.value == DUE);
  assert_null(o->actor.data);
  assert_int_equal(o->evidence.count, 1);
  assert_evidence(&o->evidence.items[0], EE_TOPIC_ADMISSION, 5, NOON, EE_PHASE_ADMISSION, "first");
  const struct step_output *outputs;
  (void)step_double_outputs(w.d, &outputs);
  assert_int_equal(outputs[1].topic, EE_TOPIC_GOVERNANCE);
  assert_text(ee_bytes_str(outputs[1].key), "envelope");
  w.now += HOUR;
  union event second = an_event(EE_PHASE_ADMISSION, "second");
  second.head.tenant = EE_STR("other");
  world_event(&w, EE_PHASE_ADMISSION, &second);
  for (enum ee_phase phase = EE_PHASE_RESOLVED; phase <= EE_PHASE_ANNOTATION; phase++) {
    world_add(&w, phase, "later");
  }
  (void)last(&w, 1);
  world_release(&w);
}

static void test_policy_is_the_version_in_force(void **state) {
  (void)state;
  static const char *const hints[] = {"audit_event", "review",    "notify",
                                      "guardrail",   "retention", "redact"};
  struct world w;
  world_init(&w, NULL);
  for (size_t i = 0; i < COUNT_OF(hints); i++) {
    struct ee_str_entry hint = {ee_str(hints[i]), EE_STR("v")};
    struct ee_governance governance = {.hints = {.entries = &hint, .count = 1}};
    union event event = an_admission(&governance);
    event.head.envelope_id = ee_str(hints[i]);
    world_event(&w, EE_PHASE_ADMISSION, &event);
    const struct ee_obligation *o = last(&w, i + 1);
    static const enum ee_obligation_kind kinds[] = {
        EE_OBLIGATION_KIND_AUDIT_DISCLOSURE, EE_OBLIGATION_KIND_REVIEW,
        EE_OBLIGATION_KIND_NOTIFICATION,     EE_OBLIGATION_KIND_GUARDRAIL_ROUTING,
        EE_OBLIGATION_KIND_RETENTION,        EE_OBLIGATION_KIND_REDACTION};
    assert_int_equal(o->obligation, kinds[i]);
    assert_int_equal(o->policy_version, 0);
    assert_int_equal(o->parameters.count, 1);
  }
  world_add(&w, EE_PHASE_ADMISSION, "a");  // no hints: nothing is owed
  (void)last(&w, COUNT_OF(hints));
  w.version = (struct ee_policy_version){.number = 12, .policy = &one_obligation};
  step_double_policy(w.d, &w.version);
  union event event = an_event(EE_PHASE_ADMISSION, "b");
  event.head.envelope_id = EE_STR("under the new one");
  world_event(&w, EE_PHASE_ADMISSION, &event);
  assert_int_equal(last(&w, COUNT_OF(hints) + 1)->policy_version, 12);
  world_release(&w);
}

static void test_due_then_overdue_then_applied(void **state) {
  (void)state;
  struct world w;
  world_init(&w, &one_obligation);
  world_add(&w, EE_PHASE_ADMISSION, "a");
  world_tick(&w, DUE + GRACE - 1);
  assert_false(last(&w, 1)->overdue);
  world_tick(&w, DUE + GRACE);
  const struct ee_obligation *o = last(&w, 2);
  assert_true(o->overdue);
  assert_int_equal(o->state, EE_OBLIGATION_STATE_DUE);
  assert_int_equal(o->evidence.count, 1);
  world_tick(&w, DUE + HOUR);
  step_double_restore_without_clock(w.d);
  world_tick(&w, DUE + 2 * HOUR);
  (void)last(&w, 2);  // said once
  w.now = DUE + 3 * HOUR;
  w.offsets[EE_TOPIC_OBLIGATION] = 9;
  receive(&w, EE_OBLIGATION_STATE_APPLIED, NOON);
  o = last(&w, 3);
  assert_true(o->overdue);
  assert_int_equal(o->state, EE_OBLIGATION_STATE_APPLIED);
  assert_text(o->actor, "urn:actor");
  assert_int_equal(o->evidence.count, 2);
  assert_evidence(&o->evidence.items[0], EE_TOPIC_ADMISSION, 0, NOON, EE_PHASE_ADMISSION, "a");
  assert_evidence(&o->evidence.items[1], EE_TOPIC_OBLIGATION, 9, DUE + 3 * HOUR, EE_PHASE_OTHER,
                  "");
  world_release(&w);
}

// One record for each receipt that comes to stand, since it is the evidence.
static void test_receipts_change_the_state(void **state) {
  (void)state;
  struct world w;
  world_init(&w, &one_obligation);
  world_add(&w, EE_PHASE_ADMISSION, "a");
  receive(&w, EE_OBLIGATION_STATE_FAILED, NOON + 10);
  assert_int_equal(last(&w, 2)->state, EE_OBLIGATION_STATE_FAILED);
  receive(&w, EE_OBLIGATION_STATE_APPLIED, NOON + 9);  // an older one
  receive(&w, EE_OBLIGATION_STATE_DUE, NOON + 90);     // says nothing
  (void)last(&w, 2);
  receive(&w, EE_OBLIGATION_STATE_APPLIED, NOON + 10);
  assert_int_equal(last(&w, 3)->state, EE_OBLIGATION_STATE_APPLIED);
  receive(&w, EE_OBLIGATION_STATE_APPLIED, NOON + 11);
  assert_int_equal(last(&w, 4)->evidence.items[1].offset, 4);
  struct ee_receipt receipt = a_receipt(EE_STR("of nothing"), EE_OBLIGATION_STATE_FAILED, NOON);
  world_receive(&w, &receipt);
  (void)last(&w, 4);
  world_tick(&w, DUE + HOUR);
  assert_false(last(&w, 4)->overdue);
  world_release(&w);
}

static void test_receipts_may_come_first(void **state) {
  (void)state;
  struct world w;
  world_init(&w, &one_obligation);
  receive(&w, EE_OBLIGATION_STATE_WAIVED, NOON + 10);
  receive(&w, EE_OBLIGATION_STATE_APPLIED, NOON + 5);
  const struct ee_obligation *all;
  assert_int_equal(world_obligations(&w, &all), 0);
  world_tick(&w, NOON - HOUR);
  step_double_restore(w.d);
  world_add(&w, EE_PHASE_ADMISSION, "a");
  const struct ee_obligation *o = last(&w, 1);
  assert_int_equal(o->state, EE_OBLIGATION_STATE_WAIVED);
  assert_int_equal(o->evidence.items[1].offset, 0);
  world_tick(&w, DUE + HOUR);
  (void)last(&w, 1);
  world_release(&w);
}

static void test_receipts_of_another_tenant_count_for_nothing(void **state) {
  (void)state;
  struct world w;
  world_init(&w, &one_obligation);
  struct ee_receipt foreign = a_receipt(the_id(), EE_OBLIGATION_STATE_WAIVED, NOON + HOUR);
  foreign.tenant = EE_STR("other");
  world_receive(&w, &foreign);
  world_add(&w, EE_PHASE_ADMISSION, "a");
  world_receive(&w, &foreign);
  assert_int_equal(last(&w, 1)->state, EE_OBLIGATION_STATE_DUE);
  world_tick(&w, DUE + GRACE);
  assert_true(last(&w, 2)->overdue);
  receive(&w, EE_OBLIGATION_STATE_APPLIED, NOON);
  assert_int_equal(last(&w, 3)->state, EE_OBLIGATION_STATE_APPLIED);
  foreign.occurred_at++;
  world_receive(&w, &foreign);
  (void)last(&w, 3);
  world_release(&w);
}

// ---- Overdue is decided on the records below the tick's offsets.

static void test_overdue_does_not_see_beyond_the_tick(void **state) {
  (void)state;
  for (int beyond = 0; beyond < 2; beyond++) {
    struct world w;
    world_init(&w, &one_obligation);
    world_add(&w, EE_PHASE_ADMISSION, "a");
    w.now = DUE + GRACE + SECOND;
    receive(&w, EE_OBLIGATION_STATE_APPLIED, NOON);
    if (beyond) w.offsets[EE_TOPIC_OBLIGATION]--;  // the tick was written before it
    world_tick(&w, DUE + GRACE);
    const struct ee_obligation *o = last(&w, beyond ? 3 : 2);
    assert_int_equal(o->overdue, beyond);
    assert_int_equal(o->state, EE_OBLIGATION_STATE_APPLIED);
    world_release(&w);
  }
}

// An admission that the tick has not seen is judged by the next one, whichever was read first.
static void test_overdue_wants_the_admission_below_the_tick(void **state) {
  (void)state;
  static struct ee_policy_obligation at_once[] = {
      {.name = EE_STR_INIT("o"), .due_after_ms = {.present = true, .value = 0}}};
  static struct ee_policy_rule rule[] = {
      {.name = EE_STR_INIT("r"), .obligations = {.items = at_once, .count = 1}}};
  struct ee_policy policy = {.name = EE_STR_INIT("test"), .rules = {.items = rule, .count = 1}};
  for (int tick_first = 0; tick_first < 2; tick_first++) {
    struct world w;
    world_init(&w, &policy);
    w.settings.grace_ms = 0;
    int64_t offsets[EE_TOPIC_COUNT] = {0};
    if (tick_first) assert_true(step_double_tick(w.d, PARTITION, NOON, offsets));
    world_add(&w, EE_PHASE_ADMISSION, "a");
    if (!tick_first) assert_true(step_double_tick(w.d, PARTITION, NOON, offsets));
    (void)last(&w, 1);
    step_double_restore(w.d);
    world_tick(&w, NOON + 1);
    assert_true(last(&w, 2)->overdue);
    world_tick(&w, NOON + 2);
    (void)last(&w, 2);
    world_release(&w);
  }
}

static void test_envelopes_older_than_the_logs_are_not_judged(void **state) {
  (void)state;
  for (int64_t judge_from = NOON; judge_from <= NOON + 1; judge_from++) {
    struct world w;
    world_init(&w, &one_obligation);
    step_double_judge_from(w.d, judge_from);
    world_add(&w, EE_PHASE_ADMISSION, "a");
    world_tick(&w, DUE + GRACE);
    (void)last(&w, judge_from == NOON ? 2 : 1);
    world_release(&w);
  }
}

// ---- Hostile.

// 300 receipts of strangers, then that of the obligation: it comes too late to be kept.
// Were it there before, it stands.
static void test_flood_of_receipts(void **state) {
  (void)state;
  for (int before = 0; before < 2; before++) {
    struct world w;
    world_init(&w, &one_obligation);
    if (before) receive(&w, EE_OBLIGATION_STATE_FAILED, NOON);
    static char actor[100000];
    memset(actor, 'x', sizeof actor);
    for (int i = 0; i < 300; i++) {
      char id[16];
      snprintf(id, sizeof id, "%d", i);
      struct ee_receipt receipt = a_receipt(ee_str(id), EE_OBLIGATION_STATE_WAIVED, NOON);
      receipt.actor = (struct ee_str){actor, sizeof actor};
      world_receive(&w, &receipt);
    }
    world_add(&w, EE_PHASE_ADMISSION, "a");
    receive(&w, EE_OBLIGATION_STATE_APPLIED, NOON + 1);
    const struct ee_obligation *o = last(&w, before ? 2 : 1);
    assert_int_equal(o->state, before ? EE_OBLIGATION_STATE_APPLIED : EE_OBLIGATION_STATE_DUE);
    const struct ee_governance_state *kept = world_state(&w, "envelope");
    assert_int_equal(kept->envelope->receipts.count, EE_RECEIPTS_MAX);
    assert_true(kept->encoded.size < (size_t)1 << 20);
    world_release(&w);
  }
}

static struct ee_str repeated(struct world *w, size_t size) {
  char *text = ee_arena_alloc(&w->arena, size);
  assert_non_null(text);
  memset(text, 'x', size);
  return (struct ee_str){.data = text, .size = size};
}

// The most that a policy and an admission can make of an envelope fits the topics.
static void test_largest_obligations_fit_the_topics(void **state) {
  (void)state;
  struct world w;
  world_init(&w, &one_obligation);
  static char names[EE_OBLIGATIONS_MAX][129];
  struct ee_policy_obligation many[EE_OBLIGATIONS_MAX];
  struct ee_str_entry big[] = {{EE_STR_INIT("b"), repeated(&w, (size_t)500 << 10)},
                               {EE_STR_INIT("c"), repeated(&w, (size_t)12000)},
                               {EE_STR_INIT("d"), repeated(&w, (size_t)400 << 10)}};
  for (size_t i = 0; i < COUNT_OF(many); i++) {
    snprintf(names[i], sizeof names[i], "%0128zu", i);
    many[i] = (struct ee_policy_obligation){.name = ee_str(names[i]), .due_after_ms = NUMBER(0)};
  }
  many[0].parameters = (struct ee_str_map){big, COUNT_OF(big)};
  struct ee_policy policy = POLICY({.name = repeated(&w, 128),
                                    .match = {.hints = ENTRIES(ENTRY("h", "*"))},
                                    .obligations = {.items = many, .count = COUNT_OF(many)}});
  w.version.policy = &policy;
  struct ee_str_entry hint = {EE_STR("h"), repeated(&w, (size_t)120 << 10)};
  struct ee_governance governance = {.hints = {.entries = &hint, .count = 1}};
  union event event = an_admission(&governance);
  event.head.tenant = event.head.event_id = repeated(&w, 128);
  world_event(&w, EE_PHASE_ADMISSION, &event);
  for (size_t i = 0; i < COUNT_OF(many); i++) {
    char id[EE_SHA256_HEX_SIZE];
    id_of("envelope", 7, "no such rule", names[i], id);
    struct ee_receipt receipt = a_receipt(ee_str(id), EE_OBLIGATION_STATE_FAILED, NOON);
    receipt.actor = repeated(&w, 2000);
    receipt.tenant = event.head.tenant;
    world_receive(&w, &receipt);
  }
  const struct step_output *outputs;
  size_t count = step_double_outputs(w.d, &outputs), largest = 0;
  for (size_t i = 0; i < count; i++) {
    if (outputs[i].value.size > largest) largest = outputs[i].value.size;
  }
  size_t most = (size_t)ee_topics[EE_TOPIC_GOVERNANCE].max_message_bytes;
  assert_in_range(largest, (size_t)630 << 10, most - ((size_t)64 << 10));
  most = (size_t)ee_topics[EE_TOPIC_GOVERNANCE_STATE].max_message_bytes;
  assert_in_range(world_state(&w, "envelope")->encoded.size, (size_t)900 << 10, most / 2);
  world_release(&w);
}

// ---- Its face to the runtime.

static void test_inputs_and_changelogs(void **state) {
  (void)state;
  struct ee_governance_settings settings = {.grace_ms = 1};
  struct ee_processor processor = ee_governance_processor(&settings);
  const struct ee_processor_ops *ops = processor.ops;
  bool reads[EE_TOPIC_COUNT] = {false};
  for (size_t i = 0; i < ops->input_count; i++)
    reads[ops->inputs[i]] = true;
  for (int topic = 0; topic < EE_TOPIC_COUNT; topic++) {
    bool expected =
        topic <= EE_TOPIC_ANNOTATION || topic == EE_TOPIC_OBLIGATION || topic == EE_TOPIC_TICK;
    assert_int_equal(reads[topic], expected);
  }
  assert_int_equal(ops->input_count, 8);
  assert_int_equal(ops->changelog_count, 1);
  assert_int_equal(ops->changelogs[ops->state_changelog].topic, EE_TOPIC_GOVERNANCE_STATE);
  assert_false(ops->changelogs[0].emitted);
  assert_true(ops->uses_policy);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_phase_record_is_a_leaf_of_its_own_log),
      cmocka_unit_test(test_logs_of_partitions_are_apart),
      cmocka_unit_test(test_admission_gives_obligations_once),
      cmocka_unit_test(test_policy_is_the_version_in_force),
      cmocka_unit_test(test_due_then_overdue_then_applied),
      cmocka_unit_test(test_receipts_change_the_state),
      cmocka_unit_test(test_receipts_may_come_first),
      cmocka_unit_test(test_receipts_of_another_tenant_count_for_nothing),
      cmocka_unit_test(test_overdue_does_not_see_beyond_the_tick),
      cmocka_unit_test(test_overdue_wants_the_admission_below_the_tick),
      cmocka_unit_test(test_envelopes_older_than_the_logs_are_not_judged),
      cmocka_unit_test(test_flood_of_receipts),
      cmocka_unit_test(test_largest_obligations_fit_the_topics),
      cmocka_unit_test(test_inputs_and_changelogs),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
