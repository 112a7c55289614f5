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

// Where there are sanitizers.
void __sanitizer_set_report_fd(void *fd) __attribute__((weak));
int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

#define ENVELOPES_IN_POOL 300
#define WORKERS_MAX 64

struct settings {
  int64_t seeds;
  int64_t first;
  int64_t seed;  // 0: a range
  int64_t workers;
  int64_t errors;  // stride; 0: faults instead
  const char *error;
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
    {.name = "errors",
     .argument = "STRIDE",
     .type = EE_OPTION_COUNT,
     .offset = AT(errors),
     .fallback = "0",
     .least = 0,
     .most = INT64_C(1) << 40,
     .doc = "Unless 0, errors inside instead of faults from without: in a run of each seed each "
            "STRIDE-th allocation fails, once or from then on, likewise each STRIDE-th call on a "
            "store, and each that finds no room. Seed S begins with the (S % STRIDE)-th."},
    {.name = "error",
     .argument = "ERROR",
     .type = EE_OPTION_TEXT,
     .offset = AT(error),
     .doc = "With --seed, this error alone, as a failure prints it: allocation, call or full, a "
            "number, and + for those after it too (allocation:17+)."},
    {.name = "directory",
     .argument = "DIR",
     .type = EE_OPTION_TEXT,
     .offset = AT(directory),
     .fallback = "/dev/shm",
     .doc = "Where the stores are made, in a directory that is removed."},
    {.name = NULL}};

// What a worker is at, for who started it.
struct progress {
  int64_t seed;
  struct error error;
  int64_t runs;
};

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

static bool run(struct bench *bench, const struct plan *plan, FILE *details, bool *ret_struck,
                struct ee_err *err) {
  if (!world_run(plan, &bench->pool, bench->codec, bench->directory, details, ret_struck, err)) {
    return false;
  }
  bool leaks = plan->error.kind != ERROR_NONE && __lsan_do_recoverable_leak_check != NULL &&
               __lsan_do_recoverable_leak_check() != 0;
  return !leaks || ee_err_set(err, "memory has leaked");
}

// Leaves out, one by one, the faults that the failure does not need.
static void shorten(struct bench *bench, struct plan *plan, struct ee_err *err) {
  for (size_t i = plan->fault_count; i > 0; i--) {
    struct plan shorter = *plan;
    struct ee_err why;
    shorter.left_out |= UINT32_C(1) << (i - 1);
    if (run(bench, &shorter, NULL, NULL, &why)) continue;
    *plan = shorter;
    *err = why;
  }
}

static bool run_plan(struct bench *bench, struct plan *plan, bool *ret_struck) {
  struct ee_err err = {.text = ""};
  if (run(bench, plan, NULL, ret_struck, &err)) return true;
  if (plan->error.kind == ERROR_NONE) shorten(bench, plan, &err);
  flockfile(stdout);
  plan_print(plan, stdout);
  printf("  %s\n", err.text);
  fflush(stdout);
  funlockfile(stdout);
  return false;
}

// Every workers-th seed.
static bool run_faults(struct bench *bench, const struct settings *settings, int64_t worker,
                       int64_t workers, struct progress *at) {
  bool good = true;
  for (int64_t i = worker; good && i < settings->seeds; i += workers, at->runs++) {
    struct plan plan;
    at->seed = settings->first + i;
    plan_make(&plan, (uint64_t)at->seed);
    good = run_plan(bench, &plan, NULL);
  }
  return good;
}

// In a process of its own, which finds nothing that a run before it has made and kept.
static bool run_apart(struct bench *bench, struct plan *plan, bool *ret_struck) {
  enum { STRUCK = 40, NOT_STRUCK, FAILED };  // no sanitizer ends so
  pid_t child = fork();
  if (child == 0) {
    bool struck = false;
    bool good = run_plan(bench, plan, &struck);
    fflush(stdout);
    _exit(!good ? FAILED : struck ? STRUCK : NOT_STRUCK);
  }
  int status;
  if (child < 0 || waitpid(child, &status, 0) < 0) return false;
  *ret_struck = WIFEXITED(status) && WEXITSTATUS(status) == STRUCK;
  if (*ret_struck || (WIFEXITED(status) && WEXITSTATUS(status) == NOT_STRUCK)) return true;
  if (WIFEXITED(status) && WEXITSTATUS(status) == FAILED) return false;
  char error[ERROR_TEXT_SIZE];
  error_print(&plan->error, error);
  printf("--seed %llu --error %s: the process has died\n", (unsigned long long)plan->seed, error);
  fflush(stdout);
  return false;
}

