// SPDX-License-Identifier: Apache-2.0
// envelope-load: realistic traffic by the client library; the shell of load.c.
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/time.h"
#include "producers/program.h"
#include "stream/wait.h"
#include "tools/envelope-load/report.h"
#include "tools/traffic/start.h"

#define TURN_MS 50
#define STOP_MS 10000  // what a signal leaves for acknowledgements
#define CLOSE_MS 2000  // for the last report
#define SUMMARY_MAX 4096
// Of the stories' time, when nothing is paced.
#define FLAT_OUT_PER_S 1000

struct settings {
  struct ee_producer_settings producer;
  int64_t envelopes, duration_ms, rate, threads, seed, tenants, open, timeout_ms;
  const char *arrivals, *start, *time_scale, *tenant_exponent;
  bool summary;
};

#define AT(FIELD) offsetof(struct settings, FIELD)
#define TIME_SCALE_MOST 1000.0
#define EXPONENT_MOST 10.0

// ---- Options.

static bool read_decimal(const char *text, double least, double most, double *ret,
                         struct ee_err *err) {
  char *end;
  *ret = strtod(text, &end);
  return (end != text && *end == '\0' && *ret >= least && *ret <= most) ||
         ee_err_set(err, "%s is no number of %g to %g", text, least, most);
}

static bool check_time_scale(const char *text, struct ee_err *err) {
  double value;
  return read_decimal(text, 0, TIME_SCALE_MOST, &value, err);
}

static bool check_exponent(const char *text, struct ee_err *err) {
  double value;
  return read_decimal(text, 0, EXPONENT_MOST, &value, err);
}

static bool check_arrivals(const char *text, struct ee_err *err) {
  return strcmp(text, "poisson") == 0 || strcmp(text, "bursty") == 0 ||
         ee_err_set(err, "%s is neither poisson nor bursty", text);
}

static bool check_start(const char *text, struct ee_err *err) {
  int64_t start;
  return start_read(text, &start, err);
}

static const struct ee_option options[] = {
    {.name = "Traffic", .type = EE_OPTION_GROUP},
    {.name = "envelopes",
     .argument = "N",
     .type = EE_OPTION_COUNT,
     .offset = AT(envelopes),
     .fallback = "0",
     .doc = "How many envelopes; each is told to its end. 0: without end."},
    {.name = "duration",
     .argument = "DURATION",
     .type = EE_OPTION_DURATION,
     .offset = AT(duration_ms),
     .fallback = "0",
     .doc = "Emits nothing after so long, whatever is open then. 0: without end."},
    {.name = "rate",
     .argument = "N",
     .type = EE_OPTION_COUNT,
     .offset = AT(rate),
     .fallback = "100",
     .least = 0,
     .most = 10000000,
     .doc = "Envelopes a second, each of three events or so. 0: flat out; events come in the same "
            "order as at 1000 a second, and are waited for by nobody."},
    {.name = "arrivals",
     .argument = "KIND",
     .type = EE_OPTION_TEXT,
     .offset = AT(arrivals),
     .fallback = "poisson",
     .check = check_arrivals,
     .doc = "poisson: at random times; bursty: half of them in bursts of a second or so at five "
            "times the rate."},
    {.name = "time-scale",
     .argument = "NUMBER",
     .type = EE_OPTION_TEXT,
     .offset = AT(time_scale),
     .fallback = "1",
     .check = check_time_scale,
     .doc = "What the times between the phases of an envelope are multiplied by: with 0.001, "
            "minutes of work are over in milliseconds."},
    {.name = "tenants",
     .argument = "N",
     .type = EE_OPTION_COUNT,
     .offset = AT(tenants),
     .fallback = "40",
     .least = 1,
     .most = TENANTS_MAX,
     .doc = "How many tenants."},
    {.name = "tenant-exponent",
     .argument = "NUMBER",
     .type = EE_OPTION_TEXT,
     .offset = AT(tenant_exponent),
     .fallback = "1",
     .check = check_exponent,
     .doc = "Tenants have their shares by a power law: the k-th largest as k to minus this. 0: "
            "all alike."},
    {.name = "seed",
     .argument = "N",
     .type = EE_OPTION_COUNT,
     .offset = AT(seed),
     .fallback = "1",
     .least = 0,
     .most = INT64_MAX,
     .doc = "The same seed gives the same stories, each thread's in the same order; with the same "
            "--start, the same events to the byte."},
    {.name = "start",
     .argument = "TIME",
     .type = EE_OPTION_TEXT,
     .offset = AT(start),
     .fallback = "now",
     .check = check_start,
     .doc = "RFC 3339 time at which the stories begin, or now. Events say that they occurred by "
            "it, and identifiers come from it."},
    {.name = "open",
     .argument = "N",
     .type = EE_OPTION_COUNT,
     .offset = AT(open),
     .fallback = "100000",
     .least = LOAD_THREADS_MAX,
     .most = 100000000,
     .doc = "How many envelopes may be open at once, at 32 bytes of memory each; further ones "
            "come later, which is said."},
    {.name = "threads",
     .argument = "N",
     .type = EE_OPTION_COUNT,
     .offset = AT(threads),
     .fallback = "1",
     .least = 1,
     .most = LOAD_THREADS_MAX,
     .doc = "How many threads emit, each its share of the envelopes."},
    {.name = "summary",
     .type = EE_OPTION_FLAG,
     .offset = AT(summary),
     .doc = "Prints what came of it as one JSON object: counts, and quantiles of how long a call "
            "took (call_ns) and of how late its event was by its plan (from_due_ns)."},
    {.name = "timeout",
     .argument = "DURATION",
     .type = EE_OPTION_DURATION,
     .offset = AT(timeout_ms),
     .fallback = "0",
     .doc = "Gives up when, at the end, nothing has been acknowledged for so long; 0 waits for "
            "ever."},
    {.name = NULL}};

