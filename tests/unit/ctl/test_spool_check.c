// SPDX-License-Identifier: Apache-2.0
// What is found in a spool, where, and what it means for delivery.
#include "tools/envelopectl/spool_check.h"

#include "contract/record.h"
#include "support/chaos.h"
#include "tests/unit/spool/spool_open.h"

#define FINDINGS_MAX 32

static struct ee_known *known;

// What a walk tells.
struct told {
  struct ee_spool_finding findings[FINDINGS_MAX];
  size_t count, events;
};

static bool take_finding(void *context, const struct ee_spool_finding *finding,
                         struct ee_err *err) {
  struct told *told = context;
  (void)err;
  assert_true(told->count < FINDINGS_MAX);
  told->findings[told->count++] = *finding;
  return true;
}

static bool take_event(void *context, const struct ee_spool_view *view,
                       const struct ee_spool_sight *sight, const struct ee_event_line *line,
                       struct ee_err *err) {
  struct told *told = context;
  (void)view, (void)sight, (void)err;
  assert_true(line->type == &ee_admission_type && line->topic == EE_TOPIC_ADMISSION);
  const struct ee_admission *admission = line->record;
  assert_true(ee_str_equal(admission->tenant, EE_STR("acme")));
  told->events++;
  return true;
}

static void check(const char *directory, struct told *told) {
  const struct ee_spool_visitor visitor = {
      .context = told, .finding = take_finding, .event = take_event};
  struct ee_spool_look look;
  struct ee_err err = {""};
  memset(told, 0, sizeof *told);
  assert_true(ee_spool_look_open(directory, &look, &err));
  if (!ee_spool_check(&look, known, &visitor, &err)) fail_msg("%s", err.text);
  ee_spool_look_close(&look);
}

static void assert_finding(const struct told *told, size_t i, enum ee_spool_finding_kind kind,
                           enum ee_spool_fate fate, const char *file, uint64_t offset,
                           const char *word) {
  const struct ee_spool_finding *finding = &told->findings[i];
  assert_true(i < told->count);
  assert_int_equal(finding->kind, kind);
  assert_int_equal(finding->fate, fate);
  assert_string_equal(finding->file, file);
  assert_int_equal(finding->offset, offset);
  if (strstr(finding->what, word) == NULL) fail_msg("%s", finding->what);
}

#define FILE_1 "0000000000000001.segment"
#define FILE_2 "0000000000000002.segment"

// ---- A spool of eight records, two of which are settled.

static struct ee_spool_at at[8];

// With so many amounts that more than one block of an arena is needed for it.
static void admission_line(struct ee_buf *out) {
  ee_buf_text(out,
              "{\"phase\":\"admission\",\"tenant\":\"acme\",\"caller\":{\"requester_urn\":"
              "\"urn:u\",\"initiator\":\"human\"},\"execution\":{\"kind\":\"inference\","
              "\"service\":\"s\",\"operation\":\"o\"},\"requested\":{\"amounts\":{\"a\":1");
  for (int i = 0; i < 1000; i++)
    ee_buf_printf(out, ",\"amount%d\":%d", i, i);
  ee_buf_text(out, "}}}");
  assert_false(out->failed);
}

static void encode_admission(struct ee_buf *out) {
  static const struct ee_line_defaults defaults = {.envelope_id = EE_STR_INIT("e"),
                                                   .event_id = EE_STR_INIT("v"),
                                                   .source = EE_STR_INIT("urn:s")};
  struct ee_arena arena;
  struct ee_event_line line;
  struct ee_line_fault fault;
  ee_arena_init(&arena, (size_t)1 << 20);
  struct ee_buf text;
  ee_buf_init(&text, EE_LINE_MAX);
  admission_line(&text);
  assert_true(ee_event_line_read(ee_buf_view(&text), &defaults, &arena, &line, &fault));
  ee_buf_release(&text);
  ee_encode(line.type, line.record, out);
  ee_arena_release(&arena);
}

static int setup(void **state) {
  struct ee_buf payload;
  struct ee_spool_entry entry;
  struct ee_spool *spool = spool_open(*state = directory_new());
  ee_buf_init(&payload, EE_EVENT_SIZE_MAX);
  encode_admission(&payload);
  keep(spool);
  for (size_t i = 0; i < COUNT_OF(at); i++) {
    struct ee_spool_item item = {.schema = ee_admission_type.fingerprint,
                                 .accepted_us = 1,
                                 .topic = EE_TOPIC_ADMISSION,
                                 .attributes = ee_bytes("opaque", 6),
                                 .payload = ee_buf_bytes(&payload)};
    assert_true(ee_spool_append(spool, &item, NULL));
    assert_int_equal(ee_spool_read(spool, &entry, NULL), EE_SPOOL_READ_RECORD);
    at[i] = entry.at;
    if (i == 1) settle(spool, &entry);
  }
  keep(spool);
  ee_spool_close(spool);
  ee_buf_release(&payload);
  return 0;
}

