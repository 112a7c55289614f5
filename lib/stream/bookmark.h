// SPDX-License-Identifier: Apache-2.0
// What is committed beside an input's offset, as its metadata, so that a log which was cut or
// made anew is recognised when reading goes on: librdkafka does not check it (KIP-320), and an
// offset alone says nothing about the records below it. Pure.
#ifndef EE_STREAM_BOOKMARK_H
#define EE_STREAM_BOOKMARK_H

#include "stream/broker.h"
#include "stream/store.h"

// A record by its place and its append time: logs do not repeat the two together.
struct ee_record_mark {
  int64_t offset;  // EE_OFFSET_NONE: no record
  int64_t timestamp_ms;
};

struct ee_bookmark {
  struct ee_record_mark last;  // the newest record below the committed offset
  uint32_t inputs;             // of which the group has committed offsets: bit of enum ee_topic
  int64_t ends[EE_CHANGELOGS_MAX];  // the partition's changelogs were seen to reach so far
};

void ee_bookmark_print(const struct ee_bookmark *bookmark, char ret[EE_OFFSET_METADATA_SIZE]);
// False, and *ret says nothing: it was not printed by the above (an operator has set the
// offset).
bool ee_bookmark_parse(const char *metadata, struct ee_bookmark *ret);

#endif
