// SPDX-License-Identifier: Apache-2.0
// base/file: bounds of reading, replacement that leaves nothing behind, locks between
// processes.
#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/chaos.h"
#include "tests/support/test.h"

struct place {
  char directory[64];
  char path[128];  // of "file" in it; not there yet
};

static int enter(void **state) {
  struct place *place = calloc(1, sizeof *place);
  if (place == NULL) return -1;
  snprintf(place->directory, sizeof place->directory, "/tmp/ee-test-file-XXXXXX");
  if (mkdtemp(place->directory) == NULL) return -1;
  snprintf(place->path, sizeof place->path, "%s/file", place->directory);
  *state = place;
  return 0;
}

static int leave(void **state) {
  struct place *place = *state;
  char command[128];
  snprintf(command, sizeof command, "rm -rf %s", place->directory);
  free(place);
  return system(command);
}

static size_t count_entries(const char *directory) {
  DIR *dir = opendir(directory);
  assert_non_null(dir);
  size_t count = 0;
  for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
    count += entry->d_name[0] != '.';
  }
  closedir(dir);
  return count;
}

static void assert_holds(const char *path, struct ee_bytes content) {
  struct ee_buf buf;
  struct ee_err err = {.text = ""};
  ee_buf_init(&buf, content.size);
  if (!ee_file_read(path, &buf, &err)) fail_msg("%s", err.text);
  assert_true(ee_bytes_equal(ee_buf_bytes(&buf), content));
  ee_buf_release(&buf);
}

static void test_replace_and_read(void **state) {
  const struct place *place = *state;
  static uint8_t large[200000];
  struct ee_err err = {.text = ""};
  memset(large, 0xAB, sizeof large);
  assert_true(ee_file_replace(place->path, ee_bytes(large, sizeof large), &err));
  assert_holds(place->path, ee_bytes(large, sizeof large));
  assert_true(ee_file_replace(place->path, ee_bytes("a\0b", 3), &err));
  assert_holds(place->path, ee_bytes("a\0b", 3));
  assert_true(ee_file_replace(place->path, ee_bytes("", 0), &err));
  assert_holds(place->path, ee_bytes("", 0));
  struct stat found;
  assert_int_equal(stat(place->path, &found), 0);
  assert_int_equal(found.st_mode & 0777, 0600);
  assert_int_equal(count_entries(place->directory), 1);
}

static void test_replace_that_fails_leaves_nothing(void **state) {
  const struct place *place = *state;
  struct ee_err err = {.text = ""};
  assert_int_equal(mkdir(place->path, 0700), 0);
  assert_false(ee_file_replace(place->path, ee_bytes("x", 1), &err));
  assert_non_null(strstr(err.text, place->path));
  assert_int_equal(count_entries(place->directory), 1);
  char missing[160];
  snprintf(missing, sizeof missing, "%s/no/file", place->directory);
  assert_false(ee_file_replace(missing, ee_bytes("x", 1), &err));
  assert_non_null(strstr(err.text, "No such file"));
}

static void test_replace_in_the_working_directory(void **state) {
  const struct place *place = *state;
  struct ee_err err = {.text = ""};
  char before[4096];
  assert_non_null(getcwd(before, sizeof before));
  assert_int_equal(chdir(place->directory), 0);
  bool ok = ee_file_replace("file", ee_bytes("here", 4), &err);
  assert_int_equal(chdir(before), 0);
  assert_true(ok);
  assert_holds(place->path, ee_bytes("here", 4));
}

static void test_read_bound(void **state) {
  const struct place *place = *state;
  struct ee_err err = {.text = ""};
  for (size_t size = 0; size < 4; size++) {
    assert_true(ee_file_replace(place->path, ee_bytes("1234", size), &err));
    for (size_t limit = 0; limit < 6; limit++) {
      struct ee_buf buf;
      ee_buf_init(&buf, limit);
      assert_int_equal(ee_file_read(place->path, &buf, &err), limit >= size);
      if (limit < size) assert_non_null(strstr(err.text, "larger than"));
      if (limit >= size) assert_true(ee_bytes_equal(ee_buf_bytes(&buf), ee_bytes("1234", size)));
      ee_buf_release(&buf);
    }
  }
}

