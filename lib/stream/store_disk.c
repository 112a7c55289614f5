// SPDX-License-Identifier: Apache-2.0
// Opening and closing the LMDB environment of a store, and reading every row of one whose
// process ended in the middle.
//
// Not synced at each commit: a store that was in use when its machine went down is
// emptied, and the death of the process alone loses nothing the kernel has. Locks are
// ours: one process by the directory's lock, and no snapshot is held while writing.
#include "stream/store_disk.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stream/store_row.h"

#define LAYOUT UINT32_C(1)
#define MAP_LEAST ((size_t)16 << 20)
#define HEAD_KEY "head"
#define HEAD_KEY_SIZE (sizeof HEAD_KEY - 1)
#define HEAD_SIZE ((size_t)8)  // layout, number of changelogs

static const char *const db_names[EE_DB_COUNT] = {"state", "due", "meta"};

bool ee_disk_set_corrupt(struct ee_disk *disk, const char *what, struct ee_err *err) {
  disk->corrupt = true;
  return ee_err_set(err, "the state in %s is corrupt (%s) and must be rebuilt from the changelogs",
                    disk->directory, what);
}

bool ee_disk_fail(struct ee_disk *disk, const char *doing, int code, struct ee_err *err) {
  if (code < 0 && code != MDB_TXN_FULL) return ee_disk_set_corrupt(disk, mdb_strerror(code), err);
  bool no_room = code == ENOSPC || code == EDQUOT || code == EFBIG;
  // LMDB calls a write that was cut short an I/O error, and that is how a disk fills up.
  const char *hint = no_room       ? ": make room, it is tried again"
                     : code == EIO ? ": the disk is full or failing"
                                   : "";
  return ee_err_set(err, "cannot %s the state in %s: %s%s", doing, disk->directory,
                    mdb_strerror(code), hint);
}

bool ee_disk_corrupt(const struct ee_disk *disk) {
  return disk->corrupt;
}

// ---- The reader's snapshot.

static int open_cursors(struct ee_disk *disk) {
  for (int db = 0; db < EE_DB_COUNT; db++) {
    int code = mdb_cursor_open(disk->reader, disk->dbs[db], &disk->cursors[db]);
    if (code != 0) return code;
  }
  return 0;
}

static int renew(struct ee_disk *disk) {
  int code = mdb_txn_renew(disk->reader);
  for (int db = 0; db < EE_DB_COUNT && code == 0; db++) {
    code = mdb_cursor_renew(disk->reader, disk->cursors[db]);
  }
  return code;
}

bool ee_disk_reader(struct ee_disk *disk, struct ee_err *err) {
  if (disk->reading) return true;
  int code = renew(disk);
  if (code != 0) {
    mdb_txn_reset(disk->reader);
    return ee_disk_fail(disk, "read", code, err);
  }
  disk->reading = true;
  return true;
}

void ee_disk_reader_end(struct ee_disk *disk) {
  if (disk->reading) mdb_txn_reset(disk->reader);
  disk->reading = false;
}

// ---- Every row.

// Finding the key leads to this very row: a damaged page may read well from one row to
// the next, and yet not from the root.
static bool reachable(struct ee_disk *disk, enum ee_db db, MDB_val key, MDB_val row) {
  MDB_val found = {0, NULL};
  return mdb_get(disk->reader, disk->dbs[db], &key, &found) == 0 && found.mv_data == row.mv_data &&
         found.mv_size == row.mv_size;
}

static bool ascend(MDB_val before, MDB_val key) {
  return before.mv_data == NULL || ee_bytes_compare(ee_bytes(before.mv_data, before.mv_size),
                                                    ee_bytes(key.mv_data, key.mv_size)) < 0;
}

// Rows in order, each reachable, with its key's checksum; state and meta rows with their
// own. Counts rows and those that are due some time.
static bool walk(struct ee_disk *disk, enum ee_db db, size_t *ret_rows, size_t *ret_due) {
  MDB_val key = {0, NULL}, row = {0, NULL}, last = {0, NULL};
  *ret_rows = *ret_due = 0;
  int code = mdb_cursor_get(disk->cursors[db], &key, &row, MDB_FIRST);
  while (code == 0) {
    int64_t wake_at = EE_NEVER;
    struct ee_bytes value;
    bool sound =
        db == EE_DB_DUE ? ee_row_key_sound(key, row) : ee_row_parse(key, row, &wake_at, &value);
    if (!sound || !ascend(last, key) || !reachable(disk, db, key, row)) return false;
    last = key;
    ++*ret_rows;
    if (wake_at != EE_NEVER) ++*ret_due;
    row = (MDB_val){0, NULL};
    code = mdb_cursor_get(disk->cursors[db], &key, &row, MDB_NEXT);
  }
  MDB_stat stat;
  return code == MDB_NOTFOUND && mdb_stat(disk->reader, disk->dbs[db], &stat) == 0 &&
         stat.ms_entries == *ret_rows;
}

