// SPDX-License-Identifier: Apache-2.0
// From a message to an input: framing, schema, strict decoding, key and partition. What is
// refused becomes a dead letter.
#include "contract/ident.h"
#include "stream/runtime_impl.h"
#include "wire/partition.h"

#define DEAD_LETTER_MAX (2 * EE_EVENT_SIZE_MAX)  // value and key; larger ones by reference

// Topics whose records are keyed by a field of theirs say where it lies.
static bool key_field(enum ee_topic topic, const void *record, struct ee_str *ret) {
  if (topic < EE_PHASE_TOPICS) {
    *ret = ((const struct ee_event_head *)record)->envelope_id;
  } else if (topic == EE_TOPIC_OBLIGATION) {
    *ret = ((const struct ee_receipt *)record)->envelope_id;
  } else if (topic == EE_TOPIC_USAGE) {
    *ret = ((const struct ee_usage *)record)->tenant;
  } else {
    return false;
  }
  return true;
}

static bool check_key(struct ee_runtime *rt, const struct ee_message *message, const void *record,
                      struct ee_fault *fault) {
  struct ee_str wanted;
  if (message->tp.topic == EE_TOPIC_PRODUCER) {
    return ee_check_name(((const struct ee_producer_report *)record)->producer, "producer", fault);
  }
  if (!key_field(message->tp.topic, record, &wanted)) return true;
  if (message->tp.topic != EE_TOPIC_USAGE && !ee_check_name(wanted, "envelope_id", fault)) {
    return false;
  }
  if (message->key.data == NULL || !ee_str_equal(ee_bytes_str(message->key), wanted)) {
    return ee_fault_set(fault, EE_REASON_key_mismatch, 0, "the record's key is not its %s",
                        ee_topics[message->tp.topic].key);
  }
  int32_t count = rt->topics[message->tp.topic].partitions;
  int32_t right = ee_partition_of(message->key, count);
  if (right == message->tp.partition) return true;
  return ee_fault_set(fault, EE_REASON_wrong_partition, 0,
                      "murmur2 of the key names partition %d of %d; set the producer's "
                      "partitioner to murmur2_random (docs/partitioners.md)",
                      (int)right, (int)count);
}

static bool check_size(const struct ee_message *message, struct ee_bytes avro,
                       struct ee_fault *fault) {
  if (message->tp.topic >= EE_PHASE_TOPICS || avro.size <= EE_EVENT_SIZE_MAX) return true;
  return ee_fault_set(fault, EE_REASON_oversized, 0,
                      "an event of %zu bytes; at most %d are allowed", avro.size,
                      EE_EVENT_SIZE_MAX);
}

enum intake intake_decode(struct ee_runtime *rt, const struct ee_message *message,
                          struct intake_record *ret, struct ee_fault *fault) {
  const struct ee_record_type *type = ee_topics[message->tp.topic].value;
  const struct ee_plan *plan;
  *ret = (struct intake_record){.record = NULL};
  switch (ee_codec_open(rt->codec, type, message->value, rt->now_ms, &plan, &ret->avro, fault)) {
    case EE_CODEC_WAIT:
      return INTAKE_WAIT;
    case EE_CODEC_REFUSED:
      return INTAKE_REFUSED;
    case EE_CODEC_READY:
      break;
  }
  ret->record = ee_arena_alloc(&rt->arena, type->size);
  ret->current = ee_plan_same(plan);
  bool good = ret->record != NULL && check_size(message, ret->avro, fault) &&
              ee_decode(plan, ret->avro, &rt->arena, ret->record, fault) &&
              check_key(rt, message, ret->record, fault);
  if (good) return INTAKE_STEP;
  if (!rt->arena.starved) return INTAKE_REFUSED;
  ee_fault_set(fault, EE_NO_MEMORY, 0, "no memory for the record");
  return INTAKE_WAIT;
}

// What is too large for the dead letter topic goes there by reference: the value's size
// and SHA-256 in dl_detail, and no value.
static void refer(const struct ee_message *message, struct ee_fault *fault) {
  uint8_t digest[EE_SHA256_SIZE];
  char hex[EE_SHA256_HEX_SIZE];
  ee_sha256(message->value, digest);
  ee_hex(ee_bytes(digest, sizeof digest), hex);
  enum ee_reason first = fault->reason;
  ee_fault_set(fault, EE_REASON_oversized, 0, "by reference: %zu bytes, SHA-256 %s (%s)",
               message->value.size, hex, ee_reason_name(first));
}

bool intake_dead_letter(struct ee_runtime *rt, const struct ee_message *message,
                        const struct ee_fault *fault) {
  struct ee_fault said = *fault;
  struct ee_bytes key = message->key, value = message->value;
  if (key.size + value.size > DEAD_LETTER_MAX) {
    refer(message, &said);
    value = (struct ee_bytes){0};
    if (key.size > DEAD_LETTER_MAX) key = (struct ee_bytes){0};
  }
  struct ee_header headers[EE_DEADLETTER_HEADERS];
  struct ee_str topic = rt->broker->ops->topic_name(rt->broker, message->tp.topic);
  size_t count = ee_headers_deadletter(topic, message->tp.partition, message->offset, rt->ops->name,
                                       &said, &rt->arena, headers);
  if (count == 0) return false;
  rt->metrics->dead_letters[said.reason]++;
  struct ee_tp tp = {
      .topic = EE_TOPIC_DEADLETTER,
      .partition = message->tp.partition % rt->topics[EE_TOPIC_DEADLETTER].partitions};
  return output_add(rt, tp, key, value, headers, count);
}
