// SPDX-License-Identifier: Apache-2.0
// The sender's numbers: by topic and partition, in the order of the spool. What an earlier epoch
// had numbered keeps that numbering in the spool, and its numbers of this epoch come before all
// others: so they are known by their count alone (`resent`), whatever becomes of this process.
#include <sched.h>
#include <stdlib.h>

#include "client/sender_impl.h"
#include "wire/partition.h"

#define ASK_SOON_MS 100
#define ASK_LATER_MS 1000  // a question may block the sender for a while
#define ASKS_SOON 10
#define AHEAD_RECORDS 5000

static size_t index_of(const struct ee_sender *sender, uint8_t topic, int32_t partition) {
  return (size_t)topic * (size_t)sender->numbers.partitions + (size_t)partition;
}

// ---- The file.

static void place_unplaced(struct ee_sender *sender) {
  for (uint8_t topic = 0; topic < EE_PHASE_TOPICS; topic++) {
    uint64_t count = atomic_exchange(&sender->unplaced[topic], 0);
    if (count > 0) atomic_fetch_add(&ee_numbers_at(&sender->numbers, topic, 0)->dropped, count);
  }
}

static bool make_numbers(struct ee_sender *sender, int32_t partitions) {
  struct ee_err err;
  const struct ee_spool *spool = sender->settings.spool;
  if (!ee_numbers_make(ee_spool_directory(spool), ee_spool_id(spool), sender->settings.producer,
                       sender->epoch, partitions, &sender->numbers, &sender->stored, &err)) {
    ee_notice(&sender->settings.notices, ENVELOPE_ERROR, "numbers cannot be kept: %s", err.text);
    return false;
  }
  if (!sender->stored) {
    ee_notice(&sender->settings.notices, ENVELOPE_WARNING,
              "the disk has no room for this epoch's numbers yet");
  }
  size_t count = (size_t)partitions * EE_NUMBERS_TOPICS;
  sender->again = calloc(count, sizeof *sender->again);
  if (sender->again == NULL || !ee_reporter_init(&sender->reporter, &sender->numbers, false)) {
    free(sender->again);
    sender->again = NULL;
    ee_numbers_close(&sender->numbers);
    return false;
  }
  return true;
}

static void publish(struct ee_sender *sender, struct ee_numbers *numbers) {
  atomic_store(&sender->published, numbers);
  while (atomic_load(&sender->dropping) > 0)
    sched_yield();
}

void sender_remember_numbers(struct ee_sender *sender) {
  struct ee_past *past = &sender->past;
  if (past->partitions <= 0 || !make_numbers(sender, past->partitions)) return;
  bool elsewhere = !sender->stored && past->count > 0;
  publish(sender, elsewhere ? &past->epochs[past->count - 1].numbers : &sender->numbers);
}

void sender_store_numbers(struct ee_sender *sender) {
  const struct ee_spool *spool = sender->settings.spool;
  struct ee_numbers *numbers = &sender->numbers;
  if (numbers->bytes == NULL || atomic_load(&sender->published) == numbers) return;
  sender->stored = ee_numbers_store(ee_spool_directory(spool), ee_spool_id(spool), numbers, NULL);
  publish(sender, numbers);
}

static void verify(struct ee_sender *sender, int32_t partitions) {
  if (partitions <= 0 || sender->numbers.bytes == NULL) return;
  sender->mismatched = partitions != sender->numbers.partitions;
  sender->verified = !sender->mismatched;
}

bool sender_numbers_ready(struct ee_sender *sender) {
  if (sender->verified) return true;
  if (sender->now_ms < sender->ask_at_ms) return sender->numbers.bytes != NULL;
  const struct ee_outlet *outlet = &sender->settings.outlet;
  int32_t partitions = outlet->ops->partitions(outlet->self);
  if (partitions > EE_NUMBERS_PARTITIONS_MAX) partitions = EE_NUMBERS_PARTITIONS_MAX;
  sender->ask_at_ms = sender->now_ms + (++sender->asks < ASKS_SOON ? ASK_SOON_MS : ASK_LATER_MS);
  if (sender->numbers.bytes == NULL) {
    if (partitions <= 0 || !make_numbers(sender, partitions)) return false;
    publish(sender, &sender->numbers);
    place_unplaced(sender);
  }
  verify(sender, partitions);
  return true;
}

