// SPDX-License-Identifier: Apache-2.0
// Governance as a processor: events become audit entries and obligations, receipts and
// ticks move the obligations.
#include "base/time.h"
#include "contract/ident.h"
#include "contract/record.h"
#include "processors/governance/audit.h"
#include "processors/governance/governance.h"
#include "processors/governance/obligations.h"

#define STATE 0                       // the changelog
#define RECORD_MAX ((size_t)4 << 20)  // a record, with room to spare: see obligations.h
// An event as JSON, so that its entry fits the topic's 2 MiB; least is what audit.h says.
#define EVENT_MAX (((size_t)2 << 20) - ((size_t)64 << 10))
#define KEY_MAX ((size_t)1 << 10)

static int64_t grace_of(void *self) {
  return ((const struct ee_governance_settings *)self)->grace_ms * EE_MICROS_PER_MS;
}

static struct ee_evidence evidence_of(struct ee_step *step, const struct ee_input *input,
                                      enum ee_phase phase, struct ee_str event_id) {
  return (struct ee_evidence){.topic = ee_step_topic_name(step, input->topic),
                              .partition = input->partition,
                              .offset = input->offset,
                              .timestamp = input->timestamp,
                              .phase = (int)phase,
                              .event_id = event_id};
}

// ---- State.

// Reads the record under key; absent is the empty one. What the store lends is copied.
static bool get_state(struct ee_step *step, struct ee_bytes key, struct ee_governance_state *ret) {
  struct ee_arena *arena = ee_step_arena(step);
  struct ee_bytes lent;
  ee_record_init(&ee_governance_state_type, ret);
  if (!ee_step_get(step, STATE, key, &lent)) return false;
  if (lent.data == NULL) return true;
  struct ee_str copy = ee_arena_str(arena, ee_bytes_str(lent));
  const struct ee_plan *plan = ee_plan_own(&ee_governance_state_type);
  return copy.data != NULL && plan != NULL && ee_decode(plan, ee_str_bytes(copy), arena, ret, NULL);
}

static bool put_state(struct ee_step *step, struct ee_bytes key, struct ee_governance_state *state,
                      int64_t wake_at) {
  struct ee_buf value;
  ee_buf_init_in(&value, ee_step_arena(step), RECORD_MAX);
  state->encoded = (struct ee_bytes){0};
  ee_encode(&ee_governance_state_type, state, &value);
  return !value.failed && ee_step_put(step, STATE, key, ee_buf_bytes(&value), wake_at);
}

// ---- Audit.

// The number of the next leaf in the log of the input's topic and partition.
static bool next_number(struct ee_step *step, const struct ee_input *input, int64_t *ret) {
  struct ee_buf key;
  struct ee_governance_state state;
  ee_buf_init_in(&key, ee_step_arena(step), KEY_MAX);
  ee_key_partition(&key, ee_topics[input->topic].name);
  if (key.failed || !get_state(step, ee_buf_bytes(&key), &state)) return false;
  *ret = state.audit_size.present ? state.audit_size.value : 0;
  state.audit_size = (struct ee_opt_long){.present = true, .value = *ret + 1};
  return put_state(step, ee_buf_bytes(&key), &state, EE_NEVER);
}

static bool emit_entry(struct ee_step *step, struct ee_str envelope_id,
                       const struct ee_audit_entry *entry, struct ee_buf *value) {
  ee_buf_clear(value);
  ee_encode(&ee_audit_entry_type, entry, value);
  return !value->failed &&
         ee_step_emit(step, EE_TOPIC_AUDIT, ee_str_bytes(envelope_id), ee_buf_bytes(value));
}

static bool audit(struct ee_step *step, const struct ee_input *input,
                  const struct ee_policy *policy) {
  enum ee_phase phase = (enum ee_phase)input->topic;
  const struct ee_event_head *head = input->record;
  struct ee_audit_entry entry;
  uint8_t hash[EE_SHA256_SIZE];
  struct ee_buf event, scratch;
  ee_buf_init_in(&event, ee_step_arena(step), EVENT_MAX);
  ee_buf_init_in(&scratch, ee_step_arena(step), RECORD_MAX);
  ee_record_init(&ee_audit_entry_type, &entry);
  entry.source = (struct ee_audit_source){.topic = ee_step_topic_name(step, input->topic),
                                          .partition = input->partition,
                                          .offset = input->offset};
  enum ee_audit_level level = ee_audit_disclosure(policy, phase, input->record);
  if (!next_number(step, input, &entry.number) ||
      !ee_audit_event(policy, &level, phase, input->record, ee_step_arena(step), &event)) {
    return false;
  }
  entry.level = (int)level;
  entry.event = ee_buf_view(&event);
  entry.leaf_hash = hash;
  return ee_audit_leaf_hash(&entry.source, entry.number, level, entry.event, &scratch, hash) &&
         emit_entry(step, head->envelope_id, &entry, &scratch);
}

