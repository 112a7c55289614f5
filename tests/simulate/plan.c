// SPDX-License-Identifier: Apache-2.0
// Plans from seeds.
#include "tests/simulate/plan.h"

#include <stdlib.h>
#include <string.h>

#include "tools/traffic/random.h"

static const struct {
  const char *name;
  int most;  // of number; 0: it has none
} kinds[FAULT_KINDS] = {
    [FAULT_CRASH] = {"dies before its call", 60},
    [FAULT_CRASH_AFTER] = {"dies after its call", 60},
    [FAULT_STOP] = {"is told to stop", 0},
    [FAULT_START] = {"starts", 0},
    [FAULT_TWIN] = {"starts with the name of slot 0", 0},
    [FAULT_FREEZE] = {"is frozen for turns", 80},
    [FAULT_FREEZE_EXPIRED] = {"is frozen and given up, for turns", 80},
    [FAULT_EXPIRE] = {"is given up by the cluster", 0},
    [FAULT_EXPIRE_TRANSACTION] = {"has its transaction expire", 0},
    [FAULT_COMMIT_DONE_UNKNOWN] = {"commits, and does not hear of it", 0},
    [FAULT_COMMIT_UNDONE_UNKNOWN] = {"does not commit, and does not hear of it", 0},
    [FAULT_COMMIT_REFUSED] = {"has a commit refused", 0},
    [FAULT_ABORT_UNKNOWN] = {"aborts, and does not hear of it", 0},
    [FAULT_BEGIN_UNKNOWN] = {"cannot begin a transaction", 0},
    [FAULT_PRODUCE_ABORTS] = {"must abort while producing", 0},
    [FAULT_PUSH_BACK] = {"finds the queue full, calls", 20},
    [FAULT_DELAY] = {"hears replies late, by polls", 12},
    [FAULT_AWAY] = {"has no brokers for polls", 20},
    [FAULT_TICKS_LOST] = {"loses ticks", 4},
    [FAULT_TICK_REPEATED] = {"a tick is written again, back", 6},
    [FAULT_STORE_LOST] = {"dies and loses its store", 0},
    [FAULT_STORE_CORRUPT] = {"dies, bytes of its store change", 40},
    [FAULT_STORE_STALE] = {"dies, an older copy of its store comes back", 0},
    [FAULT_STORE_FOREIGN] = {"dies, and comes back with the store of slot", SLOTS},
    [FAULT_MEMORY] = {"is short of memory for turns", 30},
    [FAULT_DISK] = {"cannot write to its disk for turns", 60},
    [FAULT_RETENTION] = {"input logs are cut", 0},
};
static const char *const processors[PROCESSORS] = {"join", "governance", "accounting"};

static const char *const error_kinds[ERROR_KINDS] = {"none", "allocation", "call", "full"};

void plan_make(struct plan *plan, uint64_t seed) {
  struct random random = {.state = seed * 2 + 1};
  *plan = (struct plan){.seed = seed};
  plan->partitions = 1 + (int)random_below(&random, 3);
  plan->disk = random_chance(&random, 500);
  plan->retires = random_chance(&random, 250);
  plan->envelopes = 2 + (size_t)random_below(&random, 9);
  plan->fault_count = (size_t)random_below(&random, FAULTS_MAX + 1);
  for (size_t i = 0; i < plan->fault_count; i++) {
    struct fault *fault = &plan->faults[i];
    fault->kind = (enum fault_kind)random_below(&random, FAULT_KINDS);
    fault->turn = (int)random_below(&random, TURNS);
    fault->processor = (int)random_below(&random, PROCESSORS);
    fault->slot = random_chance(&random, 600) ? 0 : (int)random_below(&random, SLOTS);
    int most = kinds[fault->kind].most;
    fault->number = most == 0 ? 0 : 1 + (int)random_below(&random, most);
  }
}

void plan_make_calm(struct plan *plan, uint64_t seed, const struct error *error) {
  static const enum fault_kind ends[] = {FAULT_STOP, FAULT_CRASH, FAULT_STORE_LOST};
  plan_make(plan, seed);
  plan->disk = true;
  plan->envelopes = 8 + plan->envelopes % 3;
  plan->error = *error;
  plan->fault_count = 0;
  for (int i = 0; i < PROCESSORS * 3; i++) {
    int turn = TURNS / 4 * (1 + i / PROCESSORS) + i % PROCESSORS;
    plan->faults[plan->fault_count++] = (struct fault){
        .kind = ends[i / PROCESSORS], .turn = turn, .processor = i % PROCESSORS, .number = 1};
  }
}

void error_print(const struct error *error, char out[ERROR_TEXT_SIZE]) {
  snprintf(out, ERROR_TEXT_SIZE, "%s:%zu%s", error_kinds[error->kind], error->number,
           error->on ? "+" : "");
}

bool error_parse(const char *text, struct error *ret) {
  for (int kind = ERROR_NONE + 1; kind < ERROR_KINDS; kind++) {
    size_t size = strlen(error_kinds[kind]);
    char *end;
    if (strncmp(text, error_kinds[kind], size) != 0 || text[size] != ':') continue;
    size_t number = strtoull(text + size + 1, &end, 10);
    *ret = (struct error){.kind = (enum error_kind)kind, .number = number, .on = *end == '+'};
    return true;
  }
  return false;
}

void plan_print(const struct plan *plan, FILE *out) {
  fprintf(out, "seed %llu: %d partition(s), %zu envelopes%s, stores %s\n",
          (unsigned long long)plan->seed, plan->partitions, plan->envelopes,
          plan->retires ? " that retire" : "", plan->disk ? "on disk" : "in memory");
  if (plan->error.kind != ERROR_NONE) {
    char error[ERROR_TEXT_SIZE];
    error_print(&plan->error, error);
    fprintf(out, "  an error inside; alone: --seed %llu --error %s\n",
            (unsigned long long)plan->seed, error);
  }
  for (int turn = 0; turn < TURNS; turn++) {
    for (size_t i = 0; i < plan->fault_count; i++) {
      const struct fault *fault = &plan->faults[i];
      if (fault->turn != turn || (plan->left_out >> i & 1) != 0) continue;
      fprintf(out, "  turn %3d  %s %d %s", turn, processors[fault->processor], fault->slot,
              kinds[fault->kind].name);
      if (kinds[fault->kind].most > 0) fprintf(out, " %d", fault->number);
      fputc('\n', out);
    }
  }
}
