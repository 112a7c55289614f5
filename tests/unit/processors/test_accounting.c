// SPDX-License-Identifier: Apache-2.0
// Accounting, line by line of its specification, with sums worked out by hand.
#include "tests/unit/processors/accounting_world.h"

// ---- Metered time.

static void test_ended_grant_is_booked_whole_in_parts(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  struct ee_admission a = an_admission(PIPELINE, TEN_HOURS_MS);
  a.requested.cpu_millis = NUMBER(2000);
  world_admission(&w, &a);
  world_grant(&w, "g", NOON + 10 * MINUTE, 1500);
  assert_int_equal(w.entries, 0);
  world_finalized(&w, "f", NOON + 2 * HOUR + 5 * MINUTE + 7);
  assert_int_equal(w.entries, 3);
  assert_ledger(&w, NOON, "cpu_millis", 2000 * 50 * MINUTE, 1500 * 50 * MINUTE, UNKNOWN);
  assert_ledger(&w, NOON + HOUR, "cpu_millis", 2000 * HOUR, 1500 * HOUR, UNKNOWN);
  assert_ledger(&w, NOON + 2 * HOUR, "cpu_millis", 2000 * (5 * MINUTE + 7), 1500 * (5 * MINUTE + 7),
                UNKNOWN);
  world_tick(&w, NOON + 100 * HOUR);
  assert_int_equal(w.entries, 3);
  world_release(&w);
}

static void test_running_grant_is_booked_by_whole_windows(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  struct ee_admission a = an_admission(DEPLOYMENT, -1);
  a.requested.cpu_millis = NUMBER(10);
  world_admission(&w, &a);
  world_grant(&w, "g", NOON + 30 * MINUTE, 4);
  world_tick(&w, NOON + HOUR - 1);
  assert_int_equal(w.entries, 0);
  world_tick(&w, NOON + HOUR);
  assert_int_equal(w.entries, 1);
  assert_ledger(&w, NOON, "cpu_millis", 10 * 30 * MINUTE, 4 * 30 * MINUTE, UNKNOWN);
  world_tick(&w, NOON + 2 * HOUR - 1);
  assert_int_equal(w.entries, 1);
  world_tick(&w, NOON + 2 * HOUR + 1);
  assert_int_equal(w.entries, 2);
  assert_ledger(&w, NOON + HOUR, "cpu_millis", 10 * HOUR, 4 * HOUR, UNKNOWN);
  world_tick(&w, NOON + 74 * HOUR + 5);  // three days at once
  assert_int_equal(w.entries, 74);
  assert_ledger(&w, NOON + 73 * HOUR, "cpu_millis", 10 * HOUR, 4 * HOUR, UNKNOWN);
  assert_ledger(&w, NOON + 74 * HOUR, "cpu_millis", UNKNOWN, UNKNOWN, UNKNOWN);
  world_finalized(&w, "f", NOON + 74 * HOUR + MINUTE);  // no end of a deployment
  assert_int_equal(w.entries, 74);
  world_released(&w, "r", NOON + 74 * HOUR + 6 * MINUTE);
  assert_int_equal(w.entries, 75);
  assert_ledger(&w, NOON + 74 * HOUR, "cpu_millis", 10 * 6 * MINUTE, 4 * 6 * MINUTE, UNKNOWN);
  world_release(&w);
}

static void test_late_release_takes_back(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  struct ee_admission a = an_admission(DEPLOYMENT, -1);
  world_admission(&w, &a);
  world_grant(&w, "g", NOON, 4);
  world_tick(&w, NOON + 5 * HOUR);
  struct ee_released r = a_released("r", NOON + HOUR + 15 * MINUTE);
  world_event(&w, EE_TOPIC_RELEASED, NOON + 5 * HOUR, &r);
  assert_ledger(&w, NOON, "cpu_millis", UNKNOWN, 4 * HOUR, UNKNOWN);
  assert_ledger(&w, NOON + HOUR, "cpu_millis", UNKNOWN, 4 * 15 * MINUTE, UNKNOWN);
  assert_ledger(&w, NOON + 2 * HOUR, "cpu_millis", UNKNOWN, 0, UNKNOWN);
  assert_ledger(&w, NOON + 4 * HOUR, "cpu_millis", UNKNOWN, 0, UNKNOWN);
  assert_int_equal(w.entries, 5 + 4);
  struct ee_usage_total total;
  assert_true(world_total(&w, TENANT, NOON + HOUR, "cpu_millis", &total));
  assert_false(world_total(&w, TENANT, NOON + 2 * HOUR, "cpu_millis", &total));
  world_release(&w);
}