static const struct ee_option *const tables[] = {ee_client_options, ee_producer_options, options,
                                                 NULL};

static const struct ee_command command = {
    .program = "envelope-load",
    .purpose =
        "Emits realistic traffic through the client library: seeded stories of envelopes of "
        "all kinds and outcomes, paced or flat out, and measures what emitting costs.",
    .usage = "",
    .tables = tables};

// ---- A run.

// Until nobody emits. False: Kafka lacks what only an operator can make.
static bool watch(struct load *load, struct report *report, struct ee_err *err) {
  char trouble[EE_ERR_MAX];
  while (load_runs(load) && ee_program_stop == 0) {
    if (load_trouble(load, trouble, sizeof trouble) == ENVELOPE_BAD_SETTING) {
      return ee_err_set(err, "%s", trouble);
    }
    report_turn(report, load, ee_clock_monotonic_ms());
    poll(NULL, 0, TURN_MS);
  }
  return true;
}

static bool wait_more(struct load *load, struct ee_wait *wait, struct ee_err *err) {
  char trouble[EE_ERR_MAX];
  int result = load_trouble(load, trouble, sizeof trouble);
  if (result == ENVELOPE_BAD_SETTING) return ee_err_set(err, "%s", trouble);
  return ee_wait_more(wait, result == ENVELOPE_OK ? "Kafka" : trouble, NULL, err);
}

// renew: each acknowledgement moves the deadline on.
static bool flush(struct load *load, struct report *report, struct ee_wait *wait, bool renew,
                  struct ee_err *err) {
  struct load_counts counts;
  uint64_t seen = 0;
  while (!load_flush(load, ee_wait_slice(wait, TURN_MS))) {
    report_turn(report, load, ee_clock_monotonic_ms());
    load_counts(load, &counts);
    if (renew && counts.acknowledged + counts.refused != seen) ee_wait_again(wait);
    seen = counts.acknowledged + counts.refused;
    if (!wait_more(load, wait, err)) return false;
  }
  return true;
}

static bool finish(struct load *load, struct report *report, int64_t timeout_ms,
                   struct ee_err *err) {
  struct ee_wait wait;
  bool stopped = ee_program_stop != 0;
  if (stopped) ee_log(EE_INFO, "stops: emits no more", NULL);
  ee_wait_init(&wait, stopped ? STOP_MS : timeout_ms, stopped ? NULL : &ee_program_stop);
  if (flush(load, report, &wait, !stopped, err)) return true;
  if (stopped || ee_program_stop == 0) return false;
  return finish(load, report, timeout_ms, err);  // the signal came meanwhile
}

static bool all_delivered(const struct load_counts *counts) {
  return counts->acknowledged == counts->events && counts->dropped == 0 && counts->mistakes == 0;
}

static void run_load(struct load *load, const struct settings *settings, struct summary *ret,
                     struct ee_err *err) {
  struct report report;
  int64_t begun_ms = ee_clock_monotonic_ms();
  struct ee_err other;
  report_init(&report, isatty(STDERR_FILENO), begun_ms);
  bool ok = watch(load, &report, err);
  load_stop(load);
  bool joined = load_join(load, ok ? err : &other);
  ret->emitting_ms = ee_clock_monotonic_ms() - begun_ms;
  ok = ok && finish(load, &report, settings->timeout_ms, joined ? err : &other) && joined;
  load_close(load, ok ? CLOSE_MS : 0);
  ret->all_ms = ee_clock_monotonic_ms() - begun_ms;
  load_counts(load, &ret->counts);
  load_tally(load, &ret->calls, &ret->late);
  ret->ok = ok && all_delivered(&ret->counts);
}

