// SPDX-License-Identifier: Apache-2.0
// A record of a topic as one line of JSON (contract, "Printed forms"). Pure.
#ifndef EE_STREAM_PRINTED_H
#define EE_STREAM_PRINTED_H

#include "base/buf.h"
#include "contract/record.h"
#include "wire/headers.h"

// Borrows all of it.
struct ee_printed {
  struct ee_str topic;  // full name
  int32_t partition;
  int64_t offset;
  int64_t timestamp_ms;   // -1: none
  bool append_time;       // timestamp is the broker's append time
  struct ee_bytes key;    // data NULL: none
  struct ee_bytes value;  // as it was written; data NULL: a tombstone
  const struct ee_header *headers;
  size_t header_count;
};

// Appends {"topic", "partition", "offset", "timestamp", "key", "headers", "value"} and a
// newline. decoded is the value as a record of that type; NULL prints its bytes in base64.
// Keys and headers' values are texts, in base64 only where they are not UTF-8. Ask
// out->failed.
void ee_printed_write(const struct ee_printed *printed, const struct ee_record_type *type,
                      const void *decoded, struct ee_buf *out);
// The same with keys, headers' values and the value all in base64, so that the bytes can be
// had back whatever they are.
void ee_printed_write_raw(const struct ee_printed *printed, struct ee_buf *out);

#endif
