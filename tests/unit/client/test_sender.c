// SPDX-License-Identifier: Apache-2.0
// The sender through everything that can happen to it, on a spool that is real and a way out that
// is not: what was accepted arrives or is refused, whatever crashes lie between; and a reader that
// knows nothing but numbers and reports misses exactly what did not arrive.
#include "client/sender.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/aside.h"
#include "contract/record.h"
#include "spool/segment.h"
#include "tests/support/chaos.h"
#include "tests/support/directory.h"
#include "tests/support/troubled_disk.h"
#include "tests/unit/client/sender_double.h"
#include "tests/unit/spool/segment_file.h"
#include "wire/partition.h"

#define FIRST_EPOCH 1000
#define SEGMENT ((size_t)1 << 20)
#define OPENINGS 6
#define REASON_MAX 6000

struct event {
  enum ee_topic topic;
  int32_t partition;
  bool told;
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
  int64_t accepted, accepted_before;  // by earlier openings
  int64_t dropped[TOPICS][PARTITIONS];
  envelope_delivered *on_delivery;  // NULL: the one that knows all events
  uint64_t told, told_refused;      // of this opening
  size_t notices;
  char notice[256];  // the last
  bool damaged;
};

static bool chance(struct world *w, int per_mille) {
  return (int)random_below(&w->random, 1000) < per_mille;
}

// ---- Opening and closing.

static bool is_refused(const struct world *w, int64_t number) {
  return w->outlet->poison[number] || w->outlet->unauthorised[w->events[number].topic];
}

static void on_delivery(void *context, const struct envelope_delivery *delivery) {
  struct world *w = context;
  int64_t number = strtoll(delivery->envelope_id + 2, NULL, 10);
  assert_in_range(number, 0, w->accepted - 1);
  struct event *event = &w->events[number];
  assert_int_equal(strncmp(delivery->event_id, "v-", 2), 0);
  assert_int_equal(strtoll(delivery->event_id + 2, NULL, 10), number);
  assert_int_equal(strncmp(delivery->topic, "p.", 2), 0);
  assert_string_equal(delivery->topic + 2, ee_topics[event->topic].name);
  assert_int_equal(delivery->partition, event->partition);
  assert_int_equal(delivery->earlier, number < w->accepted_before);
  assert_int_equal(delivery->refused != NULL, is_refused(w, number));
  if (delivery->refused == NULL) assert_int_equal(delivery->offset, w->outlet->offset_of[number]);
  event->told = true;
  w->told++;
  w->told_refused += delivery->refused != NULL;
}

static void on_notice(void *context, envelope_level level, const char *text) {
  struct world *w = context;
  (void)level;
  w->notices++;
  snprintf(w->notice, sizeof w->notice, "%s", text);
}

static void open_spool(struct world *w) {
  struct ee_err err = {""};
  struct ee_spool_settings settings = {.directory = w->directory,
                                       .segment_bytes = SEGMENT,
                                       .most_bytes = 256 * SEGMENT,
                                       .wall_s = FIRST_EPOCH + w->openings++};
  if (!ee_spool_open(&settings, &w->spool, &err)) fail_msg("%s", err.text);
}

static void open_sender(struct world *w) {
  struct ee_err err = {""};
  w->outlet->partitions_told = false;
  w->accepted_before = w->accepted;
  w->told = w->told_refused = 0;
  // Each opening by another name: what an earlier one has numbered stays under its own.
  snprintf(w->name, sizeof w->name, "name-%u", ee_spool_epoch(w->spool));
  struct ee_sender_settings sender = {
      .spool = w->spool,
      .outlet = double_outlet(w->outlet),
      .producer = w->name,
      .topic_prefix = "p.",
      .notices = {on_notice, w},
      .aside_bytes = (uint64_t)64 << 20,
      .delivered = w->on_delivery == NULL ? on_delivery : w->on_delivery,
      .delivered_context = w};
  if (!ee_sender_new(&sender, &w->sender, &err)) fail_msg("%s", err.text);
}

static void open_world(struct world *w) {
  open_spool(w);
  open_sender(w);
}