static int teardown(void **state) {
  directory_free(*state);
  return 0;
}

static void damage(const char *directory, size_t record, uint64_t byte, const void *bytes,
                   size_t size) {
  char path[512];
  segment_path(directory, at[record].segment, path);
  overwrite(path, (off_t)(at[record].offset + byte), bytes, size);
}

static void a_sound_spool_has_no_findings(void **state) {
  struct told told;
  check(*state, &told);
  assert_true(told.count == 0 && told.events == 8);
}

static void torn_places_are_told(void **state) {
  static const uint8_t zeros[8];
  struct told told;
  damage(*state, 0, 70, "?", 1);
  damage(*state, 2, 70, "?", 1);
  damage(*state, 4, 0, zeros, sizeof zeros);
  damage(*state, 6, 40, "?", 1);
  check(*state, &told);
  assert_true(told.count == 4 && told.events == 5);
  assert_finding(&told, 0, EE_SPOOL_TORN_RECORD, EE_SPOOL_SETTLED, FILE_1, at[0].offset, "damaged");
  assert_finding(&told, 1, EE_SPOOL_TORN_RECORD, EE_SPOOL_LOST, FILE_1, at[2].offset, "damaged");
  assert_finding(&told, 2, EE_SPOOL_UNPUBLISHED, EE_SPOOL_NO_RECORD, FILE_1, at[4].offset,
                 "never published");
  assert_finding(&told, 3, EE_SPOOL_BAD_NUMBER, EE_SPOOL_DELIVERED, FILE_1, at[6].offset,
                 "new number");
}

// Writes a record over one of the same size that says something else.
static void rewrite(const char *directory, size_t record, uint64_t schema, uint8_t topic,
                    uint8_t first) {
  char path[512];
  struct ee_spool_look look;
  struct ee_spool_view view;
  assert_true(ee_spool_look_open(directory, &look, NULL));
  ee_spool_view_open(&look, at[record].segment, &view);
  uint8_t *place = view.bytes + at[record].offset, body[65536];
  struct ee_spool_item item;
  size_t size;
  assert_int_equal(ee_spool_record_read(ee_bytes(view.bytes, view.size), view.salt,
                                        at[record].offset, &size, &item),
                   EE_SPOOL_RECORD);
  memcpy(body, item.payload.data, item.payload.size);
  body[0] = first;
  item = (struct ee_spool_item){.schema = schema,
                                .topic = topic,
                                .attributes = ee_bytes("opaque", 6),
                                .payload = ee_bytes(body, item.payload.size)};
  uint64_t mark = ee_spool_record_write(place, view.salt, at[record].offset, &item);
  memcpy(place, &mark, sizeof mark);
  segment_path(directory, at[record].segment, path);
  overwrite(path, (off_t)at[record].offset, place, size);
  ee_spool_view_close(&view);
  ee_spool_look_close(&look);
}

static void what_is_no_event_is_told(void **state) {
  uint64_t ours = ee_admission_type.fingerprint;
  struct told told;
  rewrite(*state, 1, ours + 1, EE_TOPIC_ADMISSION, 2);
  rewrite(*state, 3, ours + 1, EE_TOPIC_ADMISSION, 2);
  rewrite(*state, 4, ours, EE_TOPIC_ADMISSION, 255);
  rewrite(*state, 5, ours, EE_TOPIC_FAILED, 2);
  rewrite(*state, 6, ours, 200, 2);
  check(*state, &told);
  assert_true(told.count == 5 && told.events == 3);
  assert_finding(&told, 0, EE_SPOOL_UNKNOWN_SCHEMA, EE_SPOOL_SETTLED, FILE_1, at[1].offset,
                 "unknown_fingerprint");
  assert_finding(&told, 1, EE_SPOOL_UNKNOWN_SCHEMA, EE_SPOOL_DELIVERED, FILE_1, at[3].offset,
                 "unknown_fingerprint");
  assert_finding(&told, 2, EE_SPOOL_NO_EVENT, EE_SPOOL_DELIVERED, FILE_1, at[4].offset, ":");
  assert_finding(&told, 3, EE_SPOOL_NO_EVENT, EE_SPOOL_DELIVERED, FILE_1, at[5].offset,
                 "wrong_schema");
  assert_finding(&told, 4, EE_SPOOL_NO_EVENT, EE_SPOOL_DELIVERED, FILE_1, at[6].offset,
                 "topic 200");
}

