// SPDX-License-Identifier: Apache-2.0
// Writing a store's rows to LMDB: a checkpoint in one transaction, and the removal of a
// partition in steps.
#include <errno.h>
#include <string.h>

#include "stream/store_row.h"

#define MAP_MOST ((size_t)1 << 46)
#define ERASE_STEP ((size_t)10000)  // rows of one transaction

// What a writer does within one transaction. Returns an LMDB or system code.
typedef int write_fn(struct ee_disk *disk, MDB_txn *txn, void *context);

static int write_once(struct ee_disk *disk, write_fn *write, void *context) {
  MDB_txn *txn;
  int code = mdb_txn_begin(disk->env, NULL, 0, &txn);
  if (code != 0) return code;
  code = write(disk, txn, context);
  if (code == 0) return mdb_txn_commit(txn);
  mdb_txn_abort(txn);
  return code;
}

static int grow_map(struct ee_disk *disk) {
  MDB_envinfo info;
  int code = mdb_env_info(disk->env, &info);
  if (code != 0) return code;
  if (info.me_mapsize >= MAP_MOST) return ENOSPC;
  disk->map = NULL;
  return mdb_env_set_mapsize(disk->env, info.me_mapsize * 2);
}

static bool write_all(struct ee_disk *disk, write_fn *write, void *context, struct ee_err *err) {
  ee_disk_reader_end(disk);
  int code;
  do {
    code = write_once(disk, write, context);
  } while (code == MDB_MAP_FULL && (code = grow_map(disk)) == 0);
  return code == 0 || ee_disk_fail(disk, "write", code, err);
}

// ---- A checkpoint.

// LMDB holds the pages that a transaction has touched, and keeps their memory for the next one.
#define SLICE_BYTES ((size_t)2 << 20)

struct checkpoint {
  const struct ee_batch *batch;
  size_t batch_at;  // rows of it that are written
  const struct ee_entry *changes;
  const struct ee_store_checkpoint *checkpoints;
  size_t count;
  int64_t wall_ms;
  // As of the end of the slice under way.
  size_t next_batch_at;
  const struct ee_entry *next_changes;
};

// One transaction's cursors. Changes come in the order of keys, mostly, and a cursor that stands
// beside a key finds its place without a search from the root.
struct cursors {
  MDB_cursor *of[EE_DB_COUNT];
};

static void close_cursors(struct cursors *cursors) {
  for (size_t db = 0; db < EE_DB_COUNT; db++) {
    if (cursors->of[db] != NULL) mdb_cursor_close(cursors->of[db]);
  }
}

static int open_cursors(struct ee_disk *disk, MDB_txn *txn, struct cursors *ret) {
  int code = 0;
  *ret = (struct cursors){.of = {NULL}};
  for (size_t db = 0; db < EE_DB_COUNT && code == 0; db++) {
    code = mdb_cursor_open(txn, disk->dbs[db], &ret->of[db]);
  }
  if (code != 0) close_cursors(ret);
  return code;
}

static int delete_due(MDB_cursor *due, MDB_val key, int64_t wake_at) {
  struct ee_due_key made;
  ee_due_key_make(&made, key.mv_data, key.mv_size, wake_at);
  MDB_val row_key = {.mv_size = made.size, .mv_data = made.data}, row = {0, NULL};
  int code = mdb_cursor_get(due, &row_key, &row, MDB_SET);
  if (code == MDB_NOTFOUND) return MDB_CORRUPTED;
  return code == 0 ? mdb_cursor_del(due, 0) : code;
}

static int put_due(MDB_cursor *due, MDB_val key, int64_t wake_at) {
  struct ee_due_key made;
  uint8_t crc[EE_ROW_KEY_CRC];
  ee_due_key_make(&made, key.mv_data, key.mv_size, wake_at);
  MDB_val row_key = {.mv_size = made.size, .mv_data = made.data};
  MDB_val row = {.mv_size = sizeof crc, .mv_data = crc};
  ee_store32(crc, ee_row_key_crc(row_key));
  return mdb_cursor_put(due, &row_key, &row, 0);
}

