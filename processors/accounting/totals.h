// SPDX-License-Identifier: Apache-2.0
// The second stage's arithmetic: a tenant's total for one hour and dimension. Pure.
#ifndef EE_PROCESSORS_ACCOUNTING_TOTALS_H
#define EE_PROCESSORS_ACCOUNTING_TOTALS_H

#include "base/buf.h"
#include "records.h"

// Appends the key: ["tenant","2026-05-08T12:00:00.000000Z","gpu"]; where that is longer
// than a key of the store may be, ["sha256",its SHA-256 in hex]. Ask out->failed.
void ee_total_key(const struct ee_usage *entry, struct ee_buf *out);

// *total becomes the sum with the entry. A quantity whose sum is 0 is absent. Addition
// wraps, so that the order of entries never matters. before: NULL when there is none yet.
void ee_total_add(const struct ee_usage_total *before, const struct ee_usage *entry,
                  struct ee_usage_total *total);
// False: no quantity is left.
bool ee_total_known(const struct ee_usage_total *total);

#endif
