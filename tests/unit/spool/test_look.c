// SPDX-License-Identifier: Apache-2.0
// A look at a spool from outside: it sees what the next opening will, changes nothing, and says of
// each file what it is.
#include "spool/look.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "support/chaos.h"
#include "tests/unit/spool/spool_open.h"

static int setup(void **state) {
  *state = directory_new();
  return 0;
}

static int teardown(void **state) {
  directory_free(*state);
  return 0;
}

static struct ee_spool_look look_at(const char *directory) {
  struct ee_spool_look look;
  struct ee_err err = {""};
  if (!ee_spool_look_open(directory, &look, &err)) fail_msg("%s", err.text);
  return look;
}

static void control_path(const char *directory, char out[512]) {
  snprintf(out, 512, "%s/control", directory);
}

// ---- What is seen.

// Records that are not settled: how many, and where each lies, in order.
struct seen {
  size_t records, settled, torn, numbered;
  struct ee_spool_at at[700];
};

static void see_file(const struct ee_spool_look *look, uint64_t number, struct seen *seen) {
  struct ee_spool_view view;
  struct ee_spool_walk walk;
  struct ee_spool_sight sight;
  ee_spool_view_open(look, number, &view);
  if (view.is == EE_SPOOL_FILE_SOUND) {
    ee_spool_walk_init(&walk, look, &view);
    while (ee_spool_walk_next(&walk, &sight)) {
      seen->settled += sight.settled && sight.record;
      if (sight.settled) continue;
      seen->torn += !sight.record;
      seen->numbered += sight.numbered;
      if (!sight.record) continue;
      assert_true(seen->records < COUNT_OF(seen->at));
      seen->at[seen->records++] = (struct ee_spool_at){number, sight.place.offset};
    }
  }
  ee_spool_view_close(&view);
}

static void see(const char *directory, struct seen *seen) {
  struct ee_spool_look look = look_at(directory);
  memset(seen, 0, sizeof *seen);
  for (size_t i = 0; i < look.count; i++)
    see_file(&look, look.numbers[i], seen);
  ee_spool_look_close(&look);
}

// The next opening reads just what was seen.
static void assert_read_as_seen(const char *directory, const struct seen *seen) {
  struct ee_spool *spool = spool_open(directory);
  struct ee_spool_entry entry;
  enum ee_spool_read read;
  size_t records = 0, torn = 0;
  while ((read = ee_spool_read(spool, &entry, NULL)) != EE_SPOOL_READ_NOTHING) {
    torn += read == EE_SPOOL_READ_TORN;
    if (read != EE_SPOOL_READ_RECORD) continue;
    assert_true(records < seen->records);
    assert_true(entry.at.segment == seen->at[records].segment &&
                entry.at.offset == seen->at[records].offset);
    records++;
  }
  assert_int_equal(records, seen->records);
  assert_int_equal(torn, seen->torn);
  ee_spool_close(spool);
}

static void settle_to(const char *directory, size_t count) {
  struct ee_spool *spool = spool_open(directory);
  struct ee_spool_entry entry;
  for (size_t i = 0; i < count; i++) {
    struct ee_spool_numbering numbering = {.number = i, .epoch = ee_spool_epoch(spool)};
    assert_int_equal(ee_spool_read(spool, &entry, NULL), EE_SPOOL_READ_RECORD);
    ee_spool_number(spool, &entry, &numbering);
    if (i == count / 2) settle(spool, &entry);
  }
  ee_spool_close(spool);
}

static void sees_what_the_next_opening_reads(void **state) {
  static struct ee_spool_at at[600];
  static struct seen seen;
  fill(*state, at);
  settle_to(*state, 301);
  see(*state, &seen);
  assert_true(seen.records == 449 && seen.settled == 151 && seen.torn == 0);
  assert_int_equal(seen.numbered, 150);
  assert_true(seen.at[0].segment == at[151].segment && seen.at[0].offset == at[151].offset);
  assert_read_as_seen(*state, &seen);
}

// Records that are mostly zeros, as most of a segment is.
static void sees_zeros(void **state) {
  static uint8_t zeros[EE_SPOOL_PAYLOAD_MAX];
  static struct seen seen;
  struct ee_spool *spool = spool_open(*state);
  zeros[sizeof zeros - 1] = 1;
  keep(spool);
  for (size_t cut = 0; cut < 3; cut++) {
    struct ee_spool_item item = {.payload = ee_bytes(zeros + cut, sizeof zeros - cut)};
    assert_true(ee_spool_append(spool, &item, NULL));
  }
  ee_spool_close(spool);
  see(*state, &seen);
  assert_true(seen.records == 3 && seen.torn == 0);
  assert_read_as_seen(*state, &seen);
}

