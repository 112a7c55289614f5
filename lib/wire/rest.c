// SPDX-License-Identifier: Apache-2.0
// HTTP on curl's multi interface. The service is foreign: bodies are bounded, time is
// bounded, redirects are not followed, and no protocol but HTTP(S) is spoken.
#include "wire/rest.h"

#include <stdlib.h>

#include "base/version.h"

#define URL_SIZE_MAX 8192

// Returning another number than was offered ends the exchange.
static size_t take_body(char *data, size_t size, size_t count, void *user) {
  struct ee_buf *answer = user;
  ee_buf_append(answer, data, size * count);
  return answer->failed ? 0 : size * count;
}

static bool set_tls(CURL *easy, const struct ee_registry_settings *settings) {
  bool ok = true;
  if (settings->ca_file != NULL) {
    ok = curl_easy_setopt(easy, CURLOPT_CAINFO, settings->ca_file) == CURLE_OK;
  }
  if (ok && settings->certificate != NULL) {
    const char *key = settings->key != NULL ? settings->key : settings->certificate;
    ok = curl_easy_setopt(easy, CURLOPT_SSLCERT, settings->certificate) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_SSLKEY, key) == CURLE_OK;
  }
  return ok;
}

// What all requests of an exchange have in common.
static bool set_up(struct ee_rest *rest, struct ee_exchange *exchange,
                   const struct ee_registry_settings *settings) {
  CURL *easy = exchange->easy = curl_easy_init();
  long timeout_ms = settings->timeout_ms > INT32_MAX ? INT32_MAX : (long)settings->timeout_ms;
  ee_buf_init(&exchange->url, URL_SIZE_MAX);
  ee_buf_init(&exchange->answer, rest->answer_max);
  if (easy == NULL) return false;
  bool ok = curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
            curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
            curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
            // A resolver thread that hangs is left behind rather than waited for.
            curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK &&
            curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout_ms) == CURLE_OK &&
            curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, timeout_ms) == CURLE_OK &&
            curl_easy_setopt(easy, CURLOPT_USERAGENT, "envelope/" EE_VERSION) == CURLE_OK &&
            curl_easy_setopt(easy, CURLOPT_HTTPHEADER, rest->headers) == CURLE_OK &&
            curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body) == CURLE_OK &&
            curl_easy_setopt(easy, CURLOPT_WRITEDATA, &exchange->answer) == CURLE_OK &&
            curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange->words) == CURLE_OK &&
            curl_easy_setopt(easy, CURLOPT_PRIVATE, exchange) == CURLE_OK;
  if (ok && settings->user != NULL) {
    ok = curl_easy_setopt(easy, CURLOPT_HTTPAUTH, CURLAUTH_BASIC) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_USERPWD, settings->user) == CURLE_OK;
  }
  return ok && set_tls(easy, settings);
}

static bool has_part(CURLU *url, CURLUPart part) {
  char *text = NULL;
  bool has = curl_url_get(url, part, &text, 0) == CURLUE_OK;
  curl_free(text);
  return has;
}

// A copy of the text as one URL that paths can be appended to, or NULL with the error. The
// error does not repeat a text that may hold a password.
static char *checked_url(const char *text, struct ee_err *err) {
  char *normal = NULL, *copy = NULL;
  CURLU *url = curl_url();
  if (url == NULL) {
    ee_err_set(err, "memory is out");
    return NULL;
  }
  bool parsed = curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK;
  if (parsed && (has_part(url, CURLUPART_USER) || has_part(url, CURLUPART_PASSWORD))) {
    ee_err_set(err,
               "a registry URL may not hold a user or password, since URLs are logged: "
               "give them by their own option");
  } else if (!parsed || has_part(url, CURLUPART_QUERY) || has_part(url, CURLUPART_FRAGMENT) ||
             curl_url_get(url, CURLUPART_URL, &normal, 0) != CURLUE_OK ||
             (strncmp(normal, "http://", 7) != 0 && strncmp(normal, "https://", 8) != 0)) {
    ee_err_set(err, "not a registry URL (http://HOST:PORT or https://HOST:PORT)%s%s",
               strchr(text, '@') == NULL ? ": " : "", strchr(text, '@') == NULL ? text : "");
  } else {
    size_t size = strlen(normal);
    while (normal[size - 1] == '/')
      size--;
    copy = strndup(normal, size);
    if (copy == NULL) ee_err_set(err, "memory is out");
  }
  curl_free(normal);
  curl_url_cleanup(url);
  return copy;
}

static bool take_urls(struct ee_rest *rest, const char *list, struct ee_err *err) {
  static const char space[] = " \t";
  for (const char *next = list; next != NULL;) {
    const char *start = next + strspn(next, space);
    size_t size = strcspn(start, ",");
    next = start[size] == ',' ? start + size + 1 : NULL;
    while (size > 0 && strchr(space, start[size - 1]) != NULL)
      size--;
    if (rest->url_count == EE_REGISTRY_URLS_MAX) {
      return ee_err_set(err, "more than %d registry URLs", EE_REGISTRY_URLS_MAX);
    }
    char *text = strndup(start, size);
    if (text == NULL) return ee_err_set(err, "memory is out");
    char *url = checked_url(text, err);
    free(text);
    if (url == NULL) return false;
    rest->urls[rest->url_count++] = url;
  }
  return true;
}

