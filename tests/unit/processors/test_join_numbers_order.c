// SPDX-License-Identifier: Apache-2.0
// Holes as a function of the set of records: random stories of a producer that loses, sends
// again and declares, whose records and reports are read in many orders, with ticks as early
// and as late as they may come, restores and failures in between, all give the same state and
// the same holes, and those that a plain model says, number by number.
#include "tests/unit/contract/random_record.h"
#include "tests/unit/processors/numbers_world.h"

#define RECORDS_MAX 60
#define REPORTS_MAX 20
#define TICKS_MAX 12
#define HOLES_MAX 4
#define NUMBERS_MAX 120
#define ABOUT_TEXT 120  // of a hole: all but its numbers
#define NONE INT64_C(-1)

// A record of the topic that is numbered.
struct told {
  int64_t seq, was;  // NONE
  bool refused;
  int64_t appended;
};

struct told_report {
  int64_t settled;  // NONE
  struct {
    int64_t first, last;
    const char *reason;
  } holes[HOLES_MAX];
  size_t hole_count;
  int64_t appended;
};

struct told_tick {
  int64_t as_of;
  size_t records, reports;  // below its offsets
};

struct story {
  struct told records[RECORDS_MAX];
  struct told_report reports[REPORTS_MAX];
  struct told_tick ticks[TICKS_MAX];
  size_t record_count, report_count, tick_count;
  int64_t grace_ms;
  int64_t judge_from;
};

// ---- The producer: what it tells is so, but for numbers that the log has lost.

enum fate { NOT_GIVEN, ARRIVED, LOST, OWED, TO_DECLARE, DECLARED };

struct producer {
  enum fate numbers[NUMBERS_MAX];
  int64_t next;
  int64_t now;       // real time
  int64_t skews[2];  // of the brokers' clocks, of records and of reports
  struct story *story;
  struct random *r;
};

static void add_record(struct producer *p, int64_t seq, int64_t was) {
  if (p->story->record_count == RECORDS_MAX) return;
  p->story->records[p->story->record_count++] =
      (struct told){.seq = seq,
                    .was = was,
                    .refused = random_below(p->r, 12) == 0,
                    .appended = p->now + p->skews[0]};
  if (seq != NONE) p->numbers[seq] = ARRIVED;
  if (was != NONE) p->numbers[was] = ARRIVED;
}

// A number that was not acknowledged, or NONE.
static int64_t owed(const struct producer *p) {
  for (int64_t i = 0; i < p->next; i++) {
    if (p->numbers[i] == OWED && random_below(p->r, 2) == 0) return i;
  }
  return NONE;
}

static void send(struct producer *p) {
  if (p->next + 4 > NUMBERS_MAX) return;
  switch (random_below(p->r, 12)) {
    case 0:
      p->numbers[p->next++] = LOST;
      return;
    case 1:
      p->numbers[p->next++] = OWED;
      return;
    case 2:
    case 3:
      p->numbers[p->next++] = TO_DECLARE;
      return;
    case 4:  // the same again
      if (p->next > 0) {
        int64_t number = (int64_t)random_below(p->r, (size_t)p->next);
        if (p->numbers[number] == ARRIVED) add_record(p, number, NONE);
      }
      return;
    case 5:
    case 6: {  // sent again, alone or under a number of this very epoch
      int64_t was = owed(p);
      if (was == NONE) return;
      bool both = random_below(p->r, 2) == 0;
      add_record(p, both ? p->next : NONE, was);
      p->next += both;
      return;
    }
    case 7: {  // late, under its own number
      int64_t seq = owed(p);
      if (seq != NONE) add_record(p, seq, NONE);
      return;
    }
    default:
      add_record(p, p->next, NONE);
      p->next++;
  }
}

// Up to where everything is acknowledged or declared.
static int64_t settled_to(const struct producer *p) {
  int64_t number = 0;
  while (number < p->next && p->numbers[number] != OWED && p->numbers[number] != TO_DECLARE)
    number++;
  return number - 1;
}

