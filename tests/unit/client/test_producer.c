// SPDX-License-Identifier: Apache-2.0
// Producers: opened and closed, full, synced, and given up by a child of fork.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/time.h"
#include "client/producer_impl.h"
#include "client/sender_impl.h"
#include "support/troubled_disk.h"
#include "tests/unit/client/producer_support.h"
#include "tests/unit/spool/pages.h"

#define DEADLINE_MS 20000
#define CLOSE_MS 5000  // longer than to end a client of librdkafka takes

static struct place place;
static envelope_event *event;

static int setup(void **state) {
  (void)state;
  place = place_new();
  event = envelope_event_new(ENVELOPE_FAILED);
  assert_non_null(event);
  complete(event, ENVELOPE_FAILED);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  envelope_event_free(event);
  place_free(&place);
  return 0;
}

static envelope_producer *producer_as(const char *name, const char *value) {
  envelope_settings *settings = settings_at(&place);
  set_setting(settings, name, value);
  return producer_with(settings);
}

static envelope_producer *producer_plain(void) {
  return producer_with(settings_at(&place));
}

static size_t records_in(const char *directory) {
  struct ee_spool *spool = spool_at(directory);
  struct ee_spool_entry entry;
  size_t count = 0;
  while (ee_spool_read(spool, &entry, NULL) == EE_SPOOL_READ_RECORD)
    count++;
  ee_spool_close(spool);
  return count;
}

// ---- Opening.

static void assert_open_fails(envelope_settings *settings, int result, const char *text,
                              const char *field) {
  struct envelope_error error = {.result = 0};
  static envelope_producer untouched;
  envelope_producer *producer = &untouched;
  assert_int_equal(envelope_producer_open(settings, &producer, NULL), result);
  assert_int_equal(envelope_producer_open(settings, &producer, &error), result);
  assert_ptr_equal(producer, &untouched);
  assert_int_equal(error.result, result);
  assert_string_equal(error.field, field);
  if (strstr(error.text, text) == NULL) fail_msg("%s, not %s", error.text, text);
  envelope_settings_free(settings);
}

static void settings_that_do_not_fit(void **state) {
  (void)state;
  envelope_settings *settings = envelope_settings_new();
  assert_open_fails(settings, ENVELOPE_BAD_SETTING, "a directory has to be named", "spool");
  settings = settings_at(&place);
  set_setting(settings, "segment-bytes", "17MiB");
  assert_open_fails(settings, ENVELOPE_BAD_SETTING, "at least four segments", "spool-bytes");
  settings = settings_at(&place);
  set_setting(settings, "segment-bytes", "1048577");
  assert_open_fails(settings, ENVELOPE_BAD_SETTING, "in pages of 4096", "spool-bytes");
  settings = settings_at(&place);
  set_setting(settings, "property", "no.such.property=1");
  assert_open_fails(settings, ENVELOPE_BAD_SETTING, "no.such.property", "");
}

static void a_place_that_cannot_be_used(void **state) {
  (void)state;
  char path[512];
  snprintf(path, sizeof path, "%s/file", place.directory);
  int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  assert_true(file >= 0);
  close(file);
  snprintf(path, sizeof path, "%s/file/spool", place.directory);
  envelope_settings *settings = settings_at(&place);
  set_setting(settings, "spool", path);
  assert_open_fails(settings, ENVELOPE_UNAVAILABLE, place.directory, "");
}

static void one_that_somebody_has(void **state) {
  (void)state;
  char holder[64];
  envelope_producer *producer = producer_plain();
  snprintf(holder, sizeof holder, "process %ld holds the lock", (long)getpid());
  assert_open_fails(settings_at(&place), ENVELOPE_UNAVAILABLE, holder, "");
  emit(producer, event);  // it is still the first one's
  producer_end(producer);
  assert_int_equal(records_in(place.directory), 1);
}

static uint32_t file_crc(const char *path, uint32_t crc) {
  struct ee_buf bytes;
  struct ee_err err;
  ee_buf_init(&bytes, (size_t)4 << 20);
  if (!ee_file_read(path, &bytes, &err)) fail_msg("%s", err.text);
  crc = ee_crc32c(crc, bytes.data, bytes.size);
  ee_buf_release(&bytes);
  return crc;
}

