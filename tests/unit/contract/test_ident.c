// SPDX-License-Identifier: Apache-2.0
// UUIDv7, hashes, JSON array keys and violation ids.
#include "contract/ident.h"

#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/time.h"
#include "tests/support/chaos.h"
#include "tests/support/test.h"

static void unhex(const char *hex, uint8_t *out) {
  for (; *hex != '\0'; hex += 2)
    *out++ = (uint8_t)strtoul((char[]){hex[0], hex[1], 0}, NULL, 16);
}

static void uuid_is_the_example_of_the_rfc(void **state) {
  (void)state;
  // RFC 9562, appendix A.6.
  uint8_t random[10];
  unhex("0cc318c4dc0c0c07398f", random);
  char uuid[EE_UUID_SIZE];
  ee_uuid7_make(INT64_C(0x017F22E279B0), random, uuid);
  assert_string_equal(uuid, "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
}

static void uuid_overwrites_version_and_variant_alone(void **state) {
  (void)state;
  uint8_t random[10];
  char uuid[EE_UUID_SIZE];
  memset(random, 0xFF, sizeof random);
  ee_uuid7_make(INT64_C(0xFFFFFFFFFFFF), random, uuid);
  assert_string_equal(uuid, "ffffffff-ffff-7fff-bfff-ffffffffffff");
  memset(random, 0, sizeof random);
  ee_uuid7_make(0, random, uuid);
  assert_string_equal(uuid, "00000000-0000-7000-8000-000000000000");
}

// However the clock goes, each one is above the one before.
static void uuid_clock_ascends(void **state) {
  (void)state;
  struct ee_uuid7_clock clock = {.last_ms = INT64_MIN};
  char last[EE_UUID_SIZE] = "", uuid[EE_UUID_SIZE];
  uint8_t random[10];
  int64_t now_ms = 1700000000000;
  srand(1);
  for (int i = 0; i < 50000; i++) {
    for (size_t j = 0; j < sizeof random; j++)
      random[j] = (uint8_t)(rand() >> 7);
    if (i % 10000 == 5000) now_ms -= 3600000;
    if (i % 10000 == 9000) now_ms += 7200000;
    ee_uuid7_next(&clock, now_ms, random, uuid);
    assert_true(strcmp(last, uuid) < 0);
    memcpy(last, uuid, sizeof last);
  }
}

static void uuid_clock_follows_time_when_it_can(void **state) {
  (void)state;
  struct ee_uuid7_clock clock = {.last_ms = INT64_MIN};
  uint8_t random[10];
  char uuid[EE_UUID_SIZE];
  memset(random, 0xFF, sizeof random);
  ee_uuid7_next(&clock, 1000, random, uuid);
  // The counter starts in its lower half, whatever the random bytes are.
  assert_string_equal(uuid, "00000000-03e8-77ff-bfff-ffffffffffff");
  ee_uuid7_next(&clock, 1000, random, uuid);
  assert_string_equal(uuid, "00000000-03e8-7800-bfff-ffffffffffff");
  ee_uuid7_next(&clock, 999, random, uuid);
  assert_string_equal(uuid, "00000000-03e8-7801-bfff-ffffffffffff");
  clock.counter = 0xFFF;
  ee_uuid7_next(&clock, 900, random, uuid);
  assert_string_equal(uuid, "00000000-03e9-77ff-bfff-ffffffffffff");
  ee_uuid7_next(&clock, 2000, random, uuid);
  assert_string_equal(uuid, "00000000-07d0-77ff-bfff-ffffffffffff");
}

#define THREADS 4
#define PER_THREAD 5000

static char made[THREADS * PER_THREAD][EE_UUID_SIZE];

static void *make_some(void *first) {
  char(*out)[EE_UUID_SIZE] = first;
  for (int i = 0; i < PER_THREAD; i++)
    ee_uuid7_now(out[i]);
  return NULL;
}

static int compare_uuids(const void *a, const void *b) {
  return strcmp(a, b);
}

static void uuids_of_threads_differ_and_ascend(void **state) {
  (void)state;
  pthread_t threads[THREADS];
  int64_t before_ms = ee_clock_wall_micros() / EE_MICROS_PER_MS;
  for (int i = 0; i < THREADS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, make_some, made[i * PER_THREAD]), 0);
  for (int i = 0; i < THREADS; i++)
    pthread_join(threads[i], NULL);
  for (int i = 1; i < THREADS * PER_THREAD; i++) {
    if (i % PER_THREAD != 0) assert_true(strcmp(made[i - 1], made[i]) < 0);
  }
  qsort(made, COUNT_OF(made), sizeof *made, compare_uuids);
  for (size_t i = 1; i < COUNT_OF(made); i++)
    assert_true(strcmp(made[i - 1], made[i]) != 0);
  char hex[13];
  memcpy(hex, made[0], 8);
  memcpy(hex + 8, made[0] + 9, 5);
  int64_t first_ms = (int64_t)strtoull(hex, NULL, 16);
  assert_true(first_ms >= before_ms && first_ms < before_ms + 60000);
}

