// SPDX-License-Identifier: Apache-2.0
// Obligations of one envelope: what rules and hints make of an admission, which receipts
// count, when one is overdue, and the bounds of it all.
#include "governance/obligations.h"

#include "base/utf8.h"
#include "tests/unit/processors/governance_world.h"

struct bench {
  struct ee_arena arena;
  struct ee_policy_version version;
  struct ee_governance_envelope envelope;
};

static void bench_init(struct bench *b) {
  ee_arena_init(&b->arena, (size_t)256 << 20);
  b->version = (struct ee_policy_version){.number = 7};
  ee_record_init(&ee_governance_envelope_type, &b->envelope);
}

static void bench_release(struct bench *b) {
  ee_arena_release(&b->arena);
}

static const struct ee_tracked_obligation *derive(struct bench *b, const struct ee_policy *policy,
                                                  const union event *event) {
  b->version.policy = policy;
  b->envelope.tenant = event->head.tenant;
  assert_true(ee_obligations_derive(&b->version, &event->admission, NOON, &b->arena, &b->envelope));
  return b->envelope.obligations.items;
}

// ---- From rules and hints.

static void test_matching_rules_give_their_obligations_in_order(void **state) {
  (void)state;
  struct bench b;
  bench_init(&b);
  struct ee_policy policy =
      POLICY({.name = EE_STR_INIT("one"),
              .obligations = OBLIGATIONS(
                  {.name = EE_STR_INIT("x"),
                   .obligation = EE_OBLIGATION_KIND_REVIEW,
                   .due_after_ms = NUMBER(1500)},
                  {.name = EE_STR_INIT("y"), .obligation = EE_OBLIGATION_KIND_RETENTION})},
             {.name = EE_STR_INIT("not"),
              .match = {.tenants = TEXTS(EE_STR_INIT("other"))},
              .obligations = OBLIGATIONS({.name = EE_STR_INIT("z")})},
             {.name = EE_STR_INIT("two"),
              .obligations = OBLIGATIONS({.name = EE_STR_INIT("x"),
                                          .obligation = EE_OBLIGATION_KIND_OTHER,
                                          .due_after_ms = NUMBER(0)})});
  union event event = an_event(EE_PHASE_ADMISSION, "a");
  const struct ee_tracked_obligation *o = derive(&b, &policy, &event);
  static const struct {
    const char *rule, *name;
    enum ee_obligation_kind kind;
    int64_t due;  // 0: none
  } expected[] = {{"one", "x", EE_OBLIGATION_KIND_REVIEW, NOON + 1500000},
                  {"one", "y", EE_OBLIGATION_KIND_RETENTION, 0},
                  {"two", "x", EE_OBLIGATION_KIND_OTHER, NOON}};
  assert_int_equal(b.envelope.obligations.count, COUNT_OF(expected));
  for (size_t i = 0; i < COUNT_OF(expected); i++) {
    char id[EE_SHA256_HEX_SIZE];
    id_of("envelope", 7, expected[i].rule, expected[i].name, id);
    assert_text(o[i].obligation_id, id);
    assert_text(o[i].rule, expected[i].rule);
    assert_text(o[i].name, expected[i].name);
    assert_int_equal(o[i].obligation, expected[i].kind);
    assert_int_equal(o[i].due.present, expected[i].due != 0);
    assert_int_equal(o[i].due.value, expected[i].due);
    assert_int_equal(o[i].state, EE_OBLIGATION_STATE_DUE);
    assert_int_equal(o[i].policy_version, 7);
    assert_false(o[i].overdue);
    assert_int_equal(o[i].parameters.count, 0);
  }
  bench_release(&b);
}