static bool verify(struct ee_disk *disk) {
  size_t state_rows, state_due, due_rows, meta_rows, unused;
  return walk(disk, EE_DB_STATE, &state_rows, &state_due) &&
         walk(disk, EE_DB_DUE, &due_rows, &unused) && walk(disk, EE_DB_META, &meta_rows, &unused) &&
         due_rows == state_due;
}

// ---- Opening.

static bool make_head(struct ee_disk *disk, uint64_t format, MDB_txn *txn, int *ret_code) {
  uint8_t body[HEAD_SIZE], row[EE_ROW_HEAD + HEAD_SIZE];
  MDB_val key = ee_val(HEAD_KEY, HEAD_KEY_SIZE), value = {.mv_size = sizeof row, .mv_data = row};
  ee_store32(body, LAYOUT);
  ee_store32(body + 4, (uint32_t)disk->changelog_count);
  ee_row_make(row, key, (int64_t)format, ee_bytes(body, sizeof body));
  *ret_code = mdb_put(txn, disk->dbs[EE_DB_META], &key, &value, 0);
  return *ret_code == 0;
}

static int open_dbs(struct ee_disk *disk, MDB_txn *txn, unsigned flags) {
  for (int db = 0; db < EE_DB_COUNT; db++) {
    int code = mdb_dbi_open(txn, db_names[db], flags, &disk->dbs[db]);
    if (code != 0) return code;
  }
  return 0;
}

static int create(struct ee_disk *disk, uint64_t format) {
  MDB_txn *txn;
  int code = mdb_txn_begin(disk->env, NULL, 0, &txn);
  if (code != 0) return code;
  code = open_dbs(disk, txn, MDB_CREATE);
  if (code != 0 || !make_head(disk, format, txn, &code)) {
    mdb_txn_abort(txn);
    return code;
  }
  return mdb_txn_commit(txn);
}

static bool check_head(struct ee_disk *disk, uint64_t format, const char **ret_unusable,
                       struct ee_err *err) {
  MDB_val key = ee_val(HEAD_KEY, HEAD_KEY_SIZE), row = {0, NULL};
  int64_t found;
  struct ee_bytes body;
  int code = mdb_cursor_get(disk->cursors[EE_DB_META], &key, &row, MDB_SET_KEY);
  if (code != 0 || !ee_row_parse(key, row, &found, &body) || body.size < 4) {
    *ret_unusable = "it is corrupt";
    return false;
  }
  uint32_t layout = ee_load32(body.data);
  if (layout > LAYOUT) {
    return ee_err_set(err,
                      "the state in %s was written by a newer version of this program (layout %u, "
                      "this one knows %u): run that version, or give another state directory",
                      disk->directory, layout, LAYOUT);
  }
  bool same = layout == LAYOUT && body.size == HEAD_SIZE && (uint64_t)found == format &&
              ee_load32(body.data + 4) == disk->changelog_count;
  if (!same) *ret_unusable = "it was written by another version";
  return same;
}

// Sized for what is there; it grows by doubling when it is full. Only a file that is not there
// is a fresh one: what cannot be looked at may hold state of another version.
static int map_size(const char *directory, size_t *ret_size, bool *ret_fresh) {
  char path[4096];
  struct stat found;
  int length = snprintf(path, sizeof path, "%s/data.mdb", directory);
  if (length < 0 || (size_t)length >= sizeof path) return ENAMETOOLONG;
  *ret_size = MAP_LEAST;
  *ret_fresh = stat(path, &found) != 0;
  if (*ret_fresh) return errno == ENOENT ? 0 : errno;
  while (*ret_size < (size_t)found.st_size && *ret_size < SIZE_MAX / 4)
    *ret_size *= 2;
  return 0;
}

static int open_env(struct ee_disk *disk, bool *ret_fresh) {
  int code = mdb_env_create(&disk->env);
  if (code != 0) return code;
  size_t size;
  if ((code = map_size(disk->directory, &size, ret_fresh)) != 0) return code;
  if ((code = mdb_env_set_mapsize(disk->env, size)) != 0) return code;
  if ((code = mdb_env_set_maxdbs(disk->env, EE_DB_COUNT)) != 0) return code;
  // Rows are read here and there: where the kernel has little memory for the file, reading
  // ahead would be nearly all that it does.
  return mdb_env_open(disk->env, disk->directory,
                      MDB_NOSYNC | MDB_NOMETASYNC | MDB_NOTLS | MDB_NOLOCK | MDB_NORDAHEAD, 0600);
}

