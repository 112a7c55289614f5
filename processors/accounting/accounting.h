// SPDX-License-Identifier: Apache-2.0
// Resource accounting: what was asked, granted and used, per envelope, hour and dimension,
// booked as differences (ARCHITECTURE.md, "Accounting"). Pure.
#ifndef EE_PROCESSORS_ACCOUNTING_ACCOUNTING_H
#define EE_PROCESSORS_ACCOUNTING_ACCOUNTING_H

#include "contract/deadline.h"
#include "stream/processor.h"

struct ee_accounting_settings {
  struct ee_deadlines deadlines;
};

// Borrows the settings for as long as the processor is used.
struct ee_processor ee_accounting_processor(const struct ee_accounting_settings *settings);

#endif
