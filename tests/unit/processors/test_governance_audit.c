// SPDX-License-Identifier: Apache-2.0
// Audit entries: how much is disclosed, what redaction takes out (searched for in all bytes
// that are written), the leaf.
#include "governance/audit.h"

#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>

#include "contract/value.h"
#include "governance/policy.h"
#include "tests/support/chaos.h"
#include "tests/unit/processors/governance_world.h"

// ---- How much.

// Rules that match, may match and do not match a resolved event, by what they say.
static struct ee_policy_rule rule_for(enum ee_rule_answer answer, int level) {
  static int kinds[] = {EE_EXECUTION_KIND_DEPLOYMENT};
  static struct ee_str tenants[] = {EE_STR_INIT("other")};
  struct ee_policy_rule rule = {.name = EE_STR_INIT("r")};
  if (level >= 0) rule.disclosure = CHOSEN(level);
  if (answer == EE_RULE_MAYBE) rule.match.kinds.items = kinds, rule.match.kinds.count = 1;
  if (answer == EE_RULE_NO) rule.match.tenants.items = tenants, rule.match.tenants.count = 1;
  return rule;
}

static void test_least_level_that_rules_say(void **state) {
  (void)state;
  enum { RULES_MAX = 3, CHOICES = 3 * 4 };
  union event event = an_event(EE_PHASE_RESOLVED, "e");
  for (int n = 0; n < CHOICES * CHOICES * CHOICES; n++) {
    struct ee_policy_rule rules[RULES_MAX];
    bool said[3] = {false}, perhaps[3] = {false};
    for (int i = 0, rest = n; i < RULES_MAX; i++, rest /= CHOICES) {
      enum ee_rule_answer answer = (enum ee_rule_answer)(rest % 3);
      int level = rest / 3 % 4 - 1;
      rules[i] = rule_for(answer, level);
      if (level >= 0 && answer == EE_RULE_YES) said[level] = true;
      if (level >= 0 && answer == EE_RULE_MAYBE) perhaps[level] = true;
    }
    int expected = said[EE_AUDIT_LEVEL_MINIMAL]    ? EE_AUDIT_LEVEL_MINIMAL
                   : said[EE_AUDIT_LEVEL_STANDARD] ? EE_AUDIT_LEVEL_STANDARD
                   : said[EE_AUDIT_LEVEL_FULL]     ? EE_AUDIT_LEVEL_FULL
                                                   : EE_AUDIT_LEVEL_STANDARD;
    if (perhaps[EE_AUDIT_LEVEL_STANDARD] && expected == EE_AUDIT_LEVEL_FULL) {
      expected = EE_AUDIT_LEVEL_STANDARD;
    }
    if (perhaps[EE_AUDIT_LEVEL_MINIMAL]) expected = EE_AUDIT_LEVEL_MINIMAL;
    struct ee_policy policy = {.rules = {.items = rules, .count = RULES_MAX}};
    assert_int_equal(ee_audit_disclosure(&policy, EE_PHASE_RESOLVED, &event), expected);
  }
  struct ee_policy none = {.rules = {.count = 0}};
  assert_int_equal(ee_audit_disclosure(&none, EE_PHASE_RESOLVED, &event), EE_AUDIT_LEVEL_STANDARD);
}