// Both go on from the same memory: a child's ids must be its own.
static void uuids_of_a_child_differ(void **state) {
  (void)state;
  enum { COUNT = 50 };  // of one pool
  char theirs[COUNT][EE_UUID_SIZE], ours[EE_UUID_SIZE];
  int ends[2];
  ee_uuid7_now(ours);
  assert_int_equal(pipe(ends), 0);
  pid_t child = fork();
  assert_true(child >= 0);
  for (int i = 0; i < COUNT; i++)
    ee_uuid7_now(theirs[i]);
  if (child == 0) _exit(write(ends[1], theirs, sizeof theirs) == (ssize_t)sizeof theirs ? 0 : 1);
  char(*all)[EE_UUID_SIZE] = calloc(2 * COUNT, sizeof *all);
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_int_equal(status, 0);
  memcpy(all, theirs, sizeof theirs);
  assert_int_equal(read(ends[0], all + COUNT, sizeof theirs), sizeof theirs);
  for (int i = 0; i < 2 * COUNT; i++)
    memmove(all[i], all[i] + 19, EE_UUID_SIZE - 19);  // the random part: times differ anyway
  qsort(all, 2 * COUNT, sizeof *all, compare_uuids);
  for (int i = 1; i < 2 * COUNT; i++)
    assert_true(strcmp(all[i - 1], all[i]) != 0);
  free(all);
  close(ends[0]);
  close(ends[1]);
}

static void sha256_is_the_standard_one(void **state) {
  (void)state;
  uint8_t digest[EE_SHA256_SIZE];
  char hex[EE_SHA256_HEX_SIZE];
  ee_sha256(ee_bytes("abc", 3), digest);
  ee_hex(ee_bytes(digest, sizeof digest), hex);
  assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  ee_sha256(ee_bytes("", 0), digest);
  ee_hex(ee_bytes(digest, sizeof digest), hex);
  assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  ee_hex(ee_bytes("", 0), hex);
  assert_string_equal(hex, "");
}

static void assert_text(const struct ee_buf *buf, const char *expected) {
  struct ee_str view = ee_buf_view(buf);
  assert_false(buf->failed);
  assert_int_equal(view.size, strlen(expected));
  assert_memory_equal(view.data, expected, view.size);
}

static void json_array_is_compact(void **state) {
  (void)state;
  struct ee_buf out;
  ee_buf_init(&out, 1000);
  ee_json_array(&out, NULL, 0);
  assert_text(&out, "[]");
  ee_buf_clear(&out);
  ee_json_array(&out, (struct ee_str[]){EE_STR("a"), EE_STR(""), EE_STR("q\"\\\n\xC3\xA9")}, 3);
  assert_text(&out, "[\"a\",\"\",\"q\\\"\\\\\\n\xC3\xA9\"]");
  ee_buf_clear(&out);
  ee_json_array(&out, (struct ee_str[]){EE_STR("\xFF")}, 1);
  assert_true(out.failed);
  ee_buf_release(&out);
}

// Some valid text of 1 to 128 bytes without NUL, rich in what JSON escapes.
static size_t random_name(char out[128]) {
  static const char *const pieces[] = {"a",
                                       "0",
                                       "\"",
                                       "\\",
                                       "\n",
                                       "\x01",
                                       "\x7f",
                                       "/",
                                       "\xC3\xA9",
                                       "\xE2\x82\xAC",
                                       "\xF0\x9F\x98\x80",
                                       "]",
                                       ",",
                                       " "};
  size_t size = 0, wanted = 1 + (size_t)rand() % 128;
  for (;;) {
    const char *piece = pieces[(size_t)rand() % COUNT_OF(pieces)];
    if (size + strlen(piece) > wanted) break;
    memcpy(out + size, piece, strlen(piece));
    size += strlen(piece);
  }
  if (size == 0) out[size++] = 'x';
  return size;
}

