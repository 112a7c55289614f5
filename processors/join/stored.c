// SPDX-License-Identifier: Apache-2.0
// Stored bytes are borrowed until the next call on the step; these stay.
#include "join/stored.h"

#include "contract/record.h"

bool ee_join_stored(struct ee_step *step, uint8_t changelog, struct ee_bytes key,
                    const struct ee_record_type *type, struct ee_bytes *ret, void *ret_record) {
  struct ee_arena *arena = ee_step_arena(step);
  struct ee_bytes stored;
  if (!ee_step_get(step, changelog, key, &stored)) return false;
  *ret = ee_str_bytes(ee_arena_str(arena, ee_bytes_str(stored)));
  if (stored.data == NULL) return true;
  const struct ee_plan *plan = ee_plan_own(type);
  return ret->data != NULL && plan != NULL && ee_decode(plan, *ret, arena, ret_record, NULL);
}
