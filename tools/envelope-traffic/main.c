// SPDX-License-Identifier: Apache-2.0
// envelope-traffic: a seeded day of mixed traffic as JSON lines, for envelope-local and
// envelope-emit.
#include <errno.h>

#include "base/option.h"
#include "base/time.h"
#include "tools/envelope-traffic/traffic.h"
#include "tools/traffic/start.h"

#define AT(FIELD) offsetof(struct traffic_settings, FIELD)

static const struct ee_option options[] = {{.name = "envelopes",
                                            .argument = "N",
                                            .type = EE_OPTION_COUNT,
                                            .offset = AT(envelopes),
                                            .fallback = "20000",
                                            .least = 1,
                                            .most = 10000000,
                                            .doc = "How many envelopes."},
                                           {.name = "seed",
                                            .argument = "N",
                                            .type = EE_OPTION_COUNT,
                                            .offset = AT(seed),
                                            .fallback = "1",
                                            .least = 0,
                                            .most = INT64_MAX,
                                            .doc = "The same seed gives the same lines."},
                                           {.name = "start",
                                            .argument = "TIME",
                                            .type = EE_OPTION_TEXT,
                                            .offset = AT(start),
                                            .fallback = "2026-05-08T00:00:00Z",
                                            .doc = "RFC 3339 time at which it begins, or now."},
                                           {.name = "span",
                                            .argument = "DURATION",
                                            .type = EE_OPTION_DURATION,
                                            .offset = AT(span_ms),
                                            .fallback = "24h",
                                            .least = 1000,
                                            .most = INT64_C(366) * 86400000,
                                            .doc = "How long it lasts."},
                                           {.name = NULL}};

static void tell(const struct traffic_settings *settings, const struct story_model *model,
                 int64_t start, struct lines *lines) {
  struct random random = {.state = (uint64_t)settings->seed};
  struct story_sink sink = lines_sink(lines);
  int64_t span = settings->span_ms * EE_MICROS_PER_MS;
  for (int64_t i = 0; i < settings->envelopes; i++) {
    int64_t at = start + random_below(&random, span);
    traffic_tell(model, &random, i, at, &sink);
    if (i % 250 == 125) malformed_add(lines, &random, i, (int)(i / 250 % MALFORMED_KINDS), at);
  }
}

static bool generate(const struct traffic_settings *settings, struct ee_err *err) {
  struct lines lines = {.items = NULL};
  struct tenants tenants;
  int64_t start;
  if (!start_read(settings->start, &start, err)) return false;
  if (!tenants_init(&tenants, TENANTS, TENANT_EXPONENT, err)) return false;
  tell(settings, &(struct story_model){.tenants = &tenants, .time_scale = 1}, start, &lines);
  bool written = lines_write(&lines, stdout);
  lines_release(&lines);
  tenants_release(&tenants);
  return written || ee_err_set(err, "the lines cannot be written: %s", strerror(errno));
}

int main(int argc, char **argv) {
  static struct traffic_settings settings;
  static const struct ee_option *const tables[] = {options, NULL};
  static const struct ee_command command = {
      .program = "envelope-traffic",
      .purpose =
          "Prints a seeded day of mixed traffic as JSON lines: all execution kinds, many "
          "tenants, every outcome, and input that breaks the contract.",
      .usage = "",
      .tables = tables};
  struct ee_err err = {.text = ""};
  int operands;
  switch (ee_options_read(&command, argc, argv, &settings, &operands, &err)) {
    case EE_OPTIONS_PRINTED:
      return 0;
    case EE_OPTIONS_WRONG:
      fprintf(stderr, "envelope-traffic: %s\n", err.text);
      return 2;
    case EE_OPTIONS_OK:
      break;
  }
  bool good = generate(&settings, &err);
  if (!good) fprintf(stderr, "envelope-traffic: %s\n", err.text);
  ee_options_release(&command, &settings);
  return good ? 0 : 1;
}
