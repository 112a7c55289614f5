// SPDX-License-Identifier: Apache-2.0
// Files of numbers: what is stored is read by the next opening, what is damaged is refused or
// mended, and wherever a process is killed no number is given twice and no loss told twice.
#include "spool/numbers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/troubled_disk.h"
#include "tests/unit/spool/numbers_support.h"

#define EPOCH ((uint32_t)0x11)
#define NAME "00000011.numbers"
#define HEAD ((size_t)64 + EE_NUMBERS_PRODUCER_SIZE)
#define DISK_FULL EE_HOLE_DISK_FULL
#define REFUSED EE_HOLE_REFUSED

static int setup(void **state) {
  (void)state;
  open_directory();
  return 0;
}

static int teardown(void **state) {
  (void)state;
  close_directory();
  return 0;
}

static struct ee_numbers reopen(void) {
  struct ee_numbers numbers;
  struct ee_err err;
  if (!ee_numbers_open(directory, id, EPOCH, &numbers, &err)) fail_msg("%s", err.text);
  return numbers;
}

static void assert_refused(const uint8_t *whose, uint32_t epoch, const char *why) {
  struct ee_numbers numbers;
  struct ee_err err;
  assert_false(ee_numbers_open(directory, whose, epoch, &numbers, &err));
  if (strstr(err.text, why) == NULL) fail_msg("%s, not %s", err.text, why);
}

static int open_file(void) {
  int file = openat(directory, NAME, O_RDWR | O_CLOEXEC);
  assert_true(file >= 0);
  return file;
}

// Puts bytes into the file; returns what was there.
static uint8_t poke(size_t at, uint8_t byte) {
  uint8_t was;
  int file = open_file();
  assert_int_equal(pread(file, &was, 1, (off_t)at), 1);
  assert_int_equal(pwrite(file, &byte, 1, (off_t)at), 1);
  close(file);
  return was;
}

static size_t holes_of(const struct ee_numbers *numbers) {
  size_t count = 0;
  for (size_t i = 0; i < EE_NUMBERS_HOLES_MAX; i++)
    count += numbers->holes[i].reason != EE_HOLE_NONE;
  return count;
}

static void assert_hole(const struct ee_numbers *numbers, uint8_t topic, int32_t partition,
                        uint64_t first, uint64_t last, enum ee_hole_reason reason) {
  for (size_t i = 0; i < EE_NUMBERS_HOLES_MAX; i++) {
    const struct ee_numbers_hole *hole = &numbers->holes[i];
    if (hole->reason == reason && hole->topic == topic && hole->partition == partition &&
        hole->first == first && hole->last == last) {
      return;
    }
  }
  fail_msg("no hole from %llu to %llu", (unsigned long long)first, (unsigned long long)last);
}

// ---- Files.

static void what_is_stored_is_read_again(void **state) {
  (void)state;
  struct ee_numbers numbers = make_numbers(EPOCH, 3);
  assert_int_equal(numbers.epoch, EPOCH);
  assert_int_equal(numbers.partitions, 3);
  assert_int_equal(holes_of(&numbers), 0);
  for (uint8_t topic = 0; topic < EE_NUMBERS_TOPICS; topic++) {
    for (int32_t partition = 0; partition < 3; partition++) {
      struct ee_numbers_count *count = ee_numbers_at(&numbers, topic, partition);
      assert_int_equal(count->next, 0);
      count->next = 10u * topic + (uint64_t)partition + 1;
      count->acked = count->next - 1;
    }
  }
  assert_true(ee_numbers_add_hole(&numbers, 5, 2, 50, 52, REFUSED));
  ee_numbers_close(&numbers);
  ee_numbers_close(&numbers);
  numbers = reopen();
  assert_int_equal(numbers.partitions, 3);
  for (uint8_t topic = 0; topic < EE_NUMBERS_TOPICS; topic++) {
    for (int32_t partition = 0; partition < 3; partition++) {
      struct ee_numbers_count *count = ee_numbers_at(&numbers, topic, partition);
      assert_int_equal(count->next, 10u * topic + (uint64_t)partition + 1);
      assert_int_equal(count->acked, count->next - 1);
    }
  }
  assert_int_equal(holes_of(&numbers), 1);
  assert_hole(&numbers, 5, 2, 50, 52, REFUSED);
  ee_numbers_close(&numbers);
}

