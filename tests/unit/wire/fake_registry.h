// SPDX-License-Identifier: Apache-2.0
// A schema registry for tests, in a thread of its own on a free port: it answers each
// request with what the test has set, and keeps the last one for the test to look at.
#ifndef EE_TESTS_UNIT_WIRE_FAKE_REGISTRY_H
#define EE_TESTS_UNIT_WIRE_FAKE_REGISTRY_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct fake_registry {
  struct MHD_Daemon *daemon;
  char url[64];

  pthread_mutex_t lock;  // holds all below
  unsigned status;
  const char *body;  // borrowed
  size_t body_size;
  bool truncated;        // announces twice the body and breaks off
  const char *location;  // of a redirect, or NULL
  unsigned count;        // of requests
  char method[16];
  char path[1024];  // with the query
  char content_type[128];
  char authorization[128];
  char received[8192];
  size_t received_size;
};

// Answers 404 until told otherwise. port 0: any free one.
void fake_registry_start(struct fake_registry *fake, unsigned port);
void fake_registry_stop(struct fake_registry *fake);

// What to answer from now on; body is borrowed.
void fake_registry_answer(struct fake_registry *fake, unsigned status, const char *body);
void fake_registry_answer_bytes(struct fake_registry *fake, unsigned status, const char *body,
                                size_t size);
unsigned fake_registry_count(struct fake_registry *fake);
// True if the last request was this one; body NULL: whatever it was.
bool fake_registry_asked(struct fake_registry *fake, const char *method, const char *path,
                         const char *body);

// A port that takes connections and never answers; close the descriptor.
int silent_server(char url[64]);

#endif
