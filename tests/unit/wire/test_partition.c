// SPDX-License-Identifier: Apache-2.0
// murmur2 against Kafka's own vectors and librdkafka's implementation.
#include "wire/partition.h"

#include <librdkafka/rdkafka.h>
#include <stdlib.h>

#include "tests/support/test.h"

// From Kafka's UtilsTest.
static void murmur2_gives_kafkas_vectors(void **state) {
  (void)state;
  static const struct {
    const char *key;
    int32_t hash;
  } vectors[] = {
      {"21", -973932308},
      {"foobar", -790332482},
      {"a-little-bit-long-string", -985981536},
      {"a-little-bit-longer-string", -1486304829},
      {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
      {"abc", 479470107},
  };
  for (size_t i = 0; i < COUNT_OF(vectors); i++) {
    struct ee_str key = ee_str(vectors[i].key);
    assert_int_equal((int32_t)ee_murmur2(ee_str_bytes(key)), vectors[i].hash);
  }
}

static void partition_is_librdkafkas(void **state) {
  (void)state;
  srand(3);
  for (int i = 0; i < 20000; i++) {
    size_t size = (size_t)rand() % 70;
    uint8_t *key = malloc(size == 0 ? 1 : size);
    assert_non_null(key);
    for (size_t j = 0; j < size; j++)
      key[j] = (uint8_t)(rand() >> 7);
    int32_t count = 1 + rand() % 1000;
    int32_t expected = rd_kafka_msg_partitioner_murmur2(NULL, key, size, count, NULL, NULL);
    assert_int_equal(ee_partition_of(ee_bytes(key, size), count), expected);
    free(key);
  }
}

static void partition_is_within_the_count(void **state) {
  (void)state;
  assert_int_equal(ee_partition_of(ee_bytes("x", 1), 1), 0);
  for (int32_t i = 0; i < 1000; i++) {
    int32_t partition = ee_partition_of(ee_bytes(&i, sizeof i), INT32_MAX);
    assert_true(partition >= 0 && partition < INT32_MAX);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(murmur2_gives_kafkas_vectors),
      cmocka_unit_test(partition_is_librdkafkas),
      cmocka_unit_test(partition_is_within_the_count),
  };
  return cmocka_run_group_tests_name("wire/partition", tests, NULL, NULL);
}
