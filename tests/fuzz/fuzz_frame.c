// SPDX-License-Identifier: Apache-2.0
// Framing of hostile bytes: what is accepted is spelled again as it was; what is refused
// says why. The same bytes as a traceparent, as a producer's number and as a key of a partition.
#include <stdlib.h>

#include "contract/ident.h"
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

// What is accepted is spelled in no other way, and fits a key.
static void check_number(struct ee_bytes in) {
  struct ee_record_number number;
  if (!ee_record_number_parse(in, &number)) return;
  require(number.epoch >= 0 && number.number >= 0 && number.number < INT64_MAX);
  require(number.producer.size >= 1 && number.producer.size <= 128);
  require(ee_name_fits(number.producer));
  struct ee_buf again;
  ee_buf_init(&again, 1000);
  ee_buf_str(&again, number.producer);
  ee_buf_printf(&again, ":%lld:%lld", (long long)number.epoch, (long long)number.number);
  require(ee_bytes_equal(ee_buf_bytes(&again), in));
  ee_buf_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct ee_bytes in = ee_bytes(data, size);
  check_frame(in);
  check_traceparent(in);
  check_number(in);
  int32_t partition = ee_partition_of(in, 12);
  require(partition >= 0 && partition < 12);
  return 0;
}
