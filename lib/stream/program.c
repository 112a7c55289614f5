// SPDX-License-Identifier: Apache-2.0
// The common body of the processors' programs.
#include "stream/program.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/time.h"
#include "contract/ident.h"
#include "stream/http.h"
#include "stream/kafka_broker.h"
#include "stream/runtime.h"

#define PATH_SIZE 4096
#define NAME_SIZE 128
#define CHECKPOINT_INTERVAL_MS 1000
#define IDLE_WAIT_MS 20
// Of the session timeout: how long a stop may take to finish the batch, and then to leave. When
// the session has ended, another instance may have the partitions.
#define STOP_PERCENT 60
#define CLOSE_PERCENT 20
#define AT(FIELD) offsetof(struct ee_processor_settings, FIELD)

// jemalloc's: what is bounded is what the process holds, not what it uses. Its arenas (by
// default four to a core) and ten seconds of pages given back would be a third more.
extern const char *malloc_conf;
const char *malloc_conf = "narenas:1,dirty_decay_ms:500,muzzy_decay_ms:0";

// Of --memory, what the process takes whatever it does: code's data, threads, LMDB's lists and
// pages, librdkafka's requests. Of the rest a fifth is for what jemalloc has in pages beside
// what it has given out; what remains is shared out, half of it to the working set.
#define MEMORY_BASE (INT64_C(44) << 20)
#define USED_PERCENT 80

static int64_t memory_share(const struct ee_processor_settings *settings, int64_t part) {
  return (settings->memory_bytes - MEMORY_BASE) / 100 * USED_PERCENT / part;
}

static bool check_name(const char *text, struct ee_err *err) {
  if (text[0] != '\0' && strlen(text) < NAME_SIZE) return true;
  return ee_err_set(err, "1 to %d bytes are allowed", NAME_SIZE - 1);
}

// Of one character set with topic names, so that group/instance is no other pair's.
static bool check_instance(const char *text, struct ee_err *err) {
  static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  size_t size = strlen(text);
  if (size > 0 && size < NAME_SIZE && strspn(text, allowed) == size) return true;
  return ee_err_set(err, "\"%s\": 1 to %d letters, digits, '.', '_' and '-' are allowed", text,
                    NAME_SIZE - 1);
}

static bool check_directory(const char *text, struct ee_err *err) {
  return text[0] != '\0' || ee_err_set(err, "an empty path");
}

