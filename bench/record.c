// SPDX-License-Identifier: Apache-2.0
// Validation and decoding of admissions against avro-c on the same bytes, in one run: rounds
// of all of them interleaved, the median of each. Bars: validation at most 0.4 of
// avro_skip_data, decoding at most 0.35 of the faster of avro-c's two ways to decode.
#include <avro.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "contract/record.h"
#include "records.h"

#define ROUNDS 41
#define REPEATS 4000
#define VALIDATE_BAR 0.40
#define DECODE_BAR 0.35

enum way { VALIDATE, DECODE, ENCODE, OTHER_SKIP, OTHER_VALUE, OTHER_DATUM, WAYS };

struct bench {
  const struct ee_plan *plan;
  struct ee_arena arena;
  struct ee_buf bytes;  // the admission's
  struct ee_buf out;
  struct ee_admission record;  // decoded, `encoded` cleared
  avro_schema_t schema;
  avro_value_iface_t *class;
  avro_value_t value;
  avro_reader_t reader;
  double micros[WAYS][ROUNDS];
};

// ---- Admissions of several sizes.

// EE_STR is no constant expression in C11.
#define TEXT(literal) \
  { .data = "" literal, .size = sizeof(literal) - 1 }

static struct ee_str_entry placement[] = {{TEXT("region"), TEXT("eu-central-1")},
                                          {TEXT("zone"), TEXT("eu-central-1b")}};
static struct ee_long_entry amounts[] = {{TEXT("tokens"), 250000}};
static struct ee_str_entry extensions[] = {
    {TEXT("com.example.serving/model"), TEXT("{\"name\":\"llama-70b\",\"revision\":\"r12\"}")},
    {TEXT("com.example.serving/traffic"), TEXT("{\"share\":0.25,\"canary\":true}")}};
static struct ee_str_entry hints[] = {{TEXT("reviewer"), TEXT("platform-oncall@example.com")}};
static struct ee_str chain[] = {TEXT("urn:example:user:5d41402a"),
                                TEXT("urn:example:app:notebooks")};

static struct ee_admission plain_admission(void) {
  struct ee_admission a;
  ee_record_init(&ee_admission_type, &a);
  a.envelope_id = EE_STR("0197a3c2-5b1e-7cc3-98c4-dc0c0c07398f");
  a.event_id = EE_STR("0197a3c2-5b1e-7f02-8a11-3b1f9d2c7e55");
  a.tenant = EE_STR("acme-research-emea");
  a.occurred_at = INT64_C(1762948800123456);
  a.source = EE_STR("https://serving.eu-central-1.example.com/instances/7");
  a.caller.requester_urn = EE_STR("urn:example:user:9f86d081884c7d659a2f");
  a.caller.request_id = EE_STR("req-2f1c7b9e");
  a.execution.kind = EE_EXECUTION_KIND_DEPLOYMENT;
  a.execution.service = EE_STR("serving");
  a.execution.operation = EE_STR("deploy_model");
  a.execution.target = EE_STR("models/llama-70b-instruct-v2");
  a.requested.cpu_millis = (struct ee_opt_long){true, 16000};
  a.requested.memory_bytes = (struct ee_opt_long){true, INT64_C(137438953472)};
  a.requested.gpu_count = (struct ee_opt_long){true, 4};
  a.requested.gpu_class = EE_STR("h100-80gb");
  a.requested.engine = EE_STR("vllm");
  a.requested.concurrency = (struct ee_opt_long){true, 64};
  a.caller.initiator = EE_INITIATOR_HUMAN;
  return a;
}

static void add_scope_and_placement(struct ee_admission *a, struct ee_scope *scope) {
  *scope = (struct ee_scope){
      .workspace = EE_STR("ws-41"), .app = EE_STR("notebooks"), .session = EE_STR("5f3c0a2b")};
  a->scope = scope;
  a->requested.placement = (struct ee_str_map){placement, 2};
  a->requested.timeout_ms = (struct ee_opt_long){true, 1800000};
}

static void add_governance(struct ee_admission *a, struct ee_governance *governance) {
  *governance = (struct ee_governance){.audit_level = {true, EE_AUDIT_LEVEL_FULL},
                                       .sensitivity = {true, EE_SENSITIVITY_CONFIDENTIAL},
                                       .provenance = EE_STR("registry://models@sha256:9c1d0c4a"),
                                       .retention = EE_STR("P90D"),
                                       .hints = {hints, 1}};
  a->governance = governance;
  a->requested.amounts = (struct ee_long_map){amounts, 1};
}

// size 0 to 3: about 300 to 700 bytes.
static void encode_admission(int size, struct ee_buf *out) {
  struct ee_scope scope;
  struct ee_governance governance;
  struct ee_admission a = plain_admission();
  if (size >= 1) add_scope_and_placement(&a, &scope);
  if (size >= 2) add_governance(&a, &governance);
  if (size >= 3) {
    a.extensions = (struct ee_str_map){extensions, 2};
    a.caller.on_behalf_of = (struct ee_str_array){chain, 2};
  }
  ee_encode(&ee_admission_type, &a, out);
}

