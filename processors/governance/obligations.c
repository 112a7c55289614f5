// SPDX-License-Identifier: Apache-2.0
// Obligations of one envelope.
#include "processors/governance/obligations.h"

#include "base/time.h"
#include "base/utf8.h"
#include "contract/ident.h"
#include "contract/record.h"
#include "processors/governance/policy.h"

#define ID_INPUT_MAX 4096
#define HINT_PREFIX "hint."

// What the obligations of one admission are made from, and the room left for parameters.
struct derivation {
  const struct ee_policy_version *policy;
  const struct ee_admission *admission;
  int64_t append_time;
  struct ee_arena *arena;
  size_t rule_room, asked_room;  // bytes
};

// Lower-case hex SHA-256 of [envelope_id, policy_version, rule, name].
static struct ee_str make_id(struct ee_str envelope_id, int64_t version, struct ee_str rule,
                             struct ee_str name, struct ee_arena *arena) {
  struct ee_buf text;
  uint8_t digest[EE_SHA256_SIZE];
  char hex[EE_SHA256_HEX_SIZE];
  ee_buf_init_in(&text, arena, ID_INPUT_MAX);
  ee_buf_text(&text, "[");
  ee_buf_json_string(&text, envelope_id);
  ee_buf_printf(&text, ",%lld,", (long long)version);
  ee_buf_json_string(&text, rule);
  ee_buf_text(&text, ",");
  ee_buf_json_string(&text, name);
  ee_buf_text(&text, "]");
  ee_sha256(ee_buf_bytes(&text), digest);
  ee_hex(ee_bytes(digest, sizeof digest), hex);
  return text.failed ? (struct ee_str){0} : ee_arena_str(arena, ee_str(hex));
}

// Whether a redaction names this field of governance; hint: an entry of hints, or absent.
static bool names(struct ee_str path, struct ee_str field, struct ee_str hint) {
  if (ee_str_equal(path, EE_STR("governance")) || ee_str_equal(path, field)) return true;
  if (hint.data == NULL || path.size <= field.size) return false;
  if (memcmp(path.data, field.data, field.size) != 0 || path.data[field.size] != '.') return false;
  struct ee_str entry = {path.data + field.size + 1, path.size - field.size - 1};
  return ee_str_equal(entry, EE_STR("*")) || ee_str_equal(entry, hint);
}

static bool left_out(const struct derivation *d, struct ee_str field, struct ee_str hint) {
  const struct ee_policy_rule_array *rules = &d->policy->policy->rules;
  for (size_t i = 0; i < rules->count; i++) {
    const struct ee_policy_rule *rule = &rules->items[i];
    if (rule->redact.count == 0) continue;
    if (ee_rule_match(rule, EE_PHASE_ADMISSION, d->admission) == EE_RULE_NO) continue;
    for (size_t j = 0; j < rule->redact.count; j++) {
      if (names(rule->redact.items[j], field, hint)) return true;
    }
  }
  return false;
}

// Adds a parameter unless there is one of that name, or no room.
static void add_parameter(struct ee_str_map *map, struct ee_str name, struct ee_str value,
                          size_t *room) {
  for (size_t i = 0; i < map->count; i++) {
    if (ee_str_equal(map->entries[i].key, name)) return;
  }
  if (map->count == EE_ENTRIES_MAX || name.size + value.size > *room) return;
  *room -= name.size + value.size;
  map->entries[map->count++] = (struct ee_str_entry){name, value};
}

static bool add_hint(struct derivation *d, struct ee_str name, struct ee_str_map *map) {
  struct ee_str value = ee_hint(d->admission, name);
  size_t size = sizeof HINT_PREFIX - 1 + name.size;
  if (size + value.size > d->asked_room || left_out(d, EE_STR("governance.hints"), name)) {
    return true;
  }
  char *text = ee_arena_alloc(d->arena, size);
  if (text == NULL) return false;
  memcpy(text, HINT_PREFIX, sizeof HINT_PREFIX - 1);
  memcpy(text + sizeof HINT_PREFIX - 1, name.data, name.size);
  add_parameter(map, (struct ee_str){text, size}, value, &d->asked_room);
  return true;
}

