// SPDX-License-Identifier: Apache-2.0
// The working set: a chained hash table whose entries are also linked into lists of
// changes, one a layer, and into a heap of wake times, one a partition.
#include "stream/store_set.h"

#include <assert.h>
#include <stdlib.h>

#include "base/hash.h"
#include "stream/store_due.h"

#define BUCKETS_LEAST ((size_t)64)
#define MALLOC_COST ((size_t)16)  // what an allocation takes beside its bytes

void ee_packed_make(struct ee_packed *out, struct ee_store_key key) {
  out->data[0] = (uint8_t)(key.partition >> 8);
  out->data[1] = (uint8_t)key.partition;
  out->data[2] = key.changelog;
  if (key.key.size > 0) memcpy(out->data + EE_PACKED_HEAD, key.key.data, key.key.size);
  out->size = EE_PACKED_HEAD + key.key.size;
}

struct ee_store_key ee_packed_key(const uint8_t *data, size_t size) {
  return (struct ee_store_key){.partition = data[0] << 8 | data[1],
                               .changelog = data[2],
                               .key = ee_bytes(data + EE_PACKED_HEAD, size - EE_PACKED_HEAD)};
}

bool ee_set_init(struct ee_set *set, bool has_disk) {
  *set = (struct ee_set){.has_disk = has_disk, .bucket_count = BUCKETS_LEAST};
  set->buckets = calloc(set->bucket_count, sizeof(struct ee_entry *));
  set->memory = set->bucket_count * sizeof(struct ee_entry *);
  return set->buckets != NULL;
}

// ---- Versions and entries.

static size_t version_cost(const struct ee_version *version) {
  return version == NULL ? 0 : sizeof *version + version->capacity + MALLOC_COST;
}

// An entry with its slot in the heap of wake times.
static size_t entry_cost(const struct ee_entry *entry) {
  return sizeof *entry + entry->key_size + MALLOC_COST + sizeof(struct ee_entry *);
}

static size_t pending_cost(const struct ee_entry *entry) {
  return entry->key_size + entry->version[EE_LAYER_COMMITTED]->size;
}

static struct ee_version *version_new(struct ee_bytes value, int64_t wake_at) {
  struct ee_version *version = malloc(sizeof *version + value.size);
  if (version == NULL) return NULL;
  version->wake_at = value.data == NULL ? EE_NEVER : wake_at;
  version->size = version->capacity = (uint32_t)value.size;
  version->present = value.data != NULL;
  if (value.size > 0) memcpy(version->data, value.data, value.size);
  return version;
}

static void set_version(struct ee_set *set, struct ee_entry *entry, enum ee_layer layer,
                        struct ee_version *version) {
  struct ee_version *old = entry->version[layer];
  set->memory = set->memory + version_cost(version) - version_cost(old);
  entry->version[layer] = version;
  free(old);
}

struct ee_version *ee_entry_newest(const struct ee_entry *entry) {
  for (int layer = 0; layer < EE_LAYER_COUNT; layer++) {
    if (entry->version[layer] != NULL) return entry->version[layer];
  }
  return NULL;
}

bool ee_entry_clean(const struct ee_set *set, const struct ee_entry *entry) {
  return set->has_disk && entry->version[EE_LAYER_OPEN] == NULL &&
         entry->version[EE_LAYER_SEALED] == NULL && !entry->changed[EE_LAYER_COMMITTED];
}

int32_t ee_entry_partition(const struct ee_entry *entry) {
  return entry->key[0] << 8 | entry->key[1];
}

// ---- The table.

static uint32_t hash_of(const uint8_t *data, size_t size) {
  return (uint32_t)ee_hash(data, size);
}

static struct ee_entry **bucket_of(const struct ee_set *set, uint32_t hash) {
  return &set->buckets[hash & (set->bucket_count - 1)];
}

static struct ee_entry *find_hashed(const struct ee_set *set, const struct ee_packed *key,
                                    uint32_t hash) {
  struct ee_entry *entry = *bucket_of(set, hash);
  for (; entry != NULL; entry = entry->chain) {
    if (entry->hash == hash && entry->key_size == key->size &&
        memcmp(entry->key, key->data, key->size) == 0) {
      return entry;
    }
  }
  return NULL;
}

struct ee_entry *ee_set_find(const struct ee_set *set, const struct ee_packed *key) {
  return find_hashed(set, key, hash_of(key->data, key->size));
}

