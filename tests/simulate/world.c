// SPDX-License-Identifier: Apache-2.0
// The scheduler: in each turn events arrive, time passes, faults happen, and some instances
// get a turn. At the end everything that still runs is killed, and one instance of each
// processor, on what is left of its store, does the rest.
#include "tests/simulate/world.h"

#include <errno.h>
#include <stdlib.h>

#include "accounting/accounting.h"
#include "base/file.h"
#include "base/time.h"
#include "contract/record.h"
#include "governance/governance.h"
#include "join/join.h"
#include "stream/embedded_cluster.h"
#include "support/chaos.h"
#include "support/troubled_disk.h"
#include "tests/simulate/errors.h"
#include "tests/simulate/instance.h"
#include "tests/simulate/outputs.h"
#include "tests/simulate/producers.h"
#include "tools/traffic/random.h"

#define START_MS INT64_C(1780000000000)
#define MEMORY_MAX ((size_t)64 << 20)
#define EVENTS_MAX 256
#define TURN_MS 5
#define TURNS_WITH_EVENTS (TURNS * 7 / 10)
#define TURNS_TO_CATCH_UP 2000
#define TURNS_TO_FINISH 20000
#define HOUR_MS INT64_C(3600000)
#define OWN_BYTES_MAX ((size_t)1 << 16)  // of a tick or report

static const char *const slot_names[SLOTS] = {"a", "b", "c"};

// What was sent, to be repeated.
struct sent {
  const struct pool_event *event;
  struct numbered numbered;
};

struct world {
  const struct plan *plan;
  const struct pool *pool;
  struct ee_codec *codec;
  struct ee_cluster *cluster;
  struct random random;
  struct ee_join_settings join;
  struct ee_governance_settings governance;
  struct ee_accounting_settings accounting;
  struct ee_processor processors[PROCESSORS];
  struct instance instances[PROCESSORS][SLOTS];
  const char *directory;
  FILE *details;
  int turn;
  struct errors errors;

  // Envelopes and how many events of each have been sent.
  const struct pool_envelope *envelopes[EVENTS_MAX];
  size_t sent[EVENTS_MAX];
  size_t to_send;  // events, all together
  struct sent log[EVENTS_MAX * 4];
  size_t log_count;
  struct producers producers;
  size_t policies_sent;
};

// ---- Events.

static bool append_output(struct world *w, const struct ee_output *output, struct ee_err *err) {
  return ee_cluster_append(w->cluster, output, -1) >= 0 ||
         ee_err_set(err, "the simulated log is full");
}

static bool append(struct world *w, enum ee_topic topic, int32_t partition, struct ee_bytes key,
                   struct ee_bytes value, struct ee_err *err) {
  struct ee_output output = {.tp = {topic, partition}, .key = key, .value = value};
  return append_output(w, &output, err);
}

// A record in the format of its topic.
static bool append_own(struct world *w, struct ee_tp tp, struct ee_bytes avro, struct ee_err *err) {
  struct ee_bytes prefix;
  struct ee_buf value;
  if (ee_codec_prefix(w->codec, tp.topic, 0, &prefix, err) != EE_CODEC_READY) return false;
  ee_buf_init(&value, OWN_BYTES_MAX);
  ee_buf_append(&value, prefix.data, prefix.size);
  ee_buf_append(&value, avro.data, avro.size);
  bool good = append(w, tp.topic, tp.partition, ee_bytes(NULL, 0), ee_buf_bytes(&value), err);
  ee_buf_release(&value);
  return good;
}

static bool append_event(struct world *w, const struct pool_event *event, int32_t partition,
                         struct ee_bytes value, const struct numbered *numbered,
                         struct ee_err *err) {
  struct ee_header headers[2];
  struct ee_output output = {.tp = {event->topic, partition},
                             .key = event->key,
                             .value = value,
                             .headers = headers,
                             .header_count = numbered_headers(numbered, headers)};
  return append_output(w, &output, err);
}

// The number of a record in the partition where it will lie.
static void number(struct world *w, const struct pool_event *event, int32_t partition,
                   struct numbered *ret) {
  struct ee_output output = {.tp = {event->topic, partition}, .key = event->key};
  struct ee_tp tp = {event->topic, ee_log_partition(w->cluster, &output)};
  producers_number(&w->producers, tp, ret);
}

