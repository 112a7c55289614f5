// SPDX-License-Identifier: Apache-2.0
// The sender through everything that can happen to it, on a spool that is real and a way out that
// is not: what was accepted arrives or is refused, whatever crashes lie between; and a reader that
// knows nothing but numbers and reports misses exactly what did not arrive.
#include "client/sender.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/aside.h"
#include "contract/record.h"
#include "spool/segment.h"
#include "tests/support/chaos.h"
#include "tests/support/directory.h"
#include "tests/unit/client/sender_double.h"
#include "wire/partition.h"

#define FIRST_EPOCH 1000
#define SEGMENT ((size_t)1 << 20)
#define OPENINGS 6
#define REASON_MAX 6000

struct event {
  enum ee_topic topic;
  int32_t partition;
};

// One seed's world.
struct world {
  struct random random;
  char *directory, name[32];
  struct outlet_double *outlet;
  struct ee_spool *spool;
  struct ee_sender *sender;
  int openings;
  int64_t now_ms;
  struct event events[EVENTS];
  int64_t accepted;
  int64_t dropped[TOPICS][PARTITIONS];
  uint64_t refused;  // as the senders counted
  int64_t told, told_refused;
  bool damaged;
};

static bool chance(struct world *w, int per_mille) {
  return (int)random_below(&w->random, 1000) < per_mille;
}

// ---- Opening and closing.

static void on_delivery(void *context, const struct envelope_delivery *delivery) {
  struct world *w = context;
  int64_t event = strtoll(delivery->envelope_id + 2, NULL, 10);
  assert_true(event < w->accepted);
  assert_int_equal(strncmp(delivery->event_id, "v-", 2), 0);
  w->told++;
  w->told_refused += delivery->refused != NULL;
}

static void open_world(struct world *w) {
  struct ee_err err = {""};
  struct ee_spool_settings settings = {.directory = w->directory,
                                       .segment_bytes = SEGMENT,
                                       .most_bytes = 256 * SEGMENT,
                                       .wall_s = FIRST_EPOCH + w->openings++};
  if (!ee_spool_open(&settings, &w->spool, &err)) fail_msg("%s", err.text);
  w->outlet->partitions_told = false;
  // Each opening by another name: what an earlier one has numbered stays under its own.
  snprintf(w->name, sizeof w->name, "name-%u", ee_spool_epoch(w->spool));
  struct ee_sender_settings sender = {.spool = w->spool,
                                      .outlet = double_outlet(w->outlet),
                                      .producer = w->name,
                                      .topic_prefix = "p.",
                                      .aside_bytes = (uint64_t)64 << 20,
                                      .delivered = on_delivery,
                                      .delivered_context = w};
  if (!ee_sender_new(&sender, &w->sender, &err)) fail_msg("%s", err.text);
}

static void close_world(struct world *w) {
  w->refused += ee_sender_counts(w->sender)->refused;
  ee_sender_free(w->sender);
  ee_spool_close(w->spool);
  w->sender = NULL;
  w->spool = NULL;
}

static bool turn(struct world *w, int64_t most_ms) {
  w->now_ms += (int64_t)random_below(&w->random, (size_t)most_ms);
  struct ee_sender_time now = {.monotonic_ms = w->now_ms, .wall_us = w->now_ms * 1000};
  return ee_sender_turn(w->sender, &now, 0);
}

static void keep(struct world *w) {
  struct ee_err err = {""};
  if (!ee_spool_keep(w->spool, &err)) fail_msg("%s", err.text);
}

// ---- Events.

