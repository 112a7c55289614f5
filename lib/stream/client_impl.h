// SPDX-License-Identifier: Apache-2.0
// Inside of the tools' Kafka client: what client.c and client_io.c share.
#ifndef EE_STREAM_CLIENT_IMPL_H
#define EE_STREAM_CLIENT_IMPL_H

#include "stream/client.h"

struct ee_client {
  rd_kafka_t *rk;
  enum ee_client_role role;
  struct ee_err brokers;  // "Kafka at HOST:PORT", as it is called in errors
  struct ee_err trouble;
  ee_delivered *delivered;
  void *context;
  struct ee_header *headers;  // owned; room for those of the record being read
  size_t header_room;
};

#endif