static void report(struct producer *p) {
  static const char *const reasons[] = {"torn", "refused", "sent_again"};
  if (p->story->report_count == REPORTS_MAX) return;
  size_t count = p->story->report_count++;
  struct told_report *told = &p->story->reports[count];
  if (count > 0 && random_below(p->r, 6) == 0) {  // one of before, once more
    *told = p->story->reports[random_below(p->r, count)];
    told->appended = p->now + p->skews[1];
    return;
  }
  *told = (struct told_report){.settled = NONE, .appended = p->now + p->skews[1]};
  for (int64_t i = 0; i < p->next && told->hole_count < HOLES_MAX; i++) {
    if (p->numbers[i] != TO_DECLARE || random_below(p->r, 3) == 0) continue;
    int64_t first = i;
    while (i < p->next && p->numbers[i] == TO_DECLARE)
      p->numbers[i++] = DECLARED;
    told->holes[told->hole_count].first = first;
    told->holes[told->hole_count].last = i - 1;
    told->holes[told->hole_count++].reason = reasons[random_below(p->r, COUNT_OF(reasons))];
  }
  if (random_below(p->r, 3) > 0) told->settled = settled_to(p);
}

static void tick(struct producer *p, int64_t as_of) {
  struct story *story = p->story;
  if (story->tick_count == TICKS_MAX) return;
  story->ticks[story->tick_count++] = (struct told_tick){
      .as_of = as_of, .records = story->record_count, .reports = story->report_count};
}

static void make_story(struct random *r, struct story *story) {
  static struct producer p;
  *story = (struct story){.grace_ms = 1000 * (1 + (int64_t)random_below(r, 3)),
                          .judge_from = random_below(r, 4) == 0 ? NOON + 1 : INT64_MIN};
  p = (struct producer){.now = NOON, .story = story, .r = r};
  // Two that differ from the tick's by less than half a grace differ by less than one.
  for (int i = 0; i < 2; i++) {
    p.skews[i] = (int64_t)random_below(r, (size_t)story->grace_ms) * 1000 - story->grace_ms * 500;
  }
  size_t turns = 5 + random_below(r, 70);
  for (size_t i = 0; i < turns; i++) {
    p.now += (int64_t)random_below(r, 4) * SECOND / 4;
    if (random_below(r, 20) == 0) p.now += 3 * SECOND;
    size_t what = random_below(r, 10);
    if (what < 7) send(&p);
    if (what == 7 || what == 8) report(&p);
    if (what == 9) tick(&p, p.now - (int64_t)random_below(r, 3) * SECOND / 2);
  }
  if (story->tick_count == TICKS_MAX) story->tick_count--;
  tick(&p, p.now + (int64_t)random_below(r, 10) * SECOND);
}

// ---- The model.

struct shown {
  int64_t at;  // append time
  bool report;
  int64_t offset;
};

static void show(struct shown *first, bool *any, struct shown other) {
  bool earlier = other.at != first->at           ? other.at < first->at
                 : other.report != first->report ? first->report
                                                 : other.offset < first->offset;
  if (!*any || earlier) *first = other;
  *any = true;
}

// What first shows the number to be missing.
static bool model_shown(const struct story *story, int64_t number, struct shown *ret) {
  bool any = false;
  for (size_t i = 0; i < story->record_count; i++) {
    const struct told *told = &story->records[i];
    if (told->seq > number) show(ret, &any, (struct shown){told->appended, false, (int64_t)i});
  }
  for (size_t i = 0; i < story->report_count; i++) {
    const struct told_report *told = &story->reports[i];
    bool shows = told->settled >= number;
    for (size_t j = 0; j < told->hole_count; j++) {
      shows |= told->holes[j].first <= number && number <= told->holes[j].last;
    }
    if (shows) show(ret, &any, (struct shown){told->appended, true, (int64_t)i});
  }
  return any;
}

static bool model_arrives(const struct story *story, int64_t number, int64_t before) {
  for (size_t i = 0; i < story->record_count; i++) {
    const struct told *told = &story->records[i];
    if ((told->seq == number || told->was == number) && told->appended < before) return true;
  }
  return false;
}

// The first report that declares it, if that came in time; NONE.
static int64_t model_declared(const struct story *story, int64_t number, int64_t before,
                              const char **ret_reason) {
  for (size_t i = 0; i < story->report_count; i++) {
    const struct told_report *told = &story->reports[i];
    for (size_t j = 0; j < told->hole_count; j++) {
      if (number < told->holes[j].first || number > told->holes[j].last) continue;
      *ret_reason = told->holes[j].reason;
      return told->appended < before ? (int64_t)i : NONE;
    }
  }
  return NONE;
}

