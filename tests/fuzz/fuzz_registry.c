// SPDX-License-Identifier: Apache-2.0
// A registry's answers and cache files. The first byte of the input says which question was
// asked and how the HTTP status read; the rest is the body.
#include <stdlib.h>

#include "base/utf8.h"
#include "contract/record.h"
#include "wire/registry_answer.h"
#include "wire/registry_cache.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition) {
  if (!condition) abort();
}

static void check_words(enum ee_answer answer, const struct ee_err *why) {
  bool said = answer == EE_ANSWER_FOUND || answer == EE_ANSWER_ABSENT || why->text[0] != '\0';
  require(said && memchr(why->text, 0, sizeof why->text) != NULL);
}

static void schema(long status, struct ee_bytes body) {
  struct ee_buf text;
  struct ee_err why = {.text = ""};
  ee_buf_init(&text, EE_SCHEMA_SIZE_MAX);
  enum ee_answer answer = ee_answer_schema(status, body, &text, &why);
  check_words(answer, &why);
  if (answer == EE_ANSWER_FOUND) {
    struct ee_str found = ee_buf_view(&text);
    require(status == 200 && found.size <= EE_SCHEMA_SIZE_MAX);
    require(ee_utf8_valid(found.data, found.size));
  }
  ee_buf_release(&text);
}

static void id(long status, struct ee_bytes body) {
  struct ee_err why = {.text = ""};
  int32_t value = -1;
  enum ee_answer answer = ee_answer_id(status, body, &value, &why);
  check_words(answer, &why);
  require((answer == EE_ANSWER_FOUND) == (value >= 0));
}

static void compatible(long status, struct ee_bytes body) {
  struct ee_err why = {.text = ""}, why_not = {.text = ""};
  bool is = true;
  enum ee_answer answer = ee_answer_compatible(status, body, &is, &why_not, &why);
  check_words(answer, &why);
  if (answer == EE_ANSWER_FOUND && !is) require(why_not.text[0] != '\0');
}

static void cache_file(struct ee_bytes content) {
  struct ee_bytes body;
  if (!ee_cache_file_parse(content, EE_STR("http://r"), EE_STR("schema-7"), &body)) return;
  struct ee_buf again;
  ee_buf_init(&again, EE_ANSWER_SIZE_MAX);
  ee_cache_file_write(EE_STR("http://r"), EE_STR("schema-7"), body, &again);
  require(ee_bytes_equal(ee_buf_bytes(&again), content));
  ee_buf_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const long statuses[] = {200, 404, 409, 500};
  if (size == 0) return 0;
  long status = statuses[data[0] / 4 % 4];
  struct ee_bytes body = ee_bytes(data + 1, size - 1);
  switch (data[0] % 4) {
    case 0:
      schema(status, body);
      break;
    case 1:
      id(status, body);
      break;
    case 2:
      compatible(status, body);
      break;
    default:
      cache_file(body);
      break;
  }
  return 0;
}
