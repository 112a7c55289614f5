// SPDX-License-Identifier: Apache-2.0
// A spool as its users see it: what was appended is read once, in order, also by the next
// process; and what is damaged is told and passed over.
#include "spool/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "spool/spool_impl.h"
#include "support/chaos.h"
#include "support/troubled_disk.h"
#include "tests/unit/spool/spool_open.h"

#define THREADS 4

static void assert_reads_nothing(struct ee_spool *spool) {
  struct ee_spool_entry entry;
  assert_int_equal(ee_spool_read(spool, &entry, NULL), EE_SPOOL_READ_NOTHING);
}

static int setup(void **state) {
  *state = directory_new();
  return 0;
}

static int teardown(void **state) {
  directory_free(*state);
  return 0;
}

// ---- One process.

static void test_reads_what_was_appended(void **state) {
  struct ee_spool *spool = spool_open(*state);
  struct ee_spool_entry entry;
  uint64_t read = 0;
  assert_reads_nothing(spool);
  assert_false(append(spool, 0, 100));  // the keeper has made no segment yet
  keep(spool);
  for (uint64_t i = 0; i < 1000; i++) {  // over several segments
    assert_true(append(spool, i, size_of(i)));
    keep(spool);
    if (i % 50 != 49) continue;
    while (read <= i) {
      assert_reads(spool, read, size_of(read), &entry);
      assert_false(entry.numbered);
      read++;
    }
    assert_reads_nothing(spool);
  }
  assert_true(entry.at.segment > 3);
  ee_spool_close(spool);
}

static void test_rewinds_to_what_is_settled(void **state) {
  struct ee_spool *spool = spool_open(*state);
  struct ee_spool_entry entry;
  keep(spool);
  for (uint64_t i = 0; i < 400; i++) {
    assert_true(append(spool, i, size_of(i)));
    keep(spool);
  }
  for (uint64_t i = 0; i < 400; i++) {
    assert_reads(spool, i, size_of(i), &entry);
    if (i == 299) settle(spool, &entry);
  }
  ee_spool_rewind(spool);
  for (uint64_t i = 300; i < 400; i++) {
    assert_reads(spool, i, size_of(i), &entry);
  }
  assert_reads_nothing(spool);
  ee_spool_close(spool);
}

static size_t count_segments(const char *directory) {
  uint64_t *numbers = NULL;
  size_t count = 0;
  int fd = open(directory, O_RDONLY | O_DIRECTORY);
  assert_true(fd >= 0);
  assert_true(ee_spool_segment_list(fd, &numbers, &count, NULL));
  free(numbers);
  close(fd);
  return count;
}

// At most so many bytes; callers are told, and what is settled makes room again.
static void test_full(void **state) {
  struct ee_spool *spool = spool_open_of(*state, 4);
  struct ee_spool_entry entry;
  uint64_t written = 0, read = 0;
  for (int round = 0; round < 5; round++) {
    keep(spool);
    while (append(spool, written, size_of(written))) {
      written++;
      keep(spool);
      assert_true(count_segments(*state) <= 4);
    }
    assert_int_equal(count_segments(*state), 4);
    for (uint64_t half = (read + written) / 2; read < half; read++) {
      assert_reads(spool, read, size_of(read), &entry);
    }
    settle(spool, &entry);
  }
  assert_true(written > 1000);
  for (; read < written; read++) {
    assert_reads(spool, read, size_of(read), &entry);
  }
  settle(spool, &entry);
  keep(spool);
  keep(spool);
  assert_reads_nothing(spool);
  ee_spool_close(spool);
}

// Segments that were made for nothing do not fill a spool, however often it is opened, whether all
// was settled at once or after the reader had gone on.
static void test_openings_without_records(void **state) {
  for (uint64_t i = 0; i < 12; i++) {
    struct ee_spool *spool = spool_open_of(*state, 4);
    struct ee_spool_entry entry;
    keep(spool);
    assert_reads_nothing(spool);
    keep(spool);
    if (i % 4 == 3) {
      assert_true(append(spool, i, 10));
      assert_reads(spool, i, 10, &entry);
    }
    ee_spool_close(spool);
    if (i % 4 != 3) continue;
    spool = spool_open_of(*state, 4);
    keep(spool);
    assert_reads(spool, i, 10, &entry);
    assert_reads_nothing(spool);
    settle(spool, &entry);
    keep(spool);
    assert_int_equal(count_segments(*state), 2);  // spares of this opening
    assert_true(append(spool, i, 10));
    assert_reads(spool, i, 10, &entry);
    settle(spool, &entry);
    ee_spool_close(spool);
  }
}