static void log_end(const struct summary *summary) {
  const struct load_counts *counts = &summary->counts;
  ee_log(summary->ok ? EE_INFO : EE_ERROR, summary->ok ? "done" : "not all events were delivered",
         EE_LOG_WITH(EE_LOG_I("envelopes", (int64_t)counts->envelopes),
                     EE_LOG_I("events", (int64_t)counts->events),
                     EE_LOG_I("acknowledged", (int64_t)counts->acknowledged),
                     EE_LOG_I("refused", (int64_t)counts->refused),
                     EE_LOG_I("dropped", (int64_t)counts->dropped),
                     EE_LOG_I("mistakes", (int64_t)counts->mistakes),
                     EE_LOG_I("behind_most_ms", counts->behind_most_us / 1000)));
}

static bool print_summary(const struct summary *summary) {
  struct ee_buf out;
  ee_buf_init(&out, SUMMARY_MAX);
  report_summary(summary, &out);
  ee_buf_byte(&out, '\n');
  bool ok = !out.failed && fwrite(out.data, 1, out.size, stdout) == out.size && fflush(stdout) == 0;
  ee_buf_release(&out);
  if (!ok) ee_log(EE_ERROR, "standard output cannot be written", NULL);
  return ok;
}

static bool run(struct settings *settings, const struct tenants *tenants, bool *ret_kept) {
  struct summary summary;
  struct ee_err err = {.text = ""};
  struct load *load;
  bool paced = settings->rate > 0;
  struct load_settings run = {
      .producer = &settings->producer, .paced = paced, .duration_ms = settings->duration_ms};
  run.plan = (struct plan_settings){
      .model = {.tenants = tenants},
      .seed = (uint64_t)settings->seed,
      .per_s = paced ? (double)settings->rate : FLAT_OUT_PER_S,
      .bursty = strcmp(settings->arrivals, "bursty") == 0,
      .envelopes = settings->envelopes == 0 ? UINT64_MAX : (uint64_t)settings->envelopes,
      .open = (size_t)(settings->open / settings->threads),
      .threads = (uint64_t)settings->threads};
  *ret_kept = false;
  if (!read_decimal(settings->time_scale, 0, TIME_SCALE_MOST, &run.plan.model.time_scale, &err) ||
      !start_read(settings->start, &run.plan.start, &err) || !load_start(&run, &load, &err)) {
    ee_log(EE_ERROR, err.text, NULL);
    return false;
  }
  run_load(load, settings, &summary, &err);
  load_free(load);
  if (err.text[0] != '\0') ee_log(EE_ERROR, err.text, NULL);
  log_end(&summary);
  *ret_kept = summary.counts.acknowledged < summary.counts.events;
  return (!settings->summary || print_summary(&summary)) && summary.ok;
}

// Without --spool: one that is kept only if something in it was not delivered.
static bool run_in_own_spool(struct settings *settings, const struct tenants *tenants) {
  char path[PATH_MAX];
  struct ee_err err;
  bool kept;
  if (!ee_program_spool_new(command.program, path, &err)) {
    ee_log(EE_ERROR, err.text, NULL);
    return false;
  }
  settings->producer.spool = path;
  bool ok = run(settings, tenants, &kept);
  settings->producer.spool = NULL;
  if (kept) {
    ee_log(EE_WARN, "what was not delivered is kept: emit with this --spool to send it",
           EE_LOG_WITH(EE_LOG_S("spool", ee_str(path))));
  } else {
    ee_program_spool_remove(path);
  }
  return ok;
}

static bool start(struct settings *settings) {
  struct tenants tenants;
  struct ee_err err;
  double exponent;
  bool kept;
  ee_program_watch_signals();
  ee_client_log(command.program, NULL, &settings->producer.client);
  if (!read_decimal(settings->tenant_exponent, 0, EXPONENT_MOST, &exponent, &err) ||
      !tenants_init(&tenants, (int)settings->tenants, exponent, &err)) {
    ee_log(EE_ERROR, err.text, NULL);
    return false;
  }
  bool ok = settings->producer.spool == NULL ? run_in_own_spool(settings, &tenants)
                                             : run(settings, &tenants, &kept);
  tenants_release(&tenants);
  return ok;
}

int main(int argc, char **argv) {
  static struct settings settings;
  struct ee_err err;
  int operands;
  switch (ee_options_read(&command, argc, argv, &settings, &operands, &err)) {
    case EE_OPTIONS_PRINTED:
      return 0;
    case EE_OPTIONS_WRONG:
      fprintf(stderr, "%s: %s\n", command.program, err.text);
      return 2;
    case EE_OPTIONS_OK:
      break;
  }
  bool ok = start(&settings);
  ee_options_release(&command, &settings);
  return ok ? 0 : 1;
}
