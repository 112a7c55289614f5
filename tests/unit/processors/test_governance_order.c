// SPDX-License-Identifier: Apache-2.0
// Governance over random histories: in whatever order topics and ticks are read, with
// failures and restores in between, each source's audit entries, the last record of each
// obligation and the state are the same bytes; and what is overdue is what a plain second
// implementation says.
#include <stdlib.h>

#include "tests/unit/processors/governance_world.h"

#define HISTORIES 1200
#define PLAYS 4
#define ENVELOPES 2
#define RECORDS_MAX 40
#define TICKS_MAX 8
#define STEP (10 * SECOND)  // times lie on this grid, so that many fall together

static uint64_t number;  // of the history being read
static uint64_t seed;

static uint64_t dice(uint64_t sides) {
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return (seed * UINT64_C(0x2545F4914F6CDD1D) >> 33) % sides;
}

// ---- Random histories.

struct record {
  enum ee_topic topic;
  int64_t append;
  int64_t offset;
  union event event;
  struct ee_receipt receipt;
  struct ee_governance governance;
  struct ee_str_entry hint;
  char id[EE_SHA256_HEX_SIZE];
  char event_id[8];
};

struct tick {
  int64_t clock;
  int64_t offsets[EE_TOPIC_COUNT];
};

struct history {
  struct record records[RECORDS_MAX];  // by append time
  size_t record_count;
  struct tick ticks[TICKS_MAX];  // ascending
  size_t tick_count;
  int64_t grace_ms;
};

static const char *const envelope_ids[ENVELOPES] = {"env-1", "env-2"};
static const char *const tenants[] = {"acme", "acme", "acme", "other"};

static struct ee_policy_obligation of_all[] = {
    {.name = EE_STR_INIT("now"), .due_after_ms = {.present = true, .value = 0}},
    {.name = EE_STR_INIT("never")}};
static struct ee_policy_obligation of_hint[] = {
    {.name = EE_STR_INIT("soon"), .due_after_ms = {.present = true, .value = 30000}},
    {.name = EE_STR_INIT("later"), .due_after_ms = {.present = true, .value = 200000}}};
static struct ee_str_entry any_review[] = {ENTRY("review", "*")};
static struct ee_str private_paths[] = {EE_STR_INIT("source")};
static struct ee_policy_rule rules[] = {{.name = EE_STR_INIT("all"),
                                         .redact = {.items = private_paths, .count = 1},
                                         .obligations = {.items = of_all, .count = 2}},
                                        {.name = EE_STR_INIT("hinted"),
                                         .match = {.hints = {.entries = any_review, .count = 1}},
                                         .disclosure = {true, EE_AUDIT_LEVEL_MINIMAL},
                                         .obligations = {.items = of_hint, .count = 2}}};
static const struct ee_policy first_policy = {.name = EE_STR_INIT("test"),
                                              .rules = {.items = rules, .count = 2}};
static const struct ee_policy second_policy = {.name = EE_STR_INIT("test"),
                                               .rules = {.items = rules, .count = 1}};
#define SECOND_FROM (NOON + 10 * STEP)

static const struct ee_policy_version *version_at(int64_t append) {
  static const struct ee_policy_version versions[] = {
      {.number = 1, .effective = INT64_MIN, .policy = &first_policy},
      {.number = 2, .effective = SECOND_FROM, .policy = &second_policy}};
  return &versions[append >= SECOND_FROM];
}

// One of the ids that the envelope's obligations may have, or of none.
static void random_id(const char *envelope_id, char out[EE_SHA256_HEX_SIZE]) {
  static const char *const names[][2] = {
      {"all", "now"}, {"all", "never"}, {"hinted", "soon"}, {"hinted", "later"}, {"no", "such"}};
  const char *const *name = names[dice(COUNT_OF(names))];
  id_of(envelope_id, 1 + (long long)dice(2), name[0], name[1], out);
}

