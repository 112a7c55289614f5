// SPDX-License-Identifier: Apache-2.0
// What happens to one envelope: asked, granted as asked or less or otherwise, ended well or
// not, with the accidents of a real day.
#include "tools/traffic/story.h"

#include <stdio.h>

#include "base/time.h"
#include "contract/record.h"

#define MS EE_MICROS_PER_MS
#define SECOND EE_MICROS_PER_S
#define MINUTE (60 * SECOND)

struct story {
  const struct story_model *model;
  const struct story_sink *sink;
  struct random *random;
  char envelope_id[EE_UUID_SIZE];
  char tenant[16], user[48];
  int kind;
  int64_t at;  // when it was asked
};

// ---- Delays. Run times are log-normal: most are short, and a few take most of the time.

struct delay {
  int64_t median;  // microseconds
  double sigma;
};

static const struct delay refusal = {80 * MS, 1.0}, resolution = {200 * MS, 1.3},
                          deployed = {40 * MINUTE, 0.9};
static const struct delay runs[] = {[EE_EXECUTION_KIND_DEPLOYMENT] = {90 * SECOND, 0.6},
                                    [EE_EXECUTION_KIND_INFERENCE] = {2 * SECOND, 1.0},
                                    [EE_EXECUTION_KIND_PIPELINE_STEP] = {MINUTE, 1.0},
                                    [EE_EXECUTION_KIND_MAINTENANCE_TASK] = {30 * SECOND, 0.8},
                                    [EE_EXECUTION_KIND_EVALUATION] = {5 * MINUTE, 1.0},
                                    [EE_EXECUTION_KIND_DATA_MOVEMENT] = {2 * MINUTE, 1.2},
                                    [EE_EXECUTION_KIND_TOOL_CALL] = {500 * MS, 1.2},
                                    [EE_EXECUTION_KIND_AGENT_RUN] = {3 * MINUTE, 1.0},
                                    [EE_EXECUTION_KIND_OTHER] = {10 * SECOND, 1.0}};

#define KINDS ((int64_t)(sizeof runs / sizeof *runs))

static int64_t after(const struct story *story, int64_t at, double micros) {
  return at + (int64_t)(micros * story->model->time_scale);
}

static int64_t after_delay(const struct story *story, int64_t at, const struct delay *delay) {
  return after(story, at, random_log_normal(story->random, (double)delay->median, delay->sigma));
}

// ---- Events.

static void send(const struct story *story, enum ee_phase phase, const void *record, int64_t at) {
  story->sink->take(story->sink->context, phase, record, at);
}

static void head(struct story *story, void *record, int64_t occurred_at,
                 char event_id[EE_UUID_SIZE]) {
  struct ee_event_head *common = record;
  random_uuid7(story->random, occurred_at, event_id);
  common->envelope_id = ee_str(story->envelope_id);
  common->event_id = ee_str(event_id);
  common->tenant = ee_str(story->tenant);
  common->occurred_at = occurred_at;
  common->source = EE_STR("urn:service:backend");
  common->sensitivity = (struct ee_opt_enum){.present = random_chance(story->random, 800),
                                             .value = random_chance(story->random, 850)
                                                          ? EE_SENSITIVITY_INTERNAL
                                                          : EE_SENSITIVITY_CONFIDENTIAL};
}

static struct ee_opt_long number(int64_t value) {
  return (struct ee_opt_long){.present = true, .value = value};
}

static struct ee_str_entry *const locations[] = {
    &(struct ee_str_entry){EE_STR_INIT("location"), EE_STR_INIT("eu-west")},
    &(struct ee_str_entry){EE_STR_INIT("location"), EE_STR_INIT("us-east")}};

static const char *const operations[] = {"deploy_model", "generate",  "run_step",
                                         "compact",      "evaluate",  "copy_dataset",
                                         "call_tool",    "run_agent", "other"};

