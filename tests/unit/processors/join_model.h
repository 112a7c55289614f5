// SPDX-License-Identifier: Apache-2.0
// The join a second time, as plainly as can be: from the whole set of records and ticks,
// with no state, no steps and no regard for cost. What test_join_order.c compares with.
#ifndef EE_TESTS_JOIN_MODEL_H
#define EE_TESTS_JOIN_MODEL_H

#include <stdarg.h>
#include <stdlib.h>

#include "tests/unit/processors/join_world.h"

#define EVENTS_MAX 40
#define TICKS_MAX 8
#define FOUND_MAX 200
#define TEXT_MAX 16384
#define TIMEOUT_MS(VARIANT) (1500 * (VARIANT))

// A record of a phase topic: what it says and where it lies.
struct told {
  enum ee_phase phase;
  const char *envelope;
  const char *event_id;
  const char *tenant;
  int64_t occurred_at;
  int variant;  // of the content
  int filler;   // bytes that make it larger
  int64_t appended;
  int64_t offset;
  size_t size;  // of its Avro data
};

struct told_tick {
  int64_t as_of;
  int64_t offsets[EE_TOPIC_COUNT];
};

struct story {
  struct told events[EVENTS_MAX];  // in the order of append
  size_t count;
  struct told_tick ticks[TICKS_MAX];
  size_t tick_count;
};

struct text {
  char data[TEXT_MAX];
  size_t size;
};

__attribute__((format(printf, 2, 3))) static inline void say(struct text *text, const char *format,
                                                             ...) {
  va_list arguments;
  va_start(arguments, format);
  int size = vsnprintf(text->data + text->size, TEXT_MAX - text->size, format, arguments);
  va_end(arguments);
  assert_true(size >= 0 && text->size + (size_t)size < TEXT_MAX);
  text->size += (size_t)size;
}

struct found {
  char names[FOUND_MAX][16 + EE_SHA256_HEX_SIZE];  // "kind id", kind as a number
  int kinds[FOUND_MAX];                            // in the order in which they were added
  size_t count;
};

static inline void found_add(struct found *found, int kind, const char *id) {
  char name[sizeof found->names[0]];
  snprintf(name, sizeof name, "%d %s", kind, id);
  for (size_t i = 0; i < found->count; i++) {
    if (strcmp(found->names[i], name) == 0) return;
  }
  assert_true(found->count < FOUND_MAX);
  found->kinds[found->count] = kind;
  memcpy(found->names[found->count++], name, sizeof name);
}

static inline int found_compare(const void *a, const void *b) {
  return strcmp(a, b);
}

// ---- The model.

struct model {
  const struct story *story;
  const struct ee_join_settings *settings;
  const char *envelope;
  const struct told *candidates[EVENTS_MAX];  // all phases, by offset within each
  size_t count;
  const struct told *shut_out;  // the first event that did not fit into its phase
  const struct told *chosen[EVENTS_MAX];
  size_t chosen_count;
  struct found found;
  int64_t clock;
  const struct told *closed_by;  // retired: its last terminal event
};

static inline void model_find(struct model *m, enum ee_violation_kind kind,
                              const struct told *const *evidence, size_t count) {
  struct ee_str ids[EVENTS_MAX];
  for (size_t i = 0; i < count; i++) {
    ids[i] = ee_str(evidence[i]->event_id);
  }
  char id[EE_SHA256_HEX_SIZE];
  assert_true(
      ee_violation_id(ee_violation_kind_type.symbols[kind], ee_str(m->envelope), ids, count, id));
  found_add(&m->found, kind, id);
}

static inline bool model_same(const struct told *a, const struct told *b) {
  bool same =
      strcmp(a->tenant, b->tenant) == 0 && a->variant == b->variant && a->filler == b->filler;
  return same && (a->phase == EE_PHASE_ADMISSION || a->occurred_at == b->occurred_at);
}

static inline void model_collect_phase(struct model *m, enum ee_phase phase) {
  size_t first = m->count, bytes = 0, most = m->settings->limits->events;
  if (ee_phase_terminal(phase)) most = m->settings->limits->ending_events;
  for (size_t i = 0; i < m->story->count; i++) {
    const struct told *event = &m->story->events[i], *standing = NULL;
    if (event->phase != phase || strcmp(event->envelope, m->envelope) != 0) continue;
    for (size_t j = first; j < m->count; j++) {
      if (phase == EE_PHASE_ADMISSION || strcmp(m->candidates[j]->event_id, event->event_id) == 0) {
        standing = m->candidates[j];
      }
    }
    if (standing != NULL && model_same(standing, event)) continue;
    if (standing != NULL) {
      const struct told *both[] = {standing, event};
      model_find(m,
                 phase == EE_PHASE_ADMISSION ? EE_VIOLATION_KIND_ADMISSION_CONFLICT
                                             : EE_VIOLATION_KIND_EVENT_ID_CONFLICT,
                 both, 2);
      continue;
    }
    if (m->count - first >= most || bytes + event->size > m->settings->limits->bytes) {
      m->shut_out = event;
      return;
    }
    bytes += event->size;
    m->candidates[m->count++] = event;
  }
}

