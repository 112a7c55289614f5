// SPDX-License-Identifier: Apache-2.0
// The store's cycle against bare LMDB in one run: a million time-ordered keys, values of
// 900 bytes; each key is looked up in vain and put, and read and put again a while later,
// as a joined envelope is. The store commits each 100 steps and checkpoints each 16 MiB;
// LMDB gets and puts at once and commits (no sync) each 16 MiB. Chunks of both in turn;
// the median of each. Bar: at most 3 times bare
// LMDB, which keeps no checksums and no order of wake times.
#include <ftw.h>
#include <inttypes.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "stream/store.h"

#define KEYS UINT32_C(1000000)
#define CHUNKS UINT32_C(50)
#define CHUNK (KEYS / CHUNKS)
#define LATER UINT32_C(2000)  // keys between the first put and the second
#define VALUE_SIZE ((size_t)900)
#define CHECKPOINT_BYTES (INT64_C(16) << 20)
#define STEPS_OF_TRANSACTION UINT32_C(100)
#define MEMORY_BYTES (INT64_C(256) << 20)
#define BAR 3.0

struct key {
  char text[40];
  size_t size;
};

static uint8_t value[VALUE_SIZE];

// As a UUIDv7: the time first, then noise.
static struct key key_of(uint32_t number) {
  struct key key;
  uint64_t noise = (number + UINT64_C(1)) * UINT64_C(0x9E3779B97F4A7C15);
  uint64_t time = UINT64_C(0x19A3C25B0000) + number / 4;
  int size =
      snprintf(key.text, sizeof key.text, "%08" PRIx64 "-%04" PRIx64 "-7%03x-8%03x-%012" PRIx64,
               time >> 16, time & 0xFFFF, (unsigned)(number & 0xFFF), (unsigned)(noise >> 52),
               noise & UINT64_C(0xFFFFFFFFFFFF));
  key.size = (size_t)size;
  return key;
}

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void die(const char *what, const char *why) {
  fprintf(stderr, "bench/store: %s: %s\n", what, why);
  exit(1);
}

// ---- The store.

static void store_touch(struct ee_store *store, uint32_t number, bool again) {
  struct key text = key_of(number);
  struct ee_store_key key = {.key = ee_bytes(text.text, text.size)};
  struct ee_bytes found;
  struct ee_err err;
  if (!ee_store_get(store, key, &found, &err)) die("get", err.text);
  if ((found.data != NULL) != again) die("get", "not what was put");
  memcpy(value, &number, sizeof number);
  int64_t wake_at = again ? EE_NEVER : (int64_t)number;
  if (!ee_store_put(store, key, ee_bytes(value, sizeof value), wake_at, &err)) die("put", err.text);
}

static void store_chunk(struct ee_store *store, uint32_t chunk) {
  struct ee_err err;
  for (uint32_t i = chunk * CHUNK; i < (chunk + 1) * CHUNK; i++) {
    store_touch(store, i, false);
    if (i >= LATER) store_touch(store, i - LATER, true);
    if (i % STEPS_OF_TRANSACTION != STEPS_OF_TRANSACTION - 1) continue;
    ee_store_seal(store);
    ee_store_commit(store);
    if (ee_store_pending_bytes(store) < CHECKPOINT_BYTES) continue;
    struct ee_store_checkpoint checkpoint = {.partition = 0, .offsets = {i}};
    if (!ee_store_checkpoint(store, &checkpoint, 1, 0, &err)) die("checkpoint", err.text);
  }
}

// ---- LMDB.

struct bare {
  MDB_env *env;
  MDB_txn *txn;
  MDB_dbi db;
  int64_t written;
};

static void check(const char *what, int code) {
  if (code != 0) die(what, mdb_strerror(code));
}

