// SPDX-License-Identifier: Apache-2.0
// Field by field, as a service would set them.
#include "tools/envelope-load/fill.h"

#include "client/fields.h"
#include "contract/value.h"

struct filling {
  envelope_event *event;
  struct envelope_error *error;
};

static int set_map(const struct filling *to, envelope_field field, const struct ee_type *type,
                   const struct ee_map *map) {
  int result = ENVELOPE_OK;
  for (size_t i = 0; i < map->count && result == ENVELOPE_OK; i++) {
    const struct ee_str *key = ee_at(map->entries, i * type->size);
    const void *value = ee_at(key, EE_ENTRY_VALUE);
    if (type->item->kind == EE_TYPE_LONG) {
      result = envelope_event_put_long(to->event, field, key->data, key->size,
                                       *(const int64_t *)value, to->error);
    } else {
      const struct ee_str *text = value;
      result = envelope_event_put_text(to->event, field, key->data, key->size, text->data,
                                       text->size, to->error);
    }
  }
  return result;
}

static int set_text(const struct filling *to, envelope_field field, struct ee_str text) {
  if (text.data == NULL) return ENVELOPE_OK;
  return envelope_event_set_text(to->event, field, text.data, text.size, to->error);
}

static int set_field(const struct filling *to, envelope_field field, const struct ee_type *type,
                     const void *value) {
  switch (type->kind) {
    case EE_TYPE_STRING:
      return set_text(to, field, *(const struct ee_str *)value);
    case EE_TYPE_ENUM:
      return set_text(to, field, type->enumeration->symbols[*(const int *)value]);
    case EE_TYPE_LONG:
      return envelope_event_set_long(to->event, field, *(const int64_t *)value, to->error);
    case EE_TYPE_BOOLEAN:
      return envelope_event_set_boolean(to->event, field, *(const bool *)value, to->error);
    case EE_TYPE_MAP:
      return set_map(to, field, type, value);
    default:
      return ENVELOPE_OK;
  }
}

// The value in the record; NULL: it is absent.
static const void *value_of(const struct ee_field_place *place, const void *record) {
  if (place->container != NULL) {
    const void *at = ee_at(record, place->container->offset);
    record = ee_value_in(&place->container->type, at);
    if (record == NULL) return NULL;
  }
  return ee_value_in(&place->leaf->type, ee_at(record, place->leaf->offset));
}

int event_fill(envelope_event *event, enum ee_phase phase, const void *record,
               struct envelope_error *error) {
  struct filling to = {.event = event, .error = error};
  int result = envelope_event_begin(event, (envelope_phase)phase);
  for (int field = 1; field < EE_FIELDS_END && result == ENVELOPE_OK; field++) {
    const struct ee_field_place *place = ee_field_place(phase, field);
    const void *value = place == NULL ? NULL : value_of(place, record);
    if (value == NULL) continue;
    result = set_field(&to, (envelope_field)field, &place->leaf->type, value);
  }
  return result;
}
