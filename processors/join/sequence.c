// SPDX-License-Identifier: Apache-2.0
// The runs of missing numbers, by number; neighbours differ in what exposes or declares them.
// Whatever is read of a sequence changes runs in a way that does not depend on the order in
// which topics are read: of what exposes a number the first by append time stands, of what
// declares it the first by offset.
#include "join/sequence.h"

#include "base/time.h"
#include "base/utf8.h"
#include "join/envelope.h"
#include "stream/store.h"

#define SPARE 4  // runs that one call may add before they are tidied
#define DAY (24 * EE_MICROS_PER_HOUR)

void ee_sequence_init(struct ee_sequence *sequence, const struct ee_join_sequence *known,
                      int64_t grace_ms, struct ee_arena *arena) {
  *sequence = (struct ee_sequence){.arena = arena, .grace_ms = grace_ms};
  if (known != NULL) {
    sequence->known = *known;
  } else {
    sequence->known.begun_at = INT64_MAX;
    sequence->known.last_at = INT64_MIN;
  }
}

// ---- Runs.

// Before runs are changed or added.
static bool own_gaps(struct ee_sequence *sequence) {
  struct ee_join_gap_array *gaps = &sequence->known.gaps;
  if (sequence->room > 0) return true;
  size_t room = (gaps->count > EE_SEQUENCE_GAPS_MAX ? gaps->count : EE_SEQUENCE_GAPS_MAX) + SPARE;
  struct ee_join_gap *items = ee_arena_alloc(sequence->arena, room * sizeof *items);
  if (items == NULL) return false;
  if (gaps->count > 0) memcpy(items, gaps->items, gaps->count * sizeof *items);
  gaps->items = items;
  sequence->room = room;
  return true;
}

static void insert(struct ee_join_gap_array *gaps, size_t place, struct ee_join_gap gap) {
  struct ee_join_gap *at = gaps->items + place;
  memmove(at + 1, at, (gaps->count - place) * sizeof gap);
  *at = gap;
  gaps->count++;
}

static void remove_at(struct ee_join_gap_array *gaps, size_t place) {
  struct ee_join_gap *at = gaps->items + place;
  gaps->count--;
  memmove(at, at + 1, (gaps->count - place) * sizeof *at);
}