static void test_settings(void **state) {
  static const struct ee_spool_settings wrong[] = {
      {.segment_bytes = SEGMENT / 2, .most_bytes = 64 * SEGMENT},
      {.segment_bytes = SEGMENT + 64, .most_bytes = 64 * SEGMENT},
      {.segment_bytes = (size_t)2 << 30, .most_bytes = (uint64_t)64 << 30},
      {.segment_bytes = SEGMENT, .most_bytes = 3 * SEGMENT},
  };
  for (size_t i = 0; i < COUNT_OF(wrong); i++) {
    struct ee_spool *spool;
    struct ee_err err = {""};
    struct ee_spool_settings settings = wrong[i];
    settings.directory = *state;
    assert_false(ee_spool_open(&settings, &spool, &err));
    assert_true(err.text[0] != '\0');
  }
}

// ---- The next process.

static void test_the_next_opening_reads_what_is_left(void **state) {
  struct ee_spool *spool = spool_open(*state);
  struct ee_spool_entry entry;
  uint32_t epoch = ee_spool_epoch(spool);
  assert_int_equal(epoch, 1000);  // the wall clock
  keep(spool);
  for (uint64_t i = 0; i < 300; i++) {
    assert_true(append(spool, i, size_of(i)));
    keep(spool);
  }
  for (uint64_t i = 0; i < 200; i++) {
    struct ee_spool_numbering numbering = {
        .number = 7 + i, .epoch = epoch, .partition = (int)i % 5};
    assert_reads(spool, i, size_of(i), &entry);
    ee_spool_number(spool, &entry, &numbering);
    if (i == 99) settle(spool, &entry);
  }
  ee_spool_close(spool);
  spool = spool_open(*state);
  assert_int_equal(ee_spool_epoch(spool), epoch + 1);  // the clock has not moved
  keep(spool);
  assert_true(append(spool, 300, size_of(300)));
  for (uint64_t i = 100; i <= 300; i++) {
    assert_reads(spool, i, size_of(i), &entry);
    assert_int_equal(entry.numbered, i < 200);
    if (!entry.numbered) continue;
    assert_true(entry.numbering.number == 7 + i && entry.numbering.epoch == epoch &&
                entry.numbering.partition == (int)i % 5);
  }
  assert_reads_nothing(spool);
  settle(spool, &entry);
  ee_spool_close(spool);
  spool = spool_open(*state);
  assert_reads_nothing(spool);
  keep(spool);
  assert_reads_nothing(spool);
  ee_spool_close(spool);
}

static void test_one_process_at_a_time(void **state) {
  struct ee_spool *spool = spool_open(*state), *other;
  struct ee_err err = {""};
  assert_false(try_to_open(*state, 64, &other, &err));
  assert_non_null(strstr(err.text, "lock"));
  ee_spool_close(spool);
}

// ---- Several threads.

struct crowd {
  struct ee_spool *spool;
  _Atomic(uint64_t) returned[THREADS];  // calls that have
  _Atomic(bool) stop;
  uint64_t each;
};

struct member {
  struct crowd *crowd;
  unsigned index;
};

// The payload of a thread's nth record.
static struct ee_spool_item member_item(unsigned index, uint64_t n, uint64_t room[64]) {
  room[0] = index;
  for (size_t i = 1; i < 64; i++)
    room[i] = n * i;
  return (struct ee_spool_item){.schema = n,
                                .attributes = ee_bytes("", 0),
                                .payload = ee_bytes(room, 24 + (size_t)(n % 480))};
}

static void *append_as_member(void *context) {
  const struct member *member = context;
  struct crowd *crowd = member->crowd;
  for (uint64_t n = 0; n < crowd->each && !atomic_load(&crowd->stop); n++) {
    uint64_t room[64];
    struct ee_spool_item item = member_item(member->index, n, room);
    while (!ee_spool_append(crowd->spool, &item, NULL)) {
      if (atomic_load(&crowd->stop)) return NULL;
      sched_yield();
    }
    atomic_store(&crowd->returned[member->index], n + 1);
  }
  return NULL;
}

