// SPDX-License-Identifier: Apache-2.0
// What happens to one envelope: asked, granted as asked or less or otherwise, ended well or
// not, with the accidents of a real day.
#include "base/time.h"
#include "contract/event.h"
#include "contract/ident.h"
#include "contract/record.h"
#include "tools/envelope-traffic/traffic.h"
#include "wire/framing.h"

#define TENANTS 40
#define AVRO_BYTES_MAX ((size_t)1 << 16)
#define LENGTH_AT 10  // behind the framing
#define SECOND EE_MICROS_PER_S

struct story {
  struct lines *lines;
  struct random *random;
  char envelope_id[EE_UUID_SIZE];
  char tenant[16], user[48];
  int kind;
  int64_t at;  // when it was asked
};

static void make_id(struct random *random, int64_t at, char out[EE_UUID_SIZE]) {
  uint64_t words[2] = {random_next(random), random_next(random)};
  uint8_t bytes[10];
  memcpy(bytes, words, sizeof bytes);
  ee_uuid7_make(at / EE_MICROS_PER_MS, bytes, out);
}

// Few tenants have most of the traffic.
static int pick_tenant(struct random *random) {
  int64_t first = random_below(random, TENANTS), second = random_below(random, TENANTS);
  int64_t third = random_below(random, TENANTS);
  int64_t least = first < second ? first : second;
  return (int)(least < third ? least : third);
}

