// SPDX-License-Identifier: Apache-2.0
// Accounting over random histories: whatever the order in which topics and ticks are read,
// with failures and restores in between, the ledger adds up to what a plain second
// implementation says is due from all records at the final clock, and so do the totals.
#include "tests/unit/processors/accounting_world.h"

#define HISTORIES 1500
#define PLAYS 3
#define ENVELOPES 2
#define RECORDS_MAX 28
#define TICKS_MAX 10
#define DAY (24 * HOUR)

// ---- Random histories.

static uint64_t number;  // of the history being read
static uint64_t seed;

static uint64_t dice(uint64_t sides) {
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return (seed * UINT64_C(0x2545F4914F6CDD1D) >> 33) % sides;
}

struct record {
  enum ee_topic topic;
  int64_t append;
  int envelope;
  union {
    struct ee_event_head head;
    struct ee_admission admission;
    struct ee_resolved resolved;
    struct ee_finalized finalized;
    struct ee_failed failed;
    struct ee_released released;
    struct ee_annotation annotation;
  };
  struct ee_long_entry amounts[3];
};

struct history {
  struct record records[RECORDS_MAX];  // by append time
  size_t record_count;
  int64_t ticks[TICKS_MAX];  // ascending
  size_t tick_count;
};

static const char *const envelope_ids[ENVELOPES] = {"env-1", "env-2"};
static const char *const names[] = {"tokens", "bytes", ""};

static int64_t random_number(void) {
  static const int64_t numbers[] = {
      0, 1, 7, 1000, 1001, INT64_C(1) << 53, (INT64_C(1) << 53) + 1, -1, INT64_MAX, INT64_MIN};
  return numbers[dice(dice(4) == 0 ? COUNT_OF(numbers) : 5)];
}

static struct ee_opt_long random_optional(void) {
  if (dice(5) < 2) return (struct ee_opt_long){.present = false};
  return NUMBER(random_number());
}

static struct ee_long_map random_amounts(struct ee_long_entry *entries) {
  size_t count = 0;
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    if (dice(3) != 0) continue;
    entries[count++] = (struct ee_long_entry){.key = ee_str(names[i]), .value = random_number()};
  }
  return (struct ee_long_map){.entries = entries, .count = count};
}

static void random_resources(struct ee_resources *r, struct ee_long_entry *amounts) {
  r->cpu_millis = random_optional();
  r->memory_bytes = random_optional();
  r->gpu_count = random_optional();
  r->gpu_share_milli = random_optional();
  r->concurrency = random_optional();
  r->amounts = random_amounts(amounts);
}

// On a coarse grid, so that many fall together.
static int64_t random_occurred(int64_t append) {
  if (dice(60) == 0) return dice(2) == 0 ? INT64_MIN : INT64_MAX;
  int64_t at = append + ((int64_t)dice(14) - 12) * 10 * MINUTE;
  if (dice(3) != 0) at = at / (10 * MINUTE) * 10 * MINUTE;
  return at;
}

static void random_timeout(struct ee_admission *a) {
  static const int64_t minutes[] = {10, 30, 60, 200, 600};
  if (dice(4) == 0) return;
  a->requested.timeout_ms = NUMBER(minutes[dice(COUNT_OF(minutes))] * 60000);
  if (dice(20) == 0) a->requested.timeout_ms.value = dice(2) == 0 ? INT64_MAX : -1;
}

