// SPDX-License-Identifier: Apache-2.0
// What one epoch of a spool has numbered, by topic and partition, and which numbers will never
// arrive: a small mapped file beside the segments, one an epoch, kept until all that it says was
// reported. Stores survive the process. Calls that open, make, list or remove may block on the
// disk; errors name the file.
#ifndef EE_SPOOL_NUMBERS_H
#define EE_SPOOL_NUMBERS_H

#include <stdatomic.h>

#include "base/err.h"
#include "spool/format.h"

#define EE_NUMBERS_PRODUCER_SIZE 128     // of its name, with a NUL
#define EE_NUMBERS_TOPICS 6              // those of the phases
#define EE_NUMBERS_PARTITIONS_MAX 16384  // of each
#define EE_NUMBERS_HOLES_MAX ((size_t)4096)
// Of those, the ones that what was dropped leaves to what is refused: a record that is refused
// waits for room, and what was dropped behind it stays until that record is settled.
#define EE_NUMBERS_HOLES_SPARED ((size_t)256)

// One topic's partition. Numbers count from 0.
struct ee_numbers_count {
  uint64_t next;              // the number to be given next
  uint64_t acked;             // all below are acknowledged, or are holes
  uint64_t resent;            // all below were given to records of earlier epochs
  _Atomic(uint64_t) dropped;  // events for which there was no room; any thread adds
  uint64_t declared;          // of those, the ones that have numbers: holes
  uint64_t zero[3];
};

enum ee_hole_reason {
  EE_HOLE_NONE,
  EE_HOLE_REFUSED,    // Kafka refused the record for good
  EE_HOLE_TORN,       // the spool was damaged before it was sent
  EE_HOLE_DISK_FULL,  // the spool had no room for it
};
const char *ee_hole_reason_name(enum ee_hole_reason reason);

struct ee_numbers_hole {
  uint64_t first, last;
  int32_t partition;
  uint8_t topic;
  uint8_t reason;
  uint16_t zero;
  uint32_t declared;  // DISK_FULL: the count's, once this is a hole; its lower half
  uint32_t crc;
};

struct ee_numbers {
  uint8_t *bytes;  // mapped
  size_t size;
  uint32_t epoch;
  int32_t partitions;
  const char *producer;             // the name that its numbers were given under; borrows
  struct ee_numbers_count *counts;  // by topic, then partition
  struct ee_numbers_hole *holes;    // EE_NUMBERS_HOLES_MAX; reason EE_HOLE_NONE: free
};

// Makes the file, zeroed, out of the spare one if it can, and another spare. *ret_stored false: the
// disk has no room, and the numbers are in this process's memory alone. producer: below
// EE_NUMBERS_PRODUCER_SIZE bytes. partitions: 1 to EE_NUMBERS_PARTITIONS_MAX.
bool ee_numbers_make(int directory, const uint8_t id[EE_SPOOL_ID_SIZE], const char *producer,
                     uint32_t epoch, int32_t partitions, struct ee_numbers *ret, bool *ret_stored,
                     struct ee_err *err);
// Gives numbers that are in memory alone a file. Nobody else may be using them. False: there is no
// room yet, or err says what is wrong.
bool ee_numbers_store(int directory, const uint8_t id[EE_SPOOL_ID_SIZE], struct ee_numbers *numbers,
                      struct ee_err *err);
// An earlier epoch's, for reading and writing. What is damaged, another spool's or a later
// version's is refused. Its counts are made to fit together, and damaged holes are left out.
bool ee_numbers_open(int directory, const uint8_t id[EE_SPOOL_ID_SIZE], uint32_t epoch,
                     struct ee_numbers *ret, struct ee_err *err);
void ee_numbers_close(struct ee_numbers *numbers);  // closed already: nothing happens
// Takes an epoch's file away: it becomes the spare.
bool ee_numbers_retire(int directory, uint32_t epoch, struct ee_err *err);
bool ee_numbers_remove(int directory, uint32_t epoch, struct ee_err *err);
// For how many partitions the spare has room: as many as topics had. 0: there is none.
int32_t ee_numbers_spare(int directory);
// Epochs that have a file, ascending. *ret: NULL when there are none; else the caller frees it.
bool ee_numbers_list(int directory, uint64_t **ret, size_t *ret_count, struct ee_err *err);

struct ee_numbers_count *ee_numbers_at(const struct ee_numbers *numbers, uint8_t topic,
                                       int32_t partition);
// Notes a hole, joined with one that ends before it. False: there is no room for more.
bool ee_numbers_add_hole(struct ee_numbers *numbers, uint8_t topic, int32_t partition,
                         uint64_t first, uint64_t last, enum ee_hole_reason reason);
void ee_numbers_clear_hole(struct ee_numbers_hole *hole);
// Gives numbers to what was dropped, as holes, as far as there is room for them.
void ee_numbers_declare_dropped(struct ee_numbers *numbers);
// Moves acked over the holes that it stands before.
void ee_numbers_pass_holes(struct ee_numbers *numbers);

#endif