// Levels of admissions and later events under the built-in policy.
static void test_levels_of_the_builtin(void **state) {
  (void)state;
  static const struct {
    int sensitivity, asked;
    enum ee_audit_level admission, later;
  } cases[] = {
      {-1, -1, EE_AUDIT_LEVEL_MINIMAL, EE_AUDIT_LEVEL_MINIMAL},
      {-1, EE_AUDIT_LEVEL_FULL, EE_AUDIT_LEVEL_MINIMAL, EE_AUDIT_LEVEL_MINIMAL},
      {EE_SENSITIVITY_RESTRICTED, EE_AUDIT_LEVEL_FULL, EE_AUDIT_LEVEL_MINIMAL,
       EE_AUDIT_LEVEL_MINIMAL},
      {EE_SENSITIVITY_CONFIDENTIAL, EE_AUDIT_LEVEL_FULL, EE_AUDIT_LEVEL_STANDARD,
       EE_AUDIT_LEVEL_STANDARD},
      {EE_SENSITIVITY_INTERNAL, -1, EE_AUDIT_LEVEL_STANDARD, EE_AUDIT_LEVEL_STANDARD},
      {EE_SENSITIVITY_INTERNAL, EE_AUDIT_LEVEL_FULL, EE_AUDIT_LEVEL_FULL, EE_AUDIT_LEVEL_STANDARD},
      {EE_SENSITIVITY_PUBLIC, EE_AUDIT_LEVEL_FULL, EE_AUDIT_LEVEL_FULL, EE_AUDIT_LEVEL_STANDARD},
      {EE_SENSITIVITY_PUBLIC, EE_AUDIT_LEVEL_STANDARD, EE_AUDIT_LEVEL_STANDARD,
       EE_AUDIT_LEVEL_STANDARD},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct ee_governance governance = {.audit_level = {cases[i].asked >= 0, cases[i].asked}};
    struct ee_opt_enum sensitivity = {cases[i].sensitivity >= 0, cases[i].sensitivity};
    union event admission = an_admission(&governance), later = an_event(EE_PHASE_FAILED, "f");
    admission.head.sensitivity = later.head.sensitivity = sensitivity;
    const struct ee_policy *policy = ee_policy_builtin();
    assert_int_equal(ee_audit_disclosure(policy, EE_PHASE_ADMISSION, &admission),
                     cases[i].admission);
    assert_int_equal(ee_audit_disclosure(policy, EE_PHASE_FAILED, &later), cases[i].later);
  }
}

// ---- What is left out: events in which every field has a value of its own.

#define PATH_SIZE 128
#define MARKS_MAX 128

struct mark {
  char path[PATH_SIZE];  // of the field, in a map with its key
  char text[PATH_SIZE];  // how it prints; empty: a boolean or an enum
};

static struct {
  struct mark marks[MARKS_MAX];
  size_t count;
  char parts[MARKS_MAX][PATH_SIZE];  // paths of what is not a leaf, and of all entries of maps
  size_t part_count;
} planted;

static void plant_value(const struct ee_type *type, enum ee_check check, const char *path,
                        struct ee_arena *arena, void *out);

static struct mark *new_mark(const char *path) {
  assert_true(planted.count < MARKS_MAX);
  struct mark *mark = &planted.marks[planted.count++];
  snprintf(mark->path, sizeof mark->path, "%s", path);
  mark->text[0] = '\0';
  return mark;
}

static void new_part(const char *path) {
  for (size_t i = 0; i < planted.part_count; i++) {
    if (strcmp(planted.parts[i], path) == 0) return;
  }
  assert_true(planted.part_count < MARKS_MAX);
  snprintf(planted.parts[planted.part_count++], PATH_SIZE, "%s", path);
}

static void plant_record(const struct ee_record_type *type, const char *path,
                         struct ee_arena *arena, void *record) {
  for (size_t i = 0; i < type->count; i++) {
    const struct ee_field *field = &type->fields[i];
    char inner[PATH_SIZE];
    snprintf(inner, sizeof inner, "%s%s%s", path, path[0] == '\0' ? "" : ".", field->name);
    void *place = ee_value_place(&field->type, ee_at_mutable(record, field->offset), arena);
    plant_value(&field->type, field->check, inner, arena, place);
  }
}

static void plant_array(const struct ee_type *type, const char *path, struct ee_arena *arena,
                        struct ee_array *out) {
  *out = (struct ee_array){.items = ee_arena_zero(arena, 2, type->size), .count = 2};
  new_part(path);
  for (size_t i = 0; i < 2; i++) {
    plant_value(type->item, EE_CHECK_NONE, path, arena, ee_at_mutable(out->items, i * type->size));
  }
}

