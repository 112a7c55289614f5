// SPDX-License-Identifier: Apache-2.0
// One sequence at a time: read, changed by the pure functions, put.
#include "join/numbers.h"

#include "contract/ident.h"
#include "contract/record.h"
#include "join/sequence.h"
#include "join/stored.h"

#define KEY_MAX ((size_t)1024)
#define VALUE_MAX ((size_t)1 << 20)  // all runs with the longest evidence take a fifth of it

// One sequence in a step.
struct numbers {
  struct ee_step *step;
  struct ee_arena *arena;  // the step's
  struct ee_sequence_name name;
  struct ee_buf key;
  struct ee_buf value;  // the new record, a violation
  bool stored;
  struct ee_sequence sequence;
};

static bool begin(struct numbers *numbers, const struct ee_join_settings *settings,
                  struct ee_step *step, const struct ee_sequence_name *name) {
  struct ee_arena *arena = ee_step_arena(step);
  *numbers = (struct numbers){.step = step, .arena = arena, .name = *name};
  ee_buf_init_in(&numbers->key, arena, KEY_MAX);
  ee_buf_init_in(&numbers->value, arena, VALUE_MAX);
  ee_key_sequence(&numbers->key, name);
  struct ee_join_state state = {.sequence = NULL};
  struct ee_bytes stored;
  if (numbers->key.failed || !ee_join_stored(step, EE_JOIN_STATE, ee_buf_bytes(&numbers->key),
                                             &ee_join_state_type, &stored, &state)) {
    return false;
  }
  numbers->stored = stored.data != NULL;
  ee_sequence_init(&numbers->sequence, state.sequence, settings->grace_ms, arena);
  return true;
}

static bool put(struct numbers *numbers) {
  struct ee_sequence *sequence = &numbers->sequence;
  struct ee_join_state state = {.sequence = &sequence->known};
  ee_buf_clear(&numbers->value);
  ee_encode(&ee_join_state_type, &state, &numbers->value);
  return !numbers->value.failed &&
         ee_step_put(numbers->step, EE_JOIN_STATE, ee_buf_bytes(&numbers->key),
                     ee_buf_bytes(&numbers->value),
                     ee_sequence_wake_at(&sequence->known, sequence->grace_ms));
}

// ---- Records.

// In the arena, where runs may refer to it.
static struct ee_evidence *evidence_of(struct ee_step *step, const struct ee_input *input) {
  struct ee_evidence *at = ee_arena_alloc(ee_step_arena(step), sizeof *at);
  if (at == NULL) return NULL;
  bool event = input->topic < EE_PHASE_TOPICS;
  const struct ee_event_head *head = event ? input->record : NULL;
  *at = (struct ee_evidence){.topic = ee_step_topic_name(step, input->topic),
                             .partition = input->partition,
                             .offset = input->offset,
                             .timestamp = input->timestamp,
                             .phase = event ? (int)input->topic : EE_PHASE_OTHER,
                             .event_id = head != NULL ? head->event_id : EE_STR("")};
  return at;
}

static bool take(const struct ee_join_settings *settings, struct ee_step *step,
                 const struct ee_input *input, const struct ee_record_number *number, bool again) {
  if (number->producer.data == NULL) return true;
  struct ee_sequence_name name = {.producer = number->producer,
                                  .epoch = number->epoch,
                                  .topic = ee_str(ee_topics[input->topic].name)};
  struct ee_evidence *at = evidence_of(step, input);
  struct numbers numbers;
  return at != NULL && begin(&numbers, settings, step, &name) &&
         ee_sequence_arrive(&numbers.sequence, number->number, again, at) && put(&numbers);
}

bool ee_join_number(const struct ee_join_settings *settings, struct ee_step *step,
                    const struct ee_input *input) {
  return take(settings, step, input, &input->seq, false) &&
         take(settings, step, input, &input->was, true);
}

// ---- Reports.

// What a report says of one topic.
struct said {
  const struct ee_producer_report *report;
  struct ee_str topic;  // by its full name
  int32_t partition;    // the record's: entries of others count for nothing
  struct ee_evidence *at;
};

static bool is_of(const struct said *said, struct ee_str topic, int32_t partition) {
  return partition == said->partition && ee_str_equal(topic, said->topic);
}

static bool says_anything(const struct said *said) {
  const struct ee_producer_report *report = said->report;
  for (size_t i = 0; i < report->sequences.count; i++) {
    const struct ee_producer_sequence *entry = &report->sequences.items[i];
    if (is_of(said, entry->topic, entry->partition)) return true;
  }
  for (size_t i = 0; i < report->holes.count; i++) {
    const struct ee_producer_hole *entry = &report->holes.items[i];
    if (is_of(said, entry->topic, entry->partition)) return true;
  }
  return false;
}

static bool apply(struct ee_sequence *sequence, const struct said *said) {
  const struct ee_producer_report *report = said->report;
  for (size_t i = 0; i < report->holes.count; i++) {
    const struct ee_producer_hole *entry = &report->holes.items[i];
    if (is_of(said, entry->topic, entry->partition) &&
        !ee_sequence_declare(sequence, entry, said->at)) {
      return false;
    }
  }
  for (size_t i = 0; i < report->sequences.count; i++) {
    const struct ee_producer_sequence *entry = &report->sequences.items[i];
    if (is_of(said, entry->topic, entry->partition) &&
        !ee_sequence_settle(sequence, entry->number, said->at)) {
      return false;
    }
  }
  if (report->closing) sequence->known.closed = true;
  return true;
}