// ---- Obligations.

static bool emit_obligation(struct ee_step *step, struct ee_str envelope_id,
                            const struct ee_governance_envelope *envelope,
                            const struct ee_tracked_obligation *obligation) {
  const struct ee_held_receipt *standing = ee_receipt_standing(envelope, obligation);
  struct ee_evidence evidence[2];
  struct ee_obligation record;
  struct ee_buf value;
  ee_record_init(&ee_obligation_type, &record);
  record.obligation_id = obligation->obligation_id;
  record.envelope_id = envelope_id;
  record.tenant = envelope->tenant;
  record.obligation = obligation->obligation;
  record.name = obligation->name;
  record.parameters = obligation->parameters;
  record.state = obligation->state;
  record.overdue = obligation->overdue;
  record.due = obligation->due;
  record.policy_version = obligation->policy_version;
  record.rule = obligation->rule;
  evidence[record.evidence.count++] = *envelope->admission;
  if (standing != NULL) {
    record.actor = standing->actor;
    evidence[record.evidence.count++] = standing->evidence;
  }
  record.evidence.items = evidence;
  ee_buf_init_in(&value, ee_step_arena(step), RECORD_MAX);
  ee_encode(&ee_obligation_type, &record, &value);
  return !value.failed &&
         ee_step_emit(step, EE_TOPIC_GOVERNANCE, ee_str_bytes(envelope_id), ee_buf_bytes(&value));
}

static bool admit(struct ee_step *step, const struct ee_input *input,
                  const struct ee_policy_version *policy, struct ee_governance_envelope *envelope) {
  const struct ee_admission *admission = input->record;
  struct ee_arena *arena = ee_step_arena(step);
  struct ee_evidence *evidence = ee_arena_alloc(arena, sizeof *evidence);
  if (evidence == NULL) return false;
  *evidence = evidence_of(step, input, EE_PHASE_ADMISSION, admission->event_id);
  envelope->admission = evidence;
  envelope->tenant = admission->tenant;
  if (!ee_obligations_derive(policy, admission, input->timestamp, arena, envelope)) return false;
  for (size_t i = 0; i < envelope->obligations.count; i++) {
    ee_obligation_settle(envelope, &envelope->obligations.items[i]);
    if (!emit_obligation(step, admission->envelope_id, envelope, &envelope->obligations.items[i])) {
      return false;
    }
  }
  return true;
}

static bool receive(struct ee_step *step, const struct ee_input *input,
                    struct ee_governance_envelope *envelope, bool *ret_changed) {
  const struct ee_receipt *receipt = input->record;
  struct ee_evidence evidence = evidence_of(step, input, EE_PHASE_OTHER, EE_STR(""));
  if (!ee_receipt_hold(receipt, &evidence, ee_step_arena(step), envelope, ret_changed)) {
    return false;
  }
  bool ours = *ret_changed && envelope->admission != NULL &&
              ee_str_equal(receipt->tenant, envelope->tenant);
  for (size_t i = 0; ours && i < envelope->obligations.count; i++) {
    struct ee_tracked_obligation *obligation = &envelope->obligations.items[i];
    if (!ee_str_equal(obligation->obligation_id, receipt->obligation_id)) continue;
    ee_obligation_settle(envelope, obligation);
    if (!emit_obligation(step, receipt->envelope_id, envelope, obligation)) return false;
  }
  return true;
}

// Reads the envelope's state, lets the input change it, and writes it back if it did.
static bool step_envelope(void *self, struct ee_step *step, const struct ee_input *input,
                          const struct ee_policy_version *policy, struct ee_str envelope_id) {
  struct ee_governance_envelope fresh;
  struct ee_governance_state state;
  struct ee_buf key;
  bool changed = true;
  ee_buf_init_in(&key, ee_step_arena(step), KEY_MAX);
  ee_key_envelope(&key, envelope_id);
  if (key.failed || !get_state(step, ee_buf_bytes(&key), &state)) return false;
  if (state.envelope == NULL) {
    ee_record_init(&ee_governance_envelope_type, &fresh);
    state.envelope = &fresh;
  }
  if (input->topic == EE_TOPIC_OBLIGATION) {
    if (!receive(step, input, state.envelope, &changed)) return false;
  } else {
    changed = state.envelope->admission == NULL;  // the first admission stands
    if (changed && !admit(step, input, policy, state.envelope)) return false;
  }
  int64_t wake_at = ee_obligations_wake_at(state.envelope, grace_of(self), ee_step_clock(step));
  return !changed || put_state(step, ee_buf_bytes(&key), &state, wake_at);
}