static void test_release_ends_every_kind_and_later_grants_meter_nothing(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  struct ee_admission a = an_admission(PIPELINE, TEN_HOURS_MS);
  world_admission(&w, &a);
  world_grant(&w, "g1", NOON, 4);
  world_finalized(&w, "f", NOON + 10 * MINUTE);
  assert_ledger(&w, NOON, "cpu_millis", UNKNOWN, 4 * 10 * MINUTE, UNKNOWN);
  world_released(&w, "r2", NOON + 20 * MINUTE);  // the release counts, not finalized
  assert_ledger(&w, NOON, "cpu_millis", UNKNOWN, 4 * 20 * MINUTE, UNKNOWN);
  world_released(&w, "r1", NOON + 15 * MINUTE);  // the earliest release
  assert_ledger(&w, NOON, "cpu_millis", UNKNOWN, 4 * 15 * MINUTE, UNKNOWN);
  world_grant(&w, "g2", NOON + 15 * MINUTE, 1000);
  world_grant(&w, "g3", NOON + 40 * MINUTE, 1000);
  world_tick(&w, NOON + 50 * HOUR);
  assert_ledger(&w, NOON, "cpu_millis", UNKNOWN, 4 * 15 * MINUTE, UNKNOWN);
  world_release(&w);
}

static void test_deadline_ends_a_grant_at_the_window_s_end(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  struct ee_admission a = an_admission(PIPELINE, 90 * 60 * 1000);  // until 13:30
  world_admission(&w, &a);
  world_grant(&w, "g", NOON + 10 * MINUTE, 4);
  world_tick(&w, NOON + HOUR);
  assert_int_equal(w.entries, 1);
  world_tick(&w, NOON + 2 * HOUR - 1);
  assert_int_equal(w.entries, 1);
  world_tick(&w, NOON + 2 * HOUR);
  assert_int_equal(w.entries, 2);
  assert_ledger(&w, NOON + HOUR, "cpu_millis", UNKNOWN, 4 * 30 * MINUTE, UNKNOWN);
  world_tick(&w, NOON + 90 * HOUR);
  assert_int_equal(w.entries, 2);
  world_finalized(&w, "f", NOON + 95 * MINUTE);  // after the deadline: it stands
  assert_int_equal(w.entries, 2);
  world_released(&w, "r", NOON + 100 * MINUTE);  // a release says how long it really ran
  assert_int_equal(w.entries, 3);
  assert_ledger(&w, NOON + HOUR, "cpu_millis", UNKNOWN, 4 * 40 * MINUTE, UNKNOWN);
  world_release(&w);
}

static void test_finalized_at_the_deadline_is_an_end_by_event(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  struct ee_admission a = an_admission(PIPELINE, 30 * 60 * 1000);
  world_admission(&w, &a);
  world_grant(&w, "g", NOON, 4);
  world_finalized(&w, "f", NOON + 30 * MINUTE);
  assert_ledger(&w, NOON, "cpu_millis", UNKNOWN, 4 * 30 * MINUTE, UNKNOWN);
  world_release(&w);
}

static void test_failed_at_the_deadline_is_an_end_by_event(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  struct ee_admission a = an_admission(PIPELINE, 30 * 60 * 1000);
  world_admission(&w, &a);
  world_grant(&w, "g", NOON, 4);
  world_failed(&w, "x", NOON + 30 * MINUTE + 1);
  assert_int_equal(w.entries, 0);
  world_failed(&w, "x2", NOON + 30 * MINUTE);
  assert_ledger(&w, NOON, "cpu_millis", UNKNOWN, 4 * 30 * MINUTE, UNKNOWN);
  world_release(&w);
}

