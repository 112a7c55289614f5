// SPDX-License-Identifier: Apache-2.0
// From the public numbers of fields to their places in the records' tables.
#include "client/fields.h"

#include <pthread.h>

static const char *const paths[EE_FIELDS_END] = {
    [ENVELOPE_FIELD_ENVELOPE_ID] = "envelope_id",
    [ENVELOPE_FIELD_EVENT_ID] = "event_id",
    [ENVELOPE_FIELD_TENANT] = "tenant",
    [ENVELOPE_FIELD_OCCURRED_AT] = "occurred_at",
    [ENVELOPE_FIELD_SOURCE] = "source",
    [ENVELOPE_FIELD_SENSITIVITY] = "sensitivity",
    [ENVELOPE_FIELD_EXTENSIONS] = "extensions",
    [ENVELOPE_FIELD_CALLER_REQUESTER_URN] = "caller.requester_urn",
    [ENVELOPE_FIELD_CALLER_REQUEST_ID] = "caller.request_id",
    [ENVELOPE_FIELD_CALLER_INITIATOR] = "caller.initiator",
    [ENVELOPE_FIELD_CALLER_ON_BEHALF_OF] = "caller.on_behalf_of",
    [ENVELOPE_FIELD_CALLER_AUTHORITY_REFS] = "caller.authority_refs",
    [ENVELOPE_FIELD_EXECUTION_KIND] = "execution.kind",
    [ENVELOPE_FIELD_EXECUTION_SERVICE] = "execution.service",
    [ENVELOPE_FIELD_EXECUTION_OPERATION] = "execution.operation",
    [ENVELOPE_FIELD_EXECUTION_TARGET] = "execution.target",
    [ENVELOPE_FIELD_SCOPE_WORKSPACE] = "scope.workspace",
    [ENVELOPE_FIELD_SCOPE_APP] = "scope.app",
    [ENVELOPE_FIELD_SCOPE_JOB] = "scope.job",
    [ENVELOPE_FIELD_SCOPE_SESSION] = "scope.session",
    [ENVELOPE_FIELD_SCOPE_THREAD] = "scope.thread",
    [ENVELOPE_FIELD_SCOPE_TEMPLATE] = "scope.template",
    [ENVELOPE_FIELD_SCOPE_DEPLOYMENT_GROUP] = "scope.deployment_group",
    [ENVELOPE_FIELD_GOVERNANCE_AUDIT_LEVEL] = "governance.audit_level",
    [ENVELOPE_FIELD_GOVERNANCE_SENSITIVITY] = "governance.sensitivity",
    [ENVELOPE_FIELD_GOVERNANCE_PROVENANCE] = "governance.provenance",
    [ENVELOPE_FIELD_GOVERNANCE_RETENTION] = "governance.retention",
    [ENVELOPE_FIELD_GOVERNANCE_POLICY_REFS] = "governance.policy_refs",
    [ENVELOPE_FIELD_GOVERNANCE_HINTS] = "governance.hints",
    [ENVELOPE_FIELD_REQUESTED_CPU_MILLIS] = "requested.cpu_millis",
    [ENVELOPE_FIELD_REQUESTED_MEMORY_BYTES] = "requested.memory_bytes",
    [ENVELOPE_FIELD_REQUESTED_GPU_COUNT] = "requested.gpu_count",
    [ENVELOPE_FIELD_REQUESTED_GPU_SHARE_MILLI] = "requested.gpu_share_milli",
    [ENVELOPE_FIELD_REQUESTED_GPU_CLASS] = "requested.gpu_class",
    [ENVELOPE_FIELD_REQUESTED_ENGINE] = "requested.engine",
    [ENVELOPE_FIELD_REQUESTED_CONCURRENCY] = "requested.concurrency",
    [ENVELOPE_FIELD_REQUESTED_TIMEOUT_MS] = "requested.timeout_ms",
    [ENVELOPE_FIELD_REQUESTED_PRIORITY] = "requested.priority",
    [ENVELOPE_FIELD_REQUESTED_PLACEMENT] = "requested.placement",
    [ENVELOPE_FIELD_REQUESTED_AMOUNTS] = "requested.amounts",
    [ENVELOPE_FIELD_GRANTED_CPU_MILLIS] = "granted.cpu_millis",
    [ENVELOPE_FIELD_GRANTED_MEMORY_BYTES] = "granted.memory_bytes",
    [ENVELOPE_FIELD_GRANTED_GPU_COUNT] = "granted.gpu_count",
    [ENVELOPE_FIELD_GRANTED_GPU_SHARE_MILLI] = "granted.gpu_share_milli",
    [ENVELOPE_FIELD_GRANTED_GPU_CLASS] = "granted.gpu_class",
    [ENVELOPE_FIELD_GRANTED_ENGINE] = "granted.engine",
    [ENVELOPE_FIELD_GRANTED_CONCURRENCY] = "granted.concurrency",
    [ENVELOPE_FIELD_GRANTED_TIMEOUT_MS] = "granted.timeout_ms",
    [ENVELOPE_FIELD_GRANTED_PRIORITY] = "granted.priority",
    [ENVELOPE_FIELD_GRANTED_PLACEMENT] = "granted.placement",
    [ENVELOPE_FIELD_GRANTED_AMOUNTS] = "granted.amounts",
    [ENVELOPE_FIELD_RESOLUTION_BACKEND] = "resolution.backend",
    [ENVELOPE_FIELD_RESOLUTION_ACTOR] = "resolution.actor",
    [ENVELOPE_FIELD_RESOLUTION_ROUTING] = "resolution.routing",
    [ENVELOPE_FIELD_RESOLUTION_TARGET] = "resolution.target",
    [ENVELOPE_FIELD_RESOLUTION_SUBSTRATE] = "resolution.substrate",
    [ENVELOPE_FIELD_RESOLUTION_ATTRIBUTES] = "resolution.attributes",
    [ENVELOPE_FIELD_RUNTIME_ID] = "runtime_id",
    [ENVELOPE_FIELD_SERVE_PATH] = "serve_path",
    [ENVELOPE_FIELD_PUBLIC_PATH] = "public_path",
    [ENVELOPE_FIELD_BACKEND_KIND] = "backend_kind",
    [ENVELOPE_FIELD_MEASURED] = "measured",
    [ENVELOPE_FIELD_STAGE] = "stage",
    [ENVELOPE_FIELD_CODE] = "code",
    [ENVELOPE_FIELD_REASON] = "reason",
    [ENVELOPE_FIELD_RETRYABLE] = "retryable",
    [ENVELOPE_FIELD_ANNOTATIONS] = "annotations",
};