// The rule's own parameters, the hints it matched, and the retention that was asked for.
static bool make_parameters(struct derivation *d, const struct ee_policy_rule *rule,
                            const struct ee_policy_obligation *from, struct ee_str_map *ret) {
  const struct ee_str_map *own = &from->parameters, *hints = &rule->match.hints;
  const struct ee_governance *governance = d->admission->governance;
  ret->count = 0;
  ret->entries = ee_arena_zero(d->arena, own->count + hints->count + 1, sizeof *ret->entries);
  if (ret->entries == NULL) return false;
  for (size_t i = 0; i < own->count; i++) {
    add_parameter(ret, own->entries[i].key, own->entries[i].value, &d->rule_room);
  }
  for (size_t i = 0; i < hints->count; i++) {
    if (!add_hint(d, hints->entries[i].key, ret)) return false;
  }
  if (governance != NULL && governance->retention.data != NULL &&
      !left_out(d, EE_STR("governance.retention"), (struct ee_str){0})) {
    add_parameter(ret, EE_STR("retention"), governance->retention, &d->asked_room);
  }
  return true;
}

static int64_t due_time(int64_t append_time, int64_t after_ms) {
  int64_t micros;
  if (after_ms < 0) after_ms = 0;
  if (__builtin_mul_overflow(after_ms, EE_MICROS_PER_MS, &micros) ||
      __builtin_add_overflow(append_time, micros, &micros)) {
    return EE_NEVER;
  }
  return micros;
}

static bool derive_one(struct derivation *d, const struct ee_policy_rule *rule,
                       const struct ee_policy_obligation *from, struct ee_tracked_obligation *ret) {
  int64_t version = d->policy->number;
  ee_record_init(&ee_tracked_obligation_type, ret);
  ret->obligation_id =
      make_id(d->admission->envelope_id, version, rule->name, from->name, d->arena);
  ret->obligation = from->obligation;
  ret->name = from->name;
  ret->state = EE_OBLIGATION_STATE_DUE;
  ret->policy_version = version;
  ret->rule = rule->name;
  if (from->due_after_ms.present) {
    ret->due = (struct ee_opt_long){true, due_time(d->append_time, from->due_after_ms.value)};
  }
  return ret->obligation_id.data != NULL && make_parameters(d, rule, from, &ret->parameters);
}

static size_t count_obligations(const struct ee_policy_rule_array *rules) {
  size_t count = 0;
  for (size_t i = 0; i < rules->count; i++)
    count += rules->items[i].obligations.count;
  return count < EE_OBLIGATIONS_MAX ? count : EE_OBLIGATIONS_MAX;
}

// A policy that did not come from a file may give names twice: the first one stands.
static bool is_made(const struct ee_tracked_obligation_array *made, struct ee_str rule,
                    struct ee_str name) {
  for (size_t i = 0; i < made->count; i++) {
    if (ee_str_equal(made->items[i].rule, rule) && ee_str_equal(made->items[i].name, name)) {
      return true;
    }
  }
  return false;
}

bool ee_obligations_derive(const struct ee_policy_version *policy,
                           const struct ee_admission *admission, int64_t append_time,
                           struct ee_arena *arena, struct ee_governance_envelope *envelope) {
  const struct ee_policy_rule_array *rules = &policy->policy->rules;
  struct ee_tracked_obligation_array *made = &envelope->obligations;
  struct derivation d = {.policy = policy,
                         .admission = admission,
                         .append_time = append_time,
                         .arena = arena,
                         .rule_room = EE_RULE_PARAMETERS_MAX,
                         .asked_room = EE_ASKED_PARAMETERS_MAX};
  size_t most = count_obligations(rules);
  made->count = 0;
  made->items = ee_arena_zero(arena, most, sizeof *made->items);
  if (made->items == NULL) return false;
  for (size_t i = 0; i < rules->count; i++) {
    const struct ee_policy_rule *rule = &rules->items[i];
    if (rule->obligations.count == 0) continue;
    if (ee_rule_match(rule, EE_PHASE_ADMISSION, admission) == EE_RULE_NO) continue;
    for (size_t j = 0; j < rule->obligations.count && made->count < most; j++) {
      const struct ee_policy_obligation *from = &rule->obligations.items[j];
      if (is_made(made, rule->name, from->name)) continue;
      if (!derive_one(&d, rule, from, &made->items[made->count])) return false;
      made->count++;
    }
  }
  return true;
}

