// SPDX-License-Identifier: Apache-2.0
// Earlier epochs of the spool.
#include "client/past.h"

#include <stdlib.h>

static bool open_epoch(struct ee_past *past, const uint8_t *id, uint32_t epoch,
                       struct ee_past_epoch *ret) {
  struct ee_err err;
  *ret = (struct ee_past_epoch){.expected = NULL};
  if (!ee_numbers_open(past->directory, id, epoch, &ret->numbers, &err)) {
    ee_notice(past->notices, ENVELOPE_WARNING, "numbers of epoch %u are lost: %s", epoch, err.text);
    return false;
  }
  size_t count = (size_t)ret->numbers.partitions * EE_NUMBERS_TOPICS;
  ret->expected = calloc(count, sizeof *ret->expected);
  if (ret->expected == NULL) {
    ee_numbers_close(&ret->numbers);
    return false;
  }
  for (size_t i = 0; i < count; i++) {
    const struct ee_numbers_count *at = &ret->numbers.counts[i];
    ret->expected[i] = at->acked > at->resent ? at->acked : at->resent;
  }
  return true;
}

static void release_epoch(struct ee_past_epoch *epoch) {
  ee_reporter_release(&epoch->reporter);
  ee_numbers_close(&epoch->numbers);
  free(epoch->expected);
}

static void take_epoch(struct ee_past *past, const uint8_t *id, uint32_t number) {
  struct ee_past_epoch *epoch = &past->epochs[past->count];
  if (!open_epoch(past, id, number, epoch)) return;
  past->partitions = epoch->numbers.partitions;
  past->count++;
}

// The newest that may be kept; the others' files go.
static size_t forget_oldest(struct ee_past *past, const uint64_t *epochs, size_t count) {
  size_t first = count > EE_PAST_EPOCHS_MAX ? count - EE_PAST_EPOCHS_MAX : 0;
  for (size_t i = 0; i < first; i++) {
    ee_numbers_remove(past->directory, (uint32_t)epochs[i], NULL);
    ee_notice(past->notices, ENVELOPE_WARNING,
              "epoch %u is not reported: more than %zu wait for their report", (unsigned)epochs[i],
              EE_PAST_EPOCHS_MAX);
  }
  return first;
}

bool ee_past_init(struct ee_past *past, int directory, const uint8_t id[EE_SPOOL_ID_SIZE],
                  const struct ee_notices *notices, struct ee_err *err) {
  *past = (struct ee_past){.directory = directory, .notices = notices};
  uint64_t *epochs = NULL;
  size_t count;
  if (!ee_numbers_list(directory, &epochs, &count, err)) return false;
  size_t first = forget_oldest(past, epochs, count);
  past->partitions = ee_numbers_spare(directory);
  past->epochs = calloc(count - first + 1, sizeof *past->epochs);
  bool memory = past->epochs != NULL;
  for (size_t i = first; i < count && memory; i++)
    take_epoch(past, id, (uint32_t)epochs[i]);
  free(epochs);
  return memory || ee_err_set(err, "no memory for earlier epochs");
}

void ee_past_release(struct ee_past *past) {
  for (size_t i = 0; i < past->count; i++)
    release_epoch(&past->epochs[i]);
  free(past->epochs);
  past->epochs = NULL;
  past->count = 0;
}

// ---- Records.

static struct ee_past_epoch *find(const struct ee_past *past, uint8_t topic,
                                  const struct ee_spool_numbering *numbering) {
  for (size_t i = past->count; i-- > 0;) {
    struct ee_past_epoch *epoch = &past->epochs[i];
    if (epoch->numbers.epoch != numbering->epoch) continue;
    bool fits = topic < EE_NUMBERS_TOPICS && numbering->partition >= 0 &&
                numbering->partition < epoch->numbers.partitions;
    return fits ? epoch : NULL;
  }
  return NULL;
}

const char *ee_past_producer(const struct ee_past *past, uint32_t epoch) {
  for (size_t i = past->count; i-- > 0;) {
    if (past->epochs[i].numbers.epoch == epoch) return past->epochs[i].numbers.producer;
  }
  return NULL;
}

static uint64_t *expected_of(const struct ee_past_epoch *epoch, uint8_t topic, int32_t partition) {
  return &epoch->expected[(size_t)topic * (size_t)epoch->numbers.partitions + (size_t)partition];
}

