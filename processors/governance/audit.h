// SPDX-License-Identifier: Apache-2.0
// Audit entries: a function of one event and the policy alone.
#ifndef EE_PROCESSORS_GOVERNANCE_AUDIT_H
#define EE_PROCESSORS_GOVERNANCE_AUDIT_H

#include "base/arena.h"
#include "base/buf.h"
#include "contract/event.h"
#include "contract/ident.h"

// How much of an event may be disclosed: the least of what the rules that match say, and
// standard if none says. A rule of which it is not known whether it matches only lowers it.
enum ee_audit_level ee_audit_disclosure(const struct ee_policy *policy, enum ee_phase phase,
                                        const void *record);

// Appends the event as compact JSON to out, which is empty, with everything left out that
// its level or a rule leaves out. An event that does not fit out's limit is disclosed at
// minimal only, where every event fits 1,700,000 bytes, and *level says so. False: arena is
// full or memory is out.
bool ee_audit_event(const struct ee_policy *policy, enum ee_audit_level *level, enum ee_phase phase,
                    const void *record, struct ee_arena *arena, struct ee_buf *out);

// RFC 6962 leaf hash over the compact JSON array [topic, partition, offset, number, level,
// event]. False: scratch is full.
bool ee_audit_leaf_hash(const struct ee_audit_source *source, int64_t number,
                        enum ee_audit_level level, struct ee_str event, struct ee_buf *scratch,
                        uint8_t ret[EE_SHA256_SIZE]);

#endif
