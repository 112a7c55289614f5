// SPDX-License-Identifier: Apache-2.0
// The order of wake times in memory (private to store*.c): one binary heap a partition.
// Its owner reserves room when an entry is made, so that placing one cannot fail.
#ifndef EE_STREAM_STORE_DUE_H
#define EE_STREAM_STORE_DUE_H

#include "stream/store_set.h"

bool ee_due_reserve(struct ee_part *part, size_t entries);
// Puts the entry in its place for due_at, wherever it was.
void ee_due_place(struct ee_part *part, struct ee_entry *entry, int64_t due_at);
void ee_due_remove(struct ee_part *part, struct ee_entry *entry);
// The entry with the least (due_at, changelog, key), or NULL.
struct ee_entry *ee_due_least(const struct ee_part *part);

#endif
