// SPDX-License-Identifier: Apache-2.0
// A small HTTP server for watching one program: /metrics, /healthz, /readyz. It has no
// thread: the program's loop serves it with ee_http_turn, and that a request is answered
// is the proof that the loop turns.
#ifndef EE_STREAM_HTTP_H
#define EE_STREAM_HTTP_H

#include "base/buf.h"
#include "base/err.h"

#define EE_HTTP_CONNECTIONS_MAX 32

struct ee_http;

// Called from ee_http_turn; must not block.
struct ee_http_source {
  // Appends the metrics.
  void (*metrics)(void *context, struct ee_buf *out);
  // True: /readyz says 200; false: 503 with why_not, which was empty.
  bool (*ready)(void *context, struct ee_err *why_not);
  void *context;
};

// Whether the text is an address as below.
bool ee_http_check(const char *address, struct ee_err *err);
// Listens on HOST:PORT ([HOST]:PORT for IPv6; an empty HOST is every interface; port 0:
// any free one). Copies source, borrows its context. May block while HOST is looked up.
bool ee_http_new(const char *address, const struct ee_http_source *source, struct ee_http **ret,
                 struct ee_err *err);
// The port it listens on.
int ee_http_port(const struct ee_http *http);
// Serves what is there to serve. Never blocks.
void ee_http_turn(struct ee_http *http);
// Closes all connections. NULL is allowed.
void ee_http_free(struct ee_http *http);

#endif
