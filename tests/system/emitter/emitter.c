// SPDX-License-Identifier: Apache-2.0
// Emits admissions by the client library until it is told to end, or killed: what each call
// returned lies in a mapped file then, for whoever looks for the events.
//
//   emitter RESULTS THREADS MOST RATE PREFIX NAME=VALUE...
//
// RESULTS: the file, THREADS times MOST bytes: of the I-th event of thread T, whose envelope_id is
// PREFIX-T-I, 'A' accepted, 'D' dropped, 0 not emitted or not returned. RATE: events a second of
// each thread. NAME=VALUE: the library's settings. Prints "open" when it is. SIGTERM: closes within
// 30 s; the status is 0 if all was acknowledged.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "client/envelope.h"

#define THREADS_MAX 16

struct emitter {
  envelope_producer *producer;
  char *results;
  long most;
  double rate;
  const char *prefix;
};

struct thread {
  const struct emitter *emitter;
  long number;
  pthread_t id;
};

static volatile sig_atomic_t stopped;

static void stop(int number) {
  stopped = number;
}

static void die(const char *what, const char *why) {
  fprintf(stderr, "emitter: %s: %s\n", what, why);
  exit(1);
}

static double now_s(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static void pace(double start, double rate, long i) {
  double left = start + (double)i / rate - now_s();
  if (left <= 0) return;
  struct timespec pause = {.tv_sec = (time_t)left,
                           .tv_nsec = (long)((left - (double)(time_t)left) * 1e9)};
  nanosleep(&pause, NULL);
}

static void fill(envelope_event *event, const char *id) {
  envelope_event_begin(event, ENVELOPE_ADMISSION);
  envelope_event_set_text(event, ENVELOPE_FIELD_ENVELOPE_ID, id, ENVELOPE_TEXT, NULL);
  envelope_event_set_text(event, ENVELOPE_FIELD_TENANT, "acme", ENVELOPE_TEXT, NULL);
  envelope_event_set_text(event, ENVELOPE_FIELD_CALLER_REQUESTER_URN, "urn:u", ENVELOPE_TEXT, NULL);
  envelope_event_set_text(event, ENVELOPE_FIELD_EXECUTION_KIND, "deployment", ENVELOPE_TEXT, NULL);
  envelope_event_set_text(event, ENVELOPE_FIELD_EXECUTION_SERVICE, "s", ENVELOPE_TEXT, NULL);
  envelope_event_set_text(event, ENVELOPE_FIELD_EXECUTION_OPERATION, "o", ENVELOPE_TEXT, NULL);
}

static void *emit(void *argument) {
  struct thread *thread = argument;
  const struct emitter *emitter = thread->emitter;
  char *results = emitter->results + thread->number * emitter->most;
  envelope_event *event = envelope_event_new(ENVELOPE_ADMISSION);
  double start = now_s();
  for (long i = 0; i < emitter->most && !stopped; i++) {
    char id[128];
    struct envelope_error error;
    snprintf(id, sizeof id, "%s-%ld-%ld", emitter->prefix, thread->number, i);
    fill(event, id);
    int result = envelope_emit(emitter->producer, event, &error);
    if (result < 0) die("emit", error.text);
    __atomic_store_n(&results[i], result == ENVELOPE_OK ? 'A' : 'D', __ATOMIC_RELEASE);
    pace(start, emitter->rate, i);
  }
  envelope_event_free(event);
  return NULL;
}

static void on_notice(void *context, envelope_level level, const char *text) {
  (void)context;
  fprintf(stderr, "%d %s\n", (int)level, text);
}

static envelope_producer *open_producer(char **given) {
  struct envelope_error error;
  envelope_producer *producer;
  envelope_settings *settings = envelope_settings_new();
  envelope_settings_on_notice(settings, on_notice, NULL);
  for (; *given != NULL; given++) {
    char *equals = strchr(*given, '=');
    if (equals == NULL) die(*given, "is not NAME=VALUE");
    *equals = '\0';
    if (envelope_settings_set(settings, *given, equals + 1, &error) < 0) die(*given, error.text);
  }
  if (envelope_producer_open(settings, &producer, &error) != ENVELOPE_OK) die("open", error.text);
  envelope_settings_free(settings);
  return producer;
}

static char *map_results(const char *path, size_t size) {
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || ftruncate(fd, (off_t)size) != 0) die(path, strerror(errno));
  char *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (bytes == MAP_FAILED) die(path, strerror(errno));
  close(fd);
  return bytes;
}

int main(int argc, char **argv) {
  struct thread threads[THREADS_MAX];
  if (argc < 6) die("usage", "emitter RESULTS THREADS MOST RATE PREFIX NAME=VALUE...");
  long count = strtol(argv[2], NULL, 10);
  struct emitter emitter = {
      .most = strtol(argv[3], NULL, 10), .rate = strtod(argv[4], NULL), .prefix = argv[5]};
  if (count < 1 || count > THREADS_MAX || emitter.most < 1) die("usage", "too few, or too many");
  signal(SIGTERM, stop);
  emitter.results = map_results(argv[1], (size_t)(count * emitter.most));
  emitter.producer = open_producer(argv + 6);
  puts("open");
  fflush(stdout);
  for (long i = 0; i < count; i++) {
    threads[i] = (struct thread){.emitter = &emitter, .number = i};
    if (pthread_create(&threads[i].id, NULL, emit, &threads[i]) != 0) die("thread", "none");
  }
  for (long i = 0; i < count; i++)
    pthread_join(threads[i].id, NULL);
  while (!stopped)
    pause();
  return envelope_producer_close(emitter.producer, 30000) == ENVELOPE_OK ? 0 : 1;
}
