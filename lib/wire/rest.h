// SPDX-License-Identifier: Apache-2.0
// A few HTTP exchanges at a time with one service at several URLs, on libcurl's multi
// interface; connections are kept. Private to this folder. One thread; nothing blocks but
// ee_rest_wait.
#ifndef EE_WIRE_REST_H
#define EE_WIRE_REST_H

#include <curl/curl.h>

#include "base/buf.h"
#include "wire/registry.h"

#define EE_REST_EXCHANGES_MAX 5

struct ee_exchange {
  CURL *easy;  // owned
  bool used;
  bool done;
  struct ee_buf url;
  struct ee_buf answer;  // the body
  long status;           // 0: no whole answer came, words say why
  char words[CURL_ERROR_SIZE];
};

struct ee_rest {
  CURLM *multi;                      // owned
  struct curl_slist *headers;        // owned
  char *urls[EE_REGISTRY_URLS_MAX];  // owned; without a slash at the end
  size_t url_count;
  size_t answer_max;  // bytes of a body
  struct ee_exchange exchanges[EE_REST_EXCHANGES_MAX];
};

// Refuses URLs that are not http or https, hold a user, password, query or fragment, or are
// more than EE_REGISTRY_URLS_MAX.
bool ee_rest_init(struct ee_rest *rest, const struct ee_registry_settings *settings,
                  size_t answer_max, struct ee_err *err);
// Cancels what is under way.
void ee_rest_release(struct ee_rest *rest);

// Begins a request to urls[url] + path. body is borrowed until the exchange ends; NULL with
// GET. The result is the caller's until ee_exchange_end. NULL: all exchanges are in use, or
// memory is out.
struct ee_exchange *ee_rest_begin(struct ee_rest *rest, size_t url, const char *method,
                                  const char *path, const struct ee_buf *body);
// Moves all exchanges on and sets `done`.
void ee_rest_turn(struct ee_rest *rest);
void ee_rest_wait(struct ee_rest *rest, int timeout_ms);
// Cancels it if it is under way, and gives it back.
void ee_exchange_end(struct ee_rest *rest, struct ee_exchange *exchange);

#endif