static void append(struct world *w) {
  static char reason[REASON_MAX];
  char id[32], event_id[32];
  struct ee_buf avro;
  int64_t number = w->accepted;
  if (number >= EVENTS) return;
  memset(reason, 'r', sizeof reason);
  snprintf(id, sizeof id, "e-%lld", (long long)number);
  snprintf(event_id, sizeof event_id, "v-%lld", (long long)number);
  struct ee_failed failed = {.envelope_id = ee_str(id),
                             .event_id = ee_str(event_id),
                             .tenant = EE_STR("t"),
                             .occurred_at = number,
                             .source = EE_STR("urn:s"),
                             .stage = EE_STR("s"),
                             .reason = {reason, random_below(&w->random, sizeof reason)}};
  struct ee_released released = {.envelope_id = failed.envelope_id,
                                 .event_id = failed.event_id,
                                 .tenant = failed.tenant,
                                 .source = failed.source,
                                 .reason = failed.reason};
  bool is_failed = chance(w, 600);
  enum ee_topic topic = is_failed ? EE_TOPIC_FAILED : EE_TOPIC_RELEASED;
  ee_buf_init(&avro, (size_t)1 << 20);
  ee_encode(ee_topics[topic].value, is_failed ? (void *)&failed : (void *)&released, &avro);
  struct ee_spool_item item = {.schema = ee_topics[topic].value->fingerprint,
                               .accepted_us = number,
                               .topic = (uint8_t)topic,
                               .payload = ee_buf_bytes(&avro)};
  if (!ee_spool_append(w->spool, &item, NULL)) {
    keep(w);
    assert_true(ee_spool_append(w->spool, &item, NULL));
  }
  int32_t partition = ee_partition_of(ee_str_bytes(ee_str(id)), PARTITIONS);
  w->events[number] = (struct event){.topic = topic, .partition = partition};
  w->outlet->poison[number] = chance(w, 15);
  w->accepted++;
  ee_buf_release(&avro);
}

// Before partitions are known it is counted in memory alone, and may be lost with the process.
static void drop(struct world *w) {
  char id[32];
  if (!w->outlet->partitions_told) return;
  enum ee_topic topic = chance(w, 500) ? EE_TOPIC_FAILED : EE_TOPIC_RELEASED;
  snprintf(id, sizeof id, "dropped-%d", (int)random_below(&w->random, 1000));
  ee_sender_dropped(w->sender, topic, ee_str(id));
  w->dropped[topic][ee_partition_of(ee_str_bytes(ee_str(id)), PARTITIONS)]++;
}

// ---- Phases of a seed.

static void set_faults(struct world *w) {
  struct outlet_double *outlet = w->outlet;
  outlet->later = chance(w, 500) ? (int)random_below(&w->random, 300) : 0;
  outlet->again = chance(w, 500) ? (int)random_below(&w->random, 200) : 0;
  outlet->broken = chance(w, 300) ? (int)random_below(&w->random, 100) : 0;
  outlet->unknown_partitions = chance(w, 300) ? 700 : 0;
}

static void set_good(struct world *w) {
  struct outlet_double *outlet = w->outlet;
  outlet->later = outlet->again = outlet->broken = outlet->unknown_partitions = 0;
  outlet->away = false;
  outlet->is_broken = false;
}

static void some_work(struct world *w) {
  size_t steps = random_below(&w->random, 120);
  for (size_t i = 0; i < steps; i++) {
    size_t burst = chance(w, 300) ? random_below(&w->random, 40) : 0;
    for (size_t j = 0; j < burst; j++)
      append(w);
    if (chance(w, 30)) w->outlet->away = !w->outlet->away;
    if (chance(w, 20)) drop(w);
    if (chance(w, 500)) keep(w);
    turn(w, 200);
  }
}

// Until all is written and told.
static void finish(struct world *w) {
  set_good(w);
  struct ee_spool_at tail = ee_spool_tail(w->spool);
  int i = 0;
  for (; i < 100000 && !ee_sender_reached(w->sender, tail); i++) {
    turn(w, 200);
    keep(w);
  }
  for (; i < 100000 && !ee_sender_end(w->sender); i++)
    turn(w, 200);
  assert_in_range(i, 0, 99999);
}

// So that each record has its number: partitions are known, and nothing more is to be done.
static void number_all(struct world *w) {
  set_good(w);
  for (int i = 0; i < 20 && !w->outlet->partitions_told; i++)
    turn(w, 200);
  w->outlet->away = true;
  for (int i = 0; i < 1000 && turn(w, 200); i++) {
  }
}

// ---- Damage.

static void spoil(struct world *w, uint64_t number) {
  char path[512];
  struct stat found;
  snprintf(path, sizeof path, "%s/%016llx.segment", w->directory, (unsigned long long)number);
  if (chance(w, 300)) {
    assert_int_equal(unlink(path), 0);
    return;
  }
  int fd = open(path, O_RDWR);
  assert_true(fd >= 0);
  assert_int_equal(fstat(fd, &found), 0);
  if (chance(w, 200)) {
    off_t cut = (off_t)random_below(&w->random, (size_t)found.st_size);
    assert_int_equal(ftruncate(fd, cut), 0);
  } else {
    uint8_t noise[512];
    for (size_t i = 0; i < sizeof noise; i++)
      noise[i] = (uint8_t)random_next(&w->random);
    off_t at = (off_t)random_below(&w->random, (size_t)found.st_size);
    assert_true(pwrite(fd, noise, sizeof noise, at) == (ssize_t)sizeof noise);
  }
  close(fd);
}

