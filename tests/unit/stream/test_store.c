// SPDX-License-Identifier: Apache-2.0
// The store against a plain model of its layers, under random sequences of calls, in
// memory and over LMDB with so little memory that values come and go; and its edges.
#include <errno.h>
#include <inttypes.h>

#include "tests/support/chaos.h"
#include "tests/support/troubled_disk.h"
#include "tests/unit/stream/store_support.h"

#define PARTITIONS 2
#define CHANGELOGS 2
#define KEYS 40
#define SLOTS (PARTITIONS * CHANGELOGS * KEYS)

// ---- The model.

struct cell {
  bool said;  // this layer says something
  long size;  // negative: absent
  uint32_t number;
  int64_t wake_at;
};

struct slot {
  struct cell open, sealed, committed, disk;
  bool pending;  // committed, and no checkpoint has written it
};

struct model {
  struct ee_store *store;
  char *directory;  // NULL: in memory
  int64_t memory_bytes;
  struct slot slots[SLOTS];
  size_t order[SLOTS];  // put since the last seal, in the order of first puts
  size_t order_count;
  bool sealed;
  bool kept[PARTITIONS];
  int64_t offsets[PARTITIONS][EE_CHANGELOGS_MAX];
  int64_t wall_ms[PARTITIONS];
  uint64_t random;
  uint32_t number;
  uint8_t buffer[VALUE_MOST];
};

static uint32_t draw(struct model *model, uint32_t below) {
  model->random = model->random * 6364136223846793005U + 1442695040888963407U;
  return (uint32_t)(model->random >> 33) % below;
}

static int32_t slot_partition(size_t slot) {
  return (int32_t)(slot / (CHANGELOGS * KEYS));
}

// Keys of different lengths, some a prefix of others, in the order of their slots.
static struct ee_store_key slot_key(size_t slot, char text[EE_STORE_KEY_MAX]) {
  size_t key = slot % KEYS;
  memset(text, 'k', EE_STORE_KEY_MAX);
  snprintf(text, 16, "%03zu", key / 2);
  text[3] = 'k';
  size_t size = key % 2 == 0 ? 3 : key == KEYS - 1 ? EE_STORE_KEY_MAX : 4 + key;
  return (struct ee_store_key){.partition = slot_partition(slot),
                               .changelog = (uint8_t)(slot / KEYS % CHANGELOGS),
                               .key = ee_bytes(text, size)};
}

static const struct cell *newest(const struct slot *slot) {
  static const struct cell none = {.size = -1, .wake_at = EE_NEVER};
  if (slot->open.said) return &slot->open;
  if (slot->sealed.said) return &slot->sealed;
  return slot->committed.said ? &slot->committed : &none;
}

static void check_slot(struct model *model, size_t at) {
  char text[EE_STORE_KEY_MAX];
  struct ee_bytes found;
  struct ee_err err = {""};
  const struct cell *cell = newest(&model->slots[at]);
  if (!ee_store_get(model->store, slot_key(at, text), &found, &err)) fail_msg("%s", err.text);
  struct ee_bytes wanted = value_of(model->buffer, cell->number, cell->size);
  if (!ee_bytes_equal(found, wanted)) {
    fail_msg("slot %zu: %zu bytes, not %ld of %" PRIu32, at, found.size, cell->size, cell->number);
  }
}

static void check_due(struct model *model, int32_t partition, int64_t clock) {
  size_t least = SLOTS;
  for (size_t i = 0; i < SLOTS; i++) {
    const struct cell *cell = newest(&model->slots[i]);
    if (slot_partition(i) != partition || cell->size < 0 || cell->wake_at == EE_NEVER) continue;
    if (cell->wake_at > clock) continue;
    // Slots are in the order of changelog and key: a later one wins only by time.
    if (least == SLOTS || cell->wake_at < newest(&model->slots[least])->wake_at) least = i;
  }
  struct ee_store_key found;
  bool any;
  struct ee_err err = {""};
  char text[EE_STORE_KEY_MAX];
  if (!ee_store_due(model->store, partition, clock, &found, &any, &err)) fail_msg("%s", err.text);
  assert_int_equal(any, least < SLOTS);
  if (!any) return;
  struct ee_store_key wanted = slot_key(least, text);
  assert_int_equal(found.partition, partition);
  assert_int_equal(found.changelog, wanted.changelog);
  assert_true(ee_bytes_equal(found.key, wanted.key));
}

