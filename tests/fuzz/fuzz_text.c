// SPDX-License-Identifier: Apache-2.0
// Any bytes as a JSON string and in a log line: jansson must read both, and read the
// string as what went in.
#include <jansson.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/int128.h"
#include "base/log.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds) {
  if (!holds) abort();
}

static void try_json_string(struct ee_str text) {
  struct ee_buf buf;
  ee_buf_init(&buf, 6 * text.size + 2);
  ee_buf_json_string(&buf, text);
  require(buf.failed == !ee_utf8_valid(text.data, text.size));
  if (!buf.failed) {
    json_t *read =
        json_loadb((const char *)buf.data, buf.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    require(read != NULL && json_string_length(read) == text.size);
    require(memcmp(json_string_value(read), text.data, text.size) == 0);
    json_decref(read);
  }
  ee_buf_release(&buf);
}

static void try_log_line(struct ee_str text) {
  char out[EE_LOG_LINE_MAX];
  struct ee_log_head head = {.time = "now", .level = EE_INFO};
  size_t size = ee_log_line(&head, "fuzz", EE_LOG_WITH(EE_LOG_S("text", text)), out);
  json_t *read = json_loadb(out, size, JSON_ALLOW_NUL, NULL);
  require(read != NULL && memchr(out, '\n', size) == out + size - 1);
  json_decref(read);
}

static void try_int128(struct ee_str text) {
  ee_int128 value, again;
  char printed[EE_INT128_TEXT];
  if (!ee_int128_parse(text, &value)) return;
  ee_int128_print(value, printed);
  require(ee_int128_parse(ee_str(printed), &again) && again == value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct ee_str text = ee_bytes_str(ee_bytes(data, size));
  try_json_string(text);
  try_log_line(text);
  try_int128(text);
  return 0;
}
