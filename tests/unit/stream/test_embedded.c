// SPDX-License-Identifier: Apache-2.0
// The embedded log: what readers see of transactions, fencing, records and their limits,
// and logs loaded from elsewhere.
#include "tests/unit/stream/embedded_support.h"
#include "wire/partition.h"

// ---- Transactions.

static void readers_see_committed_records_alone(void **state) {
  (void)state;
  struct ee_cluster *cluster = cluster_new();
  struct ee_broker *writer = broker_new(cluster, "g", "a"), *other = broker_new(cluster, "g", "b");
  struct ee_broker *reader = broker_new(cluster, "r", "r");
  struct ee_tp where = tp(EE_TOPIC_LIFECYCLE, 1);
  reader->ops->read(reader, where, EE_OFFSET_EARLIEST);
  assert_int_equal(run_kind(writer, EE_OP_INIT), EE_DONE);
  assert_int_equal(run_kind(other, EE_OP_INIT), EE_DONE);

  begin(writer);
  produce(writer, where, "a0");
  begin(other);
  produce(other, where, "b1");
  produce(writer, where, "a2");
  struct ee_output plain = output_of(where, "k", "p3");
  other->ops->produce_plain(other, &plain);
  assert_string_equal(drain(reader), "");
  assert_int_equal(ask(reader, EE_OP_END, EE_READ_COMMITTED, where), 0);
  assert_int_equal(ask(reader, EE_OP_END, EE_READ_UNCOMMITTED, where), 4);

  // b commits first: still behind a's first record.
  assert_int_equal(run_kind(other, EE_OP_COMMIT), EE_DONE);
  assert_string_equal(drain(reader), "");
  assert_int_equal(reader->ops->position(reader, where), 0);
  assert_int_equal(run_kind(writer, EE_OP_ABORT), EE_DONE);
  assert_string_equal(drain(reader), "b1@1 p3@3 ");
  // Markers at 4 and 5.
  assert_int_equal(reader->ops->position(reader, where), 6);
  assert_int_equal(ask(reader, EE_OP_END, EE_READ_COMMITTED, where), 6);
  assert_int_equal(ask(reader, EE_OP_END, EE_READ_UNCOMMITTED, where), 6);

  begin(writer);
  produce(writer, where, "a6");
  produce(writer, tp(EE_TOPIC_LIFECYCLE, 2), "x0");
  assert_int_equal(run_kind(writer, EE_OP_COMMIT), EE_DONE);
  assert_int_equal(ee_cluster_end(cluster, where, EE_READ_COMMITTED), 8);
  assert_int_equal(ee_cluster_end(cluster, tp(EE_TOPIC_LIFECYCLE, 2), EE_READ_COMMITTED), 2);
  assert_int_equal(ee_cluster_end(cluster, tp(EE_TOPIC_LIFECYCLE, 3), EE_READ_COMMITTED), 0);
  assert_string_equal(drain(reader), "a6@6 ");
  assert_int_equal(reader->ops->lag(reader, where), 0);
  reader->ops->start(reader, where, 2);
  assert_int_equal(reader->ops->position(reader, where), 3);
  assert_int_equal(reader->ops->lag(reader, where), 5);
  assert_string_equal(drain(reader), "p3@3 a6@6 ");

  int64_t offset = 0;
  const char *wanted[] = {"b1", "p3", "a6"};
  for (size_t i = 0; i < COUNT_OF(wanted); i++) {
    const struct ee_message *message = ee_cluster_next(cluster, where, &offset);
    assert_true(message != NULL && ee_bytes_equal(message->value, bytes_of(wanted[i])));
  }
  assert_null(ee_cluster_next(cluster, where, &offset));
  close_broker(writer);
  close_broker(other);
  close_broker(reader);
  ee_cluster_free(cluster);
}