static void check_pending(struct model *model) {
  int64_t bytes = 0;
  for (size_t i = 0; i < SLOTS; i++) {
    char text[EE_STORE_KEY_MAX];
    const struct slot *slot = &model->slots[i];
    if (!slot->pending || model->directory == NULL) continue;
    // A key counts with the three bytes that say where it belongs.
    bytes += 3 + (int64_t)slot_key(i, text).key.size;
    bytes += slot->committed.size < 0 ? 0 : slot->committed.size;
  }
  assert_int_equal(ee_store_pending_bytes(model->store), bytes);
}

static void check_all(struct model *model) {
  for (size_t i = 0; i < SLOTS; i++) {
    check_slot(model, i);
  }
  check_pending(model);
  for (int32_t partition = 0; partition < PARTITIONS; partition++) {
    check_due(model, partition, INT64_MAX);
    check_due(model, partition, 0);
  }
}

// ---- Its steps.

static void draw_cell(struct model *model, struct cell *cell) {
  static const long sizes[] = {-1, 0, 1, 30, 900, 3000};
  cell->said = true;
  cell->size = draw(model, 300) == 0 ? (long)VALUE_MOST : sizes[draw(model, COUNT_OF(sizes))];
  cell->number = ++model->number;
  cell->wake_at = draw(model, 3) == 0   ? EE_NEVER
                  : draw(model, 8) == 0 ? INT64_MIN + draw(model, 3)
                                        : (int64_t)draw(model, 60) - 30;
}

static void step_put(struct model *model) {
  char text[EE_STORE_KEY_MAX];
  size_t at = draw(model, SLOTS);
  struct slot *slot = &model->slots[at];
  if (!slot->open.said) model->order[model->order_count++] = at;
  draw_cell(model, &slot->open);
  struct ee_bytes value = value_of(model->buffer, slot->open.number, slot->open.size);
  struct ee_err err = {""};
  if (!ee_store_put(model->store, slot_key(at, text), value, slot->open.wake_at, &err)) {
    fail_msg("%s", err.text);
  }
}

struct visit {
  struct model *model;
  size_t at;
};

static bool visit_touched(void *context, struct ee_store_key key, struct ee_bytes value) {
  struct visit *visit = context;
  struct model *model = visit->model;
  char text[EE_STORE_KEY_MAX];
  assert_true(visit->at < model->order_count);
  size_t at = model->order[visit->at++];
  struct ee_store_key wanted = slot_key(at, text);
  assert_true(key.partition == wanted.partition && key.changelog == wanted.changelog &&
              ee_bytes_equal(key.key, wanted.key));
  const struct cell *cell = &model->slots[at].open;
  assert_true(ee_bytes_equal(value, value_of(model->buffer, cell->number, cell->size)));
  return true;
}

static void step_seal(struct model *model) {
  if (model->sealed) return;
  struct visit visit = {.model = model};
  assert_true(ee_store_touched(model->store, visit_touched, &visit));
  assert_int_equal(visit.at, model->order_count);
  ee_store_seal(model->store);
  for (size_t i = 0; i < SLOTS; i++) {
    model->slots[i].sealed = model->slots[i].open;
    model->slots[i].open.said = false;
  }
  model->order_count = 0;
  model->sealed = true;
}

static void step_commit(struct model *model) {
  ee_store_commit(model->store);
  for (size_t i = 0; i < SLOTS; i++) {
    struct slot *slot = &model->slots[i];
    if (!slot->sealed.said) continue;
    slot->committed = slot->sealed;
    slot->pending = true;
    slot->sealed.said = false;
  }
  model->sealed = false;
}

static void step_abort(struct model *model) {
  ee_store_abort(model->store);
  for (size_t i = 0; i < SLOTS; i++) {
    model->slots[i].open.said = model->slots[i].sealed.said = false;
  }
  model->order_count = 0;
  model->sealed = false;
}