// Of all that a spool consists of; the lock says who looks.
static uint32_t spool_crc(void) {
  struct dirent **entries = NULL;
  uint32_t crc = 0;
  int count = scandir(place.directory, &entries, NULL, alphasort);
  assert_true(count > 0);
  for (int i = 0; i < count; i++) {
    char path[1024];
    struct stat found;
    const char *name = entries[i]->d_name;
    snprintf(path, sizeof path, "%s/%s", place.directory, name);
    assert_int_equal(stat(path, &found), 0);
    crc = ee_crc32c(crc, name, strlen(name));
    if (S_ISREG(found.st_mode) && strcmp(name, "lock") != 0) crc = file_crc(path, crc);
    free(entries[i]);
  }
  free(entries);
  return crc;
}

static void poke(const char *name, off_t at, uint8_t byte) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s", place.directory, name);
  int file = open(path, O_WRONLY | O_CLOEXEC);
  assert_true(file >= 0);
  assert_int_equal(pwrite(file, &byte, 1, at), 1);
  close(file);
}

static void what_a_later_version_wrote(void **state) {
  (void)state;
  static const char *const names[] = {"control", "0000000000000001.segment"};
  producer_end(producer_plain());
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    poke(names[i], 8, EE_SPOOL_VERSION + 1);
    uint32_t before = spool_crc();
    assert_open_fails(settings_at(&place), ENVELOPE_UNAVAILABLE, "later version", "");
    assert_int_equal(spool_crc(), before);
    poke(names[i], 8, EE_SPOOL_VERSION);
  }
  producer_end(producer_plain());
}

static void producers_have_names(void **state) {
  (void)state;
  envelope_producer *producer = producer_as("producer", "billing");
  const char *name = envelope_producer_name(producer);
  assert_int_equal(strncmp(name, "billing-", 8), 0);
  assert_int_equal(strspn(name + 8, "0123456789abcdef"), 8);
  assert_int_equal(strlen(name), 16);
  char *kept = strdup(name);
  producer_end(producer);
  producer = producer_as("producer", "billing");
  assert_string_equal(envelope_producer_name(producer), kept);
  free(kept);
  producer_end(producer);
  producer = producer_plain();
  assert_true(strlen(envelope_producer_name(producer)) > 9);
  producer_end(producer);
}

// ---- Waiting and closing.

static void nothing_waits_for_long(void **state) {
  (void)state;
  char text[256];
  assert_int_equal(envelope_producer_close(NULL, 1000), ENVELOPE_OK);
  envelope_producer *producer = producer_plain();
  emit(producer, event);
  assert_int_equal(envelope_producer_flush(producer, 0), ENVELOPE_TIMED_OUT);
  assert_int_equal(envelope_producer_flush(producer, -5), ENVELOPE_TIMED_OUT);
  int64_t deadline = ee_clock_monotonic_ms() + DEADLINE_MS;
  while (envelope_producer_trouble(producer, text, sizeof text) == ENVELOPE_OK) {
    assert_true(ee_clock_monotonic_ms() < deadline);
    assert_int_equal(envelope_producer_flush(producer, 10), ENVELOPE_TIMED_OUT);
  }
  assert_true(text[0] != '\0');
  assert_int_equal(envelope_producer_trouble(producer, text, 4), ENVELOPE_UNAVAILABLE);
  assert_int_equal(strlen(text), 3);
  int64_t before = ee_clock_monotonic_ms();
  assert_int_equal(envelope_producer_close(producer, INT64_MIN), ENVELOPE_TIMED_OUT);
  assert_true(ee_clock_monotonic_ms() - before < CLOSE_MS);
  assert_int_equal(records_in(place.directory), 1);
}

static void what_has_nothing_to_send_is_flushed(void **state) {
  (void)state;
  envelope_producer *producer = producer_plain();
  assert_int_equal(envelope_producer_flush(producer, DEADLINE_MS), ENVELOPE_OK);
  assert_int_equal(envelope_producer_close(producer, DEADLINE_MS), ENVELOPE_OK);
}

static void counts_are_cut_to_size(void **state) {
  (void)state;
  envelope_producer *producer = producer_plain();
  emit(producer, event);
  struct {
    struct envelope_counts counts;
    uint64_t more;
  } counts;
  memset(&counts, 0xff, sizeof counts);
  envelope_producer_counts(producer, &counts.counts, 2 * sizeof(uint64_t));
  assert_true(counts.counts.accepted == 1 && counts.counts.dropped == 0);
  assert_true(counts.counts.acknowledged == UINT64_MAX);
  envelope_producer_counts(producer, &counts.counts, sizeof counts);
  assert_true(counts.counts.acknowledged == 0 && counts.counts.lost == 0 && counts.more == 0);
  producer_end(producer);
}

