// SPDX-License-Identifier: Apache-2.0
// The form of a row in LMDB (private to store*.c) and the state of an open environment.
// Numbers in values are little-endian: key crc (4), crc over that, wake_at and value (4),
// wake_at (8), value.
#ifndef EE_STREAM_STORE_ROW_H
#define EE_STREAM_STORE_ROW_H

#include <lmdb.h>

#include "stream/store_disk.h"

#define EE_ROW_HEAD ((size_t)16)
#define EE_ROW_KEY_CRC ((size_t)4)

enum ee_db { EE_DB_STATE, EE_DB_DUE, EE_DB_META, EE_DB_COUNT };

struct ee_disk {
  MDB_env *env;
  MDB_dbi dbs[EE_DB_COUNT];
  MDB_txn *reader;                   // a snapshot as of the last write
  MDB_cursor *cursors[EE_DB_COUNT];  // of the reader
  bool reading;                      // the reader holds a snapshot
  bool corrupt;
  size_t changelog_count;
  char *directory;  // owned
  uint8_t *map;     // where the file is mapped, NULL: not known
};

void ee_store32(uint8_t out[4], uint32_t value);
void ee_store64(uint8_t out[8], uint64_t value);
uint32_t ee_load32(const uint8_t in[4]);
uint64_t ee_load64(const uint8_t in[8]);

uint32_t ee_row_key_crc(MDB_val key);
// Writes head and value; out has room for EE_ROW_HEAD + value.size bytes.
void ee_row_make(uint8_t *out, MDB_val key, int64_t wake_at, struct ee_bytes value);
// The row is long enough and its key is the one it was written under.
bool ee_row_key_sound(MDB_val key, MDB_val row);
// False: the row is not what was written under this key.
bool ee_row_parse(MDB_val key, MDB_val row, int64_t *ret_wake_at, struct ee_bytes *ret_value);

static inline MDB_val ee_val(const void *data, size_t size) {
  // LMDB's values are not const; it does not write through those handed in.
  union {
    const void *in;
    void *out;
  } pointer = {.in = data};
  return (MDB_val){.mv_size = size, .mv_data = pointer.out};
}

#define EE_CHECKPOINT_KEY_SIZE ((size_t)3)
void ee_checkpoint_key(uint8_t out[EE_CHECKPOINT_KEY_SIZE], int32_t partition);

// Begins a snapshot unless there is one.
bool ee_disk_reader(struct ee_disk *disk, struct ee_err *err);
// Gives the snapshot back, so that a writer may reuse its pages.
void ee_disk_reader_end(struct ee_disk *disk);
// Sets the error for an LMDB or system code met while reading or writing; marks the disk
// corrupt where the code says so. Returns false.
bool ee_disk_fail(struct ee_disk *disk, const char *doing, int code, struct ee_err *err);

#endif