static void crowd_start(struct crowd *crowd, struct member members[THREADS],
                        pthread_t threads[THREADS]) {
  for (unsigned i = 0; i < THREADS; i++) {
    members[i] = (struct member){crowd, i};
    assert_int_equal(pthread_create(&threads[i], NULL, append_as_member, &members[i]), 0);
  }
}

static void *remove_on(void *context) {
  struct crowd *crowd = context;
  struct ee_err err;
  bool kept = true;
  while (!atomic_load(&crowd->stop)) {
    kept = ee_spool_remove_settled(crowd->spool, &err) && kept;
    sched_yield();
  }
  return kept ? crowd : NULL;
}

static void *keep_on(void *context) {
  struct crowd *crowd = context;
  struct ee_err err;
  bool kept = true;
  for (int64_t now_ms = 0; !atomic_load(&crowd->stop); now_ms++) {
    kept = ee_spool_keep(crowd->spool, now_ms, &err) && kept;
    sched_yield();
  }
  return kept ? crowd : NULL;
}

// Each thread's records come in its order, none left out.
static void take_next(const struct ee_spool_entry *entry, uint64_t next[THREADS]) {
  uint64_t room[64], index;
  assert_true(entry->item.payload.size >= 24);
  memcpy(&index, entry->item.payload.data, sizeof index);
  assert_true(index < THREADS);
  struct ee_spool_item wanted = member_item((unsigned)index, next[index], room);
  assert_same_item(&entry->item, &wanted);
  next[index]++;
}

static void test_threads(void **state) {
  static struct crowd crowd;
  struct member members[THREADS];
  pthread_t threads[THREADS], keeping, removing;
  uint64_t next[THREADS] = {0}, total = 0;
  crowd.spool = spool_open(*state);
  crowd.each = (uint64_t)ee_tries(20000);
  assert_int_equal(pthread_create(&removing, NULL, remove_on, &crowd), 0);
  assert_int_equal(pthread_create(&keeping, NULL, keep_on, &crowd), 0);
  crowd_start(&crowd, members, threads);
  while (total < THREADS * crowd.each) {
    struct ee_spool_entry entry;
    enum ee_spool_read read = ee_spool_read(crowd.spool, &entry, NULL);
    if (read == EE_SPOOL_READ_RECORD) {
      take_next(&entry, next);
      if (++total % 500 == 0) settle(crowd.spool, &entry);
    } else {
      assert_int_equal(read, EE_SPOOL_READ_NOTHING);
      sched_yield();
    }
  }
  for (unsigned i = 0; i < THREADS; i++) {
    pthread_join(threads[i], NULL);
    assert_int_equal(next[i], crowd.each);
  }
  atomic_store(&crowd.stop, true);
  for (int i = 0; i < 2; i++) {
    void *kept;
    pthread_join(i == 0 ? keeping : removing, &kept);
    assert_ptr_equal(kept, &crowd);
  }
  assert_reads_nothing(crowd.spool);
  keep(crowd.spool);
  assert_true(count_segments(*state) < 12);
  ee_spool_close(crowd.spool);
}

// A caller that has taken room and not published yet, here the last of its segment, holds up the
// reader and the keeper, whatever the others append meanwhile; nothing is passed over.
static void test_waits_for_a_call_under_way(void **state) {
  struct ee_spool *spool = spool_open(*state);
  struct ee_spool_entry entry;
  uint8_t room[8192];
  uint64_t number = 0, read = 0;
  keep(spool);
  do {
    assert_true(append(spool, number, size_of(number)));
    number++;
  } while (SEGMENT - OFFSET(atomic_load(&spool->tail)) > 9000);
  uint64_t offset = OFFSET(atomic_load(&spool->tail));
  size_t payload_size = SEGMENT - offset - EE_SPOOL_UNIT - number % 11;
  struct ee_spool_item slow =
      numbered_item(number, payload_size < 8192 ? payload_size : 8000, room);
  slow.payload = ee_bytes(room, payload_size < 8192 ? payload_size : 8000);
  size_t size = ee_spool_record_size(slow.attributes.size, slow.payload.size);
  atomic_fetch_add(&spool->tail, size);
  uint64_t held = number++;
  for (int i = 0; i < 500; i++, number++) {
    assert_true(append(spool, number, size_of(number)));
    keep(spool);
    while (read < held) {
      assert_reads(spool, read, size_of(read), &entry);
      read++;
    }
    assert_reads_nothing(spool);
  }
  assert_true(TURN(atomic_load(&spool->tail)) > 2);
  struct slot *slot = slot_of(spool, 1);
  uint64_t mark = ee_spool_record_write(slot->map.bytes + offset, slot->map.salt, offset, &slow);
  memcpy(slot->map.bytes + offset, &mark, sizeof mark);
  atomic_fetch_add(&slot->published, size);
  assert_int_equal(ee_spool_read(spool, &entry, NULL), EE_SPOOL_READ_RECORD);
  assert_same_item(&entry.item, &slow);
  keep(spool);
  for (read++; read < number; read++) {
    assert_reads(spool, read, size_of(read), &entry);
  }
  ee_spool_close(spool);
}

