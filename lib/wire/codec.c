// SPDX-License-Identifier: Apache-2.0
// Plans by (reader, writer's schema), in a ring of slots with chains of equal hash; and the
// prefixes of our own topics.
#include "wire/codec.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"

#define CHAINS 256
#define NO_SLOT UINT16_MAX

// How one writer's schema is read as one type: a plan, or why not.
struct slot {
  const struct ee_record_type *reader;
  uint64_t writer;  // schema id or fingerprint
  enum ee_framing framing;
  uint16_t next;           // in its chain
  struct ee_plan *plan;    // owned
  struct ee_fault *fault;  // owned; where plan is NULL
};

struct prefix {
  uint8_t bytes[EE_FRAME_MAX];
  size_t size;  // 0: not known yet
};

struct ee_codec {
  const struct ee_known *known;
  struct ee_registry *registry;  // or NULL
  char topic_prefix[EE_TOPIC_PREFIX_MAX + 1];
  uint16_t chains[CHAINS];
  struct slot slots[EE_CODEC_PLANS_MAX];
  size_t made;  // slots ever made; the next one goes to made % EE_CODEC_PLANS_MAX
  struct prefix prefixes[EE_TOPIC_COUNT];
};

static bool topic_prefix_valid(const char *prefix) {
  static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  return strlen(prefix) <= EE_TOPIC_PREFIX_MAX && prefix[strspn(prefix, allowed)] == '\0';
}

bool ee_codec_new(const struct ee_known *known, struct ee_registry *registry,
                  const char *topic_prefix, struct ee_codec **ret, struct ee_err *err) {
  if (topic_prefix == NULL) topic_prefix = "";
  if (!topic_prefix_valid(topic_prefix)) {
    return ee_err_set(err, "topic prefix %s: has more than %d bytes, or others than A-Za-z0-9._-",
                      topic_prefix, EE_TOPIC_PREFIX_MAX);
  }
  struct ee_codec *codec = calloc(1, sizeof *codec);
  if (codec == NULL) return ee_err_set(err, "memory is out");
  codec->known = known;
  codec->registry = registry;
  memcpy(codec->topic_prefix, topic_prefix, strlen(topic_prefix) + 1);
  for (size_t i = 0; i < CHAINS; i++)
    codec->chains[i] = NO_SLOT;
  *ret = codec;
  return true;
}

void ee_codec_free(struct ee_codec *codec) {
  if (codec == NULL) return;
  for (size_t i = 0; i < EE_CODEC_PLANS_MAX; i++) {
    ee_plan_free(codec->slots[i].plan);
    free(codec->slots[i].fault);
  }
  free(codec);
}

static uint16_t *chain_of(struct ee_codec *codec, const struct ee_record_type *reader,
                          enum ee_framing framing, uint64_t writer) {
  const uint64_t key[] = {writer, (uint64_t)(uintptr_t)reader, framing};
  return &codec->chains[ee_hash(key, sizeof key) % CHAINS];
}

static uint64_t writer_of(const struct ee_frame *frame) {
  return frame->framing == EE_FRAMING_CONFLUENT ? (uint64_t)frame->schema_id : frame->fingerprint;
}

static struct slot *find(struct ee_codec *codec, const struct ee_record_type *reader,
                         const struct ee_frame *frame) {
  uint64_t writer = writer_of(frame);
  uint16_t at = *chain_of(codec, reader, frame->framing, writer);
  for (; at != NO_SLOT; at = codec->slots[at].next) {
    struct slot *slot = &codec->slots[at];
    if (slot->writer == writer && slot->reader == reader && slot->framing == frame->framing) {
      return slot;
    }
  }
  return NULL;
}

// Takes the slot that was made first out of its chain, where all are in use.
static uint16_t empty_slot(struct ee_codec *codec) {
  uint16_t at = (uint16_t)(codec->made % EE_CODEC_PLANS_MAX);
  struct slot *slot = &codec->slots[at];
  if (codec->made >= EE_CODEC_PLANS_MAX) {
    uint16_t *link = chain_of(codec, slot->reader, slot->framing, slot->writer);
    while (*link != at)
      link = &codec->slots[*link].next;
    *link = slot->next;
    ee_plan_free(slot->plan);
    free(slot->fault);
  }
  *slot = (struct slot){.next = NO_SLOT};
  return at;
}

// NULL when memory is out.
static struct slot *make(struct ee_codec *codec, const struct ee_record_type *reader,
                         const struct ee_frame *frame, struct ee_str text) {
  struct ee_plan *plan = NULL;
  struct ee_fault *fault = calloc(1, sizeof *fault);
  if (fault == NULL) return NULL;
  bool made = ee_plan_new(reader, text, &plan, fault);
  bool no_memory = !made && fault->reason == EE_NO_MEMORY;
  if (made || no_memory) {
    free(fault);
    fault = NULL;
  }
  if (no_memory) return NULL;  // only a refusal is kept
  uint16_t at = empty_slot(codec);
  uint64_t writer = writer_of(frame);
  uint16_t *chain = chain_of(codec, reader, frame->framing, writer);
  codec->slots[at] = (struct slot){.reader = reader,
                                   .writer = writer,
                                   .framing = frame->framing,
                                   .next = *chain,
                                   .plan = plan,
                                   .fault = fault};
  *chain = at;
  codec->made++;
  return &codec->slots[at];
}