static inline const struct told *model_admission(const struct told *const *events, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (events[i]->phase == EE_PHASE_ADMISSION) return events[i];
  }
  return NULL;
}

static inline bool model_foreign(const struct told *admission, const struct told *event) {
  return admission != NULL && strcmp(admission->tenant, event->tenant) != 0;
}

static inline void model_choose(struct model *m) {
  static const enum ee_phase order[] = {EE_PHASE_ADMISSION, EE_PHASE_RELEASED, EE_PHASE_FAILED,
                                        EE_PHASE_FINALIZED, EE_PHASE_RESOLVED, EE_PHASE_ANNOTATION};
  size_t bytes = 0;
  m->chosen_count = 0;
  for (size_t p = 0; p < COUNT_OF(order); p++) {
    for (size_t i = 0; i < m->count; i++) {
      const struct told *event = m->candidates[i];
      if (event->phase != order[p]) continue;
      if (m->chosen_count >= m->settings->limits->events ||
          bytes + event->size > m->settings->limits->bytes) {
        break;
      }
      bytes += event->size;
      m->chosen[m->chosen_count++] = event;
    }
  }
}

static inline int64_t model_deadline(const struct model *m, const struct told *admission) {
  (void)m;
  return admission->appended + TIMEOUT_MS(admission->variant) * 1000;
}

// After the other in the order of lists and of terminal events.
static inline bool model_after(const struct told *a, const struct told *b) {
  static const int rank[EE_PHASE_TOPICS] = {0, 0, 1, 2, 3, 0};
  if (a->occurred_at != b->occurred_at) return a->occurred_at > b->occurred_at;
  if (rank[a->phase] != rank[b->phase]) return rank[a->phase] > rank[b->phase];
  return strcmp(a->event_id, b->event_id) > 0;
}

// The last of the chosen that are the tenant's and of one of these phases.
static inline const struct told *model_last(const struct model *m, unsigned phases) {
  const struct told *admission = model_admission(m->chosen, m->chosen_count), *last = NULL;
  for (size_t i = 0; i < m->chosen_count; i++) {
    const struct told *event = m->chosen[i];
    if ((phases & 1U << event->phase) == 0 || model_foreign(admission, event)) continue;
    if (last == NULL || model_after(event, last)) last = event;
  }
  return last;
}

#define RESOLVED_BIT (1U << EE_PHASE_RESOLVED)
#define FINALIZED_BIT (1U << EE_PHASE_FINALIZED)
#define FAILED_BIT (1U << EE_PHASE_FAILED)
#define RELEASED_BIT (1U << EE_PHASE_RELEASED)

static inline enum ee_status model_status(const struct model *m) {
  const struct told *last = model_last(m, FINALIZED_BIT | FAILED_BIT | RELEASED_BIT);
  if (model_admission(m->chosen, m->chosen_count) == NULL) return EE_STATUS_ORPHANED;
  if (last == NULL) {
    return model_last(m, RESOLVED_BIT) != NULL ? EE_STATUS_RESOLVED : EE_STATUS_ADMITTED;
  }
  if (last->phase == EE_PHASE_FINALIZED) return EE_STATUS_FINALIZED;
  return last->phase == EE_PHASE_FAILED ? EE_STATUS_FAILED : EE_STATUS_RELEASED;
}

static inline bool model_granted_by(const struct model *m, int64_t time) {
  const struct told *admission = model_admission(m->chosen, m->chosen_count);
  for (size_t i = 0; i < m->chosen_count; i++) {
    const struct told *event = m->chosen[i];
    if (event->phase != EE_PHASE_RESOLVED || model_foreign(admission, event)) continue;
    if (event->occurred_at <= time) return true;
  }
  return false;
}