static void damage(struct world *w) {
  uint64_t *numbers = NULL;
  size_t count = 0;
  int fd = open(w->directory, O_RDONLY | O_DIRECTORY);
  assert_true(fd >= 0);
  assert_true(ee_spool_segment_list(fd, &numbers, &count, NULL));
  close(fd);
  if (count > 0) spoil(w, numbers[random_below(&w->random, count)]);
  free(numbers);
  w->damaged = true;
}

// ---- A seed.

static void assert_complete(const struct world *w, uint64_t seed) {
  int64_t undelivered[TOPICS][PARTITIONS] = {{0}};
  int64_t missing = 0, declared = 0;
  for (int64_t i = 0; i < w->accepted; i++) {
    const struct event *event = &w->events[i];
    bool refused = w->outlet->poison[i] || w->outlet->unauthorised[event->topic];
    if (w->outlet->delivered[i] > 0) continue;
    if (!refused && !w->damaged)
      fail_msg("seed %llu: event %d lost", (unsigned long long)seed, (int)i);
    undelivered[event->topic][event->partition]++;
  }
  for (int t = 0; t < TOPICS; t++) {
    int64_t here = 0, wanted = 0;
    for (int p = 0; p < PARTITIONS; p++) {
      here += double_missing(w->outlet, t, p);
      declared += double_declared(w->outlet, t, p);
      wanted += undelivered[t][p] + w->dropped[t][p];
    }
    if (here != wanted) {
      fail_msg("seed %llu: topic %d: %lld numbers are missing, %lld events are",
               (unsigned long long)seed, t, (long long)here, (long long)wanted);
    }
    missing += here;
  }
  if (w->damaged ? declared < missing : declared != missing) {
    fail_msg("seed %llu: %lld missing, %lld declared", (unsigned long long)seed, (long long)missing,
             (long long)declared);
  }
}

static void run_seed(uint64_t seed) {
  struct world *w = calloc(1, sizeof *w);
  assert_non_null(w);
  w->random.state = seed;
  w->now_ms = 1000;
  w->directory = directory_new();
  w->outlet = double_new(seed * 7 + 1, FIRST_EPOCH);
  w->outlet->unauthorised[EE_TOPIC_RELEASED] = chance(w, 100);
  for (int i = 0; i < OPENINGS; i++) {
    open_world(w);
    keep(w);
    set_faults(w);
    some_work(w);
    bool spoils = chance(w, 200);
    if (spoils) number_all(w);
    if (!spoils && chance(w, 300)) {
      finish(w);
    } else {
      double_crash(w->outlet);
    }
    close_world(w);
    if (spoils) damage(w);
  }
  open_world(w);
  keep(w);
  finish(w);
  close_world(w);
  assert_complete(w, seed);
  double_free(w->outlet);
  directory_free(w->directory);
  free(w);
}

static void test_seeds(void **state) {
  (void)state;
  const char *first = getenv("FIRST_SEED"), *seeds = getenv("SEEDS");
  uint64_t from = first == NULL ? 1 : strtoull(first, NULL, 10);
  uint64_t count = seeds == NULL ? (uint64_t)ee_tries(100) : strtoull(seeds, NULL, 10);
  for (uint64_t seed = from; seed < from + count; seed++)
    run_seed(seed);
}

// Each allocation of the turn that sends the first record fails: it goes later, and whole (the
// double looks).
static void test_short_memory(void **state) {
  (void)state;
  bool failed = true;
  for (size_t n = 0; failed; n++) {
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->directory = directory_new();
    w->now_ms = 1000;
    w->outlet = double_new(1, FIRST_EPOCH);
    w->outlet->flight_room = 64;  // what is the test's own does not fail
    w->outlet->flights = calloc(w->outlet->flight_room, sizeof *w->outlet->flights);
    open_world(w);
    keep(w);
    append(w);
    ee_chaos_fail_after(n);
    turn(w, 1);
    failed = ee_chaos_stop();
    finish(w);
    close_world(w);
    assert_int_equal(w->outlet->delivered[0], 1);
    double_free(w->outlet);
    directory_free(w->directory);
    free(w);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_seeds),
      cmocka_unit_test(test_short_memory),
  };
  return cmocka_run_group_tests_name("client/sender", tests, NULL, NULL);
}
