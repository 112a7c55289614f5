// SPDX-License-Identifier: Apache-2.0
// envelope-local's parts: the settings, the pipeline over the embedded log, and what is put
// into and read out of it.
#ifndef EE_TOOLS_LOCAL_H
#define EE_TOOLS_LOCAL_H

#include <jansson.h>
#include <stdio.h>

#include "accounting/accounting.h"
#include "base/arena.h"
#include "governance/governance.h"
#include "join/join.h"
#include "stream/embedded_broker.h"
#include "stream/runtime.h"

#define PROCESSORS 3

struct local_settings {
  const char *out;
  bool json;
  bool load;
  bool accept_truncated;
  int64_t partitions;
  int64_t memory_bytes;
  int64_t tick_ms;
  const char *until;
  int64_t until_ms;  // if until was given
  int64_t policy_margin_ms;
  const char *topic_prefix;
  const char *schema_directory;
  struct ee_properties deadlines;
  struct ee_join_settings join;
  struct ee_governance_settings governance;
  struct ee_accounting_settings accounting;
};

struct instance {
  struct ee_processor processor;
  struct ee_broker *broker;
  struct ee_store *store;
  struct ee_metrics metrics;
  struct ee_runtime *runtime;
  bool done;
};

struct local {
  const struct local_settings *settings;
  struct ee_cluster *cluster;
  struct ee_known *known;
  struct ee_codec *codec;
  struct instance instances[PROCESSORS];
  struct ee_arena arena;
  const char *path;  // of the input, for messages
  uint64_t line;     // number of the line at hand, from 1
  size_t refused;    // lines passed over
  int64_t first_ms;  // append time of the first event; INT64_MIN: none
  int64_t next_tick_ms;
  int64_t last_tick_ms;  // append time of the newest tick; INT64_MIN: none
};

// pipeline.c
bool local_open(struct local *local, const struct local_settings *settings, const char *prefix,
                struct ee_err *err);
void local_close(struct local *local);
// Runs the three processors until everything that is there has been done.
bool local_run(struct local *local, struct ee_err *err);
// Appends Avro data under the framing of its topic. partition -1: by key.
bool local_append(struct local *local, enum ee_topic topic, int32_t partition, struct ee_bytes key,
                  struct ee_bytes avro, struct ee_err *err);

// input.c
// Takes a line: absent when it is longer than allowed. False: the run is over.
typedef bool local_take_line(struct local *local, struct ee_str line, struct ee_err *err);
// Gives each line that is not blank, without its newline and of at most `most` bytes; the arena
// is cleared behind each. Errors begin with the input's name and the line's number.
bool local_each_line(struct local *local, FILE *in, size_t most, local_take_line *take,
                     struct ee_err *err);

// feed.c
// Reads JSON lines into the log; a line that is none is logged with its number and passed
// over. False: the input cannot be read, the log is full, or time would go on without end.
bool local_feed(struct local *local, FILE *in, struct ee_err *err);
// Two ticks at the end of the time.
bool local_end(struct local *local, struct ee_err *err);

// load.c
// Reads records in the printed form of `envelopectl cat --raw`, at their own offsets and
// append times.
bool local_load(struct local *local, FILE *in, struct ee_err *err);
// One such line, appended as if just produced: for records that are no events.
bool local_append_raw(struct local *local, const json_t *line, struct ee_err *err);

// write.c
// False: the directory cannot take an output, since it holds something already.
bool local_out_is_free(const char *directory, struct ee_err *err);
// Derived topics as JSON lines, one file each.
bool local_write(struct local *local, const char *directory, struct ee_err *err);

// report.c
bool local_report(struct local *local, FILE *out, struct ee_err *err);

#endif
