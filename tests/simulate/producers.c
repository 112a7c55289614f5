// SPDX-License-Identifier: Apache-2.0
// Producers, by chance.
#include "tests/simulate/producers.h"

#include <string.h>

#include "contract/record.h"

static const char *const names[PRODUCERS] = {"urn:simulate:eu", "p"};
static const char *const reasons[] = {"refused", "torn", "disk_full", "sent_again"};

// The second one counts its epochs from 1, as if it had begun long ago.
void producers_init(struct producers *producers, struct random *random, int64_t now_ms) {
  *producers = (struct producers){.random = random};
  for (int i = 0; i < PRODUCERS; i++) {
    producers->all[i].epoch = i == 0 ? now_ms / 1000 : 1;
    producers->all[i].former = -1;
  }
}

static void print(char out[64], int who, int64_t epoch, int64_t number) {
  snprintf(out, 64, "%s:%lld:%lld", names[who], (long long)epoch, (long long)number);
}

static int64_t take_owed(struct numbering *of, struct random *random) {
  size_t at = (size_t)random_below(random, (int64_t)of->owed_count);
  int64_t number = of->owed[at];
  of->owed_count--;
  memmove(of->owed + at, of->owed + at + 1, (of->owed_count - at) * sizeof *of->owed);
  return number;
}

// Numbers under which nothing arrives for now.
static void lose(struct numbering *of, struct random *random) {
  while (random_chance(random, 50)) {
    of->next++;  // for ever, and nobody knows
  }
  while (of->owed_count < OWED_MAX && random_chance(random, 80)) {
    of->owed[of->owed_count++] = of->next++;
  }
  while (of->hole_count < PRODUCER_HOLES_MAX && random_chance(random, 80)) {
    const char *reason = reasons[random_below(random, sizeof reasons / sizeof *reasons)];
    of->holes[of->hole_count++] = (struct producer_hole){of->next++, reason};
  }
}

static bool owes(const struct producer *producer) {
  for (int topic = 0; topic < EE_PHASE_TOPICS; topic++) {
    for (int p = 0; p < PRODUCER_PARTITIONS_MAX; p++) {
      if (producer->before[topic][p].owed_count > 0) return true;
    }
  }
  return false;
}

// Another opening of the spool; what the one before still has to send again it forgets nothing of.
static void open_again(struct producer *producer, struct random *random) {
  if (owes(producer)) return;
  memcpy(producer->before, producer->now, sizeof producer->before);
  memset(producer->now, 0, sizeof producer->now);
  producer->former = producer->epoch;
  producer->epoch += 1 + random_below(random, 100);
}

void producers_number(struct producers *producers, struct ee_tp tp, struct numbered *ret) {
  struct random *random = producers->random;
  int who = (int)random_below(random, PRODUCERS);
  struct producer *producer = &producers->all[who];
  *ret = (struct numbered){.seq = ""};
  if (random_chance(random, 100)) return;
  if (random_chance(random, 20)) open_again(producer, random);
  struct numbering *now = &producer->now[tp.topic][tp.partition];
  struct numbering *before = &producer->before[tp.topic][tp.partition];
  lose(now, random);
  bool late = now->owed_count > 0 && random_chance(random, 200);
  print(ret->seq, who, producer->epoch, late ? take_owed(now, random) : now->next++);
  if (before->owed_count > 0 && random_chance(random, 600)) {
    print(ret->was, who, producer->former, take_owed(before, random));
  } else if (now->owed_count > 0 && random_chance(random, 200)) {
    print(ret->was, who, producer->epoch, take_owed(now, random));
  }
}

size_t numbered_headers(const struct numbered *numbered, struct ee_header out[2]) {
  size_t count = 0;
  if (numbered->seq[0] != '\0') {
    out[count++] = (struct ee_header){EE_STR(EE_HEADER_SEQ), ee_str_bytes(ee_str(numbered->seq))};
  }
  if (numbered->was[0] != '\0') {
    out[count++] = (struct ee_header){EE_STR(EE_HEADER_WAS), ee_str_bytes(ee_str(numbered->was))};
  }
  return count;
}

// ---- Reports.

#define ENTRIES_MAX (EE_PHASE_TOPICS * PRODUCER_HOLES_MAX)

struct report {
  struct ee_producer_report record;
  struct ee_producer_sequence sequences[EE_PHASE_TOPICS];
  struct ee_producer_hole holes[ENTRIES_MAX];
};

// Up to where all is acknowledged or declared.
static int64_t settled(const struct numbering *of) {
  return (of->owed_count > 0 ? of->owed[0] : of->next) - 1;
}

static void report_topic(struct report *report, struct random *random, struct ee_tp tp,
                         struct numbering *of) {
  struct ee_str topic = ee_str(ee_topics[tp.topic].name);
  for (size_t i = 0; i < of->hole_count; i++) {
    const struct producer_hole *hole = &of->holes[i];
    report->holes[report->record.holes.count++] =
        (struct ee_producer_hole){.topic = topic,
                                  .partition = tp.partition,
                                  .first = hole->number,
                                  .last = hole->number,
                                  .reason = ee_str(hole->reason)};
  }
  if (!random_chance(random, 200)) of->hole_count = 0;  // else they are declared once more
  if (of->next == 0 || settled(of) < 0) return;
  report->sequences[report->record.sequences.count++] = (struct ee_producer_sequence){
      .topic = topic, .partition = tp.partition, .number = settled(of)};
}

void producers_report(struct producers *producers, int32_t partition, struct ee_buf *out) {
  struct random *random = producers->random;
  int who = (int)random_below(random, PRODUCERS);
  struct producer *producer = &producers->all[who];
  struct report report;
  bool former = producer->former >= 0 && random_chance(random, 500);
  ee_record_init(&ee_producer_report_type, &report.record);
  report.record.producer = ee_str(names[who]);
  report.record.epoch = former ? producer->former : producer->epoch;
  report.record.sequences.items = report.sequences;
  report.record.holes.items = report.holes;
  report.record.closing = former;
  for (enum ee_topic topic = 0; topic < EE_PHASE_TOPICS; topic++) {
    struct numbering *of = &(former ? producer->before : producer->now)[topic][partition];
    report_topic(&report, random, (struct ee_tp){topic, partition}, of);
    if (of->owed_count > 0) report.record.closing = false;
  }
  ee_encode(&ee_producer_report_type, &report.record, out);
}