static void step_checkpoint(struct model *model) {
  struct ee_store_checkpoint checkpoints[PARTITIONS];
  size_t count = 0;
  struct ee_err err = {""};
  int64_t wall_ms = draw(model, 1000);
  for (int32_t partition = 0; partition < PARTITIONS; partition++) {
    if (draw(model, 4) == 0) continue;
    struct ee_store_checkpoint *checkpoint = &checkpoints[count++];
    *checkpoint = (struct ee_store_checkpoint){.partition = partition};
    checkpoint->offsets[0] = draw(model, 1000);
    checkpoint->offsets[1] = INT64_MAX - draw(model, 1000);
    if (model->directory == NULL) continue;
    model->kept[partition] = true;
    model->wall_ms[partition] = wall_ms;
    memcpy(model->offsets[partition], checkpoint->offsets, sizeof checkpoint->offsets);
  }
  if (!ee_store_checkpoint(model->store, checkpoints, count, wall_ms, &err)) {
    fail_msg("%s", err.text);
  }
  assert_int_equal(ee_store_pending_bytes(model->store), 0);
  for (size_t i = 0; i < SLOTS; i++) {
    model->slots[i].disk = model->slots[i].committed;
    model->slots[i].pending = false;
  }
}

// What is left of a partition that was only in memory, and whether its checkpoint says so.
static void forget(struct model *model, int32_t partition, bool erased) {
  if (erased || model->directory == NULL) model->kept[partition] = false;
  size_t kept_orders = 0;
  for (size_t i = 0; i < model->order_count; i++) {
    if (slot_partition(model->order[i]) != partition) {
      model->order[kept_orders++] = model->order[i];
    }
  }
  model->order_count = kept_orders;
  for (size_t i = 0; i < SLOTS; i++) {
    struct slot *slot = &model->slots[i];
    if (slot_partition(i) != partition) continue;
    if (!model->kept[partition]) slot->disk.said = false;
    *slot = (struct slot){.committed = slot->disk, .disk = slot->disk};
  }
  int64_t offsets[EE_CHANGELOGS_MAX], wall_ms;
  struct ee_err err = {"?"};
  bool found = ee_store_checkpoint_of(model->store, partition, offsets, &wall_ms, &err);
  assert_string_equal(err.text, "");
  assert_int_equal(found, model->kept[partition]);
  if (!found) return;
  assert_int_equal(wall_ms, model->wall_ms[partition]);
  assert_memory_equal(offsets, model->offsets[partition], CHANGELOGS * sizeof *offsets);
}

// Some values, some of them of one key, of keys in memory and of others, ended by a
// checkpoint: a restore comes before the partition's first step.
static void step_restore(struct model *model) {
  size_t count = draw(model, 3) == 0 ? draw(model, 200) : draw(model, 4);
  for (size_t i = 0; i < count; i++) {
    char text[EE_STORE_KEY_MAX];
    size_t at = draw(model, SLOTS);
    struct slot *slot = &model->slots[at];
    if (slot->open.said || slot->sealed.said) continue;
    draw_cell(model, &slot->committed);
    slot->pending = true;
    struct ee_bytes value = value_of(model->buffer, slot->committed.number, slot->committed.size);
    struct ee_err err = {""};
    if (!ee_store_restore(model->store, slot_key(at, text), value, slot->committed.wake_at, &err)) {
      fail_msg("%s", err.text);
    }
  }
  if (draw(model, 4) > 0) {
    step_checkpoint(model);
  } else {  // given up instead: all in it that is not on disk is gone
    for (int32_t partition = 0; partition < PARTITIONS; partition++) {
      struct ee_err err = {""};
      if (!ee_store_drop(model->store, partition, false, &err)) fail_msg("%s", err.text);
      forget(model, partition, false);
    }
    assert_int_equal(ee_store_pending_bytes(model->store), 0);
  }
}

static void step_drop(struct model *model) {
  int32_t partition = (int32_t)draw(model, PARTITIONS);
  bool erase = draw(model, 3) == 0;
  struct ee_err err = {""};
  if (!ee_store_drop(model->store, partition, erase, &err)) fail_msg("%s", err.text);
  forget(model, partition, erase);
}

static void step_reopen(struct model *model) {
  ee_store_close(model->store);
  model->store = store_open(model->directory, model->memory_bytes, NULL);
  model->sealed = false;
  for (int32_t partition = 0; partition < PARTITIONS; partition++) {
    forget(model, partition, false);
  }
}

