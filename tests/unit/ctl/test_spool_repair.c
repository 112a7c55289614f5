// SPDX-License-Identifier: Apache-2.0
// A spool that was damaged in any way, repaired: it opens, every record that was not touched is
// read, and no file is gone.
#include "tools/envelopectl/spool_repair.h"

#include <errno.h>
#include <sys/stat.h>

#include "spool/control.h"
#include "support/chaos.h"
#include "support/troubled_disk.h"
#include "tests/unit/spool/spool_open.h"

#define RECORDS 600

static struct ee_spool_at at[RECORDS];

static int setup(void **state) {
  *state = directory_new();
  fill(*state, at);
  return 0;
}

static int teardown(void **state) {
  directory_free(*state);
  return 0;
}

static void path_of(const char *directory, const char *name, char out[512]) {
  snprintf(out, 512, "%s/%s", directory, name);
}

// Repairs; what was said is in text.
static bool try_to_repair(const char *directory, bool dry, char text[4096], struct ee_err *err) {
  struct ee_buf said;
  ee_buf_init(&said, 4095);
  bool ok = ee_spool_repair(directory, dry, &said, err);
  assert_false(said.failed);
  snprintf(text, 4096, "%.*s", EE_STR_ARG(ee_buf_view(&said)));
  ee_buf_release(&said);
  return ok;
}

static void assert_repaired(const char *directory, const char *wanted) {
  char text[4096];
  struct ee_err err = {""};
  if (!try_to_repair(directory, false, text, &err)) fail_msg("%s", err.text);
  assert_string_equal(text, wanted);
}

static void assert_refused(const char *directory, const char *why) {
  char text[4096];
  struct ee_err err = {""};
  uint64_t before = directory_state(directory, "lock");
  assert_false(try_to_repair(directory, false, text, &err));
  if (strstr(err.text, why) == NULL) fail_msg("%s", err.text);
  assert_string_equal(text, "");
  assert_true(directory_state(directory, "lock") == before);
}

// The next opening reads all records but those that are said to be touched.
static void assert_reads_all_but(const char *directory, const bool touched[RECORDS]) {
  struct ee_spool *spool = spool_open(directory);
  struct ee_spool_entry entry;
  enum ee_spool_read read;
  uint64_t i = 0;
  while ((read = ee_spool_read(spool, &entry, NULL)) != EE_SPOOL_READ_NOTHING) {
    uint8_t room[8192];
    assert_true(read == EE_SPOOL_READ_RECORD || read == EE_SPOOL_READ_TORN);
    if (read == EE_SPOOL_READ_TORN) continue;
    while (i < RECORDS && touched[i])
      i++;
    assert_true(i < RECORDS);
    struct ee_spool_item item = numbered_item(i, size_of(i), room);
    assert_same_item(&entry.item, &item);
    i++;
  }
  while (i < RECORDS && touched[i])
    i++;
  assert_int_equal(i, RECORDS);
  ee_spool_close(spool);
}

static const bool untouched[RECORDS];

// ---- One thing at a time.

static void what_is_sound_is_left_alone(void **state) {
  uint64_t before = directory_state(*state, "lock");
  assert_repaired(*state, "");
  assert_true(directory_state(*state, "lock") == before);
  assert_reads_all_but(*state, untouched);
}

static void a_lost_control_file_is_made(void **state) {
  char path[512];
  path_of(*state, "control", path);
  assert_int_equal(unlink(path), 0);
  assert_repaired(*state, "control: made anew, nothing settled from 0000000000000001.segment on\n");
  assert_reads_all_but(*state, untouched);
}

