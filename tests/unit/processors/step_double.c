// SPDX-License-Identifier: Apache-2.0
// The step double: state as a list of entries behind a small hash table, puts undone when
// a step fails (as the runtime's abort does), wakes by looking at every entry. A step's call
// for which there is no memory fails as the runtime's would; elsewhere that fails the test.
#include "tests/unit/processors/step_double.h"

#include <stdlib.h>

#include "base/hash.h"
#include "contract/record.h"
#include "tests/support/own_plan.h"
#include "tests/support/test.h"

#define BUCKETS 4096
#define PARTITIONS 64
#define ARENA_LIMIT ((size_t)64 << 20)
#define WAKES_MAX 1000000  // of one tick

struct entry {
  int32_t partition;
  uint8_t changelog;
  struct ee_bytes key;    // owned
  struct ee_bytes value;  // owned; data NULL: none
  int64_t wake_at;
  struct entry *next_in_bucket;
};

struct undo {
  struct entry *entry;
  struct ee_bytes value;  // owned
  int64_t wake_at;
};

struct step_double {
  struct ee_processor processor;
  struct entry *buckets[BUCKETS];
  struct entry **entries;  // owned, all of them
  size_t entry_count;
  struct step_output *outputs;
  size_t output_count;
  struct undo *undo;  // of the step under way
  size_t undo_count;
  int64_t clocks[PARTITIONS];
  int64_t judge_from;
  const struct ee_policy_version *policy;
  struct ee_record_number seq, was;
  struct ee_arena arena;        // the step's
  struct ee_arena input_arena;  // the decoded input's
  int fail_at;                  // calls until one fails; 0: none will
  bool failed;                  // one has, in this step
  bool memory_may_fail;
};

struct ee_step {
  struct step_double *owner;
  int32_t partition;
};

static void *checked(void *memory) {
  assert_non_null(memory);
  return memory;
}

static bool copy(struct ee_bytes from, struct ee_bytes *ret) {
  *ret = from;
  if (from.data == NULL) return true;
  uint8_t *data = malloc(from.size == 0 ? 1 : from.size);
  if (data == NULL) return false;
  if (from.size != 0) memcpy(data, from.data, from.size);
  ret->data = data;
  return true;
}

static void free_bytes(struct ee_bytes bytes) {
  free((void *)bytes.data);
}

struct step_double *step_double_new(const struct ee_processor *processor) {
  struct step_double *d = checked(calloc(1, sizeof *d));
  d->processor = *processor;
  d->judge_from = INT64_MIN;
  for (size_t i = 0; i < PARTITIONS; i++) {
    d->clocks[i] = INT64_MIN;
  }
  ee_arena_init(&d->arena, ARENA_LIMIT);
  ee_arena_init(&d->input_arena, ARENA_LIMIT);
  return d;
}

void step_double_free(struct step_double *d) {
  if (d == NULL) return;
  for (size_t i = 0; i < d->entry_count; i++) {
    free_bytes(d->entries[i]->key);
    free_bytes(d->entries[i]->value);
    free(d->entries[i]);
  }
  step_double_clear_outputs(d);
  free(d->entries);
  free(d->outputs);
  free(d->undo);
  ee_arena_release(&d->arena);
  ee_arena_release(&d->input_arena);
  free(d);
}

static struct entry **bucket_of(struct step_double *d, struct ee_bytes key) {
  return &d->buckets[ee_hash(key.data, key.size) % BUCKETS];
}

static struct entry *find(struct step_double *d, int32_t partition, uint8_t changelog,
                          struct ee_bytes key) {
  for (struct entry *e = *bucket_of(d, key); e != NULL; e = e->next_in_bucket) {
    if (e->partition == partition && e->changelog == changelog && ee_bytes_equal(e->key, key)) {
      return e;
    }
  }
  return NULL;
}

