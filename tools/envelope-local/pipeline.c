// SPDX-License-Identifier: Apache-2.0
// The three processors in one process and thread, over the embedded log.
#include <stdlib.h>
#include <unistd.h>

#include "base/time.h"
#include "tools/envelope-local/local.h"

#define ARENA_MAX ((size_t)64 << 20)
#define TURN_MS 5            // a turn's time by the clock that the runtimes are given
#define IDLE_TURNS_MAX 2000  // many times any interval of the runtimes

static bool open_instance(struct local *local, struct instance *instance,
                          struct ee_processor processor, struct ee_err *err) {
  const struct ee_runtime_settings settings = {
      .commit_interval_ms = 100 * TURN_MS,
      .checkpoint_interval_ms = 1000,
      .batch_bytes = 8 << 20,
      .checkpoint_bytes = INT64_C(16) << 20,
      .queue_bytes = INT64_C(32) << 20,
      .policy_margin_ms = local->settings->policy_margin_ms,
      .drain = true,
      .accept_truncated = local->settings->accept_truncated};
  const struct ee_store_settings store = {.memory_bytes = local->settings->memory_bytes,
                                          .format = 1,
                                          .changelog_count = processor.ops->changelog_count};
  const char *emptied;
  instance->processor = processor;
  return ee_embedded_broker_new(local->cluster, processor.ops->name, "local", &instance->broker,
                                err) &&
         ee_store_open(&store, &instance->store, &emptied, err) &&
         ee_runtime_new(&instance->processor, instance->broker, instance->store, local->codec,
                        &instance->metrics, &settings, &instance->runtime, err);
}

bool local_open(struct local *local, const struct local_settings *settings, const char *prefix,
                struct ee_err *err) {
  local->settings = settings;
  local->first_ms = INT64_MIN;
  local->last_tick_ms = INT64_MIN;
  ee_arena_init(&local->arena, ARENA_MAX);
  return ee_cluster_new(prefix, (int32_t)settings->partitions, (size_t)settings->memory_bytes,
                        &local->cluster, err) &&
         ee_known_new(settings->schema_directory, &local->known, err) &&
         ee_codec_new(local->known, NULL, prefix, &local->codec, err) &&
         open_instance(local, &local->instances[0], ee_join_processor(&settings->join), err) &&
         open_instance(local, &local->instances[1], ee_governance_processor(&settings->governance),
                       err) &&
         open_instance(local, &local->instances[2], ee_accounting_processor(&settings->accounting),
                       err);
}

void local_close(struct local *local) {
  for (int i = 0; i < PROCESSORS; i++) {
    struct instance *instance = &local->instances[i];
    ee_runtime_free(instance->runtime);
    if (instance->broker != NULL) instance->broker->ops->close(instance->broker, 0);
    ee_store_close(instance->store);
  }
  ee_codec_free(local->codec);
  ee_known_free(local->known);
  ee_cluster_free(local->cluster);
  ee_arena_release(&local->arena);
}

static uint64_t events_done(const struct local *local) {
  uint64_t sum = 0;
  for (int i = 0; i < PROCESSORS; i++) {
    for (int topic = 0; topic < EE_PHASE_TOPICS; topic++) {
      sum += local->instances[i].metrics.events[topic];
    }
  }
  return sum;
}

static int64_t events_there(const struct local *local) {
  int64_t sum = 0;
  for (int topic = 0; topic < EE_PHASE_TOPICS; topic++) {
    for (int32_t p = 0; p < local->settings->partitions; p++) {
      sum += ee_cluster_end(local->cluster, (struct ee_tp){(enum ee_topic)topic, p},
                            EE_READ_COMMITTED);
    }
  }
  return sum * PROCESSORS;
}

// A line that is written over, on a terminal only.
static void show_progress(const struct local *local, bool last) {
  if (!isatty(STDERR_FILENO)) return;
  int64_t there = events_there(local);
  int64_t done = (int64_t)events_done(local);
  if (last) {
    fprintf(stderr, "\r%60s\r", "");
  } else if (there > 0) {
    fprintf(stderr, "\r  %3d %%  %lld of %lld steps", (int)(done * 100 / there), (long long)done,
            (long long)there);
  }
}

// A turn of one processor. *ret_moved is left alone when it had nothing to do.
static bool turn(struct instance *instance, int64_t now_ms, bool *ret_moved, struct ee_err *err) {
  bool busy = false;
  enum ee_runtime_state state = ee_runtime_turn(instance->runtime, now_ms, now_ms, 0, &busy, err);
  if (state == EE_RUNTIME_FAILED) return ee_err_prefix(err, "%s", instance->processor.ops->name);
  instance->done = state == EE_RUNTIME_DONE;
  if (busy || instance->done) *ret_moved = true;
  return true;
}

// Nobody else writes to this log: what is waited for now never comes.
static bool stuck(struct ee_err *err) {
  return ee_err_set(err,
                    "the input ends before offsets that one of its ticks speaks of. Records may be "
                    "missing: print the tick topic before the others. Or a log ends in offsets "
                    "without records: a line {\"topic\", \"partition\", \"end\"} says so");
}

bool local_run(struct local *local, struct ee_err *err) {
  int64_t now_ms = 1;
  int64_t shown_ms = 0;
  int idle_turns = 0;
  for (int done = 0; done < PROCESSORS; now_ms += TURN_MS) {
    bool moved = false;
    done = 0;
    for (int i = 0; i < PROCESSORS; i++) {
      struct instance *instance = &local->instances[i];
      if (!instance->done && !turn(instance, now_ms, &moved, err)) return false;
      done += instance->done;
    }
    idle_turns = moved ? 0 : idle_turns + 1;
    if (idle_turns > IDLE_TURNS_MAX) return stuck(err);
    int64_t real_ms = ee_clock_monotonic_ms();
    if (real_ms - shown_ms < 200) continue;
    shown_ms = real_ms;
    show_progress(local, false);
  }
  show_progress(local, true);
  return true;
}

bool local_append(struct local *local, enum ee_topic topic, int32_t partition, struct ee_bytes key,
                  struct ee_bytes avro, struct ee_err *err) {
  struct ee_bytes prefix;
  struct ee_buf framed;
  if (ee_codec_prefix(local->codec, topic, 0, &prefix, err) != EE_CODEC_READY) return false;
  ee_buf_init(&framed, avro.size + EE_FRAME_MAX);
  ee_buf_append(&framed, prefix.data, prefix.size);
  ee_buf_append(&framed, avro.data, avro.size);
  struct ee_output output = {.tp = {topic, partition}, .key = key, .value = ee_buf_bytes(&framed)};
  bool good = !framed.failed && ee_cluster_append(local->cluster, &output, -1) >= 0;
  ee_buf_release(&framed);
  return good || ee_err_set(err, "the log in memory is full; raise --memory");
}