static void bare_touch(struct bare *bare, uint32_t number, bool again) {
  struct key text = key_of(number);
  MDB_val key = {.mv_size = text.size, .mv_data = text.text}, found;
  int code = mdb_get(bare->txn, bare->db, &key, &found);
  if (code != (again ? 0 : MDB_NOTFOUND)) die("mdb_get", mdb_strerror(code));
  memcpy(value, &number, sizeof number);
  MDB_val put = {.mv_size = sizeof value, .mv_data = value};
  check("mdb_put", mdb_put(bare->txn, bare->db, &key, &put, 0));
  bare->written += (int64_t)sizeof value;
}

static void bare_chunk(struct bare *bare, uint32_t chunk) {
  for (uint32_t i = chunk * CHUNK; i < (chunk + 1) * CHUNK; i++) {
    bare_touch(bare, i, false);
    if (i >= LATER) bare_touch(bare, i - LATER, true);
    if (bare->written < CHECKPOINT_BYTES) continue;
    bare->written = 0;
    check("mdb_txn_commit", mdb_txn_commit(bare->txn));
    check("mdb_txn_begin", mdb_txn_begin(bare->env, NULL, 0, &bare->txn));
  }
}

static void bare_open(struct bare *bare, const char *directory) {
  check("mdb_env_create", mdb_env_create(&bare->env));
  check("mdb_env_set_mapsize", mdb_env_set_mapsize(bare->env, (size_t)1 << 36));
  check("mdb_env_open",
        mdb_env_open(bare->env, directory, MDB_NOSYNC | MDB_NOMETASYNC | MDB_NOLOCK, 0600));
  check("mdb_txn_begin", mdb_txn_begin(bare->env, NULL, 0, &bare->txn));
  check("mdb_dbi_open", mdb_dbi_open(bare->txn, NULL, 0, &bare->db));
}

// ---- Both.

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

// Microseconds of a get and a put, in the median chunk.
static double median(double *chunks) {
  qsort(chunks, CHUNKS, sizeof *chunks, ascending);
  return chunks[CHUNKS / 2] * 1e6 / (2.0 * CHUNK);
}

static int remove_one(const char *path, const struct stat *stat, int flag, struct FTW *ftw) {
  (void)stat, (void)flag, (void)ftw;
  return remove(path);
}

int main(void) {
  static double store_seconds[CHUNKS], bare_seconds[CHUNKS];
  const char *parent = getenv("TMPDIR");
  char root[4096], store_path[4160], bare_path[4160];
  snprintf(root, sizeof root, "%s/ee-bench-XXXXXX", parent == NULL ? "/tmp" : parent);
  if (mkdtemp(root) == NULL) die(root, "cannot be made");
  snprintf(store_path, sizeof store_path, "%s/store", root);
  snprintf(bare_path, sizeof bare_path, "%s/bare", root);
  if (mkdir(bare_path, 0700) != 0) die(bare_path, "cannot be made");

  struct ee_store_settings settings = {
      .directory = store_path, .memory_bytes = MEMORY_BYTES, .format = 1, .changelog_count = 1};
  struct ee_store *store;
  struct bare bare = {.written = 0};
  const char *emptied;
  struct ee_err err;
  if (!ee_store_open(&settings, &store, &emptied, &err)) die("open", err.text);
  bare_open(&bare, bare_path);
  for (uint32_t chunk = 0; chunk < CHUNKS; chunk++) {
    double begin = seconds();
    store_chunk(store, chunk);
    double middle = seconds();
    bare_chunk(&bare, chunk);
    store_seconds[chunk] = middle - begin;
    bare_seconds[chunk] = seconds() - middle;
  }
  struct ee_store_size size = ee_store_size(store);
  mdb_txn_abort(bare.txn);
  mdb_env_close(bare.env);
  ee_store_close(store);
  nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);

  double store_micros = median(store_seconds), bare_micros = median(bare_seconds);
  double ratio = store_micros / bare_micros;
  printf("store: %.2f us a get and put, LMDB %.2f: ratio %.2f (at most %.2f); %" PRId64
         " MiB in memory, %" PRId64 " on disk\n",
         store_micros, bare_micros, ratio, BAR, size.memory_bytes >> 20, size.disk_bytes >> 20);
  return ratio <= BAR ? 0 : 1;
}