static void step(struct model *model) {
  uint32_t choice = draw(model, 1000);
  if (choice < 600) {
    step_put(model);
  } else if (choice < 605) {
    step_restore(model);
  } else if (choice < 750) {
    step_seal(model);
  } else if (choice < 840) {
    step_commit(model);
  } else if (choice < 860) {
    step_abort(model);
  } else if (choice < 890) {
    step_checkpoint(model);
  } else if (choice < 895) {
    step_drop(model);
  } else if (choice < 897) {
    step_reopen(model);
  }
  check_slot(model, draw(model, SLOTS));
  check_due(model, (int32_t)draw(model, PARTITIONS), (int64_t)draw(model, 70) - 35);
}

static void run_model(uint64_t seed, bool on_disk, int64_t memory_bytes, int steps) {
  struct model *model = calloc(1, sizeof *model);
  assert_non_null(model);
  model->random = seed;
  model->memory_bytes = memory_bytes;
  model->directory = on_disk ? directory_new() : NULL;
  model->store = store_open(model->directory, memory_bytes, NULL);
  for (int i = 0; i < steps; i++) {
    step(model);
    if (i % 100 == 0) check_all(model);
  }
  check_all(model);
  ee_store_close(model->store);
  if (on_disk) directory_free(model->directory);
  free(model);
}

static void memory_agrees_with_model(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 4; seed++) {
    run_model(seed, false, INT64_C(64) << 20, 20000);
  }
}

static void disk_agrees_with_model(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 4; seed++) {
    run_model(seed, true, seed % 2 == 0 ? INT64_C(64) << 20 : 4000, 20000);
  }
}

// ---- Single behaviours.

static struct ee_store_key key_of(int32_t partition, const char *text) {
  return (struct ee_store_key){.partition = partition, .key = ee_str_bytes(ee_str(text))};
}

static struct ee_bytes bytes_of(const char *text) {
  return ee_str_bytes(ee_str(text));
}

static void limits_are_named(void **state) {
  (void)state;
  struct ee_store *store = store_open(NULL, 2000, NULL);
  struct ee_err err = {""};
  char text[EE_STORE_KEY_MAX + 1] = {'x'};
  struct ee_store_key key = {.key = ee_bytes(text, sizeof text)};
  assert_false(ee_store_put(store, key, bytes_of("v"), EE_NEVER, &err));
  assert_non_null(strstr(err.text, "449 bytes"));
  key = key_of(0, "k");
  key.changelog = 2;
  assert_false(ee_store_put(store, key, bytes_of("v"), EE_NEVER, &err));
  assert_false(ee_store_put(store, key_of(-1, "k"), bytes_of("v"), EE_NEVER, &err));
  assert_false(ee_store_put(store, key_of(65536, "k"), bytes_of("v"), EE_NEVER, &err));
  assert_false(
      ee_store_put(store, key_of(0, "k"), ee_bytes(text, EE_STORE_VALUE_MAX + 1), EE_NEVER, &err));
  assert_non_null(strstr(err.text, "larger than"));
  static uint8_t large[4000];
  assert_false(ee_store_put(store, key_of(0, "k"), ee_bytes(large, 4000), EE_NEVER, &err));
  assert_non_null(strstr(err.text, "2000 bytes of memory"));
  assert_true(ee_store_put(store, key_of(0, "k"), bytes_of("v"), EE_NEVER, &err));
  ee_store_close(store);
}

static void a_value_may_be_put_under_another_key(void **state) {
  (void)state;
  char *directory = directory_new();
  struct ee_store *store = store_open(directory, 0, NULL);
  struct ee_bytes value;
  assert_true(ee_store_restore(store, key_of(0, "a"), bytes_of("value"), EE_NEVER, NULL));
  assert_true(ee_store_checkpoint(store, NULL, 0, 0, NULL));
  for (int i = 0; i < 200; i++) {
    char text[16];
    snprintf(text, sizeof text, "%d", i);
    assert_true(ee_store_get(store, key_of(0, "a"), &value, NULL));
    assert_true(ee_store_put(store, key_of(0, text), value, EE_NEVER, NULL));
    assert_true(ee_store_get(store, key_of(0, text), &value, NULL));
    assert_true(ee_bytes_equal(value, bytes_of("value")));
    assert_true(ee_store_put(store, key_of(0, text), value, EE_NEVER, NULL));
  }
  ee_store_close(store);
  directory_free(directory);
}

// Mapped pages of files that count as this process's memory.
static long file_kib(void) {
  char line[256];
  long kib = -1;
  FILE *status = fopen("/proc/self/status", "r");
  assert_non_null(status);
  while (kib < 0 && fgets(line, sizeof line, status) != NULL)
    sscanf(line, "RssFile: %ld", &kib);
  fclose(status);
  return kib;
}

