// SPDX-License-Identifier: Apache-2.0
// The tools' reading and writing of records.
#include <inttypes.h>
#include <stdlib.h>

#include "stream/client.h"
#include "stream/client_impl.h"

#define TURN_MS 100
#define PURGE_MS 1000
#define HEADERS_MAX 4096  // of one record

// ---- PRODUCER.

void ee_client_on_delivery(struct ee_client *client, ee_delivered *delivered, void *context) {
  client->delivered = delivered;
  client->context = context;
}

// NULL when memory is out; a record without headers has none either.
static rd_kafka_headers_t *make_headers(const struct ee_send *send) {
  rd_kafka_headers_t *headers = rd_kafka_headers_new(send->header_count);
  for (size_t i = 0; i < send->header_count && headers != NULL; i++) {
    const struct ee_header *header = &send->headers[i];
    if (rd_kafka_header_add(headers, header->name.data, (ssize_t)header->name.size,
                            header->value.data,
                            (ssize_t)header->value.size) != RD_KAFKA_RESP_ERR_NO_ERROR) {
      rd_kafka_headers_destroy(headers);
      return NULL;
    }
  }
  return headers;
}

static rd_kafka_resp_err_t produce(struct ee_client *client, const struct ee_send *send) {
  rd_kafka_headers_t *headers = make_headers(send);
  if (headers == NULL) return RD_KAFKA_RESP_ERR__FAIL;
  // The macros of these are GNU statement expressions; produceva can free the headers twice.
  rd_kafka_resp_err_t code =
      rd_kafka_producev(client->rk, RD_KAFKA_VTYPE_TOPIC, send->topic,      //
                        RD_KAFKA_VTYPE_PARTITION, send->partition,          //
                        RD_KAFKA_VTYPE_MSGFLAGS, (int)RD_KAFKA_MSG_F_COPY,  //
                        RD_KAFKA_VTYPE_KEY, send->key.data, send->key.size, RD_KAFKA_VTYPE_VALUE,
                        send->value.data, send->value.size, RD_KAFKA_VTYPE_HEADERS, headers,
                        RD_KAFKA_VTYPE_OPAQUE, send->opaque, RD_KAFKA_VTYPE_END);
  // It takes the headers only when it succeeds.
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) rd_kafka_headers_destroy(headers);
  return code;
}

bool ee_client_send(struct ee_client *client, const struct ee_send *send, struct ee_wait *wait,
                    struct ee_err *err) {
  for (;;) {
    rd_kafka_resp_err_t code = produce(client, send);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return true;
    if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
      return ee_err_set(err, "%s [%" PRId32 "]: %s", send->topic, send->partition,
                        rd_kafka_err2str(code));
    }
    if (!ee_wait_more(wait, client->brokers.text, ee_client_trouble(client), err)) return false;
    ee_client_serve(client, ee_wait_slice(wait, TURN_MS));
  }
}

// librdkafka's length counts its own events too, but is 0 only if nothing is outstanding.
size_t ee_client_outstanding(const struct ee_client *client) {
  return (size_t)rd_kafka_outq_len(client->rk);
}

bool ee_client_flush(struct ee_client *client, struct ee_wait *wait, struct ee_err *err) {
  for (;;) {
    rd_kafka_resp_err_t code = rd_kafka_flush(client->rk, ee_wait_slice(wait, TURN_MS));
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return true;
    struct ee_err what;
    ee_err_set(&what, "%s to acknowledge records", client->brokers.text);
    if (!ee_wait_more(wait, what.text, ee_client_trouble(client), err)) return false;
  }
}