static void test_default_deadline_of_the_kind(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  struct ee_admission a = an_admission(EE_EXECUTION_KIND_INFERENCE, -1);  // two minutes
  world_admission(&w, &a);
  world_grant(&w, "g", NOON + MINUTE, 4);
  world_tick(&w, NOON + HOUR);
  assert_ledger(&w, NOON, "cpu_millis", UNKNOWN, 4 * MINUTE, UNKNOWN);
  world_grant(&w, "late", NOON + 2 * MINUTE, 9);  // at the deadline: nothing of it runs
  world_tick(&w, NOON + 2 * HOUR);
  assert_ledger(&w, NOON, "cpu_millis", UNKNOWN, 4 * MINUTE, UNKNOWN);
  world_release(&w);
}

static void test_next_grant_ends_the_one_before(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  struct ee_admission a = an_admission(DEPLOYMENT, -1);
  a.requested.cpu_millis = NUMBER(3);
  world_admission(&w, &a);
  world_grant(&w, "g1", NOON, 1);
  world_grant(&w, "g3", NOON + 40 * MINUTE, 100);
  assert_ledger(&w, NOON, "cpu_millis", 3 * 40 * MINUTE, 40 * MINUTE, UNKNOWN);
  struct ee_resolved between = a_resolved("g2", NOON + 20 * MINUTE);  // arrives last
  between.granted.cpu_millis = NUMBER(10);
  world_event(&w, EE_TOPIC_RESOLVED, NOON + HOUR, &between);
  assert_ledger(&w, NOON, "cpu_millis", 3 * 40 * MINUTE, 20 * MINUTE + 10 * 20 * MINUTE, UNKNOWN);
  world_tick(&w, NOON + HOUR);
  assert_ledger(&w, NOON, "cpu_millis", 3 * HOUR, (20 + 200 + 2000) * MINUTE, UNKNOWN);
  world_grant(&w, "g0", NOON, 7);  // before g1 by its id: no time of its own
  assert_ledger(&w, NOON, "cpu_millis", 3 * HOUR, (20 + 200 + 2000) * MINUTE, UNKNOWN);
  world_grant(&w, "g1a", NOON, 2);  // after g1: takes its time
  assert_ledger(&w, NOON, "cpu_millis", 3 * HOUR, (40 + 200 + 2000) * MINUTE, UNKNOWN);
  world_release(&w);
}

static void test_failed_ends_the_grants_before_it(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  struct ee_admission a = an_admission(DEPLOYMENT, -1);
  a.requested.amounts = AMOUNTS({EE_STR("tokens"), 50});
  world_admission(&w, &a);
  world_grant(&w, "g1", NOON, 1);
  world_failed(&w, "x2", NOON + 30 * MINUTE);
  assert_ledger(&w, NOON, "cpu_millis", UNKNOWN, 30 * MINUTE, UNKNOWN);
  assert_ledger(&w, NOON, "amounts.tokens", 50, UNKNOWN, UNKNOWN);
  world_failed(&w, "x1", NOON + 10 * MINUTE);  // earlier: it ended there
  assert_ledger(&w, NOON, "cpu_millis", UNKNOWN, 10 * MINUTE, UNKNOWN);
  world_grant(&w, "g2", NOON + 50 * MINUTE, 5);  // runs: failures lie before it
  world_tick(&w, NOON + HOUR);
  assert_ledger(&w, NOON, "cpu_millis", UNKNOWN, 10 * MINUTE + 5 * 10 * MINUTE, UNKNOWN);
  world_failed(&w, "x3", NOON + 50 * MINUTE);  // as it began: no time, the amount stays
  assert_ledger(&w, NOON, "cpu_millis", UNKNOWN, 10 * MINUTE, UNKNOWN);
  assert_ledger(&w, NOON, "amounts.tokens", 50, UNKNOWN, UNKNOWN);
  world_release(&w);
}

// ---- Admission and tenants.

static void test_nothing_before_the_admission(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  world_grant(&w, "g1", NOON, 1);
  world_grant(&w, "g2", NOON + 20 * MINUTE, 2);
  world_tick(&w, NOON + 3 * HOUR + MINUTE);
  assert_int_equal(w.entries, 0);
  struct ee_admission a = an_admission(DEPLOYMENT, -1);
  world_event(&w, EE_TOPIC_ADMISSION, NOON + 3 * HOUR, &a);
  // All that is due at the clock, at once.
  assert_ledger(&w, NOON, "cpu_millis", UNKNOWN, 20 * MINUTE + 2 * 40 * MINUTE, UNKNOWN);
  assert_ledger(&w, NOON + 2 * HOUR, "cpu_millis", UNKNOWN, 2 * HOUR, UNKNOWN);
  assert_ledger(&w, NOON + 3 * HOUR, "cpu_millis", UNKNOWN, UNKNOWN, UNKNOWN);
  assert_int_equal(w.entries, 3);
  world_tick(&w, NOON + 4 * HOUR);
  assert_int_equal(w.entries, 4);
  world_release(&w);
}

