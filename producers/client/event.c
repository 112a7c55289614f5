// SPDX-License-Identifier: Apache-2.0
// Filling in an event.
#include "client/event.h"

#include <stdlib.h>

#include "client/mistake.h"
#include "contract/ident.h"
#include "contract/record.h"
#include "contract/value.h"
#include "wire/headers.h"

#define EVENT_MEMORY_MAX ((size_t)1 << 20)

// ---- Trace context.

bool ee_trace_set(struct ee_trace *trace, struct ee_str traceparent, struct ee_str tracestate) {
  trace->size = 0;
  if (!ee_traceparent_valid(ee_str_bytes(traceparent))) return false;
  memcpy(trace->bytes, traceparent.data, EE_TRACEPARENT_SIZE);
  trace->size = EE_TRACEPARENT_SIZE;
  if (tracestate.size == 0 || !ee_tracestate_valid(tracestate)) return true;
  memcpy(trace->bytes + EE_TRACEPARENT_SIZE, tracestate.data, tracestate.size);
  trace->size += tracestate.size;
  return true;
}

void ee_trace_read(struct ee_bytes attributes, struct ee_str *ret_traceparent,
                   struct ee_str *ret_tracestate) {
  struct ee_str text = ee_bytes_str(attributes);
  *ret_traceparent = *ret_tracestate = (struct ee_str){.data = NULL};
  if (text.size < EE_TRACEPARENT_SIZE) return;
  struct ee_str parent = {text.data, EE_TRACEPARENT_SIZE};
  if (!ee_traceparent_valid(ee_str_bytes(parent))) return;
  *ret_traceparent = parent;
  if (text.size == EE_TRACEPARENT_SIZE) return;
  *ret_tracestate = (struct ee_str){text.data + parent.size, text.size - parent.size};
}

// ---- Life.

static struct ee_arena *memory_of(struct envelope_event *event) {
  return &event->arenas[event->used];
}

static struct ee_str keep_in(struct ee_arena *arena, struct ee_str text) {
  char *copy = text.data == NULL ? NULL : ee_arena_alloc(arena, text.size + 1);
  if (copy == NULL) return (struct ee_str){.data = NULL};
  memcpy(copy, text.data, text.size);
  copy[text.size] = '\0';
  return (struct ee_str){copy, text.size};
}

struct ee_str ee_event_keep(struct envelope_event *event, struct ee_str text) {
  return keep_in(memory_of(event), text);
}

int ee_event_no_room(const struct envelope_event *event, const char *field,
                     struct envelope_error *error) {
  bool memory = event->arenas[event->used].starved;
  return ee_mistake(error, memory ? ENVELOPE_NO_MEMORY : ENVELOPE_OVERSIZED, field,
                    memory ? "memory is out" : "an event may have at most %zu bytes in all",
                    EVENT_MEMORY_MAX);
}

// What is required has to be set.
static void make_blank(struct envelope_event *event, enum ee_phase phase) {
  event->phase = phase;
  event->places = ee_field_places(phase);
  ee_record_init(ee_phase_record(phase), &event->blank);
  event->blank.head.occurred_at = INT64_MIN;  // not set
  if (phase == EE_PHASE_ADMISSION) event->blank.admission.execution.kind = -1;
}

static void empty(struct envelope_event *event, enum ee_phase phase) {
  if (event->phase != phase) make_blank(event, phase);
  event->record = event->blank;
}

static bool is_phase(envelope_phase phase) {
  return (unsigned)phase < EE_PHASE_TOPICS;
}

envelope_event *envelope_event_new(envelope_phase phase) {
  struct envelope_event *event = is_phase(phase) ? malloc(sizeof *event) : NULL;
  if (event == NULL) return NULL;
  *event = (struct envelope_event){.used = 0};
  ee_arena_init(&event->arenas[0], EVENT_MEMORY_MAX);
  ee_arena_init(&event->arenas[1], EVENT_MEMORY_MAX);
  ee_buf_init(&event->avro, 2 * EVENT_MEMORY_MAX);
  make_blank(event, (enum ee_phase)phase);
  if (envelope_event_begin(event, phase) == ENVELOPE_OK) return event;
  envelope_event_free(event);
  return NULL;
}

void envelope_event_free(envelope_event *event) {
  if (event == NULL) return;
  ee_arena_release(&event->arenas[0]);
  ee_arena_release(&event->arenas[1]);
  ee_buf_release(&event->avro);
  free(event);
}