static void random_record(struct record *r, int64_t append) {
  static const enum ee_topic topics[] = {EE_TOPIC_ADMISSION, EE_TOPIC_RESOLVED,  EE_TOPIC_RESOLVED,
                                         EE_TOPIC_RESOLVED,  EE_TOPIC_FINALIZED, EE_TOPIC_FAILED,
                                         EE_TOPIC_RELEASED,  EE_TOPIC_ANNOTATION};
  static const char *const ids[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
  static const enum ee_execution_kind kinds[] = {
      EE_EXECUTION_KIND_DEPLOYMENT, EE_EXECUTION_KIND_DEPLOYMENT, EE_EXECUTION_KIND_PIPELINE_STEP};
  *r = (struct record){
      .topic = topics[dice(COUNT_OF(topics))], .append = append, .envelope = (int)dice(ENVELOPES)};
  int64_t at = random_occurred(append);
  const char *id = ids[dice(COUNT_OF(ids))];
  switch (r->topic) {
    case EE_TOPIC_ADMISSION:
      r->admission = an_admission(kinds[dice(COUNT_OF(kinds))], -1);
      r->admission.event_id = ee_str(id);
      r->admission.occurred_at = at;
      random_resources(&r->admission.requested, r->amounts);
      random_timeout(&r->admission);
      break;
    case EE_TOPIC_RESOLVED:
      r->resolved = a_resolved(id, at);
      random_resources(&r->resolved.granted, r->amounts);
      break;
    case EE_TOPIC_FINALIZED:
      r->finalized = a_finalized(id, at);
      r->finalized.measured = random_amounts(r->amounts);
      break;
    case EE_TOPIC_FAILED:
      r->failed = a_failed(id, at);
      break;
    case EE_TOPIC_RELEASED:
      r->released = a_released(id, at);
      r->released.measured = random_amounts(r->amounts);
      break;
    default:
      r->annotation = a_annotation(id, at);
  }
  r->head.envelope_id = ee_str(envelope_ids[r->envelope]);
  if (dice(8) == 0) r->head.tenant = EE_STR("other");
}

static void random_history(struct history *h) {
  *h = (struct history){.record_count = dice(RECORDS_MAX + 1)};
  int64_t now = NOON + (int64_t)dice(7) * 10 * MINUTE;
  for (size_t i = 0; i < h->record_count; i++) {
    if (dice(3) != 0) now += (int64_t)dice(40) * MINUTE;
    random_record(&h->records[i], now);
  }
  h->tick_count = dice(TICKS_MAX + 1);
  int64_t clock = NOON - HOUR;
  for (size_t i = 0; i < h->tick_count; i++) {
    clock += 1 + (int64_t)dice(4 * HOUR);
    if (dice(40) == 0) clock += 9 * DAY;  // more than one wake books
    if (dice(3) == 0) clock = ee_hour_of(clock) + HOUR;
    h->ticks[i] = clock;
  }
}

// ---- One reading of a history.

struct reading {
  size_t next[EE_PHASE_TOPICS];  // index of the next record of each topic
  size_t tick;
};

static void skip_others(const struct history *h, struct reading *at, int topic) {
  while (at->next[topic] < h->record_count &&
         h->records[at->next[topic]].topic != (enum ee_topic)topic) {
    at->next[topic]++;
  }
}

// A tick is applied when all that was appended before it has been read.
static bool tick_is_ready(const struct history *h, const struct reading *at) {
  if (at->tick == h->tick_count) return false;
  for (int topic = 0; topic < EE_PHASE_TOPICS; topic++) {
    size_t next = at->next[topic];
    if (next < h->record_count && h->records[next].append < h->ticks[at->tick]) return false;
  }
  return true;
}

// Repeats an operation that was made to fail until it does not.
static void read_record(struct world *w, const struct record *r) {
  int64_t offset = w->offsets[r->topic]++;
  if (dice(4) == 0) step_double_fail_at(w->d, 1 + (int)dice(8));
  while (!step_double_input(w->d, r->topic, WORLD_PARTITION, offset, r->append, &r->head)) {
  }
  step_double_fail_at(w->d, 0);
  world_read(w, true);
}

static void read_tick(struct world *w, int64_t clock) {
  if (dice(4) == 0) step_double_fail_at(w->d, 1 + (int)dice(400));
  while (!step_double_tick(w->d, WORLD_PARTITION, clock, w->offsets)) {
  }
  step_double_fail_at(w->d, 0);
  world_read(w, false);
}

static void read_history(struct world *w, const struct history *h) {
  struct reading at = {.tick = 0};
  for (;;) {
    int choices[EE_PHASE_TOPICS + 1];
    size_t count = 0;
    for (int topic = 0; topic < EE_PHASE_TOPICS; topic++) {
      skip_others(h, &at, topic);
      if (at.next[topic] < h->record_count) choices[count++] = topic;
    }
    if (tick_is_ready(h, &at)) choices[count++] = EE_PHASE_TOPICS;
    if (count == 0) return;
    int choice = choices[dice(count)];
    if (choice == EE_PHASE_TOPICS) {
      read_tick(w, h->ticks[at.tick++]);
    } else {
      read_record(w, &h->records[at.next[choice]++]);
    }
    if (dice(3) == 0) step_double_restore(w->d);
  }
}

// ---- The second implementation: for each moment, who was metered.

struct plain {
  const struct record *admission;
  const struct record *events[RECORDS_MAX];  // the tenant's, no repeats
  size_t count;
  int64_t deadline;
  int64_t end;           // of metering
  bool ended_by_event;   // not by the deadline
  int64_t booked_until;  // INT64_MIN: nothing
  struct row rows[4096];
  size_t row_count;
};

static int64_t time_of(const struct record *r) {
  int64_t at = r->head.occurred_at;
  if (at < r->append - 7 * DAY) return r->append - 7 * DAY;
  return at > r->append + 7 * DAY ? r->append + 7 * DAY : at;
}

// Order within a phase.
static bool comes_after(const struct record *a, const struct record *b) {
  if (time_of(a) != time_of(b)) return time_of(a) > time_of(b);
  return ee_str_compare(a->head.event_id, b->head.event_id) > 0;
}

static bool is_repeat(const struct history *h, size_t at) {
  for (size_t i = 0; i < at; i++) {
    if (h->records[i].topic == h->records[at].topic &&
        h->records[i].envelope == h->records[at].envelope &&
        ee_str_equal(h->records[i].head.event_id, h->records[at].head.event_id)) {
      return true;
    }
  }
  return false;
}

// The last of a topic for which its time is below (or at) a limit.
static const struct record *last_of(const struct plain *p, enum ee_topic topic, int64_t most) {
  const struct record *last = NULL;
  for (size_t i = 0; i < p->count; i++) {
    const struct record *r = p->events[i];
    if (r->topic != topic || time_of(r) > most) continue;
    if (last == NULL || comes_after(r, last)) last = r;
  }
  return last;
}

// The least time of a topic at or after another; INT64_MAX: none.
static int64_t first_time(const struct plain *p, enum ee_topic topic, int64_t least) {
  int64_t first = INT64_MAX;
  for (size_t i = 0; i < p->count; i++) {
    int64_t at = time_of(p->events[i]);
    if (p->events[i]->topic == topic && at >= least && at < first) first = at;
  }
  return first;
}

static void find_end(struct plain *p) {
  p->end = first_time(p, EE_TOPIC_RELEASED, INT64_MIN);
  p->ended_by_event = p->end != INT64_MAX;
  if (p->ended_by_event || p->admission->admission.execution.kind == EE_EXECUTION_KIND_DEPLOYMENT) {
    return;
  }
  p->end = first_time(p, EE_TOPIC_FINALIZED, INT64_MIN);
  p->ended_by_event = p->end <= p->deadline && p->end != INT64_MAX;
  if (!p->ended_by_event) p->end = p->deadline;
}

static bool ended_by_event(const struct plain *p, const struct record *grant) {
  if (p->ended_by_event) return true;
  for (size_t i = 0; i < p->count; i++) {
    const struct record *r = p->events[i];
    if (r->topic == EE_TOPIC_RESOLVED && comes_after(r, grant) && time_of(r) <= p->end) return true;
  }
  int64_t failed = first_time(p, EE_TOPIC_FAILED, time_of(grant));
  return failed != INT64_MAX && failed <= p->end;
}

static const struct record *metered_grant(const struct plain *p, int64_t at) {
  const struct record *grant = last_of(p, EE_TOPIC_RESOLVED, at);
  if (grant == NULL || at >= p->end) return NULL;
  if (first_time(p, EE_TOPIC_FAILED, time_of(grant)) <= at) return NULL;
  return ended_by_event(p, grant) || at < p->booked_until ? grant : NULL;
}

static const struct record *denied_by(const struct plain *p) {
  const struct record *failed = last_of(p, EE_TOPIC_FAILED, INT64_MAX);
  const struct record *finalized = last_of(p, EE_TOPIC_FINALIZED, INT64_MAX);
  if (failed == NULL || (finalized != NULL && time_of(finalized) > time_of(failed))) return NULL;
  return last_of(p, EE_TOPIC_RESOLVED, time_of(failed)) == NULL ? failed : NULL;
}

static bool plain_rate(const struct ee_resources *r, const char *dimension, int64_t *ret) {
  struct ee_opt_long v = {.present = false};
  if (strcmp(dimension, "cpu_millis") == 0) v = r->cpu_millis;
  if (strcmp(dimension, "memory_bytes") == 0) v = r->memory_bytes;
  if (strcmp(dimension, "concurrency") == 0) v = r->concurrency;
  if (strcmp(dimension, "gpu") == 0 && r->gpu_count.present) {
    ee_int128 share = r->gpu_share_milli.present ? r->gpu_share_milli.value : 1000;
    ee_int128 gpu = r->gpu_count.value * share;
    bool fits = r->gpu_count.value >= 0 && share >= 0 && gpu <= (INT64_C(1) << 53) &&
                r->gpu_count.value <= (INT64_C(1) << 53) && share <= (INT64_C(1) << 53);
    if (fits) v = NUMBER((int64_t)gpu);
  }
  *ret = v.value;
  return v.present && v.value >= 0 && v.value <= (INT64_C(1) << 53);
}

static void plain_add(struct plain *p, int64_t window, const char *dimension,
                      enum ee_quantity quantity, ee_int128 value) {
  struct row *row = NULL;
  for (size_t i = 0; i < p->row_count && row == NULL; i++) {
    if (p->rows[i].window == window && strcmp(p->rows[i].dimension, dimension) == 0) {
      row = &p->rows[i];
    }
  }
  if (row == NULL) {
    assert_true(p->row_count < COUNT_OF(p->rows));
    row = &p->rows[p->row_count++];
    *row = (struct row){.window = window};
    text_copy(row->dimension, sizeof row->dimension, ee_str(dimension));
  }
  row->known[quantity] = true;
  row->sums[quantity] += value;
}

static void plain_span(struct plain *p, int64_t start, int64_t end) {
  static const char *const dimensions[] = {"cpu_millis", "memory_bytes", "gpu", "concurrency"};
  const struct record *denied = denied_by(p);
  const struct record *grant = metered_grant(p, start);
  bool asks = grant != NULL ||
              (denied != NULL && start >= time_of(p->admission) && start < time_of(denied));
  for (size_t i = 0; i < COUNT_OF(dimensions); i++) {
    int64_t rate, window = ee_hour_of(start);
    if (asks && plain_rate(&p->admission->admission.requested, dimensions[i], &rate)) {
      plain_add(p, window, dimensions[i], EE_ASKED, (ee_int128)rate * (end - start));
    }
    if (grant != NULL && plain_rate(&grant->resolved.granted, dimensions[i], &rate)) {
      plain_add(p, window, dimensions[i], EE_GRANTED, (ee_int128)rate * (end - start));
    }
  }
}

static void plain_amounts(struct plain *p, const struct ee_long_map *map, enum ee_quantity quantity,
                          int64_t at) {
  for (size_t i = 0; i < map->count; i++) {
    int64_t value = map->entries[i].value;
    if (value < 0 || value > (INT64_C(1) << 53)) continue;
    char dimension[64];
    assert_true(snprintf(dimension, sizeof dimension, "amounts.%.*s",
                         EE_STR_ARG(map->entries[i].key)) < (int)sizeof dimension);
    plain_add(p, ee_hour_of(at), dimension, quantity, value);
  }
}

static const struct ee_long_entry *valid_entry(const struct ee_long_map *map, const char *name) {
  for (size_t i = 0; i < map->count; i++) {
    const struct ee_long_entry *e = &map->entries[i];
    if (ee_str_equal(e->key, ee_str(name)) && e->value >= 0 && e->value <= (INT64_C(1) << 53)) {
      return e;
    }
  }
  return NULL;
}

static const struct record *last_measuring(const struct plain *p, enum ee_topic topic,
                                           const char *name) {
  const struct record *last = NULL;
  for (size_t i = 0; i < p->count; i++) {
    const struct record *r = p->events[i];
    if (r->topic != topic) continue;
    const struct ee_long_map *map =
        topic == EE_TOPIC_RELEASED ? &r->released.measured : &r->finalized.measured;
    if (valid_entry(map, name) == NULL) continue;
    if (last == NULL || comes_after(r, last)) last = r;
  }
  return last;
}

static void plain_billed(struct plain *p) {
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    const struct record *r = last_measuring(p, EE_TOPIC_RELEASED, names[i]);
    const struct ee_long_map *map = r == NULL ? NULL : &r->released.measured;
    if (r == NULL) {
      r = last_measuring(p, EE_TOPIC_FINALIZED, names[i]);
      map = r == NULL ? NULL : &r->finalized.measured;
    }
    if (r == NULL) continue;
    struct ee_long_entry entry = *valid_entry(map, names[i]);
    struct ee_long_map one = {.entries = &entry, .count = 1};
    plain_amounts(p, &one, EE_BILLED, time_of(r));
  }
}