static void test_other_tenants_count_for_nothing(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  struct ee_released foreign = a_released("r", NOON + MINUTE);
  foreign.tenant = EE_STR("other");
  foreign.measured = AMOUNTS({EE_STR("tokens"), 5});
  world_event(&w, EE_TOPIC_RELEASED, NOON + MINUTE, &foreign);
  struct ee_admission a = an_admission(DEPLOYMENT, -1);
  world_admission(&w, &a);
  world_grant(&w, "g1", NOON, 1);
  struct ee_resolved grant = a_resolved("g2", NOON + MINUTE);
  grant.tenant = EE_STR("other");
  grant.granted.cpu_millis = NUMBER(1000);
  world_event(&w, EE_TOPIC_RESOLVED, NOON + MINUTE, &grant);
  grant.tenant = EE_STR(TENANT);  // the id is taken: a repeat
  world_event(&w, EE_TOPIC_RESOLVED, NOON + MINUTE, &grant);
  world_tick(&w, NOON + HOUR);
  assert_int_equal(w.entries, 1);
  assert_ledger(&w, NOON, "cpu_millis", UNKNOWN, HOUR, UNKNOWN);
  world_release(&w);
}

static void test_repeats_leave_no_trace(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  struct ee_admission a = an_admission(DEPLOYMENT, -1);
  a.requested.cpu_millis = NUMBER(5);
  world_admission(&w, &a);
  a.event_id = EE_STR("a-2");
  a.tenant = EE_STR("other");
  a.requested.cpu_millis = NUMBER(500);
  world_admission(&w, &a);  // the first one stands
  world_grant(&w, "x", NOON, 1);
  world_grant(&w, "x", NOON + MINUTE, 7);
  world_released(&w, "x", NOON + HOUR);  // the same id in another phase is another event
  assert_int_equal(w.entries, 1);
  assert_ledger(&w, NOON, "cpu_millis", 5 * HOUR, HOUR, UNKNOWN);
  world_released(&w, "x", NOON + MINUTE);
  assert_int_equal(w.entries, 1);
  struct ee_annotation note = a_annotation("n", NOON);
  world_event(&w, EE_TOPIC_ANNOTATION, NOON, &note);
  assert_int_equal(w.entries, 1);
  step_double_fail_at(w.d, 3);  // of two repeats each reads state, and neither writes it
  world_grant(&w, "x", NOON, 1);
  world_admission(&w, &a);
  step_double_fail_at(w.d, 0);
  world_release(&w);
}

static void test_times_are_clamped_to_seven_days(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  struct ee_admission a = an_admission(DEPLOYMENT, -1);
  world_admission(&w, &a);
  struct ee_resolved grant = a_resolved("g", INT64_MIN);
  grant.granted.cpu_millis = NUMBER(1);
  world_event(&w, EE_TOPIC_RESOLVED, NOON, &grant);
  struct ee_released r = a_released("r", INT64_MAX);
  world_event(&w, EE_TOPIC_RELEASED, NOON, &r);
  assert_int_equal(w.entries, 14 * 24);
  assert_ledger(&w, NOON - 169 * HOUR, "cpu_millis", UNKNOWN, UNKNOWN, UNKNOWN);
  assert_ledger(&w, NOON - 168 * HOUR, "cpu_millis", UNKNOWN, HOUR, UNKNOWN);
  assert_ledger(&w, NOON + 167 * HOUR, "cpu_millis", UNKNOWN, HOUR, UNKNOWN);
  world_release(&w);
}

// ---- Denials.

