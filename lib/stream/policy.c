// SPDX-License-Identifier: Apache-2.0
// Versions of the handling policy: read outside the group, from the start, then followed.
//
// Known complete up to append time t: the topic was read to an end offset that was asked
// for after a record appended at t had been read. No local clock enters.
#include <stdlib.h>

#include "base/time.h"
#include "stream/runtime_impl.h"

#define POLICY_MEMORY_MAX ((size_t)64 << 20)

static const struct ee_tp policy_tp = {EE_TOPIC_POLICY, 0};

void policy_init(struct policy_log *policy) {
  *policy = (struct policy_log){.known_at = INT64_MIN, .asked_for = INT64_MIN, .end = -1};
  ee_arena_init(&policy->arena, POLICY_MEMORY_MAX);
}

void policy_release(struct policy_log *policy) {
  ee_arena_release(&policy->arena);
  free(policy->versions);
}

static bool add_version(struct ee_runtime *rt, int64_t offset, int64_t appended,
                        const struct ee_policy *read) {
  struct policy_log *log = &rt->policy;
  if (log->count == POLICY_VERSIONS_MAX) {
    return runtime_fail(rt, "the policy topic has more than %d versions", POLICY_VERSIONS_MAX);
  }
  struct ee_policy_version *versions = realloc(log->versions, (log->count + 1) * sizeof *versions);
  struct ee_policy *kept = ee_arena_alloc(&log->arena, sizeof *kept);
  if (versions != NULL) log->versions = versions;
  if (versions == NULL || kept == NULL || !ee_copy(&ee_policy_type, read, kept, &log->arena)) {
    return runtime_fail(rt, "no memory for policy version %lld", (long long)offset + 1);
  }
  int64_t effective = appended + rt->settings.policy_margin_ms * EE_MICROS_PER_MS;
  if (read->effective_from.present && read->effective_from.value > effective) {
    effective = read->effective_from.value;
  }
  log->versions[log->count++] =
      (struct ee_policy_version){.number = offset + 1, .effective = effective, .policy = kept};
  return true;
}

bool policy_message(struct ee_runtime *rt, const struct ee_message *message) {
  struct intake_record taken;
  struct ee_fault fault = {0};
  bool good = true;
  enum intake intake = intake_decode(rt, message, &taken, &fault);
  if (intake == INTAKE_WAIT) {  // the registry is away: read again from here
    rt->broker->ops->read_stop(rt->broker, policy_tp);
    rt->policy.stalled = true;
    rt->policy.stalled_at = message->offset;
    ee_err_set(&rt->trouble, "%s", fault.detail);
  } else if (intake == INTAKE_STEP) {
    good = add_version(rt, message->offset, message->timestamp_ms * EE_MICROS_PER_MS, taken.record);
  } else {
    rt->metrics->dead_letters[fault.reason]++;
    ee_log(EE_ERROR, "a policy version is passed over: it cannot be read",
           EE_LOG_WITH(EE_LOG_I("offset", message->offset),
                       EE_LOG_S("reason", ee_str(ee_reason_name(fault.reason))),
                       EE_LOG_S("detail", ee_str(fault.detail))));
  }
  ee_arena_clear(&rt->arena);
  return good;
}

static void ask_end(struct ee_runtime *rt) {
  struct policy_log *log = &rt->policy;
  log->asked_for = rt->newest_append;
  log->end = -1;
  log->asked = true;
  log->offset = (struct ee_tp_offset){.tp = policy_tp};
  log->operation.isolation = EE_READ_COMMITTED;
  runtime_begin(rt, &log->operation, EE_OP_END, &log->offset, 1);
}

void policy_finished(struct ee_runtime *rt, struct ee_operation *operation) {
  if (operation->outcome == EE_DONE) {
    rt->policy.end = rt->policy.offset.offset;
    return;
  }
  rt->trouble = operation->err;
  rt->policy.asked = false;
  rt->retry_at_ms = rt->now_ms + RETRY_MS;
}

void policy_turn(struct ee_runtime *rt) {
  struct policy_log *log = &rt->policy;
  if (!rt->ops->uses_policy || log->operation.pending || rt->now_ms < rt->retry_at_ms) return;
  if (!log->reading || log->stalled) {
    rt->broker->ops->read(rt->broker, policy_tp,
                          log->stalled ? log->stalled_at : EE_OFFSET_EARLIEST);
    log->reading = true;
    log->stalled = false;
  }
  if (log->asked && log->end >= 0 &&
      (log->end == 0 || rt->broker->ops->position(rt->broker, policy_tp) >= log->end)) {
    log->known_at = log->asked_for;
    log->asked = false;
    log->complete = true;
  }
  int64_t margin = rt->settings.policy_margin_ms * EE_MICROS_PER_MS;
  bool behind = !log->complete ||
                (rt->newest_append != INT64_MIN &&
                 (log->known_at == INT64_MIN || rt->newest_append - log->known_at > margin / 4));
  if (!log->asked && behind) ask_end(rt);
}

bool policy_known(const struct ee_runtime *rt, int64_t append_time) {
  int64_t margin = rt->settings.policy_margin_ms * EE_MICROS_PER_MS;
  return rt->policy.complete && rt->policy.known_at != INT64_MIN &&
         rt->policy.known_at >= append_time - margin / 2;
}

const struct ee_policy_version *policy_in_force(const struct ee_runtime *rt, int64_t append_time) {
  for (size_t i = rt->policy.count; i > 0; i--) {
    const struct ee_policy_version *version = &rt->policy.versions[i - 1];
    if (version->effective <= append_time) return version;
  }
  return NULL;
}
