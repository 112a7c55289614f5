// SPDX-License-Identifier: Apache-2.0
// Simulations of the real runtime and the real processors, by seed.
//
// A failure prints its seed and the shortest plan that still fails; --seed runs one seed
// alone, with its plan.
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/option.h"
#include "base/time.h"
#include "tests/simulate/world.h"

#define ENVELOPES_IN_POOL 300
#define WORKERS_MAX 64

struct settings {
  int64_t seeds;
  int64_t first;
  int64_t seed;  // 0: a range
  int64_t workers;
  const char *directory;
};

#define AT(FIELD) offsetof(struct settings, FIELD)

static const struct ee_option options[] = {
    {.name = "seeds",
     .argument = "N",
     .type = EE_OPTION_COUNT,
     .offset = AT(seeds),
     .fallback = "1000",
     .least = 1,
     .most = INT64_C(1) << 40,
     .doc = "How many seeds."},
    {.name = "first",
     .argument = "N",
     .type = EE_OPTION_COUNT,
     .offset = AT(first),
     .fallback = "1",
     .least = 1,
     .most = INT64_C(1) << 40,
     .doc = "The first seed."},
    {.name = "seed",
     .argument = "N",
     .type = EE_OPTION_COUNT,
     .offset = AT(seed),
     .fallback = "0",
     .least = 0,
     .most = INT64_C(1) << 41,
     .doc = "Unless 0, runs this seed alone, and prints its plan and what the processors log."},
    {.name = "workers",
     .argument = "N",
     .type = EE_OPTION_COUNT,
     .offset = AT(workers),
     .fallback = "0",
     .least = 0,
     .most = WORKERS_MAX,
     .doc = "Processes that share the seeds; 0: one a processor core."},
    {.name = "directory",
     .argument = "DIR",
     .type = EE_OPTION_TEXT,
     .offset = AT(directory),
     .fallback = "/dev/shm",
     .doc = "Where the stores are made, in a directory that is removed."},
    {.name = NULL}};

struct bench {
  struct ee_known *known;
  struct ee_codec *codec;
  struct pool pool;
  char directory[128];
};

static void open_bench(struct bench *bench, const char *parent, int64_t worker) {
  struct ee_err err;
  snprintf(bench->directory, sizeof bench->directory, "%s/envelope-simulate-%ld-%lld", parent,
           (long)getpid(), (long long)worker);
  if (!ee_known_new(NULL, &bench->known, &err) ||
      !ee_codec_new(bench->known, NULL, "", &bench->codec, &err) ||
      !ee_dir_make(bench->directory, &err)) {
    fprintf(stderr, "simulate: %s\n", err.text);
    exit(1);
  }
  pool_make(&bench->pool, bench->codec, ENVELOPES_IN_POOL);
}

static void close_bench(struct bench *bench) {
  char command[160];
  pool_free(&bench->pool);
  ee_codec_free(bench->codec);
  ee_known_free(bench->known);
  snprintf(command, sizeof command, "rm -rf '%s'", bench->directory);
  if (system(command) != 0) fprintf(stderr, "simulate: %s was not removed\n", bench->directory);
}

static bool run(struct bench *bench, const struct plan *plan, FILE *details, struct ee_err *err) {
  return world_run(plan, &bench->pool, bench->codec, bench->directory, details, err);
}

// Leaves out, one by one, the faults that the failure does not need.
static void shorten(struct bench *bench, struct plan *plan, struct ee_err *err) {
  for (size_t i = plan->fault_count; i > 0; i--) {
    struct plan shorter = *plan;
    struct ee_err why;
    shorter.left_out |= UINT32_C(1) << (i - 1);
    if (run(bench, &shorter, NULL, &why)) continue;
    *plan = shorter;
    *err = why;
  }
}

