// SPDX-License-Identifier: Apache-2.0
// One record on its way out: its headers and its frame; and one that was refused.
#include <assert.h>
#include <stdlib.h>

#include "client/event.h"
#include "client/sender_impl.h"

#define HEADERS_MAX (EE_CLOUDEVENT_HEADERS + 4)
static_assert(EE_NUMBERS_PRODUCER_SIZE + 2 + 10 + EE_DECIMAL_MAX <= SEQ_SIZE,
              "a name, an epoch of 32 bits, a number and two colons");

struct ee_str sender_seq(const struct ee_sender *sender, uint32_t epoch, uint64_t number,
                         char out[SEQ_SIZE]) {
  const char *producer = ee_past_producer(&sender->past, epoch);
  if (producer == NULL) producer = sender->settings.producer;
  size_t size = strlen(producer);
  memcpy(out, producer, size);
  out[size++] = ':';
  size += ee_decimal_print(epoch, out + size);
  out[size++] = ':';
  size += ee_decimal_print(number, out + size);
  return (struct ee_str){out, size};
}

// What is sent, and where its parts lie.
struct letter {
  struct ee_parcel parcel;
  struct ee_header headers[HEADERS_MAX];
  struct ee_event_head head;
  char seq[SEQ_SIZE], was[SEQ_SIZE];
};

static void add_header(struct letter *letter, struct ee_str name, struct ee_str value) {
  if (value.data == NULL) return;
  letter->headers[letter->parcel.header_count++] = (struct ee_header){name, ee_str_bytes(value)};
}

// False: memory is out.
static bool add_headers(struct ee_sender *sender, const struct ee_spool_item *item,
                        const struct ee_window_entry *at, struct letter *letter) {
  struct ee_str parent, state;
  if (item->topic < EE_PHASE_TOPICS) {
    letter->parcel.header_count = ee_headers_cloudevent((enum ee_phase)item->topic, &letter->head,
                                                        &sender->arena, letter->headers);
    letter->parcel.constant_headers = EE_CLOUDEVENT_CONSTANT;
    if (letter->parcel.header_count == 0) return false;
  }
  ee_trace_read(item->attributes, &parent, &state);
  add_header(letter, EE_STR("traceparent"), parent);
  add_header(letter, EE_STR("tracestate"), state);
  if (!at->numbered) return true;
  add_header(letter, EE_STR("seq"), sender_seq(sender, sender->epoch, at->number, letter->seq));
  if (at->was_epoch == 0) return true;
  add_header(letter, EE_STR("was"), sender_seq(sender, at->was_epoch, at->was_number, letter->was));
  return true;
}

// False: these bytes are no event.
static bool read_key(const struct ee_spool_item *item, struct letter *letter) {
  struct ee_str key;
  bool phase = item->topic < EE_PHASE_TOPICS;
  if (phase ? !ee_event_head_read(item->payload, &letter->head)
            : !ee_event_key_read((enum ee_topic)item->topic, item->payload, &key)) {
    return false;
  }
  letter->parcel.key = ee_str_bytes(phase ? letter->head.envelope_id : key);
  return true;
}

// The ids are told when the record's bytes may be gone. False: no memory.
static bool remember_ids(const struct ee_sender *sender, const struct letter *letter,
                         struct ee_window_entry *at) {
  if (sender->settings.delivered == NULL || at->ids != NULL) return true;
  struct ee_str id = ee_bytes_str(letter->parcel.key), event_id = letter->head.event_id;
  char *ids = malloc(id.size + event_id.size + 2);
  if (ids == NULL) return false;
  memcpy(ids, id.data, id.size);
  ids[id.size] = '\0';
  if (event_id.size > 0) memcpy(ids + id.size + 1, event_id.data, event_id.size);
  ids[id.size + 1 + event_id.size] = '\0';
  at->ids = ids;
  return true;
}

static enum ee_sent refuse(struct ee_window_entry *at, const char *why) {
  at->why = why;
  return EE_SENT_REFUSED;
}

enum ee_sent sender_send(struct ee_sender *sender, const struct ee_spool_entry *entry,
                         struct ee_window_entry *at) {
  const struct ee_outlet *outlet = &sender->settings.outlet;
  const struct ee_spool_item *item = &entry->item;
  struct letter letter;
  letter.head = (struct ee_event_head){.occurred_at = 0};
  letter.parcel = (struct ee_parcel){.topic = (enum ee_topic)item->topic,
                                     .partition = at->partition,
                                     .payload = item->payload,
                                     .headers = letter.headers,
                                     .tag = sender->window.cursor};
  if (!read_key(item, &letter)) return refuse(at, "not an event");
  if (!remember_ids(sender, &letter, at)) return EE_SENT_LATER;
  switch (outlet->ops->prefix(outlet->self, letter.parcel.topic, item->schema,
                              &letter.parcel.prefix, &at->why)) {
    case EE_FRAME_READY:
      break;
    case EE_FRAME_WAIT:
      return EE_SENT_LATER;
    case EE_FRAME_REFUSED:
      return EE_SENT_REFUSED;
  }
  enum ee_sent sent = EE_SENT_LATER;
  if (add_headers(sender, item, at, &letter)) {
    sent = outlet->ops->send(outlet->self, &letter.parcel, &at->why);
  }
  ee_arena_clear(&sender->arena);
  return sent;
}

// ---- Refused.

static bool declare(struct ee_sender *sender, const struct ee_spool_entry *entry,
                    const struct ee_window_entry *at) {
  if (!at->numbered) return true;
  if (at->was_epoch != 0) {
    ee_past_refused(&sender->past, entry->item.topic, &entry->numbering);
    return true;
  }
  return ee_numbers_add_hole(&sender->numbers, entry->item.topic, at->partition, at->number,
                             at->number, EE_HOLE_REFUSED);
}

bool sender_keep_aside(struct ee_sender *sender, const struct ee_spool_entry *entry,
                       const struct ee_window_entry *at) {
  char seq[SEQ_SIZE];
  struct ee_err err;
  const char *topic =
      entry->item.topic < EE_TOPIC_COUNT ? sender->topics[entry->item.topic] : "no topic";
  struct ee_refused refused = {.at = sender->now_us,
                               .why = at->why,
                               .topic = ee_str(topic),
                               .partition = at->partition,
                               .item = &entry->item};
  if (at->numbered) refused.seq = sender_seq(sender, sender->epoch, at->number, seq);
  if (!declare(sender, entry, at)) return false;
  bool kept = ee_aside_keep(&sender->aside, &refused, &err);
  ee_notice(&sender->settings.notices, ENVELOPE_ERROR, "refused for good by %s [%d]: %s; %s", topic,
            (int)at->partition, at->why, kept ? "kept in " EE_ASIDE_NAME : err.text);
  return true;
}