static void test_denied_books_asked_once(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  struct ee_admission a = an_admission(PIPELINE, 60 * 1000);  // the deadline plays no part
  a.requested.cpu_millis = NUMBER(8);
  a.requested.amounts = AMOUNTS({EE_STR("tokens"), 50});
  world_admission(&w, &a);
  world_failed(&w, "x1", NOON + 90 * MINUTE);
  assert_int_equal(w.entries, 3);
  assert_ledger(&w, NOON, "cpu_millis", 8 * HOUR, UNKNOWN, UNKNOWN);
  assert_ledger(&w, NOON + HOUR, "cpu_millis", 8 * 30 * MINUTE, UNKNOWN, UNKNOWN);
  assert_ledger(&w, NOON + HOUR, "amounts.tokens", 50, UNKNOWN, UNKNOWN);
  world_failed(&w, "x2", NOON + 45 * MINUTE);  // the last failure is the one that counts
  assert_int_equal(w.entries, 3);
  world_failed(&w, "x3", NOON + 125 * MINUTE);
  assert_ledger(&w, NOON + HOUR, "cpu_millis", 8 * HOUR, UNKNOWN, UNKNOWN);
  assert_ledger(&w, NOON + HOUR, "amounts.tokens", 0, UNKNOWN, UNKNOWN);
  assert_ledger(&w, NOON + 2 * HOUR, "cpu_millis", 8 * 5 * MINUTE, UNKNOWN, UNKNOWN);
  assert_ledger(&w, NOON + 2 * HOUR, "amounts.tokens", 50, UNKNOWN, UNKNOWN);
  // A grant that had been made after all: it failed, but was not denied.
  struct ee_resolved grant = a_resolved("g", NOON + 15 * MINUTE);
  world_event(&w, EE_TOPIC_RESOLVED, NOON + 3 * HOUR, &grant);
  assert_ledger(&w, NOON, "cpu_millis", 0, UNKNOWN, UNKNOWN);  // the deadline lies before it
  assert_ledger(&w, NOON + 2 * HOUR, "amounts.tokens", 0, UNKNOWN, UNKNOWN);
  world_release(&w);
}

static void test_finalized_after_failed_is_no_denial(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  struct ee_admission a = an_admission(DEPLOYMENT, -1);
  a.requested.cpu_millis = NUMBER(8);
  world_admission(&w, &a);
  world_finalized(&w, "f1", NOON + 10 * MINUTE);
  world_failed(&w, "x", NOON + 10 * MINUTE);  // at equal times failed is the later
  assert_ledger(&w, NOON, "cpu_millis", 8 * 10 * MINUTE, UNKNOWN, UNKNOWN);
  world_finalized(&w, "f2", NOON + 10 * MINUTE + 1);
  assert_ledger(&w, NOON, "cpu_millis", 0, UNKNOWN, UNKNOWN);
  world_release(&w);
}

static void test_granted_after_a_denial(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  struct ee_admission a = an_admission(DEPLOYMENT, -1);
  a.requested.cpu_millis = NUMBER(8);
  a.requested.amounts = AMOUNTS({EE_STR("tokens"), 50});
  world_admission(&w, &a);
  world_failed(&w, "x", NOON + 10 * MINUTE);
  struct ee_resolved grant = a_resolved("g", NOON + 70 * MINUTE);
  grant.granted.cpu_millis = NUMBER(2);
  grant.granted.amounts = AMOUNTS({EE_STR("tokens"), 20});
  world_event(&w, EE_TOPIC_RESOLVED, NOON + 70 * MINUTE, &grant);
  world_tick(&w, NOON + 2 * HOUR);
  assert_ledger(&w, NOON, "cpu_millis", 8 * 10 * MINUTE, UNKNOWN, UNKNOWN);
  assert_ledger(&w, NOON, "amounts.tokens", 50, UNKNOWN, UNKNOWN);
  assert_ledger(&w, NOON + HOUR, "cpu_millis", 8 * 50 * MINUTE, 2 * 50 * MINUTE, UNKNOWN);
  assert_ledger(&w, NOON + HOUR, "amounts.tokens", UNKNOWN, 20, UNKNOWN);
  world_failed(&w, "x2", NOON + 80 * MINUTE);  // with a grant before the last failure: asked moves
  assert_ledger(&w, NOON, "amounts.tokens", 0, UNKNOWN, UNKNOWN);
  assert_ledger(&w, NOON, "cpu_millis", 0, UNKNOWN, UNKNOWN);
  assert_ledger(&w, NOON + HOUR, "amounts.tokens", 50, 20, UNKNOWN);
  assert_ledger(&w, NOON + HOUR, "cpu_millis", 8 * 10 * MINUTE, 2 * 10 * MINUTE, UNKNOWN);
  world_release(&w);
}

