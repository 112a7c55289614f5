// SPDX-License-Identifier: Apache-2.0
// Each committed record becomes an item (topic, key, value). Of a topic that holds states the
// last one by key counts; ledger entries are summed; of the others each record counts.
#include "tests/simulate/outputs.h"

#include <stdlib.h>

#include "base/arena.h"
#include "contract/json.h"
#include "contract/record.h"

#define MEMORY_MAX ((size_t)256 << 20)
#define KEY_MAX ((size_t)1 << 20)

struct item {
  enum ee_topic topic;
  struct ee_bytes key, value;
  size_t number;  // of equal keys the later written is the higher
  ee_int128 sums[3];
};

struct outputs {
  struct ee_arena arena;
  struct item *items;
  size_t count, room;
};

// Topics by how their records count.
static bool is_state(enum ee_topic topic) {
  return topic == EE_TOPIC_LIFECYCLE || topic == EE_TOPIC_USAGE_TENANT ||
         topic == EE_TOPIC_GOVERNANCE;
}
static bool is_derived(enum ee_topic topic) {
  return is_state(topic) || topic == EE_TOPIC_VIOLATION || topic == EE_TOPIC_USAGE ||
         topic == EE_TOPIC_AUDIT || topic == EE_TOPIC_DEADLETTER;
}

static bool keep(struct outputs *outputs, struct ee_bytes bytes, struct ee_bytes *ret) {
  struct ee_str copy = ee_arena_str(&outputs->arena, ee_bytes_str(bytes));
  *ret = ee_str_bytes(copy);
  return bytes.data == NULL || copy.data != NULL;
}

static bool add(struct outputs *outputs, const struct item *item) {
  if (outputs->count == outputs->room) {
    size_t room = outputs->room == 0 ? 256 : outputs->room * 2;
    struct item *items = realloc(outputs->items, room * sizeof *items);
    if (items == NULL) return false;
    outputs->items = items;
    outputs->room = room;
  }
  outputs->items[outputs->count] = *item;
  outputs->items[outputs->count].number = outputs->count;
  outputs->count++;
  return true;
}

static bool decode(struct outputs *outputs, struct ee_codec *codec, enum ee_topic topic,
                   struct ee_bytes value, void *ret) {
  const struct ee_plan *plan;
  struct ee_bytes avro;
  struct ee_fault fault;
  return ee_codec_open(codec, ee_topics[topic].value, value, 0, &plan, &avro, &fault) ==
             EE_CODEC_READY &&
         ee_decode(plan, avro, &outputs->arena, ret, &fault);
}

static bool add_usage(struct outputs *outputs, struct ee_codec *codec,
                      const struct ee_message *message) {
  struct ee_usage usage;
  struct ee_buf key;
  if (!decode(outputs, codec, EE_TOPIC_USAGE, message->value, &usage)) return false;
  ee_buf_init_in(&key, &outputs->arena, KEY_MAX);
  ee_buf_json_string(&key, usage.envelope_id);
  ee_buf_json_string(&key, usage.tenant);
  ee_buf_json_string(&key, usage.dimension);
  ee_buf_decimal(&key, usage.window_start);
  struct item item = {.topic = EE_TOPIC_USAGE, .key = ee_buf_bytes(&key)};
  const struct ee_opt_decimal *const amounts[] = {&usage.asked, &usage.granted, &usage.billed};
  for (int i = 0; i < 3; i++) {
    if (amounts[i]->present) item.sums[i] = amounts[i]->value;
  }
  return !key.failed && add(outputs, &item);
}

// An obligation's state stands under its id, not under the record's key.
static bool add_obligation(struct outputs *outputs, struct ee_codec *codec,
                           const struct ee_message *message) {
  struct ee_obligation obligation;
  struct item item = {.topic = EE_TOPIC_GOVERNANCE};
  return decode(outputs, codec, EE_TOPIC_GOVERNANCE, message->value, &obligation) &&
         keep(outputs, ee_str_bytes(obligation.obligation_id), &item.key) &&
         keep(outputs, message->value, &item.value) && add(outputs, &item);
}

