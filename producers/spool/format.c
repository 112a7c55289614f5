// SPDX-License-Identifier: Apache-2.0
// Bytes of segments and records, and their checksums.
#include "spool/format.h"

#include <assert.h>

#include "base/hash.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the format is the machine's own order");

static const char magic[8] = "EESPOOL";

// ---- The segment's head.

struct segment_head {
  char magic[8];
  uint32_t version;
  uint32_t crc;  // of what follows, begun with magic and version
  uint8_t id[EE_SPOOL_ID_SIZE];
  uint64_t number;
  uint64_t size;
  uint8_t zero[16];
};
static_assert(sizeof(struct segment_head) == EE_SPOOL_UNIT, "a head is one unit");

static uint32_t segment_crc(const struct segment_head *head) {
  size_t before = offsetof(struct segment_head, crc), after = offsetof(struct segment_head, id);
  uint32_t crc = ee_crc32c(0, head, before);
  return ee_crc32c(crc, (const uint8_t *)head + after, sizeof *head - after);
}

void ee_spool_segment_make(const struct ee_spool_segment *segment, uint8_t out[EE_SPOOL_UNIT]) {
  struct segment_head head = {
      .version = EE_SPOOL_VERSION, .number = segment->number, .size = segment->size};
  memcpy(head.magic, magic, sizeof magic);
  memcpy(head.id, segment->id, sizeof head.id);
  head.crc = segment_crc(&head);
  memcpy(out, &head, sizeof head);
}

enum ee_spool_head ee_spool_segment_parse(struct ee_bytes in, struct ee_spool_segment *ret) {
  struct segment_head head;
  if (in.size < sizeof head || memcmp(in.data, magic, sizeof magic) != 0) {
    return EE_SPOOL_HEAD_FOREIGN;
  }
  memcpy(&head, in.data, sizeof head);
  if (head.version > EE_SPOOL_VERSION) return EE_SPOOL_HEAD_NEWER;
  if (head.version != EE_SPOOL_VERSION || head.crc != segment_crc(&head)) {
    return EE_SPOOL_HEAD_TORN;
  }
  *ret = (struct ee_spool_segment){.number = head.number, .size = head.size};
  memcpy(ret->id, head.id, sizeof ret->id);
  return EE_SPOOL_HEAD_GOOD;
}

uint32_t ee_spool_salt(const struct ee_spool_segment *segment) {
  uint32_t crc = ee_crc32c(0, segment->id, sizeof segment->id);
  return ee_crc32c(crc, &segment->number, sizeof segment->number);
}

// ---- Records.

struct record_head {
  uint32_t size, head_crc;  // the mark
  uint64_t schema;
  int64_t accepted_us;
  uint32_t payload_size;
  uint16_t attributes_size;
  uint8_t topic, zero_1;
  uint32_t body_crc, zero_2;
  uint64_t number;
  uint32_t epoch;
  int32_t partition;
  uint32_t numbering_crc, zero_3;
};
static_assert(sizeof(struct record_head) == EE_SPOOL_UNIT, "a head is one unit");
static_assert(EE_SPOOL_ATTRIBUTES_MAX <= UINT16_MAX, "their size is 16 bits");

#define NUMBERING_AT offsetof(struct record_head, number)

static uint32_t crc_at(uint32_t salt, uint64_t offset) {
  return ee_crc32c(salt, &offset, sizeof offset);
}

static uint32_t head_crc(uint32_t seed, const struct record_head *head) {
  size_t at = offsetof(struct record_head, schema);
  uint32_t crc = ee_crc32c(seed, &head->size, sizeof head->size);
  return ee_crc32c(crc, (const uint8_t *)head + at, NUMBERING_AT - at);
}

static uint32_t body_crc(uint32_t seed, struct ee_bytes attributes, struct ee_bytes payload) {
  return ee_crc32c(ee_crc32c(seed, attributes.data, attributes.size), payload.data, payload.size);
}

// 0 stands for "not numbered".
static uint32_t numbering_crc(uint32_t seed, const struct record_head *head) {
  uint32_t crc = ee_crc32c(seed, &head->number, 16);
  return crc == 0 ? 1 : crc;
}

