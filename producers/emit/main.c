// SPDX-License-Identifier: Apache-2.0
// envelope-emit: JSON lines in, events out; the shell of emit.c. Events are sent as lines
// arrive, and the program ends when all are acknowledged.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/time.h"
#include "contract/event_line.h"
#include "emit/emit.h"
#include "emit/lines.h"
#include "producers/program.h"
#include "wire/headers.h"

#define CHUNK 65536
#define STOP_MS 10000  // what a signal leaves for acknowledgements
#define BUSY_MS 20
#define IDLE_MS 500

struct settings {
  struct ee_producer_settings producer;
  bool print;
  int64_t timeout_ms;
};

#define AT(FIELD) offsetof(struct settings, FIELD)

static const struct ee_option options[] = {
    {.name = "Emitting", .type = EE_OPTION_GROUP},
    {.name = "print",
     .type = EE_OPTION_FLAG,
     .offset = AT(print),
     .doc = "Prints a JSON line for each event when it is acknowledged: line, envelope_id, "
            "event_id, topic, partition, offset."},
    {.name = "timeout",
     .argument = "DURATION",
     .type = EE_OPTION_DURATION,
     .offset = AT(timeout_ms),
     .fallback = "0",
     .doc = "Gives up when Kafka or the schema registry has not answered for so long; 0 waits for "
            "ever."},
    {.name = NULL}};

static const struct ee_option *const tables[] = {ee_client_options, ee_producer_options, options,
                                                 NULL};

static const struct ee_command command = {
    .program = "envelope-emit",
    .purpose =
        "Reads JSON lines from FILE or standard input, each {\"phase\": \"admission\", ...}, and "
        "writes them as events, by way of a spool.",
    .usage = "[FILE]",
    .tables = tables};

// ---- Reading.

static bool take_lines(struct ee_emit *emit, struct ee_lines *lines, struct ee_err *err) {
  while (ee_program_stop == 0) {
    struct ee_str line;
    switch (ee_lines_next(lines, &line)) {
      case EE_LINES_MORE:
        return true;
      case EE_LINES_TOO_LONG:
        ee_emit_too_long(emit, lines->number);
        break;
      case EE_LINES_LINE:
        if (!ee_emit_line(emit, lines->number, line, err)) return false;
    }
  }
  return true;
}

// One chunk, if there is one.
static bool read_chunk(struct ee_emit *emit, struct ee_lines *lines, int input,
                       struct ee_err *err) {
  static char chunk[CHUNK];
  struct pollfd ready = {.fd = input, .events = POLLIN};
  int count = poll(&ready, 1, ee_emit_waits(emit) ? BUSY_MS : IDLE_MS);
  if (count == 0 || (count < 0 && errno == EINTR)) return true;
  ssize_t size = count < 0 ? -1 : read(input, chunk, sizeof chunk);
  if (size < 0) return errno == EINTR || ee_err_set(err, "reading: %s", strerror(errno));
  if (size == 0) ee_lines_end(lines);
  if (!ee_lines_feed(lines, chunk, (size_t)size)) return ee_err_set(err, "memory is out");
  return take_lines(emit, lines, err);
}

static bool pump(struct ee_emit *emit, int input, struct ee_err *err) {
  struct ee_lines lines;
  ee_lines_init(&lines, EE_LINE_MAX, CHUNK);
  bool ok = true;
  while (ok && !lines.ended && ee_program_stop == 0) {
    ok = read_chunk(emit, &lines, input, err) && ee_emit_serve(emit, err);
  }
  ee_lines_release(&lines);
  return ok;
}

// ---- The program.

static bool finish(struct ee_emit *emit, int64_t timeout_ms, struct ee_err *err) {
  struct ee_wait wait;
  bool stopped = ee_program_stop != 0;
  if (stopped) ee_log(EE_INFO, "stops: reads no more", NULL);
  ee_wait_init(&wait, stopped ? STOP_MS : timeout_ms, stopped ? NULL : &ee_program_stop);
  if (ee_emit_flush(emit, &wait, err)) return true;
  if (stopped || ee_program_stop == 0) return false;
  return finish(emit, timeout_ms, err);  // the signal came meanwhile
}

static bool report(const struct ee_emit_counts *counts, bool ok) {
  ok = ok && counts->refused == 0 && counts->failed == 0 && counts->given_up == 0;
  ee_log(ok ? EE_INFO : EE_ERROR, ok ? "done" : "not all lines were written",
         EE_LOG_WITH(EE_LOG_I("lines", (int64_t)counts->lines),
                     EE_LOG_I("delivered", (int64_t)counts->delivered),
                     EE_LOG_I("refused", (int64_t)counts->refused),
                     EE_LOG_I("failed", (int64_t)counts->failed),
                     EE_LOG_I("not_delivered", (int64_t)counts->given_up)));
  return ok;
}

