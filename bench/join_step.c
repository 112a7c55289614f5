// SPDX-License-Identifier: Apache-2.0
// Microseconds a step of the join takes, over a store that is a plain table in memory: the
// three events of an ordinary envelope, with and without producers' numbers, and the parts of
// the last one. Rounds of all envelopes, the median of each. Input is decoded beforehand, as the
// runtime hands it over.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/hash.h"
#include "contract/record.h"
#include "join/envelope.h"

#define ENVELOPES 1000
#define ROUNDS 101
#define PHASES 3  // admission, resolved, finalized
#define SLOTS 4096
#define KEY_MAX 128
#define VALUE_MAX 8192
#define APPENDED INT64_C(1762948800000000)

enum part { DECODE, READ, INSERT, DERIVE, ENCODE, PARTS };

struct slot {
  size_t key_size;  // 0: free
  size_t size;      // of the value; 0: none
  uint8_t key[KEY_MAX];
  uint8_t value[VALUE_MAX];
};

struct ee_step {
  struct ee_arena arena;
  struct slot *slots;
};

struct bench {
  struct ee_step step;
  struct ee_join_settings settings;
  struct ee_processor join;
  char ids[ENVELOPES][40];
  struct ee_arena inputs;  // decoded ones
  struct ee_input input[PHASES][ENVELOPES];
  double whole[2][PHASES][ROUNDS];  // without numbers, with numbers
  double parts[PARTS][ROUNDS];
};

// ---- The step's side: one table of lifecycle records and of sequences.

static struct slot *slot_of(struct ee_step *step, struct ee_bytes key) {
  size_t at = ee_hash(key.data, key.size) % SLOTS;
  while (step->slots[at].key_size > 0 &&
         !ee_bytes_equal(ee_bytes(step->slots[at].key, step->slots[at].key_size), key)) {
    at = (at + 1) % SLOTS;
  }
  return &step->slots[at];
}

struct ee_arena *ee_step_arena(struct ee_step *step) {
  return &step->arena;
}

int64_t ee_step_clock(const struct ee_step *step) {
  (void)step;
  return APPENDED;
}

struct ee_str ee_step_topic_name(const struct ee_step *step, enum ee_topic topic) {
  (void)step;
  return ee_str(ee_topics[topic].name);
}

bool ee_step_get(struct ee_step *step, uint8_t changelog, struct ee_bytes key,
                 struct ee_bytes *ret) {
  (void)changelog;
  struct slot *slot = slot_of(step, key);
  *ret = slot->size == 0 ? ee_bytes(NULL, 0) : ee_bytes(slot->value, slot->size);
  return true;
}

bool ee_step_put(struct ee_step *step, uint8_t changelog, struct ee_bytes key,
                 struct ee_bytes value, int64_t wake_at) {
  (void)changelog;
  (void)wake_at;
  struct slot *slot = slot_of(step, key);
  if (value.size > VALUE_MAX || key.size > KEY_MAX) return false;
  slot->key_size = key.size;
  slot->size = value.size;
  memcpy(slot->key, key.data, key.size);
  memcpy(slot->value, value.data, value.size);
  return true;
}

bool ee_step_emit(struct ee_step *step, enum ee_topic topic, struct ee_bytes key,
                  struct ee_bytes value) {
  (void)step;
  (void)topic;
  (void)key;
  (void)value;
  return true;
}

// ---- Events.

union event {
  struct ee_event_head head;
  struct ee_admission admission;
  struct ee_resolved resolved;
  struct ee_finalized finalized;
};

#define SET(VALUE) ((struct ee_opt_long){.present = true, .value = (VALUE)})

static void fill_admission(struct ee_admission *a) {
  a->caller.requester_urn = EE_STR("urn:example:user:9f86d081884c7d65");
  a->caller.request_id = EE_STR("req-2f1c7b9e");
  a->execution.kind = EE_EXECUTION_KIND_DEPLOYMENT;
  a->execution.service = EE_STR("serving");
  a->execution.operation = EE_STR("deploy_model");
  a->execution.target = EE_STR("models/llama-70b");
  a->requested.cpu_millis = SET(16000);
  a->requested.memory_bytes = SET(INT64_C(137438953472));
  a->requested.gpu_count = SET(4);
  a->requested.engine = EE_STR("vllm");
  a->requested.timeout_ms = SET(600000);
}