static void keys_are_json_and_read_back(void **state) {
  (void)state;
  struct ee_buf key, scratch;
  ee_buf_init(&key, 2000);
  ee_buf_init(&scratch, 2000);
  srand(2);
  for (int i = 0; i < 20000; i++) {
    char text[129];
    size_t size = random_name(text);
    text[size] = '\0';
    ee_buf_clear(&key);
    if (i % 2 == 0) ee_key_envelope(&key, (struct ee_str){text, size});
    if (i % 2 == 1) ee_key_partition(&key, text);
    json_t *json = json_loadb((const char *)key.data, key.size, 0, NULL);
    assert_int_equal(json_array_size(json), 2);
    assert_string_equal(json_string_value(json_array_get(json, 0)), i % 2 == 0 ? "e" : "p");
    assert_string_equal(json_string_value(json_array_get(json, 1)), text);
    json_decref(json);

    char letter = 0;
    struct ee_str name;
    assert_true(ee_key_parse(ee_buf_bytes(&key), &letter, &name, &scratch));
    assert_int_equal(letter, i % 2 == 0 ? 'e' : 'p');
    assert_true(ee_str_equal(name, (struct ee_str){text, size}));
  }
  ee_buf_release(&key);
  ee_buf_release(&scratch);
}

static bool parses(const char *key, size_t size) {
  struct ee_buf scratch;
  char letter;
  struct ee_str name;
  uint8_t *exact = malloc(size == 0 ? 1 : size);  // no byte behind the end goes unseen
  assert_non_null(exact);
  memcpy(exact, key, size);
  ee_buf_init(&scratch, 2000);
  bool ok = ee_key_parse(ee_bytes(exact, size), &letter, &name, &scratch);
  ee_buf_release(&scratch);
  free(exact);
  return ok;
}

static void other_spellings_of_keys_are_refused(void **state) {
  (void)state;
  static const char *const wrong[] = {"",
                                      "[",
                                      "[\"e\",\"",
                                      "[\"e\",\"\"]",
                                      "[\"e\"]",
                                      "[\"s\",\"x\"]",
                                      "[\"E\",\"x\"]",
                                      "[\"e\", \"x\"]",
                                      "[ \"e\",\"x\"]",
                                      "[\"e\",\"x\"] ",
                                      "[\"e\",\"x\",\"y\"]",
                                      "[\"e\",1]",
                                      "[\"e\",\"x]",
                                      "{\"e\":\"x\"}",
                                      "[\"e\",\"a\"b\"]",
                                      "[\"e\",\"\\u0061\"]",
                                      "[\"e\",\"\\/\"]",
                                      "[\"e\",\"\\u0000\"]",
                                      "[\"e\",\"\\uD800\"]",
                                      "[\"e\",\"\\\"]",
                                      "[\"e\",\"\\u000a\"]",
                                      "[\"e\",\"a\nb\"]",
                                      "[\"e\",\"\xFF\"]",
                                      "[\"e\",\"\xC3\"]",
                                      "[\"e\",\"\\n\xFF\"]",
                                      "['e','x']",
                                      "[\"e\",\"x\"",
                                      "[[\"e\",\"x\"]",
                                      "[\"ee\",\"x\"]"};
  for (size_t i = 0; i < COUNT_OF(wrong); i++) {
    if (parses(wrong[i], strlen(wrong[i]))) fail_msg("accepted %s", wrong[i]);
  }
  assert_true(parses("[\"e\",\"x\"]", 9));
  assert_true(parses("[\"p\",\"\\n\"]", 10));
  assert_false(parses("[\"e\",\"a\0b\"]", 11));
  struct ee_buf scratch;
  char letter;
  struct ee_str name;
  ee_buf_init(&scratch, 100);
  assert_false(ee_key_parse(ee_bytes(NULL, 0), &letter, &name, &scratch));
  ee_buf_release(&scratch);
}

static bool sequence_parses(const char *key) {
  struct ee_buf scratch;
  struct ee_sequence_name name;
  ee_buf_init(&scratch, 2000);
  bool ok = ee_key_sequence_parse(ee_str_bytes(ee_str(key)), &name, &scratch);
  ee_buf_release(&scratch);
  return ok;
}