static struct entry *add_entry(struct step_double *d, int32_t partition, uint8_t changelog,
                               struct ee_bytes key) {
  struct entry **entries = realloc(d->entries, (d->entry_count + 1) * sizeof(struct entry *));
  if (entries == NULL) return NULL;
  d->entries = entries;
  struct entry *entry = malloc(sizeof *entry);
  if (entry == NULL) return NULL;
  struct entry **bucket = bucket_of(d, key);
  *entry = (struct entry){.partition = partition,
                          .changelog = changelog,
                          .wake_at = EE_NEVER,
                          .next_in_bucket = *bucket};
  if (!copy(key, &entry->key)) {
    free(entry);
    return NULL;
  }
  *bucket = entry;
  d->entries[d->entry_count++] = entry;
  return entry;
}

static bool add_output(struct ee_step *step, enum ee_topic topic, struct ee_bytes key,
                       struct ee_bytes value) {
  struct step_double *d = step->owner;
  size_t count = d->output_count;
  if ((count & (count - 1)) == 0) {  // full at each power of two
    struct step_output *outputs = realloc(d->outputs, (count * 2 + 1) * sizeof *outputs);
    if (outputs == NULL) return false;
    d->outputs = outputs;
  }
  struct step_output output = {.topic = topic, .partition = step->partition};
  if (!copy(key, &output.key)) return false;
  if (!copy(value, &output.value)) {
    free_bytes(output.key);
    return false;
  }
  d->outputs[d->output_count++] = output;
  return true;
}

static void drop_outputs(struct step_double *d, size_t from) {
  for (size_t i = from; i < d->output_count; i++) {
    free_bytes(d->outputs[i].key);
    free_bytes(d->outputs[i].value);
  }
  d->output_count = from;
}

void step_double_clear_outputs(struct step_double *d) {
  drop_outputs(d, 0);
}

size_t step_double_outputs(const struct step_double *d, const struct step_output **ret) {
  *ret = d->outputs;
  return d->output_count;
}

// ---- What a step sees.

// Whether the call that asks is the one to fail. A step that goes on after a failure
// breaks its contract.
static bool call_fails(struct step_double *d) {
  assert_false(d->failed);
  if (d->fail_at == 0 || --d->fail_at != 0) return false;
  d->failed = true;
  return true;
}

struct ee_arena *ee_step_arena(struct ee_step *step) {
  return &step->owner->arena;
}

int64_t ee_step_clock(const struct ee_step *step) {
  return step->owner->clocks[step->partition];
}

struct ee_str ee_step_topic_name(const struct ee_step *step, enum ee_topic topic) {
  (void)step;
  return ee_str(ee_topics[topic].name);
}

bool ee_step_get(struct ee_step *step, uint8_t changelog, struct ee_bytes key,
                 struct ee_bytes *ret) {
  struct step_double *d = step->owner;
  if (call_fails(d)) return false;
  assert_true(changelog < d->processor.ops->changelog_count);
  struct entry *entry = find(d, step->partition, changelog, key);
  *ret = entry == NULL ? ee_bytes(NULL, 0) : entry->value;
  return true;
}

static bool out_of_memory(struct step_double *d) {
  d->failed = true;
  return false;
}

static bool set_value(struct step_double *d, struct entry *entry, struct ee_bytes value,
                      int64_t wake_at) {
  struct undo *undo = realloc(d->undo, (d->undo_count + 1) * sizeof *undo);
  struct ee_bytes kept;
  if (undo == NULL) return false;
  d->undo = undo;
  if (!copy(value, &kept)) return false;
  undo[d->undo_count++] =
      (struct undo){.entry = entry, .value = entry->value, .wake_at = entry->wake_at};
  entry->value = kept;
  entry->wake_at = value.data == NULL ? EE_NEVER : wake_at;
  return true;
}

