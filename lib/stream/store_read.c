// SPDX-License-Identifier: Apache-2.0
// Reading a store's rows from LMDB, believing none of it until the checksums agree. On a
// page of a damaged kind LMDB reports success and sets no value: what it is to fill is
// always empty before.
#include <string.h>

#include "stream/store_row.h"

static int compare(MDB_val a, MDB_val b) {
  return ee_bytes_compare(ee_bytes(a.mv_data, a.mv_size), ee_bytes(b.mv_data, b.mv_size));
}

struct place {
  bool found;  // there is a row at or after the wanted key
  bool exact;
  MDB_val key, row;
};

// The row before where the wanted key would be must be sound and before it; the cursor
// goes back to where it was.
static bool left_sound(MDB_cursor *cursor, MDB_val wanted, MDB_cursor_op op, int *ret_code) {
  MDB_val key = {0, NULL}, row = {0, NULL};
  *ret_code = mdb_cursor_get(cursor, &key, &row, op);
  if (*ret_code == MDB_NOTFOUND) return true;
  if (*ret_code != 0 || !ee_row_key_sound(key, row) || compare(key, wanted) >= 0) return false;
  if (op == MDB_PREV) *ret_code = mdb_cursor_get(cursor, &key, &row, MDB_NEXT);
  return true;
}

// Finds the first row at or after the wanted key. Where the key itself is missing, both
// neighbours prove it: a damaged key or page would leave one of them unsound or out of
// order.
static bool seek(struct ee_disk *disk, enum ee_db db, MDB_val wanted, struct place *ret,
                 struct ee_err *err) {
  MDB_cursor *cursor = disk->cursors[db];
  *ret = (struct place){.key = wanted};
  int code = mdb_cursor_get(cursor, &ret->key, &ret->row, MDB_SET_RANGE);
  ret->found = code == 0;
  if (code != 0 && code != MDB_NOTFOUND) return ee_disk_fail(disk, "read", code, err);
  int order = ret->found ? compare(ret->key, wanted) : 1;
  if (order < 0 || (ret->found && !ee_row_key_sound(ret->key, ret->row))) {
    return ee_disk_set_corrupt(disk, "a key does not match its checksum", err);
  }
  ret->exact = order == 0;
  if (ret->exact) return true;
  if (!left_sound(cursor, wanted, ret->found ? MDB_PREV : MDB_LAST, &code)) {
    return ee_disk_set_corrupt(disk, "keys are not in order", err);
  }
  return code == 0 || code == MDB_NOTFOUND || ee_disk_fail(disk, "read", code, err);
}

bool ee_disk_get(struct ee_disk *disk, const struct ee_packed *key, struct ee_disk_row *ret,
                 struct ee_err *err) {
  struct place place;
  ret->found = false;
  if (!ee_disk_reader(disk, err) ||
      !seek(disk, EE_DB_STATE, ee_val(key->data, key->size), &place, err)) {
    return false;
  }
  if (!place.exact) return true;
  if (!ee_row_parse(place.key, place.row, &ret->wake_at, &ret->value)) {
    return ee_disk_set_corrupt(disk, "a value does not match its checksum", err);
  }
  ret->found = true;
  return true;
}

// ---- The due order.

static bool take_due(struct ee_disk *disk, int32_t partition, MDB_val key, MDB_val row,
                     struct ee_due_key *ret, struct ee_err *err) {
  if (!ee_row_key_sound(key, row) || key.mv_size < EE_DUE_HEAD || key.mv_size > sizeof ret->data) {
    return ee_disk_set_corrupt(disk, "a wake time does not match its checksum", err);
  }
  const uint8_t *data = key.mv_data;
  if ((data[0] << 8 | data[1]) != partition) return true;
  memcpy(ret->data, data, key.mv_size);
  ret->size = key.mv_size;
  return true;
}

bool ee_disk_due_seek(struct ee_disk *disk, int32_t partition, const struct ee_due_key *from,
                      struct ee_due_key *ret, struct ee_err *err) {
  uint8_t first[2] = {(uint8_t)(partition >> 8), (uint8_t)partition};
  MDB_val wanted = from->size == 0 ? ee_val(first, sizeof first) : ee_val(from->data, from->size);
  struct place place;
  ret->size = 0;
  if (!ee_disk_reader(disk, err) || !seek(disk, EE_DB_DUE, wanted, &place, err)) return false;
  return !place.found || take_due(disk, partition, place.key, place.row, ret, err);
}

bool ee_disk_due_next(struct ee_disk *disk, int32_t partition, struct ee_due_key *ret,
                      struct ee_err *err) {
  MDB_val key = {0, NULL}, row = {0, NULL};
  int code = mdb_cursor_get(disk->cursors[EE_DB_DUE], &key, &row, MDB_NEXT);
  ret->size = 0;
  if (code == MDB_NOTFOUND) return true;
  if (code != 0) return ee_disk_fail(disk, "read", code, err);
  return take_due(disk, partition, key, row, ret, err);
}

// ---- Checkpoints.

bool ee_disk_checkpoint_of(struct ee_disk *disk, int32_t partition,
                           int64_t offsets[EE_CHANGELOGS_MAX], int64_t *ret_wall_ms,
                           bool *ret_found, struct ee_err *err) {
  uint8_t key[EE_CHECKPOINT_KEY_SIZE];
  struct place place;
  struct ee_bytes body;
  ee_checkpoint_key(key, partition);
  *ret_found = false;
  if (!ee_disk_reader(disk, err) || !seek(disk, EE_DB_META, ee_val(key, sizeof key), &place, err)) {
    return false;
  }
  if (!place.exact) return true;
  if (!ee_row_parse(place.key, place.row, ret_wall_ms, &body) ||
      body.size != disk->changelog_count * 8) {
    return ee_disk_set_corrupt(disk, "a checkpoint does not match its checksum", err);
  }
  for (size_t i = 0; i < disk->changelog_count; i++) {
    offsets[i] = (int64_t)ee_load64(body.data + 8 * i);
  }
  *ret_found = true;
  return true;
}

bool ee_disk_holds(struct ee_disk *disk, int32_t partition, bool *ret, struct ee_err *err) {
  uint8_t first[2] = {(uint8_t)(partition >> 8), (uint8_t)partition};
  *ret = false;
  if (!ee_disk_reader(disk, err)) return false;
  for (int db = EE_DB_STATE; db <= EE_DB_DUE && !*ret; db++) {
    struct place place;
    if (!seek(disk, db, ee_val(first, sizeof first), &place, err)) return false;
    *ret = place.found && memcmp(place.key.mv_data, first, sizeof first) == 0;
  }
  return true;
}
