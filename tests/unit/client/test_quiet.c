// SPDX-License-Identifier: Apache-2.0
// A call asks nothing of the system: the thread that makes the calls may, by a filter of seccomp's,
// do no more than end; any other system call kills the program.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "tests/unit/client/producer_support.h"

#define WARM 2000  // the thread's own memory and ids are made by then
#define CALLS 30000

#ifndef __has_feature
#define __has_feature(x) 0
#endif
// Sanitizers and valgrind call the system for themselves: there the calls are only made.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define WATCHED true
#else
#define WATCHED (ee_tries(100) < 100)
#endif

struct caller {
  envelope_producer *producer;
  size_t accepted, dropped, refused;
  bool quiet;
};

static bool forbid_all_but_the_end(void) {
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
  };
  struct sock_fprog program = {.len = COUNT_OF(filter), .filter = filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void call(struct caller *caller, envelope_event *event, envelope_event *wrong) {
  struct envelope_error error;
  envelope_event_begin(event, ENVELOPE_RELEASED);
  envelope_event_set_text(event, ENVELOPE_FIELD_ENVELOPE_ID, "some-envelope", ENVELOPE_TEXT, NULL);
  envelope_event_set_text(event, ENVELOPE_FIELD_TENANT, "tenant", ENVELOPE_TEXT, NULL);
  envelope_event_set_text(event, ENVELOPE_FIELD_REASON, "done", ENVELOPE_TEXT, NULL);
  int result = envelope_emit(caller->producer, event, &error);
  caller->accepted += result == ENVELOPE_OK;
  caller->dropped += result == ENVELOPE_DROPPED;
  envelope_event_begin(wrong, ENVELOPE_FAILED);
  caller->refused += envelope_emit(caller->producer, wrong, &error) < 0;
}

static void *make_calls(void *context) {
  struct caller *caller = context;
  envelope_event *event = envelope_event_new(ENVELOPE_RELEASED);
  envelope_event *wrong = envelope_event_new(ENVELOPE_FAILED);
  for (int i = 0; i < WARM; i++)
    call(caller, event, wrong);
  if (caller->quiet && !forbid_all_but_the_end()) return NULL;
  for (int i = 0; i < CALLS; i++)
    call(caller, event, wrong);
  if (caller->quiet) syscall(SYS_exit, 0);  // all that it may do; its events stay
  envelope_event_free(event);
  envelope_event_free(wrong);
  return NULL;
}

static void run(struct caller *caller, const char *segment_bytes, const char *spool_bytes) {
  struct place place = place_new();
  envelope_settings *settings = settings_at(&place);
  pthread_t thread;
  set_setting(settings, "source", "urn:s");
  set_setting(settings, "segment-bytes", segment_bytes);
  set_setting(settings, "spool-bytes", spool_bytes);
  caller->producer = producer_with(settings);
  assert_int_equal(pthread_create(&thread, NULL, make_calls, caller), 0);
  assert_int_equal(pthread_join(thread, NULL), 0);
  producer_end(caller->producer);
  place_free(&place);
  assert_int_equal(caller->accepted + caller->dropped, WARM + CALLS);
  assert_int_equal(caller->refused, WARM + CALLS);
}

// In segments that are there from the opening; and over changes of segments, until there is no
// room.
static void calls_ask_nothing_of_the_system(void **state) {
  (void)state;
  struct caller roomy = {.quiet = !WATCHED}, full = {.quiet = !WATCHED};
  run(&roomy, "16MiB", "64MiB");
  run(&full, "1MiB", "4MiB");
  assert_int_equal(roomy.accepted, WARM + CALLS);
  assert_true(full.dropped > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(calls_ask_nothing_of_the_system)};
  return cmocka_run_group_tests_name("client/quiet", tests, NULL, NULL);
}
