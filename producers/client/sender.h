// SPDX-License-Identifier: Apache-2.0
// From the spool to Kafka: records are read, numbered, framed and sent; what is acknowledged is
// settled; what is refused for good is kept aside and declared; numbers are reported. One thread,
// which calls turn again and again; decisions are here, Kafka is behind the outlet, and time is
// given.
#ifndef EE_CLIENT_SENDER_H
#define EE_CLIENT_SENDER_H

#include "client/notice.h"
#include "client/outlet.h"
#include "spool/spool.h"

struct ee_sender;

struct ee_sender_settings {
  struct ee_spool *spool;         // borrowed
  struct ee_outlet outlet;        // borrowed
  const char *producer;           // its name; 1 to EE_PRODUCER_NAME_MAX bytes; borrowed
  const char *topic_prefix;       // borrowed
  uint64_t aside_bytes;           // of refused records that are kept
  struct ee_notices notices;      // borrows its context
  envelope_delivered *delivered;  // NULL: nobody asks
  void *delivered_context;
};

#define EE_PRODUCER_NAME_MAX ((size_t)100)

struct ee_sender_time {
  int64_t monotonic_ms;
  int64_t wall_us;
};

// What it has done and found so far; written by the sender alone, read by any thread.
struct ee_sender_counts {
  _Atomic(uint64_t) acknowledged, refused, torn, lost;
};

// May block on the disk.
bool ee_sender_new(const struct ee_sender_settings *settings, struct ee_sender **ret,
                   struct ee_err *err);
// Forgets what is under way: the next opening sends it again. NULL is allowed.
void ee_sender_free(struct ee_sender *sender);

// Moves on what can be moved, waiting for results at most wait_ms when there is nothing else to
// do. True: there is more to do at once.
bool ee_sender_turn(struct ee_sender *sender, const struct ee_sender_time *now, int wait_ms);
// Whether all before that place of the spool is acknowledged or refused.
bool ee_sender_reached(const struct ee_sender *sender, struct ee_spool_at at);
// Nobody appends any more, and all is settled: from now on turn makes the last reports. True when
// they are written.
bool ee_sender_end(struct ee_sender *sender);

// While records wait: what for (see outlet.h); NULL: none waits. Borrowed until the next turn.
const char *ee_sender_trouble(struct ee_sender *sender, bool *ret_operator);

const struct ee_sender_counts *ee_sender_counts(const struct ee_sender *sender);

// Any thread: there was no room for an event of that key. Counted, to be declared as a hole in
// the numbers of its topic and partition.
void ee_sender_dropped(struct ee_sender *sender, enum ee_topic topic, struct ee_str key);

#endif