static int put_row(MDB_cursor *cursor, MDB_val key, int64_t wake_at, struct ee_bytes value,
                   unsigned how) {
  MDB_val row = {.mv_size = EE_ROW_HEAD + value.size};
  int code = mdb_cursor_put(cursor, &key, &row, MDB_RESERVE | how);
  if (code == 0) ee_row_make(row.mv_data, key, wake_at, value);
  return code;
}

// Where the key has no row yet one search does both, looking and writing. MDB_KEYEXIST: the
// cursor stands at its row, *ret_old is that one's wake time, and nothing is written.
static int put_new(MDB_cursor *state, MDB_val key, struct ee_bytes value, int64_t wake_at,
                   int64_t *ret_old) {
  MDB_val row = {.mv_size = EE_ROW_HEAD + value.size};
  struct ee_bytes old;
  int code = mdb_cursor_put(state, &key, &row, MDB_NOOVERWRITE | MDB_RESERVE);
  if (code == MDB_KEYEXIST && !ee_row_parse(key, row, ret_old, &old)) return MDB_CORRUPTED;
  if (code == 0) ee_row_make(row.mv_data, key, wake_at, value);
  return code;
}

static int delete_row(const struct cursors *cursors, MDB_val key) {
  MDB_cursor *state = cursors->of[EE_DB_STATE];
  MDB_val row = {0, NULL};
  struct ee_bytes value;
  int64_t old;
  int code = mdb_cursor_get(state, &key, &row, MDB_SET);
  if (code == MDB_NOTFOUND) return 0;
  if (code == 0 && !ee_row_parse(key, row, &old, &value)) return MDB_CORRUPTED;
  if (code == 0 && old != EE_NEVER) code = delete_due(cursors->of[EE_DB_DUE], key, old);
  return code == 0 ? mdb_cursor_del(state, 0) : code;
}

// value data NULL: the key has none.
static int write_value(const struct cursors *cursors, MDB_val key, struct ee_bytes value,
                       int64_t wake_at) {
  if (value.data == NULL) return delete_row(cursors, key);
  MDB_cursor *state = cursors->of[EE_DB_STATE], *due = cursors->of[EE_DB_DUE];
  int64_t old = EE_NEVER;
  int code = put_new(state, key, value, wake_at, &old);
  bool exists = code == MDB_KEYEXIST;
  if (exists) code = 0;
  if (code == 0 && old != EE_NEVER && old != wake_at) code = delete_due(due, key, old);
  if (code == 0 && wake_at != EE_NEVER && old != wake_at) code = put_due(due, key, wake_at);
  return code == 0 && exists ? put_row(state, key, wake_at, value, MDB_CURRENT) : code;
}

static int write_entry(const struct cursors *cursors, const struct ee_entry *entry) {
  const struct ee_version *version = entry->version[EE_LAYER_COMMITTED];
  struct ee_bytes value = {0};
  if (version->present) value = ee_bytes(version->data, version->size);
  return write_value(cursors, ee_val(entry->key, entry->key_size), value, version->wake_at);
}

static int write_row(const struct cursors *cursors, const struct ee_batch *batch,
                     const struct ee_batch_row *row) {
  struct ee_bytes key = ee_batch_key(batch, row);
  return write_value(cursors, ee_val(key.data, key.size), ee_batch_value(batch, row), row->wake_at);
}

static int write_offsets(const struct ee_disk *disk, const struct cursors *cursors,
                         const struct ee_store_checkpoint *checkpoint, int64_t wall_ms) {
  uint8_t key[EE_CHECKPOINT_KEY_SIZE], body[EE_CHANGELOGS_MAX * 8];
  ee_checkpoint_key(key, checkpoint->partition);
  for (size_t i = 0; i < disk->changelog_count; i++) {
    ee_store64(body + 8 * i, (uint64_t)checkpoint->offsets[i]);
  }
  return put_row(cursors->of[EE_DB_META], ee_val(key, sizeof key), wall_ms,
                 ee_bytes(body, 8 * disk->changelog_count), 0);
}

