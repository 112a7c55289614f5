// SPDX-License-Identifier: Apache-2.0
// The rig of the runtime's tests.
#include "tests/unit/stream/runtime_rig.h"

#include <inttypes.h>
#include <stdlib.h>

#include "contract/ident.h"
#include "tests/support/own_plan.h"
#include "wire/partition.h"

// ---- The counter.

static bool put_counted(struct ee_step *step, struct ee_lifecycle *record, int64_t wake_at) {
  struct ee_buf value;
  ee_buf_init(&value, 1 << 20);
  record->encoded = (struct ee_bytes){0};
  ee_encode(&ee_lifecycle_type, record, &value);
  bool good = !value.failed && ee_step_put(step, 0, ee_str_bytes(record->envelope_id),
                                           ee_buf_bytes(&value), wake_at);
  ee_buf_release(&value);
  return good;
}

static int64_t counter_wake_at(void *self, uint8_t changelog, struct ee_bytes key,
                               const void *record, int64_t clock, struct ee_arena *arena) {
  (void)self;
  (void)key;
  (void)clock;
  (void)arena;
  const struct ee_lifecycle *counted = record;
  if (changelog != 0 || counted->closed_at.present) return EE_NEVER;
  return counted->evidence.items[0].timestamp + 10 * SECOND;
}

static struct ee_str version_name(const struct ee_input *input, struct ee_arena *arena) {
  char text[24];
  int64_t number = input->policy == NULL ? 0 : input->policy->number;
  snprintf(text, sizeof text, "%" PRId64, number);
  return ee_arena_str(arena, ee_str(text));
}

static bool counter_step(void *self, struct ee_step *step, const struct ee_input *input) {
  const struct counter_ways *ways = self;
  const struct ee_event_head *head = input->record;
  struct ee_arena *arena = ee_step_arena(step);
  struct ee_lifecycle record;
  struct ee_bytes before;
  if (input->topic == EE_TOPIC_OBLIGATION) return true;
  if (!ee_step_get(step, 0, ee_str_bytes(head->envelope_id), &before)) return false;
  ee_record_init(&ee_lifecycle_type, &record);
  record.envelope_id = head->envelope_id;
  record.tenant = head->tenant;
  if (before.data != NULL) {
    bool read = ee_decode(own_plan(&ee_lifecycle_type), before, arena, &record, NULL);
    assert_true(read || arena->starved);
    if (!read) return false;
  }
  size_t count = record.evidence.count;
  struct ee_evidence *items = ee_arena_zero(arena, count + 1, sizeof *items);
  if (items == NULL) return false;
  if (count > 0) memcpy(items, record.evidence.items, count * sizeof *items);
  ee_record_init(&ee_evidence_type, &items[count]);
  items[count].topic = ee_step_topic_name(step, input->topic);
  items[count].partition = input->partition;
  items[count].offset = input->offset;
  items[count].timestamp = input->timestamp;
  items[count].event_id = ways->tells_version ? version_name(input, arena) : head->event_id;
  record.evidence.items = items;
  record.evidence.count = count + 1;
  int64_t wake_at = record.closed_at.present ? EE_NEVER : items[0].timestamp + 10 * SECOND;
  return put_counted(step, &record, wake_at);
}

static bool counter_wake(void *self, struct ee_step *step, const struct ee_tick_view *tick,
                         uint8_t changelog, struct ee_bytes key, struct ee_bytes value) {
  const struct counter_ways *ways = self;
  struct ee_lifecycle record;
  assert_int_equal(changelog, 0);
  if (ways->looks_only) return ee_step_put(step, 0, key, value, EE_NEVER);
  if (ways->forgets) return ee_step_put(step, 0, key, ee_bytes(NULL, 0), EE_NEVER);
  assert_true(ee_decode(own_plan(&ee_lifecycle_type), value, ee_step_arena(step), &record, NULL));
  record.closed_at = (struct ee_opt_long){.present = true, .value = tick->clock};
  return put_counted(step, &record, EE_NEVER);
}

static const enum ee_topic inputs[] = {EE_TOPIC_ADMISSION, EE_TOPIC_RESOLVED, EE_TOPIC_OBLIGATION,
                                       EE_TOPIC_TICK};
static const struct ee_changelog changelogs[] = {{EE_TOPIC_LIFECYCLE, true},
                                                 {EE_TOPIC_JOIN_STATE, false}};

#define COUNTER_OPS(USES_POLICY)                                                             \
  {                                                                                          \
    .name = "counter", .inputs = inputs, .input_count = COUNT_OF(inputs),                    \
    .changelogs = changelogs, .changelog_count = COUNT_OF(changelogs), .state_changelog = 1, \
    .uses_policy = (USES_POLICY), .step = counter_step, .wake = counter_wake,                \
    .wake_at = counter_wake_at                                                               \
  }

const struct ee_processor_ops counter_ops = COUNTER_OPS(false);
const struct ee_processor_ops policy_counter_ops = COUNTER_OPS(true);

