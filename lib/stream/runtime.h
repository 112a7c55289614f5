// SPDX-License-Identifier: Apache-2.0
// The runtime: carries one processor over a broker, exactly once. One thread, no hidden
// clock: time enters through ee_runtime_turn.
//
// Order at assignment (design, section 5): EE_OP_INIT has ended; committed offsets;
// high watermark of each changelog partition; changelogs read read_committed up to it;
// the policy read to its end; then the first step.
#ifndef EE_STREAM_RUNTIME_H
#define EE_STREAM_RUNTIME_H

#include "stream/broker.h"
#include "stream/metrics.h"
#include "stream/processor.h"
#include "stream/store.h"
#include "wire/codec.h"

struct ee_runtime_settings {
  int64_t commit_interval_ms;
  int64_t checkpoint_interval_ms;
  int64_t batch_bytes;       // of outputs in one transaction
  int64_t checkpoint_bytes;  // of changes that make one due; at twice as many, steps wait for it
  int64_t queue_bytes;       // of records read and not yet stepped: beyond, the fullest wait
  int64_t tick_interval_ms;  // 0: writes none (drain, envelope-local)
  int64_t policy_margin_ms;
  bool drain;  // stop when everything that was there at the start is done
  bool accept_truncated;
};

struct ee_runtime;

enum ee_runtime_state {
  EE_RUNTIME_RUNNING,
  EE_RUNTIME_DONE,    // drained or stopped: everything committed
  EE_RUNTIME_FAILED,  // err says why; nothing half-written
};

// Borrows all; they outlive the runtime.
bool ee_runtime_new(const struct ee_processor *processor, struct ee_broker *broker,
                    struct ee_store *store, struct ee_codec *codec, struct ee_metrics *metrics,
                    const struct ee_runtime_settings *settings, struct ee_runtime **ret,
                    struct ee_err *err);
// One turn: polls the broker for at most wait_ms, steps what can be stepped, moves
// transactions on. now_ms is monotonic, wall_ms is for the checkpoint's age alone.
// *ret_busy: there is more to do at once.
enum ee_runtime_state ee_runtime_turn(struct ee_runtime *runtime, int64_t now_ms, int64_t wall_ms,
                                      int wait_ms, bool *ret_busy, struct ee_err *err);
// Finish the batch, commit, checkpoint, and be DONE.
void ee_runtime_stop(struct ee_runtime *runtime);
// True when assigned partitions run (readiness); why_not is one line for people.
bool ee_runtime_ready(const struct ee_runtime *runtime, struct ee_err *why_not);
// Gives held messages back to the broker, so before that is closed. An operation may
// still be pending only if the process is about to end.
void ee_runtime_free(struct ee_runtime *runtime);

#endif
