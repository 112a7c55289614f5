// SPDX-License-Identifier: Apache-2.0
// Admissions by the client library, or the same bytes by bare librdkafka, or by memcpy into a
// ring: what a call costs in the calling thread, and how fast all of them reach Kafka.
//
//   calls emit|built|abandon|produce|copy|drain RATE COUNT [NAME=VALUE...]
//
// RATE calls a second by one thread, 0: as fast as it goes (then until all is acknowledged).
// built: as emit, of events that were built before. abandon: as emit, and kills itself behind the
// last call. drain: opens the spool and waits until so many are acknowledged. NAME=VALUE: settings
// of the library; of bare librdkafka `bootstrap` and `property`. Prints one JSON object.
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "client/envelope.h"

#define HEADERS 9
#define BUCKETS 65536  // of 16 ns each: up to a millisecond
#define BUCKET_NS 16
#define RING ((size_t)64 << 20)
#define PAYLOAD 420  // bytes, as an admission of ours has
#define TOPIC "envelope.admission.v1"

struct run {
  const char *mode;
  double rate;
  int64_t count;
  char **settings;
  int64_t histogram[BUCKETS + 1];
  int64_t longest_ns;
};

static void die(const char *what, const char *why) {
  fprintf(stderr, "calls: %s: %s\n", what, why);
  exit(1);
}

static int64_t now_ns(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec * INT64_C(1000000000) + at.tv_nsec;
}

static void note(struct run *run, int64_t ns) {
  int64_t bucket = ns / BUCKET_NS;
  run->histogram[bucket > BUCKETS ? BUCKETS : bucket]++;
  if (ns > run->longest_ns) run->longest_ns = ns;
}

static double percentile_us(const struct run *run, double share) {
  int64_t wanted = (int64_t)((double)run->count * share), seen = 0;
  for (int64_t i = 0; i < BUCKETS; i++) {
    seen += run->histogram[i];
    if (seen > wanted) return (double)((i + 1) * BUCKET_NS) / 1000;
  }
  return (double)run->longest_ns / 1000;
}

