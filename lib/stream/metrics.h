// SPDX-License-Identifier: Apache-2.0
// Counters and gauges of one process, and their Prometheus text form.
#ifndef EE_STREAM_METRICS_H
#define EE_STREAM_METRICS_H

#include "base/buf.h"
#include "contract/catalogue.h"
#include "contract/reason.h"

#define EE_METRIC_PARTITIONS_MAX 1024

struct ee_partition_metrics {
  bool assigned;
  bool running;          // restored and stepping
  int64_t lag;           // input messages not yet stepped, over all input topics; -1 unknown
  int64_t clock_micros;  // the partition's clock; INT64_MIN: none yet
};

// Written by the runtime, read by whoever renders; one thread.
struct ee_metrics {
  const char *processor;
  uint64_t events[EE_TOPIC_COUNT];   // input records stepped
  uint64_t outputs[EE_TOPIC_COUNT];  // records produced
  uint64_t dead_letters[EE_REASON_COUNT];
  uint64_t transactions_committed;
  uint64_t transactions_aborted;
  uint64_t rebalances;
  uint64_t ticks_applied;
  uint64_t checkpoints;
  uint64_t checkpoints_failed;
  uint64_t restored_records;
  uint64_t waits_registry;  // turns in which a partition waited, by why
  uint64_t waits_policy;
  int64_t newest_append_micros;  // newest append time read: tick lag is this less the clock
  int64_t state_keys, state_memory_bytes, state_disk_bytes;
  int64_t partition_count;
  struct ee_partition_metrics partitions[EE_METRIC_PARTITIONS_MAX];
};

// Prometheus text exposition format 0.0.4, names envelope_<...> with the label
// processor; anonymous and shared memory of the process read from /proc.
void ee_metrics_render(const struct ee_metrics *metrics, struct ee_buf *out);

#endif
