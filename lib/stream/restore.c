// SPDX-License-Identifier: Apache-2.0
// Changelogs into the store: from the checkpoint, or from their start, up to the high
// watermark that was seen after earlier producers had been fenced. What has been read goes to
// disk as it grows: memory stays bounded, and a restore that is cut short goes on from there.
#include <stdlib.h>

#include "stream/runtime_impl.h"

static struct ee_tp changelog_tp(const struct ee_runtime *rt, const struct partition *p,
                                 size_t changelog) {
  return (struct ee_tp){rt->ops->changelogs[changelog].topic, p->number};
}

// Why the partition's checkpoint cannot be built upon, or NULL.
static const char *checkpoint_useless(const struct ee_runtime *rt, const struct partition *p,
                                      const int64_t offsets[EE_CHANGELOGS_MAX], int64_t made_ms) {
  for (size_t i = 0; i < rt->ops->changelog_count; i++) {
    int64_t kept_ms = rt->topics[rt->ops->changelogs[i].topic].delete_retention_ms;
    if (offsets[i] > p->changelogs[i].end) return "it is ahead of the changelog";
    if (rt->wall_ms - made_ms > kept_ms) return "it is older than delete.retention.ms";
  }
  return NULL;
}

bool restore_reaches(struct ee_runtime *rt, struct ee_tp tp, int64_t end, int64_t seen) {
  if (end >= seen) return true;
  return runtime_fail(
      rt,
      "%.*s partition %d ends at %lld and was seen to reach %lld: it was cut at its "
      "end, or made anew, and the state in it is lost; docs/reset.md",
      EE_STR_ARG(rt->broker->ops->topic_name(rt->broker, tp.topic)), (int)tp.partition,
      (long long)end, (long long)seen);
}

bool restore_begin(struct ee_runtime *rt, struct partition *p) {
  int64_t offsets[EE_CHANGELOGS_MAX], made_ms;
  struct ee_err why = {.text = ""};
  bool kept = ee_store_checkpoint_of(rt->store, p->number, offsets, &made_ms, &why);
  const char *useless = kept ? checkpoint_useless(rt, p, offsets, made_ms) : NULL;
  if (kept && p->unread) useless = "the group has committed no offsets";
  if (useless != NULL) {
    ee_log(EE_WARN, "the stored state is rebuilt from the changelogs",
           EE_LOG_WITH(EE_LOG_I("partition", p->number), EE_LOG_S("why", ee_str(useless))));
  }
  if (!kept || useless != NULL) {
    if (!ee_store_drop(rt->store, p->number, true, &rt->trouble)) return false;
  }
  for (size_t i = 0; i < rt->ops->changelog_count; i++) {
    struct changelog_restore *restore = &p->changelogs[i];
    restore->from = kept && useless == NULL ? offsets[i] : EE_OFFSET_EARLIEST;
    restore->reading = restore->end > 0 && restore->from < restore->end;
    if (restore->reading) rt->broker->ops->read(rt->broker, changelog_tp(rt, p, i), restore->from);
  }
  return true;
}

static bool put(struct ee_runtime *rt, struct partition *p, uint8_t changelog,
                const struct ee_message *message, const struct intake_record *taken) {
  struct ee_store_key key = {.partition = p->number, .changelog = changelog, .key = message->key};
  if (taken == NULL) {
    return ee_store_restore(rt->store, key, (struct ee_bytes){0}, EE_NEVER, &rt->trouble);
  }
  struct ee_bytes value = taken->avro;
  if (!taken->current) {
    ee_buf_clear(&rt->value);
    ee_encode(ee_topics[message->tp.topic].value, taken->record, &rt->value);
    if (rt->value.failed) return ee_err_set(&rt->trouble, "no memory to restore state");
    value = ee_buf_bytes(&rt->value);
  }
  int64_t wake_at = rt->ops->wake_at(rt->processor->self, changelog, key.key, taken->record,
                                     p->clock, &rt->arena);
  return ee_store_restore(rt->store, key, value, wake_at, &rt->trouble);
}

static bool refused(struct ee_runtime *rt, const struct ee_message *message, const char *why,
                    const char *detail) {
  return ee_err_set(&rt->trouble,
                    "%s partition %d offset %lld is not a record of this processor (%s: %s); "
                    "something else has written to the topic",
                    ee_topics[message->tp.topic].name, (int)message->tp.partition,
                    (long long)message->offset, why, detail);
}

// Its transaction committed offsets of the group that wrote it; ours has none.
static bool not_ours(struct ee_runtime *rt, const struct ee_message *message) {
  return ee_err_set(&rt->trouble,
                    "%s partition %d offset %lld was derived by another group (or by this one, and "
                    "its offsets are lost): deriving it again would double what is not compacted; "
                    "go on with that group, or make the derived topics anew (docs/reset.md)",
                    ee_topics[message->tp.topic].name, (int)message->tp.partition,
                    (long long)message->offset);
}