// ---- A spool that is full.

static envelope_producer *producer_of_four(const char *policy, envelope_notice *notice,
                                           void *context) {
  envelope_settings *settings = settings_at(&place);
  set_setting(settings, "spool-bytes", "4MiB");
  set_setting(settings, "when-full", policy);
  envelope_settings_on_notice(settings, notice, context);
  return producer_with(settings);
}

#define LARGE ((size_t)200000)

static void make_large(void) {
  static char text[LARGE];
  assert_int_equal(envelope_event_set_text(event, ENVELOPE_FIELD_REASON, text, LARGE, NULL),
                   ENVELOPE_OK);
}

// More than the spool holds. Returns how many there was room for.
static size_t overfill(envelope_producer *producer, size_t all, int otherwise) {
  size_t accepted = 0;
  for (size_t i = 0; i < all; i++) {
    int result = envelope_emit(producer, event, NULL);
    assert_true(result == ENVELOPE_OK || result == otherwise);
    accepted += result == ENVELOPE_OK;
  }
  return accepted;
}

static uint64_t to_be_declared(const envelope_producer *producer) {
  uint64_t sum = 0;
  for (int topic = 0; topic < EE_PHASE_TOPICS; topic++) {
    uint64_t count = atomic_load(&producer->sender->unplaced[topic]);
    assert_true(count == 0 || topic == EE_TOPIC_FAILED);
    sum += count;
  }
  return sum;
}

static void write_level(void *context, envelope_level level, const char *text) {
  if (level != ENVELOPE_ERROR || strstr(text, "the spool was full") == NULL) return;
  assert_int_equal(write(*(const int *)context, "", 1), 1);
}

// Pages are made ready as callers go on: those of the opening alone would be used up.
static void pages_are_there_first(void **state) {
  const size_t segment = (size_t)16 << 20, ready = (size_t)8 << 20;
  (void)state;
  envelope_settings *settings = settings_at(&place);
  set_setting(settings, "segment-bytes", "16MiB");
  envelope_producer *producer = producer_with(settings);
  int64_t deadline_ms = ee_clock_monotonic_ms() + DEADLINE_MS;
  while (ee_spool_tail(producer->spool).offset < ready / 2)
    emit(producer, event);
  while (pages_ahead(place.directory, ee_spool_tail(producer->spool), segment) < ready)
    assert_true(ee_clock_monotonic_ms() < deadline_ms);
  producer_end(producer);
}

static void a_full_spool_drops(void **state) {
  (void)state;
  int ends[2];
  assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
  make_large();
  envelope_producer *producer = producer_of_four("drop", write_level, &ends[1]);
  size_t accepted = overfill(producer, 60, ENVELOPE_DROPPED);
  assert_in_range(accepted, 1, 20);
  assert_int_equal(counts_of(producer).accepted, accepted);
  assert_int_equal(counts_of(producer).dropped, 60 - accepted);
  assert_int_equal(to_be_declared(producer), 60 - accepted);
  struct pollfd told = {.fd = ends[0], .events = POLLIN};
  assert_int_equal(poll(&told, 1, DEADLINE_MS), 1);  // somebody is told
  producer_end(producer);
  close(ends[0]);
  close(ends[1]);
  assert_int_equal(records_in(place.directory), accepted);
}

static void or_refuses(void **state) {
  (void)state;
  make_large();
  envelope_producer *producer = producer_of_four("refuse", NULL, NULL);
  size_t accepted = overfill(producer, 60, ENVELOPE_FULL);
  assert_in_range(accepted, 1, 20);
  assert_int_equal(counts_of(producer).accepted, accepted);
  assert_int_equal(counts_of(producer).dropped, 0);
  assert_int_equal(to_be_declared(producer), 0);
  producer_end(producer);
  assert_int_equal(records_in(place.directory), accepted);
}

// ---- Notices.

static void keep_notice(void *context, envelope_level level, const char *text) {
  assert_int_equal(level, ENVELOPE_WARNING);
  snprintf(context, 256, "%s", text);
}

// ---- What the library's threads do for a spool.