static void plain_named(struct plain *p) {
  const struct ee_long_map *asked = &p->admission->admission.requested.amounts;
  const struct record *denied = denied_by(p);
  if (denied != NULL) plain_amounts(p, asked, EE_ASKED, time_of(denied));
  plain_billed(p);
  if (p->end == INT64_MIN) return;
  const struct record *grant = last_of(p, EE_TOPIC_RESOLVED, p->end - 1);
  if (grant == NULL) return;
  int64_t window_end = ee_hour_of(time_of(grant)) + HOUR;
  if (!ended_by_event(p, grant) && p->booked_until < window_end) return;
  if (denied == NULL) plain_amounts(p, asked, EE_ASKED, time_of(grant));
  plain_amounts(p, &grant->resolved.granted.amounts, EE_GRANTED, time_of(grant));
}

static int compare_times(const void *a, const void *b) {
  const int64_t *x = a, *y = b;
  return *x < *y ? -1 : *x > *y;
}

// All times at which something may change, the hours between them included.
static size_t breakpoints(const struct plain *p, int64_t *times, size_t most) {
  size_t count = 0;
  int64_t first = time_of(p->admission), last = first;
  times[count++] = first;
  for (size_t i = 0; i < p->count; i++) {
    times[count++] = time_of(p->events[i]);
  }
  if (p->booked_until != INT64_MIN) times[count++] = p->booked_until;
  for (size_t i = 0; i < count; i++) {
    if (times[i] < first) first = times[i];
    if (times[i] > last) last = times[i];
  }
  if (p->deadline > first && p->deadline < last) times[count++] = p->deadline;
  for (int64_t hour = ee_hour_of(first); hour <= last; hour += HOUR) {
    assert_true(count < most);
    times[count++] = hour;
  }
  qsort(times, count, sizeof *times, compare_times);
  return count;
}