// As another program computed it, with all that wants escapes.
static void test_id_known(void **state) {
  (void)state;
  struct bench b;
  bench_init(&b);
  struct ee_policy policy = POLICY({.name = EE_STR_INIT("r\"1\\"),
                                    .obligations = OBLIGATIONS({.name = EE_STR_INIT("n\n\x01")})});
  union event event = an_event(EE_PHASE_ADMISSION, "a");
  event.head.envelope_id = EE_STR("\xc3\xa9/7\x1f");
  assert_text(derive(&b, &policy, &event)->obligation_id,
              "65414cd0be610a016fa9f968c8b8d6fdf2753425f36033fe22d0f2c484923477");
  bench_release(&b);
}

static void test_due_beyond_all_time_is_never(void **state) {
  (void)state;
  static const struct {
    int64_t after, due;
  } cases[] = {{-1, NOON},
               {INT64_MIN, NOON},
               {INT64_MAX, INT64_MAX},
               {INT64_MAX / 1000, INT64_MAX},
               {(INT64_MAX - NOON) / 1000, NOON + (INT64_MAX - NOON) / 1000 * 1000},
               {(INT64_MAX - NOON) / 1000 + 1, INT64_MAX}};
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct bench b;
    bench_init(&b);
    struct ee_policy policy =
        POLICY({.obligations = OBLIGATIONS({.due_after_ms = NUMBER(cases[i].after)})});
    union event event = an_event(EE_PHASE_ADMISSION, "a");
    struct ee_evidence evidence = {.timestamp = NOON};
    assert_int_equal(derive(&b, &policy, &event)->due.value, cases[i].due);
    b.envelope.admission = &evidence;
    int64_t wake_at = ee_obligations_wake_at(&b.envelope, GRACE, INT64_MIN);
    bool never = cases[i].due > INT64_MAX - GRACE;
    assert_int_equal(wake_at, never ? EE_NEVER : cases[i].due + GRACE);
    bench_release(&b);
  }
}

// ---- Parameters.

static void assert_parameters(const struct ee_tracked_obligation *o, size_t count,
                              const struct ee_str_entry *expected) {
  assert_int_equal(o->parameters.count, count);
  for (size_t i = 0; i < count; i++) {
    assert_true(ee_str_equal(o->parameters.entries[i].key, expected[i].key));
    assert_true(ee_str_equal(o->parameters.entries[i].value, expected[i].value));
  }
}

static void test_parameters_are_the_rule_s_then_what_was_asked(void **state) {
  (void)state;
  struct bench b;
  bench_init(&b);
  struct ee_policy policy = POLICY(
      {.name = EE_STR_INIT("all"),
       .match = {.hints = ENTRIES(ENTRY("notify", "*"), ENTRY("review", "legal"))},
       .obligations = OBLIGATIONS(
           {.name = EE_STR_INIT("plain"), .parameters = ENTRIES(ENTRY("queue", "q"))},
           {.name = EE_STR_INIT("own"),
            .parameters = ENTRIES(ENTRY("retention", "mine"), ENTRY("hint.review", "ours"))})},
      {.name = EE_STR_INIT("none"), .obligations = OBLIGATIONS({.name = EE_STR_INIT("bare")})});
  struct ee_governance governance = {
      .retention = EE_STR_INIT("P30D"),
      .hints = ENTRIES(ENTRY("other", "x"), ENTRY("review", "legal"), ENTRY("notify", ""))};
  union event event = an_admission(&governance);
  const struct ee_tracked_obligation *o = derive(&b, &policy, &event);
  assert_int_equal(b.envelope.obligations.count, 3);
  static const struct ee_str_entry plain[] = {ENTRY("queue", "q"), ENTRY("hint.notify", ""),
                                              ENTRY("hint.review", "legal"),
                                              ENTRY("retention", "P30D")};
  static const struct ee_str_entry own[] = {ENTRY("retention", "mine"),
                                            ENTRY("hint.review", "ours"), ENTRY("hint.notify", "")};
  static const struct ee_str_entry bare[] = {ENTRY("retention", "P30D")};
  assert_parameters(&o[0], COUNT_OF(plain), plain);
  assert_parameters(&o[1], COUNT_OF(own), own);
  assert_parameters(&o[2], COUNT_OF(bare), bare);
  bench_release(&b);
}

