// SPDX-License-Identifier: Apache-2.0
// What librdkafka's errors mean for the caller of the broker interface. Pure.
#ifndef EE_STREAM_KAFKA_CLASS_H
#define EE_STREAM_KAFKA_CLASS_H

#include <librdkafka/rdkafka.h>

#include "stream/broker.h"

// What was being done when the error came.
enum ee_kafka_stage {
  EE_KAFKA_INIT,     // init_transactions
  EE_KAFKA_BEGIN,    // begin_transaction
  EE_KAFKA_PRODUCE,  // one record into the open transaction
  EE_KAFKA_OFFSETS,  // send_offsets_to_transaction
  EE_KAFKA_COMMIT,   // commit_transaction
  EE_KAFKA_ABORT,    // abort_transaction
  EE_KAFKA_QUERY,    // offsets, metadata, settings
  EE_KAFKA_GROUP,    // membership
  EE_KAFKA_FETCH,    // messages of one partition
};

struct ee_kafka_fault {
  rd_kafka_resp_err_t code;
  bool fatal;      // the handle is of no further use
  bool abortable;  // the transaction is
  bool retriable;  // the same call goes on where it was
};

enum ee_outcome_class ee_kafka_classify(enum ee_kafka_stage stage, struct ee_kafka_fault fault);

// What the operator should do about it, to be put behind the error's text; "" where the text
// says enough.
const char *ee_kafka_advice(rd_kafka_resp_err_t code);

#endif