static struct ee_field_place places[EE_PHASE_TOPICS][EE_FIELDS_END];

static const struct ee_field *find(const struct ee_record_type *type, struct ee_str name) {
  for (size_t i = 0; i < type->count; i++) {
    if (ee_str_equal(ee_str(type->fields[i].name), name)) return &type->fields[i];
  }
  return NULL;
}

static struct ee_field_place find_place(const struct ee_record_type *type, const char *path) {
  const char *dot = strchr(path, '.');
  if (dot == NULL) return (struct ee_field_place){.leaf = find(type, ee_str(path))};
  const struct ee_field *container =
      find(type, (struct ee_str){.data = path, .size = (size_t)(dot - path)});
  if (container == NULL) return (struct ee_field_place){.leaf = NULL};
  return (struct ee_field_place){.container = container,
                                 .leaf = find(container->type.record, ee_str(dot + 1))};
}

static void find_all(void) {
  for (int phase = 0; phase < EE_PHASE_TOPICS; phase++) {
    for (int field = 0; field < EE_FIELDS_END; field++) {
      if (paths[field] == NULL) continue;
      places[phase][field] = find_place(ee_phase_record((enum ee_phase)phase), paths[field]);
    }
  }
}

const struct ee_field_place *ee_field_places(enum ee_phase phase) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, find_all);
  return places[phase];
}

const char *ee_field_path(int field) {
  return field >= 0 && field < EE_FIELDS_END ? paths[field] : NULL;
}