// Of an earlier opening, with all of it settled and a second segment begun.
static void leave_settled(void) {
  static const uint8_t payload[8000];
  struct ee_spool_item item = {.payload = ee_bytes(payload, sizeof payload),
                               .attributes = ee_bytes("", 0)};
  struct ee_spool *spool = spool_at(place.directory);
  struct ee_spool_entry entry;
  assert_true(ee_spool_keep(spool, 0, NULL));
  while (ee_spool_tail(spool).segment < 2)
    assert_true(ee_spool_append(spool, &item, NULL));
  while (ee_spool_read(spool, &entry, NULL) == EE_SPOOL_READ_RECORD)
    ee_spool_settle(spool, (struct ee_spool_at){entry.at.segment, entry.at.offset + entry.size});
  ee_spool_close(spool);
}

static void settled_segments_are_removed(void **state) {
  char path[512];
  int64_t deadline_ms = ee_clock_monotonic_ms() + DEADLINE_MS;
  (void)state;
  leave_settled();
  segment_path(place.directory, 1, path);
  assert_int_equal(access(path, F_OK), 0);
  envelope_producer *producer = producer_plain();
  while (access(path, F_OK) == 0)
    assert_true(ee_clock_monotonic_ms() < deadline_ms);
  producer_end(producer);
}

static void count_third_segment(void *context, envelope_level level, const char *text) {
  _Atomic(int) *count = context;
  bool third = strstr(text, "0000000000000003.segment: ") != NULL;
  if (level == ENVELOPE_ERROR && third) atomic_fetch_add(count, 1);
}

// No descriptors are to be had for a while, so that no segment can be made.
static void a_failing_keeper_is_told_once(void **state) {
  _Atomic(int) told = 0;
  struct rlimit before, none;
  (void)state;
  envelope_settings *settings = settings_at(&place);
  envelope_settings_on_notice(settings, count_third_segment, &told);
  envelope_producer *producer = producer_with(settings);
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
  none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
  emit(producer, event);
  int64_t deadline_ms = ee_clock_monotonic_ms() + DEADLINE_MS;
  while (atomic_load(&told) == 0)
    assert_true(ee_clock_monotonic_ms() < deadline_ms);
  deadline_ms = ee_clock_monotonic_ms() + 100;  // many turns
  while (ee_clock_monotonic_ms() < deadline_ms)
    assert_int_equal(atomic_load(&told), 1);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
  producer_end(producer);
}

// Of all that a spool can hold.
static void schemas_lie_beside_the_spool(void **state) {
  (void)state;
  producer_end(producer_plain());
  for (int i = 0; i <= EE_TOPIC_OBLIGATION; i++) {
    const struct ee_record_type *type = ee_topics[i].value;
    char path[512];
    struct ee_buf content;
    struct ee_err err;
    snprintf(path, sizeof path, "%s/schemas/%s-%016llx.avsc", place.directory, type->name,
             (unsigned long long)type->fingerprint);
    ee_buf_init(&content, 1 << 20);
    if (!ee_file_read(path, &content, &err)) fail_msg("%s", err.text);
    assert_true(ee_bytes_equal(ee_buf_bytes(&content), ee_bytes(type->schema, type->schema_size)));
    ee_buf_release(&content);
  }
}

static void schemas_that_cannot_be_read_are_told(void **state) {
  (void)state;
  char path[512], told[256] = "";
  struct ee_err err;
  producer_end(producer_plain());
  snprintf(path, sizeof path, "%s/schemas/Failed-0000000000000000.avsc", place.directory);
  assert_true(ee_file_replace(path, ee_bytes("{", 1), &err));
  envelope_settings *settings = settings_at(&place);
  envelope_settings_on_notice(settings, keep_notice, told);
  producer_end(producer_with(settings));
  assert_non_null(strstr(told, "without the spool's schemas: "));
  assert_non_null(strstr(told, "Failed-0000000000000000.avsc"));
}

// ---- Calls that wait for the disk.

#ifndef __SANITIZE_THREAD__

static void only_sync_waits_for_the_disk(void **state) {
  (void)state;
  struct envelope_error error = {.result = 0};
  envelope_producer *producer = producer_plain();
  troubled_disk_fail(0, SIZE_MAX, EIO);
  int result = envelope_emit(producer, event, &error);
  troubled_disk_stop();
  assert_int_equal(result, ENVELOPE_OK);
  producer_end(producer);
  producer = producer_as("sync", "call");
  emit(producer, event);
  troubled_disk_fail(0, SIZE_MAX, EIO);
  result = envelope_emit(producer, event, &error);
  troubled_disk_stop();
  assert_int_equal(result, ENVELOPE_UNAVAILABLE);
  assert_int_equal(error.result, ENVELOPE_UNAVAILABLE);
  assert_non_null(strstr(error.text, "in the spool, but may not be on the disk"));
  assert_int_equal(counts_of(producer).accepted, 2);
  emit(producer, event);
  producer_end(producer);
  assert_int_equal(records_in(place.directory), 4);
}

