// SPDX-License-Identifier: Apache-2.0
// A producer's settings, by name.
#include "client/settings.h"

#include <stdlib.h>

#include "base/utf8.h"
#include "client/mistake.h"
#include "spool/format.h"

#define PRODUCER_MAX 90  // bytes; the spool's id is put behind it
#define AT(FIELD) offsetof(struct ee_producer_settings, FIELD)

static bool check_producer(const char *text, struct ee_err *err) {
  size_t size = strlen(text);
  return (size > 0 && size <= PRODUCER_MAX && ee_utf8_valid(text, size)) ||
         ee_err_set(err, "a producer's name has 1 to %d bytes of UTF-8", PRODUCER_MAX);
}

static bool check_when_full(const char *text, struct ee_err *err) {
  return strcmp(text, "drop") == 0 || strcmp(text, "refuse") == 0 ||
         ee_err_set(err, "%s is neither drop nor refuse", text);
}

static bool check_sync(const char *text, struct ee_err *err) {
  return strcmp(text, "none") == 0 || strcmp(text, "call") == 0 ||
         ee_err_set(err, "%s is neither none nor call", text);
}

const struct ee_option ee_producer_options[] = {
    {.name = "Spool", .type = EE_OPTION_GROUP},
    {.name = "spool",
     .argument = "DIR",
     .type = EE_OPTION_TEXT,
     .offset = AT(spool),
     .doc = "Directory in which events wait until Kafka has acknowledged them; made if it is not "
            "there. One process at a time."},
    {.name = "producer",
     .argument = "NAME",
     .type = EE_OPTION_TEXT,
     .offset = AT(producer),
     .check = check_producer,
     .doc =
         "Under which events are numbered, with a part of the spool's id behind it. Default: the "
         "host's name."},
    {.name = "source",
     .argument = "URI",
     .type = EE_OPTION_TEXT,
     .offset = AT(source),
     .doc = "The emitting service, for events that name none."},
    {.name = "spool-bytes",
     .argument = "SIZE",
     .type = EE_OPTION_SIZE,
     .offset = AT(spool_bytes),
     .fallback = "1GiB",
     .least = 4 * (int64_t)EE_SPOOL_SEGMENT_LEAST,
     .most = INT64_C(1) << 50,
     .doc = "The most that the spool takes on disk; at least four segments."},
    {.name = "segment-bytes",
     .argument = "SIZE",
     .type = EE_OPTION_SIZE,
     .offset = AT(segment_bytes),
     .fallback = "16MiB",
     .least = (int64_t)EE_SPOOL_SEGMENT_LEAST,
     .most = (int64_t)EE_SPOOL_SEGMENT_MOST,
     .doc =
         "Of one file of the spool, a multiple of 4096. Two are kept ready beyond the one in use."},
    {.name = "when-full",
     .argument = "POLICY",
     .type = EE_OPTION_TEXT,
     .offset = AT(when_full),
     .fallback = "drop",
     .check = check_when_full,
     .doc =
         "What happens to an event for which there is no room: drop counts it and declares it as "
         "lost; refuse gives it back to the caller."},
    {.name = "sync",
     .argument = "WHEN",
     .type = EE_OPTION_TEXT,
     .offset = AT(sync),
     .fallback = "none",
     .check = check_sync,
     .doc =
         "What is done against a loss of power. none: the system writes in its own time, some 30 "
         "s; call: each call waits until its event is on the disk."},
    {.name = NULL}};

static const struct ee_option *const tables[] = {ee_client_options, ee_producer_options, NULL};

const struct ee_command ee_producer_command = {
    .program = "libenvelope", .purpose = "Settings of a producer.", .usage = "", .tables = tables};

envelope_settings *envelope_settings_new(void) {
  struct envelope_settings *settings = calloc(1, sizeof *settings);
  if (settings == NULL || ee_options_defaults(&ee_producer_command, &settings->values, NULL)) {
    return settings;
  }
  free(settings);
  return NULL;
}

void envelope_settings_free(envelope_settings *settings) {
  if (settings == NULL) return;
  ee_options_release(&ee_producer_command, &settings->values);
  free(settings);
}

int envelope_settings_set(envelope_settings *settings, const char *name, const char *value,
                          struct envelope_error *error) {
  struct ee_err err;
  if (name == NULL || value == NULL) {
    return ee_mistake(error, ENVELOPE_BAD_SETTING, name, "a setting has a name and a value");
  }
  if (ee_options_set(&ee_producer_command, &settings->values, name, value, &err)) {
    return ENVELOPE_OK;
  }
  return ee_mistake(error, ENVELOPE_BAD_SETTING, name, "%s", err.text);
}

void envelope_settings_on_notice(envelope_settings *settings, envelope_notice *notice,
                                 void *context) {
  settings->notices = (struct ee_notices){.notice = notice, .context = context};
}

void envelope_settings_on_delivery(envelope_settings *settings, envelope_delivered *delivered,
                                   void *context) {
  settings->delivered = delivered;
  settings->delivered_context = context;
}