bool ee_step_put(struct ee_step *step, uint8_t changelog, struct ee_bytes key,
                 struct ee_bytes value, int64_t wake_at) {
  struct step_double *d = step->owner;
  if (call_fails(d)) return false;
  assert_true(changelog < d->processor.ops->changelog_count);
  assert_true(key.size <= EE_STORE_KEY_MAX);
  struct entry *entry = find(d, step->partition, changelog, key);
  if (entry == NULL) entry = add_entry(d, step->partition, changelog, key);
  if (entry == NULL || !set_value(d, entry, value, wake_at)) return out_of_memory(d);
  const struct ee_changelog *log = &d->processor.ops->changelogs[changelog];
  return !log->emitted || add_output(step, log->topic, key, value) || out_of_memory(d);
}

bool ee_step_emit(struct ee_step *step, enum ee_topic topic, struct ee_bytes key,
                  struct ee_bytes value) {
  struct step_double *d = step->owner;
  if (call_fails(d)) return false;
  bool declared = false;
  for (size_t i = 0; i < d->processor.ops->output_count; i++) {
    declared |= d->processor.ops->outputs[i] == topic;
  }
  assert_true(declared);
  return add_output(step, topic, key, value) || out_of_memory(d);
}

// ---- Steps.

struct mark {
  size_t outputs;
};

static struct mark begin(struct step_double *d, int32_t partition) {
  assert_in_range(partition, 0, PARTITIONS - 1);
  d->failed = false;
  return (struct mark){.outputs = d->output_count};
}

// Ends a step: keeps what it did, or undoes all of it. A step fails when a call of its own
// did, else only when the test has it run out of memory.
static bool end(struct step_double *d, struct mark mark, bool done) {
  assert_false(done && d->failed);
  assert_true(done || d->failed || d->memory_may_fail);
  while (d->undo_count > 0) {
    struct undo *undo = &d->undo[--d->undo_count];
    if (done) {
      free_bytes(undo->value);
      continue;
    }
    free_bytes(undo->entry->value);
    undo->entry->value = undo->value;
    undo->entry->wake_at = undo->wake_at;
  }
  if (!done) drop_outputs(d, mark.outputs);
  ee_arena_clear(&d->arena);
  return done;
}

bool step_double_input(struct step_double *d, enum ee_topic topic, int32_t partition,
                       int64_t offset, int64_t timestamp_micros, const void *record) {
  const struct ee_record_type *type = ee_topics[topic].value;
  struct ee_buf encoded;
  ee_buf_init(&encoded, ARENA_LIMIT);
  ee_encode(type, record, &encoded);
  assert_false(encoded.failed);
  ee_arena_clear(&d->input_arena);
  void *decoded = checked(ee_arena_zero(&d->input_arena, 1, type->size));
  struct ee_fault fault = {.reason = EE_ACCEPTED};
  if (!ee_decode(own_plan(type), ee_buf_bytes(&encoded), &d->input_arena, decoded, &fault)) {
    fail_msg("%s: %s", ee_reason_name(fault.reason), fault.detail);
  }
  struct ee_input input = {.topic = topic,
                           .partition = partition,
                           .offset = offset,
                           .timestamp = timestamp_micros,
                           .record = decoded,
                           .avro = ee_buf_bytes(&encoded),
                           .policy = d->policy,
                           .seq = d->seq,
                           .was = d->was};
  struct ee_step step = {.owner = d, .partition = partition};
  struct mark mark = begin(d, partition);
  bool done = end(d, mark, d->processor.ops->step(d->processor.self, &step, &input));
  ee_buf_release(&encoded);
  return done;
}

void step_double_numbers(struct step_double *d, const char *seq, const char *was) {
  d->seq = d->was = (struct ee_record_number){.number = 0};
  ee_record_number_parse(ee_str_bytes(ee_str(seq)), &d->seq);
  ee_record_number_parse(ee_str_bytes(ee_str(was)), &d->was);
}

bool step_double_refused(struct step_double *d, enum ee_topic topic, int32_t partition,
                         int64_t offset, int64_t timestamp_micros) {
  struct ee_input input = {.topic = topic,
                           .partition = partition,
                           .offset = offset,
                           .timestamp = timestamp_micros,
                           .seq = d->seq,
                           .was = d->was};
  struct ee_step step = {.owner = d, .partition = partition};
  struct mark mark = begin(d, partition);
  return end(d, mark, d->processor.ops->refused(d->processor.self, &step, &input));
}

