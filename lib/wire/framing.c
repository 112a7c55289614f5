// SPDX-License-Identifier: Apache-2.0
// Prefixes of Avro data: reading either of the two, and writing them.
#include "wire/framing.h"

#define CONFLUENT_MAGIC 0x00
#define CONFLUENT_SIZE 5
#define SINGLE_OBJECT_MAGIC 0xC3
#define SINGLE_OBJECT_VERSION 0x01
#define SINGLE_OBJECT_SIZE 10

static struct ee_bytes after(struct ee_bytes in, size_t prefix) {
  return ee_bytes(in.data + prefix, in.size - prefix);
}

static bool parse_confluent(struct ee_bytes in, struct ee_frame *ret, struct ee_fault *fault) {
  if (in.size < CONFLUENT_SIZE) {
    return ee_fault_set(fault, EE_REASON_truncated, 0, "the schema id is cut short: %zu bytes",
                        in.size);
  }
  uint32_t id = 0;
  for (size_t i = 1; i < CONFLUENT_SIZE; i++)
    id = id << 8 | in.data[i];
  if (id > INT32_MAX) {
    return ee_fault_set(fault, EE_REASON_unknown_schema_id, 0, "schema id %d is negative",
                        (int32_t)id);
  }
  *ret = (struct ee_frame){
      .framing = EE_FRAMING_CONFLUENT, .schema_id = (int32_t)id, .avro = after(in, CONFLUENT_SIZE)};
  return true;
}

static bool parse_single_object(struct ee_bytes in, struct ee_frame *ret, struct ee_fault *fault) {
  if (in.size >= 2 && in.data[1] != SINGLE_OBJECT_VERSION) {
    return ee_fault_set(fault, EE_REASON_unknown_framing, 0, "begins with C3 %02X",
                        (unsigned)in.data[1]);
  }
  if (in.size < SINGLE_OBJECT_SIZE) {
    return ee_fault_set(fault, EE_REASON_truncated, 0, "the fingerprint is cut short: %zu bytes",
                        in.size);
  }
  uint64_t fingerprint = 0;
  for (size_t i = SINGLE_OBJECT_SIZE; i > 2; i--)
    fingerprint = fingerprint << 8 | in.data[i - 1];
  *ret = (struct ee_frame){.framing = EE_FRAMING_SINGLE_OBJECT,
                           .fingerprint = fingerprint,
                           .avro = after(in, SINGLE_OBJECT_SIZE)};
  return true;
}

bool ee_frame_parse(struct ee_bytes in, struct ee_frame *ret, struct ee_fault *fault) {
  if (in.data == NULL) return ee_fault_set(fault, EE_REASON_unknown_framing, 0, "no value (null)");
  if (in.size == 0) return ee_fault_set(fault, EE_REASON_truncated, 0, "the value is empty");
  if (in.data[0] == CONFLUENT_MAGIC) return parse_confluent(in, ret, fault);
  if (in.data[0] == SINGLE_OBJECT_MAGIC) return parse_single_object(in, ret, fault);
  return ee_fault_set(fault, EE_REASON_unknown_framing, 0,
                      "begins with %02X: neither Confluent framing nor single-object encoding",
                      (unsigned)in.data[0]);
}

size_t ee_frame_confluent(int32_t schema_id, uint8_t out[EE_FRAME_MAX]) {
  out[0] = CONFLUENT_MAGIC;
  for (int i = 0; i < 4; i++)
    out[1 + i] = (uint8_t)((uint32_t)schema_id >> (24 - 8 * i));
  return CONFLUENT_SIZE;
}

size_t ee_frame_single_object(uint64_t fingerprint, uint8_t out[EE_FRAME_MAX]) {
  out[0] = SINGLE_OBJECT_MAGIC;
  out[1] = SINGLE_OBJECT_VERSION;
  for (int i = 0; i < 8; i++)
    out[2 + i] = (uint8_t)(fingerprint >> (8 * i));
  return SINGLE_OBJECT_SIZE;
}
