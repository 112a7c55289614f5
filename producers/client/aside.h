// SPDX-License-Identifier: Apache-2.0
// Records that Kafka refused for good, kept beside the spool's segments in `refused.jsonl`, a line
// each:
//   {"refused_at", "reason", "topic", "partition", "seq", "event": {"phase": ...}}
// so that `jq -c .event refused.jsonl | envelope-emit` emits them anew, once the cause is gone.
// What cannot be decoded has "avro" (base64) and "schema" in place of "event". May block on the
// disk. One thread.
#ifndef EE_CLIENT_ASIDE_H
#define EE_CLIENT_ASIDE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "contract/catalogue.h"
#include "spool/format.h"

#define EE_ASIDE_NAME "refused.jsonl"

struct ee_aside {
  int directory;  // borrowed
  uint64_t most_bytes;
  int fd;  // -1: not opened yet
  bool unsynced;
  struct ee_buf line;
  struct ee_arena arena;
};

// What is known of a refused record.
struct ee_refused {
  int64_t at;  // UTC microseconds
  const char *why;
  struct ee_str topic;  // full name
  int32_t partition;
  struct ee_str seq;  // absent: it was not numbered
  const struct ee_spool_item *item;
};

void ee_aside_init(struct ee_aside *aside, int directory, uint64_t most_bytes);
void ee_aside_release(struct ee_aside *aside);
// False: it is not kept, since the file has most_bytes already, or for what err says.
bool ee_aside_keep(struct ee_aside *aside, const struct ee_refused *refused, struct ee_err *err);
// What was kept survives the machine.
bool ee_aside_sync(struct ee_aside *aside, struct ee_err *err);

#endif