static void test_parameters_leave_out_what_matching_rules_redact(void **state) {
  (void)state;
  static const struct {
    const char *path;
    bool review, unnamed, retention;  // are left
  } cases[] = {
      {"governance", false, false, false},
      {"governance.hints", false, false, true},
      {"governance.hints.*", false, false, true},
      {"governance.hints.review", false, true, true},
      {"governance.hints.revie", true, true, true},
      {"governance.hints.review.x", true, true, true},
      {"governance.hints.", true, false, true},
      {"governance.hint", true, true, true},
      {"governance.hintsxreview", true, true, true},
      {"governance.retention", true, true, false},
      {"governance.provenance", true, true, true},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    for (int matches = 0; matches < 2; matches++) {
      struct bench b;
      bench_init(&b);
      struct ee_str path = ee_str(cases[i].path), tenant = ee_str(matches ? "acme" : "other");
      struct ee_policy policy =
          POLICY({.match = {.hints = ENTRIES(ENTRY("review", "*"), ENTRY("", "*"))},
                  .obligations = OBLIGATIONS({.name = EE_STR_INIT("o")})},
                 {.match = {.tenants = {.items = &tenant, .count = 1}},
                  .redact = {.items = &path, .count = 1}});
      struct ee_governance governance = {.retention = EE_STR_INIT("P30D"),
                                         .hints = ENTRIES(ENTRY("review", "r"), ENTRY("", "n"))};
      union event event = an_admission(&governance);
      const struct ee_str_map *made = &derive(&b, &policy, &event)->parameters;
      assert_int_equal(parameter(made, "hint.review").data != NULL, cases[i].review || !matches);
      assert_int_equal(parameter(made, "hint.").data != NULL, cases[i].unnamed || !matches);
      assert_int_equal(parameter(made, "retention").data != NULL, cases[i].retention || !matches);
      bench_release(&b);
    }
  }
}

static struct ee_str repeated(struct bench *b, size_t size) {
  char *text = ee_arena_alloc(&b->arena, size);
  assert_non_null(text);
  memset(text, 'x', size);
  return (struct ee_str){.data = text, .size = size};
}

// The hints and retention of an envelope take at most so many bytes, with their names, in
// all its obligations; so do the rules' own parameters, apart from them.
static void test_parameters_are_bounded(void **state) {
  (void)state;
  for (int beyond = 0; beyond < 2; beyond++) {
    struct bench b;
    bench_init(&b);
    size_t over = (size_t)beyond;
    struct ee_str_entry big[] = {
        {EE_STR_INIT("big"), repeated(&b, EE_RULE_PARAMETERS_MAX - 3 - 5 + over)},
        {EE_STR_INIT("tail"), EE_STR_INIT("t")}};
    struct ee_str_entry hints[] = {
        {EE_STR_INIT("h"), repeated(&b, EE_ASKED_PARAMETERS_MAX - 2 * 6 - 13 + over)},
        {EE_STR_INIT("i"), EE_STR_INIT("")}};
    struct ee_policy policy =
        POLICY({.match = {.hints = ENTRIES(ENTRY("h", "*"), ENTRY("i", "*"))},
                .obligations = OBLIGATIONS(
                    {.name = EE_STR_INIT("o"), .parameters = {.entries = big, .count = 2}},
                    {.name = EE_STR_INIT("p"), .parameters = ENTRIES(ENTRY("last", ""))})});
    struct ee_governance governance = {.retention = EE_STR_INIT("P30D"),
                                       .hints = {.entries = hints, .count = 2}};
    union event event = an_admission(&governance);
    const struct ee_tracked_obligation *o = derive(&b, &policy, &event);
    assert_int_equal(b.envelope.obligations.count, 2);
    assert_non_null(parameter(&o[0].parameters, "big").data);
    assert_int_equal(parameter(&o[0].parameters, "tail").data != NULL, !beyond);
    assert_non_null(parameter(&o[0].parameters, "hint.h").data);
    assert_non_null(parameter(&o[0].parameters, "hint.i").data);
    assert_int_equal(parameter(&o[0].parameters, "retention").data != NULL, !beyond);
    assert_null(parameter(&o[1].parameters, "hint.h").data);
    assert_int_equal(parameter(&o[1].parameters, "last").data != NULL, beyond);
    assert_int_equal(parameter(&o[1].parameters, "hint.i").data != NULL, beyond);
    bench_release(&b);
  }
}