static void keys_of_sequences_are_json_and_read_back(void **state) {
  (void)state;
  struct ee_buf key, scratch;
  ee_buf_init(&key, 2000);
  ee_buf_init(&scratch, 2000);
  srand(3);
  for (int i = 0; i < 5000; i++) {
    char text[129];
    struct ee_sequence_name name = {.producer = {text, random_name(text)},
                                    .epoch = i % 7 == 0 ? INT64_MAX - i : i,
                                    .topic = EE_STR("envelope.admission.v1")};
    struct ee_sequence_name read;
    ee_buf_clear(&key);
    ee_key_sequence(&key, &name);
    assert_true(ee_key_sequence_parse(ee_buf_bytes(&key), &read, &scratch));
    assert_true(ee_str_equal(read.producer, name.producer));
    assert_int_equal(read.epoch, name.epoch);
    assert_true(ee_str_equal(read.topic, name.topic));
  }
  ee_buf_clear(&key);
  ee_key_sequence(&key, &(struct ee_sequence_name){EE_STR("a:\"b"), 17, EE_STR("t")});
  assert_text(&key, "[\"s\",\"a:\\\"b\",17,\"t\"]");
  ee_buf_release(&key);
  ee_buf_release(&scratch);
}

static void other_spellings_of_sequences_are_refused(void **state) {
  (void)state;
  static const char *const wrong[] = {"",
                                      "[\"s\"]",
                                      "[\"s\",\"p\"]",
                                      "[\"s\",\"p\",1]",
                                      "[\"s\",\"\",1,\"t\"]",
                                      "[\"e\",\"p\",1,\"t\"]",
                                      "[\"s\",\"p\",-1,\"t\"]",
                                      "[\"s\",\"p\",01,\"t\"]",
                                      "[\"s\",\"p\",1.0,\"t\"]",
                                      "[\"s\",\"p\",\"1\",\"t\"]",
                                      "[\"s\",\"p\",9223372036854775808,\"t\"]",
                                      "[\"s\",\"p\",1,\"t\",\"u\"]",
                                      "[\"s\",\"p\",1, \"t\"]",
                                      "[\"s\",\"p\",1,\"t\"] ",
                                      "[\"s\",\"\\u0070\",1,\"t\"]",
                                      "[\"s\",\"p\",1,2]"};
  for (size_t i = 0; i < COUNT_OF(wrong); i++) {
    if (sequence_parses(wrong[i])) fail_msg("accepted %s", wrong[i]);
  }
  assert_true(sequence_parses("[\"s\",\"p\",9223372036854775807,\"t\"]"));
  struct ee_buf scratch;
  struct ee_sequence_name name;
  ee_buf_init(&scratch, 100);
  assert_false(ee_key_sequence_parse(ee_bytes(NULL, 0), &name, &scratch));
  bool failed = true;
  for (size_t n = 0; failed; n++) {
    ee_buf_release(&scratch);
    ee_buf_init(&scratch, 100);
    ee_chaos_fail_after(n);
    bool ok = ee_key_sequence_parse(ee_str_bytes(EE_STR("[\"s\",\"p\",1,\"t\"]")), &name, &scratch);
    failed = ee_chaos_stop();
    assert_int_equal(ok, !failed);
  }
  ee_buf_release(&scratch);
}

// As long as a name may be, with the longest epoch and topic, a key fits the store.
static void names_fit_keys(void **state) {
  (void)state;
  char text[EE_NAME_JSON_MAX + 1];
  memset(text, 1, sizeof text);
  assert_true(ee_name_fits((struct ee_str){text, 64}));
  assert_false(ee_name_fits((struct ee_str){text, 65}));
  memset(text, '"', sizeof text);
  assert_true(ee_name_fits((struct ee_str){text, 192}));
  assert_false(ee_name_fits((struct ee_str){text, 193}));
  memset(text, 'x', sizeof text);
  assert_true(ee_name_fits((struct ee_str){text, EE_NAME_JSON_MAX}));
  assert_false(ee_name_fits((struct ee_str){text, EE_NAME_JSON_MAX + 1}));
  struct ee_buf key;
  ee_buf_init(&key, 448);  // what the store takes
  ee_key_sequence(&key, &(struct ee_sequence_name){
                            {text, EE_NAME_JSON_MAX}, INT64_MAX, EE_STR("envelope.annotation.v1")});
  assert_false(key.failed);
  ee_buf_release(&key);
}

