// SPDX-License-Identifier: Apache-2.0
// Policy files as operators write them.
#include "contract/policy_file.h"

#include "contract/event.h"
#include "contract/json.h"

static bool parse(struct ee_str text, json_t **ret, struct ee_err *err) {
  json_error_t where;
  if (text.data == NULL) return ee_err_set(err, "the policy is empty");
  if (text.size > EE_POLICY_FILE_MAX) {
    return ee_err_set(err, "a policy of %zu bytes; at most %zu are allowed", text.size,
                      EE_POLICY_FILE_MAX);
  }
  *ret = json_loadb(text.data, text.size, JSON_REJECT_DUPLICATES, &where);
  if (*ret != NULL) return true;
  return ee_err_set(err, "line %d, column %d: %s", where.line, where.column, where.text);
}

// A symbol that is none: which there are. The fault's detail ends with the enum's name.
static bool set_fault(struct ee_err *err, const struct ee_fault *fault) {
  static const struct ee_enum_type *const enums[] = {&ee_execution_kind_type, &ee_sensitivity_type,
                                                     &ee_audit_level_type,
                                                     &ee_obligation_kind_type};
  size_t size = strlen(fault->detail);
  ee_err_set(err, "%s", fault->detail);
  if (err == NULL || fault->reason != EE_REASON_bad_enum) return false;
  for (size_t i = 0; i < sizeof enums / sizeof *enums; i++) {
    size_t tail = strlen(enums[i]->name);
    if (size < tail || strcmp(fault->detail + size - tail, enums[i]->name) != 0) continue;
    for (int j = 0; j < enums[i]->count; j++) {
      ee_err_set(err, "%s%s %.*s", err->text, j == 0 ? ":" : ",", EE_STR_ARG(enums[i]->symbols[j]));
    }
  }
  return false;
}

static bool path_known(struct ee_str path) {
  for (int phase = 0; phase < EE_PHASE_TOPICS; phase++) {
    if (ee_redaction_path_valid(ee_phase_record((enum ee_phase)phase), path)) return true;
  }
  return false;
}

static bool check_redactions(const struct ee_policy_rule *rule, size_t index, struct ee_err *err) {
  for (size_t i = 0; i < rule->redact.count; i++) {
    struct ee_str path = rule->redact.items[i];
    if (ee_str_equal(path, EE_STR("envelope_id"))) {
      return ee_err_set(err,
                        "rules[%zu].redact[%zu]: envelope_id is the key of every record and "
                        "cannot be left out",
                        index, i);
    }
    if (path_known(path)) continue;
    return ee_err_set(err, "rules[%zu].redact[%zu]: no event has a field %.*s", index, i,
                      EE_STR_ARG(path));
  }
  return true;
}

static bool check_obligations(const struct ee_policy_rule *rule, size_t index, struct ee_err *err) {
  for (size_t i = 0; i < rule->obligations.count; i++) {
    const struct ee_policy_obligation *obligation = &rule->obligations.items[i];
    if (obligation->due_after_ms.present && obligation->due_after_ms.value < 0) {
      return ee_err_set(err, "rules[%zu].obligations[%zu].due_after_ms: %lld is negative", index, i,
                        (long long)obligation->due_after_ms.value);
    }
    for (size_t j = 0; j < i; j++) {
      if (!ee_str_equal(rule->obligations.items[j].name, obligation->name)) continue;
      return ee_err_set(err, "rules[%zu].obligations[%zu].name: %.*s is the name of [%zu] already",
                        index, i, EE_STR_ARG(obligation->name), j);
    }
  }
  return true;
}

static bool check_counts(const struct ee_policy *policy, struct ee_err *err) {
  size_t obligations = 0, redactions = 0;
  if (policy->rules.count > EE_POLICY_RULES_MAX) {
    return ee_err_set(err, "rules: %zu of them; at most %d are allowed", policy->rules.count,
                      EE_POLICY_RULES_MAX);
  }
  for (size_t i = 0; i < policy->rules.count; i++) {
    obligations += policy->rules.items[i].obligations.count;
    redactions += policy->rules.items[i].redact.count;
    if (obligations > EE_POLICY_OBLIGATIONS_MAX) {
      return ee_err_set(err, "rules[%zu].obligations: more than %d obligations in all rules", i,
                        EE_POLICY_OBLIGATIONS_MAX);
    }
    if (redactions > EE_POLICY_REDACTIONS_MAX) {
      return ee_err_set(err, "rules[%zu].redact: more than %d paths in all rules", i,
                        EE_POLICY_REDACTIONS_MAX);
    }
  }
  return true;
}

static bool check_rules(const struct ee_policy *policy, struct ee_err *err) {
  if (!check_counts(policy, err)) return false;
  for (size_t i = 0; i < policy->rules.count; i++) {
    const struct ee_policy_rule *rule = &policy->rules.items[i];
    for (size_t j = 0; j < i; j++) {
      if (!ee_str_equal(policy->rules.items[j].name, rule->name)) continue;
      return ee_err_set(err, "rules[%zu].name: %.*s is the name of rules[%zu] already", i,
                        EE_STR_ARG(rule->name), j);
    }
    if (!check_redactions(rule, i, err) || !check_obligations(rule, i, err)) return false;
  }
  return true;
}

bool ee_policy_file_read(struct ee_str text, struct ee_arena *arena, struct ee_policy *ret,
                         struct ee_err *err) {
  json_t *json = NULL;
  struct ee_fault fault;
  if (!parse(text, &json, err)) return false;
  bool good = ee_json_read(&ee_policy_type, json, arena, ret, &fault);
  json_decref(json);
  if (!good) return set_fault(err, &fault);
  return check_rules(ret, err);
}