static void test_parameters_are_not_more_than_a_map_may_have(void **state) {
  (void)state;
  struct bench b;
  bench_init(&b);
  static char names[EE_ENTRIES_MAX][8];
  struct ee_str_entry own[EE_ENTRIES_MAX];
  for (size_t i = 0; i < EE_ENTRIES_MAX; i++) {
    snprintf(names[i], sizeof names[i], "%zu", i);
    own[i] = (struct ee_str_entry){ee_str(names[i]), EE_STR("v")};
  }
  struct ee_policy policy = POLICY(
      {.obligations = OBLIGATIONS(
           {.parameters = {.entries = own, .count = EE_ENTRIES_MAX - 1}},
           {.name = EE_STR_INIT("p"), .parameters = {.entries = own, .count = EE_ENTRIES_MAX}})});
  struct ee_governance governance = {.retention = EE_STR_INIT("P30D")};
  union event event = an_admission(&governance);
  const struct ee_tracked_obligation *o = derive(&b, &policy, &event);
  assert_int_equal(o[0].parameters.count, EE_ENTRIES_MAX);
  assert_non_null(parameter(&o[0].parameters, "retention").data);
  assert_int_equal(o[1].parameters.count, EE_ENTRIES_MAX);
  assert_null(parameter(&o[1].parameters, "retention").data);
  bench_release(&b);
}

// A version that did not come through `policy apply` may be larger, and repeat names.
static void test_obligations_are_bounded_and_named_once(void **state) {
  (void)state;
  struct bench b;
  bench_init(&b);
  static char names[EE_OBLIGATIONS_MAX + 44][8];
  struct ee_policy_obligation many[2 * COUNT_OF(names)];
  for (size_t i = 0; i < COUNT_OF(many); i++) {
    snprintf(names[i / 2], sizeof names[i / 2], "%zu", i / 2);
    many[i] = (struct ee_policy_obligation){.name = ee_str(names[i / 2]),
                                            .due_after_ms = NUMBER((int64_t)i % 2)};
  }
  struct ee_policy policy =
      POLICY({.name = EE_STR_INIT("r"), .obligations = {.items = many, .count = COUNT_OF(many)}});
  union event event = an_event(EE_PHASE_ADMISSION, "a");
  const struct ee_tracked_obligation *o = derive(&b, &policy, &event);
  assert_int_equal(b.envelope.obligations.count, EE_OBLIGATIONS_MAX);
  for (size_t i = 0; i < EE_OBLIGATIONS_MAX; i++) {
    assert_text(o[i].name, names[i]);
    assert_int_equal(o[i].due.value, NOON);
  }
  bench_release(&b);
}

// ---- Receipts.

static bool hold(struct bench *b, const struct ee_receipt *receipt, int64_t offset) {
  struct ee_evidence evidence = {.offset = offset, .timestamp = NOON + offset};
  bool changed;
  assert_true(ee_receipt_hold(receipt, &evidence, &b->arena, &b->envelope, &changed));
  return changed;
}

