// SPDX-License-Identifier: Apache-2.0
// The cases, by what they are about; each file ends with its table.
#ifndef EE_TESTS_SYSTEM_BROKER_CASES_H
#define EE_TESTS_SYSTEM_BROKER_CASES_H

#include "tests/system/broker/harness.h"

#define CASES_MAX 32

extern const struct CMUnitTest reading_cases[], group_cases[], transaction_cases[], trouble_cases[],
    throughput_cases[];
extern const size_t reading_count, group_count, transaction_count, trouble_count, throughput_count;

// The body of the process that freezes: commits after it was stopped and went on.
int frozen_member(int argc, char **argv);

#endif
