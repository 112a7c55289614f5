// SPDX-License-Identifier: Apache-2.0
// The join as a processor: reads what is known of an envelope, has the pure functions
// apply an event or a tick, and writes what has changed.
#include "contract/record.h"
#include "join/envelope.h"
#include "join/numbers.h"
#include "join/sequence.h"
#include "join/stored.h"

#define KEY_MAX ((size_t)1024)
#define VALUE_MAX ((size_t)8 << 20)
#define VALUE_GROWTH 1024  // bytes that one event usually adds

// One step under way.
struct work {
  const struct ee_join_settings *settings;
  struct ee_step *step;
  struct ee_arena *arena;  // the step's
  struct ee_str envelope_id;
  struct ee_bytes lifecycle;  // as stored; data NULL: nothing
  struct ee_bytes left_out;
  struct ee_lifecycle known;
  struct ee_joined joined;
  struct ee_join_findings findings;
  struct ee_buf key;    // of what was left out
  struct ee_buf value;  // the new lifecycle record
  struct ee_buf other;  // the new record of what was left out, a violation, an event
};

static void begin(struct work *work, const struct ee_join_settings *settings,
                  struct ee_step *step) {
  *work = (struct work){.settings = settings, .step = step, .arena = ee_step_arena(step)};
  ee_buf_init_in(&work->key, work->arena, KEY_MAX);
  ee_buf_init_in(&work->value, work->arena, VALUE_MAX);
  ee_buf_init_in(&work->other, work->arena, VALUE_MAX);
}

// ---- Reading.

static bool read_lifecycle(struct work *work) {
  return ee_join_stored(work->step, EE_JOIN_LIFECYCLE, ee_str_bytes(work->envelope_id),
                        &ee_lifecycle_type, &work->lifecycle, &work->known);
}

// Something was left out of the record if, and only if, that is a violation it lists.
static bool read_left_out(struct work *work, struct ee_join_state *ret) {
  *ret = (struct ee_join_state){.envelope = NULL};
  if (!ee_join_found(&work->known.violations, EE_VIOLATION_KIND_TOO_MANY_EVENTS)) return true;
  ee_key_envelope(&work->key, work->envelope_id);
  return !work->key.failed && ee_join_stored(work->step, EE_JOIN_STATE, ee_buf_bytes(&work->key),
                                             &ee_join_state_type, &work->left_out, ret);
}

static bool read_all(struct work *work) {
  struct ee_join_state state;
  return read_lifecycle(work) && read_left_out(work, &state) &&
         ee_joined_init(&work->joined, work->envelope_id, &work->known, state.envelope,
                        work->arena);
}

// ---- Writing.

static bool emit_findings(struct work *work, struct ee_str tenant) {
  for (size_t i = 0; i < work->findings.count; i++) {
    const struct ee_join_finding *finding = &work->findings.items[i];
    struct ee_violation violation = {.violation_id = ee_str(finding->id),
                                     .kind = finding->kind,
                                     .envelope_id = work->envelope_id,
                                     .tenant = tenant,
                                     .evidence = finding->evidence};
    ee_buf_clear(&work->other);
    ee_encode(&ee_violation_type, &violation, &work->other);
    if (work->other.failed ||
        !ee_step_emit(work->step, EE_TOPIC_VIOLATION, ee_str_bytes(work->envelope_id),
                      ee_buf_bytes(&work->other))) {
      return false;
    }
  }
  return true;
}

// A woken key is put whether or not its value has changed: that is what moves its time.
static bool put_lifecycle(struct work *work, const struct ee_lifecycle *record, int64_t clock,
                          bool woken) {
  ee_buf_reserve(&work->value, work->lifecycle.size + VALUE_GROWTH);
  ee_encode(&ee_lifecycle_type, record, &work->value);
  struct ee_bytes value = ee_buf_bytes(&work->value);
  if (work->value.failed) return false;
  if (!woken && ee_bytes_equal(value, work->lifecycle)) return true;
  int64_t wake_at;
  return ee_join_wake_lifecycle(record, work->settings, clock, work->arena, &wake_at) &&
         ee_step_put(work->step, EE_JOIN_LIFECYCLE, ee_str_bytes(work->envelope_id), value,
                     wake_at);
}

static bool put_state(struct work *work, struct ee_bytes value, int64_t wake_at) {
  if (work->key.size == 0) ee_key_envelope(&work->key, work->envelope_id);
  return !work->key.failed &&
         ee_step_put(work->step, EE_JOIN_STATE, ee_buf_bytes(&work->key), value, wake_at);
}

static bool put_left_out(struct work *work, int64_t clock, bool woken) {
  struct ee_join_envelope left_out;
  bool any;
  if (!ee_joined_left_out(&work->joined, work->arena, &left_out, &any)) return false;
  // Nor was there before: once too much, always too much. A woken one must be there.
  if (!any) return !woken;
  struct ee_join_state state = {.envelope = &left_out};
  ee_buf_clear(&work->other);
  ee_encode(&ee_join_state_type, &state, &work->other);
  struct ee_bytes value = ee_buf_bytes(&work->other);
  if (work->other.failed) return false;
  if (!woken && ee_bytes_equal(value, work->left_out)) return true;
  int64_t wake_at;
  return ee_join_wake_left_out(&left_out, work->settings, clock, work->arena, &wake_at) &&
         put_state(work, value, wake_at);
}

