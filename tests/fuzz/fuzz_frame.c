// SPDX-License-Identifier: Apache-2.0
// Framing of hostile bytes: what is accepted is spelled again as it was; what is refused
// says why. The same bytes as a traceparent and as a key of a partition.
#include <stdlib.h>

#include "wire/framing.h"
#include "wire/headers.h"
#include "wire/partition.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition) {
  if (!condition) abort();
}

static void check_frame(struct ee_bytes in) {
  struct ee_frame frame;
  struct ee_fault fault = {.reason = EE_ACCEPTED};
  if (!ee_frame_parse(in, &frame, &fault)) {
    require(fault.reason != EE_ACCEPTED && fault.detail[0] != '\0');
    return;
  }
  uint8_t prefix[EE_FRAME_MAX];
  size_t prefix_size = frame.framing == EE_FRAMING_CONFLUENT
                           ? ee_frame_confluent(frame.schema_id, prefix)
                           : ee_frame_single_object(frame.fingerprint, prefix);
  require(prefix_size + frame.avro.size == in.size);
  require(memcmp(prefix, in.data, prefix_size) == 0);
  require(frame.avro.data == in.data + prefix_size);
}

// What is let through is printable ASCII without anything that JSON escapes.
static void check_traceparent(struct ee_bytes in) {
  if (!ee_traceparent_valid(in)) return;
  struct ee_buf out;
  ee_buf_init(&out, 1000);
  ee_header_in(&out, EE_STR("t"), 0, 0, in);
  require(!out.failed && out.size == sizeof "[\"t\",0,0,\"\"]" - 1 + in.size);
  ee_buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct ee_bytes in = ee_bytes(data, size);
  check_frame(in);
  check_traceparent(in);
  int32_t partition = ee_partition_of(in, 12);
  require(partition >= 0 && partition < 12);
  return 0;
}
