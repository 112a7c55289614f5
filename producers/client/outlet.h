// SPDX-License-Identifier: Apache-2.0
// The way out of a spool, as its sender sees it: Kafka (kafka_outlet.h), or a test's double.
// One thread.
#ifndef EE_CLIENT_OUTLET_H
#define EE_CLIENT_OUTLET_H

#include "contract/catalogue.h"
#include "wire/headers.h"

// A record to be sent. Borrowed for the call.
struct ee_parcel {
  enum ee_topic topic;
  int32_t partition;
  struct ee_bytes key;      // data NULL: none
  struct ee_bytes prefix;   // the frame of the value
  struct ee_bytes payload;  // what follows it
  const struct ee_header *headers;
  size_t header_count;
  size_t constant_headers;  // the first so many are the same on each record of the topic
  uint64_t tag;             // comes back with the result
};

enum ee_sent {
  EE_SENT,          // its result will come
  EE_SENT_LATER,    // not now: the queue is full, or the topic is not there
  EE_SENT_REFUSED,  // never: too large for the client itself
};

enum ee_result_kind {
  EE_RESULT_WRITTEN,
  EE_RESULT_AGAIN,    // not surely written: it has to be sent again
  EE_RESULT_ALONE,    // refused together with others: whose fault it is shows when it goes alone
  EE_RESULT_REFUSED,  // never will be
};

struct ee_result {
  uint64_t tag;
  enum ee_result_kind kind;
  int64_t offset;   // WRITTEN
  const char *why;  // else; borrowed for the life of the process
};
typedef void ee_take_result(void *context, const struct ee_result *result);

enum ee_frame_state { EE_FRAME_READY, EE_FRAME_WAIT, EE_FRAME_REFUSED };

struct ee_outlet_ops {
  // How many partitions the phases' topics have; 0: not known yet. May block for half a second.
  int32_t (*partitions)(void *self);
  // The frame's prefix for data of that schema on that topic, borrowed until the next call. WAIT:
  // the registry has to answer. REFUSED: nobody knows the schema; *ret_why says so.
  enum ee_frame_state (*prefix)(void *self, enum ee_topic topic, uint64_t schema,
                                struct ee_bytes *ret, const char **ret_why);
  // Copies. *ret_why is set when REFUSED.
  enum ee_sent (*send)(void *self, const struct ee_parcel *parcel, const char **ret_why);
  // Hands over results that have come, waiting for the first at most timeout_ms. Those of one
  // partition come in the order of sending.
  void (*serve)(void *self, int timeout_ms, ee_take_result *take, void *context);
  // True: nothing can be sent any more until it is renewed, which hands over what is outstanding
  // as AGAIN. False from renew: not yet.
  bool (*broken)(void *self);
  bool (*renew)(void *self, ee_take_result *take, void *context);
  // What is waited for and why it does not come, in words; "" if nothing is known. *ret_operator:
  // it will not without an operator. Borrowed until the next call.
  const char *(*trouble)(void *self, bool *ret_operator);
};

struct ee_outlet {
  const struct ee_outlet_ops *ops;
  void *self;
};

#endif