enum woken { NOT_WOKEN, WOKEN_LIFECYCLE, WOKEN_LEFT_OUT };

static bool find_one(struct work *work, enum ee_violation_kind kind, const struct ee_evidence *at) {
  struct ee_evidence *item = ee_arena_alloc(work->arena, sizeof *item);
  if (item == NULL) return false;
  *item = *at;
  return ee_join_find(&work->joined, kind, (struct ee_evidence_array){.items = item, .count = 1},
                      work->arena, &work->findings);
}

// Chooses, derives and writes. shut_out: the event that has just closed its phase, or NULL.
static bool write_all(struct work *work, const struct ee_join_event *shut_out, int64_t clock,
                      enum woken woken) {
  const struct ee_join_event *crowded_out;
  if (!ee_joined_choose(&work->joined, ee_join_limits_of(work->settings), work->arena,
                        &crowded_out)) {
    return false;
  }
  const struct ee_join_event *left_out = shut_out != NULL ? shut_out : crowded_out;
  if (left_out != NULL && !find_one(work, EE_VIOLATION_KIND_TOO_MANY_EVENTS, &left_out->at)) {
    return false;
  }
  struct ee_lifecycle record;
  return ee_joined_derive(&work->joined, work->settings, clock, work->arena, &record) &&
         emit_findings(work, record.tenant) &&
         put_lifecycle(work, &record, clock, woken == WOKEN_LIFECYCLE) &&
         put_left_out(work, clock, woken == WOKEN_LEFT_OUT);
}

// ---- An event.

// The event with its bytes in the current schema. Those of another writer's schema are
// made here, once; they are what the record will carry from now on.
static bool make_event(struct work *work, const struct ee_input *input, struct ee_join_event *ret) {
  const struct ee_event_head *head = input->record;
  const struct ee_record_type *type = ee_phase_record((enum ee_phase)input->topic);
  if (head->encoded.data == NULL) {
    ee_encode(type, input->record, &work->other);
    struct ee_event_head *copy = ee_arena_alloc(work->arena, type->size);
    if (work->other.failed || copy == NULL) return false;
    memcpy(copy, head, type->size);
    copy->encoded = ee_str_bytes(ee_arena_str(work->arena, ee_buf_view(&work->other)));
    if (copy->encoded.data == NULL) return false;
    head = copy;
  }
  *ret = (struct ee_join_event){.head = head,
                                .at = {.topic = ee_step_topic_name(work->step, input->topic),
                                       .partition = input->partition,
                                       .offset = input->offset,
                                       .timestamp = input->timestamp,
                                       .phase = (int)input->topic,
                                       .event_id = head->event_id}};
  return true;
}

// SHA-256 of the bytes as the producer wrote them.
static bool set_digest(struct work *work, struct ee_bytes avro) {
  uint8_t *digest = ee_arena_alloc(work->arena, EE_SHA256_SIZE);
  if (digest == NULL) return false;
  ee_sha256(avro, digest);
  work->joined.admission_sha256 = digest;
  return true;
}

static bool insert(struct work *work, const struct ee_input *input,
                   const struct ee_join_event *event) {
  const struct ee_join_event *at;
  struct ee_joined *joined = &work->joined;
  const struct ee_join_event *shut_out = NULL;
  switch (ee_joined_insert(joined, ee_join_limits_of(work->settings), event, &at)) {
    case EE_JOIN_NOTHING:
      return true;
    case EE_JOIN_CLOSED:
      shut_out = event;
      break;
    case EE_JOIN_CONFLICT:
      if (!ee_join_find_conflict(joined, at, event, work->arena, &work->findings)) return false;
      break;
    case EE_JOIN_INSERTED:
      if (input->topic == EE_TOPIC_ADMISSION && !set_digest(work, input->avro)) return false;
      if (!ee_join_find_mismatches(joined, at, work->arena, &work->findings)) return false;
      break;
  }
  return write_all(work, shut_out, ee_step_clock(work->step), NOT_WOKEN);
}

static bool step(void *self, struct ee_step *s, const struct ee_input *input) {
  if (input->topic == EE_TOPIC_PRODUCER) return ee_join_report(self, s, input);
  struct work work;
  begin(&work, self, s);
  work.envelope_id = ((const struct ee_event_head *)input->record)->envelope_id;
  struct ee_join_event event;
  if (!ee_join_number(self, s, input) || !read_all(&work) || !make_event(&work, input, &event)) {
    return false;
  }
  if (!ee_join_is_stub(&work.known)) return insert(&work, input, &event);
  return find_one(&work, EE_VIOLATION_KIND_AFTER_RETIREMENT, &event.at) &&
         emit_findings(&work, work.known.tenant);
}

// What is no event is in the log all the same: its number is not missing.
static bool refused(void *self, struct ee_step *s, const struct ee_input *input) {
  return ee_join_number(self, s, input);
}