static void plant_map(const struct ee_type *type, enum ee_check check, const char *path,
                      struct ee_arena *arena, struct ee_map *out) {
  static const char *const keys[] = {"com.example/k.1", "com.example.k"};
  *out = (struct ee_map){.entries = ee_arena_zero(arena, 2, type->size), .count = 2};
  char inner[PATH_SIZE];
  new_part(path);
  snprintf(inner, sizeof inner, "%s.*", path);
  new_part(inner);
  for (size_t i = 0; i < 2; i++) {
    void *entry = ee_at_mutable(out->entries, i * type->size);
    snprintf(inner, sizeof inner, "%s.%s", path, keys[i]);
    *(struct ee_str *)entry = ee_str(keys[i]);
    plant_value(type->item, check, inner, arena, ee_at_mutable(entry, EE_ENTRY_VALUE));
  }
}

static void plant_value(const struct ee_type *type, enum ee_check check, const char *path,
                        struct ee_arena *arena, void *out) {
  struct mark *mark = NULL;
  if (type->kind == EE_TYPE_RECORD) {
    new_part(path);
    plant_record(type->record, path, arena, out);
  } else if (type->kind == EE_TYPE_ARRAY) {
    plant_array(type, path, arena, out);
  } else if (type->kind == EE_TYPE_MAP) {
    plant_map(type, check, path, arena, out);
  } else {
    mark = new_mark(path);
  }
  if (type->kind == EE_TYPE_STRING) {
    snprintf(mark->text, sizeof mark->text, "<%s-%zu>", path, planted.count);
    char json[PATH_SIZE + 2];  // an extension's value is JSON text
    snprintf(json, sizeof json, "\"%s\"", mark->text);
    *(struct ee_str *)out =
        ee_arena_str(arena, ee_str(check == EE_CHECK_NAMESPACED_JSON ? json : mark->text));
  } else if (type->kind == EE_TYPE_LONG) {
    int64_t value = NOON + 7000000 + (int64_t)planted.count;
    *(int64_t *)out = value;
    snprintf(mark->text, sizeof mark->text, "%lld", (long long)value);
    if (type->timestamp) ee_time_print(value, mark->text);
  } else if (type->kind == EE_TYPE_ENUM) {
    *(int *)out = type->enumeration->count - 1;
  } else if (type->kind == EE_TYPE_BOOLEAN) {
    *(bool *)out = true;
  }
}

static void plant(enum ee_phase phase, struct ee_arena *arena, union event *event) {
  memset(event, 0, sizeof *event);
  planted.count = planted.part_count = 0;
  plant_record(ee_phase_record(phase), "", arena, event);
  assert_in_range(planted.count, 9, MARKS_MAX - 1);
}

// Whether leaving out `path` leaves out what lies at `place`.
static bool covers(const char *path, const char *place) {
  size_t size = strlen(path);
  if (size > 2 && strcmp(path + size - 2, ".*") == 0) return strncmp(path, place, size - 1) == 0;
  return strncmp(path, place, size) == 0 && (place[size] == '\0' || place[size] == '.');
}

static bool covered(const char *const *paths, const char *place) {
  for (; *paths != NULL; paths++) {
    if (covers(*paths, place)) return true;
  }
  return false;
}

static bool contains(struct ee_bytes bytes, const char *text) {
  return bytes.data != NULL && memmem(bytes.data, bytes.size, text, strlen(text)) != NULL;
}

// A boolean's or an enum's value at a path, or what stands for it further up.
static const json_t *json_at(const json_t *json, const char *path) {
  char copy[PATH_SIZE], *rest = copy;
  snprintf(copy, sizeof copy, "%s", path);
  for (char *name; (name = strsep(&rest, ".")) != NULL;) {
    assert_non_null(json);
    if (json_object_get(json, "redacted") != NULL) break;
    json = json_object_get(json, name);
  }
  return json;
}

static bool is_redacted(const json_t *json) {
  return json_object_size(json) == 1 && json_is_true(json_object_get(json, "redacted"));
}

// What ARCHITECTURE.md says of the levels.
static const char *const shown_at_minimal[] = {
    "envelope_id", "event_id",       "tenant", "occurred_at", "source",
    "sensitivity", "execution.kind", "stage",  "code",        NULL};