static bool append_report(struct world *w, struct ee_err *err) {
  struct ee_tp tp = {EE_TOPIC_PRODUCER, (int32_t)random_below(&w->random, w->plan->partitions)};
  struct ee_buf avro;
  ee_buf_init(&avro, OWN_BYTES_MAX);
  producers_report(&w->producers, tp.partition, &avro);
  bool good = append_own(w, tp, ee_buf_bytes(&avro), err);
  ee_buf_release(&avro);
  return good;
}

// Cut short, with a byte too much, or in the wrong partition: each a dead letter.
static bool append_broken(struct world *w, const struct pool_event *event, struct ee_err *err) {
  uint8_t bytes[1 << 16];
  struct ee_bytes value = event->value;
  if (value.size + 1 > sizeof bytes) return true;
  memcpy(bytes, value.data, value.size);
  bytes[value.size] = 0;
  int32_t partition = -1;
  switch (random_below(&w->random, 3)) {
    case 0:
      value = ee_bytes(bytes, value.size - 1);
      break;
    case 1:
      value = ee_bytes(bytes, value.size + 1);
      break;
    default:
      partition = (int32_t)random_below(&w->random, w->plan->partitions);
  }
  struct numbered numbered;
  number(w, event, partition, &numbered);
  return append_event(w, event, partition, value, &numbered, err);
}

static bool send_next(struct world *w, struct ee_err *err) {
  size_t at = (size_t)random_below(&w->random, (int64_t)w->plan->envelopes);
  while (w->sent[at] == w->envelopes[at]->count)
    at = (at + 1) % w->plan->envelopes;
  const struct pool_event *event = &w->envelopes[at]->events[w->sent[at]++];
  struct sent *sent = &w->log[w->log_count++];
  w->to_send--;
  sent->event = event;
  number(w, event, -1, &sent->numbered);
  if (!append_event(w, event, -1, event->value, &sent->numbered, err)) return false;
  if (w->plan->retires) return true;
  if (random_chance(&w->random, 100)) {
    sent = &w->log[random_below(&w->random, (int64_t)w->log_count)];
    event = sent->event;
    if (!append_event(w, event, -1, event->value, &sent->numbered, err)) return false;
  }
  return !random_chance(&w->random, 60) || append_broken(w, event, err);
}

static bool send_due(struct world *w, struct ee_err *err) {
  size_t turns = w->turn < TURNS_WITH_EVENTS ? (size_t)(TURNS_WITH_EVENTS - w->turn) : 1;
  size_t due = (w->to_send + turns - 1) / turns;
  if (due > 0 && turns > 1 && w->to_send < turns) {
    due = random_below(&w->random, (int64_t)turns) < (int64_t)w->to_send;
  }
  for (; due > 0; due--) {
    if (!send_next(w, err)) return false;
  }
  if (random_chance(&w->random, 80) && !append_report(w, err)) return false;
  if (w->policies_sent < w->pool->policy_count && random_chance(&w->random, 8)) {
    const struct pool_event *policy = &w->pool->policies[w->policies_sent++];
    return append(w, EE_TOPIC_POLICY, 0, policy->key, policy->value, err);
  }
  return true;
}

static void pass_time(struct world *w) {
  int64_t dice = random_below(&w->random, 100);
  int64_t span = dice < 70 ? 20 : dice < 96 ? 5000 : 600000;
  ee_cluster_set_time(w->cluster, ee_cluster_time(w->cluster) + random_below(&w->random, span));
}

// Some of the markers that are due are written, in any order.
static void write_markers(struct world *w) {
  struct ee_producer *producer = w->cluster->producers;
  for (; producer != NULL; producer = producer->next) {
    while (producer->ending && random_chance(&w->random, 600)) {
      size_t which = (size_t)random_below(&w->random, (int64_t)producer->touched_count + 1);
      ee_transaction_mark(w->cluster, producer, which);
    }
  }
}

// ---- Ticks of the simulator's own.

// The newest tick of the partition, or NULL.
static const struct ee_message *tick_back(struct world *w, int32_t partition, int back) {
  struct ee_tp tp = {EE_TOPIC_TICK, partition};
  int64_t at = ee_cluster_end(w->cluster, tp, EE_READ_COMMITTED) - back;
  return at < 0 ? NULL : ee_cluster_next(w->cluster, tp, &at);
}

