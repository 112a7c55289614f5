// SPDX-License-Identifier: Apache-2.0
// What only tools ask of a registry: one question at a time, waited for.
#include "contract/record.h"
#include "wire/registry.h"
#include "wire/registry_impl.h"

#define PATH_SIZE_MAX 4096

struct request {
  const char *method;
  struct ee_buf path, body;
};

// /prefix/SUBJECT/suffix
static void request_init(struct request *request, const char *method, const char *prefix,
                         const char *subject, const char *suffix) {
  request->method = method;
  ee_buf_init(&request->path, PATH_SIZE_MAX);
  ee_buf_init(&request->body, EE_REGISTRY_BODY_MAX);
  ee_buf_text(&request->path, prefix);
  ee_url_escape(&request->path, subject);
  ee_buf_text(&request->path, suffix);
  ee_buf_byte(&request->path, 0);
}

static void request_release(struct request *request) {
  ee_buf_release(&request->path);
  ee_buf_release(&request->body);
}

// One URL's answer; the caller ends the exchange. NULL with the error when none came or the
// server failed.
static struct ee_exchange *ask_url(struct ee_registry *registry, size_t url,
                                   const struct request *request, struct ee_err *err) {
  struct ee_rest *rest = &registry->rest;
  const char *path = (const char *)request->path.data;
  struct ee_exchange *exchange = ee_rest_begin(rest, url, request->method, path, &request->body);
  if (exchange == NULL) {
    ee_err_set(err, "memory is out");
    return NULL;
  }
  for (ee_rest_turn(rest); !exchange->done; ee_rest_turn(rest))
    ee_rest_wait(rest, 1000);
  if (exchange->status != 0 && exchange->status < 500) return exchange;
  if (exchange->status == 0) {
    ee_err_set(err, "%s%s: %s", rest->urls[url], path, exchange->words);
  } else {
    ee_answer_done(exchange->status, ee_buf_bytes(&exchange->answer), err);
    ee_err_prefix(err, "%s%s", rest->urls[url], path);
  }
  ee_exchange_end(rest, exchange);
  return NULL;
}

static struct ee_exchange *ask(struct ee_registry *registry, const struct request *request,
                               struct ee_err *err) {
  if (request->path.failed || request->body.failed) {
    ee_err_set(err, "the request is too long, its schema is not UTF-8, or memory is out");
    return NULL;
  }
  for (size_t i = 0; i < registry->rest.url_count; i++) {
    size_t url = (registry->url + i) % registry->rest.url_count;
    struct ee_exchange *exchange = ask_url(registry, url, request, err);
    if (exchange != NULL) {
      registry->url = url;
      return exchange;
    }
  }
  return NULL;
}

bool ee_registry_register(struct ee_registry *registry, const char *subject, struct ee_str schema,
                          int32_t *ret_id, struct ee_err *err) {
  struct request request;
  request_init(&request, "POST", "/subjects/", subject, "/versions");
  ee_schema_request(&request.body, schema);
  bool ok = false;
  struct ee_exchange *exchange = ask(registry, &request, err);
  if (exchange != NULL) {
    struct ee_err why;
    ee_err_set(&why, "HTTP %ld", exchange->status);
    ok = ee_answer_id(exchange->status, ee_buf_bytes(&exchange->answer), ret_id, &why) ==
         EE_ANSWER_FOUND;
    if (!ok) ee_err_set(err, "%s: %s", subject, why.text);
    ee_exchange_end(&registry->rest, exchange);
  }
  request_release(&request);
  return ok;
}

bool ee_registry_check(struct ee_registry *registry, const char *subject, struct ee_str schema,
                       bool *ret_compatible, struct ee_err *why_not, struct ee_err *err) {
  struct request request;
  request_init(&request, "POST", "/compatibility/subjects/", subject, "/versions?verbose=true");
  ee_schema_request(&request.body, schema);
  enum ee_answer answer = EE_ANSWER_TROUBLE;
  struct ee_exchange *exchange = ask(registry, &request, err);
  if (exchange != NULL) {
    struct ee_err why;
    answer = ee_answer_compatible(exchange->status, ee_buf_bytes(&exchange->answer), ret_compatible,
                                  why_not, &why);
    if (answer == EE_ANSWER_ABSENT) *ret_compatible = true;
    if (answer == EE_ANSWER_TROUBLE) ee_err_set(err, "%s: %s", subject, why.text);
    ee_exchange_end(&registry->rest, exchange);
  }
  request_release(&request);
  return answer != EE_ANSWER_TROUBLE;
}

bool ee_registry_set_compatibility(struct ee_registry *registry, const char *subject,
                                   const char *level, struct ee_err *err) {
  struct request request;
  request_init(&request, "PUT", "/config/", subject, "");
  ee_buf_text(&request.body, "{\"compatibility\":");
  ee_buf_json_string(&request.body, ee_str(level));
  ee_buf_byte(&request.body, '}');
  bool ok = false;
  struct ee_exchange *exchange = ask(registry, &request, err);
  if (exchange != NULL) {
    struct ee_err why;
    ok = ee_answer_done(exchange->status, ee_buf_bytes(&exchange->answer), &why) == EE_ANSWER_FOUND;
    if (!ok) ee_err_set(err, "%s: %s", subject, why.text);
    ee_exchange_end(&registry->rest, exchange);
  }
  request_release(&request);
  return ok;
}
