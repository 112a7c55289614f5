// SPDX-License-Identifier: Apache-2.0
// The state store: a working set (store_set.h) over rows on disk (store_disk.h), opened
// with suspicion (store_session.h).
#include "stream/store.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "stream/store_batch.h"
#include "stream/store_disk.h"
#include "stream/store_due.h"
#include "stream/store_session.h"

#define SHED_STEP ((size_t)8)  // buckets looked at per call: more than it can add entries
#define SHED_ROUNDS ((size_t)3)
#define PARTITION_MOST 0xFFFF

struct ee_store {
  struct ee_set set;
  struct ee_batch restored;
  struct ee_disk *disk;  // owned; NULL: in memory only
  char *directory;       // owned
  int lock_fd;
  size_t memory_bytes;
  uint64_t format;
  size_t changelog_count;
  struct ee_packed due_key;  // what ee_store_due last reported
};

// ---- Opening and closing.

// Opens the files, or empties them and opens anew. *distrust: why; given, or found out.
static bool open_trusted(struct ee_store *store, bool verify, const char **distrust,
                         struct ee_err *err) {
  const char *unusable = NULL;
  if (*distrust == NULL && !ee_disk_open(store->directory, store->format, store->changelog_count,
                                         verify, &store->disk, &unusable, err)) {
    if (unusable == NULL) return false;
    *distrust = unusable;
  }
  if (store->disk == NULL && (!ee_session_empty(store->directory, err) ||
                              !ee_disk_open(store->directory, store->format, store->changelog_count,
                                            false, &store->disk, &unusable, err))) {
    return false;
  }
  return ee_session_opened(store->directory, err);
}

static bool open_files(struct ee_store *store, const char **ret_emptied, struct ee_err *err) {
  bool verify;
  if (!ee_session_begin(store->directory, ret_emptied, &verify, err)) return false;
  bool ok = open_trusted(store, verify, ret_emptied, err);
  return ee_session_end_opening(store->directory, ok ? err : NULL) && ok;
}

static bool open_directory(struct ee_store *store, const char **ret_emptied, struct ee_err *err) {
  if (!ee_dir_make(store->directory, err)) return false;
  if (!ee_dir_lock(store->directory, &store->lock_fd, err)) {
    return ee_err_prefix(err, "the state directory %s is in use or cannot be locked",
                         store->directory);
  }
  return open_files(store, ret_emptied, err);
}

bool ee_store_open(const struct ee_store_settings *settings, struct ee_store **ret,
                   const char **ret_emptied, struct ee_err *err) {
  *ret_emptied = NULL;
  if (settings->changelog_count == 0 || settings->changelog_count > EE_CHANGELOGS_MAX) {
    return ee_err_set(err, "a store has 1 to %d changelogs", EE_CHANGELOGS_MAX);
  }
  struct ee_store *store = calloc(1, sizeof *store);
  if (store == NULL) return ee_err_set(err, "no memory");
  store->lock_fd = -1;
  store->memory_bytes = settings->memory_bytes < 0 ? 0 : (size_t)settings->memory_bytes;
  store->format = settings->format;
  store->changelog_count = settings->changelog_count;
  ee_batch_init(&store->restored);
  bool ok = ee_set_init(&store->set, settings->directory != NULL);
  if (ok && settings->directory != NULL) {
    ok = (store->directory = strdup(settings->directory)) != NULL;
  }
  if (!ok) ee_err_set(err, "no memory");
  if (ok && store->directory != NULL) ok = open_directory(store, ret_emptied, err);
  if (ok) {
    *ret = store;
  } else {
    *ret_emptied = NULL;
    ee_store_close(store);
  }
  return ok;
}

void ee_store_close(struct ee_store *store) {
  if (store == NULL) return;
  bool corrupt = store->disk != NULL && ee_disk_corrupt(store->disk);
  // Without its last line the session counts as cut short, and is looked through when it
  // is opened next: slower, nothing worse.
  if (ee_disk_close(store->disk)) ee_session_closed(store->directory, NULL);
  if (corrupt) ee_session_corrupt(store->directory, NULL);
  ee_set_release(&store->set);
  ee_batch_release(&store->restored);
  if (store->lock_fd >= 0) close(store->lock_fd);
  free(store->directory);
  free(store);
}

