// SPDX-License-Identifier: Apache-2.0
// Header lists that librdkafka is done with, filled in again: to make and to free every header of
// every record is most of what sending costs. One thread.
#ifndef EE_CLIENT_SPARE_HEADERS_H
#define EE_CLIENT_SPARE_HEADERS_H

#include <librdkafka/rdkafka.h>

#include "contract/catalogue.h"
#include "wire/headers.h"

#define EE_SPARE_HEADERS_MAX 8192  // lists, of some 700 bytes each

struct ee_spare_headers {
  rd_kafka_headers_t **lists[EE_TOPIC_COUNT];  // owned; NULL before the first
  size_t counts[EE_TOPIC_COUNT];
  size_t total;
};

// All zero is an empty one.
void ee_spare_headers_release(struct ee_spare_headers *spare);
// A list with these headers, which the caller owns: one of the topic's spare ones if there is any.
// `constant`: so many of the first are the same at each call for the topic; they stay, and of the
// next ones those that happen to be the same. Names are shorter than 64 bytes. NULL: memory is out.
rd_kafka_headers_t *ee_spare_headers_fill(struct ee_spare_headers *spare, enum ee_topic topic,
                                          const struct ee_header *headers, size_t count,
                                          size_t constant);
// Takes a list that fill has made for that topic.
void ee_spare_headers_give_back(struct ee_spare_headers *spare, enum ee_topic topic,
                                rd_kafka_headers_t *list);

#endif
