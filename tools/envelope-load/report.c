// SPDX-License-Identifier: Apache-2.0
// Lines for a person, lines for a log, and the summary.
#include "tools/envelope-load/report.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"

#define PERSON_MS 1000
#define LOG_MS 10000
#define MEDIAN 500000

void report_init(struct report *report, bool person, int64_t now_ms) {
  *report = (struct report){
      .person = person, .begun_ms = now_ms, .told_ms = now_ms, .warned_ms = now_ms - LOG_MS};
}

static uint64_t backlog(const struct load_counts *counts) {
  uint64_t done = counts->acknowledged + counts->refused;
  return counts->events > done ? counts->events - done : 0;
}

// ---- While it lasts.

struct moment {
  struct load_counts counts;
  struct tally calls;  // since the last time
  int64_t ms, since_ms;
  bool stuck;  // nothing was acknowledged since
  char trouble[EE_ERR_MAX];
};

static void look(struct report *report, struct load *load, int64_t now_ms, struct moment *ret) {
  struct tally calls, late;
  load_counts(load, &ret->counts);
  load_tally(load, &calls, &late);
  tally_since(&calls, &report->calls, &ret->calls);
  report->calls = calls;
  ret->stuck = ret->counts.acknowledged == report->acknowledged;
  ret->ms = now_ms - report->begun_ms;
  ret->since_ms = now_ms - report->told_ms;
  load_trouble(load, ret->trouble, sizeof ret->trouble);
}

static uint64_t rate(const struct report *report, const struct moment *moment) {
  uint64_t events = moment->counts.events - report->events;
  return events * 1000 / (uint64_t)(moment->since_ms < 1 ? 1 : moment->since_ms);
}

static void tell_person(const struct report *report, const struct moment *moment) {
  const struct load_counts *counts = &moment->counts;
  char line[1024];
  struct ee_buf out;
  ee_buf_init(&out, sizeof line);
  ee_buf_printf(&out,
                "%5" PRId64 " s  %8" PRIu64 " events/s  emitted %" PRIu64 "  dropped %" PRIu64
                "  acknowledged %" PRIu64 "  backlog %" PRIu64 "  call p50 %.1f us, p99 %.1f us",
                moment->ms / 1000, rate(report, moment), counts->events, counts->dropped,
                counts->acknowledged, backlog(counts),
                (double)tally_quantile(&moment->calls, MEDIAN) / 1e3,
                (double)tally_quantile(&moment->calls, 990000) / 1e3);
  if (counts->behind_us >= BEHIND_US) {
    ee_buf_printf(&out, "  behind by %" PRId64 " ms", counts->behind_us / 1000);
  }
  if (moment->stuck && moment->trouble[0] != '\0')
    ee_buf_printf(&out, "  waits: %s", moment->trouble);
  ee_buf_byte(&out, '\n');
  fwrite(ee_buf_bytes(&out).data, 1, out.size, stderr);
  ee_buf_release(&out);
}

static void tell_log(const struct report *report, const struct moment *moment) {
  const struct load_counts *counts = &moment->counts;
  ee_log(EE_INFO, "emits",
         EE_LOG_WITH(EE_LOG_I("events_per_s", (int64_t)rate(report, moment)),
                     EE_LOG_I("emitted", (int64_t)counts->events),
                     EE_LOG_I("dropped", (int64_t)counts->dropped),
                     EE_LOG_I("acknowledged", (int64_t)counts->acknowledged),
                     EE_LOG_I("backlog", (int64_t)backlog(counts)),
                     EE_LOG_I("call_p50_ns", tally_quantile(&moment->calls, MEDIAN)),
                     EE_LOG_I("call_p99_ns", tally_quantile(&moment->calls, 990000)),
                     EE_LOG_I("behind_ms", counts->behind_us / 1000)));
}

// What a reader of the figures has to know, whoever reads.
static void warn(struct report *report, struct load *load, int64_t now_ms) {
  struct load_counts counts;
  load_counts(load, &counts);
  if (counts.held_us > 0 && !report->held_told) {
    report->held_told = true;
    ee_log(EE_WARN, "as many envelopes are open as may be, and others come later: see --open",
           NULL);
  }
  if (report->person || counts.behind_us < BEHIND_US || now_ms < report->warned_ms + LOG_MS) return;
  report->warned_ms = now_ms;
  ee_log(EE_WARN, "cannot keep up: events are emitted later than they are due",
         EE_LOG_WITH(EE_LOG_I("behind_ms", counts.behind_us / 1000)));
}

void report_turn(struct report *report, struct load *load, int64_t now_ms) {
  struct moment moment;
  warn(report, load, now_ms);
  if (now_ms < report->told_ms + (report->person ? PERSON_MS : LOG_MS)) return;
  look(report, load, now_ms, &moment);
  if (report->person) {
    tell_person(report, &moment);
  } else {
    tell_log(report, &moment);
  }
  report->told_ms = now_ms;
  report->events = moment.counts.events;
  report->acknowledged = moment.counts.acknowledged;
}

// ---- The end.

static void add_number(struct ee_buf *out, const char *name, uint64_t value) {
  ee_buf_printf(out, ",\"%s\":%" PRIu64, name, value);
}

static void add_tally(struct ee_buf *out, const char *name, const struct tally *tally) {
  static const struct {
    const char *name;
    int64_t millionths;
  } quantiles[] = {
      {"p50", MEDIAN}, {"p90", 900000}, {"p99", 990000}, {"p999", 999000}, {"most", 1000000}};
  ee_buf_printf(out, ",\"%s\":{\"count\":%" PRIu64, name, tally->total);
  for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++) {
    ee_buf_printf(out, ",\"%s\":%" PRId64, quantiles[i].name,
                  tally_quantile(tally, quantiles[i].millionths));
  }
  ee_buf_byte(out, '}');
}

static void add_phases(struct ee_buf *out, const uint64_t phases[EE_PHASE_TOPICS]) {
  ee_buf_text(out, ",\"phases\":{");
  for (int i = 0; i < EE_PHASE_TOPICS; i++) {
    ee_buf_printf(out, "%s\"%s\":%" PRIu64, i == 0 ? "" : ",", ee_phase_name((enum ee_phase)i),
                  phases[i]);
  }
  ee_buf_byte(out, '}');
}

void report_summary(const struct summary *summary, struct ee_buf *out) {
  const struct load_counts *counts = &summary->counts;
  ee_buf_printf(out, "{\"ok\":%s", summary->ok ? "true" : "false");
  add_number(out, "envelopes", counts->envelopes);
  add_number(out, "unfinished", counts->envelopes - counts->finished);
  add_number(out, "events", counts->events);
  add_phases(out, counts->phases);
  add_number(out, "acknowledged", counts->acknowledged);
  add_number(out, "not_acknowledged", backlog(counts));
  add_number(out, "refused", counts->refused);
  add_number(out, "dropped", counts->dropped);
  add_number(out, "mistakes", counts->mistakes);
  add_number(out, "waits_for_room", counts->full);
  add_number(out, "emitting_ms", (uint64_t)summary->emitting_ms);
  add_number(out, "all_ms", (uint64_t)summary->all_ms);
  add_number(out, "behind_most_ms", (uint64_t)(counts->behind_most_us / 1000));
  add_number(out, "held_ms", (uint64_t)(counts->held_us / 1000));
  add_tally(out, "call_ns", &summary->calls);
  if (summary->late.total > 0) add_tally(out, "from_due_ns", &summary->late);
  ee_buf_byte(out, '}');
}