// Requested is cpu_millis 1; granted is the variant (build, in test_join_order.c).
static inline enum ee_outcome model_outcome(const struct model *m) {
  const struct told *ending = model_last(m, FINALIZED_BIT | FAILED_BIT);
  const struct told *admission = model_admission(m->chosen, m->chosen_count);
  bool ended = model_last(m, FINALIZED_BIT | FAILED_BIT | RELEASED_BIT) != NULL;
  const struct told *grant = model_last(m, RESOLVED_BIT);
  if (ending != NULL && ending->phase == EE_PHASE_FAILED) {
    return model_granted_by(m, ending->occurred_at) ? EE_OUTCOME_UNHEALTHY : EE_OUTCOME_DENIED;
  }
  if (admission == NULL) return EE_OUTCOME_PENDING;
  if (!ended && m->clock >= model_deadline(m, admission) + m->settings->grace_ms * 1000) {
    return EE_OUTCOME_INCOMPLETE;
  }
  if (grant == NULL) return ended ? EE_OUTCOME_UNSTATED : EE_OUTCOME_PENDING;
  if (grant->variant == 1) return EE_OUTCOME_AS_REQUESTED;
  return grant->variant == 0 ? EE_OUTCOME_NARROWED : EE_OUTCOME_WIDENED;
}

static inline bool model_closed(const struct model *m) {
  enum ee_status status = model_status(m);
  // Variant 2 is a deployment.
  if (status == EE_STATUS_FINALIZED)
    return model_admission(m->chosen, m->chosen_count)->variant != 2;
  return status == EE_STATUS_FAILED || status == EE_STATUS_RELEASED;
}

static inline void model_judge(struct model *m, const struct model *below) {
  const struct told *admission = model_admission(below->candidates, below->count);
  int64_t first = INT64_MAX;
  bool ended = false, orphan = false;
  for (size_t i = 0; i < below->count; i++) {
    const struct told *event = below->candidates[i];
    if (event->appended < first) first = event->appended;
    ended |= ee_phase_terminal(event->phase) && !model_foreign(admission, event);
  }
  for (size_t i = 0; i < m->found.count; i++) {
    orphan |= m->found.kinds[i] == EE_VIOLATION_KIND_ORPHAN;
  }
  if (below->count == 0) return;
  if (admission == NULL) {
    bool late = below->clock >= first + m->settings->orphan_grace_ms * 1000;
    if (late && !orphan) {
      model_find(m, EE_VIOLATION_KIND_ORPHAN, below->candidates, below->count);
    }
  } else if (!ended &&
             below->clock >= model_deadline(m, admission) + m->settings->grace_ms * 1000) {
    model_find(m, EE_VIOLATION_KIND_DEADLINE_MISSED, &admission, 1);
  }
}

// True when it retires: the model is then that of the events below.
static inline bool model_retire(struct model *m, struct model *below) {
  int64_t last = INT64_MIN;
  for (size_t i = 0; i < below->count; i++) {
    if (below->candidates[i]->appended > last) last = below->candidates[i]->appended;
  }
  int64_t after = (m->settings->retire_after_ms + m->settings->grace_ms) * 1000;
  if (m->settings->retire_after_ms == 0 || below->count == 0) return false;
  if (below->clock < last + after) return false;
  model_choose(below);
  if (!model_closed(below)) return false;
  for (size_t i = 0; i < m->count; i++) {
    bool beyond = true;
    for (size_t j = 0; j < below->count; j++) {
      beyond &= m->candidates[i] != below->candidates[j];
    }
    if (beyond) model_find(m, EE_VIOLATION_KIND_AFTER_RETIREMENT, &m->candidates[i], 1);
  }
  below->found = m->found;
  below->closed_by = model_last(below, FINALIZED_BIT | FAILED_BIT | RELEASED_BIT);
  *m = *below;
  return true;
}

static inline void model_tick(struct model *m, const struct told_tick *tick, bool *retired) {
  if (tick->as_of <= m->clock) return;
  m->clock = tick->as_of;
  if (*retired) return;
  struct model below = *m;
  below.count = 0;
  for (size_t i = 0; i < m->count; i++) {
    const struct told *event = m->candidates[i];
    if (event->offset < tick->offsets[event->phase]) below.candidates[below.count++] = event;
  }
  model_judge(m, &below);
  *retired = model_retire(m, &below);
}

static inline void model_run(struct model *m, const struct story *story,
                             const struct ee_join_settings *settings, const char *envelope) {
  *m = (struct model){
      .story = story, .settings = settings, .envelope = envelope, .clock = INT64_MIN};
  bool retired = false;
  for (enum ee_phase p = 0; p < EE_PHASE_TOPICS; p++) {
    model_collect_phase(m, p);
  }
  const struct told *admission = model_admission(m->candidates, m->count);
  for (size_t i = 0; i < m->count; i++) {
    const struct told *both[] = {admission, m->candidates[i]};
    if (model_foreign(admission, m->candidates[i])) {
      model_find(m, EE_VIOLATION_KIND_TENANT_MISMATCH, both, 2);
    }
  }
  model_choose(m);
  if (m->shut_out != NULL || m->chosen_count < m->count) {
    model_find(m, EE_VIOLATION_KIND_TOO_MANY_EVENTS, NULL, 0);
  }
  for (size_t i = 0; i < story->tick_count; i++) {
    model_tick(m, &story->ticks[i], &retired);
  }
}