void step_double_policy(struct step_double *d, const struct ee_policy_version *policy) {
  d->policy = policy;
}

static bool wakes_before(const struct entry *a, const struct entry *b) {
  if (a->wake_at != b->wake_at) return a->wake_at < b->wake_at;
  if (a->changelog != b->changelog) return a->changelog < b->changelog;
  return ee_bytes_compare(a->key, b->key) < 0;
}

static struct entry *next_due(struct step_double *d, int32_t partition, int64_t clock) {
  struct entry *least = NULL;
  for (size_t i = 0; i < d->entry_count; i++) {
    struct entry *e = d->entries[i];
    if (e->partition != partition || e->value.data == NULL) continue;
    if (e->wake_at == EE_NEVER || e->wake_at > clock) continue;
    if (least == NULL || wakes_before(e, least)) least = e;
  }
  return least;
}

static bool wake_one(struct step_double *d, const struct ee_tick_view *tick, struct entry *entry) {
  struct ee_step step = {.owner = d, .partition = entry->partition};
  struct ee_bytes before;
  assert_true(copy(entry->value, &before));
  int64_t wake_before = entry->wake_at;
  struct mark mark = begin(d, entry->partition);
  bool done = end(
      d, mark,
      d->processor.ops->wake(d->processor.self, &step, tick, entry->changelog, entry->key, before));
  bool progress = entry->wake_at != wake_before || !ee_bytes_equal(entry->value, before);
  free_bytes(before);
  if (done && !progress) fail_msg("woken without progress");
  return done;
}

bool step_double_tick(struct step_double *d, int32_t partition, int64_t clock_micros,
                      const int64_t offsets[EE_TOPIC_COUNT]) {
  assert_in_range(partition, 0, PARTITIONS - 1);
  if (clock_micros <= d->clocks[partition]) return true;
  struct ee_tick_view tick = {
      .clock = clock_micros, .offsets = offsets, .judge_from = d->judge_from};
  struct entry *due;
  for (int wakes = 0; (due = next_due(d, partition, clock_micros)) != NULL; wakes++) {
    assert_true(wakes < WAKES_MAX);
    if (!wake_one(d, &tick, due)) return false;
  }
  d->clocks[partition] = clock_micros;
  return true;
}

void step_double_judge_from(struct step_double *d, int64_t micros) {
  d->judge_from = micros;
}

static const void *record_of(struct step_double *d, const struct entry *e) {
  const struct ee_changelog *changelog = &d->processor.ops->changelogs[e->changelog];
  const struct ee_record_type *type = ee_topics[changelog->topic].value;
  void *record = ee_arena_alloc(&d->arena, type->size);
  assert_non_null(record);
  assert_true(ee_decode(own_plan(type), e->value, &d->arena, record, NULL));
  return record;
}

static void restore(struct step_double *d, bool clock_known) {
  for (size_t i = 0; i < d->entry_count; i++) {
    struct entry *e = d->entries[i];
    if (e->value.data == NULL) continue;
    int64_t clock = clock_known ? d->clocks[e->partition] : INT64_MIN;
    e->wake_at = d->processor.ops->wake_at(d->processor.self, e->changelog, e->key, record_of(d, e),
                                           clock, &d->arena);
    ee_arena_clear(&d->arena);
  }
}

void step_double_restore(struct step_double *d) {
  restore(d, true);
}

void step_double_restore_without_clock(struct step_double *d) {
  restore(d, false);
}

struct ee_bytes step_double_state(struct step_double *d, int32_t partition, uint8_t changelog,
                                  struct ee_bytes key) {
  struct entry *entry = find(d, partition, changelog, key);
  return entry == NULL ? ee_bytes(NULL, 0) : entry->value;
}

void step_double_fail_at(struct step_double *d, int nth) {
  d->fail_at = nth;
}

void step_double_may_fail(struct step_double *d) {
  d->memory_may_fail = true;
}
