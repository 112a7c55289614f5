// SPDX-License-Identifier: Apache-2.0
// Membership in the consumer group: offers, revocations and the generation under which
// offsets are committed. The member itself is always assigned nothing and so fetches
// nothing; kafka_fetch.h reads what the group has given us.
#ifndef EE_STREAM_KAFKA_GROUP_H
#define EE_STREAM_KAFKA_GROUP_H

#include "stream/kafka_fetch.h"

// The membership under which an assignment was accepted; shared by the commits made under it.
struct ee_kafka_ticket {
  int users;  // one thread
  rd_kafka_consumer_group_metadata_t *metadata;
};

struct ee_kafka_tps {
  struct ee_tp *items;  // owned
  size_t count;
};

struct ee_kafka_group {
  struct ee_kafka_handle *handle;  // owned
  struct ee_kafka_fetch *fetch;    // borrowed
  struct ee_kafka_ticket *ticket;  // NULL: never accepted
  struct ee_kafka_tps held;        // accepted
  struct ee_kafka_tps offered;
  bool holds;     // accepted, not relinquished
  bool offer;     // there is one
  bool revoking;  // what is held is to be given up
  bool lost;      // and is ours no longer
  bool silent;    // librdkafka does not wait for the giving up
  bool told;      // the offer or the revocation was reported
  bool left;
};

bool ee_kafka_group_new(struct ee_kafka_shared *shared, struct ee_kafka_fetch *fetch,
                        struct ee_kafka_group **ret, struct ee_err *err);
// Everything but the handle, which whoever closes it has taken. NULL is allowed.
void ee_kafka_group_free(struct ee_kafka_group *group);

bool ee_kafka_group_subscribe(struct ee_kafka_group *group, const enum ee_topic *topics,
                              size_t count, struct ee_err *err);
// Serves callbacks and errors; keeps the membership alive.
void ee_kafka_group_turn(struct ee_kafka_group *group);
// An offer or a revocation not yet reported. False: none.
bool ee_kafka_group_event(struct ee_kafka_group *group, struct ee_broker_event *ret);

void ee_kafka_group_accept(struct ee_kafka_group *group);
void ee_kafka_group_relinquish(struct ee_kafka_group *group);
void ee_kafka_group_leave(struct ee_kafka_group *group);
// Whether offsets of this partition may still be committed, as far as we know.
bool ee_kafka_group_holds(const struct ee_kafka_group *group, struct ee_tp tp);

struct ee_kafka_ticket *ee_kafka_ticket_take(struct ee_kafka_ticket *ticket);
void ee_kafka_ticket_give(struct ee_kafka_ticket *ticket);  // NULL is allowed

#endif