static struct ee_held_receipt *find_held(const struct ee_governance_envelope *envelope,
                                         struct ee_str obligation_id, struct ee_str tenant) {
  for (size_t i = 0; i < envelope->receipts.count; i++) {
    struct ee_held_receipt *held = &envelope->receipts.items[i];
    if (ee_str_equal(held->obligation_id, obligation_id) && ee_str_equal(held->tenant, tenant)) {
      return held;
    }
  }
  return NULL;
}

static void fill(struct ee_held_receipt *held, const struct ee_receipt *receipt,
                 const struct ee_evidence *evidence) {
  held->obligation_id = receipt->obligation_id;
  held->tenant = receipt->tenant;
  held->state = receipt->state;
  held->actor = ee_utf8_cut(receipt->actor, EE_ACTOR_MAX);
  held->occurred_at = receipt->occurred_at;
  held->evidence = *evidence;
}

bool ee_receipt_hold(const struct ee_receipt *receipt, const struct ee_evidence *evidence,
                     struct ee_arena *arena, struct ee_governance_envelope *envelope,
                     bool *ret_changed) {
  struct ee_held_receipt_array *held = &envelope->receipts;
  *ret_changed = false;
  if (receipt->state == EE_OBLIGATION_STATE_DUE) return true;
  struct ee_held_receipt *before = find_held(envelope, receipt->obligation_id, receipt->tenant);
  if (before != NULL) {
    if (receipt->occurred_at < before->occurred_at) return true;  // at equal times the later
    fill(before, receipt, evidence);
  } else {
    if (held->count >= EE_RECEIPTS_MAX) return true;
    struct ee_held_receipt *items = ee_arena_zero(arena, held->count + 1, sizeof *items);
    if (items == NULL) return false;
    if (held->count > 0) memcpy(items, held->items, held->count * sizeof *items);
    fill(&items[held->count], receipt, evidence);
    items[held->count].first_offset = evidence->offset;
    items[held->count].first_timestamp = evidence->timestamp;
    held->items = items;
    held->count++;
  }
  *ret_changed = true;
  return true;
}

const struct ee_held_receipt *ee_receipt_standing(const struct ee_governance_envelope *envelope,
                                                  const struct ee_tracked_obligation *obligation) {
  return find_held(envelope, obligation->obligation_id, envelope->tenant);
}

void ee_obligation_settle(const struct ee_governance_envelope *envelope,
                          struct ee_tracked_obligation *obligation) {
  const struct ee_held_receipt *standing = ee_receipt_standing(envelope, obligation);
  obligation->state = standing == NULL ? (int)EE_OBLIGATION_STATE_DUE : standing->state;
}

static int64_t judged_at(const struct ee_tracked_obligation *obligation, int64_t grace) {
  int64_t at;
  if (!obligation->due.present || obligation->overdue) return EE_NEVER;
  return __builtin_add_overflow(obligation->due.value, grace, &at) ? EE_NEVER : at;
}

bool ee_obligation_overdue(const struct ee_governance_envelope *envelope,
                           const struct ee_tracked_obligation *obligation, int64_t grace,
                           const struct ee_tick_view *tick) {
  int64_t at = judged_at(obligation, grace);
  if (at == EE_NEVER || at > tick->clock) return false;
  const struct ee_held_receipt *answer = ee_receipt_standing(envelope, obligation);
  return answer == NULL || answer->first_offset >= tick->offsets[EE_TOPIC_OBLIGATION];
}

int64_t ee_obligations_wake_at(const struct ee_governance_envelope *envelope, int64_t grace,
                               int64_t clock) {
  int64_t least = EE_NEVER;
  for (size_t i = 0; i < envelope->obligations.count; i++) {
    const struct ee_tracked_obligation *obligation = &envelope->obligations.items[i];
    int64_t at = judged_at(obligation, grace);
    const struct ee_held_receipt *answer = ee_receipt_standing(envelope, obligation);
    // A receipt appended before that time lies below the offsets of any tick after it.
    if (answer != NULL && answer->first_timestamp < at) continue;
    // No tick so far can have had an admission as young as the clock below its offsets.
    if (at == clock && envelope->admission->timestamp >= clock) at = clock + 1;
    if (at > clock && at < least) least = at;
  }
  return least;
}