// ---- Amounts.

static void test_amounts_of_a_running_grant_wait_for_the_window(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  struct ee_admission a = an_admission(DEPLOYMENT, -1);
  a.requested.amounts = AMOUNTS({EE_STR("tokens"), 50}, {EE_STR("bytes"), 0});
  world_admission(&w, &a);
  struct ee_resolved grant = a_resolved("g", NOON + 30 * MINUTE);
  grant.granted.amounts = AMOUNTS({EE_STR("tokens"), 40}, {EE_STR("extra"), 1});
  world_event(&w, EE_TOPIC_RESOLVED, grant.occurred_at, &grant);
  world_tick(&w, NOON + HOUR - 1);
  assert_int_equal(w.entries, 0);
  world_tick(&w, NOON + HOUR);
  assert_int_equal(w.entries, 3);
  assert_ledger(&w, NOON, "amounts.tokens", 50, 40, UNKNOWN);
  assert_ledger(&w, NOON, "amounts.bytes", 0, UNKNOWN, UNKNOWN);
  assert_ledger(&w, NOON, "amounts.extra", UNKNOWN, 1, UNKNOWN);
  world_tick(&w, NOON + 3 * HOUR);
  assert_int_equal(w.entries, 3);
  // The next grant is the effective one: the amounts are its own, in its own window.
  struct ee_resolved next = a_resolved("g2", NOON + 90 * MINUTE);
  next.granted.amounts = AMOUNTS({EE_STR("tokens"), 45});
  world_event(&w, EE_TOPIC_RESOLVED, NOON + 3 * HOUR, &next);
  assert_ledger(&w, NOON, "amounts.tokens", 0, 0, UNKNOWN);
  assert_ledger(&w, NOON + HOUR, "amounts.tokens", 50, 45, UNKNOWN);
  assert_ledger(&w, NOON, "amounts.extra", UNKNOWN, 0, UNKNOWN);
  world_release(&w);
}

static void test_billed_from_measured_alone(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  struct ee_admission a = an_admission(PIPELINE, TEN_HOURS_MS);
  a.requested.amounts = AMOUNTS({EE_STR("tokens"), 50});
  world_admission(&w, &a);
  struct ee_finalized f = a_finalized("f1", NOON + MINUTE);
  f.measured = AMOUNTS({EE_STR("tokens"), 30}, {EE_STR("bytes"), 0}, {EE_STR("bad"), -1});
  world_event(&w, EE_TOPIC_FINALIZED, f.occurred_at, &f);
  assert_int_equal(w.entries, 2);
  assert_ledger(&w, NOON, "amounts.tokens", UNKNOWN, UNKNOWN, 30);  // asked: no grant, no denial
  assert_ledger(&w, NOON, "amounts.bytes", UNKNOWN, UNKNOWN, 0);
  f = a_finalized("f2", NOON + HOUR);
  f.measured = AMOUNTS({EE_STR("tokens"), 31});
  world_event(&w, EE_TOPIC_FINALIZED, f.occurred_at, &f);
  assert_ledger(&w, NOON, "amounts.tokens", UNKNOWN, UNKNOWN, 0);
  assert_ledger(&w, NOON + HOUR, "amounts.tokens", UNKNOWN, UNKNOWN, 31);
  struct ee_released r = a_released("r1", NOON + 2 * MINUTE);
  r.measured = AMOUNTS({EE_STR("tokens"), 7}, {EE_STR("bytes"), -5});
  world_event(&w, EE_TOPIC_RELEASED, r.occurred_at, &r);
  assert_ledger(&w, NOON, "amounts.tokens", UNKNOWN, UNKNOWN, 7);
  assert_ledger(&w, NOON + HOUR, "amounts.tokens", UNKNOWN, UNKNOWN, 0);
  assert_ledger(&w, NOON, "amounts.bytes", UNKNOWN, UNKNOWN, 0);
  r = a_released("r0", NOON + 2 * MINUTE);  // before r1 by its id
  r.measured = AMOUNTS({EE_STR("tokens"), 1000});
  world_event(&w, EE_TOPIC_RELEASED, r.occurred_at, &r);
  assert_ledger(&w, NOON, "amounts.tokens", UNKNOWN, UNKNOWN, 7);
  world_release(&w);
}

