// SPDX-License-Identifier: Apache-2.0
// The two ways in which Avro data says what schema wrote it (contract, "On the wire"):
// Confluent framing (byte 0, 4-byte big-endian schema id) and Avro single-object encoding
// (C3 01, little-endian CRC-64-AVRO fingerprint). Pure functions.
#ifndef EE_WIRE_FRAMING_H
#define EE_WIRE_FRAMING_H

#include "base/slice.h"
#include "contract/reason.h"

#define EE_FRAME_MAX 10  // bytes of the longer prefix

enum ee_framing { EE_FRAMING_CONFLUENT, EE_FRAMING_SINGLE_OBJECT };

struct ee_frame {
  enum ee_framing framing;
  int32_t schema_id;     // CONFLUENT; never negative
  uint64_t fingerprint;  // SINGLE_OBJECT
  struct ee_bytes avro;  // what follows, perhaps nothing; borrows from the input
};

// Refuses with unknown_framing (neither, or null), truncated (a prefix cut short, no bytes
// at all included) or unknown_schema_id (a negative id: registries give none).
bool ee_frame_parse(struct ee_bytes in, struct ee_frame *ret, struct ee_fault *fault);
// Both return the number of bytes written. schema_id is not negative.
size_t ee_frame_confluent(int32_t schema_id, uint8_t out[EE_FRAME_MAX]);
size_t ee_frame_single_object(uint64_t fingerprint, uint8_t out[EE_FRAME_MAX]);

#endif
