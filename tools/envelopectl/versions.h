// SPDX-License-Identifier: Apache-2.0
// The versions of the handling policy and which of them is in force (design, section 4,
// "Policy"). Pure.
#ifndef EE_TOOLS_ENVELOPECTL_VERSIONS_H
#define EE_TOOLS_ENVELOPECTL_VERSIONS_H

#include "base/arena.h"
#include "base/err.h"
#include "contract/record.h"
#include "records.h"

#define EE_VERSIONS_MAX 65536

struct ee_version {
  int64_t number;                  // offset plus one; 0: built in
  int64_t effective;               // UTC micros; INT64_MIN: always
  const struct ee_policy *policy;  // NULL: it cannot be read and never holds
  struct ee_str why;               // where policy is NULL
};

struct ee_versions {
  int64_t margin_ms;
  struct ee_version *items;  // owned
  size_t count;
  struct ee_arena arena;
};

void ee_versions_init(struct ee_versions *versions, int64_t margin_ms);
void ee_versions_release(struct ee_versions *versions);

// The later of effective_from and append time plus margin.
int64_t ee_version_effective(const struct ee_policy *policy, int64_t append_micros,
                             int64_t margin_ms);

// Version 0, before any other. Borrows the policy.
bool ee_versions_builtin(struct ee_versions *versions, const struct ee_policy *policy,
                         struct ee_err *err);
// plan NULL: the fault says why the value cannot be read. Copies what it needs.
bool ee_versions_add(struct ee_versions *versions, int64_t offset, int64_t append_micros,
                     const struct ee_plan *plan, struct ee_bytes avro, struct ee_fault *fault,
                     struct ee_err *err);

// The version in force for a record appended at that time: the last one effective then.
// NULL only when not even a built-in one was added.
const struct ee_version *ee_versions_in_force(const struct ee_versions *versions,
                                              int64_t append_micros);

// Appends a table and the rules in force at that time; or a JSON line a version.
void ee_versions_print(const struct ee_versions *versions, int64_t now_micros, bool json,
                       struct ee_buf *out);

#endif
