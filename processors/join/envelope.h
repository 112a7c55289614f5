// SPDX-License-Identifier: Apache-2.0
// What the join knows of one envelope, in memory for the length of a step, and the pure
// functions over it (ARCHITECTURE.md, "The join"). The rules are applied to candidates:
// per phase the longest prefix, by offset, that the limits admit. A lifecycle record holds
// those that fit into one record; the join's own state holds the others.
//
// Everything lives in the arena it was made with and borrows from what it was made from.
// Functions return false only when the arena is full or memory is out, unless they say
// otherwise.
#ifndef EE_PROCESSORS_JOIN_ENVELOPE_H
#define EE_PROCESSORS_JOIN_ENVELOPE_H

#include "base/arena.h"
#include "contract/event.h"
#include "contract/ident.h"
#include "join/join.h"

// Of the admission there is one. No event may be larger than `bytes`.
struct ee_join_limits {
  size_t events;         // of a phase, and of a record
  size_t ending_events;  // of each of finalized, failed and released
  size_t bytes;          // of Avro data, of a phase's events and of a record's
};
// The settings' own, else the contract's.
const struct ee_join_limits *ee_join_limits_of(const struct ee_join_settings *settings);

#define EE_ADMISSION_CONFLICTS_LISTED ((size_t)64)

struct ee_join_event {
  const struct ee_event_head *head;  // the struct of its phase; `encoded` is set
  struct ee_evidence at;
  bool left_out;  // a candidate that has no room in the record
};

struct ee_join_phase {
  struct ee_join_event *events;  // by (occurred_at, event_id); has room for one more
  size_t count;
  size_t bytes;  // of their Avro data
  bool closed;   // an event did not fit: later ones are not looked at
};

struct ee_joined {
  struct ee_str envelope_id;
  struct ee_join_phase phases[EE_PHASE_TOPICS];
  const uint8_t *admission_sha256;           // NULL without admission
  struct ee_violation_ref_array violations;  // by (kind, violation_id)
  size_t violations_room;
};

// ---- envelope.c: from records, and one event more.

// Either record may be NULL: nothing is known yet, nothing was left out. False also when
// the two do not fit together, which no version of this program writes.
bool ee_joined_init(struct ee_joined *joined, struct ee_str envelope_id,
                    const struct ee_lifecycle *lifecycle, const struct ee_join_envelope *left_out,
                    struct ee_arena *arena);

enum ee_join_insertion {
  EE_JOIN_INSERTED,
  EE_JOIN_NOTHING,   // a duplicate, or its phase is closed
  EE_JOIN_CONFLICT,  // other content than the standing event's
  EE_JOIN_CLOSED,    // the first of its phase that does not fit
};
// Adds an event of the phase event->at.phase, whose offset is above those of that phase.
// *ret: the inserted event, the standing one in a conflict, else NULL. Once between two
// calls of ee_joined_init.
enum ee_join_insertion ee_joined_insert(struct ee_joined *joined,
                                        const struct ee_join_limits *limits,
                                        const struct ee_join_event *event,
                                        const struct ee_join_event **ret);

// The events below these offsets (by enum ee_topic), and nothing that was found so far.
bool ee_joined_below(const struct ee_joined *joined, const int64_t *offsets, struct ee_arena *arena,
                     struct ee_joined *ret);

// NULL without admission.
const struct ee_join_event *ee_joined_admission(const struct ee_joined *joined);
// Whether its tenant is another than the admission's.
bool ee_joined_foreign(const struct ee_joined *joined, const struct ee_join_event *event);
enum ee_join_part { EE_JOIN_ALL, EE_JOIN_IN_RECORD, EE_JOIN_LEFT_OUT };
// The evidence of all events or of some, by (phase, occurred_at, event_id).
bool ee_joined_evidence(const struct ee_joined *joined, enum ee_join_part part,
                        struct ee_arena *arena, struct ee_evidence_array *ret);
// The least and the greatest append time; first is above last without events.
struct ee_join_span {
  int64_t first, last;
};
struct ee_join_span ee_joined_appended(const struct ee_joined *joined);
// time plus milliseconds, saturating.
int64_t ee_join_after(int64_t time, int64_t span_ms);

// ---- choose.c: which candidates the record holds.

// Sets left_out on all. *ret: the first that has no room in the record, or NULL.
bool ee_joined_choose(struct ee_joined *joined, const struct ee_join_limits *limits,
                      struct ee_arena *arena, const struct ee_join_event **ret);

// ---- derive.c: the record.

// The lifecycle record of the events that were chosen, at this clock.
bool ee_joined_derive(const struct ee_joined *joined, const struct ee_join_settings *settings,
                      int64_t clock, struct ee_arena *arena, struct ee_lifecycle *ret);
// The last terminal event of the tenant in the record, or NULL.
const struct ee_join_event *ee_joined_last_terminal(const struct ee_joined *joined);
// What was left out, and the closed phases. *ret_any: whether there is anything.
bool ee_joined_left_out(const struct ee_joined *joined, struct ee_arena *arena,
                        struct ee_join_envelope *ret, bool *ret_any);

// ---- violations.c: what is found, once each.

struct ee_join_finding {
  enum ee_violation_kind kind;
  char id[EE_SHA256_HEX_SIZE];
  struct ee_evidence_array evidence;
};

// Found in this step and not before.
struct ee_join_findings {
  struct ee_join_finding *items;
  size_t count;
  size_t room;
};

// Adds it to what was found so far and to the findings, unless it was found before.
bool ee_join_find(struct ee_joined *joined, enum ee_violation_kind kind,
                  struct ee_evidence_array evidence, struct ee_arena *arena,
                  struct ee_join_findings *findings);
// A conflict of this event with the standing one.
bool ee_join_find_conflict(struct ee_joined *joined, const struct ee_join_event *standing,
                           const struct ee_join_event *event, struct ee_arena *arena,
                           struct ee_join_findings *findings);
// Tenants that differ, now that this event is there.
bool ee_join_find_mismatches(struct ee_joined *joined, const struct ee_join_event *event,
                             struct ee_arena *arena, struct ee_join_findings *findings);
// What a tick decides once on the events below its offsets: orphan and deadline_missed.
bool ee_join_judge(struct ee_joined *joined, const struct ee_joined *below,
                   const struct ee_join_settings *settings, int64_t clock, struct ee_arena *arena,
                   struct ee_join_findings *findings);
bool ee_join_found(const struct ee_violation_ref_array *violations, enum ee_violation_kind kind);

// ---- retire.c: the end of an envelope, and the times at which ticks must look at one.

// True when a tick with this clock retires the envelope, which then leaves this stub.
bool ee_join_retires(struct ee_joined *below, const struct ee_join_settings *settings,
                     int64_t clock, struct ee_arena *arena, bool *ret, struct ee_lifecycle *stub);
bool ee_join_is_stub(const struct ee_lifecycle *lifecycle);
// The least time at which a tick will have to judge, each of the two by its record alone:
// at its own the one that the other record does not show. EE_NEVER: none.
bool ee_join_wake_lifecycle(const struct ee_lifecycle *lifecycle,
                            const struct ee_join_settings *settings, int64_t clock,
                            struct ee_arena *arena, int64_t *ret);
bool ee_join_wake_left_out(const struct ee_join_envelope *left_out,
                           const struct ee_join_settings *settings, int64_t clock,
                           struct ee_arena *arena, int64_t *ret);

#endif
