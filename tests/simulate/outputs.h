// SPDX-License-Identifier: Apache-2.0
// Final outputs of a cluster, as the design defines them, in one canonical list.
#ifndef EE_TESTS_SIMULATE_OUTPUTS_H
#define EE_TESTS_SIMULATE_OUTPUTS_H

#include <stdio.h>

#include "base/err.h"
#include "stream/embedded_broker.h"
#include "wire/codec.h"

struct outputs;

// NULL: a derived record cannot be read, or two say the same thing twice; err says where.
struct outputs *outputs_of(struct ee_cluster *cluster, struct ee_codec *codec, struct ee_err *err);
void outputs_free(struct outputs *outputs);
// False: err names the first difference; details (or NULL) gets both sides of it.
bool outputs_equal(const struct outputs *found, const struct outputs *expected,
                   struct ee_codec *codec, FILE *details, struct ee_err *err);
size_t outputs_count(const struct outputs *outputs);

#endif