#endif

// ---- Fork.

#define CHECK(holds) \
  if (!(holds)) _exit(__LINE__ % 256)
#define CHILD_S 60  // what hangs ends by a signal

// The address sanitizer remembers stacks of the parent's threads where the child's new threads
// have theirs, and finds errors in libraries that have none; the thread sanitizer allows no threads
// there.
#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if !defined(__SANITIZE_ADDRESS__) && !__has_feature(address_sanitizer) && \
    !defined(__SANITIZE_THREAD__) && !__has_feature(thread_sanitizer)
#define CHILDREN_HAVE_THREADS
#endif

static int exit_of(pid_t child) {
  int status;
  assert_true(child > 0);
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  return WEXITSTATUS(status);
}

static _Noreturn void be_a_child(envelope_producer *producer) {
  struct envelope_error error;
  struct envelope_counts counts;
  char text[8];
  alarm(CHILD_S);
  CHECK(envelope_emit(producer, event, &error) == ENVELOPE_FORKED);
  CHECK(error.result == ENVELOPE_FORKED);
  CHECK(envelope_emit_json(producer, "{}", 2, NULL, NULL, &error) == ENVELOPE_FORKED);
  CHECK(envelope_producer_flush(producer, 1000) == ENVELOPE_FORKED);
  CHECK(envelope_producer_trouble(producer, text, sizeof text) == ENVELOPE_FORKED);
  CHECK(envelope_producer_close(producer, 1000) == ENVELOPE_FORKED);
  envelope_producer_counts(producer, &counts, sizeof counts);
  CHECK(counts.accepted == 1);
  CHECK(envelope_event_set_text(event, ENVELOPE_FIELD_REASON, "child", 5, NULL) == ENVELOPE_OK);
  _exit(0);
}

static void a_child_may_not_use_the_parents(void **state) {
  (void)state;
  envelope_producer *producer = producer_plain();
  emit(producer, event);
  pid_t child = fork();
  if (child == 0) be_a_child(producer);
  assert_int_equal(exit_of(child), 0);
  emit(producer, event);  // the parent has not noticed
  producer_end(producer);
  assert_int_equal(records_in(place.directory), 2);
}

#ifdef CHILDREN_HAVE_THREADS

// In a child, where nothing of cmocka's may run.
static envelope_producer *child_opens(const char *directory) {
  envelope_settings *settings = envelope_settings_new();
  envelope_producer *producer = NULL;
  CHECK(settings != NULL);
  CHECK(envelope_settings_set(settings, "spool", directory, NULL) == ENVELOPE_OK);
  CHECK(envelope_settings_set(settings, "bootstrap", place.bootstrap, NULL) == ENVELOPE_OK);
  CHECK(envelope_settings_set(settings, "segment-bytes", "1MiB", NULL) == ENVELOPE_OK);
  CHECK(envelope_settings_set(settings, "spool-bytes", "64MiB", NULL) == ENVELOPE_OK);
  CHECK(envelope_producer_open(settings, &producer, NULL) == ENVELOPE_OK);
  envelope_settings_free(settings);
  return producer;
}

static _Noreturn void have_its_own(envelope_producer *producer, const char *directory) {
  alarm(CHILD_S);
  envelope_producer *mine = child_opens(directory);
  CHECK(envelope_emit(mine, event, NULL) == ENVELOPE_OK);
  CHECK(envelope_producer_close(mine, 0) == ENVELOPE_TIMED_OUT);
  CHECK(envelope_emit(producer, event, NULL) == ENVELOPE_FORKED);
  _exit(0);
}

static void a_child_has_its_own(void **state) {
  (void)state;
  char own[512];
  envelope_producer *producer = producer_plain();
  snprintf(own, sizeof own, "%s/child", place.directory);
  pid_t child = fork();
  if (child == 0) have_its_own(producer, own);
  assert_int_equal(exit_of(child), 0);
  producer_end(producer);
  assert_int_equal(records_in(own), 1);
}