static void fill_resolved(struct ee_resolved *r) {
  r->granted.cpu_millis = SET(8000);
  r->granted.memory_bytes = SET(INT64_C(137438953472));
  r->granted.gpu_count = SET(2);
  r->granted.engine = EE_STR("vllm");
  r->resolution.backend = EE_STR("gpu-pool-eu");
  r->resolution.actor = EE_STR("urn:example:scheduler");
}

static union event an_event(enum ee_phase phase, struct ee_str envelope_id) {
  union event event;
  memset(&event, 0, sizeof event);
  ee_record_init(ee_phase_record(phase), &event);
  event.head.envelope_id = envelope_id;
  event.head.event_id = EE_STR("0197a3c2-5b1e-7f02-8a11-3b1f9d2c7e55");
  event.head.tenant = EE_STR("acme-research");
  event.head.occurred_at = APPENDED + (int64_t)phase;
  event.head.source = EE_STR("https://serving.example.com/instances/7");
  if (phase == EE_PHASE_ADMISSION) fill_admission(&event.admission);
  if (phase == EE_PHASE_RESOLVED) fill_resolved(&event.resolved);
  if (phase == EE_PHASE_FINALIZED) {
    event.finalized.runtime_id = EE_STR("deployment-7c1f");
    event.finalized.serve_path = EE_STR("/v1/models/llama-70b");
  }
  return event;
}

static bool make_input(struct bench *b, enum ee_phase phase, size_t i) {
  const struct ee_record_type *type = ee_phase_record(phase);
  union event event = an_event(phase, ee_str(b->ids[i]));
  struct ee_buf out;
  ee_buf_init(&out, VALUE_MAX);
  ee_encode(type, &event, &out);
  struct ee_bytes avro = ee_str_bytes(ee_arena_str(&b->inputs, ee_buf_view(&out)));
  void *record = ee_arena_alloc(&b->inputs, type->size);
  bool made = !out.failed && avro.data != NULL && record != NULL &&
              ee_decode(ee_plan_own(type), avro, &b->inputs, record, NULL);
  ee_buf_release(&out);
  b->input[phase][i] = (struct ee_input){.topic = (enum ee_topic)phase,
                                         .offset = (int64_t)i,
                                         .timestamp = APPENDED,
                                         .record = record,
                                         .avro = avro};
  return made;
}

// ---- Measuring.