// ---- A process that is killed.

static _Noreturn void be_killed(struct crowd *crowd, const char *directory) {
  struct member members[THREADS];
  pthread_t threads[THREADS];
  crowd->spool = spool_open(directory);
  keep(crowd->spool);
  crowd_start(crowd, members, threads);
  for (;;)
    keep(crowd->spool);
}

static void wait_for(const struct crowd *crowd, uint64_t returned) {
  time_t deadline = time(NULL) + 60;
  uint64_t sum;
  do {
    sum = 0;
    for (unsigned i = 0; i < THREADS; i++)
      sum += atomic_load(&crowd->returned[i]);
    assert_true(time(NULL) < deadline);
  } while (sum < returned);
}

// What a call has taken is there, whatever the others were about to do; of each thread one more
// record at most, whose call had not returned yet.
static void test_killed(void **state) {
  struct crowd *crowd =
      mmap(NULL, sizeof *crowd, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  assert_true(crowd != MAP_FAILED);
  for (int round = 0; round < 10; round++) {
    memset(crowd, 0, sizeof *crowd);
    crowd->each = UINT64_MAX;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) be_killed(crowd, *state);
    wait_for(crowd, 500 + (uint64_t)round * 997);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    struct ee_spool *spool = spool_open(*state);
    struct ee_spool_entry entry;
    uint64_t next[THREADS] = {0};
    enum ee_spool_read read;
    size_t torn = 0;
    while ((read = ee_spool_read(spool, &entry, NULL)) != EE_SPOOL_READ_NOTHING) {
      assert_true(read == EE_SPOOL_READ_RECORD || read == EE_SPOOL_READ_TORN);
      if (read == EE_SPOOL_READ_RECORD) take_next(&entry, next);
      torn += read == EE_SPOOL_READ_TORN;
      settle(spool, &entry);
    }
    assert_true(torn <= THREADS);
    for (unsigned i = 0; i < THREADS; i++) {
      uint64_t returned = atomic_load(&crowd->returned[i]);
      assert_true(next[i] == returned || next[i] == returned + 1);
    }
    ee_spool_close(spool);
  }
  munmap(crowd, sizeof *crowd);
}

// ---- Damage.

// All records from to below to, but for those that `lost` says are not there; every other word
// is counted.
struct rest {
  size_t records, torn, missing;
  struct ee_spool_at first_torn;
  uint64_t behind_missing;  // the segment
  struct ee_err err;
};

static struct rest read_rest(const char *directory, const struct ee_spool_at at[600]) {
  struct rest rest = {0};
  struct ee_spool *spool = spool_open(directory);
  struct ee_spool_entry entry;
  uint64_t i = 0;
  for (;;) {
    enum ee_spool_read read = ee_spool_read(spool, &entry, &rest.err);
    if (read == EE_SPOOL_READ_NOTHING) break;
    assert_int_not_equal(read, EE_SPOOL_READ_FAILED);
    if (read == EE_SPOOL_READ_TORN && rest.torn++ == 0) rest.first_torn = entry.at;
    if (read == EE_SPOOL_READ_MISSING) {
      assert_true(entry.size == 0 && entry.at.offset == EE_SPOOL_UNIT);
      rest.missing++;
      rest.behind_missing = entry.at.segment;
    }
    if (read != EE_SPOOL_READ_RECORD) continue;
    while (i < 600 && (at[i].segment != entry.at.segment || at[i].offset != entry.at.offset))
      i++;
    assert_true(i < 600);
    uint8_t room[8192];
    struct ee_spool_item item = numbered_item(i, size_of(i), room);
    assert_same_item(&entry.item, &item);
    rest.records++;
  }
  ee_spool_close(spool);
  return rest;
}