// Waits to be told that the parent's is gone; false: nobody is there any more.
static bool wait_for_word(int from) {
  char byte;
  return read(from, &byte, 1) == 1;
}

static _Noreturn void take_over(envelope_producer *parents, int from) {
  static envelope_producer *kept;  // what a child cannot free is no leak of its
  alarm(CHILD_S);
  kept = parents;
  CHECK(wait_for_word(from));
  CHECK(envelope_emit(kept, event, NULL) == ENVELOPE_FORKED);
  envelope_producer *producer = child_opens(place.directory);
  CHECK(envelope_emit(producer, event, NULL) == ENVELOPE_OK);
  CHECK(envelope_producer_close(producer, 0) == ENVELOPE_TIMED_OUT);
  _exit(0);
}

static void a_child_takes_over_what_was_closed(void **state) {
  (void)state;
  int word[2];
  envelope_producer *producer = producer_plain();
  emit(producer, event);
  assert_int_equal(pipe2(word, O_CLOEXEC), 0);
  pid_t child = fork();
  if (child == 0) {
    close(word[1]);
    take_over(producer, word[0]);
  }
  close(word[0]);
  producer_end(producer);
  assert_int_equal(write(word[1], "", 1), 1);
  assert_int_equal(exit_of(child), 0);
  close(word[1]);
  assert_int_equal(records_in(place.directory), 2);
}

// A parent with a producer, and its child, which tells when it has taken over.
static _Noreturn void be_a_parent(int from, int to) {
  alarm(CHILD_S);
  envelope_producer *producer = child_opens(place.directory);
  CHECK(envelope_emit(producer, event, NULL) == ENVELOPE_OK);
  if (fork() == 0) {
    alarm(CHILD_S);
    CHECK(write(to, "", 1) == 1);
    CHECK(wait_for_word(from));
    producer = child_opens(place.directory);
    CHECK(envelope_emit(producer, event, NULL) == ENVELOPE_OK);
    CHECK(envelope_producer_close(producer, 0) == ENVELOPE_TIMED_OUT);
    CHECK(write(to, "", 1) == 1);
    _exit(0);
  }
  for (;;)
    pause();
}

static void a_child_takes_over_from_the_dead(void **state) {
  (void)state;
  int word[2], answer[2], status;
  assert_int_equal(pipe2(word, O_CLOEXEC), 0);
  assert_int_equal(pipe2(answer, O_CLOEXEC), 0);
  pid_t parent = fork();
  if (parent == 0) {
    close(word[1]);
    close(answer[0]);
    be_a_parent(word[0], answer[1]);
  }
  close(word[0]);
  close(answer[1]);
  struct pollfd told = {.fd = answer[0], .events = POLLIN};
  assert_int_equal(poll(&told, 1, DEADLINE_MS), 1);
  bool there = wait_for_word(answer[0]);
  assert_int_equal(kill(parent, SIGKILL), 0);
  assert_int_equal(waitpid(parent, &status, 0), parent);
  assert_true(there && WIFSIGNALED(status));
  assert_int_equal(write(word[1], "", 1), 1);
  assert_int_equal(poll(&told, 1, DEADLINE_MS), 1);
  assert_true(wait_for_word(answer[0]));
  close(word[1]);
  close(answer[0]);
  assert_int_equal(records_in(place.directory), 2);
}

#endif

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(settings_that_do_not_fit),
      TEST(a_place_that_cannot_be_used),
      TEST(one_that_somebody_has),
      TEST(what_a_later_version_wrote),
      TEST(producers_have_names),
      TEST(nothing_waits_for_long),
      TEST(what_has_nothing_to_send_is_flushed),
      TEST(counts_are_cut_to_size),
      TEST(pages_are_there_first),
      TEST(a_full_spool_drops),
      TEST(or_refuses),
      TEST(settled_segments_are_removed),
      TEST(a_failing_keeper_is_told_once),
      TEST(schemas_lie_beside_the_spool),
      TEST(schemas_that_cannot_be_read_are_told),
#ifndef __SANITIZE_THREAD__
      TEST(only_sync_waits_for_the_disk),
#endif
      TEST(a_child_may_not_use_the_parents),
#ifdef CHILDREN_HAVE_THREADS
      TEST(a_child_has_its_own),
      TEST(a_child_takes_over_what_was_closed),
      TEST(a_child_takes_over_from_the_dead),
#endif
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
