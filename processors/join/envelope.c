// SPDX-License-Identifier: Apache-2.0
// The candidates of one envelope: read back from the two records that hold them, and added
// to. Lists and evidence are in one order, so that one walk pairs them.
#include "join/envelope.h"

#include "base/time.h"
#include "contract/record.h"
#include "join/lists.h"

const struct ee_join_limits *ee_join_limits_of(const struct ee_join_settings *settings) {
  static const struct ee_join_limits contract = {
      .events = 512, .ending_events = 64, .bytes = (size_t)512 * 1024};
  return settings->limits != NULL ? settings->limits : &contract;
}

// One of the ordered lists that a phase is read back from.
struct source {
  struct ee_array list;
  size_t at;
  struct evidence_walk *evidence;
  bool left_out;
};

struct evidence_walk {
  struct ee_evidence_array all;
  size_t at;
};

#define SOURCES 3  // of the envelope's tenant, foreign, left out

static struct source *least_source(struct source *sources, enum ee_phase phase) {
  struct source *least = NULL;
  for (size_t i = 0; i < SOURCES; i++) {
    struct source *s = &sources[i];
    if (s->at == s->list.count) continue;
    if (least == NULL || ee_event_order(ee_list_at(s->list, phase, s->at),
                                        ee_list_at(least->list, phase, least->at)) < 0) {
      least = s;
    }
  }
  return least;
}

static bool take(struct source *source, enum ee_phase phase, struct ee_join_event *ret) {
  struct evidence_walk *evidence = source->evidence;
  if (evidence->at == evidence->all.count) return false;
  *ret = (struct ee_join_event){.head = ee_list_at(source->list, phase, source->at++),
                                .at = evidence->all.items[evidence->at++],
                                .left_out = source->left_out};
  return ret->at.phase == (int)phase && ee_str_equal(ret->at.event_id, ret->head->event_id);
}

static bool read_phase(struct ee_join_phase *into, enum ee_phase phase, struct source *sources,
                       struct ee_arena *arena) {
  size_t count = 1;  // room for the event of this step
  for (size_t i = 0; i < SOURCES; i++) {
    count += sources[i].list.count;
  }
  into->events = ee_arena_alloc(arena, count * sizeof *into->events);
  if (into->events == NULL) return false;
  struct source *least;
  while ((least = least_source(sources, phase)) != NULL) {
    if (!take(least, phase, &into->events[into->count])) return false;
    into->bytes += into->events[into->count++].head->encoded.size;
  }
  return true;
}

static bool read_closed(struct ee_joined *joined, const struct ee_phase_array *closed) {
  for (size_t i = 0; i < closed->count; i++) {
    if ((unsigned)closed->items[i] >= EE_PHASE_TOPICS) return false;
    joined->phases[closed->items[i]].closed = true;
  }
  return true;
}

bool ee_joined_init(struct ee_joined *joined, struct ee_str envelope_id,
                    const struct ee_lifecycle *lifecycle, const struct ee_join_envelope *left_out,
                    struct ee_arena *arena) {
  static const struct ee_lifecycle no_lifecycle;
  static const struct ee_join_envelope none_left_out;
  if (lifecycle == NULL) lifecycle = &no_lifecycle;
  if (left_out == NULL) left_out = &none_left_out;
  *joined = (struct ee_joined){.envelope_id = envelope_id,
                               .admission_sha256 = lifecycle->admission_sha256,
                               .violations = lifecycle->violations,
                               .violations_room = lifecycle->violations.count};
  struct evidence_walk known = {.all = lifecycle->evidence}, kept = {.all = left_out->evidence};
  for (enum ee_phase p = 0; p < EE_PHASE_TOPICS; p++) {
    struct source sources[SOURCES] = {
        {.list = ee_own_list(lifecycle, p), .evidence = &known},
        {.list = ee_foreign_list(&lifecycle->foreign, p), .evidence = &known},
        {.list = ee_foreign_list(&left_out->events, p), .evidence = &kept, .left_out = true}};
    if (!read_phase(&joined->phases[p], p, sources, arena)) return false;
  }
  return known.at == known.all.count && kept.at == kept.all.count &&
         read_closed(joined, &left_out->closed);
}

// ---- One event more.

// A second admission is compared with the first whatever its event_id.
static const struct ee_join_event *find_standing(const struct ee_join_phase *phase,
                                                 const struct ee_join_event *event) {
  if (event->at.phase == EE_PHASE_ADMISSION) return phase->count == 0 ? NULL : phase->events;
  for (size_t i = 0; i < phase->count; i++) {
    if (ee_str_equal(phase->events[i].head->event_id, event->head->event_id)) {
      return &phase->events[i];
    }
  }
  return NULL;
}

static bool same_content(const struct ee_join_event *a, const struct ee_join_event *b) {
  static const char *const told_anew[] = {"event_id", "occurred_at", "source", NULL};
  if (ee_bytes_equal(a->head->encoded, b->head->encoded)) return true;
  return ee_equal(ee_phase_record((enum ee_phase)a->at.phase), a->head, b->head,
                  a->at.phase == EE_PHASE_ADMISSION ? told_anew : NULL);
}