static bool append_tick(struct world *w, int32_t partition, struct ee_err *err) {
  struct ee_long_entry entries[EE_TOPIC_OBLIGATION + 1];
  const struct ee_message *last = tick_back(w, partition, 1);
  struct ee_tick tick;
  struct ee_buf avro;
  ee_record_init(&ee_tick_type, &tick);
  if (last != NULL) {
    tick.as_of = (struct ee_opt_long){true, last->timestamp_ms * EE_MICROS_PER_MS};
  }
  for (int topic = 0; topic <= EE_TOPIC_OBLIGATION; topic++) {
    struct ee_tp tp = {(enum ee_topic)topic, partition};
    entries[topic].key = ee_cluster_topic_name(w->cluster, tp.topic);
    entries[topic].value = ee_cluster_end(w->cluster, tp, EE_READ_COMMITTED);
  }
  tick.offsets.entries = entries;
  tick.offsets.count = EE_TOPIC_OBLIGATION + 1;
  ee_buf_init(&avro, OWN_BYTES_MAX);
  ee_encode(&ee_tick_type, &tick, &avro);
  bool good = append_own(w, (struct ee_tp){EE_TOPIC_TICK, partition}, ee_buf_bytes(&avro), err);
  ee_buf_release(&avro);
  return good;
}

static bool repeat_tick(struct world *w, int back, struct ee_err *err) {
  int32_t partition = (int32_t)random_below(&w->random, w->plan->partitions);
  const struct ee_message *tick = tick_back(w, partition, back);
  return tick == NULL || append(w, EE_TOPIC_TICK, partition, tick->key, tick->value, err);
}

// ---- Retention.

static int64_t committed_by_all(struct world *w, struct ee_tp tp) {
  int64_t least = INT64_MAX;
  for (const struct ee_group *group = w->cluster->groups; group != NULL; group = group->next) {
    int64_t offset = group->offsets[ee_log_index(w->cluster, tp)].offset;
    if (offset < least) least = offset;
  }
  return w->cluster->groups == NULL || least < 0 ? 0 : least;
}

static int64_t offset_in(const struct world *w, const struct ee_tick *tick, enum ee_topic topic) {
  struct ee_str name = ee_cluster_topic_name(w->cluster, topic);
  for (size_t i = 0; i < tick->offsets.count; i++) {
    if (ee_str_equal(tick->offsets.entries[i].key, name)) return tick->offsets.entries[i].value;
  }
  return INT64_MAX;
}

// Cuts phase topics below what all groups have committed and no tick waits for.
static bool cut_partition(struct world *w, int32_t partition, struct ee_arena *arena,
                          struct ee_err *err) {
  int64_t cuts[EE_PHASE_TOPICS];
  for (int topic = 0; topic < EE_PHASE_TOPICS; topic++) {
    cuts[topic] = committed_by_all(w, (struct ee_tp){(enum ee_topic)topic, partition});
  }
  struct ee_tp ticks = {EE_TOPIC_TICK, partition};
  int64_t at = committed_by_all(w, ticks);
  for (const struct ee_message *m; (m = ee_cluster_next(w->cluster, ticks, &at)) != NULL;) {
    const struct ee_plan *plan;
    struct ee_bytes avro;
    struct ee_tick tick;
    if (ee_codec_open(w->codec, &ee_tick_type, m->value, 0, &plan, &avro, NULL) != EE_CODEC_READY ||
        !ee_decode(plan, avro, arena, &tick, NULL)) {
      return ee_err_set(err, "a tick cannot be read");
    }
    for (int topic = 0; topic < EE_PHASE_TOPICS; topic++) {
      int64_t offset = offset_in(w, &tick, (enum ee_topic)topic);
      if (offset < cuts[topic]) cuts[topic] = offset;
    }
  }
  for (int topic = 0; topic < EE_PHASE_TOPICS; topic++) {
    struct ee_log *log = ee_log_of(w->cluster, (struct ee_tp){(enum ee_topic)topic, partition});
    if (cuts[topic] > log->start) log->start = cuts[topic];
  }
  return true;
}