static enum ee_codec_state refuse(struct ee_fault *fault, enum ee_reason reason, const char *what) {
  ee_fault_set(fault, reason, 0, "%s", what);
  return EE_CODEC_REFUSED;
}

// The writer's schema, borrowed until the next call on the registry.
static enum ee_codec_state schema_of(struct ee_codec *codec, const struct ee_frame *frame,
                                     int64_t now_ms, struct ee_str *ret, struct ee_fault *fault) {
  char what[128];
  if (frame->framing == EE_FRAMING_SINGLE_OBJECT) {
    *ret = ee_known_schema(codec->known, frame->fingerprint);
    if (ret->data != NULL) return EE_CODEC_READY;
    snprintf(what, sizeof what, "no schema with fingerprint %016" PRIx64 " is known",
             frame->fingerprint);
    return refuse(fault, EE_REASON_unknown_fingerprint, what);
  }
  if (codec->registry == NULL) {
    snprintf(what, sizeof what, "schema id %" PRId32 ", but no schema registry is configured",
             frame->schema_id);
    return refuse(fault, EE_REASON_unknown_schema_id, what);
  }
  switch (ee_registry_schema(codec->registry, frame->schema_id, now_ms, ret, fault)) {
    case EE_LOOKUP_FOUND:
      return EE_CODEC_READY;
    case EE_LOOKUP_UNUSABLE:
      return EE_CODEC_REFUSED;
    case EE_LOOKUP_ABSENT:
      snprintf(what, sizeof what, "the schema registry has no schema %" PRId32, frame->schema_id);
      return refuse(fault, EE_REASON_unknown_schema_id, what);
    case EE_LOOKUP_PENDING:
      break;
  }
  return EE_CODEC_WAIT;
}

enum ee_codec_state ee_codec_open(struct ee_codec *codec, const struct ee_record_type *reader,
                                  struct ee_bytes framed, int64_t now_ms,
                                  const struct ee_plan **ret_plan, struct ee_bytes *ret_avro,
                                  struct ee_fault *fault) {
  struct ee_frame frame;
  if (!ee_frame_parse(framed, &frame, fault)) return EE_CODEC_REFUSED;
  const struct slot *slot = find(codec, reader, &frame);
  if (slot == NULL) {
    struct ee_str text;
    enum ee_codec_state state = schema_of(codec, &frame, now_ms, &text, fault);
    if (state != EE_CODEC_READY) return state;
    slot = make(codec, reader, &frame, text);
    if (slot == NULL) return EE_CODEC_WAIT;
  }
  if (slot->plan == NULL) {
    if (fault != NULL) *fault = *slot->fault;
    return EE_CODEC_REFUSED;
  }
  *ret_plan = slot->plan;
  *ret_avro = frame.avro;
  return EE_CODEC_READY;
}

static enum ee_codec_state registered_id(struct ee_codec *codec, const struct ee_topic_info *topic,
                                         int64_t now_ms, int32_t *ret_id, struct ee_err *err) {
  char subject[EE_TOPIC_PREFIX_MAX + 64];
  snprintf(subject, sizeof subject, "%s%s-value", codec->topic_prefix, topic->name);
  struct ee_str schema = {.data = topic->value->schema, .size = topic->value->schema_size};
  switch (ee_registry_id(codec->registry, subject, schema, now_ms, ret_id)) {
    case EE_LOOKUP_FOUND:
      return EE_CODEC_READY;
    case EE_LOOKUP_PENDING:
      return EE_CODEC_WAIT;
    case EE_LOOKUP_ABSENT:
    case EE_LOOKUP_UNUSABLE:
      break;
  }
  ee_err_set(err,
             "the schema registry has this program's schema not under subject %s: run "
             "`envelopectl schemas register` first",
             subject);
  return EE_CODEC_REFUSED;
}

enum ee_codec_state ee_codec_prefix(struct ee_codec *codec, enum ee_topic topic, int64_t now_ms,
                                    struct ee_bytes *ret_prefix, struct ee_err *err) {
  const struct ee_topic_info *info = &ee_topics[topic];
  struct prefix *prefix = &codec->prefixes[topic];
  if (info->value == NULL) {
    ee_err_set(err, "%s: carries the bytes of other topics and has no schema", info->name);
    return EE_CODEC_REFUSED;
  }
  if (prefix->size == 0 && codec->registry == NULL) {
    prefix->size = ee_frame_single_object(info->value->fingerprint, prefix->bytes);
  }
  if (prefix->size == 0) {
    int32_t id;
    enum ee_codec_state state = registered_id(codec, info, now_ms, &id, err);
    if (state != EE_CODEC_READY) return state;
    prefix->size = ee_frame_confluent(id, prefix->bytes);
  }
  *ret_prefix = ee_bytes(prefix->bytes, prefix->size);
  return EE_CODEC_READY;
}

const char *ee_codec_trouble(const struct ee_codec *codec) {
  int64_t since_ms;
  return codec->registry == NULL ? NULL : ee_registry_trouble(codec->registry, &since_ms);
}