// ---- Rates.

static void test_rates_are_metered_side_by_side(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  struct ee_admission a = an_admission(PIPELINE, TEN_HOURS_MS);
  a.requested.cpu_millis = NUMBER(0);
  a.requested.gpu_count = NUMBER(2);
  a.requested.concurrency = NUMBER(-1);
  world_admission(&w, &a);
  struct ee_resolved grant = a_resolved("g", NOON);
  grant.granted.gpu_count = NUMBER(3);
  grant.granted.gpu_share_milli = NUMBER(250);
  grant.granted.memory_bytes = NUMBER(1024);
  grant.granted.concurrency = NUMBER((INT64_C(1) << 53) + 1);
  grant.granted.priority = NUMBER(3);
  world_event(&w, EE_TOPIC_RESOLVED, NOON, &grant);
  world_finalized(&w, "f", NOON + 10);
  assert_int_equal(w.entries, 3);
  assert_ledger(&w, NOON, "cpu_millis", 0, UNKNOWN, UNKNOWN);
  assert_ledger(&w, NOON, "gpu", 2000 * 10, 750 * 10, UNKNOWN);
  assert_ledger(&w, NOON, "memory_bytes", UNKNOWN, 1024 * 10, UNKNOWN);
  world_release(&w);
}

// ---- Limits.

static void test_513th_grant_closes_its_phase(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  struct ee_admission a = an_admission(DEPLOYMENT, -1);
  world_admission(&w, &a);
  char id[16];
  for (int i = 0; i < 514; i++) {
    assert_true(snprintf(id, sizeof id, "g%03d", i) < (int)sizeof id);
    world_grant(&w, id, NOON + i, 1 + i);
  }
  world_released(&w, "r", NOON + 1000);
  // 0 to 510 for a microsecond each, then grant 511 (rate 512) to the end.
  assert_ledger(&w, NOON, "cpu_millis", UNKNOWN, 511 * 512 / 2 + 512 * (1000 - 511), UNKNOWN);
  world_release(&w);
}

static void test_65th_end_closes_its_phase(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  struct ee_admission a = an_admission(PIPELINE, TEN_HOURS_MS);
  world_admission(&w, &a);
  world_grant(&w, "g", NOON, 1);
  char id[16];
  for (int i = 0; i < 66; i++) {
    assert_true(snprintf(id, sizeof id, "f%03d", i) < (int)sizeof id);
    world_finalized(&w, id, NOON + 1000 - i);
  }
  assert_ledger(&w, NOON, "cpu_millis", UNKNOWN, 1000 - 63, UNKNOWN);
  world_released(&w, "r", NOON + 5);  // other phases are open
  assert_ledger(&w, NOON, "cpu_millis", UNKNOWN, 5, UNKNOWN);
  world_release(&w);
}

static void test_phase_of_512_kib_is_closed(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  struct ee_admission a = an_admission(DEPLOYMENT, -1);
  world_admission(&w, &a);
  size_t size = 200 * 1024;
  char *text = malloc(size);
  assert_non_null(text);
  memset(text, 'x', size);
  struct ee_str_entry entry = {.key = EE_STR("k"), .value = {.data = text, .size = size}};
  static const char *const ids[] = {"g0", "g1", "g2", "g3"};
  for (int i = 0; i < 4; i++) {
    struct ee_resolved grant = a_resolved(ids[i], NOON + i * 10);
    grant.granted.cpu_millis = NUMBER(1 + i);
    if (i < 3) grant.granted.placement = (struct ee_str_map){.entries = &entry, .count = 1};
    world_event(&w, EE_TOPIC_RESOLVED, grant.occurred_at, &grant);
  }
  world_released(&w, "r", NOON + 100);
  // g2 does not fit, so g3, which would, is not looked at.
  assert_ledger(&w, NOON, "cpu_millis", UNKNOWN, 10 + 2 * 90, UNKNOWN);
  free(text);
  world_release(&w);
}

// ---- Ticks.

