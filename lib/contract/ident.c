// SPDX-License-Identifier: Apache-2.0
// Identifiers and keys: UUIDv7, SHA-256 in hex, JSON array keys and their strict reader.
#include "contract/ident.h"

#include <jansson.h>
#include <nettle/sha2.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>

#include "base/fork.h"
#include "base/time.h"
#include "base/utf8.h"

#define COUNTER_MAX 0xFFFu        // rand_a
#define COUNTER_START_MAX 0x7FFu  // the lower half, so that there is room to count
#define NAME_MAX_SIZE 128         // bytes of an identifier (contract)
// Far beyond any violation's evidence: 512 events of an envelope with escaped identifiers.
#define VIOLATION_TEXT_MAX ((size_t)1 << 20)
// Each byte of a name may be written as \u00XX; around it ["e",""].
#define KEY_MAX_SIZE (NAME_MAX_SIZE * 6 + 8)
#define SEQUENCE_KEY_MAX (KEY_MAX_SIZE + 64)  // an epoch and a topic more

static char *hex(const uint8_t *bytes, size_t size, char *out) {
  static const char digits[] = "0123456789abcdef";
  for (size_t i = 0; i < size; i++) {
    *out++ = digits[bytes[i] >> 4];
    *out++ = digits[bytes[i] & 15];
  }
  return out;
}

void ee_hex(struct ee_bytes in, char *out) {
  *hex(in.data, in.size, out) = '\0';
}

void ee_sha256(struct ee_bytes in, uint8_t out[EE_SHA256_SIZE]) {
  struct sha256_ctx state;
  sha256_init(&state);
  if (in.size > 0) sha256_update(&state, in.size, in.data);
  sha256_digest(&state, EE_SHA256_SIZE, out);
}

void ee_uuid7_make(int64_t unix_ms, const uint8_t random[10], char out[EE_UUID_SIZE]) {
  uint8_t bytes[16];
  for (int i = 0; i < 6; i++)
    bytes[i] = (uint8_t)((uint64_t)unix_ms >> (40 - 8 * i));
  memcpy(bytes + 6, random, 10);
  bytes[6] = (uint8_t)(0x70 | (bytes[6] & 0x0F));  // version 7
  bytes[8] = (uint8_t)(0x80 | (bytes[8] & 0x3F));  // variant 10
  out = hex(bytes, 4, out);
  for (int i = 4; i < 10; i += 2) {
    *out++ = '-';
    out = hex(bytes + i, 2, out);
  }
  *out++ = '-';
  *hex(bytes + 10, 6, out) = '\0';
}

void ee_uuid7_next(struct ee_uuid7_clock *clock, int64_t now_ms, const uint8_t random[10],
                   char out[EE_UUID_SIZE]) {
  if (now_ms <= clock->last_ms && clock->counter < COUNTER_MAX) {
    clock->counter++;
  } else {
    clock->last_ms = now_ms > clock->last_ms ? now_ms : clock->last_ms + 1;
    clock->counter = ((unsigned)random[0] << 8 | random[1]) & COUNTER_START_MAX;
  }
  uint8_t bytes[10];
  memcpy(bytes, random, sizeof bytes);
  bytes[0] = (uint8_t)(clock->counter >> 8);
  bytes[1] = (uint8_t)clock->counter;
  ee_uuid7_make(clock->last_ms, bytes, out);
}

// Of one thread, in memory that a child of fork finds zeroed: it starts anew there.
struct uuid7_source {
  bool seeded;
  struct ee_uuid7_clock clock;
  uint8_t seed[randombytes_SEEDBYTES];  // of the next pool
  uint8_t pool[1024];
  size_t used;  // of the pool
};
_Static_assert(sizeof(struct uuid7_source) <= EE_WIPED_SIZE, "it has one page");

static pthread_key_t source_key;
static bool source_key_made;

// libsodium chooses the fastest ChaCha20 of this machine when it is begun.
static void make_source_key(void) {
  source_key_made = sodium_init() >= 0 && pthread_key_create(&source_key, ee_wiped_free) == 0;
}

// NULL where there is none to be had.
static struct uuid7_source *own_source(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  if (pthread_once(&once, make_source_key) != 0 || !source_key_made) return NULL;
  struct uuid7_source *source = pthread_getspecific(source_key);
  if (source != NULL) return source;
  source = ee_wiped_on_fork();
  if (source == NULL || pthread_setspecific(source_key, source) == 0) return source;
  ee_wiped_free(source);
  return NULL;
}