static void a_successor_fences_and_aborts(void **state) {
  (void)state;
  struct ee_cluster *cluster = cluster_new();
  struct ee_broker *old = broker_new(cluster, "g", "a"), *fresh = broker_new(cluster, "g", "a");
  struct ee_tp where = tp(EE_TOPIC_USAGE, 0);
  struct ee_err err;
  assert_int_equal(old->ops->begin_transaction(old, &err), EE_FENCED);  // before INIT
  assert_int_equal(run_kind(old, EE_OP_INIT), EE_DONE);
  begin(old);
  produce(old, where, "lost");
  assert_int_equal(old->ops->begin_transaction(old, &err), EE_FATAL);
  assert_int_equal(run_kind(fresh, EE_OP_INIT), EE_DONE);
  assert_int_equal(ee_cluster_end(cluster, where, EE_READ_COMMITTED), 2);

  struct ee_output output = output_of(where, "k", "zombie");
  assert_int_equal(old->ops->produce(old, &output, &err), EE_FENCED);
  assert_int_equal(old->ops->begin_transaction(old, &err), EE_FENCED);
  assert_int_equal(run_kind(old, EE_OP_ABORT), EE_FENCED);
  assert_int_equal(commit_offset(old, tp(EE_TOPIC_ADMISSION, 0), 5), EE_FENCED);
  assert_int_equal(ask(fresh, EE_OP_COMMITTED, 0, tp(EE_TOPIC_ADMISSION, 0)), EE_OFFSET_NONE);
  assert_int_equal(fresh->ops->produce(fresh, &output, &err), EE_FATAL);  // none is open
  begin(fresh);
  produce(fresh, where, "kept");
  assert_int_equal(run_kind(fresh, EE_OP_COMMIT), EE_DONE);
  fresh->ops->read(fresh, where, 0);
  assert_string_equal(drain(fresh), "kept@2 ");
  // RENEW fences as INIT does, whoever asks.
  assert_int_equal(run_kind(old, EE_OP_RENEW), EE_DONE);
  assert_int_equal(fresh->ops->begin_transaction(fresh, &err), EE_FENCED);
  close_broker(old);
  close_broker(fresh);
  ee_cluster_free(cluster);
}

static void fencing_between_begin_and_end_of_a_commit(void **state) {
  (void)state;
  struct ee_cluster *cluster = cluster_new();
  struct ee_broker *old = broker_new(cluster, "g", "a"), *fresh = broker_new(cluster, "g", "a");
  struct ee_tp where = tp(EE_TOPIC_ADMISSION, 3);
  assert_int_equal(run_kind(old, EE_OP_INIT), EE_DONE);
  begin(old);
  struct ee_tp_offset offsets[] = {{.tp = where, .offset = 9}};
  struct ee_operation commit = {.kind = EE_OP_COMMIT, .offsets = offsets, .count = 1};
  old->ops->begin(old, &commit);
  assert_int_equal(run_kind(fresh, EE_OP_INIT), EE_DONE);
  assert_ptr_equal(poll_of(old).operation, &commit);
  assert_int_equal(commit.outcome, EE_FENCED);
  assert_int_equal(ask(fresh, EE_OP_COMMITTED, 0, where), EE_OFFSET_NONE);
  close_broker(old);
  close_broker(fresh);
  ee_cluster_free(cluster);
}

static void committed_waits_for_pending_offsets(void **state) {
  (void)state;
  struct ee_cluster *cluster = cluster_new();
  struct ee_broker *dying = broker_new(cluster, "g", "a"), *asker = broker_new(cluster, "g", "b");
  struct ee_tp where = tp(EE_TOPIC_ADMISSION, 0), free_one = tp(EE_TOPIC_ADMISSION, 1);
  assert_int_equal(run_kind(dying, EE_OP_INIT), EE_DONE);
  begin(dying);
  assert_int_equal(commit_offset(dying, where, 4), EE_DONE);
  assert_int_equal(ask(asker, EE_OP_COMMITTED, 0, where), 4);

  begin(dying);
  produce(dying, tp(EE_TOPIC_LIFECYCLE, 0), "v");
  struct ee_tp_offset offsets[] = {{.tp = where, .offset = 7}};
  struct ee_operation commit = {.kind = EE_OP_COMMIT, .offsets = offsets, .count = 1};
  dying->ops->begin(dying, &commit);
  ee_embedded_broker_abandon(dying);

  struct ee_tp_offset waited[] = {{.tp = where}}, behind[] = {{.tp = free_one}};
  struct ee_operation first = {.kind = EE_OP_COMMITTED, .offsets = waited, .count = 1};
  struct ee_operation second = {.kind = EE_OP_COMMITTED, .offsets = behind, .count = 1};
  asker->ops->begin(asker, &first);
  asker->ops->begin(asker, &second);
  expect_none(asker);
  // Another group's offsets are its own.
  struct ee_broker *stranger = broker_new(cluster, "h", "a");
  assert_int_equal(ask(stranger, EE_OP_COMMITTED, 0, where), EE_OFFSET_NONE);
  close_broker(stranger);
  // Others pass; those of the same kind keep their order.
  assert_int_equal(ask(asker, EE_OP_END, EE_READ_COMMITTED, tp(EE_TOPIC_LIFECYCLE, 0)), 0);
  expect_none(asker);
  struct ee_broker *successor = broker_new(cluster, "g", "a");
  assert_int_equal(run_kind(successor, EE_OP_INIT), EE_DONE);
  assert_ptr_equal(poll_of(asker).operation, &first);
  assert_ptr_equal(poll_of(asker).operation, &second);
  assert_int_equal(waited[0].offset, 4);
  assert_int_equal(behind[0].offset, EE_OFFSET_NONE);
  assert_int_equal(ask(asker, EE_OP_END, EE_READ_COMMITTED, tp(EE_TOPIC_LIFECYCLE, 0)), 2);
  close_broker(successor);
  close_broker(asker);
  ee_cluster_free(cluster);
}