void ee_client_purge(struct ee_client *client) {
  rd_kafka_purge(client->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
  rd_kafka_flush(client->rk, PURGE_MS);
}

// ---- READER.

static bool read_headers(struct ee_client *client, const rd_kafka_message_t *message,
                         struct ee_printed *printed, struct ee_err *err) {
  rd_kafka_headers_t *headers;
  if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return true;
  size_t count = rd_kafka_header_cnt(headers);
  if (count > HEADERS_MAX) {
    return ee_err_set(err, "a record with %zu headers; at most %d are read", count, HEADERS_MAX);
  }
  if (count > client->header_room) {
    struct ee_header *room = realloc(client->headers, count * sizeof *room);
    if (room == NULL) return ee_err_set(err, "memory is out");
    client->headers = room;
    client->header_room = count;
  }
  for (size_t i = 0; i < count; i++) {
    const char *name = NULL;
    const void *value = NULL;
    size_t size = 0;
    rd_kafka_header_get_all(headers, i, &name, &value, &size);
    client->headers[i] = (struct ee_header){ee_str(name), ee_bytes(value, size)};
  }
  printed->headers = client->headers;
  printed->header_count = count;
  return true;
}

static bool hand_over(struct ee_client *client, const rd_kafka_message_t *message,
                      ee_client_record *record, void *context, struct ee_err *err) {
  rd_kafka_timestamp_type_t kind;
  struct ee_printed printed = {.topic = ee_str(rd_kafka_topic_name(message->rkt)),
                               .partition = message->partition,
                               .offset = message->offset,
                               .timestamp_ms = rd_kafka_message_timestamp(message, &kind),
                               .key = ee_bytes(message->key, message->key_len),
                               .value = ee_bytes(message->payload, message->len)};
  printed.append_time = kind == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME;
  return (read_headers(client, message, &printed, err) ||
          ee_err_prefix(err, "offset %" PRId64, printed.offset)) &&
         record(context, &printed, err);
}

enum reading { READ_ON, READ_DONE, READ_FAILED };

static enum reading take(struct ee_client *client, const rd_kafka_message_t *message, int64_t end,
                         ee_client_record *record, void *context, struct ee_err *err) {
  switch (message->err) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
      if (message->offset >= end) return READ_DONE;
      if (!hand_over(client, message, record, context, err)) return READ_FAILED;
      return message->offset + 1 >= end ? READ_DONE : READ_ON;
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
      return message->offset >= end ? READ_DONE : READ_ON;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
      ee_err_set(err, "the log does not hold the offset any more, or not yet");
      return READ_FAILED;
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
      ee_err_set(err, "%s", rd_kafka_err2str(message->err));
      return READ_FAILED;
    default:  // it heals, or the wait ends
      ee_err_set(&client->trouble, "%s", rd_kafka_message_errstr(message));
      return READ_ON;
  }
}

static bool read_on(struct ee_client *client, rd_kafka_topic_t *rkt, int32_t partition, int64_t end,
                    struct ee_wait *wait, ee_client_record *record, void *context,
                    struct ee_err *err) {
  for (unsigned count = 1;; count++) {
    rd_kafka_message_t *message = rd_kafka_consume(rkt, partition, ee_wait_slice(wait, TURN_MS));
    bool came = message != NULL && message->err == RD_KAFKA_RESP_ERR_NO_ERROR;
    enum reading reading = READ_ON;
    if (message != NULL) {
      reading = take(client, message, end, record, context, err);
      rd_kafka_message_destroy(message);
    }
    if (came) ee_wait_again(wait);
    if (reading != READ_ON) return reading == READ_DONE;
    // Now and then among records, too: a signal ends a long reading.
    if (came && count % 256 != 0) continue;
    if (!ee_wait_more(wait, client->brokers.text, ee_client_trouble(client), err)) return false;
  }
}

bool ee_client_read(struct ee_client *client, const char *topic, int32_t partition, int64_t from,
                    int64_t end, struct ee_wait *wait, ee_client_record *record, void *context,
                    struct ee_err *err) {
  if (from >= end) return true;
  rd_kafka_topic_t *rkt = rd_kafka_topic_new(client->rk, topic, NULL);
  bool ok = false;
  if (rkt == NULL || rd_kafka_consume_start(rkt, partition, from) != 0) {
    ee_err_set(err, "%s", rd_kafka_err2str(rd_kafka_last_error()));
  } else {
    ok = read_on(client, rkt, partition, end, wait, record, context, err);
    rd_kafka_consume_stop(rkt, partition);
  }
  if (rkt != NULL) rd_kafka_topic_destroy(rkt);
  return ok || ee_err_prefix(err, "%s [%" PRId32 "]", topic, partition);
}