const struct ee_option ee_processor_options[] = {
    {.name = "group",
     .argument = "NAME",
     .type = EE_OPTION_TEXT,
     .offset = AT(group),
     .check = check_name,
     .doc = "Consumer group; default: the program's name. A new one starts from the beginning "
            "of the input topics."},
    {.name = "instance",
     .argument = "NAME",
     .type = EE_OPTION_TEXT,
     .offset = AT(instance),
     .check = check_instance,
     .doc = "Name of this instance, unique in its group: gives group.instance.id and, with the "
            "group, transactional.id. Default: made once and kept in the state directory."},
    {.name = "state-dir",
     .argument = "DIR",
     .type = EE_OPTION_TEXT,
     .offset = AT(state_directory),
     .check = check_directory,
     .doc = "Where state is kept on disk, one process at a time; default: "
            "envelope-state/GROUP. Losing it loses nothing: it is rebuilt from the log."},
    {.name = "memory",
     .argument = "SIZE",
     .type = EE_OPTION_SIZE,
     .offset = AT(memory_bytes),
     .fallback = "128MiB",
     .least = 64 << 20,
     .most = INT64_C(1) << 40,
     .doc = "Bound of what the process holds: anonymous and shared memory. A third of it or so is "
            "the working set; the rest is for queues and batches."},
    {.name = "http",
     .argument = "HOST:PORT",
     .type = EE_OPTION_TEXT,
     .offset = AT(http),
     .check = ee_http_check,
     .doc = "Where /metrics, /healthz and /readyz are served; port 0 takes a free one and logs "
            "it. Default: not served."},
    {.name = "drain",
     .type = EE_OPTION_FLAG,
     .offset = AT(drain),
     .doc = "Process what is there now, commit, and exit with status 0. Ticks that are there are "
            "applied, none is written."},
    {.name = "commit-interval",
     .argument = "DURATION",
     .type = EE_OPTION_DURATION,
     .offset = AT(commit_interval_ms),
     .fallback = "20ms",
     .least = 1,
     .most = 5000,
     .doc = "Longest time a transaction stays open before it is committed."},
    {.name = "tick-interval",
     .argument = "DURATION",
     .type = EE_OPTION_DURATION,
     .offset = AT(tick_interval_ms),
     .fallback = "1s",
     .least = 100,
     .most = 60000,
     .doc = "How often a tick is written for each partition held, unless a younger one was read."},
    {.name = "policy-margin",
     .argument = "DURATION",
     .type = EE_OPTION_DURATION,
     .offset = AT(policy_margin_ms),
     .fallback = "10s",
     .least = 100,
     .most = 600000,
     .doc = "A policy version takes effect this long after it was appended at the earliest. The "
            "brokers' clocks must agree to within half of it. The same for all instances."},
    {.name = "transaction-timeout",
     .argument = "DURATION",
     .type = EE_OPTION_DURATION,
     .offset = AT(transaction_timeout_ms),
     .fallback = "10s",
     .least = 1000,
     .most = 900000,
     .doc = "transaction.timeout.ms: a frozen instance holds up every read_committed reader for "
            "this long."},
    {.name = "session-timeout",
     .argument = "DURATION",
     .type = EE_OPTION_DURATION,
     .offset = AT(session_timeout_ms),
     .fallback = "10s",
     .least = 1000,
     .most = 900000,
     .doc = "session.timeout.ms: after this long without a sign of life the group gives this "
            "instance's partitions to others."},
    {.name = "accept-truncated",
     .type = EE_OPTION_FLAG,
     .offset = AT(accept_truncated),
     .doc = "Read on where retention has cut logs beyond what the group has read, or begin there."},
    {.name = NULL}};

static volatile sig_atomic_t stop_signal;

// The first signal asks the loop to stop; a second, of either kind, finds the default action
// and ends the process.
static void on_signal(int number) {
  signal(SIGTERM, SIG_DFL);
  signal(SIGINT, SIG_DFL);
  stop_signal = number;
}

static void watch_signals(void) {
  struct sigaction action = {.sa_handler = on_signal};
  sigemptyset(&action.sa_mask);
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  signal(SIGPIPE, SIG_IGN);
}

struct program {
  const struct ee_processor_program *face;
  struct ee_processor_settings *settings;
  char directory[PATH_SIZE];
  char cache[PATH_SIZE];
  char group[NAME_SIZE], instance[NAME_SIZE];
  struct ee_processor processor;
  struct ee_codec_set codecs;
  struct ee_store *store;
  struct ee_broker *broker;
  struct ee_runtime *runtime;
  struct ee_http *http;
  struct ee_metrics metrics;
};

static bool place(struct program *p, struct ee_err *err) {
  const struct ee_processor_settings *s = p->settings;
  snprintf(p->group, sizeof p->group, "%s", s->group != NULL ? s->group : p->face->name);
  int size = s->state_directory != NULL
                 ? snprintf(p->directory, sizeof p->directory, "%s", s->state_directory)
                 : snprintf(p->directory, sizeof p->directory, "envelope-state/%s", p->group);
  int cache = snprintf(p->cache, sizeof p->cache, "%s/schemas", p->directory);
  if (size < 0 || cache < 0 || (size_t)cache >= sizeof p->cache) {
    return ee_err_set(err, "--state-dir: the path is too long");
  }
  return ee_dir_make(p->directory, err) || ee_err_prefix(err, "--state-dir");
}

// The instance's name: given, or made once and kept beside the state.
static bool name_instance(struct program *p, struct ee_err *err) {
  if (p->settings->instance != NULL) {
    snprintf(p->instance, sizeof p->instance, "%s", p->settings->instance);
    return true;
  }
  char path[PATH_SIZE + 16];
  snprintf(path, sizeof path, "%s/instance", p->directory);
  struct ee_buf kept;
  ee_buf_init(&kept, EE_UUID_SIZE);
  bool good = true;
  if (access(path, F_OK) == 0) {
    good = ee_file_read(path, &kept, err);
  } else {
    char made[EE_UUID_SIZE];
    ee_uuid7_now(made);
    ee_buf_text(&kept, made);
    good = ee_file_replace(path, ee_buf_bytes(&kept), err);
  }
  if (good && kept.size < sizeof p->instance) memcpy(p->instance, kept.data, kept.size);
  if (good && !check_instance(p->instance, NULL)) {
    good = ee_err_set(err, "%s does not hold an instance name; delete it", path);
  }
  ee_buf_release(&kept);
  return good || ee_err_prefix(err, "--state-dir");
}

