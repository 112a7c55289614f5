// SPDX-License-Identifier: Apache-2.0
// Which rules an event falls under: every combination of conditions against a plain model,
// and the built-in policy as ARCHITECTURE.md lists it.
#include "governance/policy.h"

#include "contract/json.h"
#include "contract/policy_file.h"
#include "tests/unit/processors/governance_world.h"

// ---- Admissions.

enum condition { EMPTY, MET, UNMET, CONDITIONS };

// A rule with each condition in one of the three states, for the admission below.
static struct ee_policy_rule rule_of(const enum condition *is) {
  static int kinds[] = {EE_EXECUTION_KIND_TOOL_CALL, EE_EXECUTION_KIND_INFERENCE};
  static struct ee_str tenants[] = {EE_STR_INIT("other"), EE_STR_INIT("acme")};
  static int sensitivities[] = {EE_SENSITIVITY_PUBLIC, EE_SENSITIVITY_CONFIDENTIAL};
  static int levels[] = {EE_AUDIT_LEVEL_MINIMAL, EE_AUDIT_LEVEL_FULL};
  static struct ee_str_entry met[] = {ENTRY("review", "legal"), ENTRY("notify", "*")};
  static struct ee_str_entry unmet[] = {ENTRY("notify", "*"), ENTRY("review", "ops")};
  struct ee_policy_rule rule = {.name = EE_STR_INIT("r")};
  // The last entry is the one that is met; without it the condition is not.
  if (is[0] != EMPTY) rule.match.kinds.items = kinds;
  if (is[1] != EMPTY) rule.match.tenants.items = tenants;
  if (is[2] != EMPTY) rule.match.sensitivities.items = sensitivities;
  if (is[3] != EMPTY) rule.match.audit_levels.items = levels;
  rule.match.kinds.count = (size_t[]){0, 2, 1}[is[0]];
  rule.match.tenants.count = (size_t[]){0, 2, 1}[is[1]];
  rule.match.sensitivities.count = (size_t[]){0, 2, 1}[is[2]];
  rule.match.audit_levels.count = (size_t[]){0, 2, 1}[is[3]];
  rule.match.hints.entries = is[4] == MET ? met : unmet;
  rule.match.hints.count = is[4] == EMPTY ? 0 : 2;
  return rule;
}

static void test_admission_meets_all_conditions_or_not(void **state) {
  (void)state;
  struct ee_str_entry hints[] = {ENTRY("notify", "anyone"), ENTRY("review", "legal")};
  struct ee_governance governance = {.audit_level = CHOSEN(EE_AUDIT_LEVEL_FULL),
                                     .sensitivity = CHOSEN(EE_SENSITIVITY_CONFIDENTIAL),
                                     .hints = {.entries = hints, .count = 2}};
  union event event = an_admission(&governance);
  for (int n = 0; n < 3 * 3 * 3 * 3 * 3; n++) {
    enum condition is[5];
    bool expected = true;
    for (int i = 0, rest = n; i < 5; i++, rest /= CONDITIONS) {
      is[i] = (enum condition)(rest % CONDITIONS);
      expected = expected && is[i] != UNMET;
    }
    struct ee_policy_rule rule = rule_of(is);
    assert_int_equal(ee_rule_match(&rule, EE_PHASE_ADMISSION, &event),
                     expected ? EE_RULE_YES : EE_RULE_NO);
  }
}

static void test_admission_that_states_nothing(void **state) {
  (void)state;
  struct ee_governance empty = {.audit_level = {.present = false}};
  for (int with = 0; with < 2; with++) {
    union event event = an_admission(with ? &empty : NULL);
    struct ee_policy_rule level = {
        .match = {.audit_levels =
                      KINDS(EE_AUDIT_LEVEL_MINIMAL, EE_AUDIT_LEVEL_STANDARD, EE_AUDIT_LEVEL_FULL)}};
    struct ee_policy_rule hint = {.match = {.hints = ENTRIES(ENTRY("review", "*"))}};
    struct ee_policy_rule highest = {.match = {.sensitivities = KINDS(EE_SENSITIVITY_RESTRICTED)}};
    struct ee_policy_rule lower = {
        .match = {.sensitivities = KINDS(EE_SENSITIVITY_PUBLIC, EE_SENSITIVITY_INTERNAL,
                                         EE_SENSITIVITY_CONFIDENTIAL)}};
    assert_int_equal(ee_rule_match(&level, EE_PHASE_ADMISSION, &event), EE_RULE_NO);
    assert_int_equal(ee_rule_match(&hint, EE_PHASE_ADMISSION, &event), EE_RULE_NO);
    assert_int_equal(ee_rule_match(&highest, EE_PHASE_ADMISSION, &event), EE_RULE_YES);
    assert_int_equal(ee_rule_match(&lower, EE_PHASE_ADMISSION, &event), EE_RULE_NO);
  }
}