// The first run that ends at or above the number, or the count.
static size_t find(const struct ee_join_gap_array *gaps, int64_t number) {
  size_t low = 0, high = gaps->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (gaps->items[middle].last < number) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

// In the order of what exposes first: at equal times an event before a report.
static bool before(const struct ee_evidence *a, const struct ee_evidence *b) {
  if (a->timestamp != b->timestamp) return a->timestamp < b->timestamp;
  bool a_reports = a->phase == EE_PHASE_OTHER, b_reports = b->phase == EE_PHASE_OTHER;
  return a_reports != b_reports ? b_reports : a->offset < b->offset;
}

static bool same_place(const struct ee_evidence *a, const struct ee_evidence *b) {
  if (a == NULL || b == NULL) return a == b;
  return a->phase == b->phase && a->offset == b->offset;
}

static bool same_word(const struct ee_join_declaration *a, const struct ee_join_declaration *b) {
  if (a == NULL || b == NULL) return a == b;
  return same_place(&a->at, &b->at) && ee_str_equal(a->reason, b->reason);
}

// Whether b goes on where a ends, and nothing tells them apart.
static bool continues(const struct ee_join_gap *a, const struct ee_join_gap *b) {
  return a->last + 1 == b->first && a->coarse == b->coarse && same_place(a->exposed, b->exposed) &&
         same_word(a->declared, b->declared);
}

// Takes the two neighbours that lie closest as one: what is missing stays in sight.
static void join_closest(struct ee_join_gap_array *gaps) {
  struct ee_join_gap *best = gaps->items;
  for (struct ee_join_gap *gap = gaps->items; gap + 1 < gaps->items + gaps->count; gap++) {
    if (gap[1].first - gap->last < best[1].first - best->last) best = gap;
  }
  bool earlier =
      best[1].exposed != NULL && (best->exposed == NULL || before(best[1].exposed, best->exposed));
  if (earlier) best->exposed = best[1].exposed;
  if (!same_word(best->declared, best[1].declared)) best->declared = NULL;
  best->last = best[1].last;
  best->coarse = true;
  remove_at(gaps, (size_t)(best - gaps->items) + 1);
}

static void tidy(struct ee_join_gap_array *gaps) {
  size_t kept = 0;
  for (size_t i = 0; i < gaps->count; i++) {
    if (kept > 0 && continues(&gaps->items[kept - 1], &gaps->items[i])) {
      gaps->items[kept - 1].last = gaps->items[i].last;
    } else {
      gaps->items[kept++] = gaps->items[i];
    }
  }
  gaps->count = kept;
  while (gaps->count > EE_SEQUENCE_GAPS_MAX)
    join_closest(gaps);
}

// ---- What changes them.

// The run at that place ends at the number; what lies above it is one of its own.
static void split(struct ee_join_gap_array *gaps, size_t place, int64_t number) {
  struct ee_join_gap above = gaps->items[place];
  gaps->items[place].last = number;
  above.first = number + 1;
  insert(gaps, place + 1, above);
}

// Nothing is known yet of numbers from `next` up to this one: all of them are missing.
static void reach(struct ee_sequence *sequence, int64_t last) {
  struct ee_join_sequence *known = &sequence->known;
  if (last < known->next) return;
  insert(&known->gaps, known->gaps.count, (struct ee_join_gap){.first = known->next, .last = last});
  known->next = last + 1;
}

// What is missing from first to last is exposed by this, and perhaps declared.
static void expose(struct ee_join_gap_array *gaps, int64_t first, int64_t last,
                   struct ee_evidence *at, struct ee_join_declaration *declared) {
  for (size_t i = find(gaps, first); i < gaps->count && gaps->items[i].first <= last; i++) {
    struct ee_join_gap *gap = &gaps->items[i];
    if (gap->first < first) {
      split(gaps, i, first - 1);
      continue;
    }
    if (gap->last > last) split(gaps, i, last);
    if (gap->exposed == NULL || before(at, gap->exposed)) gap->exposed = at;
    if (gap->declared == NULL) gap->declared = declared;
  }
}

// By when a number that is missing must have arrived, or been declared.
static int64_t limit(const struct ee_join_gap *gap, int64_t grace_ms) {
  return ee_join_after(gap->exposed->timestamp, grace_ms);
}

// The number is missing no more, unless it comes too late.
static void fill(struct ee_sequence *sequence, int64_t number, int64_t time) {
  struct ee_join_gap_array *gaps = &sequence->known.gaps;
  size_t place = find(gaps, number);
  if (place == gaps->count || gaps->items[place].first > number) return;
  struct ee_join_gap *gap = &gaps->items[place];
  if (gap->exposed != NULL && time >= limit(gap, sequence->grace_ms)) return;
  if (gap->first < number && number < gap->last) {
    split(gaps, place, number - 1);
    gap[1].first++;
  } else if (gap->first < number) {
    gap->last--;
  } else if (number < gap->last) {
    gap->first++;
  } else {
    remove_at(gaps, place);
  }
}

static void note(struct ee_join_sequence *known, int64_t time) {
  if (time < known->begun_at) known->begun_at = time;
  if (time > known->last_at) known->last_at = time;
}

bool ee_sequence_arrive(struct ee_sequence *sequence, int64_t number, bool again,
                        struct ee_evidence *at) {
  struct ee_join_sequence *known = &sequence->known;
  note(known, at->timestamp);
  if (!known->first.present) known->first = (struct ee_opt_long){true, number};
  if (number == known->next && known->gaps.count == 0) {
    known->next++;  // nearly always
    return true;
  }
  if (number < known->next && known->gaps.count == 0) return true;
  if (!own_gaps(sequence)) return false;
  reach(sequence, number);
  fill(sequence, number, at->timestamp);
  if (!again) expose(&known->gaps, 0, number - 1, at, NULL);
  tidy(&known->gaps);
  return true;
}

bool ee_sequence_settle(struct ee_sequence *sequence, int64_t last, struct ee_evidence *at) {
  struct ee_join_sequence *known = &sequence->known;
  if (last < 0 || last == INT64_MAX) return true;
  note(known, at->timestamp);
  if (last < known->next && known->gaps.count == 0) return true;
  if (!own_gaps(sequence)) return false;
  reach(sequence, last);
  expose(&known->gaps, 0, last, at, NULL);
  tidy(&known->gaps);
  return true;
}

bool ee_sequence_declare(struct ee_sequence *sequence, const struct ee_producer_hole *hole,
                         struct ee_evidence *at) {
  struct ee_join_sequence *known = &sequence->known;
  if (hole->first < 0 || hole->last < hole->first || hole->last == INT64_MAX) return true;
  note(known, at->timestamp);
  if (hole->last < known->next && known->gaps.count == 0) return true;
  struct ee_join_declaration *declared = ee_arena_alloc(sequence->arena, sizeof *declared);
  if (declared == NULL || !own_gaps(sequence)) return false;
  *declared = (struct ee_join_declaration){.reason = ee_utf8_cut(hole->reason, EE_HOLE_REASON_MAX),
                                           .at = *at};
  reach(sequence, hole->last);
  expose(&known->gaps, hole->first, hole->last, at, declared);
  tidy(&known->gaps);
  return true;
}

// ---- Ticks.

// A grace for numbers to arrive, and one for the brokers' clocks.
static int64_t due_at(const struct ee_join_gap *gap, int64_t grace_ms) {
  return gap->exposed == NULL ? EE_NEVER : ee_join_after(limit(gap, grace_ms), grace_ms);
}

// What lies below may have been there before logs were cut, or before the sequence was
// forgotten: it is not missed unless it is declared.
static int64_t floor_of(const struct ee_join_sequence *known, int64_t epoch, int64_t judge_from) {
  int64_t began = epoch > INT64_MAX / EE_MICROS_PER_S ? INT64_MAX : epoch * EE_MICROS_PER_S;
  bool late = known->begun_at >= ee_join_after(began, EE_SEQUENCE_KEPT_CLOSED_MS);
  if (began >= judge_from && !late) return 0;
  return known->first.present ? known->first.value : INT64_MAX;
}

// False: nothing of it is missed.
static bool is_missed(struct ee_join_gap *gap, int64_t grace_ms, int64_t floor) {
  bool in_time = gap->declared != NULL && gap->declared->at.timestamp < limit(gap, grace_ms);
  if (in_time) return !ee_str_equal(gap->declared->reason, EE_STR("sent_again"));
  gap->declared = NULL;
  if (gap->first < floor) gap->first = floor;
  return gap->first <= gap->last;
}

bool ee_sequence_judge(struct ee_sequence *sequence, int64_t epoch, int64_t clock,
                       int64_t judge_from, struct ee_join_gap_array *ret) {
  struct ee_join_gap_array *gaps = &sequence->known.gaps;
  int64_t floor = floor_of(&sequence->known, epoch, judge_from);
  *ret = (struct ee_join_gap_array){
      .items = ee_arena_alloc(sequence->arena, gaps->count * sizeof *ret->items)};
  if (ret->items == NULL || !own_gaps(sequence)) return false;
  size_t kept = 0;
  for (size_t i = 0; i < gaps->count; i++) {
    struct ee_join_gap gap = gaps->items[i];
    if (clock < due_at(&gap, sequence->grace_ms)) {
      gaps->items[kept++] = gap;
    } else if (is_missed(&gap, sequence->grace_ms, floor)) {
      ret->items[ret->count++] = gap;
    }
  }
  gaps->count = kept;
  tidy(ret);  // declared too late is as not declared
  return true;
}

static int64_t expires_at(const struct ee_join_sequence *known) {
  return ee_join_after(known->last_at,
                       known->closed ? EE_SEQUENCE_KEPT_CLOSED_MS : EE_SEQUENCE_KEPT_MS);
}

bool ee_sequence_expired(const struct ee_join_sequence *known, int64_t clock) {
  return clock >= expires_at(known);
}

// The end is looked for at midnights, so that not every record moves the time.
int64_t ee_sequence_wake_at(const struct ee_join_sequence *known, int64_t grace_ms) {
  int64_t expires = expires_at(known);
  int64_t least = expires > INT64_MAX - DAY ? EE_NEVER : (expires / DAY + 1) * DAY;
  for (size_t i = 0; i < known->gaps.count; i++) {
    int64_t due = due_at(&known->gaps.items[i], grace_ms);
    if (due < least) least = due;
  }
  return least;
}