void ee_sender_dropped(struct ee_sender *sender, enum ee_topic topic, struct ee_str key) {
  if (topic >= EE_PHASE_TOPICS) return;
  atomic_fetch_add(&sender->dropping, 1);
  const struct ee_numbers *numbers = atomic_load(&sender->published);
  if (numbers == NULL) {
    atomic_fetch_add(&sender->unplaced[topic], 1);
  } else {
    int32_t partition = ee_partition_of(ee_str_bytes(key), numbers->partitions);
    atomic_fetch_add(&ee_numbers_at(numbers, (uint8_t)topic, partition)->dropped, 1);
  }
  atomic_fetch_sub(&sender->dropping, 1);
}

// ---- Numbers.

static int32_t partition_of(const struct ee_sender *sender, const struct ee_spool_entry *entry) {
  struct ee_str key = {.data = ""};
  ee_event_key_read((enum ee_topic)entry->item.topic, entry->item.payload, &key);
  return ee_partition_of(ee_str_bytes(key), sender->numbers.partitions);
}

// The record has it before it counts as given: a crash between leaves a number that is sent again,
// not one that never was.
static uint64_t give_own(struct ee_sender *sender, const struct ee_spool_entry *entry,
                         int32_t partition) {
  struct ee_numbers_count *count = ee_numbers_at(&sender->numbers, entry->item.topic, partition);
  struct ee_spool_numbering numbering = {
      .number = count->next, .epoch = sender->epoch, .partition = partition};
  ee_spool_number(sender->settings.spool, entry, &numbering);
  count->next++;
  return numbering.number;
}

// Counts one more record of an earlier epoch, if this one has numbered none of its own there.
static bool count_resent(struct ee_sender *sender, uint8_t topic, int32_t partition) {
  struct ee_numbers_count *count = ee_numbers_at(&sender->numbers, topic, partition);
  if (count->resent != count->next) return false;
  count->next++;
  count->resent++;
  return true;
}

static uint64_t number_again(struct ee_sender *sender, const struct ee_spool_entry *entry,
                             int32_t partition) {
  uint8_t topic = entry->item.topic;
  uint64_t *again = &sender->again[index_of(sender, topic, partition)];
  const struct ee_numbers_count *count = ee_numbers_at(&sender->numbers, topic, partition);
  if (*again < count->resent || count_resent(sender, topic, partition)) return (*again)++;
  return give_own(sender, entry, partition);
}

void sender_number(struct ee_sender *sender, const struct ee_spool_entry *entry,
                   struct ee_window_entry *ret) {
  ret->partition = partition_of(sender, entry);
  ret->numbered = entry->item.topic < EE_PHASE_TOPICS;
  if (!ret->numbered) return;
  if (entry->numbered && entry->numbering.epoch == sender->epoch) {
    ret->number = entry->numbering.number;
  } else if (entry->numbered) {
    ret->was_epoch = entry->numbering.epoch;
    ret->was_number = entry->numbering.number;
    ee_past_read(&sender->past, entry->item.topic, &entry->numbering);
    ret->number = number_again(sender, entry, ret->partition);
  } else {
    ret->number = give_own(sender, entry, ret->partition);
  }
}

// ---- Ahead.

static void number_one_ahead(struct ee_sender *sender, const struct ee_spool_entry *entry) {
  if (entry->item.topic >= EE_PHASE_TOPICS) return;
  int32_t partition = partition_of(sender, entry);
  if (!entry->numbered) {
    give_own(sender, entry, partition);
  } else if (entry->numbering.epoch != sender->epoch) {
    count_resent(sender, entry->item.topic, partition);
  }
}

bool sender_number_ahead(struct ee_sender *sender) {
  if (sender->numbers.bytes == NULL) return false;
  for (int i = 0; i < AHEAD_RECORDS; i++) {
    struct ee_spool_entry entry;
    switch (ee_spool_look_ahead(sender->settings.spool, &entry, NULL)) {
      case EE_SPOOL_READ_RECORD:
        number_one_ahead(sender, &entry);
        break;
      case EE_SPOOL_READ_TORN:
      case EE_SPOOL_READ_MISSING:
        break;  // told when it is its turn
      case EE_SPOOL_READ_NOTHING:
      case EE_SPOOL_READ_FAILED:
        return false;
    }
  }
  return true;
}
