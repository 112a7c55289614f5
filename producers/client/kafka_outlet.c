// SPDX-License-Identifier: Apache-2.0
// The way out that leads to Kafka.
#include "client/kafka_outlet.h"

#include <stdlib.h>

#include "base/time.h"
#include "client/spare_headers.h"
#include "stream/client.h"

#define ASK_FIRST_MS 100  // how long an answer about partitions is waited for: twice as long each
#define ASK_MOST_MS 400   // time, for brokers that are far away; a close waits for it, too

struct ee_kafka_outlet {
  const struct ee_client_settings *settings;
  const char *program;
  struct ee_client *client;  // NULL: it could not be renewed
  int ask_ms;
  rd_kafka_topic_t *topics[EE_TOPIC_COUNT];
  struct ee_codec_set codecs;
  uint8_t prefix[EE_FRAME_MAX];  // of a schema that is not this build's
  struct ee_buf value;
  struct ee_spare_headers spare;
  ee_take_result *take;  // while results may come
  void *context;
  struct ee_err trouble;  // "": none
  bool by_operator;       // what it says an operator has to mend
  bool waits_for_registry;
  struct ee_err said;
};

// ---- Results.

static enum ee_result_kind kind_of(rd_kafka_resp_err_t code) {
  switch (code) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
      return EE_RESULT_WRITTEN;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
      return EE_RESULT_REFUSED;
    // Of a whole batch, for the sake of one record in it.
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT:
      return EE_RESULT_ALONE;
    default:  // whatever it is, it may pass
      return EE_RESULT_AGAIN;
  }
}

static void clear_trouble(struct ee_kafka_outlet *outlet) {
  outlet->trouble.text[0] = '\0';
  outlet->by_operator = false;
}

static bool no_such_topic(rd_kafka_resp_err_t code) {
  return code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
         code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC || code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
}

static void say_topic(struct ee_kafka_outlet *outlet, const char *topic, rd_kafka_resp_err_t code) {
  outlet->by_operator = no_such_topic(code);
  if (outlet->by_operator) {
    ee_err_set(&outlet->trouble, "topic %s, which does not exist: run `envelopectl topics apply`",
               topic);
  } else {
    ee_err_set(&outlet->trouble, "topic %s: %s", topic, rd_kafka_err2str(code));
  }
}

static void take_headers(struct ee_kafka_outlet *outlet, rd_kafka_message_t *message) {
  rd_kafka_headers_t *headers;
  for (int i = 0; i < EE_TOPIC_COUNT; i++) {
    if (outlet->topics[i] != message->rkt) continue;
    if (rd_kafka_message_detach_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR) {
      ee_spare_headers_give_back(&outlet->spare, (enum ee_topic)i, headers);
    }
  }
}

static void on_delivery(void *context, const struct ee_delivery *delivery) {
  struct ee_kafka_outlet *outlet = context;
  take_headers(outlet, delivery->message);
  struct ee_result result = {.tag = (uint64_t)(uintptr_t)delivery->opaque,
                             .kind = kind_of(delivery->code),
                             .offset = delivery->offset,
                             .why = delivery->failed};
  if (delivery->failed != NULL && !delivery->given_up) {
    say_topic(outlet, delivery->topic, delivery->code);
  } else if (delivery->failed == NULL) {
    clear_trouble(outlet);
  }
  if (outlet->take != NULL) outlet->take(outlet->context, &result);
}

// ---- Life.

static void close_client(struct ee_kafka_outlet *outlet) {
  if (outlet->client == NULL) return;
  ee_client_purge(outlet->client);
  for (int i = 0; i < EE_TOPIC_COUNT; i++) {
    if (outlet->topics[i] != NULL) rd_kafka_topic_destroy(outlet->topics[i]);
    outlet->topics[i] = NULL;
  }
  ee_client_free(outlet->client);
  outlet->client = NULL;
}

static bool open_client(struct ee_kafka_outlet *outlet, struct ee_err *err) {
  if (!ee_client_new(outlet->settings, EE_CLIENT_PRODUCER, outlet->program, &outlet->client, err)) {
    return false;
  }
  ee_client_on_delivery(outlet->client, on_delivery, outlet);
  return true;
}

bool ee_kafka_outlet_new(const struct ee_client_settings *settings, const char *program,
                         struct ee_kafka_outlet **ret, struct ee_err *err) {
  struct ee_kafka_outlet *outlet = calloc(1, sizeof *outlet);
  if (outlet == NULL) return ee_err_set(err, "memory is out");
  outlet->settings = settings;
  outlet->program = program;
  outlet->ask_ms = ASK_FIRST_MS;
  ee_buf_init(&outlet->value, (size_t)4 << 20);
  if (open_client(outlet, err) && ee_codec_set_init(&outlet->codecs, settings, NULL, err)) {
    *ret = outlet;
    return true;
  }
  ee_kafka_outlet_free(outlet);
  return false;
}

