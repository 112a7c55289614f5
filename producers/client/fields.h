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
  const struct ee_field *leaf;
};

// NULL where the phase has no such field.
const struct ee_field_place *ee_field_place(enum ee_phase phase, int field);
// "requested.gpu_count"; NULL where the number is no field's.
const char *ee_field_path(int field);

#endif