// Every workers-th error of a kind, until the run has no more of them.
static bool run_errors_of(struct bench *bench, const struct settings *settings, int64_t worker,
                          int64_t workers, struct progress *at) {
  bool good = true, struck = true;
  int64_t number = at->seed % settings->errors + worker * settings->errors;
  for (; good && struck; number += workers * settings->errors, at->runs++) {
    struct plan plan;
    at->error.number = (size_t)number;
    plan_make_calm(&plan, (uint64_t)at->seed, &at->error);
    good = run_apart(bench, &plan, &struck);
  }
  return good;
}

static bool run_errors(struct bench *bench, const struct settings *settings, int64_t worker,
                       int64_t workers, struct progress *at) {
  bool good = true;
  for (int64_t i = 0; good && i < settings->seeds; i++) {
    at->seed = settings->first + i;
    for (int kind = ERROR_NONE + 1; good && kind < ERROR_KINDS; kind++) {
      at->error = (struct error){.kind = (enum error_kind)kind};
      good = run_errors_of(bench, settings, worker, workers, at);
      at->error.on = true;
      good = good && run_errors_of(bench, settings, worker, workers, at);
    }
  }
  return good;
}

static int run_alone(const struct settings *settings, const struct error *error) {
  struct bench bench;
  struct plan plan;
  struct ee_err err = {.text = ""};
  open_bench(&bench, settings->directory, 0);
  if (error->kind == ERROR_NONE) {
    plan_make(&plan, (uint64_t)settings->seed);
  } else {
    plan_make_calm(&plan, (uint64_t)settings->seed, error);
  }
  plan_print(&plan, stdout);
  fflush(stdout);
  bool good = run(&bench, &plan, stdout, NULL, &err);
  printf("%s\n", good ? "as undisturbed" : err.text);
  close_bench(&bench);
  return good ? 0 : 1;
}

// What the processors log is thrown away, what a sanitizer says is not.
static bool quieten(void) {
  intptr_t said = dup(STDERR_FILENO);
  if (__sanitizer_set_report_fd != NULL) __sanitizer_set_report_fd((void *)said);
  return freopen("/dev/null", "w", stderr) != NULL;
}

// A worker's share. The exit status says whether a run failed.
static int work(const struct settings *settings, int64_t worker, int64_t workers,
                struct progress *at) {
  struct bench bench;
  if (!quieten()) return 1;
  open_bench(&bench, settings->directory, worker);
  bool good = settings->errors > 0 ? run_errors(&bench, settings, worker, workers, at)
                                   : run_faults(&bench, settings, worker, workers, at);
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
  struct progress *at = mmap(NULL, WORKERS_MAX * sizeof *at, PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) {
    fprintf(stderr, "simulate: %s\n", strerror(errno));
    return 1;
  }
  for (int64_t i = 0; i < workers; i++) {
    children[i] = fork();
    if (children[i] == 0) {
      int status = work(settings, i, workers, &at[i]);
      fflush(stdout);
      _exit(status);
    }
    if (children[i] < 0) {
      fprintf(stderr, "simulate: %s\n", strerror(errno));
      return 1;
    }
  }
  int64_t runs = 0;
  for (int64_t i = 0; i < workers; i++) {
    int status;
    waitpid(children[i], &status, 0);
    runs += at[i].runs;
    if (WIFSIGNALED(status)) {
      printf("seed %lld: ended by signal %d\n", (long long)at[i].seed, WTERMSIG(status));
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) good = false;
  }
  int64_t spent_ms = ee_clock_monotonic_ms() - began_ms;
  if (spent_ms < 1) spent_ms = 1;
  printf("%lld runs of %lld seeds from %lld, %lld a second: %s\n", (long long)runs,
         (long long)settings->seeds, (long long)settings->first,
         (long long)(runs * 1000 / spent_ms), good ? "each came out as undisturbed" : "FAILED");
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
  struct error error = {.kind = ERROR_NONE};
  if (settings.error != NULL && (settings.seed == 0 || !error_parse(settings.error, &error))) {
    fprintf(stderr, "simulate: --error: KIND:NUMBER[+], with --seed\n");
    ee_options_release(&command, &settings);
    return 2;
  }
  int status = settings.seed > 0 ? run_alone(&settings, &error) : run_all(&settings);
  ee_options_release(&command, &settings);
  return status;
}