// ---- Records.

static void records_keep_all_they_have(void **state) {
  (void)state;
  struct ee_cluster *cluster = cluster_new();
  struct ee_broker *broker = broker_new(cluster, "g", "a");
  struct ee_header headers[] = {{.name = EE_STR("in"), .value = bytes_of("[1]")},
                                {.name = EE_STR("empty"), .value = {.data = NULL}},
                                {.name = EE_STR("in"), .value = bytes_of("second")}};
  struct ee_output output = {.tp = tp(EE_TOPIC_RESOLVED, -1),
                             .key = bytes_of("key-1"),
                             .value = bytes_of(""),
                             .headers = headers,
                             .header_count = COUNT_OF(headers)};
  int32_t partition = ee_partition_of(output.key, PARTITIONS);
  ee_cluster_set_time(cluster, 1000);
  ee_cluster_set_time(cluster, 900);
  assert_int_equal(ee_cluster_time(cluster), 1000);
  assert_int_equal(ee_cluster_append(cluster, &output, 5), 0);
  broker->ops->read(broker, tp(EE_TOPIC_RESOLVED, partition), 0);
  struct ee_broker_event event = poll_of(broker);
  assert_int_equal(event.count, 1);
  struct ee_message *message = &event.messages[0];
  assert_int_equal(message->timestamp_ms, 1000);  // append time
  assert_true(message->append_time);
  assert_true(ee_bytes_equal(message->key, bytes_of("key-1")));
  assert_true(ee_bytes_equal(message->value, bytes_of("")));
  struct ee_bytes in = broker->ops->header(broker, message, "in");
  assert_true(ee_bytes_equal(in, bytes_of("second")));
  assert_null(broker->ops->header(broker, message, "empty").data);
  assert_null(broker->ops->header(broker, message, "none").data);
  size_t count;
  const struct ee_header *all = ee_cluster_headers(message, &count);
  assert_int_equal(count, 3);
  assert_string_equal(all[2].name.data, "in");
  broker->ops->free_message(broker, message);

  // A tombstone without key or headers, on a topic whose producer gives the time.
  output = (struct ee_output){.tp = tp(EE_TOPIC_LIFECYCLE, 2)};
  int64_t offset = 0;
  assert_int_equal(ee_cluster_append(cluster, &output, 5), 0);
  assert_int_equal(ee_cluster_append(cluster, &output, -1), 1);
  const struct ee_message *next = ee_cluster_next(cluster, output.tp, &offset);
  assert_true(next->timestamp_ms == 5 && !next->append_time);
  assert_true(next->key.data == NULL && next->value.data == NULL);
  assert_null(ee_cluster_headers(next, &count));
  assert_int_equal(ee_cluster_next(cluster, output.tp, &offset)->timestamp_ms, 1000);

  // Larger than a chunk, between small ones.
  static uint8_t large[300000];
  memset(large, 'l', sizeof large);
  output.tp = tp(EE_TOPIC_AUDIT, 0);
  offset = 0;
  for (int i = 0; i < 6; i++) {
    output.value = i % 2 == 0 ? bytes_of("small") : ee_bytes(large, sizeof large);
    assert_int_equal(ee_cluster_append(cluster, &output, -1), i);
  }
  for (int i = 0; i < 6; i++) {
    next = ee_cluster_next(cluster, output.tp, &offset);
    struct ee_bytes wanted = i % 2 == 0 ? bytes_of("small") : ee_bytes(large, sizeof large);
    assert_true(ee_bytes_equal(next->value, wanted));
  }
  output.tp.partition = -1;  // by key, but there is none
  assert_int_equal(ee_cluster_append(cluster, &output, -1), -1);
  output.tp.partition = PARTITIONS;
  assert_int_equal(ee_cluster_append(cluster, &output, -1), -1);
  output.tp = tp(EE_TOPIC_COUNT, 0);
  assert_int_equal(ee_cluster_append(cluster, &output, -1), -1);
  close_broker(broker);
  ee_cluster_free(cluster);
}

