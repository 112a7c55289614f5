// SPDX-License-Identifier: Apache-2.0
// Tests of the broker interface over librdkafka against a real Kafka, at the address in
// ENVELOPE_TEST_BOOTSTRAP. An argument is a pattern for the names of the cases.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "tests/system/broker/cases.h"

static struct CMUnitTest all[5 * CASES_MAX];
static size_t all_count;

static void add(const struct CMUnitTest *cases, size_t count) {
  for (size_t i = 0; i < count; i++)
    all[all_count++] = cases[i];
}

int main(int argc, char **argv) {
  bootstrap = getenv("ENVELOPE_TEST_BOOTSTRAP");
  if (bootstrap == NULL) {
    fprintf(stderr, "ENVELOPE_TEST_BOOTSTRAP is not set\n");
    return 2;
  }
  ee_log_setup("test_kafka_broker", NULL, getenv("VERBOSE") == NULL ? EE_ERROR : EE_INFO);
  if (argc > 1 && strcmp(argv[1], "frozen-member") == 0) return frozen_member(argc, argv);
  if (argc > 1) cmocka_set_test_filter(argv[1]);
  add(reading_cases, reading_count);
  add(group_cases, group_count);
  add(transaction_cases, transaction_count);
  add(trouble_cases, trouble_count);
  add(throughput_cases, throughput_count);
  return _cmocka_run_group_tests("kafka_broker", all, all_count, NULL, NULL);
}
