// SPDX-License-Identifier: Apache-2.0
// State of the partitions a processor holds: a working set in memory over LMDB.
//
// Values are absolute (the last one under a key is the state), so the store is a cache of
// its changelogs: at a checkpoint it holds everything below the offsets it names, and
// rolling the changelogs forward from there gives the rest. Every value lives in one of
// three layers:
//
//   open       put since the last seal; belongs to the open transaction
//   sealed     belongs to the transaction being committed (at most one)
//   committed  Kafka has it; written to disk at the next checkpoint
//
// Abort throws away open and sealed. One thread. Calls may block on the disk, never on
// the network.
#ifndef EE_STREAM_STORE_H
#define EE_STREAM_STORE_H

#include "base/err.h"
#include "base/slice.h"

#define EE_CHANGELOGS_MAX 4
#define EE_STORE_KEY_MAX 448  // bytes of a key
#define EE_STORE_VALUE_MAX ((size_t)64 << 20)
#define EE_NEVER INT64_MAX  // wake_at of a key that nothing is due for

struct ee_store;

struct ee_store_settings {
  const char *directory;  // NULL: in memory only (the embedded log)
  // Bound of the working set. Over a directory, values that are on disk give way; what is
  // open, sealed or pending stays, bounded by the caller's transactions and checkpoints.
  // In memory only, a put beyond it fails.
  int64_t memory_bytes;
  uint64_t format;  // fingerprint over what the values mean; another one: rebuild
  size_t changelog_count;
};

// Opens or makes the store and locks its directory. A store of a newer layout is refused;
// one that is older, unclean after a reboot or corrupt is emptied (ret_emptied says why,
// NULL when it was not): the changelogs have everything.
bool ee_store_open(const struct ee_store_settings *settings, struct ee_store **ret,
                   const char **ret_emptied, struct ee_err *err);
// Without a checkpoint: what is not on disk is in the changelogs. Syncs what is.
void ee_store_close(struct ee_store *store);

// What the disk holds is not what was written: a call has failed saying so, and all calls
// but drop and close fail from then on. Once every partition that was used has been
// dropped, the store is empty and good again; opening it anew also empties it.
bool ee_store_corrupt(const struct ee_store *store);

// The partition's changelog offsets as of its last checkpoint and the wall time it was
// made, or false: nothing is kept, read the changelogs from their start (rows left by an
// erasure that was cut short are removed first). err's text is empty then, and is an
// error when the disk failed.
bool ee_store_checkpoint_of(struct ee_store *store, int32_t partition,
                            int64_t offsets[EE_CHANGELOGS_MAX], int64_t *ret_wall_ms,
                            struct ee_err *err);
// Forgets a partition, on disk too (`erase`) or only in memory (revoked; may come back),
// whatever its layers hold.
bool ee_store_drop(struct ee_store *store, int32_t partition, bool erase, struct ee_err *err);

struct ee_store_key {
  int32_t partition;
  uint8_t changelog;  // index in the processor's vector of changelogs
  struct ee_bytes key;
};

// The newest value, of whatever layer; data NULL when there is none. Borrowed until the
// next call. False: the disk failed or a value's checksum did not hold.
bool ee_store_get(struct ee_store *store, struct ee_store_key key, struct ee_bytes *ret,
                  struct ee_err *err);
// Into the open layer; copies. value data NULL deletes. wake_at: clock (UTC microseconds)
// from which ee_store_due reports the key. False: no memory, or the key is too long.
bool ee_store_put(struct ee_store *store, struct ee_store_key key, struct ee_bytes value,
                  int64_t wake_at, struct ee_err *err);
// The key with the least (wake_at, changelog, key) in this partition, as of the newest
// layer, if its wake_at is at or below `clock`. The key is borrowed until the next call.
bool ee_store_due(struct ee_store *store, int32_t partition, int64_t clock,
                  struct ee_store_key *ret, bool *ret_found, struct ee_err *err);

// What a changelog says during a restore: on its way to the disk, where there is one. The
// partition is neither read nor put to before the next checkpoint. False: as ee_store_put.
bool ee_store_restore(struct ee_store *store, struct ee_store_key key, struct ee_bytes value,
                      int64_t wake_at, struct ee_err *err);

// Visits each key put since the last seal once, with its newest value, in an order that
// depends on the puts alone. The callback puts nothing.
bool ee_store_touched(struct ee_store *store,
                      bool (*visit)(void *context, struct ee_store_key key, struct ee_bytes value),
                      void *context);
// Ends the open layer: it becomes the sealed one. Nothing may be sealed already.
void ee_store_seal(struct ee_store *store);
void ee_store_commit(struct ee_store *store);  // sealed becomes committed
void ee_store_abort(struct ee_store *store);   // open and sealed are thrown away

// Bytes of committed changes, and of what is being restored, that no checkpoint has written
// yet.
int64_t ee_store_pending_bytes(const struct ee_store *store);
// Writes all committed changes, what is being restored and, for each of these partitions, the
// changelog offsets that the committed layer stands for (all records below them are in it). On
// false the offsets on disk are those of before. Then sheds clean values beyond memory_bytes.
struct ee_store_checkpoint {
  int32_t partition;
  int64_t offsets[EE_CHANGELOGS_MAX];
};
bool ee_store_checkpoint(struct ee_store *store, const struct ee_store_checkpoint *checkpoints,
                         size_t count, int64_t wall_ms, struct ee_err *err);

struct ee_store_size {
  int64_t memory_bytes;  // working set
  int64_t disk_bytes;
  int64_t keys;  // in memory
};
struct ee_store_size ee_store_size(const struct ee_store *store);

#endif