size_t ee_spool_record_size(size_t attributes_size, size_t payload_size) {
  size_t size = sizeof(struct record_head) + attributes_size + payload_size;
  return (size + EE_SPOOL_UNIT - 1) / EE_SPOOL_UNIT * EE_SPOOL_UNIT;
}

uint64_t ee_spool_record_write(uint8_t *at, uint32_t salt, uint64_t offset,
                               const struct ee_spool_item *item) {
  uint32_t seed = crc_at(salt, offset);
  size_t size = ee_spool_record_size(item->attributes.size, item->payload.size);
  struct record_head head = {.size = (uint32_t)size,
                             .schema = item->schema,
                             .accepted_us = item->accepted_us,
                             .payload_size = (uint32_t)item->payload.size,
                             .attributes_size = (uint16_t)item->attributes.size,
                             .topic = item->topic,
                             .body_crc = body_crc(seed, item->attributes, item->payload)};
  head.head_crc = head_crc(seed, &head);
  uint8_t *body = at + sizeof head;
  if (item->attributes.size > 0) memcpy(body, item->attributes.data, item->attributes.size);
  body += item->attributes.size;
  if (item->payload.size > 0) memcpy(body, item->payload.data, item->payload.size);
  size_t mark_size = sizeof(uint64_t);
  memcpy(at + mark_size, (const uint8_t *)&head + mark_size, NUMBERING_AT - mark_size);
  uint64_t mark;
  memcpy(&mark, &head, sizeof mark);
  return mark;
}

void ee_spool_record_number(uint8_t *at, uint32_t salt, uint64_t offset,
                            const struct ee_spool_numbering *numbering) {
  struct record_head head = {
      .number = numbering->number, .epoch = numbering->epoch, .partition = numbering->partition};
  head.numbering_crc = numbering_crc(crc_at(salt, offset), &head);
  memcpy(at + NUMBERING_AT, (const uint8_t *)&head + NUMBERING_AT, sizeof head - NUMBERING_AT);
}

// Whether the head is one, by its own checksum, and its sizes fit together.
static bool head_sound(const struct record_head *head, uint32_t seed, size_t room) {
  return head->size >= EE_SPOOL_UNIT && head->size <= room &&
         head->head_crc == head_crc(seed, head) && head->payload_size <= EE_SPOOL_PAYLOAD_MAX &&
         head->attributes_size <= EE_SPOOL_ATTRIBUTES_MAX &&
         head->size == ee_spool_record_size(head->attributes_size, head->payload_size);
}

enum ee_spool_record ee_spool_record_read(struct ee_bytes segment, uint32_t salt, uint64_t offset,
                                          size_t *ret_size, struct ee_spool_item *ret_item) {
  struct record_head head;
  if (offset >= segment.size || segment.size - offset < sizeof head) return EE_SPOOL_NOTHING;
  const uint8_t *at = segment.data + offset;
  memcpy(&head, at, sizeof head);
  uint32_t seed = crc_at(salt, offset);
  if (!head_sound(&head, seed, segment.size - offset)) return EE_SPOOL_NOTHING;
  *ret_size = head.size;
  struct ee_bytes attributes = ee_bytes(at + sizeof head, head.attributes_size);
  struct ee_bytes payload = ee_bytes(attributes.data + attributes.size, head.payload_size);
  if (head.body_crc != body_crc(seed, attributes, payload)) return EE_SPOOL_DAMAGED;
  *ret_item = (struct ee_spool_item){.schema = head.schema,
                                     .accepted_us = head.accepted_us,
                                     .topic = head.topic,
                                     .attributes = attributes,
                                     .payload = payload};
  return EE_SPOOL_RECORD;
}

bool ee_spool_record_numbering(const uint8_t *at, uint32_t salt, uint64_t offset,
                               struct ee_spool_numbering *ret) {
  struct record_head head;
  memcpy(&head, at, sizeof head);
  if (head.numbering_crc != numbering_crc(crc_at(salt, offset), &head)) return false;
  *ret = (struct ee_spool_numbering){
      .number = head.number, .epoch = head.epoch, .partition = head.partition};
  return true;
}

bool ee_spool_record_unnumbered(const uint8_t *at) {
  static const uint8_t zeros[EE_SPOOL_UNIT - NUMBERING_AT];
  return memcmp(at + NUMBERING_AT, zeros, sizeof zeros) == 0;
}