static bool cut(struct world *w, struct ee_err *err) {
  struct ee_arena arena;
  bool good = true;
  ee_arena_init(&arena, MEMORY_MAX);
  for (int32_t p = 0; good && p < w->plan->partitions; p++) {
    good = cut_partition(w, p, &arena, err);
  }
  ee_arena_release(&arena);
  return good;
}

// ---- Instances.

static int soon(struct world *w, int most) {
  return w->turn + 1 + (int)random_below(&w->random, most);
}

// Down, and not by its own will: slot 0 is started again, the others perhaps.
static void note_death(struct world *w, struct instance *instance, int slot) {
  if (slot == 0 || random_chance(&w->random, 400)) instance->starts_at = soon(w, 30);
  instance->given_up_at = soon(w, 60);
}

static bool kill_one(struct world *w, struct instance *instance, int slot, struct ee_err *err) {
  note_death(w, instance, slot);
  errors_end(&w->errors, instance);
  return instance_kill(instance, err);
}

static bool stale(struct world *w, struct instance *instance, struct ee_err *err) {
  char saved[DIRECTORY_MAX + 8];
  snprintf(saved, sizeof saved, "%s.saved", instance->directory);
  return w->plan->disk ? instance_restore_store(instance, saved, err) : true;
}

static bool foreign(struct world *w, const struct fault *fault, struct instance *instance,
                    struct ee_err *err) {
  int processor = fault->processor;
  int slot = fault->number - 1;
  if (slot == fault->slot) processor = (processor + 1) % PROCESSORS;
  return instance_restore_store(instance, w->instances[processor][slot].directory, err);
}

// Faults that need a process that is there.
static bool strike(struct world *w, const struct fault *fault, struct instance *instance,
                   struct ee_err *err) {
  struct faulty_broker *faulty = &instance->faulty;
  const char *group = instance->processor->ops->name;
  switch (fault->kind) {
    case FAULT_CRASH:
    case FAULT_CRASH_AFTER:
      faulty->calls_to_live = fault->number;
      faulty->dies_after_effect = fault->kind == FAULT_CRASH_AFTER;
      return true;
    case FAULT_STOP:
      ee_runtime_stop(instance->runtime);
      return true;
    case FAULT_FREEZE:
    case FAULT_FREEZE_EXPIRED:
      instance->frozen_until = w->turn + fault->number;
      if (fault->kind == FAULT_FREEZE_EXPIRED) ee_cluster_expire(w->cluster, group, instance->name);
      return true;
    case FAULT_EXPIRE:
      ee_cluster_expire(w->cluster, group, instance->name);
      return true;
    case FAULT_EXPIRE_TRANSACTION: {
      struct ee_producer *producer = ee_producer_of(w->cluster, group, instance->name);
      if (producer != NULL) ee_producer_fence(w->cluster, producer);
      return true;
    }
    case FAULT_COMMIT_DONE_UNKNOWN:
      faulty->commit = COMMIT_DONE_UNKNOWN;
      return true;
    case FAULT_COMMIT_UNDONE_UNKNOWN:
      faulty->commit = COMMIT_UNDONE_UNKNOWN;
      return true;
    case FAULT_COMMIT_REFUSED:
      faulty->commit = COMMIT_REFUSED;
      return true;
    case FAULT_ABORT_UNKNOWN:
      faulty->abort_unknown = true;
      return true;
    case FAULT_BEGIN_UNKNOWN:
      faulty->begin_unknown = true;
      return true;
    case FAULT_PRODUCE_ABORTS:
      faulty->produce_aborts = true;
      return true;
    case FAULT_PUSH_BACK:
      faulty->push_back = fault->number;
      return true;
    case FAULT_DELAY:
      faulty->delay = fault->number;
      return true;
    case FAULT_AWAY:
      faulty->away = fault->number;
      return true;
    case FAULT_TICKS_LOST:
      faulty->lost_ticks = fault->number;
      return true;
    case FAULT_MEMORY:
      instance->short_of_memory_until = w->turn + fault->number;
      return true;
    case FAULT_DISK:
      instance->short_of_disk_until = w->turn + fault->number;
      return true;
    case FAULT_STORE_LOST:
      return kill_one(w, instance, fault->slot, err) && instance_lose_store(instance, err);
    case FAULT_STORE_CORRUPT:
      // Closed in order: what corruption does to a store that was not is tried with processes
      // of their own, since LMDB may end them.
      note_death(w, instance, fault->slot);
      instance_close(instance);
      return instance_corrupt_store(instance, random_next(&w->random), fault->number, err);
    case FAULT_STORE_STALE:
      return kill_one(w, instance, fault->slot, err) && stale(w, instance, err);
    case FAULT_STORE_FOREIGN:
      return kill_one(w, instance, fault->slot, err) && foreign(w, fault, instance, err);
    default:
      return true;
  }
}