static void sees_it_in_damaged_segments_too(void **state) {
  static struct ee_spool_at at[600];
  static struct seen seen;
  uint64_t random = 7;
  size_t lost = 0;
  fill(*state, at);
  settle_to(*state, 100);
  for (int round = 0; round < 40; round++) {
    char path[512], junk[300];
    random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    size_t i = (size_t)(random >> 40) % 600;
    segment_path(*state, at[i].segment, path);
    memset(junk, (int)(random >> 20 & 0xff), sizeof junk);
    overwrite(path, (off_t)(at[i].offset + (random >> 32) % 200), junk, 1 + (random >> 24) % 299);
    see(*state, &seen);
    assert_read_as_seen(*state, &seen);
    lost = 549 - seen.records;
  }
  assert_true(lost > 20);
}

static void sees_one_that_is_in_use(void **state) {
  static struct seen seen;
  struct ee_spool *spool = spool_open(*state);
  keep(spool);
  for (uint64_t i = 0; i < 20; i++)
    assert_true(append(spool, i, size_of(i)));
  struct ee_spool_look look = look_at(*state);
  assert_int_equal(look.holder, getpid());
  assert_true(look.control == EE_SPOOL_CONTROL_OPEN);
  assert_int_equal(look.progress.epoch, ee_spool_epoch(spool));
  ee_spool_look_close(&look);
  see(*state, &seen);
  assert_int_equal(seen.records, 20);
  ee_spool_close(spool);
  look = look_at(*state);
  assert_int_equal(look.holder, 0);
  ee_spool_look_close(&look);
}

// ---- What is left as it was.

static void changes_nothing(void **state) {
  static struct ee_spool_at at[600];
  static struct seen seen;
  char path[512];
  fill(*state, at);
  snprintf(path, sizeof path, "%s/unfinished.segment", (const char *)*state);
  close(open(path, O_WRONLY | O_CREAT, 0600));
  uint64_t before = directory_state(*state, "");
  see(*state, &seen);
  assert_true(seen.records == 600 && directory_state(*state, "") == before);
}

static void nothing_is_no_spool(void **state) {
  struct ee_spool_look look;
  struct ee_err err = {""};
  char path[512];
  assert_false(ee_spool_look_open(*state, &look, &err));
  assert_non_null(strstr(err.text, "there is no spool"));
  snprintf(path, sizeof path, "%s/nowhere", (const char *)*state);
  assert_false(ee_spool_look_open(path, &look, &err));
  assert_non_null(strstr(err.text, "No such file"));
}

// ---- What a file is.

static enum ee_spool_file file_is(const char *directory, uint64_t number, const char *word) {
  struct ee_spool_look look = look_at(directory);
  struct ee_spool_view view;
  ee_spool_view_open(&look, number, &view);
  assert_true((view.bytes != NULL) ==
              (view.is == EE_SPOOL_FILE_SOUND || view.is == EE_SPOOL_FILE_HEADLESS));
  if (view.is != EE_SPOOL_FILE_SOUND && strstr(view.says.text, word) == NULL) {
    fail_msg("%s", view.says.text);
  }
  ee_spool_view_close(&view);
  ee_spool_look_close(&look);
  return view.is;
}

static void write_file(const char *path, const void *bytes, size_t size) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, bytes, size), size);
  close(fd);
}

static void heads_are_judged(void **state) {
  static struct ee_spool_at at[600];
  struct ee_spool_segment other = {.id = "another spool's", .number = 2, .size = SEGMENT};
  uint8_t head[EE_SPOOL_UNIT], zeros[EE_SPOOL_UNIT] = {0};
  char path[512], moved[512];
  fill(*state, at);
  assert_int_equal(file_is(*state, 2, ""), EE_SPOOL_FILE_SOUND);
  assert_int_equal(file_is(*state, 77, "not there"), EE_SPOOL_FILE_GONE);
  segment_path(*state, 2, path);
  segment_path(*state, 9, moved);
  assert_int_equal(rename(path, moved), 0);
  assert_int_equal(file_is(*state, 9, "it is segment 0000000000000002"), EE_SPOOL_FILE_MISPLACED);
  assert_int_equal(rename(moved, path), 0);
  overwrite(path, 0, zeros, sizeof zeros);
  assert_int_equal(file_is(*state, 2, "its head is damaged"), EE_SPOOL_FILE_HEADLESS);
  overwrite(path, 0, "EESPOOL\0\2", 9);
  assert_int_equal(file_is(*state, 2, "a later version"), EE_SPOOL_FILE_NEWER);
  ee_spool_segment_make(&other, head);
  overwrite(path, 0, head, sizeof head);
  assert_int_equal(file_is(*state, 2, "another spool"), EE_SPOOL_FILE_FOREIGN);
}

