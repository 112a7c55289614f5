// SPDX-License-Identifier: Apache-2.0
// The store's working set (private to store*.c): entries by key, each with at most one
// value a layer; what each layer has changed; the order of wake times that the disk does
// not know of; and which clean entries may be given back when memory is short.
#ifndef EE_STREAM_STORE_SET_H
#define EE_STREAM_STORE_SET_H

#include "stream/store.h"

// A key with its place: partition (2 bytes, big-endian), changelog (1), the key's bytes.
// The order of these bytes is the order of the rows on disk.
#define EE_PACKED_HEAD ((size_t)3)
#define EE_PACKED_MAX (EE_PACKED_HEAD + EE_STORE_KEY_MAX)
struct ee_packed {
  size_t size;
  uint8_t data[EE_PACKED_MAX];
};

// A row of the due order: partition (2), wake_at (8, so that the order of the bytes is
// that of the times), changelog (1), the key's bytes.
#define EE_DUE_HEAD ((size_t)11)
struct ee_due_key {
  size_t size;
  uint8_t data[EE_DUE_HEAD + EE_STORE_KEY_MAX];
};

// Newer layers first.
enum ee_layer { EE_LAYER_OPEN, EE_LAYER_SEALED, EE_LAYER_COMMITTED, EE_LAYER_COUNT };

struct ee_version {
  int64_t wake_at;
  uint32_t size, capacity;
  bool present;  // false: the key has no value
  uint8_t data[];
};

struct ee_entry {
  struct ee_entry *chain;                      // of its bucket
  struct ee_entry *next[EE_LAYER_COUNT];       // of the layer's changes
  struct ee_version *version[EE_LAYER_COUNT];  // owned; NULL: this layer says nothing
  int64_t due_at;                              // valid while due_slot is not 0
  uint32_t due_slot;                           // place in the partition's heap plus one
  uint32_t hash;
  bool changed[EE_LAYER_COUNT];  // is in the layer's list
  bool used;                     // since the hand last passed
  uint16_t key_size;
  uint8_t key[];  // packed
};

struct ee_changes {
  struct ee_entry *first, *last;  // in the order of their first change
};

// What is in memory of one partition.
struct ee_part {
  struct ee_entry **due;  // binary heap; has room for every entry, so adding cannot fail
  size_t due_count, due_capacity;
  size_t entries;
  struct ee_due_key floor;  // rows on disk before it are all overridden in memory; size 0: none
};

struct ee_set {
  struct ee_entry **buckets;  // owned
  size_t bucket_count;        // power of two
  size_t count;
  size_t memory;           // bytes of everything here
  size_t pending;          // bytes of committed changes
  size_t hand;             // bucket at which the next search for clean entries begins
  bool has_disk;           // committed changes await a checkpoint, clean entries may go
  struct ee_part **parts;  // owned; by partition
  size_t part_count;
  struct ee_changes changes[EE_LAYER_COUNT];  // COMMITTED: not on disk yet
};

void ee_packed_make(struct ee_packed *out, struct ee_store_key key);
struct ee_store_key ee_packed_key(const uint8_t *data, size_t size);  // borrows
void ee_due_key_make(struct ee_due_key *out, const uint8_t *packed, size_t size, int64_t wake_at);

bool ee_set_init(struct ee_set *set, bool has_disk);
void ee_set_release(struct ee_set *set);

struct ee_entry *ee_set_find(const struct ee_set *set, const struct ee_packed *key);
struct ee_version *ee_entry_newest(const struct ee_entry *entry);  // NULL: none
// The entry's value is the disk's: nothing newer is in memory.
bool ee_entry_clean(const struct ee_set *set, const struct ee_entry *entry);
int32_t ee_entry_partition(const struct ee_entry *entry);

// Sets the key's value in the layer and lists the change. False: no memory, and nothing
// has changed.
bool ee_set_put(struct ee_set *set, enum ee_layer layer, const struct ee_packed *key,
                struct ee_bytes value, int64_t wake_at);
// Takes up what the disk holds under a key that has no entry. NULL: no memory.
struct ee_entry *ee_set_load(struct ee_set *set, const struct ee_packed *key, struct ee_bytes value,
                             int64_t wake_at);

void ee_set_seal(struct ee_set *set);
void ee_set_commit(struct ee_set *set);
void ee_set_abort(struct ee_set *set);
// The committed changes in the order of their keys, for writing them.
struct ee_entry *ee_set_sort_pending(struct ee_set *set);
// The committed changes are on disk now.
void ee_set_cleaned(struct ee_set *set);
void ee_set_drop(struct ee_set *set, int32_t partition);
// Gives clean entries back until memory is at most `target`, looking at no more than so
// many buckets; those used lately are passed over once.
void ee_set_shed(struct ee_set *set, size_t target, size_t buckets);

// NULL when nothing is known of the partition.
struct ee_part *ee_set_part(const struct ee_set *set, int32_t partition);
// The same, made when missing; NULL: no memory.
struct ee_part *ee_set_make_part(struct ee_set *set, int32_t partition);

#endif