static void plain_due(struct plain *p, const struct history *h, int envelope,
                      const struct ee_deadlines *deadlines) {
  *p = (struct plain){.booked_until = INT64_MIN};
  for (size_t i = 0; i < h->record_count && p->admission == NULL; i++) {
    const struct record *r = &h->records[i];
    if (r->envelope == envelope && r->topic == EE_TOPIC_ADMISSION) p->admission = r;
  }
  if (p->admission == NULL) return;
  for (size_t i = 0; i < h->record_count; i++) {
    const struct record *r = &h->records[i];
    if (r->envelope != envelope || r->topic == EE_TOPIC_ADMISSION || is_repeat(h, i)) continue;
    if (ee_str_equal(r->head.tenant, p->admission->head.tenant)) p->events[p->count++] = r;
  }
  if (h->tick_count > 0) p->booked_until = ee_hour_of(h->ticks[h->tick_count - 1]);
  p->deadline = ee_deadline(deadlines, &p->admission->admission, p->admission->append);
  find_end(p);
  static int64_t times[8192];
  size_t count = breakpoints(p, times, COUNT_OF(times));
  for (size_t i = 0; i + 1 < count; i++) {
    if (times[i] < times[i + 1]) plain_span(p, times[i], times[i + 1]);
  }
  plain_named(p);
}

