// SPDX-License-Identifier: Apache-2.0
// What librdkafka's errors mean for the caller: one decision by stage, flags and code.
#include "stream/kafka_class.h"

static bool is_fenced(rd_kafka_resp_err_t code) {
  return code == RD_KAFKA_RESP_ERR__FENCED || code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
         code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH ||
         code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID;
}

// Fenced by another process for certain. A producer's epoch is also raised by the coordinator,
// when a transaction has timed out, and the brokers' answer does not tell the two apart: a new
// producer goes on, and where there is another process the group says so.
static bool is_taken_over(enum ee_kafka_stage stage, rd_kafka_resp_err_t code) {
  if (code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID) return true;
  return is_fenced(code) && (stage == EE_KAFKA_INIT || stage == EE_KAFKA_GROUP);
}

// Somebody has to change a setting or a permission; a new producer would meet the same.
static bool is_hopeless(rd_kafka_resp_err_t code) {
  switch (code) {
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT:
    case RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT:
    case RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL:
    case RD_KAFKA_RESP_ERR_INVALID_GROUP_ID:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT:
    case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
      return true;
    default:
      return false;
  }
}

const char *ee_kafka_advice(rd_kafka_resp_err_t code) {
  switch (code) {
    case RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT:
      return "; set --session-timeout between the brokers' group.min.session.timeout.ms and "
             "group.max.session.timeout.ms";
    case RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT:
      return "; set --transaction-timeout to no more than the brokers' transaction.max.timeout.ms";
    default:
      return "";
  }
}

// A dead producer: what it had under way may or may not have happened.
static enum ee_outcome_class classify_dead(enum ee_kafka_stage stage, rd_kafka_resp_err_t code) {
  switch (stage) {
    case EE_KAFKA_PRODUCE:
      return EE_ABORT;  // which will say INDEFINITE
    case EE_KAFKA_BEGIN:
    case EE_KAFKA_OFFSETS:
    case EE_KAFKA_COMMIT:
    case EE_KAFKA_ABORT:
      return is_hopeless(code) ? EE_FATAL : EE_INDEFINITE;
    default:
      return EE_FATAL;
  }
}

// Errors of one message or partition: no reading on past what cannot be read.
static enum ee_outcome_class classify_fetch(rd_kafka_resp_err_t code) {
  switch (code) {
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
    case RD_KAFKA_RESP_ERR__BAD_MSG:
    case RD_KAFKA_RESP_ERR__BAD_COMPRESSION:
    case RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
      return EE_FATAL;
    default:
      return is_hopeless(code) ? EE_FATAL : EE_RETRY;
  }
}

static enum ee_outcome_class classify_produce(rd_kafka_resp_err_t code) {
  switch (code) {
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
      return EE_RETRY;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
      return EE_FATAL;
    default:
      return is_hopeless(code) ? EE_FATAL : EE_ABORT;
  }
}

enum ee_outcome_class ee_kafka_classify(enum ee_kafka_stage stage, struct ee_kafka_fault fault) {
  if (fault.code == RD_KAFKA_RESP_ERR_NO_ERROR) return EE_DONE;
  if (fault.fatal && is_taken_over(stage, fault.code)) return EE_FENCED;
  if (fault.fatal) return classify_dead(stage, fault.code);
  if (stage == EE_KAFKA_FETCH) return classify_fetch(fault.code);
  if (stage == EE_KAFKA_PRODUCE) return classify_produce(fault.code);
  if (stage == EE_KAFKA_QUERY || stage == EE_KAFKA_GROUP) {
    return is_hopeless(fault.code) ? EE_FATAL : EE_RETRY;
  }
  if (is_hopeless(fault.code)) return EE_FATAL;
  if (fault.abortable) return stage == EE_KAFKA_ABORT ? EE_INDEFINITE : EE_ABORT;
  if (fault.retriable) return EE_RETRY;
  // Nothing said about it: a call in the wrong state, or a code this release does not know.
  switch (stage) {
    case EE_KAFKA_INIT:
      return EE_FATAL;
    case EE_KAFKA_OFFSETS:
    case EE_KAFKA_COMMIT:
      return EE_ABORT;
    default:
      return EE_INDEFINITE;
  }
}