static void test_long_tick_goes_on_where_it_failed(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  struct ee_admission a = an_admission(DEPLOYMENT, -1);
  world_admission(&w, &a);
  world_grant(&w, "g", NOON, 1);
  // A wake books at most 168 windows and puts once: the first two stand, the third fails.
  step_double_fail_at(w.d, 169 + 169 + 50);
  assert_false(step_double_tick(w.d, WORLD_PARTITION, NOON + 1000 * HOUR, w.offsets));
  world_read(&w, true);
  assert_int_equal(w.entries, 2 * 168);
  step_double_restore(w.d);
  world_tick(&w, NOON + 1000 * HOUR);
  assert_int_equal(w.entries, 1000);
  for (int i = 0; i < 1000; i++) {
    assert_ledger(&w, NOON + i * HOUR, "cpu_millis", UNKNOWN, HOUR, UNKNOWN);
  }
  world_release(&w);
}

static void test_every_failing_call_is_survived(void **state) {
  (void)state;
  struct world w;
  world_init(&w);
  struct ee_admission a = an_admission(DEPLOYMENT, -1);
  a.requested.cpu_millis = NUMBER(3);
  a.requested.amounts = AMOUNTS({EE_STR("tokens"), 50});
  struct ee_resolved grant = a_resolved("g", NOON);
  grant.granted.cpu_millis = NUMBER(1);
  struct ee_released r = a_released("r", NOON + 90 * MINUTE);
  const struct {
    enum ee_topic topic;
    const void *record;
    int calls;  // get, entries, put
  } steps[] = {
      {EE_TOPIC_RELEASED, &r, 2}, {EE_TOPIC_RESOLVED, &grant, 2}, {EE_TOPIC_ADMISSION, &a, 5}};
  for (size_t i = 0; i < COUNT_OF(steps); i++) {
    for (int n = 1; n <= steps[i].calls; n++) {
      step_double_fail_at(w.d, n);
      assert_false(
          step_double_input(w.d, steps[i].topic, WORLD_PARTITION, 0, NOON, steps[i].record));
    }
    step_double_fail_at(w.d, steps[i].calls + 1);  // there are no more calls than these
    assert_true(step_double_input(w.d, steps[i].topic, WORLD_PARTITION, 0, NOON, steps[i].record));
    step_double_fail_at(w.d, 0);
    world_read(&w, true);
  }
  assert_int_equal(w.entries, 3);
  assert_ledger(&w, NOON + HOUR, "cpu_millis", 3 * 30 * MINUTE, 30 * MINUTE, UNKNOWN);
  world_release(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_ended_grant_is_booked_whole_in_parts),
      cmocka_unit_test(test_running_grant_is_booked_by_whole_windows),
      cmocka_unit_test(test_late_release_takes_back),
      cmocka_unit_test(test_release_ends_every_kind_and_later_grants_meter_nothing),
      cmocka_unit_test(test_deadline_ends_a_grant_at_the_window_s_end),
      cmocka_unit_test(test_finalized_at_the_deadline_is_an_end_by_event),
      cmocka_unit_test(test_failed_at_the_deadline_is_an_end_by_event),
      cmocka_unit_test(test_default_deadline_of_the_kind),
      cmocka_unit_test(test_next_grant_ends_the_one_before),
      cmocka_unit_test(test_failed_ends_the_grants_before_it),
      cmocka_unit_test(test_nothing_before_the_admission),
      cmocka_unit_test(test_other_tenants_count_for_nothing),
      cmocka_unit_test(test_repeats_leave_no_trace),
      cmocka_unit_test(test_times_are_clamped_to_seven_days),
      cmocka_unit_test(test_denied_books_asked_once),
      cmocka_unit_test(test_finalized_after_failed_is_no_denial),
      cmocka_unit_test(test_granted_after_a_denial),
      cmocka_unit_test(test_amounts_of_a_running_grant_wait_for_the_window),
      cmocka_unit_test(test_billed_from_measured_alone),
      cmocka_unit_test(test_rates_are_metered_side_by_side),
      cmocka_unit_test(test_513th_grant_closes_its_phase),
      cmocka_unit_test(test_65th_end_closes_its_phase),
      cmocka_unit_test(test_phase_of_512_kib_is_closed),
      cmocka_unit_test(test_long_tick_goes_on_where_it_failed),
      cmocka_unit_test(test_every_failing_call_is_survived),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
