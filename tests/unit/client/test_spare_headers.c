// SPDX-License-Identifier: Apache-2.0
// A list that is filled again has the headers that it is filled with, whatever it had before.
#include "client/spare_headers.h"

#include <stdio.h>

#include "tests/support/test.h"
#include "tests/unit/contract/random_record.h"

#define CONSTANT 2
#define MOST 9
#define VALUE_SIZE 20

static const char *const names[MOST] = {"version", "type", "source", "id",   "time",
                                        "parent",  "seq",  "was",    "state"};

struct wanted {
  struct ee_header headers[MOST];
  char values[MOST][VALUE_SIZE];
  size_t count;
};

static void want(struct wanted *wanted, int i, int value) {
  char *text = wanted->values[wanted->count];
  int size = snprintf(text, VALUE_SIZE, "%.*d", 1 + value / 2, value);
  wanted->headers[wanted->count++] =
      (struct ee_header){ee_str(names[i]), ee_bytes(text, (size_t)size)};
}

// Two that are always the same, then any of the others, each with one of a few values.
static void choose(struct wanted *wanted, struct random *r) {
  wanted->count = 0;
  for (int i = 0; i < MOST; i++) {
    if (i < CONSTANT) {
      want(wanted, i, 1);
    } else if (random_below(r, 4) != 0) {
      want(wanted, i, (int)random_below(r, 3));
    }
  }
}

static void assert_has(const rd_kafka_headers_t *list, const struct wanted *wanted) {
  const char *name;
  const void *value;
  size_t size;
  assert_non_null(list);
  assert_int_equal(rd_kafka_header_cnt(list), wanted->count);
  for (size_t i = 0; i < wanted->count; i++) {
    assert_int_equal(rd_kafka_header_get_all(list, i, &name, &value, &size), 0);
    assert_string_equal(name, wanted->headers[i].name.data);
    assert_int_equal(size, wanted->headers[i].value.size);
    assert_memory_equal(value, wanted->headers[i].value.data, size);
  }
}

static rd_kafka_headers_t *fill(struct ee_spare_headers *spare, const struct wanted *wanted) {
  return ee_spare_headers_fill(spare, EE_TOPIC_FAILED, wanted->headers, wanted->count, CONSTANT);
}

static void what_was_there_does_not_show(void **state) {
  (void)state;
  struct ee_spare_headers spare = {.total = 0};
  struct wanted wanted;
  struct random r = {.state = 1};
  for (int round = 0; round < ee_tries(20000); round++) {
    choose(&wanted, &r);
    rd_kafka_headers_t *list = fill(&spare, &wanted);
    assert_has(list, &wanted);
    ee_spare_headers_give_back(&spare, EE_TOPIC_FAILED, list);
    assert_int_equal(spare.total, 1);
  }
  ee_spare_headers_release(&spare);
}

static void a_list_is_used_again(void **state) {
  (void)state;
  struct ee_spare_headers spare = {.total = 0};
  struct wanted wanted;
  struct random r = {.state = 2};
  choose(&wanted, &r);
  rd_kafka_headers_t *one = fill(&spare, &wanted), *two = fill(&spare, &wanted);
  assert_ptr_not_equal(one, two);
  ee_spare_headers_give_back(&spare, EE_TOPIC_FAILED, one);
  choose(&wanted, &r);
  // But not for another topic, where other headers are constant.
  rd_kafka_headers_t *other =
      ee_spare_headers_fill(&spare, EE_TOPIC_RELEASED, wanted.headers, wanted.count, CONSTANT);
  assert_ptr_not_equal(other, one);
  rd_kafka_headers_destroy(other);
  assert_ptr_equal(fill(&spare, &wanted), one);
  assert_has(one, &wanted);
  rd_kafka_headers_destroy(one);
  rd_kafka_headers_destroy(two);
  ee_spare_headers_release(&spare);
}

static void only_so_many_are_kept(void **state) {
  (void)state;
  static rd_kafka_headers_t *lists[EE_SPARE_HEADERS_MAX + 10];
  struct ee_spare_headers spare = {.total = 0};
  struct wanted wanted = {.count = 0};
  want(&wanted, 0, 1);
  want(&wanted, 1, 1);
  for (size_t i = 0; i < COUNT_OF(lists); i++)
    lists[i] = fill(&spare, &wanted);
  for (size_t i = 0; i < COUNT_OF(lists); i++)
    ee_spare_headers_give_back(&spare, i % 2 == 0 ? EE_TOPIC_FAILED : EE_TOPIC_ADMISSION, lists[i]);
  assert_int_equal(spare.total, EE_SPARE_HEADERS_MAX);
  ee_spare_headers_release(&spare);
  assert_int_equal(spare.total, 0);
}

static void a_name_that_is_too_long_is_never_sent_twice(void **state) {
  (void)state;
  struct ee_spare_headers spare = {.total = 0};
  char name[101];
  memset(name, 'n', 100);
  name[100] = '\0';
  struct ee_header long_one = {ee_str(name), ee_bytes("1", 1)};
  struct ee_header short_one = {EE_STR("short"), ee_bytes("2", 1)};
  rd_kafka_headers_t *list = ee_spare_headers_fill(&spare, EE_TOPIC_FAILED, &long_one, 1, 0);
  assert_non_null(list);
  ee_spare_headers_give_back(&spare, EE_TOPIC_FAILED, list);
  assert_null(ee_spare_headers_fill(&spare, EE_TOPIC_FAILED, &short_one, 1, 0));
  list = ee_spare_headers_fill(&spare, EE_TOPIC_FAILED, &short_one, 1, 0);
  assert_int_equal(rd_kafka_header_cnt(list), 1);
  rd_kafka_headers_destroy(list);
  ee_spare_headers_release(&spare);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_was_there_does_not_show),
      cmocka_unit_test(a_list_is_used_again),
      cmocka_unit_test(only_so_many_are_kept),
      cmocka_unit_test(a_name_that_is_too_long_is_never_sent_twice),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