static void names_in_keys_are_bounded(void **state) {
  (void)state;
  char text[3000] = "[\"e\",\"";
  for (size_t size = 127; size <= 129; size++) {
    memset(text + 6, 'x', size);
    memcpy(text + 6 + size, "\"]", 2);
    assert_int_equal(parses(text, size + 8), size <= 128);
  }
  for (size_t size = 127; size <= 129; size++) {
    for (size_t i = 0; i < size; i++)
      memcpy(text + 6 + 6 * i, "\\u0001", 6);
    memcpy(text + 6 + 6 * size, "\"]", 2);
    assert_int_equal(parses(text, 6 * size + 8), size <= 128);
  }
}

static void key_parse_survives_lack_of_memory(void **state) {
  (void)state;
  bool failed = true;
  for (size_t n = 0; failed; n++) {
    struct ee_buf scratch;
    char letter;
    struct ee_str name;
    ee_buf_init(&scratch, 100);
    ee_chaos_fail_after(n);
    bool ok = ee_key_parse(ee_bytes("[\"p\",\"\\n\"]", 10), &letter, &name, &scratch);
    failed = ee_chaos_stop();
    assert_int_equal(ok, !failed);
    ee_buf_release(&scratch);
  }
}

static void assert_violation(const char *kind, struct ee_str envelope, struct ee_str *ids,
                             size_t count, const char *expected) {
  char id[EE_SHA256_HEX_SIZE] = "";
  assert_true(ee_violation_id(ee_str(kind), envelope, ids, count, id));
  assert_string_equal(id, expected);
}

// Expected: hashlib over json.dumps(..., separators=(",", ":"), ensure_ascii=False).
static void violation_ids_are_what_others_compute(void **state) {
  (void)state;
  static const char two[] = "daeccfce85cb0e290cdf9d9023775366d2bbfc207c21f67db65e094d0fb587c8";
  assert_violation("orphan", EE_STR("env-1"), (struct ee_str[]){EE_STR("a"), EE_STR("b")}, 2, two);
  struct ee_str mixed[] = {EE_STR("b"), EE_STR("a"), EE_STR("b"), EE_STR("a")};
  assert_violation("orphan", EE_STR("env-1"), mixed, 4, two);
  assert_true(ee_str_equal(mixed[0], EE_STR("a")) && ee_str_equal(mixed[3], EE_STR("b")));
  assert_violation("too_many_events", EE_STR("e\"\\\n\xC3\xA9"), NULL, 0,
                   "9bc3641f2f94b91bc3b3178eb5ac60b46ad78a8463bb5295b32106274154af95");
  assert_violation("event_id_conflict", EE_STR("x"), (struct ee_str[]){EE_STR("id\x01")}, 1,
                   "aa2c1f8f4c080379a024068edd27d1abac51f7c4c944657025a8c524a4672ee9");
}

static void violation_id_reports_what_it_cannot_do(void **state) {
  (void)state;
  char id[EE_SHA256_HEX_SIZE];
  struct ee_str bad = EE_STR("\xFF");
  assert_false(ee_violation_id(EE_STR("k"), EE_STR("e"), &bad, 1, id));
  bool failed = true;
  for (size_t n = 0; failed; n++) {
    ee_chaos_fail_after(n);
    bool ok = ee_violation_id(EE_STR("k"), EE_STR("e"), NULL, 0, id);
    failed = ee_chaos_stop();
    assert_int_equal(ok, !failed);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(uuid_is_the_example_of_the_rfc),
      cmocka_unit_test(uuid_overwrites_version_and_variant_alone),
      cmocka_unit_test(uuid_clock_ascends),
      cmocka_unit_test(uuid_clock_follows_time_when_it_can),
      cmocka_unit_test(uuids_of_threads_differ_and_ascend),
      cmocka_unit_test(uuids_of_a_child_differ),
      cmocka_unit_test(sha256_is_the_standard_one),
      cmocka_unit_test(json_array_is_compact),
      cmocka_unit_test(keys_are_json_and_read_back),
      cmocka_unit_test(other_spellings_of_keys_are_refused),
      cmocka_unit_test(keys_of_sequences_are_json_and_read_back),
      cmocka_unit_test(other_spellings_of_sequences_are_refused),
      cmocka_unit_test(names_fit_keys),
      cmocka_unit_test(names_in_keys_are_bounded),
      cmocka_unit_test(key_parse_survives_lack_of_memory),
      cmocka_unit_test(violation_ids_are_what_others_compute),
      cmocka_unit_test(violation_id_reports_what_it_cannot_do),
  };
  return cmocka_run_group_tests_name("contract/ident", tests, NULL, NULL);
}