int envelope_event_begin(envelope_event *event, envelope_phase phase) {
  char id[EE_UUID_SIZE];
  if (!is_phase(phase)) return ENVELOPE_WRONG_FIELD;
  ee_arena_clear(memory_of(event));
  event->trace.size = 0;
  empty(event, (enum ee_phase)phase);
  if (phase != ENVELOPE_ADMISSION) return ENVELOPE_OK;
  ee_uuid7_now(id);
  event->record.head.envelope_id = ee_event_keep(event, ee_str(id));
  return event->record.head.envelope_id.data == NULL ? ENVELOPE_NO_MEMORY : ENVELOPE_OK;
}

// What an event has from another one.
struct identity {
  struct ee_str envelope_id, tenant, source;
};

static bool keep_one(struct ee_arena *arena, struct ee_str text, struct ee_str *ret) {
  *ret = keep_in(arena, text);
  return text.data == NULL || ret->data != NULL;
}

// An admission that gets none has an envelope_id of its own.
static bool keep_identity(struct ee_arena *arena, envelope_phase phase,
                          const struct ee_event_head *head, struct identity *ret) {
  char id[EE_UUID_SIZE];
  struct ee_str envelope_id = head->envelope_id;
  if (envelope_id.data == NULL && phase == ENVELOPE_ADMISSION) {
    ee_uuid7_now(id);
    envelope_id = ee_str(id);
  }
  return keep_one(arena, envelope_id, &ret->envelope_id) &&
         keep_one(arena, head->tenant, &ret->tenant) && keep_one(arena, head->source, &ret->source);
}

int envelope_event_follow(envelope_event *event, envelope_phase phase, const envelope_event *of) {
  if (!is_phase(phase)) return ENVELOPE_WRONG_FIELD;
  struct ee_arena *next = &event->arenas[1 - event->used];
  struct identity identity;
  if (!keep_identity(next, phase, &of->record.head, &identity)) {
    ee_arena_clear(next);
    return ENVELOPE_NO_MEMORY;
  }
  if (of != event) event->trace = of->trace;
  ee_arena_clear(memory_of(event));
  event->used = 1 - event->used;
  empty(event, (enum ee_phase)phase);
  event->record.head.envelope_id = identity.envelope_id;
  event->record.head.tenant = identity.tenant;
  event->record.head.source = identity.source;
  return ENVELOPE_OK;
}

int envelope_event_set_trace(envelope_event *event, const char *traceparent,
                             const char *tracestate) {
  ee_trace_set(&event->trace, ee_str(traceparent), ee_str(tracestate));
  return ENVELOPE_OK;
}

const char *envelope_event_envelope_id(const envelope_event *event) {
  const char *id = event->record.head.envelope_id.data;
  return id == NULL ? "" : id;
}

const char *envelope_event_event_id(const envelope_event *event) {
  const char *id = event->record.head.event_id.data;
  return id == NULL ? "" : id;
}

// ---- Fields.

// One call that sets something: what for, and where a mistake is told.
struct setting {
  struct envelope_event *event;
  int field;
  struct envelope_error *error;
  const struct ee_field *container;  // the record that the field is in; NULL: the event's own
  const struct ee_field *leaf;
  const struct ee_type *type;  // of the field
  void *value;                 // where it lies in the record
  void **made;                 // where the container hangs, if this call has made it
};

// What could not be stored leaves no empty record behind.
static int no_room(const struct setting *setting) {
  if (setting->made != NULL) *setting->made = NULL;
  return ee_event_no_room(setting->event, ee_field_path(setting->field), setting->error);
}

static int wrong(const struct setting *setting, const char *what) {
  const char *path = ee_field_path(setting->field);
  return ee_mistake(setting->error, ENVELOPE_WRONG_FIELD, path, "%s: %s %s",
                    ee_phase_name(setting->event->phase), path == NULL ? "this field" : path, what);
}

static int find(struct setting *setting) {
  const struct ee_field_place *place = ee_field_find(setting->event->places, setting->field);
  if (place == NULL) return wrong(setting, "is no field of this phase");
  setting->container = place->container;
  setting->leaf = place->leaf;
  setting->type = &place->leaf->type;
  return ENVELOPE_OK;
}

static int begin(struct setting *setting, enum ee_type_kind kind, const char *otherwise) {
  int result = find(setting);
  if (result != ENVELOPE_OK || setting->type->kind == kind) return result;
  return wrong(setting, otherwise);
}