// What was given out cannot be computed from what is kept: each pool begins with the seed of the
// next.
static void refill(struct uuid7_source *source) {
  if (!source->seeded) {
    randombytes_buf(source->seed, sizeof source->seed);
    source->clock = (struct ee_uuid7_clock){.last_ms = INT64_MIN};
    source->seeded = true;
  }
  randombytes_buf_deterministic(source->pool, sizeof source->pool, source->seed);
  memcpy(source->seed, source->pool, sizeof source->seed);
  source->used = sizeof source->seed;
}

void ee_uuid7_now(char out[EE_UUID_SIZE]) {
  uint8_t random[10];
  int64_t now_ms = ee_clock_wall_micros() / EE_MICROS_PER_MS;
  struct uuid7_source *source = own_source();
  if (source == NULL) {
    randombytes_buf(random, sizeof random);
    ee_uuid7_make(now_ms, random, out);
    return;
  }
  if (!source->seeded || sizeof source->pool - source->used < sizeof random) refill(source);
  memcpy(random, source->pool + source->used, sizeof random);
  source->used += sizeof random;
  ee_uuid7_next(&source->clock, now_ms, random, out);
}

void ee_json_array(struct ee_buf *out, const struct ee_str *parts, size_t count) {
  ee_buf_byte(out, '[');
  for (size_t i = 0; i < count; i++) {
    if (i != 0) ee_buf_byte(out, ',');
    ee_buf_json_string(out, parts[i]);
  }
  ee_buf_byte(out, ']');
}

void ee_key_envelope(struct ee_buf *out, struct ee_str envelope_id) {
  ee_json_array(out, (struct ee_str[]){EE_STR("e"), envelope_id}, 2);
}

void ee_key_partition(struct ee_buf *out, const char *name) {
  ee_json_array(out, (struct ee_str[]){EE_STR("p"), ee_str(name)}, 2);
}

// The string between the quotes as it stands, when nothing in it is escaped or has to be.
static bool plain_name(struct ee_str inner) {
  for (size_t i = 0; i < inner.size; i++) {
    unsigned char c = (unsigned char)inner.data[i];
    if (c < 0x20 || c == '"' || c == '\\') return false;
  }
  return ee_utf8_valid(inner.data, inner.size);
}

// Takes the escapes out, and accepts only what writing the name again gives back.
static bool escaped_name(struct ee_bytes key, char letter, struct ee_buf *scratch,
                         struct ee_str *ret) {
  json_t *array = json_loadb((const char *)key.data, key.size, 0, NULL);
  const char *name = json_string_value(json_array_get(array, 1));
  bool same = false;
  if (name != NULL) {
    ee_buf_clear(scratch);
    ee_json_array(scratch, (struct ee_str[]){{.data = &letter, .size = 1}, ee_str(name)}, 2);
    same = !scratch->failed && ee_bytes_equal(ee_buf_bytes(scratch), key);
    ee_buf_clear(scratch);
    ee_buf_text(scratch, name);
    *ret = ee_buf_view(scratch);
  }
  json_decref(array);
  return same;
}

bool ee_key_parse(struct ee_bytes key, char *ret_letter, struct ee_str *ret_name,
                  struct ee_buf *scratch) {
  static const char head[] = "[\"?\",\"", tail[] = "\"]";
  const size_t head_size = sizeof head - 1, tail_size = sizeof tail - 1;
  if (key.data == NULL || key.size <= head_size + tail_size || key.size > KEY_MAX_SIZE)
    return false;
  char letter = (char)key.data[2];
  if (memcmp(key.data, head, 2) != 0 || memcmp(key.data + 3, head + 3, head_size - 3) != 0 ||
      memcmp(key.data + key.size - tail_size, tail, tail_size) != 0 ||
      (letter != 'e' && letter != 'p')) {
    return false;
  }
  struct ee_str name = {.data = (const char *)key.data + head_size,
                        .size = key.size - head_size - tail_size};
  if (!plain_name(name) && !escaped_name(key, letter, scratch, &name)) return false;
  if (name.size > NAME_MAX_SIZE) return false;
  *ret_letter = letter;
  *ret_name = name;
  return true;
}