// ---- Both records as text.

static inline int told_compare(const void *a, const void *b) {
  const struct told *const *left = a, *const *right = b;
  if ((*left)->phase != (*right)->phase) return (*left)->phase < (*right)->phase ? -1 : 1;
  return model_after(*left, *right) ? 1 : -1;
}

static inline void model_say(struct model *m, struct text *text) {
  const struct told *admission = model_admission(m->chosen, m->chosen_count);
  qsort(m->chosen, m->chosen_count, sizeof(void *), told_compare);
  const char *tenant = admission != NULL ? admission->tenant : m->chosen[0]->tenant;
  say(text, "%s status %d outcome %d\n", tenant, model_status(m), model_outcome(m));
  if (m->closed_by != NULL) {
    say(text, "closed at %lld\n", (long long)m->closed_by->appended);
    return;
  }
  if (admission != NULL) say(text, "deadline %lld\n", (long long)model_deadline(m, admission));
  for (int foreign = 0; foreign < 2; foreign++) {
    for (size_t i = 0; i < m->chosen_count; i++) {
      if (model_foreign(admission, m->chosen[i]) != foreign) continue;
      say(text, "%s %s %s\n", foreign ? "foreign" : "own", ee_phase_name(m->chosen[i]->phase),
          m->chosen[i]->event_id);
    }
  }
  for (size_t i = 0; i < m->chosen_count; i++) {
    say(text, "evidence %s %s %lld %lld\n", ee_phase_name(m->chosen[i]->phase),
        m->chosen[i]->event_id, (long long)m->chosen[i]->offset, (long long)m->chosen[i]->appended);
  }
  qsort(m->found.names, m->found.count, sizeof m->found.names[0], found_compare);
  for (size_t i = 0; i < m->found.count; i++) {
    say(text, "violation %s\n", m->found.names[i]);
  }
}

static inline void list_say(struct text *text, const char *word, enum ee_phase phase,
                            const void *items, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const struct ee_event_head *head =
        (const void *)((const char *)items + i * ee_phase_record(phase)->size);
    say(text, "%s %s %.*s\n", word, ee_phase_name(phase), EE_STR_ARG(head->event_id));
  }
}

static inline void record_say(const struct ee_lifecycle *r, struct text *text) {
  say(text, "%.*s status %d outcome %d\n", EE_STR_ARG(r->tenant), r->status, r->outcome);
  if (r->closed_at.present) {
    say(text, "closed at %lld\n", (long long)r->closed_at.value);
    return;
  }
  if (r->deadline.present) say(text, "deadline %lld\n", (long long)r->deadline.value);
  const struct ee_foreign_events *f = &r->foreign;
  list_say(text, "own", EE_PHASE_ADMISSION, r->admission, r->admission != NULL);
  list_say(text, "own", EE_PHASE_RESOLVED, r->grants.items, r->grants.count);
  list_say(text, "own", EE_PHASE_FINALIZED, r->finalized.items, r->finalized.count);
  list_say(text, "own", EE_PHASE_FAILED, r->failed.items, r->failed.count);
  list_say(text, "own", EE_PHASE_RELEASED, r->released.items, r->released.count);
  list_say(text, "own", EE_PHASE_ANNOTATION, r->annotations.items, r->annotations.count);
  list_say(text, "foreign", EE_PHASE_RESOLVED, f->resolved.items, f->resolved.count);
  list_say(text, "foreign", EE_PHASE_FINALIZED, f->finalized.items, f->finalized.count);
  list_say(text, "foreign", EE_PHASE_FAILED, f->failed.items, f->failed.count);
  list_say(text, "foreign", EE_PHASE_RELEASED, f->released.items, f->released.count);
  list_say(text, "foreign", EE_PHASE_ANNOTATION, f->annotations.items, f->annotations.count);
  for (size_t i = 0; i < r->evidence.count; i++) {
    const struct ee_evidence *at = &r->evidence.items[i];
    say(text, "evidence %s %.*s %lld %lld\n", ee_phase_name((enum ee_phase)at->phase),
        EE_STR_ARG(at->event_id), (long long)at->offset, (long long)at->timestamp);
  }
  for (size_t i = 0; i < r->violations.count; i++) {
    say(text, "violation %d %.*s\n", r->violations.items[i].kind,
        EE_STR_ARG(r->violations.items[i].violation_id));
  }
}

#endif