static void test_admission_has_the_higher_sensitivity(void **state) {
  (void)state;
  for (int own = -1; own <= EE_SENSITIVITY_RESTRICTED; own++) {
    for (int governed = -1; governed <= EE_SENSITIVITY_RESTRICTED; governed++) {
      struct ee_governance governance = {.sensitivity = {governed >= 0, governed}};
      union event event = an_admission(&governance);
      event.head.sensitivity = (struct ee_opt_enum){own >= 0, own};
      int higher = own > governed ? own : governed;
      if (higher < 0) higher = EE_SENSITIVITY_RESTRICTED;
      for (int wanted = 0; wanted <= EE_SENSITIVITY_RESTRICTED; wanted++) {
        struct ee_policy_rule rule = {.match = {.sensitivities = {.items = &wanted, .count = 1}}};
        assert_int_equal(ee_rule_match(&rule, EE_PHASE_ADMISSION, &event),
                         wanted == higher ? EE_RULE_YES : EE_RULE_NO);
      }
    }
  }
}

// A hint that is there without a value is there; * in an admission is a value like others.
static void test_hint_values(void **state) {
  (void)state;
  struct ee_str_entry hints[] = {ENTRY("empty", ""), ENTRY("star", "*")};
  struct ee_governance governance = {.hints = {.entries = hints, .count = 2}};
  union event event = an_admission(&governance);
  static const struct {
    struct ee_str_entry wanted;
    enum ee_rule_answer answer;
  } cases[] = {
      {ENTRY("empty", "*"), EE_RULE_YES}, {ENTRY("empty", ""), EE_RULE_YES},
      {ENTRY("empty", "x"), EE_RULE_NO},  {ENTRY("star", "*"), EE_RULE_YES},
      {ENTRY("star", "x"), EE_RULE_NO},   {ENTRY("none", "*"), EE_RULE_NO},
      {ENTRY("none", ""), EE_RULE_NO},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct ee_str_entry wanted = cases[i].wanted;
    struct ee_policy_rule rule = {.match = {.hints = {.entries = &wanted, .count = 1}}};
    assert_int_equal(ee_rule_match(&rule, EE_PHASE_ADMISSION, &event), cases[i].answer);
  }
}

// ---- Later events.

// stated: the event's sensitivity, or -1.
static enum ee_rule_answer expected_later(const enum condition *is, int stated) {
  bool restricted_only = stated < 0;  // handled as the highest, though it may be lower
  if (is[1] == UNMET) return EE_RULE_NO;
  if (is[2] != EMPTY && !restricted_only && (is[2] == UNMET || stated == EE_SENSITIVITY_INTERNAL)) {
    return EE_RULE_NO;
  }
  if (is[0] != EMPTY || is[3] != EMPTY || is[4] != EMPTY) return EE_RULE_MAYBE;
  return is[2] != EMPTY && restricted_only ? EE_RULE_MAYBE : EE_RULE_YES;
}

static void test_later_events_may_match_what_they_do_not_state(void **state) {
  (void)state;
  for (enum ee_phase phase = EE_PHASE_RESOLVED; phase <= EE_PHASE_ANNOTATION; phase++) {
    for (int n = 0; n < 3 * 3 * 3 * 3 * 3; n++) {
      enum condition is[5];
      for (int i = 0, rest = n; i < 5; i++, rest /= CONDITIONS) {
        is[i] = (enum condition)(rest % CONDITIONS);
      }
      struct ee_policy_rule rule = rule_of(is);
      static const int stated[] = {-1, EE_SENSITIVITY_INTERNAL, EE_SENSITIVITY_CONFIDENTIAL};
      for (size_t i = 0; i < COUNT_OF(stated); i++) {
        union event event = an_event(phase, "e");
        event.head.sensitivity = (struct ee_opt_enum){stated[i] >= 0, stated[i]};
        assert_int_equal(ee_rule_match(&rule, phase, &event), expected_later(is, stated[i]));
      }
    }
  }
}