// ---- Comparing.

static const struct row *plain_row(const struct plain *p, const struct row *like) {
  for (size_t i = 0; i < p->row_count; i++) {
    if (p->rows[i].window == like->window && strcmp(p->rows[i].dimension, like->dimension) == 0) {
      return &p->rows[i];
    }
  }
  return NULL;
}

// What is due is in the ledger, known even where it is 0, and nothing else is left in it.
static void compare_ledger(struct world *w, const struct plain *p, int envelope) {
  struct ee_str id = ee_str(envelope_ids[envelope]);
  for (size_t i = 0; i < p->row_count; i++) {
    const struct row *due = &p->rows[i];
    const struct row *row = world_row(w, id, due->window, ee_str(due->dimension));
    assert_non_null(row);
    assert_true(ee_str_equal(ee_str(row->tenant), p->admission->head.tenant));
    for (int q = 0; q < EE_QUANTITY_COUNT; q++) {
      assert_true(row->sums[q] == due->sums[q]);
      assert_true(row->known[q] || !due->known[q]);
    }
  }
  for (size_t i = 0; i < w->row_count; i++) {
    const struct row *row = &w->rows[i];
    if (!ee_str_equal(ee_str(row->envelope), id) || plain_row(p, row) != NULL) continue;
    for (int q = 0; q < EE_QUANTITY_COUNT; q++) {
      assert_true(row->sums[q] == 0);
    }
  }
}