// A dead letter is known by its headers.
static bool add_dead_letter(struct outputs *outputs, const struct ee_message *message) {
  struct ee_buf key;
  size_t count;
  const struct ee_header *headers = ee_cluster_headers(message, &count);
  ee_buf_init_in(&key, &outputs->arena, KEY_MAX);
  for (size_t i = 0; i < count; i++) {
    ee_buf_str(&key, headers[i].name);
    ee_buf_byte(&key, '=');
    ee_buf_append(&key, headers[i].value.data, headers[i].value.size);
    ee_buf_byte(&key, ' ');
  }
  struct item item = {.topic = EE_TOPIC_DEADLETTER, .key = ee_buf_bytes(&key)};
  return !key.failed && keep(outputs, message->value, &item.value) && add(outputs, &item);
}

static bool add_message(struct outputs *outputs, struct ee_codec *codec,
                        const struct ee_message *message) {
  enum ee_topic topic = message->tp.topic;
  if (topic == EE_TOPIC_USAGE) return add_usage(outputs, codec, message);
  if (topic == EE_TOPIC_GOVERNANCE) return add_obligation(outputs, codec, message);
  if (topic == EE_TOPIC_DEADLETTER) return add_dead_letter(outputs, message);
  struct item item = {.topic = topic};
  return keep(outputs, message->key, &item.key) && keep(outputs, message->value, &item.value) &&
         add(outputs, &item);
}

static int compare(const void *a, const void *b) {
  const struct item *x = a, *y = b;
  if (x->topic != y->topic) return x->topic < y->topic ? -1 : 1;
  int order = ee_bytes_compare(x->key, y->key);
  if (order == 0 && !is_state(x->topic)) order = ee_bytes_compare(x->value, y->value);
  if (order != 0) return order;
  return x->number < y->number ? -1 : x->number > y->number;
}

static bool is_zero(const struct item *item) {
  return item->sums[0] == 0 && item->sums[1] == 0 && item->sums[2] == 0;
}

// Folds sorted items of one key into one: the last state, the sum.
static void fold(struct outputs *outputs) {
  size_t kept = 0;
  for (size_t i = 0; i < outputs->count; i++) {
    struct item *item = &outputs->items[i];
    struct item *before = kept == 0 ? NULL : &outputs->items[kept - 1];
    bool same =
        before != NULL && before->topic == item->topic && ee_bytes_equal(before->key, item->key);
    if (same && is_state(item->topic)) {
      *before = *item;
    } else if (same && item->topic == EE_TOPIC_USAGE) {
      for (int j = 0; j < 3; j++)
        before->sums[j] += item->sums[j];
    } else {
      outputs->items[kept++] = *item;
    }
  }
  outputs->count = kept;
  kept = 0;
  for (size_t i = 0; i < outputs->count; i++) {
    const struct item *item = &outputs->items[i];
    bool gone = item->topic == EE_TOPIC_USAGE ? is_zero(item)
                                              : is_state(item->topic) && item->value.data == NULL;
    if (!gone) outputs->items[kept++] = *item;
  }
  outputs->count = kept;
}

static bool name(const struct item *item, const char *what, struct ee_err *err) {
  struct ee_str key = ee_bytes_str(item->key);
  return ee_err_set(err, "%s: %s: %.*s", ee_topics[item->topic].name, what,
                    (int)(key.size > 300 ? 300 : key.size), key.data == NULL ? "" : key.data);
}