void ee_kafka_outlet_free(struct ee_kafka_outlet *outlet) {
  if (outlet == NULL) return;
  outlet->take = NULL;
  close_client(outlet);
  ee_spare_headers_release(&outlet->spare);
  ee_codec_set_release(&outlet->codecs);
  ee_buf_release(&outlet->value);
  free(outlet);
}

static bool broken(void *self) {
  const struct ee_kafka_outlet *outlet = self;
  char text[8];
  return outlet->client == NULL || rd_kafka_fatal_error(ee_client_handle(outlet->client), text,
                                                        sizeof text) != RD_KAFKA_RESP_ERR_NO_ERROR;
}

static bool renew(void *self, ee_take_result *take, void *context) {
  struct ee_kafka_outlet *outlet = self;
  outlet->take = take;
  outlet->context = context;
  close_client(outlet);
  outlet->take = NULL;
  return open_client(outlet, &outlet->trouble);
}

// ---- Questions.

static rd_kafka_topic_t *topic_of(struct ee_kafka_outlet *outlet, enum ee_topic topic) {
  char name[EE_TOPIC_NAME_SIZE];
  if (outlet->topics[topic] != NULL) return outlet->topics[topic];
  ee_client_topic_name(outlet->settings, topic, name);
  outlet->topics[topic] = rd_kafka_topic_new(ee_client_handle(outlet->client), name, NULL);
  return outlet->topics[topic];
}

static int32_t partitions(void *self) {
  struct ee_kafka_outlet *outlet = self;
  const struct rd_kafka_metadata *metadata;
  rd_kafka_topic_t *topic = outlet->client == NULL ? NULL : topic_of(outlet, EE_TOPIC_ADMISSION);
  if (topic == NULL) return 0;
  rd_kafka_t *rk = ee_client_handle(outlet->client);
  if (rd_kafka_metadata(rk, 0, topic, &metadata, outlet->ask_ms) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    outlet->ask_ms = 2 * outlet->ask_ms < ASK_MOST_MS ? 2 * outlet->ask_ms : ASK_MOST_MS;
    return 0;
  }
  bool found = metadata->topic_cnt == 1;
  rd_kafka_resp_err_t code = found ? metadata->topics[0].err : RD_KAFKA_RESP_ERR_NO_ERROR;
  int32_t count =
      found && code == RD_KAFKA_RESP_ERR_NO_ERROR ? metadata->topics[0].partition_cnt : 0;
  rd_kafka_metadata_destroy(metadata);
  if (count > 0) clear_trouble(outlet);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) say_topic(outlet, rd_kafka_topic_name(topic), code);
  return count;
}

// Of what is known the most telling: what an operator has to do, the registry, the last refusal,
// the connection.
static const char *trouble(void *self, bool *ret_operator) {
  struct ee_kafka_outlet *outlet = self;
  const struct ee_client_settings *settings = outlet->settings;
  const char *codec = ee_codec_trouble(outlet->codecs.codec);
  const char *client = outlet->client == NULL ? "" : ee_client_trouble(outlet->client);
  *ret_operator = outlet->by_operator;
  if (outlet->by_operator) return outlet->trouble.text;
  if (codec != NULL) {
    ee_err_set(&outlet->said, "the schema registry: %s", codec);
  } else if (outlet->waits_for_registry) {
    ee_err_set(&outlet->said, "the schema registry at %s", settings->registry_url);
  } else {
    const char *why = outlet->trouble.text[0] != '\0' ? outlet->trouble.text : client;
    ee_err_set(&outlet->said, "Kafka at %s%s%s", settings->bootstrap, why[0] == '\0' ? "" : ": ",
               why);
  }
  return outlet->said.text;
}

// ---- Frames.

// Another version's record: found in the registry by its text.
static enum ee_frame_state look_up(struct ee_kafka_outlet *outlet, enum ee_topic topic,
                                   uint64_t schema, struct ee_bytes *ret, const char **ret_why) {
  char subject[EE_TOPIC_NAME_SIZE + 8], name[EE_TOPIC_NAME_SIZE];
  int32_t id;
  struct ee_str text = ee_known_schema(outlet->codecs.known, schema);
  if (text.data == NULL) {
    *ret_why = "its schema is not known here";
    return EE_FRAME_REFUSED;
  }
  ee_client_topic_name(outlet->settings, topic, name);
  snprintf(subject, sizeof subject, "%s-value", name);
  if (ee_registry_id(outlet->codecs.registry, subject, text, ee_clock_monotonic_ms(), &id) !=
      EE_LOOKUP_FOUND) {
    return EE_FRAME_WAIT;
  }
  *ret = ee_bytes(outlet->prefix, ee_frame_confluent(id, outlet->prefix));
  return EE_FRAME_READY;
}

