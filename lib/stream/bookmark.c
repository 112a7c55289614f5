// SPDX-License-Identifier: Apache-2.0
// Bookmarks as text: "1 LAST TIMESTAMP INPUTS END END END END", numbers in decimal.
#include "stream/bookmark.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define NUMBERS (4 + EE_CHANGELOGS_MAX)

void ee_bookmark_print(const struct ee_bookmark *bookmark, char ret[EE_OFFSET_METADATA_SIZE]) {
  size_t at =
      (size_t)snprintf(ret, EE_OFFSET_METADATA_SIZE, "1 %" PRId64 " %" PRId64 " %" PRIu32,
                       bookmark->last.offset, bookmark->last.timestamp_ms, bookmark->inputs);
  for (size_t i = 0; i < EE_CHANGELOGS_MAX; i++) {
    at += (size_t)snprintf(ret + at, EE_OFFSET_METADATA_SIZE - at, " %" PRId64, bookmark->ends[i]);
  }
}

bool ee_bookmark_parse(const char *metadata, struct ee_bookmark *ret) {
  int64_t numbers[NUMBERS];
  const char *at = metadata;
  *ret = (struct ee_bookmark){.last = {.offset = EE_OFFSET_NONE}};
  for (size_t i = 0; i < NUMBERS; i++) {
    char *end;
    if (i > 0 && *at++ != ' ') return false;
    if (*at != '-' && (*at < '0' || *at > '9')) return false;
    numbers[i] = strtoll(at, &end, 10);
    at = end;
  }
  if (*at != '\0' || numbers[0] != 1 || numbers[3] < 0 || numbers[3] > UINT32_MAX) return false;
  ret->last = (struct ee_record_mark){.offset = numbers[1], .timestamp_ms = numbers[2]};
  ret->inputs = (uint32_t)numbers[3];
  for (size_t i = 0; i < EE_CHANGELOGS_MAX; i++)
    ret->ends[i] = numbers[4 + i];
  return true;
}