// How far the store has a partition's changelogs. False: not known before the first record of
// each; what is written without it is read again.
static bool list_progress(const struct ee_runtime *rt, const struct partition *p,
                          struct ee_store_checkpoint *out) {
  *out = (struct ee_store_checkpoint){.partition = p->number};
  for (size_t i = 0; i < rt->ops->changelog_count; i++) {
    const struct changelog_restore *restore = &p->changelogs[i];
    if (restore->reading && restore->from < 0) return false;
    out->offsets[i] = restore->reading ? restore->from : restore->end;
  }
  return true;
}

static bool write_progress(struct ee_runtime *rt) {
  struct ee_store_checkpoint *checkpoints = calloc(rt->partition_count + 1, sizeof *checkpoints);
  size_t count = 0;
  if (checkpoints == NULL) return ee_err_set(&rt->undone, "no memory to restore state");
  for (int32_t i = 0; i < rt->partition_limit; i++) {
    const struct partition *p = rt->partitions[i];
    if (p == NULL || p->state != PARTITION_RESTORING) continue;
    if (list_progress(rt, p, &checkpoints[count])) count++;
  }
  bool done = store_write(rt, checkpoints, count);
  free(checkpoints);
  return done;
}

// Reads on from here later: the registry is away, or the disk has no room.
static void stall(struct ee_runtime *rt, struct changelog_restore *restore,
                  const struct ee_message *message) {
  restore->stalled = true;
  restore->from = message->offset;
  rt->broker->ops->read_stop(rt->broker, message->tp);
}

bool restore_message(struct ee_runtime *rt, struct partition *p, uint8_t changelog,
                     const struct ee_message *message) {
  struct changelog_restore *restore = &p->changelogs[changelog];
  if (!restore->reading || restore->stalled) return true;
  if (ee_store_pending_bytes(rt->store) >= rt->settings.checkpoint_bytes && !write_progress(rt)) {
    rt->retry_at_ms = rt->now_ms + RETRY_MS;
    rt->trouble = rt->undone;
    stall(rt, restore, message);
    return !ee_store_corrupt(rt->store);
  }
  if (message->key.data == NULL) return refused(rt, message, "missing_field", "no key");
  if (p->unread) return not_ours(rt, message);
  struct intake_record taken;
  struct ee_fault fault = {0};
  enum intake intake = INTAKE_STEP;
  bool deleted = message->value.data == NULL;
  if (!deleted) intake = intake_decode(rt, message, &taken, &fault);
  bool good = true;
  if (intake == INTAKE_WAIT) {
    stall(rt, restore, message);
    ee_err_set(&rt->trouble, "%s", fault.detail);
  } else if (intake == INTAKE_REFUSED) {
    good = refused(rt, message, ee_reason_name(fault.reason), fault.detail);
  } else {
    good = put(rt, p, changelog, message, deleted ? NULL : &taken);
    if (good) {
      restore->from = message->offset + 1;
      rt->metrics->restored_records++;
    }
  }
  ee_arena_clear(&rt->arena);
  return good;
}

static bool changelog_done(struct ee_runtime *rt, struct partition *p, size_t changelog) {
  struct changelog_restore *restore = &p->changelogs[changelog];
  struct ee_tp tp = changelog_tp(rt, p, changelog);
  if (!restore->reading) return true;
  if (restore->stalled) {
    if (rt->now_ms < rt->retry_at_ms) return false;
    restore->stalled = false;
    rt->broker->ops->read(rt->broker, tp, restore->from);
    return false;
  }
  if (rt->broker->ops->position(rt->broker, tp) < restore->end) return false;
  rt->broker->ops->read_stop(rt->broker, tp);
  restore->reading = false;
  return true;
}

bool restore_written(struct ee_runtime *rt) {
  if (ee_store_pending_bytes(rt->store) == 0 || write_progress(rt)) return true;
  rt->retry_at_ms = rt->now_ms + RETRY_MS;
  return false;
}

bool restore_done(struct ee_runtime *rt, struct partition *p) {
  bool done = true;
  for (size_t i = 0; i < rt->ops->changelog_count; i++) {
    if (!changelog_done(rt, p, i)) done = false;
  }
  return done;
}

void restore_stop(struct ee_runtime *rt, struct partition *p) {
  for (size_t i = 0; i < rt->ops->changelog_count; i++) {
    struct changelog_restore *restore = &p->changelogs[i];
    if (restore->reading && !restore->stalled) {
      rt->broker->ops->read_stop(rt->broker, changelog_tp(rt, p, i));
    }
    restore->reading = false;
    restore->stalled = false;
  }
}