// ---- Checks that every call makes.

// Without its files a store is as good as corrupt: dropping tries to make them again.
bool ee_store_corrupt(const struct ee_store *store) {
  return store->directory != NULL && (store->disk == NULL || ee_disk_corrupt(store->disk));
}

static bool usable(const struct ee_store *store, struct ee_err *err) {
  if (!ee_store_corrupt(store)) return true;
  return ee_err_set(err, "the state in %s is corrupt and must be rebuilt from the changelogs",
                    store->directory);
}

static bool pack(const struct ee_store *store, struct ee_store_key key, struct ee_packed *out,
                 struct ee_err *err) {
  if (key.key.size > EE_STORE_KEY_MAX) {
    return ee_err_set(err, "a key of %zu bytes is longer than the %d that the state store allows",
                      key.key.size, EE_STORE_KEY_MAX);
  }
  if (key.changelog >= store->changelog_count || key.partition < 0 ||
      key.partition > PARTITION_MOST) {
    return ee_err_set(err, "partition %" PRId32 " changelog %d is not one that the store keeps",
                      key.partition, key.changelog);
  }
  ee_packed_make(out, key);
  return usable(store, err);
}

static void shed(struct ee_store *store, size_t buckets) {
  if (store->disk != NULL) ee_set_shed(&store->set, store->memory_bytes, buckets);
}

// ---- Values.

// The key's entry, read from the disk when it is not in memory; *ret NULL: no value.
static bool fetch(struct ee_store *store, const struct ee_packed *key, struct ee_entry **ret,
                  struct ee_err *err) {
  struct ee_disk_row row;
  *ret = ee_set_find(&store->set, key);
  if (*ret != NULL || store->disk == NULL) return true;
  shed(store, SHED_STEP);
  if (!ee_disk_get(store->disk, key, &row, err)) return false;
  if (!row.found) return true;
  *ret = ee_set_load(&store->set, key, row.value, row.wake_at);
  return *ret != NULL || ee_err_set(err, "no memory");
}

static struct ee_bytes value_of(const struct ee_entry *entry) {
  const struct ee_version *newest = ee_entry_newest(entry);
  return newest->present ? ee_bytes(newest->data, newest->size) : ee_bytes(NULL, 0);
}

bool ee_store_get(struct ee_store *store, struct ee_store_key key, struct ee_bytes *ret,
                  struct ee_err *err) {
  struct ee_packed packed;
  struct ee_entry *entry;
  *ret = ee_bytes(NULL, 0);
  if (!pack(store, key, &packed, err) || !fetch(store, &packed, &entry, err)) return false;
  if (entry == NULL) return true;
  entry->used = true;
  *ret = value_of(entry);
  return true;
}

static bool check_value(struct ee_bytes value, struct ee_err *err) {
  if (value.size <= EE_STORE_VALUE_MAX) return true;
  return ee_err_set(err, "a value of %zu bytes is larger than the %zu that the store allows",
                    value.size, EE_STORE_VALUE_MAX);
}

static bool put(struct ee_store *store, enum ee_layer layer, struct ee_store_key key,
                struct ee_bytes value, int64_t wake_at, struct ee_err *err) {
  struct ee_packed packed;
  if (!pack(store, key, &packed, err) || !check_value(value, err)) return false;
  size_t room =
      store->set.memory < store->memory_bytes ? store->memory_bytes - store->set.memory : 0;
  if (store->disk == NULL && value.size > room) {
    return ee_err_set(err, "the state is larger than its %zu bytes of memory: allow more",
                      store->memory_bytes);
  }
  if (!ee_set_put(&store->set, layer, &packed, value, wake_at)) {
    return ee_err_set(err, "no memory");
  }
  shed(store, SHED_STEP);
  return true;
}

bool ee_store_put(struct ee_store *store, struct ee_store_key key, struct ee_bytes value,
                  int64_t wake_at, struct ee_err *err) {
  return put(store, EE_LAYER_OPEN, key, value, wake_at, err);
}