// A table that cannot grow only gets slower.
static void grow_table(struct ee_set *set) {
  size_t bucket_count = set->bucket_count * 2;
  struct ee_entry **buckets = calloc(bucket_count, sizeof *buckets);
  if (buckets == NULL) return;
  for (size_t i = 0; i < set->bucket_count; i++) {
    for (struct ee_entry *entry = set->buckets[i], *chain; entry != NULL; entry = chain) {
      chain = entry->chain;
      struct ee_entry **bucket = &buckets[entry->hash & (bucket_count - 1)];
      entry->chain = *bucket;
      *bucket = entry;
    }
  }
  free(set->buckets);
  set->buckets = buckets;
  set->memory += (bucket_count - set->bucket_count) * sizeof *buckets;
  set->bucket_count = bucket_count;
}

struct ee_part *ee_set_part(const struct ee_set *set, int32_t partition) {
  return (size_t)partition < set->part_count ? set->parts[partition] : NULL;
}

struct ee_part *ee_set_make_part(struct ee_set *set, int32_t partition) {
  size_t needed = (size_t)partition + 1;
  if (needed > set->part_count) {
    struct ee_part **parts = realloc(set->parts, needed * sizeof *parts);
    if (parts == NULL) return NULL;
    memset(parts + set->part_count, 0, (needed - set->part_count) * sizeof *parts);
    set->memory += (needed - set->part_count) * sizeof *parts;
    set->parts = parts;
    set->part_count = needed;
  }
  if (set->parts[partition] == NULL) {
    set->parts[partition] = calloc(1, sizeof(struct ee_part));
    if (set->parts[partition] != NULL) set->memory += sizeof(struct ee_part);
  }
  return set->parts[partition];
}

static struct ee_entry *add_entry(struct ee_set *set, const struct ee_packed *key, uint32_t hash) {
  struct ee_part *part = ee_set_make_part(set, key->data[0] << 8 | key->data[1]);
  if (part == NULL || !ee_due_reserve(part, part->entries + 1)) return NULL;
  struct ee_entry *entry = calloc(1, sizeof *entry + key->size);
  if (entry == NULL) return NULL;
  entry->hash = hash;
  entry->key_size = (uint16_t)key->size;
  memcpy(entry->key, key->data, key->size);
  if (set->count >= set->bucket_count) grow_table(set);
  struct ee_entry **bucket = bucket_of(set, hash);
  entry->chain = *bucket;
  *bucket = entry;
  set->count++;
  part->entries++;
  set->memory += entry_cost(entry);
  return entry;
}

// Unlinks what *link points to. The entry is in no list of changes.
static void remove_at(struct ee_set *set, struct ee_entry **link) {
  struct ee_entry *entry = *link;
  struct ee_part *part = ee_set_part(set, ee_entry_partition(entry));
  *link = entry->chain;
  ee_due_remove(part, entry);
  part->entries--;
  set->count--;
  set->memory -= entry_cost(entry);
  for (int layer = 0; layer < EE_LAYER_COUNT; layer++) {
    set_version(set, entry, layer, NULL);
  }
  free(entry);
}

static void remove_entry(struct ee_set *set, struct ee_entry *entry) {
  struct ee_entry **link = bucket_of(set, entry->hash);
  while (*link != entry)
    link = &(*link)->chain;
  remove_at(set, link);
}

void ee_set_release(struct ee_set *set) {
  for (size_t i = 0; set->buckets != NULL && i < set->bucket_count; i++) {
    while (set->buckets[i] != NULL)
      remove_at(set, &set->buckets[i]);
  }
  for (size_t i = 0; i < set->part_count; i++) {
    if (set->parts[i] != NULL) free(set->parts[i]->due);
    free(set->parts[i]);
  }
  free(set->parts);
  free(set->buckets);
  *set = (struct ee_set){0};
}

// ---- Values.

// The heap holds exactly the entries whose newest wake time the disk does not know.
static void refresh_due(struct ee_set *set, struct ee_entry *entry) {
  struct ee_part *part = ee_set_part(set, ee_entry_partition(entry));
  const struct ee_version *newest = ee_entry_newest(entry);
  if (newest == NULL || newest->wake_at == EE_NEVER || ee_entry_clean(set, entry)) {
    ee_due_remove(part, entry);
  } else {
    ee_due_place(part, entry, newest->wake_at);
  }
}

static void list_change(struct ee_set *set, struct ee_entry *entry, enum ee_layer layer) {
  struct ee_changes *changes = &set->changes[layer];
  if (entry->changed[layer]) return;
  entry->changed[layer] = true;
  entry->next[layer] = NULL;
  if (changes->last == NULL) {
    changes->first = entry;
  } else {
    changes->last->next[layer] = entry;
  }
  changes->last = entry;
}