// The record that the field is in, made if it is not there; NULL: there is no room.
static void *container_of(struct setting *setting) {
  const struct ee_field *container = setting->container;
  void *at = ee_at_mutable(&setting->event->record, container->offset);
  void *record = (void *)ee_value_in(&container->type, at);
  if (record != NULL) return record;
  record = ee_value_place(&container->type, at, memory_of(setting->event));
  if (record == NULL) return NULL;
  ee_record_init(container->type.record, record);
  setting->made = at;
  return record;
}

// Finds where the value lies, once nothing is wrong with it.
static bool locate(struct setting *setting) {
  void *record = setting->container == NULL ? &setting->event->record : container_of(setting);
  if (record != NULL) setting->value = ee_at_mutable(record, setting->leaf->offset);
  return record != NULL;
}

// Where the bare value goes; NULL: there is no room.
static void *place(struct setting *setting) {
  if (!locate(setting)) return NULL;
  return ee_value_place(setting->type, setting->value, memory_of(setting->event));
}

static struct ee_str text_of(const char *text, size_t size) {
  if (size == ENVELOPE_TEXT) return ee_str(text);
  return (struct ee_str){text, size};
}

static int set_symbol(struct setting *setting, struct ee_str text) {
  int symbol = ee_enum_find(setting->type->enumeration, text);
  if (symbol < 0) {
    const char *path = ee_field_path(setting->field);
    return ee_mistake(setting->error, ENVELOPE_BAD_ENUM, path, "%s: \"%.*s\" is no %s", path,
                      text.size > 64 ? 64 : (int)text.size, text.data,
                      setting->type->enumeration->name);
  }
  int *at = place(setting);
  if (at == NULL) return no_room(setting);
  *at = symbol;
  return ENVELOPE_OK;
}

int envelope_event_set_text(envelope_event *event, envelope_field field, const char *text,
                            size_t size, struct envelope_error *error) {
  struct setting setting = {.event = event, .field = field, .error = error};
  int result = find(&setting);
  if (result != ENVELOPE_OK) return result;
  if (text == NULL) return wrong(&setting, "is set to no text");
  if (setting.type->kind == EE_TYPE_ENUM) return set_symbol(&setting, text_of(text, size));
  if (setting.type->kind != EE_TYPE_STRING) return wrong(&setting, "is no text");
  struct ee_str copy = ee_event_keep(event, text_of(text, size));
  if (copy.data == NULL || !locate(&setting)) return no_room(&setting);
  *(struct ee_str *)setting.value = copy;
  return ENVELOPE_OK;
}

int envelope_event_set_long(envelope_event *event, envelope_field field, int64_t value,
                            struct envelope_error *error) {
  struct setting setting = {.event = event, .field = field, .error = error};
  int result = begin(&setting, EE_TYPE_LONG, "is no number");
  if (result != ENVELOPE_OK) return result;
  int64_t *at = place(&setting);
  if (at == NULL) return no_room(&setting);
  *at = value;
  return ENVELOPE_OK;
}

int envelope_event_set_boolean(envelope_event *event, envelope_field field, int value,
                               struct envelope_error *error) {
  struct setting setting = {.event = event, .field = field, .error = error};
  int result = begin(&setting, EE_TYPE_BOOLEAN, "is no boolean");
  if (result != ENVELOPE_OK) return result;
  bool *at = place(&setting);
  if (at == NULL) return no_room(&setting);
  *at = value != 0;
  return ENVELOPE_OK;
}

// ---- Lists and maps. Room doubles at powers of two, so that the count tells it.

static void *add(struct setting *setting, void **items, size_t *count, size_t size) {
  bool full = *count == 0 || (*count >= 4 && (*count & (*count - 1)) == 0);
  if (full) {
    size_t room = *count == 0 ? 4 : 2 * *count;
    void *moved = ee_arena_zero(memory_of(setting->event), room, size);
    if (moved == NULL) return NULL;
    if (*count > 0) memcpy(moved, *items, *count * size);
    *items = moved;
  }
  return (uint8_t *)*items + (*count)++ * size;
}

