// SPDX-License-Identifier: Apache-2.0
// Any bytes as a policy file: what is taken stays within the bounds, encodes and decodes as
// the same record, and prints as a file that is taken again.
#include <stdlib.h>

#include "contract/json.h"
#include "contract/policy_file.h"
#include "contract/record.h"

#define MEMORY_MAX ((size_t)64 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds) {
  if (!holds) abort();
}

static void require_bounds(const struct ee_policy *policy) {
  size_t obligations = 0, redactions = 0;
  for (size_t i = 0; i < policy->rules.count; i++) {
    const struct ee_policy_rule *rule = &policy->rules.items[i];
    obligations += rule->obligations.count;
    redactions += rule->redact.count;
    for (size_t j = 0; j < rule->obligations.count; j++) {
      require(rule->obligations.items[j].due_after_ms.value >= 0);
    }
  }
  require(policy->rules.count <= EE_POLICY_RULES_MAX);
  require(obligations <= EE_POLICY_OBLIGATIONS_MAX && redactions <= EE_POLICY_REDACTIONS_MAX);
}

static void require_encodes(const struct ee_policy *policy, struct ee_arena *arena) {
  struct ee_policy again;
  struct ee_buf out;
  ee_buf_init(&out, MEMORY_MAX);
  ee_encode(&ee_policy_type, policy, &out);
  require(!out.failed);
  require(ee_decode(ee_plan_own(&ee_policy_type), ee_buf_bytes(&out), arena, &again, NULL));
  require(ee_equal(&ee_policy_type, policy, &again, NULL));
  ee_buf_release(&out);
}

// Printed with its defaults, it may be larger than a file may be.
static void require_prints(const struct ee_policy *policy, struct ee_arena *arena) {
  struct ee_policy again;
  struct ee_buf out;
  ee_buf_init(&out, MEMORY_MAX);
  ee_json_write(&ee_policy_type, policy, NULL, &out);
  require(!out.failed);
  if (out.size <= EE_POLICY_FILE_MAX) {
    require(ee_policy_file_read(ee_buf_view(&out), arena, &again, NULL));
    require(ee_equal(&ee_policy_type, policy, &again, NULL));
  }
  ee_buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct ee_arena arena;
  struct ee_policy policy;
  struct ee_err err = {""};
  ee_arena_init(&arena, MEMORY_MAX);
  if (ee_policy_file_read(ee_bytes_str(ee_bytes(data, size)), &arena, &policy, &err)) {
    require_bounds(&policy);
    require_encodes(&policy, &arena);
    require_prints(&policy, &arena);
  } else {
    require(err.text[0] != '\0');
  }
  ee_arena_release(&arena);
  return 0;
}