// ---- A tick.

// Leaves the stub; reports events that lie beyond the tick and were joined already.
static bool retire(struct work *work, const struct ee_tick_view *tick,
                   const struct ee_lifecycle *stub) {
  for (int p = 0; p < EE_PHASE_TOPICS; p++) {
    for (size_t i = 0; i < work->joined.phases[p].count; i++) {
      const struct ee_evidence *at = &work->joined.phases[p].events[i].at;
      if (at->offset < tick->offsets[p]) continue;
      if (!find_one(work, EE_VIOLATION_KIND_AFTER_RETIREMENT, at)) return false;
    }
  }
  return emit_findings(work, stub->tenant) && put_lifecycle(work, stub, tick->clock, true) &&
         (work->left_out.data == NULL || put_state(work, ee_bytes(NULL, 0), EE_NEVER));
}

static bool apply_tick(struct work *work, const struct ee_tick_view *tick, enum woken woken) {
  if (ee_join_is_stub(&work->known)) return put_lifecycle(work, &work->known, tick->clock, true);
  struct ee_joined below;
  struct ee_lifecycle stub;
  bool retires = false;
  if (!ee_joined_below(&work->joined, tick->offsets, work->arena, &below)) return false;
  if (ee_joined_appended(&below).first >= tick->judge_from) {
    if (!ee_join_judge(&work->joined, &below, work->settings, tick->clock, work->arena,
                       &work->findings) ||
        !ee_join_retires(&below, work->settings, tick->clock, work->arena, &retires, &stub)) {
      return false;
    }
  }
  return retires ? retire(work, tick, &stub) : write_all(work, NULL, tick->clock, woken);
}

static bool woken_id(struct work *work, uint8_t changelog, struct ee_bytes key) {
  struct ee_str id = ee_bytes_str(key);
  char letter = 'e';
  if (changelog == EE_JOIN_STATE && !ee_key_parse(key, &letter, &id, &work->other)) return false;
  work->envelope_id = ee_arena_str(work->arena, id);
  ee_buf_clear(&work->other);
  return letter == 'e' && work->envelope_id.data != NULL;
}

static bool wake(void *self, struct ee_step *s, const struct ee_tick_view *tick, uint8_t changelog,
                 struct ee_bytes key, struct ee_bytes value) {
  (void)value;  // read again with its counterpart
  if (changelog == EE_JOIN_STATE && ee_join_is_sequence(key)) {
    return ee_join_wake_sequence(self, s, tick, key);
  }
  struct work work;
  begin(&work, self, s);
  return woken_id(&work, changelog, key) && read_all(&work) && work.lifecycle.data != NULL &&
         apply_tick(&work, tick, changelog == EE_JOIN_LIFECYCLE ? WOKEN_LIFECYCLE : WOKEN_LEFT_OUT);
}

// Where memory is short the next tick looks at it, which can say so.
static int64_t wake_at(void *self, uint8_t changelog, struct ee_bytes key, const void *record,
                       int64_t clock, struct ee_arena *arena) {
  (void)key;
  int64_t at = EE_NEVER;
  bool good = true;
  if (changelog == EE_JOIN_LIFECYCLE) {
    good = ee_join_wake_lifecycle(record, self, clock, arena, &at);
  } else {
    const struct ee_join_state *state = record;
    if (state->envelope != NULL) {
      good = ee_join_wake_left_out(state->envelope, self, clock, arena, &at);
    } else if (state->sequence != NULL) {
      at = ee_sequence_wake_at(state->sequence, ((const struct ee_join_settings *)self)->grace_ms);
    }
  }
  return good ? at : INT64_MIN;
}

static const enum ee_topic inputs[] = {
    EE_TOPIC_ADMISSION, EE_TOPIC_RESOLVED,   EE_TOPIC_FINALIZED, EE_TOPIC_FAILED,
    EE_TOPIC_RELEASED,  EE_TOPIC_ANNOTATION, EE_TOPIC_PRODUCER,  EE_TOPIC_TICK,
};
static const enum ee_topic outputs[] = {EE_TOPIC_VIOLATION};
static const struct ee_changelog changelogs[] = {
    [EE_JOIN_LIFECYCLE] = {.topic = EE_TOPIC_LIFECYCLE, .emitted = true},
    [EE_JOIN_STATE] = {.topic = EE_TOPIC_JOIN_STATE, .emitted = false},
};
static const struct ee_processor_ops ops = {
    .name = "join",
    .inputs = inputs,
    .input_count = sizeof inputs / sizeof *inputs,
    .outputs = outputs,
    .output_count = sizeof outputs / sizeof *outputs,
    .changelogs = changelogs,
    .changelog_count = sizeof changelogs / sizeof *changelogs,
    .state_changelog = EE_JOIN_STATE,
    .uses_policy = false,
    .uses_numbers = true,
    .step = step,
    .refused = refused,
    .wake = wake,
    .wake_at = wake_at,
};

struct ee_processor ee_join_processor(const struct ee_join_settings *settings) {
  return (struct ee_processor){.ops = &ops, .self = (void *)settings};
}
