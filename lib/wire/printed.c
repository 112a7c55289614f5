// SPDX-License-Identifier: Apache-2.0
// Records as lines of JSON.
#include "wire/printed.h"

#include <sodium.h>

#include "base/utf8.h"
#include "contract/json.h"

static void print_base64(struct ee_bytes bytes, struct ee_buf *out) {
  size_t most = sodium_base64_encoded_len(bytes.size, sodium_base64_VARIANT_ORIGINAL);
  ee_buf_text(out, "{\"base64\":\"");
  uint8_t *to = ee_buf_reserve(out, most);
  if (to == NULL) return;
  sodium_bin2base64((char *)to, most, bytes.data, bytes.size, sodium_base64_VARIANT_ORIGINAL);
  out->size += most - 1;  // without the NUL
  ee_buf_text(out, "\"}");
}

static void print_bytes(struct ee_bytes bytes, bool raw, struct ee_buf *out) {
  struct ee_str text = ee_bytes_str(bytes);
  if (bytes.data == NULL) {
    ee_buf_text(out, "null");
  } else if (raw || !ee_utf8_valid(text.data, text.size)) {
    print_base64(bytes, out);
  } else {
    ee_buf_json_string(out, text);
  }
}

static void print_headers(const struct ee_printed *record, struct ee_buf *out) {
  ee_buf_text(out, ",\"headers\":[");
  for (size_t i = 0; i < record->header_count; i++) {
    ee_buf_text(out, i == 0 ? "[" : ",[");
    print_bytes(ee_str_bytes(record->headers[i].name), false, out);
    ee_buf_text(out, ",");
    print_bytes(record->headers[i].value, false, out);
    ee_buf_text(out, "]");
  }
  ee_buf_text(out, "]");
}

// The value's struct, or NULL: it does not decode.
static void *decode(struct ee_codec *codec, const struct ee_printed *record, int64_t now_ms,
                    struct ee_arena *arena, enum ee_codec_state *ret_state) {
  const struct ee_record_type *type = record->known < 0 ? NULL : ee_topics[record->known].value;
  const struct ee_plan *plan;
  struct ee_bytes avro;
  struct ee_fault fault;
  *ret_state = EE_CODEC_READY;
  if (type == NULL || record->value.data == NULL) return NULL;
  enum ee_codec_state state =
      ee_codec_open(codec, type, record->value, now_ms, &plan, &avro, &fault);
  if (state == EE_CODEC_WAIT) *ret_state = state;
  if (state != EE_CODEC_READY) return NULL;
  void *decoded = ee_arena_alloc(arena, type->size);
  return decoded != NULL && ee_decode(plan, avro, arena, decoded, &fault) ? decoded : NULL;
}

enum ee_codec_state ee_print_record(struct ee_codec *codec, const struct ee_printed *record,
                                    bool raw, int64_t now_ms, struct ee_arena *arena,
                                    struct ee_buf *out) {
  enum ee_codec_state state = EE_CODEC_READY;
  void *decoded = raw ? NULL : decode(codec, record, now_ms, arena, &state);
  if (state == EE_CODEC_WAIT) return state;
  ee_buf_text(out, "{\"topic\":");
  ee_buf_json_string(out, record->topic);
  ee_buf_printf(out, ",\"partition\":%d,\"offset\":%lld,\"timestamp\":%lld,\"key\":",
                (int)record->partition, (long long)record->offset,
                (long long)record->timestamp_ms);
  print_bytes(record->key, raw, out);
  print_headers(record, out);
  ee_buf_text(out, ",\"value\":");
  if (decoded != NULL) {
    ee_json_write(ee_topics[record->known].value, decoded, NULL, out);
  } else if (record->value.data == NULL) {
    ee_buf_text(out, "null");
  } else {
    print_base64(record->value, out);
  }
  ee_buf_text(out, "}\n");
  return EE_CODEC_READY;
}
