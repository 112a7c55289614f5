// SPDX-License-Identifier: Apache-2.0
// What accounting keeps of one envelope: the generated ee_accounting_envelope, its limits,
// and how an event becomes part of it. Pure.
//
// Everything borrows from what it was read from (state bytes, the input's record) or lives
// in the arena given.
#ifndef EE_PROCESSORS_ACCOUNTING_FACTS_H
#define EE_PROCESSORS_ACCOUNTING_FACTS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/time.h"
#include "contract/deadline.h"
#include "stream/processor.h"

// Per phase, from its lowest offset (design, section 2).
#define EE_FACTS_GRANTS_MAX 512
#define EE_FACTS_ENDS_MAX 64             // finalized, failed and released, each
#define EE_FACTS_PHASE_BYTES_MAX 524288  // Avro data of the events, in the current schema
#define EE_FACTS_STATE_MAX 4194304       // bytes of a state record

// How far an event's own time may lie from its append time before it is clamped.
#define EE_FACTS_CLAMP_MICROS (INT64_C(7) * 24 * EE_MICROS_PER_HOUR)
// Times that metering reckons with: the years 0000 to 9999. Append times and clocks
// beyond are read as these, so that no sum of times overflows.
#define EE_FACTS_TIME_LEAST INT64_C(-62167219200000000)
#define EE_FACTS_TIME_MOST INT64_C(253402300799999999)

// Reads a state record; data NULL (none yet) gives facts that are empty. False: not a
// state record, or the arena is full.
bool ee_facts_read(struct ee_bytes value, struct ee_arena *arena,
                   struct ee_accounting_envelope *ret);
// Appends the state record. Ask out->failed.
void ee_facts_write(const struct ee_accounting_envelope *facts, struct ee_buf *out);

struct ee_facts_change {
  bool changed;                        // false: a repeat, a second admission, a closed phase
  const struct ee_usage_event *event;  // the grant or end that was added; NULL: none was
};

// Adds an event of the topics admission, resolved, finalized, failed or released. What
// facts pointed to stays as it was: copies made before go on being valid, and keep the
// same `granted` pointers. topic: full name, for evidence. False: no memory; facts are
// as before.
bool ee_facts_add(struct ee_accounting_envelope *facts, const struct ee_input *input,
                  struct ee_str topic, const struct ee_deadlines *deadlines, struct ee_arena *arena,
                  struct ee_facts_change *ret);

#endif
