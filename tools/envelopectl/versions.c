// SPDX-License-Identifier: Apache-2.0
// Which version of the policy holds when, and printing them.
#include "tools/envelopectl/versions.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/time.h"
#include "contract/json.h"

#define ARENA_MAX ((size_t)256 << 20)
#define POLICY_JSON_MAX ((size_t)4 << 20)

void ee_versions_init(struct ee_versions *versions, int64_t margin_ms) {
  *versions = (struct ee_versions){.margin_ms = margin_ms};
  ee_arena_init(&versions->arena, ARENA_MAX);
}

void ee_versions_release(struct ee_versions *versions) {
  ee_arena_release(&versions->arena);
  free(versions->items);
}

int64_t ee_version_effective(const struct ee_policy *policy, int64_t append_micros,
                             int64_t margin_ms) {
  int64_t earliest = append_micros + margin_ms * EE_MICROS_PER_MS;
  bool later = policy->effective_from.present && policy->effective_from.value > earliest;
  return later ? policy->effective_from.value : earliest;
}

static bool add(struct ee_versions *versions, struct ee_version version, struct ee_err *err) {
  if (versions->count == EE_VERSIONS_MAX) {
    return ee_err_set(err, "more than %d versions", EE_VERSIONS_MAX);
  }
  struct ee_version *items =
      realloc(versions->items, (versions->count + 1) * sizeof *versions->items);
  if (items == NULL) return ee_err_set(err, "memory is out");
  versions->items = items;
  versions->items[versions->count++] = version;
  return true;
}

bool ee_versions_builtin(struct ee_versions *versions, const struct ee_policy *policy,
                         struct ee_err *err) {
  return add(versions, (struct ee_version){.effective = INT64_MIN, .policy = policy}, err);
}

static bool add_unreadable(struct ee_versions *versions, int64_t offset,
                           const struct ee_fault *fault, struct ee_err *err) {
  struct ee_err text;
  ee_err_set(&text, "%s%s%s", ee_reason_name(fault->reason), fault->detail[0] == '\0' ? "" : ": ",
             fault->detail);
  struct ee_version version = {.number = offset + 1,
                               .why = ee_arena_str(&versions->arena, ee_str(text.text))};
  if (version.why.data == NULL) return ee_err_set(err, "memory is out");
  return add(versions, version, err);
}

bool ee_versions_add(struct ee_versions *versions, int64_t offset, int64_t append_micros,
                     const struct ee_plan *plan, struct ee_bytes avro, struct ee_fault *fault,
                     struct ee_err *err) {
  struct ee_arena *arena = &versions->arena;
  // A record borrows strings from the bytes it was read from, which are not kept.
  struct ee_str bytes = ee_arena_str(arena, ee_bytes_str(avro));
  struct ee_policy *policy = ee_arena_zero(arena, 1, sizeof *policy);
  if ((bytes.data == NULL && avro.size != 0) || policy == NULL) {
    return ee_err_set(err, "memory is out");
  }
  if (plan == NULL || !ee_decode(plan, ee_str_bytes(bytes), arena, policy, fault)) {
    return add_unreadable(versions, offset, fault, err);
  }
  struct ee_version version = {
      .number = offset + 1,
      .effective = ee_version_effective(policy, append_micros, versions->margin_ms),
      .policy = policy};
  return add(versions, version, err);
}

const struct ee_version *ee_versions_in_force(const struct ee_versions *versions,
                                              int64_t append_micros) {
  for (size_t i = versions->count; i > 0; i--) {
    const struct ee_version *version = &versions->items[i - 1];
    if (version->policy != NULL && version->effective <= append_micros) return version;
  }
  return NULL;
}

// ---- Printing.

static void print_effective(const struct ee_version *version, char out[EE_RFC3339_SIZE]) {
  if (version->effective == INT64_MIN) {
    snprintf(out, EE_RFC3339_SIZE, "always");
  } else {
    ee_time_print(version->effective, out);
  }
}

static void print_line(const struct ee_version *version, bool in_force, int64_t now_micros,
                       struct ee_buf *out) {
  char effective[EE_RFC3339_SIZE];
  ee_buf_printf(out, "%7" PRId64 "  ", version->number);
  if (version->policy == NULL) {
    ee_buf_printf(out, "%-27s  %5s  %.*s\n", "never: cannot be read", "-",
                  EE_STR_ARG(version->why));
    return;
  }
  print_effective(version, effective);
  ee_buf_printf(out, "%-27s  %5zu  %.*s%s\n", effective, version->policy->rules.count,
                EE_STR_ARG(version->policy->name),
                in_force                          ? "  <- in force now"
                : version->effective > now_micros ? "  (not yet)"
                                                  : "");
}

static void print_json(const struct ee_version *version, bool in_force, struct ee_buf *out) {
  ee_buf_printf(out, "{\"version\":%" PRId64 ",\"in_force\":%s", version->number,
                in_force ? "true" : "false");
  if (version->policy == NULL) {
    ee_buf_text(out, ",\"unreadable\":");
    ee_buf_json_string(out, version->why);
  } else {
    char effective[EE_RFC3339_SIZE];
    print_effective(version, effective);
    if (version->effective != INT64_MIN) ee_buf_printf(out, ",\"effective\":\"%s\"", effective);
    ee_buf_text(out, ",\"policy\":");
    ee_json_write(&ee_policy_type, version->policy, NULL, out);
  }
  ee_buf_text(out, "}\n");
}

// As `policy apply` would take it, indented for people.
static void print_policy(const struct ee_policy *policy, struct ee_buf *out) {
  struct ee_buf plain;
  ee_buf_init(&plain, POLICY_JSON_MAX);
  ee_json_write(&ee_policy_type, policy, NULL, &plain);
  json_t *json =
      plain.failed ? NULL : json_loadb((const char *)plain.data, plain.size, JSON_ALLOW_NUL, NULL);
  char *text = json == NULL ? NULL : json_dumps(json, JSON_INDENT(2));
  if (text != NULL) {
    ee_buf_printf(out, "\n%s\n", text);
  } else {
    out->failed = true;
  }
  free(text);
  json_decref(json);
  ee_buf_release(&plain);
}

void ee_versions_print(const struct ee_versions *versions, int64_t now_micros, bool json,
                       struct ee_buf *out) {
  const struct ee_version *in_force = ee_versions_in_force(versions, now_micros);
  if (!json)
    ee_buf_printf(out, "%7s  %-27s  %5s  %s\n", "VERSION", "TAKES EFFECT", "RULES", "NAME");
  for (size_t i = 0; i < versions->count; i++) {
    const struct ee_version *version = &versions->items[i];
    if (json) {
      print_json(version, version == in_force, out);
    } else {
      print_line(version, version == in_force, now_micros, out);
    }
  }
  if (!json && in_force != NULL) print_policy(in_force->policy, out);
}