// Which was there, is kept; and what is no file makes way.
static void a_damaged_control_file_is_kept(void **state) {
  char path[512], aside[512];
  path_of(*state, "control", path);
  for (int round = 0; round < 3; round++) {
    if (round == 0) overwrite(path, 12, "?!", 2);
    if (round > 0) assert_int_equal(unlink(path), 0);
    if (round == 1) assert_int_equal(symlink("lock", path), 0);
    if (round == 2) assert_int_equal(mkdir(path, 0700), 0);
    assert_repaired(*state,
                    "control: moved to unusable/\n"
                    "control: made anew, nothing settled from 0000000000000001.segment on\n");
    struct stat found;
    path_of(*state,
            round == 0   ? "unusable/control"
            : round == 1 ? "unusable/control.1"
                         : "unusable/control.2",
            aside);
    assert_int_equal(lstat(aside, &found), 0);
  }
  assert_reads_all_but(*state, untouched);
}

// A record's number says in which epoch it was sent: the next one is later, whatever the clock.
static void no_epoch_is_used_twice(void **state) {
  char path[512];
  struct ee_spool *spool = spool_open(*state);
  struct ee_spool_entry entry;
  struct ee_spool_numbering numbering = {.number = 5, .epoch = 70000, .partition = 1};
  for (int i = 0; i < 10; i++)
    assert_int_equal(ee_spool_read(spool, &entry, NULL), EE_SPOOL_READ_RECORD);
  ee_spool_number(spool, &entry, &numbering);
  ee_spool_close(spool);
  path_of(*state, "control", path);
  assert_int_equal(unlink(path), 0);
  assert_repaired(*state, "control: made anew, nothing settled from 0000000000000001.segment on\n");
  spool = spool_open(*state);
  assert_int_equal(ee_spool_epoch(spool), 70001);
  ee_spool_close(spool);
}

static void a_damaged_head_is_made(void **state) {
  char path[512];
  uint8_t zeros[EE_SPOOL_UNIT] = {0};
  segment_path(*state, 2, path);
  overwrite(path, 0, zeros, sizeof zeros);
  assert_repaired(*state, "0000000000000002.segment: its head made anew\n");
  assert_reads_all_but(*state, untouched);
}

static void names_are_set_right(void **state) {
  char one[512], two[512], free_one[512];
  segment_path(*state, 1, one);
  segment_path(*state, 2, two);
  segment_path(*state, 9, free_one);
  assert_int_equal(rename(one, free_one), 0);
  assert_int_equal(rename(two, one), 0);
  assert_int_equal(rename(free_one, two), 0);
  segment_path(*state, 3, one);
  assert_int_equal(rename(one, free_one), 0);
  assert_repaired(*state,
                  "0000000000000001.segment: exchanged with 0000000000000002.segment, which it is\n"
                  "0000000000000009.segment: renamed to 0000000000000003.segment, which it is\n");
  assert_reads_all_but(*state, untouched);
}

static void what_is_anothers_is_moved(void **state) {
  char *other = directory_new(), from[512], to[512];
  ee_spool_close(spool_open(other));
  struct ee_spool *spool = spool_open(other);
  keep(spool);
  ee_spool_close(spool);
  segment_path(other, 1, from);
  segment_path(*state, 9, to);
  assert_int_equal(rename(from, to), 0);
  directory_free(other);
  assert_repaired(*state, "0000000000000009.segment: moved to unusable/\n");
  path_of(*state, "unusable/0000000000000009.segment", to);
  assert_int_equal(access(to, F_OK), 0);
  assert_reads_all_but(*state, untouched);
}

// From a copy, say, of which no more is left: its head alone says what it is.
static void a_segment_alone_is_a_spool(void **state) {
  char *alone = directory_new(), from[512], to[512];
  bool touched[RECORDS];
  segment_path(*state, 2, from);
  segment_path(alone, 7, to);
  assert_int_equal(rename(from, to), 0);
  assert_repaired(alone,
                  "0000000000000007.segment: renamed to 0000000000000002.segment, which it is\n"
                  "control: made anew, nothing settled from 0000000000000002.segment on\n");
  for (size_t i = 0; i < RECORDS; i++)
    touched[i] = at[i].segment != 2;
  assert_reads_all_but(alone, touched);
  directory_free(alone);
}