static const char *const hidden_at_standard[] = {
    "extensions", "annotations.*",       "governance.hints",      "resolution.attributes",
    "reason",     "caller.on_behalf_of", "caller.authority_refs", NULL};

static bool is_shown(enum ee_audit_level level, const char *redaction, const char *place) {
  if (redaction != NULL && covers(redaction, place)) return false;
  if (level == EE_AUDIT_LEVEL_MINIMAL) return covered(shown_at_minimal, place);
  return level == EE_AUDIT_LEVEL_FULL || !covered(hidden_at_standard, place);
}

// The one audit entry's event, as JSON; its level is checked.
static json_t *event_of(struct world *w, enum ee_audit_level level) {
  const struct ee_audit_entry *entry;
  assert_int_equal(world_entries(w, &entry), 1);
  assert_int_equal(entry->level, level);
  json_t *json = json_loadb(entry->event.data, entry->event.size, JSON_REJECT_DUPLICATES, NULL);
  assert_non_null(json);
  return json;
}

// All bytes written, the audit entry's key excepted: it is the envelope_id.
static bool is_written(struct world *w, enum ee_topic topic, const char *text) {
  const struct step_output *outputs;
  size_t count = step_double_outputs(w->d, &outputs);
  for (size_t i = 0; i < count; i++) {
    if (outputs[i].topic == topic && contains(outputs[i].value, text)) return true;
  }
  return false;
}

static void check_event(enum ee_phase phase, enum ee_audit_level level, const char *redaction) {
  struct world w;
  union event event;
  struct ee_str path = ee_str(redaction);
  struct ee_policy policy = POLICY(
      {.name = EE_STR_INIT("level"),
       .disclosure = CHOSEN(level),
       .redact = {.items = &path, .count = redaction == NULL ? 0 : 1}},
      {.name = EE_STR_INIT("hinted"),
       .match = {.hints = ENTRIES(ENTRY("com.example/k.1", "*"), ENTRY("com.example.k", "*"))},
       .obligations = OBLIGATIONS({.name = EE_STR_INIT("o")})});
  world_init(&w, &policy);
  plant(phase, &w.arena, &event);
  world_event(&w, phase, &event);
  json_t *json = event_of(&w, level);
  for (size_t i = 0; i < planted.count; i++) {
    const struct mark *mark = &planted.marks[i];
    bool shown = is_shown(level, redaction, mark->path);
    if (mark->text[0] == '\0') {
      const json_t *value = json_at(json, mark->path);
      assert_non_null(value);
      assert_int_equal(!is_redacted(value), shown);
    } else if (is_written(&w, EE_TOPIC_AUDIT, mark->text) != shown) {
      fail_msg("%s %s at level %d but for %s: %s", ee_phase_name(phase), mark->path, level,
               redaction == NULL ? "nothing" : redaction, shown ? "is missing" : "is written");
    }
    // Obligations say whose they are and what was asked of them, unless a rule redacts that.
    bool asked =
        covers("governance.hints", mark->path) || covers("governance.retention", mark->path);
    bool whose = strcmp(mark->path, "envelope_id") == 0 || strcmp(mark->path, "tenant") == 0 ||
                 strcmp(mark->path, "event_id") == 0;
    bool hidden = redaction != NULL && covers(redaction, mark->path);
    if (phase != EE_PHASE_ADMISSION || mark->text[0] == '\0') continue;
    assert_int_equal(is_written(&w, EE_TOPIC_GOVERNANCE, mark->text), whose || (asked && !hidden));
  }
  json_decref(json);
  world_release(&w);
}