static bool take_headers(struct ee_rest *rest) {
  static const char *const headers[] = {
      "Accept: application/vnd.schemaregistry.v1+json, application/json",
      "Content-Type: application/vnd.schemaregistry.v1+json"};
  for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
    struct curl_slist *longer = curl_slist_append(rest->headers, headers[i]);
    if (longer == NULL) return false;
    rest->headers = longer;
  }
  return true;
}

bool ee_rest_init(struct ee_rest *rest, const struct ee_registry_settings *settings,
                  size_t answer_max, struct ee_err *err) {
  *rest = (struct ee_rest){.answer_max = answer_max};
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
    return ee_err_set(err, "libcurl cannot be initialised");
  }
  rest->multi = curl_multi_init();
  bool ok = rest->multi != NULL && take_headers(rest);
  if (!ok) ee_err_set(err, "memory is out");
  ok = ok && take_urls(rest, settings->url, err);
  for (size_t i = 0; ok && i < EE_REST_EXCHANGES_MAX; i++) {
    ok = set_up(rest, &rest->exchanges[i], settings);
    if (!ok) ee_err_set(err, "libcurl cannot be set up for a schema registry");
  }
  if (!ok) ee_rest_release(rest);
  return ok;
}

void ee_rest_release(struct ee_rest *rest) {
  for (size_t i = 0; i < EE_REST_EXCHANGES_MAX; i++) {
    struct ee_exchange *exchange = &rest->exchanges[i];
    if (exchange->used) ee_exchange_end(rest, exchange);
    curl_easy_cleanup(exchange->easy);
    ee_buf_release(&exchange->url);
    ee_buf_release(&exchange->answer);
  }
  for (size_t i = 0; i < rest->url_count; i++)
    free(rest->urls[i]);
  curl_slist_free_all(rest->headers);
  curl_multi_cleanup(rest->multi);
  curl_global_cleanup();
  *rest = (struct ee_rest){.multi = NULL};
}

static bool set_request(struct ee_exchange *exchange, const char *method,
                        const struct ee_buf *body) {
  CURL *easy = exchange->easy;
  const char *custom = strcmp(method, "PUT") == 0 ? method : NULL;
  bool ok = curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, custom) == CURLE_OK &&
            curl_easy_setopt(easy, CURLOPT_URL, (const char *)exchange->url.data) == CURLE_OK;
  if (body == NULL) return ok && curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L) == CURLE_OK;
  return ok && curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body->data) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body->size) == CURLE_OK;
}

static struct ee_exchange *unused(struct ee_rest *rest) {
  for (size_t i = 0; i < EE_REST_EXCHANGES_MAX; i++) {
    if (!rest->exchanges[i].used) return &rest->exchanges[i];
  }
  return NULL;
}

struct ee_exchange *ee_rest_begin(struct ee_rest *rest, size_t url, const char *method,
                                  const char *path, const struct ee_buf *body) {
  struct ee_exchange *exchange = unused(rest);
  if (exchange == NULL) return NULL;
  ee_buf_clear(&exchange->url);
  ee_buf_clear(&exchange->answer);
  ee_buf_text(&exchange->url, rest->urls[url]);
  ee_buf_text(&exchange->url, path);
  ee_buf_byte(&exchange->url, 0);
  if (exchange->url.failed || !set_request(exchange, method, body)) return NULL;
  exchange->status = 0;
  exchange->words[0] = '\0';
  exchange->done = false;
  if (curl_multi_add_handle(rest->multi, exchange->easy) != CURLM_OK) return NULL;
  exchange->used = true;
  return exchange;
}

static void finish(struct ee_exchange *exchange, CURLcode result, size_t answer_max) {
  exchange->done = true;
  if (result == CURLE_OK) {
    curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &exchange->status);
  } else if (exchange->answer.failed) {
    snprintf(exchange->words, sizeof exchange->words,
             "the answer has more than %zu bytes (or memory is out)", answer_max);
  } else if (exchange->words[0] == '\0') {
    snprintf(exchange->words, sizeof exchange->words, "%s", curl_easy_strerror(result));
  }
}

void ee_rest_turn(struct ee_rest *rest) {
  int running, left;
  curl_multi_perform(rest->multi, &running);
  for (CURLMsg *message; (message = curl_multi_info_read(rest->multi, &left)) != NULL;) {
    struct ee_exchange *exchange = NULL;
    if (message->msg != CURLMSG_DONE) continue;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &exchange);
    if (exchange != NULL) finish(exchange, message->data.result, rest->answer_max);
  }
}

void ee_rest_wait(struct ee_rest *rest, int timeout_ms) {
  curl_multi_poll(rest->multi, NULL, 0, timeout_ms, NULL);
}

void ee_exchange_end(struct ee_rest *rest, struct ee_exchange *exchange) {
  curl_multi_remove_handle(rest->multi, exchange->easy);
  exchange->used = false;
}
