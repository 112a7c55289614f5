// SPDX-License-Identifier: Apache-2.0
// The store's rows in LMDB (private to store*.c): what is read and written, and how it
// is told from what a bad disk makes of it.
//
//   state   partition, changelog, key -> key crc, crc, wake_at, value
//   due     partition, wake_at, changelog, key -> key crc
//   meta    "head" -> key crc, crc, format, layout and number of changelogs
//           "c", partition -> key crc, crc, wall_ms, changelog offsets
//
// Each row carries a CRC-32C of its key, so that a key that is not found can mostly be
// told from one that was damaged while the store was in use: its neighbours must be sound
// and stand in order. (Damage done while it was closed is seen at its opening.) All calls
// may block on the disk. One thread.
#ifndef EE_STREAM_STORE_DISK_H
#define EE_STREAM_STORE_DISK_H

#include "stream/store_batch.h"
#include "stream/store_set.h"

struct ee_disk;

// Opens or makes the data in a directory whose lock the caller holds. verify: read every
// row first. False with *ret_unusable set: what is there is of no use and may be removed.
// Owned by the caller: ee_disk_close.
bool ee_disk_open(const char *directory, uint64_t format, size_t changelog_count, bool verify,
                  struct ee_disk **ret, const char **ret_unusable, struct ee_err *err);
// Syncs when everything is in order. True: all that was written is on the disk and sound
// as far as known.
bool ee_disk_close(struct ee_disk *disk);

struct ee_disk_row {
  bool found;
  int64_t wake_at;
  struct ee_bytes value;  // borrowed until the next call that writes
};
bool ee_disk_get(struct ee_disk *disk, const struct ee_packed *key, struct ee_disk_row *ret,
                 struct ee_err *err);

// The first row of the partition's due order at or after `from` (size 0: its first one),
// and the ones after it. *ret_found false: no more. ret->size is 0 then.
bool ee_disk_due_seek(struct ee_disk *disk, int32_t partition, const struct ee_due_key *from,
                      struct ee_due_key *ret, struct ee_err *err);
bool ee_disk_due_next(struct ee_disk *disk, int32_t partition, struct ee_due_key *ret,
                      struct ee_err *err);

// Writes the batch, the entries' committed values (a list by
// next[EE_LAYER_COMMITTED]), a part at a time, and with the last part the checkpoints. On
// false the offsets are those of before.
bool ee_disk_write(struct ee_disk *disk, const struct ee_batch *batch,
                   const struct ee_entry *changes, const struct ee_store_checkpoint *checkpoints,
                   size_t count, int64_t wall_ms, struct ee_err *err);
// *ret_found false: the partition has no checkpoint.
bool ee_disk_checkpoint_of(struct ee_disk *disk, int32_t partition,
                           int64_t offsets[EE_CHANGELOGS_MAX], int64_t *ret_wall_ms,
                           bool *ret_found, struct ee_err *err);
// Removes a partition's checkpoint, then its rows, in steps: a crash between them leaves
// rows without a checkpoint.
bool ee_disk_erase(struct ee_disk *disk, int32_t partition, struct ee_err *err);
bool ee_disk_holds(struct ee_disk *disk, int32_t partition, bool *ret, struct ee_err *err);

// Something read was not what had been written.
bool ee_disk_corrupt(const struct ee_disk *disk);
// Says so: for a caller that sees rows contradict each other. Returns false.
bool ee_disk_set_corrupt(struct ee_disk *disk, const char *what, struct ee_err *err);
int64_t ee_disk_bytes(const struct ee_disk *disk);
// Lets the kernel count the mapped pages as cache again instead of as this process's.
void ee_disk_give_back(struct ee_disk *disk);

#endif
