// SPDX-License-Identifier: Apache-2.0
// Producers' reports out of numbers.
#include "client/report.h"

#include <stdlib.h>

#include "contract/record.h"

static size_t count_of(const struct ee_reporter *reporter) {
  return (size_t)reporter->numbers->partitions * EE_NUMBERS_TOPICS;
}

bool ee_reporter_init(struct ee_reporter *reporter, struct ee_numbers *numbers, bool ended) {
  *reporter = (struct ee_reporter){.numbers = numbers, .ended = ended};
  size_t partitions = (size_t)numbers->partitions;
  reporter->told = calloc(count_of(reporter), sizeof *reporter->told);
  reporter->telling = calloc(count_of(reporter), sizeof *reporter->telling);
  reporter->telling_holes = calloc(EE_NUMBERS_HOLES_MAX, sizeof *reporter->telling_holes);
  reporter->told_holes = calloc(EE_NUMBERS_HOLES_MAX, sizeof *reporter->told_holes);
  reporter->under_way = calloc(partitions, sizeof *reporter->under_way);
  reporter->telling_end = calloc(partitions, sizeof *reporter->telling_end);
  reporter->ended_told = calloc(partitions, sizeof *reporter->ended_told);
  if (reporter->told != NULL && reporter->telling != NULL && reporter->telling_holes != NULL &&
      reporter->told_holes != NULL && reporter->under_way != NULL &&
      reporter->telling_end != NULL && reporter->ended_told != NULL) {
    return true;
  }
  ee_reporter_release(reporter);
  return false;
}

void ee_reporter_release(struct ee_reporter *reporter) {
  free(reporter->told);
  free(reporter->telling);
  free(reporter->telling_holes);
  free(reporter->told_holes);
  free(reporter->under_way);
  free(reporter->telling_end);
  free(reporter->ended_told);
  *reporter = (struct ee_reporter){.numbers = NULL};
}

static size_t index_of(const struct ee_reporter *reporter, uint8_t topic, int32_t partition) {
  return (size_t)topic * (size_t)reporter->numbers->partitions + (size_t)partition;
}

// All below is acknowledged, or will never be, of what may be reported.
static uint64_t reach(const struct ee_reporter *reporter, size_t i) {
  const struct ee_numbers_count *count = &reporter->numbers->counts[i];
  return reporter->ended ? count->next : count->acked;
}

// Whether there is a hole of that partition that was not told. One that has grown since is another.
static bool untold(const struct ee_reporter *reporter, size_t i, int32_t partition) {
  const struct ee_numbers_hole *hole = &reporter->numbers->holes[i];
  return hole->reason != EE_HOLE_NONE && hole->partition == partition &&
         hole->crc != reporter->told_holes[i];
}

static bool any_hole(const struct ee_reporter *reporter, int32_t partition) {
  for (size_t i = 0; i < EE_NUMBERS_HOLES_MAX; i++) {
    if (untold(reporter, i, partition)) return true;
  }
  return false;
}

bool ee_reporter_due(const struct ee_reporter *reporter, int32_t partition) {
  if (reporter->under_way[partition]) return false;
  for (uint8_t topic = 0; topic < EE_NUMBERS_TOPICS; topic++) {
    size_t i = index_of(reporter, topic, partition);
    uint64_t to = reach(reporter, i);
    if (to > reporter->told[i] || (reporter->ended && to > 0 && !reporter->ended_told[partition])) {
      return true;
    }
  }
  return any_hole(reporter, partition);
}

bool ee_reporter_all_told(const struct ee_reporter *reporter) {
  for (int32_t partition = 0; partition < reporter->numbers->partitions; partition++) {
    if (reporter->under_way[partition] || ee_reporter_due(reporter, partition)) return false;
  }
  return true;
}

// ---- One report.

static void add_sequences(struct ee_reporter *reporter, int32_t partition,
                          const struct ee_str *topics, struct ee_producer_report *report) {
  for (uint8_t topic = 0; topic < EE_NUMBERS_TOPICS; topic++) {
    size_t i = index_of(reporter, topic, partition);
    uint64_t to = reach(reporter, i);
    reporter->telling[i] = to;
    if (to == 0) continue;
    report->sequences.items[report->sequences.count++] = (struct ee_producer_sequence){
        .topic = topics[topic], .partition = partition, .number = (int64_t)to - 1};
  }
}