static void ask(struct story *story, struct ee_resources *ask, struct ee_long_entry *amount) {
  ask->cpu_millis = number(1000 * (1 + random_below(story->random, 16)));
  ask->memory_bytes = number((1 + random_below(story->random, 32)) << 30);
  if (story->kind <= EE_EXECUTION_KIND_INFERENCE || story->kind == EE_EXECUTION_KIND_EVALUATION) {
    ask->gpu_count = number(1 + random_below(story->random, 4));
    ask->engine = EE_STR("vllm");
  }
  ask->placement.entries = locations[random_below(story->random, 2)];
  ask->placement.count = 1;
  *amount = (struct ee_long_entry){
      .key = story->kind == EE_EXECUTION_KIND_DATA_MOVEMENT ? EE_STR("bytes") : EE_STR("tokens"),
      .value = 1000 + random_below(story->random, 100000)};
  ask->amounts.entries = amount;
  ask->amounts.count = story->kind == EE_EXECUTION_KIND_DEPLOYMENT ? 0 : 1;
}

static void admit(struct story *story, struct ee_resources *asked, struct ee_long_entry *amount) {
  struct ee_admission record;
  struct ee_governance governance;
  struct ee_str_entry hint = {EE_STR("audit_event"), EE_STR("traffic")};
  char event_id[EE_UUID_SIZE];
  ee_record_init(&ee_admission_type, &record);
  ee_record_init(&ee_governance_type, &governance);
  head(story, &record, story->at, event_id);
  snprintf(story->user, sizeof story->user, "urn:%s:user:%d", story->tenant,
           (int)random_below(story->random, 50));
  record.caller.requester_urn = ee_str(story->user);
  record.caller.initiator = (int)random_below(story->random, 4);
  record.execution.kind = story->kind;
  record.execution.service = EE_STR("backend");
  record.execution.operation = ee_str(operations[story->kind]);
  if (random_chance(story->random, 200)) {
    static const struct ee_str hints[] = {EE_STR_INIT("audit_event"), EE_STR_INIT("review"),
                                          EE_STR_INIT("notify"), EE_STR_INIT("guardrail")};
    hint.key = hints[random_below(story->random, 4)];
    governance.hints.entries = &hint;
    governance.hints.count = 1;
    record.governance = &governance;
  }
  ask(story, &record.requested, amount);
  *asked = record.requested;
  send(story, EE_PHASE_ADMISSION, &record, story->at);
  if (random_chance(story->random, 15)) {  // sent again
    send(story, EE_PHASE_ADMISSION, &record, after(story, story->at, SECOND));
  }
  if (random_chance(story->random, 8)) {  // somebody rewrites the ask
    char other[EE_UUID_SIZE];
    random_uuid7(story->random, story->at, other);
    record.event_id = ee_str(other);
    record.requested.cpu_millis = number(99000);
    send(story, EE_PHASE_ADMISSION, &record, after(story, story->at, 2 * SECOND));
  }
}

static void grant(struct story *story, const struct ee_resources *asked, int64_t at) {
  struct ee_resolved record;
  char event_id[EE_UUID_SIZE];
  ee_record_init(&ee_resolved_type, &record);
  head(story, &record, at, event_id);
  record.granted = *asked;
  int64_t way = random_below(story->random, 100);
  if (way < 30) {  // less
    record.granted.cpu_millis.value = asked->cpu_millis.value / 2;
    if (asked->gpu_count.present) record.granted.gpu_share_milli = number(500);
  } else if (way < 36) {  // more
    record.granted.memory_bytes.value = asked->memory_bytes.value * 2;
  } else if (way < 44) {  // elsewhere
    record.granted.placement.entries = locations[asked->placement.entries == locations[0] ? 1 : 0];
  }
  record.resolution.backend = EE_STR("kubernetes");
  record.resolution.routing = EE_STR("least-loaded");
  // One in a hundred arrives minutes late.
  int64_t late = random_chance(story->random, 10) ? 5 * MINUTE : 0;
  send(story, EE_PHASE_RESOLVED, &record, after(story, at, (double)late));
}

static void fail(struct story *story, const char *stage, int64_t at) {
  struct ee_failed record;
  char event_id[EE_UUID_SIZE];
  ee_record_init(&ee_failed_type, &record);
  head(story, &record, at, event_id);
  record.stage = ee_str(stage);
  record.code =
      random_chance(story->random, 500) ? EE_STR("quota_exceeded") : EE_STR("image_pull_backoff");
  record.reason = EE_STR("see the backend's log");
  send(story, EE_PHASE_FAILED, &record, at);
}