// Without a disk nothing waits for a checkpoint.
static void list_committed(struct ee_set *set, struct ee_entry *entry) {
  if (!set->has_disk) return;
  list_change(set, entry, EE_LAYER_COMMITTED);
  set->pending += pending_cost(entry);
}

static void unlist_committed_cost(struct ee_set *set, const struct ee_entry *entry) {
  if (entry->changed[EE_LAYER_COMMITTED]) set->pending -= pending_cost(entry);
}

// Absence that the disk agrees with, or that there is no disk to contradict, is not worth
// an entry.
static bool says_nothing(const struct ee_entry *entry) {
  const struct ee_version *committed = entry->version[EE_LAYER_COMMITTED];
  for (int layer = 0; layer < EE_LAYER_COUNT; layer++) {
    if (entry->changed[layer]) return false;
  }
  return committed == NULL || !committed->present;
}

static void settle(struct ee_set *set, struct ee_entry *entry) {
  if (says_nothing(entry)) {
    remove_entry(set, entry);
  } else {
    refresh_due(set, entry);
  }
}

bool ee_set_put(struct ee_set *set, enum ee_layer layer, const struct ee_packed *key,
                struct ee_bytes value, int64_t wake_at) {
  // The value may be one of this set's: copied before anything is freed.
  struct ee_version *version = version_new(value, wake_at);
  if (version == NULL) return false;
  uint32_t hash = hash_of(key->data, key->size);
  struct ee_entry *entry = find_hashed(set, key, hash);
  if (entry == NULL) entry = add_entry(set, key, hash);
  if (entry == NULL) {
    free(version);
    return false;
  }
  if (layer == EE_LAYER_COMMITTED) unlist_committed_cost(set, entry);
  set_version(set, entry, layer, version);
  entry->used = true;
  if (layer == EE_LAYER_COMMITTED) {
    list_committed(set, entry);
  } else {
    list_change(set, entry, layer);
  }
  settle(set, entry);
  return true;
}

struct ee_entry *ee_set_load(struct ee_set *set, const struct ee_packed *key, struct ee_bytes value,
                             int64_t wake_at) {
  struct ee_version *version = version_new(value, wake_at);
  if (version == NULL) return NULL;
  struct ee_entry *entry = add_entry(set, key, hash_of(key->data, key->size));
  if (entry == NULL) {
    free(version);
    return NULL;
  }
  set_version(set, entry, EE_LAYER_COMMITTED, version);
  entry->used = true;
  return entry;
}

// ---- Layers.

static void reset_floors(struct ee_set *set) {
  for (size_t i = 0; i < set->part_count; i++) {
    if (set->parts[i] != NULL) set->parts[i]->floor.size = 0;
  }
}

void ee_set_seal(struct ee_set *set) {
  assert(set->changes[EE_LAYER_SEALED].first == NULL);
  struct ee_entry *entry = set->changes[EE_LAYER_OPEN].first;
  for (; entry != NULL; entry = entry->next[EE_LAYER_OPEN]) {
    entry->version[EE_LAYER_SEALED] = entry->version[EE_LAYER_OPEN];
    entry->version[EE_LAYER_OPEN] = NULL;
    entry->changed[EE_LAYER_SEALED] = true;
    entry->changed[EE_LAYER_OPEN] = false;
    entry->next[EE_LAYER_SEALED] = entry->next[EE_LAYER_OPEN];
  }
  set->changes[EE_LAYER_SEALED] = set->changes[EE_LAYER_OPEN];
  set->changes[EE_LAYER_OPEN] = (struct ee_changes){0};
}

static void commit_entry(struct ee_set *set, struct ee_entry *entry) {
  unlist_committed_cost(set, entry);
  set_version(set, entry, EE_LAYER_COMMITTED, NULL);
  entry->version[EE_LAYER_COMMITTED] = entry->version[EE_LAYER_SEALED];
  entry->version[EE_LAYER_SEALED] = NULL;
  entry->changed[EE_LAYER_SEALED] = false;
  list_committed(set, entry);
  settle(set, entry);
}

void ee_set_commit(struct ee_set *set) {
  struct ee_entry *entry = set->changes[EE_LAYER_SEALED].first;
  set->changes[EE_LAYER_SEALED] = (struct ee_changes){0};
  for (struct ee_entry *next; entry != NULL; entry = next) {
    next = entry->next[EE_LAYER_SEALED];
    commit_entry(set, entry);
  }
}

static void throw_away(struct ee_set *set, enum ee_layer layer) {
  struct ee_entry *entry = set->changes[layer].first;
  set->changes[layer] = (struct ee_changes){0};
  for (struct ee_entry *next; entry != NULL; entry = next) {
    next = entry->next[layer];
    set_version(set, entry, layer, NULL);
    entry->changed[layer] = false;
    settle(set, entry);
  }
}

