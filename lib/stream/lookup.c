// SPDX-License-Identifier: Apache-2.0
// Turns the registry until the codec has its answer.
#include "stream/lookup.h"

#include "base/time.h"

#define TURN_MS 100

// Lets the registry move on. False: the wait has ended.
static bool turn(struct ee_codec_set *set, struct ee_wait *wait, struct ee_err *err) {
  int64_t since_ms = 0;
  const char *trouble = ee_registry_trouble(set->registry, &since_ms);
  if (!ee_wait_more(wait, "the schema registry", trouble, err)) return false;
  ee_registry_wait(set->registry, ee_wait_slice(wait, TURN_MS));
  ee_registry_turn(set->registry, ee_clock_monotonic_ms());
  return true;
}

bool ee_lookup_prefix(struct ee_codec_set *set, enum ee_topic topic, struct ee_wait *wait,
                      struct ee_bytes *ret_prefix, struct ee_err *err) {
  for (;;) {
    enum ee_codec_state state =
        ee_codec_prefix(set->codec, topic, ee_clock_monotonic_ms(), ret_prefix, err);
    if (state != EE_CODEC_WAIT) return state == EE_CODEC_READY;
    if (set->registry == NULL) return ee_err_set(err, "memory is out");
    if (!turn(set, wait, err)) return false;
  }
}

enum ee_open_answer ee_lookup_open(struct ee_codec_set *set, const struct ee_record_type *reader,
                                   struct ee_bytes framed, struct ee_wait *wait,
                                   const struct ee_plan **ret_plan, struct ee_bytes *ret_avro,
                                   struct ee_fault *fault, struct ee_err *err) {
  for (;;) {
    enum ee_codec_state state = ee_codec_open(set->codec, reader, framed, ee_clock_monotonic_ms(),
                                              ret_plan, ret_avro, fault);
    if (state == EE_CODEC_READY) return EE_OPEN_READY;
    if (state == EE_CODEC_REFUSED) return EE_OPEN_REFUSED;
    if (set->registry == NULL) {
      ee_err_set(err, "memory is out");
      return EE_OPEN_GAVE_UP;
    }
    if (!turn(set, wait, err)) return EE_OPEN_GAVE_UP;
  }
}