// Much more on disk than may be in memory (and than LMDB's first map holds), read back.
static void memory_stays_bounded(void **state) {
  (void)state;
  char *directory = directory_new();
  struct ee_store *store = store_open(directory, 2000000, NULL);
  static uint8_t buffer[VALUE_MOST];
  char text[16];
  struct ee_bytes value;
  for (uint32_t i = 0; i < 3000; i++) {
    snprintf(text, sizeof text, "%05" PRIu32, i * 7919 % 3000);
    assert_true(ee_store_put(store, key_of(0, text), value_of(buffer, i, 9000), i, NULL));
    if (i % 100 != 99) continue;
    ee_store_seal(store);
    ee_store_commit(store);
    assert_true(ee_store_pending_bytes(store) > 900000);
    assert_true(ee_store_checkpoint(store, NULL, 0, 0, NULL));
    assert_true(ee_store_size(store).memory_bytes <= 2000000);
  }
  for (uint32_t i = 0; i < 3000; i++) {
    snprintf(text, sizeof text, "%05" PRIu32, i * 7919 % 3000);
    assert_true(ee_store_get(store, key_of(0, text), &value, NULL));
    assert_true(ee_bytes_equal(value, value_of(buffer, i, 9000)));
    assert_true(ee_store_size(store).memory_bytes <= 2100000);
  }
  // More in one transaction than there may be of clean values.
  for (uint32_t i = 0; i < 1000; i++) {
    snprintf(text, sizeof text, "%05" PRIu32, i);
    assert_true(ee_store_restore(store, key_of(1, text), value_of(buffer, i, 9000), i, NULL));
  }
  assert_true(ee_store_size(store).memory_bytes > 9000000);
  long mapped_kib = file_kib();
  assert_true(ee_store_checkpoint(store, NULL, 0, 0, NULL));
  assert_true(file_kib() < mapped_kib - 20000);               // of the 27 MB that were read
  assert_true(ee_store_checkpoint(store, NULL, 0, 0, NULL));  // nothing more is restored
  assert_true(ee_store_size(store).memory_bytes <= 2000000);
  assert_true(ee_store_size(store).disk_bytes > 36000000);
  assert_true(ee_store_size(store).keys < 300);
  ee_store_close(store);
  directory_free(directory);
}

// What the tick does: each due key in turn is put off, in one transaction.
static void many_due_are_met_in_order(void **state) {
  (void)state;
  enum { COUNT = 20000 };
  char *directory = directory_new();
  struct ee_store *store = store_open(directory, 100000, NULL);
  struct ee_store_key key;
  bool found;
  char text[16];
  for (int i = 0; i < COUNT; i++) {
    snprintf(text, sizeof text, "%05d", i * 7919 % COUNT);
    assert_true(ee_store_restore(store, key_of(3, text), bytes_of("v"), 1000 + i, NULL));
  }
  assert_true(ee_store_checkpoint(store, NULL, 0, 0, NULL));
  for (int i = 0; i < COUNT; i++) {
    assert_true(ee_store_due(store, 3, 1000 + COUNT, &key, &found, NULL));
    assert_true(found);
    snprintf(text, sizeof text, "%05d", i * 7919 % COUNT);
    assert_true(ee_bytes_equal(key.key, bytes_of(text)));
    assert_true(ee_store_put(store, key, bytes_of("w"), 5000000, NULL));
  }
  assert_true(ee_store_due(store, 3, 1000 + COUNT, &key, &found, NULL));
  assert_false(found);
  ee_store_abort(store);
  assert_true(ee_store_due(store, 3, 1000, &key, &found, NULL));
  assert_true(found && ee_bytes_equal(key.key, bytes_of("00000")));
  ee_store_close(store);
  directory_free(directory);
}