// True also when it did not come up for an error inside: then it is tried again later.
static bool start_one(struct world *w, struct instance *instance, const char *name,
                      struct ee_err *err) {
  char saved[DIRECTORY_MAX + 8];
  snprintf(saved, sizeof saved, "%s.saved", instance->directory);
  snprintf(instance->name, sizeof instance->name, "%s", name);
  if (w->plan->disk && random_chance(&w->random, 300) &&
      !instance_save_store(instance, saved, err)) {
    return false;
  }
  errors_enter(&w->errors, instance);
  bool up = instance_start(instance, err);
  errors_leave(&w->errors, instance);
  if (up || !errors_end(&w->errors, instance)) return up;
  instance->starts_at = soon(w, 30);
  return true;
}

static bool happen(struct world *w, const struct fault *fault, struct ee_err *err) {
  struct instance *instance = &w->instances[fault->processor][fault->slot];
  if (fault->kind == FAULT_TICK_REPEATED) return repeat_tick(w, fault->number, err);
  if (fault->kind == FAULT_RETENTION) return cut(w, err);
  if (fault->kind == FAULT_START || fault->kind == FAULT_TWIN) {
    if (instance->up || instance->given_up_at > 0) return true;
    const char *name = slot_names[fault->kind == FAULT_TWIN ? 0 : fault->slot];
    return start_one(w, instance, name, err);
  }
  return !instance->up || strike(w, fault, instance, err);
}

// Excuses for giving up by itself: another process has its name; nothing could be allocated;
// what the disk holds is not known any more; an error inside.
static bool excused(struct world *w, const struct instance *instance, const struct ee_err *why,
                    bool short_of_memory) {
  if (errors_end(&w->errors, instance)) return true;
  if (instance->bad_disk &&
      (strstr(why->text, "is corrupt") != NULL || strstr(why->text, "failing") != NULL)) {
    return true;
  }
  return short_of_memory || strstr(why->text, "another instance") != NULL ||
         strstr(why->text, "another member") != NULL;
}

static void begin_shortage(struct world *w, struct instance *instance) {
  if (w->turn < instance->short_of_memory_until) {
    size_t times = random_chance(&w->random, 500) ? 1 : SIZE_MAX;
    ee_chaos_fail_times((size_t)random_below(&w->random, 12), times);
  }
  if (w->turn < instance->short_of_disk_until) {
    size_t times = random_chance(&w->random, 500) ? 1 : SIZE_MAX;
    bool full = random_chance(&w->random, 700);
    instance->bad_disk = instance->bad_disk || !full;
    troubled_disk_fail((size_t)random_below(&w->random, 8), times, full ? ENOSPC : EIO);
  }
}

static void close_one(struct world *w, struct instance *instance) {
  errors_enter(&w->errors, instance);
  instance_close(instance);
  errors_leave(&w->errors, instance);
}

static bool turn_one(struct world *w, struct instance *instance, int slot, struct ee_err *err) {
  int64_t now_ms = (int64_t)(w->turn + 1) * TURN_MS;
  struct ee_err why = {.text = ""};
  bool busy;
  if (!instance->up) {
    if (instance->given_up_at > 0 && w->turn >= instance->given_up_at) {
      instance->given_up_at = 0;
      ee_cluster_expire(w->cluster, instance->processor->ops->name, instance->name);
    }
    if (instance->starts_at == 0 || w->turn < instance->starts_at) return true;
    return start_one(w, instance, slot_names[slot], err);
  }
  if (w->turn < instance->frozen_until) return true;
  begin_shortage(w, instance);
  errors_enter(&w->errors, instance);
  enum ee_runtime_state state = ee_runtime_turn(instance->runtime, now_ms, now_ms, 0, &busy, &why);
  errors_leave(&w->errors, instance);
  bool short_of_memory = ee_chaos_stop();
  troubled_disk_stop();
  if (instance->faulty.dead) return kill_one(w, instance, slot, err);
  if (state == EE_RUNTIME_RUNNING) return true;
  close_one(w, instance);
  if (slot == 0 || random_chance(&w->random, 300)) instance->starts_at = soon(w, 30);
  bool excuse = excused(w, instance, &why, short_of_memory);
  if (state == EE_RUNTIME_DONE || excuse) return true;
  return ee_err_set(err, "turn %d: %s %d gave up: %s", w->turn, instance->processor->ops->name,
                    slot, why.text);
}