static bool fits(const struct ee_join_phase *phase, const struct ee_join_limits *limits,
                 const struct ee_join_event *event) {
  size_t most = limits->events;
  if (ee_phase_terminal((enum ee_phase)event->at.phase)) most = limits->ending_events;
  return phase->count < most && phase->bytes + event->head->encoded.size <= limits->bytes;
}

// Events mostly come in order, so the place is looked for from the end.
static const struct ee_join_event *put(struct ee_join_phase *phase,
                                       const struct ee_join_event *event) {
  size_t place = phase->count++;
  while (place > 0 && ee_event_order(event->head, phase->events[place - 1].head) < 0) {
    phase->events[place] = phase->events[place - 1];
    place--;
  }
  phase->events[place] = *event;
  phase->bytes += event->head->encoded.size;
  return &phase->events[place];
}

enum ee_join_insertion ee_joined_insert(struct ee_joined *joined,
                                        const struct ee_join_limits *limits,
                                        const struct ee_join_event *event,
                                        const struct ee_join_event **ret) {
  struct ee_join_phase *phase = &joined->phases[event->at.phase];
  *ret = NULL;
  if (phase->closed) return EE_JOIN_NOTHING;
  const struct ee_join_event *standing = find_standing(phase, event);
  if (standing != NULL) {
    if (same_content(standing, event)) return EE_JOIN_NOTHING;
    *ret = standing;
    return EE_JOIN_CONFLICT;
  }
  if (!fits(phase, limits, event)) {
    phase->closed = true;
    return EE_JOIN_CLOSED;
  }
  *ret = put(phase, event);
  return EE_JOIN_INSERTED;
}

// ---- Questions.

bool ee_joined_below(const struct ee_joined *joined, const int64_t *offsets, struct ee_arena *arena,
                     struct ee_joined *ret) {
  *ret = (struct ee_joined){.envelope_id = joined->envelope_id};
  for (int p = 0; p < EE_PHASE_TOPICS; p++) {
    const struct ee_join_phase *from = &joined->phases[p];
    struct ee_join_phase *to = &ret->phases[p];
    to->events = ee_arena_alloc(arena, from->count * sizeof *to->events);
    if (to->events == NULL) return false;
    for (size_t i = 0; i < from->count; i++) {
      if (from->events[i].at.offset >= offsets[p]) continue;
      to->events[to->count++] = from->events[i];
      to->bytes += from->events[i].head->encoded.size;
    }
  }
  if (ee_joined_admission(ret) != NULL) ret->admission_sha256 = joined->admission_sha256;
  return true;
}

const struct ee_join_event *ee_joined_admission(const struct ee_joined *joined) {
  const struct ee_join_phase *phase = &joined->phases[EE_PHASE_ADMISSION];
  return phase->count == 0 ? NULL : phase->events;
}

bool ee_joined_foreign(const struct ee_joined *joined, const struct ee_join_event *event) {
  const struct ee_join_event *admission = ee_joined_admission(joined);
  return admission != NULL && !ee_str_equal(admission->head->tenant, event->head->tenant);
}

static bool is_part(const struct ee_join_event *event, enum ee_join_part part) {
  return part == EE_JOIN_ALL || event->left_out == (part == EE_JOIN_LEFT_OUT);
}

bool ee_joined_evidence(const struct ee_joined *joined, enum ee_join_part part,
                        struct ee_arena *arena, struct ee_evidence_array *ret) {
  size_t most = 0;
  for (int p = 0; p < EE_PHASE_TOPICS; p++) {
    most += joined->phases[p].count;
  }
  *ret = (struct ee_evidence_array){.items = ee_arena_alloc(arena, most * sizeof *ret->items)};
  if (ret->items == NULL) return false;
  for (int p = 0; p < EE_PHASE_TOPICS; p++) {
    const struct ee_join_phase *phase = &joined->phases[p];
    for (size_t i = 0; i < phase->count; i++) {
      if (is_part(&phase->events[i], part)) ret->items[ret->count++] = phase->events[i].at;
    }
  }
  return true;
}

struct ee_join_span ee_joined_appended(const struct ee_joined *joined) {
  struct ee_join_span span = {.first = INT64_MAX, .last = INT64_MIN};
  for (int p = 0; p < EE_PHASE_TOPICS; p++) {
    const struct ee_join_phase *phase = &joined->phases[p];
    for (size_t i = 0; i < phase->count; i++) {
      int64_t appended = phase->events[i].at.timestamp;
      if (appended < span.first) span.first = appended;
      if (appended > span.last) span.last = appended;
    }
  }
  return span;
}

int64_t ee_join_after(int64_t time, int64_t span_ms) {
  int64_t span = 0, after = 0;
  if (__builtin_mul_overflow(span_ms, EE_MICROS_PER_MS, &span)) return INT64_MAX;
  if (__builtin_add_overflow(time, span, &after)) return INT64_MAX;
  return after;
}