static void test_read_of_what_cannot_be_read(void **state) {
  const struct place *place = *state;
  struct ee_err err = {.text = ""};
  struct ee_buf buf;
  ee_buf_init(&buf, 100);
  assert_false(ee_file_read(place->path, &buf, &err));
  assert_non_null(strstr(err.text, "No such file"));
  assert_false(ee_file_read(place->directory, &buf, &err));
  assert_non_null(strstr(err.text, "directory"));
  assert_true(ee_file_replace(place->path, ee_bytes("12345", 5), &err));
  ee_buf_release(&buf);
  ee_chaos_fail_after(0);
  assert_false(ee_file_read(place->path, &buf, &err));
  assert_true(ee_chaos_stop());
  assert_non_null(strstr(err.text, "memory"));
  ee_buf_release(&buf);
}

static void test_reads_standard_input(void **state) {
  (void)state;
  int ends[2];
  int kept = dup(STDIN_FILENO);
  struct ee_err err = {.text = ""};
  struct ee_buf buf;
  ee_buf_init(&buf, 100);
  ee_buf_text(&buf, "before ");
  assert_int_equal(pipe(ends), 0);
  assert_int_equal(write(ends[1], "piped", 5), 5);
  close(ends[1]);
  dup2(ends[0], STDIN_FILENO);
  close(ends[0]);
  bool ok = ee_file_read("-", &buf, &err);
  dup2(kept, STDIN_FILENO);
  close(kept);
  assert_true(ok);
  assert_true(ee_str_equal(ee_buf_view(&buf), EE_STR("before piped")));
  ee_buf_release(&buf);
}

static void test_makes_directories(void **state) {
  const struct place *place = *state;
  struct ee_err err = {.text = ""};
  char path[256];
  struct stat found;
  snprintf(path, sizeof path, "%s//a/b/c/", place->directory);
  assert_true(ee_dir_make(path, &err));
  assert_true(ee_dir_make(path, &err));
  assert_int_equal(stat(path, &found), 0);
  assert_true(S_ISDIR(found.st_mode));
  assert_int_equal(found.st_mode & 0777, 0700);
  assert_true(ee_dir_make("/", &err));
  assert_false(ee_dir_make("", &err));
  assert_true(ee_file_replace(place->path, ee_bytes("", 0), &err));
  assert_false(ee_dir_make(place->path, &err));
  assert_non_null(strstr(err.text, "Not a directory"));
  snprintf(path, sizeof path, "%s/below", place->path);
  assert_false(ee_dir_make(path, &err));
}

static void test_lock_within_a_process(void **state) {
  const struct place *place = *state;
  struct ee_err err = {.text = ""};
  char holder[64];
  int first = -1, second = -1;
  assert_true(ee_dir_lock(place->directory, &first, &err));
  assert_false(ee_dir_lock(place->directory, &second, &err));
  assert_int_equal(second, -1);
  snprintf(holder, sizeof holder, "process %ld holds", (long)getpid());
  assert_non_null(strstr(err.text, holder));
  close(first);
  assert_true(ee_dir_lock(place->directory, &second, &err));
  close(second);
}