bool ee_store_restore(struct ee_store *store, struct ee_store_key key, struct ee_bytes value,
                      int64_t wake_at, struct ee_err *err) {
  struct ee_packed packed;
  if (!pack(store, key, &packed, err) || !check_value(value, err)) return false;
  // What memory has of the key from before would hide the disk's.
  if (store->disk == NULL || (store->set.count > 0 && ee_set_find(&store->set, &packed) != NULL)) {
    return put(store, EE_LAYER_COMMITTED, key, value, wake_at, err);
  }
  return ee_batch_add(&store->restored, &packed, value, wake_at) || ee_err_set(err, "no memory");
}

// ---- What is due: the lesser of memory's least and the disk's least that memory does
// not override.

static int64_t wake_of(const struct ee_due_key *row) {
  uint64_t bits = 0;
  for (size_t i = 0; i < 8; i++) {
    bits = bits << 8 | row->data[2 + i];
  }
  return (int64_t)(bits ^ UINT64_C(1) << 63);
}

static void packed_of(const struct ee_due_key *row, struct ee_packed *out) {
  memcpy(out->data, row->data, 2);
  memcpy(out->data + 2, row->data + 10, row->size - 10);
  out->size = row->size - 8;
}

static bool before(const struct ee_due_key *a, const struct ee_due_key *b) {
  return ee_bytes_compare(ee_bytes(a->data, a->size), ee_bytes(b->data, b->size)) < 0;
}

static bool overridden(const struct ee_store *store, const struct ee_due_key *row) {
  struct ee_packed key;
  packed_of(row, &key);
  const struct ee_entry *entry = ee_set_find(&store->set, &key);
  return entry != NULL && !ee_entry_clean(&store->set, entry);
}

// The disk's first row before `limit` that still holds; size 0: none.
static bool least_on_disk(struct ee_store *store, int32_t partition, struct ee_part *part,
                          const struct ee_due_key *limit, struct ee_due_key *ret,
                          struct ee_err *err) {
  ret->size = 0;
  if (store->disk == NULL) return true;
  bool ok = ee_disk_due_seek(store->disk, partition, &part->floor, ret, err);
  while (ok && ret->size > 0 && before(ret, limit) && overridden(store, ret)) {
    part->floor = *ret;
    ok = ee_disk_due_next(store->disk, partition, ret, err);
  }
  if (ret->size > 0 && !before(ret, limit)) ret->size = 0;
  return ok;
}

// A row of the due order and the state it stands for are written together.
static bool confirm(struct ee_store *store, const struct ee_due_key *row, struct ee_err *err) {
  struct ee_packed key;
  struct ee_entry *entry;
  packed_of(row, &key);
  if (!fetch(store, &key, &entry, err)) return false;
  if (entry != NULL && ee_entry_newest(entry)->wake_at == wake_of(row)) return true;
  return ee_disk_set_corrupt(store->disk, "a wake time is not its key's", err);
}

bool ee_store_due(struct ee_store *store, int32_t partition, int64_t clock,
                  struct ee_store_key *ret, bool *ret_found, struct ee_err *err) {
  struct ee_packed bound = {.size = 0};
  struct ee_due_key limit, row;
  *ret_found = false;
  if (!pack(store, (struct ee_store_key){.partition = partition}, &bound, err)) return false;
  struct ee_part *part = ee_set_make_part(&store->set, partition);
  if (part == NULL) return ee_err_set(err, "no memory");
  const struct ee_entry *least = ee_due_least(part);
  if (least != NULL && least->due_at > clock) least = NULL;
  if (least != NULL) {
    ee_due_key_make(&limit, least->key, least->key_size, least->due_at);
  } else {
    if (clock == EE_NEVER) clock--;  // nothing is due for ever
    ee_due_key_make(&limit, bound.data, bound.size - 1, clock + 1);
  }
  if (!least_on_disk(store, partition, part, &limit, &row, err)) return false;
  if (row.size > 0 && !confirm(store, &row, err)) return false;
  if (row.size == 0 && least == NULL) return true;
  packed_of(row.size > 0 ? &row : &limit, &store->due_key);
  *ret = ee_packed_key(store->due_key.data, store->due_key.size);
  *ret_found = true;
  return true;
}

