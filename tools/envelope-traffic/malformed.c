// SPDX-License-Identifier: Apache-2.0
// Records that break the contract, each in its own way.
#include "contract/event.h"
#include "contract/record.h"
#include "tools/envelope-traffic/traffic.h"
#include "wire/framing.h"

#define AVRO_BYTES_MAX ((size_t)1 << 16)
#define LENGTH_AT 10  // behind the framing

static void minimal(struct ee_admission *record, const char *envelope_id, const char *event_id,
                    int64_t at) {
  ee_record_init(&ee_admission_type, record);
  record->envelope_id = ee_str(envelope_id);
  record->event_id = ee_str(event_id);
  record->tenant = EE_STR("tenant-00");
  record->occurred_at = at;
  record->source = EE_STR("urn:service:backend");
  record->caller.requester_urn = EE_STR("urn:broken:client");
  record->execution.service = EE_STR("backend");
  record->execution.operation = EE_STR("other");
}

static void frame(const struct ee_admission *record, struct ee_buf *out) {
  uint8_t prefix[EE_FRAME_MAX];
  size_t size = ee_frame_single_object(ee_admission_type.fingerprint, prefix);
  ee_buf_append(out, prefix, size);
  ee_encode(&ee_admission_type, record, out);
}

// Spends two bytes on the length of envelope_id, the first field, where one is enough.
static void overlong(struct ee_buf *value) {
  ee_buf_byte(value, 0);
  if (value->failed) return;
  memmove(value->data + LENGTH_AT + 2, value->data + LENGTH_AT + 1, value->size - LENGTH_AT - 2);
  value->data[LENGTH_AT] |= 0x80;
  value->data[LENGTH_AT + 1] = 0;
}

void malformed_add(struct lines *lines, struct random *random, int64_t number, int kind,
                   int64_t at) {
  struct ee_str_entry extension = {EE_STR("model"), EE_STR("{}")};
  struct ee_admission record;
  struct ee_buf value;
  char envelope_id[32], event_id[EE_UUID_SIZE];
  snprintf(envelope_id, sizeof envelope_id, "broken-%lld", (long long)number);
  random_uuid7(random, at, event_id);
  minimal(&record, envelope_id, event_id, at);
  if (kind == 0) record.tenant = EE_STR("");
  if (kind == 1) record.extensions = (struct ee_str_map){.entries = &extension, .count = 1};
  if (kind == 2) record.source = EE_STR("\xff\xfe");
  if (kind == 3) record.execution.kind = 40;
  ee_buf_init(&value, AVRO_BYTES_MAX);
  frame(&record, &value);
  if (kind == 4) value.size -= 5;
  if (kind == 5) ee_buf_append(&value, "more", 4);
  if (kind == 6) value.data[0] = '{';
  if (kind == 7) value.data[5] ^= 0x55;  // another schema's fingerprint
  if (kind == 8) overlong(&value);
  struct ee_str key = kind == 9 ? EE_STR("another") : ee_str(envelope_id);
  lines_add_raw(lines, key, ee_buf_bytes(&value), -1, at);
  ee_buf_release(&value);
}