static void what_is_no_segment_is_useless(void **state) {
  static struct ee_spool_at at[600];
  static const uint8_t zeros[4096];
  char path[512];
  fill(*state, at);
  segment_path(*state, 5, path);
  write_file(path, zeros, 10);
  assert_int_equal(file_is(*state, 5, "too short"), EE_SPOOL_FILE_USELESS);
  write_file(path, zeros, sizeof zeros);
  assert_int_equal(file_is(*state, 5, "neither its head"), EE_SPOOL_FILE_USELESS);
  assert_int_equal(unlink(path), 0);
  assert_int_equal(mkfifo(path, 0600), 0);
  assert_int_equal(file_is(*state, 5, "not a file"), EE_SPOOL_FILE_USELESS);
  assert_int_equal(unlink(path), 0);
  assert_int_equal(symlink("0000000000000001.segment", path), 0);
  assert_int_equal(file_is(*state, 5, "a link"), EE_SPOOL_FILE_USELESS);
  assert_int_equal(unlink(path), 0);
  assert_int_equal(mkdir(path, 0700), 0);
  assert_int_equal(file_is(*state, 5, "not a file"), EE_SPOOL_FILE_USELESS);
}

// The opening counts on from the highest number: one that cannot be followed is none.
static void a_number_has_others_behind_it(void **state) {
  struct ee_spool *spool = spool_open(*state);
  keep(spool);
  struct ee_spool_look look = look_at(*state);
  struct ee_spool_segment segment = {.number = UINT64_MAX, .size = EE_SPOOL_UNIT};
  uint8_t head[EE_SPOOL_UNIT];
  char path[512];
  memcpy(segment.id, look.id, sizeof segment.id);
  ee_spool_segment_make(&segment, head);
  segment_path(*state, UINT64_MAX, path);
  write_file(path, head, sizeof head);
  assert_int_equal(file_is(*state, UINT64_MAX, "a number that no segment"), EE_SPOOL_FILE_USELESS);
  ee_spool_look_close(&look);
  ee_spool_close(spool);
}

// ---- The control file.

// A stranger's segment comes first; the id is still that of the others.
static void a_lost_id_is_that_of_most_segments(void **state) {
  static struct ee_spool_at at[600];
  struct ee_spool_segment other = {.id = "", .number = 1, .size = SEGMENT};
  uint8_t head[EE_SPOOL_UNIT], id[EE_SPOOL_ID_SIZE];
  char path[512];
  fill(*state, at);
  struct ee_spool_look look = look_at(*state);
  memcpy(id, look.id, sizeof id);
  assert_true(look.known && look.control == EE_SPOOL_CONTROL_OPEN);
  ee_spool_look_close(&look);
  ee_spool_segment_make(&other, head);
  segment_path(*state, 1, path);
  overwrite(path, 0, head, sizeof head);
  control_path(*state, path);
  assert_int_equal(unlink(path), 0);
  look = look_at(*state);
  assert_true(look.known && look.control == EE_SPOOL_CONTROL_MISSING);
  assert_memory_equal(look.id, id, sizeof id);
  assert_true(look.progress.segment == 1 && look.progress.offset == EE_SPOOL_UNIT);
  ee_spool_look_close(&look);
}

static void a_damaged_control_file_may_still_know_its_id(void **state) {
  struct ee_spool *spool = spool_open(*state);
  char path[512], junk[1024];
  ee_spool_close(spool);
  memset(junk, '?', sizeof junk);
  control_path(*state, path);
  overwrite(path, 512, junk, sizeof junk);
  struct ee_spool_look look = look_at(*state);
  assert_true(look.known && look.control == EE_SPOOL_CONTROL_DAMAGED && look.count == 0);
  ee_spool_look_close(&look);
  overwrite(path, 12, junk, 4);
  look = look_at(*state);
  assert_true(!look.known && look.control == EE_SPOOL_CONTROL_DAMAGED);
  ee_spool_look_close(&look);
  overwrite(path, 8, "\2", 1);
  look = look_at(*state);
  assert_true(look.control == EE_SPOOL_CONTROL_NEWER);
  ee_spool_look_close(&look);
  assert_int_equal(unlink(path), 0);
  assert_int_equal(symlink("lock", path), 0);
  look = look_at(*state);
  assert_true(look.control == EE_SPOOL_CONTROL_DAMAGED);
  ee_spool_look_close(&look);
}

