// SPDX-License-Identifier: Apache-2.0
// Matching of events against the rules of a policy, and the policy that is built in.
#include "processors/governance/policy.h"

#include "processors/governance/governance.h"

static bool any_int(const int *items, size_t count, int value) {
  for (size_t i = 0; i < count; i++) {
    if (items[i] == value) return true;
  }
  return count == 0;
}

static bool any_str(const struct ee_str_array *items, struct ee_str value) {
  for (size_t i = 0; i < items->count; i++) {
    if (ee_str_equal(items->items[i], value)) return true;
  }
  return items->count == 0;
}

struct ee_str ee_hint(const struct ee_admission *admission, struct ee_str name) {
  const struct ee_governance *governance = admission->governance;
  for (size_t i = 0; governance != NULL && i < governance->hints.count; i++) {
    if (ee_str_equal(governance->hints.entries[i].key, name)) {
      return governance->hints.entries[i].value;
    }
  }
  return (struct ee_str){0};
}

static bool hints_match(const struct ee_str_map *wanted, const struct ee_admission *admission) {
  for (size_t i = 0; i < wanted->count; i++) {
    struct ee_str value = ee_hint(admission, wanted->entries[i].key);
    if (value.data == NULL) return false;
    if (!ee_str_equal(wanted->entries[i].value, EE_STR("*")) &&
        !ee_str_equal(wanted->entries[i].value, value)) {
      return false;
    }
  }
  return true;
}

static bool audit_level_matches(const struct ee_audit_level_array *wanted,
                                const struct ee_admission *admission) {
  if (wanted->count == 0) return true;
  const struct ee_governance *governance = admission->governance;
  return governance != NULL && governance->audit_level.present &&
         any_int(wanted->items, wanted->count, governance->audit_level.value);
}

static bool admission_matches(const struct ee_policy_match *match,
                              const struct ee_admission *admission) {
  int sensitivity = (int)ee_event_sensitivity(EE_PHASE_ADMISSION, admission);
  return any_int(match->kinds.items, match->kinds.count, admission->execution.kind) &&
         any_str(&match->tenants, admission->tenant) &&
         any_int(match->sensitivities.items, match->sensitivities.count, sensitivity) &&
         audit_level_matches(&match->audit_levels, admission) &&
         hints_match(&match->hints, admission);
}

enum ee_rule_answer ee_rule_match(const struct ee_policy_rule *rule, enum ee_phase phase,
                                  const void *record) {
  const struct ee_policy_match *match = &rule->match;
  const struct ee_event_head *head = record;
  if (phase == EE_PHASE_ADMISSION) {
    return admission_matches(match, record) ? EE_RULE_YES : EE_RULE_NO;
  }
  if (!any_str(&match->tenants, head->tenant)) return EE_RULE_NO;
  bool sensitive = any_int(match->sensitivities.items, match->sensitivities.count,
                           (int)ee_event_sensitivity(phase, record));
  if (!sensitive && head->sensitivity.present) return EE_RULE_NO;
  bool stated =
      match->kinds.count == 0 && match->audit_levels.count == 0 && match->hints.count == 0;
  return sensitive && stated ? EE_RULE_YES : EE_RULE_MAYBE;
}

#define HINT_RULE(NAME, HINT, OBLIGATION)                                            \
  {                                                                                  \
    .name = EE_STR_INIT(NAME), .match = {.hints = {.entries = &(HINT), .count = 1}}, \
    .obligations = {                                                                 \
      .items = &(OBLIGATION),                                                        \
      .count = 1                                                                     \
    }                                                                                \
  }

const struct ee_policy *ee_policy_builtin(void) {
  static int restricted[] = {EE_SENSITIVITY_RESTRICTED};
  static int open[] = {EE_SENSITIVITY_PUBLIC, EE_SENSITIVITY_INTERNAL};
  static int full[] = {EE_AUDIT_LEVEL_FULL};
  static struct ee_str_entry hints[] = {
      {EE_STR_INIT("audit_event"), EE_STR_INIT("*")}, {EE_STR_INIT("review"), EE_STR_INIT("*")},
      {EE_STR_INIT("notify"), EE_STR_INIT("*")},      {EE_STR_INIT("guardrail"), EE_STR_INIT("*")},
      {EE_STR_INIT("retention"), EE_STR_INIT("*")},   {EE_STR_INIT("redact"), EE_STR_INIT("*")},
  };
  static struct ee_policy_obligation obligations[] = {
      {EE_STR_INIT("disclose"), EE_OBLIGATION_KIND_AUDIT_DISCLOSURE, {true, 86400000}, {0}},
      {EE_STR_INIT("review"), EE_OBLIGATION_KIND_REVIEW, {true, INT64_C(604800000)}, {0}},
      {EE_STR_INIT("notify"), EE_OBLIGATION_KIND_NOTIFICATION, {true, 3600000}, {0}},
      {EE_STR_INIT("route"), EE_OBLIGATION_KIND_GUARDRAIL_ROUTING, {true, 3600000}, {0}},
      {EE_STR_INIT("retain"), EE_OBLIGATION_KIND_RETENTION, {false, 0}, {0}},
      {EE_STR_INIT("redact"), EE_OBLIGATION_KIND_REDACTION, {true, 86400000}, {0}},
  };
  static struct ee_policy_rule rules[] = {
      {.name = EE_STR_INIT("restricted"),
       .match = {.sensitivities = {.items = restricted, .count = 1}},
       .disclosure = {true, EE_AUDIT_LEVEL_MINIMAL}},
      {.name = EE_STR_INIT("open-asked-full"),
       .match = {.sensitivities = {.items = open, .count = 2},
                 .audit_levels = {.items = full, .count = 1}},
       .disclosure = {true, EE_AUDIT_LEVEL_FULL}},
      HINT_RULE("hint-audit-event", hints[0], obligations[0]),
      HINT_RULE("hint-review", hints[1], obligations[1]),
      HINT_RULE("hint-notify", hints[2], obligations[2]),
      HINT_RULE("hint-guardrail", hints[3], obligations[3]),
      HINT_RULE("hint-retention", hints[4], obligations[4]),
      HINT_RULE("hint-redact", hints[5], obligations[5]),
  };
  static const struct ee_policy policy = {
      .name = EE_STR_INIT("built-in"),
      .rules = {.items = rules, .count = sizeof rules / sizeof *rules},
  };
  return &policy;
}