static void test_latest_receipt_stands(void **state) {
  (void)state;
  static const struct {
    enum ee_obligation_state state;
    int64_t occurred_at;
    bool counts;
  } story[] = {
      {EE_OBLIGATION_STATE_DUE, 900, false},     {EE_OBLIGATION_STATE_FAILED, 50, true},
      {EE_OBLIGATION_STATE_APPLIED, 49, false},  {EE_OBLIGATION_STATE_WAIVED, 50, true},
      {EE_OBLIGATION_STATE_DUE, 1000, false},    {EE_OBLIGATION_STATE_EXPIRED, 51, true},
      {EE_OBLIGATION_STATE_APPLIED, 50, false},  {EE_OBLIGATION_STATE_APPLIED, -5, false},
      {EE_OBLIGATION_STATE_APPLIED, 1000, true},
  };
  struct bench b;
  bench_init(&b);
  b.envelope.tenant = EE_STR("acme");
  struct ee_tracked_obligation o = {.obligation_id = EE_STR("id")};
  enum ee_obligation_state standing = EE_OBLIGATION_STATE_DUE;
  for (size_t i = 0; i < COUNT_OF(story); i++) {
    struct ee_receipt receipt = a_receipt(EE_STR("id"), story[i].state, story[i].occurred_at);
    assert_int_equal(hold(&b, &receipt, (int64_t)i), story[i].counts);
    if (story[i].counts) standing = story[i].state;
    ee_obligation_settle(&b.envelope, &o);
    assert_int_equal(o.state, standing);
    if (i == 0) assert_null(ee_receipt_standing(&b.envelope, &o));
    if (!story[i].counts) continue;
    assert_int_equal(ee_receipt_standing(&b.envelope, &o)->evidence.offset, i);
    assert_int_equal(b.envelope.receipts.items[0].first_offset, 1);
    assert_int_equal(b.envelope.receipts.items[0].first_timestamp, NOON + 1);
  }
  assert_int_equal(b.envelope.receipts.count, 1);
  bench_release(&b);
}

static void test_receipts_of_other_tenants_and_obligations_are_apart(void **state) {
  (void)state;
  struct bench b;
  bench_init(&b);
  b.envelope.tenant = EE_STR("acme");
  struct ee_receipt receipt = a_receipt(EE_STR("id"), EE_OBLIGATION_STATE_FAILED, 10);
  receipt.tenant = EE_STR("other");
  assert_true(hold(&b, &receipt, 0));
  struct ee_tracked_obligation o = {.obligation_id = EE_STR("id")};
  assert_null(ee_receipt_standing(&b.envelope, &o));
  receipt = a_receipt(EE_STR("id2"), EE_OBLIGATION_STATE_FAILED, 10);
  assert_true(hold(&b, &receipt, 1));
  assert_null(ee_receipt_standing(&b.envelope, &o));
  receipt = a_receipt(EE_STR("id"), EE_OBLIGATION_STATE_APPLIED, 5);
  assert_true(hold(&b, &receipt, 2));
  assert_int_equal(ee_receipt_standing(&b.envelope, &o)->evidence.offset, 2);
  assert_int_equal(b.envelope.receipts.count, 3);
  bench_release(&b);
}

static void test_receipts_are_bounded(void **state) {
  (void)state;
  struct bench b;
  bench_init(&b);
  static char ids[EE_RECEIPTS_MAX + 44][8];
  for (size_t i = 0; i < COUNT_OF(ids); i++) {
    snprintf(ids[i], sizeof ids[i], "%zu", i);
    struct ee_receipt receipt = a_receipt(ee_str(ids[i]), EE_OBLIGATION_STATE_APPLIED, 10);
    assert_int_equal(hold(&b, &receipt, (int64_t)i), i < EE_RECEIPTS_MAX);
  }
  assert_int_equal(b.envelope.receipts.count, EE_RECEIPTS_MAX);
  struct ee_receipt receipt = a_receipt(EE_STR("255"), EE_OBLIGATION_STATE_WAIVED, 11);
  assert_true(hold(&b, &receipt, 999));  // of one that is held
  assert_int_equal(b.envelope.receipts.items[255].state, EE_OBLIGATION_STATE_WAIVED);
  for (size_t i = 0; i < EE_RECEIPTS_MAX; i++) {
    assert_text(b.envelope.receipts.items[i].obligation_id, ids[i]);
    assert_int_equal(b.envelope.receipts.items[i].first_offset, i);
  }
  bench_release(&b);
}