static double now_micros(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static bool run_steps(struct bench *b, int phase, double *ret_micros) {
  double start = now_micros();
  for (size_t i = 0; i < ENVELOPES; i++) {
    if (!b->join.ops->step(b->join.self, &b->step, &b->input[phase][i])) return false;
    ee_arena_clear(&b->step.arena);
  }
  *ret_micros = (now_micros() - start) / ENVELOPES;
  return true;
}

// The parts of the step that adds the last event, once more: each is timed with those
// before it, and told by the difference.
static bool run_parts(struct bench *b, enum part last, struct ee_buf *out, double *ret_micros) {
  struct ee_arena *arena = &b->step.arena;
  const struct ee_join_limits *limits = ee_join_limits_of(&b->settings);
  double start = now_micros();
  for (size_t i = 0; i < ENVELOPES; i++) {
    struct ee_input *input = &b->input[EE_PHASE_FINALIZED][i];
    const struct ee_event_head *head = input->record;
    struct slot *slot = slot_of(&b->step, ee_str_bytes(head->envelope_id));
    struct ee_lifecycle known, record;
    struct ee_joined joined;
    const struct ee_join_event *at;
    struct ee_join_event event = {.head = head,
                                  .at = {.topic = EE_STR("envelope.finalized.v1"),
                                         .phase = EE_PHASE_FINALIZED,
                                         .event_id = head->event_id}};
    bool done = ee_decode(ee_plan_own(&ee_lifecycle_type), ee_bytes(slot->value, slot->size), arena,
                          &known, NULL);
    if (last >= READ) {
      done = done && ee_joined_init(&joined, head->envelope_id, &known, NULL, arena);
    }
    if (last >= INSERT) {
      done = done && ee_joined_insert(&joined, limits, &event, &at) == EE_JOIN_INSERTED;
    }
    if (last >= DERIVE) {
      done = done && ee_joined_choose(&joined, limits, arena, &at) &&
             ee_joined_derive(&joined, &b->settings, APPENDED, arena, &record);
    }
    if (last >= ENCODE && done) {
      ee_buf_clear(out);
      ee_encode(&ee_lifecycle_type, &record, out);
    }
    ee_arena_clear(arena);
    if (!done || out->failed) return false;
  }
  *ret_micros = (now_micros() - start) / ENVELOPES;
  return true;
}

// One producer numbers all, or nobody does.
static void set_numbers(struct bench *b, bool numbered) {
  static const struct ee_record_number none = {.number = 0};
  for (int phase = 0; phase < PHASES; phase++) {
    for (size_t i = 0; i < ENVELOPES; i++) {
      b->input[phase][i].seq = none;
      if (!numbered) continue;
      b->input[phase][i].seq = (struct ee_record_number){
          EE_STR("https://serving.example.com/instances/7"), 1762948800, (int64_t)i};
    }
  }
}

static bool run_round(struct bench *b, size_t round, struct ee_buf *out) {
  for (int numbered = 0; numbered < 2; numbered++) {
    memset(b->step.slots, 0, SLOTS * sizeof *b->step.slots);
    set_numbers(b, numbered == 1);
    for (int phase = 0; phase < PHASES; phase++) {
      for (enum part part = 0; numbered == 0 && phase == EE_PHASE_FINALIZED && part < PARTS;
           part++) {
        if (!run_parts(b, part, out, &b->parts[part][round])) return false;
      }
      if (!run_steps(b, phase, &b->whole[numbered][phase][round])) return false;
    }
  }
  return true;
}

static int compare_doubles(const void *a, const void *b) {
  double left = *(const double *)a, right = *(const double *)b;
  return left < right ? -1 : left > right;
}

static double median(double *values) {
  qsort(values, ROUNDS, sizeof *values, compare_doubles);
  return values[ROUNDS / 2];
}

static void print(struct bench *b) {
  static const char *const parts[PARTS] = {"decode the record", "read candidates", "insert",
                                           "choose and derive", "encode"};
  struct slot *slot = slot_of(&b->step, ee_str_bytes(ee_str(b->ids[0])));
  printf("%-28s %10s %10s\n", "join step", "us", "numbered");
  for (int phase = 0; phase < PHASES; phase++) {
    printf("%-28s %10.2f %10.2f\n", ee_phase_name((enum ee_phase)phase), median(b->whole[0][phase]),
           median(b->whole[1][phase]));
  }
  printf("parts of the last, whose record has %zu bytes\n", slot->size);
  double before = 0;
  for (enum part part = 0; part < PARTS; part++) {
    double with = median(b->parts[part]);
    printf("  %-26s %10.2f\n", parts[part], with - before);
    before = with;
  }
  printf("  %-26s %10.2f\n", "get, copy, compare, put", median(b->whole[0][PHASES - 1]) - before);
}

static bool set_up(struct bench *b) {
  static const struct ee_properties none = {.count = 0};
  b->settings = (struct ee_join_settings){.grace_ms = 5000, .orphan_grace_ms = 60000};
  b->join = ee_join_processor(&b->settings);
  ee_arena_init(&b->step.arena, (size_t)64 << 20);
  ee_arena_init(&b->inputs, (size_t)256 << 20);
  b->step.slots = calloc(SLOTS, sizeof *b->step.slots);
  if (b->step.slots == NULL || !ee_deadlines_init(&b->settings.deadlines, &none, NULL))
    return false;
  for (size_t i = 0; i < ENVELOPES; i++) {
    snprintf(b->ids[i], sizeof b->ids[i], "0197a3c2-5b1e-7cc3-98c4-%012zx", i);
    for (enum ee_phase phase = 0; phase < PHASES; phase++) {
      if (!make_input(b, phase, i)) return false;
    }
  }
  return true;
}

int main(void) {
  static struct bench b;
  struct ee_buf out;
  ee_buf_init(&out, VALUE_MAX);
  bool done = set_up(&b);
  for (size_t round = 0; done && round < ROUNDS; round++) {
    done = run_round(&b, round, &out);
  }
  if (done) print(&b);
  if (!done) fprintf(stderr, "a step failed\n");
  ee_buf_release(&out);
  ee_arena_release(&b.step.arena);
  ee_arena_release(&b.inputs);
  free(b.step.slots);
  return done ? 0 : 1;
}