// ---- A cluster, and one instance on it.

int rig_setup(void **state) {
  struct rig *rig = calloc(1, sizeof *rig);
  assert_non_null(rig);
  assert_true(ee_cluster_new("t.", PARTITIONS, RIG_LIMIT, &rig->cluster, &rig->err));
  ee_cluster_set_time(rig->cluster, START_MS);
  assert_true(ee_known_new(NULL, &rig->known, &rig->err));
  assert_true(ee_codec_new(rig->known, NULL, "t.", &rig->codec, &rig->err));
  rig->settings = (struct ee_runtime_settings){.commit_interval_ms = 20,
                                               .checkpoint_interval_ms = 1000,
                                               .batch_bytes = 8 << 20,
                                               .checkpoint_bytes = 1 << 20,
                                               .queue_bytes = 1 << 24,
                                               .policy_margin_ms = 10000};
  rig->processor = (struct ee_processor){.ops = &counter_ops, .self = &rig->ways};
  *state = rig;
  return 0;
}

void rig_start_group(struct rig *rig, const char *group) {
  const char *emptied;
  struct ee_store_settings store = {.directory = rig->directory,
                                    .memory_bytes = (int64_t)RIG_LIMIT,
                                    .format = 1,
                                    .changelog_count = rig->processor.ops->changelog_count};
  if (!ee_store_open(&store, &rig->store, &emptied, &rig->err)) fail_msg("%s", rig->err.text);
  const char *instance = rig->instance == NULL ? "one" : rig->instance;
  assert_true(ee_embedded_broker_new(rig->cluster, group, instance, &rig->broker, &rig->err));
  faulty_broker_init(&rig->faulty, rig->broker);
  assert_true(ee_runtime_new(&rig->processor, &rig->faulty.face, rig->store, rig->codec,
                             &rig->metrics, &rig->settings, &rig->runtime, &rig->err));
}

void rig_start(struct rig *rig) {
  rig_start_group(rig, "counter");
}

void rig_crash(struct rig *rig) {
  ee_runtime_free(rig->runtime);
  rig->runtime = NULL;
  rig->broker->ops->close(rig->broker, 0);
  rig->broker = NULL;
  ee_store_close(rig->store);
  rig->store = NULL;
}

int rig_teardown(void **state) {
  struct rig *rig = *state;
  if (rig->runtime != NULL) rig_crash(rig);
  ee_codec_free(rig->codec);
  ee_known_free(rig->known);
  ee_cluster_free(rig->cluster);
  free(rig);
  return 0;
}

enum ee_runtime_state rig_turn(struct rig *rig) {
  bool busy;
  rig->now_ms += 5;
  return ee_runtime_turn(rig->runtime, rig->now_ms, START_MS + rig->now_ms, 0, &busy, &rig->err);
}

void rig_turns(struct rig *rig, int count) {
  for (int i = 0; i < count; i++) {
    if (rig_turn(rig) == EE_RUNTIME_FAILED) fail_msg("%s", rig->err.text);
  }
}

// ---- Inputs.

void rig_append(struct rig *rig, enum ee_topic topic, struct ee_str key, struct ee_bytes avro,
                int32_t partition) {
  struct ee_bytes prefix;
  struct ee_buf framed;
  ee_buf_init(&framed, 1 << 20);
  assert_int_equal(ee_codec_prefix(rig->codec, topic, 0, &prefix, &rig->err), EE_CODEC_READY);
  ee_buf_append(&framed, prefix.data, prefix.size);
  ee_buf_append(&framed, avro.data, avro.size);
  struct ee_output output = {
      .tp = {topic, partition}, .key = ee_str_bytes(key), .value = ee_buf_bytes(&framed)};
  assert_true(ee_cluster_append(rig->cluster, &output, -1) >= 0);
  ee_buf_release(&framed);
}

struct ee_admission rig_admission(const char *envelope, const char *event) {
  struct ee_admission record;
  ee_record_init(&ee_admission_type, &record);
  record.envelope_id = ee_str(envelope);
  record.event_id = ee_str(event);
  record.tenant = EE_STR("acme");
  record.source = EE_STR("urn:test");
  record.caller.requester_urn = EE_STR("urn:user:ada");
  record.execution.service = EE_STR("serving");
  record.execution.operation = EE_STR("deploy_model");
  return record;
}

void rig_append_record(struct rig *rig, const struct ee_admission *record) {
  struct ee_buf avro;
  ee_buf_init(&avro, 1 << 16);
  ee_encode(&ee_admission_type, record, &avro);
  rig_append(rig, EE_TOPIC_ADMISSION, record->envelope_id, ee_buf_bytes(&avro), -1);
  ee_buf_release(&avro);
}

void rig_append_admission(struct rig *rig, const char *envelope, const char *event) {
  struct ee_admission record = rig_admission(envelope, event);
  rig_append_record(rig, &record);
}