static double cpu_s(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

// Spins until it is time for that call: the caller's own switches are then the call's.
static void pace(const struct run *run, int64_t start_ns, int64_t i) {
  if (run->rate <= 0) return;
  int64_t due = start_ns + (int64_t)((double)i * 1e9 / run->rate);
  while (now_ns() < due) {
  }
}

// ---- The calls.

struct caller {
  void (*prepare)(void *self, int64_t i);  // not timed
  int (*call)(void *self);                 // 0; else once more
  void *self;
};

static void run_all(struct run *run, const struct caller *caller) {
  struct rusage before, after;
  getrusage(RUSAGE_THREAD, &before);
  int64_t start = now_ns();
  int64_t again = 0;
  for (int64_t i = 0; i < run->count; i++) {
    caller->prepare(caller->self, i);
    pace(run, start, i);
    int64_t from = now_ns();
    while (caller->call(caller->self) != 0) {
      again++;
      sched_yield();
      from = now_ns();
    }
    note(run, now_ns() - from);
  }
  double seconds = (double)(now_ns() - start) / 1e9;
  getrusage(RUSAGE_THREAD, &after);
  printf("{\"mode\":\"%s\",\"calls\":%" PRId64
         ",\"calling_s\":%.3f,\"p50_us\":%.3f,"
         "\"p99_us\":%.3f,\"p9999_us\":%.3f,\"longest_us\":%.3f,\"voluntary_switches\":%ld,"
         "\"involuntary_switches\":%ld,\"faults\":%ld,\"again\":%" PRId64,
         run->mode, run->count, seconds, percentile_us(run, 0.5), percentile_us(run, 0.99),
         percentile_us(run, 0.9999), (double)run->longest_ns / 1000,
         after.ru_nvcsw - before.ru_nvcsw, after.ru_nivcsw - before.ru_nivcsw,
         after.ru_minflt + after.ru_majflt - before.ru_minflt - before.ru_majflt, again);
}

static void print_end(const struct run *run, int64_t start, double cpu_before) {
  double seconds = (double)(now_ns() - start) / 1e9;
  printf(",\"seconds\":%.3f,\"per_second\":%.0f,\"cpu_us_each\":%.3f}\n", seconds,
         (double)run->count / seconds, (cpu_s() - cpu_before) * 1e6 / (double)run->count);
}

// ---- By the library.

#define BUILT 1024

struct library {
  envelope_producer *producer;
  envelope_event *event;
  envelope_event *built[BUILT];  // in turn
};

static void set(envelope_event *event, envelope_field field, const char *text) {
  struct envelope_error error;
  if (envelope_event_set_text(event, field, text, ENVELOPE_TEXT, &error) != ENVELOPE_OK) {
    die("event", error.text);
  }
}

static void build(envelope_event *event) {
  envelope_event_begin(event, ENVELOPE_ADMISSION);
  envelope_event_set_trace(event, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", NULL);
  set(event, ENVELOPE_FIELD_TENANT, "tenant-17");
  set(event, ENVELOPE_FIELD_CALLER_REQUESTER_URN, "urn:user:somebody@example.com");
  set(event, ENVELOPE_FIELD_CALLER_REQUEST_ID, "request-0123456789");
  set(event, ENVELOPE_FIELD_EXECUTION_KIND, "inference");
  set(event, ENVELOPE_FIELD_EXECUTION_SERVICE, "completions");
  set(event, ENVELOPE_FIELD_EXECUTION_OPERATION, "generate");
  set(event, ENVELOPE_FIELD_EXECUTION_TARGET, "model-of-some-size-and-version");
  set(event, ENVELOPE_FIELD_SCOPE_WORKSPACE, "workspace-of-a-team");
  set(event, ENVELOPE_FIELD_SCOPE_SESSION, "session-0123456789abcdef");
  set(event, ENVELOPE_FIELD_REQUESTED_GPU_CLASS, "large");
  envelope_event_set_long(event, ENVELOPE_FIELD_REQUESTED_GPU_COUNT, 2, NULL);
  envelope_event_set_long(event, ENVELOPE_FIELD_REQUESTED_TIMEOUT_MS, 30000, NULL);
  envelope_event_put_long(event, ENVELOPE_FIELD_REQUESTED_AMOUNTS, "tokens", ENVELOPE_TEXT, 4096,
                          NULL);
  envelope_event_put_text(event, ENVELOPE_FIELD_REQUESTED_PLACEMENT, "region", ENVELOPE_TEXT,
                          "eu-west", ENVELOPE_TEXT, NULL);
  envelope_event_put_text(event, ENVELOPE_FIELD_EXTENSIONS, "com.example.serving/priority",
                          ENVELOPE_TEXT, "{\"class\":\"interactive\",\"weight\":7}", ENVELOPE_TEXT,
                          NULL);
}

static void prepare_event(void *self, int64_t i) {
  const struct library *library = self;
  (void)i;
  build(library->event);
}

static void prepare_built(void *self, int64_t i) {
  struct library *library = self;
  library->event = library->built[i % BUILT];
}

static int emit(void *self) {
  const struct library *library = self;
  struct envelope_error error;
  int result = envelope_emit(library->producer, library->event, &error);
  if (result < 0) die("emit", error.text);
  return result;
}

static void on_notice(void *context, envelope_level level, const char *text) {
  (void)context;
  if (level != ENVELOPE_INFO) fprintf(stderr, "calls: %s\n", text);
}

static envelope_producer *open_producer(char **given) {
  struct envelope_error error;
  envelope_producer *producer;
  envelope_settings *settings = envelope_settings_new();
  envelope_settings_on_notice(settings, on_notice, NULL);
  envelope_settings_set(settings, "source", "urn:service:bench", NULL);
  for (; *given != NULL; given++) {
    char *equals = strchr(*given, '=');
    if (equals == NULL) die(*given, "is not NAME=VALUE");
    *equals = '\0';
    if (envelope_settings_set(settings, *given, equals + 1, &error) < 0) die(*given, error.text);
    *equals = '=';
  }
  if (envelope_producer_open(settings, &producer, &error) != ENVELOPE_OK) die("open", error.text);
  envelope_settings_free(settings);
  return producer;
}

static void emit_all(struct run *run) {
  struct library library = {.event = NULL};
  bool built = strcmp(run->mode, "built") == 0;
  struct caller caller = {
      .prepare = built ? prepare_built : prepare_event, .call = emit, .self = &library};
  for (int i = 0; i < BUILT; i++) {
    library.event = library.built[i] = envelope_event_new(ENVELOPE_ADMISSION);
    build(library.event);
  }
  library.producer = open_producer(run->settings);
  double cpu = cpu_s();
  int64_t start = now_ns();
  run_all(run, &caller);
  int result = run->rate > 0 ? ENVELOPE_OK : envelope_producer_flush(library.producer, 600000);
  print_end(run, start, cpu);
  if (strcmp(run->mode, "abandon") == 0) {
    fflush(stdout);
    raise(SIGKILL);
  }
  if (result != ENVELOPE_OK) die("flush", "not all was acknowledged");
  envelope_producer_close(library.producer, 0);
  for (int i = 0; i < BUILT; i++)
    envelope_event_free(library.built[i]);
}

// What lies in a spool. *first: until the first is acknowledged.
static void drain(struct run *run) {
  struct envelope_counts counts;
  double cpu = cpu_s();
  int64_t start = now_ns();
  envelope_producer *producer = open_producer(run->settings);
  double opened = (double)(now_ns() - start) / 1e9, first = -1;
  do {
    struct timespec pause = {.tv_nsec = 1000000};
    nanosleep(&pause, NULL);
    envelope_producer_counts(producer, &counts, sizeof counts);
    if (first < 0 && counts.acknowledged > 0) first = (double)(now_ns() - start) / 1e9;
  } while ((int64_t)counts.acknowledged < run->count);
  printf("{\"mode\":\"drain\",\"opened_s\":%.3f,\"first_s\":%.3f", opened, first);
  print_end(run, start, cpu);
  envelope_producer_close(producer, run->rate > 0 ? 0 : 10000);
}

// ---- By librdkafka alone.

struct bare {
  rd_kafka_t *rk;
  rd_kafka_topic_t *topic;
  char key[40], payload[PAYLOAD], seq[64];
  int64_t acknowledged;
};

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque) {
  (void)rk;
  if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) die("delivery", rd_kafka_err2str(message->err));
  ((struct bare *)opaque)->acknowledged++;
}