static int64_t model_floor(const struct story *story) {
  if (story->judge_from == INT64_MIN) return 0;
  if (story->record_count == 0) return NUMBERS_MAX;
  const struct told *first = &story->records[0];
  return first->seq != NONE ? first->seq : first->was;
}

static bool model_hole(const struct story *story, int64_t number, char out[ABOUT_TEXT]) {
  struct shown shown = {.at = 0};
  int64_t grace = story->grace_ms * 1000;
  const char *reason = "undeclared";
  if (!model_shown(story, number, &shown)) return false;
  if (story->ticks[story->tick_count - 1].as_of < shown.at + 2 * grace) return false;
  if (model_arrives(story, number, shown.at + grace)) return false;
  int64_t declared = model_declared(story, number, shown.at + grace, &reason);
  if (declared == NONE && number < model_floor(story)) return false;
  if (declared == NONE) reason = "undeclared";
  if (strcmp(reason, "sent_again") == 0) return false;
  int size = snprintf(out, ABOUT_TEXT, "%s %s@%lld", reason, shown.report ? "other" : "resolved",
                      (long long)shown.offset);
  if (declared != NONE && !(shown.report && shown.offset == declared)) {
    snprintf(out + size, ABOUT_TEXT - (size_t)size, " other@%lld", (long long)declared);
  }
  return true;
}

// As found_holes tells them. The last tick is the latest.
static size_t model_holes(const struct story *story, char (*out)[FOUND_TEXT]) {
  size_t count = 0;
  for (int64_t number = 0; number < NUMBERS_MAX;) {
    char about[ABOUT_TEXT], next[ABOUT_TEXT];
    int64_t first = number++;
    if (!model_hole(story, first, about)) continue;
    while (number < NUMBERS_MAX && model_hole(story, number, next) && strcmp(next, about) == 0)
      number++;
    snprintf(out[count++], FOUND_TEXT, "%lld-%lld %s", (long long)first, (long long)number - 1,
             about);
  }
  qsort(out, count, sizeof *out, compare_found);
  return count;
}

// ---- Reading one in some order.

enum manner { AT_RANDOM, RECORDS_FIRST, REPORTS_FIRST, TICKS_LAST, MANNERS };

struct reader {
  struct world *w;
  const struct story *story;
  struct random r;
  enum manner manner;
  bool disturbed;
  size_t records, reports, ticks;  // done
};

static void disturb(struct reader *reader) {
  if (!reader->disturbed) return;
  size_t what = random_below(&reader->r, 6);
  if (what == 0) step_double_restore(reader->w->d);
  if (what == 1) step_double_restore_without_clock(reader->w->d);
  if (what == 2) step_double_fail_at(reader->w->d, 1 + (int)random_below(&reader->r, 6));
}

static bool try_record(struct reader *reader, const struct told *told) {
  struct world *w = reader->w;
  w->now = told->appended;
  if (!told->refused) return try_number(w, RESOLVED, told->seq, told->was);
  step_double_numbers(w->d, told->seq == NONE ? NULL : number_text(EPOCH, told->seq),
                      told->was == NONE ? NULL : number_text(EPOCH, told->was));
  return step_double_refused(w->d, EE_TOPIC_RESOLVED, PARTITION, w->offsets[RESOLVED], w->now);
}

static bool try_told_report(struct reader *reader, const struct told_report *told) {
  struct ee_producer_report record = a_report();
  struct ee_producer_sequence sequence = settled(EE_TOPIC_RESOLVED, told->settled);
  struct ee_producer_hole holes[HOLES_MAX];
  for (size_t i = 0; i < told->hole_count; i++) {
    holes[i] = hole(told->holes[i].first, told->holes[i].last, told->holes[i].reason);
  }
  record.sequences = (struct ee_producer_sequence_array){&sequence, told->settled != NONE};
  record.holes = (struct ee_producer_hole_array){holes, told->hole_count};
  reader->w->now = told->appended;
  return try_report(reader->w, &record);
}

static void read_record(struct reader *reader) {
  const struct told *told = &reader->story->records[reader->records++];
  disturb(reader);
  bool done = try_record(reader, told);
  step_double_fail_at(reader->w->d, 0);
  if (!done) assert_true(try_record(reader, told));
  reader->w->offsets[RESOLVED]++;
}

