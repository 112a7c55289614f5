// SPDX-License-Identifier: Apache-2.0
// What the sender's parts share.
#ifndef EE_CLIENT_SENDER_IMPL_H
#define EE_CLIENT_SENDER_IMPL_H

#include <stdatomic.h>

#include "client/aside.h"
#include "client/past.h"
#include "client/sender.h"
#include "client/window.h"

#define TOPIC_NAME_SIZE 250  // Kafka's limit, with a NUL
#define SEQ_SIZE ((size_t)160)
#define REPORT_TAG ((uint64_t)1 << 63)

_Static_assert(EE_NUMBERS_TOPICS == EE_PHASE_TOPICS, "the topics of the phases are numbered");

// What was read last and waits for its turn.
struct held {
  bool there;
  enum ee_spool_read kind;
  struct ee_spool_entry entry;
};

struct ee_sender {
  struct ee_sender_settings settings;
  uint32_t epoch;
  struct ee_window window;
  struct held held;
  bool halted;             // something has to be sent again, once nothing is under way
  int64_t retry_at_ms;     // not before
  int64_t now_ms, now_us;  // of this turn
  // Numbers.
  struct ee_numbers numbers;  // bytes NULL: partitions are not known yet
  bool stored;                // they are on disk, too
  // Where what is dropped is counted; NULL: not known yet. These numbers, or while they are not on
  // disk the newest of an earlier epoch that are.
  _Atomic(struct ee_numbers *) published;
  _Atomic(uint32_t) dropping;                   // callers that are looking at them
  _Atomic(uint64_t) unplaced[EE_PHASE_TOPICS];  // dropped before
  uint64_t *again;                              // by count: numbers below `resent` that were sent
  int64_t ask_at_ms;
  int asks;
  bool verified;    // Kafka says so too
  bool mismatched;  // Kafka says otherwise
  struct ee_past past;
  // Reports.
  struct ee_reporter reporter;
  int64_t report_at_ms;
  int32_t report_next;  // the partition that is looked at next
  bool ending;
  // Sending.
  char topics[EE_TOPIC_COUNT][TOPIC_NAME_SIZE];
  struct ee_aside aside;
  struct ee_arena arena;
  struct ee_buf value;
  int64_t say_at_ms;  // when trouble is told
  struct ee_sender_counts counts;
};

// sender_number.c: numbers are given.

// At the opening: with as many partitions as earlier epochs had. From then on nothing that is
// dropped is forgotten with the process.
void sender_remember_numbers(struct ee_sender *sender);
// False: partitions are not known yet. They may be known from earlier epochs, which is enough for
// numbers; what is sent waits for Kafka's own word (verified).
bool sender_numbers_ready(struct ee_sender *sender);
// Gives a record that was read for the first time its number and partition. Numbers are ready.
void sender_number(struct ee_sender *sender, const struct ee_spool_entry *entry,
                   struct ee_window_entry *ret);
// Numbers what lies ahead of what is sent, some records. True: there is more.
bool sender_number_ahead(struct ee_sender *sender);

// Puts numbers on disk that had no room there. Before earlier epochs end: what is dropped is
// counted there until then.
void sender_store_numbers(struct ee_sender *sender);

// sender_report.c: numbers are told.

void sender_report(struct ee_sender *sender);
void sender_report_result(struct ee_sender *sender, const struct ee_result *result);
bool sender_all_told(const struct ee_sender *sender);

// sender_send.c: one record.

// The seq of a number under an epoch.
struct ee_str sender_seq(const struct ee_sender *sender, uint32_t epoch, uint64_t number,
                         char out[SEQ_SIZE]);
enum ee_sent sender_send(struct ee_sender *sender, const struct ee_spool_entry *entry,
                         struct ee_window_entry *at);
// Keeps a refused record aside and declares its number. False: not now.
bool sender_keep_aside(struct ee_sender *sender, const struct ee_spool_entry *entry,
                       const struct ee_window_entry *at);

#endif
