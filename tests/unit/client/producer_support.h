// SPDX-License-Identifier: Apache-2.0
// Producers without a Kafka: the port is one that nobody listens on. What they accept stays in
// the spool, and is read there.
#ifndef EE_TESTS_CLIENT_PRODUCER_SUPPORT_H
#define EE_TESTS_CLIENT_PRODUCER_SUPPORT_H

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/event.h"
#include "client/fields.h"
#include "contract/record.h"
#include "spool/spool.h"
#include "support/directory.h"

#define SPOOL_SEGMENT ((size_t)1 << 20)

struct place {
  char *directory;
  int port;  // a socket that holds it
  char bootstrap[32];
};

static inline struct place place_new(void) {
  struct place place = {.directory = directory_new()};
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  place.port = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true(place.port >= 0);
  assert_int_equal(bind(place.port, (struct sockaddr *)&address, size), 0);
  assert_int_equal(getsockname(place.port, (struct sockaddr *)&address, &size), 0);
  snprintf(place.bootstrap, sizeof place.bootstrap, "127.0.0.1:%d", ntohs(address.sin_port));
  return place;
}

static inline void place_free(struct place *place) {
  close(place->port);
  directory_free(place->directory);
}

static inline void set_setting(envelope_settings *settings, const char *name, const char *value) {
  struct envelope_error error;
  if (envelope_settings_set(settings, name, value, &error) != ENVELOPE_OK) {
    fail_msg("%s", error.text);
  }
}

// A small spool there, without a source.
static inline envelope_settings *settings_at(const struct place *place) {
  envelope_settings *settings = envelope_settings_new();
  assert_non_null(settings);
  set_setting(settings, "spool", place->directory);
  set_setting(settings, "bootstrap", place->bootstrap);
  set_setting(settings, "segment-bytes", "1MiB");
  set_setting(settings, "spool-bytes", "64MiB");
  return settings;
}

static inline envelope_producer *producer_with(envelope_settings *settings) {
  envelope_producer *producer = NULL;
  struct envelope_error error;
  int result = envelope_producer_open(settings, &producer, &error);
  envelope_settings_free(settings);
  if (result != ENVELOPE_OK) fail_msg("%s", error.text);
  return producer;
}

static inline struct envelope_counts counts_of(const envelope_producer *producer) {
  struct envelope_counts counts;
  envelope_producer_counts(producer, &counts, sizeof counts);
  return counts;
}

// What it has accepted stays.
static inline void producer_end(envelope_producer *producer) {
  bool any = counts_of(producer).accepted > 0;
  int result = envelope_producer_close(producer, 0);
  assert_true(result == ENVELOPE_TIMED_OUT || (result == ENVELOPE_OK && !any));
}

// ---- Events.

static inline bool is_required(enum ee_phase phase, int field) {
  const struct ee_field_place *place = ee_field_place(phase, field);
  if (place == NULL || (place->container != NULL && place->container->type.nullable)) return false;
  const struct ee_type *type = &place->leaf->type;
  return !type->nullable && place->leaf->fallback == NULL && type->kind != EE_TYPE_MAP &&
         type->kind != EE_TYPE_ARRAY;
}

// Begins an event with all that its phase requires but one field; 0: with all.
static inline void complete_but(envelope_event *event, envelope_phase phase, int but) {
  assert_int_equal(envelope_event_begin(event, phase), ENVELOPE_OK);
  for (int field = 0; field < EE_FIELDS_END; field++) {
    if (field == but || !is_required((enum ee_phase)phase, field)) continue;
    const struct ee_type *type = &ee_field_place((enum ee_phase)phase, field)->leaf->type;
    int result = ENVELOPE_OK;
    if (type->kind == EE_TYPE_LONG) {
      result = envelope_event_set_long(event, (envelope_field)field, 1780000000000000, NULL);
    } else if (type->kind == EE_TYPE_BOOLEAN) {
      result = envelope_event_set_boolean(event, (envelope_field)field, 1, NULL);
    } else {
      const char *text = type->kind == EE_TYPE_ENUM ? type->enumeration->symbols[0].data : "t";
      result = envelope_event_set_text(event, (envelope_field)field, text, ENVELOPE_TEXT, NULL);
    }
    assert_int_equal(result, ENVELOPE_OK);
  }
}

static inline void complete(envelope_event *event, envelope_phase phase) {
  complete_but(event, phase, 0);
}

static inline void emit(envelope_producer *producer, envelope_event *event) {
  struct envelope_error error;
  if (envelope_emit(producer, event, &error) != ENVELOPE_OK) fail_msg("%s", error.text);
}

// ---- What is in the spool.

static inline struct ee_spool *spool_at(const char *directory) {
  struct ee_spool_settings settings = {.directory = directory,
                                       .segment_bytes = SPOOL_SEGMENT,
                                       .most_bytes = 64 * SPOOL_SEGMENT,
                                       .wall_s = 1000};
  struct ee_spool *spool = NULL;
  struct ee_err err;
  if (!ee_spool_open(&settings, &spool, &err)) fail_msg("%s", err.text);
  return spool;
}

#endif