static void prepare_bare(void *self, int64_t i) {
  struct bare *bare = self;
  snprintf(bare->key, sizeof bare->key, "01a1ffdb-d866-7%03x-b900-%012" PRIx64,
           (unsigned)(i & 0xFFF), (uint64_t)i);
  snprintf(bare->seq, sizeof bare->seq, "host-9bfaea97:1795293960:%" PRId64, i);
  memcpy(bare->payload + 10, bare->key, 36);
  if (i % 64 == 0) rd_kafka_poll(bare->rk, 0);
}

static rd_kafka_headers_t *make_headers(const struct bare *bare) {
  const char *const headers[HEADERS][2] = {
      {"ce_specversion", "1.0"},
      {"ce_id", bare->key},
      {"ce_type", "envelope.admission.v1"},
      {"ce_source", "urn:service:bench"},
      {"ce_dataschema", "urn:avro:envelope.v1.Admission"},
      {"content-type", "application/avro"},
      {"ce_time", "2026-11-21T20:46:00.294677Z"},
      {"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
      {"seq", bare->seq}};
  rd_kafka_headers_t *made = rd_kafka_headers_new(HEADERS);
  for (int i = 0; i < HEADERS; i++)
    rd_kafka_header_add(made, headers[i][0], -1, headers[i][1], -1);
  return made;
}

static int produce(void *self) {
  struct bare *bare = self;
  rd_kafka_headers_t *headers = make_headers(bare);
  rd_kafka_resp_err_t code = rd_kafka_producev(
      bare->rk, RD_KAFKA_VTYPE_RKT, bare->topic, RD_KAFKA_VTYPE_MSGFLAGS, (int)RD_KAFKA_MSG_F_COPY,
      RD_KAFKA_VTYPE_KEY, bare->key, (size_t)36, RD_KAFKA_VTYPE_VALUE, bare->payload,
      sizeof bare->payload, RD_KAFKA_VTYPE_HEADERS, headers, RD_KAFKA_VTYPE_END);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return 0;
  rd_kafka_headers_destroy(headers);
  if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL) die("produce", rd_kafka_err2str(code));
  rd_kafka_poll(bare->rk, 1);
  return 1;
}