// Wake times that come, change and go, then all of them in order.
static void due_is_a_total_order(void **state) {
  (void)state;
  enum { COUNT = 3000 };
  static int64_t wake_at[COUNT];
  struct ee_store *store = store_open(NULL, INT64_C(64) << 20, NULL);
  uint32_t random = 1, left = 0;
  char text[16];
  for (int i = 0; i < COUNT; i++) {
    wake_at[i] = EE_NEVER;
  }
  for (int i = 0; i < 10 * COUNT; i++) {
    random = random * 1664525 + 1013904223;
    uint32_t at = (random >> 8) % COUNT;
    wake_at[at] = (random >> 4) % 4 == 0 ? EE_NEVER : (int64_t)(random >> 16) * 40503 % 100000;
    snprintf(text, sizeof text, "%05" PRIu32, at);
    assert_true(ee_store_put(store, key_of(0, text), bytes_of("v"), wake_at[at], NULL));
  }
  for (int i = 0; i < COUNT; i++) {
    if (wake_at[i] != EE_NEVER) left++;
  }
  struct ee_store_key key;
  bool found;
  int64_t last = INT64_MIN;
  for (; ee_store_due(store, 0, INT64_MAX, &key, &found, NULL) && found; left--) {
    unsigned at;
    snprintf(text, sizeof text, "%.*s", (int)key.key.size, (const char *)key.key.data);
    assert_int_equal(sscanf(text, "%u", &at), 1);
    assert_true(wake_at[at] >= last && wake_at[at] != EE_NEVER);
    last = wake_at[at];
    assert_true(ee_store_put(store, key, bytes_of("v"), EE_NEVER, NULL));
  }
  assert_int_equal(left, 0);
  ee_store_close(store);
}

// ---- Memory that runs out.

static const char *const chaos_keys[] = {"a", "b", "c"};

// A call that fails changes nothing; its key is then checked to be as before or as put.
static void chaos_puts(struct ee_store *store, bool done[COUNT_OF(chaos_keys)]) {
  for (size_t i = 0; i < COUNT_OF(chaos_keys); i++) {
    done[i] = ee_store_put(store, key_of(1, chaos_keys[i]), bytes_of("new"), 7, NULL);
  }
}

static bool chaos_round(const char *directory, size_t after) {
  struct ee_store_settings settings = {
      .directory = directory, .memory_bytes = 1 << 20, .changelog_count = 2};
  struct ee_store *store = NULL;
  const char *emptied;
  bool done[COUNT_OF(chaos_keys)];
  struct ee_store_key key;
  bool found;
  ee_chaos_fail_after(after);
  if (!ee_store_open(&settings, &store, &emptied, NULL)) return ee_chaos_stop();
  int64_t offsets[EE_CHANGELOGS_MAX], wall_ms;
  struct ee_bytes value;
  ee_store_checkpoint_of(store, 1, offsets, &wall_ms, NULL);
  if (ee_store_get(store, key_of(1, "a"), &value, NULL) && value.data != NULL) {
    assert_true(ee_bytes_equal(value, bytes_of("old")));
  }
  chaos_puts(store, done);
  bool due_ok = ee_store_due(store, 1, 7, &key, &found, NULL);
  bool failed = ee_chaos_stop();
  if (due_ok) assert_int_equal(found, true);
  for (size_t i = 0; i < COUNT_OF(chaos_keys); i++) {
    const char *before = directory == NULL || i == 2 ? NULL : "old";
    const char *wanted = done[i] ? "new" : before;
    assert_true(ee_store_get(store, key_of(1, chaos_keys[i]), &value, NULL));
    assert_true(ee_bytes_equal(value, bytes_of(wanted)));
  }
  ee_store_seal(store);
  ee_store_commit(store);
  ee_store_close(store);
  return failed;
}

static void each_allocation_may_fail(void **state) {
  (void)state;
  char *directory = directory_new();
  struct ee_store_settings settings = {
      .directory = directory, .memory_bytes = 1 << 20, .changelog_count = 2};
  struct ee_store *store;
  const char *emptied;
  assert_true(ee_store_open(&settings, &store, &emptied, NULL));
  assert_true(ee_store_restore(store, key_of(1, "a"), bytes_of("old"), 5, NULL));
  assert_true(ee_store_restore(store, key_of(1, "b"), bytes_of("old"), EE_NEVER, NULL));
  struct ee_store_checkpoint checkpoint = {.partition = 1};
  assert_true(ee_store_checkpoint(store, &checkpoint, 1, 0, NULL));
  ee_store_close(store);
  size_t rounds = 0;
  while (chaos_round(directory, rounds))
    rounds++;
  assert_true(rounds > 8);
  for (rounds = 0; chaos_round(NULL, rounds);)
    rounds++;
  assert_true(rounds > 5);
  directory_free(directory);
}