// That a schema is not registered is for operators to mend: the record waits.
static enum ee_frame_state prefix(void *self, enum ee_topic topic, uint64_t schema,
                                  struct ee_bytes *ret, const char **ret_why) {
  struct ee_kafka_outlet *outlet = self;
  struct ee_err err;
  if (schema == ee_topics[topic].value->fingerprint) {
    switch (ee_codec_prefix(outlet->codecs.codec, topic, ee_clock_monotonic_ms(), ret, &err)) {
      case EE_CODEC_READY:
        outlet->waits_for_registry = false;
        return EE_FRAME_READY;
      case EE_CODEC_REFUSED:
        outlet->trouble = err;
        outlet->by_operator = true;
        return EE_FRAME_WAIT;
      case EE_CODEC_WAIT:
        outlet->waits_for_registry = outlet->codecs.registry != NULL;
        return EE_FRAME_WAIT;
    }
  }
  if (outlet->codecs.registry != NULL) return look_up(outlet, topic, schema, ret, ret_why);
  *ret = ee_bytes(outlet->prefix, ee_frame_single_object(schema, outlet->prefix));
  return EE_FRAME_READY;
}

// ---- Sending.

static rd_kafka_resp_err_t produce(struct ee_kafka_outlet *outlet, const struct ee_parcel *parcel) {
  struct ee_buf *value = &outlet->value;
  rd_kafka_topic_t *topic = topic_of(outlet, parcel->topic);
  rd_kafka_headers_t *headers =
      ee_spare_headers_fill(&outlet->spare, parcel->topic, parcel->headers, parcel->header_count,
                            parcel->constant_headers);
  ee_buf_clear(value);
  ee_buf_append(value, parcel->prefix.data, parcel->prefix.size);
  ee_buf_append(value, parcel->payload.data, parcel->payload.size);
  rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__FAIL;
  if (topic != NULL && headers != NULL && !value->failed) {
    code = rd_kafka_producev(ee_client_handle(outlet->client), RD_KAFKA_VTYPE_RKT, topic,  //
                             RD_KAFKA_VTYPE_PARTITION, parcel->partition,                  //
                             RD_KAFKA_VTYPE_MSGFLAGS, (int)RD_KAFKA_MSG_F_COPY,            //
                             RD_KAFKA_VTYPE_KEY, parcel->key.data, parcel->key.size,
                             RD_KAFKA_VTYPE_VALUE, value->data, value->size, RD_KAFKA_VTYPE_HEADERS,
                             headers, RD_KAFKA_VTYPE_OPAQUE, (void *)(uintptr_t)parcel->tag,
                             RD_KAFKA_VTYPE_END);
  }
  // It takes the headers only when it succeeds.
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR && headers != NULL) {
    ee_spare_headers_give_back(&outlet->spare, parcel->topic, headers);
  }
  return code;
}

static enum ee_sent hand_over(void *self, const struct ee_parcel *parcel, const char **ret_why) {
  struct ee_kafka_outlet *outlet = self;
  if (outlet->client == NULL) return EE_SENT_LATER;
  rd_kafka_resp_err_t code = produce(outlet, parcel);
  switch (code) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
      return EE_SENT;
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
      return EE_SENT_LATER;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
      *ret_why = rd_kafka_err2str(code);
      return EE_SENT_REFUSED;
    default:
      say_topic(outlet, rd_kafka_topic_name(outlet->topics[parcel->topic]), code);
      return EE_SENT_LATER;
  }
}

static void serve(void *self, int timeout_ms, ee_take_result *take, void *context) {
  struct ee_kafka_outlet *outlet = self;
  outlet->take = take;
  outlet->context = context;
  if (outlet->client != NULL) ee_client_serve(outlet->client, timeout_ms);
  if (outlet->codecs.registry != NULL) {
    ee_registry_turn(outlet->codecs.registry, ee_clock_monotonic_ms());
  }
}

static const struct ee_outlet_ops ops = {.partitions = partitions,
                                         .prefix = prefix,
                                         .send = hand_over,
                                         .serve = serve,
                                         .broken = broken,
                                         .renew = renew,
                                         .trouble = trouble};

struct ee_outlet ee_kafka_outlet(struct ee_kafka_outlet *outlet) {
  return (struct ee_outlet){.ops = &ops, .self = outlet};
}