static bool load(struct ee_cluster *cluster, struct ee_tp where, int64_t offset,
                 const char *value) {
  return ee_cluster_load(cluster, where, offset, 40 + offset, bytes_of("k"), bytes_of(value), NULL,
                         0, NULL);
}

static void loaded_logs_keep_their_offsets(void **state) {
  (void)state;
  struct ee_cluster *cluster = cluster_new();
  struct ee_broker *broker = broker_new(cluster, "g", "a");
  struct ee_tp where = tp(EE_TOPIC_ADMISSION, 0), compacted = tp(EE_TOPIC_LIFECYCLE, 0);
  assert_true(load(cluster, where, 100, "a"));
  assert_true(load(cluster, where, 105, "b"));
  assert_false(load(cluster, where, 105, "again"));
  assert_false(load(cluster, where, 3, "before"));
  assert_false(load(cluster, tp(EE_TOPIC_ADMISSION, 9), 3, "nowhere"));
  assert_true(load(cluster, compacted, 100, "c"));
  ee_cluster_load_end(cluster, where, 110);
  ee_cluster_load_end(cluster, where, 50);
  ee_cluster_load_end(cluster, tp(EE_TOPIC_ADMISSION, 1), 30);
  assert_int_equal(ask(broker, EE_OP_START, 0, where), 100);
  assert_int_equal(ask(broker, EE_OP_START, 0, compacted), 0);
  assert_int_equal(ask(broker, EE_OP_START, 0, tp(EE_TOPIC_ADMISSION, 1)), 30);
  assert_int_equal(ask(broker, EE_OP_END, EE_READ_COMMITTED, where), 110);
  broker->ops->read(broker, where, 101);
  assert_string_equal(drain(broker), "b@105 ");
  assert_int_equal(broker->ops->position(broker, where), 110);
  broker->ops->read(broker, where, EE_OFFSET_EARLIEST);
  assert_string_equal(drain(broker), "a@100 b@105 ");
  struct ee_output output = output_of(where, "k", "c");
  assert_int_equal(ee_cluster_append(cluster, &output, -1), 110);
  assert_string_equal(drain(broker), "c@110 ");

  // Where the log has been cut, or does not reach yet, there is nothing to read from.
  const int64_t outside[] = {99, 112};
  for (size_t i = 0; i < COUNT_OF(outside); i++) {
    broker->ops->read(broker, where, outside[i]);
    struct ee_broker_event event = poll_of(broker);
    assert_int_equal(event.kind, EE_EVENT_OUT_OF_RANGE);
    assert_int_equal(event.tp.topic, where.topic);
    assert_int_equal(event.tp.partition, where.partition);
    assert_non_null(strstr(event.err.text, "holds 100 to 111"));
    expect_none(broker);
  }
  broker->ops->read(broker, where, 111);
  expect_none(broker);
  broker->ops->read_stop(broker, where);
  assert_int_equal(ee_cluster_append(cluster, &output, -1), 111);
  expect_none(broker);
  close_broker(broker);
  ee_cluster_free(cluster);
}

static void topics_are_the_catalogues(void **state) {
  (void)state;
  struct ee_cluster *cluster = cluster_new();
  struct ee_broker *broker = broker_new(cluster, "g", "a");
  struct ee_topic_state topics[EE_TOPIC_COUNT];
  struct ee_operation operation = {.kind = EE_OP_TOPICS, .topics = topics};
  assert_int_equal(run(broker, &operation), EE_DONE);
  for (int i = 0; i < EE_TOPIC_COUNT; i++) {
    assert_true(topics[i].exists);
    assert_int_equal(topics[i].partitions, i == EE_TOPIC_POLICY ? 1 : PARTITIONS);
    assert_int_equal(broker->ops->partition_count(broker, i), topics[i].partitions);
    assert_int_equal(topics[i].append_time, ee_topics[i].append_time);
    assert_int_equal(topics[i].cleanup, ee_topics[i].cleanup);
  }
  struct ee_str name = broker->ops->topic_name(broker, EE_TOPIC_TICK);
  assert_true(ee_str_equal(name, EE_STR("t.envelope.tick.v1")));
  close_broker(broker);
  ee_cluster_free(cluster);
}

