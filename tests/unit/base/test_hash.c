// SPDX-License-Identifier: Apache-2.0
// base/hash: CRC-32C against published values and a bitwise one; SipHash as a function.
#include "base/hash.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "tests/support/test.h"

static void test_crc32c_known(void **state) {
  (void)state;
  uint8_t bytes[32];
  assert_int_equal(ee_crc32c(0, "123456789", 9), 0xE3069283);
  assert_int_equal(ee_crc32c(0, "", 0), 0);
  // RFC 3720, B.4
  memset(bytes, 0x00, sizeof bytes);
  assert_int_equal(ee_crc32c(0, bytes, sizeof bytes), 0x8A9136AA);
  memset(bytes, 0xFF, sizeof bytes);
  assert_int_equal(ee_crc32c(0, bytes, sizeof bytes), 0x62A8AB43);
  for (size_t i = 0; i < sizeof bytes; i++) {
    bytes[i] = (uint8_t)i;
  }
  assert_int_equal(ee_crc32c(0, bytes, sizeof bytes), 0x46DD794E);
}

static uint32_t bitwise(const uint8_t *data, size_t size) {
  uint32_t crc = UINT32_MAX;
  for (size_t i = 0; i < size; i++) {
    crc ^= data[i];
    for (int bit = 0; bit < 8; bit++) {
      crc = (crc & 1) != 0 ? crc >> 1 ^ UINT32_C(0x82F63B78) : crc >> 1;
    }
  }
  return ~crc;
}

// All starts and lengths, whole and in two pieces.
static void test_crc32c_at_every_cut(void **state) {
  (void)state;
  uint8_t bytes[80];
  for (size_t i = 0; i < sizeof bytes; i++) {
    bytes[i] = (uint8_t)(i * 37 + 11);
  }
  for (size_t start = 0; start < 9; start++) {
    for (size_t size = 0; start + size <= sizeof bytes; size++) {
      uint32_t whole = bitwise(bytes + start, size);
      assert_int_equal(ee_crc32c(0, bytes + start, size), whole);
      assert_int_equal(ee_crc32c_by_tables(0, bytes + start, size), whole);
      if (ee_crc32c_instruction_there()) {
        assert_int_equal(ee_crc32c_by_instruction(0, bytes + start, size), whole);
      }
      size_t cut = size / 3;
      uint32_t first = ee_crc32c(0, bytes + start, cut);
      assert_int_equal(ee_crc32c(first, bytes + start + cut, size - cut), whole);
    }
  }
}

static void test_hash_is_a_function_of_the_bytes(void **state) {
  (void)state;
  char a[] = "envelope", b[] = "envelope";
  assert_true(ee_hash(a, 8) == ee_hash(b, 8));
  assert_true(ee_hash(a, 7) != ee_hash(a, 8));
  b[3] ^= 1;
  assert_true(ee_hash(a, 8) != ee_hash(b, 8));
  assert_true(ee_hash(NULL, 0) == ee_hash("", 0));
}

// The key is drawn at the first use: a child that comes before it has another.
static uint64_t hash_in_child(void) {
  int ends[2];
  uint64_t hash = 0;
  assert_int_equal(pipe(ends), 0);
  pid_t child = fork();
  if (child == 0) {
    hash = ee_hash("x", 1);
    _exit(write(ends[1], &hash, sizeof hash) == (ssize_t)sizeof hash ? 0 : 1);
  }
  assert_int_equal(read(ends[0], &hash, sizeof hash), sizeof hash);
  assert_int_equal(waitpid(child, NULL, 0), child);
  close(ends[0]);
  close(ends[1]);
  return hash;
}

static void test_hash_differs_between_processes(void **state) {
  (void)state;
  uint64_t first = hash_in_child();
  uint64_t second = hash_in_child();
  assert_true(first != second);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_hash_differs_between_processes),  // first: no key drawn yet
      cmocka_unit_test(test_crc32c_known),
      cmocka_unit_test(test_crc32c_at_every_cut),
      cmocka_unit_test(test_hash_is_a_function_of_the_bytes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
