// SPDX-License-Identifier: Apache-2.0
// The pool is told by the same stories as envelope-traffic's.
#include "tests/simulate/pool.h"

#include <stdio.h>
#include <stdlib.h>

#include "contract/event_line.h"
#include "contract/policy_file.h"
#include "tools/envelope-traffic/traffic.h"

#define POOL_MEMORY ((size_t)256 << 20)
#define FRAMED_MAX ((size_t)1 << 20)
#define STORIES_AT INT64_C(1780000000000000)  // UTC microseconds

static const char *const policies[] = {
    "{\"name\":\"simulated\",\"rules\":[{\"name\":\"review\",\"match\":{},\"obligations\":"
    "[{\"name\":\"review\",\"obligation\":\"audit_disclosure\",\"due_after_ms\":600000}]}]}",
    "{\"name\":\"simulated\",\"rules\":[{\"name\":\"names\",\"match\":{},"
    "\"redact\":[\"caller.requester_urn\"]}]}",
};

static void give_up(const char *what, const char *why) {
  fprintf(stderr, "simulate: %s: %s\n", what, why);
  exit(1);
}

static struct ee_bytes kept(struct pool *pool, struct ee_bytes bytes) {
  struct ee_str copy = ee_arena_str(&pool->arena, ee_bytes_str(bytes));
  if (copy.data == NULL) give_up("the pool", "memory is out");
  return ee_str_bytes(copy);
}

static struct pool_event framed(struct pool *pool, struct ee_codec *codec, enum ee_topic topic,
                                struct ee_str key, const void *record) {
  struct ee_bytes prefix;
  struct ee_err err;
  struct ee_buf buf;
  ee_buf_init(&buf, FRAMED_MAX);
  if (ee_codec_prefix(codec, topic, 0, &prefix, &err) != EE_CODEC_READY) {
    give_up("the codec", err.text);
  }
  ee_buf_append(&buf, prefix.data, prefix.size);
  ee_encode(ee_topics[topic].value, record, &buf);
  if (buf.failed) give_up("the pool", "an event is too large");
  struct pool_event event = {.topic = topic,
                             .key = kept(pool, ee_str_bytes(key)),
                             .value = kept(pool, ee_buf_bytes(&buf))};
  ee_buf_release(&buf);
  return event;
}

static struct pool_event read_line(struct pool *pool, struct ee_codec *codec, const char *text) {
  const struct ee_line_defaults defaults = {.envelope_id = EE_STR("none"),
                                            .event_id = EE_STR("none"),
                                            .source = EE_STR("urn:simulate"),
                                            .occurred_at = STORIES_AT};
  struct ee_arena arena;
  struct ee_event_line line;
  struct ee_line_fault fault;
  ee_arena_init(&arena, POOL_MEMORY);
  if (!ee_event_line_read(ee_str(text), &defaults, &arena, &line, &fault)) {
    give_up(text, fault.fault.detail);
  }
  struct pool_event event = framed(pool, codec, line.topic, line.envelope_id, line.record);
  event.event_id = ee_bytes_str(kept(pool, ee_str_bytes(line.event_id)));
  ee_arena_release(&arena);
  return event;
}

static int by_time(const void *a, const void *b) {
  const struct line *x = a, *y = b;
  if (x->sent_at != y->sent_at) return x->sent_at < y->sent_at ? -1 : 1;
  return x->number < y->number ? -1 : x->number > y->number;
}

static bool has_repeats(const struct pool_envelope *envelope) {
  for (size_t i = 0; i < envelope->count; i++) {
    for (size_t j = 0; j < i; j++) {
      const struct pool_event *a = &envelope->events[i], *b = &envelope->events[j];
      if (a->topic != b->topic) continue;
      if (a->topic == EE_TOPIC_ADMISSION || ee_str_equal(a->event_id, b->event_id)) return true;
    }
  }
  return false;
}

static struct pool_envelope make_envelope(struct pool *pool, struct ee_codec *codec,
                                          const struct story_model *model, struct random *random,
                                          size_t number) {
  struct lines lines = {.items = NULL};
  struct story_sink sink = lines_sink(&lines);
  traffic_tell(model, random, (int64_t)number, STORIES_AT, &sink);
  if (lines.failed) give_up("the pool", "memory is out");
  qsort(lines.items, lines.count, sizeof *lines.items, by_time);
  struct pool_envelope envelope = {
      .events = ee_arena_zero(&pool->arena, lines.count, sizeof *envelope.events),
      .count = lines.count};
  if (envelope.events == NULL) give_up("the pool", "memory is out");
  for (size_t i = 0; i < lines.count; i++) {
    envelope.events[i] = read_line(pool, codec, lines.items[i].text);
  }
  lines_release(&lines);
  envelope.repeats = has_repeats(&envelope);
  return envelope;
}

static struct pool_event make_policy(struct pool *pool, struct ee_codec *codec, const char *text) {
  struct ee_policy policy;
  struct ee_err err;
  struct ee_arena arena;
  ee_arena_init(&arena, POOL_MEMORY);
  if (!ee_policy_file_read(ee_str(text), &arena, &policy, &err)) give_up("a policy", err.text);
  struct pool_event event = framed(pool, codec, EE_TOPIC_POLICY, policy.name, &policy);
  ee_arena_release(&arena);
  return event;
}

void pool_make(struct pool *pool, struct ee_codec *codec, size_t envelopes) {
  struct random random = {.state = 1};
  struct tenants tenants;
  struct ee_err err;
  if (!tenants_init(&tenants, TENANTS, TENANT_EXPONENT, &err)) give_up("the pool", err.text);
  struct story_model model = {.tenants = &tenants, .time_scale = 1};
  ee_arena_init(&pool->arena, POOL_MEMORY);
  pool->count = envelopes;
  pool->envelopes = ee_arena_zero(&pool->arena, envelopes, sizeof *pool->envelopes);
  pool->policy_count = sizeof policies / sizeof *policies;
  pool->policies = ee_arena_zero(&pool->arena, pool->policy_count, sizeof *pool->policies);
  if (pool->envelopes == NULL || pool->policies == NULL) give_up("the pool", "memory is out");
  for (size_t i = 0; i < envelopes; i++) {
    pool->envelopes[i] = make_envelope(pool, codec, &model, &random, i);
  }
  tenants_release(&tenants);
  for (size_t i = 0; i < pool->policy_count; i++) {
    pool->policies[i] = make_policy(pool, codec, policies[i]);
  }
}

void pool_free(struct pool *pool) {
  ee_arena_release(&pool->arena);
}
