// SPDX-License-Identifier: Apache-2.0
// From the public numbers of fields (envelope.h) to their places in the records' tables. Safe from
// any thread.
#ifndef EE_CLIENT_FIELDS_H
#define EE_CLIENT_FIELDS_H

#include "client/envelope.h"
#include "contract/event.h"

#define EE_FIELDS_END 131  // above the last number

// A field of a record, or of a record in it.
struct ee_field_place {
  const struct ee_field *container;  // NULL: the leaf is the event's own
  const struct ee_field *leaf;       // NULL: there is no such field
};

// EE_FIELDS_END of them, by number. For ever.
const struct ee_field_place *ee_field_places(enum ee_phase phase);
// One of them; NULL where the phase has no such field.
static inline const struct ee_field_place *ee_field_find(const struct ee_field_place *places,
                                                         int field) {
  if (field < 0 || field >= EE_FIELDS_END || places[field].leaf == NULL) return NULL;
  return &places[field];
}
static inline const struct ee_field_place *ee_field_place(enum ee_phase phase, int field) {
  return ee_field_find(ee_field_places(phase), field);
}
// "requested.gpu_count"; NULL where the number is no field's.
const char *ee_field_path(int field);

#endif
