// SPDX-License-Identifier: Apache-2.0
// From framed bytes to a plan that reads them, and back: which schema wrote a record, and
// which prefix our own records carry. Plans are made once for each reader and writer's
// schema and kept, refusals too: at most EE_CODEC_PLANS_MAX, of which the one made first
// goes first. One thread.
#ifndef EE_WIRE_CODEC_H
#define EE_WIRE_CODEC_H

#include "contract/catalogue.h"
#include "contract/known.h"
#include "contract/record.h"
#include "wire/framing.h"
#include "wire/registry.h"

#define EE_CODEC_PLANS_MAX 1024
#define EE_TOPIC_PREFIX_MAX 200  // bytes; a topic's name has at most 249

struct ee_codec;

// Borrows both for its life; registry may be NULL: then records are written single-object
// encoded, and a Confluent-framed one is unknown_schema_id. topic_prefix (copied; NULL: none)
// goes before the catalogue's names and has only characters that Kafka allows in a topic's.
bool ee_codec_new(const struct ee_known *known, struct ee_registry *registry,
                  const char *topic_prefix, struct ee_codec **ret, struct ee_err *err);
void ee_codec_free(struct ee_codec *codec);

enum ee_codec_state {
  EE_CODEC_READY,
  EE_CODEC_WAIT,     // the registry has to be asked (or memory is out); the partition waits.
                     // fault.detail: what the last tries failed with, "" while none has
  EE_CODEC_REFUSED,  // fault says why
};

// Finds how to read a framed record as `reader`. *ret_plan is borrowed until the next call
// of ee_codec_open; *ret_avro borrows from framed. Does not look at the data behind the
// frame. Reasons: those of ee_frame_parse, unknown_fingerprint, unknown_schema_id (the
// registry says so, or there is none), those of ee_registry_schema and of ee_plan_new.
enum ee_codec_state ee_codec_open(struct ee_codec *codec, const struct ee_record_type *reader,
                                  struct ee_bytes framed, int64_t now_ms,
                                  const struct ee_plan **ret_plan, struct ee_bytes *ret_avro,
                                  struct ee_fault *fault);
// The prefix for records that we write to a topic (borrowed until free). With a registry
// the schema must have been registered under <prefix><topic>-value: REFUSED says which
// command does that. Dead letters carry the original's bytes and have no prefix: REFUSED.
enum ee_codec_state ee_codec_prefix(struct ee_codec *codec, enum ee_topic topic, int64_t now_ms,
                                    struct ee_bytes *ret_prefix, struct ee_err *err);

// What the registry's last failed answer was, NULL while none fails or there is no registry.
// Borrowed until the registry's next turn.
const char *ee_codec_trouble(const struct ee_codec *codec);

#endif
