// SPDX-License-Identifier: Apache-2.0
// Record headers: CloudEvents, `in`, and those of dead letters.
#include "wire/headers.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/time.h"
#include "base/utf8.h"
#include "contract/ident.h"

#define TRACEPARENT_SIZE 55
#define PRODUCER_MAX 128  // bytes, as any identifier (contract)

// Without branches, so that compilers do it many bytes at a time.
static inline bool lower_hex(const uint8_t *p, size_t size) {
  unsigned wrong = 0;
  for (size_t i = 0; i < size; i++)
    wrong |= ((uint8_t)(p[i] - '0') > 9) & ((uint8_t)(p[i] - 'a') > 5);
  return wrong == 0;
}

// version-trace-parent-flags: 2, 32, 16 and 2 digits.
bool ee_traceparent_valid(struct ee_bytes value) {
  static const char zeros[] = "00000000000000000000000000000000";
  const uint8_t *p = value.data;
  if (p == NULL || value.size != TRACEPARENT_SIZE) return false;
  if (p[2] != '-' || p[35] != '-' || p[52] != '-') return false;
  if (!lower_hex(p, 2) || !lower_hex(p + 3, 32) || !lower_hex(p + 36, 16) || !lower_hex(p + 53, 2))
    return false;
  return memcmp(p, "ff", 2) != 0 && memcmp(p + 3, zeros, 32) != 0 && memcmp(p + 36, zeros, 16) != 0;
}

void ee_header_in(struct ee_buf *out, struct ee_str topic, int32_t partition, int64_t offset,
                  struct ee_bytes traceparent) {
  ee_buf_byte(out, '[');
  ee_buf_json_string(out, topic);
  ee_buf_byte(out, ',');
  ee_buf_decimal(out, partition);
  ee_buf_byte(out, ',');
  ee_buf_decimal(out, offset);
  if (ee_traceparent_valid(traceparent)) {
    ee_buf_byte(out, ',');
    ee_buf_json_string(out, ee_bytes_str(traceparent));
  }
  ee_buf_byte(out, ']');
}

// Takes the last colon and the decimal behind it off the text.
static bool take_decimal(struct ee_str *text, int64_t *ret) {
  int64_t value = 0;
  size_t at = text->size;
  while (at > 0 && text->data[at - 1] != ':')
    at--;
  if (at == 0 || at == text->size) return false;
  if (text->data[at] == '0' && text->size - at > 1) return false;
  for (size_t i = at; i < text->size; i++) {
    char digit = text->data[i];
    if (digit < '0' || digit > '9' || value > (INT64_MAX - (digit - '0')) / 10) return false;
    value = value * 10 + (digit - '0');
  }
  text->size = at - 1;
  *ret = value;
  return true;
}

bool ee_record_number_parse(struct ee_bytes value, struct ee_record_number *ret) {
  struct ee_record_number number = {.producer = ee_bytes_str(value)};
  if (value.data == NULL) return false;
  if (!take_decimal(&number.producer, &number.number) ||
      !take_decimal(&number.producer, &number.epoch)) {
    return false;
  }
  struct ee_str name = number.producer;
  if (name.size < 1 || name.size > PRODUCER_MAX || memchr(name.data, '\0', name.size) != NULL ||
      !ee_utf8_valid(name.data, name.size) || !ee_name_fits(name) || number.number == INT64_MAX) {
    return false;
  }
  *ret = number;
  return true;
}

// Both parts in arena; data NULL when it is full.
static struct ee_bytes joined(struct ee_arena *arena, struct ee_str a, struct ee_str b) {
  char *text = ee_arena_alloc(arena, a.size + b.size);
  if (text == NULL) return ee_bytes(NULL, 0);
  memcpy(text, a.data, a.size);
  memcpy(text + a.size, b.data, b.size);
  return ee_bytes(text, a.size + b.size);
}

static struct ee_bytes number(struct ee_arena *arena, int64_t value) {
  char text[24];
  int size = snprintf(text, sizeof text, "%" PRId64, value);
  return ee_str_bytes(ee_arena_str(arena, (struct ee_str){.data = text, .size = (size_t)size}));
}

static bool all_there(const struct ee_header *headers, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (headers[i].value.data == NULL) return false;
  }
  return true;
}

size_t ee_headers_cloudevent(enum ee_phase phase, const struct ee_event_head *head,
                             struct ee_arena *arena, struct ee_header out[EE_CLOUDEVENT_HEADERS]) {
  const struct ee_record_type *type = ee_phase_record(phase);
  if (type == NULL) return 0;
  size_t count = 0;
  out[count++] = (struct ee_header){EE_STR("ce_specversion"), ee_str_bytes(EE_STR("1.0"))};
  // The name of an event's type is that of its topic.
  out[count++] = (struct ee_header){EE_STR("ce_type"), ee_str_bytes(ee_str(ee_topics[phase].name))};
  out[count++] = (struct ee_header){EE_STR("ce_dataschema"),
                                    joined(arena, EE_STR("urn:avro:"), ee_str(type->full_name))};
  out[count++] =
      (struct ee_header){EE_STR("content-type"), ee_str_bytes(EE_STR("application/avro"))};
  out[count++] = (struct ee_header){EE_STR("ce_source"), ee_str_bytes(head->source)};
  out[count++] = (struct ee_header){EE_STR("ce_id"), ee_str_bytes(head->event_id)};
  char time[EE_RFC3339_SIZE];
  ee_time_print(head->occurred_at, time);
  if (strchr(time, 'T') != NULL) {
    out[count++] =
        (struct ee_header){EE_STR("ce_time"), ee_str_bytes(ee_arena_str(arena, ee_str(time)))};
  }
  return all_there(out, count) ? count : 0;
}

static struct ee_bytes detail_of(const struct ee_fault *fault) {
  size_t size = 0;
  size_t least = strnlen(fault->detail, sizeof fault->detail);
  if (least > EE_DEADLETTER_DETAIL_MAX) least = EE_DEADLETTER_DETAIL_MAX;
  for (size_t step; size < least; size += step) {
    step = ee_utf8_length(fault->detail + size, least - size);
    if (step == 0) break;
  }
  return ee_bytes(fault->detail, size);
}

size_t ee_headers_deadletter(struct ee_str topic, int32_t partition, int64_t offset,
                             const char *processor, const struct ee_fault *fault,
                             struct ee_arena *arena, struct ee_header out[EE_DEADLETTER_HEADERS]) {
  out[0] = (struct ee_header){EE_STR("dl_topic"), ee_str_bytes(topic)};
  out[1] = (struct ee_header){EE_STR("dl_partition"), number(arena, partition)};
  out[2] = (struct ee_header){EE_STR("dl_offset"), number(arena, offset)};
  out[3] = (struct ee_header){EE_STR("dl_processor"), ee_str_bytes(ee_str(processor))};
  out[4] =
      (struct ee_header){EE_STR("dl_reason"), ee_str_bytes(ee_str(ee_reason_name(fault->reason)))};
  out[5] = (struct ee_header){EE_STR("dl_detail"), detail_of(fault)};
  return all_there(out, EE_DEADLETTER_HEADERS) ? EE_DEADLETTER_HEADERS : 0;
}