// ---- The processor.

static bool governance_step(void *self, struct ee_step *step, const struct ee_input *input) {
  struct ee_policy_version builtin = {.effective = INT64_MIN, .policy = ee_policy_builtin()};
  const struct ee_policy_version *policy = input->policy != NULL ? input->policy : &builtin;
  if (input->topic == EE_TOPIC_OBLIGATION) {
    return step_envelope(self, step, input, policy,
                         ((const struct ee_receipt *)input->record)->envelope_id);
  }
  if (!audit(step, input, policy->policy)) return false;
  return input->topic != EE_TOPIC_ADMISSION ||
         step_envelope(self, step, input, policy,
                       ((const struct ee_event_head *)input->record)->envelope_id);
}

static bool judge(void *self, struct ee_step *step, const struct ee_tick_view *tick,
                  struct ee_str envelope_id, struct ee_governance_envelope *envelope) {
  if (envelope->admission->timestamp < tick->judge_from) return true;
  if (envelope->admission->offset >= tick->offsets[EE_TOPIC_ADMISSION]) return true;
  for (size_t i = 0; i < envelope->obligations.count; i++) {
    struct ee_tracked_obligation *obligation = &envelope->obligations.items[i];
    if (!ee_obligation_overdue(envelope, obligation, grace_of(self), tick)) continue;
    obligation->overdue = true;
    if (!emit_obligation(step, envelope_id, envelope, obligation)) return false;
  }
  return true;
}

static bool governance_wake(void *self, struct ee_step *step, const struct ee_tick_view *tick,
                            uint8_t changelog, struct ee_bytes key, struct ee_bytes value) {
  struct ee_governance_state state;
  struct ee_str envelope_id;
  struct ee_buf name;
  char letter;
  (void)changelog;
  (void)value;
  ee_buf_init_in(&name, ee_step_arena(step), KEY_MAX);
  return ee_key_parse(key, &letter, &envelope_id, &name) && letter == 'e' &&
         get_state(step, key, &state) && state.envelope != NULL &&
         state.envelope->admission != NULL &&
         judge(self, step, tick, envelope_id, state.envelope) &&
         put_state(step, key, &state,
                   ee_obligations_wake_at(state.envelope, grace_of(self), tick->clock));
}

static int64_t governance_wake_at(void *self, uint8_t changelog, struct ee_bytes key,
                                  const void *record, int64_t clock, struct ee_arena *arena) {
  const struct ee_governance_state *state = record;
  (void)changelog;
  (void)key;
  (void)arena;
  if (state->envelope == NULL || state->envelope->admission == NULL) return EE_NEVER;
  return ee_obligations_wake_at(state->envelope, grace_of(self), clock);
}

struct ee_processor ee_governance_processor(const struct ee_governance_settings *settings) {
  static const enum ee_topic inputs[] = {
      EE_TOPIC_ADMISSION, EE_TOPIC_RESOLVED,   EE_TOPIC_FINALIZED,  EE_TOPIC_FAILED,
      EE_TOPIC_RELEASED,  EE_TOPIC_ANNOTATION, EE_TOPIC_OBLIGATION, EE_TOPIC_TICK,
  };
  static const enum ee_topic outputs[] = {EE_TOPIC_GOVERNANCE, EE_TOPIC_AUDIT};
  static const struct ee_changelog changelogs[] = {{EE_TOPIC_GOVERNANCE_STATE, false}};
  static const struct ee_processor_ops ops = {
      .name = "governance",
      .inputs = inputs,
      .input_count = sizeof inputs / sizeof *inputs,
      .outputs = outputs,
      .output_count = sizeof outputs / sizeof *outputs,
      .changelogs = changelogs,
      .changelog_count = sizeof changelogs / sizeof *changelogs,
      .state_changelog = STATE,
      .uses_policy = true,
      .step = governance_step,
      .wake = governance_wake,
      .wake_at = governance_wake_at,
  };
  return (struct ee_processor){.ops = &ops, .self = (void *)(uintptr_t)settings};
}