// ---- Files.

static void files_are_told(void **state) {
  char path[512], to[512];
  struct told told;
  segment_path(*state, 2, path);
  segment_path(*state, 3, to);
  assert_int_equal(truncate(path, 10), 0);
  overwrite(to, 8, "\2", 1);
  check(*state, &told);
  assert_int_equal(told.count, 2);
  assert_finding(&told, 0, EE_SPOOL_BAD_FILE, EE_SPOOL_LOST, FILE_2, 0, "too short");
  assert_finding(&told, 1, EE_SPOOL_BAD_FILE, EE_SPOOL_WAITS, "0000000000000003.segment", 0,
                 "later version");
  overwrite(to, 8, "\1", 1);
  assert_int_equal(rename(to, path), 0);
  segment_path(*state, 1, path);
  overwrite(path, 0, "?", 1);
  check(*state, &told);
  assert_int_equal(told.events, 8);
  assert_int_equal(told.count, 2);
  assert_finding(&told, 0, EE_SPOOL_BAD_HEAD, EE_SPOOL_LEFT_OUT, FILE_1, 0, "head is damaged");
  assert_finding(&told, 1, EE_SPOOL_BAD_FILE, EE_SPOOL_LEFT_OUT, FILE_2, 0, "it is segment");
}

static void a_gap_is_told(void **state) {
  char path[512];
  struct told told;
  segment_path(*state, 1, path);
  assert_int_equal(unlink(path), 0);
  check(*state, &told);
  assert_int_equal(told.count, 1);
  assert_finding(&told, 0, EE_SPOOL_GAP, EE_SPOOL_LOST, FILE_1, 0, "1 segments, from this one on");
}

static void a_control_file_is_told(void **state) {
  char path[512];
  struct told told;
  snprintf(path, sizeof path, "%s/control", (const char *)*state);
  overwrite(path, 12, "?", 1);
  check(*state, &told);
  assert_true(told.count == 1 && told.events == 8);
  assert_finding(&told, 0, EE_SPOOL_BAD_CONTROL, EE_SPOOL_DELIVERED, "control", 0, "damaged");
  overwrite(path, 8, "\2", 1);
  check(*state, &told);
  assert_finding(&told, 0, EE_SPOOL_BAD_CONTROL, EE_SPOOL_WAITS, "control", 0, "later version");
  assert_int_equal(unlink(path), 0);
  check(*state, &told);
  assert_finding(&told, 0, EE_SPOOL_BAD_CONTROL, EE_SPOOL_DELIVERED, "control", 0, "not there");
}

// Not a word on damage, for there is none.
static void memory_that_is_out_is_no_finding(void **state) {
  struct told told;
  const struct ee_spool_visitor visitor = {
      .context = &told, .finding = take_finding, .event = take_event};
  struct ee_spool_look look;
  assert_true(ee_spool_look_open(*state, &look, NULL));
  bool failed = true;
  for (size_t n = 0; failed; n++) {
    struct ee_err err = {""};
    memset(&told, 0, sizeof told);
    ee_chaos_fail_after(n);
    bool ok = ee_spool_check(&look, known, &visitor, &err);
    failed = ee_chaos_stop();
    assert_true(ok ? !failed || told.count == 1 : failed && err.text[0] != '\0');
    if (told.count > 0) {  // a segment could not be read
      assert_int_equal(told.findings[0].kind, EE_SPOOL_BAD_FILE);
      assert_int_equal(told.findings[0].fate, EE_SPOOL_WAITS);
    }
  }
  ee_spool_look_close(&look);
}

static int know(void **state) {
  (void)state;
  return ee_known_new(NULL, &known, NULL) ? 0 : 1;
}

static int forget(void **state) {
  (void)state;
  ee_known_free(known);
  return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(a_sound_spool_has_no_findings),
      TEST(torn_places_are_told),
      TEST(what_is_no_event_is_told),
      TEST(files_are_told),
      TEST(a_gap_is_told),
      TEST(a_control_file_is_told),
      TEST(memory_that_is_out_is_no_finding),
  };
  return cmocka_run_group_tests_name("ctl/spool_check", tests, know, forget);
}