// Every field of every phase: a field that a schema gains is hidden at minimal, or this fails.
static void test_levels_and_redactions_leave_nothing_behind(void **state) {
  (void)state;
  for (enum ee_phase phase = EE_PHASE_ADMISSION; phase <= EE_PHASE_ANNOTATION; phase++) {
    for (enum ee_audit_level level = EE_AUDIT_LEVEL_MINIMAL; level <= EE_AUDIT_LEVEL_FULL;
         level++) {
      // A later event is never disclosed in full for want of knowing, so the rule matches all.
      check_event(phase, level, NULL);
      for (size_t i = 0; i < planted.count; i++) {
        char path[PATH_SIZE];
        snprintf(path, sizeof path, "%s", planted.marks[i].path);
        check_event(phase, level, path);
      }
      for (size_t i = 0; i < planted.part_count; i++) {
        char path[PATH_SIZE];
        snprintf(path, sizeof path, "%s", planted.parts[i]);
        check_event(phase, level, path);
      }
    }
  }
}

static void test_what_is_absent_is_not_redacted(void **state) {
  (void)state;
  struct world w;
  struct ee_policy policy =
      POLICY({.disclosure = CHOSEN(EE_AUDIT_LEVEL_FULL),
              .redact = TEXTS(EE_STR_INIT("scope"), EE_STR_INIT("governance.retention"),
                              EE_STR_INIT("execution.target"), EE_STR_INIT("requested.amounts.*"),
                              EE_STR_INIT("extensions.com.example/x"))});
  world_init(&w, &policy);
  struct ee_governance governance = {.provenance = EE_STR_INIT("somewhere")};
  union event event = an_admission(&governance);
  world_event(&w, EE_PHASE_ADMISSION, &event);
  const struct ee_audit_entry *entry;
  assert_int_equal(world_entries(&w, &entry), 1);
  assert_text(entry->event,
              "{\"envelope_id\":\"envelope\",\"event_id\":\"a\",\"tenant\":\"acme\","
              "\"occurred_at\":\"2026-05-08T12:00:00.000000Z\",\"source\":\"urn:source\","
              "\"caller\":{\"requester_urn\":\"urn:caller\",\"initiator\":\"other\","
              "\"on_behalf_of\":[],\"authority_refs\":[]},\"execution\":{\"kind\":\"inference\","
              "\"service\":\"serving\",\"operation\":\"infer\"},"
              "\"governance\":{\"provenance\":\"somewhere\",\"policy_refs\":[],\"hints\":{}},"
              "\"requested\":{\"placement\":{},\"amounts\":{}},\"extensions\":{}}");
  world_release(&w);
}

// Redactions of rules that match or may match apply, those of others do not.
static void test_whose_redactions_apply(void **state) {
  (void)state;
  struct ee_policy policy = POLICY(
      {.redact = TEXTS(EE_STR_INIT("event_id"))},
      {.match = {.kinds = KINDS(EE_EXECUTION_KIND_INFERENCE)},
       .redact = TEXTS(EE_STR_INIT("source"))},
      {.match = {.kinds = KINDS(EE_EXECUTION_KIND_DEPLOYMENT)},
       .redact = TEXTS(EE_STR_INIT("occurred_at"))},
      {.match = {.tenants = TEXTS(EE_STR_INIT("other"))}, .redact = TEXTS(EE_STR_INIT("tenant"))});
  static const struct {
    enum ee_phase phase;
    bool event_id, source, occurred_at, tenant;
  } cases[] = {{EE_PHASE_ADMISSION, true, true, false, false},
               {EE_PHASE_RELEASED, true, true, true, false}};
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct world w;
    world_init(&w, &policy);
    world_add(&w, cases[i].phase, "e");
    json_t *json = event_of(&w, EE_AUDIT_LEVEL_STANDARD);
    assert_int_equal(is_redacted(json_object_get(json, "event_id")), cases[i].event_id);
    assert_int_equal(is_redacted(json_object_get(json, "source")), cases[i].source);
    assert_int_equal(is_redacted(json_object_get(json, "occurred_at")), cases[i].occurred_at);
    assert_int_equal(is_redacted(json_object_get(json, "tenant")), cases[i].tenant);
    json_decref(json);
    world_release(&w);
  }
}

// ---- Limits.

static bool audit_event(const union event *event, enum ee_audit_level *level, size_t limit,
                        struct ee_buf *out) {
  static const struct ee_policy none = {.rules = {.count = 0}};
  struct ee_arena arena;
  ee_arena_init(&arena, 1 << 16);
  ee_buf_init(out, limit);
  bool done = ee_audit_event(&none, level, EE_PHASE_ADMISSION, event, &arena, out);
  ee_arena_release(&arena);
  return done;
}