static void head(struct story *story, void *record, int64_t occurred_at,
                 char event_id[EE_UUID_SIZE]) {
  struct ee_event_head *common = record;
  make_id(story->random, occurred_at, event_id);
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
  lines_add_event(story->lines, EE_TOPIC_ADMISSION, &record, story->at);
  if (random_chance(story->random, 15)) {  // sent again
    lines_add_event(story->lines, EE_TOPIC_ADMISSION, &record, story->at + SECOND);
  }
  if (random_chance(story->random, 8)) {  // somebody rewrites the ask
    char other[EE_UUID_SIZE];
    make_id(story->random, story->at, other);
    record.event_id = ee_str(other);
    record.requested.cpu_millis = number(99000);
    lines_add_event(story->lines, EE_TOPIC_ADMISSION, &record, story->at + 2 * SECOND);
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
  int64_t late = random_chance(story->random, 10) ? 300 * SECOND : 0;
  lines_add_event(story->lines, EE_TOPIC_RESOLVED, &record, at + late);
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
  lines_add_event(story->lines, EE_TOPIC_FAILED, &record, at);
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
  lines_add_event(story->lines, EE_TOPIC_FINALIZED, &record, at);
  if (random_chance(story->random, 15)) {  // sent again
    lines_add_event(story->lines, EE_TOPIC_FINALIZED, &record, at + SECOND);
  }
}

static void release(struct story *story, int64_t at) {
  struct ee_released record;
  char event_id[EE_UUID_SIZE];
  ee_record_init(&ee_released_type, &record);
  head(story, &record, at, event_id);
  record.reason = EE_STR("no longer wanted");
  lines_add_event(story->lines, EE_TOPIC_RELEASED, &record, at);
}

static void annotate(struct story *story, int64_t at) {
  struct ee_annotation record;
  struct ee_str_entry entry = {EE_STR("com.example.review/ticket"), EE_STR("\"GOV-1\"")};
  char event_id[EE_UUID_SIZE];
  ee_record_init(&ee_annotation_type, &record);
  head(story, &record, at, event_id);
  record.annotations.entries = &entry;
  record.annotations.count = 1;
  lines_add_event(story->lines, EE_TOPIC_ANNOTATION, &record, at);
}

static void end(struct story *story, const struct ee_resources *asked, int64_t granted_at) {
  int64_t at = granted_at + SECOND + random_below(story->random, 40 * SECOND);
  if (random_chance(story->random, 60)) {
    fail(story, "run", at);
    return;
  }
  if (random_chance(story->random, 20)) return;  // never heard of again
  finish(story, asked, at);
  if (story->kind == EE_EXECUTION_KIND_DEPLOYMENT && random_chance(story->random, 700)) {
    release(story, at + (1 + random_below(story->random, 4 * 3600)) * SECOND);
  }
}

void story_tell(struct lines *lines, struct random *random, int64_t number, int64_t at) {
  struct story story = {.lines = lines, .random = random, .at = at};
  struct ee_resources asked;
  struct ee_long_entry amount;
  make_id(random, at, story.envelope_id);
  snprintf(story.tenant, sizeof story.tenant, "tenant-%02d", pick_tenant(random));
  story.kind = (int)(number % 9);
  if (random_chance(random, 5)) {  // its admission is never sent
    finish(&story, &(struct ee_resources){.amounts = {.count = 0}}, at + SECOND);
    return;
  }
  admit(&story, &asked, &amount);
  if (random_chance(random, 50)) annotate(&story, at + 3 * SECOND);
  if (random_chance(random, 50)) {
    fail(&story, "validation", at + SECOND);
    return;
  }
  int64_t granted_at = at + SECOND / 5 + random_below(random, 5 * SECOND);
  grant(&story, &asked, granted_at);
  if (random_chance(random, 5)) {  // another tenant's event under this identity
    char own[sizeof story.tenant];
    memcpy(own, story.tenant, sizeof own);
    snprintf(story.tenant, sizeof story.tenant, "intruder");
    finish(&story, &asked, granted_at + SECOND);
    memcpy(story.tenant, own, sizeof own);
  }
  end(&story, &asked, granted_at);
}

// ---- Records that break the contract.

static void minimal(struct story *story, struct ee_admission *record, char event_id[EE_UUID_SIZE]) {
  ee_record_init(&ee_admission_type, record);
  head(story, record, story->at, event_id);
  record->caller.requester_urn = EE_STR("urn:broken:client");
  record->execution.service = EE_STR("backend");
  record->execution.operation = EE_STR("other");
}

static void frame(const struct ee_admission *record, struct ee_buf *out) {
  uint8_t prefix[EE_FRAME_MAX];
  size_t size = ee_frame_single_object(ee_admission_type.fingerprint, prefix);
  ee_buf_append(out, prefix, size);
  ee_encode(&ee_admission_type, record, out);
}

// Spends two bytes on the length of envelope_id, the first field, where one is enough.
static void overlong(struct ee_buf *value) {
  ee_buf_byte(value, 0);
  if (value->failed) return;
  memmove(value->data + LENGTH_AT + 2, value->data + LENGTH_AT + 1, value->size - LENGTH_AT - 2);
  value->data[LENGTH_AT] |= 0x80;
  value->data[LENGTH_AT + 1] = 0;
}

void story_malformed(struct lines *lines, struct random *random, int64_t number, int kind,
                     int64_t at) {
  struct story story = {.lines = lines, .random = random, .at = at};
  struct ee_str_entry extension = {EE_STR("model"), EE_STR("{}")};
  struct ee_admission record;
  struct ee_buf value;
  char event_id[EE_UUID_SIZE];
  snprintf(story.envelope_id, sizeof story.envelope_id, "broken-%lld", (long long)number);
  snprintf(story.tenant, sizeof story.tenant, "tenant-00");
  minimal(&story, &record, event_id);
  if (kind == 0) record.tenant = EE_STR("");
  if (kind == 1) record.extensions = (struct ee_str_map){.entries = &extension, .count = 1};
  if (kind == 2) record.source = EE_STR("\xff\xfe");
  if (kind == 3) record.execution.kind = 40;
  ee_buf_init(&value, AVRO_BYTES_MAX);
  frame(&record, &value);
  if (kind == 4) value.size -= 5;
  if (kind == 5) ee_buf_append(&value, "more", 4);
  if (kind == 6) value.data[0] = '{';
  if (kind == 7) value.data[5] ^= 0x55;  // another schema's fingerprint
  if (kind == 8) overlong(&value);
  struct ee_str key = kind == 9 ? EE_STR("another") : ee_str(story.envelope_id);
  lines_add_raw(lines, key, ee_buf_bytes(&value), -1, at);
  ee_buf_release(&value);
}