// ---- Layers.

bool ee_store_touched(struct ee_store *store,
                      bool (*visit)(void *context, struct ee_store_key key, struct ee_bytes value),
                      void *context) {
  const struct ee_entry *entry = store->set.changes[EE_LAYER_OPEN].first;
  for (; entry != NULL; entry = entry->next[EE_LAYER_OPEN]) {
    if (!visit(context, ee_packed_key(entry->key, entry->key_size), value_of(entry))) return false;
  }
  return true;
}

void ee_store_seal(struct ee_store *store) {
  ee_set_seal(&store->set);
}

void ee_store_commit(struct ee_store *store) {
  ee_set_commit(&store->set);
}

void ee_store_abort(struct ee_store *store) {
  ee_set_abort(&store->set);
}

// ---- Checkpoints.

int64_t ee_store_pending_bytes(const struct ee_store *store) {
  return (int64_t)(store->set.pending + store->restored.bytes.size);
}

bool ee_store_checkpoint(struct ee_store *store, const struct ee_store_checkpoint *checkpoints,
                         size_t count, int64_t wall_ms, struct ee_err *err) {
  if (!usable(store, err)) return false;
  if (store->disk == NULL) return true;
  for (size_t i = 0; i < count; i++) {
    struct ee_packed unused;
    struct ee_store_key key = {.partition = checkpoints[i].partition};
    if (!pack(store, key, &unused, err)) return false;
  }
  const struct ee_entry *changes = ee_set_sort_pending(&store->set);
  if (!ee_disk_write(store->disk, &store->restored, changes, checkpoints, count, wall_ms, err)) {
    return false;
  }
  ee_set_cleaned(&store->set);
  ee_batch_clear(&store->restored);
  ee_disk_give_back(store->disk);
  shed(store, SHED_ROUNDS * store->set.bucket_count);
  return true;
}

bool ee_store_checkpoint_of(struct ee_store *store, int32_t partition,
                            int64_t offsets[EE_CHANGELOGS_MAX], int64_t *ret_wall_ms,
                            struct ee_err *err) {
  struct ee_packed unused;
  bool found = false, rows = false;
  if (err != NULL) err->text[0] = '\0';
  if (!pack(store, (struct ee_store_key){.partition = partition}, &unused, err)) return false;
  if (ee_set_make_part(&store->set, partition) == NULL) return ee_err_set(err, "no memory");
  if (store->disk == NULL) return false;
  if (!ee_disk_checkpoint_of(store->disk, partition, offsets, ret_wall_ms, &found, err) || found) {
    return found;
  }
  // Rows without a checkpoint are older than anything the caller will read.
  if (ee_disk_holds(store->disk, partition, &rows, err) && rows) {
    ee_disk_erase(store->disk, partition, err);
  }
  return false;
}

// ---- Forgetting.

static bool holds_nothing(const struct ee_set *set) {
  for (size_t i = 0; i < set->part_count; i++) {
    if (set->parts[i] != NULL) return false;
  }
  return true;
}

// In place of a corrupt store, an empty one.
static bool start_over(struct ee_store *store, struct ee_err *err) {
  const char *emptied;
  ee_disk_close(store->disk);
  store->disk = NULL;
  if (!ee_session_empty(store->directory, err)) return false;
  return open_files(store, &emptied, err);
}

bool ee_store_drop(struct ee_store *store, int32_t partition, bool erase, struct ee_err *err) {
  if (partition < 0 || partition > PARTITION_MOST) return true;
  ee_set_drop(&store->set, partition);
  ee_batch_drop(&store->restored, partition);
  if (ee_store_corrupt(store)) return !holds_nothing(&store->set) || start_over(store, err);
  if (!erase || store->disk == NULL) return true;
  return ee_disk_erase(store->disk, partition, err);
}

struct ee_store_size ee_store_size(const struct ee_store *store) {
  return (struct ee_store_size){
      .memory_bytes = (int64_t)(store->set.memory + ee_batch_memory(&store->restored)),
      .disk_bytes = store->disk == NULL ? 0 : ee_disk_bytes(store->disk),
      .keys = (int64_t)store->set.count,
  };
}