static void test_actor_is_cut_after_a_whole_character(void **state) {
  (void)state;
  static const char *const characters[] = {"x", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x9a\x80"};
  for (size_t i = 0; i < COUNT_OF(characters); i++) {
    for (size_t lead = 0; lead < 5; lead++) {
      struct bench b;
      bench_init(&b);
      char actor[2 * EE_ACTOR_MAX];
      size_t size = strlen(characters[i]), end = lead;
      memset(actor, 'a', lead);
      for (; end + size <= sizeof actor; end += size)
        memcpy(actor + end, characters[i], size);
      struct ee_receipt receipt = a_receipt(EE_STR("id"), EE_OBLIGATION_STATE_APPLIED, 10);
      receipt.actor = (struct ee_str){actor, end};
      assert_true(hold(&b, &receipt, 0));
      struct ee_str kept = b.envelope.receipts.items[0].actor;
      assert_true(ee_utf8_valid(kept.data, kept.size));
      assert_in_range(kept.size, EE_ACTOR_MAX - size + 1, EE_ACTOR_MAX);
      receipt = a_receipt(EE_STR("id3"), EE_OBLIGATION_STATE_APPLIED, 10);
      receipt.actor = (struct ee_str){actor, EE_ACTOR_MAX - EE_ACTOR_MAX % size};
      if (lead == 0) assert_true(hold(&b, &receipt, 0));
      if (lead == 0) assert_int_equal(b.envelope.receipts.items[1].actor.size, receipt.actor.size);
      bench_release(&b);
    }
  }
}

// ---- Overdue.

static void test_overdue_is_judged_on_what_lies_below_the_tick(void **state) {
  (void)state;
  int64_t offsets[EE_TOPIC_COUNT];
  struct ee_tick_view tick = {.offsets = offsets, .judge_from = INT64_MIN};
  struct ee_held_receipt held = {.obligation_id = EE_STR("id"),
                                 .tenant = EE_STR("acme"),
                                 .state = EE_OBLIGATION_STATE_FAILED,
                                 .first_offset = 20};
  struct ee_evidence admission = {.timestamp = NOON};
  struct ee_governance_envelope envelope = {.tenant = EE_STR("acme"), .admission = &admission};
  struct ee_tracked_obligation o = {.obligation_id = EE_STR("id"), .due = NUMBER(NOON)};
  for (int i = 0; i < EE_TOPIC_COUNT; i++)
    offsets[i] = 1000;
  for (int clock = -1; clock <= 1; clock++) {
    tick.clock = NOON + GRACE + clock;
    envelope.receipts = (struct ee_held_receipt_array){.items = &held, .count = 0};
    assert_int_equal(ee_obligation_overdue(&envelope, &o, GRACE, &tick), clock >= 0);
    envelope.receipts.count = 1;
    for (int64_t end = 19; end <= 21; end++) {
      offsets[EE_TOPIC_OBLIGATION] = end;
      assert_int_equal(ee_obligation_overdue(&envelope, &o, GRACE, &tick), clock >= 0 && end <= 20);
    }
    offsets[EE_TOPIC_OBLIGATION] = INT64_MAX;  // not named
    assert_false(ee_obligation_overdue(&envelope, &o, GRACE, &tick));
    envelope.tenant = EE_STR("other");
    assert_int_equal(ee_obligation_overdue(&envelope, &o, GRACE, &tick), clock >= 0);
    envelope.tenant = EE_STR("acme");
  }
  envelope.receipts.count = 0;
  o.overdue = true;
  assert_false(ee_obligation_overdue(&envelope, &o, GRACE, &tick));
  o = (struct ee_tracked_obligation){.obligation_id = EE_STR("id")};
  assert_false(ee_obligation_overdue(&envelope, &o, GRACE, &tick));
}

static void test_wake_at_is_the_next_time_to_judge(void **state) {
  (void)state;
  struct ee_tracked_obligation o[] = {
      {.obligation_id = EE_STR("never")},
      {.obligation_id = EE_STR("said"), .due = NUMBER(NOON), .overdue = true},
      {.obligation_id = EE_STR("late"), .due = NUMBER(NOON + 60)},
      {.obligation_id = EE_STR("early"), .due = NUMBER(NOON + 30)},
      {.obligation_id = EE_STR("answered"), .due = NUMBER(NOON + 10)}};
  struct ee_held_receipt held = {.obligation_id = EE_STR("answered"), .tenant = EE_STR("acme")};
  struct ee_evidence admission = {.timestamp = NOON};
  struct ee_governance_envelope envelope = {.tenant = EE_STR("acme"),
                                            .admission = &admission,
                                            .obligations = {o, COUNT_OF(o)},
                                            .receipts = {&held, 1}};
  // Answered before the time in question: nothing to judge. At it or later: a tick may have
  // missed the answer.
  held.first_timestamp = NOON + 10 + GRACE - 1;
  assert_int_equal(ee_obligations_wake_at(&envelope, GRACE, INT64_MIN), NOON + 30 + GRACE);
  held.first_timestamp++;
  assert_int_equal(ee_obligations_wake_at(&envelope, GRACE, INT64_MIN), NOON + 10 + GRACE);
  assert_int_equal(ee_obligations_wake_at(&envelope, GRACE, NOON + 10 + GRACE - 1),
                   NOON + 10 + GRACE);
  assert_int_equal(ee_obligations_wake_at(&envelope, GRACE, NOON + 10 + GRACE), NOON + 30 + GRACE);
  assert_int_equal(ee_obligations_wake_at(&envelope, GRACE, NOON + 30 + GRACE), NOON + 60 + GRACE);
  assert_int_equal(ee_obligations_wake_at(&envelope, GRACE, NOON + 60 + GRACE), EE_NEVER);
  // An admission no older than the clock lies below no tick yet.
  envelope.obligations = (struct ee_tracked_obligation_array){&o[3], 1};
  admission.timestamp = NOON + 30;
  assert_int_equal(ee_obligations_wake_at(&envelope, 0, NOON + 30), NOON + 31);
  admission.timestamp = NOON + 29;
  assert_int_equal(ee_obligations_wake_at(&envelope, 0, NOON + 30), EE_NEVER);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_matching_rules_give_their_obligations_in_order),
      cmocka_unit_test(test_id_known),
      cmocka_unit_test(test_due_beyond_all_time_is_never),
      cmocka_unit_test(test_parameters_are_the_rule_s_then_what_was_asked),
      cmocka_unit_test(test_parameters_leave_out_what_matching_rules_redact),
      cmocka_unit_test(test_parameters_are_bounded),
      cmocka_unit_test(test_parameters_are_not_more_than_a_map_may_have),
      cmocka_unit_test(test_obligations_are_bounded_and_named_once),
      cmocka_unit_test(test_latest_receipt_stands),
      cmocka_unit_test(test_receipts_of_other_tenants_and_obligations_are_apart),
      cmocka_unit_test(test_receipts_are_bounded),
      cmocka_unit_test(test_actor_is_cut_after_a_whole_character),
      cmocka_unit_test(test_overdue_is_judged_on_what_lies_below_the_tick),
      cmocka_unit_test(test_wake_at_is_the_next_time_to_judge),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
