// SPDX-License-Identifier: Apache-2.0
// Metrics as text for Prometheus: every series is there from the start, with 0, so that
// the first increase is seen as one.
#include "stream/metrics.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/time.h"

// ---- One family at a time: its head, then its series.

static void head(struct ee_buf *out, const char *name, const char *type, const char *help) {
  ee_buf_printf(out, "# HELP envelope_%s %s\n# TYPE envelope_%s %s\n", name, help, name, type);
}

// A series with the label processor and, unless NULL, another one.
static void series(struct ee_buf *out, const struct ee_metrics *metrics, const char *name,
                   const char *label, const char *value) {
  ee_buf_printf(out, "envelope_%s{processor=\"%s\"", name, metrics->processor);
  if (label != NULL) ee_buf_printf(out, ",%s=\"%s\"", label, value);
  ee_buf_text(out, "} ");
}

static void single(struct ee_buf *out, const struct ee_metrics *metrics, const char *name,
                   const char *type, const char *help, int64_t value) {
  head(out, name, type, help);
  series(out, metrics, name, NULL, NULL);
  ee_buf_printf(out, "%" PRId64 "\n", value);
}

static void per_topic(struct ee_buf *out, const struct ee_metrics *metrics, const char *name,
                      const char *help, const uint64_t values[EE_TOPIC_COUNT]) {
  head(out, name, "counter", help);
  for (int topic = 0; topic < EE_TOPIC_COUNT; topic++) {
    series(out, metrics, name, "topic", ee_topics[topic].name);
    ee_buf_printf(out, "%" PRIu64 "\n", values[topic]);
  }
}

// ---- Counters.

static void records(const struct ee_metrics *metrics, struct ee_buf *out) {
  per_topic(out, metrics, "events_total", "Input records stepped.", metrics->events);
  per_topic(out, metrics, "outputs_total", "Records produced.", metrics->outputs);
  head(out, "dead_letters_total", "counter", "Input records that could not be processed.");
  for (int reason = EE_ACCEPTED + 1; reason < EE_REASON_COUNT; reason++) {
    series(out, metrics, "dead_letters_total", "reason", ee_reason_name(reason));
    ee_buf_printf(out, "%" PRIu64 "\n", metrics->dead_letters[reason]);
  }
}

static void work(const struct ee_metrics *metrics, struct ee_buf *out) {
  head(out, "transactions_total", "counter", "Kafka transactions ended.");
  series(out, metrics, "transactions_total", "result", "committed");
  ee_buf_printf(out, "%" PRIu64 "\n", metrics->transactions_committed);
  series(out, metrics, "transactions_total", "result", "aborted");
  ee_buf_printf(out, "%" PRIu64 "\n", metrics->transactions_aborted);
  single(out, metrics, "rebalances_total", "counter", "Assignments taken.",
         (int64_t)metrics->rebalances);
  single(out, metrics, "ticks_applied_total", "counter", "Ticks applied.",
         (int64_t)metrics->ticks_applied);
  single(out, metrics, "checkpoints_total", "counter", "Checkpoints of the state store.",
         (int64_t)metrics->checkpoints);
  single(out, metrics, "checkpoints_failed_total", "counter",
         "Checkpoints that the disk did not take.", (int64_t)metrics->checkpoints_failed);
  single(out, metrics, "restored_records_total", "counter", "Changelog records read to restore.",
         (int64_t)metrics->restored_records);
  head(out, "waits_total", "counter", "Turns in which a partition waited.");
  series(out, metrics, "waits_total", "for", "registry");
  ee_buf_printf(out, "%" PRIu64 "\n", metrics->waits_registry);
  series(out, metrics, "waits_total", "for", "policy");
  ee_buf_printf(out, "%" PRIu64 "\n", metrics->waits_policy);
}

// ---- Partitions.

static int64_t partition_count(const struct ee_metrics *metrics) {
  return metrics->partition_count < EE_METRIC_PARTITIONS_MAX ? metrics->partition_count
                                                             : EE_METRIC_PARTITIONS_MAX;
}

// Writes the value and returns true, or false when this partition has none.
typedef bool partition_value(const struct ee_metrics *metrics, const struct ee_partition_metrics *,
                             struct ee_buf *out);

