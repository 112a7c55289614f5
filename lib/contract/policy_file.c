// SPDX-License-Identifier: Apache-2.0
// Policy files as operators write them.
#include "contract/policy_file.h"

#include "contract/event.h"
#include "contract/json.h"

static bool parse(struct ee_str text, json_t **ret, struct ee_err *err) {
  json_error_t where;
  if (text.size > EE_POLICY_FILE_MAX) {
    return ee_err_set(err, "a policy of %zu bytes; at most %zu are allowed", text.size,
                      EE_POLICY_FILE_MAX);
  }
  *ret = json_loadb(text.data, text.size, JSON_REJECT_DUPLICATES, &where);
  if (*ret != NULL) return true;
  return ee_err_set(err, "line %d, column %d: %s", where.line, where.column, where.text);
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
    if (path_known(path)) continue;
    return ee_err_set(err, "rules[%zu].redact[%zu]: no event has a field %.*s", index, i,
                      EE_STR_ARG(path));
  }
  return true;
}

static bool check_obligations(const struct ee_policy_rule *rule, size_t index,
                              struct ee_err *err) {
  for (size_t i = 0; i < rule->obligations.count; i++) {
    const struct ee_policy_obligation *obligation = &rule->obligations.items[i];
    if (obligation->due_after_ms.present && obligation->due_after_ms.value < 0) {
      return ee_err_set(err, "rules[%zu].obligations[%zu].due_after_ms: %lld is negative", index,
                        i, (long long)obligation->due_after_ms.value);
    }
    for (size_t j = 0; j < i; j++) {
      if (!ee_str_equal(rule->obligations.items[j].name, obligation->name)) continue;
      return ee_err_set(err, "rules[%zu].obligations[%zu].name: %.*s is the name of [%zu] already",
                        index, i, EE_STR_ARG(obligation->name), j);
    }
  }
  return true;
}

static bool check_rules(const struct ee_policy *policy, struct ee_err *err) {
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
  if (!good) return ee_err_set(err, "%s", fault.detail);
  return check_rules(ret, err);
}