// The end of an epoch concerns all its sequences, whether or not the report names them.
static bool report_topic(const struct ee_join_settings *settings, struct ee_step *step,
                         struct said *said, enum ee_topic topic) {
  said->topic = ee_step_topic_name(step, topic);
  bool named = says_anything(said);
  if (!named && !said->report->closing) return true;
  struct ee_sequence_name name = {.producer = said->report->producer,
                                  .epoch = said->report->epoch,
                                  .topic = ee_str(ee_topics[topic].name)};
  struct numbers numbers;
  if (!begin(&numbers, settings, step, &name) || !apply(&numbers.sequence, said)) return false;
  // A report of no number, of a sequence of which nothing is known.
  if (!numbers.stored && numbers.sequence.known.next == 0) return true;
  return put(&numbers);
}

bool ee_join_report(const struct ee_join_settings *settings, struct ee_step *step,
                    const struct ee_input *input) {
  struct said said = {.report = input->record, .partition = input->partition};
  if (said.report->epoch < 0) return true;  // no record can be numbered so
  said.at = evidence_of(step, input);
  if (said.at == NULL) return false;
  for (enum ee_topic topic = 0; topic < EE_PHASE_TOPICS; topic++) {
    if (!report_topic(settings, step, &said, topic)) return false;
  }
  return true;
}

// ---- Ticks.

static bool name_hole(struct numbers *numbers, const struct ee_hole *hole,
                      char out[EE_SHA256_HEX_SIZE]) {
  struct ee_buf *text = &numbers->value;
  ee_buf_clear(text);
  ee_buf_decimal(text, hole->epoch);
  ee_buf_byte(text, ':');
  ee_buf_str(text, hole->topic);
  ee_buf_byte(text, ':');
  ee_buf_decimal(text, hole->partition);
  ee_buf_byte(text, ':');
  ee_buf_decimal(text, hole->first);
  ee_buf_byte(text, '-');
  ee_buf_decimal(text, hole->last);
  struct ee_str id = ee_buf_view(text);
  return !text->failed &&
         ee_violation_id(ee_violation_kind_type.symbols[EE_VIOLATION_KIND_PRODUCER_HOLE],
                         numbers->name.producer, &id, 1, out);
}

static bool emit(struct numbers *numbers, const struct ee_hole *hole,
                 struct ee_evidence_array evidence) {
  char id[EE_SHA256_HEX_SIZE];
  if (!name_hole(numbers, hole, id)) return false;
  struct ee_violation violation = {.violation_id = ee_str(id),
                                   .kind = EE_VIOLATION_KIND_PRODUCER_HOLE,
                                   .envelope_id = numbers->name.producer,
                                   .tenant = EE_STR(""),
                                   .evidence = evidence,
                                   .hole = (struct ee_hole *)hole};
  ee_buf_clear(&numbers->value);
  ee_encode(&ee_violation_type, &violation, &numbers->value);
  return !numbers->value.failed &&
         ee_step_emit(numbers->step, EE_TOPIC_VIOLATION, ee_str_bytes(numbers->name.producer),
                      ee_buf_bytes(&numbers->value));
}

static bool tell(struct numbers *numbers, enum ee_topic topic, const struct ee_join_gap *gap) {
  struct ee_evidence evidence[2] = {*gap->exposed};
  struct ee_hole hole = {.epoch = numbers->name.epoch,
                         .topic = ee_step_topic_name(numbers->step, topic),
                         .partition = gap->exposed->partition,
                         .first = gap->first,
                         .last = gap->last,
                         .reason = EE_STR("undeclared"),
                         .coarse = gap->coarse};
  size_t count = 1;
  if (gap->declared != NULL) {
    hole.reason = gap->declared->reason;
    bool other = gap->declared->at.phase != gap->exposed->phase ||
                 gap->declared->at.offset != gap->exposed->offset;
    if (other) evidence[count++] = gap->declared->at;
  }
  return emit(numbers, &hole, (struct ee_evidence_array){.items = evidence, .count = count});
}

bool ee_join_is_sequence(struct ee_bytes key) {
  static const char head[] = "[\"s\",";
  return key.size >= sizeof head - 1 && memcmp(key.data, head, sizeof head - 1) == 0;
}

static bool judge(struct numbers *numbers, const struct ee_tick_view *tick, enum ee_topic topic) {
  struct ee_join_gap_array holes;
  if (!ee_sequence_judge(&numbers->sequence, numbers->name.epoch, tick->clock, tick->judge_from,
                         &holes)) {
    return false;
  }
  for (size_t i = 0; i < holes.count; i++) {
    if (!tell(numbers, topic, &holes.items[i])) return false;
  }
  if (!ee_sequence_expired(&numbers->sequence.known, tick->clock)) return put(numbers);
  return ee_step_put(numbers->step, EE_JOIN_STATE, ee_buf_bytes(&numbers->key), ee_bytes(NULL, 0),
                     EE_NEVER);
}

bool ee_join_wake_sequence(const struct ee_join_settings *settings, struct ee_step *step,
                           const struct ee_tick_view *tick, struct ee_bytes key) {
  struct ee_buf texts;
  struct ee_sequence_name name;
  struct numbers numbers;
  ee_buf_init_in(&texts, ee_step_arena(step), KEY_MAX);
  if (!ee_key_sequence_parse(key, &name, &texts) || !begin(&numbers, settings, step, &name)) {
    return false;
  }
  for (enum ee_topic topic = 0; topic < EE_PHASE_TOPICS; topic++) {
    if (ee_str_equal(name.topic, ee_str(ee_topics[topic].name))) {
      return judge(&numbers, tick, topic);
    }
  }
  return false;  // no version of this program writes it
}
