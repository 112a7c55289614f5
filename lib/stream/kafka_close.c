// SPDX-License-Identifier: Apache-2.0
// Closing within a deadline: the worker closes and frees everything after the call that is
// under way; whoever waits for it goes on when the deadline has passed, and the rest is
// left to the worker or to the end of the process.
#include <stdlib.h>

#include "stream/kafka_impl.h"

#define ABORT_MS 1000

// An open transaction would hold up read_committed readers until it times out.
static void end_transaction(struct ee_kafka_broker *broker) {
  if (broker->transactor == NULL || !broker->transaction_open) return;
  rd_kafka_error_destroy(rd_kafka_abort_transaction(broker->transactor->rk, ABORT_MS));
}

static void close_all(void *context) {
  struct ee_kafka_broker *broker = context;
  end_transaction(broker);
  rd_kafka_consumer_close(broker->group->handle->rk);
  ee_kafka_handle_free(broker->transactor);
  ee_kafka_handle_free(broker->ticker);
  ee_kafka_handle_free(broker->observer);
  ee_kafka_handle_free(broker->group->handle);
  ee_kafka_group_free(broker->group);
  ee_kafka_handle_free(broker->fetch->handle);
  ee_kafka_fetch_free(broker->fetch);
  ee_kafka_shared_free(broker->shared);
  free(broker);
}

void ee_kafka_close(struct ee_kafka_broker *broker, int deadline_ms) {
  atomic_store(&broker->shared->closing, true);
  ee_kafka_worker_close(broker->worker, deadline_ms, close_all, broker);
}
