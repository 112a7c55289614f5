// SPDX-License-Identifier: Apache-2.0
// The file of refused records: each line is whole, and gives back the record that was refused.
#include "client/aside.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "client/event.h"
#include "contract/record.h"
#include "support/chaos.h"
#include "support/directory.h"
#include "support/own_plan.h"
#include "support/troubled_disk.h"
#include "tests/unit/contract/random_record.h"

#define PARENT "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
#define MOST ((uint64_t)64 << 20)

struct world {
  char *path;
  char file[512];
  int directory;
  struct ee_aside aside;
  struct ee_arena arena;
  struct ee_buf avro, text;
};

static struct world world;

static int setup(void **state) {
  (void)state;
  world.path = directory_new();
  snprintf(world.file, sizeof world.file, "%s/" EE_ASIDE_NAME, world.path);
  world.directory = open(world.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  assert_true(world.directory >= 0);
  ee_aside_init(&world.aside, world.directory, MOST);
  ee_arena_init(&world.arena, (size_t)64 << 20);
  ee_buf_init(&world.avro, 1 << 20);
  ee_buf_init(&world.text, MOST);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  ee_aside_release(&world.aside);
  ee_aside_release(&world.aside);
  ee_arena_release(&world.arena);
  ee_buf_release(&world.avro);
  ee_buf_release(&world.text);
  close(world.directory);
  directory_free(world.path);
  return 0;
}

// A random record of the topic as it lies in the spool, without its trace. Borrows from the world.
static struct ee_spool_item item_of(struct random *r, enum ee_topic topic, void *record) {
  const struct ee_record_type *type = ee_topics[topic].value;
  ee_buf_clear(&world.avro);
  random_record(r, type, &world.arena, record);
  ee_encode(type, record, &world.avro);
  assert_false(world.avro.failed);
  return (struct ee_spool_item){
      .schema = type->fingerprint, .topic = (uint8_t)topic, .payload = ee_buf_bytes(&world.avro)};
}

static struct ee_refused refused_of(const struct ee_spool_item *item) {
  return (struct ee_refused){.at = 1780000000000000,
                             .why = "too \"large\"",
                             .topic = EE_STR("p.envelope.failed.v1"),
                             .partition = 11,
                             .item = item};
}

static bool keep(const struct ee_spool_item *item, struct ee_err *err) {
  struct ee_refused refused = refused_of(item);
  return ee_aside_keep(&world.aside, &refused, err);
}

static off_t size_of_file(void) {
  struct stat found;
  return stat(world.file, &found) == 0 ? found.st_size : 0;
}

// Reads the file; returns how many lines it has, each of which is an object.
static size_t read_lines(json_t **last) {
  struct ee_err err;
  size_t count = 0;
  *last = NULL;
  ee_buf_clear(&world.text);
  if (access(world.file, F_OK) != 0) return 0;
  if (!ee_file_read(world.file, &world.text, &err)) fail_msg("%s", err.text);
  struct ee_str rest = ee_buf_view(&world.text);
  while (rest.size > 0) {
    const char *end = memchr(rest.data, '\n', rest.size);
    assert_non_null(end);
    size_t size = (size_t)(end - rest.data);
    json_decref(*last);
    *last = json_loadb(rest.data, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    assert_true(json_is_object(*last));
    rest = (struct ee_str){end + 1, rest.size - size - 1};
    count++;
  }
  return count;
}

static void assert_text(const json_t *line, const char *name, const char *wanted) {
  const char *found = json_string_value(json_object_get(line, name));
  assert_non_null(found);
  assert_string_equal(found, wanted);
}

static void assert_same_event(const json_t *line, enum ee_topic topic, const void *record,
                              const char *parent, const char *tracestate) {
  struct ee_line_defaults defaults = {.occurred_at = 0};
  struct ee_event_line read;
  struct ee_line_fault fault = {.column = 0};
  char *text = json_dumps(json_object_get(line, "event"), JSON_COMPACT);
  assert_non_null(text);
  if (!ee_event_line_read(ee_str(text), &defaults, &world.arena, &read, &fault)) {
    fail_msg("%s", fault.fault.detail);
  }
  free(text);
  assert_int_equal(read.topic, topic);
  assert_true(ee_equal(read.type, read.record, record, NULL));
  assert_true(ee_str_equal(read.traceparent, ee_str(parent)));
  assert_true(ee_str_equal(read.tracestate, ee_str(tracestate)));
}

// ---- Lines.

static void a_line_gives_the_record_back(void **state) {
  (void)state;
  struct random r = {.state = 11};
  struct ee_err err;
  for (int i = 0; i < ee_tries(400); i++) {
    union {
      union ee_event_record event;
      struct ee_receipt receipt;
    } record;
    enum ee_topic topic = i % 7 == 6 ? EE_TOPIC_OBLIGATION : (enum ee_topic)(i % 7);
    json_t *line;
    ee_arena_clear(&world.arena);
    struct ee_spool_item item = item_of(&r, topic, &record);
    bool traced = i % 2 == 0, with_state = i % 4 == 0;
    struct ee_trace trace;
    if (traced) {
      assert_true(ee_trace_set(&trace, EE_STR(PARENT), ee_str(with_state ? "a=\"1\"" : NULL)));
      item.attributes = ee_bytes(trace.bytes, trace.size);
    }
    if (!keep(&item, &err)) fail_msg("%s", err.text);
    assert_int_equal(read_lines(&line), 1);
    assert_same_event(line, topic, &record, traced ? PARENT : NULL, with_state ? "a=\"1\"" : NULL);
    json_decref(line);
    assert_int_equal(truncate(world.file, 0), 0);
  }
}

static void a_line_says_what_was_refused(void **state) {
  (void)state;
  struct random r = {.state = 1};
  struct ee_failed record;
  struct ee_err err;
  json_t *line;
  struct ee_spool_item item = item_of(&r, EE_TOPIC_FAILED, &record);
  struct ee_refused refused = refused_of(&item);
  assert_true(ee_aside_keep(&world.aside, &refused, &err));
  assert_int_equal(read_lines(&line), 1);
  assert_text(line, "refused_at", "2026-05-28T20:26:40.000000Z");
  assert_text(line, "reason", "too \"large\"");
  assert_text(line, "topic", "p.envelope.failed.v1");
  assert_int_equal(json_integer_value(json_object_get(line, "partition")), 11);
  assert_null(json_object_get(line, "seq"));
  assert_int_equal(json_object_size(line), 5);
  json_decref(line);
  refused.seq = EE_STR("[\"p-1\",7,11,3]");
  assert_true(ee_aside_keep(&world.aside, &refused, &err));
  assert_int_equal(read_lines(&line), 2);
  assert_text(line, "seq", "[\"p-1\",7,11,3]");
  json_decref(line);
}

static void assert_avro(const struct ee_spool_item *item, const char *schema) {
  struct ee_err err;
  json_t *line;
  unsigned char bytes[4096];
  size_t size = 0;
  size_t before = read_lines(&line);
  json_decref(line);
  if (!keep(item, &err)) fail_msg("%s", err.text);
  assert_int_equal(read_lines(&line), before + 1);
  assert_null(json_object_get(line, "event"));
  assert_text(line, "schema", schema);
  const char *text = json_string_value(json_object_get(line, "avro"));
  assert_non_null(text);
  assert_int_equal(sodium_base642bin(bytes, sizeof bytes, text, strlen(text), NULL, &size, NULL,
                                     sodium_base64_VARIANT_ORIGINAL),
                   0);
  assert_int_equal(size, item->payload.size);
  assert_memory_equal(bytes, item->payload.data, size);
  json_decref(line);
}

static void what_cannot_be_decoded_is_kept_as_it_is(void **state) {
  (void)state;
  char schema[17];
  struct random r = {.state = 3};
  struct ee_failed record;
  struct ee_spool_item item = item_of(&r, EE_TOPIC_FAILED, &record);
  snprintf(schema, sizeof schema, "%016llx", (unsigned long long)item.schema);
  for (size_t size = 0; size < 8; size++) {  // cut short, and each padding of base64
    struct ee_spool_item cut = item;
    cut.payload.size = size;
    assert_avro(&cut, schema);
  }
  item.schema = 0xabc;  // of another version
  assert_avro(&item, "0000000000000abc");
}

// A spool may be forged: topics that hold no events, and such that there are not.
static void a_topic_without_events_is_no_harm(void **state) {
  (void)state;
  struct random r = {.state = 3};
  struct ee_failed record;
  struct ee_spool_item item = item_of(&r, EE_TOPIC_FAILED, &record);
  item.schema = 0xabc;
  for (int topic = EE_PHASE_TOPICS; topic <= UINT8_MAX; topic++) {
    item.topic = (uint8_t)topic;
    assert_avro(&item, "0000000000000abc");
  }
}

// ---- The file.

static void it_has_a_most(void **state) {
  (void)state;
  struct random r = {.state = 4};
  struct ee_failed record;
  struct ee_err err = {.text = ""};
  json_t *line;
  size_t kept = 0;
  struct ee_spool_item item = item_of(&r, EE_TOPIC_FAILED, &record);
  assert_true(keep(&item, &err));
  off_t one = size_of_file();
  world.aside.most_bytes = 5 * (uint64_t)one + 1;
  for (kept = 1; keep(&item, &err); kept++)
    assert_true(kept < 100);
  assert_int_equal(kept, 5);
  assert_non_null(strstr(err.text, EE_ASIDE_NAME ": it has its most bytes"));
  assert_int_equal(read_lines(&line), 5);
  json_decref(line);
  // Whoever has dealt with them makes room.
  assert_int_equal(truncate(world.file, 0), 0);
  assert_true(keep(&item, &err));
}

static void it_is_added_to(void **state) {
  (void)state;
  struct random r = {.state = 4};
  struct ee_failed record;
  struct ee_err err;
  struct stat found;
  json_t *line;
  struct ee_spool_item item = item_of(&r, EE_TOPIC_FAILED, &record);
  assert_true(keep(&item, &err));
  ee_aside_release(&world.aside);
  ee_aside_init(&world.aside, world.directory, MOST);
  assert_true(keep(&item, &err));
  assert_int_equal(read_lines(&line), 2);
  json_decref(line);
  assert_int_equal(stat(world.file, &found), 0);
  assert_int_equal(found.st_mode & 0777, 0600);
}

static void a_link_is_not_followed(void **state) {
  (void)state;
  struct random r = {.state = 4};
  struct ee_failed record;
  struct ee_err err;
  struct ee_spool_item item = item_of(&r, EE_TOPIC_FAILED, &record);
  assert_int_equal(symlinkat("elsewhere", world.directory, EE_ASIDE_NAME), 0);
  assert_false(keep(&item, &err));
  assert_non_null(strstr(err.text, EE_ASIDE_NAME ": "));
  assert_int_not_equal(faccessat(world.directory, "elsewhere", F_OK, 0), 0);
}

// The system takes half of the line.
static void no_half_line_stays(void **state) {
  (void)state;
  struct random r = {.state = 4};
  struct ee_failed record;
  struct ee_err err;
  struct rlimit before, limit;
  json_t *line;
  struct ee_spool_item item = item_of(&r, EE_TOPIC_FAILED, &record);
  assert_true(keep(&item, &err));
  off_t one = size_of_file();
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  limit = (struct rlimit){.rlim_cur = (rlim_t)one * 3 / 2, .rlim_max = before.rlim_max};
  void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
  bool kept = keep(&item, &err);
  off_t size = size_of_file();
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
  signal(SIGXFSZ, handler);
  assert_false(kept);
  assert_int_equal(size, one);
  assert_true(keep(&item, &err));
  assert_int_equal(read_lines(&line), 2);
  json_decref(line);
}

static void short_memory(void **state) {
  (void)state;
  struct random r = {.state = 9};
  struct ee_admission record;
  struct ee_err err;
  json_t *line;
  bool failed = true;
  size_t kept = 0, refused = 0;
  own_plan(&ee_admission_type);
  struct ee_spool_item item = item_of(&r, EE_TOPIC_ADMISSION, &record);
  for (size_t n = 0; failed; n++) {
    ee_aside_release(&world.aside);
    ee_aside_init(&world.aside, world.directory, MOST);
    ee_chaos_fail_after(n);
    bool done = keep(&item, &err);
    failed = ee_chaos_stop();
    kept += done;
    refused += !done;
    if (!done) assert_non_null(strstr(err.text, "memory"));
    assert_true(failed || done);
    assert_int_equal(read_lines(&line), kept);
    json_decref(line);
  }
  assert_true(refused > 0);
}

#ifndef __SANITIZE_THREAD__

static void a_disk_in_trouble(void **state) {
  (void)state;
  struct random r = {.state = 9};
  struct ee_failed record;
  struct ee_err err;
  json_t *line;
  bool failed = true;
  size_t kept = 0, refused = 0;
  struct ee_spool_item item = item_of(&r, EE_TOPIC_FAILED, &record);
  for (size_t n = 0; failed; n++) {
    ee_aside_release(&world.aside);
    ee_aside_init(&world.aside, world.directory, MOST);
    troubled_disk_fail(n, 1, n % 2 == 0 ? EIO : ENOSPC);
    bool done = keep(&item, &err);
    failed = troubled_disk_stop() || n < 6;
    kept += done;
    refused += !done;
    if (!done) assert_non_null(strstr(err.text, EE_ASIDE_NAME));
    assert_int_equal(read_lines(&line), kept);
    json_decref(line);
  }
  assert_true(refused > 1);
}

static void what_is_kept_is_synced(void **state) {
  (void)state;
  struct random r = {.state = 9};
  struct ee_failed record;
  struct ee_err err;
  struct ee_spool_item item = item_of(&r, EE_TOPIC_FAILED, &record);
  troubled_disk_fail(0, SIZE_MAX, EIO);
  assert_true(ee_aside_sync(&world.aside, &err));  // there is nothing
  troubled_disk_stop();
  assert_true(keep(&item, &err));
  troubled_disk_fail(0, 1, EIO);
  assert_false(ee_aside_sync(&world.aside, &err));
  assert_true(troubled_disk_stop());
  assert_non_null(strstr(err.text, EE_ASIDE_NAME ": "));
  troubled_disk_fail(SIZE_MAX, 0, EIO);
  assert_true(ee_aside_sync(&world.aside, &err));
  assert_int_equal(troubled_disk_seen(), 1);
  assert_true(ee_aside_sync(&world.aside, &err));  // is so already
  assert_int_equal(troubled_disk_seen(), 1);
  troubled_disk_stop();
}

#endif

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_line_gives_the_record_back),
      TEST(a_line_says_what_was_refused),
      TEST(what_cannot_be_decoded_is_kept_as_it_is),
      TEST(a_topic_without_events_is_no_harm),
      TEST(it_has_a_most),
      TEST(it_is_added_to),
      TEST(a_link_is_not_followed),
      TEST(no_half_line_stays),
      TEST(short_memory),
#ifndef __SANITIZE_THREAD__
      TEST(a_disk_in_trouble),
      TEST(what_is_kept_is_synced),
#endif
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