static void limits_are_named(void **state) {
  (void)state;
  struct ee_cluster *cluster;
  struct ee_err err;
  assert_false(ee_cluster_new("", 0, 1000, &cluster, &err));
  assert_false(ee_cluster_new("", 1025, 1000, &cluster, &err));
  assert_true(ee_cluster_new("", 1, 200000, &cluster, &err));
  struct ee_broker *broker = broker_new(cluster, "g", "a");
  assert_int_equal(run_kind(broker, EE_OP_INIT), EE_DONE);
  begin(broker);
  static char value[50000];
  struct ee_output output = {.tp = tp(EE_TOPIC_LIFECYCLE, 0),
                             .value = ee_bytes(value, sizeof value)};
  size_t produced = 0;
  enum ee_outcome_class outcome;
  while ((outcome = broker->ops->produce(broker, &output, &err)) == EE_DONE)
    produced++;
  assert_int_equal(outcome, EE_FATAL);
  assert_non_null(strstr(err.text, "200000 bytes of memory"));
  assert_int_equal(produced, 3);
  broker->ops->produce_plain(broker, &output);
  assert_int_equal(poll_of(broker).outcome, EE_FATAL);
  assert_int_equal(ee_cluster_append(cluster, &output, -1), -1);
  assert_false(ee_cluster_load(cluster, output.tp, 10, 0, output.key, output.value, NULL, 0, &err));
  // The end needs no memory.
  assert_int_equal(run_kind(broker, EE_OP_COMMIT), EE_DONE);
  assert_int_equal(ee_cluster_end(cluster, output.tp, EE_READ_COMMITTED), 4);

  begin(broker);
  static char large[(2 << 20) + 1];
  output.value = ee_bytes(large, sizeof large);
  assert_int_equal(broker->ops->produce(broker, &output, &err), EE_FATAL);
  assert_non_null(strstr(err.text, "max.message.bytes"));
  output.tp.partition = 1;
  assert_int_equal(broker->ops->produce(broker, &output, &err), EE_FATAL);
  assert_int_equal(commit_offset(broker, tp(EE_TOPIC_ADMISSION, 7), 1), EE_FATAL);
  broker->ops->read(broker, tp(EE_TOPIC_ADMISSION, 7), 0);
  assert_int_equal(poll_of(broker).kind, EE_EVENT_TROUBLE);
  assert_true(broker->ops->subscribe(broker, inputs, 1, &err));
  assert_false(broker->ops->subscribe(broker, inputs, 1, &err));
  close_broker(broker);
  ee_cluster_free(cluster);
}

// A busy partition does not keep the others from being read, and one poll is bounded.
static void polls_are_fair(void **state) {
  (void)state;
  struct ee_cluster *cluster = cluster_new();
  struct ee_broker *broker = broker_new(cluster, "g", "a");
  for (int32_t partition = 0; partition < 2; partition++) {
    struct ee_output output = output_of(tp(EE_TOPIC_AUDIT, partition), "k", "v");
    for (int i = 0; i < (partition == 0 ? 1000 : 10); i++) {
      assert_true(ee_cluster_append(cluster, &output, -1) >= 0);
    }
    broker->ops->read(broker, output.tp, 0);
  }
  size_t seen[2] = {0, 0};
  struct ee_broker_event event = poll_of(broker);
  assert_true(event.count <= 256);
  for (size_t i = 0; i < event.count; i++) {
    seen[event.messages[i].tp.partition]++;
    broker->ops->free_message(broker, &event.messages[i]);
  }
  assert_true(seen[0] > 10 && seen[1] == 10);
  drain(broker);
  assert_int_equal(broker->ops->lag(broker, tp(EE_TOPIC_AUDIT, 0)), 0);
  close_broker(broker);
  ee_cluster_free(cluster);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(readers_see_committed_records_alone),
      cmocka_unit_test(a_successor_fences_and_aborts),
      cmocka_unit_test(fencing_between_begin_and_end_of_a_commit),
      cmocka_unit_test(committed_waits_for_pending_offsets),
      cmocka_unit_test(records_keep_all_they_have),
      cmocka_unit_test(loaded_logs_keep_their_offsets),
      cmocka_unit_test(topics_are_the_catalogues),
      cmocka_unit_test(limits_are_named),
      cmocka_unit_test(polls_are_fair),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
