// SPDX-License-Identifier: Apache-2.0
// A service that uses the installed library, without a Kafka: what it emits stays in its spool.
//
//   admit SPOOL
#include <envelope.h>
#include <stdio.h>
#include <string.h>

#define EMPTY_MS 10000  // an empty spool is flushed at once
#define WAITS_MS 200    // what lies in a spool waits for Kafka for ever

static int fail(const char *what, const struct envelope_error *error) {
  fprintf(stderr, "admit: %s: %s\n", what, error == NULL ? "not as expected" : error->text);
  return 1;
}

static envelope_producer *open_producer(const char *spool, struct envelope_error *error) {
  envelope_producer *producer = NULL;
  envelope_settings *settings = envelope_settings_new();
  if (envelope_settings_set(settings, "spool", spool, error) == ENVELOPE_OK &&
      envelope_settings_set(settings, "bootstrap", "127.0.0.1:1", error) == ENVELOPE_OK &&
      envelope_settings_set(settings, "source", "urn:service:admit", error) == ENVELOPE_OK) {
    envelope_producer_open(settings, &producer, error);
  }
  envelope_settings_free(settings);
  return producer;
}

static int set(envelope_event *event, envelope_field field, const char *text,
               struct envelope_error *error) {
  return envelope_event_set_text(event, field, text, ENVELOPE_TEXT, error);
}

static int admit(envelope_producer *producer, struct envelope_error *error) {
  envelope_event *event = envelope_event_new(ENVELOPE_ADMISSION);
  int result = set(event, ENVELOPE_FIELD_TENANT, "acme", error);
  if (result == ENVELOPE_OK)
    result = set(event, ENVELOPE_FIELD_CALLER_REQUESTER_URN, "urn:user:ada", error);
  if (result == ENVELOPE_OK) result = set(event, ENVELOPE_FIELD_CALLER_INITIATOR, "human", error);
  if (result == ENVELOPE_OK) result = set(event, ENVELOPE_FIELD_EXECUTION_KIND, "tool_call", error);
  if (result == ENVELOPE_OK)
    result = set(event, ENVELOPE_FIELD_EXECUTION_SERVICE, "serving", error);
  if (result == ENVELOPE_OK)
    result = set(event, ENVELOPE_FIELD_EXECUTION_OPERATION, "search", error);
  if (result == ENVELOPE_OK) result = envelope_emit(producer, event, error);
  envelope_event_free(event);
  return result;
}

int main(int argc, char **argv) {
  struct envelope_error error = {.text = ""};
  struct envelope_counts counts;
  if (argc != 2) return fail("one SPOOL is named", NULL);
  if (strcmp(envelope_version(), ENVELOPE_VERSION) != 0) return fail("version", NULL);

  envelope_producer *producer = open_producer(argv[1], &error);
  if (producer == NULL) return fail("opening", &error);
  if (envelope_producer_flush(producer, EMPTY_MS) != ENVELOPE_OK) return fail("empty spool", NULL);
  if (admit(producer, &error) != ENVELOPE_OK) return fail("emitting", &error);
  envelope_producer_counts(producer, &counts, sizeof counts);
  if (counts.accepted != 1) return fail("accepted", NULL);
  if (envelope_producer_close(producer, 0) != ENVELOPE_TIMED_OUT) return fail("closing", NULL);

  producer = open_producer(argv[1], &error);
  if (producer == NULL) return fail("opening again", &error);
  envelope_producer_counts(producer, &counts, sizeof counts);
  if (counts.accepted != 0) return fail("accepted, opened again", NULL);
  if (envelope_producer_flush(producer, WAITS_MS) != ENVELOPE_TIMED_OUT)
    return fail("the event is gone", NULL);
  envelope_producer_close(producer, 0);
  printf("%s\n", envelope_version());
  return 0;
}