static void test_torn_record(void **state) {
  static struct ee_spool_at at[600];
  char path[512];
  fill(*state, at);
  segment_path(*state, at[250].segment, path);
  flip_byte(path, (off_t)at[250].offset + 70);
  struct rest rest = read_rest(*state, at);
  assert_true(rest.records == 599 && rest.torn == 1 && rest.missing == 0);
  assert_true(rest.first_torn.segment == at[250].segment &&
              rest.first_torn.offset == at[250].offset);
}

static void test_missing_segment(void **state) {
  static struct ee_spool_at at[600];
  char path[512];
  size_t there = 0;
  fill(*state, at);
  for (size_t i = 0; i < 600; i++)
    there += at[i].segment != 2;
  segment_path(*state, 2, path);
  assert_int_equal(unlink(path), 0);
  struct rest rest = read_rest(*state, at);
  assert_true(rest.records == there && rest.torn == 0 && rest.missing == 1);
  assert_int_equal(rest.behind_missing, 3);
  assert_string_equal(rest.err.text, "segments 0000000000000002 to 0000000000000002 are not there");
}

static void test_useless_segments(void **state) {
  static struct ee_spool_at at[600];
  struct ee_spool_segment other = {.id = "another spool's", .number = 2, .size = SEGMENT};
  uint8_t head[EE_SPOOL_UNIT], good[EE_SPOOL_UNIT];
  char path[512];
  size_t there = 0;
  fill(*state, at);
  for (size_t i = 0; i < 600; i++)
    there += at[i].segment != 2;
  segment_path(*state, 2, path);
  int fd = open(path, O_RDONLY);
  assert_int_equal(pread(fd, good, sizeof good, 0), sizeof good);
  close(fd);
  ee_spool_segment_make(&other, head);
  overwrite(path, 0, head, sizeof head);
  struct rest rest = read_rest(*state, at);
  assert_true(rest.records == there && rest.missing == 1 && rest.behind_missing == 3);
  assert_non_null(strstr(rest.err.text, "0000000000000002.segment: it belongs to another spool"));
  overwrite(path, 0, good, sizeof good);
  flip_byte(path, 30);
  rest = read_rest(*state, at);
  assert_true(rest.records == there && rest.missing == 1);
  assert_non_null(strstr(rest.err.text, "0000000000000002.segment: at 0: its head is damaged"));
  overwrite(path, 0, "something else", 14);
  rest = read_rest(*state, at);
  assert_true(rest.records == there && rest.missing == 1);
  assert_non_null(
      strstr(rest.err.text, "0000000000000002.segment: at 0: not a segment of a spool"));
  assert_int_equal(truncate(path, 10), 0);
  rest = read_rest(*state, at);
  assert_true(rest.records == there && rest.missing == 1);
  assert_non_null(strstr(rest.err.text, "0000000000000002.segment: too short for a head"));
}

// Cut within a record: those before it are there.
static void test_short_segment(void **state) {
  static struct ee_spool_at at[600];
  char path[512];
  fill(*state, at);
  segment_path(*state, 3, path);
  assert_int_equal(truncate(path, (off_t)at[590].offset + 100), 0);
  struct rest rest = read_rest(*state, at);
  assert_true(rest.records == 590 && rest.torn == 1 && rest.missing == 0);
}

// A later version's is left alone as a whole.
static void test_newer(void **state) {
  static struct ee_spool_at at[600];
  struct ee_spool *spool;
  struct ee_err err = {""};
  char path[512];
  fill(*state, at);
  segment_path(*state, 2, path);
  overwrite(path, 8, "\2", 1);
  assert_false(try_to_open(*state, 64, &spool, &err));
  assert_non_null(strstr(err.text, "0000000000000002.segment: a later version"));
  overwrite(path, 8, "\1", 1);
  snprintf(path, sizeof path, "%s/control", (const char *)*state);
  overwrite(path, 8, "\2", 1);
  assert_false(try_to_open(*state, 64, &spool, &err));
  assert_non_null(strstr(err.text, "control: a later version"));
}

