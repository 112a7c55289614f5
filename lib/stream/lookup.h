// SPDX-License-Identifier: Apache-2.0
// The codec's questions for programs that have nothing else to do: they block until the
// schema registry has answered.
#ifndef EE_STREAM_LOOKUP_H
#define EE_STREAM_LOOKUP_H

#include "stream/settings.h"
#include "stream/wait.h"

// ee_codec_prefix, waited for.
bool ee_lookup_prefix(struct ee_codec_set *set, enum ee_topic topic, struct ee_wait *wait,
                      struct ee_bytes *ret_prefix, struct ee_err *err);

enum ee_open_answer {
  EE_OPEN_READY,
  EE_OPEN_REFUSED,  // the value cannot be read: fault
  EE_OPEN_GAVE_UP,  // the wait has ended: err
};

// ee_codec_open, waited for.
enum ee_open_answer ee_lookup_open(struct ee_codec_set *set, const struct ee_record_type *reader,
                                   struct ee_bytes framed, struct ee_wait *wait,
                                   const struct ee_plan **ret_plan, struct ee_bytes *ret_avro,
                                   struct ee_fault *fault, struct ee_err *err);

#endif