// What could not be taken is given again, and nothing else is missing.
static void a_restore_may_lack_memory(void **state) {
  (void)state;
  enum { COUNT = 3000 };  // so that everything has to grow
  bool failed = true;
  for (size_t after = 0; failed; after++) {
    char *directory = directory_new();
    struct ee_store *store = store_open(directory, 1 << 20, NULL);
    char text[16];
    struct ee_bytes value;
    failed = false;
    ee_chaos_fail_after(after);
    for (int i = 0; i < COUNT; i++) {
      snprintf(text, sizeof text, "%05d", i * 7919 % COUNT);
      if (ee_store_restore(store, key_of(1, text), bytes_of(text), i, NULL)) continue;
      failed = ee_chaos_stop();
      assert_true(ee_store_restore(store, key_of(1, text), bytes_of(text), i, NULL));
    }
    ee_chaos_stop();
    assert_true(ee_store_checkpoint(store, NULL, 0, 0, NULL));
    for (int i = 0; i < COUNT; i++) {
      snprintf(text, sizeof text, "%05d", i);
      assert_true(ee_store_get(store, key_of(1, text), &value, NULL));
      assert_true(ee_bytes_equal(value, bytes_of(text)));
    }
    ee_store_close(store);
    directory_free(directory);
    if (after == 0) assert_true(failed);
  }
}

// A checkpoint is written in parts, and the disk may fill up between two of them: the offsets
// are those of before, and the next checkpoint writes everything.
static void offsets_come_with_the_last_part(void **state) {
  (void)state;
  enum { COUNT = 3000 };  // 9 MB
  static uint8_t buffer[VALUE_MOST];
  char *directory = directory_new();
  struct ee_store *store = store_open(directory, 1 << 20, NULL);
  struct ee_store_checkpoint checkpoint = {.partition = 1, .offsets = {10, 11}};
  int64_t offsets[EE_CHANGELOGS_MAX], wall_ms;
  struct ee_bytes value;
  char text[16];
  assert_true(ee_store_checkpoint(store, &checkpoint, 1, 0, NULL));
  size_t failures = 0;
  int64_t part = 0;
  bool done = false;
  for (size_t room = 0; !done; room += 8) {  // calls, each of many pages
    for (uint32_t i = 0; i < COUNT; i++) {
      snprintf(text, sizeof text, "%05" PRIu32, i);
      assert_true(
          ee_store_put(store, key_of(1, text), value_of(buffer, i + 1, 3000), EE_NEVER, NULL));
    }
    ee_store_seal(store);
    ee_store_commit(store);
    checkpoint.offsets[0] = 20;
    troubled_disk_fail(room, SIZE_MAX, ENOSPC);
    done = ee_store_checkpoint(store, &checkpoint, 1, 0, NULL);
    assert_int_equal(troubled_disk_stop(), !done);
    if (!done) failures++;
    int64_t size = ee_store_size(store).disk_bytes;
    assert_true(ee_store_checkpoint_of(store, 1, offsets, &wall_ms, NULL));
    assert_int_equal(offsets[0], done ? 20 : 10);
    if (!done && size > part) part = size;
    assert_true(ee_store_get(store, key_of(1, "00000"), &value, NULL));
    assert_true(ee_bytes_equal(value, value_of(buffer, 1, 3000)));
  }
  assert_true(failures >= 2);
  assert_true(part > 2 << 20);  // some of it was written
  ee_store_close(store);
  store = store_open(directory, 1 << 20, NULL);
  for (uint32_t i = 0; i < COUNT; i++) {
    snprintf(text, sizeof text, "%05" PRIu32, i);
    assert_true(ee_store_get(store, key_of(1, text), &value, NULL));
    assert_true(ee_bytes_equal(value, value_of(buffer, i + 1, 3000)));
  }
  ee_store_close(store);
  directory_free(directory);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(memory_agrees_with_model),
      cmocka_unit_test(disk_agrees_with_model),
      cmocka_unit_test(limits_are_named),
      cmocka_unit_test(a_value_may_be_put_under_another_key),
      cmocka_unit_test(memory_stays_bounded),
      cmocka_unit_test(many_due_are_met_in_order),
      cmocka_unit_test(due_is_a_total_order),
      cmocka_unit_test(each_allocation_may_fail),
      cmocka_unit_test(a_restore_may_lack_memory),
      cmocka_unit_test(offsets_come_with_the_last_part),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