static bool run_seed(struct bench *bench, uint64_t seed) {
  struct plan plan;
  struct ee_err err = {.text = ""};
  plan_make(&plan, seed);
  if (run(bench, &plan, NULL, &err)) return true;
  shorten(bench, &plan, &err);
  flockfile(stdout);
  plan_print(&plan, stdout);
  printf("  %s\n", err.text);
  fflush(stdout);
  funlockfile(stdout);
  return false;
}

static int run_alone(const struct settings *settings) {
  struct bench bench;
  struct plan plan;
  struct ee_err err = {.text = ""};
  open_bench(&bench, settings->directory, 0);
  plan_make(&plan, (uint64_t)settings->seed);
  plan_print(&plan, stdout);
  fflush(stdout);
  bool good = run(&bench, &plan, stdout, &err);
  printf("%s\n", good ? "as undisturbed" : err.text);
  close_bench(&bench);
  return good ? 0 : 1;
}

// Every workers-th seed. The exit status says whether one failed.
static int work(const struct settings *settings, int64_t worker, int64_t workers, int64_t *at) {
  struct bench bench;
  bool good = true;
  if (freopen("/dev/null", "w", stderr) == NULL) return 1;  // what the processors log
  open_bench(&bench, settings->directory, worker);
  for (int64_t i = worker; good && i < settings->seeds; i += workers) {
    *at = settings->first + i;
    good = run_seed(&bench, (uint64_t)*at);
  }
  close_bench(&bench);
  return good ? 0 : 1;
}

static int run_all(const struct settings *settings) {
  int64_t workers = settings->workers;
  pid_t children[WORKERS_MAX];
  bool good = true;
  if (workers == 0) workers = sysconf(_SC_NPROCESSORS_ONLN);
  if (workers > WORKERS_MAX) workers = WORKERS_MAX;
  int64_t began_ms = ee_clock_monotonic_ms();
  int64_t *seeds = mmap(NULL, WORKERS_MAX * sizeof *seeds, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (seeds == MAP_FAILED) {
    fprintf(stderr, "simulate: %s\n", strerror(errno));
    return 1;
  }
  for (int64_t i = 0; i < workers; i++) {
    children[i] = fork();
    if (children[i] == 0) {
      int status = work(settings, i, workers, &seeds[i]);
      fflush(stdout);
      _exit(status);
    }
    if (children[i] < 0) {
      fprintf(stderr, "simulate: %s\n", strerror(errno));
      return 1;
    }
  }
  for (int64_t i = 0; i < workers; i++) {
    int status;
    waitpid(children[i], &status, 0);
    if (WIFSIGNALED(status)) {
      printf("seed %lld: ended by signal %d\n", (long long)seeds[i], WTERMSIG(status));
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) good = false;
  }
  int64_t spent_ms = ee_clock_monotonic_ms() - began_ms;
  if (spent_ms < 1) spent_ms = 1;
  printf("%lld seeds from %lld, %lld a second: %s\n", (long long)settings->seeds,
         (long long)settings->first, (long long)(settings->seeds * 1000 / spent_ms),
         good ? "each came out as undisturbed" : "FAILED");
  return good ? 0 : 1;
}

int main(int argc, char **argv) {
  static struct settings settings;
  static const struct ee_option *const tables[] = {options, NULL};
  static const struct ee_command command = {
      .program = "simulate",
      .purpose = "Simulates the processors through everything that can happen to them.",
      .usage = "",
      .tables = tables};
  struct ee_err err = {.text = ""};
  int operands;
  switch (ee_options_read(&command, argc, argv, &settings, &operands, &err)) {
    case EE_OPTIONS_PRINTED:
      return 0;
    case EE_OPTIONS_WRONG:
      fprintf(stderr, "simulate: %s\n", err.text);
      return 2;
    case EE_OPTIONS_OK:
      break;
  }
  int status = settings.seed > 0 ? run_alone(&settings) : run_all(&settings);
  ee_options_release(&command, &settings);
  return status;
}