static void random_event(struct record *r, const char *envelope_id) {
  snprintf(r->event_id, sizeof r->event_id, "%d", (int)dice(1000));
  r->event = an_event((enum ee_phase)r->topic, r->event_id);
  r->event.head.envelope_id = ee_str(envelope_id);
  r->event.head.tenant = ee_str(tenants[dice(COUNT_OF(tenants))]);
  r->event.head.sensitivity = (struct ee_opt_enum){dice(2) == 0, (int)dice(4)};
  if (r->topic != EE_TOPIC_ADMISSION || dice(2) == 0) return;
  r->hint = (struct ee_str_entry)ENTRY("review", "legal");
  r->governance = (struct ee_governance){.hints = {.entries = &r->hint, .count = 1}};
  r->event.admission.governance = &r->governance;
}

static void random_record(struct record *r, int64_t append) {
  static const enum ee_topic topics[] = {EE_TOPIC_ADMISSION,  EE_TOPIC_OBLIGATION,
                                         EE_TOPIC_OBLIGATION, EE_TOPIC_OBLIGATION,
                                         EE_TOPIC_RESOLVED,   EE_TOPIC_FAILED};
  const char *envelope_id = envelope_ids[dice(ENVELOPES)];
  *r = (struct record){.topic = topics[dice(COUNT_OF(topics))], .append = append};
  if (r->topic != EE_TOPIC_OBLIGATION) {
    random_event(r, envelope_id);
    return;
  }
  random_id(envelope_id, r->id);
  r->receipt =
      a_receipt(ee_str(r->id), (enum ee_obligation_state)dice(5), NOON + (int64_t)dice(4) * STEP);
  r->receipt.envelope_id = ee_str(envelope_id);
  r->receipt.tenant = ee_str(tenants[dice(COUNT_OF(tenants))]);
  r->receipt.actor = ee_str(dice(2) == 0 ? "urn:one" : "urn:two");
}

// The first record of its topic that a tick does not name: none appended before its as_of,
// and perhaps some more, since ends are asked for afterwards.
static void random_ends(const struct history *h, const struct tick *before, struct tick *tick) {
  for (int topic = 0; topic < EE_TOPIC_COUNT; topic++) {
    int64_t end = before == NULL ? 0 : before->offsets[topic];
    bool more = dice(3) == 0;
    for (size_t i = 0; i < h->record_count; i++) {
      const struct record *r = &h->records[i];
      if (r->topic != (enum ee_topic)topic || r->offset < end) continue;
      if (r->append < tick->clock || (more && dice(2) == 0)) end = r->offset + 1;
      if (end != r->offset + 1) break;
    }
    tick->offsets[topic] = end;
  }
}

static void random_history(struct history *h) {
  static const int64_t graces[] = {0, 1, 5000, 10000, 20000};
  *h = (struct history){.record_count = dice(RECORDS_MAX + 1),
                        .grace_ms = graces[dice(COUNT_OF(graces))]};
  int64_t now = NOON, offsets[EE_TOPIC_COUNT] = {0};
  for (size_t i = 0; i < h->record_count; i++) {
    now += (int64_t)dice(3) * STEP;
    random_record(&h->records[i], now);
    h->records[i].offset = offsets[h->records[i].topic]++;
  }
  h->tick_count = dice(TICKS_MAX + 1);
  int64_t clock = NOON - STEP;
  for (size_t i = 0; i < h->tick_count; i++) {
    clock += (1 + (int64_t)dice(8)) * STEP;
    h->ticks[i].clock = clock;
    random_ends(h, i == 0 ? NULL : &h->ticks[i - 1], &h->ticks[i]);
  }
}

// ---- One reading of a history.

struct reading {
  size_t next[EE_TOPIC_COUNT];  // index of the next record of each topic
  size_t tick;
};

static const struct record *next_of(const struct history *h, struct reading *at, int topic) {
  size_t *next = &at->next[topic];
  while (*next < h->record_count && h->records[*next].topic != (enum ee_topic)topic)
    (*next)++;
  return *next < h->record_count ? &h->records[*next] : NULL;
}

// A tick is applied when all below its offsets has been read.
static bool tick_is_ready(const struct history *h, struct reading *at) {
  if (at->tick == h->tick_count) return false;
  for (int topic = 0; topic < EE_TOPIC_COUNT; topic++) {
    const struct record *r = next_of(h, at, topic);
    if (r != NULL && r->offset < h->ticks[at->tick].offsets[topic]) return false;
  }
  return true;
}

