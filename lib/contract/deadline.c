// SPDX-License-Identifier: Apache-2.0
// Deadlines: the table of defaults, and sums that saturate.
#include "contract/deadline.h"

#include "base/option_value.h"
#include "base/time.h"
#include "contract/record.h"

#define MINUTE_MS INT64_C(60000)
#define HOUR_MS (60 * MINUTE_MS)

static const struct ee_deadlines built_in = {.default_ms = {
                                                 [EE_EXECUTION_KIND_DEPLOYMENT] = 15 * MINUTE_MS,
                                                 [EE_EXECUTION_KIND_INFERENCE] = 2 * MINUTE_MS,
                                                 [EE_EXECUTION_KIND_PIPELINE_STEP] = HOUR_MS,
                                                 [EE_EXECUTION_KIND_MAINTENANCE_TASK] = HOUR_MS,
                                                 [EE_EXECUTION_KIND_EVALUATION] = 6 * HOUR_MS,
                                                 [EE_EXECUTION_KIND_DATA_MOVEMENT] = 6 * HOUR_MS,
                                                 [EE_EXECUTION_KIND_TOOL_CALL] = 5 * MINUTE_MS,
                                                 [EE_EXECUTION_KIND_AGENT_RUN] = HOUR_MS,
                                                 [EE_EXECUTION_KIND_OTHER] = HOUR_MS,
                                             }};
_Static_assert(EE_EXECUTION_KIND_OTHER + 1 == EE_EXECUTION_KINDS, "each kind has a default");

static bool read_change(const char *name, const char *value, struct ee_deadlines *deadlines,
                        struct ee_err *err) {
  static const struct ee_option duration = {.type = EE_OPTION_DURATION};
  int kind = ee_enum_find(&ee_execution_kind_type, ee_str(name));
  if (kind < 0) {
    return ee_err_set(err,
                      "%s is not a kind of execution (deployment, inference, pipeline_step, "
                      "maintenance_task, evaluation, data_movement, tool_call, agent_run, other)",
                      name);
  }
  return ee_option_parse_number(&duration, value, &deadlines->default_ms[kind], err) ||
         ee_err_prefix(err, "%s", name);
}

bool ee_deadlines_init(struct ee_deadlines *deadlines, const struct ee_properties *changes,
                       struct ee_err *err) {
  struct ee_deadlines changed = built_in;
  for (size_t i = 0; i < changes->count; i++) {
    const struct ee_property *change = &changes->items[i];
    if (!read_change(change->name, change->value, &changed, err)) {
      return ee_err_prefix(err, "--deadline");
    }
  }
  *deadlines = changed;
  return true;
}

int64_t ee_deadline(const struct ee_deadlines *deadlines, const struct ee_admission *admission,
                    int64_t append_time) {
  struct ee_opt_long asked = admission->requested.timeout_ms;
  int64_t limit_ms = deadlines->default_ms[admission->execution.kind];
  if (asked.present && asked.value >= 0) limit_ms = asked.value;
  int64_t span = 0, deadline = 0;
  if (__builtin_mul_overflow(limit_ms, EE_MICROS_PER_MS, &span)) return INT64_MAX;
  if (__builtin_add_overflow(append_time, span, &deadline)) return INT64_MAX;
  return deadline;
}