static void per_partition(struct ee_buf *out, const struct ee_metrics *metrics, const char *name,
                          const char *help, partition_value *value) {
  head(out, name, "gauge", help);
  for (int64_t i = 0; i < partition_count(metrics); i++) {
    char label[24];
    size_t before = out->size;
    if (!metrics->partitions[i].assigned) continue;
    snprintf(label, sizeof label, "%" PRId64, i);
    series(out, metrics, name, "partition", label);
    if (value(metrics, &metrics->partitions[i], out)) {
      ee_buf_byte(out, '\n');
    } else {
      out->size = before;
    }
  }
}

static void seconds(struct ee_buf *out, int64_t micros) {
  uint64_t size = micros < 0 ? -(uint64_t)micros : (uint64_t)micros;
  ee_buf_printf(out, "%s%" PRIu64 ".%06" PRIu64, micros < 0 ? "-" : "",
                size / (uint64_t)EE_MICROS_PER_S, size % (uint64_t)EE_MICROS_PER_S);
}

static bool running(const struct ee_metrics *metrics, const struct ee_partition_metrics *partition,
                    struct ee_buf *out) {
  (void)metrics;
  ee_buf_text(out, partition->running ? "1" : "0");
  return true;
}

static bool lag(const struct ee_metrics *metrics, const struct ee_partition_metrics *partition,
                struct ee_buf *out) {
  (void)metrics;
  ee_buf_printf(out, "%" PRId64, partition->lag);
  return partition->lag >= 0;
}

static bool clock_value(const struct ee_metrics *metrics,
                        const struct ee_partition_metrics *partition, struct ee_buf *out) {
  (void)metrics;
  seconds(out, partition->clock_micros);
  return partition->clock_micros != INT64_MIN;
}

static bool tick_lag(const struct ee_metrics *metrics, const struct ee_partition_metrics *partition,
                     struct ee_buf *out) {
  int64_t late;
  if (partition->clock_micros == INT64_MIN ||
      __builtin_sub_overflow(metrics->newest_append_micros, partition->clock_micros, &late)) {
    return false;
  }
  seconds(out, late < 0 ? 0 : late);
  return true;
}

static void partitions(const struct ee_metrics *metrics, struct ee_buf *out) {
  per_partition(out, metrics, "partition_running", "1: restored and stepping.", running);
  per_partition(out, metrics, "consumer_lag_records", "Input records not yet stepped.", lag);
  per_partition(out, metrics, "clock_seconds", "The partition's clock, since 1970.", clock_value);
  per_partition(out, metrics, "tick_lag_seconds",
                "Newest append time read less the partition's clock.", tick_lag);
}

// ---- Memory of the process.

// A line "Name:   123 kB" of /proc/self/status, in bytes; -1 when it is not there.
static int64_t status_bytes(const char *status, const char *name) {
  const char *line = strstr(status, name);
  int64_t kib;
  if (line == NULL || sscanf(line + strlen(name), " %" SCNd64, &kib) != 1) return -1;
  return kib * 1024;
}

static void process_memory(const struct ee_metrics *metrics, struct ee_buf *out) {
  char status[8192];
  int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  ssize_t size = read(fd, status, sizeof status - 1);
  close(fd);
  status[size < 0 ? 0 : size] = '\0';
  int64_t anonymous = status_bytes(status, "\nRssAnon:");
  int64_t shared = status_bytes(status, "\nRssShmem:");
  if (anonymous < 0 || shared < 0) return;
  head(out, "process_memory_bytes", "gauge", "Resident memory that is not cache of a file.");
  series(out, metrics, "process_memory_bytes", "kind", "anonymous");
  ee_buf_printf(out, "%" PRId64 "\n", anonymous);
  series(out, metrics, "process_memory_bytes", "kind", "shared");
  ee_buf_printf(out, "%" PRId64 "\n", shared);
}

void ee_metrics_render(const struct ee_metrics *metrics, struct ee_buf *out) {
  records(metrics, out);
  work(metrics, out);
  single(out, metrics, "state_keys", "gauge", "Keys of the state in memory.", metrics->state_keys);
  single(out, metrics, "state_memory_bytes", "gauge", "Memory of the state's working set.",
         metrics->state_memory_bytes);
  single(out, metrics, "state_disk_bytes", "gauge", "Size of the state on disk.",
         metrics->state_disk_bytes);
  partitions(metrics, out);
  process_memory(metrics, out);
}