static void close_world(struct world *w) {
  const struct ee_sender_counts *counts = ee_sender_counts(w->sender);
  assert_int_equal(counts->acknowledged, w->told - w->told_refused);
  assert_int_equal(counts->refused, w->told_refused);
  if (!w->damaged) assert_int_equal(counts->torn, 0);
  ee_sender_free(w->sender);
  ee_spool_close(w->spool);
  w->sender = NULL;
  w->spool = NULL;
}

static bool turn_after(struct world *w, int64_t ms) {
  w->now_ms += ms;
  struct ee_sender_time now = {.monotonic_ms = w->now_ms, .wall_us = w->now_ms * 1000};
  return ee_sender_turn(w->sender, &now, 0);
}

static bool turn(struct world *w, int64_t most_ms) {
  return turn_after(w, (int64_t)random_below(&w->random, (size_t)most_ms));
}

static void keep(struct world *w) {
  struct ee_err err = {""};
  if (!ee_spool_remove_settled(w->spool, &err)) fail_msg("%s", err.text);
  if (!ee_spool_keep(w->spool, w->now_ms, &err)) fail_msg("%s", err.text);
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
  segment_path(w->directory, number, path);
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
    if (!event->told && !w->damaged)
      fail_msg("seed %llu: event %d is not told of", (unsigned long long)seed, (int)i);
    if (w->outlet->delivered[i] > 0) continue;
    if (!is_refused(w, i) && !w->damaged)
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

static struct world *new_world(uint64_t seed) {
  struct world *w = calloc(1, sizeof *w);
  assert_non_null(w);
  w->random.state = seed;
  w->now_ms = 1000;
  w->directory = directory_new();
  w->outlet = double_new(seed * 7 + 1, FIRST_EPOCH);
  return w;
}

static void free_world(struct world *w) {
  double_free(w->outlet);
  directory_free(w->directory);
  free(w);
}

static void run_seed(uint64_t seed) {
  struct world *w = new_world(seed);
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
  free_world(w);
}

static void test_seeds(void **state) {
  (void)state;
  const char *first = getenv("FIRST_SEED"), *seeds = getenv("SEEDS");
  uint64_t from = first == NULL ? 1 : strtoull(first, NULL, 10);
  uint64_t count = seeds == NULL ? (uint64_t)ee_tries(100) : strtoull(seeds, NULL, 10);
  for (uint64_t seed = from; seed < from + count; seed++)
    run_seed(seed);
}

// ---- One thing at a time.

static struct world *open_new(void) {
  struct world *w = new_world(1);
  open_world(w);
  keep(w);
  return w;
}

static void end_world(struct world *w) {
  close_world(w);
  free_world(w);
}

// Each allocation of the turn that sends the first record fails: it goes later, and whole (the
// double looks), and is told of.
static void test_short_memory(void **state) {
  (void)state;
  bool failed = true;
  for (size_t n = 0; failed; n++) {
    struct world *w = open_new();
    w->outlet->flight_room = 64;  // what is the test's own does not fail
    w->outlet->flights = calloc(w->outlet->flight_room, sizeof *w->outlet->flights);
    append(w);
    ee_chaos_fail_after(n);
    turn(w, 1);
    failed = ee_chaos_stop();
    finish(w);
    assert_int_equal(w->outlet->delivered[0], 1);
    assert_int_equal(w->told, 1);
    end_world(w);
  }
}

// What did not arrive goes again, neither at once nor before all others have been answered.
static void test_again(void **state) {
  (void)state;
  struct world *w = open_new();
  struct outlet_double *outlet = w->outlet;
  outlet->most_batches = 0;
  do {
    append(w);
  } while (w->events[w->accepted - 1].partition == w->events[0].partition);
  size_t count = (size_t)w->accepted;
  assert_true(turn_after(w, 0));
  assert_int_equal(outlet->flight_count, count);
  outlet->again = 1000;
  outlet->most_batches = 1;
  while (outlet->flight_count == count)
    turn_after(w, 0);
  assert_int_equal(outlet->flight_count, 1);
  outlet->most_batches = 0;
  assert_false(turn_after(w, 1000));
  assert_int_equal(outlet->flight_count, 1);
  outlet->most_batches = 1;
  while (outlet->flight_count == 1)
    turn_after(w, 0);
  outlet->most_batches = 0;
  assert_false(turn_after(w, 99));
  assert_int_equal(outlet->flight_count, 0);
  assert_true(turn_after(w, 1));
  assert_int_equal(outlet->flight_count, count);
  outlet->most_batches = 12;
  finish(w);
  assert_int_equal(w->told, count);
  end_world(w);
}

// However often the sender begins anew before it.
static void test_damage_is_told_once(void **state) {
  (void)state;
  char segment[512];
  struct world *w = open_new();
  w->outlet->away = true;
  append(w);
  struct ee_spool_at at = ee_spool_tail(w->spool);
  append(w);
  append(w);
  close_world(w);
  segment_path(w->directory, at.segment, segment);
  flip_byte(segment, (off_t)at.offset + 64);
  w->damaged = true;
  open_world(w);
  keep(w);
  w->outlet->away = false;
  w->outlet->again = 1000;
  for (int i = 0; i < 60; i++)
    turn_after(w, 50);
  finish(w);
  assert_int_equal(ee_sender_counts(w->sender)->torn, 1);
  assert_int_equal(w->notices, 1);
  assert_non_null(strstr(w->notice, "bytes are damaged"));
  assert_int_equal(ee_sender_counts(w->sender)->acknowledged, 2);
  end_world(w);
}

// What was numbered and is not there any more.
static void test_loss_is_told(void **state) {
  (void)state;
  char segment[512];
  struct world *w = open_new();
  append(w);
  append(w);
  number_all(w);
  struct ee_spool_at at = ee_spool_tail(w->spool);
  double_crash(w->outlet);
  close_world(w);
  segment_path(w->directory, at.segment, segment);
  assert_int_equal(unlink(segment), 0);
  w->damaged = true;
  w->outlet->away = false;
  w->notices = 0;
  open_world(w);
  keep(w);
  finish(w);
  const struct ee_sender_counts *counts = ee_sender_counts(w->sender);
  assert_int_equal(counts->lost, 2);
  assert_int_equal(counts->torn, 1);
  assert_int_equal(w->notices, 2);
  assert_string_equal(w->notice, "2 records that had been numbered are not in the spool any more");
  assert_complete(w, 1);
  end_world(w);
}

// How many partitions there are is asked ten times soon, then each second.
static void test_asks(void **state) {
  (void)state;
  struct world *w = open_new();
  w->outlet->unknown_partitions = 1000;
  append(w);
  for (int i = 0; i < 2100; i++)
    turn_after(w, 10);
  assert_in_range(w->outlet->asked, 10 + 19, 10 + 21);
  finish(w);
  assert_int_equal(w->told, 1);
  end_world(w);
}

// By ids where it has some.
static void on_refusal(void *context, const struct envelope_delivery *delivery) {
  struct world *w = context;
  assert_string_equal(delivery->envelope_id, w->told == 0 ? "e-0" : "");
  assert_string_equal(delivery->event_id, w->told == 0 ? "v-0" : "");
  assert_string_equal(delivery->refused, w->told == 0 ? "no such schema" : "not an event");
  w->told++;
  w->told_refused++;
}

static void test_what_cannot_go_is_told(void **state) {
  (void)state;
  struct world *w = new_world(1);
  w->on_delivery = on_refusal;
  open_world(w);
  keep(w);
  w->outlet->unknown_schema = true;
  append(w);
  struct ee_spool_item item = {.topic = EE_TOPIC_FAILED, .payload = ee_bytes("?", 1)};
  assert_true(ee_spool_append(w->spool, &item, NULL));
  struct ee_spool_at tail = ee_spool_tail(w->spool);
  for (int i = 0; i < 100 && !ee_sender_reached(w->sender, tail); i++)
    turn_after(w, 10);
  assert_int_equal(w->told_refused, 2);
  assert_int_equal(w->notices, 2);
  assert_non_null(strstr(w->notice, "refused for good by p.envelope.failed.v1"));
  assert_non_null(strstr(w->notice, "not an event; kept in "));
  end_world(w);
}

static void turn_until(struct world *w, int64_t ms) {
  while (w->now_ms < ms)
    turn_after(w, 100);
}

// After five seconds without progress, then each half minute.
static void test_what_waits_is_told(void **state) {
  (void)state;
  struct world *w = open_new();
  int64_t begun = w->now_ms;
  w->outlet->away = true;
  turn_until(w, begun + 60000);
  assert_int_equal(w->notices, 0);  // nothing waits
  begun = w->now_ms;
  append(w);
  turn_until(w, begun + 4900);
  assert_int_equal(w->notices, 0);
  turn_until(w, begun + 5300);
  assert_int_equal(w->notices, 1);
  assert_string_equal(w->notice, "records wait in the spool for the double");
  turn_until(w, begun + 34900);
  assert_int_equal(w->notices, 1);
  turn_until(w, begun + 35300);
  assert_int_equal(w->notices, 2);
  finish(w);
  assert_int_equal(w->notices, 2);
  end_world(w);
}

// Records that were numbered for so many partitions wait until there are so many.
static void test_other_partitions(void **state) {
  (void)state;
  bool by_operator = false;
  struct world *w = open_new();
  append(w);
  turn_until(w, w->now_ms + 3000);
  close_world(w);
  w->outlet->partitions = PARTITIONS + 1;
  open_world(w);
  keep(w);
  append(w);
  turn_until(w, w->now_ms + 3000);
  assert_int_equal(w->outlet->delivered[0], 1);
  assert_int_equal(w->outlet->flight_count, 0);
  assert_false(turn_after(w, 100));
  const char *trouble = ee_sender_trouble(w->sender, &by_operator);
  assert_non_null(trouble);
  assert_non_null(strstr(trouble, "as many partitions"));
  assert_true(by_operator);
  w->outlet->partitions = PARTITIONS;
  finish(w);
  assert_int_equal(w->outlet->delivered[1], 1);
  assert_null(ee_sender_trouble(w->sender, &by_operator));
  end_world(w);
}

// The disk has no room for a new epoch's numbers: what is dropped meanwhile is counted with the
// last epoch's, and the new one's get their file when they can.
static void test_no_room_for_numbers(void **state) {
  (void)state;
  char numbers[512];
  struct world *w = open_new();
  append(w);
  turn_until(w, w->now_ms + 3000);
  close_world(w);
  open_spool(w);
  snprintf(numbers, sizeof numbers, "%s/spare.numbers", w->directory);
  assert_int_equal(unlink(numbers), 0);
  troubled_disk_fail(0, 1, ENOSPC);
  open_sender(w);
  assert_true(troubled_disk_stop());
  assert_string_equal(w->notice, "the disk has no room for this epoch's numbers yet");
  snprintf(numbers, sizeof numbers, "%s/%08x.numbers", w->directory,
           (unsigned)ee_spool_epoch(w->spool));
  assert_int_not_equal(access(numbers, F_OK), 0);
  ee_sender_dropped(w->sender, EE_TOPIC_FAILED, EE_STR("k"));
  keep(w);
  turn_until(w, w->now_ms + 3000);
  assert_int_equal(access(numbers, F_OK), 0);
  ee_sender_dropped(w->sender, EE_TOPIC_FAILED, EE_STR("k"));
  append(w);
  finish(w);
  int32_t partition = ee_partition_of(ee_bytes("k", 1), PARTITIONS);
  assert_int_equal(double_declared(w->outlet, EE_TOPIC_FAILED, partition), 2);
  assert_int_equal(double_missing(w->outlet, EE_TOPIC_FAILED, partition), 2);
  assert_int_equal(w->outlet->delivered[0] + w->outlet->delivered[1], 2);
  end_world(w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_seeds),
      cmocka_unit_test(test_short_memory),
      cmocka_unit_test(test_again),
      cmocka_unit_test(test_damage_is_told_once),
      cmocka_unit_test(test_loss_is_told),
      cmocka_unit_test(test_asks),
      cmocka_unit_test(test_what_cannot_go_is_told),
      cmocka_unit_test(test_what_waits_is_told),
      cmocka_unit_test(test_other_partitions),
      cmocka_unit_test(test_no_room_for_numbers),
  };
  return cmocka_run_group_tests_name("client/sender", tests, NULL, NULL);
}