// The walk over a segment goes from unit to unit: from another place it would go beyond its end.
static void what_is_settled_ends_with_a_unit(void **state) {
  static const uint8_t id[EE_SPOOL_ID_SIZE] = "control's id";
  struct ee_spool_progress progress = {.segment = 1, .offset = EE_SPOOL_UNIT + 1};
  struct ee_spool_control control;
  struct ee_err err = {""};
  assert_true(ee_spool_control_make(*state, id, &progress, NULL));
  assert_int_equal(ee_spool_control_open(*state, &control, &err), EE_SPOOL_CONTROL_DAMAGED);
}

struct storing {
  struct ee_spool_control control;
  _Atomic(bool) stop;
};

static void *store_on(void *context) {
  struct storing *storing = context;
  struct ee_spool_progress progress = {.epoch = 1, .segment = 1, .offset = EE_SPOOL_UNIT};
  while (!atomic_load(&storing->stop)) {
    progress.offset += EE_SPOOL_UNIT;
    ee_spool_control_store(&storing->control, &progress);
  }
  return NULL;
}

// Its writer does not wait: both sectors may be caught half written.
static void a_control_file_is_read_while_it_is_written(void **state) {
  static const uint8_t id[EE_SPOOL_ID_SIZE] = "control's id";
  static struct storing storing;
  struct ee_spool_progress progress = {.segment = 1, .offset = EE_SPOOL_UNIT};
  pthread_t thread;
  assert_true(ee_spool_control_make(*state, id, &progress, NULL));
  assert_int_equal(ee_spool_control_open(*state, &storing.control, NULL), EE_SPOOL_CONTROL_OPEN);
  assert_int_equal(pthread_create(&thread, NULL, store_on, &storing), 0);
  uint64_t last = 0;
  for (int i = 0; i < ee_tries(20000); i++) {
    struct ee_spool_control control;
    bool known;
    assert_int_equal(ee_spool_control_read(*state, &control, &known, NULL), EE_SPOOL_CONTROL_OPEN);
    assert_true(known && memcmp(control.id, id, sizeof id) == 0);
    assert_true(control.progress.offset >= last && control.progress.offset % EE_SPOOL_UNIT == 0);
    last = control.progress.offset;
  }
  atomic_store(&storing.stop, true);
  pthread_join(thread, NULL);
  ee_spool_control_close(&storing.control);
}

// ---- Short memory.

static void memory_that_is_out_is_said(void **state) {
  static struct ee_spool_at at[600];
  fill(*state, at);
  bool failed = true;
  for (size_t n = 0; failed; n++) {
    struct ee_spool_look look;
    struct ee_spool_view view;
    struct ee_err err = {""};
    ee_chaos_fail_after(n);
    if (ee_spool_look_open(*state, &look, &err)) {
      ee_spool_view_open(&look, 2, &view);
      failed = ee_chaos_stop();
      assert_true(view.is == (failed ? EE_SPOOL_FILE_UNREADABLE : EE_SPOOL_FILE_SOUND));
      ee_spool_view_close(&view);
      ee_spool_look_close(&look);
    } else {
      failed = ee_chaos_stop();
      assert_true(failed && err.text[0] != '\0');
    }
  }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(sees_what_the_next_opening_reads),
      TEST(sees_zeros),
      TEST(sees_it_in_damaged_segments_too),
      TEST(sees_one_that_is_in_use),
      TEST(changes_nothing),
      TEST(nothing_is_no_spool),
      TEST(heads_are_judged),
      TEST(what_is_no_segment_is_useless),
      TEST(a_number_has_others_behind_it),
      TEST(a_lost_id_is_that_of_most_segments),
      TEST(a_damaged_control_file_may_still_know_its_id),
      TEST(what_is_settled_ends_with_a_unit),
      TEST(a_control_file_is_read_while_it_is_written),
      TEST(memory_that_is_out_is_said),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
