// SPDX-License-Identifier: Apache-2.0
// One envelope's story, put together from derived records and told to a person or a program.
// Pure.
#ifndef EE_TOOLS_STORY_H
#define EE_TOOLS_STORY_H

#include "base/arena.h"
#include "base/buf.h"
#include "contract/catalogue.h"
#include "records.h"

#define STORY_ITEMS_MAX 65536  // obligations, violations and ledger entries, each

struct story {
  struct ee_arena arena;  // owns all that follows
  struct ee_str envelope_id;
  struct ee_lifecycle *lifecycle;  // NULL until one was taken
  struct ee_obligation *obligations;
  size_t obligation_count, obligation_capacity;
  struct ee_violation *violations;
  size_t violation_count, violation_capacity;
  struct ee_usage *entries;
  size_t entry_count, entry_capacity;
};

void story_init(struct story *story, struct ee_str envelope_id);
void story_release(struct story *story);
// Takes a record of the lifecycle, governance, violation or usage topic if it is about this
// envelope; records of a topic come in the order of their offsets. Copies. False: no memory.
bool story_take(struct story *story, enum ee_topic topic, const void *record);

// For a person, at most 100 columns wide. False: no lifecycle record was taken.
bool story_tell(const struct story *story, struct ee_buf *out);
// {"lifecycle", "obligations", "violations", "usage"} in plain JSON.
void story_json(const struct story *story, struct ee_buf *out);

#endif