static bool turn(struct world *w, struct ee_err *err) {
  pass_time(w);
  write_markers(w);
  if (!send_due(w, err)) return false;
  for (size_t i = 0; i < w->plan->fault_count; i++) {
    if (w->plan->faults[i].turn != w->turn || (w->plan->left_out >> i & 1) != 0) continue;
    if (!happen(w, &w->plan->faults[i], err)) return false;
  }
  for (int processor = 0; processor < PROCESSORS; processor++) {
    for (int slot = 0; slot < SLOTS; slot++) {
      if (random_chance(&w->random, 300)) continue;
      if (!turn_one(w, &w->instances[processor][slot], slot, err)) return false;
    }
  }
  return true;
}

// ---- The whole.

static bool settle_settings(struct world *w, struct ee_err *err) {
  w->join = (struct ee_join_settings){.grace_ms = 5000, .orphan_grace_ms = 60000};
  const struct ee_properties none = {.count = 0};
  if (!ee_deadlines_init(&w->join.deadlines, &none, err)) return false;
  if (w->plan->retires) w->join.retire_after_ms = HOUR_MS / 2;
  w->governance.grace_ms = 5000;
  w->accounting.deadlines = w->join.deadlines;
  w->processors[0] = ee_join_processor(&w->join);
  w->processors[1] = ee_governance_processor(&w->governance);
  w->processors[2] = ee_accounting_processor(&w->accounting);
  return true;
}

static void place_instance(struct world *w, int processor, int slot, struct ee_cluster *cluster,
                           bool disk) {
  struct instance *instance = &w->instances[processor][slot];
  *instance = (struct instance){.processor = &w->processors[processor],
                                .cluster = cluster,
                                .codec = w->codec,
                                .settings = {.commit_interval_ms = 4 * TURN_MS,
                                             .checkpoint_interval_ms = 20 * TURN_MS,
                                             .batch_bytes = 8 << 20,
                                             .checkpoint_bytes = 1 << 14,
                                             .queue_bytes = 1 << 16,
                                             .tick_interval_ms = 20 * TURN_MS,
                                             .policy_margin_ms = 1000}};
  if (!disk) return;
  snprintf(instance->directory, sizeof instance->directory, "%s/%s-%d", w->directory,
           w->processors[processor].ops->name, slot);
}

// Their directories stay: to make one takes other calls than to find it.
static bool forget_stores(struct world *w, struct ee_err *err) {
  static const char *const suffixes[] = {"", ".saved", ".left"};
  for (int processor = 0; processor < PROCESSORS; processor++) {
    for (int slot = 0; slot < SLOTS; slot++) {
      for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        struct instance copy = w->instances[processor][slot];
        if (copy.directory[0] == '\0') continue;
        snprintf(copy.directory, sizeof copy.directory, "%s%s",
                 w->instances[processor][slot].directory, suffixes[i]);
        if (!ee_dir_make(copy.directory, err) || !instance_lose_store(&copy, err)) return false;
      }
    }
  }
  return true;
}

static bool chosen_before(const struct world *w, size_t count,
                          const struct pool_envelope *envelope) {
  for (size_t i = 0; i < count; i++) {
    if (w->envelopes[i] == envelope) return true;
  }
  return false;
}

static const struct pool_envelope *choose_envelope(struct world *w, size_t count) {
  for (;;) {
    const struct pool_envelope *envelope =
        &w->pool->envelopes[random_below(&w->random, (int64_t)w->pool->count)];
    if (!w->plan->retires) return envelope;
    if (!envelope->repeats && !chosen_before(w, count, envelope)) return envelope;
  }
}

