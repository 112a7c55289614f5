// SPDX-License-Identifier: Apache-2.0
// Lines of records, with base64 for what JSON cannot hold.
#include "stream/printed.h"

#include <inttypes.h>

#include "base/utf8.h"
#include "contract/json.h"

static void base64(struct ee_bytes bytes, struct ee_buf *out) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  uint8_t *to = ee_buf_reserve(out, (bytes.size + 2) / 3 * 4);
  if (to == NULL) return;
  size_t written = 0;
  for (size_t i = 0; i < bytes.size; i += 3) {
    size_t left = bytes.size - i;
    uint32_t bits = (uint32_t)bytes.data[i] << 16;
    if (left > 1) bits |= (uint32_t)bytes.data[i + 1] << 8;
    if (left > 2) bits |= bytes.data[i + 2];
    to[written++] = (uint8_t)digits[bits >> 18];
    to[written++] = (uint8_t)digits[bits >> 12 & 63];
    to[written++] = left > 1 ? (uint8_t)digits[bits >> 6 & 63] : '=';
    to[written++] = left > 2 ? (uint8_t)digits[bits & 63] : '=';
  }
  out->size += written;
}

static void write_bytes(struct ee_bytes bytes, bool raw, struct ee_buf *out) {
  if (bytes.data == NULL) {
    ee_buf_text(out, "null");
  } else if (!raw && ee_utf8_valid((const char *)bytes.data, bytes.size)) {
    ee_buf_json_string(out, ee_bytes_str(bytes));
  } else {
    ee_buf_text(out, "{\"base64\":\"");
    base64(bytes, out);
    ee_buf_text(out, "\"}");
  }
}

static void write_head(const struct ee_printed *printed, bool raw, struct ee_buf *out) {
  ee_buf_text(out, "{\"topic\":");
  ee_buf_json_string(out, printed->topic);
  ee_buf_printf(out, ",\"partition\":%" PRId32 ",\"offset\":%" PRId64 ",\"timestamp\":%" PRId64,
                printed->partition, printed->offset, printed->timestamp_ms);
  ee_buf_text(out, ",\"key\":");
  write_bytes(printed->key, raw, out);
  ee_buf_text(out, ",\"headers\":[");
  for (size_t i = 0; i < printed->header_count; i++) {
    const struct ee_header *header = &printed->headers[i];
    ee_buf_text(out, i == 0 ? "[" : ",[");
    // A name that is not UTF-8 is nobody's that we know.
    write_bytes(ee_str_bytes(header->name), false, out);
    ee_buf_byte(out, ',');
    write_bytes(header->value, raw, out);
    ee_buf_byte(out, ']');
  }
  ee_buf_text(out, "],\"value\":");
}

void ee_printed_write(const struct ee_printed *printed, const struct ee_record_type *type,
                      const void *decoded, struct ee_buf *out) {
  write_head(printed, false, out);
  if (decoded != NULL && printed->value.data != NULL) {
    ee_json_write(type, decoded, NULL, out);
  } else {
    write_bytes(printed->value, true, out);
  }
  ee_buf_text(out, "}\n");
}

void ee_printed_write_raw(const struct ee_printed *printed, struct ee_buf *out) {
  write_head(printed, true, out);
  write_bytes(printed->value, true, out);
  ee_buf_text(out, "}\n");
}
