// SPDX-License-Identifier: Apache-2.0
// The embedded log under a random history, against a plain model of it; and with memory
// that runs out at each allocation in turn.
#include "tests/support/chaos.h"
#include "tests/unit/stream/embedded_support.h"

// ---- A random history. Producers write, commit, abort and are fenced; the model keeps
// for each partition which offset has which value and to whose transaction it belongs.

#define PRODUCERS 3
#define HISTORY 20000
#define PLAIN (-1)
#define MARKER (-2)

struct entry {
  int transaction;  // PLAIN, MARKER or a number
  uint32_t value;
};

struct history {
  struct ee_cluster *cluster;
  struct ee_broker *producers[PRODUCERS];
  int open[PRODUCERS];  // number of the transaction, -1: none
  struct entry log[PARTITIONS][2 * HISTORY];
  int64_t end[PARTITIONS];
  uint8_t state[HISTORY];  // 0 open, 1 committed, 2 aborted
  int transactions;
  struct ee_broker *reader;
  int64_t read[PARTITIONS];  // by the model's reader
  uint64_t random;
};

static uint32_t draw(struct history *history, uint32_t below) {
  history->random = history->random * 6364136223846793005U + 1442695040888963407U;
  return (uint32_t)(history->random >> 33) % below;
}

static bool is_open(const struct history *history, struct entry entry) {
  return entry.transaction >= 0 && history->state[entry.transaction] == 0;
}

static int64_t model_stable(const struct history *history, int32_t partition) {
  for (int64_t i = 0; i < history->end[partition]; i++) {
    if (is_open(history, history->log[partition][i])) return i;
  }
  return history->end[partition];
}

static void model_end(struct history *history, int producer, bool commit) {
  int transaction = history->open[producer];
  for (int32_t partition = 0; partition < PARTITIONS; partition++) {
    bool touched = false;
    for (int64_t i = 0; i < history->end[partition]; i++) {
      touched = touched || history->log[partition][i].transaction == transaction;
    }
    if (touched) {
      history->log[partition][history->end[partition]++] = (struct entry){.transaction = MARKER};
    }
  }
  history->state[transaction] = commit ? 1 : 2;
  history->open[producer] = -1;
}

static void step_produce(struct history *history, int producer, uint32_t value) {
  struct ee_broker *broker = history->producers[producer];
  int32_t partition = (int32_t)draw(history, PARTITIONS);
  struct ee_output output = {.tp = tp(EE_TOPIC_LIFECYCLE, partition),
                             .value = ee_bytes(&value, sizeof value)};
  struct entry entry = {.transaction = PLAIN, .value = value};
  struct ee_err err;
  if (draw(history, 20) == 0) {
    broker->ops->produce_plain(broker, &output);
  } else {
    if (history->open[producer] < 0) {
      begin(broker);
      history->open[producer] = history->transactions++;
    }
    assert_int_equal(broker->ops->produce(broker, &output, &err), EE_DONE);
    entry.transaction = history->open[producer];
  }
  history->log[partition][history->end[partition]++] = entry;
}

static void step_reader(struct history *history) {
  struct ee_broker *broker = history->reader;
  struct ee_broker_event event = poll_of(broker);
  for (size_t i = 0; i < event.count; i++) {
    struct ee_message *message = &event.messages[i];
    int32_t partition = message->tp.partition;
    int64_t *at = &history->read[partition];
    for (;; ++*at) {
      struct entry entry = history->log[partition][*at];
      if (entry.transaction == PLAIN) break;
      if (entry.transaction >= 0 && history->state[entry.transaction] == 1) break;
    }
    assert_int_equal(message->offset, *at);
    assert_true(*at < model_stable(history, partition));
    assert_memory_equal(message->value.data, &history->log[partition][*at].value, 4);
    ++*at;
    broker->ops->free_message(broker, message);
  }
}

static void check_ends(struct history *history) {
  int32_t partition = (int32_t)draw(history, PARTITIONS);
  struct ee_tp where = tp(EE_TOPIC_LIFECYCLE, partition);
  int64_t stable = model_stable(history, partition);
  assert_int_equal(ee_cluster_end(history->cluster, where, EE_READ_COMMITTED), stable);
  assert_int_equal(ee_cluster_end(history->cluster, where, EE_READ_UNCOMMITTED),
                   history->end[partition]);
}