static bool open_world(struct world *w, struct ee_err *err) {
  if (!ee_cluster_new("", w->plan->partitions, MEMORY_MAX, &w->cluster, err)) return false;
  ee_cluster_set_time(w->cluster, START_MS);
  w->cluster->holds_markers = true;
  producers_init(&w->producers, &w->random, START_MS);
  if (!settle_settings(w, err)) return false;
  for (int processor = 0; processor < PROCESSORS; processor++) {
    for (int slot = 0; slot < SLOTS; slot++)
      place_instance(w, processor, slot, w->cluster, w->plan->disk);
  }
  for (size_t i = 0; i < w->plan->envelopes; i++) {
    w->envelopes[i] = choose_envelope(w, i);
    w->to_send += w->envelopes[i]->count;
  }
  return forget_stores(w, err);
}

// What runs dies, and the cluster notices.
static bool end_all(struct world *w, struct ee_err *err) {
  for (int processor = 0; processor < PROCESSORS; processor++) {
    for (int slot = 0; slot < SLOTS; slot++) {
      struct instance *instance = &w->instances[processor][slot];
      errors_end(&w->errors, instance);
      if (instance->up && !instance_kill(instance, err)) return false;
      ee_cluster_expire(w->cluster, w->processors[processor].ops->name, slot_names[slot]);
    }
  }
  return true;
}

// One instance of a processor does everything that is there.
static bool finish(struct world *w, struct instance *instance, struct ee_err *err) {
  instance->settings.drain = true;
  instance->settings.tick_interval_ms = 0;
  for (int i = 0; i < TURNS_TO_FINISH; i++) {
    bool busy;
    int64_t now_ms = (int64_t)(w->turn + i) * TURN_MS;
    write_markers(w);
    if (!instance->up && !start_one(w, instance, slot_names[0], err)) return false;
    if (!instance->up) continue;
    errors_enter(&w->errors, instance);
    enum ee_runtime_state state = ee_runtime_turn(instance->runtime, now_ms, now_ms, 0, &busy, err);
    errors_leave(&w->errors, instance);
    if (state == EE_RUNTIME_RUNNING) continue;
    close_one(w, instance);
    if (errors_end(&w->errors, instance) && state == EE_RUNTIME_FAILED) continue;
    if (state == EE_RUNTIME_DONE) return true;
    return ee_err_prefix(err, "%s at the end", instance->processor->ops->name);
  }
  struct ee_err why;
  ee_runtime_ready(instance->runtime, &why);
  ee_err_set(err, "%s does not come to an end (%s)", instance->processor->ops->name, why.text);
  instance_close(instance);
  return false;
}

// A processor has read and committed what the logs of events hold.
static bool caught_up(struct world *w, int processor) {
  const struct ee_processor_ops *ops = w->processors[processor].ops;
  const struct ee_group *group = ee_group_of(w->cluster, ops->name);
  for (size_t i = 0; group != NULL && i < ops->input_count; i++) {
    for (int32_t p = 0; ops->inputs[i] <= EE_TOPIC_OBLIGATION && p < w->plan->partitions; p++) {
      struct ee_tp tp = {ops->inputs[i], p};
      int64_t end = ee_cluster_end(w->cluster, tp, EE_READ_COMMITTED);
      if (end > 0 && group->offsets[ee_log_index(w->cluster, tp)].offset < end) return false;
    }
  }
  return group != NULL;
}

// After an error inside, those that did not end get on by themselves.
static bool catch_up(struct world *w, struct ee_err *err) {
  for (int processor = 0; processor < PROCESSORS; processor++) {
    for (int i = 0; !caught_up(w, processor); i++, w->turn++) {
      if (!turn(w, err)) return false;
      if (i < TURNS_TO_CATCH_UP) continue;
      return ee_err_set(err, "%s does not get on", w->processors[processor].ops->name);
    }
  }
  return true;
}