// The entry of a key, there already or added; NULL: there is no room.
static void *entry_of(struct setting *setting, struct ee_str key) {
  if (!locate(setting)) return NULL;
  struct ee_map *map = setting->value;
  size_t size = setting->type->size;
  for (size_t i = 0; i < map->count; i++) {
    void *entry = ee_at_mutable(map->entries, i * size);
    if (ee_str_equal(*(const struct ee_str *)entry, key)) return entry;
  }
  struct ee_str copy = ee_event_keep(setting->event, key);
  void *entry = copy.data == NULL ? NULL : add(setting, &map->entries, &map->count, size);
  if (entry != NULL) *(struct ee_str *)entry = copy;
  return entry;
}

static int begin_map(struct setting *setting, enum ee_type_kind item, const char *key) {
  int result = begin(setting, EE_TYPE_MAP, "has no entries");
  if (result != ENVELOPE_OK) return result;
  if (key == NULL) return wrong(setting, "has no entry without a key");
  if (setting->type->item->kind == item) return ENVELOPE_OK;
  return wrong(setting, item == EE_TYPE_LONG ? "has no numbers" : "has no texts");
}

int envelope_event_put_text(envelope_event *event, envelope_field field, const char *key,
                            size_t key_size, const char *text, size_t size,
                            struct envelope_error *error) {
  struct setting setting = {.event = event, .field = field, .error = error};
  int result = begin_map(&setting, EE_TYPE_STRING, key);
  if (result != ENVELOPE_OK) return result;
  if (text == NULL) return wrong(&setting, "is set to no text");
  struct ee_str copy = ee_event_keep(event, text_of(text, size));
  void *entry = copy.data == NULL ? NULL : entry_of(&setting, text_of(key, key_size));
  if (entry == NULL) return no_room(&setting);
  *(struct ee_str *)ee_at_mutable(entry, EE_ENTRY_VALUE) = copy;
  return ENVELOPE_OK;
}

int envelope_event_put_long(envelope_event *event, envelope_field field, const char *key,
                            size_t key_size, int64_t value, struct envelope_error *error) {
  struct setting setting = {.event = event, .field = field, .error = error};
  int result = begin_map(&setting, EE_TYPE_LONG, key);
  if (result != ENVELOPE_OK) return result;
  void *entry = entry_of(&setting, text_of(key, key_size));
  if (entry == NULL) return no_room(&setting);
  *(int64_t *)ee_at_mutable(entry, EE_ENTRY_VALUE) = value;
  return ENVELOPE_OK;
}

// Room for one more item of a list; NULL: there is none.
static void *add_item(struct setting *setting, size_t size) {
  if (!locate(setting)) return NULL;
  struct ee_array *array = setting->value;
  return add(setting, &array->items, &array->count, size);
}

int envelope_event_add_text(envelope_event *event, envelope_field field, const char *text,
                            size_t size, struct envelope_error *error) {
  struct setting setting = {.event = event, .field = field, .error = error};
  int result = begin(&setting, EE_TYPE_ARRAY, "is no list");
  if (result != ENVELOPE_OK) return result;
  if (setting.type->item->kind != EE_TYPE_STRING) return wrong(&setting, "is no list of texts");
  if (text == NULL) return wrong(&setting, "is given no text");
  struct ee_str copy = ee_event_keep(event, text_of(text, size));
  struct ee_str *item = copy.data == NULL ? NULL : add_item(&setting, sizeof *item);
  if (item == NULL) return no_room(&setting);
  *item = copy;
  return ENVELOPE_OK;
}

int envelope_event_add_authority_ref(envelope_event *event, const char *kind, const char *reference,
                                     const char *digest, struct envelope_error *error) {
  struct setting setting = {
      .event = event, .field = ENVELOPE_FIELD_CALLER_AUTHORITY_REFS, .error = error};
  int result = begin(&setting, EE_TYPE_ARRAY, "is no list");
  if (result != ENVELOPE_OK) return result;
  if (kind == NULL || reference == NULL) return wrong(&setting, "has a kind and a reference each");
  struct ee_authority_ref ref = {.kind = ee_event_keep(event, ee_str(kind)),
                                 .reference = ee_event_keep(event, ee_str(reference)),
                                 .digest = ee_event_keep(event, ee_str(digest))};
  bool whole = ref.kind.data != NULL && ref.reference.data != NULL &&
               (ref.digest.data != NULL) == (digest != NULL);
  struct ee_authority_ref *item = whole ? add_item(&setting, sizeof *item) : NULL;
  if (item == NULL) return no_room(&setting);
  *item = ref;
  return ENVELOPE_OK;
}