// Repeats an operation that was made to fail until it does not.
static void read_record(struct world *w, const struct record *r) {
  const void *value = r->topic == EE_TOPIC_OBLIGATION ? (const void *)&r->receipt : &r->event;
  step_double_policy(w->d, version_at(r->append));
  if (dice(4) == 0) step_double_fail_at(w->d, 1 + (int)dice(10));
  while (!step_double_input(w->d, r->topic, PARTITION, r->offset, r->append, value)) {
  }
  step_double_fail_at(w->d, 0);
}

static void read_tick(struct world *w, const struct tick *tick) {
  if (dice(4) == 0) step_double_fail_at(w->d, 1 + (int)dice(12));
  while (!step_double_tick(w->d, PARTITION, tick->clock, tick->offsets)) {
  }
  step_double_fail_at(w->d, 0);
}

static void read_history(struct world *w, const struct history *h) {
  struct reading at = {.tick = 0};
  for (;;) {
    int choices[EE_TOPIC_COUNT + 1];
    size_t count = 0;
    for (int topic = 0; topic < EE_TOPIC_COUNT; topic++) {
      if (next_of(h, &at, topic) != NULL) choices[count++] = topic;
    }
    if (tick_is_ready(h, &at)) choices[count++] = EE_TOPIC_COUNT;
    if (count == 0) return;
    int choice = choices[dice(count)];
    if (choice == EE_TOPIC_COUNT) {
      read_tick(w, &h->ticks[at.tick++]);
    } else {
      read_record(w, &h->records[at.next[choice]++]);
    }
    if (dice(8) == 0) step_double_restore(w->d);
    if (dice(8) == 0) step_double_restore_without_clock(w->d);
  }
}

// ---- What must be the same.

static void differs(const char *what) {
  fail_msg("history %llu: %s", (unsigned long long)number, what);
}

// Final outputs as text: the audit entries by source in order, the last record of each
// obligation in the order of ids, the states.
static int by_id(const void *a, const void *b) {
  const struct ee_obligation *x = a, *y = b;
  return ee_str_compare(x->obligation_id, y->obligation_id);
}

// The last of each, sorted; returns how many.
static size_t last_obligations(struct world *w, struct ee_obligation *ret) {
  const struct ee_obligation *all;
  size_t count = world_obligations(w, &all), kept = 0;
  for (size_t i = count; i > 0; i--) {
    bool later = false;
    for (size_t j = 0; j < kept; j++)
      later |= ee_str_equal(ret[j].obligation_id, all[i - 1].obligation_id);
    if (!later) ret[kept++] = all[i - 1];
  }
  qsort(ret, kept, sizeof *ret, by_id);
  return kept;
}

static void add_states(struct world *w, struct ee_buf *out) {
  for (int i = 0; i < ENVELOPES; i++) {
    const struct ee_governance_state *kept = world_state(w, envelope_ids[i]);
    if (kept != NULL) ee_buf_append(out, kept->encoded.data, kept->encoded.size);
  }
}

static void finals_of(struct world *w, struct ee_buf *out) {
  const struct ee_audit_entry *entries;
  size_t count = world_entries(w, &entries);
  for (int topic = 0; topic < EE_PHASE_TOPICS; topic++) {
    for (size_t i = 0; i < count; i++) {
      if (!ee_str_equal(entries[i].source.topic, ee_str(ee_topics[topic].name))) continue;
      ee_buf_append(out, entries[i].encoded.data, entries[i].encoded.size);
    }
  }
  struct ee_obligation obligations[ENVELOPES * 8];
  count = last_obligations(w, obligations);
  for (size_t i = 0; i < count; i++) {
    ee_buf_append(out, obligations[i].encoded.data, obligations[i].encoded.size);
  }
  add_states(w, out);
  assert_false(out->failed);
}

// ---- The plain second implementation.

static const struct record *admission_of(const struct history *h, struct ee_str envelope_id) {
  for (size_t i = 0; i < h->record_count; i++) {
    const struct record *r = &h->records[i];
    if (r->topic == EE_TOPIC_ADMISSION && ee_str_equal(r->event.head.envelope_id, envelope_id)) {
      return r;
    }
  }
  return NULL;
}

