// SPDX-License-Identifier: Apache-2.0
// Producing: into the open transaction, and outside (ticks). Nothing here waits.
#include "stream/kafka_class.h"
#include "stream/kafka_impl.h"

// A dead producer does not say so in the code of each call.
static struct ee_kafka_fault fault_of(rd_kafka_t *rk, rd_kafka_resp_err_t code) {
  rd_kafka_resp_err_t fatal = rd_kafka_fatal_error(rk, NULL, 0);
  if (fatal != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return (struct ee_kafka_fault){.code = fatal, .fatal = true};
  }
  return (struct ee_kafka_fault){.code = code};
}

static rd_kafka_resp_err_t produce_headers(rd_kafka_t *rk, rd_kafka_topic_t *rkt,
                                           const struct ee_output *output) {
  rd_kafka_headers_t *headers = rd_kafka_headers_new(output->header_count);
  rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
  for (size_t i = 0; i < output->header_count && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
    const struct ee_header *h = &output->headers[i];
    code = rd_kafka_header_add(headers, h->name.data, (ssize_t)h->name.size, h->value.data,
                               (ssize_t)h->value.size);
  }
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
    // Not rd_kafka_produceva, which can free the headers twice (fixed in 2.12).
    // The macros of these are GNU statement expressions.
    code = rd_kafka_producev(rk, RD_KAFKA_VTYPE_RKT, rkt,                        //
                             RD_KAFKA_VTYPE_PARTITION, output->tp.partition,     //
                             RD_KAFKA_VTYPE_MSGFLAGS, (int)RD_KAFKA_MSG_F_COPY,  //
                             RD_KAFKA_VTYPE_KEY, output->key.data, output->key.size,
                             RD_KAFKA_VTYPE_VALUE, output->value.data, output->value.size,
                             RD_KAFKA_VTYPE_HEADERS, headers, RD_KAFKA_VTYPE_END);
  }
  // It takes the headers only when it succeeds.
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) rd_kafka_headers_destroy(headers);
  return code;
}

static rd_kafka_resp_err_t produce(struct ee_kafka_handle *handle, const struct ee_output *output) {
  rd_kafka_topic_t *rkt = ee_kafka_handle_topic(handle, output->tp.topic);
  if (rkt == NULL) return rd_kafka_last_error();
  if (output->header_count > 0) return produce_headers(handle->rk, rkt, output);
  if (rd_kafka_produce(rkt, output->tp.partition, RD_KAFKA_MSG_F_COPY, (void *)output->value.data,
                       output->value.size, output->key.data, output->key.size, NULL) == 0) {
    return RD_KAFKA_RESP_ERR_NO_ERROR;
  }
  return rd_kafka_last_error();
}

enum ee_outcome_class ee_kafka_begin_transaction(struct ee_kafka_broker *broker,
                                                 struct ee_err *err) {
  if (broker->transactor == NULL) {
    ee_err_set(err, "there is no producer: it was not renewed");
    return EE_INDEFINITE;
  }
  rd_kafka_error_t *error = rd_kafka_begin_transaction(broker->transactor->rk);
  if (error == NULL) {
    broker->transaction_open = true;
    return EE_DONE;
  }
  struct ee_kafka_fault fault = {.code = rd_kafka_error_code(error),
                                 .fatal = rd_kafka_error_is_fatal(error),
                                 .abortable = rd_kafka_error_txn_requires_abort(error)};
  ee_err_set(err, "begin_transaction: %s", rd_kafka_error_string(error));
  rd_kafka_error_destroy(error);
  enum ee_outcome_class outcome = ee_kafka_classify(EE_KAFKA_BEGIN, fault);
  // Nothing was begun that could be aborted; a new producer is what helps.
  return outcome == EE_FENCED || outcome == EE_FATAL ? outcome : EE_INDEFINITE;
}

enum ee_outcome_class ee_kafka_produce(struct ee_kafka_broker *broker,
                                       const struct ee_output *output, struct ee_err *err) {
  if (broker->transactor == NULL || !broker->transaction_open) {
    ee_err_set(err, "no transaction is open");
    return EE_ABORT;
  }
  rd_kafka_resp_err_t code = produce(broker->transactor, output);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return EE_DONE;
  ee_err_set(err, "%s [%d]: producing: %s", broker->shared->names[output->tp.topic],
             (int)output->tp.partition, rd_kafka_err2str(code));
  return ee_kafka_classify(EE_KAFKA_PRODUCE, fault_of(broker->transactor->rk, code));
}

void ee_kafka_produce_plain(struct ee_kafka_broker *broker, const struct ee_output *output) {
  rd_kafka_resp_err_t code = produce(broker->ticker, output);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return;
  ee_kafka_notice_ailment(
      &broker->shared->notices, EE_KAFKA_TICKS_FAIL, "%s [%d]: a record was not written: %s",
      broker->shared->names[output->tp.topic], (int)output->tp.partition, rd_kafka_err2str(code));
}