// The hole of a topic's partition that is not below `from` and begins first; NULL: there is none.
static const struct ee_numbers_hole *next_hole(const struct ee_numbers *numbers, uint8_t topic,
                                               int32_t partition, uint64_t from) {
  const struct ee_numbers_hole *best = NULL;
  for (size_t i = 0; i < EE_NUMBERS_HOLES_MAX; i++) {
    const struct ee_numbers_hole *hole = &numbers->holes[i];
    if (hole->reason == EE_HOLE_NONE || hole->topic != topic || hole->partition != partition ||
        hole->last < from) {
      continue;
    }
    if (best == NULL || hole->first < best->first) best = hole;
  }
  return best;
}

// Numbers from `from` to before `to` did not come: but for those that are holes already, they are
// torn.
static void miss(struct ee_past *past, struct ee_past_epoch *epoch, uint8_t topic,
                 int32_t partition, uint64_t from, uint64_t to) {
  struct ee_numbers *numbers = &epoch->numbers;
  while (from < to) {
    const struct ee_numbers_hole *hole = next_hole(numbers, topic, partition, from);
    uint64_t until = hole == NULL || hole->first > to ? to : hole->first;
    uint64_t next = hole == NULL || hole->first > to ? to : hole->last + 1;
    if (until > from) {
      past->lost += until - from;
      ee_numbers_add_hole(numbers, topic, partition, from, until - 1, EE_HOLE_TORN);
    }
    from = next;
  }
}

void ee_past_read(struct ee_past *past, uint8_t topic, const struct ee_spool_numbering *numbering) {
  struct ee_past_epoch *epoch = find(past, topic, numbering);
  if (epoch == NULL) return;
  uint64_t *expected = expected_of(epoch, topic, numbering->partition);
  uint64_t next = ee_numbers_at(&epoch->numbers, topic, numbering->partition)->next;
  if (numbering->number < *expected || numbering->number >= next) return;
  miss(past, epoch, topic, numbering->partition, *expected, numbering->number);
  *expected = numbering->number + 1;
}

void ee_past_settled(struct ee_past *past, uint8_t topic,
                     const struct ee_spool_numbering *numbering) {
  struct ee_past_epoch *epoch = find(past, topic, numbering);
  if (epoch == NULL) return;
  struct ee_numbers_count *at = ee_numbers_at(&epoch->numbers, topic, numbering->partition);
  if (numbering->number >= at->acked && numbering->number < at->next) {
    at->acked = numbering->number + 1;
  }
}

void ee_past_refused(struct ee_past *past, uint8_t topic,
                     const struct ee_spool_numbering *numbering) {
  struct ee_past_epoch *epoch = find(past, topic, numbering);
  if (epoch == NULL) return;
  ee_numbers_add_hole(&epoch->numbers, topic, numbering->partition, numbering->number,
                      numbering->number, EE_HOLE_REFUSED);
}

// ---- The end.

static bool end_epoch(struct ee_past *past, struct ee_past_epoch *epoch) {
  for (uint8_t topic = 0; topic < EE_NUMBERS_TOPICS; topic++) {
    for (int32_t partition = 0; partition < epoch->numbers.partitions; partition++) {
      uint64_t *expected = expected_of(epoch, topic, partition);
      uint64_t next = ee_numbers_at(&epoch->numbers, topic, partition)->next;
      miss(past, epoch, topic, partition, *expected, next);
      *expected = next;
    }
  }
  ee_numbers_declare_dropped(&epoch->numbers);
  return ee_reporter_init(&epoch->reporter, &epoch->numbers, true);
}

bool ee_past_end(struct ee_past *past) {
  for (size_t i = 0; i < past->count; i++) {
    struct ee_past_epoch *epoch = &past->epochs[i];
    if (epoch->reporter.numbers == NULL && !end_epoch(past, epoch)) return false;
  }
  past->ended = true;
  return true;
}

void ee_past_forget_told(struct ee_past *past) {
  size_t kept = 0;
  for (size_t i = 0; i < past->count; i++) {
    struct ee_past_epoch *epoch = &past->epochs[i];
    if (past->ended && ee_reporter_all_told(&epoch->reporter)) {
      ee_numbers_retire(past->directory, epoch->numbers.epoch, NULL);
      release_epoch(epoch);
    } else {
      if (kept != i) past->epochs[kept] = *epoch;
      if (kept != i) past->epochs[kept].reporter.numbers = &past->epochs[kept].numbers;
      kept++;
    }
  }
  past->count = kept;
}
