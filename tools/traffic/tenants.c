// SPDX-License-Identifier: Apache-2.0
// Tenants by a power law.
#include "tools/traffic/tenants.h"

#include <math.h>
#include <stdlib.h>

bool tenants_init(struct tenants *tenants, int count, double exponent, struct ee_err *err) {
  double sum = 0;
  tenants->count = count;
  tenants->below = malloc((size_t)count * sizeof *tenants->below);
  if (tenants->below == NULL) return ee_err_set(err, "memory is out");
  for (int i = 0; i < count; i++) {
    sum += pow(i + 1, -exponent);
    tenants->below[i] = sum;
  }
  for (int i = 0; i < count; i++)
    tenants->below[i] /= sum;
  return true;
}

void tenants_release(struct tenants *tenants) {
  free(tenants->below);
  tenants->below = NULL;
}

int tenants_pick(const struct tenants *tenants, struct random *random) {
  double at = random_unit(random);
  int from = 0, to = tenants->count - 1;
  while (from < to) {
    int middle = from + (to - from) / 2;
    if (tenants->below[middle] < at) {
      from = middle + 1;
    } else {
      to = middle;
    }
  }
  return from;
}