void rig_append_many(struct rig *rig, int from, int to) {
  for (int i = from; i < to; i++) {
    char envelope[32], event[32];
    snprintf(envelope, sizeof envelope, "envelope-%d", i % 10);
    snprintf(event, sizeof event, "event-%d", i);
    rig_append_admission(rig, envelope, event);
  }
}

void rig_append_tick(struct rig *rig, int32_t partition, int64_t as_of) {
  static const enum ee_topic named[] = {EE_TOPIC_ADMISSION, EE_TOPIC_RESOLVED, EE_TOPIC_OBLIGATION};
  struct ee_tick tick;
  struct ee_buf avro;
  struct ee_long_entry offsets[COUNT_OF(named)];
  for (size_t i = 0; i < COUNT_OF(named); i++) {
    struct ee_tp tp = {named[i], partition};
    offsets[i].key = ee_cluster_topic_name(rig->cluster, named[i]);
    offsets[i].value = ee_cluster_end(rig->cluster, tp, EE_READ_COMMITTED);
  }
  ee_buf_init(&avro, 1 << 16);
  ee_record_init(&ee_tick_type, &tick);
  tick.as_of = (struct ee_opt_long){.present = true, .value = as_of};
  tick.offsets.entries = offsets;
  tick.offsets.count = COUNT_OF(named);
  ee_encode(&ee_tick_type, &tick, &avro);
  rig_append(rig, EE_TOPIC_TICK, (struct ee_str){0}, ee_buf_bytes(&avro), partition);
  ee_buf_release(&avro);
}

// ---- Another process.

static void init_producer(struct ee_broker *broker) {
  struct ee_operation operation = {.kind = EE_OP_INIT};
  broker->ops->begin(broker, &operation);
  while (operation.pending) {
    struct ee_broker_event event;
    broker->ops->poll(broker, 0, &event);
  }
  assert_int_equal(operation.outcome, EE_DONE);
}

struct ee_broker *rig_freeze_other(struct rig *rig, enum ee_topic topic) {
  struct ee_broker *other;
  assert_true(ee_embedded_broker_new(rig->cluster, "other", "one", &other, &rig->err));
  init_producer(other);
  assert_int_equal(other->ops->begin_transaction(other, &rig->err), EE_DONE);
  for (int32_t partition = 0; partition < PARTITIONS; partition++) {
    struct ee_output output = {.tp = {topic, partition}, .key = ee_str_bytes(EE_STR("other"))};
    assert_int_equal(other->ops->produce(other, &output, &rig->err), EE_DONE);
  }
  return other;
}

void rig_expire_other(struct rig *rig, struct ee_broker *other) {
  ee_cluster_expire(rig->cluster, "other", "one");
  other->ops->close(other, 0);
}

// ---- Outputs.

int32_t rig_partition_of(const char *envelope) {
  return ee_partition_of(ee_str_bytes(ee_str(envelope)), PARTITIONS);
}

bool rig_newest(struct rig *rig, const char *envelope, struct ee_arena *arena,
                struct ee_lifecycle *ret, size_t *records) {
  struct ee_tp tp = {EE_TOPIC_LIFECYCLE, rig_partition_of(envelope)};
  const struct ee_message *message;
  struct ee_bytes last = {0};
  int64_t offset = 0;
  size_t count = 0;
  while ((message = ee_cluster_next(rig->cluster, tp, &offset)) != NULL) {
    if (!ee_bytes_equal(message->key, ee_str_bytes(ee_str(envelope)))) continue;
    last = message->value;
    count++;
  }
  if (records != NULL) *records = count;
  if (last.data == NULL) return false;
  struct ee_frame frame;
  assert_true(ee_frame_parse(last, &frame, NULL));
  assert_true(ee_decode(own_plan(&ee_lifecycle_type), frame.avro, arena, ret, NULL));
  return true;
}

void rig_assert_counted(struct rig *rig, const char *envelope, size_t events) {
  struct ee_arena arena;
  struct ee_lifecycle record;
  ee_arena_init(&arena, 16 << 20);
  assert_true(rig_newest(rig, envelope, &arena, &record, NULL));
  assert_int_equal(record.evidence.count, events);
  for (size_t i = 0; i < record.evidence.count; i++) {
    for (size_t j = 0; j < i; j++) {
      assert_false(record.evidence.items[i].offset == record.evidence.items[j].offset &&
                   ee_str_equal(record.evidence.items[i].topic, record.evidence.items[j].topic));
    }
  }
  ee_arena_release(&arena);
}

void rig_assert_all_counted(struct rig *rig, size_t each) {
  for (int i = 0; i < 10; i++) {
    char envelope[32];
    snprintf(envelope, sizeof envelope, "envelope-%d", i);
    rig_assert_counted(rig, envelope, each);
  }
}

size_t rig_count(struct rig *rig, enum ee_topic topic) {
  size_t count = 0;
  for (int32_t partition = 0; partition < PARTITIONS; partition++) {
    int64_t offset = 0;
    while (ee_cluster_next(rig->cluster, (struct ee_tp){topic, partition}, &offset) != NULL)
      count++;
  }
  return count;
}