static void print_item(const struct item *item, struct ee_codec *codec, const char *what,
                       FILE *out) {
  struct outputs scratch = {.items = NULL};
  const struct ee_record_type *type = ee_topics[item->topic].value;
  struct ee_buf text;
  ee_arena_init(&scratch.arena, MEMORY_MAX);
  ee_buf_init_in(&text, &scratch.arena, KEY_MAX);
  void *record = type == NULL ? NULL : ee_arena_alloc(&scratch.arena, type->size);
  if (record != NULL && item->value.data != NULL &&
      decode(&scratch, codec, item->topic, item->value, record)) {
    ee_json_write(type, record, NULL, &text);
  }
  fprintf(out, "  %s %s: %.*s\n", ee_topics[item->topic].name, what, (int)text.size,
          text.data == NULL ? "" : (const char *)text.data);
  ee_arena_release(&scratch.arena);
}

static void print_both(const struct item *a, const struct item *b, struct ee_codec *codec,
                       FILE *out) {
  print_item(a, codec, "found", out);
  print_item(b, codec, "expected", out);
  if (a->topic != EE_TOPIC_USAGE) return;
  for (int i = 0; i < 3; i++) {
    fprintf(out, "  sums: %lld found, %lld expected\n", (long long)a->sums[i],
            (long long)b->sums[i]);
  }
}

// Of what is told once there may be no second one.
static bool check_repeats(const struct outputs *outputs, struct ee_err *err) {
  for (size_t i = 1; i < outputs->count; i++) {
    const struct item *a = &outputs->items[i - 1], *b = &outputs->items[i];
    if (a->topic == b->topic && ee_bytes_equal(a->key, b->key) &&
        ee_bytes_equal(a->value, b->value)) {
      return name(b, "is there twice", err);
    }
  }
  return true;
}

struct outputs *outputs_of(struct ee_cluster *cluster, struct ee_codec *codec, struct ee_err *err) {
  struct outputs *outputs = calloc(1, sizeof *outputs);
  bool good = outputs != NULL || ee_err_set(err, "no memory");
  if (good) ee_arena_init(&outputs->arena, MEMORY_MAX);
  for (enum ee_topic topic = 0; good && topic < EE_TOPIC_COUNT; topic++) {
    if (!is_derived(topic)) continue;
    for (int32_t p = 0; good && p < ee_cluster_partitions(cluster, topic); p++) {
      const struct ee_message *message;
      int64_t offset = 0;
      struct ee_tp tp = {topic, p};
      while (good && (message = ee_cluster_next(cluster, tp, &offset)) != NULL) {
        good = add_message(outputs, codec, message) ||
               ee_err_set(err, "%s [%d] offset %lld: cannot be read", ee_topics[topic].name, (int)p,
                          (long long)message->offset);
      }
    }
  }
  if (good && outputs->count > 0) {
    qsort(outputs->items, outputs->count, sizeof *outputs->items, compare);
    fold(outputs);
    good = check_repeats(outputs, err);
  }
  if (good) return outputs;
  outputs_free(outputs);
  return NULL;
}

void outputs_free(struct outputs *outputs) {
  if (outputs == NULL) return;
  ee_arena_release(&outputs->arena);
  free(outputs->items);
  free(outputs);
}

size_t outputs_count(const struct outputs *outputs) {
  return outputs->count;
}

bool outputs_equal(const struct outputs *found, const struct outputs *expected,
                   struct ee_codec *codec, FILE *details, struct ee_err *err) {
  for (size_t i = 0; i < found->count || i < expected->count; i++) {
    if (i >= expected->count) return name(&found->items[i], "was not expected", err);
    if (i >= found->count) return name(&expected->items[i], "is missing", err);
    const struct item *a = &found->items[i], *b = &expected->items[i];
    int order =
        a->topic != b->topic ? (a->topic < b->topic ? -1 : 1) : ee_bytes_compare(a->key, b->key);
    if (order < 0) return name(a, "was not expected", err);
    if (order > 0) return name(b, "is missing", err);
    if (!ee_bytes_equal(a->value, b->value) || memcmp(a->sums, b->sums, sizeof a->sums) != 0) {
      if (details != NULL) print_both(a, b, codec, details);
      return name(a, "differs", err);
    }
  }
  return true;
}