static void test_what_does_not_fit_is_disclosed_at_minimal(void **state) {
  (void)state;
  union event event = an_event(EE_PHASE_ADMISSION, "a");
  event.admission.caller.requester_urn =
      EE_STR("0123456789012345678901234567890123456789012345678901234567890123456789");
  enum ee_audit_level level = EE_AUDIT_LEVEL_STANDARD;
  struct ee_buf whole, minimal, out;
  assert_true(audit_event(&event, &level, 1 << 20, &whole));
  level = EE_AUDIT_LEVEL_MINIMAL;
  assert_true(audit_event(&event, &level, 1 << 20, &minimal));
  assert_true(minimal.size < whole.size);
  for (size_t limit = minimal.size - 1; limit <= whole.size; limit++) {
    level = EE_AUDIT_LEVEL_STANDARD;
    assert_int_equal(audit_event(&event, &level, limit, &out), limit >= minimal.size);
    if (limit >= minimal.size) {
      const struct ee_buf *expected = limit < whole.size ? &minimal : &whole;
      assert_true(ee_bytes_equal(ee_buf_bytes(&out), ee_buf_bytes(expected)));
      assert_int_equal(level,
                       limit < whole.size ? EE_AUDIT_LEVEL_MINIMAL : EE_AUDIT_LEVEL_STANDARD);
    }
    ee_buf_release(&out);
  }
  ee_buf_release(&whole);
  ee_buf_release(&minimal);
}

static void test_level_does_not_hang_on_memory(void **state) {
  (void)state;
  union event event = an_event(EE_PHASE_ADMISSION, "a");
  bool failed = true;
  size_t failures = 0;
  for (size_t n = 0; failed; n++) {
    enum ee_audit_level level = EE_AUDIT_LEVEL_STANDARD;
    struct ee_buf out;
    ee_chaos_fail_after(n);
    bool done = audit_event(&event, &level, 1 << 20, &out);
    failed = ee_chaos_stop();
    failures += failed;
    assert_int_equal(done, !failed);
    assert_int_equal(level, EE_AUDIT_LEVEL_STANDARD);
    ee_buf_release(&out);
  }
  assert_true(failures >= 3);
}

static struct ee_str repeated(struct ee_arena *arena, char c, size_t size) {
  char *text = ee_arena_alloc(arena, size);
  assert_non_null(text);
  memset(text, c, size);
  return (struct ee_str){.data = text, .size = size};
}

static size_t avro_size(const union event *event) {
  struct ee_buf out;
  ee_buf_init(&out, (size_t)1 << 20);
  ee_encode(&ee_admission_type, event, &out);
  assert_false(out.failed);
  size_t size = out.size;
  ee_buf_release(&out);
  return size;
}

// The largest events allowed, as large in JSON as they can be, give entries that the topic
// takes: below full they are cut to minimal when need be.
static void test_largest_events_fit_the_topic(void **state) {
  (void)state;
  struct ee_policy policy = POLICY({.disclosure = CHOSEN(EE_AUDIT_LEVEL_FULL)});
  for (int shape = 0; shape < 3; shape++) {
    struct world w;
    world_init(&w, &policy);
    union event event = an_event(EE_PHASE_ADMISSION, "a");
    struct ee_authority_ref_array *refs = &event.admission.caller.authority_refs;
    if (shape == 0) event.head.source = repeated(&w.arena, 1, EE_EVENT_SIZE_MAX - 200);
    if (shape == 1) {
      event.admission.caller.requester_urn = repeated(&w.arena, 1, EE_EVENT_SIZE_MAX - 200);
    }
    if (shape == 2) {  // three bytes each, and many more as JSON
      refs->count = (EE_EVENT_SIZE_MAX - 200) / 3;
      refs->items = ee_arena_zero(&w.arena, refs->count, sizeof *refs->items);
      for (size_t i = 0; i < refs->count; i++) {
        refs->items[i].kind = refs->items[i].reference = EE_STR("");
      }
    }
    assert_in_range(avro_size(&event), EE_EVENT_SIZE_MAX - 200, EE_EVENT_SIZE_MAX);
    world_event(&w, EE_PHASE_ADMISSION, &event);
    const struct ee_audit_entry *entry;
    const struct step_output *outputs;
    assert_int_equal(world_entries(&w, &entry), 1);
    assert_int_equal(entry->level, shape == 2 ? EE_AUDIT_LEVEL_MINIMAL : EE_AUDIT_LEVEL_FULL);
    (void)step_double_outputs(w.d, &outputs);
    size_t most = (size_t)ee_topics[EE_TOPIC_AUDIT].max_message_bytes;
    assert_in_range(outputs[0].value.size + outputs[0].key.size, 1, most - 4096);
    if (shape == 0) assert_in_range(entry->event.size, 1500000, 1700000);
    world_release(&w);
  }
}

