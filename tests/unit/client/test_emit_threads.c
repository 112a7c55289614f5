// SPDX-License-Identifier: Apache-2.0
// Several threads emit at once: each call's event is in the spool once, in its thread's order.
#include <pthread.h>

#include "tests/unit/client/producer_support.h"

#define THREADS 4
#define EVENTS 2000

struct member {
  envelope_producer *producer;
  int number;
  size_t accepted, dropped;
  bool failed;
  pthread_t thread;
};

static bool emit_one(struct member *member, envelope_event *event, int i) {
  char text[32];
  snprintf(text, sizeof text, "%d.%d", member->number, i);
  bool set = envelope_event_begin(event, ENVELOPE_RELEASED) == ENVELOPE_OK &&
             envelope_event_set_text(event, ENVELOPE_FIELD_ENVELOPE_ID, text, ENVELOPE_TEXT,
                                     NULL) == ENVELOPE_OK &&
             envelope_event_set_text(event, ENVELOPE_FIELD_TENANT, "t", 1, NULL) == ENVELOPE_OK &&
             envelope_event_set_text(event, ENVELOPE_FIELD_REASON, "r", 1, NULL) == ENVELOPE_OK;
  int result = set ? envelope_emit(member->producer, event, NULL) : ENVELOPE_NO_MEMORY;
  member->accepted += result == ENVELOPE_OK;
  member->dropped += result == ENVELOPE_DROPPED;
  return result == ENVELOPE_OK || result == ENVELOPE_DROPPED;
}

static bool emit_line(struct member *member, int i) {
  char line[256];
  snprintf(line, sizeof line,
           "{\"phase\":\"released\",\"envelope_id\":\"%d.%d\",\"tenant\":\"t\",\"reason\":\"r\"}",
           member->number, i);
  int result = envelope_emit_json(member->producer, line, ENVELOPE_TEXT, NULL, NULL, NULL);
  member->accepted += result == ENVELOPE_OK;
  member->dropped += result == ENVELOPE_DROPPED;
  return result == ENVELOPE_OK || result == ENVELOPE_DROPPED;
}

// Each tenth as JSON, and each hundredth asks for other things too.
static void *emit_all(void *context) {
  struct member *member = context;
  envelope_event *event = envelope_event_new(ENVELOPE_RELEASED);
  member->failed = event == NULL;
  for (int i = 0; i < EVENTS && !member->failed; i++) {
    member->failed = i % 10 == 0 ? !emit_line(member, i) : !emit_one(member, event, i);
    if (i % 100 != 0) continue;
    struct envelope_counts counts;
    char text[64];
    envelope_producer_counts(member->producer, &counts, sizeof counts);
    envelope_producer_trouble(member->producer, text, sizeof text);
    envelope_producer_flush(member->producer, 0);
  }
  envelope_event_free(event);
  return NULL;
}

static void assert_in_order(const struct ee_spool_entry *entry, int next[THREADS]) {
  struct ee_event_head head;
  char text[32];
  int number, i;
  assert_true(ee_event_head_read(entry->item.payload, &head));
  snprintf(text, sizeof text, "%.*s", EE_STR_ARG(head.envelope_id));
  assert_int_equal(sscanf(text, "%d.%d", &number, &i), 2);
  assert_in_range(number, 0, THREADS - 1);
  assert_in_range(i, next[number], EVENTS - 1);
  next[number] = i + 1;
}

static void run(const char *sync) {
  struct place place = place_new();
  struct member members[THREADS];
  size_t accepted = 0, dropped = 0, read = 0;
  int next[THREADS] = {0};
  envelope_settings *settings = settings_at(&place);
  set_setting(settings, "source", "urn:s");
  set_setting(settings, "sync", sync);
  envelope_producer *producer = producer_with(settings);
  for (int i = 0; i < THREADS; i++) {
    members[i] = (struct member){.producer = producer, .number = i};
    assert_int_equal(pthread_create(&members[i].thread, NULL, emit_all, &members[i]), 0);
  }
  for (int i = 0; i < THREADS; i++) {
    assert_int_equal(pthread_join(members[i].thread, NULL), 0);
    assert_false(members[i].failed);
    accepted += members[i].accepted;
    dropped += members[i].dropped;
  }
  assert_int_equal(counts_of(producer).accepted, accepted);
  assert_int_equal(counts_of(producer).dropped, dropped);
  assert_int_equal(accepted + dropped, THREADS * EVENTS);
  producer_end(producer);
  struct ee_spool *spool = spool_at(place.directory);
  struct ee_spool_entry entry;
  for (; ee_spool_read(spool, &entry, NULL) == EE_SPOOL_READ_RECORD; read++)
    assert_in_order(&entry, next);
  assert_int_equal(read, accepted);
  ee_spool_close(spool);
  place_free(&place);
}

static void without_waiting(void **state) {
  (void)state;
  run("none");
}

static void with_each_call_synced(void **state) {
  (void)state;
  run("call");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(without_waiting),
      cmocka_unit_test(with_each_call_synced),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