// What stored values mean: another build of the records means another format.
static uint64_t store_format(const struct ee_processor_ops *ops) {
  uint64_t format = UINT64_C(14695981039346656037);  // FNV-1a over the fingerprints
  for (size_t i = 0; i < ops->changelog_count; i++) {
    uint64_t fingerprint = ee_topics[ops->changelogs[i].topic].value->fingerprint;
    for (int byte = 0; byte < 8; byte++) {
      format = (format ^ ((fingerprint >> (8 * byte)) & 0xff)) * UINT64_C(1099511628211);
    }
  }
  return format;
}

static bool open_store(struct program *p, struct ee_err *err) {
  char path[PATH_SIZE + 16];
  snprintf(path, sizeof path, "%s/store", p->directory);
  struct ee_store_settings settings = {.directory = path,
                                       .memory_bytes = memory_share(p->settings, 2),
                                       .format = store_format(p->processor.ops),
                                       .changelog_count = p->processor.ops->changelog_count};
  const char *emptied = NULL;
  if (!ee_dir_make(path, err) || !ee_store_open(&settings, &p->store, &emptied, err)) {
    return ee_err_prefix(err, "--state-dir");
  }
  if (emptied != NULL) {
    ee_log(EE_INFO, "the local store is rebuilt from the changelogs",
           EE_LOG_WITH(EE_LOG_S("why", ee_str(emptied))));
  }
  return true;
}

static bool open_broker(struct program *p, struct ee_err *err) {
  const struct ee_processor_settings *s = p->settings;
  struct ee_kafka_settings kafka = {.bootstrap = s->client.bootstrap,
                                    .topic_prefix = s->client.topic_prefix,
                                    .properties = &s->client.properties,
                                    .group = p->group,
                                    .instance = p->instance,
                                    .transaction_timeout_ms = s->transaction_timeout_ms,
                                    .session_timeout_ms = s->session_timeout_ms,
                                    .memory_bytes = memory_share(s, 4)};
  return ee_kafka_broker_new(&kafka, &p->broker, err);
}

static bool open_runtime(struct program *p, struct ee_err *err) {
  const struct ee_processor_settings *s = p->settings;
  struct ee_runtime_settings settings = {.commit_interval_ms = s->commit_interval_ms,
                                         .checkpoint_interval_ms = CHECKPOINT_INTERVAL_MS,
                                         .batch_bytes = memory_share(s, 16),
                                         .checkpoint_bytes = memory_share(s, 16),
                                         .queue_bytes = memory_share(s, 8),
                                         .tick_interval_ms = s->drain ? 0 : s->tick_interval_ms,
                                         .policy_margin_ms = s->policy_margin_ms,
                                         .drain = s->drain,
                                         .accept_truncated = s->accept_truncated};
  return ee_runtime_new(&p->processor, p->broker, p->store, p->codecs.codec, &p->metrics, &settings,
                        &p->runtime, err);
}

static void render_metrics(void *context, struct ee_buf *out) {
  struct program *p = context;
  ee_metrics_render(&p->metrics, out);
}

static bool is_ready(void *context, struct ee_err *why_not) {
  struct program *p = context;
  return ee_runtime_ready(p->runtime, why_not);
}

static bool open_http(struct program *p, struct ee_err *err) {
  if (p->settings->http == NULL) return true;
  struct ee_http_source source = {.context = p, .metrics = render_metrics, .ready = is_ready};
  if (!ee_http_new(p->settings->http, &source, &p->http, err)) {
    return ee_err_prefix(err, "--http");
  }
  ee_log(EE_INFO, "serves /metrics, /healthz and /readyz",
         EE_LOG_WITH(EE_LOG_I("port", ee_http_port(p->http))));
  return true;
}