// ---- The ways.

static void require(bool holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "bench-record: %s failed\n", what);
  exit(1);
}

static bool run_once(struct bench *b, enum way way) {
  struct ee_bytes in = ee_buf_bytes(&b->bytes);
  struct ee_admission record;
  avro_datum_t datum;
  avro_reader_memory_set_source(b->reader, (const char *)in.data, (int64_t)in.size);
  switch (way) {
    case VALIDATE:
      return ee_validate(b->plan, in, NULL);
    case DECODE:
      ee_arena_clear(&b->arena);
      return ee_decode(b->plan, in, &b->arena, &record, NULL);
    case ENCODE:
      ee_buf_clear(&b->out);
      ee_encode(&ee_admission_type, &b->record, &b->out);
      return b->out.size == in.size;
    case OTHER_SKIP:
      return avro_skip_data(b->reader, b->schema) == 0;
    case OTHER_VALUE:
      return avro_value_reset(&b->value) == 0 && avro_value_read(b->reader, &b->value) == 0;
    case OTHER_DATUM:
      if (avro_read_data(b->reader, b->schema, b->schema, &datum) != 0) return false;
      avro_datum_decref(datum);
      return true;
    case WAYS:
      break;
  }
  return false;
}

static double time_round(struct bench *b, enum way way) {
  struct timespec begin, end;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
  for (int i = 0; i < REPEATS; i++) {
    require(run_once(b, way), "a round");
  }
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
  double nanos = (double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec);
  return nanos / 1e3 / REPEATS;
}

static int compare_doubles(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *values) {
  qsort(values, ROUNDS, sizeof *values, compare_doubles);
  return values[ROUNDS / 2];
}

// True when both bars are met.
static bool measure(struct bench *b, int size) {
  double m[WAYS];
  struct ee_arena keep;
  ee_arena_init(&keep, 1 << 20);
  ee_buf_clear(&b->bytes);
  encode_admission(size, &b->bytes);
  require(ee_decode(b->plan, ee_buf_bytes(&b->bytes), &keep, &b->record, NULL), "decoding");
  b->record.encoded = (struct ee_bytes){.data = NULL};
  for (int round = 0; round < ROUNDS; round++) {
    for (enum way way = 0; way < WAYS; way++) {
      b->micros[way][round] = time_round(b, way);
    }
  }
  for (enum way way = 0; way < WAYS; way++) {
    m[way] = median(b->micros[way]);
  }
  double generic = m[OTHER_VALUE] < m[OTHER_DATUM] ? m[OTHER_VALUE] : m[OTHER_DATUM];
  double validate = m[VALIDATE] / m[OTHER_SKIP];
  double decode = m[DECODE] / generic;
  printf("%6zu  %8.3f %8.3f %6.2f  %8.3f %8.3f %8.3f %6.2f  %8.3f\n", b->bytes.size, m[VALIDATE],
         m[OTHER_SKIP], validate, m[DECODE], m[OTHER_VALUE], m[OTHER_DATUM], decode, m[ENCODE]);
  ee_arena_release(&keep);
  return validate <= VALIDATE_BAR && decode <= DECODE_BAR;
}

static void init(struct bench *b) {
  b->plan = ee_plan_own(&ee_admission_type);
  ee_arena_init(&b->arena, 1 << 20);
  ee_buf_init(&b->bytes, 1 << 20);
  ee_buf_init(&b->out, 1 << 20);
  require(b->plan != NULL &&
              avro_schema_from_json_length(ee_admission_type.schema, ee_admission_type.schema_size,
                                           &b->schema) == 0,
          "reading the schema");
  b->class = avro_generic_class_from_schema(b->schema);
  require(avro_generic_value_new(b->class, &b->value) == 0, "a generic value");
  b->reader = avro_reader_memory("", 0);
}

static void release(struct bench *b) {
  avro_reader_free(b->reader);
  avro_value_decref(&b->value);
  avro_value_iface_decref(b->class);
  avro_schema_decref(b->schema);
  ee_buf_release(&b->out);
  ee_buf_release(&b->bytes);
  ee_arena_release(&b->arena);
}

int main(void) {
  static struct bench b;
  bool met = true;
  init(&b);
  printf("admission, microseconds of CPU a record, median of %d interleaved rounds of %d\n\n",
         ROUNDS, REPEATS);
  printf("%6s  %8s %8s %6s  %8s %8s %8s %6s  %8s\n", "bytes", "validate", "avroskip", "ratio",
         "decode", "avrovalu", "avrodatu", "ratio", "encode");
  for (int size = 0; size < 4; size++) {
    met = measure(&b, size) && met;
  }
  printf("\nbars: validate <= %.2f of avro_skip_data, decode <= %.2f of the faster decode: %s\n",
         VALIDATE_BAR, DECODE_BAR, met ? "met" : "NOT MET");
  release(&b);
  return met ? 0 : 1;
}