static bool run_disturbed(struct world *w, struct ee_err *err) {
  if (!open_world(w, err)) return false;
  for (int processor = 0; processor < PROCESSORS; processor++)
    w->instances[processor][0].starts_at = 1;
  for (w->turn = 0; w->turn < TURNS; w->turn++) {
    if (!turn(w, err)) return false;
  }
  while (w->to_send > 0) {
    if (!send_next(w, err)) return false;
  }
  if (w->plan->error.kind != ERROR_NONE && !catch_up(w, err)) return false;
  if (!end_all(w, err)) return false;
  ee_cluster_set_time(w->cluster, ee_cluster_time(w->cluster) + HOUR_MS);
  for (int round = 0; round < 2; round++) {
    for (int32_t p = 0; p < w->plan->partitions; p++) {
      if (!append_tick(w, p, err)) return false;
    }
  }
  for (int processor = 0; processor < PROCESSORS; processor++) {
    if (!finish(w, &w->instances[processor][0], err)) return false;
  }
  return true;
}

static bool is_source(enum ee_topic topic) {
  return topic <= EE_TOPIC_OBLIGATION || topic == EE_TOPIC_TICK || topic == EE_TOPIC_POLICY;
}

static bool copy_log(struct ee_cluster *from, struct ee_cluster *to, struct ee_tp tp,
                     struct ee_err *err) {
  int64_t offset = 0;
  for (const struct ee_message *m; (m = ee_cluster_next(from, tp, &offset)) != NULL;) {
    size_t count;
    const struct ee_header *headers = ee_cluster_headers(m, &count);
    if (!ee_cluster_load(to, tp, m->offset, m->timestamp_ms, m->key, m->value, headers, count,
                         err)) {
      return false;
    }
  }
  ee_cluster_load_end(to, tp, ee_cluster_end(from, tp, EE_READ_COMMITTED));
  return true;
}

// The same sources in a cluster where nothing goes wrong.
static bool run_undisturbed(struct world *w, struct ee_cluster *calm, struct ee_err *err) {
  for (enum ee_topic topic = 0; topic < EE_TOPIC_COUNT; topic++) {
    if (!is_source(topic)) continue;
    for (int32_t p = 0; p < ee_cluster_partitions(calm, topic); p++) {
      if (!copy_log(w->cluster, calm, (struct ee_tp){topic, p}, err)) return false;
    }
  }
  for (int processor = 0; processor < PROCESSORS; processor++) {
    place_instance(w, processor, 0, calm, false);
    if (!finish(w, &w->instances[processor][0], err)) {
      ee_err_prefix(err, "undisturbed");
      return false;
    }
  }
  return true;
}

static bool compare(struct world *w, struct ee_cluster *calm, struct ee_err *err) {
  struct outputs *found = outputs_of(w->cluster, w->codec, err);
  struct outputs *expected = found == NULL ? NULL : outputs_of(calm, w->codec, err);
  bool good = found != NULL && expected != NULL &&
              outputs_equal(found, expected, w->codec, w->details, err);
  if (good && outputs_count(found) == 0) good = ee_err_set(err, "nothing came out");
  outputs_free(found);
  outputs_free(expected);
  return good;
}

static void close_world(struct world *w, struct ee_cluster *calm) {
  struct ee_err ignored;
  for (int processor = 0; processor < PROCESSORS; processor++) {
    for (int slot = 0; slot < SLOTS; slot++) {
      struct instance *instance = &w->instances[processor][slot];
      if (instance->up) instance_kill(instance, &ignored);
    }
  }
  ee_cluster_free(w->cluster);
  ee_cluster_free(calm);
}

bool world_run(const struct plan *plan, const struct pool *pool, struct ee_codec *codec,
               const char *directory, FILE *details, bool *ret_struck, struct ee_err *err) {
  static const struct error none;
  struct world w = {.plan = plan,
                    .pool = pool,
                    .codec = codec,
                    .random = {.state = plan->seed},
                    .directory = directory,
                    .details = details};
  struct ee_cluster *calm = NULL;
  errors_init(&w.errors, &plan->error);
  bool good = run_disturbed(&w, err);
  if (ret_struck != NULL) *ret_struck = w.errors.struck;
  errors_init(&w.errors, &none);
  good = good && ee_cluster_new("", plan->partitions, MEMORY_MAX, &calm, err) &&
         run_undisturbed(&w, calm, err) && compare(&w, calm, err);
  close_world(&w, calm);
  return good;
}