// What the opening cannot get past.
static void what_is_no_file_is_moved(void **state) {
  char path[512];
  struct ee_spool *spool;
  segment_path(*state, 9, path);
  assert_int_equal(mkdir(path, 0700), 0);
  assert_false(try_to_open(*state, 64, &spool, NULL));
  assert_repaired(*state, "0000000000000009.segment: moved to unusable/\n");
  assert_int_equal(symlink("control", path), 0);
  assert_false(try_to_open(*state, 64, &spool, NULL));
  assert_repaired(*state, "0000000000000009.segment: moved to unusable/\n");
  assert_reads_all_but(*state, untouched);
}

// ---- What is left alone.

static void a_later_version_is_left_alone(void **state) {
  char path[512];
  segment_path(*state, 2, path);
  overwrite(path, 8, "\2", 1);
  segment_path(*state, 1, path);
  overwrite(path, 30, "?", 1);  // would be repaired
  assert_refused(*state, "0000000000000002.segment: a later version");
  segment_path(*state, 2, path);
  overwrite(path, 8, "\1", 1);
  path_of(*state, "control", path);
  overwrite(path, 8, "\2", 1);
  assert_refused(*state, "control: a later version");
}

static void one_in_use_is_left_alone(void **state) {
  char path[512], holder[64];
  struct ee_spool *spool = spool_open(*state);
  path_of(*state, "control", path);
  snprintf(holder, sizeof holder, "process %ld holds the lock", (long)getpid());
  assert_refused(*state, holder);
  ee_spool_close(spool);
}

static void a_dry_run_changes_nothing(void **state) {
  char path[512], text[4096];
  struct ee_err err = {""};
  segment_path(*state, 2, path);
  overwrite(path, 30, "?", 1);
  path_of(*state, "control", path);
  overwrite(path, 12, "?!", 2);
  uint64_t before = directory_state(*state, "lock");
  assert_true(try_to_repair(*state, true, text, &err));
  assert_true(directory_state(*state, "lock") == before);
  assert_repaired(*state, text);
  assert_reads_all_but(*state, untouched);
}

static void nothing_is_made_where_no_spool_is(void **state) {
  char path[512], text[4096];
  struct ee_err err = {""};
  path_of(*state, "empty", path);
  assert_int_equal(mkdir(path, 0700), 0);
  uint64_t before = directory_state(path, "");
  assert_false(try_to_repair(path, false, text, &err));
  assert_non_null(strstr(err.text, "there is no spool"));
  assert_true(directory_state(path, "") == before);
}

// ---- Anything at once.

static uint64_t random_state = 11;

static size_t random_below(size_t below) {
  random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (size_t)(random_state >> 33) % below;
}

static void swap(const char *directory, uint64_t a, uint64_t b) {
  char first[512], second[512];
  segment_path(directory, a, first);
  segment_path(directory, b, second);
  assert_int_equal(renameat2(AT_FDCWD, first, AT_FDCWD, second, RENAME_EXCHANGE), 0);
}

// One record of those that lie where they were written.
static void damage_record(const char *directory, bool touched[RECORDS]) {
  char path[512];
  size_t i = random_below(RECORDS);
  if (at[i].segment != 3 || touched[i]) return;
  segment_path(directory, 3, path);
  overwrite(path, (off_t)at[i].offset + (off_t)random_below(40), "\377\377\377", 3);
  touched[i] = true;
}

static void damage_anything(const char *directory, bool touched[RECORDS]) {
  char path[512];
  uint8_t junk[EE_SPOOL_UNIT];
  memset(junk, (int)random_below(256), sizeof junk);
  for (int i = 0; i < 30; i++)
    damage_record(directory, touched);
  if (random_below(2) == 0) {
    segment_path(directory, 3, path);
    overwrite(path, (off_t)random_below(8), junk, 8 + random_below(40));
  }
  if (random_below(2) == 0) swap(directory, 1, random_below(2) == 0 ? 2 : 4);
  segment_path(directory, 7 + random_below(3), path);
  int kind = (int)random_below(4);
  if (kind == 0) assert_int_equal(mkdir(path, 0700), 0);
  if (kind == 1) close(open(path, O_CREAT | O_WRONLY, 0600));
  if (kind == 2) assert_int_equal(symlink("lock", path), 0);
  path_of(directory, "control", path);
  kind = (int)random_below(4);
  if (kind == 0) assert_int_equal(unlink(path), 0);
  if (kind == 1) overwrite(path, (off_t)random_below(8), junk, sizeof junk);
  if (kind == 2) overwrite(path, 512, junk, sizeof junk);
}

