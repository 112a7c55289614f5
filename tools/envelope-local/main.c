// SPDX-License-Identifier: Apache-2.0
// envelope-local: the whole pipeline in one process, without a broker.
#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/option.h"
#include "base/time.h"
#include "tools/envelope-local/local.h"

#define AT(FIELD) offsetof(struct local_settings, FIELD)

static const struct ee_option options[] = {
    {.name = "out",
     .argument = "DIR",
     .type = EE_OPTION_TEXT,
     .offset = AT(out),
     .doc = "Write derived topics there as JSON lines, one file each, in the form of `envelopectl "
            "cat`; `envelopectl show ID --from DIR` reads them. DIR is made, or empty."},
    {.name = "json",
     .type = EE_OPTION_FLAG,
     .offset = AT(json),
     .doc = "Print the report as JSON."},
    {.name = "tick",
     .argument = "DURATION",
     .type = EE_OPTION_DURATION,
     .offset = AT(tick_ms),
     .fallback = "60s",
     .least = 100,
     .most = 86400000,
     .doc = "Ticks are this far apart, in the events' own time."},
    {.name = "until",
     .argument = "TIME",
     .type = EE_OPTION_TEXT,
     .offset = AT(until),
     .doc = "RFC 3339 time up to which the clock runs; default: an hour after the last event."},
    {.name = "load",
     .type = EE_OPTION_FLAG,
     .offset = AT(load),
     .doc =
         "The input is records of a Kafka run, printed by `envelopectl cat --raw`, of phase, "
         "producer, obligation, tick and policy topics: they are loaded at their own offsets "
         "and append times. Print the tick topic first: its offsets then lie within the others. A "
         "line {\"topic\", \"partition\", \"end\"} sets a partition's end."},
    {.name = "accept-truncated",
     .type = EE_OPTION_FLAG,
     .offset = AT(accept_truncated),
     .doc = "Allow logs that do not begin at offset 0, as retention leaves them, with --load."},
    {.name = "partitions",
     .argument = "N",
     .type = EE_OPTION_COUNT,
     .offset = AT(partitions),
     .fallback = "12",
     .least = 1,
     .most = 256,
     .doc = "Number of partitions."},
    {.name = "memory",
     .argument = "SIZE",
     .type = EE_OPTION_SIZE,
     .offset = AT(memory_bytes),
     .fallback = "4GiB",
     .least = 64 << 20,
     .most = INT64_C(1) << 40,
     .doc = "Bound of the log in memory."},
    {.name = "topic-prefix",
     .argument = "P",
     .type = EE_OPTION_TEXT,
     .offset = AT(topic_prefix),
     .fallback = "",
     .doc = "Put before the name of every topic; with --load, that of the records."},
    {.name = "schema-dir",
     .argument = "DIR",
     .type = EE_OPTION_TEXT,
     .offset = AT(schema_directory),
     .doc = "Further schemas (.avsc) by which records of other writers are read."},
    {.name = "policy-margin",
     .argument = "DURATION",
     .type = EE_OPTION_DURATION,
     .offset = AT(policy_margin_ms),
     .fallback = "10s",
     .least = 0,
     .most = 600000,
     .doc = "A policy version takes effect this long after it was appended at the earliest."},
    {.name = "deadline",
     .argument = "KIND=DURATION",
     .type = EE_OPTION_PROPERTY,
     .offset = AT(deadlines),
     .doc = "Time limit of an execution kind for requests that state none; may be given many "
            "times."},
    {.name = "grace",
     .argument = "DURATION",
     .type = EE_OPTION_DURATION,
     .offset = AT(join.grace_ms),
     .fallback = "5s",
     .least = 0,
     .most = 3600000,
     .doc = "How long after a deadline or a due time a tick judges it."},
    {.name = "orphan-grace",
     .argument = "DURATION",
     .type = EE_OPTION_DURATION,
     .offset = AT(join.orphan_grace_ms),
     .fallback = "60s",
     .least = 0,
     .most = 86400000,
     .doc = "How long an envelope's first event may lie without an admission."},
    {.name = NULL}};

static bool read_until(struct local_settings *settings, struct ee_err *err) {
  int64_t micros;
  if (settings->until == NULL) return true;
  if (settings->load) {
    return ee_err_set(err, "--until has no meaning with --load, where ticks are in the input");
  }
  if (!ee_time_parse(ee_str(settings->until), &micros)) {
    return ee_err_set(err, "--until: %s is no RFC 3339 time", settings->until);
  }
  settings->until_ms = micros / EE_MICROS_PER_MS;
  return true;
}

static bool settle(struct local_settings *settings, struct ee_err *err) {
  if (!read_until(settings, err)) return false;
  if (!ee_deadlines_init(&settings->join.deadlines, &settings->deadlines, err)) return false;
  settings->accounting.deadlines = settings->join.deadlines;
  settings->governance.grace_ms = settings->join.grace_ms;
  return true;
}

static bool run(struct local *local, FILE *in, struct ee_err *err) {
  const struct local_settings *settings = local->settings;
  bool read = settings->load ? local_load(local, in, err)
                             : local_feed(local, in, err) && local_end(local, err);
  return read && local_run(local, err) &&
         (settings->out == NULL || local_write(local, settings->out, err)) &&
         local_report(local, stdout, err);
}

static int run_file(const struct local_settings *settings, const char *path) {
  static struct local local;
  struct ee_err err = {.text = ""};
  FILE *in = path == NULL || strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
  bool good = in != NULL || ee_err_set(&err, "%s: %s", path, strerror(errno));
  local.path = in == stdin ? "standard input" : path;
  good = good && (settings->out == NULL || local_out_is_free(settings->out, &err));
  good =
      good && local_open(&local, settings, settings->topic_prefix, &err) && run(&local, in, &err);
  if (!good) ee_log(EE_ERROR, err.text, NULL);
  if (good && local.refused > 0) {
    ee_log(EE_ERROR, "some lines were passed over",
           EE_LOG_WITH(EE_LOG_I("lines", (int64_t)local.refused)));
  }
  int status = good && local.refused == 0 ? 0 : 1;
  local_close(&local);
  if (in != NULL && in != stdin) fclose(in);
  return status;
}

int main(int argc, char **argv) {
  static struct local_settings settings;
  static const struct ee_option *const tables[] = {options, NULL};
  static const struct ee_command command = {
      .program = "envelope-local",
      .purpose =
          "Runs the whole pipeline over events from a file, without a broker: to try the "
          "system, to test an emitting service, to replay.",
      .usage = "[FILE]",
      .tables = tables};
  struct ee_err err;
  int operands;
  switch (ee_options_read(&command, argc, argv, &settings, &operands, &err)) {
    case EE_OPTIONS_PRINTED:
      return 0;
    case EE_OPTIONS_WRONG:
      fprintf(stderr, "envelope-local: %s\n", err.text);
      return 2;
    case EE_OPTIONS_OK:
      break;
  }
  ee_log_setup("envelope-local", NULL, EE_WARN);
  int status = 2;
  if (argc - operands > 1) {
    fprintf(stderr, "envelope-local: one FILE at most\n");
  } else if (!settle(&settings, &err)) {
    fprintf(stderr, "envelope-local: %s\n", err.text);
  } else {
    status = run_file(&settings, operands < argc ? argv[operands] : NULL);
  }
  ee_options_release(&command, &settings);
  return status;
}