static void compare_total(struct world *w, const struct row *row) {
  ee_int128 sums[EE_QUANTITY_COUNT] = {0};
  bool any = false;
  for (size_t i = 0; i < w->row_count; i++) {
    const struct row *other = &w->rows[i];
    if (other->window != row->window || strcmp(other->dimension, row->dimension) != 0 ||
        strcmp(other->tenant, row->tenant) != 0) {
      continue;
    }
    for (int q = 0; q < EE_QUANTITY_COUNT; q++) {
      sums[q] += other->sums[q];
    }
  }
  for (int q = 0; q < EE_QUANTITY_COUNT; q++) {
    any = any || sums[q] != 0;
  }
  struct ee_usage_total total;
  assert_int_equal(world_total(w, row->tenant, row->window, row->dimension, &total), any);
  if (!any) return;
  const struct ee_opt_decimal *found[] = {&total.asked, &total.granted, &total.billed};
  for (int q = 0; q < EE_QUANTITY_COUNT; q++) {
    assert_int_equal(found[q]->present, sums[q] != 0);
    assert_true(found[q]->value == sums[q]);
  }
}

static void test_every_reading_adds_up_to_what_is_due(void **state) {
  (void)state;
  struct history *h = malloc(sizeof *h);
  struct plain *p = malloc(sizeof *p);
  assert_non_null(h);
  assert_non_null(p);
  size_t entries = 0;
  const uint64_t histories = (uint64_t)ee_tries(HISTORIES);
  for (number = 1; number <= histories; number++) {
    seed = number * UINT64_C(0x9E3779B97F4A7C15);
    random_history(h);
    for (int play = 0; play < PLAYS; play++) {
      struct world w;
      world_init(&w);
      read_history(&w, h);
      for (int envelope = 0; envelope < ENVELOPES; envelope++) {
        plain_due(p, h, envelope, &w.settings.deadlines);
        compare_ledger(&w, p, envelope);
      }
      for (size_t i = 0; i < w.row_count; i++) {
        compare_total(&w, &w.rows[i]);
        ee_arena_clear(&w.arena);
      }
      entries += w.entries;
      world_release(&w);
    }
  }
  assert_true(entries > histories);  // the histories are worth reading
  free(h);
  free(p);
}

static int say_which(void **state) {
  (void)state;
  if (number <= (uint64_t)ee_tries(HISTORIES))
    print_error("in history %llu\n", (unsigned long long)number);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_teardown(test_every_reading_adds_up_to_what_is_due, say_which),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