// ---- Leaves.

static void test_leaf_is_what_anyone_can_recompute(void **state) {
  (void)state;
  struct world w;
  world_init(&w, NULL);
  w.offsets[EE_TOPIC_FAILED] = 41;
  world_add(&w, EE_PHASE_FAILED, "f-1");
  world_add(&w, EE_PHASE_FAILED, "f-2");
  const struct ee_audit_entry *entries;
  assert_int_equal(world_entries(&w, &entries), 2);
  for (int i = 0; i < 2; i++) {
    char leaf[4096];
    leaf[0] = '\0';
    int size =
        snprintf(leaf + 1, sizeof leaf - 1, "[\"envelope.failed.v1\",3,%d,%d,\"minimal\",%.*s]",
                 41 + i, i, EE_STR_ARG(entries[i].event));
    uint8_t hash[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(hash, (const unsigned char *)leaf, (size_t)size + 1);
    assert_memory_equal(entries[i].leaf_hash, hash, sizeof hash);
    assert_text(entries[i].source.topic, "envelope.failed.v1");
    assert_int_equal(entries[i].source.partition, PARTITION);
    assert_int_equal(entries[i].source.offset, 41 + i);
    assert_int_equal(entries[i].number, i);
  }
  world_release(&w);
}

// As another program computed it.
static void test_leaf_known(void **state) {
  (void)state;
  struct ee_audit_source source = {
      .topic = EE_STR("p\"q.envelope.failed.v1"), .partition = 11, .offset = INT64_C(5000000000)};
  struct ee_buf scratch;
  uint8_t hash[EE_SHA256_SIZE];
  char hex[EE_SHA256_HEX_SIZE];
  ee_buf_init(&scratch, 4096);
  assert_true(ee_audit_leaf_hash(&source, 7, EE_AUDIT_LEVEL_STANDARD,
                                 EE_STR("{\"a\":{\"redacted\":true}}"), &scratch, hash));
  ee_hex(ee_bytes(hash, sizeof hash), hex);
  assert_string_equal(hex, "85741c6b3e1ad1e5d0bd53f82e3becf88c7145c56568961c77964a0f69ab130b");
  ee_buf_release(&scratch);
  ee_buf_init(&scratch, 20);
  assert_false(
      ee_audit_leaf_hash(&source, 7, EE_AUDIT_LEVEL_STANDARD, EE_STR("{}"), &scratch, hash));
  ee_buf_release(&scratch);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_least_level_that_rules_say),
      cmocka_unit_test(test_levels_of_the_builtin),
      cmocka_unit_test(test_levels_and_redactions_leave_nothing_behind),
      cmocka_unit_test(test_what_is_absent_is_not_redacted),
      cmocka_unit_test(test_whose_redactions_apply),
      cmocka_unit_test(test_what_does_not_fit_is_disclosed_at_minimal),
      cmocka_unit_test(test_level_does_not_hang_on_memory),
      cmocka_unit_test(test_largest_events_fit_the_topic),
      cmocka_unit_test(test_leaf_is_what_anyone_can_recompute),
      cmocka_unit_test(test_leaf_known),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