static void random_histories_read_as_modelled(void **state) {
  (void)state;
  static const char *const names[PRODUCERS] = {"0", "1", "2"};
  struct history *history = calloc(1, sizeof *history);
  assert_non_null(history);
  history->random = 7;
  history->cluster = cluster_new();
  history->reader = broker_new(history->cluster, "r", "r");
  for (int i = 0; i < PRODUCERS; i++) {
    history->producers[i] = broker_new(history->cluster, "g", names[i]);
    history->open[i] = -1;
    assert_int_equal(run_kind(history->producers[i], EE_OP_INIT), EE_DONE);
  }
  for (int32_t i = 0; i < PARTITIONS; i++) {
    history->reader->ops->read(history->reader, tp(EE_TOPIC_LIFECYCLE, i), 0);
  }
  for (uint32_t i = 0; i < 4000; i++) {
    int producer = (int)draw(history, PRODUCERS);
    uint32_t choice = draw(history, 100);
    if (choice < 60) {
      step_produce(history, producer, i);
    } else if (choice < 72 && history->open[producer] >= 0) {
      bool commit = draw(history, 3) > 0;
      assert_int_equal(run_kind(history->producers[producer], commit ? EE_OP_COMMIT : EE_OP_ABORT),
                       EE_DONE);
      model_end(history, producer, commit);
    } else if (choice < 73) {
      if (history->open[producer] >= 0) model_end(history, producer, false);
      ee_embedded_broker_abandon(history->producers[producer]);
      history->producers[producer] = broker_new(history->cluster, "g", names[producer]);
      assert_int_equal(run_kind(history->producers[producer], EE_OP_INIT), EE_DONE);
    } else {
      step_reader(history);
      check_ends(history);
    }
  }
  for (int i = 0; i < PRODUCERS; i++) {
    if (history->open[i] >= 0) {
      assert_int_equal(run_kind(history->producers[i], EE_OP_COMMIT), EE_DONE);
      model_end(history, i, true);
    }
  }
  for (int i = 0; i < 100; i++) {
    step_reader(history);
  }
  for (int32_t i = 0; i < PARTITIONS; i++) {
    struct ee_tp where = tp(EE_TOPIC_LIFECYCLE, i);
    assert_int_equal(history->reader->ops->position(history->reader, where), history->end[i]);
    // Nothing committed lies behind what the reader has seen.
    for (int64_t at = history->read[i]; at < history->end[i]; at++) {
      int transaction = history->log[i][at].transaction;
      assert_true(transaction == MARKER || (transaction >= 0 && history->state[transaction] == 2));
    }
  }
  for (int i = 0; i < PRODUCERS; i++) {
    close_broker(history->producers[i]);
  }
  close_broker(history->reader);
  ee_cluster_free(history->cluster);
  free(history);
}

// ---- Memory that runs out: each call says so, or has done its work.

static void chaos_transaction(struct ee_cluster *cluster, struct ee_broker *broker) {
  struct ee_tp where = tp(EE_TOPIC_LIFECYCLE, 0);
  struct ee_tp_offset offsets[] = {{.tp = tp(EE_TOPIC_ADMISSION, 0), .offset = 1}};
  struct ee_operation commit = {.kind = EE_OP_COMMIT, .offsets = offsets, .count = 1};
  struct ee_output output = output_of(where, "k", "v");
  struct ee_err err;
  if (run_kind(broker, EE_OP_INIT) != EE_DONE) fail();
  if (broker->ops->begin_transaction(broker, &err) != EE_DONE) return;
  bool written = broker->ops->produce(broker, &output, &err) == EE_DONE;
  bool committed = run(broker, &commit) == EE_DONE;
  assert_int_equal(ee_cluster_end(cluster, where, EE_READ_COMMITTED), committed ? 2 * written : 0);
  int64_t offset = 0;
  assert_int_equal(ee_cluster_next(cluster, where, &offset) != NULL, committed && written);
}

static void chaos_members(struct ee_cluster *cluster) {
  struct ee_broker *broker;
  struct ee_err err;
  if (!ee_embedded_broker_new(cluster, "g", "a", &broker, &err)) return;
  chaos_transaction(cluster, broker);
  assert_true(broker->ops->subscribe(broker, inputs, COUNT_OF(inputs), &err));
  // What fails for want of memory is tried again by a later poll.
  size_t assigned = 0, messages = 0;
  broker->ops->read(broker, tp(EE_TOPIC_LIFECYCLE, 0), 0);
  for (int i = 0; i < 6; i++) {
    struct ee_broker_event event = poll_of(broker);
    if (event.kind == EE_EVENT_ASSIGNED) assigned = event.count;
    if (event.kind == EE_EVENT_TROUBLE) assert_int_equal(event.outcome, EE_RETRY);
    for (size_t j = 0; event.kind == EE_EVENT_MESSAGES && j < event.count; j++, messages++) {
      broker->ops->free_message(broker, &event.messages[j]);
    }
  }
  assert_int_equal(assigned, 2 * PARTITIONS);
  assert_int_equal(messages,
                   ee_cluster_end(cluster, tp(EE_TOPIC_LIFECYCLE, 0), EE_READ_COMMITTED) / 2);
  close_broker(broker);
}

static void each_allocation_may_fail(void **state) {
  (void)state;
  bool failed = true;
  size_t rounds = 0;
  for (; failed; rounds++) {
    struct ee_cluster *cluster = NULL;
    struct ee_err err;
    ee_chaos_fail_after(rounds);
    if (ee_cluster_new("", PARTITIONS, 1 << 20, &cluster, &err)) chaos_members(cluster);
    failed = ee_chaos_stop();
    ee_cluster_free(cluster);
  }
  assert_true(rounds > 35);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_histories_read_as_modelled),
      cmocka_unit_test(each_allocation_may_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
