// SPDX-License-Identifier: Apache-2.0
// Audit entries: level, redaction, leaf.
#include "processors/governance/audit.h"

#include "contract/json.h"
#include "processors/governance/policy.h"

#define LEVEL_PATHS_MAX 8

struct level_paths {
  struct ee_str paths[LEVEL_PATHS_MAX];  // ends with an absent one
};

// What the levels below full leave out, by phase.
static const struct level_paths standard_paths[EE_PHASE_TOPICS] = {
    [EE_PHASE_ADMISSION] = {{EE_STR_INIT("extensions"), EE_STR_INIT("governance.hints"),
                             EE_STR_INIT("caller.on_behalf_of"),
                             EE_STR_INIT("caller.authority_refs")}},
    [EE_PHASE_RESOLVED] = {{EE_STR_INIT("extensions"), EE_STR_INIT("resolution.attributes")}},
    [EE_PHASE_FINALIZED] = {{EE_STR_INIT("extensions")}},
    [EE_PHASE_FAILED] = {{EE_STR_INIT("extensions"), EE_STR_INIT("reason")}},
    [EE_PHASE_RELEASED] = {{EE_STR_INIT("extensions"), EE_STR_INIT("reason")}},
    [EE_PHASE_ANNOTATION] = {{EE_STR_INIT("extensions"), EE_STR_INIT("annotations.*")}},
};
static const struct level_paths minimal_paths[EE_PHASE_TOPICS] = {
    [EE_PHASE_ADMISSION] = {{EE_STR_INIT("caller"), EE_STR_INIT("execution.service"),
                             EE_STR_INIT("execution.operation"), EE_STR_INIT("execution.target"),
                             EE_STR_INIT("scope"), EE_STR_INIT("governance"),
                             EE_STR_INIT("requested"), EE_STR_INIT("extensions")}},
    [EE_PHASE_RESOLVED] = {{EE_STR_INIT("granted"), EE_STR_INIT("resolution"),
                            EE_STR_INIT("extensions")}},
    [EE_PHASE_FINALIZED] = {{EE_STR_INIT("runtime_id"), EE_STR_INIT("serve_path"),
                             EE_STR_INIT("public_path"), EE_STR_INIT("backend_kind"),
                             EE_STR_INIT("measured"), EE_STR_INIT("extensions")}},
    [EE_PHASE_FAILED] = {{EE_STR_INIT("reason"), EE_STR_INIT("retryable"),
                          EE_STR_INIT("extensions")}},
    [EE_PHASE_RELEASED] = {{EE_STR_INIT("reason"), EE_STR_INIT("measured"),
                            EE_STR_INIT("extensions")}},
    [EE_PHASE_ANNOTATION] = {{EE_STR_INIT("annotations"), EE_STR_INIT("extensions")}},
};

enum ee_audit_level ee_audit_disclosure(const struct ee_policy *policy, enum ee_phase phase,
                                        const void *record) {
  int known = -1;
  int least = EE_AUDIT_LEVEL_FULL;  // also of what may match
  for (size_t i = 0; i < policy->rules.count; i++) {
    const struct ee_policy_rule *rule = &policy->rules.items[i];
    if (!rule->disclosure.present) continue;
    enum ee_rule_answer answer = ee_rule_match(rule, phase, record);
    int level = rule->disclosure.value;
    if (answer == EE_RULE_YES && (known < 0 || level < known)) known = level;
    if (answer != EE_RULE_NO && level < least) least = level;
  }
  if (known < 0) known = EE_AUDIT_LEVEL_STANDARD;
  return (enum ee_audit_level)(least < known ? least : known);
}

static size_t add_level_paths(enum ee_audit_level level, enum ee_phase phase,
                              struct ee_str *paths) {
  size_t count = 0;
  if (level == EE_AUDIT_LEVEL_FULL) return 0;
  const struct level_paths *left_out =
      level == EE_AUDIT_LEVEL_MINIMAL ? &minimal_paths[phase] : &standard_paths[phase];
  while (count < LEVEL_PATHS_MAX && left_out->paths[count].data != NULL) {
    paths[count] = left_out->paths[count];
    count++;
  }
  return count;
}

// The paths of all rules that match or may.
static size_t add_rule_paths(const struct ee_policy *policy, enum ee_phase phase,
                             const void *record, struct ee_str *paths) {
  size_t count = 0;
  for (size_t i = 0; i < policy->rules.count; i++) {
    const struct ee_policy_rule *rule = &policy->rules.items[i];
    if (rule->redact.count == 0 || ee_rule_match(rule, phase, record) == EE_RULE_NO) continue;
    for (size_t j = 0; j < rule->redact.count; j++)
      paths[count++] = rule->redact.items[j];
  }
  return count;
}

static bool write_event(enum ee_phase phase, const void *record,
                        const struct ee_redaction *redaction, struct ee_buf *out) {
  ee_json_write(ee_phase_record(phase), record, redaction, out);
  return !out->failed;
}

bool ee_audit_event(const struct ee_policy *policy, enum ee_audit_level *level, enum ee_phase phase,
                    const void *record, struct ee_arena *arena, struct ee_buf *out) {
  size_t most = LEVEL_PATHS_MAX;
  for (size_t i = 0; i < policy->rules.count; i++)
    most += policy->rules.items[i].redact.count;
  struct ee_str *paths = ee_arena_zero(arena, most, sizeof *paths);
  if (paths == NULL) return false;
  size_t ruled = add_rule_paths(policy, phase, record, paths);
  struct ee_redaction redaction = {.paths = paths};
  redaction.count = ruled + add_level_paths(*level, phase, paths + ruled);
  if (write_event(phase, record, &redaction, out)) return true;
  if (!out->over_limit) return false;  // the level of an entry must not hang on memory
  ee_buf_clear(out);
  *level = EE_AUDIT_LEVEL_MINIMAL;
  redaction.count = ruled + add_level_paths(*level, phase, paths + ruled);
  return write_event(phase, record, &redaction, out);
}

bool ee_audit_leaf_hash(const struct ee_audit_source *source, int64_t number,
                        enum ee_audit_level level, struct ee_str event, struct ee_buf *scratch,
                        uint8_t ret[EE_SHA256_SIZE]) {
  ee_buf_clear(scratch);
  ee_buf_byte(scratch, 0);
  ee_buf_text(scratch, "[");
  ee_buf_json_string(scratch, source->topic);
  ee_buf_printf(scratch, ",%d,%lld,%lld,", (int)source->partition, (long long)source->offset,
                (long long)number);
  ee_buf_json_string(scratch, ee_audit_level_type.symbols[level]);
  ee_buf_text(scratch, ",");
  ee_buf_str(scratch, event);
  ee_buf_text(scratch, "]");
  if (scratch->failed) return false;
  ee_sha256(ee_buf_bytes(scratch), ret);
  return true;
}
