// SPDX-License-Identifier: Apache-2.0
// Files of numbers with anything in them: what is opened fits together, can be walked, and is
// reported within bounds. The first byte says how many partitions; then come edits: a count, a
// hole with a checksum of its own, a byte anywhere. 255 first: the rest is the file.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/report.h"

#define EPOCH 1
#define NAME "00000001.numbers"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t id[EE_SPOOL_ID_SIZE] = "fuzz";
static char path[4096];
static int directory = -1;

static void require(bool holds) {
  if (!holds) abort();
}

static void leave(void) {
  unlinkat(directory, NAME, 0);
  rmdir(path);
}

static void enter(void) {
  const char *parent = getenv("TMPDIR");
  snprintf(path, sizeof path, "%s/ee-fuzz-XXXXXX", parent == NULL ? "/tmp" : parent);
  require(mkdtemp(path) != NULL);
  directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  require(directory >= 0 && atexit(leave) == 0);
}

// ---- The input.

struct input {
  const uint8_t *data;
  size_t size;
};

// Zeros behind the end.
static uint64_t take(struct input *input, size_t bytes) {
  uint64_t value = 0;
  for (; bytes > 0; bytes--) {
    value = value << 8 | (input->size > 0 ? *input->data : 0);
    input->data += input->size > 0;
    input->size -= input->size > 0;
  }
  return value;
}

static void edit_count(struct ee_numbers *numbers, struct input *input) {
  uint8_t topic = (uint8_t)(take(input, 1) % EE_NUMBERS_TOPICS);
  int32_t partition = (int32_t)(take(input, 1) % (uint64_t)numbers->partitions);
  size_t field = (size_t)(take(input, 1) % (sizeof(struct ee_numbers_count) / sizeof(uint64_t)));
  uint64_t value = take(input, 8);
  memcpy((uint8_t *)ee_numbers_at(numbers, topic, partition) + field * sizeof value, &value,
         sizeof value);
}

static void edit_hole(struct ee_numbers *numbers, struct input *input) {
  uint8_t topic = (uint8_t)take(input, 1);
  int32_t partition = (int32_t)(int8_t)take(input, 1);
  enum ee_hole_reason reason = (enum ee_hole_reason)take(input, 1);
  uint64_t first = take(input, 8), last = take(input, 8);
  ee_numbers_add_hole(numbers, topic, partition, first, last, reason);
}

static void edit(struct ee_numbers *numbers, struct input *input) {
  while (input->size > 0) {
    switch (take(input, 1) % 3) {
      case 0:
        edit_count(numbers, input);
        break;
      case 1:
        edit_hole(numbers, input);
        break;
      default: {
        size_t at = (size_t)take(input, 3) % numbers->size;
        numbers->bytes[at] = (uint8_t)take(input, 1);
      }
    }
  }
}

static void write_raw(struct input *input) {
  int file = openat(directory, NAME, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  require(file >= 0 && write(file, input->data, input->size) == (ssize_t)input->size);
  close(file);
}

static void write_edited(uint8_t partitions, struct input *input) {
  struct ee_numbers numbers;
  bool stored;
  require(ee_numbers_make(directory, id, "producer", EPOCH, 1 + partitions % 3, &numbers, &stored,
                          NULL));
  require(stored);
  edit(&numbers, input);
  ee_numbers_close(&numbers);
}

// ---- What was opened.

static void check(const struct ee_numbers *numbers) {
  for (int32_t i = 0; i < numbers->partitions * EE_NUMBERS_TOPICS; i++) {
    const struct ee_numbers_count *at = &numbers->counts[i];
    uint64_t dropped = atomic_load(&at->dropped);
    require(at->next <= INT64_MAX && at->acked <= at->next && at->resent <= at->next);
    require(at->declared <= dropped && dropped - at->declared <= INT64_MAX - at->next);
  }
  for (size_t i = 0; i < EE_NUMBERS_HOLES_MAX; i++) {
    const struct ee_numbers_hole *hole = &numbers->holes[i];
    if (hole->reason == EE_HOLE_NONE) continue;
    require(hole->topic < EE_NUMBERS_TOPICS && hole->partition >= 0);
    require(hole->partition < numbers->partitions && hole->first <= hole->last);
    require(hole->last < ee_numbers_at(numbers, hole->topic, hole->partition)->next);
  }
}

static void report(struct ee_numbers *numbers, struct ee_arena *arena) {
  const struct ee_str topics[EE_NUMBERS_TOPICS] = {EE_STR_INIT("topic")};
  struct ee_reporter reporter;
  require(ee_reporter_init(&reporter, numbers, true));
  for (int32_t partition = 0; partition < numbers->partitions; partition++) {
    for (int reports = 0; ee_reporter_due(&reporter, partition); reports++) {
      struct ee_producer_report made;
      ee_arena_clear(arena);
      require(reports < 6 && ee_reporter_make(&reporter, partition, topics, arena, &made));
      for (size_t i = 0; i < made.sequences.count; i++)
        require(made.sequences.items[i].number >= 0);
      for (size_t i = 0; i < made.holes.count; i++) {
        require(made.holes.items[i].first >= 0);
        require(made.holes.items[i].last >= made.holes.items[i].first);
      }
      ee_reporter_result(&reporter, partition, true);
    }
  }
  require(ee_reporter_all_told(&reporter));
  ee_reporter_release(&reporter);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct input input = {data, size};
  struct ee_numbers numbers;
  struct ee_arena arena;
  if (directory < 0) enter();
  uint8_t kind = (uint8_t)take(&input, 1);
  if (kind == 255)
    write_raw(&input);
  else
    write_edited(kind, &input);
  if (!ee_numbers_open(directory, id, EPOCH, &numbers, NULL)) return 0;
  ee_arena_init(&arena, 1 << 20);
  check(&numbers);
  ee_numbers_declare_dropped(&numbers);
  ee_numbers_pass_holes(&numbers);
  check(&numbers);
  report(&numbers, &arena);
  check(&numbers);
  ee_numbers_close(&numbers);
  ee_arena_release(&arena);
  return 0;
}