static void test_later_event_without_sensitivity_is_restricted(void **state) {
  (void)state;
  union event event = an_event(EE_PHASE_FAILED, "e");
  struct ee_policy_rule rule = {
      .match = {.sensitivities = KINDS(EE_SENSITIVITY_PUBLIC, EE_SENSITIVITY_RESTRICTED)}};
  assert_int_equal(ee_rule_match(&rule, EE_PHASE_FAILED, &event), EE_RULE_YES);
  event.head.sensitivity = CHOSEN(EE_SENSITIVITY_RESTRICTED);
  assert_int_equal(ee_rule_match(&rule, EE_PHASE_FAILED, &event), EE_RULE_YES);
  event.head.sensitivity = CHOSEN(EE_SENSITIVITY_INTERNAL);
  assert_int_equal(ee_rule_match(&rule, EE_PHASE_FAILED, &event), EE_RULE_NO);
}

// ---- The built-in policy.

static void print(const struct ee_policy *policy, struct ee_buf *out) {
  ee_buf_init(out, 1 << 20);
  ee_json_write(&ee_policy_type, policy, NULL, out);
  assert_false(out->failed);
}

static void test_builtin(void **state) {
  (void)state;
#define HINT(RULE, HINT, NAME, KIND, DUE)                           \
  ",{\"name\":\"" RULE                                              \
  "\",\"match\":{\"kinds\":[],\"tenants\":[],\"sensitivities\":[]," \
  "\"audit_levels\":[],\"hints\":{\"" HINT                          \
  "\":\"*\"}},\"redact\":[],\"obligations\":[{"                     \
  "\"name\":\"" NAME "\",\"obligation\":\"" KIND "\"" DUE ",\"parameters\":{}}]}"
  static const char expected[] =
      "{\"name\":\"built-in\",\"rules\":["
      "{\"name\":\"restricted\",\"match\":{\"kinds\":[],\"tenants\":[],\"sensitivities\":["
      "\"restricted\"],\"audit_levels\":[],\"hints\":{}},\"disclosure\":\"minimal\","
      "\"redact\":[],\"obligations\":[]},"
      "{\"name\":\"open-asked-full\",\"match\":{\"kinds\":[],\"tenants\":[],"
      "\"sensitivities\":[\"public\",\"internal\"],\"audit_levels\":[\"full\"],\"hints\":{}},"
      "\"disclosure\":\"full\",\"redact\":[],\"obligations\":[]}" HINT(
          "hint-audit-event", "audit_event", "disclose", "audit_disclosure",
          ",\"due_after_ms\":86400000")
          HINT("hint-review", "review", "review", "review", ",\"due_after_ms\":604800000")
              HINT("hint-notify", "notify", "notify", "notification", ",\"due_after_ms\":3600000")
                  HINT("hint-guardrail", "guardrail", "route", "guardrail_routing",
                       ",\"due_after_ms\":3600000")
                      HINT("hint-retention", "retention", "retain", "retention", "")
                          HINT("hint-redact", "redact", "redact", "redaction",
                               ",\"due_after_ms\":86400000") "]}";
#undef HINT
  struct ee_buf out;
  print(ee_policy_builtin(), &out);
  assert_text(ee_buf_view(&out), expected);
  ee_buf_release(&out);
}

// What `policy show` prints can be changed and applied.
static void test_builtin_is_a_good_policy_file(void **state) {
  (void)state;
  struct ee_buf out;
  struct ee_arena arena;
  struct ee_policy again;
  struct ee_err err = {""};
  print(ee_policy_builtin(), &out);
  ee_arena_init(&arena, 1 << 20);
  assert_true(ee_policy_file_read(ee_buf_view(&out), &arena, &again, &err));
  assert_true(ee_equal(&ee_policy_type, ee_policy_builtin(), &again, NULL));
  ee_arena_release(&arena);
  ee_buf_release(&out);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_admission_meets_all_conditions_or_not),
      cmocka_unit_test(test_admission_that_states_nothing),
      cmocka_unit_test(test_admission_has_the_higher_sensitivity),
      cmocka_unit_test(test_hint_values),
      cmocka_unit_test(test_later_events_may_match_what_they_do_not_state),
      cmocka_unit_test(test_later_event_without_sensitivity_is_restricted),
      cmocka_unit_test(test_builtin),
      cmocka_unit_test(test_builtin_is_a_good_policy_file),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
