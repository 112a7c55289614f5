// SPDX-License-Identifier: Apache-2.0
// What `topics apply` decides for each state a cluster can be in.
#include "tools/envelopectl/topics_plan.h"

#include "tests/support/test.h"

static struct ee_topic_found found[EE_TOPIC_COUNT];
static struct ee_topic_plan plan[EE_TOPIC_COUNT];
static struct ee_err err;

static int32_t right_count(int topic, int32_t common) {
  return ee_topics[topic].partitioning == EE_PARTITION_SINGLE ? 1 : common;
}

// As `topics apply` leaves a cluster.
static void all_there(int32_t common) {
  for (int i = 0; i < EE_TOPIC_COUNT; i++) {
    found[i].partitions = right_count(i, common);
    ee_topic_values((enum ee_topic)i, &found[i].values);
  }
}

static int nothing_there(void **state) {
  (void)state;
  memset(found, 0, sizeof found);
  memset(plan, 0, sizeof plan);
  err.text[0] = '\0';
  return 0;
}

static void assert_plan(int32_t wanted, enum ee_topic_action action, int32_t common) {
  if (!ee_topics_plan(found, wanted, plan, &err)) fail_msg("%s", err.text);
  for (int i = 0; i < EE_TOPIC_COUNT; i++) {
    assert_int_equal(plan[i].action, action);
    assert_int_equal(plan[i].partitions, right_count(i, common));
  }
}

static void assert_refused(int32_t wanted, const char *word) {
  assert_false(ee_topics_plan(found, wanted, plan, &err));
  if (strstr(err.text, word) == NULL) fail_msg("%s", err.text);
}

static void a_new_set_is_made(void **state) {
  (void)state;
  assert_plan(0, EE_TOPIC_CREATE, 12);
  assert_plan(5, EE_TOPIC_CREATE, 5);
}

static void one_that_is_right_is_kept(void **state) {
  (void)state;
  all_there(7);
  assert_plan(0, EE_TOPIC_KEEP, 7);
  assert_plan(7, EE_TOPIC_KEEP, 7);
}

static void a_missing_topic_gets_the_sets_count(void **state) {
  (void)state;
  all_there(7);
  found[EE_TOPIC_TICK].partitions = found[EE_TOPIC_POLICY].partitions = 0;
  found[EE_TOPIC_DEADLETTER].partitions = 0;
  assert_true(ee_topics_plan(found, 0, plan, &err));
  assert_int_equal(plan[EE_TOPIC_TICK].action, EE_TOPIC_CREATE);
  assert_int_equal(plan[EE_TOPIC_TICK].partitions, 7);
  assert_int_equal(plan[EE_TOPIC_DEADLETTER].partitions, 7);
  assert_int_equal(plan[EE_TOPIC_POLICY].partitions, 1);
  assert_int_equal(plan[EE_TOPIC_ADMISSION].action, EE_TOPIC_KEEP);
}

static void counts_that_differ_are_refused(void **state) {
  (void)state;
  all_there(7);
  assert_refused(12, "--partitions 12: the topics have 7");
  found[EE_TOPIC_USAGE].partitions = 8;
  assert_refused(0, "envelope.usage.v1 8");
  assert_refused(7, "envelope.usage.v1 8");
}

static void the_two_others_have_counts_of_their_own(void **state) {
  (void)state;
  all_there(7);
  found[EE_TOPIC_DEADLETTER].partitions = 9;
  assert_true(ee_topics_plan(found, 0, plan, &err));
  assert_int_equal(plan[EE_TOPIC_DEADLETTER].partitions, 9);
  found[EE_TOPIC_DEADLETTER].partitions = 6;
  assert_refused(0, "envelope.deadletter.v1 has 6");
  all_there(7);
  found[EE_TOPIC_POLICY].partitions = 2;
  assert_refused(0, "envelope.policy.v1 has 2");
}

static void each_setting_that_differs_is_changed(void **state) {
  (void)state;
  for (int setting = 0; setting < EE_TOPIC_SETTINGS; setting++) {
    all_there(7);
    found[EE_TOPIC_AUDIT].values.text[setting][0] = 'x';
    assert_true(ee_topics_plan(found, 0, plan, &err));
    for (int i = 0; i < EE_TOPIC_COUNT; i++) {
      bool is_it = i == EE_TOPIC_AUDIT;
      assert_int_equal(plan[i].action, is_it ? EE_TOPIC_CHANGE : EE_TOPIC_KEEP);
      for (int j = 0; j < EE_TOPIC_SETTINGS; j++)
        assert_int_equal(plan[i].differs[j], is_it && j == setting);
    }
  }
}

static void values_are_the_catalogues(void **state) {
  (void)state;
  struct ee_topic_values values;
  ee_topic_values(EE_TOPIC_ADMISSION, &values);
  assert_string_equal(values.text[0], "delete");
  assert_string_equal(values.text[1], "2592000000");
  assert_string_equal(values.text[2], "LogAppendTime");
  assert_string_equal(values.text[3], "1048576");
  ee_topic_values(EE_TOPIC_LIFECYCLE, &values);
  assert_string_equal(values.text[0], "compact");
  assert_string_equal(values.text[1], "-1");
  assert_string_equal(values.text[2], "CreateTime");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(a_new_set_is_made, nothing_there),
      cmocka_unit_test_setup(one_that_is_right_is_kept, nothing_there),
      cmocka_unit_test_setup(a_missing_topic_gets_the_sets_count, nothing_there),
      cmocka_unit_test_setup(counts_that_differ_are_refused, nothing_there),
      cmocka_unit_test_setup(the_two_others_have_counts_of_their_own, nothing_there),
      cmocka_unit_test_setup(each_setting_that_differs_is_changed, nothing_there),
      cmocka_unit_test_setup(values_are_the_catalogues, nothing_there),
  };
  return cmocka_run_group_tests_name("ctl/topics_plan", tests, NULL, NULL);
}