static void epochs_are_listed(void **state) {
  (void)state;
  static const uint32_t epochs[] = {0x80000001, 7, 0xffffffff, 0x11};
  uint64_t *found = NULL;
  size_t count = 9;
  struct ee_err err;
  assert_true(ee_numbers_list(directory, &found, &count, &err));
  assert_true(found == NULL && count == 0);
  for (size_t i = 0; i < COUNT_OF(epochs); i++) {
    struct ee_numbers numbers = make_numbers(epochs[i], 1);
    ee_numbers_close(&numbers);
  }
  static const char *const others[] = {"11.numbers", "0000001G.numbers", "00000012.numbers.bak",
                                       "0000000A.numbers", "unfinished.numbers"};
  for (size_t i = 0; i < COUNT_OF(others); i++) {
    int file = openat(directory, others[i], O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    close(file);
  }
  assert_true(ee_numbers_list(directory, &found, &count, &err));
  static const uint64_t ascending[] = {7, 0x11, 0x80000001, 0xffffffff};
  assert_int_equal(count, COUNT_OF(ascending));
  assert_memory_equal(found, ascending, sizeof ascending);
  free(found);
  errno = 0;
  assert_true(ee_numbers_remove(directory, 7, &err));
  assert_true(ee_numbers_remove(directory, 7, &err));  // is gone already
  assert_true(ee_numbers_list(directory, &found, &count, &err));
  assert_int_equal(count, 3);
  free(found);
  assert_refused(id, 7, "00000007.numbers: No such file");
}

static void a_head_that_is_not_whole_is_refused(void **state) {
  (void)state;
  struct ee_numbers numbers = make_numbers(EPOCH, 2);
  ee_numbers_close(&numbers);
  for (size_t at = 0; at < HEAD; at++) {
    for (int bit = 0; bit < 8; bit++) {
      uint8_t was = poke(at, 0);
      poke(at, (uint8_t)(was ^ 1 << bit));
      assert_refused(id, EPOCH, NAME);
      poke(at, was);
    }
  }
  poke(8, EE_SPOOL_VERSION + 1);
  assert_refused(id, EPOCH, "later version");
  poke(8, EE_SPOOL_VERSION);
  static const uint8_t other[EE_SPOOL_ID_SIZE] = "another spool's";
  assert_refused(other, EPOCH, "another spool's");
  assert_int_equal(renameat(directory, NAME, directory, "00000012.numbers"), 0);
  assert_refused(id, EPOCH + 1, "damaged");
  numbers = make_numbers(EPOCH, 0);
  ee_numbers_close(&numbers);
  assert_refused(id, EPOCH, "damaged");
}

static void a_file_of_another_size_is_refused(void **state) {
  (void)state;
  struct ee_numbers numbers = make_numbers(EPOCH, 2);
  size_t size = numbers.size;
  ee_numbers_close(&numbers);
  static const off_t sizes[] = {0, HEAD - 1, HEAD, 4096};
  int file = open_file();
  assert_int_equal(ftruncate(file, (off_t)size + 1), 0);
  assert_refused(id, EPOCH, "bytes, not");
  for (size_t i = COUNT_OF(sizes); i-- > 0;) {
    assert_int_equal(ftruncate(file, sizes[i]), 0);
    assert_refused(id, EPOCH, sizes[i] < (off_t)HEAD ? "not a file of numbers" : "bytes, not");
  }
  close(file);
}

static void it_is_made_anew_over_what_is_there(void **state) {
  (void)state;
  struct ee_numbers numbers = make_numbers(EPOCH, 2);
  ee_numbers_at(&numbers, 0, 0)->next = 7;
  ee_numbers_close(&numbers);
  numbers = make_numbers(EPOCH, 5);
  assert_int_equal(ee_numbers_at(&numbers, 0, 0)->next, 0);
  ee_numbers_close(&numbers);
  numbers = reopen();
  assert_int_equal(numbers.partitions, 5);
  ee_numbers_close(&numbers);
}

// ---- What does not fit together.

static void counts_are_made_to_fit(void **state) {
  (void)state;
  static const struct {
    uint64_t next, acked, resent, dropped, declared;            // as found
    uint64_t next_2, acked_2, resent_2, dropped_2, declared_2;  // as mended
  } cases[] = {
      {5, 3, 2, 4, 1, 5, 3, 2, 4, 1},
      {5, 6, 7, 0, 0, 5, 5, 5, 0, 0},
      {5, 5, 5, 2, 3, 5, 5, 5, 2, 2},
      {UINT64_MAX, 3, 2, 1, 1, 0, 0, 0, 1, 1},
      {5, 5, 0, UINT64_MAX, 3, 5, 5, 0, 3, 3},
      {INT64_MAX, 0, 0, 1, 0, INT64_MAX, 0, 0, 0, 0},
      {INT64_MAX - 1, 0, 0, 1, 0, INT64_MAX - 1, 0, 0, 1, 0},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct ee_numbers numbers = make_numbers(EPOCH, 1);
    struct ee_numbers_count *at = ee_numbers_at(&numbers, 3, 0);
    at->next = cases[i].next;
    at->acked = cases[i].acked;
    at->resent = cases[i].resent;
    at->declared = cases[i].declared;
    atomic_store(&at->dropped, cases[i].dropped);
    ee_numbers_close(&numbers);
    numbers = reopen();
    at = ee_numbers_at(&numbers, 3, 0);
    assert_true(at->next == cases[i].next_2 && at->acked == cases[i].acked_2);
    assert_true(at->resent == cases[i].resent_2 && at->declared == cases[i].declared_2);
    assert_true(atomic_load(&at->dropped) == cases[i].dropped_2);
    ee_numbers_close(&numbers);
  }
}

static void damaged_holes_are_left_out(void **state) {
  (void)state;
  struct ee_numbers numbers = make_numbers(EPOCH, 2);
  assert_true(ee_numbers_add_hole(&numbers, 1, 1, 3, 4, REFUSED));
  assert_true(ee_numbers_add_hole(&numbers, 2, 1, 8, 8, EE_HOLE_TORN));
  size_t start = (size_t)((uint8_t *)numbers.holes - numbers.bytes);
  ee_numbers_close(&numbers);
  for (size_t at = 0; at < sizeof(struct ee_numbers_hole); at++) {
    uint8_t was = poke(start + at, 0);
    struct ee_numbers_hole kept;
    int file = open_file();
    poke(start + at, was);
    assert_int_equal(pread(file, &kept, sizeof kept, (off_t)start), sizeof kept);
    poke(start + at, was ^ 0x10);
    numbers = reopen();
    assert_int_equal(holes_of(&numbers), 1);
    assert_hole(&numbers, 2, 1, 8, 8, EE_HOLE_TORN);
    ee_numbers_close(&numbers);
    assert_int_equal(pwrite(file, &kept, sizeof kept, (off_t)start), sizeof kept);
    close(file);
  }
  numbers = reopen();
  assert_int_equal(holes_of(&numbers), 2);
  ee_numbers_close(&numbers);
}

// ---- Holes.

static void holes_are_joined(void **state) {
  (void)state;
  struct ee_numbers numbers = make_numbers(EPOCH, 2);
  assert_true(ee_numbers_add_hole(&numbers, 1, 1, 3, 4, REFUSED));
  assert_true(ee_numbers_add_hole(&numbers, 1, 1, 5, 9, REFUSED));
  assert_int_equal(holes_of(&numbers), 1);
  assert_hole(&numbers, 1, 1, 3, 9, REFUSED);
  // Not of another reason, topic or partition, nor with a number between.
  assert_true(ee_numbers_add_hole(&numbers, 1, 1, 10, 10, EE_HOLE_TORN));
  assert_true(ee_numbers_add_hole(&numbers, 2, 1, 10, 10, REFUSED));
  assert_true(ee_numbers_add_hole(&numbers, 1, 0, 10, 10, REFUSED));
  assert_true(ee_numbers_add_hole(&numbers, 1, 1, 11, 11, REFUSED));
  assert_int_equal(holes_of(&numbers), 5);
  ee_numbers_close(&numbers);
}

// Each second number of a partition.
static size_t refuse_each_second(struct ee_numbers *numbers) {
  size_t count = 0;
  while (ee_numbers_add_hole(numbers, 0, 0, 2 * count, 2 * count, REFUSED))
    count++;
  return count;
}

static void a_full_table_takes_no_more(void **state) {
  (void)state;
  struct ee_numbers numbers = make_numbers(EPOCH, 2);
  assert_int_equal(refuse_each_second(&numbers), EE_NUMBERS_HOLES_MAX);
  ee_numbers_clear_hole(&numbers.holes[17]);
  assert_true(ee_numbers_add_hole(&numbers, 1, 1, 5, 5, EE_HOLE_TORN));
  assert_false(ee_numbers_add_hole(&numbers, 1, 1, 7, 7, EE_HOLE_TORN));
  assert_int_equal(holes_of(&numbers), EE_NUMBERS_HOLES_MAX);
  ee_numbers_close(&numbers);
}

// What was dropped leaves room for what is refused, and is declared when there is room again.
static void what_was_dropped_leaves_room(void **state) {
  (void)state;
  struct ee_numbers numbers = make_numbers(EPOCH, 1);
  struct ee_numbers_count *at = ee_numbers_at(&numbers, 0, 0);
  for (size_t i = 0; i < EE_NUMBERS_HOLES_MAX; i++) {
    at->next++;  // a record between
    atomic_fetch_add(&at->dropped, 1);
    ee_numbers_declare_dropped(&numbers);
  }
  size_t left = EE_NUMBERS_HOLES_MAX - holes_of(&numbers);
  assert_int_equal(left, EE_NUMBERS_HOLES_SPARED);
  assert_int_equal(at->declared, EE_NUMBERS_HOLES_MAX - EE_NUMBERS_HOLES_SPARED);
  assert_true(ee_numbers_add_hole(&numbers, 0, 0, 0, 0, REFUSED));
  ee_numbers_clear_hole(&numbers.holes[EE_NUMBERS_HOLES_MAX - 2]);
  ee_numbers_clear_hole(&numbers.holes[EE_NUMBERS_HOLES_MAX - 1]);
  ee_numbers_declare_dropped(&numbers);
  assert_int_equal(at->declared, EE_NUMBERS_HOLES_MAX);
  ee_numbers_close(&numbers);
}

// ---- Killed while what was dropped is declared.

struct kill_case {
  size_t hole_bytes;                    // of the new one that were stored
  bool before_cleared, declared, next;  // what else was
  uint64_t dropped_since;
};

// Begins with ten numbers, of which the last two are a declared hole, and five more that were
// dropped; leaves what was stored up to the kill.
static void be_killed(const struct kill_case *c) {
  struct ee_numbers numbers = make_numbers(EPOCH, 2);
  struct ee_numbers_count *at = ee_numbers_at(&numbers, 4, 1);
  at->next = 8;
  atomic_store(&at->dropped, 2);
  ee_numbers_declare_dropped(&numbers);
  size_t old = numbers.holes[0].reason == EE_HOLE_NONE;
  struct ee_numbers_hole before = numbers.holes[old];
  atomic_store(&at->dropped, 7);
  ee_numbers_declare_dropped(&numbers);
  assert_int_equal(at->next, 15);
  assert_int_equal(at->declared, 7);
  assert_int_equal(holes_of(&numbers), 1);
  size_t slot = numbers.holes[0].reason == EE_HOLE_NONE;
  memset((uint8_t *)&numbers.holes[slot] + c->hole_bytes, 0, sizeof before - c->hole_bytes);
  if (!c->before_cleared) numbers.holes[old] = before;
  if (!c->declared) at->declared = 2;
  if (!c->next) at->next = 10;
  atomic_fetch_add(&at->dropped, c->dropped_since);
  ee_numbers_close(&numbers);
}

// All that was dropped has one number each, from 8 on.
static void assert_declared_once(const struct kill_case *c) {
  struct ee_numbers numbers = reopen();
  struct ee_numbers_count *at = ee_numbers_at(&numbers, 4, 1);
  ee_numbers_declare_dropped(&numbers);
  bool covered[64] = {false};
  for (size_t i = 0; i < EE_NUMBERS_HOLES_MAX; i++) {
    const struct ee_numbers_hole *hole = &numbers.holes[i];
    if (hole->reason == EE_HOLE_NONE) continue;
    assert_true(hole->topic == 4 && hole->partition == 1 && hole->reason == DISK_FULL);
    assert_true(hole->last < COUNT_OF(covered));
    for (uint64_t n = hole->first; n <= hole->last; n++)
      covered[n] = true;
  }
  uint64_t dropped = 7 + c->dropped_since;
  for (uint64_t n = 0; n < COUNT_OF(covered); n++)
    assert_int_equal(covered[n], n >= 8 && n < 8 + dropped);
  assert_int_equal(at->next, 8 + dropped);
  assert_int_equal(at->declared, dropped);
  ee_numbers_close(&numbers);
}

static void a_kill_declares_nothing_twice(void **state) {
  (void)state;
  for (uint64_t since = 0; since < 4; since += 3) {
    struct kill_case c = {.dropped_since = since};
    for (; c.hole_bytes <= sizeof(struct ee_numbers_hole); c.hole_bytes++) {
      be_killed(&c);
      assert_declared_once(&c);
    }
    c.hole_bytes = sizeof(struct ee_numbers_hole);
    bool *stores[] = {&c.before_cleared, &c.declared, &c.next};
    for (size_t i = 0; i < COUNT_OF(stores); i++) {
      *stores[i] = true;
      be_killed(&c);
      assert_declared_once(&c);
    }
  }
}

// ---- The spare.

// An epoch's file becomes the room for the next one's, empty again; it tells of partitions, too.
static void a_spare_is_kept_and_used(void **state) {
  (void)state;
  struct ee_err err;
  struct ee_numbers numbers;
  bool stored;
  struct stat before, after;
  assert_int_equal(ee_numbers_spare(directory), 0);
  assert_true(ee_numbers_make(directory, id, "producer", EPOCH, 3, &numbers, &stored, &err));
  assert_int_equal(ee_numbers_spare(directory), 3);
  ee_numbers_at(&numbers, 1, 1)->next = 5;
  assert_true(ee_numbers_add_hole(&numbers, 1, 1, 2, 2, REFUSED));
  ee_numbers_close(&numbers);
  errno = 0;
  assert_true(ee_numbers_retire(directory, EPOCH, &err));
  assert_int_not_equal(faccessat(directory, NAME, F_OK, 0), 0);
  assert_int_equal(ee_numbers_spare(directory), 3);
  assert_int_equal(fstatat(directory, "spare.numbers", &before, 0), 0);
  assert_true(ee_numbers_make(directory, id, "producer", EPOCH, 3, &numbers, &stored, &err));
  assert_int_equal(fstatat(directory, NAME, &after, 0), 0);
  assert_int_equal(before.st_ino, after.st_ino);
  assert_int_equal(ee_numbers_at(&numbers, 1, 1)->next, 0);
  assert_int_equal(numbers.holes[0].reason, EE_HOLE_NONE);
  ee_numbers_close(&numbers);
  assert_true(ee_numbers_make(directory, id, "producer", EPOCH + 1, 5, &numbers, &stored, &err));
  assert_int_equal(ee_numbers_spare(directory), 5);
  ee_numbers_close(&numbers);
}

// ---- A disk in trouble.

#ifndef __SANITIZE_THREAD__

static void a_full_disk_leaves_memory(void **state) {
  (void)state;
  struct ee_err err;
  bool failed = true;
  size_t kept_in_memory = 0;
  for (size_t n = 0; failed; n++) {
    struct ee_numbers numbers;
    bool stored = false;
    troubled_disk_fail(n, 1, ENOSPC);
    bool made = ee_numbers_make(directory, id, "producer", EPOCH, 2, &numbers, &stored, &err);
    failed = troubled_disk_stop();
    if (!made) fail_msg("%s", err.text);
    assert_true(stored || failed);  // what fails may be the making of the spare
    kept_in_memory += !stored;
    ee_numbers_at(&numbers, 1, 1)->next = 5;
    assert_true(ee_numbers_add_hole(&numbers, 1, 1, 2, 2, REFUSED));
    ee_numbers_close(&numbers);
    assert_int_equal(faccessat(directory, NAME, F_OK, 0) == 0, stored);
    assert_int_not_equal(faccessat(directory, "unfinished.numbers", F_OK, 0), 0);
  }
  assert_true(kept_in_memory > 1);
}

// What was counted in memory is in the file as soon as there is room for it.
static void memory_is_stored(void **state) {
  (void)state;
  struct ee_err err;
  struct ee_numbers numbers;
  bool stored = true;
  troubled_disk_fail(0, 2, ENOSPC);
  assert_true(ee_numbers_make(directory, id, "producer", EPOCH, 2, &numbers, &stored, &err));
  assert_false(stored);
  ee_numbers_at(&numbers, 1, 1)->next = 5;
  assert_true(ee_numbers_add_hole(&numbers, 1, 1, 2, 2, REFUSED));
  troubled_disk_fail(0, 1, ENOSPC);
  assert_false(ee_numbers_store(directory, id, &numbers, &err));
  assert_true(troubled_disk_stop());
  assert_non_null(strstr(err.text, NAME ": No space left"));
  assert_int_equal(ee_numbers_at(&numbers, 1, 1)->next, 5);
  assert_true(ee_numbers_store(directory, id, &numbers, &err));
  ee_numbers_at(&numbers, 0, 1)->next = 7;
  ee_numbers_close(&numbers);
  numbers = reopen();
  assert_string_equal(numbers.producer, "producer");
  assert_int_equal(ee_numbers_at(&numbers, 1, 1)->next, 5);
  assert_int_equal(ee_numbers_at(&numbers, 0, 1)->next, 7);
  assert_int_equal(numbers.holes[0].reason, REFUSED);
  ee_numbers_close(&numbers);
}

static void a_disk_in_trouble_is_told(void **state) {
  (void)state;
  struct ee_err err;
  bool failed = true;
  size_t refused = 0;
  for (size_t n = 0; failed; n++) {
    struct ee_numbers numbers;
    bool stored = true;
    troubled_disk_fail(n, 1, EIO);
    bool made = ee_numbers_make(directory, id, "producer", EPOCH, 2, &numbers, &stored, &err);
    if (!made) assert_non_null(strstr(err.text, NAME));
    if (made) ee_numbers_close(&numbers);
    if (made && !ee_numbers_open(directory, id, EPOCH, &numbers, &err)) {
      assert_non_null(strstr(err.text, NAME));
    } else if (made) {
      ee_numbers_close(&numbers);
    }
    uint64_t *epochs = NULL;
    size_t count;
    if (ee_numbers_list(directory, &epochs, &count, &err)) free(epochs);
    ee_numbers_remove(directory, EPOCH, &err);
    failed = troubled_disk_stop();
    refused += !made;
  }
  assert_true(refused > 3);
}

#endif

static void reasons_have_names(void **state) {
  (void)state;
  assert_string_equal(ee_hole_reason_name(REFUSED), "refused");
  assert_string_equal(ee_hole_reason_name(EE_HOLE_TORN), "torn");
  assert_string_equal(ee_hole_reason_name(DISK_FULL), "disk_full");
  assert_string_equal(ee_hole_reason_name(EE_HOLE_NONE), "none");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(what_is_stored_is_read_again),        TEST(epochs_are_listed),
      TEST(a_head_that_is_not_whole_is_refused), TEST(a_file_of_another_size_is_refused),
      TEST(it_is_made_anew_over_what_is_there),  TEST(counts_are_made_to_fit),
      TEST(damaged_holes_are_left_out),          TEST(holes_are_joined),
      TEST(a_full_table_takes_no_more),          TEST(what_was_dropped_leaves_room),
      TEST(a_kill_declares_nothing_twice),       TEST(a_spare_is_kept_and_used),
#ifndef __SANITIZE_THREAD__
      TEST(a_full_disk_leaves_memory),           TEST(memory_is_stored),
      TEST(a_disk_in_trouble_is_told),
#endif
      cmocka_unit_test(reasons_have_names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