// Settles the first records.
static void settle_some(const char *directory) {
  struct ee_spool *spool = spool_open(directory);
  struct ee_spool_entry entry;
  for (uint64_t i = 0; i < 10; i++) {
    assert_reads(spool, i, size_of(i), &entry);
    settle(spool, &entry);
  }
  ee_spool_close(spool);
}

// Without its control file all that is there is read again, also what was settled.
static void test_control_lost(void **state) {
  static struct ee_spool_at at[600];
  char path[512];
  fill(*state, at);
  snprintf(path, sizeof path, "%s/control", (const char *)*state);
  for (int round = 0; round < 4; round++) {
    settle_some(*state);
    assert_int_equal(read_rest(*state, at).records, 590);
    if (round == 0) assert_int_equal(unlink(path), 0);
    if (round == 1) flip_byte(path, 12);
    if (round == 2) assert_int_equal(truncate(path, 5), 0);
    if (round == 3) overwrite(path, 0, "something else", 14);
    struct rest rest = read_rest(*state, at);
    assert_true(rest.records == 600 && rest.torn == 0 && rest.missing == 0);
  }
}

// One of its two sectors may be half written: the other one is of the step before.
static void test_control_torn(void **state) {
  char path[512];
  struct ee_spool *spool = spool_open(*state);
  struct ee_spool_entry entry;
  keep(spool);
  for (uint64_t i = 0; i < 3; i++) {
    assert_true(append(spool, i, 10));
  }
  for (uint64_t i = 0; i < 2; i++) {
    assert_reads(spool, i, 10, &entry);
    settle(spool, &entry);
  }
  ee_spool_close(spool);
  snprintf(path, sizeof path, "%s/control", (const char *)*state);
  uint64_t generation[2];
  int fd = open(path, O_RDONLY);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(pread(fd, &generation[i], 8, 512 * (i + 1)), 8);
  }
  close(fd);
  int newer = generation[1] > generation[0];
  flip_byte(path, 512 * (newer + 1) + 16);
  spool = spool_open(*state);
  assert_reads(spool, 1, 10, &entry);
  ee_spool_close(spool);
}

// An opening that fails for want of memory leaves nothing behind and no lock.
static void test_short_memory(void **state) {
  bool failed = true;
  for (size_t n = 0; failed; n++) {
    struct ee_spool *spool;
    struct ee_err err = {""};
    ee_chaos_fail_after(n);
    bool opened = try_to_open(*state, 64, &spool, &err);
    failed = ee_chaos_stop();
    assert_true(opened || (failed && err.text[0] != '\0'));
    if (opened) ee_spool_close(spool);
  }
  ee_spool_close(spool_open(*state));
}

#ifndef __SANITIZE_THREAD__

// Works on while calls on the disk fail; returns what was appended. *settled: how much of it was
// read and settled.
static uint64_t work_in_trouble(const char *directory, uint64_t *settled) {
  struct ee_spool *spool;
  struct ee_spool_entry entry;
  uint64_t appended = 0;
  *settled = 0;
  if (!try_to_open(directory, 8, &spool, NULL)) return 0;
  for (int i = 0; i < 500; i++) {
    struct ee_err err = {""};
    assert_true(ee_spool_remove_settled(spool, &err) || err.text[0] != '\0');
    err.text[0] = '\0';
    assert_true(ee_spool_keep(spool, i, &err) || err.text[0] != '\0');
    if (append(spool, appended, size_of(appended))) appended++;
    enum ee_spool_read read = ee_spool_read(spool, &entry, &err);
    assert_true(read != EE_SPOOL_READ_TORN && read != EE_SPOOL_READ_MISSING);
    if (read != EE_SPOOL_READ_RECORD || i % 2 == 0) continue;
    settle(spool, &entry);
    *settled = entry.item.schema - UINT64_C(0x1122334455667788) + 1;
  }
  ee_spool_close(spool);
  return appended;
}

// Wherever the disk fails, for a while or for good: what a call took is there for the next opening.
static void survive_trouble(size_t times, int code) {
  bool failed = true;
  size_t refused = 0;
  for (size_t n = 0; failed; n++) {
    char *directory = directory_new();
    uint64_t settled;
    troubled_disk_fail(n, times, code);
    uint64_t appended = work_in_trouble(directory, &settled);
    failed = troubled_disk_stop();
    refused += appended < 500;
    struct ee_spool *spool = spool_open(directory);
    struct ee_spool_entry entry;
    for (; settled < appended; settled++) {
      assert_reads(spool, settled, size_of(settled), &entry);
    }
    assert_reads_nothing(spool);
    ee_spool_close(spool);
    directory_free(directory);
  }
  assert_true(refused > 0);
}