// own: the spool is this run's alone.
static bool run(struct settings *settings, int input, bool own, bool *ret_kept) {
  struct ee_err err = {.text = ""};
  struct ee_wait wait;
  ee_wait_init(&wait, settings->timeout_ms, &ee_program_stop);
  struct ee_emit_settings emit_settings = {.producer = &settings->producer,
                                           .traceparent = getenv("TRACEPARENT"),
                                           .tracestate = getenv("TRACESTATE"),
                                           .print = settings->print ? stdout : NULL};
  const char *parent = emit_settings.traceparent;
  if (parent != NULL && !ee_traceparent_valid(ee_str_bytes(ee_str(parent)))) {
    ee_log(EE_WARN, "TRACEPARENT is not as in W3C Trace Context and is not passed on", NULL);
    emit_settings.traceparent = NULL;
  }
  struct ee_emit *emit;
  *ret_kept = false;
  if (!ee_emit_new(&emit_settings, &wait, &emit, &err)) {
    ee_log(EE_ERROR, err.text, NULL);
    return false;
  }
  bool ok = pump(emit, input, &err) || ee_program_stop != 0;
  ok = ok && finish(emit, settings->timeout_ms, &err);
  if (!ok) ee_log(EE_ERROR, err.text, NULL);
  struct ee_emit_counts counts = ee_emit_finish(emit);
  ee_emit_free(emit);
  *ret_kept = counts.given_up > 0 || counts.failed > 0;
  if (own && *ret_kept) {
    ee_log(EE_WARN, "what was not delivered is kept: emit with this --spool to send it",
           EE_LOG_WITH(EE_LOG_S("spool", ee_str(settings->producer.spool))));
  }
  return report(&counts, ok);
}

// ---- A spool of its own.

// Without --spool: one that is kept only if something in it was not delivered.
static bool run_in_own_spool(struct settings *settings, int input) {
  char path[PATH_MAX];
  struct ee_err err;
  bool kept;
  if (!ee_program_spool_new(command.program, path, &err)) {
    ee_log(EE_ERROR, err.text, NULL);
    return false;
  }
  settings->producer.spool = path;
  bool ok = run(settings, input, true, &kept);
  settings->producer.spool = NULL;
  if (!kept) ee_program_spool_remove(path);
  return ok;
}

static int open_input(const char *path, struct ee_err *err) {
  if (path == NULL || strcmp(path, "-") == 0) return STDIN_FILENO;
  int input = open(path, O_RDONLY | O_CLOEXEC);
  if (input < 0) ee_err_set(err, "%s: %s", path, strerror(errno));
  return input;
}

static bool start(struct settings *settings, const char *path) {
  struct ee_err err;
  char host[256] = "localhost";
  char source[sizeof host + 32];
  bool own_source = settings->producer.source == NULL, kept;
  ee_program_watch_signals();
  gethostname(host, sizeof host - 1);
  snprintf(source, sizeof source, "urn:envelope-emit:%s", host);
  ee_client_log(command.program, NULL, &settings->producer.client);
  int input = open_input(path, &err);
  if (input < 0) {
    ee_log(EE_ERROR, err.text, NULL);
    return false;
  }
  if (own_source) settings->producer.source = source;
  bool ok = settings->producer.spool == NULL ? run_in_own_spool(settings, input)
                                             : run(settings, input, false, &kept);
  if (own_source) settings->producer.source = NULL;
  if (input != STDIN_FILENO) close(input);
  return ok;
}

int main(int argc, char **argv) {
  static struct settings settings;
  struct ee_err err;
  int operands;
  enum ee_option_result result = ee_options_read(&command, argc, argv, &settings, &operands, &err);
  if (result == EE_OPTIONS_PRINTED) return 0;
  if (result == EE_OPTIONS_OK && argc - operands > 1) {
    ee_err_set(&err, "one FILE at most is read");
    result = EE_OPTIONS_WRONG;
  }
  if (result == EE_OPTIONS_WRONG) {
    fprintf(stderr, "%s: %s\n", command.program, err.text);
    ee_options_release(&command, &settings);
    return 2;
  }
  bool ok = start(&settings, argv[operands]);
  ee_options_release(&command, &settings);
  return ok ? 0 : 1;
}