static void read_report(struct reader *reader) {
  const struct told_report *told = &reader->story->reports[reader->reports++];
  disturb(reader);
  bool done = try_told_report(reader, told);
  step_double_fail_at(reader->w->d, 0);
  if (!done) assert_true(try_told_report(reader, told));
  reader->w->offsets[EE_TOPIC_PRODUCER]++;
}

static void read_tick(struct reader *reader) {
  const struct told_tick *told = &reader->story->ticks[reader->ticks++];
  int64_t offsets[EE_TOPIC_COUNT] = {0};
  offsets[RESOLVED] = (int64_t)told->records;
  offsets[EE_TOPIC_PRODUCER] = (int64_t)told->reports;
  disturb(reader);
  bool done = step_double_tick(reader->w->d, PARTITION, told->as_of, offsets);
  step_double_fail_at(reader->w->d, 0);
  if (!done) assert_true(step_double_tick(reader->w->d, PARTITION, told->as_of, offsets));
}

static bool tick_now(struct reader *reader) {
  const struct story *story = reader->story;
  if (reader->ticks == story->tick_count) return false;
  const struct told_tick *told = &story->ticks[reader->ticks];
  if (reader->records < told->records || reader->reports < told->reports) return false;
  bool last = reader->records == story->record_count && reader->reports == story->report_count;
  if (last) return true;
  return reader->manner != TICKS_LAST &&
         (reader->manner != AT_RANDOM || random_below(&reader->r, 3) == 0);
}

static void read_story(struct reader *reader) {
  const struct story *story = reader->story;
  for (;;) {
    size_t records = story->record_count - reader->records;
    size_t reports = story->report_count - reader->reports;
    if (tick_now(reader)) {
      read_tick(reader);
    } else if (records + reports == 0) {
      break;
    } else {
      bool record = random_below(&reader->r, 2) == 0;
      if (reader->manner == RECORDS_FIRST) record = true;
      if (reader->manner == REPORTS_FIRST) record = false;
      if (reports == 0 || (record && records > 0)) {
        read_record(reader);
      } else {
        read_report(reader);
      }
    }
  }
  assert_int_equal(reader->ticks, story->tick_count);
}

// ---- What comes of it.

static void read_as(const struct story *story, enum manner manner, bool disturbed, uint64_t seed,
                    struct world *w) {
  world_init(w);
  w->settings.grace_ms = story->grace_ms;
  step_double_judge_from(w->d, story->judge_from);
  struct reader reader = {
      .w = w, .story = story, .r = {.state = seed}, .manner = manner, .disturbed = disturbed};
  read_story(&reader);
}

static void assert_as_model(struct world *w, const struct story *story, size_t *ret_count) {
  static char expected[NUMBERS_MAX][FOUND_TEXT];
  char(*found)[FOUND_TEXT];
  size_t count = found_holes(w, &found), wanted = model_holes(story, expected);
  for (size_t i = 0; i < count && i < wanted; i++) {
    assert_string_equal(found[i], expected[i]);
  }
  assert_int_equal(count, wanted);
  *ret_count += count;
}

static void assert_same_state(struct world *a, struct world *b) {
  struct ee_bytes of_a = sequence_state(a, EPOCH, EE_TOPIC_RESOLVED);
  struct ee_bytes of_b = sequence_state(b, EPOCH, EE_TOPIC_RESOLVED);
  assert_true(ee_bytes_equal(of_a, of_b));
}

static void test_any_order_gives_the_same(void **state) {
  (void)state;
  static struct story story;
  size_t holes = 0;
  int tries = ee_tries(2500);
  for (int i = 1; i <= tries; i++) {
    struct random r = {.state = (uint64_t)i * 7919};
    struct world first;
    make_story(&r, &story);
    read_as(&story, AT_RANDOM, false, random_next(&r), &first);
    assert_as_model(&first, &story, &holes);
    for (int j = 0; j < 6; j++) {
      struct world w;
      read_as(&story, (enum manner)(j % MANNERS), j % 2 == 1, random_next(&r), &w);
      assert_as_model(&w, &story, &holes);
      assert_same_state(&first, &w);
      world_release(&w);
    }
    world_release(&first);
  }
  assert_true(holes > (size_t)tries);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_any_order_gives_the_same)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
