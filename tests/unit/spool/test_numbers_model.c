// SPDX-License-Identifier: Apache-2.0
// Numbers against a model: whatever is given, acknowledged, refused, dropped and opened again, the
// holes are those of the model, and acked stands before the first number that is neither.
#include <fcntl.h>
#include <unistd.h>

#include "spool/numbers.h"
#include "support/directory.h"
#include "tests/unit/contract/random_record.h"

#define PARTITIONS 2
#define NUMBERS 4096
#define STEPS 400

enum fate { PENDING, ACKED, HOLE_REFUSED, HOLE_TORN, HOLE_DISK_FULL };

// One topic's partition.
struct line {
  enum fate fates[NUMBERS];
  uint64_t next, dropped, declared;
};

struct world {
  struct random random;
  struct ee_numbers numbers;
  int directory;
  struct line lines[EE_NUMBERS_TOPICS][PARTITIONS];
};

static const uint8_t id[EE_SPOOL_ID_SIZE] = "a spool's id 15";

static struct line *line_of(struct world *world, uint8_t topic, int32_t partition) {
  return &world->lines[topic][partition];
}

// The oldest number that nothing is known of; next: there is none.
static uint64_t oldest(const struct line *line) {
  uint64_t n = 0;
  while (n < line->next && line->fates[n] != PENDING)
    n++;
  return n;
}

static void acknowledge(struct world *world, uint8_t topic, int32_t partition) {
  struct line *line = line_of(world, topic, partition);
  uint64_t n = oldest(line);
  if (n == line->next) return;
  line->fates[n] = ACKED;
  ee_numbers_at(&world->numbers, topic, partition)->acked = n + 1;
}

static void refuse(struct world *world, uint8_t topic, int32_t partition,
                   enum ee_hole_reason reason) {
  struct line *line = line_of(world, topic, partition);
  uint64_t n = oldest(line);
  if (n == line->next) return;
  line->fates[n] = reason == EE_HOLE_TORN ? HOLE_TORN : HOLE_REFUSED;
  assert_true(ee_numbers_add_hole(&world->numbers, topic, partition, n, n, reason));
}

static void declare(struct world *world) {
  ee_numbers_declare_dropped(&world->numbers);
  for (uint8_t topic = 0; topic < EE_NUMBERS_TOPICS; topic++) {
    for (int32_t partition = 0; partition < PARTITIONS; partition++) {
      struct line *line = line_of(world, topic, partition);
      for (; line->declared < line->dropped; line->declared++)
        line->fates[line->next++] = HOLE_DISK_FULL;
    }
  }
}

static void reopen(struct world *world) {
  struct ee_err err;
  ee_numbers_close(&world->numbers);
  if (!ee_numbers_open(world->directory, id, 1, &world->numbers, &err)) fail_msg("%s", err.text);
}

static void take_step(struct world *world) {
  struct random *r = &world->random;
  uint8_t topic = (uint8_t)random_below(r, EE_NUMBERS_TOPICS);
  int32_t partition = (int32_t)random_below(r, PARTITIONS);
  struct line *line = line_of(world, topic, partition);
  struct ee_numbers_count *count = ee_numbers_at(&world->numbers, topic, partition);
  uint64_t more = random_below(r, 4);
  switch (random_below(r, 12)) {
    case 0:
      line->dropped += more;
      atomic_fetch_add(&count->dropped, more);
      break;
    case 1:
      declare(world);
      break;
    case 2:
      refuse(world, topic, partition, EE_HOLE_REFUSED);
      break;
    case 3:
      refuse(world, topic, partition, EE_HOLE_TORN);
      break;
    case 4:
      ee_numbers_pass_holes(&world->numbers);
      break;
    case 5:
      reopen(world);
      break;
    case 6:
    case 7:
    case 8:
      acknowledge(world, topic, partition);
      break;
    default:
      count->next++;
      line->fates[line->next++] = PENDING;
  }
}

static enum ee_hole_reason reason_of(enum fate fate) {
  switch (fate) {
    case HOLE_REFUSED:
      return EE_HOLE_REFUSED;
    case HOLE_TORN:
      return EE_HOLE_TORN;
    case HOLE_DISK_FULL:
      return EE_HOLE_DISK_FULL;
    default:
      return EE_HOLE_NONE;
  }
}

// Each number is in one hole, of its reason, or in none.
static void check_holes(const struct world *world, uint8_t topic, int32_t partition) {
  const struct line *line = &world->lines[topic][partition];
  enum ee_hole_reason reasons[NUMBERS] = {EE_HOLE_NONE};
  for (size_t i = 0; i < EE_NUMBERS_HOLES_MAX; i++) {
    const struct ee_numbers_hole *hole = &world->numbers.holes[i];
    bool mine = hole->reason != EE_HOLE_NONE && hole->topic == topic;
    if (!mine || hole->partition != partition) continue;
    assert_true(hole->first <= hole->last && hole->last < line->next);
    for (uint64_t n = hole->first; n <= hole->last; n++) {
      assert_int_equal(reasons[n], EE_HOLE_NONE);
      reasons[n] = (enum ee_hole_reason)hole->reason;
    }
  }
  for (uint64_t n = 0; n < line->next; n++)
    assert_int_equal(reasons[n], reason_of(line->fates[n]));
}

static void check(struct world *world) {
  for (uint8_t topic = 0; topic < EE_NUMBERS_TOPICS; topic++) {
    for (int32_t partition = 0; partition < PARTITIONS; partition++) {
      const struct line *line = line_of(world, topic, partition);
      const struct ee_numbers_count *count = ee_numbers_at(&world->numbers, topic, partition);
      assert_true(count->next == line->next && count->declared == line->declared);
      assert_true(atomic_load(&count->dropped) == line->dropped);
      assert_true(count->acked <= oldest(line));
      check_holes(world, topic, partition);
    }
  }
}

static void run(uint64_t seed, int directory) {
  static struct world world;
  struct ee_err err;
  bool stored;
  memset(&world, 0, sizeof world);
  world.random.state = seed;
  world.directory = directory;
  if (!ee_numbers_make(directory, id, "producer", 1, PARTITIONS, &world.numbers, &stored, &err)) {
    fail_msg("%s", err.text);
  }
  for (int i = 0; i < STEPS; i++)
    take_step(&world);
  check(&world);
  ee_numbers_pass_holes(&world.numbers);
  for (uint8_t topic = 0; topic < EE_NUMBERS_TOPICS; topic++) {
    for (int32_t partition = 0; partition < PARTITIONS; partition++) {
      assert_true(ee_numbers_at(&world.numbers, topic, partition)->acked ==
                  oldest(line_of(&world, topic, partition)));
    }
  }
  reopen(&world);
  check(&world);
  ee_numbers_close(&world.numbers);
}

static void test_model(void **state) {
  (void)state;
  char *path = directory_new();
  int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  assert_true(directory >= 0);
  for (int seed = 0; seed < ee_tries(300); seed++)
    run((uint64_t)seed, directory);
  close(directory);
  directory_free(path);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_model)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
