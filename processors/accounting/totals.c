// SPDX-License-Identifier: Apache-2.0
// Totals per tenant, hour and dimension: their keys and sums.
#include "accounting/totals.h"

#include "base/time.h"
#include "contract/ident.h"
#include "stream/store.h"

void ee_total_key(const struct ee_usage *entry, struct ee_buf *out) {
  char time[EE_RFC3339_SIZE];
  ee_time_print(entry->window_start, time);
  ee_json_array(out, (struct ee_str[]){entry->tenant, ee_str(time), entry->dimension}, 3);
  if (out->failed || out->size <= EE_STORE_KEY_MAX) return;
  uint8_t digest[EE_SHA256_SIZE];
  char hex[EE_SHA256_HEX_SIZE];
  ee_sha256(ee_buf_bytes(out), digest);
  ee_hex(ee_bytes(digest, sizeof digest), hex);
  ee_buf_clear(out);
  ee_json_array(out, (struct ee_str[]){EE_STR("sha256"), ee_str(hex)}, 2);
}

static struct ee_opt_decimal sum(struct ee_opt_decimal a, struct ee_opt_decimal b) {
  ee_uint128 total = 0;
  if (a.present) total += (ee_uint128)a.value;
  if (b.present) total += (ee_uint128)b.value;
  return (struct ee_opt_decimal){.present = total != 0, .value = (ee_int128)total};
}

void ee_total_add(const struct ee_usage_total *before, const struct ee_usage *entry,
                  struct ee_usage_total *total) {
  const struct ee_opt_decimal none = {.present = false};
  *total = (struct ee_usage_total){
      .tenant = entry->tenant,
      .window_start = entry->window_start,
      .dimension = entry->dimension,
      .asked = sum(before == NULL ? none : before->asked, entry->asked),
      .granted = sum(before == NULL ? none : before->granted, entry->granted),
      .billed = sum(before == NULL ? none : before->billed, entry->billed),
  };
}

bool ee_total_known(const struct ee_usage_total *total) {
  return total->asked.present || total->granted.present || total->billed.present;
}