// A receipt of the obligation that counts, below an offset.
static bool counts(const struct record *r, const struct ee_obligation *o) {
  return r->topic == EE_TOPIC_OBLIGATION && r->receipt.state != EE_OBLIGATION_STATE_DUE &&
         ee_str_equal(r->receipt.obligation_id, o->obligation_id) &&
         ee_str_equal(r->receipt.envelope_id, o->envelope_id) &&
         ee_str_equal(r->receipt.tenant, o->tenant);
}

static bool answered_below(const struct history *h, const struct ee_obligation *o, int64_t end) {
  for (size_t i = 0; i < h->record_count; i++) {
    if (counts(&h->records[i], o) && h->records[i].offset < end) return true;
  }
  return false;
}

static bool is_overdue(const struct history *h, const struct ee_obligation *o,
                       const struct record *admission) {
  for (size_t i = 0; o->due.present && i < h->tick_count; i++) {
    const struct tick *tick = &h->ticks[i];
    if (tick->clock < o->due.value + h->grace_ms * EE_MICROS_PER_MS) continue;
    if (admission->offset >= tick->offsets[EE_TOPIC_ADMISSION]) continue;
    if (!answered_below(h, o, tick->offsets[EE_TOPIC_OBLIGATION])) return true;
  }
  return false;
}

static const struct record *standing_of(const struct history *h, const struct ee_obligation *o) {
  const struct record *best = NULL;
  for (size_t i = 0; i < h->record_count; i++) {
    const struct record *r = &h->records[i];
    if (!counts(r, o)) continue;
    if (best == NULL || r->receipt.occurred_at >= best->receipt.occurred_at) best = r;
  }
  return best;
}

static void check_obligation(const struct history *h, const struct ee_obligation *o) {
  const struct record *admission = admission_of(h, o->envelope_id);
  const struct record *standing = standing_of(h, o);
  if (admission == NULL) differs("an obligation without an admission");
  if (!ee_str_equal(o->tenant, admission->event.head.tenant)) differs("tenant");
  if (o->policy_version != version_at(admission->append)->number) differs("version");
  if (o->overdue != is_overdue(h, o, admission)) differs("overdue");
  if (o->state != (standing == NULL ? EE_OBLIGATION_STATE_DUE : standing->receipt.state)) {
    differs("state");
  }
  if (!ee_str_equal(o->actor, standing == NULL ? o->actor : standing->receipt.actor))
    differs("actor");
  if (o->evidence.count != (standing == NULL ? 1 : 2)) differs("evidence");
  if (standing != NULL && o->evidence.items[1].offset != standing->offset) differs("receipt");
}

static size_t expected_count(const struct history *h) {
  size_t count = 0;
  for (int i = 0; i < ENVELOPES; i++) {
    const struct record *admission = admission_of(h, ee_str(envelope_ids[i]));
    if (admission == NULL) continue;
    bool hinted = admission->event.admission.governance != NULL;
    count += hinted && version_at(admission->append)->number == 1 ? 4 : 2;
  }
  return count;
}

static void check(struct world *w, const struct history *h) {
  struct ee_obligation obligations[ENVELOPES * 8];
  size_t count = last_obligations(w, obligations);
  if (count != expected_count(h)) differs("number of obligations");
  for (size_t i = 0; i < count; i++) {
    check_obligation(h, &obligations[i]);
  }
}

static void test_any_order_of_reading_gives_the_same(void **state) {
  (void)state;
  static struct history h;
  for (number = 1; number <= HISTORIES; number++) {
    seed = number * UINT64_C(0x9E3779B97F4A7C15);
    random_history(&h);
    struct ee_buf finals[PLAYS];
    for (int play = 0; play < PLAYS; play++) {
      struct world w;
      world_init(&w, &first_policy);
      w.settings.grace_ms = h.grace_ms;
      ee_buf_init(&finals[play], (size_t)16 << 20);
      read_history(&w, &h);
      check(&w, &h);
      finals_of(&w, &finals[play]);
      if (!ee_bytes_equal(ee_buf_bytes(&finals[0]), ee_buf_bytes(&finals[play]))) differs("bytes");
      world_release(&w);
    }
    for (int play = 0; play < PLAYS; play++)
      ee_buf_release(&finals[play]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_any_order_of_reading_gives_the_same),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