static void measure(struct story *story, const struct ee_resources *asked,
                    struct ee_long_map *measured, struct ee_long_entry *used) {
  if (asked->amounts.count == 0) return;
  *used = asked->amounts.entries[0];
  used->value = used->value * (40 + random_below(story->random, 60)) / 100;
  measured->entries = used;
  measured->count = 1;
}

static void finish(struct story *story, const struct ee_resources *asked, int64_t at) {
  struct ee_finalized record;
  struct ee_long_entry used;
  char event_id[EE_UUID_SIZE], runtime_id[48];
  ee_record_init(&ee_finalized_type, &record);
  head(story, &record, at, event_id);
  snprintf(runtime_id, sizeof runtime_id, "runtime-%d", (int)random_below(story->random, 1000000));
  record.runtime_id = ee_str(runtime_id);
  measure(story, asked, &record.measured, &used);
  send(story, EE_PHASE_FINALIZED, &record, at);
  if (random_chance(story->random, 15)) {  // sent again
    send(story, EE_PHASE_FINALIZED, &record, after(story, at, SECOND));
  }
}

static void release(struct story *story, int64_t at) {
  struct ee_released record;
  char event_id[EE_UUID_SIZE];
  ee_record_init(&ee_released_type, &record);
  head(story, &record, at, event_id);
  record.reason = EE_STR("no longer wanted");
  send(story, EE_PHASE_RELEASED, &record, at);
}

static void annotate(struct story *story, int64_t at) {
  struct ee_annotation record;
  struct ee_str_entry entry = {EE_STR("com.example.review/ticket"), EE_STR("\"GOV-1\"")};
  char event_id[EE_UUID_SIZE];
  ee_record_init(&ee_annotation_type, &record);
  head(story, &record, at, event_id);
  record.annotations.entries = &entry;
  record.annotations.count = 1;
  send(story, EE_PHASE_ANNOTATION, &record, at);
}

static void end(struct story *story, const struct ee_resources *asked, int64_t granted_at) {
  int64_t at = after_delay(story, granted_at, &runs[story->kind]);
  if (random_chance(story->random, 60)) {
    fail(story, "run", at);
    return;
  }
  if (random_chance(story->random, 20)) return;  // never heard of again
  finish(story, asked, at);
  if (story->kind == EE_EXECUTION_KIND_DEPLOYMENT && random_chance(story->random, 700)) {
    release(story, after_delay(story, at, &deployed));
  }
}

// Another tenant's event under this identity.
static void intrude(const struct story *story, const struct ee_resources *asked, int64_t at) {
  struct story other = *story;
  snprintf(other.tenant, sizeof other.tenant, "intruder");
  finish(&other, asked, at);
}

void traffic_tell(const struct story_model *model, struct random *random, int64_t number,
                  int64_t at, const struct story_sink *sink) {
  struct story story = {.model = model, .sink = sink, .random = random, .at = at};
  struct ee_resources asked = {.amounts = {.count = 0}};
  struct ee_long_entry amount;
  random_uuid7(random, at, story.envelope_id);
  snprintf(story.tenant, sizeof story.tenant, "tenant-%02d", tenants_pick(model->tenants, random));
  story.kind = (int)(number % KINDS);
  if (random_chance(random, 5)) {  // its admission is never sent
    finish(&story, &asked, after(&story, at, SECOND));
    return;
  }
  admit(&story, &asked, &amount);
  if (random_chance(random, 50)) annotate(&story, after(&story, at, 3 * SECOND));
  if (random_chance(random, 50)) {
    fail(&story, "validation", after_delay(&story, at, &refusal));
    return;
  }
  int64_t granted_at = after_delay(&story, at, &resolution);
  grant(&story, &asked, granted_at);
  if (random_chance(random, 5)) intrude(&story, &asked, after(&story, granted_at, SECOND));
  end(&story, &asked, granted_at);
}
