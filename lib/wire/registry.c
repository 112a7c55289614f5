// SPDX-License-Identifier: Apache-2.0
// Look-ups in a schema registry: a bounded table of questions, moved on by turns. A
// question goes from URL to URL; when none has answered, the disk's word is taken, or else
// it waits with backoff.
#include "wire/registry.h"

#include <inttypes.h>
#include <nettle/sha2.h>
#include <stdlib.h>

#include "base/hash.h"
#include "contract/record.h"
#include "wire/registry_impl.h"

#define BACKOFF_LEAST_MS INT64_C(100)
#define BACKOFF_MOST_MS INT64_C(10000)
#define PATH_SIZE_MAX 4096

int64_t ee_registry_backoff_ms(unsigned rounds_failed, uint64_t random) {
  int64_t pause_ms = BACKOFF_LEAST_MS;
  for (unsigned i = 1; i < rounds_failed && pause_ms < BACKOFF_MOST_MS; i++)
    pause_ms *= 2;
  if (pause_ms > BACKOFF_MOST_MS) pause_ms = BACKOFF_MOST_MS;
  return pause_ms - (int64_t)(random % (uint64_t)(pause_ms / 2 + 1));
}

void ee_url_escape(struct ee_buf *out, const char *text) {
  static const char unreserved[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  for (; *text != '\0'; text++) {
    if (strchr(unreserved, *text) != NULL) {
      ee_buf_byte(out, (uint8_t)*text);
    } else {
      ee_buf_printf(out, "%%%02X", (unsigned)(unsigned char)*text);
    }
  }
}

void ee_schema_request(struct ee_buf *out, struct ee_str schema) {
  ee_buf_text(out, "{\"schema\":");
  ee_buf_json_string(out, schema);
  ee_buf_byte(out, '}');
}

// The URLs on one line: what the registry is called in its cache.
static bool open_cache(struct ee_registry *registry, const char *directory, struct ee_err *err) {
  struct ee_buf name;
  ee_buf_init(&name, PATH_SIZE_MAX);
  for (size_t i = 0; i < registry->rest.url_count; i++) {
    if (i != 0) ee_buf_byte(&name, ',');
    ee_buf_text(&name, registry->rest.urls[i]);
  }
  ee_buf_byte(&name, 0);
  bool ok = name.failed
                ? ee_err_set(err, "the registry URLs have more than %d bytes", PATH_SIZE_MAX - 1)
                : ee_registry_cache_init(&registry->cache, directory, (char *)name.data, err);
  ee_buf_release(&name);
  return ok;
}

static bool check_settings(const struct ee_registry_settings *settings, struct ee_err *err) {
  if (settings->url == NULL) return ee_err_set(err, "no registry URL is given");
  if (settings->timeout_ms < 1) return ee_err_set(err, "the registry's timeout is below 1 ms");
  if (settings->user != NULL && strchr(settings->user, ':') == NULL) {
    return ee_err_set(err, "the registry's user is not of the form user:password");
  }
  if (settings->key != NULL && settings->certificate == NULL) {
    return ee_err_set(err, "the registry's client key is given without a certificate");
  }
  return true;
}

bool ee_registry_new(const struct ee_registry_settings *settings, struct ee_registry **ret,
                     struct ee_err *err) {
  if (!check_settings(settings, err)) return false;
  struct ee_registry *registry = calloc(1, sizeof *registry);
  if (registry == NULL) return ee_err_set(err, "memory is out");
  if (!ee_rest_init(&registry->rest, settings, EE_ANSWER_SIZE_MAX, err)) {
    free(registry);
    return false;
  }
  if (!open_cache(registry, settings->cache_directory, err)) {
    ee_registry_free(registry);
    return false;
  }
  *ret = registry;
  return true;
}

static void free_lookup(struct ee_registry *registry, struct ee_registry_lookup *lookup) {
  if (lookup->exchange != NULL) ee_exchange_end(&registry->rest, lookup->exchange);
  ee_buf_release(&lookup->path);
  ee_buf_release(&lookup->body);
  ee_buf_release(&lookup->text);
  free(lookup);
}

static void drop_lookup(struct ee_registry *registry, size_t at) {
  free_lookup(registry, registry->lookups[at]);
  registry->lookups[at] = registry->lookups[--registry->count];
}

void ee_registry_free(struct ee_registry *registry) {
  if (registry == NULL) return;
  while (registry->count > 0)
    drop_lookup(registry, registry->count - 1);
  ee_rest_release(&registry->rest);
  ee_registry_cache_release(&registry->cache);
  free(registry);
}

// ---- The table.

static size_t bytes_held(const struct ee_registry *registry) {
  size_t bytes = 0;
  for (size_t i = 0; i < registry->count; i++) {
    const struct ee_registry_lookup *lookup = registry->lookups[i];
    bytes += lookup->path.capacity + lookup->body.capacity + lookup->text.capacity;
  }
  return bytes;
}

// Drops the answered look-up, other than `kept`, that was unused longest. Those without an
// answer stay: somebody waits for them.
static bool drop_oldest(struct ee_registry *registry, const struct ee_registry_lookup *kept) {
  size_t oldest = registry->count;
  for (size_t i = 0; i < registry->count; i++) {
    const struct ee_registry_lookup *lookup = registry->lookups[i];
    if (!lookup->answered || lookup == kept) continue;
    if (oldest == registry->count || lookup->used_ms < registry->lookups[oldest]->used_ms) {
      oldest = i;
    }
  }
  if (oldest == registry->count) return false;
  drop_lookup(registry, oldest);
  return true;
}

static bool make_room(struct ee_registry *registry, const struct ee_registry_lookup *kept) {
  while (bytes_held(registry) > EE_REGISTRY_BYTES_MAX) {
    if (!drop_oldest(registry, kept)) return false;
  }
  return true;
}

static struct ee_registry_lookup *find(const struct ee_registry *registry, const char *key) {
  for (size_t i = 0; i < registry->count; i++) {
    if (strcmp(registry->lookups[i]->key, key) == 0) return registry->lookups[i];
  }
  return NULL;
}

static void ask_again(struct ee_registry *registry, struct ee_registry_lookup *lookup,
                      int64_t now_ms) {
  lookup->answered = false;
  lookup->url = registry->url;
  lookup->due_ms = now_ms;
  registry->unbegun = true;
}

// A look-up whose request the caller fills in; NULL when there is no room for one more.
static struct ee_registry_lookup *add(struct ee_registry *registry, enum ee_question question,
                                      const char *key, int64_t now_ms) {
  if (registry->count == EE_REGISTRY_LOOKUPS_MAX && !drop_oldest(registry, NULL)) return NULL;
  if (!make_room(registry, NULL)) return NULL;
  struct ee_registry_lookup *lookup = calloc(1, sizeof *lookup);
  if (lookup == NULL) return NULL;
  lookup->question = question;
  memcpy(lookup->key, key, strlen(key) + 1);
  ee_buf_init(&lookup->path, PATH_SIZE_MAX);
  ee_buf_init(&lookup->body, EE_REGISTRY_BODY_MAX);
  ee_buf_init(&lookup->text, EE_SCHEMA_SIZE_MAX);
  ask_again(registry, lookup, now_ms);
  registry->lookups[registry->count++] = lookup;
  return lookup;
}

// Ends the path, and drops a look-up whose request could not be written.
static struct ee_registry_lookup *complete(struct ee_registry *registry,
                                           struct ee_registry_lookup *lookup) {
  ee_buf_byte(&lookup->path, 0);
  if (!lookup->path.failed && !lookup->body.failed) return lookup;
  drop_lookup(registry, registry->count - 1);
  return NULL;
}

// Notes that the look-up was asked about. False while it has no answer (that still counts).
static bool answered(struct ee_registry *registry, struct ee_registry_lookup *lookup,
                     int64_t now_ms) {
  if (lookup == NULL) return false;
  lookup->used_ms = now_ms;
  if (lookup->answered && lookup->answer == EE_ANSWER_ABSENT &&
      now_ms - lookup->answered_ms >= EE_REGISTRY_ABSENT_MS) {
    ask_again(registry, lookup, now_ms);
  }
  return lookup->answered;
}

enum ee_lookup ee_registry_schema(struct ee_registry *registry, int32_t id, int64_t now_ms,
                                  struct ee_str *ret_schema, struct ee_fault *fault) {
  char key[EE_LOOKUP_KEY_SIZE];
  snprintf(key, sizeof key, "schema-%" PRId32, id);
  struct ee_registry_lookup *lookup = find(registry, key);
  if (lookup == NULL && (lookup = add(registry, EE_QUESTION_SCHEMA, key, now_ms)) != NULL) {
    ee_buf_printf(&lookup->path, "/schemas/ids/%" PRId32, id);
    lookup = complete(registry, lookup);
  }
  if (!answered(registry, lookup, now_ms)) {
    bool failing = lookup != NULL && lookup->rounds_failed > 0;
    ee_fault_set(fault, EE_ACCEPTED, 0, "%s", failing ? registry->trouble.text : "");
    return EE_LOOKUP_PENDING;
  }
  if (lookup->answer == EE_ANSWER_ABSENT) return EE_LOOKUP_ABSENT;
  if (lookup->answer == EE_ANSWER_FOUND) {
    *ret_schema = ee_buf_view(&lookup->text);
    return EE_LOOKUP_FOUND;
  }
  enum ee_reason reason =
      lookup->answer == EE_ANSWER_OVERSIZED ? EE_REASON_oversized : EE_REASON_wrong_schema;
  ee_fault_set(fault, reason, 0, "schema %" PRId32 ": %.*s", id,
               EE_STR_ARG(ee_buf_view(&lookup->text)));
  return EE_LOOKUP_UNUSABLE;
}

// id-<hex SHA-256 of subject, NUL, schema>
static void id_key(const char *subject, struct ee_str schema, char out[EE_LOOKUP_KEY_SIZE]) {
  struct sha256_ctx state;
  uint8_t digest[EE_SHA256_SIZE];
  sha256_init(&state);
  sha256_update(&state, strlen(subject) + 1, (const uint8_t *)subject);
  sha256_update(&state, schema.size, (const uint8_t *)schema.data);
  sha256_digest(&state, sizeof digest, digest);
  memcpy(out, "id-", 3);
  ee_hex(ee_bytes(digest, sizeof digest), out + 3);
}

enum ee_lookup ee_registry_id(struct ee_registry *registry, const char *subject,
                              struct ee_str schema, int64_t now_ms, int32_t *ret_id) {
  char key[EE_LOOKUP_KEY_SIZE];
  id_key(subject, schema, key);
  struct ee_registry_lookup *lookup = find(registry, key);
  if (lookup == NULL && (lookup = add(registry, EE_QUESTION_ID, key, now_ms)) != NULL) {
    ee_buf_text(&lookup->path, "/subjects/");
    ee_url_escape(&lookup->path, subject);
    ee_schema_request(&lookup->body, schema);
    lookup = complete(registry, lookup);
  }
  if (!answered(registry, lookup, now_ms)) return EE_LOOKUP_PENDING;
  if (lookup->answer == EE_ANSWER_ABSENT) return EE_LOOKUP_ABSENT;
  *ret_id = lookup->id;
  return EE_LOOKUP_FOUND;
}

// ---- Turns.

static enum ee_answer read_answer(struct ee_registry_lookup *lookup, long status,
                                  struct ee_bytes body, struct ee_err *why) {
  if (lookup->question == EE_QUESTION_ID) return ee_answer_id(status, body, &lookup->id, why);
  return ee_answer_schema(status, body, &lookup->text, why);
}

// Takes a definite answer. False when there is no memory to keep it in.
static bool take(struct ee_registry *registry, struct ee_registry_lookup *lookup,
                 enum ee_answer answer, const struct ee_err *why, int64_t now_ms) {
  if (answer == EE_ANSWER_UNUSABLE || answer == EE_ANSWER_OVERSIZED) {
    ee_buf_clear(&lookup->text);
    ee_buf_text(&lookup->text, why->text);
    if (lookup->text.failed) return false;
  }
  lookup->answer = answer;
  lookup->answered = true;
  lookup->answered_ms = now_ms;
  lookup->urls_failed = 0;
  lookup->rounds_failed = 0;
  make_room(registry, lookup);
  return true;
}

static bool take_from_disk(struct ee_registry *registry, struct ee_registry_lookup *lookup,
                           int64_t now_ms) {
  struct ee_buf file;
  ee_buf_init(&file, EE_ANSWER_SIZE_MAX + EE_CACHE_HEAD_MAX);
  struct ee_bytes body;
  struct ee_err why;
  bool taken = false;
  if (ee_registry_cache_get(&registry->cache, lookup->key, &file, &body)) {
    enum ee_answer answer = read_answer(lookup, 200, body, &why);
    taken = answer != EE_ANSWER_TROUBLE && take(registry, lookup, answer, &why, now_ms);
  }
  ee_buf_release(&file);
  return taken;
}

// The next URL at once; after the last one the disk, or a pause.
static void fail(struct ee_registry *registry, struct ee_registry_lookup *lookup,
                 const struct ee_err *why, int64_t now_ms) {
  ee_err_set(&registry->trouble, "%s%s: %s", registry->rest.urls[lookup->url],
             (const char *)lookup->path.data, why->text);
  lookup->url = (lookup->url + 1) % registry->rest.url_count;
  lookup->due_ms = now_ms;
  if (++lookup->urls_failed < registry->rest.url_count) return;
  lookup->urls_failed = 0;
  if (take_from_disk(registry, lookup, now_ms)) return;
  if (lookup->rounds_failed++ == 0) lookup->failing_since_ms = now_ms;
  uint64_t random = ee_hash(&now_ms, sizeof now_ms) ^ ee_hash(lookup->key, strlen(lookup->key));
  lookup->due_ms = now_ms + ee_registry_backoff_ms(lookup->rounds_failed, random);
}

static void settle(struct ee_registry *registry, struct ee_registry_lookup *lookup,
                   int64_t now_ms) {
  struct ee_exchange *exchange = lookup->exchange;
  struct ee_bytes body = ee_buf_bytes(&exchange->answer);
  struct ee_err why;
  enum ee_answer answer = EE_ANSWER_TROUBLE;
  if (exchange->status == 0) {
    ee_err_set(&why, "%s", exchange->words);
  } else {
    answer = read_answer(lookup, exchange->status, body, &why);
  }
  if (answer != EE_ANSWER_TROUBLE && !take(registry, lookup, answer, &why, now_ms)) {
    answer = EE_ANSWER_TROUBLE;
    ee_err_set(&why, "memory is out");
  }
  if (answer == EE_ANSWER_ABSENT) {
    ee_registry_cache_remove(&registry->cache, lookup->key);
  } else if (answer != EE_ANSWER_TROUBLE) {
    ee_registry_cache_put(&registry->cache, lookup->key, body);
  }
  if (answer != EE_ANSWER_TROUBLE) registry->url = lookup->url;
  lookup->exchange = NULL;
  ee_exchange_end(&registry->rest, exchange);
  if (answer == EE_ANSWER_TROUBLE) fail(registry, lookup, &why, now_ms);
}

static void forget_unasked(struct ee_registry *registry, int64_t now_ms) {
  for (size_t i = registry->count; i > 0; i--) {
    const struct ee_registry_lookup *lookup = registry->lookups[i - 1];
    if (!lookup->answered && now_ms - lookup->used_ms >= EE_REGISTRY_FORGET_MS) {
      drop_lookup(registry, i - 1);
    }
  }
}

static bool is_done(const struct ee_registry_lookup *lookup) {
  return lookup->exchange != NULL && lookup->exchange->done;
}

// One exchange is left for tools.
static void begin_due(struct ee_registry *registry, int64_t now_ms) {
  size_t under_way = 0;
  registry->unbegun = false;
  for (size_t i = 0; i < registry->count; i++)
    under_way += registry->lookups[i]->exchange != NULL;
  for (size_t i = 0; i < registry->count && under_way < EE_REST_EXCHANGES_MAX - 1; i++) {
    struct ee_registry_lookup *lookup = registry->lookups[i];
    if (lookup->answered || lookup->exchange != NULL || lookup->due_ms > now_ms) continue;
    bool id = lookup->question == EE_QUESTION_ID;
    lookup->exchange = ee_rest_begin(&registry->rest, lookup->url, id ? "POST" : "GET",
                                     (const char *)lookup->path.data, id ? &lookup->body : NULL);
    if (lookup->exchange == NULL) return;  // memory is out: the next turn tries again
    under_way++;
  }
}

void ee_registry_turn(struct ee_registry *registry, int64_t now_ms) {
  forget_unasked(registry, now_ms);
  ee_rest_turn(&registry->rest);
  // Settling one may drop others, which then move to places already passed: those are
  // settled in the next turn.
  for (size_t i = 0; i < registry->count; i++) {
    struct ee_registry_lookup *lookup = registry->lookups[i];
    if (is_done(lookup)) settle(registry, lookup, now_ms);
  }
  begin_due(registry, now_ms);
  ee_rest_turn(&registry->rest);
}

void ee_registry_wait(struct ee_registry *registry, int timeout_ms) {
  bool can_move_on = registry->unbegun;
  for (size_t i = 0; i < registry->count && !can_move_on; i++)
    can_move_on = is_done(registry->lookups[i]);
  if (!can_move_on) ee_rest_wait(&registry->rest, timeout_ms);
}

const char *ee_registry_trouble(const struct ee_registry *registry, int64_t *ret_since_ms) {
  bool failing = false;
  for (size_t i = 0; i < registry->count; i++) {
    const struct ee_registry_lookup *lookup = registry->lookups[i];
    if (lookup->rounds_failed == 0) continue;
    if (!failing || lookup->failing_since_ms < *ret_since_ms) {
      *ret_since_ms = lookup->failing_since_ms;
    }
    failing = true;
  }
  return failing ? registry->trouble.text : NULL;
}