// A byte that is damaged may look like a later version's: that is left alone.
static bool looks_newer(const struct ee_err *err) {
  return strstr(err->text, "a later version") != NULL;
}

static void whatever_was_damaged_is_repaired(void **state) {
  int repaired = 0;
  for (int round = 0; round < ee_tries(100); round++) {
    char *directory = directory_new(), text[4096];
    bool touched[RECORDS] = {false};
    struct ee_err err = {""};
    (void)state;
    fill(directory, at);
    damage_anything(directory, touched);
    if (try_to_repair(directory, false, text, &err)) {
      repaired += text[0] != '\0';
      assert_repaired(directory, "");
      assert_reads_all_but(directory, touched);
    } else {
      assert_true(looks_newer(&err));
    }
    directory_free(directory);
  }
  assert_true(repaired > ee_tries(100) / 2);
}

// ---- Trouble on the way.

static void damage_all(const char *directory) {
  char path[512];
  segment_path(directory, 3, path);
  overwrite(path, 0, "damaged", 7);
  swap(directory, 1, 2);
  segment_path(directory, 9, path);
  assert_int_equal(mkdir(path, 0700), 0);
  path_of(directory, "control", path);
  overwrite(path, 12, "?!", 2);
}

// Wherever a repair ends, another one goes on.
static void a_repair_may_be_cut_short(void **state) {
  bool failed = true;
  size_t step = ee_tries(100) < 100 ? 17 : 1;
  (void)state;
  for (size_t n = 0; failed; n += step) {
    char *directory = directory_new(), text[4096];
    struct ee_err err = {""};
    fill(directory, at);
    damage_all(directory);
    troubled_disk_fail(n, 1, EIO);
    bool ok = try_to_repair(directory, false, text, &err);
    failed = troubled_disk_stop();
    assert_true(ok || (failed && err.text[0] != '\0'));
    if (!try_to_repair(directory, false, text, &err)) fail_msg("%s", err.text);
    assert_reads_all_but(directory, untouched);
    directory_free(directory);
  }
}

// Some thousand allocations, most of them one look's: not each (tests/errors/run does).
static void memory_that_is_out_is_said(void **state) {
  bool failed = true;
  size_t step = ee_tries(100) < 100 ? 131 : 13;
  damage_all(*state);
  for (size_t n = 0; failed; n += step) {
    char text[4096];
    struct ee_buf said;
    struct ee_err err = {""};
    ee_buf_init(&said, sizeof text);
    ee_chaos_fail_after(n);
    bool ok = ee_spool_repair(*state, false, &said, &err);
    failed = ee_chaos_stop();
    assert_true(ok || (failed && err.text[0] != '\0'));
    ee_buf_release(&said);
  }
  assert_reads_all_but(*state, untouched);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(what_is_sound_is_left_alone),
      TEST(a_lost_control_file_is_made),
      TEST(a_damaged_control_file_is_kept),
      TEST(no_epoch_is_used_twice),
      TEST(a_damaged_head_is_made),
      TEST(names_are_set_right),
      TEST(what_is_anothers_is_moved),
      TEST(a_segment_alone_is_a_spool),
      TEST(what_is_no_file_is_moved),
      TEST(a_later_version_is_left_alone),
      TEST(one_in_use_is_left_alone),
      TEST(a_dry_run_changes_nothing),
      TEST(nothing_is_made_where_no_spool_is),
      TEST(whatever_was_damaged_is_repaired),
      TEST(a_repair_may_be_cut_short),
      TEST(memory_that_is_out_is_said),
  };
  return cmocka_run_group_tests_name("ctl/spool_repair", tests, NULL, NULL);
}