static void set_conf(rd_kafka_conf_t *conf, const char *name, const char *value) {
  char text[256];
  if (rd_kafka_conf_set(conf, name, value, text, sizeof text) != RD_KAFKA_CONF_OK) die(name, text);
}

// As the library sets it.
static rd_kafka_conf_t *bare_conf(char **given) {
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  set_conf(conf, "enable.idempotence", "true");
  set_conf(conf, "linger.ms", "5");
  set_conf(conf, "queue.buffering.max.kbytes", "65536");
  set_conf(conf, "message.timeout.ms", "0");
  set_conf(conf, "partitioner", "murmur2_random");
  set_conf(conf, "socket.nagle.disable", "true");
  for (; *given != NULL; given++) {
    char *value = strchr(*given, '=');
    if (value != NULL && strncmp(*given, "bootstrap=", 10) == 0) {
      set_conf(conf, "bootstrap.servers", value + 1);
    }
    char *property = strncmp(*given, "property=", 9) == 0 ? strchr(value + 1, '=') : NULL;
    if (property == NULL) continue;
    *property = '\0';
    set_conf(conf, value + 1, property + 1);
    *property = '=';
  }
  return conf;
}

static void produce_all(struct run *run) {
  char text[256];
  struct bare bare = {.acknowledged = 0};
  struct caller caller = {.prepare = prepare_bare, .call = produce, .self = &bare};
  memset(bare.payload, 'p', sizeof bare.payload);
  rd_kafka_conf_t *conf = bare_conf(run->settings);
  rd_kafka_conf_set_opaque(conf, &bare);
  rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
  bare.rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
  if (bare.rk == NULL) die("librdkafka", text);
  bare.topic = rd_kafka_topic_new(bare.rk, TOPIC, NULL);
  double cpu = cpu_s();
  int64_t start = now_ns();
  run_all(run, &caller);
  if (run->rate == 0) rd_kafka_flush(bare.rk, 600000);
  print_end(run, start, cpu);
  if (run->rate == 0 && bare.acknowledged != run->count) die("flush", "not all was acknowledged");
  rd_kafka_topic_destroy(bare.topic);
  rd_kafka_destroy(bare.rk);
}

// ---- By memcpy.

struct ring {
  char *bytes;
  size_t at;
  char record[PAYLOAD];
};

static void prepare_copy(void *self, int64_t i) {
  struct ring *ring = self;
  ring->at = (size_t)i * 512 % RING;
}

static int copy(void *self) {
  struct ring *ring = self;
  memcpy(ring->bytes + ring->at, ring->record, sizeof ring->record);
  return 0;
}

static void copy_all(struct run *run) {
  static struct ring ring;
  struct caller caller = {.prepare = prepare_copy, .call = copy, .self = &ring};
  ring.bytes = malloc(RING);
  if (ring.bytes == NULL) die("memory", "is out");
  memset(ring.bytes, 1, RING);
  double cpu = cpu_s();
  int64_t start = now_ns();
  run_all(run, &caller);
  print_end(run, start, cpu);
  free(ring.bytes);
}

int main(int argc, char **argv) {
  static struct run run;
  if (argc < 4)
    die("usage", "calls emit|built|abandon|produce|copy|drain RATE COUNT [NAME=VALUE...]");
  run.mode = argv[1];
  run.rate = strtod(argv[2], NULL);
  run.count = strtoll(argv[3], NULL, 10);
  run.settings = argv + 4;
  if (strcmp(run.mode, "emit") == 0 || strcmp(run.mode, "built") == 0 ||
      strcmp(run.mode, "abandon") == 0) {
    emit_all(&run);
  } else if (strcmp(run.mode, "produce") == 0) {
    produce_all(&run);
  } else if (strcmp(run.mode, "copy") == 0) {
    copy_all(&run);
  } else if (strcmp(run.mode, "drain") == 0) {
    drain(&run);
  } else {
    die(run.mode, "is none of emit, built, abandon, produce, copy, drain");
  }
  return 0;
}