static void add_hole(struct ee_producer_report *report, struct ee_str topic, int32_t partition,
                     uint64_t first, uint64_t last, const char *reason) {
  report->holes.items[report->holes.count++] = (struct ee_producer_hole){.topic = topic,
                                                                         .partition = partition,
                                                                         .first = (int64_t)first,
                                                                         .last = (int64_t)last,
                                                                         .reason = ee_str(reason)};
}

static void add_holes(struct ee_reporter *reporter, int32_t partition, const struct ee_str *topics,
                      struct ee_producer_report *report) {
  for (size_t i = 0; i < EE_NUMBERS_HOLES_MAX; i++) {
    const struct ee_numbers_hole *hole = &reporter->numbers->holes[i];
    if (!untold(reporter, i, partition)) continue;
    if (report->holes.count == EE_REPORT_HOLES_MAX) return;
    add_hole(report, topics[hole->topic], partition, hole->first, hole->last,
             ee_hole_reason_name(hole->reason));
    reporter->telling_holes[i] = hole->crc;
  }
}

// Numbers that this epoch gave to records of earlier ones, which the next opening has sent again
// under others.
static void add_sent_again(const struct ee_reporter *reporter, int32_t partition,
                           const struct ee_str *topics, struct ee_producer_report *report) {
  for (uint8_t topic = 0; topic < EE_NUMBERS_TOPICS; topic++) {
    uint64_t resent = ee_numbers_at(reporter->numbers, topic, partition)->resent;
    if (resent > 0) add_hole(report, topics[topic], partition, 0, resent - 1, "sent_again");
  }
}

bool ee_reporter_make(struct ee_reporter *reporter, int32_t partition,
                      const struct ee_str topics[EE_NUMBERS_TOPICS], struct ee_arena *arena,
                      struct ee_producer_report *ret) {
  ee_record_init(&ee_producer_report_type, ret);
  size_t holes = EE_REPORT_HOLES_MAX + EE_NUMBERS_TOPICS;
  ret->sequences.items = ee_arena_zero(arena, EE_NUMBERS_TOPICS, sizeof *ret->sequences.items);
  ret->holes.items = ee_arena_zero(arena, holes, sizeof *ret->holes.items);
  if (ret->sequences.items == NULL || ret->holes.items == NULL) return false;
  ret->epoch = reporter->numbers->epoch;
  ret->closing = reporter->ended;
  add_sequences(reporter, partition, topics, ret);
  if (reporter->ended) add_sent_again(reporter, partition, topics, ret);
  add_holes(reporter, partition, topics, ret);
  reporter->under_way[partition] = true;
  reporter->telling_end[partition] = reporter->ended;
  return true;
}

static bool passed(const struct ee_reporter *reporter, const struct ee_numbers_hole *hole) {
  return ee_numbers_at(reporter->numbers, hole->topic, hole->partition)->acked > hole->last;
}

static void settle_holes(struct ee_reporter *reporter, int32_t partition, bool written) {
  for (size_t i = 0; i < EE_NUMBERS_HOLES_MAX; i++) {
    struct ee_numbers_hole *hole = &reporter->numbers->holes[i];
    if (hole->reason == EE_HOLE_NONE || hole->partition != partition) continue;
    if (written && hole->crc == reporter->telling_holes[i]) reporter->told_holes[i] = hole->crc;
    reporter->telling_holes[i] = 0;
    if (hole->crc == reporter->told_holes[i] && passed(reporter, hole)) ee_numbers_clear_hole(hole);
  }
}

void ee_reporter_result(struct ee_reporter *reporter, int32_t partition, bool written) {
  reporter->under_way[partition] = false;
  settle_holes(reporter, partition, written);
  if (!written) return;
  for (uint8_t topic = 0; topic < EE_NUMBERS_TOPICS; topic++) {
    size_t i = index_of(reporter, topic, partition);
    reporter->told[i] = reporter->telling[i];
  }
  if (reporter->telling_end[partition]) reporter->ended_told[partition] = true;
}
