// SPDX-License-Identifier: Apache-2.0
// contract/drift: each dimension's rule, order, texts, extremes, and an arena that is full.
#include "contract/drift.h"

#include "base/buf.h"
#include "tests/support/test.h"

#define SET(VALUE) \
  { .present = true, .value = (VALUE) }

static struct ee_arena arena;

static int set_up(void **state) {
  (void)state;
  ee_arena_init(&arena, 1 << 20);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  ee_arena_release(&arena);
  return 0;
}

static const char *const changes[] = {"equal", "narrowed", "widened", "rebound", "unstated"};

// "cpu_millis 2000 1000 narrowed", one a line; "-" for what is absent.
static void assert_drift(const struct ee_resources *requested, const struct ee_resources *granted,
                         const char *expected) {
  struct ee_drift_line_array lines;
  struct ee_buf text;
  assert_true(ee_drift(requested, granted, &arena, &lines));
  ee_buf_init(&text, 1 << 16);
  for (size_t i = 0; i < lines.count; i++) {
    const struct ee_drift_line *line = &lines.items[i];
    struct ee_str asked = line->requested.data == NULL ? EE_STR("-") : line->requested;
    struct ee_str given = line->granted.data == NULL ? EE_STR("-") : line->granted;
    ee_buf_printf(&text, "%.*s %.*s %.*s %s\n", EE_STR_ARG(line->dimension), EE_STR_ARG(asked),
                  EE_STR_ARG(given), changes[line->change]);
  }
  ee_buf_byte(&text, '\0');
  assert_false(text.failed);
  assert_string_equal((const char *)text.data, expected);
  ee_buf_release(&text);
}

static void test_nothing_stated(void **state) {
  (void)state;
  struct ee_resources none = {.cpu_millis = {.present = false}};
  struct ee_resources share = {.gpu_share_milli = SET(500)};
  assert_drift(&none, &none, "");
  assert_drift(&share, &none, "");  // a share of no stated number of GPUs
}

static void test_each_number(void **state) {
  (void)state;
  struct ee_resources requested = {.cpu_millis = SET(2000),
                                   .memory_bytes = SET(0),
                                   .concurrency = SET(4),
                                   .timeout_ms = SET(10),
                                   .priority = SET(-3)};
  struct ee_resources granted = {.cpu_millis = SET(1000),
                                 .memory_bytes = SET(0),
                                 .concurrency = SET(5),
                                 .timeout_ms = SET(9),
                                 .priority = SET(-2)};
  assert_drift(&requested, &granted,
               "cpu_millis 2000 1000 narrowed\nmemory_bytes 0 0 equal\nconcurrency 4 5 widened\n"
               "timeout_ms 10 9 narrowed\npriority -3 -2 widened\n");
  struct ee_resources other = {.memory_bytes = SET(1)};
  assert_drift(&requested, &other,
               "cpu_millis 2000 - unstated\nmemory_bytes 0 1 widened\nconcurrency 4 - unstated\n"
               "timeout_ms 10 - unstated\npriority -3 - unstated\n");
  assert_drift(&other, &granted,
               "cpu_millis - 1000 unstated\nmemory_bytes 1 0 narrowed\nconcurrency - 5 unstated\n"
               "timeout_ms - 9 unstated\npriority - -2 unstated\n");
}

static void test_numbers_at_their_ends(void **state) {
  (void)state;
  struct ee_resources requested = {
      .cpu_millis = SET(INT64_MAX), .gpu_count = SET(INT64_MAX), .gpu_share_milli = SET(INT64_MIN)};
  struct ee_resources granted = {
      .cpu_millis = SET(INT64_MIN), .gpu_count = SET(INT64_MAX), .gpu_share_milli = SET(INT64_MAX)};
  assert_drift(&requested, &granted,
               "cpu_millis 9223372036854775807 -9223372036854775808 narrowed\n"
               "gpu -85070591730234615856620279821087277056 "
               "85070591730234615847396907784232501249 widened\n");
}

static void test_gpus_compare_as_product(void **state) {
  (void)state;
  struct ee_resources four_halves = {.gpu_count = SET(4), .gpu_share_milli = SET(500)};
  struct ee_resources two = {.gpu_count = SET(2)};
  struct ee_resources one = {.gpu_count = SET(1), .gpu_share_milli = SET(1000)};
  struct ee_resources share = {.gpu_share_milli = SET(1000)};
  assert_drift(&four_halves, &two, "gpu 2000 2000 equal\n");
  assert_drift(&two, &one, "gpu 2000 1000 narrowed\n");
  assert_drift(&one, &four_halves, "gpu 1000 2000 widened\n");
  assert_drift(&two, &share, "gpu 2000 - unstated\n");
  assert_drift(&share, &two, "gpu - 2000 unstated\n");
}

static void test_texts(void **state) {
  (void)state;
  struct ee_resources requested = {.gpu_class = EE_STR("a100"), .engine = EE_STR("vllm")};
  struct ee_resources granted = {.gpu_class = EE_STR("h100"), .engine = EE_STR("vllm")};
  struct ee_resources empty = {.engine = EE_STR("")};
  assert_drift(&requested, &granted, "gpu_class a100 h100 rebound\nengine vllm vllm equal\n");
  assert_drift(&requested, &empty, "gpu_class a100 - unstated\nengine vllm  rebound\n");
  assert_drift(&empty, &granted, "gpu_class - h100 unstated\nengine  vllm rebound\n");
}