// Handles become good for other transactions when the one that opened them is committed.
static int open_existing(struct ee_disk *disk) {
  MDB_txn *txn;
  int code = mdb_txn_begin(disk->env, NULL, MDB_RDONLY, &txn);
  if (code != 0) return code;
  code = open_dbs(disk, txn, 0);
  if (code == 0) return mdb_txn_commit(txn);
  mdb_txn_abort(txn);
  return code;
}

static int begin_reader(struct ee_disk *disk) {
  int code = mdb_txn_begin(disk->env, NULL, MDB_RDONLY, &disk->reader);
  if (code != 0) return code;
  disk->reading = true;
  return open_cursors(disk);
}

// What says that the files cannot be had, rather than that they are no use.
static bool is_environment(int code) {
  return code == EACCES || code == EPERM || code == EROFS || code == ENOSPC || code == EDQUOT ||
         code == EMFILE || code == ENFILE || code == EFBIG || code == ENOMEM;
}

bool ee_disk_open(const char *directory, uint64_t format, size_t changelog_count, bool verify_all,
                  struct ee_disk **ret, const char **ret_unusable, struct ee_err *err) {
  bool fresh = true, ok = false;
  *ret_unusable = NULL;
  struct ee_disk *disk = calloc(1, sizeof *disk);
  if (disk == NULL || (disk->directory = strdup(directory)) == NULL) {
    ee_err_set(err, "no memory");
    goto out;
  }
  disk->changelog_count = changelog_count;
  int code = open_env(disk, &fresh);
  if (code == 0) code = fresh ? create(disk, format) : open_existing(disk);
  if (code == 0) code = begin_reader(disk);
  if (code != 0) {
    ee_disk_fail(disk, "open", code, err);
    if (!fresh && !is_environment(code)) *ret_unusable = "it is corrupt";
    goto out;
  }
  if (!check_head(disk, format, ret_unusable, err)) goto out;
  if (verify_all && !verify(disk)) {
    *ret_unusable = "it is corrupt";
    goto out;
  }
  ok = true;
out:
  if (ok) {
    *ret = disk;
  } else {
    if (disk != NULL) disk->corrupt = true;
    ee_disk_close(disk);
  }
  return ok;
}

bool ee_disk_close(struct ee_disk *disk) {
  if (disk == NULL) return false;
  for (int db = 0; db < EE_DB_COUNT; db++) {
    if (disk->cursors[db] != NULL) mdb_cursor_close(disk->cursors[db]);
  }
  if (disk->reader != NULL) mdb_txn_abort(disk->reader);
  bool synced = !disk->corrupt && mdb_env_sync(disk->env, 1) == 0;
  if (disk->env != NULL) mdb_env_close(disk->env);
  free(disk->directory);
  free(disk);
  return synced;
}

// ---- Size and memory.

int64_t ee_disk_bytes(const struct ee_disk *disk) {
  MDB_envinfo info;
  MDB_stat stat;
  if (mdb_env_info(disk->env, &info) != 0 || mdb_env_stat(disk->env, &stat) != 0) return 0;
  return (int64_t)(info.me_last_pgno + 1) * stat.ms_psize;
}

// LMDB does not say where its map is; the kernel does.
static uint8_t *find_map(int fd) {
  char link[64], path[4096], line[4200];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t size = readlink(link, path, sizeof path - 1);
  FILE *maps = size < 0 ? NULL : fopen("/proc/self/maps", "re");
  if (maps == NULL) return NULL;
  path[size] = '\0';
  void *found = NULL;
  while (found == NULL && fgets(line, sizeof line, maps) != NULL) {
    char *name = strchr(line, '/');
    line[strcspn(line, "\n")] = '\0';
    if (name != NULL && strcmp(name, path) == 0 && sscanf(line, "%p-", &found) != 1) found = NULL;
  }
  fclose(maps);
  return found;
}

void ee_disk_give_back(struct ee_disk *disk) {
  int fd;
  if (disk->map == NULL && mdb_env_get_fd(disk->env, &fd) == 0) disk->map = find_map(fd);
  if (disk->map != NULL) madvise(disk->map, (size_t)ee_disk_bytes(disk), MADV_DONTNEED);
}