void ee_set_abort(struct ee_set *set) {
  throw_away(set, EE_LAYER_OPEN);
  throw_away(set, EE_LAYER_SEALED);
  reset_floors(set);
}

void ee_set_cleaned(struct ee_set *set) {
  struct ee_entry *entry = set->changes[EE_LAYER_COMMITTED].first;
  set->changes[EE_LAYER_COMMITTED] = (struct ee_changes){0};
  set->pending = 0;
  for (struct ee_entry *next; entry != NULL; entry = next) {
    next = entry->next[EE_LAYER_COMMITTED];
    entry->changed[EE_LAYER_COMMITTED] = false;
    settle(set, entry);
  }
  reset_floors(set);
}

// ---- Order of writing: a merge sort of the list, which needs no memory.

static int compare_keys(const struct ee_entry *a, const struct ee_entry *b) {
  return ee_bytes_compare(ee_bytes(a->key, a->key_size), ee_bytes(b->key, b->key_size));
}

static struct ee_entry *merge(struct ee_entry *a, struct ee_entry *b) {
  struct ee_entry *first = NULL, **end = &first;
  while (a != NULL && b != NULL) {
    struct ee_entry **less = compare_keys(a, b) <= 0 ? &a : &b;
    *end = *less;
    end = &(*less)->next[EE_LAYER_COMMITTED];
    *less = *end;
  }
  *end = a != NULL ? a : b;
  return first;
}

struct ee_entry *ee_set_sort_pending(struct ee_set *set) {
  struct ee_entry *runs[64] = {NULL};  // runs[i]: a sorted list of 2^i entries, or none
  struct ee_changes *changes = &set->changes[EE_LAYER_COMMITTED];
  size_t height = 0;
  for (struct ee_entry *entry = changes->first, *next; entry != NULL; entry = next) {
    next = entry->next[EE_LAYER_COMMITTED];
    entry->next[EE_LAYER_COMMITTED] = NULL;
    struct ee_entry *run = entry;
    size_t i = 0;
    for (; runs[i] != NULL; i++) {
      run = merge(runs[i], run);
      runs[i] = NULL;
    }
    runs[i] = run;
    if (i >= height) height = i + 1;
  }
  struct ee_entry *all = NULL;
  for (size_t i = 0; i < height; i++) {
    all = merge(runs[i], all);
  }
  changes->first = changes->last = all;
  while (changes->last != NULL && changes->last->next[EE_LAYER_COMMITTED] != NULL)
    changes->last = changes->last->next[EE_LAYER_COMMITTED];
  return all;
}

// ---- Giving back.

static void unlist_partition(struct ee_set *set, enum ee_layer layer, int32_t partition) {
  struct ee_entry *entry = set->changes[layer].first;
  set->changes[layer] = (struct ee_changes){0};
  for (struct ee_entry *next; entry != NULL; entry = next) {
    next = entry->next[layer];
    entry->changed[layer] = false;
    if (ee_entry_partition(entry) != partition) list_change(set, entry, layer);
  }
}

void ee_set_drop(struct ee_set *set, int32_t partition) {
  struct ee_part *part = ee_set_part(set, partition);
  if (part == NULL) return;
  struct ee_entry *entry = set->changes[EE_LAYER_COMMITTED].first;
  for (; entry != NULL; entry = entry->next[EE_LAYER_COMMITTED]) {
    if (ee_entry_partition(entry) == partition) set->pending -= pending_cost(entry);
  }
  for (int layer = 0; layer < EE_LAYER_COUNT; layer++) {
    unlist_partition(set, layer, partition);
  }
  for (size_t i = 0; part->entries > 0 && i < set->bucket_count; i++) {
    struct ee_entry **link = &set->buckets[i];
    while (*link != NULL) {
      if (ee_entry_partition(*link) == partition) {
        remove_at(set, link);
      } else {
        link = &(*link)->chain;
      }
    }
  }
  free(part->due);
  free(part);
  set->memory -= sizeof *part;
  set->parts[partition] = NULL;
}

void ee_set_shed(struct ee_set *set, size_t target, size_t buckets) {
  for (; buckets > 0 && set->memory > target; buckets--) {
    struct ee_entry **link = &set->buckets[set->hand++ & (set->bucket_count - 1)];
    while (*link != NULL) {
      bool stays = !ee_entry_clean(set, *link) || (*link)->used;
      if (ee_entry_clean(set, *link)) (*link)->used = false;
      if (stays) {
        link = &(*link)->chain;
      } else {
        remove_at(set, link);
      }
    }
  }
}