// As many changes as make a slice, and, with the last of them, the offsets.
static int write_changes(const struct ee_disk *disk, const struct cursors *cursors,
                         struct checkpoint *all) {
  const struct ee_entry *entry = all->changes;
  size_t at = all->batch_at, bytes = 0;
  int code = 0;
  for (; code == 0 && at < all->batch->count && bytes < SLICE_BYTES; at++) {
    const struct ee_batch_row *row = &all->batch->rows[at];
    bytes += (size_t)row->key_size + row->value_size;
    code = write_row(cursors, all->batch, row);
  }
  for (; code == 0 && entry != NULL && bytes < SLICE_BYTES;
       entry = entry->next[EE_LAYER_COMMITTED]) {
    bytes += (size_t)entry->key_size + entry->version[EE_LAYER_COMMITTED]->size;
    code = write_entry(cursors, entry);
  }
  all->next_batch_at = at;
  all->next_changes = entry;
  bool last = at == all->batch->count && entry == NULL;
  for (size_t i = 0; i < all->count && last && code == 0; i++) {
    code = write_offsets(disk, cursors, &all->checkpoints[i], all->wall_ms);
  }
  return code;
}

static int write_slice(struct ee_disk *disk, MDB_txn *txn, void *context) {
  struct cursors cursors;
  int code = open_cursors(disk, txn, &cursors);
  if (code != 0) return code;
  code = write_changes(disk, &cursors, context);
  close_cursors(&cursors);
  return code;
}

// A crash between slices leaves rows newer than the offsets say: what is rolled forward from
// there ends at the same values.
bool ee_disk_write(struct ee_disk *disk, const struct ee_batch *batch,
                   const struct ee_entry *changes, const struct ee_store_checkpoint *checkpoints,
                   size_t count, int64_t wall_ms, struct ee_err *err) {
  struct checkpoint all = {.batch = batch,
                           .changes = changes,
                           .checkpoints = checkpoints,
                           .count = count,
                           .wall_ms = wall_ms};
  do {
    if (!write_all(disk, write_slice, &all, err)) return false;
    all.batch_at = all.next_batch_at;
    all.changes = all.next_changes;
  } while (all.batch_at < batch->count || all.changes != NULL);
  return true;
}

// ---- Removal.

struct erasure {
  uint8_t prefix[2];
  size_t left;  // rows this transaction may still remove
};

static int erase_rows(MDB_txn *txn, MDB_dbi db, struct erasure *erasure) {
  MDB_cursor *cursor;
  int code = mdb_cursor_open(txn, db, &cursor);
  if (code != 0) return code;
  MDB_val key = ee_val(erasure->prefix, sizeof erasure->prefix), row = {0, NULL};
  code = mdb_cursor_get(cursor, &key, &row, MDB_SET_RANGE);
  while (code == 0 && erasure->left > 0 && key.mv_size >= sizeof erasure->prefix &&
         memcmp(key.mv_data, erasure->prefix, sizeof erasure->prefix) == 0) {
    code = mdb_cursor_del(cursor, 0);
    erasure->left--;
    if (code == 0) code = mdb_cursor_get(cursor, &key, &row, MDB_NEXT);
  }
  mdb_cursor_close(cursor);
  return code == MDB_NOTFOUND ? 0 : code;
}

static int erase_step(struct ee_disk *disk, MDB_txn *txn, void *context) {
  struct erasure *erasure = context;
  uint8_t name[EE_CHECKPOINT_KEY_SIZE] = {'c', erasure->prefix[0], erasure->prefix[1]};
  MDB_val key = ee_val(name, sizeof name);
  erasure->left = ERASE_STEP;
  int code = mdb_del(txn, disk->dbs[EE_DB_META], &key, NULL);
  if (code == MDB_NOTFOUND) code = 0;
  if (code == 0) code = erase_rows(txn, disk->dbs[EE_DB_STATE], erasure);
  if (code == 0) code = erase_rows(txn, disk->dbs[EE_DB_DUE], erasure);
  return code;
}

bool ee_disk_erase(struct ee_disk *disk, int32_t partition, struct ee_err *err) {
  struct erasure erasure = {.prefix = {(uint8_t)(partition >> 8), (uint8_t)partition}};
  do {
    if (!write_all(disk, erase_step, &erasure, err)) return false;
  } while (erasure.left == 0);
  return true;
}