void ee_key_sequence(struct ee_buf *out, const struct ee_sequence_name *name) {
  ee_buf_text(out, "[\"s\",");
  ee_buf_json_string(out, name->producer);
  ee_buf_byte(out, ',');
  ee_buf_decimal(out, name->epoch);
  ee_buf_byte(out, ',');
  ee_buf_json_string(out, name->topic);
  ee_buf_byte(out, ']');
}

// Whether this is a name, and the key is what it gives.
static bool sequence_is(const struct ee_sequence_name *name, struct ee_bytes key,
                        struct ee_buf *scratch) {
  if (name->producer.size < 1 || name->producer.size > NAME_MAX_SIZE) return false;
  if (name->topic.data == NULL || name->epoch < 0) return false;
  ee_buf_clear(scratch);
  ee_key_sequence(scratch, name);
  return !scratch->failed && ee_bytes_equal(ee_buf_bytes(scratch), key);
}

// Into scratch, from where both texts are seen when it moves no more.
static bool keep_texts(struct ee_sequence_name *name, struct ee_buf *scratch) {
  ee_buf_clear(scratch);
  ee_buf_str(scratch, name->producer);
  ee_buf_str(scratch, name->topic);
  const char *text = ee_buf_view(scratch).data;
  name->producer.data = text;
  name->topic.data = text + name->producer.size;
  return !scratch->failed;
}

bool ee_key_sequence_parse(struct ee_bytes key, struct ee_sequence_name *ret,
                           struct ee_buf *scratch) {
  if (key.data == NULL || key.size > SEQUENCE_KEY_MAX) return false;
  json_t *array = json_loadb((const char *)key.data, key.size, 0, NULL);
  const json_t *epoch = json_array_get(array, 2);
  struct ee_sequence_name name = {
      .producer = ee_str(json_string_value(json_array_get(array, 1))),
      .epoch = json_is_integer(epoch) ? (int64_t)json_integer_value(epoch) : -1,
      .topic = ee_str(json_string_value(json_array_get(array, 3)))};
  bool good = sequence_is(&name, key, scratch) && keep_texts(&name, scratch);
  json_decref(array);
  if (good) *ret = name;
  return good;
}

bool ee_name_fits(struct ee_str name) {
  size_t size = 0;
  if (name.size <= EE_NAME_JSON_MAX / 6) return true;
  for (size_t i = 0; i < name.size; i++) {
    unsigned char byte = (unsigned char)name.data[i];
    size += byte < 0x20 ? 6 : byte == '"' || byte == '\\' ? 2 : 1;
  }
  return size <= EE_NAME_JSON_MAX;
}

static int compare_texts(const void *a, const void *b) {
  return ee_str_compare(*(const struct ee_str *)a, *(const struct ee_str *)b);
}

// The array of sorted texts, each once.
static void distinct_array(struct ee_buf *out, const struct ee_str *texts, size_t count) {
  ee_buf_byte(out, '[');
  for (size_t i = 0; i < count; i++) {
    if (i != 0 && ee_str_compare(texts[i - 1], texts[i]) == 0) continue;
    if (i != 0) ee_buf_byte(out, ',');
    ee_buf_json_string(out, texts[i]);
  }
  ee_buf_byte(out, ']');
}

bool ee_violation_id(struct ee_str kind, struct ee_str envelope_id, struct ee_str *event_ids,
                     size_t count, char out[EE_SHA256_HEX_SIZE]) {
  if (count > 1) qsort(event_ids, count, sizeof *event_ids, compare_texts);
  struct ee_buf text;
  ee_buf_init(&text, VIOLATION_TEXT_MAX);
  ee_buf_byte(&text, '[');
  ee_buf_json_string(&text, kind);
  ee_buf_byte(&text, ',');
  ee_buf_json_string(&text, envelope_id);
  ee_buf_byte(&text, ',');
  distinct_array(&text, event_ids, count);
  ee_buf_byte(&text, ']');
  bool ok = !text.failed;
  if (ok) {
    uint8_t digest[EE_SHA256_SIZE];
    ee_sha256(ee_buf_bytes(&text), digest);
    ee_hex(ee_bytes(digest, sizeof digest), out);
  }
  ee_buf_release(&text);
  return ok;
}
