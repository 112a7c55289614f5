// SPDX-License-Identifier: Apache-2.0
// Records as lines of JSON, as `envelopectl cat` and `envelope-local` print them (contract,
// "Printed forms").
#ifndef EE_WIRE_PRINTED_H
#define EE_WIRE_PRINTED_H

#include "wire/codec.h"
#include "wire/headers.h"

struct ee_printed {
  struct ee_str topic;  // full name
  int known;            // enum ee_topic, or -1: values are bytes
  int32_t partition;
  int64_t offset;
  int64_t timestamp_ms;
  struct ee_bytes key;    // data NULL: none
  struct ee_bytes value;  // data NULL: tombstone
  const struct ee_header *headers;
  size_t header_count;
};

// Appends {"topic", "partition", "offset", "timestamp", "key", "headers", "value"} and a
// newline. A value that does not decode under the topic's schema, or raw (then the key
// too), is {"base64": ...}. arena is scratch. WAIT: the registry has to be asked first,
// nothing is appended. Ask out->failed.
enum ee_codec_state ee_print_record(struct ee_codec *codec, const struct ee_printed *record,
                                    bool raw, int64_t now_ms, struct ee_arena *arena,
                                    struct ee_buf *out);

#endif