static void test_placement(void **state) {
  (void)state;
  struct ee_str_entry asked[] = {
      {EE_STR("zone"), EE_STR("a")}, {EE_STR("rack"), EE_STR("7")}, {EE_STR("host"), EE_STR("h")}};
  struct ee_str_entry given[] = {
      {EE_STR("host"), EE_STR("h")}, {EE_STR("added"), EE_STR("x")}, {EE_STR("zone"), EE_STR("b")}};
  struct ee_resources requested = {.placement = {asked, COUNT_OF(asked)}};
  struct ee_resources granted = {.placement = {given, COUNT_OF(given)}};
  assert_drift(&requested, &granted,
               "placement.added - x equal\nplacement.host h h equal\nplacement.rack 7 - unstated\n"
               "placement.zone a b rebound\n");
}

static void test_amounts(void **state) {
  (void)state;
  struct ee_long_entry asked[] = {{EE_STR("tokens"), 10}, {EE_STR("bytes"), 5}, {EE_STR(""), 1}};
  struct ee_long_entry given[] = {{EE_STR("tokens"), 9}, {EE_STR(""), 2}, {EE_STR("calls"), 0}};
  struct ee_resources requested = {.amounts = {asked, COUNT_OF(asked)}};
  struct ee_resources granted = {.amounts = {given, COUNT_OF(given)}};
  assert_drift(&requested, &granted,
               "amounts. 1 2 widened\namounts.bytes 5 - unstated\namounts.calls - 0 unstated\n"
               "amounts.tokens 10 9 narrowed\n");
}

// The order of a map's entries means nothing.
static void test_order_of_maps_is_nothing(void **state) {
  (void)state;
  char names[26][2];
  struct ee_str_entry forward[26], backward[26];
  for (size_t i = 0; i < 26; i++) {
    names[i][0] = (char)('a' + i);
    struct ee_str key = {.data = names[i], .size = 1};
    forward[i] = backward[25 - i] = (struct ee_str_entry){.key = key, .value = key};
  }
  struct ee_resources one = {.placement = {forward, 26}}, other = {.placement = {backward, 26}};
  struct ee_drift_line_array lines;
  assert_true(ee_drift(&one, &other, &arena, &lines));
  assert_int_equal(lines.count, 26);
  for (size_t i = 0; i < 26; i++) {
    assert_int_equal(lines.items[i].change, EE_CHANGE_EQUAL);
    assert_int_equal(lines.items[i].dimension.data[strlen("placement.")], 'a' + i);
  }
}

static void test_summary_counts_what_counts(void **state) {
  (void)state;
  struct ee_resources requested = {.timeout_ms = SET(1), .priority = SET(1)};
  struct ee_resources granted = {.timeout_ms = SET(2), .priority = SET(0)};
  struct ee_drift_line_array lines;
  assert_true(ee_drift(&requested, &granted, &arena, &lines));
  struct ee_drift_summary summary = ee_drift_summarise(&lines);
  assert_false(summary.equal || summary.narrowed || summary.widened || summary.rebound);
  assert_false(ee_drift_counts(EE_STR("timeout_ms")) || ee_drift_counts(EE_STR("priority")));
  assert_true(ee_drift_counts(EE_STR("amounts.priority")) && ee_drift_counts(EE_STR("gpu")));
  static const enum ee_change each[] = {EE_CHANGE_EQUAL, EE_CHANGE_NARROWED, EE_CHANGE_WIDENED,
                                        EE_CHANGE_REBOUND, EE_CHANGE_UNSTATED};
  for (size_t i = 0; i < COUNT_OF(each); i++) {
    struct ee_drift_line line = {.dimension = EE_STR("gpu"), .change = each[i]};
    summary = ee_drift_summarise(&(struct ee_drift_line_array){.items = &line, .count = 1});
    assert_int_equal(summary.equal, each[i] == EE_CHANGE_EQUAL);
    assert_int_equal(summary.narrowed, each[i] == EE_CHANGE_NARROWED);
    assert_int_equal(summary.widened, each[i] == EE_CHANGE_WIDENED);
    assert_int_equal(summary.rebound, each[i] == EE_CHANGE_REBOUND);
  }
}

static void test_full_arena(void **state) {
  (void)state;
  struct ee_str_entry placement[] = {{EE_STR("b"), EE_STR("x")}, {EE_STR("a"), EE_STR("y")}};
  struct ee_long_entry amounts[] = {{EE_STR("b"), INT64_MIN}, {EE_STR("a"), 1}};
  struct ee_resources resources = {.cpu_millis = SET(1),
                                   .gpu_count = SET(-1),
                                   .placement = {placement, 2},
                                   .amounts = {amounts, 2}};
  struct ee_resources none = {.cpu_millis = {.present = false}};
  const struct ee_resources *const sides[][2] = {
      {&resources, &none}, {&none, &resources}, {&resources, &resources}};
  for (size_t side = 0; side < COUNT_OF(sides); side++) {
    bool done = false;
    size_t failures = 0;
    for (size_t limit = 0; !done && limit < 1 << 16; limit += 4) {
      struct ee_arena small;
      struct ee_drift_line_array lines;
      ee_arena_init(&small, limit);
      done = ee_drift(sides[side][0], sides[side][1], &small, &lines);
      failures += !done;
      ee_arena_release(&small);
    }
    assert_true(done && failures > 10);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_nothing_stated),
      cmocka_unit_test(test_each_number),
      cmocka_unit_test(test_numbers_at_their_ends),
      cmocka_unit_test(test_gpus_compare_as_product),
      cmocka_unit_test(test_texts),
      cmocka_unit_test(test_placement),
      cmocka_unit_test(test_amounts),
      cmocka_unit_test(test_order_of_maps_is_nothing),
      cmocka_unit_test(test_summary_counts_what_counts),
      cmocka_unit_test(test_full_arena),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
