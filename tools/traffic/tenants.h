// SPDX-License-Identifier: Apache-2.0
// Tenants by a power law: the one of rank k has a share of the traffic as k^-exponent. Fixed once
// made; any thread may pick.
#ifndef EE_TOOLS_TRAFFIC_TENANTS_H
#define EE_TOOLS_TRAFFIC_TENANTS_H

#include "base/err.h"
#include "tools/traffic/random.h"

#define TENANTS 40  // where nobody says otherwise
#define TENANTS_MAX 100000
#define TENANT_EXPONENT 1.0

struct tenants {
  double *below;  // owned; the shares of a rank and of all before it
  int count;
};

// 1 to TENANTS_MAX of them; exponent 0 (all alike) or more. False: no memory.
bool tenants_init(struct tenants *tenants, int count, double exponent, struct ee_err *err);
void tenants_release(struct tenants *tenants);
// 0 to count, the most frequent first.
int tenants_pick(const struct tenants *tenants, struct random *random);

#endif