static bool open_all(struct program *p, struct ee_err *err) {
  if (!place(p, err) || !name_instance(p, err)) return false;
  ee_client_log(p->face->name, p->instance, &p->settings->client);
  return ee_codec_set_init(&p->codecs, &p->settings->client, p->cache, err) && open_store(p, err) &&
         open_broker(p, err) && open_runtime(p, err) && open_http(p, err);
}

// Turns the runtime until it is done, has failed, or the deadline after a signal passes.
static enum ee_runtime_state loop(struct program *p, struct ee_err *err) {
  int64_t deadline_ms = INT64_MAX;
  bool busy = false;
  for (;;) {
    int64_t now_ms = ee_clock_monotonic_ms();
    if (stop_signal != 0 && deadline_ms == INT64_MAX) {
      ee_log(EE_INFO, "stops: finishes its batch", NULL);
      deadline_ms = now_ms + p->settings->session_timeout_ms * STOP_PERCENT / 100;
      ee_runtime_stop(p->runtime);
    }
    enum ee_runtime_state state =
        ee_runtime_turn(p->runtime, now_ms, ee_clock_wall_micros() / EE_MICROS_PER_MS,
                        busy ? 0 : IDLE_WAIT_MS, &busy, err);
    if (state != EE_RUNTIME_RUNNING) return state;
    if (p->codecs.registry != NULL) ee_registry_turn(p->codecs.registry, now_ms);
    if (p->http != NULL) ee_http_turn(p->http);
    if (now_ms > deadline_ms) {
      ee_err_set(err,
                 "the stop took longer than its deadline; nothing is lost, the open "
                 "transaction will be aborted");
      return EE_RUNTIME_FAILED;
    }
  }
}

static void close_all(struct program *p) {
  ee_http_free(p->http);
  ee_runtime_free(p->runtime);
  if (p->broker != NULL) {
    p->broker->ops->close(p->broker, (int)(p->settings->session_timeout_ms * CLOSE_PERCENT / 100));
  }
  ee_store_close(p->store);
  ee_codec_set_release(&p->codecs);
}

static int run(struct program *p) {
  struct ee_err err = {.text = ""};
  // Where the kernel gives huge pages unasked, what is touched once would count as two megabytes.
  prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
  watch_signals();
  bool opened = open_all(p, &err);
  enum ee_runtime_state state = opened ? loop(p, &err) : EE_RUNTIME_FAILED;
  if (state == EE_RUNTIME_FAILED) ee_log(EE_ERROR, err.text, NULL);
  if (state == EE_RUNTIME_DONE) ee_log(EE_INFO, "done: everything is committed", NULL);
  close_all(p);
  return state == EE_RUNTIME_DONE ? 0 : 1;
}

static int wrong_usage(const struct ee_processor_program *face, const struct ee_err *err) {
  fprintf(stderr, "%s: %s\n", face->name, err->text);
  return 2;
}

static int make_and_run(const struct ee_processor_program *face, void *settings) {
  struct program *p = calloc(1, sizeof *p);
  if (p == NULL) return 1;
  p->face = face;
  p->settings = settings;
  struct ee_err err;
  ee_client_log(face->name, NULL, &p->settings->client);
  int status = face->make(settings, &p->processor, &err) ? run(p) : wrong_usage(face, &err);
  free(p);
  return status;
}

int ee_processor_main(const struct ee_processor_program *face, void *settings, int argc,
                      char **argv) {
  static const struct ee_option none[] = {{.name = NULL}};
  const struct ee_option *tables[] = {ee_client_options, ee_processor_options,
                                      face->options != NULL ? face->options : none, NULL};
  struct ee_command command = {
      .program = face->name, .purpose = face->purpose, .usage = "", .tables = tables};
  struct ee_err err;
  int operands, status = 0;
  switch (ee_options_read(&command, argc, argv, settings, &operands, &err)) {
    case EE_OPTIONS_PRINTED:
      break;
    case EE_OPTIONS_WRONG:
      status = wrong_usage(face, &err);
      break;
    case EE_OPTIONS_OK:
      status = make_and_run(face, settings);
      ee_options_release(&command, settings);
      break;
  }
  return status;
}