static void test_lock_ends_with_its_process(void **state) {
  const struct place *place = *state;
  struct ee_err err = {.text = ""};
  int ready[2], end[2], fd = -1;
  char byte = 0;
  assert_int_equal(pipe(ready), 0);
  assert_int_equal(pipe(end), 0);
  assert_int_equal(ee_dir_lock_holder(place->directory), 0);
  pid_t child = fork();
  if (child == 0) {
    bool ok = ee_dir_lock(place->directory, &fd, &err) && write(ready[1], "", 1) == 1;
    close(end[1]);
    _exit(ok && read(end[0], &byte, 1) == 0 ? 0 : 1);
  }
  assert_int_equal(read(ready[0], &byte, 1), 1);
  char holder[64];
  snprintf(holder, sizeof holder, "process %ld holds", (long)child);
  assert_false(ee_dir_lock(place->directory, &fd, &err));
  assert_non_null(strstr(err.text, holder));
  assert_int_equal(ee_dir_lock_holder(place->directory), child);
  close(end[1]);
  int status = -1;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  assert_int_equal(ee_dir_lock_holder(place->directory), 0);
  assert_true(ee_dir_lock(place->directory, &fd, &err));
  close(fd);
  close(ready[0]);
  close(ready[1]);
  close(end[0]);
}

// A lock is one directory's and not another's.
static void test_lock_of_one_of_two(void **state) {
  const struct place *place = *state;
  char below[128], lock[160];
  int fd = -1;
  snprintf(below, sizeof below, "%s/below", place->directory);
  snprintf(lock, sizeof lock, "%s/lock", below);
  assert_true(ee_dir_make(below, NULL) && ee_dir_lock(below, &fd, NULL));
  assert_int_equal(ee_dir_lock_holder(below), getpid());
  close(fd);
  assert_true(ee_dir_lock(place->directory, &fd, NULL));
  assert_int_equal(ee_dir_lock_holder(below), 0);
  close(fd);
  assert_int_equal(unlink(lock) | rmdir(below), 0);
}

static void test_lock_file_with_other_content(void **state) {
  const struct place *place = *state;
  struct ee_err err = {.text = ""};
  int fd = -1, other = -1;
  assert_true(ee_dir_lock(place->directory, &fd, &err));
  assert_int_equal(pwrite(fd, "no number, and long", 19, 0), 19);
  assert_false(ee_dir_lock(place->directory, &other, &err));
  assert_non_null(strstr(err.text, "another process"));
  assert_int_equal(ftruncate(fd, 0), 0);
  assert_false(ee_dir_lock(place->directory, &other, &err));
  assert_non_null(strstr(err.text, "another process"));
  close(fd);
  char missing[128];
  snprintf(missing, sizeof missing, "%s/no", place->directory);
  assert_false(ee_dir_lock(missing, &other, &err));
  assert_non_null(strstr(err.text, "No such file"));
}

static void test_no_descriptor_is_left_open(void **state) {
  const struct place *place = *state;
  struct ee_err err = {.text = ""};
  struct ee_buf buf;
  int fd = -1, other = -1;
  ee_buf_init(&buf, 2);
  size_t before = count_entries("/proc/self/fd");
  assert_true(ee_file_replace(place->path, ee_bytes("123", 3), &err));
  assert_false(ee_file_replace(place->directory, ee_bytes("123", 3), &err));
  assert_false(ee_file_read(place->path, &buf, &err));
  assert_true(ee_dir_lock(place->directory, &fd, &err));
  assert_false(ee_dir_lock(place->directory, &other, &err));
  assert_int_equal(ee_dir_lock_holder(place->directory), getpid());
  close(fd);
  assert_int_equal(count_entries("/proc/self/fd"), before);
  ee_buf_release(&buf);
}

#define WITH_PLACE(test) cmocka_unit_test_setup_teardown(test, enter, leave)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_PLACE(test_replace_and_read),
      WITH_PLACE(test_replace_that_fails_leaves_nothing),
      WITH_PLACE(test_replace_in_the_working_directory),
      WITH_PLACE(test_read_bound),
      WITH_PLACE(test_read_of_what_cannot_be_read),
      WITH_PLACE(test_reads_standard_input),
      WITH_PLACE(test_makes_directories),
      WITH_PLACE(test_lock_within_a_process),
      WITH_PLACE(test_lock_ends_with_its_process),
      WITH_PLACE(test_lock_of_one_of_two),
      WITH_PLACE(test_lock_file_with_other_content),
      WITH_PLACE(test_no_descriptor_is_left_open),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