static size_t calls_of_sync(struct ee_spool *spool, struct ee_spool_at at) {
  struct ee_err err = {""};
  troubled_disk_fail(SIZE_MAX, 0, EIO);
  if (!ee_spool_sync(spool, at, at, &err)) fail_msg("%s", err.text);
  size_t calls = troubled_disk_seen();
  troubled_disk_stop();
  return calls;
}

// What is synced survives the machine with the name of its file, which is synced once.
static void test_sync_takes_names_along(void **state) {
  struct ee_spool *spool = spool_open(*state);
  struct ee_err err = {""};
  keep(spool);
  assert_true(append(spool, 0, 8000));
  struct ee_spool_at at = ee_spool_first(spool);
  bool failed = true;
  size_t calls = 0, refused = 0;
  while (failed) {
    spool->named = 0;
    troubled_disk_fail(calls++, 1, EIO);
    bool synced = ee_spool_sync(spool, at, at, &err);
    failed = troubled_disk_stop();
    assert_true(synced || failed);
    refused += !synced;
  }
  assert_int_equal(refused, 3);  // its file is opened, and synced, and the directory is
  calls--;
  assert_int_equal(calls_of_sync(spool, at), calls - 1);
  for (uint64_t i = 1; ee_spool_tail(spool).segment == 1; i++)
    assert_true(append(spool, i, 8000));
  keep(spool);  // makes a third one
  at.segment = 2;
  assert_int_equal(calls_of_sync(spool, at), calls);
  assert_int_equal(calls_of_sync(spool, at), calls - 1);
  ee_spool_close(spool);
}

// Where reading goes on is on disk before what lies below it goes: first of all it is synced.
static void test_removal_syncs_first(void **state) {
  struct ee_spool *spool = spool_open(*state);
  struct ee_spool_entry entry;
  struct ee_err err = {""};
  uint64_t appended = 0;
  keep(spool);
  while (ee_spool_tail(spool).segment == 1)
    assert_true(append(spool, appended++, 8000));
  for (uint64_t i = 0; i < appended; i++)
    assert_reads(spool, i, 8000, &entry);
  troubled_disk_fail(0, 1, EIO);
  assert_true(ee_spool_remove_settled(spool, &err));  // nothing is settled
  assert_int_equal(troubled_disk_seen(), 0);
  troubled_disk_stop();
  settle(spool, &entry);
  size_t before = count_segments(*state);
  troubled_disk_fail(0, 1, EIO);
  assert_false(ee_spool_remove_settled(spool, &err));
  troubled_disk_stop();
  assert_string_equal(err.text, "control: Input/output error");
  assert_int_equal(count_segments(*state), before);
  assert_true(ee_spool_remove_settled(spool, &err));
  assert_int_equal(count_segments(*state), before - 1);
  ee_spool_close(spool);
}

static void test_disk_trouble(void **state) {
  (void)state;
  survive_trouble(1, EIO);
  survive_trouble(SIZE_MAX, EIO);
  survive_trouble(1, ENOSPC);
  survive_trouble(SIZE_MAX, ENOSPC);
}

#endif

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_killed),
      TEST(test_reads_what_was_appended),
      TEST(test_rewinds_to_what_is_settled),
      TEST(test_full),
      TEST(test_openings_without_records),
      TEST(test_settings),
      TEST(test_the_next_opening_reads_what_is_left),
      TEST(test_one_process_at_a_time),
      TEST(test_threads),
      TEST(test_waits_for_a_call_under_way),
      TEST(test_torn_record),
      TEST(test_missing_segment),
      TEST(test_useless_segments),
      TEST(test_short_segment),
      TEST(test_newer),
      TEST(test_control_lost),
      TEST(test_control_torn),
      TEST(test_short_memory),
#ifndef __SANITIZE_THREAD__
      TEST(test_sync_takes_names_along),
      TEST(test_removal_syncs_first),
      cmocka_unit_test(test_disk_trouble),
#endif
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
